/* SPDX-License-Identifier: BSD-3-Clause */
/* A pair: certificates, the arbiter and its tuning, the peer, clocks, the address. */
#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/address.h"
#include "doctor/checks.h"

#define EXPIRY_DAYS  30  /* before the end of a certificate */
#define HEARTBEAT_MS 50  /* of etcd; more, and its election takes too long */
#define ELECTION_MS  500 /* the same */
#define SKEW_MS      50
#define MEMBERS      3

static bool no_pair(const struct fg_doctor *d, struct fg_doctor_finding *f)
{
    if (!d->config->pair.enabled)
        fg_doctor_skip(f, "[pair] enabled is no");
    return !d->config->pair.enabled;
}

/* ---- certificates ---------------------------------------------------------------------------- */

/* The host of "1.2.3.4:5" or "[v6]:5". */
static void host_of(const char *address, char host[64])
{
    const char *colon = strrchr(address, ':');

    snprintf(host, 64, "%.*s", (int)(colon ? colon - address : 63), address);
    if (host[0] == '[') {
        memmove(host, host + 1, strlen(host));
        host[strcspn(host, "]")] = 0;
    }
}

static bool read_certificates(const struct fg_doctor *d, struct fg_doctor_certificates *found,
                              struct fg_error *err)
{
    const struct fg_replication_settings *p = &d->config->pair;
    char ca[FG_DOCTOR_PATH], cert[FG_DOCTOR_PATH], key[FG_DOCTOR_PATH], host[64];

    host_of(p->listen, host);
    return d->probes->certificates(fg_doctor_path(d, ca, "%s", p->tls_ca),
                                   fg_doctor_path(d, cert, "%s", p->tls_cert),
                                   fg_doctor_path(d, key, "%s", p->tls_key), host, found, err);
}

FG_DOCTOR_CHECK(pair_certificates)
{
    const struct fg_replication_settings *p = &d->config->pair;
    struct fg_doctor_certificates found = {0};
    struct fg_error err = {""};

    if (no_pair(d, f))
        return;
    if (!read_certificates(d, &found, &err))
        return fg_doctor_say(f, FG_DOCTOR_FAULT, "%.300s", err.text);
    if (!found.key_fits)
        fg_doctor_say(f, FG_DOCTOR_FAULT, "%.140s is not the key of %.140s", p->tls_key,
                      p->tls_cert);
    else if (!found.vouched)
        fg_doctor_say(f, FG_DOCTOR_FAULT, "%.120s is none of the authority %.120s: %.60s",
                      p->tls_cert, p->tls_ca, found.why);
    else if (!found.host_fits)
        fg_doctor_say(f, FG_DOCTOR_FAULT,
                      "%.120s is not made for the host of [pair] listen = %.63s: the peer will "
                      "refuse it",
                      p->tls_cert, p->listen);
}

FG_DOCTOR_CHECK(pair_expiry)
{
    struct fg_doctor_certificates found = {0};
    struct fg_error err = {""};

    if (no_pair(d, f))
        return;
    if (!read_certificates(d, &found, &err))
        return fg_doctor_skip(f, "see pair-certificates");
    if (found.days >= EXPIRY_DAYS)
        return;
    fg_doctor_say(f, found.days < 0 ? FG_DOCTOR_FAULT : FG_DOCTOR_WARNING,
                  "a certificate of the pair ends in %d days: then there is no link any more",
                  found.days);
    fg_doctor_mend(f, "fgctl pair init --keys FOLDER --hosts ADDR,ADDR");
}

/* ---- etcd ------------------------------------------------------------------------------------ */

FG_DOCTOR_CHECK(pair_arbiter)
{
    struct fg_error err = {""};
    bool has_register = false;

    if (no_pair(d, f))
        return;
    if (!d->probes->arbiter(&d->config->pair.arbiter, &has_register, &err)) {
        fg_doctor_say(f, FG_DOCTOR_FAULT, "[pair] arbiter: %.280s", err.text);
        fg_doctor_mend(f, "etcdctl --endpoints=ADDRESS:PORT endpoint health");
    } else if (!has_register) {
        fg_doctor_say(f, FG_DOCTOR_FAULT, "etcd has no register of this pair below %.63s",
                      d->config->pair.arbiter.prefix);
        fg_doctor_mend(f, "fgctl pair init --config %.200s", d->config->path);
    }
}

FG_DOCTOR_CHECK(pair_members)
{
    unsigned members = 1;

    if (no_pair(d, f))
        return;
    for (const char *p = d->config->pair.arbiter.endpoints; *p; p++)
        members += *p == ',';
    if (members >= MEMBERS)
        return;
    fg_doctor_say(f, FG_DOCTOR_WARNING,
                  "[pair] arbiter names %u of etcd's members; with three of them, any one may die",
                  members);
}

/* What an etcd on this machine was started with. */
struct etcd {
    char args[8192], environment[8192]; /* words, each ended by a 0; and one more 0 */
    char file[8192];                    /* its configuration file; "" = none */
};

static bool read_words(const struct fg_doctor *d, const char *pid, const char *name, char *text,
                       size_t size)
{
    char path[FG_DOCTOR_PATH];
    FILE *file = fopen(fg_doctor_path(d, path, "/proc/%s/%s", pid, name), "re");
    size_t n = file ? fread(text, 1, size - 2, file) : 0;

    if (file)
        fclose(file);
    text[n] = text[n + 1] = 0;
    return file != NULL;
}

static const char *in_words(const char *words, const char *name, bool option)
{
    size_t len = strlen(name);

    for (const char *w = words; *w; w += strlen(w) + 1) {
        const char *at = w;

        if (option)
            at += strspn(at, "-");
        if (strncmp(at, name, len) == 0 && at[len] == '=')
            return at + len + 1;
        if (option && strcmp(at, name) == 0)
            return w + strlen(w) + 1;
    }
    return NULL;
}

/* "heartbeat-interval" as an option, in the file, or as ETCD_HEARTBEAT_INTERVAL; NULL: not given.
 */
static const char *etcd_setting(const struct etcd *e, const char *name)
{
    char variable[64] = "ETCD_", line[80];
    const char *found = in_words(e->args, name, true);
    size_t len = 5;

    for (const char *p = name; *p && len < sizeof(variable) - 1; p++)
        variable[len++] = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
    variable[len] = 0;
    if (!found)
        found = in_words(e->environment, variable, false);
    if (found || !e->file[0])
        return found;
    snprintf(line, sizeof(line), "\n%s:", name);
    found = strstr(e->file, line);
    return found ? found + strlen(line) + strspn(found + strlen(line), " '\"") : NULL;
}

static void read_file(const struct fg_doctor *d, struct etcd *e)
{
    const char *name = etcd_setting(e, "config-file");
    char path[FG_DOCTOR_PATH];
    FILE *file;
    size_t n;

    if (!name)
        return;
    file = fopen(fg_doctor_path(d, path, "%s", name), "re");
    e->file[0] = '\n'; /* in front of the first line, too */
    n = file ? fread(e->file + 1, 1, sizeof(e->file) - 2, file) : 0;
    if (file)
        fclose(file);
    e->file[n + 1] = 0;
}

/* The first that is found; false, and skipped: there is none. */
static bool find_etcd(const struct fg_doctor *d, struct fg_doctor_finding *f, struct etcd *e)
{
    char path[FG_DOCTOR_PATH], name[32];
    struct dirent *entry;
    bool found = false, told = false;
    DIR *proc;

    if (no_pair(d, f))
        return false;
    proc = opendir(fg_doctor_path(d, path, "/proc"));
    while (proc && !found && (entry = readdir(proc))) {
        found = isdigit((unsigned char)entry->d_name[0]) &&
                fg_doctor_line(d, name, sizeof(name), "/proc/%s/comm", entry->d_name) &&
                strcmp(name, "etcd") == 0;
        if (found) {
            memset(e, 0, sizeof(*e));
            read_words(d, entry->d_name, "cmdline", e->args, sizeof(e->args));
            told = read_words(d, entry->d_name, "environ", e->environment, sizeof(e->environment));
            read_file(d, e);
        }
    }
    if (proc)
        closedir(proc);
    if (!told)
        fg_doctor_skip(f, found ? "root alone may see the environment of etcd"
                                : "no etcd runs on this machine");
    return told;
}

FG_DOCTOR_CHECK(etcd_tuning)
{
    const char *heartbeat, *election;
    struct etcd e;
    int beat, elect;

    if (!find_etcd(d, f, &e))
        return;
    heartbeat = etcd_setting(&e, "heartbeat-interval");
    election = etcd_setting(&e, "election-timeout");
    beat = heartbeat ? atoi(heartbeat) : 100;
    elect = election ? atoi(election) : 1000;
    if (beat <= HEARTBEAT_MS && elect <= ELECTION_MS)
        return;
    fg_doctor_say(f, FG_DOCTOR_WARNING,
                  "etcd has heartbeat-interval %d and election-timeout %d: when its leader dies "
                  "with a box, a take-over waits over a second",
                  beat, elect);
    fg_doctor_mend(f, "ETCD_HEARTBEAT_INTERVAL=25 and ETCD_ELECTION_TIMEOUT=250 in "
                      "/etc/default/etcd; systemctl restart etcd");
}

FG_DOCTOR_CHECK(etcd_compaction)
{
    const char *retention;
    struct etcd e;

    if (!find_etcd(d, f, &e))
        return;
    retention = etcd_setting(&e, "auto-compaction-retention");
    if (retention && atoi(retention) > 0)
        return;
    fg_doctor_say(f, FG_DOCTOR_FAULT,
                  "etcd compacts nothing: its quota fills, and then nobody can take over");
    fg_doctor_mend(f, "ETCD_AUTO_COMPACTION_RETENTION=1h in /etc/default/etcd; systemctl restart "
                      "etcd");
}

FG_DOCTOR_CHECK(etcd_disk)
{
    struct fg_doctor_mount its, ours;
    const char *data;
    struct etcd e;

    if (!find_etcd(d, f, &e))
        return;
    data = etcd_setting(&e, "data-dir");
    if (!data || data[0] != '/')
        return fg_doctor_skip(f, "etcd's data-dir is not given");
    if (!fg_doctor_mount_of(d, data, &its) || !fg_doctor_mount_of(d, d->config->log.dir, &ours))
        return fg_doctor_skip(f, "the mounts cannot be read");
    if (strcmp(ours.point, "/") == 0)
        return fg_doctor_skip(f, "see log-mount");
    if (strcmp(its.point, ours.point) == 0)
        fg_doctor_say(f, FG_DOCTOR_WARNING,
                      "etcd and the log lie on one file system, %.200s: each waits for the "
                      "other's syncs",
                      ours.point);
}

/* ---- the other appliance --------------------------------------------------------------------- */

FG_DOCTOR_CHECK(pair_peer)
{
    struct fg_error err = {""};

    if (no_pair(d, f) || d->probes->connects(d->config->pair.peer, &err))
        return;
    fg_doctor_say(f, FG_DOCTOR_WARNING, "the peer at %.63s: %.180s", d->config->pair.peer,
                  err.text);
    fg_doctor_mend(f, "fgctl pair status");
}

FG_DOCTOR_CHECK(pair_clocks)
{
    struct fg_error err = {""};
    long long ms = 0;

    if (no_pair(d, f))
        return;
    if (!d->probes->skew(d->config->api.socket, &ms, &err))
        return fg_doctor_skip(f, "no daemon with a link to its peer tells");
    if (llabs(ms) <= SKEW_MS)
        return;
    fg_doctor_say(f, FG_DOCTOR_WARNING, "the peer's clock is %lld ms %s ours", llabs(ms),
                  ms > 0 ? "ahead of" : "behind");
    fg_doctor_mend(f, "chronyc tracking");
}

/* A port without a kernel has a floating address by its name. */
static bool is_port(const struct fg_config *config, const char *name)
{
    for (unsigned i = 0; i < config->ports_count; i++)
        if (!config->ports[i].af_xdp && strcmp(config->ports[i].name, name) == 0)
            return true;
    return false;
}

FG_DOCTOR_CHECK(pair_address)
{
    struct fg_address_floating list[FG_ADDRESS_FLOATING_MAX];
    unsigned count = 0;

    if (no_pair(d, f))
        return;
    if (!d->config->pair.address[0])
        return fg_doctor_skip(f, "[pair] address is not given");
    count = fg_address_floating_read(d->config->pair.address, list);
    for (unsigned i = 0; i < count; i++) {
        if (is_port(d->config, list[i].interface) ||
            fg_doctor_exists(d, "/sys/class/net/%s", list[i].interface))
            continue;
        fg_doctor_say(f, FG_DOCTOR_FAULT, "[pair] address: there is no interface or port %s",
                      list[i].interface);
        fg_doctor_mend(f, "ip -br link");
        return;
    }
}
