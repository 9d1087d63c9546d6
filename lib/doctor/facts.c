/* SPDX-License-Identifier: BSD-3-Clause */
#include "doctor/facts.h"

#include <dirent.h>
#include <libgen.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

static void make_path(const struct fg_doctor *d, char path[FG_DOCTOR_PATH], const char *fmt,
                      va_list args)
{
    int len = snprintf(path, FG_DOCTOR_PATH, "%s", d->root);

    FG_ASSERT(len >= 0 && len < FG_DOCTOR_PATH / 2);
    vsnprintf(path + len, FG_DOCTOR_PATH - (size_t)len, fmt, args);
}

#define PATH(path)                                                                                 \
    char path[FG_DOCTOR_PATH];                                                                     \
    va_list args;                                                                                  \
    va_start(args, fmt);                                                                           \
    make_path(d, path, fmt, args);                                                                 \
    va_end(args)

const char *fg_doctor_path(const struct fg_doctor *d, char path[FG_DOCTOR_PATH], const char *fmt,
                           ...)
{
    va_list args;

    va_start(args, fmt);
    make_path(d, path, fmt, args);
    va_end(args);
    return path;
}

static bool read_line(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "re");
    bool got = file && fgets(text, (int)size, file);

    if (file)
        fclose(file);
    if (got)
        text[strcspn(text, "\r\n")] = 0;
    return got;
}

bool fg_doctor_line(const struct fg_doctor *d, char *text, size_t size, const char *fmt, ...)
{
    PATH(path);
    return read_line(path, text, size);
}

bool fg_doctor_number(const struct fg_doctor *d, long long *number, const char *fmt, ...)
{
    char text[128];

    PATH(path);
    return read_line(path, text, sizeof(text)) && sscanf(text, "%lld", number) == 1;
}

bool fg_doctor_exists(const struct fg_doctor *d, const char *fmt, ...)
{
    PATH(path);
    return access(path, F_OK) == 0;
}

bool fg_doctor_link(const struct fg_doctor *d, char *text, size_t size, const char *fmt, ...)
{
    char target[512];
    ssize_t len;

    PATH(path);
    len = readlink(path, target, sizeof(target) - 1);
    if (len <= 0)
        return false;
    target[len] = 0;
    snprintf(text, size, "%s", basename(target));
    return true;
}

unsigned fg_doctor_entries(const struct fg_doctor *d, const char *prefix, const char *fmt, ...)
{
    struct dirent *entry;
    unsigned count = 0;
    DIR *dir;

    PATH(path);
    dir = opendir(path);
    while (dir && (entry = readdir(dir)))
        count += entry->d_name[0] != '.' && !strncmp(entry->d_name, prefix, strlen(prefix));
    if (dir)
        closedir(dir);
    return count;
}

/* "36 35 98:0 / /mnt rw,noatime shared:1 - ext3 /dev/root rw": the point is the fifth word, the
 * type the first behind the dash. */
static bool take_mount(char *line, struct fg_doctor_mount *mount)
{
    char *dash = strstr(line, " - ");

    return dash && sscanf(line, "%*s %*s %*s %*s %511s", mount->point) == 1 &&
           sscanf(dash + 3, "%63s", mount->type) == 1;
}

static bool holds(const char *point, const char *path)
{
    size_t len = strlen(point);

    return !strcmp(point, "/") ||
           (!strncmp(point, path, len) && (path[len] == '/' || path[len] == 0));
}

/* Calls take until it says that it has enough; a later mount hides an earlier one. */
static bool walk_mounts(const struct fg_doctor *d, const char *path, const char *type,
                        struct fg_doctor_mount *best)
{
    char name[FG_DOCTOR_PATH], line[2048];
    FILE *file = fopen(fg_doctor_path(d, name, "/proc/self/mountinfo"), "re");
    struct fg_doctor_mount mount;
    size_t longest = 0;
    bool found = false;

    while (file && fgets(line, sizeof(line), file)) {
        if (!take_mount(line, &mount) || (type && strcmp(mount.type, type)) ||
            (path && (!holds(mount.point, path) || strlen(mount.point) < longest)))
            continue;
        if (type && found)
            continue;
        longest = strlen(mount.point);
        *best = mount;
        found = true;
    }
    if (file)
        fclose(file);
    return found;
}

bool fg_doctor_mount_of(const struct fg_doctor *d, const char *path, struct fg_doctor_mount *mount)
{
    return walk_mounts(d, path, NULL, mount);
}

bool fg_doctor_mounted(const struct fg_doctor *d, const char *type, struct fg_doctor_mount *mount)
{
    return walk_mounts(d, NULL, type, mount);
}

/* "0000000000000000: 00000002 00000000 00010000 0001 01 34291 /run/floodgate/control.sock" */
bool fg_doctor_daemon_runs(const struct fg_doctor *d)
{
    char path[FG_DOCTOR_PATH], line[512], name[256];
    FILE *file = fopen(fg_doctor_path(d, path, "/proc/net/unix"), "re");
    bool found = false;

    while (file && !found && fgets(line, sizeof(line), file))
        found = sscanf(line, "%*s %*s %*s %*s %*s %*s %*s %255s", name) == 1 &&
                !strcmp(name, d->config->api.socket);
    if (file)
        fclose(file);
    return found;
}

bool fg_doctor_list_has(const char *list, int cpu)
{
    int first, last, used;

    while (sscanf(list, "%d%n", &first, &used) == 1) {
        list += used;
        last = first;
        if (*list == '-' && sscanf(list, "-%d%n", &last, &used) == 1)
            list += used;
        if (cpu >= first && cpu <= last)
            return true;
        if (*list != ',')
            return false;
        list++;
    }
    return false;
}

void fg_doctor_say(struct fg_doctor_finding *f, enum fg_doctor_verdict verdict, const char *fmt,
                   ...)
{
    va_list args;

    f->verdict = verdict;
    va_start(args, fmt);
    vsnprintf(f->cause, sizeof(f->cause), fmt, args);
    va_end(args);
}

void fg_doctor_mend(struct fg_doctor_finding *f, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(f->command, sizeof(f->command), fmt, args);
    va_end(args);
}

/* As a regular expression of sed. */
static void heading_of(const char *section, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "^\\s*\\[\\s*");

    for (const char *c = section; *c && used + 16 < size; c++) {
        if (*c == ' ')
            used += (size_t)snprintf(text + used, size - used, "\\s\\s*");
        else
            used += (size_t)snprintf(text + used, size - used, *c == '.' ? "[%c]" : "%c", *c);
    }
    snprintf(text + used, size - used, "\\s*\\]");
}

void fg_doctor_mend_setting(const struct fg_doctor *d, struct fg_doctor_finding *f,
                            const char *section, const char *key, const char *value)
{
    char heading[160];

    heading_of(section, heading, sizeof(heading));
    fg_doctor_mend(f, "sed -i -e '/%s/,/^\\s*\\[/{/^\\s*%s\\s*=/d}' -e '/%s/a %s = %s' %s", heading,
                   key, heading, key, value, d->config->path);
}

void fg_doctor_skip(struct fg_doctor_finding *f, const char *why)
{
    f->verdict = FG_DOCTOR_SKIPPED;
    snprintf(f->cause, sizeof(f->cause), "%s", why);
}
