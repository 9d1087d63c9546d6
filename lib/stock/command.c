/* SPDX-License-Identifier: BSD-3-Clause */
/* The operator's commands. Each is answered once: at once, or when its record is durable. */
#include "stock/bank.h"
#include "stock/draw.h"
#include "stock/fleet_bank.h"
#include "stock/line.h"
#include "stock/order.h"
#include "stock/tables.h"
#include "stock/users.h"

static void item_set(struct fg_stock *s, uint64_t now_ms, const struct fg_stock_command *c)
{
    struct fg_journal_record r = {.type = FG_JOURNAL_RECORD_ITEM_SET,
                                  .item = c->item,
                                  .opens_ms = c->opens_ms,
                                  .closes_ms = c->closes_ms,
                                  .hold_ms = c->hold_ms,
                                  .user_limit = c->user_limit,
                                  .order_max = c->order_max,
                                  .flags = c->flags};

    if (fg_stock_is_drawing(s, c->index)) { /* its record must not come behind a later opening */
        fg_stock_answer_command(s, c->item, c->ticket, FG_STOCK_OUTCOME_BUSY, 0);
        return;
    }
    if (s->config.limits.waiting_max)
        s->lines[c->index].opens_ms = c->opens_ms;
    s->draw_due_ms = 0;
    fg_stock_item_define(s, c->index, c->item);
    fg_stock_push_record(s, &r, now_ms);
    fg_stock_defer_command(s, c->item, c->ticket, c->index, 0);
}

static void item_apply(struct fg_stock *s, const struct fg_stock_command *c)
{
    struct item *item = item_at(s, c->index);

    fg_stock_item_define(s, c->index, c->item);
    item->opens_ms = c->opens_ms;
    item->closes_ms = c->closes_ms;
    item->hold_ms = c->hold_ms;
    item->user_limit = c->user_limit;
    item->order_max = c->order_max;
    item->flags = c->flags;
    item->live = 1;
    s->draw_due_ms = 0;
    if (s->banks[c->index].line) /* it may have been paused */
        mark_dirty(s, c->index);
    fg_stock_answer_command(s, c->item, c->ticket, FG_STOCK_OUTCOME_DONE, 0);
}

/* The order of those who wait is known, or RESERVE gets units. */
static bool is_too_late_for_draw(const struct fg_stock *s, uint64_t now_ms, uint32_t index)
{
    return now_ms >= s->items[index].opens_ms || s->banks[index].line;
}

static void line_set(struct fg_stock *s, uint64_t now_ms, const struct fg_stock_command *c)
{
    struct fg_journal_record r = {.type = FG_JOURNAL_RECORD_LINE_SET,
                                  .item = c->item,
                                  .line_max = c->line_max,
                                  .claim_ms = c->claim_ms,
                                  .wait_ttl_ms = c->wait_ttl_ms,
                                  .line_flags = c->line_flags};

    if (fg_stock_is_drawing(s, c->index)) {
        fg_stock_answer_command(s, c->item, c->ticket, FG_STOCK_OUTCOME_BUSY, 0);
        return;
    }
    if (c->line_flags & FG_JOURNAL_LINE_LOTTERY && is_too_late_for_draw(s, now_ms, c->index)) {
        if (!s->lines[c->index].lottery) {
            fg_stock_answer_command(s, c->item, c->ticket, FG_STOCK_OUTCOME_TOO_LATE, 0);
            return;
        }
        r.line_flags &= ~FG_JOURNAL_LINE_LOTTERY; /* the draw that is to come stays */
    }
    fg_stock_push_record(s, &r, now_ms);
    fg_stock_defer_command(s, c->item, c->ticket, c->index, 0);
    if (r.line_flags & FG_JOURNAL_LINE_LOTTERY)
        s->lines[c->index].lottery = true;
}

static void line_apply(struct fg_stock *s, const struct fg_stock_command *c)
{
    struct line *l = &s->lines[c->index];

    l->max = c->line_max;
    l->claim_ms = c->claim_ms;
    l->ttl_ms = c->wait_ttl_ms;
    l->flags = c->line_flags & ~FG_JOURNAL_LINE_LOTTERY;
    if (l->lottery) /* of the home, which tells the others */
        fg_stock_draw_ask(s, c->index);
    fg_stock_answer_command(s, c->item, c->ticket, FG_STOCK_OUTCOME_DONE, 0);
}

static void line_clear(struct fg_stock *s, const struct fg_stock_command *c)
{
    bool drawing = fg_stock_is_drawing(s, c->index);

    fg_stock_answer_command(s, c->item, c->ticket,
                            drawing ? FG_STOCK_OUTCOME_BUSY : FG_STOCK_OUTCOME_DONE,
                            drawing ? 0 : fg_stock_line_clear(s, c->index));
}

static void item_name(struct fg_stock *s, uint64_t now_ms, const struct fg_stock_command *c)
{
    struct fg_journal_record r = {.type = FG_JOURNAL_RECORD_ITEM_NAME, .item = c->item};

    memcpy(r.name, c->name, sizeof(r.name));
    fg_stock_push_record(s, &r, now_ms);
    fg_stock_defer_command(s, c->item, c->ticket, c->index, 0);
}

static void user_set(struct fg_stock *s, uint64_t now_ms, const struct fg_stock_command *c)
{
    struct fg_journal_record r = {
        .type = FG_JOURNAL_RECORD_USER, .user = c->user, .arg = c->denied};

    if (!fg_stock_user_deny(s, c->user, c->denied)) {
        fg_stock_answer_user(s, c->user, c->ticket, FG_STOCK_OUTCOME_FULL);
        return;
    }
    fg_stock_push_record(s, &r, now_ms);
    fg_stock_defer_user(s, c->user, c->ticket);
}

/* A repeat is done as well, once the first is durable. */
static void order_refund(struct fg_stock *s, uint64_t now_ms, const struct fg_stock_command *c)
{
    uint32_t at = order_find(s, order_hash(s, c->user, c->order_id), c->user, c->order_id);
    struct order *o = at == NIL ? NULL : &s->orders[at];
    struct fg_stock_answer a = {.token = c->ticket, .kind = FG_STOCK_OPERATOR, .user = c->user};

    a.outcome = FG_STOCK_OUTCOME_DONE;
    if (o && o->state == FG_LEDGER_ORDER_SOLD) { /* the answer replaces the refund's own */
        fg_stock_refund(s, now_ms, o, c->restock, (struct asker){FG_STOCK_NO_TOKEN, 0});
        s->deferred.slots[(s->deferred.tail - 1) & s->deferred.mask].answer = a;
        return;
    }
    if (o && o->state == FG_LEDGER_ORDER_REFUNDED) {
        defer(s, o->seq)->answer = a;
        return;
    }
    a.outcome = o ? FG_STOCK_OUTCOME_NOT_SOLD : FG_STOCK_OUTCOME_UNKNOWN_ORDER;
    if (o)
        a.state = o->state < FG_ORDER_STATES ? o->state : FG_LEDGER_ORDER_NONE;
    fg_stock_push_ready(s, &a);
}

static void stock_add(struct fg_stock *s, uint64_t now_ms, const struct fg_stock_command *c)
{
    struct bank *b = &s->banks[c->index];

    if (c->units > FG_JOURNAL_UNITS_MAX - b->total) {
        fg_stock_answer_command(s, c->item, c->ticket, FG_STOCK_OUTCOME_FULL,
                                FG_JOURNAL_UNITS_MAX - b->total);
        return;
    }
    b->total += c->units;
    s->items[c->index].releasing += c->units;
    fg_stock_push_stock(s, now_ms, c->item, c->units);
    fg_stock_defer_command(s, c->item, c->ticket, c->index, c->units);
}

static bool is_about_user(const struct fg_stock_command *c)
{
    return c->type == FG_STOCK_USER_SET || c->type == FG_STOCK_ORDER_REFUND;
}

/* DONE when the command may be tried. */
static enum fg_stock_outcome command_refusal(const struct fg_stock *s,
                                             const struct fg_stock_command *c)
{
    bool defines = c->type == FG_STOCK_ITEM_SET || c->type == FG_STOCK_ITEM_APPLY;
    bool lines = c->type == FG_STOCK_LINE_SET || c->type == FG_STOCK_LINE_APPLY ||
                 c->type == FG_STOCK_LINE_CLEAR;

    bool fleet = c->type >= FG_STOCK_LEASE && c->type <= FG_STOCK_OPEN;

    if (s->mode != FG_STOCK_RUNNING)
        return s->mode == FG_STOCK_NO_SPACE ? FG_STOCK_OUTCOME_BUSY : FG_STOCK_OUTCOME_UNAVAILABLE;
    if (is_about_user(c))
        return FG_STOCK_OUTCOME_DONE;
    if (c->index >= s->config.limits.items_max || (lines && !s->config.limits.waiting_max) ||
        (fleet && !s->config.limits.fleet))
        return FG_STOCK_OUTCOME_FULL;
    if (!s->items[c->index].known)
        return defines ? FG_STOCK_OUTCOME_DONE : FG_STOCK_OUTCOME_UNKNOWN_ITEM;
    return s->items[c->index].id == c->item ? FG_STOCK_OUTCOME_DONE : FG_STOCK_OUTCOME_UNKNOWN_ITEM;
}

static void answer_refusal(struct fg_stock *s, const struct fg_stock_command *c,
                           enum fg_stock_outcome outcome)
{
    if (is_about_user(c))
        fg_stock_answer_user(s, c->user, c->ticket, outcome);
    else
        fg_stock_answer_command(s, c->item, c->ticket, outcome, 0);
}

bool fg_stock_command(struct fg_stock *s, uint64_t now_ms, const struct fg_stock_command *c)
{
    enum fg_stock_outcome refusal = command_refusal(s, c);

    if (s->commands >= COMMANDS_MAX || !can_record(s))
        return false;
    s->commands++;
    if (refusal != FG_STOCK_OUTCOME_DONE) {
        answer_refusal(s, c, refusal);
        return true;
    }
    FG_ASSERT(c->type == FG_STOCK_ITEM_APPLY || c->type == FG_STOCK_LINE_APPLY ||
              fg_user_owner(is_about_user(c) ? c->user : c->item, s->config.workers) ==
                  s->config.worker);
    switch (c->type) {
    case FG_STOCK_ITEM_SET:
        item_set(s, now_ms, c);
        break;
    case FG_STOCK_ITEM_APPLY:
        item_apply(s, c);
        break;
    case FG_STOCK_LINE_SET:
        line_set(s, now_ms, c);
        break;
    case FG_STOCK_LINE_APPLY:
        line_apply(s, c);
        break;
    case FG_STOCK_LINE_CLEAR:
        line_clear(s, c);
        break;
    case FG_STOCK_ITEM_NAME:
        item_name(s, now_ms, c);
        break;
    case FG_STOCK_STOCK_ADD:
        stock_add(s, now_ms, c);
        break;
    case FG_STOCK_USER_SET:
        user_set(s, now_ms, c);
        break;
    case FG_STOCK_ORDER_REFUND:
        order_refund(s, now_ms, c);
        break;
    case FG_STOCK_STOCK_REMOVE:
        FG_ASSERT(fg_stock_bank_enqueue(
            s, c->index,
            &(struct bank_entry){.units = c->units, .serial = c->ticket, .worker = TO_COMMAND}));
        break;
    case FG_STOCK_LEASE:
    case FG_STOCK_RECALL:
    case FG_STOCK_REFUSE:
    case FG_STOCK_SOLD_OUT:
    case FG_STOCK_OPEN:
        fg_stock_fleet_command(s, now_ms, c);
        break;
    default:
        FG_ASSERT(!"command type");
    }
    return true;
}
