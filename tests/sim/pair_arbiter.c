/* SPDX-License-Identifier: BSD-3-Clause */
/* The arbiter: two values and their revisions. A call takes effect some time after it was made, or
 * never, whether its caller still waits or not. */
#include "pair_world.h"

void sim_call(struct sim_world *w, struct sim_node *n, const struct fg_pair_output *o)
{
    struct sim_call *c = w->calls;
    bool slow = !w->calm && sim_chance(w, 30000), never = !w->calm && sim_chance(w, 10000);

    while (c->used)
        FG_ASSERT(++c < w->calls + CALLS_MAX);
    *c = (struct sim_call){.used = true,
                           .node = n->index,
                           .life = n->life,
                           .ticket = o->ticket,
                           .timeout_ms = w->now_ms + CALL_TIMEOUT_MS,
                           .swap = o->kind == FG_PAIR_SWAP,
                           .floor = strcmp(o->key, FG_PAIR_FLOOR_KEY) == 0,
                           .revision = o->revision};
    if (c->swap) {
        FG_ASSERT(o->size < sizeof(c->text));
        memcpy(c->text, o->bytes, o->size);
    }
    if (w->away_ms[n->index] > w->now_ms) { /* refused at once */
        c->apply_ms = UINT64_MAX;
        c->reply_ms = w->now_ms + 1;
        c->outcome = FG_PAIR_AWAY;
        return;
    }
    c->apply_ms = w->now_ms + 1 + sim_random(w, slow ? 3000 : 3);
    if (w->down_ms > c->apply_ms)
        c->apply_ms = w->down_ms + sim_random(w, 50);
    if (never)
        c->apply_ms = UINT64_MAX;
    c->lost = !w->calm && sim_chance(w, 20000);
    c->reply_ms = UINT64_MAX;
}

static void apply(struct sim_world *w, struct sim_call *c)
{
    struct sim_value *value = &w->value[c->floor];

    c->applied = true;
    c->outcome = FG_PAIR_DONE;
    if (!c->lost)
        c->reply_ms = w->now_ms + sim_random(w, 3);
    if (c->swap && c->revision != w->value[0].revision) {
        c->outcome = FG_PAIR_LOST;
        return;
    }
    if (c->swap) {
        value->revision = ++w->store;
        memcpy(value->text, c->text, sizeof(value->text));
        if (!c->floor)
            sim_check_register(w);
        if (w->was_restored)
            sim_fail(w, "a swap succeeded after the arbiter was restored from a copy");
    }
    c->out_revision = value->revision;
    memcpy(c->out_text, value->text, sizeof(c->out_text));
}

void sim_arbiter_tick(struct sim_world *w)
{
    for (struct sim_call *c = w->calls; c < w->calls + CALLS_MAX; c++) {
        struct sim_node *n = &w->node[c->node];

        if (!c->used)
            continue;
        if (!c->applied && c->apply_ms <= w->now_ms)
            apply(w, c);
        if (!n->pair || n->life != c->life)
            c->heard = true;
        if (!c->heard && n->paused_ms <= w->now_ms &&
            (c->reply_ms <= w->now_ms || c->timeout_ms <= w->now_ms)) {
            if (c->reply_ms > w->now_ms)
                c->outcome = c->swap ? FG_PAIR_UNKNOWN : FG_PAIR_AWAY;
            c->heard = true;
            fg_pair_answered(n->pair, c->ticket, c->outcome, c->out_revision, c->out_text);
            sim_drain(w, n);
        }
        c->used = !c->heard || (!c->applied && c->apply_ms != UINT64_MAX);
    }
}
