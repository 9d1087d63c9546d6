/* SPDX-License-Identifier: BSD-3-Clause */
/* The rows of the three tables against what the log says. */
#include <inttypes.h>
#include <string.h>

#include "line.h"
#include "postgres.h"
#include "progress.h"

#define CALENDAR_MS                                                                                \
    9224318016000000 /* the first moment that the server's calendar does not have                  \
                      */

/* Times in microseconds: the appliance writes whole milliseconds, anything else must show. */
#define MICROSECONDS(column)                                                                       \
    "CASE WHEN isfinite(" column ") THEN trunc(extract(epoch FROM " column                         \
    ") * 1000000)::numeric(30)::text"                                                              \
    " ELSE " column "::text END"

struct counts { /* orders of an item, by state; the sum is all of them */
    uint64_t orders[FG_STATE_COUNT], late, closed, left;
};

struct walk {
    struct fg_postgres_audit *a;
    struct fg_story *story;
    struct counts *counts; /* [items] */
};

static bool same_u64(const char *cell, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    return cell && !strcmp(cell, text);
}

static bool same_i64(const char *cell, int64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRId64, value);
    return cell && !strcmp(cell, text);
}

static bool same_time(const char *cell, uint64_t ms)
{
    char text[32];

    if (ms >= CALENDAR_MS)
        return cell && !strcmp(cell, "infinity");
    snprintf(text, sizeof(text), "%" PRIu64 "000", ms);
    return cell && !strcmp(cell, ms ? text : "0");
}

/* 0 = at once, or never: null. */
static bool same_moment(const char *cell, uint64_t ms)
{
    return ms ? same_time(cell, ms) : !cell;
}

static uint64_t number(const char *cell)
{
    return cell ? strtoull(cell, NULL, 10) : 0;
}

static const char *shown(const char *cell)
{
    return cell ? cell : "null";
}

/* ---- orders ---------------------------------------------------------------------------------- */

#define ORDERS                                                                                     \
    "SELECT user_id, replace(order_id::text, '-', ''), item, quantity, state, "                    \
    "late::int, " MICROSECONDS("deadline") ", " MICROSECONDS("changed") ", seq FROM orders"

enum { O_USER, O_ORDER, O_ITEM, O_QUANTITY, O_STATE, O_LATE, O_DEADLINE, O_CHANGED, O_SEQ };

static bool same_seq(const struct walk *w, const struct fg_order *o, const char *cell)
{
    uint64_t seq = number(cell);

    if (!o->seq) /* known from a snapshot only */
        return seq <= w->a->cursor;
    return same_u64(cell, o->seq) || (o->seq <= w->a->filled && seq == w->a->filled);
}

static void compare_order(const struct walk *w, const struct fg_order *o, char *const *c)
{
    const struct fg_item *item = &w->story->tables.items[o->item];
    const struct {
        const char *name;
        int cell;
        bool same;
    } fields[] = {{"item", O_ITEM, same_u64(c[O_ITEM], item->item)},
                  {"quantity", O_QUANTITY, same_u64(c[O_QUANTITY], o->quantity)},
                  {"state", O_STATE, c[O_STATE] && !strcmp(c[O_STATE], fg_state_name(o->state))},
                  {"late", O_LATE, same_u64(c[O_LATE], o->late)},
                  {"deadline", O_DEADLINE,
                   o->left || o->state == FG_STATE_WAITING
                       ? !c[O_DEADLINE]
                       : same_time(c[O_DEADLINE], o->deadline_ms)},
                  {"changed", O_CHANGED, same_time(c[O_CHANGED], o->changed_ms)},
                  {"seq", O_SEQ, same_seq(w, o, c[O_SEQ])}};

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (!fields[i].same)
            fg_problem(w->a->problems, FG_PROBLEM_POSTGRES_ORDER,
                       "order %s of user %s: %s is %s, which the log does not say", c[O_ORDER],
                       c[O_USER], fields[i].name, shown(c[fields[i].cell]));
    }
}

static void see_order(void *ctx, unsigned n, char *const *c)
{
    struct walk *w = ctx;
    struct fg_order *o;
    uint8_t id[16];

    fg_progress("orders of PostgreSQL", ++w->a->orders);
    o = n == O_SEQ + 1 && c[O_ORDER] && fg_unhex(c[O_ORDER], id)
            ? fg_tables_order(&w->story->tables, number(c[O_USER]), id)
            : NULL;
    if (!o || !same_u64(c[O_USER], o->user)) {
        fg_problem(w->a->problems, FG_PROBLEM_POSTGRES_ORDER,
                   "order %s of user %s is not in the log", shown(c[O_ORDER]), shown(c[O_USER]));
        return;
    }
    o->in_postgres = 1;
    compare_order(w, o, c);
}

/* Orders without a row; also counts the sums that the items must have. */
static void missing_orders(struct walk *w)
{
    const struct fg_tables *t = &w->story->tables;
    char id[33];

    for (uint32_t k = 0; k < t->order_count; k++) {
        const struct fg_order *o = &t->orders[k];

        w->counts[o->item].orders[o->state]++;
        w->counts[o->item].late += o->late;
        w->counts[o->item].closed += o->closed;
        w->counts[o->item].left += o->left;
        if (o->in_postgres)
            continue;
        fg_hex(id, o->id);
        fg_problem(w->a->problems, FG_PROBLEM_POSTGRES_ORDER,
                   "order %s of user %" PRIu64 " is missing", id, o->user);
    }
}

/* ---- inventory ------------------------------------------------------------------------------- */

#define INVENTORY                                                                                  \
    "SELECT item, total, available, reserved, sold, refunded, orders, orders_sold,"                \
    " orders_cancelled, orders_expired, orders_refunded, orders_late, hold_ms, user_limit, "       \
    "waiting, line_max, claim_ms, wait_ttl_ms, one_unit::int, order_max, "                         \
    "paused::int, leased, returned, added, " MICROSECONDS("opens") ", " MICROSECONDS(              \
        "closes") ", encode(convert_to(name, 'UTF8'), 'hex') FROM "                                \
                  "inventory"

enum {
    I_ITEM,
    I_TOTAL,
    I_AVAILABLE,
    I_RESERVED,
    I_SOLD,
    I_REFUNDED,
    I_ORDERS,
    I_ORDERS_SOLD,
    I_ORDERS_CANCELLED,
    I_ORDERS_EXPIRED,
    I_ORDERS_REFUNDED,
    I_ORDERS_LATE,
    I_HOLD,
    I_LIMIT,
    I_WAITING,
    I_LINE_MAX,
    I_CLAIM,
    I_TTL,
    I_ONE_UNIT,
    I_MAX,
    I_PAUSED,
    I_LEASED,
    I_RETURNED,
    I_ADDED,
    I_OPENS,
    I_CLOSES,
    I_NAME
};

/* In hex. A '?' stands for bytes that are not text. */
static bool same_name(const char *cell, const struct fg_item *item)
{
    size_t len = item->name_len;

    if (!len || !cell)
        return !len && !cell;
    if (strlen(cell) != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        char hex[3] = {cell[2 * i], cell[2 * i + 1], '\0'};
        unsigned long byte = strtoul(hex, NULL, 16);
        bool odd = item->name[i] < 0x20 || item->name[i] >= 0x7f;

        if (byte != item->name[i] && !(byte == '?' && odd))
            return false;
    }
    return true;
}

static void compare_item(const struct walk *w, const struct fg_item *i, const struct counts *n,
                         char *const *c)
{
    uint64_t all = 0;
    const uint64_t *by = n->orders;

    for (int s = FG_STATE_ABSENT + 1; s < FG_STATE_COUNT; s++)
        all += s == FG_STATE_WAITING ? 0 : by[s];
    all -= n->left;
    const struct {
        const char *name;
        int cell;
        bool same;
    } fields[] = {
        {"total", I_TOTAL, same_i64(c[I_TOTAL], i->total)},
        {"available", I_AVAILABLE, same_i64(c[I_AVAILABLE], fg_item_available(i))},
        {"reserved", I_RESERVED, same_i64(c[I_RESERVED], i->reserved)},
        {"sold", I_SOLD, same_i64(c[I_SOLD], i->sold)},
        {"refunded", I_REFUNDED, same_i64(c[I_REFUNDED], i->refunded)},
        {"orders", I_ORDERS, same_u64(c[I_ORDERS], all)},
        {"orders_sold", I_ORDERS_SOLD,
         same_u64(c[I_ORDERS_SOLD], by[FG_STATE_SOLD] + by[FG_STATE_REFUNDED])},
        {"orders_cancelled", I_ORDERS_CANCELLED,
         same_u64(c[I_ORDERS_CANCELLED], by[FG_STATE_CANCELLED] - n->left)},
        {"orders_expired", I_ORDERS_EXPIRED,
         same_u64(c[I_ORDERS_EXPIRED], by[FG_STATE_EXPIRED] + n->late + n->closed)},
        {"orders_refunded", I_ORDERS_REFUNDED,
         same_u64(c[I_ORDERS_REFUNDED], by[FG_STATE_REFUNDED])},
        {"orders_late", I_ORDERS_LATE, same_u64(c[I_ORDERS_LATE], n->late)},
        {"waiting", I_WAITING, same_u64(c[I_WAITING], by[FG_STATE_WAITING])},
        {"line_max", I_LINE_MAX, same_u64(c[I_LINE_MAX], i->line_max)},
        {"claim_ms", I_CLAIM, same_u64(c[I_CLAIM], i->claim_ms)},
        {"wait_ttl_ms", I_TTL, same_u64(c[I_TTL], i->wait_ttl_ms)},
        {"one_unit", I_ONE_UNIT, same_u64(c[I_ONE_UNIT], i->line_flags & FG_JOURNAL_LINE_ONE_UNIT)},
        {"hold_ms", I_HOLD, same_u64(c[I_HOLD], i->hold_ms)},
        {"user_limit", I_LIMIT, same_u64(c[I_LIMIT], i->user_limit)},
        {"order_max", I_MAX, same_u64(c[I_MAX], i->order_max)},
        {"paused", I_PAUSED, same_u64(c[I_PAUSED], i->flags & FG_JOURNAL_ITEM_PAUSED)},
        {"leased", I_LEASED, same_u64(c[I_LEASED], i->lease.units)},
        {"returned", I_RETURNED, same_u64(c[I_RETURNED], i->giving.units)},
        {"added", I_ADDED, same_i64(c[I_ADDED], fg_item_added(i))},
        {"opens", I_OPENS, same_moment(c[I_OPENS], i->opens_ms)},
        {"closes", I_CLOSES, same_moment(c[I_CLOSES], i->closes_ms)},
        {"name", I_NAME, same_name(c[I_NAME], i)}};

    for (size_t k = 0; k < sizeof(fields) / sizeof(fields[0]); k++) {
        bool counter = fields[k].cell <= I_ORDERS_LATE;

        if (!fields[k].same)
            fg_problem(w->a->problems,
                       counter ? FG_PROBLEM_POSTGRES_COUNTER : FG_PROBLEM_POSTGRES_ITEM,
                       "item %s: %s is %s, which the log does not say", c[I_ITEM], fields[k].name,
                       shown(c[fields[k].cell]));
    }
}

static void see_item(void *ctx, unsigned n, char *const *c)
{
    struct walk *w = ctx;
    struct fg_item *item =
        n == I_NAME + 1 ? fg_tables_item(&w->story->tables, number(c[I_ITEM])) : NULL;

    w->a->items++;
    if (!item || !same_u64(c[I_ITEM], item->item)) {
        fg_problem(w->a->problems, FG_PROBLEM_POSTGRES_ITEM, "item %s is not in the log",
                   shown(c[I_ITEM]));
        return;
    }
    item->in_postgres = true;
    compare_item(w, item, &w->counts[item - w->story->tables.items], c);
}

/* ---- denied users ---------------------------------------------------------------------------- */

static void see_user(void *ctx, unsigned n, char *const *c)
{
    struct walk *w = ctx;
    struct fg_denied *user = n == 1 ? fg_denied_find(&w->story->denied, number(c[0])) : NULL;

    w->a->users++;
    if (user && user->denied && same_u64(c[0], user->user))
        user->in_postgres = true;
    else
        fg_problem(w->a->problems, FG_PROBLEM_POSTGRES_USER,
                   "user %s is denied, which the log does not say", shown(c[0]));
}

static void missing_rest(const struct walk *w)
{
    const struct fg_story *s = w->story;

    for (uint32_t k = 0; k < s->tables.item_count; k++) {
        if (!s->tables.items[k].in_postgres)
            fg_problem(w->a->problems, FG_PROBLEM_POSTGRES_ITEM, "item %" PRIu64 " is missing",
                       s->tables.items[k].item);
    }
    for (uint64_t k = 0; k < s->denied.size; k++) {
        const struct fg_denied *user = &s->denied.slots[k];

        if (user->known && user->denied && !user->in_postgres)
            fg_problem(w->a->problems, FG_PROBLEM_POSTGRES_USER,
                       "user %" PRIu64 " is denied, but not here", user->user);
    }
}

bool fg_postgres_audit_tables(struct fg_postgres_audit *a, struct fg_story *story)
{
    struct walk w = {
        .a = a, .story = story, .counts = calloc(story->tables.item_count + 1, sizeof(*w.counts))};
    bool ok;

    if (!w.counts)
        fg_out_of_memory();
    ok = fg_postgres_audit_rows(a, ORDERS, see_order, &w);
    if (ok)
        missing_orders(&w);
    ok = ok && fg_postgres_audit_rows(a, INVENTORY, see_item, &w) &&
         fg_postgres_audit_rows(a, "SELECT user_id FROM denied_users", see_user, &w);
    if (ok)
        missing_rest(&w);
    free(w.counts);
    return ok;
}
