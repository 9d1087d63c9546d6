/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pinned maps of other sizes, and of versions before: version 2, which differs in how prefixes are found, and
 * version 1, which kept each list in a hash map. The program that is attached goes on with its own maps until
 * it is replaced, so there is no gap.
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

/* What is needed of version 2. */
struct state_2 {
    uint32_t version, active;
    uint64_t seed;
    struct {
        uint32_t bits, bits_mask, cells, cells_mask, entries, generation;
        uint8_t lengths[4 * 4136];
    } heads[2];
    uint32_t prefixes_max, changing, used, free;
    uint32_t counts[4 * 129];
};
_Static_assert(sizeof(struct state_2) == 35232, "value of the map of state of version 2");

static uint32_t version_of(int fd, const struct bpf_map_info *info)
{
    uint32_t first = 0, version = 0, *value = calloc(1, info->value_size + sizeof(*value));

    if (value && bpf_map_lookup_elem(fd, &first, value) == 0)
        version = *value;
    free(value);
    return version;
}

static bool refuse_version(const struct fg_filter *filter, uint32_t version, uint32_t bytes,
                           struct fg_error *err)
{
    return fg_fail(
        err,
        "%s/fg_state: of version %u (%u bytes), this program knows its own (%u, %zu bytes) and those "
        "before: save the lists with the program that made it, detach the interfaces and remove the pins",
        filter->pins, version, bytes, FG_STATE_VERSION, sizeof(struct fg_state));
}

/* *other: of a version before. False: there is one, but not one that can be taken over. */
static bool look_at_state(const struct fg_filter *filter, const char *name, bool *other, struct fg_error *err)
{
    struct bpf_map_info info;
    char path[FG_PATH_MAX];
    int fd = open_pin(filter, name, &info, path);
    uint32_t version;

    *other = false;
    if (fd < 0)
        return true;
    version = version_of(fd, &info);
    close(fd);
    if (info.type != BPF_MAP_TYPE_ARRAY)
        return fg_fail(err, "%s: pinned by another program (type %u): remove the pin", path, info.type);
    *other = version == 2 && info.value_size == sizeof(struct state_2);
    /* 0: nobody came to fill it. */
    return *other || (info.value_size == sizeof(struct fg_state) && version <= FG_STATE_VERSION) ||
           refuse_version(filter, version, info.value_size, err);
}

static bool is_pinned(const struct fg_filter *filter, const char *name)
{
    char path[FG_PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", filter->pins, name);
    return access(path, F_OK) == 0;
}

static bool remove_pin(const struct fg_filter *filter, const char *name, struct fg_error *err)
{
    char path[FG_PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", filter->pins, name);
    return unlink(path) == 0 || errno == ENOENT ||
           fg_fail(err, "cannot remove %s: %s", path, strerror(errno));
}

/*
 * other: what is pinned must not be used as it is. The order of the steps lets each be the last one of a
 * process. Maps that stand aside both are whole: to take them over was refused for want of room, or ended
 * half-way; what has come to their place since then holds a part of them, and must not take theirs.
 */
static bool set_aside(const struct fg_filter *filter, bool other, struct fg_error *err)
{
    bool lists_aside = is_pinned(filter, "fg_lists-old"), state_aside = is_pinned(filter, "fg_state-old");

    if (lists_aside && state_aside)
        return !other || (remove_pin(filter, "fg_state", err) && remove_pin(filter, "fg_lists", err));
    if (!is_pinned(filter, "fg_lists"))
        return true;
    if (state_aside && !is_pinned(filter, "fg_state"))
        return move_aside(filter, "fg_lists", err);
    return !other || (remove_pin(filter, "fg_lists-old", err) && move_aside(filter, "fg_state", err) &&
                      move_aside(filter, "fg_lists", err));
}

bool fg_migrate_prepare(const struct fg_filter *filter, struct fg_error *err)
{
    const struct fg_sizes *sizes = &filter->sizes;
    bool older, aside_older;
    char path[FG_PATH_MAX];
    struct bpf_map_info info;
    int fd;

    if (!look_at_state(filter, "fg_state", &older, err) ||
        !look_at_state(filter, "fg_state-old", &aside_older, err))
        return false;
    fd = open_pin(filter, "fg_lists", &info, path);
    if (fd >= 0) {
        close(fd);
        older |= info.type == BPF_MAP_TYPE_ARRAY && info.value_size == sizeof(union fg_row) &&
                 info.max_entries != sizes->rows;
    }
    if (!set_aside(filter, older, err))
        return false;
    drop_other(filter, "fg_sources", BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_LRU_HASH, sizeof(struct fg_source_set),
               sizes->sets);
    drop_other(filter, "fg_nets", BPF_MAP_TYPE_ARRAY, UINT32_MAX, sizeof(struct fg_net_row), sizes->nets);
    drop_other(filter, "fg_counters", BPF_MAP_TYPE_PERCPU_ARRAY, UINT32_MAX, sizeof(struct fg_count),
               FG_COUNTS);
    return true;
}

/* ---- another size, or version 2 -------------------------------------------------------------------- */

/* Where the entries are, and what they are: the same in both versions. */
struct old_lists {
    const union fg_row *rows;
    uint32_t rows_count, entries, used, prefixes_max;
};

static bool describe(struct old_lists *old, const void *state, uint32_t state_size)
{
    const struct fg_state *now = state;
    const struct state_2 *two = state;

    if (state_size == sizeof(*now) && now->version == FG_STATE_VERSION) {
        old->entries = now->heads[now->active & 1].entries;
        old->prefixes_max = now->prefixes_max;
        old->used = now->used;
    } else if (state_size == sizeof(*two) && two->version == 2) {
        old->entries = two->heads[two->active & 1].entries;
        old->prefixes_max = two->prefixes_max;
        old->used = two->used;
    } else {
        return false;
    }
    return old->used <= old->prefixes_max && (uint64_t)old->entries + old->prefixes_max < old->rows_count;
}

static bool copy_entries(struct fg_filter *filter, const struct old_lists *old, struct fg_error *err)
{
    uint64_t seed = filter->memory.state->seed;
    struct fg_generation g;
    bool ok = true;

    fg_generation_open(&filter->memory, &g);
    for (uint32_t number = 1; ok && number <= old->used; number++) {
        const struct fg_listed *entry = &old->rows[old->entries + number].entry;

        if (entry->kind && !fg_generation_find(&g, seed, entry))
            ok = fg_generation_add(&g, seed, entry) != NULL;
    }
    fg_generation_keep(&filter->memory, &g);
    return ok ||
           fg_fail(err,
                   "%s/fg_lists-old: more prefixes than prefixes_max = %u has room for: set it to %u or more",
                   filter->pins, filter->options.prefixes_max, old->prefixes_max);
}

static bool take_maps(struct fg_filter *filter, int lists, const struct bpf_map_info *lists_info, int state,
                      const struct bpf_map_info *state_info, struct fg_error *err)
{
    size_t bytes = (size_t)lists_info->max_entries * sizeof(union fg_row);
    struct old_lists old = {.rows_count = lists_info->max_entries};
    void *rows = mmap(NULL, bytes, PROT_READ, MAP_SHARED, lists, 0);
    void *value = mmap(NULL, state_info->value_size, PROT_READ, MAP_SHARED, state, 0);
    bool ok = rows != MAP_FAILED && value != MAP_FAILED;

    old.rows = rows;
    if (!ok)
        fg_fail(err, "cannot map %s/fg_lists-old: %s", filter->pins, strerror(errno));
    else if (!describe(&old, value, state_info->value_size))
        ok = fg_fail(err,
                     "%s/fg_state-old: damaged, or of another version: remove it and fg_lists-old to go on "
                     "without the lists in them",
                     filter->pins);
    else
        ok = copy_entries(filter, &old, err);
    if (rows != MAP_FAILED)
        munmap(rows, bytes);
    if (value != MAP_FAILED)
        munmap(value, state_info->value_size);
    return ok;
}

static bool take_moved(struct fg_filter *filter, struct fg_error *err)
{
    char lists_path[FG_PATH_MAX], state_path[FG_PATH_MAX];
    struct bpf_map_info lists_info, state_info;
    int lists = open_pin(filter, "fg_lists-old", &lists_info, lists_path);
    int state = open_pin(filter, "fg_state-old", &state_info, state_path);
    bool ok = lists < 0 || state < 0 || take_maps(filter, lists, &lists_info, state, &state_info, err);

    if (lists >= 0)
        close(lists);
    if (state >= 0)
        close(state);
    if (ok) {
        unlink(state_path); /* first: alone it would say that the lists are still to be moved */
        unlink(lists_path);
    }
    return ok;
}

/* ---- version 1: fg_block and fg_allow ------------------------------------------------------- */

struct key_1 {
    uint8_t family, length;
    uint16_t zero;
    uint8_t addr[16];
};

/* First there were hits alone. Times are ticks of CLOCK_MONOTONIC. */
struct value_1 {
    uint64_t hits, expires, last;
    char reason[FG_REASON_MAX];
};
_Static_assert(sizeof(struct key_1) == 20 && sizeof(struct value_1) == 48, "lists of version 1");

static void listed_of_1(const struct fg_filter *filter, enum fg_list list, const struct key_1 *key,
                        const struct value_1 *value, struct fg_listed *listed)
{
    uint64_t ahead = (uint64_t)filter->clock_ahead;
    struct fg_prefix prefix = {.family = key->family, .length = key->length};

    memcpy(prefix.addr, key->addr, key->family == 6 ? 16 : 4);
    fg_listed_of_prefix(list, &prefix, listed);
    listed->hits = value->hits;
    listed->expires = value->expires ? value->expires + ahead : 0;
    listed->last = value->last ? (uint32_t)((value->last + ahead) >> FG_SEEN_SHIFT) : 0;
    memcpy(listed->reason, value->reason, sizeof(listed->reason) - 1);
}

static bool take_hash(struct fg_filter *filter, enum fg_list list, int fd, struct fg_error *err)
{
    uint64_t seed = filter->memory.state->seed, now = fg_ticks_now(filter);
    struct key_1 key, next;
    const struct key_1 *at = NULL;
    struct fg_generation g;
    bool ok = true;

    fg_generation_open(&filter->memory, &g);
    while (ok && bpf_map_get_next_key(fd, at, &next) == 0) {
        struct value_1 value = {0};
        struct fg_listed listed;

        key = next;
        at = &key;
        if (bpf_map_lookup_elem(fd, &key, &value) != 0)
            continue;
        listed_of_1(filter, list, &key, &value, &listed);
        if ((!listed.expires || listed.expires > now) && !fg_generation_find(&g, seed, &listed))
            ok = fg_generation_add(&g, seed, &listed) != NULL;
    }
    fg_generation_keep(&filter->memory, &g);
    return ok || fg_fail(err, "the %s of version 1: more prefixes than prefixes_max = %u has room for",
                         fg_list_name(list), filter->options.prefixes_max);
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
        if (info.type == BPF_MAP_TYPE_HASH && info.key_size == sizeof(struct key_1) &&
            (info.value_size == sizeof(struct value_1) || info.value_size == sizeof(uint64_t)))
            ok = take_hash(filter, list, fd, err);
        else
            ok = fg_fail(err,
                         "%s: pinned by another version (type %u, key %u, value %u bytes): remove the pin",
                         path, info.type, info.key_size, info.value_size);
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
    return take_moved(filter, err) && take_version_1(filter, err);
}
