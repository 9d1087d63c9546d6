/* SPDX-License-Identifier: BSD-3-Clause */
#include "story.h"

#include <inttypes.h>
#include <string.h>

#include "line.h"
#include "lottery.h"
#include "progress.h"

void fg_story_init(struct fg_story *s, struct fg_problems *problems, uint64_t settle_ms)
{
    *s = (struct fg_story){.problems = problems, .settle_ms = settle_ms};
    fg_tables_init(&s->tables);
}

void fg_story_free(struct fg_story *s)
{
    for (uint32_t i = 0; i < s->tables.item_count; i++)
        fg_line_free(s->tables.items[i].line);
    fg_tables_free(&s->tables);
    for (size_t i = 0; i < s->draw_count; i++)
        free(s->draws[i].orders);
    free(s->draws);
    free(s->denied.slots);
}

/* "record 17: order 00ff.. of user 5, item 7" */
static const char *where(const struct fg_journal_record *r, char text[192])
{
    char id[33];

    fg_hex(id, r->order_id);
    snprintf(text, 192, "record %" PRIu64 ": order %s of user %" PRIu64 ", item %" PRIu64, r->seq,
             id, r->user, r->item);
    return text;
}

/* ---- units ----------------------------------------------------------------------------------- */

/* To be called before an item's units change: remembers what was free when this commit began. A
 * unit that is released becomes free for others only once that is durable, so it cannot be taken in
 * the same commit. */
static void touch(const struct fg_story *s, struct fg_item *i)
{
    if (i->commit == s->commits)
        return;
    i->commit = s->commits;
    i->free_before = fg_item_available(i);
}

/* Units were taken: an order's, or stock that was removed. */
static void taken(const struct fg_story *s, struct fg_item *i, const struct fg_journal_record *r,
                  int64_t units)
{
    int64_t missing = -fg_item_available(i);

    i->free_before -= units;
    if (missing > i->short_max)
        i->short_max = missing;
    if (missing > 0)
        fg_problem(s->problems, FG_PROBLEM_OVERSOLD,
                   "record %" PRIu64 ": item %" PRIu64 ": total %" PRId64 ", reserved %" PRId64
                   ", sold %" PRId64 ", refunded %" PRId64 ": %" PRId64 " more than there are",
                   r->seq, r->item, i->total, i->reserved, i->sold, i->refunded, missing);
    else if (i->free_before < 0)
        fg_problem(s->problems, FG_PROBLEM_REUSED,
                   "record %" PRIu64 ": item %" PRIu64 ": %" PRId64
                   " units taken that were released or added in the same commit",
                   r->seq, r->item, -i->free_before);
}

/* ---- items ----------------------------------------------------------------------------------- */

static struct fg_item *item_of(const struct fg_story *s, const struct fg_journal_record *r)
{
    struct fg_item *i = fg_tables_item(&s->tables, r->item);

    if (!i)
        fg_problem(s->problems, FG_PROBLEM_UNKNOWN_ITEM,
                   "record %" PRIu64 ": item %" PRIu64 " was not defined before", r->seq, r->item);
    return i;
}

/* 0 = no limit */
static uint32_t wider(uint32_t a, uint32_t b)
{
    if (!a || !b)
        return 0;
    return a > b ? a : b;
}

static void item_set(struct fg_story *s, const struct fg_journal_record *r)
{
    struct fg_item *i = fg_tables_item(&s->tables, r->item);

    if (!i) {
        i = fg_tables_item_add(&s->tables, r->item);
    } else {
        bool still = r->time_ms <= i->loose_ms;

        i->loose_limit = still ? wider(i->loose_limit, i->user_limit) : i->user_limit;
        i->loose_order_max =
            still && i->loose_order_max > i->order_max ? i->loose_order_max : i->order_max;
        i->loose_ms = r->time_ms + s->settle_ms;
    }
    i->opens_ms = r->opens_ms;
    i->closes_ms = r->closes_ms;
    i->hold_ms = r->hold_ms;
    i->user_limit = r->user_limit;
    i->order_max = r->order_max;
    i->flags = r->flags;
}

static void line_set(const struct fg_story *s, const struct fg_journal_record *r)
{
    struct fg_item *i = item_of(s, r);

    if (!i)
        return;
    if (i->line && r->line_flags & ~i->line_flags & FG_JOURNAL_LINE_LOTTERY)
        i->line->set_tickets = i->line->tickets;
    i->line_max = r->line_max;
    i->claim_ms = r->claim_ms;
    i->wait_ttl_ms = r->wait_ttl_ms;
    i->line_flags = r->line_flags | (i->line_flags & FG_JOURNAL_LINE_LOTTERY);
}

static void item_name(const struct fg_story *s, const struct fg_journal_record *r)
{
    struct fg_item *i = item_of(s, r);

    if (!i)
        return;
    i->name_len = (uint8_t)strnlen((const char *)r->name, sizeof(r->name));
    memcpy(i->name, r->name, i->name_len);
}

static void stock(const struct fg_story *s, const struct fg_journal_record *r)
{
    struct fg_item *i = item_of(s, r);
    int64_t units = (int64_t)r->arg;

    if (!i)
        return;
    touch(s, i);
    i->total += units;
    fg_item_keep_added(i);
    if (units < 0)
        taken(s, i, r, -units);
}

/* Of a fleet: the units must be those by which the cumulative number grew. */
static void moved(const struct fg_story *s, const struct fg_journal_record *r, struct fg_item *i,
                  struct fg_moved *sum)
{
    int64_t units = fg_journal_record_moves(r);

    if (!r->fleet_units || r->fleet_units > FG_JOURNAL_UNITS_MAX ||
        r->fleet_sum != sum->units + r->fleet_units || r->fleet_times != sum->times + 1)
        fg_problem(s->problems, FG_PROBLEM_LOG,
                   "record %" PRIu64 ": item %" PRIu64 ": %s %" PRIu64 " of %" PRIu64
                   " units makes %" PRIu64 ", after %" PRIu64 " of %" PRIu64,
                   r->seq, r->item, fg_log_type(r->type), r->fleet_times, r->fleet_units,
                   r->fleet_sum, sum->times, sum->units);
    *sum = (struct fg_moved){.units = r->fleet_sum, .times = r->fleet_times};
    touch(s, i);
    i->total += units;
    if (units < 0)
        taken(s, i, r, -units);
}

static void fleet(const struct fg_story *s, const struct fg_journal_record *r)
{
    struct fg_item *i = item_of(s, r);

    if (i)
        moved(s, r, i, r->type == FG_JOURNAL_RECORD_LEASE ? &i->lease : &i->giving);
}

/* ---- orders ---------------------------------------------------------------------------------- */

static void check_user_limit(struct fg_story *s, const struct fg_item *i,
                             const struct fg_journal_record *r, uint32_t units)
{
    bool loose = r->time_ms <= i->loose_ms;
    uint32_t limit = loose ? wider(i->user_limit, i->loose_limit) : i->user_limit;
    char text[192];

    if (limit && units > limit)
        fg_problem(s->problems, FG_PROBLEM_USER_LIMIT,
                   "%s: the user now has %u units, the limit is %u", where(r, text), units, limit);
}

static void check_order_max(struct fg_story *s, const struct fg_item *i,
                            const struct fg_journal_record *r)
{
    bool loose = r->time_ms <= i->loose_ms;
    uint16_t most = loose && i->loose_order_max > i->order_max ? i->loose_order_max : i->order_max;
    char text[192];

    if (!r->quantity || r->quantity > most)
        fg_problem(s->problems, FG_PROBLEM_ORDER_MAX, "%s: quantity %u, accepted are 1..%u",
                   where(r, text), r->quantity, most);
}

/* A request that waited for units as its user was denied may still be served: it was judged before.
 * So may a late payment. */
static void check_denied(struct fg_story *s, const struct fg_journal_record *r)
{
    const struct fg_denied *d = fg_denied_find(&s->denied, r->user);
    char text[192];

    if (d && d->denied && r->time_ms > d->since_ms + s->settle_ms)
        fg_problem(s->problems, FG_PROBLEM_USER_DENIED,
                   "%s: accepted at %" PRIu64 " ms, denied since %" PRIu64, where(r, text),
                   r->time_ms, d->since_ms);
}

static void user(struct fg_story *s, const struct fg_journal_record *r)
{
    struct fg_denied *d = fg_denied_add(&s->denied, r->user);

    if (r->arg > 1)
        fg_problem(s->problems, FG_PROBLEM_LOG,
                   "record %" PRIu64 ": user %" PRIu64 " is neither denied nor allowed: %" PRIu64,
                   r->seq, r->user, r->arg);
    if (r->arg == 1 && !d->denied)
        d->since_ms = r->time_ms;
    d->denied = r->arg == 1;
}

/* Requests that were judged before anyone waited may be recorded for a moment. */
static void check_turn(struct fg_story *s, const struct fg_item *i,
                       const struct fg_journal_record *r)
{
    char text[192];

    if (i->line && i->line->waiting && r->time_ms > i->line->since_ms + s->settle_ms)
        fg_problem(s->problems, FG_PROBLEM_TURN,
                   "%s: %s while %" PRIu64 " orders waited, since %" PRIu64 " ms; next was ticket "
                   "%" PRIu64,
                   where(r, text), fg_log_type(r->type), i->line->waiting, i->line->since_ms,
                   i->line->head);
}

/* An order comes in: RESERVED, or WAITING. NULL: it cannot. */
static struct fg_order *new_order(struct fg_story *s, const struct fg_journal_record *r,
                                  struct fg_item *i, enum fg_state state)
{
    struct fg_order *o = fg_tables_order(&s->tables, r->user, r->order_id);
    uint32_t index, *held;
    char text[192];

    if (o) {
        fg_problem(s->problems, FG_PROBLEM_ORDER_TWICE,
                   "%s: accepted again, it is %s since record %" PRIu64, where(r, text),
                   fg_state_name(o->state), o->seq);
        return NULL;
    }
    if (!i)
        return NULL;
    check_denied(s, r);
    index = (uint32_t)(i - s->tables.items);
    o = fg_tables_order_add(&s->tables, r->user, r->order_id);
    o->item = index;
    o->quantity = r->quantity;
    o->state = state;
    o->deadline_ms = r->arg;
    o->changed_ms = r->time_ms;
    o->seq = r->seq;
    s->states[state]++;
    held = fg_tables_held(&s->tables, r->user, index);
    *held += r->quantity;
    check_user_limit(s, i, r, *held);
    check_order_max(s, i, r);
    return o;
}

static void reserved(struct fg_story *s, const struct fg_journal_record *r)
{
    struct fg_item *i = item_of(s, r);

    if (!new_order(s, r, i, FG_STATE_RESERVED))
        return;
    check_turn(s, i, r);
    touch(s, i);
    i->reserved += r->quantity;
    taken(s, i, r, r->quantity);
}

/* Its units count for the user's limit, and none move. */
static void waiting(struct fg_story *s, const struct fg_journal_record *r)
{
    struct fg_item *i = item_of(s, r);
    char text[192];

    if (new_order(s, r, i, FG_STATE_WAITING) && !fg_line_join(&i->line, r->arg, r->time_ms))
        fg_problem(s->problems, FG_PROBLEM_TICKET,
                   "%s: ticket %" PRIu64 ", the largest is %" PRIu64, where(r, text), r->arg,
                   i->line->tickets);
    if (i)
        fg_lottery_entry(s, i, r);
}

static bool fields_match(struct fg_story *s, const struct fg_order *o,
                         const struct fg_journal_record *r)
{
    uint64_t item = s->tables.items[o->item].item;
    char text[192];

    if (item == r->item && o->quantity == r->quantity)
        return true;
    fg_problem(s->problems, FG_PROBLEM_FIELDS,
               "%s, quantity %u: the order is of item %" PRIu64 ", quantity %u", where(r, text),
               r->quantity, item, o->quantity);
    return false;
}

static void becomes(struct fg_story *s, struct fg_order *o, const struct fg_journal_record *r,
                    enum fg_state state)
{
    s->states[o->state]--;
    s->states[state]++;
    o->state = state;
    o->changed_ms = r->time_ms;
    o->seq = r->seq;
}

/* The order, when it is in the one state that this step may begin with. */
static struct fg_order *step_from(struct fg_story *s, const struct fg_journal_record *r,
                                  enum fg_state from, enum fg_state to)
{
    struct fg_order *o = fg_tables_order(&s->tables, r->user, r->order_id);
    unsigned before = o ? o->state : FG_STATE_ABSENT;
    char text[192];

    if (before == from)
        return fields_match(s, o, r) ? o : NULL;
    fg_problem(s->problems, FG_PROBLEM_STEP, "%s: from %s to %s", where(r, text),
               fg_state_name(before), fg_state_name(to));
    return NULL;
}

/* An expired order is paid: it takes units again, and is held to what a new one is held to. */
static void sold_late(struct fg_story *s, const struct fg_journal_record *r)
{
    struct fg_order *o = step_from(s, r, FG_STATE_EXPIRED, FG_STATE_SOLD);
    struct fg_item *i;
    uint32_t *held;

    if (!o)
        return;
    check_denied(s, r);
    i = &s->tables.items[o->item];
    check_turn(s, i, r);
    held = fg_tables_held(&s->tables, r->user, o->item);
    *held += o->quantity;
    check_user_limit(s, i, r, *held);
    touch(s, i);
    i->sold += o->quantity;
    taken(s, i, r, o->quantity);
    o->late = 1;
    becomes(s, o, r, FG_STATE_SOLD);
}

/* The head of the line gets its units; it is held to what a new order is held to. */
static void offered(struct fg_story *s, const struct fg_journal_record *r)
{
    struct fg_order *o = step_from(s, r, FG_STATE_WAITING, FG_STATE_RESERVED);
    struct fg_item *i;
    uint64_t before;
    char text[192];

    if (!o)
        return;
    check_denied(s, r);
    i = &s->tables.items[o->item];
    check_user_limit(s, i, r, *fg_tables_held(&s->tables, r->user, o->item));
    if (!fg_line_offer(i->line, o->ticket, r->time_ms, s->settle_ms, &before))
        fg_problem(s->problems, FG_PROBLEM_TURN,
                   "%s: offered to ticket %" PRIu64 ", while ticket %" PRIu64
                   " was first, and was passed over at %" PRIu64 " ms already",
                   where(r, text), o->ticket, before, i->line->passed_ms);
    touch(s, i);
    i->reserved += o->quantity;
    taken(s, i, r, o->quantity);
    o->deadline_ms = r->arg;
    becomes(s, o, r, FG_STATE_RESERVED);
}

static void left(struct fg_story *s, const struct fg_journal_record *r)
{
    struct fg_order *o = step_from(s, r, FG_STATE_WAITING, FG_STATE_CANCELLED);
    char text[192];

    if (!o)
        return;
    if (!fg_log_left(r->arg))
        fg_problem(s->problems, FG_PROBLEM_LOG, "%s: left for no known reason: %" PRIu64,
                   where(r, text), r->arg);
    fg_line_leave(s->tables.items[o->item].line, o->ticket);
    *fg_tables_held(&s->tables, r->user, o->item) -= o->quantity;
    o->deadline_ms = 0;
    o->left = 1;
    becomes(s, o, r, FG_STATE_CANCELLED);
}

/* An expired order is cancelled: no units move. */
static void closed(struct fg_story *s, const struct fg_journal_record *r)
{
    struct fg_order *o = step_from(s, r, FG_STATE_EXPIRED, FG_STATE_CANCELLED);

    if (!o)
        return;
    o->closed = 1;
    becomes(s, o, r, FG_STATE_CANCELLED);
}

static void refunded(struct fg_story *s, const struct fg_journal_record *r)
{
    struct fg_order *o = step_from(s, r, FG_STATE_SOLD, FG_STATE_REFUNDED);
    struct fg_item *i;
    char text[192];

    if (!o)
        return;
    if (r->arg > 1)
        fg_problem(s->problems, FG_PROBLEM_LOG, "%s: neither restocked nor not: %" PRIu64,
                   where(r, text), r->arg);
    i = &s->tables.items[o->item];
    touch(s, i);
    i->sold -= o->quantity;
    i->refunded += r->arg ? 0 : o->quantity;
    o->restocked = r->arg != 0;
    *fg_tables_held(&s->tables, r->user, o->item) -= o->quantity;
    becomes(s, o, r, FG_STATE_REFUNDED);
}

/* SOLD, CANCELLED and EXPIRED each end a RESERVED order. */
static void ended(struct fg_story *s, const struct fg_journal_record *r, enum fg_state state)
{
    struct fg_order *o = step_from(s, r, FG_STATE_RESERVED, state);
    struct fg_item *i;
    char text[192];

    if (!o)
        return;
    if (state == FG_STATE_EXPIRED && r->time_ms < o->deadline_ms)
        fg_problem(s->problems, FG_PROBLEM_EARLY_EXPIRY,
                   "%s: at %" PRIu64 " ms, the deadline is %" PRIu64, where(r, text), r->time_ms,
                   o->deadline_ms);
    i = &s->tables.items[o->item];
    touch(s, i);
    i->reserved -= o->quantity;
    if (state == FG_STATE_SOLD)
        i->sold += o->quantity;
    else
        *fg_tables_held(&s->tables, r->user, o->item) -= o->quantity;
    becomes(s, o, r, state);
}

/* The hold of a RESERVED order is made longer. */
static void extended(struct fg_story *s, const struct fg_journal_record *r)
{
    struct fg_order *o = fg_tables_order(&s->tables, r->user, r->order_id);
    unsigned before = o ? o->state : FG_STATE_ABSENT;
    char text[192];

    if (before != FG_STATE_RESERVED || r->arg <= o->deadline_ms) {
        fg_problem(s->problems, FG_PROBLEM_STEP,
                   "%s: extended to %" PRIu64 " ms, it was %s, deadline %" PRIu64, where(r, text),
                   r->arg, fg_state_name(before), o ? o->deadline_ms : 0);
        return;
    }
    if (!fields_match(s, o, r))
        return;
    o->deadline_ms = r->arg;
    o->changed_ms = r->time_ms;
    o->seq = r->seq;
}

/* ---- the log --------------------------------------------------------------------------------- */

bool fg_story_epoch(struct fg_story *s, struct fg_journal_epoch epoch)
{
    struct fg_journal_epochs *e = &s->epochs;
    bool later = !e->count || (epoch.epoch > e->list[e->count - 1].epoch &&
                               epoch.first_seq > e->list[e->count - 1].first_seq);

    if (!later || epoch.epoch == 0)
        return false;
    if (e->count == FG_JOURNAL_EPOCHS_MAX)
        memmove(e->list, e->list + 1, --e->count * sizeof(*e->list));
    e->list[e->count++] = epoch;
    return true;
}

static struct fg_journal_epoch last_epoch(const struct fg_story *s)
{
    return s->epochs.count ? s->epochs.list[s->epochs.count - 1] : (struct fg_journal_epoch){0};
}

/* It says what was durable, and in a pair its epoch, which the first one begins. */
static void batch(struct fg_story *s, const struct fg_journal_record *r)
{
    s->commits++;
    s->commit_seq = r->seq;
    if (r->arg >= r->seq)
        fg_problem(s->problems, FG_PROBLEM_LOG,
                   "record %" PRIu64 ": a commit that calls %" PRIu64 " durable", r->seq, r->arg);
    if (r->user == 0 || r->user == last_epoch(s).epoch)
        return;
    if (!fg_story_epoch(s, (struct fg_journal_epoch){r->user, r->seq}))
        fg_problem(s->problems, FG_PROBLEM_EPOCH,
                   "record %" PRIu64 ": a commit of epoch %" PRIu64 " after epoch %" PRIu64, r->seq,
                   r->user, last_epoch(s).epoch);
}

static void epoch(struct fg_story *s, const struct fg_journal_record *r)
{
    uint64_t before = last_epoch(s).epoch;

    if (s->commit_seq != r->seq - 1)
        fg_problem(s->problems, FG_PROBLEM_EPOCH,
                   "record %" PRIu64 ": epoch %" PRIu64 " does not begin a commit", r->seq,
                   r->item);
    if (r->item == before && last_epoch(s).first_seq == r->seq - 1)
        return; /* its commit's BATCH record has named it */
    if (!fg_story_epoch(s, (struct fg_journal_epoch){r->item, r->seq - 1}))
        fg_problem(s->problems, FG_PROBLEM_EPOCH,
                   "record %" PRIu64 ": epoch %" PRIu64 " comes after epoch %" PRIu64, r->seq,
                   r->item, before);
}

static void take_in(struct fg_story *s, const struct fg_journal_record *r)
{
    switch (r->type) {
    case FG_JOURNAL_RECORD_BATCH:
        batch(s, r);
        return;
    case FG_JOURNAL_RECORD_RESERVED:
        reserved(s, r);
        break;
    case FG_JOURNAL_RECORD_SOLD:
        ended(s, r, FG_STATE_SOLD);
        break;
    case FG_JOURNAL_RECORD_CANCELLED:
        ended(s, r, FG_STATE_CANCELLED);
        break;
    case FG_JOURNAL_RECORD_EXPIRED:
        ended(s, r, FG_STATE_EXPIRED);
        break;
    case FG_JOURNAL_RECORD_EXTENDED:
        extended(s, r);
        break;
    case FG_JOURNAL_RECORD_SOLD_LATE:
        sold_late(s, r);
        break;
    case FG_JOURNAL_RECORD_CLOSED:
        closed(s, r);
        break;
    case FG_JOURNAL_RECORD_REFUNDED:
        refunded(s, r);
        break;
    case FG_JOURNAL_RECORD_WAITING:
        waiting(s, r);
        break;
    case FG_JOURNAL_RECORD_OFFERED:
        offered(s, r);
        break;
    case FG_JOURNAL_RECORD_LEFT:
        left(s, r);
        break;
    case FG_JOURNAL_RECORD_LINE_SET:
        line_set(s, r);
        break;
    case FG_JOURNAL_RECORD_LOTTERY:
        fg_lottery_commitment(s, item_of(s, r), r);
        break;
    case FG_JOURNAL_RECORD_DRAWN:
        fg_lottery_drawn(s, item_of(s, r), r);
        break;
    case FG_JOURNAL_RECORD_USER:
        user(s, r);
        break;
    case FG_JOURNAL_RECORD_EPOCH:
        epoch(s, r);
        break;
    case FG_JOURNAL_RECORD_ITEM_SET:
        item_set(s, r);
        break;
    case FG_JOURNAL_RECORD_ITEM_NAME:
        item_name(s, r);
        break;
    case FG_JOURNAL_RECORD_STOCK:
        stock(s, r);
        break;
    case FG_JOURNAL_RECORD_LEASE:
    case FG_JOURNAL_RECORD_RETURN:
        fleet(s, r);
        break;
    default:
        fg_problem(s->problems, FG_PROBLEM_LOG, "record %" PRIu64 ": unknown type %u", r->seq,
                   r->type);
    }
    s->records++;
}

void fg_story_read(struct fg_story *s, struct fg_log *log)
{
    const struct fg_journal_record *r;

    while ((r = fg_log_next(log))) {
        take_in(s, r);
        s->seq = r->seq;
        fg_progress("log records", r->seq);
    }
}

void fg_story_conservation(const struct fg_story *s)
{
    const struct fg_tables *t = &s->tables;
    int64_t(*units)[FG_STATE_COUNT] = calloc((size_t)t->item_count + 1, sizeof(*units));

    if (!units)
        fg_out_of_memory();
    for (uint32_t k = 0; k < t->order_count; k++)
        if (!t->orders[k].restocked)
            units[t->orders[k].item][t->orders[k].state] += t->orders[k].quantity;
    for (uint32_t k = 0; k < t->item_count; k++) {
        const struct fg_item *i = &t->items[k];

        if (i->reserved != units[k][FG_STATE_RESERVED] || i->sold != units[k][FG_STATE_SOLD] ||
            i->refunded != units[k][FG_STATE_REFUNDED] || i->total < 0 || fg_item_available(i) < 0)
            fg_problem(s->problems, FG_PROBLEM_CONSERVATION,
                       "item %" PRIu64 ": total %" PRId64 ", available %" PRId64
                       ", reserved %" PRId64 " (its orders: %" PRId64 "), sold %" PRId64
                       " (its orders: %" PRId64 "), refunded %" PRId64 " (its orders: %" PRId64 ")",
                       i->item, i->total, fg_item_available(i), i->reserved,
                       units[k][FG_STATE_RESERVED], i->sold, units[k][FG_STATE_SOLD], i->refunded,
                       units[k][FG_STATE_REFUNDED]);
    }
    free(units);
}

uint64_t fg_story_oversold(const struct fg_story *s)
{
    uint64_t sum = 0;

    for (uint32_t k = 0; k < s->tables.item_count; k++)
        sum += (uint64_t)s->tables.items[k].short_max;
    return sum;
}
