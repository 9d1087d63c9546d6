/* SPDX-License-Identifier: BSD-3-Clause */
#include "stock/outbox.h"

void fg_stock_push_record(struct fg_stock *s, struct fg_journal_record *record, uint64_t now_ms)
{
    record->time_ms = now_ms;
    record->worker = (uint8_t)s->config.worker;
    FG_ASSERT(fg_ring_push(s->config.journal, record));
    s->pushed++;
}

void fg_stock_push_stock(struct fg_stock *s, uint64_t now_ms, uint64_t item, int64_t units)
{
    struct fg_journal_record r = {
        .type = FG_JOURNAL_RECORD_STOCK, .item = item, .arg = (uint64_t)units};

    fg_stock_push_record(s, &r, now_ms);
}

void fg_stock_push_ready(struct fg_stock *s, const struct fg_stock_answer *answer)
{
    FG_ASSERT(s->ready.tail - s->ready.head <= s->ready.mask);
    s->ready.slots[s->ready.tail++ & s->ready.mask] = *answer;
}

void fg_stock_answer_command(struct fg_stock *s, uint64_t item, uint32_t ticket,
                             enum fg_stock_outcome outcome, uint32_t left)
{
    struct fg_stock_answer a = {.token = ticket,
                                .kind = FG_STOCK_OPERATOR,
                                .outcome = (uint8_t)outcome,
                                .left = left,
                                .item = item};

    fg_stock_push_ready(s, &a);
}

void fg_stock_answer_user(struct fg_stock *s, uint64_t user, uint32_t ticket,
                          enum fg_stock_outcome outcome)
{
    struct fg_stock_answer a = {
        .token = ticket, .kind = FG_STOCK_OPERATOR, .outcome = (uint8_t)outcome, .user = user};

    fg_stock_push_ready(s, &a);
}

void fg_stock_defer_user(struct fg_stock *s, uint64_t user, uint32_t ticket)
{
    defer(s, s->pushed)->answer = (struct fg_stock_answer){
        .token = ticket, .kind = FG_STOCK_OPERATOR, .outcome = FG_STOCK_OUTCOME_DONE, .user = user};
}

void fg_stock_defer_command(struct fg_stock *s, uint64_t item, uint32_t ticket, uint32_t index,
                            uint32_t release)
{
    struct deferred *d = defer(s, s->pushed);

    d->item = index;
    d->units = release;
    d->answer = (struct fg_stock_answer){
        .token = ticket, .kind = FG_STOCK_OPERATOR, .outcome = FG_STOCK_OUTCOME_DONE, .item = item};
}

bool fg_stock_send_to(struct fg_stock *s, unsigned worker, uint8_t type, uint32_t index,
                      uint32_t units, uint32_t serial, uint32_t left)
{
    struct fg_stock_message m = {
        .type = type, .index = index, .units = units, .serial = serial, .left = left};

    FG_ASSERT(worker < s->config.workers && worker != s->config.worker);
    return fg_ring_push(s->config.to[worker], &m);
}
