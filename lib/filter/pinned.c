/* SPDX-License-Identifier: BSD-3-Clause */
/* Functions that work on the pins alone, with or without a daemon: attach again, and status. */
#include <dirent.h>
#include <errno.h>
#include <linux/if_link.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "filter/internal.h"
#include "filter/pins.h"

static bool names_fit(const char *pins, const char *ifname, struct fg_error *err)
{
    if (strlen(pins) >= FG_FILTER_PINS_MAX)
        return fg_fail(err, "pins %.64s...: longer than %d bytes", pins, FG_FILTER_PINS_MAX - 1);
    if (!*ifname || strlen(ifname) >= IF_NAMESIZE || strchr(ifname, '/'))
        return fg_fail(err, "%.32s: no such interface", ifname);
    return true;
}

static bool link_and_pin(const char *path, const char *ifname, int program, bool generic,
                         struct fg_error *err)
{
    LIBBPF_OPTS(bpf_link_create_opts, opts,
                .flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
    unsigned ifindex = if_nametoindex(ifname);
    int link;
    bool ok;

    if (!ifindex)
        return fg_fail(err, "%s: no such interface in this network namespace", ifname);
    link = bpf_link_create(program, (int)ifindex, BPF_XDP, &opts);
    if (link < 0)
        return fg_fail(err, "%s: cannot attach in %s mode: %s", ifname,
                       generic ? "generic" : "native",
                       errno == EBUSY ? "a program is attached already" : strerror(errno));
    ok = bpf_obj_pin(link, path) == 0;
    if (!ok)
        fg_fail(err, "%s: cannot pin the link as %s: %s", ifname, path, strerror(errno));
    close(link); /* without a pin that was the last descriptor: detaches */
    return ok;
}

/* A program keeps the maps that it was loaded with, whatever is pinned now. */
static bool program_has_our_state(const char *pins, const char *ifname, int program,
                                  struct fg_error *err)
{
    uint32_t ids[32], size = sizeof(struct bpf_prog_info), map_size = sizeof(struct bpf_map_info);
    struct bpf_prog_info info = {.nr_map_ids = 32, .map_ids = (uintptr_t)ids};
    struct bpf_map_info map = {0};
    char path[FG_FILTER_PATH_MAX];
    int state;
    bool ok;

    snprintf(path, sizeof(path), "%s/fg_state", pins);
    state = bpf_obj_get(path);
    ok = state >= 0 && bpf_obj_get_info_by_fd(state, &map, &map_size) == 0 &&
         bpf_obj_get_info_by_fd(program, &info, &size) == 0;
    if (state >= 0)
        close(state);
    for (uint32_t i = 0; ok && i < info.nr_map_ids && i < 32; i++)
        if (ids[i] == map.id)
            return true;
    return fg_fail(err,
                   "%s: the program that is pinned for it has other lists than %s, which another "
                   "version or other "
                   "sizes made: start the daemon with this interface",
                   ifname, path);
}

bool fg_filter_attach_again(const char *pins, const char *ifname, bool generic,
                            struct fg_error *err)
{
    char path[FG_FILTER_PATH_MAX];
    int program, link;
    bool ok;

    if (!names_fit(pins, ifname, err))
        return false;
    fg_filter_pins_name(path, sizeof(path), pins, "link", ifname);
    link = bpf_obj_get(path);
    if (link >= 0) {
        struct bpf_link_info info = {0};
        uint32_t size = sizeof(info);
        bool dead = bpf_obj_get_info_by_fd(link, &info, &size) == 0 && info.xdp.ifindex == 0;

        close(link);
        if (!dead)
            return fg_fail(err, "%s: the filter is attached already", ifname);
        unlink(path); /* of an interface that is gone */
    }
    fg_filter_pins_name(path, sizeof(path), pins, "prog", ifname);
    program = bpf_obj_get(path);
    if (program < 0)
        return fg_fail(err, "%s: no program of ours (%s: %s): start the daemon once, it makes one",
                       ifname, path, strerror(errno));
    fg_filter_pins_name(path, sizeof(path), pins, "link", ifname);
    ok = program_has_our_state(pins, ifname, program, err) &&
         link_and_pin(path, ifname, program, generic, err);
    close(program);
    return ok;
}

/* ---- status ---------------------------------------------------------------------------------- */

/* Of the pinned counters; false: there are none of this version. */
static bool read_counters(const char *pins, uint64_t counters[FG_FILTER_VERDICT_COUNT])
{
    int cpus = libbpf_num_possible_cpus(), fd;
    struct bpf_map_info info = {0};
    uint32_t size = sizeof(info);
    struct fg_filter_count *values = cpus > 0 ? calloc((size_t)cpus, sizeof(*values)) : NULL;
    char path[FG_FILTER_PATH_MAX];
    bool ok;

    memset(counters, 0, FG_FILTER_VERDICT_COUNT * sizeof(*counters));
    snprintf(path, sizeof(path), "%s/fg_counters", pins);
    fd = bpf_obj_get(path);
    ok = values && fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0 &&
         info.value_size == sizeof(*values) && info.max_entries >= FG_FILTER_VERDICT_COUNT;
    for (uint32_t i = 0; ok && i < FG_FILTER_VERDICT_COUNT; i++) {
        if (bpf_map_lookup_elem(fd, &i, values) != 0)
            continue;
        for (int cpu = 0; cpu < cpus; cpu++)
            counters[i] += values[cpu].packets;
    }
    if (fd >= 0)
        close(fd);
    free(values);
    return ok;
}

static void read_link(const char *path, struct fg_filter_link *link)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, query);
    struct bpf_link_info info = {0};
    uint32_t size = sizeof(info);
    int fd = bpf_obj_get(path);

    if (fd < 0)
        return;
    if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.type == BPF_LINK_TYPE_XDP) {
        link->program = info.prog_id;
        link->ifindex = info.xdp.ifindex;
    }
    close(fd);
    /* The number of an interface means something only in its own namespace. */
    if (link->ifindex && if_nametoindex(link->ifname) == link->ifindex &&
        bpf_xdp_query((int)link->ifindex, 0, &query) == 0)
        link->generic = query.attach_mode == XDP_ATTACHED_SKB;
}

int fg_filter_status(const char *pins, struct fg_filter_link *links, unsigned max,
                     uint64_t counters[FG_FILTER_VERDICT_COUNT], struct fg_error *err)
{
    DIR *folder = opendir(pins);
    unsigned n = 0;

    if (!folder) {
        fg_fail(err, "%s: %s (no daemon has run with these pins, or others are meant: --pins)",
                pins, strerror(errno));
        return -1;
    }
    for (struct dirent *entry; n < max && (entry = readdir(folder));) {
        char path[FG_FILTER_PATH_MAX];

        if (strncmp(entry->d_name, "prog-", 5))
            continue;
        memset(&links[n], 0, sizeof(links[n]));
        snprintf(links[n].ifname, sizeof(links[n].ifname), "%.15s", entry->d_name + 5);
        for (char *c = links[n].ifname; *c; c++)
            *c = *c == ':' ? '.' : *c;
        fg_filter_pins_name(path, sizeof(path), pins, "link", links[n].ifname);
        read_link(path, &links[n++]);
    }
    closedir(folder);
    read_counters(pins, counters);
    return (int)n;
}
