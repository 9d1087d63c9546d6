/* SPDX-License-Identifier: BSD-3-Clause */
#include "stock/bank.h"

#include "stock/draw.h"
#include "stock/fleet_bank.h"
#include "stock/line.h"
#include "stock/waiting.h"

#define LINE_STEPS 64 /* offers in one loop */

bool fg_stock_bank_enqueue(struct fg_stock *s, uint32_t index, const struct bank_entry *entry)
{
    struct bank *b = &s->banks[index];
    uint32_t at = s->entry_free;

    if (at == NIL)
        return false;
    s->entry_free = s->entries[at].next;
    s->entries[at] = *entry;
    s->entries[at].next = NIL;
    if (b->queue_head == NIL)
        b->queue_head = at;
    else
        s->entries[b->queue_tail].next = at;
    b->queue_tail = at;
    b->queue_units += entry->units;
    if (fg_unlikely(s->config.limits.fleet))
        s->fleets[index].tail++;
    mark_dirty(s, index);
    return true;
}

static void dequeue(struct fg_stock *s, uint32_t index)
{
    struct bank *b = &s->banks[index];
    uint32_t at = b->queue_head;

    if (fg_unlikely(s->config.limits.fleet))
        s->fleets[index].head++;

    b->queue_units -= s->entries[at].units;
    b->queue_head = s->entries[at].next;
    s->entries[at].next = s->entry_free;
    s->entry_free = at;
}

static uint64_t all_others(const struct fg_stock *s)
{
    uint64_t all = s->config.workers == 64 ? UINT64_MAX : (1ull << s->config.workers) - 1;

    return all & ~(1ull << s->config.worker);
}

static void announce(struct fg_stock *s, uint32_t index, bool sold_out)
{
    struct bank *b = &s->banks[index];

    b->announced = sold_out;
    b->empty = false;
    b->announce_send = all_others(s);
    s->items[index].sold_out = sold_out;
}

static void bank_add(struct fg_stock *s, uint32_t index, uint32_t units)
{
    if (fg_unlikely(s->banks[index].line)) { /* nobody else hears of them */
        s->lines[index].kept += units;
        mark_dirty(s, index);
        return;
    }
    s->items[index].free += units;
    if (s->banks[index].announced && units > 0)
        announce(s, index, false);
    mark_dirty(s, index);
}

void fg_stock_bank_release(struct fg_stock *s, uint32_t index, uint32_t units)
{
    struct item *item = item_at(s, index);

    FG_ASSERT(item->releasing >= units);
    item->releasing -= units;
    bank_add(s, index, units);
}

void fg_stock_bank_message(struct fg_stock *s, unsigned from, const struct fg_stock_message *m)
{
    struct bank *b = &s->banks[m->index];

    switch (m->type) {
    case FG_STOCK_MSG_NEED:
        FG_ASSERT(fg_stock_bank_enqueue(s, m->index,
                                        &(struct bank_entry){.units = m->units,
                                                             .serial = m->serial,
                                                             .worker = (uint8_t)from,
                                                             .first = m->first,
                                                             .wait = m->wait,
                                                             .order = m->order}));
        break;
    case FG_STOCK_MSG_GONE:
        fg_stock_line_gone(s, m->index, m->ticket);
        break;
    case FG_STOCK_MSG_ENTRY:
        fg_stock_draw_entry(s, m->index, m->order, (uint16_t)m->left, from, m->user);
        break;
    case FG_STOCK_MSG_CLOSED:
        fg_stock_draw_closed(s, m->index, from);
        break;
    case FG_STOCK_MSG_RECALLED:
        FG_ASSERT(b->recall_wait & 1ull << from);
        b->recall_wait &= ~(1ull << from);
        b->lent &= ~(1ull << from);
        if (b->lent == 0)
            b->lent_units = 0;
        bank_add(s, m->index, m->units);
        break;
    case FG_STOCK_MSG_SETTLED:
        s->fleets[m->index].settle_wait &= ~(1ull << from);
        mark_dirty(s, m->index);
        break;
    case FG_STOCK_MSG_RETURN:
        bank_add(s, m->index, m->units);
        break;
    default:
        FG_ASSERT(!"message type");
    }
}

/* Sends `type` to every worker in *workers whose ring has room; false when some had none. */
static bool send_each(struct fg_stock *s, uint64_t *workers, uint8_t type, uint32_t index,
                      _Atomic uint64_t *counter)
{
    for (uint64_t todo = *workers; todo; todo &= todo - 1) {
        unsigned w = (unsigned)__builtin_ctzll(todo);

        if (!fg_stock_send_to(s, w, type, index, 0, 0, bank_left(s, index)))
            continue;
        fg_counter_add(counter, 1);
        *workers &= ~(1ull << w);
    }
    return *workers == 0;
}

/* Units beyond what was asked, so that a busy worker need not ask for each order; none when they
 * are getting scarce. */
static uint32_t surplus(const struct fg_stock *s, uint32_t index, const struct bank_entry *e)
{
    uint32_t free = s->items[index].free, wanted = s->banks[index].queue_units;

    if (!e->first || free <= wanted || fleet_recalls(s, index))
        return 0;
    return (free - wanted) / (GRANT_SHARE * s->config.workers);
}

static bool grant(struct fg_stock *s, uint32_t index, const struct bank_entry *e)
{
    struct bank *b = &s->banks[index];
    uint32_t units = e->units + surplus(s, index, e);

    if (!fg_stock_send_to(s, e->worker, FG_STOCK_MSG_GRANT, index, units, e->serial,
                          bank_left(s, index) - e->units))
        return false;
    FG_ASSERT(s->items[index].free >= units);
    s->items[index].free -= units;
    b->lent |= 1ull << e->worker;
    b->lent_units += units;
    if (b->lent_units > b->total - s->items[index].free)
        b->lent_units = b->total - s->items[index].free;
    COUNT(s, grants, 1);
    return true;
}

/* The home's own waiting request is sold straight from the bank. */
static bool serve_own(struct fg_stock *s, uint64_t now_ms, uint32_t index,
                      const struct bank_entry *e)
{
    struct item *item = item_at(s, index);
    enum fg_packet_status refusal = mode_refusal(s);
    uint32_t at = item->wait_head;

    FG_ASSERT(at != NIL && s->orders[at].serial == e->serial);
    if (refusal != FG_PACKET_STATUS_NONE) {
        fg_stock_refuse_waiter(s, index, e->serial, refusal, 0);
        return true;
    }
    if (!can_record(s))
        return false;
    if (e->first)
        s->banks[index].at_once = surplus(s, index, e);
    fg_stock_accept(s, now_ms, at, fg_stock_unpark(s, item));
    return true;
}

/* The operator's removal of units; its serial is the command's ticket. */
static bool serve_removal(struct fg_stock *s, uint64_t now_ms, uint32_t index,
                          const struct bank_entry *e)
{
    struct item *item = item_at(s, index);
    struct bank *b = &s->banks[index];
    uint32_t *from = b->line ? &s->lines[index].kept : &item->free;

    if (mode_refusal(s) != FG_PACKET_STATUS_NONE) {
        fg_stock_answer_command(s, item->id, e->serial, mode_outcome(s), 0);
        return true;
    }
    if (!can_record(s))
        return false;
    FG_ASSERT(*from >= e->units && b->total >= e->units);
    *from -= e->units;
    b->total -= e->units;
    fg_stock_push_stock(s, now_ms, item->id, -(int64_t)e->units);
    fg_stock_defer_command(s, item->id, e->serial, index, 0);
    return true;
}

static bool serve(struct fg_stock *s, uint64_t now_ms, uint32_t index, const struct bank_entry *e)
{
    if (e->worker == TO_COMMAND)
        return serve_removal(s, now_ms, index, e);
    return e->worker == s->config.worker ? serve_own(s, now_ms, index, e) : grant(s, index, e);
}

static bool send_refusal(struct fg_stock *s, uint32_t index, const struct bank_entry *e,
                         uint32_t left, bool busy)
{
    const struct fg_stock_message m = {.type = FG_STOCK_MSG_REFUSE,
                                       .busy = busy,
                                       .index = index,
                                       .serial = e->serial,
                                       .left = left};

    return fg_ring_push(s->config.to[e->worker], &m);
}

/* Whoever enters for a draw joins the line, though there are units. */
static bool enters(const struct fg_stock *s, uint32_t index, const struct bank_entry *e)
{
    return e->wait && s->lines[index].entry;
}

static bool refuse(struct fg_stock *s, uint32_t index, const struct bank_entry *e)
{
    bool removal_of_kept = e->worker == TO_COMMAND && s->banks[index].line;
    uint32_t left = removal_of_kept ? s->lines[index].kept : s->items[index].free;
    enum fg_packet_status status = left ? FG_PACKET_STATUS_INSUFFICIENT : FG_PACKET_STATUS_SOLD_OUT;
    bool busy = false;

    if (fg_unlikely(enters(s, index, e))) { /* no unit is for sale yet */
        left = 0;
        status = FG_PACKET_STATUS_SOLD_OUT;
    }
    if (fg_unlikely(s->config.limits.fleet)) {
        status = fg_stock_fleet_refusal(s, index, &left);
        busy = status == FG_PACKET_STATUS_BUSY || status == FG_PACKET_STATUS_UNAVAILABLE;
    }
    if (e->worker == TO_COMMAND)
        fg_stock_answer_command(s, s->items[index].id, e->serial,
                                busy ? FG_STOCK_OUTCOME_BUSY : FG_STOCK_OUTCOME_INSUFFICIENT, left);
    else if (e->worker == s->config.worker)
        fg_stock_refuse_waiter(s, index, e->serial, status, left);
    else if (!send_refusal(s, index, e, left, busy))
        return false;
    if (status == FG_PACKET_STATUS_SOLD_OUT)
        s->banks[index].empty = true;
    return true;
}

/* ---- the waiting list */

/* The first one waits: all that is free is kept for the line, and all others are told SOLD_OUT. */
static void begin_line(struct fg_stock *s, uint32_t index)
{
    struct bank *b = &s->banks[index];

    FG_ASSERT(b->lent == 0 && s->lines[index].kept == 0);
    s->lines[index].kept = s->items[index].free;
    s->items[index].free = 0;
    b->at_once = 0;
    b->line = true;
    if (!b->announced)
        announce(s, index, true);
}

static void end_line(struct fg_stock *s, uint32_t index)
{
    uint32_t units = s->lines[index].kept;

    s->lines[index].kept = 0;
    s->banks[index].line = false;
    bank_add(s, index, units);
}

/* The WAIT that cannot be served gets the next ticket. */
static bool join(struct fg_stock *s, uint64_t now_ms, uint32_t index, const struct bank_entry *e)
{
    uint32_t ticket = s->lines[index].tickets + 1;
    struct fg_stock_message m = {.type = FG_STOCK_MSG_TICKET,
                                 .index = index,
                                 .serial = e->serial,
                                 .ticket = ticket,
                                 .left =
                                     s->lines[index].head == NIL ? ticket : line_serving(s, index)};
    bool own = e->worker == s->config.worker;

    if (!own && !fg_ring_push(s->config.to[e->worker], &m))
        return false;
    if (!s->banks[index].line)
        begin_line(s, index);
    fg_stock_line_add(s, now_ms, index, e);
    if (own)
        fg_stock_line_ticketed(s, index, e->serial, ticket);
    return true;
}

static bool wait_or_refuse(struct fg_stock *s, uint64_t now_ms, uint32_t index,
                           const struct bank_entry *e)
{
    return e->wait && line_has_room(s, index) ? join(s, now_ms, index, e) : refuse(s, index, e);
}

/* While users wait, others get nothing; only the operator may take away what is kept. */
static bool serve_behind_line(struct fg_stock *s, uint64_t now_ms, uint32_t index,
                              const struct bank_entry *e)
{
    if (e->worker == TO_COMMAND && e->units <= s->lines[index].kept)
        return serve_removal(s, now_ms, index, e);
    return wait_or_refuse(s, now_ms, index, e);
}

/* Units of offers that were not taken. */
static void take_passed(struct fg_stock *s, uint32_t index)
{
    struct line *l = &s->lines[index];
    uint32_t units = l->passed;

    s->items[index].releasing -= units;
    l->passed = 0;
    if (units)
        bank_add(s, index, units);
    if (l->gone)
        fg_stock_line_gone(s, index, l->gone);
    l->gone = 0;
}

/* Offers what there is to the users at the head. False when some of it must wait. */
static bool line_work(struct fg_stock *s, uint64_t now_ms, uint32_t index)
{
    struct line *l = &s->lines[index];
    bool room = true, done = true, more = true;

    for (unsigned n = 0; n < LINE_STEPS && done && more; n++) {
        done = fg_stock_line_work(s, now_ms, index);
        take_passed(s, index);
        more = s->banks[index].line && fg_stock_line_offer(s, now_ms, index, &room);
    }
    done &= fg_stock_draw_send_entries(s, index);
    s->items[index].line = l->list_head != NIL || l->passed || l->gone || l->closing == CLOSE_ASKED;
    if (s->banks[index].line && l->head == NIL && !s->items[index].line && l->draw < DRAW_CLOSING)
        end_line(s, index);
    return done && room && !more;
}

static bool waits_for_fleet(struct fg_stock *s, uint32_t index)
{
    uint32_t left;

    if (fg_likely(!s->config.limits.fleet))
        return false;
    s->fleets[index].waits = fg_stock_fleet_refusal(s, index, &left) == FG_PACKET_STATUS_NONE;
    return s->fleets[index].waits;
}

/* One step with the oldest request; false when it must wait: for recalled units, a ring, or the
 * journal. */
static bool serve_head(struct fg_stock *s, uint64_t now_ms, uint32_t index)
{
    struct bank *b = &s->banks[index];
    const struct bank_entry e = s->entries[b->queue_head];

    if (b->recall_wait)
        return false;
    if (fleet_stops_at_head(s, index))
        return false;
    if (fg_unlikely(e.wait) && s->lines[index].draw > DRAW_CLOSING)
        return false; /* its worker has served it meanwhile; a ticket now would be one of the draw
                       */
    if (fg_unlikely(b->line)) {
        if (!serve_behind_line(s, now_ms, index, &e))
            return false;
    } else if (e.units <= s->items[index].free && !enters(s, index, &e)) {
        if (!serve(s, now_ms, index, &e))
            return false;
    } else if (b->lent) {
        b->recall_send = b->recall_wait = b->lent;
        b->at_once = 0;
        return false;
    } else if (waits_for_fleet(s, index)) {
        b->at_once = 0;
        return false;
    } else if (!wait_or_refuse(s, now_ms, index, &e)) {
        return false;
    }
    dequeue(s, index);
    return true;
}

static void serve_queue(struct fg_stock *s, uint64_t now_ms, uint32_t index)
{
    while (s->banks[index].queue_head != NIL && serve_head(s, now_ms, index))
        ;
}

/* False when some of it must be tried again. */
static bool fleet_work(struct fg_stock *s, uint64_t now_ms, uint32_t index)
{
    bool done = fg_stock_fleet_give(s, now_ms, index);

    if (s->banks[index].announced && !s->fleets[index].sold_out)
        announce(s, index, false);
    s->fleets[index].waits = false;
    serve_queue(s, now_ms, index); /* some requests waited until all was given */
    fg_stock_fleet_publish(s, index);
    return done;
}

bool fg_stock_bank_work(struct fg_stock *s, uint64_t now_ms, uint32_t index)
{
    struct bank *b = &s->banks[index];
    bool sent, waits = false, done = true;

    if (fg_unlikely(b->line || s->items[index].line))
        line_work(s, now_ms, index);
    serve_queue(s, now_ms, index);
    if (fg_unlikely(s->config.limits.fleet)) {
        done = fleet_work(s, now_ms, index);
        waits = s->fleets[index].waits;
    }
    if (fg_unlikely(b->line || s->items[index].line))
        done = line_work(s, now_ms, index);
    if (fg_unlikely(s->config.limits.waiting_max && s->lines[index].draw))
        done &= fg_stock_draw_work(s, now_ms, index);
    if (b->empty && b->queue_head == NIL && !b->lent) {
        b->empty = false;
        if (s->items[index].free == 0 && !b->announced)
            announce(s, index, true);
    }
    if (b->announced)
        FG_ASSERT(s->items[index].free == 0 && b->lent == 0);
    sent = send_each(s, &b->recall_send, FG_STOCK_MSG_RECALL, index, &s->counters.recalls);
    sent &=
        send_each(s, &b->announce_send, b->announced ? FG_STOCK_MSG_SOLD_OUT : FG_STOCK_MSG_OPEN,
                  index, &s->counters.announcements);
    if (fg_unlikely(s->config.limits.waiting_max && s->lines[index].serving_send))
        sent &= fg_stock_line_tell(s, index);
    return done && sent && (b->queue_head == NIL || b->recall_wait != 0 || waits);
}
