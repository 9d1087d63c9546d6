/* SPDX-License-Identifier: BSD-3-Clause */
/* What must hold. Knows the disks, the register and what was told, and nothing of lib/pair. */
#include "pair_world.h"

void sim_fail(struct sim_world *w, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    sim_note(w->failure, w->now_ms, format, args);
    va_end(args);
}

static bool same(const struct sim_record *a, const struct sim_record *b)
{
    return a->epoch == b->epoch && a->id == b->id && a->type == b->type;
}

static bool holds_history(const struct sim_world *w, struct sim_disk *d, uint64_t len)
{
    if (d->durable < len)
        return false;
    while (d->matched < len && same(&d->log[d->matched + 1], &w->history[d->matched + 1]))
        d->matched++;
    return d->matched >= len;
}

/* Whatever has left a box is one history, and durable at whom the register names. */
void sim_check_commit(struct sim_world *w, struct sim_node *n)
{
    struct fg_pair_view view;
    const struct sim_disk *d = &n->disk;
    bool grown = false;

    fg_pair_view(n->pair, &view);
    if (view.committed > d->durable) {
        sim_fail(w, "node %u: committed %llu, durable %llu", n->index,
                 (unsigned long long)view.committed, (unsigned long long)d->durable);
        return;
    }
    for (; n->told < view.committed; n->told++) {
        uint64_t seq = n->told + 1;

        if (seq > w->history_len) {
            w->history[seq] = d->log[seq];
            w->history_len = seq;
            w->acked += d->log[seq].type == TYPE_RECORD;
            grown = true;
        } else if (!w->disk_was_lost && !same(&w->history[seq], &d->log[seq])) {
            sim_fail(w, "node %u: record %llu is another one than was told", n->index,
                     (unsigned long long)seq);
        }
    }
    if (grown)
        sim_check_register(w);
    if (view.committed > d->snapshot && sim_chance(w, 20000))
        n->disk.snapshot = view.committed;
}

void sim_check_register(struct sim_world *w)
{
    struct fg_pair_register r;

    if (w->disk_was_lost || w->was_restored)
        return;
    FG_ASSERT(fg_pair_register_read(&r, w->value[0].text));
    if (!holds_history(w, &w->node[r.leader].disk, w->history_len))
        sim_fail(w, "the register names node %u, which lacks what was acknowledged (%llu)",
                 r.leader, (unsigned long long)w->history_len);
    if (r.sync && !holds_history(w, &w->node[1 - r.leader].disk, w->history_len))
        sim_fail(w, "the register names node %u as standby, which lacks what was acknowledged",
                 1 - r.leader);
}

void sim_check_cut(struct sim_world *w, const struct sim_node *n, uint64_t keep)
{
    if (!w->disk_was_lost && keep < w->history_len && keep < n->disk.written &&
        same(&n->disk.log[keep + 1], &w->history[keep + 1]))
        sim_fail(w, "node %u cuts behind %llu what was acknowledged", n->index,
                 (unsigned long long)keep);
    if (!w->disk_was_lost && keep < n->disk.snapshot)
        sim_fail(w, "node %u cuts behind %llu, and has a snapshot of %llu", n->index,
                 (unsigned long long)keep, (unsigned long long)n->disk.snapshot);
}

/* After a disk was lost only what the floor covers can be asked for. */
uint64_t sim_floor(const struct sim_world *w)
{
    struct fg_pair_register r;
    struct fg_pair_floor floor;
    uint64_t log, least = 0;

    if (fg_pair_register_read(&r, w->value[0].text))
        least = r.floor.seq;
    if (fg_pair_floor_read(&floor, &log, w->value[1].text) && floor.seq > least)
        least = floor.seq;
    return least;
}

void sim_check_lead(struct sim_world *w, struct sim_node *n)
{
    uint64_t must = w->disk_was_lost ? w->floor_lost : w->history_len;

    w->takeovers++;
    if (!holds_history(w, &n->disk, must))
        sim_fail(w, "node %u leads, and lacks what was acknowledged (%llu)", n->index,
                 (unsigned long long)must);
}

/* An epoch has one writer: where two logs have the same epoch, they are the same. */
void sim_check_logs(struct sim_world *w)
{
    const struct sim_disk *a = &w->node[0].disk, *b = &w->node[1].disk;

    for (uint64_t i = 1; i <= a->written && i <= b->written; i++)
        if (a->log[i].epoch == b->log[i].epoch && !same(&a->log[i], &b->log[i])) {
            sim_fail(w, "record %llu of epoch %llu differs", (unsigned long long)i,
                     (unsigned long long)a->log[i].epoch);
            return;
        }
}

/* Who leads with a standby is named so, or no longer named: else the standby would wait for ever.
 */
void sim_check_sync(struct sim_world *w)
{
    struct fg_pair_register r;

    if (w->disk_was_lost || w->was_restored || !fg_pair_register_read(&r, w->value[0].text))
        return;
    for (unsigned i = 0; i < 2; i++) {
        const struct sim_node *n = &w->node[i];

        if (n->pair && n->view.state == FG_PAIR_STATE_SYNC && r.epoch == n->view.epoch && !r.sync)
            sim_fail(w, "node %u leads with a standby, and the register names none", i);
    }
}

/* A rejection may be stale only so long after another one has led. */
void sim_check_answers(struct sim_world *w)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct sim_node *n = &w->node[i], *o = &w->node[1 - i];

        if (!n->pair || n->paused_ms > w->now_ms || !o->pair || !o->led_ms ||
            o->view.epoch <= n->view.epoch)
            continue;
        if (n->view.valid_until_ms >= w->now_ms &&
            w->now_ms > o->led_ms + fg_pair_timing_usual.stale_ms)
            sim_fail(w, "node %u still answers, node %u leads since %llu", i, 1 - i,
                     (unsigned long long)o->led_ms);
    }
}

/* Nothing in this world damages a message: each must be one that the protocol allows. */
void sim_check_messages(struct sim_world *w)
{
    for (unsigned i = 0; i < 2; i++)
        if (w->node[i].pair && w->node[i].view.refused)
            sim_fail(w, "node %u takes what the other one sent for no message of this protocol", i);
}

bool sim_is_well(const struct sim_world *w)
{
    const struct fg_pair_view *a = &w->node[0].view, *b = &w->node[1].view;

    if (!w->node[0].pair || !w->node[1].pair)
        return false;
    if (b->state == FG_PAIR_STATE_SYNC) {
        a = b;
        b = &w->node[0].view;
    }
    return a->state == FG_PAIR_STATE_SYNC && b->state == FG_PAIR_STATE_FOLLOWING && a->accepting;
}
