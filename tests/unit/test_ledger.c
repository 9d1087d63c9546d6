/* SPDX-License-Identifier: BSD-3-Clause */
#include <time.h>

#include "journal_support.h"
#include "ledger/ledger.h"
#include "ledger/snapshot.h"

static uint64_t next_seq;
static struct fg_error err;

static struct fg_journal_record blank(unsigned type, uint64_t item)
{
    return (struct fg_journal_record){
        .seq = next_seq, .time_ms = 1000 + next_seq, .type = (uint8_t)type, .item = item};
}

static bool apply(struct fg_ledger *l, struct fg_journal_record r)
{
    r.seq = next_seq;
    err.text[0] = 0;
    if (!fg_ledger_apply(l, &r, &err)) {
        assert_true(err.text[0]);
        assert_int_equal(fg_ledger_seq(l), next_seq - 1); /* a refused record does not count */
        return false;
    }
    assert_int_equal(fg_ledger_seq(l), next_seq);
    next_seq++;
    return true;
}

static struct fg_journal_record order_record(unsigned type, uint64_t item, uint64_t user,
                                             uint64_t id, unsigned quantity)
{
    struct fg_journal_record r = blank(type, item);

    memcpy(r.order_id, &id, sizeof(id));
    r.user = user;
    r.quantity = (uint16_t)quantity;
    r.arg = type == FG_JOURNAL_RECORD_RESERVED   ? 5000 + id
            : type == FG_JOURNAL_RECORD_EXTENDED ? 9000 + id
            : type == FG_JOURNAL_RECORD_WAITING  ? 70 + id
            : type == FG_JOURNAL_RECORD_OFFERED  ? 5000 + id
            : type == FG_JOURNAL_RECORD_LEFT     ? FG_JOURNAL_LEFT_ABSENT
                                                 : 0;
    return r;
}

static bool order(struct fg_ledger *l, unsigned type, uint64_t item, uint64_t user, uint64_t id,
                  unsigned quantity)
{
    return apply(l, order_record(type, item, user, id, quantity));
}

static bool stock(struct fg_ledger *l, uint64_t item, int64_t units)
{
    struct fg_journal_record r = blank(FG_JOURNAL_RECORD_STOCK, item);

    r.arg = (uint64_t)units;
    return apply(l, r);
}

static bool item_set(struct fg_ledger *l, uint64_t item, uint32_t hold_ms)
{
    struct fg_journal_record r = blank(FG_JOURNAL_RECORD_ITEM_SET, item);

    r.opens_ms = 11;
    r.closes_ms = 22;
    r.hold_ms = hold_ms;
    r.user_limit = 3;
    r.order_max = 2;
    r.flags = FG_JOURNAL_ITEM_PAUSED;
    return apply(l, r);
}

static bool item_name(struct fg_ledger *l, uint64_t item, const char *name)
{
    struct fg_journal_record r = blank(FG_JOURNAL_RECORD_ITEM_NAME, item);

    memcpy(r.name, name, strnlen(name, FG_JOURNAL_ITEM_NAME_MAX));
    return apply(l, r);
}

static const struct fg_ledger_order *find(const struct fg_ledger *l, uint64_t user, uint64_t id)
{
    uint8_t order_id[16] = {0};

    memcpy(order_id, &id, sizeof(id));
    return fg_ledger_order(l, user, order_id);
}

static struct fg_ledger *fresh(void)
{
    struct fg_ledger *l = fg_ledger_create();

    assert_non_null(l);
    next_seq = 1;
    return l;
}

static void expect_units(const struct fg_ledger *l, uint64_t item, uint64_t available,
                         uint64_t reserved, uint64_t sold)
{
    const struct fg_ledger_item *i = fg_ledger_item(l, item);

    assert_int_equal(i->available, available);
    assert_int_equal(i->reserved, reserved);
    assert_int_equal(i->sold, sold);
    assert_int_equal(i->total, available + reserved + sold + i->refunded);
}

static void expect_reason(const char *part)
{
    if (!strstr(err.text, part))
        fail_msg("\"%s\" does not say \"%s\"", err.text, part);
}

static void an_empty_ledger_answers(void **state)
{
    struct fg_ledger *l = fresh();

    assert_int_equal(fg_ledger_seq(l), 0);
    assert_int_equal(fg_ledger_items(l), 0);
    assert_int_equal(fg_ledger_orders(l), 0);
    assert_null(fg_ledger_item(l, 0));
    assert_null(fg_ledger_item_at(l, 0));
    assert_null(fg_ledger_order_at(l, 0));
    assert_null(find(l, 0, 0));
    fg_ledger_destroy(l);
    fg_ledger_destroy(NULL);
}

static void items_keep_settings_names_and_order(void **state)
{
    struct fg_ledger *l = fresh();
    const struct fg_ledger_item *i;

    assert_true(item_set(l, 70, 100) && item_set(l, 0, 200) && item_set(l, UINT64_MAX, 300));
    assert_true(stock(l, 70, 5) && item_set(l, 70, 400)); /* settings do not touch units */
    assert_true(item_name(l, 70, "a name that is exactly 32 bytes!") && item_name(l, 0, "long") &&
                item_name(l, 0, "x"));
    i = fg_ledger_item_at(l, 0);
    assert_ptr_equal(i, fg_ledger_item(l, 70));
    assert_int_equal(i->hold_ms, 400);
    assert_int_equal(i->opens_ms, 11);
    assert_int_equal(i->closes_ms, 22);
    assert_int_equal(i->user_limit, 3);
    assert_int_equal(i->order_max, 2);
    assert_int_equal(i->flags, FG_JOURNAL_ITEM_PAUSED);
    assert_string_equal(i->name, "a name that is exactly 32 bytes!");
    assert_string_equal(fg_ledger_item_at(l, 1)->name, "x");
    assert_int_equal(fg_ledger_item_at(l, 2)->item, UINT64_MAX);
    for (uint32_t k = 0; k < 3; k++)
        assert_int_equal(fg_ledger_item_at(l, k)->index, k);
    assert_int_equal(fg_ledger_items(l), 3);
    assert_null(fg_ledger_item_at(l, 3));
    expect_units(l, 70, 5, 0, 0);
    assert_false(item_name(l, 8, "x"));
    expect_reason("item 8");
    expect_reason("unknown");
    fg_ledger_destroy(l);
}

static void stock_has_limits(void **state)
{
    struct fg_ledger *l = fresh();

    assert_false(stock(l, 1, 5));
    expect_reason("the item is unknown");
    assert_true(item_set(l, 1, 1));
    assert_true(stock(l, 1, FG_JOURNAL_UNITS_MAX));
    assert_false(stock(l, 1, 1));
    expect_reason("2000000000 allowed");
    assert_false(stock(l, 1, INT64_MAX));
    assert_true(stock(l, 1, 0));
    assert_true(stock(l, 1, -(FG_JOURNAL_UNITS_MAX - 10)));
    assert_true(order(l, FG_JOURNAL_RECORD_RESERVED, 1, 1, 1, 4));
    assert_false(stock(l, 1, -7)); /* 6 are free */
    expect_reason("-7 units, 6 available");
    assert_false(stock(l, 1, INT64_MIN));
    assert_true(stock(l, 1, -6));
    expect_units(l, 1, 0, 4, 0);
    assert_true(order(l, FG_JOURNAL_RECORD_SOLD, 1, 1, 1, 4));
    assert_false(stock(l, 1, -1));
    assert_true(stock(l, 1, FG_JOURNAL_UNITS_MAX - 4)); /* sold units count towards the limit */
    assert_false(stock(l, 1, 1));
    fg_ledger_destroy(l);
}

/* Brings order 9 of user 4 into a state by the only way there. */
static void bring(struct fg_ledger *l, unsigned to)
{
    static const uint8_t last[] = {[FG_LEDGER_ORDER_SOLD] = FG_JOURNAL_RECORD_SOLD,
                                   [FG_LEDGER_ORDER_CANCELLED] = FG_JOURNAL_RECORD_CANCELLED,
                                   [FG_LEDGER_ORDER_EXPIRED] = FG_JOURNAL_RECORD_EXPIRED,
                                   [FG_LEDGER_ORDER_REFUNDED] = FG_JOURNAL_RECORD_SOLD};

    assert_true(item_set(l, 1, 1) && item_set(l, 2, 1) && stock(l, 1, 10) && stock(l, 2, 10));
    if (to == FG_LEDGER_ORDER_WAITING) {
        assert_true(order(l, FG_JOURNAL_RECORD_WAITING, 1, 4, 9, 3));
        return;
    }
    if (to != FG_LEDGER_ORDER_NONE)
        assert_true(order(l, FG_JOURNAL_RECORD_RESERVED, 1, 4, 9, 3));
    if (to > FG_LEDGER_ORDER_RESERVED)
        assert_true(order(l, last[to], 1, 4, 9, 3));
    if (to == FG_LEDGER_ORDER_REFUNDED)
        assert_true(order(l, FG_JOURNAL_RECORD_REFUNDED, 1, 4, 9, 3));
}

/* What every order record does in every state, written out by hand: the state after, or 0 =
 * refused. */
static const struct {
    unsigned state, type, after;
    const char *reason;
} steps[] = {
    {FG_LEDGER_ORDER_NONE, FG_JOURNAL_RECORD_RESERVED, FG_LEDGER_ORDER_RESERVED, NULL},
    {FG_LEDGER_ORDER_NONE, FG_JOURNAL_RECORD_SOLD, 0, "is unknown"},
    {FG_LEDGER_ORDER_NONE, FG_JOURNAL_RECORD_CANCELLED, 0, "is unknown"},
    {FG_LEDGER_ORDER_NONE, FG_JOURNAL_RECORD_EXPIRED, 0, "is unknown"},
    {FG_LEDGER_ORDER_NONE, FG_JOURNAL_RECORD_EXTENDED, 0, "is unknown"},
    {FG_LEDGER_ORDER_RESERVED, FG_JOURNAL_RECORD_RESERVED, 0, "already reserved"},
    {FG_LEDGER_ORDER_RESERVED, FG_JOURNAL_RECORD_SOLD, FG_LEDGER_ORDER_SOLD, NULL},
    {FG_LEDGER_ORDER_RESERVED, FG_JOURNAL_RECORD_CANCELLED, FG_LEDGER_ORDER_CANCELLED, NULL},
    {FG_LEDGER_ORDER_RESERVED, FG_JOURNAL_RECORD_EXPIRED, FG_LEDGER_ORDER_EXPIRED, NULL},
    {FG_LEDGER_ORDER_RESERVED, FG_JOURNAL_RECORD_EXTENDED, FG_LEDGER_ORDER_RESERVED, NULL},
    {FG_LEDGER_ORDER_SOLD, FG_JOURNAL_RECORD_RESERVED, 0, "already sold"},
    {FG_LEDGER_ORDER_SOLD, FG_JOURNAL_RECORD_SOLD, 0, "already sold"},
    {FG_LEDGER_ORDER_SOLD, FG_JOURNAL_RECORD_CANCELLED, 0, "already sold"},
    {FG_LEDGER_ORDER_SOLD, FG_JOURNAL_RECORD_EXPIRED, 0, "already sold"},
    {FG_LEDGER_ORDER_SOLD, FG_JOURNAL_RECORD_EXTENDED, 0, "already sold"},
    {FG_LEDGER_ORDER_CANCELLED, FG_JOURNAL_RECORD_RESERVED, 0, "already cancelled"},
    {FG_LEDGER_ORDER_CANCELLED, FG_JOURNAL_RECORD_SOLD, 0, "already cancelled"},
    {FG_LEDGER_ORDER_CANCELLED, FG_JOURNAL_RECORD_CANCELLED, 0, "already cancelled"},
    {FG_LEDGER_ORDER_CANCELLED, FG_JOURNAL_RECORD_EXPIRED, 0, "already cancelled"},
    {FG_LEDGER_ORDER_CANCELLED, FG_JOURNAL_RECORD_EXTENDED, 0, "already cancelled"},
    {FG_LEDGER_ORDER_EXPIRED, FG_JOURNAL_RECORD_RESERVED, 0, "already expired"},
    {FG_LEDGER_ORDER_EXPIRED, FG_JOURNAL_RECORD_SOLD, 0, "already expired"},
    {FG_LEDGER_ORDER_EXPIRED, FG_JOURNAL_RECORD_CANCELLED, 0, "already expired"},
    {FG_LEDGER_ORDER_EXPIRED, FG_JOURNAL_RECORD_EXPIRED, 0, "already expired"},
    {FG_LEDGER_ORDER_EXPIRED, FG_JOURNAL_RECORD_EXTENDED, 0, "already expired"},
    {FG_LEDGER_ORDER_REFUNDED, FG_JOURNAL_RECORD_RESERVED, 0, "already refunded"},
    {FG_LEDGER_ORDER_REFUNDED, FG_JOURNAL_RECORD_SOLD, 0, "already refunded"},
    {FG_LEDGER_ORDER_REFUNDED, FG_JOURNAL_RECORD_CANCELLED, 0, "already refunded"},
    {FG_LEDGER_ORDER_REFUNDED, FG_JOURNAL_RECORD_EXPIRED, 0, "already refunded"},
    {FG_LEDGER_ORDER_REFUNDED, FG_JOURNAL_RECORD_EXTENDED, 0, "already refunded"},
    {FG_LEDGER_ORDER_NONE, FG_JOURNAL_RECORD_SOLD_LATE, 0, "is unknown"},
    {FG_LEDGER_ORDER_RESERVED, FG_JOURNAL_RECORD_SOLD_LATE, 0, "already reserved"},
    {FG_LEDGER_ORDER_SOLD, FG_JOURNAL_RECORD_SOLD_LATE, 0, "already sold"},
    {FG_LEDGER_ORDER_CANCELLED, FG_JOURNAL_RECORD_SOLD_LATE, 0, "already cancelled"},
    {FG_LEDGER_ORDER_EXPIRED, FG_JOURNAL_RECORD_SOLD_LATE, FG_LEDGER_ORDER_SOLD, NULL},
    {FG_LEDGER_ORDER_REFUNDED, FG_JOURNAL_RECORD_SOLD_LATE, 0, "already refunded"},
    {FG_LEDGER_ORDER_NONE, FG_JOURNAL_RECORD_CLOSED, 0, "is unknown"},
    {FG_LEDGER_ORDER_RESERVED, FG_JOURNAL_RECORD_CLOSED, 0, "already reserved"},
    {FG_LEDGER_ORDER_SOLD, FG_JOURNAL_RECORD_CLOSED, 0, "already sold"},
    {FG_LEDGER_ORDER_CANCELLED, FG_JOURNAL_RECORD_CLOSED, 0, "already cancelled"},
    {FG_LEDGER_ORDER_EXPIRED, FG_JOURNAL_RECORD_CLOSED, FG_LEDGER_ORDER_CANCELLED, NULL},
    {FG_LEDGER_ORDER_REFUNDED, FG_JOURNAL_RECORD_CLOSED, 0, "already refunded"},
    {FG_LEDGER_ORDER_NONE, FG_JOURNAL_RECORD_REFUNDED, 0, "is unknown"},
    {FG_LEDGER_ORDER_RESERVED, FG_JOURNAL_RECORD_REFUNDED, 0, "already reserved"},
    {FG_LEDGER_ORDER_SOLD, FG_JOURNAL_RECORD_REFUNDED, FG_LEDGER_ORDER_REFUNDED, NULL},
    {FG_LEDGER_ORDER_CANCELLED, FG_JOURNAL_RECORD_REFUNDED, 0, "already cancelled"},
    {FG_LEDGER_ORDER_EXPIRED, FG_JOURNAL_RECORD_REFUNDED, 0, "already expired"},
    {FG_LEDGER_ORDER_REFUNDED, FG_JOURNAL_RECORD_REFUNDED, 0, "already refunded"},
    {FG_LEDGER_ORDER_WAITING, FG_JOURNAL_RECORD_RESERVED, 0, "already waiting"},
    {FG_LEDGER_ORDER_WAITING, FG_JOURNAL_RECORD_SOLD, 0, "already waiting"},
    {FG_LEDGER_ORDER_WAITING, FG_JOURNAL_RECORD_CANCELLED, 0, "already waiting"},
    {FG_LEDGER_ORDER_WAITING, FG_JOURNAL_RECORD_EXPIRED, 0, "already waiting"},
    {FG_LEDGER_ORDER_WAITING, FG_JOURNAL_RECORD_EXTENDED, 0, "already waiting"},
    {FG_LEDGER_ORDER_WAITING, FG_JOURNAL_RECORD_SOLD_LATE, 0, "already waiting"},
    {FG_LEDGER_ORDER_WAITING, FG_JOURNAL_RECORD_CLOSED, 0, "already waiting"},
    {FG_LEDGER_ORDER_WAITING, FG_JOURNAL_RECORD_REFUNDED, 0, "already waiting"},
    {FG_LEDGER_ORDER_NONE, FG_JOURNAL_RECORD_WAITING, FG_LEDGER_ORDER_WAITING, NULL},
    {FG_LEDGER_ORDER_RESERVED, FG_JOURNAL_RECORD_WAITING, 0, "already reserved"},
    {FG_LEDGER_ORDER_SOLD, FG_JOURNAL_RECORD_WAITING, 0, "already sold"},
    {FG_LEDGER_ORDER_CANCELLED, FG_JOURNAL_RECORD_WAITING, 0, "already cancelled"},
    {FG_LEDGER_ORDER_EXPIRED, FG_JOURNAL_RECORD_WAITING, 0, "already expired"},
    {FG_LEDGER_ORDER_REFUNDED, FG_JOURNAL_RECORD_WAITING, 0, "already refunded"},
    {FG_LEDGER_ORDER_WAITING, FG_JOURNAL_RECORD_WAITING, 0, "already waiting"},
    {FG_LEDGER_ORDER_NONE, FG_JOURNAL_RECORD_OFFERED, 0, "is unknown"},
    {FG_LEDGER_ORDER_RESERVED, FG_JOURNAL_RECORD_OFFERED, 0, "already reserved"},
    {FG_LEDGER_ORDER_SOLD, FG_JOURNAL_RECORD_OFFERED, 0, "already sold"},
    {FG_LEDGER_ORDER_CANCELLED, FG_JOURNAL_RECORD_OFFERED, 0, "already cancelled"},
    {FG_LEDGER_ORDER_EXPIRED, FG_JOURNAL_RECORD_OFFERED, 0, "already expired"},
    {FG_LEDGER_ORDER_REFUNDED, FG_JOURNAL_RECORD_OFFERED, 0, "already refunded"},
    {FG_LEDGER_ORDER_WAITING, FG_JOURNAL_RECORD_OFFERED, FG_LEDGER_ORDER_RESERVED, NULL},
    {FG_LEDGER_ORDER_NONE, FG_JOURNAL_RECORD_LEFT, 0, "is unknown"},
    {FG_LEDGER_ORDER_RESERVED, FG_JOURNAL_RECORD_LEFT, 0, "already reserved"},
    {FG_LEDGER_ORDER_SOLD, FG_JOURNAL_RECORD_LEFT, 0, "already sold"},
    {FG_LEDGER_ORDER_CANCELLED, FG_JOURNAL_RECORD_LEFT, 0, "already cancelled"},
    {FG_LEDGER_ORDER_EXPIRED, FG_JOURNAL_RECORD_LEFT, 0, "already expired"},
    {FG_LEDGER_ORDER_REFUNDED, FG_JOURNAL_RECORD_LEFT, 0, "already refunded"},
    {FG_LEDGER_ORDER_WAITING, FG_JOURNAL_RECORD_LEFT, FG_LEDGER_ORDER_CANCELLED, NULL},
};

/* came: the record that led there, 0 when that was `bring`. */
static void expect_after(const struct fg_ledger *l, unsigned after, unsigned came,
                         uint64_t deadline_ms)
{
    const struct fg_ledger_order *o = find(l, 4, 9);
    const struct fg_ledger_item *item = fg_ledger_item(l, 1);
    bool late = came == FG_JOURNAL_RECORD_SOLD_LATE, closed = came == FG_JOURNAL_RECORD_CLOSED;
    bool waits = after == FG_LEDGER_ORDER_WAITING, line = waits || came == FG_JOURNAL_RECORD_LEFT;
    bool refunded = after == FG_LEDGER_ORDER_REFUNDED, sold = after == FG_LEDGER_ORDER_SOLD;

    if (after == FG_LEDGER_ORDER_NONE) {
        assert_null(o);
        assert_int_equal(fg_ledger_orders(l), 0);
        expect_units(l, 1, 10, 0, 0);
        return;
    }
    assert_int_equal(o->state, after);
    assert_int_equal(o->quantity, 3);
    assert_int_equal(o->item, 1);
    assert_int_equal(o->user, 4);
    assert_int_equal(o->deadline_ms, line ? waits ? 79 : 0 : deadline_ms);
    assert_int_equal(o->line, line);
    assert_int_equal(item->waiting, waits);
    assert_int_equal(o->late, late);
    assert_int_equal(o->closed, closed);
    assert_int_equal(o->restocked, 0);
    assert_int_equal(item->refunded, refunded ? 3 : 0);
    expect_units(l, 1, after == FG_LEDGER_ORDER_RESERVED || sold || refunded ? 7 : 10,
                 after == FG_LEDGER_ORDER_RESERVED ? 3 : 0, sold ? 3 : 0);
    assert_int_equal(item->orders_reserved, !line);
    assert_int_equal(item->orders_sold, sold || refunded);
    assert_int_equal(item->orders_cancelled, after == FG_LEDGER_ORDER_CANCELLED && !line);
    assert_int_equal(item->orders_expired, after == FG_LEDGER_ORDER_EXPIRED || late || closed);
    assert_int_equal(item->orders_refunded, refunded);
    assert_int_equal(item->orders_late, late);
}

/* Its units were reserved by another order meanwhile, or go back on sale. */
static void late_payments_and_refunds_move_units(void **state)
{
    struct fg_ledger *l = fresh();
    struct fg_journal_record r;

    bring(l, FG_LEDGER_ORDER_EXPIRED);
    assert_true(order(l, FG_JOURNAL_RECORD_RESERVED, 1, 5, 1, 8));
    assert_false(order(l, FG_JOURNAL_RECORD_SOLD_LATE, 1, 4, 9, 3));
    expect_reason("3 units sold-late, 2 available");
    assert_true(order(l, FG_JOURNAL_RECORD_CANCELLED, 1, 5, 1, 8));
    assert_true(order(l, FG_JOURNAL_RECORD_SOLD_LATE, 1, 4, 9, 3));
    r = order_record(FG_JOURNAL_RECORD_REFUNDED, 1, 4, 9, 3);
    r.arg = 2;
    assert_false(apply(l, r));
    expect_reason("neither go back on sale nor not");
    r = order_record(FG_JOURNAL_RECORD_REFUNDED, 1, 4, 9, 3);
    r.arg = 1;
    assert_true(apply(l, r));
    expect_units(l, 1, 10, 0, 0);
    assert_int_equal(fg_ledger_item(l, 1)->refunded, 0);
    assert_int_equal(find(l, 4, 9)->restocked, 1);
    assert_int_equal(find(l, 4, 9)->late, 1);
    fg_ledger_destroy(l);
}

static void every_step_of_every_state(void **state)
{
    size_t n = sizeof(steps) / sizeof(*steps);

    assert_int_equal(n, FG_ORDER_STATES * (FG_JOURNAL_RECORD_EXPIRED - FG_JOURNAL_RECORD_RESERVED +
                                           1 + 7)); /* and the later ones */
    for (size_t i = 0; i < n; i++) {
        struct fg_ledger *l = fresh();
        bool ok;

        bring(l, steps[i].state);
        ok = order(l, steps[i].type, 1, 4, 9, 3);
        assert_int_equal(ok, steps[i].after != 0);
        if (!ok)
            expect_reason(steps[i].reason);
        expect_after(l, ok ? steps[i].after : steps[i].state, ok ? steps[i].type : 0,
                     ok && steps[i].type == FG_JOURNAL_RECORD_EXTENDED ? 9009 : 5009);
        if (ok)
            assert_int_equal(find(l, 4, 9)->changed_ms, 1000 + next_seq - 1);
        fg_ledger_destroy(l);
    }
}

static void a_waiting_list_is_kept(void **state)
{
    struct fg_ledger *l = fresh();
    struct fg_journal_record r = blank(FG_JOURNAL_RECORD_LINE_SET, 1);

    r.line_max = 9;
    r.claim_ms = 8;
    r.wait_ttl_ms = 7;
    r.line_flags = FG_JOURNAL_LINE_ONE_UNIT;
    assert_false(apply(l, r));
    expect_reason("the item is unknown");
    assert_true(item_set(l, 1, 1) && apply(l, r));
    assert_int_equal(fg_ledger_item(l, 1)->line_max, 9);
    assert_int_equal(fg_ledger_item(l, 1)->claim_ms, 8);
    assert_int_equal(fg_ledger_item(l, 1)->wait_ttl_ms, 7);
    assert_int_equal(fg_ledger_item(l, 1)->line_flags, FG_JOURNAL_LINE_ONE_UNIT);
    assert_true(order(l, FG_JOURNAL_RECORD_WAITING, 1, 4, 9, 3));
    assert_true(order(l, FG_JOURNAL_RECORD_WAITING, 1, 5, 2, 1)); /* a smaller ticket, later */
    assert_int_equal(fg_ledger_item(l, 1)->tickets, 79);
    assert_int_equal(fg_ledger_item(l, 1)->waiting, 2);
    assert_false(order(l, FG_JOURNAL_RECORD_OFFERED, 1, 5, 2, 1));
    expect_reason("1 units offered, 0 available");
    r = order_record(FG_JOURNAL_RECORD_LEFT, 1, 5, 2, 1);
    r.arg = 77;
    assert_false(apply(l, r));
    expect_reason("for no reason that there is");
    r = order_record(FG_JOURNAL_RECORD_WAITING, 1, 6, 1, 1);
    r.arg = 0;
    assert_false(apply(l, r));
    expect_reason("with no ticket");
    fg_ledger_destroy(l);
}

static bool moved(struct fg_ledger *l, unsigned type, uint64_t units, uint64_t times, uint64_t sum)
{
    struct fg_journal_record r = blank(type, 1);

    r.fleet_units = units;
    r.fleet_times = times;
    r.fleet_sum = sum;
    return apply(l, r);
}

/* The cumulative numbers name exactly one next record, so that none counts twice, or is left out.
 */
static void leases_and_returns_add_up(void **state)
{
    struct fg_ledger *l = fresh();
    const struct fg_ledger_item *item;

    assert_false(moved(l, FG_JOURNAL_RECORD_LEASE, 1, 1, 1));
    expect_reason("the item is unknown");
    assert_false(moved(l, FG_JOURNAL_RECORD_RETURN, 1, 1, 1));
    expect_reason("the item is unknown");
    assert_true(item_set(l, 1, 1) && stock(l, 1, 10));
    assert_true(moved(l, FG_JOURNAL_RECORD_LEASE, 5, 1, 5));
    expect_units(l, 1, 15, 0, 0);
    assert_false(moved(l, FG_JOURNAL_RECORD_LEASE, 5, 1, 5)); /* again */
    expect_reason("lease 1 of 5 units makes 5, after 1 leases of 5");
    assert_false(moved(l, FG_JOURNAL_RECORD_LEASE, 3, 3, 8));
    assert_false(moved(l, FG_JOURNAL_RECORD_LEASE, 3, 2, 9));
    assert_false(moved(l, FG_JOURNAL_RECORD_LEASE, 0, 2, 5));
    assert_false(
        moved(l, FG_JOURNAL_RECORD_LEASE, FG_JOURNAL_UNITS_MAX - 14, 2, FG_JOURNAL_UNITS_MAX - 9));
    expect_reason("1999999986 units added to 15, at most");
    assert_true(moved(l, FG_JOURNAL_RECORD_LEASE, 3, 2, 8));
    assert_true(order(l, FG_JOURNAL_RECORD_RESERVED, 1, 4, 9, 6));
    assert_false(moved(l, FG_JOURNAL_RECORD_RETURN, 13, 1, 13));
    expect_reason("13 units, 12 available");
    assert_true(moved(l, FG_JOURNAL_RECORD_RETURN, 12, 1, 12));
    expect_units(l, 1, 0, 6, 0);
    assert_false(moved(l, FG_JOURNAL_RECORD_RETURN, 12, 1, 12));
    expect_reason("return 1 of 12 units makes 12, after 1 returns of 12");
    assert_false(moved(l, FG_JOURNAL_RECORD_RETURN, 1, 3, 13));
    item = fg_ledger_item(l, 1);
    assert_int_equal(item->leased, 8);
    assert_int_equal(item->leases, 2);
    assert_int_equal(item->returned, 12);
    assert_int_equal(item->returns, 1);
    assert_int_equal(fg_ledger_item_stock(item), 10);
    assert_true(order(l, FG_JOURNAL_RECORD_CANCELLED, 1, 4, 9, 6) && stock(l, 1, -6));
    assert_int_equal(fg_ledger_item_stock(fg_ledger_item(l, 1)), 4);
    fg_ledger_destroy(l);
}

/* Records that are about no order are legal whatever state an order is in, and leave it alone. */
static void other_records_leave_orders_alone(void **state)
{
    for (unsigned s = FG_LEDGER_ORDER_NONE; s < FG_ORDER_STATES; s++) {
        struct fg_ledger *l = fresh();

        bring(l, s);
        assert_true(apply(l, blank(FG_JOURNAL_RECORD_BATCH, 0)));
        assert_true(item_set(l, 1, 7) && item_name(l, 1, "n") && stock(l, 1, 5) && stock(l, 1, -5));
        expect_after(l, s, 0, 5009);
        for (unsigned type = 0; type <= UINT8_MAX; type++) {
            if (strcmp(fg_journal_record_name(type), "?") != 0)
                continue;
            assert_false(apply(l, blank(type, 1)));
            expect_reason("unknown type");
        }
        fg_ledger_destroy(l);
    }
}

static void wrong_fields_are_refused(void **state)
{
    struct fg_ledger *l = fresh();

    static const uint8_t types[] = {FG_JOURNAL_RECORD_SOLD, FG_JOURNAL_RECORD_CANCELLED,
                                    FG_JOURNAL_RECORD_EXPIRED, FG_JOURNAL_RECORD_EXTENDED};

    bring(l, FG_LEDGER_ORDER_RESERVED);
    for (size_t i = 0; i < sizeof(types); i++) {
        unsigned type = types[i];

        assert_false(order(l, type, 2, 4, 9, 3));
        expect_reason("the order was for item 1");
        assert_false(order(l, type, 1, 4, 9, 2));
        expect_reason("the order was for 3");
        assert_false(order(l, type, 1, 5, 9, 3)); /* another user's */
        expect_reason("of user 5 is unknown");
        assert_false(order(l, type, 1, 4, 8, 3)); /* another id */
        expect_reason("order 08000000000000000000000000000000");
        assert_false(order(l, type, 3, 4, 9, 3));
        expect_reason("the item is unknown");
    }
    expect_after(l, FG_LEDGER_ORDER_RESERVED, 0, 5009);
    assert_false(order(l, FG_JOURNAL_RECORD_RESERVED, 3, 4, 10, 1));
    expect_reason("the item is unknown");
    assert_false(order(l, FG_JOURNAL_RECORD_RESERVED, 2, 4, 9, 1)); /* same key, other item */
    expect_reason("already reserved");
    assert_false(order(l, FG_JOURNAL_RECORD_RESERVED, 1, 4, 10, 0));
    expect_reason("no units");
    assert_false(order(l, FG_JOURNAL_RECORD_RESERVED, 1, 4, 10, 8));
    expect_reason("8 units reserved, 7 available");
    assert_true(order(l, FG_JOURNAL_RECORD_RESERVED, 1, 4, 10, 7)); /* the last ones */
    assert_false(order(l, FG_JOURNAL_RECORD_RESERVED, 1, 4, 11, 1));
    assert_true(order(l, FG_JOURNAL_RECORD_RESERVED, 2, 5, 9,
                      1)); /* the same id of another user is another order */
    expect_units(l, 1, 0, 10, 0);
    fg_ledger_destroy(l);
}

static bool deny(struct fg_ledger *l, uint64_t user, uint64_t arg)
{
    struct fg_journal_record r = blank(FG_JOURNAL_RECORD_USER, 0);

    r.user = user;
    r.arg = arg;
    return apply(l, r);
}

static bool is_denied(const struct fg_ledger *l, uint64_t user)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < fg_ledger_denied_users(l); i++)
        found += fg_ledger_denied_user(l, i) == user;
    assert_true(found <= 1);
    return found == 1;
}

static void denied_users_come_and_go(void **state)
{
    struct fg_ledger *l = fresh();

    for (uint64_t user = 0; user < 200; user++) /* grows */
        assert_true(deny(l, user, 1) && deny(l, user, 1));
    assert_int_equal(fg_ledger_denied_users(l), 200);
    for (uint64_t user = 0; user < 200; user += 2)
        assert_true(deny(l, user, 0) && deny(l, user, 0));
    assert_int_equal(fg_ledger_denied_users(l), 100);
    for (uint64_t user = 0; user < 200; user++)
        assert_int_equal(is_denied(l, user), user % 2);
    assert_false(deny(l, 1, 2));
    expect_reason("neither denied nor allowed");
    assert_true(is_denied(l, 1));
    fg_ledger_destroy(l);
}

static void sequences_have_no_gap(void **state)
{
    struct fg_ledger *l = fresh();
    static const uint64_t wrong[] = {0, 1, 2, 4, UINT64_MAX};

    assert_true(apply(l, blank(FG_JOURNAL_RECORD_BATCH, 0)) &&
                apply(l, blank(FG_JOURNAL_RECORD_BATCH, 0)));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        struct fg_journal_record r = blank(FG_JOURNAL_RECORD_BATCH, 0);

        r.seq = wrong[i];
        assert_false(fg_ledger_apply(l, &r, &err));
        expect_reason("3 expected");
        assert_int_equal(fg_ledger_seq(l), 2);
    }
    struct fg_journal_record r = blank(FG_JOURNAL_RECORD_BATCH, 0);

    r.arg = 3; /* itself */
    assert_false(apply(l, r));
    expect_reason("durable");
    r.arg = 2;
    assert_true(apply(l, r));
    fg_ledger_destroy(l);
}

static void many_items_and_orders_are_found_again(void **state)
{
    enum { ITEMS = 9000, ORDERS = 200000 };
    struct fg_ledger *l = fresh();

    for (uint64_t i = 0; i < ITEMS; i++)
        assert_true(item_set(l, i << 40, (uint32_t)i) && stock(l, i << 40, 100));
    for (uint64_t i = 0; i < ORDERS; i++)
        assert_true(order(l, FG_JOURNAL_RECORD_RESERVED, (i % ITEMS) << 40, i / 7, i, 1 + i % 2));
    assert_int_equal(fg_ledger_orders(l), ORDERS);
    for (uint64_t i = 0; i < ORDERS; i++) {
        const struct fg_ledger_order *o = find(l, i / 7, i);

        assert_ptr_equal(o, fg_ledger_order_at(l, i));
        assert_int_equal(o->quantity, 1 + i % 2);
        assert_null(find(l, i / 7 + 1, i));
    }
    for (uint64_t i = 0; i < ITEMS; i++)
        assert_int_equal(fg_ledger_item(l, i << 40)->hold_ms, i);
    fg_ledger_destroy(l);
}

/* ---- replay ---------------------------------------------------------------------------------- */

static uint64_t rng;

static uint64_t rnd(uint64_t n)
{
    rng = rng * 6364136223846793005ull + 1442695040888963407ull;
    return (rng >> 33) % n;
}

/* A legal random sale: made by trying random records on a ledger of its own and keeping what it
 * takes. */
static void write_sale(size_t records)
{
    struct fg_journal *j = must_open();
    struct fg_ledger *l = fg_ledger_create();
    struct fg_journal_record batch[64];

    while (records > 0) {
        size_t n = 0, want = 1 + rnd(64);

        next_seq = fg_ledger_seq(l) + 1;
        assert_true(apply(l, blank(FG_JOURNAL_RECORD_BATCH, 0)));
        while (n < want && n < records) {
            struct fg_journal_record r =
                order_record((unsigned)(2 + rnd(4)), rnd(20), rnd(50), rnd(3000), 1);

            if (rnd(20) == 0) {
                r = blank((unsigned)(6 + rnd(3)), rnd(20));
                if (r.type == FG_JOURNAL_RECORD_STOCK)
                    r.arg = (uint64_t)(int64_t)rnd(40) - 5;
                else
                    r.name[0] = (uint8_t)('a' + rnd(26));
            }
            if (apply(l, r))
                batch[n++] = r;
        }
        assert_true(fg_journal_commit(j, batch, n, 1));
        assert_int_equal(fg_journal_last_seq(j), fg_ledger_seq(l));
        records -= n;
    }
    fg_journal_close(j);
    fg_ledger_destroy(l);
}

static void expect_equal(const struct fg_ledger *a, const struct fg_ledger *b)
{
    assert_int_equal(fg_ledger_seq(a), fg_ledger_seq(b));
    assert_int_equal(fg_ledger_items(a), fg_ledger_items(b));
    assert_int_equal(fg_ledger_orders(a), fg_ledger_orders(b));
    for (uint32_t i = 0; i < fg_ledger_items(a); i++)
        assert_memory_equal(fg_ledger_item_at(a, i), fg_ledger_item_at(b, i),
                            sizeof(struct fg_ledger_item));
    for (uint64_t i = 0; i < fg_ledger_orders(a); i++)
        assert_memory_equal(fg_ledger_order_at(a, i), fg_ledger_order_at(b, i),
                            sizeof(struct fg_ledger_order));
}

/* Every order's units, added up apart from the ledger's own counters. */
static void expect_conserved(const struct fg_ledger *l)
{
    for (uint32_t i = 0; i < fg_ledger_items(l); i++) {
        const struct fg_ledger_item *item = fg_ledger_item_at(l, i);
        uint64_t units[FG_LEDGER_ORDER_EXPIRED + 1] = {0};

        for (uint64_t k = 0; k < fg_ledger_orders(l); k++)
            if (fg_ledger_order_at(l, k)->item == item->item)
                units[fg_ledger_order_at(l, k)->state] += fg_ledger_order_at(l, k)->quantity;
        assert_int_equal(item->reserved, units[FG_LEDGER_ORDER_RESERVED]);
        assert_int_equal(item->sold, units[FG_LEDGER_ORDER_SOLD]);
        assert_int_equal(item->total, item->available + item->reserved + item->sold);
    }
}

static void replay_in_pieces_is_replay_at_once(void **state)
{
    struct fg_ledger *whole = fg_ledger_create(), *pieces = fg_ledger_create();
    uint64_t last;

    rng = 42;
    write_sale(6000); /* several segments */
    assert_true(fg_ledger_replay(whole, log_dir, UINT64_MAX, &err));
    last = fg_ledger_seq(whole);
    assert_true(last > 6000);
    assert_true(fg_ledger_orders(whole) > 300);
    expect_conserved(whole);
    for (uint64_t seq = 0; seq < last;) {
        seq = seq + 1 + rnd(300) < last ? seq + 1 + rnd(300) : last;
        if (seq > last)
            seq = last;
        assert_true(fg_ledger_replay(pieces, log_dir, seq, &err));
        if (fg_ledger_seq(pieces) < seq)
            fail_msg("at %" PRIu64 " of %" PRIu64, fg_ledger_seq(pieces), seq);
        seq = fg_ledger_seq(pieces);
        assert_true(fg_ledger_replay(pieces, log_dir, seq, &err)); /* nothing to do */
        assert_int_equal(fg_ledger_seq(pieces), seq);
    }
    expect_equal(whole, pieces);
    assert_false(fg_ledger_replay(whole, log_dir, last + 1, &err)); /* promised, not there */
    assert_true(fg_ledger_replay(whole, log_dir, UINT64_MAX, &err));
    expect_equal(whole, pieces);
    fg_ledger_destroy(whole);
    fg_ledger_destroy(pieces);
}

static void replay_reports_what_is_wrong(void **state)
{
    struct fg_ledger *l = fresh();
    struct fg_journal *j;
    struct fg_journal_record r[3];

    assert_false(fg_ledger_replay(l, "/nonexistent/log", UINT64_MAX, &err));
    expect_reason("/nonexistent/log");
    j = must_open();
    assert_true(fg_ledger_replay(l, log_dir, UINT64_MAX, &err)); /* empty */
    assert_int_equal(fg_ledger_seq(l), 0);
    r[0] = blank(FG_JOURNAL_RECORD_ITEM_SET, 1);
    r[1] = blank(FG_JOURNAL_RECORD_STOCK, 1);
    r[1].arg = 1;
    r[2] = order_record(FG_JOURNAL_RECORD_RESERVED, 1, 1, 1, 2);
    assert_true(fg_journal_commit(j, r, 3, 1));
    assert_false(fg_ledger_replay(l, log_dir, UINT64_MAX, &err));
    expect_reason("record 4 (reserved, item 1): 2 units reserved, 1 available");
    assert_int_equal(fg_ledger_seq(l), 3); /* what was legal is applied */
    fg_journal_close(j);
    fg_ledger_destroy(l);
}

static void state_names(void **state)
{
    assert_string_equal(fg_ledger_order_state_name(FG_LEDGER_ORDER_NONE), "none");
    assert_string_equal(fg_ledger_order_state_name(FG_LEDGER_ORDER_RESERVED), "reserved");
    assert_string_equal(fg_ledger_order_state_name(FG_LEDGER_ORDER_EXPIRED), "expired");
    assert_string_equal(fg_ledger_order_state_name(FG_ORDER_STATES), "?");
}

/* ---- speed: only when asked for -------------------------------------------------------------- */

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The same state by a snapshot. */
static void snapshot_is_quick(const struct fg_ledger *l, uint64_t orders)
{
    struct fg_ledger *back = fg_ledger_create();
    struct fg_ledger_snapshot_info info;
    double start = now_s(), written;

    assert_true(fg_ledger_snapshot_write(l, log_dir, 1, 1, &err));
    written = now_s() - start;
    start = now_s();
    if (!fg_ledger_snapshot_load(back, log_dir, &info, &err))
        fail_msg("%s", err.text);
    print_message("%" PRIu64 " orders as a snapshot: written in %.2f s, loaded in %.2f s\n",
                  fg_ledger_orders(back), written, now_s() - start);
    assert_int_equal(fg_ledger_orders(back), orders);
    fg_ledger_destroy(back);
}

/* FG_LEDGER_ORDERS=10000000: that many orders reserved, and all of them sold in another order. */
static void replay_is_quick(void **state)
{
    const char *want = getenv("FG_LEDGER_ORDERS");
    struct fg_journal_options o = {.dir = log_dir, .begin = true, .memory = true};
    uint64_t orders = want ? strtoull(want, NULL, 10) : 0;
    struct fg_journal *j;
    struct fg_ledger *l;
    struct fg_journal_record *r;
    double start;

    if (!orders)
        skip();
    r = calloc(8000, sizeof(*r));
    j = fg_journal_open(&o, &err);
    r[0] = blank(FG_JOURNAL_RECORD_ITEM_SET, 1);
    r[1] = blank(FG_JOURNAL_RECORD_STOCK, 1);
    r[1].arg = FG_JOURNAL_UNITS_MAX;
    assert_true(fg_journal_commit(j, r, 2, 1));
    for (uint64_t i = 0; i < 2 * orders; i += 8000) {
        for (uint64_t k = i; k < i + 8000; k++) {
            uint64_t n = k < orders ? k : k * 7919 % orders;

            r[k - i] =
                order_record(k < orders ? FG_JOURNAL_RECORD_RESERVED : FG_JOURNAL_RECORD_SOLD, 1,
                             fg_mix64(n, 1), n, 1);
        }
        assert_true(fg_journal_commit(j, r, 8000, 1));
    }
    fg_journal_close(j);
    l = fg_ledger_create();
    start = now_s();
    if (!fg_ledger_replay(l, log_dir, UINT64_MAX, &err))
        fail_msg("%s", err.text);
    print_message("%" PRIu64 " orders, %" PRIu64 " records: %.2f s\n", fg_ledger_orders(l),
                  fg_ledger_seq(l), now_s() - start);
    expect_units(l, 1, FG_JOURNAL_UNITS_MAX - orders, 0, orders);
    snapshot_is_quick(l, orders);
    fg_ledger_destroy(l);
    free(r);
}

static uint64_t resident_bytes(void)
{
    FILE *in = fopen("/proc/self/statm", "r");
    unsigned long long all, resident;

    assert_non_null(in);
    assert_int_equal(fscanf(in, "%llu %llu", &all, &resident), 2);
    fclose(in);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* What is reserved is touched at once, and orders then find all of it there; more of them find
 * more. */
static void reserved_room_is_there_before_the_orders(void **state)
{
    const uint64_t reserved = 600000, bytes = reserved * (sizeof(struct fg_ledger_order) + 8),
                   slack = 3 << 20;
    const uint64_t told = fg_ledger_memory(reserved);
    struct fg_ledger *l = fresh();
    uint64_t before = resident_bytes(), filled;

    item_set(l, 1, 1000);
    stock(l, 1, FG_JOURNAL_UNITS_MAX);
    for (uint64_t i = 0; i < 5000; i++) /* some that were there before */
        assert_true(order(l, FG_JOURNAL_RECORD_RESERVED, 1, i, i, 1));
    assert_true(fg_ledger_reserve(l, reserved));
    filled = resident_bytes();
    if (filled < before + bytes || filled > before + told + slack)
        fail_msg("%" PRIu64 " bytes more, %" PRIu64 " to %" PRIu64 " expected", filled - before,
                 bytes, told);
    for (uint64_t i = 5000; i < reserved; i++)
        assert_true(order(l, FG_JOURNAL_RECORD_RESERVED, 1, i, i, 1));
    if (resident_bytes() > filled + slack)
        fail_msg("%" PRIu64 " bytes more while orders came", resident_bytes() - filled);
    assert_true(fg_ledger_reserve(l, 10)); /* never less than before */
    for (uint64_t i = reserved; i < 2 * reserved; i++)
        assert_true(order(l, FG_JOURNAL_RECORD_RESERVED, 1, i, i, 1));
    for (uint64_t i = 0; i < 2 * reserved; i++)
        assert_int_equal(find(l, i, i)->order_id[0], i & 0xff);
    assert_null(find(l, 2 * reserved, 2 * reserved));
    assert_false(fg_ledger_reserve(l, UINT32_MAX)); /* places have 32 bits */
    fg_ledger_destroy(l);
}

#define T(f) cmocka_unit_test_setup_teardown(f, make_scratch, drop_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_ledger_answers),
        cmocka_unit_test(items_keep_settings_names_and_order),
        cmocka_unit_test(stock_has_limits),
        cmocka_unit_test(every_step_of_every_state),
        cmocka_unit_test(a_waiting_list_is_kept),
        cmocka_unit_test(leases_and_returns_add_up),
        cmocka_unit_test(late_payments_and_refunds_move_units),
        cmocka_unit_test(other_records_leave_orders_alone),
        cmocka_unit_test(wrong_fields_are_refused),
        cmocka_unit_test(denied_users_come_and_go),
        cmocka_unit_test(sequences_have_no_gap),
        cmocka_unit_test(many_items_and_orders_are_found_again),
        cmocka_unit_test(reserved_room_is_there_before_the_orders),
        cmocka_unit_test(state_names),
        T(replay_in_pieces_is_replay_at_once),
        T(replay_reports_what_is_wrong),
        T(replay_is_quick),
    };
    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
