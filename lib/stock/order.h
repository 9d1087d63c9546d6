/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The steps of an order. Each changes the order, writes the record, and defers the answer until
 * that record is durable; can_record() was true. Private to lib/stock.
 */
#ifndef FG_STOCK_ORDER_H
#define FG_STOCK_ORDER_H

#include "stock/outbox.h"

/* The asker, and the token of the answer. */
struct asker {
    uint32_t token; /* FG_STOCK_NO_TOKEN: no answer */
    uint8_t kind;   /* enum fg_stock_kind */
};

/* The rest of a hold; at least 1, because 0 means no hint. */
static inline uint32_t hold_left_ms(uint64_t deadline_ms, uint64_t now_ms)
{
    return deadline_ms > now_ms ? (uint32_t)(deadline_ms - now_ms) : 1;
}

/* Its ticket, and how many users are ahead. */
void fg_stock_answer_ticket(const struct fg_stock *s, const struct order *o,
                            struct fg_stock_answer *a);

/* Answers with the state of an order. Leaves token and kind alone, and retry_ms to who hands the
 * answer out. */
INLINE void answer_order(const struct fg_stock *s, const struct order *o, struct asker asker,
                         struct fg_stock_answer *a)
{
    static const uint8_t status[ORDER_STATES] = {
        [FG_LEDGER_ORDER_RESERVED] = FG_PACKET_STATUS_RESERVED,
        [FG_LEDGER_ORDER_SOLD] = FG_PACKET_STATUS_SOLD,
        [FG_LEDGER_ORDER_CANCELLED] = FG_PACKET_STATUS_CANCELLED,
        [FG_LEDGER_ORDER_EXPIRED] = FG_PACKET_STATUS_EXPIRED,
        [FG_LEDGER_ORDER_REFUNDED] = FG_PACKET_STATUS_REFUNDED,
        [FG_LEDGER_ORDER_WAITING] = FG_PACKET_STATUS_WAITING,
        [ORDER_OFFERED] = FG_PACKET_STATUS_WAITING,
    };
    const struct item *item = &s->items[o->item];

    a->token = asker.token;
    a->kind = asker.kind & 0xfu; /* with the flags: one store of a byte */
    a->flags = o->late ? FG_PACKET_LATE : 0;
    a->status = status[o->state];
    a->quantity = o->quantity;
    a->left = item_left(s, item);
    a->retry_ms = 0;
    a->deadline_ms = o->state == FG_LEDGER_ORDER_RESERVED ? o->deadline_ms : 0;
    a->item = item->id;
    memcpy(a->order_id, o->order_id, 16);
    if (fg_unlikely(a->status == FG_PACKET_STATUS_WAITING))
        fg_stock_answer_ticket(s, o, a);
}

/* Reserves free units of this worker for a request that passed every check; or sells them, when it
 * is the late payment of an expired order. */
void fg_stock_accept(struct fg_stock *s, uint64_t now_ms, uint32_t order, struct asker asker);

void fg_stock_sell(struct fg_stock *s, uint64_t now_ms, struct order *o, struct asker asker);

void fg_stock_extend(struct fg_stock *s, uint64_t now_ms, struct order *o, uint64_t until_ms,
                     struct asker asker);

void fg_stock_cancel(struct fg_stock *s, uint64_t now_ms, struct order *o, struct asker asker);

/* An expired order can be paid no more. */
void fg_stock_close(struct fg_stock *s, uint64_t now_ms, struct order *o, struct asker asker);

/* Undoes a sale. */
void fg_stock_refund(struct fg_stock *s, uint64_t now_ms, struct order *o, bool restock,
                     struct asker asker);

void fg_stock_expire(struct fg_stock *s, uint64_t now_ms, struct order *o);

/* The order has a ticket: it is in the line. */
struct fg_stock_answer *fg_stock_wait(struct fg_stock *s, uint64_t now_ms, struct order *o,
                                      struct asker asker);

/* The waiting order takes the units that it was offered. */
void fg_stock_take_offer(struct fg_stock *s, uint64_t now_ms, uint32_t order, uint32_t claim_ms);

/* The order leaves the line; why: enum fg_journal_left. */
void fg_stock_leave(struct fg_stock *s, uint64_t now_ms, struct order *o, unsigned why,
                    struct asker asker);

#endif
