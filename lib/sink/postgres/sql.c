/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The statements that carry a batch. Each takes whole columns as arrays, so that a batch is a few
 * statements and not thousands. A change of an order names everything that must have been there
 * before: a row that another program changed is not found, and the sink counts.
 */
#include "sink/postgres/batch.h"

#define STATES                                                                                     \
    "(ARRAY['reserved', 'sold', 'cancelled', 'expired', 'refunded', 'waiting']::order_state[])"
_Static_assert(FG_LEDGER_ORDER_RESERVED == 1 && FG_LEDGER_ORDER_SOLD == 2 &&
                   FG_LEDGER_ORDER_CANCELLED == 3 && FG_LEDGER_ORDER_EXPIRED == 4 &&
                   FG_LEDGER_ORDER_REFUNDED == 5 && FG_LEDGER_ORDER_WAITING == 6,
               "indices of that array");

#define ORDERS                                                                                     \
    " FROM unnest($1::numeric[], $2::uuid[], $3::numeric[], $4::int4[], $5::int4[], $6::int4[],"   \
    " $7::bool[], $8::timestamptz[], $9::timestamptz[], $10::int8[]) AS n(user_id, order_id,"      \
    " item, quantity, state, before, late, deadline, changed, seq)"

#define ORDERS_INSERT                                                                              \
    "INSERT INTO orders (user_id, order_id, item, quantity, state, late, deadline, changed, seq) " \
    "SELECT user_id, order_id, item, quantity, " STATES "[state], late, deadline, changed, "       \
    "seq" ORDERS

#define ITEM_FIELDS                                                                                \
    "name, opens, closes, hold_ms, user_limit, order_max, paused, total, available, reserved, "    \
    "sold, refunded, orders,"                                                                      \
    " orders_sold, orders_cancelled, orders_expired, orders_refunded, orders_late, seq,"           \
    " waiting, line_max, claim_ms, wait_ttl_ms, one_unit, leased, returned, added"

const char *const fg_sink_postgres_sql[FG_POSTGRES_STATEMENTS] = {
    [FG_SINK_POSTGRES_ITEMS_SET] =
        "INSERT INTO inventory (item, opens, closes, hold_ms, user_limit, order_max, paused, seq) "
        "SELECT * FROM unnest($1::numeric[], $2::timestamptz[], $3::timestamptz[], $4::int8[], "
        "$5::int8[],"
        " $6::int4[], $7::bool[], $8::int8[]) "
        "ON CONFLICT (item) DO UPDATE SET opens = excluded.opens, closes = excluded.closes,"
        " hold_ms = excluded.hold_ms, user_limit = excluded.user_limit, order_max = "
        "excluded.order_max,"
        " paused = excluded.paused, seq = excluded.seq",
    [FG_SINK_POSTGRES_ITEMS_NAME] = "UPDATE inventory AS i SET name = n.name, seq = n.seq "
                                    "FROM unnest($1::numeric[], $2::text[], $3::int8[]) AS n(item, "
                                    "name, seq) WHERE i.item = n.item",
    [FG_SINK_POSTGRES_ITEMS_LINE] =
        "UPDATE inventory AS i SET line_max = n.line_max, claim_ms = n.claim_ms,"
        " wait_ttl_ms = n.wait_ttl_ms, one_unit = n.one_unit, seq = n.seq "
        "FROM unnest($1::numeric[], $2::int8[], $3::int8[], $4::int8[], $5::bool[], $6::int8[])"
        " AS n(item, line_max, claim_ms, wait_ttl_ms, one_unit, seq) WHERE i.item = n.item",
    [FG_SINK_POSTGRES_ITEMS_COUNT] =
        "UPDATE inventory AS i SET total = i.total + n.total, available = i.available + "
        "n.available,"
        " reserved = i.reserved + n.reserved, sold = i.sold + n.sold,"
        " refunded = i.refunded + n.refunded, orders = i.orders + n.orders,"
        " orders_sold = i.orders_sold + n.orders_sold,"
        " orders_cancelled = i.orders_cancelled + n.orders_cancelled,"
        " orders_expired = i.orders_expired + n.orders_expired,"
        " orders_refunded = i.orders_refunded + n.orders_refunded,"
        " orders_late = i.orders_late + n.orders_late, waiting = i.waiting + n.waiting,"
        " leased = i.leased + n.leased, returned = i.returned + n.returned,"
        " added = i.added + n.total - n.leased + n.returned,"
        " seq = n.seq "
        "FROM unnest($1::numeric[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], "
        "$7::int8[],"
        " $8::int8[], $9::int8[], $10::int8[], $11::int8[], $12::int8[], $13::int8[], $14::int8[],"
        " $15::int8[], $16::int8[])"
        " AS n(item, total, available, reserved, sold, refunded, orders, orders_sold,"
        " orders_cancelled, orders_expired, orders_refunded, orders_late, waiting,"
        " leased, returned, seq)"
        " WHERE i.item = "
        "n.item",
    [FG_SINK_POSTGRES_ORDERS_ADD] = ORDERS_INSERT,
    [FG_SINK_POSTGRES_ORDERS_CHANGE] =
        "UPDATE orders AS o SET state = " STATES "[n.state], late = o.late OR n.late,"
        " deadline = coalesce(n.deadline, o.deadline),"
        " changed = n.changed, seq = n.seq" ORDERS
        " WHERE o.user_id = n.user_id AND o.order_id = n.order_id AND o.item = n.item"
        " AND o.quantity = n.quantity AND o.state = " STATES "[n.before]",
    [FG_SINK_POSTGRES_USERS_DENY] = "INSERT INTO denied_users (user_id) SELECT * FROM "
                                    "unnest($1::numeric[]) ON CONFLICT DO NOTHING",
    [FG_SINK_POSTGRES_USERS_ALLOW] =
        "DELETE FROM denied_users AS d USING unnest($1::numeric[]) AS n(user_id)"
        " WHERE d.user_id = n.user_id",
    [FG_SINK_POSTGRES_ITEMS_PUT] =
        "INSERT INTO inventory (item, " ITEM_FIELDS ") "
        "SELECT * FROM unnest($1::numeric[], $2::text[], $3::timestamptz[], $4::timestamptz[], "
        "$5::int8[],"
        " $6::int8[], $7::int4[], $8::bool[], $9::int8[], $10::int8[], $11::int8[], $12::int8[],"
        " $13::int8[], $14::int8[], $15::int8[], $16::int8[], $17::int8[], $18::int8[],"
        " $19::int8[], $20::int8[], $21::int8[], $22::int8[], $23::int8[], $24::int8[],"
        " $25::bool[], $26::int8[], $27::int8[], $28::int8[]) AS n(item, " ITEM_FIELDS ") "
        "ON CONFLICT (item) DO UPDATE SET (" ITEM_FIELDS ") = "
        "(SELECT " ITEM_FIELDS " FROM (SELECT excluded.*) AS n)",
    [FG_SINK_POSTGRES_ORDERS_PUT] = ORDERS_INSERT
    " ON CONFLICT (user_id, order_id) DO UPDATE SET state = excluded.state, late = excluded.late,"
    " deadline = excluded.deadline, changed = excluded.changed, seq = excluded.seq"
    " WHERE (orders.state, orders.late, orders.deadline, orders.changed)"
    " IS DISTINCT FROM (excluded.state, excluded.late, excluded.deadline, excluded.changed)",
};
