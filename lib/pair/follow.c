/* SPDX-License-Identifier: BSD-3-Clause */
/* A node that does not lead: what it may become, and how it follows. */
#include <string.h>

#include "pair/internal.h"

/* ---- what now? ------------------------------------------------------------------------------- */

enum situation { MINE_SOLO, MINE_SYNC, SYNC_ME, OTHERS_SOLO, SITUATIONS };
/* PENDING: no link yet, shortly after a start. CANNOT: it has said that it may not lead. */
enum company { PENDING, UNREACHABLE, IDLE, CANNOT, LEADS, COMPANIES };
enum verdict { WAIT, CLAIM, YIELD, FOLLOW };

/* A node may swap only if the register names it; a restarted leader lets its standby lead. */
static const uint8_t verdicts[SITUATIONS][COMPANIES] = {
    /*               PENDING UNREACHABLE IDLE   CANNOT LEADS */
    [MINE_SOLO] = {CLAIM, CLAIM, CLAIM, CLAIM, CLAIM},
    [MINE_SYNC] = {WAIT, CLAIM, YIELD, CLAIM, WAIT},
    [SYNC_ME] = {WAIT, CLAIM, CLAIM, CLAIM, FOLLOW},
    [OTHERS_SOLO] = {WAIT, WAIT, WAIT, WAIT, FOLLOW},
};

static enum situation situation_of(const struct fg_pair *p)
{
    if (p->reg.leader == p->node)
        return p->reg.sync ? MINE_SYNC : MINE_SOLO;
    return p->reg.sync ? SYNC_ME : OTHERS_SOLO;
}

static enum company company_of(const struct fg_pair *p)
{
    if (!p->peer.link || !p->peer.hello)
        return p->now_ms >= p->patient_until_ms ? UNREACHABLE : PENDING;
    if (p->peer.epoch)
        return LEADS;
    return p->peer.reason != FG_PAIR_REASON_NONE ? CANNOT : IDLE;
}

/* Whether its log holds everything that the pair is known to have acknowledged. */
static bool reaches_floor(const struct fg_pair *p)
{
    const struct fg_pair_floor *f = &p->floor;

    return p->log &&
           (f->seq == 0 || (p->durable >= f->seq &&
                            fg_pair_epoch_of(p->epochs, p->epochs_len, f->seq) == f->epoch));
}

static void claim_if_fit(struct fg_pair *p)
{
    if (reaches_floor(p)) {
        p->reason = FG_PAIR_REASON_NONE;
        fg_pair_raise(p, FG_PAIR_EVENT_MAY_LEAD);
    } else if (p->reg.leader == p->node && !p->reg.sync) {
        fg_pair_refuse(p, FG_PAIR_REASON_BELOW_FLOOR);
    } else {
        p->reason = FG_PAIR_REASON_BELOW_FLOOR; /* the peer may lead, and be followed */
    }
}

void fg_pair_decide(struct fg_pair *p)
{
    enum verdict verdict = verdicts[situation_of(p)][company_of(p)];

    p->retry_ms = p->now_ms + 4 * p->timing.retry_ms; /* a HELLO makes it sooner */
    if (p->forced) {
        fg_pair_raise(p, FG_PAIR_EVENT_MAY_LEAD);
        return;
    }
    if (p->log && p->reg.log != p->log) {
        fg_pair_refuse(p, FG_PAIR_REASON_OTHER_LOG);
        return;
    }
    if (verdict == YIELD && p->now_ms >= p->seek_since_ms + p->timing.yield_ms)
        verdict = CLAIM;
    if (verdict == CLAIM)
        claim_if_fit(p);
    else if (verdict == FOLLOW)
        fg_pair_raise(p, FG_PAIR_EVENT_LEADER_FOUND);
}

/* The promise: from here on nothing of the old epoch is acknowledged, and the link is closed before
 * any swap is sent. */
void fg_pair_seek(struct fg_pair *p)
{
    fg_pair_hang_up(p);
    p->epoch = 0;
    p->revision = 0;
    p->reason = FG_PAIR_REASON_NONE;
    p->seek_since_ms = p->now_ms;
    p->patient_until_ms = p->now_ms;
    if (p->retry_ms > p->now_ms + p->timing.retry_ms)
        p->retry_ms = p->now_ms;
}

/* After a swap that was not won. The link may stay: nothing is followed. */
void fg_pair_seek_again(struct fg_pair *p)
{
    p->revision = 0;
}

void fg_pair_seek_forced(struct fg_pair *p)
{
    p->forced = true;
    p->reason = FG_PAIR_REASON_NONE;
    p->retry_ms = p->now_ms;
}

void fg_pair_claim(struct fg_pair *p)
{
    p->retry_ms = p->now_ms;
}

/* ---- join ------------------------------------------------------------------------------------ */

void fg_pair_follow(struct fg_pair *p)
{
    const struct fg_pair_peer *peer = &p->peer;
    uint64_t newest = p->epochs_len ? p->epochs[p->epochs_len - 1].epoch : 0, common = 0;
    struct fg_pair_output output = {.kind = FG_PAIR_CUT, .log = peer->log};

    p->epoch = peer->epoch;
    p->reason = FG_PAIR_REASON_NONE;
    p->cut_link = peer->link;
    if (!peer->link || peer->epoch < newest || !peer->log) {
        fg_pair_raise(p, FG_PAIR_EVENT_LOST); /* an old leader that does not know it yet */
        return;
    }
    if (p->log && p->log != peer->log) {
        fg_pair_refuse(p, FG_PAIR_REASON_OTHER_LOG);
        return;
    }
    if (p->log && p->last &&
        !fg_pair_common(p->epochs, p->epochs_len, p->last, peer->epochs, peer->epochs_len,
                        peer->last, &common)) {
        fg_pair_refuse(p, FG_PAIR_REASON_DIVERGED);
        return;
    }
    if (common < p->committed) {
        fg_pair_refuse(p, FG_PAIR_REASON_DIVERGED);
        return;
    }
    output.first = common;
    p->cutting = true;
    fg_pair_emit(p, &output);
}

void fg_pair_catch_up(struct fg_pair *p)
{
    struct fg_pair_message m = {
        .type = FG_PAIR_TYPE_FOLLOW, .epoch = p->epoch, .follow.first = p->last + 1};

    if (!p->peer.link || p->peer.link != p->cut_link) {
        fg_pair_raise(p, FG_PAIR_EVENT_LOST); /* it broke during the cut */
        return;
    }
    p->log = p->peer.log;
    if (m.follow.first < p->peer.first) {
        fg_pair_raise(p, FG_PAIR_EVENT_FILL);
        return;
    }
    fg_pair_say(p, &m);
    fg_pair_follow_acknowledge(p);
}

/* The cut has left a part of the leader's log. Its snapshots hold committed records only, and more
 * of them than that part: it is removed when the snapshot is here, and nothing that was
 * acknowledged goes with it. */
void fg_pair_fill(struct fg_pair *p)
{
    struct fg_pair_output output = {.kind = FG_PAIR_FILL, .link = p->peer.link};

    fg_pair_emit(p, &output);
}

void fg_pair_end_filled(struct fg_pair *p)
{
    p->reason = FG_PAIR_REASON_FILLED;
    fg_pair_end(p);
}

/* ---- the stream ------------------------------------------------------------------------------ */

static bool follows(const struct fg_pair *p)
{
    return p->state == FG_PAIR_STATE_CATCHING || p->state == FG_PAIR_STATE_FOLLOWING;
}

/* The epoch of the records is the newest of the list, or begins with the first of them. */
static bool epoch_fits(struct fg_pair *p, const struct fg_pair_message *m)
{
    struct fg_pair_epoch newest = {0, 0};

    if (p->epochs_len)
        newest = p->epochs[p->epochs_len - 1];
    if (m->records.of_epoch == newest.epoch)
        return m->records.epoch_first == newest.first;
    if (m->records.of_epoch < newest.epoch || m->records.of_epoch > p->epoch ||
        m->records.epoch_first != m->records.first)
        return false;
    fg_pair_add_epoch(p, m->records.of_epoch, m->records.epoch_first);
    return true;
}

void fg_pair_follow_records(struct fg_pair *p, const struct fg_pair_message *m)
{
    struct fg_pair_output output = {.kind = FG_PAIR_APPEND,
                                    .bytes = m->tail,
                                    .size = (size_t)m->count * FG_PAIR_RECORD_SIZE,
                                    .first = m->records.first,
                                    .count = m->count};

    if (!follows(p))
        return;
    if (m->epoch != p->epoch || m->count == 0 || m->records.first != p->last + 1 ||
        !epoch_fits(p, m)) {
        fg_pair_violated(p);
        return;
    }
    fg_pair_emit(p, &output);
    p->last += m->count;
    if (m->records.committed > p->leader_committed)
        p->leader_committed = m->records.committed;
}

void fg_pair_follow_beat(struct fg_pair *p, const struct fg_pair_message *m)
{
    if (!follows(p) || m->epoch != p->epoch)
        return;
    if (m->heartbeat.committed > p->leader_committed)
        p->leader_committed = m->heartbeat.committed;
    if (m->heartbeat.published && p->state == FG_PAIR_STATE_CATCHING)
        fg_pair_raise(p, FG_PAIR_EVENT_PUBLISHED);
}

void fg_pair_follow_take(struct fg_pair *p, const struct fg_pair_message *m)
{
    if (follows(p) && m->epoch == p->epoch && p->durable >= m->take.last)
        fg_pair_raise(p, FG_PAIR_EVENT_TAKE);
}

void fg_pair_follow_acknowledge(struct fg_pair *p)
{
    struct fg_pair_message m = {
        .type = FG_PAIR_TYPE_ACK, .epoch = p->epoch, .ack.durable = p->durable};

    if (follows(p))
        fg_pair_say(p, &m);
}
