/* SPDX-License-Identifier: BSD-3-Clause */
/* Nodes with their journals, and the faults. */
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

/* Each batch names its epoch, so that one whose EPOCH record was torn off is not taken for one of
 * the epoch before. */
static size_t epochs_of(const struct sim_world *w, const struct sim_disk *d,
                        struct fg_pair_epoch *list, size_t max)
{
    bool by_epoch = w->options.by_epoch_record;
    size_t len = 0;

    for (uint64_t i = 1; i <= d->written; i++)
        if (d->log[i].type == (by_epoch ? TYPE_EPOCH : TYPE_BATCH) &&
            d->log[i].epoch != (len ? list[len - 1].epoch : 0)) {
            FG_ASSERT(len < max);
            list[len++] = (struct fg_pair_epoch){d->log[i].epoch, i - by_epoch};
        }
    return len;
}

static void start(struct sim_world *w, struct sim_node *n)
{
    struct fg_pair_epoch epochs[2000];
    struct sim_disk *d = &n->disk;
    struct fg_pair_options options = {.node = n->index, .timing = fg_pair_timing_usual};
    struct fg_error err;

    d->durable = d->written; /* opening it syncs it */
    options.seed[0] = sim_random(w, UINT64_MAX);
    options.seed[1] = sim_random(w, UINT64_MAX);
    options.memory = d->memory;
    options.log = (struct fg_pair_log){
        .id = d->exists ? LOG_ID : 0,
        .first = d->first ? d->first : 1,
        .last = d->written,
        .committed = d->solo || d->committed > d->written ? d->written : d->committed,
        .epochs = epochs,
        .epochs_len = epochs_of(w, d, epochs, 2000)};
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

static void stop(struct sim_world *w, struct sim_node *n, bool other_hears)
{
    sim_link_close(w, n, other_hears);
    fg_pair_destroy(n->pair);
    n->pair = NULL;
    n->start_ms = w->now_ms + 5 + sim_random(w, w->calm ? 100 : 1500);
    n->sync_end_ms = n->lead_ms = n->cut_ms = n->led_ms = n->paused_ms = n->fill_ms = 0;
    n->seal = false;
    n->pipe_ms = 0;
    memset(&n->view, 0, sizeof(n->view));
}

/* A power cut: of what was not synced, a first part may be there. */
void sim_crash(struct sim_world *w, struct sim_node *n)
{
    struct sim_disk *d = &n->disk;

    w->crashes++;
    if (n->cut_ms == 0)
        d->written = d->durable + sim_random(w, d->written - d->durable + 1);
    if (d->matched > d->written)
        d->matched = d->written;
    stop(w, n, sim_chance(w, 500000));
    sim_check_register(w);
}

/* ---- the journal of a node ------------------------------------------------------------------- */

static void append(struct sim_world *w, struct sim_node *n, uint64_t type, uint64_t epoch)
{
    struct sim_disk *d = &n->disk;

    if (d->written == RECORDS_MAX) {
        sim_fail(w, "the log is full");
        return;
    }
    d->log[++d->written] = (struct sim_record){.epoch = epoch, .id = ++w->next_id, .type = type};
}

static void begin_epoch(struct sim_world *w, struct sim_node *n)
{
    uint64_t first = n->disk.written + 1;

    append(w, n, TYPE_BATCH, n->lead_epoch);
    append(w, n, TYPE_EPOCH, n->lead_epoch);
    n->lead_ms = 0;
    fg_pair_began(n->pair, first);
    sim_drain(w, n);
    if (n->pair)
        fg_pair_appended(n->pair, n->disk.written);
}

static void seal(struct sim_world *w, struct sim_node *n)
{
    n->seal = false;
    append(w, n, TYPE_BATCH, n->view.epoch);
    fg_pair_appended(n->pair, n->disk.written);
    fg_pair_sealed(n->pair, n->disk.written);
}

static void finish_cut(struct sim_world *w, struct sim_node *n)
{
    struct sim_disk *d = &n->disk;

    n->cut_ms = 0;
    w->cuts += n->cut_to < d->written;
    sim_check_cut(w, n, n->cut_to);
    d->written = d->durable = n->cut_to;
    if (d->matched > d->written)
        d->matched = d->written;
    n->sync_end_ms = 0;
    d->exists = true;
    sim_check_register(w);
    fg_pair_cut(n->pair, d->written);
}

static void finish_sync(struct sim_world *w, struct sim_node *n)
{
    struct sim_disk *d = &n->disk;

    n->sync_end_ms = 0;
    d->durable = n->sync_to;
    d->committed = n->sync_committed;
    d->solo = n->sync_solo;
    fg_pair_durable(n->pair, d->durable);
}

/* Of the other node's newest snapshot. A node that fills begins anew with it; whatever was in its
 * log must be in it. */
static void finish_fill(struct sim_world *w, struct sim_node *n)
{
    struct sim_node *other = &w->node[1 - n->index];
    struct sim_disk *d = &n->disk, *from = &other->disk;
    uint64_t seq = from->snapshot;

    n->fill_ms = 0;
    if (n->view.state != FG_PAIR_STATE_FILLING || !other->pair || !n->link)
        return; /* the link will break, or broke */
    if (!seq || seq < d->written) {
        sim_fail(w, "node %u is to be filled from a snapshot of record %llu, and has %llu",
                 n->index, (unsigned long long)seq, (unsigned long long)d->written);
        return;
    }
    memcpy(d->log, from->log, (seq + 1) * sizeof(d->log[0]));
    d->written = d->durable = d->committed = d->snapshot = seq;
    d->first = seq + 1;
    d->solo = false;
    w->fills++;
    sim_check_register(w);
    fg_pair_filled(n->pair, true);
}

/* Old segments go: what a snapshot holds. */
static void retire(struct sim_world *w)
{
    struct sim_node *n = &w->node[sim_random(w, 2)];
    struct sim_disk *d = &n->disk;

    if (!n->pair || d->snapshot < d->first || d->snapshot >= d->durable)
        return;
    d->first = d->snapshot + 1;
    fg_pair_retired(n->pair, d->first);
}

static void begin_sync(struct sim_world *w, struct sim_node *n)
{
    bool slow = !w->calm && sim_chance(w, 1500);

    n->sync_to = n->disk.written;
    n->sync_committed = n->view.committed;
    n->sync_solo = n->view.solo;
    n->sync_end_ms = w->now_ms + 1 + sim_random(w, slow ? 5000 : 3);
}

static void journal(struct sim_world *w, struct sim_node *n)
{
    if (n->fill_ms && n->fill_ms <= w->now_ms)
        finish_fill(w, n);
    else if (n->cut_ms && n->cut_ms <= w->now_ms)
        finish_cut(w, n);
    else if (n->lead_ms && n->lead_ms <= w->now_ms)
        begin_epoch(w, n);
    else if (n->seal)
        seal(w, n);
    else if (n->sync_end_ms && n->sync_end_ms <= w->now_ms)
        finish_sync(w, n);
    sim_drain(w, n);
    if (n->pair && !n->sync_end_ms && !n->cut_ms && n->disk.written > n->disk.durable)
        begin_sync(w, n);
}

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
    if (n->pipe_ms <= w->now_ms || n->lead_ms || !n->disk.written || !sim_chance(w, 200000))
        return;
    w->accepted++;
    append(w, n, TYPE_RECORD, n->disk.log[n->disk.written].epoch);
    fg_pair_appended(n->pair, n->disk.written);
    sim_drain(w, n);
}

/* ---- outputs --------------------------------------------------------------------------------- */

static void take_records(struct sim_world *w, struct sim_node *n, const struct fg_pair_output *o)
{
    struct sim_disk *d = &n->disk;

    FG_ASSERT(o->first == d->written + 1 && d->written + o->count <= RECORDS_MAX);
    for (uint32_t i = 0; i < o->count; i++)
        memcpy(&d->log[++d->written], o->bytes + (size_t)i * FG_PAIR_RECORD_SIZE,
               sizeof(struct sim_record));
}

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
    case FG_PAIR_APPEND:
        take_records(w, n, o);
        break;
    case FG_PAIR_CUT:
        n->cut_to = o->first;
        n->cut_ms = w->now_ms + 1 + sim_random(w, 20);
        break;
    case FG_PAIR_LEAD:
        n->lead_epoch = o->epoch;
        n->lead_ms = w->now_ms + sim_random(w, 5);
        n->led_ms = w->now_ms;
        sim_check_lead(w, n);
        break;
    case FG_PAIR_SEAL:
        n->seal = true;
        break;
    case FG_PAIR_FILL:
        n->fill_ms = w->now_ms + 1 + sim_random(w, 500);
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
    while (fg_pair_next(n->pair, &o)) {
        if (o.kind == FG_PAIR_END) {
            w->ends++;
            stop(w, n, true);
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
    n->disk.written = n->disk.durable = n->disk.snapshot = sim_random(w, n->disk.written);
    n->disk.matched = 0;
    n->disk.committed = 0;
    n->disk.solo = true;
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
    if (w->options.retires && sim_chance(w, 500))
        retire(w);
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
    w->node[0].disk.exists = true;
    w->node[1].index = 1;
    w->node[1].start_ms = sim_random(w, 2000);
}

void sim_end(struct sim_world *w)
{
    for (unsigned i = 0; i < 2; i++)
        fg_pair_destroy(w->node[i].pair);
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
            journal(w, n);
        if (n->pair)
            requests(w, n);
    }
    sim_check_answers(w);
    sim_check_messages(w);
    sim_check_sync(w);
}
