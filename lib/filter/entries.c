/* SPDX-License-Identifier: BSD-3-Clause */
#include "filter/entries.h"

#include <string.h>
#include <time.h>

static const char *const list_names[FG_FILTER_LISTS] = {
    [FG_FILTER_LIST_BLOCK] = "block list", [FG_FILTER_LIST_ALLOW] = "allow list"};

const char *fg_filter_list_name(enum fg_filter_list list)
{
    return list_names[list];
}

/* ---- addresses and times --------------------------------------------------------------------- */

static uint64_t be64_at(const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));
    return __builtin_bswap64(word);
}

void fg_filter_listed_of_prefix(enum fg_filter_list list, const struct fg_filter_prefix *prefix,
                                struct fg_filter_listed *listed)
{
    memset(listed, 0, sizeof(*listed));
    listed->kind = FG_FILTER_ENTRY_KIND(list, prefix->family, prefix->length);
    listed->hi = be64_at(prefix->addr);
    listed->lo = be64_at(prefix->addr + 8);
    if (prefix->family == 4) {
        listed->hi &= ~UINT64_C(0xffffffff);
        listed->lo = 0;
    }
}

void fg_filter_prefix_of_listed(const struct fg_filter_listed *listed,
                                struct fg_filter_prefix *prefix)
{
    uint64_t words[2] = {__builtin_bswap64(listed->hi), __builtin_bswap64(listed->lo)};

    prefix->family = (uint8_t)(listed->kind >> 8);
    prefix->length = (uint8_t)listed->kind;
    memcpy(prefix->addr, words, sizeof(words));
}

static uint64_t now_of(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* By the clock of the engines, when the daemon gave it. */
static uint64_t unix_ns(const struct fg_filter *filter)
{
    return filter->clock ? fg_clock_now_ns(filter->clock) : now_of(CLOCK_REALTIME);
}

uint64_t fg_filter_unix_ms(const struct fg_filter *filter)
{
    return unix_ns(filter) / 1000000;
}

void fg_filter_set_clock(struct fg_filter *filter, const struct fg_clock *clock)
{
    filter->clock = clock;
}

uint64_t fg_filter_ticks_now(const struct fg_filter *filter)
{
    return (now_of(CLOCK_MONOTONIC) << FG_FILTER_TICK_SHIFT) + (uint64_t)filter->clock_ahead;
}

/* Unix milliseconds to ticks and back, by what both clocks say now. */
uint64_t fg_filter_ticks_of_unix(const struct fg_filter *filter, uint64_t ms)
{
    const uint64_t most = INT64_MAX >> FG_FILTER_TICK_SHIFT;
    uint64_t now = unix_ns(filter), left;

    if (ms <= now / 1000000)
        return 1;
    left = ms > (now + most) / 1000000 ? most : ms * 1000000 - now; /* no product overflows */
    return fg_filter_ticks_now(filter) + (left << FG_FILTER_TICK_SHIFT);
}

uint64_t fg_filter_ticks_of_past(const struct fg_filter *filter, uint64_t ms)
{
    const uint64_t most = INT64_MAX >> FG_FILTER_TICK_SHIFT;
    uint64_t ticks = fg_filter_ticks_now(filter), ago = unix_ns(filter) - ms * 1000000;

    return ago <= most && ago << FG_FILTER_TICK_SHIFT < ticks
               ? ticks - (ago << FG_FILTER_TICK_SHIFT)
               : 1;
}

uint64_t fg_filter_unix_of_ticks(const struct fg_filter *filter, uint64_t ticks)
{
    int64_t ahead = (int64_t)(ticks - fg_filter_ticks_now(filter)) >> FG_FILTER_TICK_SHIFT;

    return (unix_ns(filter) + (uint64_t)ahead) / 1000000;
}

/* ---- changes --------------------------------------------------------------------------------- */

void fg_filter_list_changed(struct fg_filter *filter, enum fg_filter_list list)
{
    __atomic_fetch_add(&filter->changes[list], 1, __ATOMIC_RELEASE);
}

uint64_t fg_filter_changes(const struct fg_filter *filter, enum fg_filter_list list)
{
    return __atomic_load_n(&filter->changes[list], __ATOMIC_ACQUIRE);
}

/* ---- entries --------------------------------------------------------------------------------- */

bool fg_filter_listed_is_over(const struct fg_filter_listed *listed, uint64_t now)
{
    return listed->expires && listed->expires <= now;
}

bool fg_filter_listed_is_forgotten(const struct fg_filter *filter,
                                   const struct fg_filter_listed *listed, uint64_t now)
{
    bool kept = filter->kept_reason &&
                strncmp(listed->reason, filter->kept_reason, strlen(filter->kept_reason)) == 0;

    return fg_filter_listed_is_over(listed, now) &&
           (!kept || now - listed->expires >= filter->kept_ticks);
}

void fg_filter_remember(struct fg_filter *filter, const char *reason, uint64_t ms)
{
    filter->kept_reason = reason;
    filter->kept_ticks = ms * 1000000 << FG_FILTER_TICK_SHIFT;
}

void fg_filter_listed_tell(const struct fg_filter *filter, const struct fg_filter_listed *listed,
                           struct fg_filter_list_entry *entry)
{
    memset(entry, 0, sizeof(*entry));
    memcpy(entry->reason, listed->reason, sizeof(entry->reason));
    entry->expires_ms = listed->expires ? fg_filter_unix_of_ticks(filter, listed->expires) : 0;
    entry->hits = __atomic_load_n(&listed->hits, __ATOMIC_RELAXED);
    entry->last_ms = listed->last ? fg_filter_unix_of_ticks(filter, (uint64_t)listed->last
                                                                        << FG_FILTER_SEEN_SHIFT)
                                  : 0;
}

bool fg_filter_reason_is_sane(const char *reason)
{
    size_t length = strnlen(reason, FG_FILTER_REASON_MAX);

    for (size_t i = 0; i < length; i++)
        if (reason[i] < ' ' || reason[i] > '~' || reason[i] == '#' || reason[i] == ';')
            return false;
    return length < FG_FILTER_REASON_MAX;
}
