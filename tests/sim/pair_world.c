/* SPDX-License-Identifier: BSD-3-Clause */
/* Nodes, requests and the faults. */
#include "pair_world.h"

uint64_t sim_random(struct sim_world *w, uint64_t below)
{
    return sim_draw(&w->random, below);
}

bool sim_chance(struct sim_world *w, unsigned in_million)
{
    return sim_random(w, 1000000) < in_million;
}

/* ---- processes ------------------------------------------------------------------------------- */

static void start(struct sim_world *w, struct sim_node *n)
{
    struct fg_pair_options options = {.node = n->index, .timing = fg_pair_timing_usual};
    struct fg_error err;

    if (!sim_log_open(w, n, &options.log)) {
        n->start_ms = w->now_ms + 1 + sim_random(w, 500);
        return;
    }
    options.seed[0] = sim_random(w, UINT64_MAX);
    options.seed[1] = sim_random(w, UINT64_MAX);
    options.memory = n->disk.memory;
    n->pair = fg_pair_create(&options, &err);
    if (!n->pair) {
        sim_fail(w, "node %u: %s", n->index, err.text);
        return;
    }
    n->life++;
    n->told = 0;
    fg_pair_time(n->pair, w->now_ms, w->now_ms);
    sim_drain(w, n);
}

static void stop(struct sim_world *w, struct sim_node *n, bool power, bool other_hears)
{
    sim_link_close(w, n, other_hears);
    fg_pair_destroy(n->pair);
    n->pair = NULL;
    sim_log_stop(w, n, power);
    n->start_ms = w->now_ms + 5 + sim_random(w, w->calm ? 100 : 1500);
    if (w->options.retires && !w->calm && sim_chance(w, 200000))
        n->start_ms += sim_random(w, 6000); /* until its leader has not all of the log any more */
    n->led_ms = n->paused_ms = 0;
    n->pipe_ms = 0;
    memset(&n->view, 0, sizeof(n->view));
}

void sim_crash(struct sim_world *w, struct sim_node *n)
{
    w->crashes++;
    stop(w, n, true, sim_chance(w, 500000));
    sim_check_register(w);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* Orders: accepted while the node accepts and does not doubt that it leads; the records of its
 * workers arrive a little later. */
static void requests(struct sim_world *w, struct sim_node *n)
{
    if (w->now_ms >= w->burst_ms)
        w->burst_ms = w->now_ms + 500 + sim_random(w, 1500);
    if (w->burst_ms > w->now_ms + 500 && !w->calm) /* between two bursts */
        return;
    if (n->view.accepting && n->view.valid_until_ms >= w->now_ms)
        n->pipe_ms = w->now_ms + 3;
    if (n->pipe_ms > w->now_ms && sim_chance(w, w->options.retires ? 600000 : 200000))
        sim_log_record(w, n);
}

/* ---- outputs --------------------------------------------------------------------------------- */

static void carry_out(struct sim_world *w, struct sim_node *n, const struct fg_pair_output *o)
{
    switch (o->kind) {
    case FG_PAIR_SEND:
        sim_link_send(w, n, o);
        break;
    case FG_PAIR_CLOSE:
        if (n->link == o->link)
            sim_link_close(w, n, true);
        break;
    case FG_PAIR_READ:
    case FG_PAIR_SWAP:
        sim_call(w, n, o);
        break;
    case FG_PAIR_REMEMBER:
        n->disk.memory = o->memory;
        break;
    case FG_PAIR_LEAD:
        n->led_ms = w->now_ms;
        sim_check_lead(w, n);
        sim_log_order(w, n, o);
        break;
    case FG_PAIR_APPEND:
    case FG_PAIR_CUT:
    case FG_PAIR_SEAL:
    case FG_PAIR_FILL:
        sim_log_order(w, n, o);
        break;
    case FG_PAIR_END:
        break;
    }
}

void sim_drain(struct sim_world *w, struct sim_node *n)
{
    struct fg_pair_output o;

    if (!n->pair)
        return;
    sim_check_commit(w, n);
    sim_log_told(w, n);
    while (fg_pair_next(n->pair, &o)) {
        if (o.kind == FG_PAIR_END) {
            w->ends++;
            stop(w, n, false, true);
            return;
        }
        carry_out(w, n, &o);
    }
    fg_pair_view(n->pair, &n->view);
    if (n->view.role != FG_PAIR_ROLE_SOLO && n->view.role != FG_PAIR_ROLE_LEADER)
        n->led_ms = 0;
    if (n->view.state == FG_PAIR_STATE_REFUSED && !w->disk_was_lost && !w->was_restored)
        sim_fail(w, "node %u refuses: %s", n->index, fg_pair_reason_text(n->view.reason));
}

/* ---- faults ---------------------------------------------------------------------------------- */

static uint64_t later(struct sim_world *w, uint64_t at_most)
{
    return w->now_ms + 10 + sim_random(w, at_most);
}

/* A node that leads alone comes back with an older disk, or an empty one. */
static void lose_disk(struct sim_world *w)
{
    struct fg_pair_register r;
    struct sim_node *n;

    FG_ASSERT(fg_pair_register_read(&r, w->value[0].text));
    n = &w->node[r.leader];
    if (r.sync || w->disk_was_lost || !n->disk.written)
        return;
    for (unsigned i = 0; i < CALLS_MAX; i++)
        if (w->calls[i].node == n->index)
            w->calls[i].used = false;
    w->disk_was_lost = true;
    w->floor_lost = sim_floor(w);
    if (n->pair)
        sim_crash(w, n);
    sim_log_lose(w, n, sim_random(w, n->disk.written));
    n->disk.matched = 0;
}

/* Only a copy that both nodes know to be old can be told from the real thing. */
static void restore(struct sim_world *w)
{
    if (w->copy[0].revision == 0) {
        memcpy(w->copy, w->value, sizeof(w->copy));
        return;
    }
    for (unsigned i = 0; i < 2; i++)
        if (w->node[i].disk.memory.revision <= w->copy[0].revision)
            return;
    if (w->was_restored || w->value[0].revision <= w->copy[0].revision)
        return;
    memset(w->calls, 0, sizeof(w->calls));
    for (unsigned i = 0; i < 2; i++)
        if (w->node[i].pair)
            sim_crash(w, &w->node[i]);
    memcpy(w->value, w->copy, sizeof(w->value));
    w->store = w->copy[0].revision + 3;
    w->was_restored = true;
}

static void faults(struct sim_world *w)
{
    struct sim_node *n = &w->node[sim_random(w, 2)];

    if (sim_chance(w, 500) && n->pair)
        sim_crash(w, n);
    if (sim_chance(w, 300) && n->pair)
        n->paused_ms = later(w, 1500);
    if (sim_chance(w, 300))
        w->stalled_ms[n->index] = later(w, 2000);
    if (sim_chance(w, 400) && n->link) {
        uint32_t link = n->link;

        sim_link_close(w, n, sim_chance(w, 700000));
        if (n->pair)
            fg_pair_closed(n->pair, link);
        sim_drain(w, n);
    }
    if (sim_chance(w, 200))
        w->away_ms[n->index] = later(w, 3000);
    if (sim_chance(w, 100))
        w->down_ms = later(w, 2000);
    if (sim_chance(w, 150) && n->pair) {
        fg_pair_switch(n->pair);
        sim_drain(w, n);
    }
    if (sim_chance(w, 50) && n->pair) {
        fg_pair_alone(n->pair, sim_chance(w, 400000));
        sim_drain(w, n);
    }
    if (w->options.retires && sim_chance(w, 1500))
        sim_log_retire(w, &w->node[sim_random(w, 2)]);
    if (w->options.old_disks && sim_chance(w, 300))
        lose_disk(w);
    if (w->options.restored && sim_chance(w, 500))
        restore(w);
}

/* ---- a run ----------------------------------------------------------------------------------- */

void sim_begin(struct sim_world *w, uint64_t seed, const struct sim_options *options)
{
    memset(w, 0, sizeof(*w));
    w->seed = w->random = seed;
    w->options = *options;
    w->now_ms = 1;
    w->store = w->value[0].revision = 1;
    fg_pair_register_first(w->value[0].text, 0, LOG_ID, 0);
    w->node[1].index = 1;
    for (unsigned i = 0; i < 2; i++)
        sim_log_begin(w, &w->node[i]);
    w->node[1].start_ms = sim_random(w, 2000);
}

void sim_end(struct sim_world *w)
{
    for (unsigned i = 0; i < 2; i++)
        fg_pair_destroy(w->node[i].pair);
    for (unsigned i = 0; i < 2; i++)
        sim_log_end(w, &w->node[i]);
    sim_link_end(w);
}

void sim_mend(struct sim_world *w)
{
    w->calm = true;
    w->down_ms = 0;
    for (unsigned i = 0; i < 2; i++) {
        w->stalled_ms[i] = w->away_ms[i] = w->node[i].paused_ms = 0;
        if (w->node[i].pair) {
            fg_pair_alone(w->node[i].pair, false);
            sim_drain(w, &w->node[i]);
        }
    }
}

void sim_tick(struct sim_world *w)
{
    w->now_ms++;
    if (!w->calm)
        faults(w);
    sim_link_tick(w);
    sim_arbiter_tick(w);
    for (unsigned i = 0; i < 2; i++) {
        struct sim_node *n = &w->node[i];

        if (!n->pair && n->start_ms <= w->now_ms)
            start(w, n);
        if (!n->pair || n->paused_ms > w->now_ms)
            continue;
        fg_pair_time(n->pair, w->now_ms, w->now_ms + 7 * i);
        sim_drain(w, n);
        if (n->pair)
            sim_log_step(w, n);
        if (n->pair)
            requests(w, n);
    }
    sim_check_answers(w);
    sim_check_messages(w);
    sim_check_sync(w);
}
