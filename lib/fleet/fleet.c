/* SPDX-License-Identifier: BSD-3-Clause */
#include "fleet/internal.h"

#include <string.h>

const struct fg_fleet_timing fg_fleet_timing_usual = {.poll_ms = 10,
                                                      .quick_ms = 2,
                                                      .watched_ms = 50,
                                                      .retry_ms = 2,
                                                      .silent_ms = 500,
                                                      .away_ms = 500,
                                                      .remember_ms = 1000};

/* ---- creation -------------------------------------------------------------------------------- */

static bool options_are_sane(const struct fg_fleet_options *o, struct fg_error *err)
{
    const struct fg_fleet_timing *t = &o->timing;

    if (o->items_max < 1 || o->items_max > 1000000)
        return fg_fail(err, "%u items; 1 to 1000000", o->items_max);
    if (o->map.members < 1 || o->map.members > FG_FLEET_MEMBERS_MAX || o->map.shards < 1 ||
        o->map.shards > FG_FLEET_SHARDS_MAX || o->member >= o->map.members)
        return fg_fail(err, "member %u of %u with %u shards", o->member, o->map.members,
                       o->map.shards);
    if (!t->poll_ms || !t->quick_ms || !t->watched_ms || !t->retry_ms || !t->silent_ms ||
        !t->away_ms)
        return fg_fail(err, "a time of 0 ms");
    if (!o->register_key || strlen(o->register_key) >= FG_FLEET_KEY_MAX)
        return fg_fail(err, "the key of the register has %d bytes or more", FG_FLEET_KEY_MAX);
    return true;
}

static void *zeros(size_t n, size_t size)
{
    void *memory = calloc(n, size);

    FG_ASSERT(memory);
    return memory;
}

struct fg_fleet *fg_fleet_create(const struct fg_fleet_options *o, struct fg_error *err)
{
    struct fg_fleet *f;
    uint32_t slots = 2;

    if (!options_are_sane(o, err))
        return NULL;
    f = zeros(1, sizeof(*f));
    f->member = o->member;
    f->items_max = o->items_max;
    f->configured = o->map;
    f->timing = o->timing;
    memcpy(f->random, o->seed, sizeof(f->random));
    strcpy(f->register_key, o->register_key);
    f->high = f->remembered = o->revision;
    f->batch_max = FG_FLEET_PUTS_MAX;
    f->entries = zeros(o->items_max, sizeof(*f->entries));
    f->puts = zeros(FG_FLEET_PUTS_MAX, sizeof(*f->puts));
    f->put_items = zeros(FG_FLEET_PUTS_MAX, sizeof(*f->put_items));
    f->work = (struct fg_fleet_ring){.items = zeros(o->items_max, 4), .size = o->items_max};
    f->out = (struct fg_fleet_ring){.items = zeros(o->items_max, 4), .size = o->items_max};
    while (slots < 2 * o->items_max)
        slots *= 2;
    f->by_id = zeros(slots, sizeof(*f->by_id));
    f->by_id_mask = slots - 1;
    return f;
}

void fg_fleet_destroy(struct fg_fleet *f)
{
    if (!f)
        return;
    free(f->entries);
    free(f->puts);
    free(f->put_items);
    free(f->work.items);
    free(f->out.items);
    free(f->by_id);
    free(f);
}

static uint32_t *slot_of(const struct fg_fleet *f, uint64_t id)
{
    uint32_t at = (uint32_t)fg_mix64(id, 0) & f->by_id_mask;

    while (f->by_id[at] && f->entries[f->by_id[at] - 1].id != id)
        at = (at + 1) & f->by_id_mask;
    return &f->by_id[at];
}

/* Its answer is nothing. */
static void drop_call(struct fg_fleet *f)
{
    f->ticket = 0;
    f->receiving = f->call_is_due = false;
    f->poll_ms = f->now_ms;
}

bool fg_fleet_item(struct fg_fleet *f, uint32_t item, uint64_t id,
                   const struct fg_fleet_counters *log)
{
    struct fg_fleet_entry *it;
    uint32_t *slot;

    if (item >= f->items_max || !id || f->entries[item].id)
        return false;
    slot = slot_of(f, id);
    if (*slot)
        return false;
    *slot = item + 1;
    it = &f->entries[item];
    it->id = id;
    it->log = *log;
    fg_fleet_pool_first(&it->pool, f->configured.members);
    f->since = 0; /* its pool may be older than the last read */
    if (f->call_is_read)
        drop_call(f);
    return true;
}

void fg_fleet_leads(struct fg_fleet *f, int64_t revision)
{
    if (revision && !f->register_revision) {
        f->since = 0;
        f->read = false;
        f->checked = true;
        f->contact_ms = f->now_ms;
        drop_call(f);
    }
    f->register_revision = revision;
    f->register_moved = false;
    fg_fleet_time(f, f->now_ms);
}

bool fg_fleet_may_lead(const struct fg_fleet *f)
{
    return f->checked && f->reason == FG_FLEET_REASON_NONE;
}

/* ---- etcd and time ------------------------------------------------------------------------- */

static void damage(struct fg_fleet *f, uint32_t item)
{
    struct fg_fleet_entry *it = &f->entries[item];

    f->counted.damaged++;
    f->counted.damaged_items += !it->damaged;
    it->damaged = true;
    fg_fleet_queue(f, item);
}

/* The swap that is under way compares a pool that etcd no longer has. A watch may have told of a
 * pool that came after the answer, so what the swap knew counts. */
static bool was_deleted(const struct fg_fleet *f, uint32_t item)
{
    for (unsigned i = 0; i < f->puts_len; i++)
        if (f->put_items[i] == item)
            return f->puts[i].revision > 0;
    return false;
}

static void pool_value(struct fg_fleet *f, uint32_t item, int64_t revision, const char *text)
{
    struct fg_fleet_entry *it = &f->entries[item];
    struct fg_fleet_pool pool;

    if (revision == 0 && was_deleted(f, item))
        damage(f, item);
    if (revision <= it->revision)
        return;
    if (fg_fleet_pool_read(&pool, text) && pool.members == f->configured.members) {
        fg_fleet_adopt(f, item, revision, &pool);
        return;
    }
    it->revision = revision;
    damage(f, item);
}

/* Of an item that the log does not know: it may be older than the item. */
static void strange_pool(struct fg_fleet *f, const char *text)
{
    struct fg_fleet_pool pool;

    if (fg_fleet_pool_read(&pool, text) && f->member < pool.members &&
        pool.row[f->member].seq > f->log_seq)
        fg_fleet_stop(f, FG_FLEET_REASON_OLD_LOG);
}

void fg_fleet_value(struct fg_fleet *f, const char *key, int64_t revision, const char *text)
{
    char own[FG_FLEET_KEY_MAX];
    unsigned long long id;
    uint32_t slot;

    if (f->reason != FG_FLEET_REASON_NONE)
        return;
    f->receiving = f->ticket != 0; /* nothing is done before it is known how old they are */
    if (f->receiving && f->call_is_read && revision > f->news)
        f->news = revision;
    if (strcmp(key, f->register_key) == 0) {
        f->register_moved |= revision > f->register_revision;
        if (revision == 0 && f->register_revision) /* deleted */
            fg_fleet_stop(f, FG_FLEET_REASON_RESTORED);
        return;
    }
    if (strcmp(key, FG_FLEET_MAP_KEY) == 0) {
        fg_fleet_map_value(f, revision, text);
        return;
    }
    if (sscanf(key, FG_FLEET_PREFIX "pool/%llu", &id) != 1 || !id)
        return;
    fg_fleet_key(own, id);
    slot = *slot_of(f, id);
    if (strcmp(key, own) != 0)
        return;
    if (slot)
        pool_value(f, slot - 1, revision, text);
    else
        strange_pool(f, text);
}

static void remember(struct fg_fleet *f)
{
    if (f->now_ms >= f->remember_ms && f->high > f->remembered)
        f->remember_ms = UINT64_MAX; /* an output is due */
}

/* Else no answer is waited for: with a restored etcd there are no more calls. */
static bool asks(const struct fg_fleet *f)
{
    return f->register_revision && f->reason == FG_FLEET_REASON_NONE;
}

void fg_fleet_time(struct fg_fleet *f, uint64_t now_ms)
{
    bool away;

    f->now_ms = now_ms;
    if (f->receiving)
        return;
    away = asks(f) && now_ms - f->contact_ms >= f->timing.away_ms;
    if (away != f->away)
        for (uint32_t i = 0; i < f->items_max; i++)
            if (f->entries[i].id)
                fg_fleet_queue(f, i);
    f->away = away;
    for (uint32_t n = f->work.len; n > 0; n--) {
        uint32_t item = fg_fleet_pop(&f->work);

        f->entries[item].queued = false;
        if (fg_fleet_work(f, item))
            fg_fleet_queue(f, item);
    }
    remember(f);
    fg_fleet_call(f);
}

void fg_fleet_watched(struct fg_fleet *f, int64_t revision)
{
    f->watched = revision;
    if (!fg_fleet_is_watched(f) && f->poll_ms > f->now_ms + f->timing.poll_ms)
        f->poll_ms = f->now_ms + f->timing.poll_ms;
    fg_fleet_time(f, f->now_ms);
}

void fg_fleet_answered(struct fg_fleet *f, uint64_t ticket, enum fg_fleet_outcome outcome,
                       int64_t store)
{
    if (!ticket || ticket != f->ticket)
        return;
    fg_fleet_call_ended(f, outcome, store);
    fg_fleet_time(f, f->now_ms);
}

uint64_t fg_fleet_due_ms(const struct fg_fleet *f)
{
    uint64_t due = fg_fleet_call_due_ms(f);

    if (f->work.len && f->now_ms + f->timing.quick_ms < due) /* silence */
        due = f->now_ms + f->timing.quick_ms;
    if (asks(f) && !f->away && f->contact_ms + f->timing.away_ms < due)
        due = f->contact_ms + f->timing.away_ms;
    return due;
}

/* ---- the bank and the log -------------------------------------------------------------------- */

static struct fg_fleet_entry *entry(struct fg_fleet *f, uint32_t item)
{
    FG_ASSERT(item < f->items_max && f->entries[item].id);
    return &f->entries[item];
}

void fg_fleet_bank(struct fg_fleet *f, uint32_t item, uint32_t least, uint64_t wanted,
                   uint64_t free)
{
    struct fg_fleet_entry *it = entry(f, item);

    it->least = it->told ? 0 : least;
    it->wanted = wanted > least ? wanted : least;
    it->bank_free = free;
    fg_fleet_queue(f, item);
    fg_fleet_time(f, f->now_ms);
}

void fg_fleet_logged(struct fg_fleet *f, uint64_t seq)
{
    if (seq > f->log_seq)
        f->log_seq = seq;
}

void fg_fleet_stocked(struct fg_fleet *f, uint32_t item, int64_t stock)
{
    struct fg_fleet_entry *it = entry(f, item);

    it->share |= stock > it->log.stock;
    it->log.stock = stock;
    fg_fleet_queue(f, item);
    fg_fleet_time(f, f->now_ms);
}

void fg_fleet_leased(struct fg_fleet *f, uint32_t item)
{
    struct fg_fleet_entry *it = entry(f, item);

    FG_ASSERT(fg_fleet_step(it, FG_FLEET_EVENT_LEASED));
    it->log.leased = it->pool.row[f->member].log.leased;
    it->log.leases = it->pool.row[f->member].log.leases;
    it->least = 0; /* the bank serves it first */
    f->counted.leases++;
    fg_fleet_queue(f, item);
    fg_fleet_time(f, f->now_ms);
}

void fg_fleet_returned(struct fg_fleet *f, uint32_t item, uint64_t units)
{
    struct fg_fleet_entry *it = entry(f, item);

    FG_ASSERT(fg_fleet_step(it, FG_FLEET_EVENT_RETURNED));
    it->log.returned += units;
    it->log.returns += units > 0;
    FG_ASSERT(fg_fleet_held(&it->log) >= 0);
    it->recalled = it->recalling;
    f->counted.recalls++;
    fg_fleet_queue(f, item);
    fg_fleet_time(f, f->now_ms);
}

/* ---- views ----------------------------------------------------------------------------------- */

void fg_fleet_view(const struct fg_fleet *f, struct fg_fleet_view *view)
{
    *view = f->counted;
    view->reason = fg_fleet_reason_now(f);
    view->may_sell = f->may_sell;
    view->away = f->away;
    view->watched = fg_fleet_is_watched(f);
    view->silent = f->silent;
    view->revision = f->high;
    view->map = f->map;
}

bool fg_fleet_item_view(const struct fg_fleet *f, uint32_t item, struct fg_fleet_item_view *view)
{
    const struct fg_fleet_entry *it;

    if (item >= f->items_max || !f->entries[item].id)
        return false;
    it = &f->entries[item];
    *view = (struct fg_fleet_item_view){it->state, it->revision, it->pool, it->log, it->damaged};
    return true;
}
