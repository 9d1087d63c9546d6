/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

#include "filter/internal.h"

static const char *const list_names[FG_LISTS] = {
    [FG_LIST_BLOCK] = "block list", [FG_LIST_ALLOW] = "allow list"};

static void net_of_prefix(const struct fg_prefix *prefix, struct fg_net *net)
{
    memset(net, 0, sizeof(*net));
    net->family = prefix->family;
    net->length = prefix->length;
    memcpy(net->addr, prefix->addr, prefix->family == 6 ? 16 : 4);
}

static void prefix_of_net(const struct fg_net *net, struct fg_prefix *prefix)
{
    memset(prefix, 0, sizeof(*prefix));
    prefix->family = net->family;
    prefix->length = net->length;
    memcpy(prefix->addr, net->addr, net->family == 6 ? 16 : 4);
}

/* ---- prefix lengths in use ------------------------------------------------------------------------- */

static void fill_slot(struct fg_length *slot, uint8_t family, unsigned length)
{
    memset(slot, 0, sizeof(*slot));
    slot->family = family;
    slot->length = (uint8_t)length;
    for (unsigned bit = 0; bit < length; bit++)
        slot->mask[bit / 32] |= htonl(0x80000000u >> bit % 32);
}

/* Writes the table that is not in force, then puts it in force with one store. */
static void publish_lengths(struct fg_filter *filter, enum fg_list list, uint8_t family)
{
    unsigned index = FG_LENGTHS_INDEX(list, family);
    struct fg_lengths *lengths = &filter->lengths[index];
    uint32_t next = !(lengths->active & 1);
    struct fg_length_table *table = &lengths->table[next];

    table->count = 0;
    for (int length = FG_LENGTHS_MAX - 1; length >= 0; length--)
        if (filter->entries[index][length])
            fill_slot(&table->slot[table->count++], family, (unsigned)length);
    __atomic_store_n(&lengths->active, next, __ATOMIC_RELEASE);
}

static bool count_entry(void *ctx, const struct fg_prefix *prefix, uint64_t hits)
{
    uint32_t(*entries)[FG_LENGTHS_MAX] = ctx;

    entries[prefix->family == 6][prefix->length]++;
    return true;
}

bool fg_lists_open(struct fg_filter *filter, struct fg_error *err)
{
    struct bpf_map *map = bpf_object__find_map_by_name(filter->base, "fg_lengths");
    void *memory;

    filter->lengths_bytes = sizeof(struct fg_lengths) * FG_LENGTHS_COUNT;
    memory = mmap(NULL, filter->lengths_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
    if (memory == MAP_FAILED)
        return fg_fail(err, "cannot map the table of prefix lengths: %s", strerror(errno));
    filter->lengths = memory;
    /* A process that was killed between list and lengths leaves them apart: the list is the truth. */
    for (enum fg_list list = 0; list < FG_LISTS; list++) {
        fg_filter_each(filter, list, count_entry, &filter->entries[FG_LENGTHS_INDEX(list, 4)]);
        publish_lengths(filter, list, 4);
        publish_lengths(filter, list, 6);
    }
    return true;
}

void fg_lists_close(struct fg_filter *filter)
{
    if (filter->lengths)
        munmap(filter->lengths, filter->lengths_bytes);
}

/* ---- entries --------------------------------------------------------------------------------------- */

static bool prefix_is_sane(const struct fg_prefix *prefix, struct fg_error *err)
{
    struct fg_prefix parsed;
    char text[64];

    if ((prefix->family != 4 && prefix->family != 6) || prefix->length > (prefix->family == 6 ? 128 : 32))
        return fg_fail(err, "not a prefix: family %u, length %u", prefix->family, prefix->length);
    fg_prefix_format(prefix, text);
    return fg_prefix_parse(text, &parsed, err); /* host bits */
}

static bool refused(enum fg_list list, const struct fg_prefix *prefix, const char *why, struct fg_error *err)
{
    char text[64];

    fg_prefix_format(prefix, text);
    return fg_fail(err, "%s: %s: %s", list_names[list], text, why);
}

bool fg_filter_add(struct fg_filter *filter, enum fg_list list, const struct fg_prefix *prefix,
                   struct fg_error *err)
{
    struct fg_list_entry entry = {0};
    struct fg_net net;

    FG_ASSERT(list < FG_LISTS);
    if (!prefix_is_sane(prefix, err))
        return false;
    net_of_prefix(prefix, &net);
    if (bpf_map_update_elem(filter->lists[list], &net, &entry, BPF_NOEXIST) != 0) {
        char full[64];

        if (errno == EEXIST)
            return refused(list, prefix, "already there", err);
        if (errno != E2BIG)
            return refused(list, prefix, strerror(errno), err);
        snprintf(full, sizeof(full), "the list is full (prefixes_max = %u)", filter->options.prefixes_max);
        return refused(list, prefix, full, err);
    }
    if (filter->entries[FG_LENGTHS_INDEX(list, prefix->family)][prefix->length]++ == 0)
        publish_lengths(filter, list, prefix->family);
    return true;
}

bool fg_filter_del(struct fg_filter *filter, enum fg_list list, const struct fg_prefix *prefix,
                   struct fg_error *err)
{
    uint32_t *entries;
    struct fg_net net;

    FG_ASSERT(list < FG_LISTS);
    if (!prefix_is_sane(prefix, err))
        return false;
    net_of_prefix(prefix, &net);
    if (bpf_map_delete_elem(filter->lists[list], &net) != 0)
        return refused(list, prefix, errno == ENOENT ? "not there" : strerror(errno), err);
    entries = &filter->entries[FG_LENGTHS_INDEX(list, prefix->family)][prefix->length];
    if (*entries && --*entries == 0)
        publish_lengths(filter, list, prefix->family);
    return true;
}

void fg_filter_each(struct fg_filter *filter, enum fg_list list,
                    bool (*each)(void *ctx, const struct fg_prefix *prefix, uint64_t hits), void *ctx)
{
    struct fg_net key, next;
    const struct fg_net *at = NULL;

    FG_ASSERT(list < FG_LISTS);
    while (bpf_map_get_next_key(filter->lists[list], at, &next) == 0) {
        struct fg_list_entry entry;
        struct fg_prefix prefix;

        key = next;
        at = &key;
        if (bpf_map_lookup_elem(filter->lists[list], &key, &entry) != 0)
            continue;
        prefix_of_net(&key, &prefix);
        if (!each(ctx, &prefix, entry.hits))
            return;
    }
}
