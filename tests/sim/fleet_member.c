/* SPDX-License-Identifier: BSD-3-Clause */
/* A member: its log, banks without workers, and the library. */
#include "fleet_world.h"

static struct sim_record *append(struct sim_world *w, struct sim_member *m, enum sim_type type,
                                 unsigned item, int64_t units)
{
    struct sim_record *r = &m->log[m->written++];

    FG_ASSERT(m->written < RECORDS_MAX);
    *r = (struct sim_record){.type = (uint8_t)type, .item = (uint8_t)item, .units = units};
    if (m->written == RECORDS_MAX - 1)
        sim_fail(w, "member %u: the log is full", m->index);
    return r;
}

int64_t sim_stock(const struct sim_member *m, unsigned item)
{
    int64_t units = 0;

    for (uint64_t i = 0; i < m->written; i++)
        if (m->log[i].type == SIM_STOCK && m->log[i].item == item)
            units += m->log[i].units;
    return units;
}

int64_t sim_taken(const struct sim_member *m, unsigned item)
{
    int64_t units = 0;

    for (uint64_t i = 0; i < m->written; i++)
        if (m->log[i].type == SIM_TAKE && !m->log[i].over && m->log[i].item == item)
            units += m->log[i].units;
    return units;
}

static int64_t bought(const struct sim_member *m, unsigned item, unsigned user)
{
    int64_t units = 0;

    for (uint64_t i = 0; i < m->written; i++)
        if (m->log[i].type == SIM_TAKE && !m->log[i].over && m->log[i].item == item &&
            m->log[i].user == user)
            units += m->log[i].units;
    return units;
}

/* ---- the bank -------------------------------------------------------------------------------- */

static void report(struct sim_member *m, unsigned item)
{
    struct sim_bank *b = &m->bank[item];
    uint64_t wanted = 0;

    for (unsigned i = 0; i < b->queue_len; i++)
        wanted += b->queue[i].units;
    fg_fleet_bank(m->fleet, item, b->queue_len ? b->queue[0].units : 0, wanted, (uint64_t)b->free);
}

static void dequeue(struct sim_bank *b)
{
    memmove(b->queue, b->queue + 1, --b->queue_len * sizeof(b->queue[0]));
}

static void serve(struct sim_world *w, struct sim_member *m, unsigned item)
{
    struct sim_bank *b = &m->bank[item];

    while (b->queue_len && b->free >= b->queue[0].units) {
        const struct sim_request q = b->queue[0];
        struct sim_record *r = append(w, m, SIM_TAKE, item, q.units);

        r->user = q.user;
        if (!w->calm && sim_chance(w, 400000))
            r->cancel_ms = w->now_ms + 20 + sim_random(w, 3000);
        b->free -= q.units;
        w->answered[0]++;
        dequeue(b);
    }
}

static void refuse_all(struct sim_world *w, struct sim_bank *b, unsigned answer)
{
    w->answered[answer] += b->queue_len;
    b->queue_len = 0;
}

void sim_ask(struct sim_world *w, struct sim_member *m, unsigned item, uint32_t units,
             unsigned user)
{
    struct sim_bank *b = &m->bank[item];
    struct fg_fleet_view view;
    int64_t waiting = 0;

    fg_fleet_view(m->fleet, &view);
    if (!view.may_sell || b->queue_len == QUEUE_MAX) {
        w->answered[3]++;
        return;
    }
    for (unsigned i = 0; i < b->queue_len; i++)
        waiting += b->queue[i].user == user ? b->queue[i].units : 0;
    if (fg_fleet_owner(&w->map, user) != m->index ||
        (user < USERS && bought(m, item, user) + waiting + units > USER_LIMIT))
        return;
    if (b->sold_out && b->free < units) {
        w->answered[1]++;
        return;
    }
    b->queue[b->queue_len++] = (struct sim_request){units, (uint8_t)user, w->now_ms};
    serve(w, m, item);
    report(m, item);
    sim_drain(w, m);
}

/* ---- outputs --------------------------------------------------------------------------------- */

static void lease(struct sim_world *w, struct sim_member *m, const struct fg_fleet_output *o)
{
    struct sim_record *r = append(w, m, SIM_LEASE, o->item, (int64_t)o->counters.leased);

    r->number = o->counters.leases;
    m->bank[o->item].lease_at = m->written;
    m->bank[o->item].lease_units = (int64_t)o->units;
    w->leases++;
}

static void recall(struct sim_world *w, struct sim_member *m, const struct fg_fleet_output *o)
{
    struct sim_bank *b = &m->bank[o->item];
    struct fg_fleet_item_view view;

    serve(w, m, o->item);
    if (b->free) {
        struct sim_record *r =
            append(w, m, SIM_RETURN, o->item, (int64_t)o->counters.returned + b->free);

        r->number = o->counters.returns + 1;
    }
    b->return_at = m->written + 1; /* all that is written must be committed */
    b->return_units = b->free;
    b->free = 0;
    fg_fleet_item_view(m->fleet, o->item, &view);
    if (view.pool.next < RECALLS_MAX && !m->recalled[o->item][view.pool.next]) {
        m->recalled[o->item][view.pool.next] = true;
        m->freed_at[o->item][view.pool.next] = m->freed[o->item];
    }
    report(m, o->item);
}

static void refuse(struct sim_world *w, struct sim_member *m, const struct fg_fleet_output *o)
{
    struct sim_bank *b = &m->bank[o->item];

    if (b->queue_len) {
        w->answered[o->refusal == FG_FLEET_REFUSAL_BUSY ? 3 : 2]++;
        dequeue(b);
    }
    serve(w, m, o->item);
    report(m, o->item);
}

void sim_drain(struct sim_world *w, struct sim_member *m)
{
    struct fg_fleet_output o;

    while (m->fleet && fg_fleet_next(m->fleet, &o)) {
        switch (o.kind) {
        case FG_FLEET_READ:
        case FG_FLEET_SWAP:
            sim_call(w, m, false, &o);
            break;
        case FG_FLEET_REMEMBER:
            m->memory = o.revision;
            break;
        case FG_FLEET_LEASE:
            lease(w, m, &o);
            break;
        case FG_FLEET_RECALL:
            recall(w, m, &o);
            break;
        case FG_FLEET_REFUSE:
            refuse(w, m, &o);
            break;
        case FG_FLEET_SOLD_OUT:
            m->bank[o.item].sold_out = true;
            serve(w, m, o.item);
            refuse_all(w, &m->bank[o.item], 1);
            report(m, o.item);
            break;
        case FG_FLEET_OPEN:
            m->bank[o.item].sold_out = false;
            report(m, o.item);
            break;
        case FG_FLEET_STOP:
            m->stopped = true;
            if (!m->retired)
                sim_fail(w, "member %u stops: %s", m->index, fg_fleet_reason_text(o.reason));
        }
    }
}

/* A deposed leader: what it writes is never committed, and its banks stay as they were. */
void sim_drain_ghost(struct sim_world *w, struct sim_member *m)
{
    struct fg_fleet_output o;
    uint32_t recalled = 0;

    while (fg_fleet_next(m->ghost, &o))
        if (o.kind == FG_FLEET_READ || o.kind == FG_FLEET_SWAP)
            sim_call(w, m, true, &o);
        else if (o.kind == FG_FLEET_RECALL && m->ghost_empty)
            recalled |= 1u << o.item;
    for (unsigned i = 0; i < ITEMS; i++)
        if (recalled & 1u << i) {
            fg_fleet_returned(m->ghost, i, 0);
            sim_drain_ghost(w, m);
        }
}

/* ---- processes ------------------------------------------------------------------------------- */

static void counters_of(const struct sim_member *m, unsigned item, struct fg_fleet_counters *c)
{
    *c = (struct fg_fleet_counters){0};
    for (uint64_t i = 0; i < m->written; i++) {
        const struct sim_record *r = &m->log[i];

        if (r->item != item)
            continue;
        if (r->type == SIM_STOCK)
            c->stock += r->units;
        if (r->type == SIM_LEASE) {
            c->leased = (uint64_t)r->units;
            c->leases = r->number;
        }
        if (r->type == SIM_RETURN) {
            c->returned = (uint64_t)r->units;
            c->returns = r->number;
        }
    }
}

/* A claim: the register moves, so nothing that an earlier process sent takes place any more. */
void sim_start(struct sim_world *w, struct sim_member *m)
{
    struct fg_fleet_options o = {.member = m->index,
                                 .items_max = ITEMS,
                                 .map = w->map,
                                 .timing = fg_fleet_timing_usual,
                                 .revision = m->memory,
                                 .register_key = w->value[m->index].key};
    struct fg_error err;

    o.map.retired = 0;
    o.seed[0] = sim_random(w, UINT64_MAX);
    o.seed[1] = m->index;
    m->fleet = fg_fleet_create(&o, &err);
    FG_ASSERT(m->fleet);
    m->life++;
    m->read = m->watched = 0;
    m->watch_ms = m->stall_ms = 0;
    m->committed = m->done = m->written;
    m->sync_ms = 0;
    memset(m->bank, 0, sizeof(m->bank));
    for (unsigned i = 0; i < ITEMS; i++) {
        struct fg_fleet_counters c;

        counters_of(m, i, &c);
        FG_ASSERT(fg_fleet_item(m->fleet, i, i + 1, &c));
        m->bank[i].free = fg_fleet_held(&c) - sim_taken(m, i);
        if (m->bank[i].free < 0)
            sim_fail(w, "member %u: the log of item %u sold %lld more than it held", m->index, i,
                     -(long long)m->bank[i].free);
    }
    if (!w->was_restored)
        sim_write(w, m->index, "register");
    fg_fleet_logged(m->fleet, m->committed);
    fg_fleet_time(m->fleet, w->now_ms);
    fg_fleet_leads(m->fleet, w->value[m->index].revision);
    for (unsigned i = 0; i < ITEMS; i++)
        report(m, i);
    sim_drain(w, m);
}

/* Of what was not committed, a first part may be there. */
static void stop(struct sim_world *w, struct sim_member *m)
{
    m->written = m->committed + sim_random(w, m->written - m->committed + 1);
    for (uint64_t i = 0; i < m->written; i++)
        if (m->log[i].type == SIM_TAKE)
            m->log[i].over = false;
    for (uint64_t i = 0; i < m->written; i++)
        if (m->log[i].type == SIM_BACK)
            m->log[m->log[i].number].over = true;
}

void sim_crash(struct sim_world *w, struct sim_member *m)
{
    w->crashes++;
    stop(w, m);
    fg_fleet_destroy(m->fleet);
    m->fleet = NULL;
    memset(m->bank, 0, sizeof(m->bank));
    m->paused_ms = 0;
    m->start_ms = w->now_ms + 1 + sim_random(w, w->calm ? 50 : 800);
}

/* The standby leads; the old process does not know it yet. */
void sim_take_over(struct sim_world *w, struct sim_member *m)
{
    w->takes++;
    fg_fleet_destroy(m->ghost);
    m->ghost = m->fleet;
    m->ghost_ms = w->now_ms + sim_random(w, 1500);
    m->ghost_empty = m->written == m->committed;
    for (unsigned i = 0; i < ITEMS; i++)
        m->ghost_empty &= m->bank[i].free == 0;
    stop(w, m);
    for (struct sim_call *c = w->calls; c < w->calls + CALLS_MAX; c++)
        if (c->used && c->member == m->index && c->life == m->life && !c->ghost) {
            c->ghost = true;
            c->life = m->life + 1;
        }
    sim_start(w, m);
}

/* ---- a ms ------------------------------------------------------------------------------------ */

static void committed(struct sim_world *w, struct sim_member *m, const struct sim_record *r)
{
    struct sim_bank *b = &m->bank[r->item];

    if (r->type == SIM_BACK || (r->type == SIM_STOCK && r->units > 0)) {
        b->free += r->units;
        m->freed[r->item] += (uint64_t)r->units;
    }
    if (r->type == SIM_STOCK)
        fg_fleet_stocked(m->fleet, r->item, sim_stock(m, r->item));
    serve(w, m, r->item);
    report(m, r->item);
}

static void after_sync(struct sim_world *w, struct sim_member *m)
{
    for (; m->done < m->committed && m->fleet; m->done++)
        committed(w, m, &m->log[m->done]);
    for (unsigned i = 0; i < ITEMS; i++) {
        struct sim_bank *b = &m->bank[i];

        if (b->lease_at && b->lease_at <= m->committed) {
            b->lease_at = 0;
            b->free += b->lease_units;
            serve(w, m, i);
            fg_fleet_leased(m->fleet, i);
            report(m, i);
        }
        if (b->return_at && b->return_at - 1 <= m->committed) {
            b->return_at = 0;
            fg_fleet_returned(m->fleet, i, (uint64_t)b->return_units);
        }
        sim_drain(w, m);
    }
}

static void journal(struct sim_world *w, struct sim_member *m)
{
    bool slow = !w->calm && sim_chance(w, 2000);

    if (m->sync_ms && m->sync_ms <= w->now_ms) {
        m->committed = m->sync_to;
        m->sync_ms = 0;
        fg_fleet_logged(m->fleet, m->committed);
        after_sync(w, m);
    } else if (!m->sync_ms && m->committed == m->written) {
        after_sync(w, m);
    }
    if (!m->sync_ms && m->written > m->committed) {
        m->sync_to = m->written;
        m->sync_ms = w->now_ms + 1 + sim_random(w, slow ? 1000 : 3);
    }
}

static void cancel(struct sim_world *w, struct sim_member *m)
{
    uint64_t n = m->committed;

    for (uint64_t i = 0; i < n; i++) {
        struct sim_record *r = &m->log[i];

        if (r->type != SIM_TAKE || r->over || !r->cancel_ms || r->cancel_ms > w->now_ms)
            continue;
        r->over = true;
        append(w, m, SIM_BACK, r->item, r->units)->number = i;
    }
}

/* The operator adds stock, or takes some of what is free here away. */
static void operate(struct sim_world *w, struct sim_member *m)
{
    unsigned item = (unsigned)sim_random(w, ITEMS);
    struct sim_bank *b = &m->bank[item];

    if (sim_chance(w, 500000) && w->now_ms < 1500) {
        append(w, m, SIM_STOCK, item,
               (int64_t)sim_random(w, w->plenty && sim_chance(w, 500000) ? 400 : 4) + 1);
    } else if (b->free > 0 && sim_chance(w, 200000)) {
        b->free--;
        append(w, m, SIM_STOCK, item, -1);
    }
}

void sim_member_tick(struct sim_world *w, struct sim_member *m)
{
    if (m->ghost && m->ghost_ms <= w->now_ms) {
        fg_fleet_destroy(m->ghost);
        m->ghost = NULL;
    }
    if (m->ghost) {
        fg_fleet_time(m->ghost, w->now_ms);
        sim_drain_ghost(w, m);
    }
    if (!m->fleet && !m->lost && m->start_ms <= w->now_ms)
        sim_start(w, m);
    if (!m->fleet || m->paused_ms > w->now_ms)
        return;
    fg_fleet_time(m->fleet, w->now_ms);
    sim_drain(w, m);
    if (!w->calm && sim_chance(w, 3000))
        operate(w, m);
    cancel(w, m);
    journal(w, m);
}
