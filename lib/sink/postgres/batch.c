/* SPDX-License-Identifier: BSD-3-Clause */
#include "sink/postgres/batch.h"

#include <string.h>

/* The sum of a batch's records for each order, item and user. */
struct fg_batch_order {
    uint8_t id[16];
    uint64_t user, item, deadline_ms, changed_ms, seq;
    uint16_t quantity;
    uint8_t state, before; /* before: this batch */
    bool late;             /* paid after its hold had ended; false when that is not of this batch */
    bool fresh;            /* accepted in this batch */
    bool moved;            /* deadline_ms is known: accepted, offered or extended in this batch */
};

struct fg_batch_item {
    uint64_t item, seq;
    int64_t total, available, reserved, sold, refunded;
    int64_t orders[FG_ORDER_STATES], late; /* records of each state */
    int64_t waiting, leased, returned;
    bool counted;
    const struct fg_journal_record *settings, *name, *line; /* the last of each */
};

struct fg_batch_user {
    uint64_t user;
    bool denied;
};

enum { ORDERS, ITEMS, USERS };

static const char *const types[FG_POSTGRES_STATEMENTS] = {
#define X(name, types) [FG_SINK_POSTGRES_##name] = types,
    FG_SINK_POSTGRES_STATEMENT_LIST(X)
#undef X
};

/* ---- rows ------------------------------------------------------------------------------------ */

void fg_sink_postgres_rows_begin(struct fg_sink_postgres_rows *rows,
                                 enum fg_sink_postgres_statement statement)
{
    rows->width = (unsigned)strlen(types[statement]);
    FG_ASSERT(rows->width <= FG_SINK_POSTGRES_COLUMNS_MAX);
    for (unsigned i = 0; i < rows->width; i++)
        fg_sink_postgres_array_begin(&rows->columns[i], types[statement][i]);
    rows->count = 0;
    rows->no_memory = false;
}

void fg_sink_postgres_rows_end(struct fg_sink_postgres_rows *rows)
{
    rows->count = rows->columns[0].count;
    for (unsigned i = 0; i < rows->width; i++) {
        fg_sink_postgres_array_end(&rows->columns[i]);
        rows->no_memory |= rows->columns[i].no_memory;
    }
    for (unsigned i = 0; i < rows->width && !rows->no_memory; i++)
        FG_ASSERT(rows->columns[i].count == rows->count);
}

void fg_sink_postgres_rows_free(struct fg_sink_postgres_rows *rows)
{
    for (unsigned i = 0; i < FG_SINK_POSTGRES_COLUMNS_MAX; i++)
        fg_sink_postgres_array_free(&rows->columns[i]);
}

static void add_order(struct fg_sink_postgres_rows *rows, const struct fg_batch_order *o)
{
    struct fg_sink_postgres_array *c = rows->columns;

    fg_sink_postgres_add_u64(c++, o->user);
    fg_sink_postgres_add_id(c++, o->id);
    fg_sink_postgres_add_u64(c++, o->item);
    fg_sink_postgres_add_i32(c++, o->quantity);
    fg_sink_postgres_add_i32(c++, o->state);
    fg_sink_postgres_add_i32(c++, o->before);
    fg_sink_postgres_add_flag(c++, o->late);
    o->moved ? fg_sink_postgres_add_time(c++, o->deadline_ms) : fg_sink_postgres_add_null(c++);
    fg_sink_postgres_add_time(c++, o->changed_ms);
    fg_sink_postgres_add_i64(c++, (int64_t)o->seq);
}

/* 0 = at once, or never. */
static void add_moment(struct fg_sink_postgres_array *a, uint64_t ms)
{
    ms ? fg_sink_postgres_add_time(a, ms) : fg_sink_postgres_add_null(a);
}

static void add_settings(struct fg_sink_postgres_rows *rows, const struct fg_batch_item *i)
{
    const struct fg_journal_record *r = i->settings;
    struct fg_sink_postgres_array *c = rows->columns;

    fg_sink_postgres_add_u64(c++, r->item);
    add_moment(c++, r->opens_ms);
    add_moment(c++, r->closes_ms);
    fg_sink_postgres_add_i64(c++, r->hold_ms);
    fg_sink_postgres_add_i64(c++, r->user_limit);
    fg_sink_postgres_add_i32(c++, r->order_max);
    fg_sink_postgres_add_flag(c++, r->flags & FG_JOURNAL_ITEM_PAUSED);
    fg_sink_postgres_add_i64(c++, (int64_t)i->seq);
}

static void add_name(struct fg_sink_postgres_rows *rows, const struct fg_batch_item *i)
{
    const char *name = (const char *)i->name->name;

    fg_sink_postgres_add_u64(&rows->columns[0], i->item);
    fg_sink_postgres_add_text(&rows->columns[1], name, strnlen(name, sizeof(i->name->name)));
    fg_sink_postgres_add_i64(&rows->columns[2], (int64_t)i->seq);
}

static void add_line(struct fg_sink_postgres_rows *rows, const struct fg_batch_item *i)
{
    const struct fg_journal_record *r = i->line;
    struct fg_sink_postgres_array *c = rows->columns;

    fg_sink_postgres_add_u64(c++, r->item);
    fg_sink_postgres_add_i64(c++, r->line_max);
    fg_sink_postgres_add_i64(c++, r->claim_ms);
    fg_sink_postgres_add_i64(c++, r->wait_ttl_ms);
    fg_sink_postgres_add_flag(c++, r->line_flags & FG_JOURNAL_LINE_ONE_UNIT);
    fg_sink_postgres_add_i64(c++, (int64_t)i->seq);
}

static void add_counts(struct fg_sink_postgres_rows *rows, const struct fg_batch_item *i)
{
    struct fg_sink_postgres_array *c = rows->columns;

    fg_sink_postgres_add_u64(c++, i->item);
    fg_sink_postgres_add_i64(c++, i->total);
    fg_sink_postgres_add_i64(c++, i->available);
    fg_sink_postgres_add_i64(c++, i->reserved);
    fg_sink_postgres_add_i64(c++, i->sold);
    fg_sink_postgres_add_i64(c++, i->refunded);
    for (unsigned state = FG_LEDGER_ORDER_RESERVED; state <= FG_LEDGER_ORDER_REFUNDED; state++)
        fg_sink_postgres_add_i64(c++, i->orders[state]);
    fg_sink_postgres_add_i64(c++, i->late);
    fg_sink_postgres_add_i64(c++, i->waiting);
    fg_sink_postgres_add_i64(c++, i->leased);
    fg_sink_postgres_add_i64(c++, i->returned);
    fg_sink_postgres_add_i64(c++, (int64_t)i->seq);
}

void fg_sink_postgres_put_item(struct fg_sink_postgres_rows *rows, const struct fg_ledger_item *i,
                               uint64_t seq)
{
    struct fg_sink_postgres_array *c = rows->columns;

    fg_sink_postgres_add_u64(c++, i->item);
    i->name[0] ? fg_sink_postgres_add_text(c++, i->name, strlen(i->name))
               : fg_sink_postgres_add_null(c++);
    add_moment(c++, i->opens_ms);
    add_moment(c++, i->closes_ms);
    fg_sink_postgres_add_i64(c++, i->hold_ms);
    fg_sink_postgres_add_i64(c++, i->user_limit);
    fg_sink_postgres_add_i32(c++, i->order_max);
    fg_sink_postgres_add_flag(c++, i->flags & FG_JOURNAL_ITEM_PAUSED);
    fg_sink_postgres_add_i64(c++, (int64_t)i->total);
    fg_sink_postgres_add_i64(c++, (int64_t)i->available);
    fg_sink_postgres_add_i64(c++, (int64_t)i->reserved);
    fg_sink_postgres_add_i64(c++, (int64_t)i->sold);
    fg_sink_postgres_add_i64(c++, (int64_t)i->refunded);
    fg_sink_postgres_add_i64(c++, (int64_t)i->orders_reserved);
    fg_sink_postgres_add_i64(c++, (int64_t)i->orders_sold);
    fg_sink_postgres_add_i64(c++, (int64_t)i->orders_cancelled);
    fg_sink_postgres_add_i64(c++, (int64_t)i->orders_expired);
    fg_sink_postgres_add_i64(c++, (int64_t)i->orders_refunded);
    fg_sink_postgres_add_i64(c++, (int64_t)i->orders_late);
    fg_sink_postgres_add_i64(c++, (int64_t)seq);
    fg_sink_postgres_add_i64(c++, (int64_t)i->waiting);
    fg_sink_postgres_add_i64(c++, i->line_max);
    fg_sink_postgres_add_i64(c++, i->claim_ms);
    fg_sink_postgres_add_i64(c++, i->wait_ttl_ms);
    fg_sink_postgres_add_flag(c++, i->line_flags & FG_JOURNAL_LINE_ONE_UNIT);
    fg_sink_postgres_add_i64(c++, (int64_t)i->leased);
    fg_sink_postgres_add_i64(c++, (int64_t)i->returned);
    fg_sink_postgres_add_i64(c++, fg_ledger_item_stock(i));
}

void fg_sink_postgres_put_order(struct fg_sink_postgres_rows *rows, const struct fg_ledger_order *o,
                                uint64_t seq)
{
    struct fg_batch_order row = {.user = o->user,
                                 .item = o->item,
                                 .deadline_ms = o->deadline_ms,
                                 .changed_ms = o->changed_ms,
                                 .seq = seq,
                                 .quantity = o->quantity,
                                 .state = (uint8_t)o->state,
                                 .late = o->late,
                                 .moved = o->state != FG_LEDGER_ORDER_WAITING && !o->line};

    memcpy(row.id, o->order_id, sizeof(row.id));
    add_order(rows, &row);
}

void fg_sink_postgres_put_user(struct fg_sink_postgres_rows *rows, uint64_t user)
{
    fg_sink_postgres_add_u64(&rows->columns[0], user);
}

/* ---- adding up ------------------------------------------------------------------------------- */

bool fg_sink_postgres_batch_init(struct fg_sink_postgres_batch *b, size_t records_max)
{
    bool ok = true;

    memset(b, 0, sizeof(*b));
    b->records_max = records_max;
    b->slots_size = 16;
    while (b->slots_size < 2 * records_max)
        b->slots_size *= 2;
    b->orders = calloc(records_max, sizeof(*b->orders));
    b->items = calloc(records_max, sizeof(*b->items));
    b->users = calloc(records_max, sizeof(*b->users));
    for (unsigned i = 0; i < 3; i++) {
        b->slots[i] = calloc(b->slots_size, sizeof(*b->slots[i]));
        ok = ok && b->slots[i];
    }
    return ok && b->orders && b->items && b->users;
}

void fg_sink_postgres_batch_free(struct fg_sink_postgres_batch *b)
{
    for (unsigned i = 0; i < FG_POSTGRES_STATEMENTS; i++)
        fg_sink_postgres_rows_free(&b->rows[i]);
    for (unsigned i = 0; i < 3; i++)
        free(b->slots[i]);
    free(b->orders);
    free(b->items);
    free(b->users);
    memset(b, 0, sizeof(*b));
}

static struct fg_batch_order *order_of(struct fg_sink_postgres_batch *b,
                                       const struct fg_journal_record *r)
{
    uint64_t low;
    uint32_t *slot;

    memcpy(&low, r->order_id, sizeof(low));
    for (size_t at = fg_mix64(low, r->user);; at++) {
        slot = &b->slots[ORDERS][at & b->slots_mask];
        if (!*slot)
            break;
        if (b->orders[*slot - 1].user == r->user &&
            !memcmp(b->orders[*slot - 1].id, r->order_id, sizeof(r->order_id)))
            return &b->orders[*slot - 1];
    }
    b->orders[b->orders_count] =
        (struct fg_batch_order){.user = r->user, .item = r->item, .quantity = r->quantity};
    memcpy(b->orders[b->orders_count].id, r->order_id, sizeof(r->order_id));
    *slot = ++b->orders_count;
    return &b->orders[*slot - 1];
}

static struct fg_batch_item *find_item(struct fg_sink_postgres_batch *b, uint64_t item)
{
    uint32_t *slot;

    for (size_t at = fg_mix64(item, 1);; at++) {
        slot = &b->slots[ITEMS][at & b->slots_mask];
        if (!*slot)
            break;
        if (b->items[*slot - 1].item == item)
            return &b->items[*slot - 1];
    }
    b->items[b->items_count] = (struct fg_batch_item){.item = item};
    *slot = ++b->items_count;
    return &b->items[*slot - 1];
}

static struct fg_batch_item *item_of(struct fg_sink_postgres_batch *b,
                                     const struct fg_journal_record *r)
{
    struct fg_batch_item *item = find_item(b, r->item);

    item->seq = r->seq;
    return item;
}

static struct fg_batch_user *user_of(struct fg_sink_postgres_batch *b, uint64_t user)
{
    uint32_t *slot;

    for (size_t at = fg_mix64(user, 2);; at++) {
        slot = &b->slots[USERS][at & b->slots_mask];
        if (!*slot)
            break;
        if (b->users[*slot - 1].user == user)
            return &b->users[*slot - 1];
    }
    b->users[b->users_count] = (struct fg_batch_user){.user = user};
    *slot = ++b->users_count;
    return &b->users[*slot - 1];
}

static void count_order(struct fg_sink_postgres_batch *b, const struct fg_journal_record *r,
                        const struct fg_ledger_step *step)
{
    struct fg_batch_item *item = item_of(b, r);
    int64_t units = r->quantity;

    item->counted = true;
    if (step->from == FG_LEDGER_ORDER_WAITING || step->to == FG_LEDGER_ORDER_WAITING)
        item->waiting += step->to == FG_LEDGER_ORDER_WAITING ? 1 : -1;
    if (r->type != FG_JOURNAL_RECORD_LEFT) /* it was never accepted */
        item->orders[step->to]++;
    item->late += step->late;
    item->available += step->available * units;
    item->reserved += step->reserved * units;
    item->sold += step->sold * units;
    item->refunded += step->refunded * units;
}

/* The last record of an order says what it is. */
static bool take_order(struct fg_sink_postgres_batch *b, const struct fg_journal_record *r,
                       struct fg_error *err)
{
    const struct fg_ledger_step *step = fg_ledger_step(r);
    struct fg_batch_order *o = order_of(b, r);

    if (!o->state)
        o->before = step->from;
    else if (o->state != step->from)
        return fg_fail(err, "record %llu: the order was %s before", (unsigned long long)r->seq,
                       fg_ledger_order_state_name(o->state));
    if (step->from == FG_LEDGER_ORDER_NONE)
        o->fresh = true;
    if (step->to == FG_LEDGER_ORDER_RESERVED) {
        o->deadline_ms = r->arg;
        o->moved = true;
    }
    if (r->type != FG_JOURNAL_RECORD_EXTENDED)
        count_order(b, r, step);
    o->state = step->to;
    o->late |= step->late;
    o->changed_ms = r->time_ms;
    o->seq = r->seq;
    return true;
}

static void take_stock(struct fg_sink_postgres_batch *b, const struct fg_journal_record *r)
{
    struct fg_batch_item *item = item_of(b, r);

    item->total += (int64_t)r->arg;
    item->available += (int64_t)r->arg;
    item->counted = true;
}

/* A lease, or a return. */
static void take_fleet(struct fg_sink_postgres_batch *b, const struct fg_journal_record *r)
{
    struct fg_batch_item *item = item_of(b, r);
    int64_t units = fg_journal_record_moves(r);

    item->total += units;
    item->available += units;
    item->leased += units > 0 ? units : 0;
    item->returned += units < 0 ? -units : 0;
    item->counted = true;
}

static bool take_record(struct fg_sink_postgres_batch *b, const struct fg_journal_record *r,
                        struct fg_error *err)
{
    switch (r->type) {
    case FG_JOURNAL_RECORD_BATCH: /* how the log was written, not what happened */
    case FG_JOURNAL_RECORD_EPOCH:
    case FG_JOURNAL_RECORD_LOTTERY: /* the tables know no tickets */
    case FG_JOURNAL_RECORD_DRAWN:
        return true;
    case FG_JOURNAL_RECORD_RESERVED:
    case FG_JOURNAL_RECORD_SOLD:
    case FG_JOURNAL_RECORD_CANCELLED:
    case FG_JOURNAL_RECORD_EXPIRED:
    case FG_JOURNAL_RECORD_EXTENDED:
    case FG_JOURNAL_RECORD_SOLD_LATE:
    case FG_JOURNAL_RECORD_CLOSED:
    case FG_JOURNAL_RECORD_REFUNDED:
    case FG_JOURNAL_RECORD_WAITING:
    case FG_JOURNAL_RECORD_OFFERED:
    case FG_JOURNAL_RECORD_LEFT:
        return take_order(b, r, err);
    case FG_JOURNAL_RECORD_LINE_SET:
        item_of(b, r)->line = r;
        return true;
    case FG_JOURNAL_RECORD_ITEM_SET:
        item_of(b, r)->settings = r;
        return true;
    case FG_JOURNAL_RECORD_ITEM_NAME:
        item_of(b, r)->name = r;
        return true;
    case FG_JOURNAL_RECORD_STOCK:
        take_stock(b, r);
        return true;
    case FG_JOURNAL_RECORD_LEASE:
    case FG_JOURNAL_RECORD_RETURN:
        take_fleet(b, r);
        return true;
    case FG_JOURNAL_RECORD_USER:
        user_of(b, r->user)->denied = r->arg;
        return true;
    }
    return fg_fail(err, "record %llu is of type %u, unknown to this version",
                   (unsigned long long)r->seq, r->type);
}

static void forget(struct fg_sink_postgres_batch *b, size_t n)
{
    b->slots_mask = b->slots_size - 1;
    while (b->slots_mask / 4 >= n) /* a small batch must not pay for clearing a large table */
        b->slots_mask /= 2;
    for (unsigned i = 0; i < 3; i++)
        memset(b->slots[i], 0, (b->slots_mask + 1) * sizeof(*b->slots[i]));
    b->orders_count = b->items_count = b->users_count = 0;
}

static void write_items(struct fg_sink_postgres_batch *b)
{
    for (uint32_t i = 0; i < b->items_count; i++) {
        const struct fg_batch_item *item = &b->items[i];

        if (item->settings)
            add_settings(&b->rows[FG_SINK_POSTGRES_ITEMS_SET], item);
        if (item->name)
            add_name(&b->rows[FG_SINK_POSTGRES_ITEMS_NAME], item);
        if (item->line)
            add_line(&b->rows[FG_SINK_POSTGRES_ITEMS_LINE], item);
        if (item->counted)
            add_counts(&b->rows[FG_SINK_POSTGRES_ITEMS_COUNT], item);
    }
}

bool fg_sink_postgres_batch_build(struct fg_sink_postgres_batch *b,
                                  const struct fg_journal_record *records, size_t n,
                                  struct fg_error *err)
{
    bool no_memory = false;

    FG_ASSERT(n > 0 && n <= b->records_max);
    forget(b, n);
    for (size_t i = 0; i < n; i++) {
        if (!take_record(b, &records[i], err))
            return false;
    }
    for (int s = 0; s <= FG_SINK_POSTGRES_BATCH_LAST; s++)
        fg_sink_postgres_rows_begin(&b->rows[s], (enum fg_sink_postgres_statement)s);
    write_items(b);
    for (uint32_t i = 0; i < b->orders_count; i++)
        add_order(&b->rows[b->orders[i].fresh ? FG_SINK_POSTGRES_ORDERS_ADD
                                              : FG_SINK_POSTGRES_ORDERS_CHANGE],
                  &b->orders[i]);
    for (uint32_t i = 0; i < b->users_count; i++)
        fg_sink_postgres_put_user(&b->rows[b->users[i].denied ? FG_SINK_POSTGRES_USERS_DENY
                                                              : FG_SINK_POSTGRES_USERS_ALLOW],
                                  b->users[i].user);
    for (int s = 0; s <= FG_SINK_POSTGRES_BATCH_LAST; s++) {
        fg_sink_postgres_rows_end(&b->rows[s]);
        no_memory |= b->rows[s].no_memory;
    }
    return no_memory ? fg_fail(err, "out of memory") : true;
}
