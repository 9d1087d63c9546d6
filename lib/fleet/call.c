/* SPDX-License-Identifier: BSD-3-Clause */
/* The one call to etcd: reads of what changed, and swaps of many items at once. */
#include "fleet/internal.h"

#include <string.h>

#define DOUBLED_MAX 5 /* the retry time is at most 32-fold */

static uint64_t draw(struct fg_fleet *f, uint64_t below)
{
    f->random[0] = fg_mix64(f->random[0] + 1, f->random[1]);
    f->random[1] = fg_mix64(f->random[1] + 1, f->random[0]);
    return below ? f->random[0] % below : 0;
}

/* ---- reads ----------------------------------------------------------------------------------- */

/* A read brought nothing that the watch has not told by now. */
bool fg_fleet_is_watched(const struct fg_fleet *f)
{
    return f->watched && f->watched >= f->news;
}

/* Quick while some unit may be wanted by another member. */
static uint64_t next_poll_ms(const struct fg_fleet *f)
{
    if (fg_fleet_is_watched(f))
        return f->now_ms + f->timing.watched_ms;
    return f->now_ms + (f->work.len ? f->timing.quick_ms : f->timing.poll_ms);
}

static void begin(struct fg_fleet *f, bool is_read)
{
    f->ticket = ++f->tickets;
    f->call_is_read = is_read;
    f->call_is_due = true;
    f->call_high = f->high;
    f->call_since = f->since;
}

/* ---- swaps ----------------------------------------------------------------------------------- */

static void put(struct fg_fleet *f, uint32_t item)
{
    struct fg_fleet_entry *it = &f->entries[item];
    struct fg_fleet_put *p = &f->puts[f->puts_len];
    struct fg_fleet_pool changed;
    bool insufficient;

    if (it->damaged || !fg_fleet_rules(f, it, &changed, &insufficient))
        return;
    FG_ASSERT(fg_fleet_pool_is_sane(&changed));
    fg_fleet_key(p->key, it->id);
    p->revision = it->revision;
    fg_fleet_pool_write(&changed, p->text);
    it->refuses = insufficient ? it->least : 0;
    f->put_items[f->puts_len++] = item;
}

/* Members begin at different items, so that not all of them lose to one. */
static void collect(struct fg_fleet *f)
{
    uint32_t start = (uint32_t)draw(f, f->work.len);

    f->puts_len = 0;
    for (uint32_t n = 0; n < f->work.len && f->puts_len < f->batch_max; n++)
        put(f, f->work.items[(f->work.first + (start + n) % f->work.len) % f->work.size]);
}

/* Before it leads it reads once. */
static bool may_call(const struct fg_fleet *f)
{
    return !f->ticket && (f->register_revision || !f->checked) && f->reason == FG_FLEET_REASON_NONE;
}

void fg_fleet_call(struct fg_fleet *f)
{
    if (!may_call(f))
        return;
    if (f->now_ms >= f->poll_ms) {
        begin(f, true);
        return;
    }
    if (!f->register_revision || f->doubt || fg_fleet_reason_now(f) != FG_FLEET_REASON_NONE ||
        f->now_ms < f->swap_ms)
        return;
    collect(f);
    if (f->puts_len)
        begin(f, false);
}

uint64_t fg_fleet_call_due_ms(const struct fg_fleet *f)
{
    uint64_t due = f->poll_ms;

    if (!may_call(f))
        return UINT64_MAX;
    return f->register_revision && f->work.len && f->swap_ms < due ? f->swap_ms : due;
}

/* ---- answers --------------------------------------------------------------------------------- */

void fg_fleet_map_value(struct fg_fleet *f, int64_t revision, const char *text)
{
    struct fg_fleet_map map;

    if (revision && revision <= f->map_revision)
        return;
    f->map_revision = revision;
    f->map_damaged = !fg_fleet_map_read(&map, text);
    if (f->map_damaged) {
        f->counted.damaged++;
        return;
    }
    f->map = map;
    if (!fg_fleet_map_same(&map, &f->configured))
        fg_fleet_stop(f, FG_FLEET_REASON_OTHER_MAP);
    else if (map.retired & 1u << f->member)
        fg_fleet_stop(f, FG_FLEET_REASON_RETIRED);
}

static void lost(struct fg_fleet *f)
{
    unsigned doubled = f->lost_in_a_row < DOUBLED_MAX ? f->lost_in_a_row : DOUBLED_MAX;

    f->counted.lost++;
    f->lost_in_a_row++;
    f->batch_max = f->batch_max / 2 > FG_FLEET_BATCH_MIN ? f->batch_max / 2 : FG_FLEET_BATCH_MIN;
    f->swap_ms = f->now_ms + draw(f, ((uint64_t)f->timing.retry_ms << doubled) + 1);
}

static void won(struct fg_fleet *f, int64_t store)
{
    f->counted.swaps++;
    f->lost_in_a_row = 0;
    f->batch_max = 2 * f->batch_max < FG_FLEET_PUTS_MAX ? 2 * f->batch_max : FG_FLEET_PUTS_MAX;
    for (unsigned i = 0; i < f->puts_len; i++) {
        struct fg_fleet_entry *it = &f->entries[f->put_items[i]];
        struct fg_fleet_pool pool;

        FG_ASSERT(fg_fleet_pool_read(&pool, f->puts[i].text));
        if (it->refuses && it->refuses == it->least && fg_fleet_wants(it)) {
            it->refusal = FG_FLEET_REFUSAL_INSUFFICIENT;
            it->left = pool.free;
            it->least = 0;
            fg_fleet_list(f, f->put_items[i], FG_FLEET_OUT_REFUSE);
        }
        if (store > it->revision)
            fg_fleet_adopt(f, f->put_items[i], store, &pool);
    }
}

/* All keys were read: an item without a pool has none. */
static void all_read(struct fg_fleet *f)
{
    f->read = true;
    for (uint32_t i = 0; i < f->items_max; i++) {
        if (!f->entries[i].id)
            continue;
        fg_fleet_step(&f->entries[i], FG_FLEET_EVENT_READ);
        fg_fleet_queue(f, i);
    }
}

static void read_done(struct fg_fleet *f, int64_t store)
{
    f->counted.reads++;
    if (!f->register_revision) {
        f->checked = true;
        fg_fleet_compare(f);
        return;
    }
    f->doubt = false;
    if (f->call_since == 0)
        all_read(f);
    f->since = store;
    if (fg_fleet_reason_now(f) == FG_FLEET_REASON_NONE)
        f->may_sell = true;
    f->poll_ms = next_poll_ms(f);
}

static void heard(struct fg_fleet *f, int64_t store)
{
    f->contact_ms = f->now_ms;
    f->away = false;
    if (store < f->call_high) {
        fg_fleet_stop(f, FG_FLEET_REASON_RESTORED);
        return;
    }
    if (store > f->high)
        f->high = store;
}

static void unheard(struct fg_fleet *f, enum fg_fleet_outcome outcome)
{
    if (outcome == FG_FLEET_UNKNOWN)
        f->counted.unknown++;
    else
        f->counted.unanswered++;
    f->doubt |= !f->call_is_read; /* it may have taken place: compare */
    f->poll_ms = f->now_ms + draw(f, f->timing.poll_ms + 1);
    f->swap_ms = f->poll_ms;
}

void fg_fleet_call_ended(struct fg_fleet *f, enum fg_fleet_outcome outcome, int64_t store)
{
    bool answered = outcome == FG_FLEET_DONE || outcome == FG_FLEET_LOST;

    f->ticket = 0;
    f->receiving = f->call_is_due = false;
    if (answered)
        heard(f, store);
    if (f->reason != FG_FLEET_REASON_NONE)
        ;
    else if (!answered)
        unheard(f, outcome);
    else if (f->call_is_read)
        read_done(f, store);
    else if (outcome == FG_FLEET_DONE)
        won(f, store);
    else
        lost(f);
    for (unsigned i = 0; i < f->puts_len; i++)
        f->entries[f->put_items[i]].refuses = 0;
    f->puts_len = 0;
}
