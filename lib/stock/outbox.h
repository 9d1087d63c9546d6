/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine's ways out: records for the journal, answers that are ready, answers and releases that
 * are deferred until the disk has a record, messages to other workers. Private to lib/stock.
 */
#ifndef FG_STOCK_OUTBOX_H
#define FG_STOCK_OUTBOX_H

#include "stock/engine.h"

/* True when there is room to write a decision's record and to defer its answer. */
static inline bool can_record(struct fg_stock *s)
{
    return s->deferred.tail - s->deferred.head < s->deferred.max &&
           fg_ring_room(s->config.journal, 1) > 0;
}

/* Takes a slot in the queue of answers that wait for record `seq`; can_record() was true. */
static inline struct deferred *defer(struct fg_stock *s, uint64_t seq)
{
    struct deferred *d = &s->deferred.slots[s->deferred.tail & s->deferred.mask];

    FG_ASSERT(s->deferred.tail - s->deferred.head < s->deferred.max);
    s->deferred.tail++;
    d->seq = seq;
    d->units = 0;
    d->answer.token = FG_STOCK_NO_TOKEN;
    return d;
}

/* FG_PACKET_STATUS_NONE when the log accepts records; else the answer to a request that waits. */
static inline enum fg_packet_status mode_refusal(const struct fg_stock *s)
{
    if (s->mode == FG_STOCK_NO_SPACE)
        return FG_PACKET_STATUS_BUSY;
    return s->mode == FG_STOCK_FAILED ? FG_PACKET_STATUS_UNAVAILABLE : FG_PACKET_STATUS_NONE;
}

/* The result of the operator's command in this mode: DONE when it may be tried. */
static inline enum fg_stock_outcome mode_outcome(const struct fg_stock *s)
{
    if (s->mode == FG_STOCK_NO_SPACE)
        return FG_STOCK_OUTCOME_BUSY;
    return s->mode == FG_STOCK_FAILED ? FG_STOCK_OUTCOME_UNAVAILABLE : FG_STOCK_OUTCOME_DONE;
}

/* Completes a record and gives it to the journal; can_record() was true. */
void fg_stock_push_record(struct fg_stock *s, struct fg_journal_record *record, uint64_t now_ms);

/* Records that the item's total changes by `units`; can_record() was true. */
void fg_stock_push_stock(struct fg_stock *s, uint64_t now_ms, uint64_t item, int64_t units);

/* The next fg_stock_poll hands this answer out. */
void fg_stock_push_ready(struct fg_stock *s, const struct fg_stock_answer *answer);

/* Answers the operator's command `ticket` about an item in the next fg_stock_poll. */
void fg_stock_answer_command(struct fg_stock *s, uint64_t item, uint32_t ticket,
                             enum fg_stock_outcome outcome, uint32_t left);

/* The same when the record pushed last is durable: it is done. Releases `release` units then. */
void fg_stock_defer_command(struct fg_stock *s, uint64_t item, uint32_t ticket, uint32_t index,
                            uint32_t release);

/* The same two for a command about a user. */
void fg_stock_answer_user(struct fg_stock *s, uint64_t user, uint32_t ticket,
                          enum fg_stock_outcome outcome);
void fg_stock_defer_user(struct fg_stock *s, uint64_t user, uint32_t ticket);

/* Sends a message about the item to another worker; false when the ring has no room. */
bool fg_stock_send_to(struct fg_stock *s, unsigned worker, uint8_t type, uint32_t index,
                      uint32_t units, uint32_t serial, uint32_t left);

#endif
