/* SPDX-License-Identifier: BSD-3-Clause */
/* A node that leads: shipping, the commit watermark, the standby that comes and goes. */
#include "pair/internal.h"

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- commit watermark ------------------------------------------------------------------------ */

void fg_pair_commit(struct fg_pair *p)
{
    uint64_t to = p->committed;

    if (p->state == FG_PAIR_STATE_SOLO)
        to = p->durable;
    else if (fg_pair_leads(p))
        to = smaller(p->durable, p->peer_durable);
    else if (p->state == FG_PAIR_STATE_CATCHING || p->state == FG_PAIR_STATE_FOLLOWING)
        to = smaller(p->durable, p->leader_committed);
    /* the EPOCH record is durable before anything is told under its epoch */
    if (fg_pair_leads(p) && (p->epoch_first == 0 || p->durable <= p->epoch_first))
        return;
    if (to > p->committed)
        p->committed = to;
}

/* ---- shipping -------------------------------------------------------------------------------- */

static void forget_sample(struct fg_pair *p)
{
    p->sample_seq = 0;
    p->sample_ms = p->now_ms;
}

void fg_pair_lead_follow(struct fg_pair *p, const struct fg_pair_message *m)
{
    bool open = p->state == FG_PAIR_STATE_SOLO || p->state == FG_PAIR_STATE_DROPPING;

    if (!open || m->epoch != p->epoch || p->epoch_first == 0 || m->follow.first < p->first ||
        m->follow.first > p->last + 1) {
        fg_pair_hang_up(p); /* it says HELLO again, and learns what has changed */
        fg_pair_lost(p);
        return;
    }
    p->shipping = true;
    p->ship_next = p->ship_base = m->follow.first;
    p->peer_durable = 0;
    p->fit_since_ms = p->now_ms;
    forget_sample(p);
}

void fg_pair_lead_ack(struct fg_pair *p, const struct fg_pair_message *m)
{
    if (!p->shipping || m->epoch != p->epoch)
        return;
    if (m->ack.durable >= p->ship_next) { /* more than it was given */
        fg_pair_violated(p);
        return;
    }
    if (m->ack.durable > p->peer_durable)
        p->peer_durable = m->ack.durable;
    if (p->peer_durable >= p->ship_base)
        p->ship_base = p->peer_durable + 1;
    if (p->sample_seq && p->peer_durable >= p->sample_seq)
        forget_sample(p);
}

/* Index of the epoch of a record in the list; -1 = before all of them. */
static int epoch_at(const struct fg_pair *p, uint64_t seq)
{
    int at = (int)p->epochs_len - 1;

    while (at >= 0 && p->epochs[at].first > seq)
        at--;
    return at;
}

static void ship(struct fg_pair *p)
{
    for (unsigned i = 0; i < FG_PAIR_PUMP_MAX && p->shipping && p->ship_next <= p->last &&
                         p->ship_next - p->ship_base < FG_PAIR_WINDOW;
         i++) {
        int at = epoch_at(p, p->ship_next);
        uint64_t end = at + 1 < (int)p->epochs_len ? p->epochs[at + 1].first - 1 : p->last;
        uint64_t count = smaller(smaller(end, p->last) - p->ship_next + 1, FG_PAIR_RECORDS_MAX);
        struct fg_pair_message m = {.type = FG_PAIR_TYPE_RECORDS,
                                    .epoch = p->epoch,
                                    .count = (uint32_t)count,
                                    .records = {.first = p->ship_next, .committed = p->committed}};

        if (at >= 0) {
            m.records.of_epoch = p->epochs[at].epoch;
            m.records.epoch_first = p->epochs[at].first;
        }
        fg_pair_say(p, &m);
        p->ship_next += count;
    }
}

/* ---- what comes with time and progress ------------------------------------------------------- */

/* How long the peer takes: a record that is durable here is watched until it is there. */
static bool is_stalled(struct fg_pair *p)
{
    if (p->sample_seq == 0 && p->durable > p->peer_durable) {
        p->sample_seq = p->durable;
        p->sample_ms = p->now_ms;
    }
    return p->sample_seq && p->now_ms > p->sample_ms + p->timing.drop_ms;
}

static bool is_at_mark(const struct fg_pair *p)
{
    uint64_t mark = p->mark > p->sealed ? p->mark : p->sealed;

    return smaller(p->durable, p->peer_durable) >= mark;
}

static void watch_solo(struct fg_pair *p)
{
    bool slow = is_stalled(p);

    if (slow)
        forget_sample(p);
    if (!p->shipping || p->alone || slow || p->last > p->peer_durable + p->timing.lag_records)
        p->fit_since_ms = p->now_ms;
    else if (p->epoch_first && p->durable > p->epoch_first &&
             p->now_ms >= p->fit_since_ms + ((uint64_t)p->timing.add_ms << p->penalty))
        fg_pair_raise(p, FG_PAIR_EVENT_FIT);
}

static void watch_sync(struct fg_pair *p)
{
    if (p->now_ms >= p->sync_since_ms + p->timing.calm_ms)
        p->penalty = 0;
    if (is_stalled(p))
        fg_pair_raise(p, FG_PAIR_EVENT_STALLED);
}

static void watch_handing(struct fg_pair *p)
{
    struct fg_pair_message m = {.type = FG_PAIR_TYPE_TAKE, .epoch = p->epoch, .take.last = p->last};

    if (p->now_ms >= p->hand_until_ms) {
        fg_pair_raise(p, FG_PAIR_EVENT_STALLED);
    } else if (!p->handed && p->durable >= p->last && p->peer_durable >= p->last) {
        fg_pair_say(p, &m);
        p->handed = true;
    }
}

void fg_pair_lead_watch(struct fg_pair *p)
{
    switch (p->state) {
    case FG_PAIR_STATE_SOLO:
        watch_solo(p);
        break;
    case FG_PAIR_STATE_ADDING:
        if (is_stalled(p))
            fg_pair_raise(p, FG_PAIR_EVENT_STALLED);
        else if (is_at_mark(p) && p->sealed && p->now_ms >= p->retry_ms)
            fg_pair_raise(p, FG_PAIR_EVENT_AT_MARK);
        break;
    case FG_PAIR_STATE_PUBLISHING:
        if (is_stalled(p))
            fg_pair_raise(p, FG_PAIR_EVENT_STALLED);
        break;
    case FG_PAIR_STATE_SYNC:
        watch_sync(p);
        break;
    case FG_PAIR_STATE_DROPPING:
        /* the standby is there again, the register still names it (it does not when a swap that was
         * to publish it came to nothing), and nothing that was sent can depose this node */
        if (p->shipping && !p->unsure && p->reg.sync && p->reg.epoch == p->epoch && is_at_mark(p) &&
            !p->alone && p->calls[FG_PAIR_LANE_REGISTER].kind == FG_PAIR_CALL_NONE)
            fg_pair_raise(p, FG_PAIR_EVENT_AT_MARK);
        break;
    case FG_PAIR_STATE_HANDING:
        watch_handing(p);
        break;
    default:
        return;
    }
    ship(p);
}

/* ---- signs of leading ------------------------------------------------------------------------ */

void fg_pair_lead_sign(struct fg_pair *p, uint64_t number, uint64_t sent_ms)
{
    if (number > p->sign)
        p->sign = number;
    if (sent_ms + p->timing.stale_ms > p->valid_until_ms)
        p->valid_until_ms = sent_ms + p->timing.stale_ms;
}

static void measure_skew(struct fg_pair *p, const struct fg_pair_message *m)
{
    uint64_t trip = p->now_ms - m->echo.sent_ms;

    if (p->skew_samples++ % 8 != 0 && trip > p->skew_trip_ms)
        return;
    p->skew_trip_ms = trip;
    p->skew_ms = (int64_t)(m->echo.unix_ms - (p->unix_ms - trip / 2));
}

/* An echo under this epoch: when it was sent the peer followed, so it did not lead. */
void fg_pair_lead_echo(struct fg_pair *p, const struct fg_pair_message *m)
{
    if (m->echo.sent_ms > p->now_ms || m->echo.number > p->number) {
        fg_pair_violated(p);
        return;
    }
    measure_skew(p, m);
    if (m->epoch && m->epoch == p->epoch && fg_pair_leads(p))
        fg_pair_lead_sign(p, m->echo.number, m->echo.sent_ms);
}

/* ---- actions --------------------------------------------------------------------------------- */

/* A swap to SOLO was won: a new epoch begins. */
void fg_pair_lead(struct fg_pair *p)
{
    struct fg_pair_output output = {.kind = FG_PAIR_LEAD, .epoch = p->reg.epoch};

    if (p->shipping)
        fg_pair_hang_up(p); /* the stream was of the epoch before */
    p->epoch = p->reg.epoch;
    p->epoch_first = 0;
    p->peer_durable = 0;
    p->forced = false;
    p->doubt = false;
    p->reason = FG_PAIR_REASON_NONE;
    p->floor_ms = p->now_ms;
    for (unsigned i = 0; i < FG_PAIR_NONCE_SIZE; i++)
        output.nonce[i] = p->reg.nonce[i];
    fg_pair_emit(p, &output);
}

void fg_pair_unship(struct fg_pair *p)
{
    fg_pair_hang_up(p);
    p->fit_since_ms = p->now_ms;
}

/* Wants no standby: answers wait until the swap to SOLO has succeeded. The link stays until then: a
 * standby that finds it closed would swap as well, and might win. */
void fg_pair_part(struct fg_pair *p)
{
    p->mark = p->durable;
    p->retry_ms = p->now_ms;
    forget_sample(p);
}

/* The standby is given up. */
void fg_pair_drop(struct fg_pair *p)
{
    fg_pair_hang_up(p);
    p->drops++;
    if (p->penalty < FG_PAIR_PENALTY_MAX)
        p->penalty++;
    fg_pair_part(p);
}

void fg_pair_hand_lost(struct fg_pair *p)
{
    uint64_t until = p->hand_until_ms;
    bool handed = p->handed;

    fg_pair_drop(p);
    if (handed)
        p->retry_ms = until; /* it closed the link to claim: let it */
}

/* Begins to wait for the peer; the mark is what is durable *here*, for an earlier life may have
 * acknowledged more than this one's watermark says. And before the peer may lead, the log here must
 * not call everything in it committed any more, or this node could not follow it later. */
void fg_pair_add(struct fg_pair *p)
{
    struct fg_pair_output output = {.kind = FG_PAIR_SEAL};

    fg_pair_emit(p, &output);
    p->sealed = 0;
    p->mark = p->durable;
    p->unsure = false;
    forget_sample(p);
}

void fg_pair_synced(struct fg_pair *p)
{
    p->sync_since_ms = p->now_ms;
    p->beat_ms = p->now_ms; /* tells the standby */
}

void fg_pair_hand(struct fg_pair *p)
{
    p->handed = false;
    p->hand_until_ms = p->now_ms + p->timing.hand_ms;
}

void fg_pair_end(struct fg_pair *p)
{
    struct fg_pair_output output = {.kind = FG_PAIR_END};

    fg_pair_hang_up(p);
    fg_pair_emit(p, &output);
}

void fg_pair_end_disk(struct fg_pair *p)
{
    struct fg_pair_message m = {
        .type = FG_PAIR_TYPE_TAKE, .epoch = p->epoch, .take.last = p->committed};

    if (p->shipping)
        fg_pair_say(p, &m);
    p->reason = FG_PAIR_REASON_DISK;
    fg_pair_end(p);
}
