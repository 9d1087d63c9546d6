/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether what was built apart fits together: DPDK's library, nginx and the gateway's module; and
 * whether the daemon would start. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/checks.h"

#define DPDK_OLDEST "22.11"

/* "22.11.5": year and month; the rest mends only. */
static unsigned release(const char *version)
{
    unsigned year = 0, month = 0;

    sscanf(version, "%u.%u", &year, &month);
    return year * 100 + month;
}

FG_DOCTOR_CHECK(dpdk)
{
    struct fg_doctor_dpdk dpdk = {.abi = 0};
    struct fg_error err = {""};

    if (!d->probes->dpdk(&dpdk, &err))
        fg_doctor_say(f, FG_DOCTOR_FAULT,
                      "the daemon was built with DPDK %s, which is not here: %.200s", dpdk.built,
                      err.text);
    else if (release(dpdk.found) < release(DPDK_OLDEST))
        fg_doctor_say(f, FG_DOCTOR_FAULT,
                      "DPDK is of version %s; accepted: " DPDK_OLDEST " or newer", dpdk.found);
    else if (release(dpdk.found) < release(dpdk.built))
        fg_doctor_say(f, FG_DOCTOR_FAULT,
                      "DPDK is of version %s, and the daemon was built with %s: it may lack what "
                      "the daemon calls",
                      dpdk.found, dpdk.built);
    else
        return;
    fg_doctor_mend(f, "apt install librte-eal%u", dpdk.abi);
}

/* ---- nginx ----------------------------------------------------------------------------------- */

#define NGINX     "/usr/sbin/nginx"
#define MODULE    "/usr/lib/nginx/modules/ngx_http_floodgate_module.so"
#define BYTES_MAX (64u << 20) /* of a program that is read */

/* nginx loads a module only when both are its own: NGINX_VERSION and NGX_MODULE_SIGNATURE. */
struct build {
    char version[16], signature[64];
};

/* The characters of a set at the beginning of the bytes, as a text; 0: too few or too many. */
static size_t take(const char *bytes, const char *end, const char *set, char *text, size_t size)
{
    size_t len = 0;

    while (bytes + len < end && bytes[len] && strchr(set, bytes[len]))
        len++;
    if (len >= size)
        return 0;
    memcpy(text, bytes, len);
    text[len] = 0;
    return len;
}

/* "8,4,8,0011111111010111001111111111111111": sizes of three types, and what was compiled in. */
static bool is_signature(const char *text)
{
    return strlen(text) > 20 && isdigit(text[0]) && text[1] == ',' && isdigit(text[2]) &&
           text[3] == ',' && isdigit(text[4]) && text[5] == ',' &&
           strspn(text + 6, "01") == strlen(text + 6);
}

static void find_version(const char *bytes, const char *end, struct build *build)
{
    static const char mark[] = "nginx/";

    while (!build->version[0] &&
           (bytes = memmem(bytes, (size_t)(end - bytes), mark, sizeof(mark) - 1))) {
        bytes += sizeof(mark) - 1;
        if (take(bytes, end, "0123456789.", build->version, sizeof(build->version)) < 5)
            build->version[0] = 0;
    }
}

static void find_signature(const char *bytes, const char *end, struct build *build)
{
    for (const char *p = bytes; p < end; p++) {
        size_t len = isdigit((unsigned char)*p)
                         ? take(p, end, "0123456789,", build->signature, sizeof(build->signature))
                         : 0;

        if (len && is_signature(build->signature))
            return;
        p += len;
    }
    build->signature[0] = 0;
}

static bool read_build(const struct fg_doctor *d, const char *program, struct build *build)
{
    char path[FG_DOCTOR_PATH];
    FILE *file = fopen(fg_doctor_path(d, path, "%s", program), "re");
    long size = file && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : 0;
    char *bytes = size > 0 && size < BYTES_MAX ? malloc((size_t)size) : NULL;

    *build = (struct build){.version = ""};
    if (bytes && fseek(file, 0, SEEK_SET) == 0 &&
        fread(bytes, 1, (size_t)size, file) == (size_t)size) {
        find_version(bytes, bytes + size, build);
        find_signature(bytes, bytes + size, build);
    }
    free(bytes);
    if (file)
        fclose(file);
    return build->version[0] && build->signature[0];
}

FG_DOCTOR_CHECK(nginx)
{
    struct build nginx, module;

    if (!fg_doctor_exists(d, NGINX) || !fg_doctor_exists(d, MODULE))
        return fg_doctor_skip(f, "nginx and the gateway's module are not both installed");
    if (!read_build(d, NGINX, &nginx) || !read_build(d, MODULE, &module))
        return fg_doctor_skip(f, "nginx or the gateway's module does not say its version");
    if (strcmp(nginx.version, module.version) != 0)
        fg_doctor_say(f, FG_DOCTOR_FAULT,
                      "the gateway's module was built for nginx %s, and nginx %s does not start "
                      "with it",
                      module.version, nginx.version);
    else if (strcmp(nginx.signature, module.signature) != 0)
        fg_doctor_say(f, FG_DOCTOR_FAULT,
                      "the gateway's module has the signature %s, and nginx, which has %s, does "
                      "not start with it",
                      module.signature, nginx.signature);
    else
        return;
    fg_doctor_mend(f, "tools/package && "
                      "apt install ./build/packages/libnginx-mod-http-floodgate_*.deb");
}

/* ---- a start --------------------------------------------------------------------------------- */

FG_DOCTOR_CHECK(start)
{
    struct fg_error why = {""};
    bool refuses = false;

    if (fg_doctor_daemon_runs(d))
        return fg_doctor_skip(f, "a daemon runs");
    if (!d->probes->refuses(d->config->path, &refuses, &why))
        return fg_doctor_skip(f, why.text);
    if (!refuses)
        return;
    fg_doctor_say(f, FG_DOCTOR_FAULT, "the daemon does not start: %.280s", why.text);
    fg_doctor_mend(f, "floodgate --check %.280s", d->config->path);
}
