/* SPDX-License-Identifier: BSD-3-Clause */
/* Birth, recovery and inspection of an engine. */
#include <sys/mman.h>

#include "stock/draw.h"
#include "stock/fleet_bank.h"
#include "stock/line.h"
#include "stock/load.h"
#include "stock/tables.h"
#include "stock/users.h"
#include "stock/wheel.h"

#define HUGE_PAGE   (2u << 20)
#define ARRAY_ALIGN (2 * FG_CACHE_LINE) /* of struct item */

static uint32_t ready_max(const struct fg_stock_limits *l)
{
    return l->parked_max + COMMANDS_MAX;
}

static uint64_t entries_max(const struct fg_stock_limits *l, unsigned workers)
{
    return (uint64_t)l->parked_max * workers + COMMANDS_MAX;
}

/* Each array of an engine once: member, elements. */
#define ARRAYS(X)                                                                                  \
    X(items, l->items_max)                                                                         \
    X(banks, l->items_max)                                                                         \
    X(item_buckets, fg_stock_table_buckets(l->items_max))                                          \
    X(orders, l->orders_max)                                                                       \
    X(order_buckets, fg_stock_table_buckets(l->orders_max))                                        \
    X(user_buckets, fg_stock_table_buckets(l->orders_max / USER_SHARE))                            \
    X(usages, fg_stock_usage_lines(l->orders_max) * USAGE_LINE)                                    \
    X(entries, entries_max(l, workers))                                                            \
    X(lines, l->waiting_max ? l->items_max : 1)                                                    \
    X(line_entries, l->waiting_max + 1ull)                                                         \
    X(fleets, l->fleet ? l->items_max : 1)                                                         \
    X(news, l->fleet ? fg_stock_table_buckets(l->items_max) : 1)                                   \
    X(draw_buckets, fg_stock_draw_buckets(l))                                                      \
    X(own.slots, fg_stock_table_buckets(l->parked_max))                                            \
    X(deferred.slots, fg_stock_table_buckets(l->deferred_max))                                     \
    X(ready.slots, fg_stock_table_buckets(ready_max(l)))                                           \
    X(denied, DENIED_SLOTS)                                                                        \
    X(watched, FG_STOCK_WATCHED_SETS *WATCHED_WAYS)                                                \
    X(wheel, WHEEL_SLOTS *WHEEL_LANES)

/* A large array is made of huge pages, if the kernel has them: a random access then seldom misses
 * the TLB. */
static uint64_t array_bytes(uint64_t n, size_t size)
{
    uint64_t bytes = n * size, unit = bytes < HUGE_PAGE ? ARRAY_ALIGN : HUGE_PAGE;

    return (bytes + unit - 1) / unit * unit;
}

uint64_t fg_stock_memory(const struct fg_stock_limits *l, unsigned workers)
{
    uint64_t bytes = array_bytes(1, sizeof(struct fg_stock));

#define X(member, n) bytes += array_bytes((n), sizeof(*((struct fg_stock *)0)->member));
    ARRAYS(X)
#undef X
    return bytes;
}

static bool limits_ok(const struct fg_stock_config *c, struct fg_error *err)
{
    const struct fg_stock_limits *l = &c->limits;

    if (c->workers < 1 || c->workers > FG_WORKERS_MAX || c->worker >= c->workers)
        return fg_fail(err, "worker %u of %u: accepted 1..%d workers", c->worker, c->workers,
                       FG_WORKERS_MAX);
    if (l->items_max < 1 || l->items_max > 1000000)
        return fg_fail(err, "items_max %u: accepted 1..1000000", l->items_max);
    if (l->orders_max < 1 || l->orders_max > INT32_MAX || l->users_max < 1 ||
        l->users_max > INT32_MAX)
        return fg_fail(err, "orders_max %u, users_max %u: accepted 1..2147483647", l->orders_max,
                       l->users_max);
    if (l->parked_max < 1 || l->parked_max > 1u << 20 || l->deferred_max < 1 ||
        l->deferred_max > 1u << 24)
        return fg_fail(err, "parked_max %u, deferred_max %u: accepted 1..1048576 and 1..16777216",
                       l->parked_max, l->deferred_max);
    if (l->user_rate > 1000 || l->user_burst > 100000 || (l->user_rate && !l->user_burst))
        return fg_fail(err, "user_rate %u, user_burst %u: accepted 0..1000 and 1..100000",
                       l->user_rate, l->user_burst);
    if (l->waiting_max > FG_STOCK_WAITING_MAX)
        return fg_fail(err, "waiting_max %u: accepted 0..%d", l->waiting_max, FG_STOCK_WAITING_MAX);
    if (l->fleet && l->waiting_max)
        return fg_fail(err, "waiting_max %u: a member of a fleet has no waiting lists",
                       l->waiting_max);
    if (l->unsold_max > FG_STOCK_UNSOLD_MAX)
        return fg_fail(err, "unsold_max %u: accepted 0..%d", l->unsold_max, FG_STOCK_UNSOLD_MAX);
    return true;
}

static void *zeroed(uint64_t n, size_t size)
{
    size_t bytes = array_bytes(n, size);
    bool large = bytes >= HUGE_PAGE;
    void *p = aligned_alloc(large ? HUGE_PAGE : ARRAY_ALIGN, bytes);

    if (!p)
        return NULL;
    if (large)
        madvise(p, bytes, MADV_HUGEPAGE); /* refused: small pages do as well */
    memset(p, 0, bytes);                  /* touches every page now, not on the hot path */
    return p;
}

static bool allocate(struct fg_stock *s)
{
    const struct fg_stock_limits *l = &s->config.limits;
    unsigned workers = s->config.workers;
    bool ok = true;

#define X(member, n) ok = ok && (s->member = zeroed((n), sizeof(*s->member))) != NULL;
    ARRAYS(X)
#undef X
    return ok;
}

static void initialise(struct fg_stock *s)
{
    const struct fg_stock_limits *l = &s->config.limits;
    uint64_t entries = entries_max(l, s->config.workers);

    s->item_mask = fg_stock_table_buckets(l->items_max) - 1;
    s->user_mask = fg_stock_table_buckets(l->orders_max / USER_SHARE) - 1;
    s->order_mask = fg_stock_table_buckets(l->orders_max) - 1;
    order_division(s);
    s->usage_lines = fg_stock_usage_lines(l->orders_max);
    s->own.mask = fg_stock_table_buckets(l->parked_max) - 1;
    s->deferred.mask = fg_stock_table_buckets(l->deferred_max) - 1;
    s->deferred.max = l->deferred_max;
    s->ready.mask = fg_stock_table_buckets(ready_max(l)) - 1;
    s->ready.max = ready_max(l);
    memset(s->item_buckets, 0xff, (s->item_mask + 1ull) * sizeof(uint32_t));
    memset(s->wheel, 0xff, WHEEL_SLOTS * WHEEL_LANES * sizeof(uint32_t));
    memset(s->wheel_due, 0xff, sizeof(s->wheel_due));
    for (uint32_t i = 0; i < l->items_max; i++) {
        s->items[i].wait_head = s->items[i].wait_tail = NIL;
        s->banks[i].queue_head = s->banks[i].queue_tail = NIL;
    }
    for (uint64_t i = 0; i < entries; i++)
        s->entries[i].next = i + 1 < entries ? (uint32_t)(i + 1) : NIL;
    s->entry_free = 0;
    for (uint32_t i = 0; i < (l->waiting_max ? l->items_max : 1); i++)
        s->lines[i].list_head = s->lines[i].head = NIL;
    for (uint32_t i = 0; i < l->waiting_max; i++)
        s->line_entries[i].next = i + 1 < l->waiting_max ? i + 1 : NIL;
    s->line_free = l->waiting_max ? 0 : NIL;
    s->called_head = s->draw_head = s->ranking = NIL;
    s->draw_bits = (uint32_t)__builtin_ctz(fg_stock_draw_buckets(l));
    memset(s->draw_buckets, 0xff, fg_stock_draw_buckets(l) * sizeof(uint32_t));
    s->order_free = s->dirty_head = NIL;
    if (l->user_rate) {
        s->rate_interval_us = 1000000 / l->user_rate;
        s->rate_window_us = s->rate_interval_us * l->user_burst;
    }
}

struct fg_stock *fg_stock_create(const struct fg_stock_config *config, struct fg_error *err)
{
    struct fg_stock *s;

    if (!limits_ok(config, err))
        return NULL;
    s = zeroed(1, sizeof(*s));
    if (!s) {
        fg_fail(err, "no memory for worker %u", config->worker);
        return NULL;
    }
    s->config = *config;
    if (!allocate(s)) {
        fg_fail(err, "no memory for worker %u: its limits need %llu bytes", config->worker,
                (unsigned long long)fg_stock_memory(&config->limits, config->workers));
        fg_stock_destroy(s);
        return NULL;
    }
    initialise(s);
    return s;
}

void fg_stock_destroy(struct fg_stock *s)
{
    if (!s)
        return;
#define X(member, n) free(s->member);
    ARRAYS(X)
#undef X
    free(s);
}

/* ---- recovery */

void fg_stock_load_item(struct fg_stock *s, const struct fg_ledger_item *from)
{
    struct item *item = item_at(s, from->index);

    fg_stock_item_define(s, from->index, from->item);
    item->opens_ms = from->opens_ms;
    item->closes_ms = from->closes_ms;
    item->hold_ms = from->hold_ms;
    item->user_limit = from->user_limit;
    item->order_max = from->order_max;
    item->flags = from->flags;
    item->live = 1;
    if (!is_home(s, item))
        return;
    item->free = (uint32_t)from->available;
    s->banks[from->index].total = (uint32_t)from->total;
    if (s->config.limits.fleet)
        fg_stock_fleet_load(s, from->index, from);
}

/* Adds the order to its user's usage, beyond users_max too: that limit is for new users. */
static bool load_usage(struct fg_stock *s, struct order *o, struct fg_error *err)
{
    bool waits = o->state == FG_LEDGER_ORDER_WAITING;
    bool uses = o->state == FG_LEDGER_ORDER_RESERVED || o->state == FG_LEDGER_ORDER_SOLD || waits;
    uint32_t home = usage_home(s, usage_hash(s, o->user, o->item));
    struct usage *u = usage_find(s, home, o->user, o->item);

    if (o->state == FG_LEDGER_ORDER_REFUNDED)
        return true;
    if (!u)
        u = usage_new(s, home, o->user, o->item, 0);
    o->usage = (uint32_t)(u - s->usages);
    if (uses && o->quantity > USAGE_UNITS_MAX - u->units)
        return fg_fail(err, "user %llu has more than %u units of item %llu",
                       (unsigned long long)o->user, USAGE_UNITS_MAX,
                       (unsigned long long)s->items[o->item].id);
    if (uses && !u->units && s->items[o->item].user_limit)
        usage_count(s, u);
    u->waits |= waits;
    if (uses)
        u->units += o->quantity;
    else
        u->unsold += u->unsold < UNSOLD_MANY;
    return true;
}

bool fg_stock_load_order(struct fg_stock *s, const struct fg_ledger_order *from,
                         struct fg_error *err)
{
    uint32_t index = item_find(s, from->item);
    uint32_t at =
        order_add(s, order_hash(s, from->user, from->order_id), from->user, from->order_id);
    struct order *o;

    if (at == NIL)
        return fg_fail(err, "orders_max is too small for the log: worker %u has room for %u orders",
                       s->config.worker, s->config.limits.orders_max);
    o = &s->orders[at];
    o->item = index;
    o->usage = NIL;
    o->quantity = from->quantity;
    o->state = (uint8_t)from->state;
    o->late = from->late;
    if (o->state == FG_LEDGER_ORDER_RESERVED) {
        o->deadline_ms = from->deadline_ms;
        s->items[index].reserved += o->quantity;
        fg_stock_wheel_add(s, at);
    } else if (o->state == FG_LEDGER_ORDER_WAITING) {
        o->ticket = (uint32_t)from->ticket;
        o->loaded = 1;
    } else if (o->state == FG_LEDGER_ORDER_SOLD) {
        s->items[index].sold += o->quantity;
    } else if (o->state == FG_LEDGER_ORDER_REFUNDED && !from->restocked) {
        s->items[index].refunded += o->quantity;
    }
    return load_usage(s, o, err);
}

bool fg_stock_load_items(struct fg_stock *s, const struct fg_ledger *ledger, struct fg_error *err)
{
    if (fg_ledger_items(ledger) > s->config.limits.items_max)
        return fg_fail(err, "items_max = %u is too small for the log: it has %u items",
                       s->config.limits.items_max, fg_ledger_items(ledger));
    for (uint32_t i = 0; i < fg_ledger_items(ledger); i++)
        fg_stock_load_item(s, fg_ledger_item_at(ledger, i));
    if (!fg_stock_line_load(s, ledger, err))
        return false;
    for (uint32_t i = 0; i < fg_ledger_denied_users(ledger); i++) {
        uint64_t user = fg_ledger_denied_user(ledger, i);

        if (fg_user_owner(user, s->config.workers) == s->config.worker &&
            !fg_stock_user_deny(s, user, true))
            return fg_fail(err, "worker %u has room for %d denied users", s->config.worker,
                           FG_STOCK_DENIED_MAX);
    }
    return true;
}

bool fg_stock_load_orders(struct fg_stock *s, const struct fg_ledger *ledger, uint64_t from,
                          uint64_t to, struct fg_error *err)
{
    for (uint64_t i = from; i < to; i++) {
        const struct fg_ledger_order *o = fg_ledger_order_at(ledger, i);

        if (fg_user_owner(o->user, s->config.workers) == s->config.worker &&
            !fg_stock_load_order(s, o, err))
            return false;
    }
    return true;
}

bool fg_stock_load(struct fg_stock *s, const struct fg_ledger *ledger, struct fg_error *err)
{
    return fg_stock_load_items(s, ledger, err) &&
           fg_stock_load_orders(s, ledger, 0, fg_ledger_orders(ledger), err);
}

/* ---- inspection */

const struct fg_stock_counters *fg_stock_counters(const struct fg_stock *s)
{
    return &s->counters;
}

const struct fg_histogram *fg_stock_waited(const struct fg_stock *s)
{
    return &s->waited;
}

uint32_t fg_stock_orders(const struct fg_stock *s)
{
    return atomic_load_explicit(&((struct fg_stock *)s)->orders_live, memory_order_relaxed);
}

uint32_t fg_stock_users(const struct fg_stock *s)
{
    return atomic_load_explicit(&((struct fg_stock *)s)->usages_live, memory_order_relaxed);
}

void fg_stock_levels(const struct fg_stock *stock, struct fg_stock_level levels[FG_STOCK_LEVELS])
{
    struct fg_stock *s = (struct fg_stock *)stock;
    const struct fg_stock_limits *l = &s->config.limits;
    const struct {
        _Atomic uint32_t *used;
        uint32_t max;
    } list[FG_STOCK_LEVELS] = {[FG_STOCK_LEVEL_orders] = {&s->orders_live, l->orders_max},
                               [FG_STOCK_LEVEL_users] = {&s->usages_live, l->users_max},
                               [FG_STOCK_LEVEL_parked] = {&s->waiting_live, l->parked_max},
                               [FG_STOCK_LEVEL_deferred] = {&s->held_live, l->deferred_max},
                               [FG_STOCK_LEVEL_denied] = {&s->denied_live, FG_STOCK_DENIED_MAX}};

    for (unsigned i = 0; i < FG_STOCK_LEVELS; i++)
        levels[i] = (struct fg_stock_level){
            .used = atomic_load_explicit(list[i].used, memory_order_relaxed), .max = list[i].max};
}

bool fg_stock_view(const struct fg_stock *s, uint32_t index, struct fg_stock_view *view)
{
    const struct item *item = &s->items[index];
    struct fg_stock_view line = {0};

    if (index >= s->config.limits.items_max || !item->known)
        return false;
    if (s->config.limits.waiting_max) {
        const struct line *l = &s->lines[index];

        line = (struct fg_stock_view){.kept = l->kept,
                                      .offered = l->offered,
                                      .waiting = l->waiting,
                                      .tickets = l->tickets,
                                      .drawing = fg_stock_is_drawing(s, index),
                                      .serving = is_home(s, item) ? line_serving(s, index) : 0};
    }
    *view = (struct fg_stock_view){.kept = line.kept,
                                   .offered = line.offered,
                                   .waiting = line.waiting,
                                   .serving = line.serving,
                                   .tickets = line.tickets,
                                   .drawing = line.drawing,
                                   .free = item->free,
                                   .releasing = item->releasing,
                                   .reserved = item->reserved,
                                   .sold = item->sold,
                                   .refunded = item->refunded,
                                   .total = is_home(s, item) ? s->banks[index].total : 0,
                                   .sold_out = item->sold_out && item->free == 0};
    return true;
}
