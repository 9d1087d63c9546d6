/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pinned maps of other sizes. prefixes_max and sources_max may change between two starts: lists
 * move into maps of the new size, buckets start anew. The attached program keeps its own maps until
 * it is replaced, so there is no gap. A map of another layout is refused: its pin and the remedy
 * are named.
 */
#include "filter/resize.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "filter/table.h"

static int open_pin(const struct fg_filter *filter, const char *name, struct bpf_map_info *info,
                    char *path)
{
    uint32_t size = sizeof(*info);
    int fd;

    snprintf(path, FG_FILTER_PATH_MAX, "%s/%s", filter->pins, name);
    memset(info, 0, sizeof(*info));
    fd = bpf_obj_get(path);
    if (fd >= 0 && bpf_obj_get_info_by_fd(fd, info, &size) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Counters and buckets hold seconds of history, nothing that an operator said: those of another
 * size go. */
static void drop_other_size(const struct fg_filter *filter, const char *name, uint32_t type,
                            uint32_t value, uint32_t entries)
{
    char path[FG_FILTER_PATH_MAX];
    struct bpf_map_info info;
    int fd = open_pin(filter, name, &info, path);

    if (fd < 0)
        return;
    close(fd);
    if (info.type == type && (info.value_size != value || info.max_entries != entries))
        unlink(path);
}

static bool move_aside(const struct fg_filter *filter, const char *name, struct fg_error *err)
{
    char from[FG_FILTER_PATH_MAX], to[FG_FILTER_PATH_MAX];

    snprintf(from, sizeof(from), "%s/%s", filter->pins, name);
    snprintf(to, sizeof(to), "%s/%s-old", filter->pins, name);
    return rename(from, to) == 0 ||
           fg_fail(err, "cannot rename %s to %s: %s", from, to, strerror(errno));
}

static uint32_t version_of(int fd, const struct bpf_map_info *info)
{
    uint32_t first = 0, version = 0, *value = calloc(1, info->value_size + sizeof(*value));

    if (value && bpf_map_lookup_elem(fd, &first, value) == 0)
        version = *value;
    free(value);
    return version;
}

/* False: there is a state of another layout. Version 0 is a state that no process has filled yet.
 */
static bool check_state(const struct fg_filter *filter, const char *name, struct fg_error *err)
{
    struct bpf_map_info info;
    char path[FG_FILTER_PATH_MAX];
    int fd = open_pin(filter, name, &info, path);
    uint32_t version;

    if (fd < 0)
        return true;
    version = version_of(fd, &info);
    close(fd);
    if (info.type != BPF_MAP_TYPE_ARRAY)
        return fg_fail(err, "%s: another program pinned it (map type %u): remove the pin", path,
                       info.type);
    if (info.value_size == sizeof(struct fg_filter_state) &&
        (version == 0 || version == FG_FILTER_STATE_VERSION))
        return true;
    return fg_fail(
        err,
        "%s: layout of version %u (%u bytes), this program knows version %u (%zu bytes): save the "
        "lists with the program that made it, then detach the interfaces and remove all pins in %s",
        path, version, info.value_size, FG_FILTER_STATE_VERSION, sizeof(struct fg_filter_state),
        filter->pins);
}

static bool is_pinned(const struct fg_filter *filter, const char *name)
{
    char path[FG_FILTER_PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", filter->pins, name);
    return access(path, F_OK) == 0;
}

static bool remove_pin(const struct fg_filter *filter, const char *name, struct fg_error *err)
{
    char path[FG_FILTER_PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", filter->pins, name);
    return unlink(path) == 0 || errno == ENOENT ||
           fg_fail(err, "cannot remove %s: %s", path, strerror(errno));
}

/*
 * other_size: the pinned lists must not be used as they are. The process may die behind any of the
 * steps. When both maps are aside, they are complete: copying them failed for want of room, or did
 * not finish. The maps pinned since then hold a part of them, and must not take their place.
 */
static bool set_aside(const struct fg_filter *filter, bool other_size, struct fg_error *err)
{
    bool lists_aside = is_pinned(filter, "fg_lists-old"),
         state_aside = is_pinned(filter, "fg_state-old");

    if (lists_aside && state_aside)
        return !other_size ||
               (remove_pin(filter, "fg_state", err) && remove_pin(filter, "fg_lists", err));
    if (!is_pinned(filter, "fg_lists"))
        return true;
    if (state_aside && !is_pinned(filter, "fg_state"))
        return move_aside(filter, "fg_lists", err);
    return !other_size ||
           (remove_pin(filter, "fg_lists-old", err) && move_aside(filter, "fg_state", err) &&
            move_aside(filter, "fg_lists", err));
}

bool fg_filter_resize_prepare(const struct fg_filter *filter, struct fg_error *err)
{
    const struct fg_filter_sizes *sizes = &filter->sizes;
    bool other_size = false;
    char path[FG_FILTER_PATH_MAX];
    struct bpf_map_info info;
    int fd;

    if (!check_state(filter, "fg_state", err) || !check_state(filter, "fg_state-old", err))
        return false;
    fd = open_pin(filter, "fg_lists", &info, path);
    if (fd >= 0) {
        close(fd);
        other_size = info.type == BPF_MAP_TYPE_ARRAY &&
                     info.value_size == sizeof(union fg_filter_row) &&
                     info.max_entries != sizes->rows;
    }
    if (!set_aside(filter, other_size, err))
        return false;
    drop_other_size(filter, "fg_sources", BPF_MAP_TYPE_ARRAY, sizeof(struct fg_filter_source_set),
                    sizes->sets);
    drop_other_size(filter, "fg_nets", BPF_MAP_TYPE_ARRAY, sizeof(struct fg_filter_net_row),
                    sizes->nets);
    drop_other_size(filter, "fg_counters", BPF_MAP_TYPE_PERCPU_ARRAY,
                    sizeof(struct fg_filter_count), FG_FILTER_COUNTS);
    return true;
}

/* ---- lists of another size ------------------------------------------------------------------- */

struct old_lists {
    const union fg_filter_row *rows;
    uint32_t rows_count, entries, used, prefixes_max;
};

static bool describe(struct old_lists *old, const struct fg_filter_state *state)
{
    if (state->version != FG_FILTER_STATE_VERSION)
        return false;
    old->entries = state->heads[state->active & 1].entries;
    old->prefixes_max = state->prefixes_max;
    old->used = state->used;
    return old->used <= old->prefixes_max &&
           (uint64_t)old->entries + old->prefixes_max < old->rows_count;
}

static bool copy_entries(struct fg_filter *filter, const struct old_lists *old,
                         struct fg_error *err)
{
    uint64_t seed = filter->memory.state->seed;
    struct fg_filter_generation g;
    bool ok = true;

    fg_filter_generation_open(&filter->memory, &g);
    for (uint32_t number = 1; ok && number <= old->used; number++) {
        const struct fg_filter_listed *entry = &old->rows[old->entries + number].entry;

        if (entry->kind && !fg_filter_generation_find(&g, seed, entry))
            ok = fg_filter_generation_add(&g, seed, entry) != NULL;
    }
    fg_filter_generation_keep(&filter->memory, &g);
    return ok || fg_fail(err,
                         "%s/fg_lists-old: more prefixes than prefixes_max = %u has room for: set "
                         "it to %u or more",
                         filter->pins, filter->options.prefixes_max, old->prefixes_max);
}

static bool take_maps(struct fg_filter *filter, int lists, const struct bpf_map_info *lists_info,
                      int state, const struct bpf_map_info *state_info, struct fg_error *err)
{
    size_t bytes = (size_t)lists_info->max_entries * sizeof(union fg_filter_row);
    struct old_lists old = {.rows_count = lists_info->max_entries};
    void *rows = mmap(NULL, bytes, PROT_READ, MAP_SHARED, lists, 0);
    void *value = mmap(NULL, state_info->value_size, PROT_READ, MAP_SHARED, state, 0);
    bool ok = rows != MAP_FAILED && value != MAP_FAILED;

    old.rows = rows;
    if (!ok)
        fg_fail(err, "cannot map %s/fg_lists-old: %s", filter->pins, strerror(errno));
    else if (state_info->value_size != sizeof(struct fg_filter_state) || !describe(&old, value))
        ok = fg_fail(err,
                     "%s/fg_state-old: damaged, or of another version: remove it and fg_lists-old "
                     "to continue "
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

bool fg_filter_resize_finish(struct fg_filter *filter, struct fg_error *err)
{
    char lists_path[FG_FILTER_PATH_MAX], state_path[FG_FILTER_PATH_MAX];
    struct bpf_map_info lists_info, state_info;
    int lists = open_pin(filter, "fg_lists-old", &lists_info, lists_path);
    int state = open_pin(filter, "fg_state-old", &state_info, state_path);
    bool ok =
        lists < 0 || state < 0 || take_maps(filter, lists, &lists_info, state, &state_info, err);

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
