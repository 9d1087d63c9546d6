/* SPDX-License-Identifier: BSD-3-Clause */
/* etcd: some values and their revisions. A call takes effect some time after it was made, or never,
 * whether its caller still waits or not. Changes are told late and in any order; with `watches`
 * also by a watch, in their order, which is cut, stalls, and begins again. */
#include "fleet_world.h"

static void tell(struct sim_world *w, const struct sim_value *value)
{
    for (unsigned m = 0; m < w->members; m++) {
        struct sim_event *e = w->events;

        if (!sim_chance(w, 200000))
            continue;
        while (e < w->events + EVENTS_MAX && e->at_ms)
            e++;
        if (e == w->events + EVENTS_MAX)
            return;
        *e = (struct sim_event){w->now_ms + 1 + sim_random(w, 1000), m, *value};
    }
}

void sim_write(struct sim_world *w, unsigned value, const char *text)
{
    struct sim_value *v = &w->value[value];

    v->revision = ++w->store;
    snprintf(v->text, sizeof(v->text), "%s", text);
    tell(w, v);
}

void sim_call(struct sim_world *w, struct sim_member *m, bool ghost,
              const struct fg_fleet_output *o)
{
    struct sim_call *c = w->calls;
    bool slow = !w->calm && sim_chance(w, 20000), never = !w->calm && sim_chance(w, 10000);

    while (c->used)
        FG_ASSERT(++c < w->calls + CALLS_MAX);
    c->used = true;
    c->applied = c->heard = false;
    c->ghost = ghost;
    c->member = m->index;
    c->life = m->life;
    c->ticket = o->ticket;
    c->timeout_ms = w->now_ms + CALL_TIMEOUT_MS;
    c->swap = o->kind == FG_FLEET_SWAP;
    c->since = o->since;
    c->map_revision = o->map_revision;
    c->register_revision = o->register_revision;
    c->puts_len = o->puts_len;
    memcpy(c->puts, o->puts, o->puts_len * sizeof(c->puts[0]));
    c->values_len = 0;
    c->reply_ms = UINT64_MAX;
    if (m->away_ms > w->now_ms) { /* refused at once */
        c->apply_ms = UINT64_MAX;
        c->reply_ms = w->now_ms + 1;
        c->outcome = FG_FLEET_AWAY;
        return;
    }
    c->apply_ms = w->now_ms + 1 + sim_random(w, slow ? 2000 : 2);
    if (w->down_ms > c->apply_ms)
        c->apply_ms = w->down_ms + sim_random(w, 50);
    if (never)
        c->apply_ms = UINT64_MAX;
    c->lost = !w->calm && sim_chance(w, 20000);
}

static struct sim_value *value_of(struct sim_world *w, const char *key)
{
    for (unsigned i = 0; i < SIM_VALUES; i++)
        if (strcmp(w->value[i].key, key) == 0)
            return &w->value[i];
    FG_ASSERT(!"key");
    return NULL;
}

static void bring(struct sim_call *c, const struct sim_value *value)
{
    c->values[c->values_len++] = *value;
}

/* -1 and, for the register, 0: a canary that does not compare. */
static bool holds(struct sim_world *w, const struct sim_call *c)
{
    bool same = w->value[SIM_MAP].revision == c->map_revision &&
                (c->register_revision == 0 || w->value[c->member].revision == c->register_revision);

    for (unsigned i = 0; i < c->puts_len; i++)
        same &= c->puts[i].revision == -1 ||
                value_of(w, c->puts[i].key)->revision == c->puts[i].revision;
    return same;
}

static void apply_swap(struct sim_world *w, struct sim_call *c)
{
    if (!holds(w, c)) {
        c->outcome = FG_FLEET_LOST;
        w->lost_swaps++;
        for (unsigned i = 0; i < c->puts_len; i++)
            bring(c, value_of(w, c->puts[i].key));
        bring(c, &w->value[SIM_MAP]);
        bring(c, &w->value[c->member]);
        return;
    }
    w->swaps++;
    w->store++; /* one revision for all of it */
    for (unsigned i = 0; i < c->puts_len; i++) {
        struct sim_value *v = value_of(w, c->puts[i].key);
        char before[FG_FLEET_TEXT_MAX];

        memcpy(before, v->text, sizeof(before));
        v->revision = w->store;
        memcpy(v->text, c->puts[i].text, sizeof(v->text));
        tell(w, v);
        sim_check_pool(w, (unsigned)(v - w->value - SIM_POOL), before);
    }
    if (w->was_restored)
        sim_fail(w, "a swap succeeded after etcd was restored from a copy");
    if (w->map.frozen)
        sim_fail(w, "a swap succeeded while the fleet was frozen");
    if (c->ghost)
        sim_fail(w, "a swap of a deposed leader succeeded");
}

static void apply(struct sim_world *w, struct sim_call *c)
{
    c->applied = true;
    c->outcome = FG_FLEET_DONE;
    if (!c->lost)
        c->reply_ms = w->now_ms + sim_random(w, 2);
    if (c->swap)
        apply_swap(w, c);
    else
        for (unsigned i = 0; i < SIM_VALUES; i++)
            if (w->value[i].revision > c->since)
                bring(c, &w->value[i]);
    c->store = w->store;
}

static void answer(struct sim_world *w, struct sim_call *c)
{
    struct sim_member *m = &w->member[c->member];
    struct fg_fleet *f = c->ghost ? m->ghost : m->fleet;

    if (c->reply_ms > w->now_ms)
        c->outcome = c->swap ? FG_FLEET_UNKNOWN : FG_FLEET_AWAY;
    c->heard = true;
    if (c->outcome == FG_FLEET_DONE || c->outcome == FG_FLEET_LOST)
        for (unsigned i = 0; i < c->values_len; i++)
            fg_fleet_value(f, c->values[i].key, c->values[i].revision, c->values[i].text);
    if (!c->ghost && !c->swap && c->outcome == FG_FLEET_DONE)
        m->read = c->store;
    fg_fleet_answered(f, c->ticket, c->outcome, c->store);
    if (c->ghost)
        sim_drain_ghost(w, m);
    else
        sim_drain(w, m);
}

static bool caller_is_gone(const struct sim_world *w, const struct sim_call *c)
{
    const struct sim_member *m = &w->member[c->member];

    return c->ghost ? !m->ghost || m->life != c->life : !m->fleet || m->life != c->life;
}

static uint64_t draw(struct sim_world *w, uint64_t below)
{
    w->watch_random = fg_mix64(w->watch_random + 1, w->seed);
    return w->watch_random % below;
}

static void cut(struct sim_world *w, struct sim_member *m)
{
    m->watched = 0;
    m->watch_ms = w->now_ms + draw(w, 1000);
    fg_fleet_watched(m->fleet, 0);
    sim_drain(w, m);
}

/* The next revision behind what the watch has told; false: there is none. */
static bool tell_next(struct sim_world *w, struct sim_member *m)
{
    int64_t next = INT64_MAX;

    for (unsigned i = 0; i < SIM_VALUES; i++)
        if (w->value[i].revision > m->watched && w->value[i].revision < next)
            next = w->value[i].revision;
    for (unsigned i = 0; i < SIM_VALUES; i++)
        if (w->value[i].revision == next)
            fg_fleet_value(m->fleet, w->value[i].key, next, w->value[i].text);
    if (next != INT64_MAX)
        m->watched = next;
    return next != INT64_MAX;
}

static void stream(struct sim_world *w, struct sim_member *m)
{
    bool news = m->watched == 0;

    if (!m->fleet || m->paused_ms > w->now_ms || w->was_restored || !m->read)
        return;
    if (m->watched && !w->calm && draw(w, 1000) == 0)
        cut(w, m);
    if (m->watched && !w->calm && draw(w, 1000) == 0)
        m->stall_ms = w->deaf ? UINT64_MAX : w->now_ms + draw(w, 1500);
    if (m->watch_ms > w->now_ms || m->stall_ms > w->now_ms || w->down_ms > w->now_ms || draw(w, 2))
        return;
    if (m->watched == 0)
        m->watched = m->read;
    while (tell_next(w, m))
        news = true;
    if (news)
        fg_fleet_watched(m->fleet, m->watched);
    sim_drain(w, m);
}

static void watch(struct sim_world *w)
{
    for (unsigned i = 0; i < w->members && w->watches; i++)
        stream(w, &w->member[i]);
    for (struct sim_event *e = w->events; e < w->events + EVENTS_MAX; e++) {
        struct sim_member *m = &w->member[e->member];

        if (!e->at_ms || e->at_ms > w->now_ms)
            continue;
        e->at_ms = 0;
        if (!m->fleet || m->paused_ms > w->now_ms || w->was_restored)
            continue;
        fg_fleet_value(m->fleet, e->value.key, e->value.revision, e->value.text);
        sim_drain(w, m);
    }
}

void sim_etcd_tick(struct sim_world *w)
{
    watch(w);
    for (struct sim_call *c = w->calls; c < w->calls + CALLS_MAX; c++) {
        if (!c->used)
            continue;
        if (!c->applied && c->apply_ms <= w->now_ms)
            apply(w, c);
        if (caller_is_gone(w, c))
            c->heard = true;
        if (!c->heard && w->member[c->member].paused_ms <= w->now_ms &&
            (c->reply_ms <= w->now_ms || c->timeout_ms <= w->now_ms))
            answer(w, c);
        c->used = !c->heard || (!c->applied && c->apply_ms != UINT64_MAX);
    }
}
