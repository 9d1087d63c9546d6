/* SPDX-License-Identifier: BSD-3-Clause */
/* The log as an array: fast, and without files. pair_log.c has the real one. */
#include "pair_world.h"

/* Each batch names its epoch, so that one whose EPOCH record was torn off is not taken for one of
 * the epoch before. */
static size_t epochs_of(const struct sim_disk *d, struct fg_pair_epoch *list, size_t max)
{
    size_t len = 0;

    for (uint64_t i = 1; i <= d->written; i++)
        if (d->log[i].type == TYPE_BATCH && d->log[i].epoch != (len ? list[len - 1].epoch : 0)) {
            FG_ASSERT(len < max);
            list[len++] = (struct fg_pair_epoch){d->log[i].epoch, i};
        }
    return len;
}

void sim_log_folder(bool make)
{
}

void sim_log_begin(struct sim_world *w, struct sim_node *n)
{
    n->disk.exists = n->index == 0;
}

void sim_log_end(struct sim_world *w, struct sim_node *n)
{
}

bool sim_log_open(struct sim_world *w, struct sim_node *n, struct fg_pair_log *log)
{
    static struct fg_pair_epoch epochs[2000];
    struct sim_disk *d = &n->disk;

    d->durable = d->written; /* opening it syncs it */
    *log = (struct fg_pair_log){.id = d->exists ? LOG_ID : 0,
                                .first = d->first ? d->first : 1,
                                .last = d->written,
                                .committed = d->solo || d->committed > d->written ? d->written
                                                                                  : d->committed,
                                .epochs = epochs,
                                .epochs_len = epochs_of(d, epochs, 2000)};
    return true;
}

/* A power cut: of what was not synced, a first part may be there. */
void sim_log_stop(struct sim_world *w, struct sim_node *n, bool power)
{
    struct sim_disk *d = &n->disk;

    if (power && n->cut_ms == 0)
        d->written = d->durable + sim_random(w, d->written - d->durable + 1);
    if (d->matched > d->written)
        d->matched = d->written;
    n->sync_end_ms = n->lead_ms = n->cut_ms = n->fill_ms = 0;
    n->seal = false;
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
void sim_log_retire(struct sim_world *w, struct sim_node *n)
{
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

void sim_log_step(struct sim_world *w, struct sim_node *n)
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

void sim_log_record(struct sim_world *w, struct sim_node *n)
{
    if (n->lead_ms || !n->disk.written)
        return;
    w->accepted++;
    append(w, n, TYPE_RECORD, n->disk.log[n->disk.written].epoch);
    fg_pair_appended(n->pair, n->disk.written);
    sim_drain(w, n);
}

void sim_log_read(struct sim_world *w, struct sim_node *n, uint64_t first, uint32_t count,
                  uint8_t *bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        FG_ASSERT(first + i <= n->disk.written);
        memcpy(bytes + (size_t)i * FG_PAIR_RECORD_SIZE, &n->disk.log[first + i],
               sizeof(struct sim_record));
    }
}

void sim_log_told(struct sim_world *w, struct sim_node *n)
{
}

void sim_log_lose(struct sim_world *w, struct sim_node *n, uint64_t keep)
{
    n->disk.written = n->disk.durable = n->disk.snapshot = keep;
    n->disk.committed = 0;
    n->disk.solo = true;
}

static void take_records(struct sim_world *w, struct sim_node *n, const struct fg_pair_output *o)
{
    struct sim_disk *d = &n->disk;

    FG_ASSERT(o->first == d->written + 1 && d->written + o->count <= RECORDS_MAX);
    for (uint32_t i = 0; i < o->count; i++)
        memcpy(&d->log[++d->written], o->bytes + (size_t)i * FG_PAIR_RECORD_SIZE,
               sizeof(struct sim_record));
}

void sim_log_order(struct sim_world *w, struct sim_node *n, const struct fg_pair_output *o)
{
    switch (o->kind) {
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
        break;
    case FG_PAIR_SEAL:
        n->seal = true;
        break;
    case FG_PAIR_FILL:
        n->fill_ms = w->now_ms + 1 + sim_random(w, 500);
        break;
    default:
        FG_ASSERT(!"an order to the log");
    }
}
