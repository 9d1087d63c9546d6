/* SPDX-License-Identifier: BSD-3-Clause */
#include "filter/pins.h"

#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>

#define USUAL_MOUNT "/sys/fs/bpf"

/* Makes a folder and those above it. */
static bool make_folders(const char *path, struct fg_error *err)
{
    char part[FG_FILTER_PINS_MAX];
    size_t len = strlen(path);

    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != 0)
            continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return fg_fail(err, "cannot make %s: %s", part, strerror(errno));
    }
    return true;
}

/* The nearest folder at or above path that exists. */
static void nearest_existing(char *path)
{
    struct stat st;

    while (stat(path, &st) != 0 && path[1]) {
        char *slash = strrchr(path, '/');

        slash[slash == path ? 1 : 0] = 0;
    }
}

static bool is_on_bpffs(const char *path)
{
    char nearest[FG_FILTER_PINS_MAX];
    struct statfs fs;

    snprintf(nearest, sizeof(nearest), "%s", path);
    nearest_existing(nearest);
    return statfs(nearest, &fs) == 0 && (unsigned long)fs.f_type == BPF_FS_MAGIC;
}

/* The usual place when pins lies below it, otherwise the folder itself. */
static bool mount_bpffs(const char *pins, struct fg_error *err)
{
    size_t usual = strlen(USUAL_MOUNT);
    bool below = strncmp(pins, USUAL_MOUNT, usual) == 0 && (pins[usual] == '/' || pins[usual] == 0);
    const char *target = below ? USUAL_MOUNT : pins;

    if (!make_folders(target, err))
        return false;
    if (mount("bpf", target, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0)
        return fg_fail(err, "cannot mount a bpffs on %s: %s (try: mount -t bpf bpf %s)", target,
                       strerror(errno), target);
    return true;
}

bool fg_filter_pins_prepare(const char *pins, struct fg_error *err)
{
    size_t len = pins ? strlen(pins) : 0;

    if (len < 2 || pins[0] != '/' || pins[len - 1] == '/' || len >= FG_FILTER_PINS_MAX)
        return fg_fail(
            err,
            "filter: pins \"%.64s\": want an absolute folder of at most %d bytes, no / at its end",
            pins ? pins : "", FG_FILTER_PINS_MAX - 1);
    if (!is_on_bpffs(pins) && !mount_bpffs(pins, err))
        return false;
    if (strchr(pins, '.') && access(pins, F_OK) != 0 && is_on_bpffs(pins))
        return fg_fail(err, "filter: pins \"%s\": a bpffs takes no dot in a name", pins);
    return make_folders(pins, err);
}

static pid_t parent_of(pid_t pid)
{
    char path[64], line[512] = "";
    char *end;
    FILE *file;
    int parent = 0;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (!file)
        return 0;
    end = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL; /* names hold anything */
    if (!end || sscanf(end, ") %*c %d", &parent) != 1)
        parent = 0;
    fclose(file);
    return parent;
}

/* The oldest ancestor whose mount namespace we may see stands for the processes that come after us.
 * 0: none. */
static pid_t oldest_ancestor(struct stat *its)
{
    pid_t oldest = 0;

    for (pid_t pid = getppid(); pid > 0; pid = parent_of(pid)) {
        char path[64];
        struct stat st;

        snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
        if (stat(path, &st) == 0) {
            oldest = pid;
            *its = st;
        }
    }
    return oldest;
}

bool fg_filter_pins_are_private(const char *pins)
{
    char theirs[FG_FILTER_PINS_MAX + 64];
    struct stat own, other;
    pid_t ancestor = oldest_ancestor(&other);

    if (!ancestor || stat("/proc/self/ns/mnt", &own) != 0 || own.st_ino == other.st_ino ||
        stat(pins, &own) != 0)
        return false;
    snprintf(theirs, sizeof(theirs), "/proc/%d/root%s", (int)ancestor, pins);
    return stat(theirs, &other) == 0 ? own.st_dev != other.st_dev : errno == ENOENT;
}

void fg_filter_pins_name(char *path, size_t size, const char *pins, const char *kind,
                         const char *ifname)
{
    size_t at = (size_t)snprintf(path, size, "%s/%s-%s", pins, kind, ifname);

    FG_ASSERT(at < size);
    for (char *c = path + strlen(pins); *c; c++)
        if (*c == '.')
            *c = ':';
}

static bool pin_matches(const struct bpf_map *map, const char *path, int fd, struct fg_error *err)
{
    struct bpf_map_info info = {0};
    uint32_t size = sizeof(info);
    const char *remedy = "detach the interfaces and remove the pin to start with an empty one";

    if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0)
        return fg_fail(err, "%s: %s", path, strerror(errno));
    if (info.type != bpf_map__type(map) || info.key_size != bpf_map__key_size(map) ||
        info.value_size != bpf_map__value_size(map) || info.map_flags != bpf_map__map_flags(map))
        return fg_fail(err,
                       "%s: pinned by another version (type %u, key %u, value %u bytes; wanted %u, "
                       "%u, %u): %s",
                       path, info.type, info.key_size, info.value_size, bpf_map__type(map),
                       bpf_map__key_size(map), bpf_map__value_size(map), remedy);
    if (info.max_entries != bpf_map__max_entries(map))
        return fg_fail(
            err,
            "%s: pinned with room for %u entries, the configuration wants %u: set it back, or %s",
            path, info.max_entries, bpf_map__max_entries(map), remedy);
    return true;
}

bool fg_filter_pins_match(const struct bpf_object *object, struct fg_error *err)
{
    const struct bpf_map *map;

    bpf_object__for_each_map(map, object)
    {
        const char *path = bpf_map__pin_path(map);
        int fd = path ? bpf_obj_get(path) : -1;
        bool matches;

        if (fd < 0) {
            if (path && errno != ENOENT)
                return fg_fail(err, "cannot open the pinned map %s: %s%s", path, strerror(errno),
                               errno == EPERM || errno == EACCES ? " (root is needed)" : "");
            continue;
        }
        matches = pin_matches(map, path, fd, err);
        close(fd);
        if (!matches)
            return false;
    }
    return true;
}

/* The program stays pinned when its link is taken away, so that it can be attached again as it was.
 */
bool fg_filter_pins_program(const struct fg_filter *filter, const char *ifname, int program,
                            struct fg_error *err)
{
    char path[FG_FILTER_PATH_MAX];

    fg_filter_pins_name(path, sizeof(path), filter->pins, "prog", ifname);
    unlink(path);
    return bpf_obj_pin(program, path) == 0 ||
           fg_fail(err, "%s: cannot pin the program as %s: %s", ifname, path, strerror(errno));
}
