/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

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

/* Expired ones as well: they still lie in the map. */
static void count_entries(struct fg_filter *filter, enum fg_list list)
{
    struct fg_net key, next;
    const struct fg_net *at = NULL;

    while (bpf_map_get_next_key(filter->lists[list], at, &next) == 0) {
        key = next;
        at = &key;
        filter->entries[FG_LENGTHS_INDEX(list, key.family)][key.length]++;
    }
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
        count_entries(filter, list);
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

static uint64_t now_of(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Unix milliseconds to ticks of the monotonic clock and back, by what both clocks say now. */
static uint64_t ticks_of_unix(uint64_t ms)
{
    uint64_t unix_ns = now_of(CLOCK_REALTIME), mono_ns = now_of(CLOCK_MONOTONIC);
    int64_t ns = (int64_t)(ms * 1000000 - unix_ns) + (int64_t)mono_ns;

    return ns > 0 ? (uint64_t)ns << FG_TICK_SHIFT : 1;
}

static uint64_t unix_of_ticks(uint64_t ticks)
{
    return (now_of(CLOCK_REALTIME) - now_of(CLOCK_MONOTONIC) + (ticks >> FG_TICK_SHIFT)) / 1000000;
}

static bool is_expired(const struct fg_list_value *value)
{
    return value->expires && value->expires <= now_of(CLOCK_MONOTONIC) << FG_TICK_SHIFT;
}

static void entry_of_value(const struct fg_list_value *value, struct fg_list_entry *entry)
{
    memset(entry, 0, sizeof(*entry));
    memcpy(entry->reason, value->reason, sizeof(entry->reason));
    entry->expires_ms = value->expires ? unix_of_ticks(value->expires) : 0;
    entry->hits = value->hits;
    entry->last_ms = value->last ? unix_of_ticks(value->last) : 0;
}

static bool value_of_entry(enum fg_list list, const struct fg_prefix *prefix,
                           const struct fg_list_entry *entry, struct fg_list_value *value,
                           struct fg_error *err)
{
    memset(value, 0, sizeof(*value));
    if (!entry)
        return true;
    if (strnlen(entry->reason, FG_REASON_MAX) == FG_REASON_MAX)
        return refused(list, prefix, "the reason is longer than 23 characters", err);
    for (const char *c = entry->reason; *c; c++) {
        if (*c < ' ' || *c > '~')
            return refused(list, prefix, "the reason is not printable ASCII", err);
        value->reason[c - entry->reason] = *c;
    }
    if (!entry->expires_ms)
        return true;
    value->expires = ticks_of_unix(entry->expires_ms);
    return !is_expired(value) || refused(list, prefix, "its expiry is over already", err);
}

static bool get(const struct fg_filter *filter, enum fg_list list, const struct fg_net *net,
                struct fg_list_value *value)
{
    return bpf_map_lookup_elem(filter->lists[list], net, value) == 0;
}

static bool store(struct fg_filter *filter, enum fg_list list, const struct fg_prefix *prefix,
                  const struct fg_list_value *value, bool known, struct fg_error *err)
{
    struct fg_net net;
    char full[64];

    net_of_prefix(prefix, &net);
    if (bpf_map_update_elem(filter->lists[list], &net, value, BPF_ANY) != 0) {
        if (errno != E2BIG)
            return refused(list, prefix, strerror(errno), err);
        snprintf(full, sizeof(full), "the list is full (prefixes_max = %u)", filter->options.prefixes_max);
        return refused(list, prefix, full, err);
    }
    if (!known && filter->entries[FG_LENGTHS_INDEX(list, prefix->family)][prefix->length]++ == 0)
        publish_lengths(filter, list, prefix->family);
    return true;
}

static bool add_or_put(struct fg_filter *filter, enum fg_list list, const struct fg_prefix *prefix,
                       const struct fg_list_entry *entry, bool may_be_there, struct fg_error *err)
{
    struct fg_list_value value, before;
    struct fg_net net;
    bool known, ok = true;

    FG_ASSERT(list < FG_LISTS);
    if (!prefix_is_sane(prefix, err) || !value_of_entry(list, prefix, entry, &value, err))
        return false;
    net_of_prefix(prefix, &net);
    pthread_mutex_lock(&filter->change);
    known = get(filter, list, &net, &before);
    if (known && !is_expired(&before)) {
        ok = may_be_there || refused(list, prefix, "already there", err);
        value.hits = before.hits;
        value.last = before.last;
    }
    ok = ok && store(filter, list, prefix, &value, known, err);
    pthread_mutex_unlock(&filter->change);
    return ok;
}

bool fg_filter_add(struct fg_filter *filter, enum fg_list list, const struct fg_prefix *prefix,
                   const struct fg_list_entry *entry, struct fg_error *err)
{
    return add_or_put(filter, list, prefix, entry, false, err);
}

bool fg_filter_put(struct fg_filter *filter, enum fg_list list, const struct fg_prefix *prefix,
                   const struct fg_list_entry *entry, struct fg_error *err)
{
    return add_or_put(filter, list, prefix, entry, true, err);
}

static bool delete_entry(struct fg_filter *filter, enum fg_list list, const struct fg_prefix *prefix,
                         struct fg_error *err)
{
    uint32_t *entries;
    struct fg_net net;
    bool expired;

    net_of_prefix(prefix, &net);
    expired = !fg_filter_find(filter, list, prefix, NULL);
    if (bpf_map_delete_elem(filter->lists[list], &net) != 0)
        return refused(list, prefix, errno == ENOENT ? "not there" : strerror(errno), err);
    entries = &filter->entries[FG_LENGTHS_INDEX(list, prefix->family)][prefix->length];
    if (*entries && --*entries == 0)
        publish_lengths(filter, list, prefix->family);
    return !expired || refused(list, prefix, "not there", err);
}

bool fg_filter_del(struct fg_filter *filter, enum fg_list list, const struct fg_prefix *prefix,
                   struct fg_error *err)
{
    bool ok;

    FG_ASSERT(list < FG_LISTS);
    if (!prefix_is_sane(prefix, err))
        return false;
    pthread_mutex_lock(&filter->change);
    ok = delete_entry(filter, list, prefix, err);
    pthread_mutex_unlock(&filter->change);
    return ok;
}

bool fg_filter_find(struct fg_filter *filter, enum fg_list list, const struct fg_prefix *prefix,
                    struct fg_list_entry *entry)
{
    struct fg_list_value value;
    struct fg_net net;

    FG_ASSERT(list < FG_LISTS);
    net_of_prefix(prefix, &net);
    if (!get(filter, list, &net, &value) || is_expired(&value))
        return false;
    if (entry)
        entry_of_value(&value, entry);
    return true;
}

bool fg_filter_match(struct fg_filter *filter, enum fg_list list, const struct fg_prefix *address,
                     struct fg_prefix *prefix, struct fg_list_entry *entry)
{
    const uint32_t *entries = filter->entries[FG_LENGTHS_INDEX(list, address->family)];

    for (int length = address->length; length >= 0; length--) {
        if (!entries[length])
            continue;
        *prefix = *address;
        prefix->length = (uint8_t)length;
        fg_prefix_clear_host(prefix);
        if (fg_filter_find(filter, list, prefix, entry))
            return true;
    }
    return false;
}

/* Calls each for every entry in the map, expired or not. The entry may be deleted in the call. */
static void walk(struct fg_filter *filter, enum fg_list list,
                 bool (*each)(void *ctx, const struct fg_prefix *prefix, const struct fg_list_value *value),
                 void *ctx)
{
    struct fg_net key, next;
    bool more = bpf_map_get_next_key(filter->lists[list], NULL, &next) == 0;

    while (more) {
        struct fg_list_value value;
        struct fg_prefix prefix;

        key = next;
        more = bpf_map_get_next_key(filter->lists[list], &key, &next) == 0;
        prefix_of_net(&key, &prefix);
        if (get(filter, list, &key, &value) && !each(ctx, &prefix, &value))
            return;
    }
}

struct visit {
    bool (*each)(void *ctx, const struct fg_prefix *prefix, const struct fg_list_entry *entry);
    void *ctx;
};

static bool visit_valid(void *ctx, const struct fg_prefix *prefix, const struct fg_list_value *value)
{
    const struct visit *visit = ctx;
    struct fg_list_entry entry;

    if (is_expired(value))
        return true;
    entry_of_value(value, &entry);
    return visit->each(visit->ctx, prefix, &entry);
}

void fg_filter_each(struct fg_filter *filter, enum fg_list list,
                    bool (*each)(void *ctx, const struct fg_prefix *prefix,
                                 const struct fg_list_entry *entry),
                    void *ctx)
{
    struct visit visit = {each, ctx};

    FG_ASSERT(list < FG_LISTS);
    walk(filter, list, visit_valid, &visit);
}

struct sweep {
    struct fg_filter *filter;
    enum fg_list list;
    size_t gone;
};

static bool sweep_expired(void *ctx, const struct fg_prefix *prefix, const struct fg_list_value *value)
{
    struct sweep *sweep = ctx;

    if (is_expired(value)) {
        fg_filter_del(sweep->filter, sweep->list, prefix, NULL);
        sweep->gone++;
    }
    return true;
}

size_t fg_filter_expire(struct fg_filter *filter)
{
    struct sweep sweep = {.filter = filter};

    for (sweep.list = 0; sweep.list < FG_LISTS; sweep.list++)
        walk(filter, sweep.list, sweep_expired, &sweep);
    return sweep.gone;
}
