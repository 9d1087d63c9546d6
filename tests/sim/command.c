/* SPDX-License-Identifier: BSD-3-Clause */
/* Steps of the operator, as the control thread carries them out: durable first, then in force
 * everywhere. */
#include "play.h"

/* False when the engine has no room for it now. */
static bool give(struct sim *s, unsigned worker, const struct fg_stock_command *c)
{
    uint32_t token = world_token(&s->w);
    struct token *t = &s->w.tokens[token];

    t->worker = worker;
    t->command = (uint8_t)(1 + c->type);
    t->given = *c;
    t->given.ticket = token;
    if (!fg_stock_command(s->w.stock[worker], s->w.now_ms, &t->given)) {
        world_token_free(&s->w, token);
        return false;
    }
    oracle_command_given(&s->o, &s->w, token);
    return true;
}

static unsigned home_of(struct sim *s, uint32_t index)
{
    return fg_user_owner(ITEM_ID + index, s->w.workers);
}

/* An index is given to an item when its definition is durable: so they are defined one after the
 * other. */
static bool may_define(const struct sim *s, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++)
        if (!s->w.shelves[i].known)
            return false;
    return !s->w.shelves[index].asked;
}

static void item_step(struct sim *s, const struct sim_step *step)
{
    uint32_t index = step->a % ITEMS_MAX;
    struct fg_stock_command c = {.type = FG_STOCK_ITEM_SET,
                                 .index = index,
                                 .item = ITEM_ID + index,
                                 .hold_ms = step->b,
                                 .user_limit = step->c,
                                 .order_max = (uint16_t)step->d,
                                 .flags = step->n & 1 ? FG_JOURNAL_ITEM_PAUSED : 0};

    if (step->n & 2)
        c.closes_ms = s->w.now_ms + step->n / 8;
    if (step->n & 4)
        c.opens_ms = s->w.now_ms + step->n / 8;
    if (may_define(s, index) && give(s, home_of(s, index), &c))
        s->w.shelves[index].asked = true;
}

static void line_step(struct sim *s, const struct sim_step *step)
{
    uint32_t index = step->a % ITEMS_MAX;
    struct fg_stock_command c = {.type = FG_STOCK_LINE_SET,
                                 .index = index,
                                 .item = ITEM_ID + index,
                                 .line_max = step->b,
                                 .claim_ms = step->c,
                                 .wait_ttl_ms = step->d,
                                 .line_flags = (step->n & 1 ? FG_JOURNAL_LINE_ONE_UNIT : 0) |
                                               (step->n & 2 ? FG_JOURNAL_LINE_LOTTERY : 0)};

    if ((step->b ^ step->c) & 3 && /* mostly not refused */
        oracle_item(&s->o, c.item)->in_force[home_of(s, index)].opens_ms <= s->w.now_ms)
        c.line_flags &= ~FG_JOURNAL_LINE_LOTTERY;
    if (s->w.shelves[index].known && !s->w.shelves[index].line_asked &&
        s->w.setup.limits.waiting_max && give(s, home_of(s, index), &c))
        s->w.shelves[index].line_asked = true;
}

static void clear_step(struct sim *s, const struct sim_step *step)
{
    uint32_t index = step->a % ITEMS_MAX;
    struct fg_stock_command c = {
        .type = FG_STOCK_LINE_CLEAR, .index = index, .item = ITEM_ID + index};

    struct oracle_item *item = oracle_item(&s->o, c.item);
    struct fg_stock_view v;

    if (s->w.shelves[index].known && s->w.setup.limits.waiting_max &&
        give(s, home_of(s, index), &c) && s->w.mode[home_of(s, index)] == FG_STOCK_RUNNING &&
        fg_stock_view(s->w.stock[home_of(s, index)], index, &v) && !v.drawing)
        item->cleared = v.tickets;
}

static void apply_line(struct sim *s, unsigned worker, struct shelf *shelf)
{
    bool refused = s->w.mode[worker] != FG_STOCK_RUNNING;

    if (!shelf->line_version || shelf->line_applied[worker] == shelf->line_version ||
        !shelf->applied[worker] || !s->w.setup.limits.waiting_max ||
        !give(s, worker, &shelf->line) || refused)
        return;
    shelf->line_applied[worker] = shelf->line_version;
    oracle_applied(&s->o, worker, &shelf->line);
}

static void apply_step(struct sim *s, unsigned worker)
{
    for (uint32_t i = 0; i < ITEMS_MAX; i++) {
        struct shelf *shelf = &s->w.shelves[i];
        bool refused = s->w.mode[worker] != FG_STOCK_RUNNING;

        apply_line(s, worker, shelf);
        if (!shelf->known || shelf->applied[worker] == shelf->version ||
            !give(s, worker, &shelf->settings) || refused)
            continue;
        shelf->applied[worker] = shelf->version;
        oracle_applied(&s->o, worker, &shelf->settings);
    }
}

/* Two removals that look alike could not be told apart by their records. */
static bool has_twin(const struct sim *s, const struct fg_stock_command *c)
{
    for (uint32_t i = 0; i < TOKENS_MAX; i++) {
        const struct token *t = &s->w.tokens[i];

        if (t->used && t->command && t->given.type == c->type && t->given.item == c->item &&
            (c->type == FG_STOCK_RECALL || t->given.units == c->units))
            return true;
    }
    return false;
}

static void stock_step(struct sim *s, const struct sim_step *step, uint8_t type)
{
    uint32_t index = step->a % ITEMS_MAX;
    struct fg_stock_command c = {
        .type = type, .index = index, .item = ITEM_ID + index, .units = 1 + step->b % 64};

    if (type == FG_STOCK_STOCK_ADD || !has_twin(s, &c))
        give(s, home_of(s, index), &c);
}

static void deny_step(struct sim *s, const struct sim_step *step)
{
    struct fg_stock_command c = {
        .type = FG_STOCK_USER_SET, .user = 1000 + step->a % 16, .denied = step->b & 1};

    give(s, fg_user_owner(c.user, s->w.workers), &c);
}

static void refund_step(struct sim *s, const struct sim_step *step)
{
    struct fg_stock_command c = {
        .type = FG_STOCK_ORDER_REFUND, .user = 1000 + step->a, .restock = step->c & 1};

    memcpy(c.order_id, &step->b, sizeof(step->b));
    give(s, fg_user_owner(c.user, s->w.workers), &c);
}

/* ---- a fleet: its pool has any number of units, and it does anything that the bank allows */

static void take_news(struct sim *s)
{
    struct fg_stock_fleet_news news[2];
    unsigned n;

    for (unsigned k = 0; k < s->w.workers; k++)
        while ((n = fg_stock_fleet_take(s->w.stock[k], news, 2)) > 0)
            for (unsigned i = 0; i < n; i++)
                s->w.news[news[i].index] = news[i];
}

void sim_fleet(struct sim *s, bool finish)
{
    if (!s->w.setup.limits.fleet)
        return;
    take_news(s);
    for (uint32_t i = 0; i < ITEMS_MAX && finish; i++) {
        struct fg_stock_command c = {.type = FG_STOCK_SOLD_OUT, .index = i, .item = ITEM_ID + i};

        if (s->w.news[i].least && s->w.tokens_out <= TOKENS_MAX / 2)
            give(s, home_of(s, i), &c);
    }
}

static void fleet_step(struct sim *s, const struct sim_step *step)
{
    static const uint8_t kinds[] = {FG_STOCK_LEASE,    FG_STOCK_LEASE,  FG_STOCK_RECALL,
                                    FG_STOCK_RECALL,   FG_STOCK_REFUSE, FG_STOCK_REFUSE,
                                    FG_STOCK_SOLD_OUT, FG_STOCK_OPEN};
    uint32_t index = step->a % ITEMS_MAX;
    struct fg_stock_command c = {
        .type = kinds[step->n % 8], .index = index, .item = ITEM_ID + index};

    if (!s->w.setup.limits.fleet || !s->w.shelves[index].known)
        return;
    if (step->n & 8)
        take_news(s);
    if (c.type == FG_STOCK_RECALL && has_twin(s, &c))
        return;                     /* one at a time: whose the record is could not be told */
    if (c.type == FG_STOCK_LEASE) { /* what is asked for, or any number */
        c.fleet_units =
            step->n & 1 && s->w.news[index].least ? s->w.news[index].least : 1 + step->b % 8;
        c.fleet_sum = s->o.items[index].now.leased + c.fleet_units;
    } else if (c.type == FG_STOCK_REFUSE) {
        c.fleet_head = s->w.news[index].head;
        c.fleet_refusal = step->n & 1 ? FG_STOCK_OUTCOME_BUSY : FG_STOCK_OUTCOME_INSUFFICIENT;
        c.fleet_units = step->n & 1 ? 0 : 1 + step->b % 3;
    }
    give(s, home_of(s, index), &c);
}

void sim_command(struct sim *s, const struct sim_step *step)
{
    if (s->w.tokens_out > TOKENS_MAX / 2)
        return;
    switch (step->kind) {
    case SIM_ITEM:
        item_step(s, step);
        break;
    case SIM_LINE:
        line_step(s, step);
        break;
    case SIM_CLEAR:
        clear_step(s, step);
        break;
    case SIM_APPLY:
        apply_step(s, step->worker % s->w.workers);
        break;
    case SIM_ADD:
        stock_step(s, step, FG_STOCK_STOCK_ADD);
        break;
    case SIM_REMOVE:
        stock_step(s, step, FG_STOCK_STOCK_REMOVE);
        break;
    case SIM_DENY:
        deny_step(s, step);
        break;
    case SIM_REFUND:
        refund_step(s, step);
        break;
    case SIM_FLEET:
        fleet_step(s, step);
        break;
    default:
        FG_ASSERT(!"step");
    }
}

void sim_command_answered(struct sim *s, uint32_t token, const struct fg_stock_answer *a)
{
    struct token *t = &s->w.tokens[token];

    oracle_command_answered(&s->o, &s->w, token, a);
    if (t->given.type == FG_STOCK_ITEM_SET) {
        struct shelf *shelf = &s->w.shelves[t->given.index];

        shelf->asked = false;
        if (a->outcome == FG_STOCK_OUTCOME_DONE) {
            shelf->known = true;
            shelf->version++;
            shelf->settings = t->given;
            shelf->settings.type = FG_STOCK_ITEM_APPLY;
        }
    }
    if (t->given.type == FG_STOCK_LINE_SET) {
        struct shelf *shelf = &s->w.shelves[t->given.index];

        shelf->line_asked = false;
        if (a->outcome == FG_STOCK_OUTCOME_DONE) {
            shelf->line_version++;
            shelf->line = t->given;
            shelf->line.type = FG_STOCK_LINE_APPLY;
        }
    }
    world_token_free(&s->w, token);
}
