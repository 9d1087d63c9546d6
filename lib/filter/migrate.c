/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pinned maps of other sizes, and of the version before, which kept each list in a hash map. The program that
 * is attached goes on with its own maps until it is replaced, so there is no gap.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "filter/internal.h"

static int open_pin(const struct fg_filter *filter, const char *name, struct bpf_map_info *info, char *path)
{
    uint32_t size = sizeof(*info);
    int fd;

    snprintf(path, FG_PATH_MAX, "%s/%s", filter->pins, name);
    memset(info, 0, sizeof(*info));
    fd = bpf_obj_get(path);
    if (fd >= 0 && bpf_obj_get_info_by_fd(fd, info, &size) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Counters and buckets of another kind or size start anew: seconds of history, not what an operator said. */
static void drop_other(const struct fg_filter *filter, const char *name, uint32_t type, uint32_t other_type,
                       uint32_t value, uint32_t entries)
{
    char path[FG_PATH_MAX];
    struct bpf_map_info info;
    int fd = open_pin(filter, name, &info, path);

    if (fd < 0)
        return;
    close(fd);
    if ((info.type == type && (info.value_size != value || info.max_entries != entries)) ||
        info.type == other_type)
        unlink(path);
}

static bool move_aside(const struct fg_filter *filter, const char *name, struct fg_error *err)
{
    char from[FG_PATH_MAX], to[FG_PATH_MAX];

    snprintf(from, sizeof(from), "%s/%s", filter->pins, name);
    snprintf(to, sizeof(to), "%s/%s-old", filter->pins, name);
    return rename(from, to) == 0 || fg_fail(err, "cannot rename %s to %s: %s", from, to, strerror(errno));
}

bool fg_migrate_prepare(const struct fg_filter *filter, struct fg_error *err)
{
    const struct fg_sizes *sizes = &filter->sizes;
    char path[FG_PATH_MAX];
    struct bpf_map_info info;
    int fd = open_pin(filter, "fg_lists", &info, path);

    if (fd >= 0)
        close(fd);
    if (fd >= 0 && info.type == BPF_MAP_TYPE_ARRAY && info.value_size == sizeof(union fg_row) &&
        info.max_entries != sizes->rows &&
        (!move_aside(filter, "fg_lists", err) || !move_aside(filter, "fg_state", err)))
        return false;
    drop_other(filter, "fg_sources", BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_LRU_HASH, sizeof(struct fg_source_set),
               sizes->sets);
    drop_other(filter, "fg_nets", BPF_MAP_TYPE_ARRAY, UINT32_MAX, sizeof(struct fg_net_row), sizes->nets);
    drop_other(filter, "fg_counters", BPF_MAP_TYPE_PERCPU_ARRAY, UINT32_MAX, sizeof(struct fg_count),
               FG_COUNTS);
    return true;
}

/* ---- another size ---------------------------------------------------------------------------------- */

static bool copy_entries(struct fg_filter *filter, const struct fg_state *old, const union fg_row *rows,
                         uint32_t rows_count, struct fg_error *err)
{
    uint32_t entries = old->heads[old->active & 1].entries;
    struct fg_generation g;
    bool ok = old->version == FG_STATE_VERSION && entries + old->prefixes_max < rows_count;

    if (!ok)
        return fg_fail(
            err,
            "%s/fg_state-old: of version %u, this program wants %u: remove it to go on without the "
            "lists in it",
            filter->pins, old->version, FG_STATE_VERSION);
    fg_generation_open(&filter->memory, &g);
    for (uint32_t number = 1; ok && number <= old->used; number++) {
        const struct fg_listed *entry = &rows[entries + number].entry;

        if (entry->kind && !fg_generation_find(&g, filter->memory.state->seed, entry))
            ok = fg_generation_add(&g, filter->memory.state->seed, entry) != NULL;
    }
    fg_generation_keep(&filter->memory, &g, filter->memory.state->seed);
    return ok ||
           fg_fail(err,
                   "%s/fg_lists-old: more prefixes than prefixes_max = %u has room for: set it to %u or more",
                   filter->pins, filter->options.prefixes_max, old->prefixes_max);
}

static bool take_resized(struct fg_filter *filter, struct fg_error *err)
{
    char lists[FG_PATH_MAX], state[FG_PATH_MAX];
    struct bpf_map_info lists_info, state_info;
    int lists_fd = open_pin(filter, "fg_lists-old", &lists_info, lists);
    int state_fd = open_pin(filter, "fg_state-old", &state_info, state);
    size_t bytes = (size_t)lists_info.max_entries * sizeof(union fg_row);
    void *rows = MAP_FAILED, *old = MAP_FAILED;
    bool ok = true;

    if (lists_fd >= 0 && state_fd >= 0 && state_info.value_size == sizeof(struct fg_state)) {
        rows = mmap(NULL, bytes, PROT_READ, MAP_SHARED, lists_fd, 0);
        old = mmap(NULL, sizeof(struct fg_state), PROT_READ, MAP_SHARED, state_fd, 0);
        ok = rows != MAP_FAILED && old != MAP_FAILED
                 ? copy_entries(filter, old, rows, lists_info.max_entries, err)
                 : fg_fail(err, "cannot map %s: %s", lists, strerror(errno));
    }
    if (rows != MAP_FAILED)
        munmap(rows, bytes);
    if (old != MAP_FAILED)
        munmap(old, sizeof(struct fg_state));
    if (lists_fd >= 0)
        close(lists_fd);
    if (state_fd >= 0)
        close(state_fd);
    if (ok) {
        unlink(lists);
        unlink(state);
    }
    return ok;
}

/* ---- the version before: fg_block and fg_allow ------------------------------------------------------- */

struct old_key {
    uint8_t family, length;
    uint16_t zero;
    uint8_t addr[16];
};

static bool take_hash(struct fg_filter *filter, enum fg_list list, int fd, uint32_t value_size,
                      struct fg_error *err)
{
    struct old_key key, next;
    const struct old_key *at = NULL;
    union {
        uint64_t hits;
        uint8_t bytes[256];
    } value;

    while (value_size <= sizeof(value) && bpf_map_get_next_key(fd, at, &next) == 0) {
        struct fg_prefix prefix = {.family = next.family, .length = next.length};

        key = next;
        at = &key;
        memcpy(prefix.addr, key.addr, key.family == 6 ? 16 : 4);
        if (bpf_map_lookup_elem(fd, &key, &value) == 0 && !fg_filter_put(filter, list, &prefix, NULL, err))
            return false;
    }
    return true;
}

static bool take_version_1(struct fg_filter *filter, struct fg_error *err)
{
    static const char *const names[FG_LISTS] = {[FG_LIST_BLOCK] = "fg_block", [FG_LIST_ALLOW] = "fg_allow"};
    char path[FG_PATH_MAX];
    struct bpf_map_info info;

    for (enum fg_list list = 0; list < FG_LISTS; list++) {
        int fd = open_pin(filter, names[list], &info, path);
        bool ok;

        if (fd < 0)
            continue;
        if (info.type == BPF_MAP_TYPE_HASH && info.key_size == sizeof(struct old_key))
            ok = take_hash(filter, list, fd, info.value_size, err);
        else
            ok = fg_fail(
                err, "%s: pinned by another version (type %u, key %u bytes; wanted %u, %zu): remove the pin",
                path, info.type, info.key_size, BPF_MAP_TYPE_HASH, sizeof(struct old_key));
        close(fd);
        if (!ok)
            return false;
        unlink(path);
    }
    snprintf(path, sizeof(path), "%s/fg_lengths", filter->pins);
    unlink(path);
    return true;
}

bool fg_migrate_finish(struct fg_filter *filter, struct fg_error *err)
{
    return take_resized(filter, err) && take_version_1(filter, err);
}
