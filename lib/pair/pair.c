/* SPDX-License-Identifier: BSD-3-Clause */
/* The node's inputs: each changes what is known, then settle() draws the conclusions. */
#include "pair/pair.h"

#include <string.h>

#include "pair/internal.h"

const struct fg_pair_timing fg_pair_timing_usual = {.heartbeat_ms = 25,
                                                    .suspect_ms = 250,
                                                    .drop_ms = 200,
                                                    .stale_ms = 200,
                                                    .add_ms = 200,
                                                    .calm_ms = 600000,
                                                    .lag_records = 4096,
                                                    .retry_ms = 25,
                                                    .patience_ms = 3000,
                                                    .yield_ms = 3000,
                                                    .hand_ms = 500,
                                                    .floor_ms = 1000};

#define X(name, ...) #name,
static const char *const states[] = {FG_PAIR_STATE_LIST(X)};
static const char *const events[] = {FG_PAIR_EVENT_LIST(X)};
#undef X
#define X(name, role, text) text,
static const char *const state_texts[] = {FG_PAIR_STATE_LIST(X)};
#undef X
#define X(name, role, text) FG_PAIR_ROLE_##role,
static const uint8_t state_roles[] = {FG_PAIR_STATE_LIST(X)};
#undef X
#define X(name, text) text,
static const char *const roles[] = {FG_PAIR_ROLE_LIST(X)};
static const char *const reasons[] = {FG_PAIR_REASON_LIST(X)};
#undef X

const char *fg_pair_role_name(unsigned role)
{
    return role < FG_PAIR_ROLES ? roles[role] : "?";
}

const char *fg_pair_state_name(unsigned state)
{
    return state < FG_PAIR_STATES ? states[state] : "?";
}

const char *fg_pair_state_text(unsigned state)
{
    return state < FG_PAIR_STATES ? state_texts[state] : "?";
}

const char *fg_pair_reason_text(unsigned reason)
{
    return reason < FG_PAIR_REASONS ? reasons[reason] : "?";
}

const char *fg_pair_event_name(unsigned event)
{
    return event < FG_PAIR_EVENTS ? events[event] : "?";
}

/* ---- creation -------------------------------------------------------------------------------- */

static bool check_timing(const struct fg_pair_timing *t, struct fg_error *err)
{
    if (!t->heartbeat_ms || !t->drop_ms || !t->retry_ms || !t->floor_ms || !t->stale_ms)
        return fg_fail(err, "a time of 0 ms");
    if (t->suspect_ms < 3 * t->heartbeat_ms)
        return fg_fail(err, "a link is lost after %u ms, with a heartbeat every %u ms",
                       t->suspect_ms, t->heartbeat_ms);
    return true;
}

static bool check_options(const struct fg_pair_options *o, struct fg_error *err)
{
    const struct fg_pair_log *log = &o->log;

    if (o->node > 1)
        return fg_fail(err, "node %u of 2", o->node);
    if (log->last == UINT64_MAX || log->first > log->last + 1 || log->committed > log->last ||
        (log->id == 0 && (log->last || log->epochs_len)))
        return fg_fail(err, "sequences of the log that contradict each other");
    for (size_t i = 0; i < log->epochs_len; i++)
        if (log->epochs[i].epoch == 0 || log->epochs[i].first > log->last ||
            log->epochs[i].first <= (i ? log->epochs[i - 1].first : 0) ||
            log->epochs[i].epoch <= (i ? log->epochs[i - 1].epoch : 0))
            return fg_fail(err, "epoch %zu of the log does not rise", i);
    return check_timing(&o->timing, err);
}

struct fg_pair *fg_pair_create(const struct fg_pair_options *options, struct fg_error *err)
{
    const struct fg_pair_log *log = &options->log;
    size_t skip = log->epochs_len > FG_PAIR_EPOCHS_MAX ? log->epochs_len - FG_PAIR_EPOCHS_MAX : 0;
    struct fg_pair *p;

    if (!check_options(options, err))
        return NULL;
    p = calloc(1, sizeof(*p));
    if (!p) {
        fg_fail(err, "no memory for a pair");
        return NULL;
    }
    p->node = options->node;
    p->timing = options->timing;
    memcpy(p->random, options->seed, sizeof(p->random));
    p->log = log->id;
    p->first = log->first;
    p->last = p->durable = log->last;
    p->committed = log->committed;
    p->epochs_len = log->epochs_len - skip;
    if (p->epochs_len)
        memcpy(p->epochs, log->epochs + skip, p->epochs_len * sizeof(p->epochs[0]));
    p->memory = options->memory;
    return p;
}

void fg_pair_destroy(struct fg_pair *p)
{
    free(p);
}

/* ---- conclusions ----------------------------------------------------------------------------- */

static struct fg_pair_said to_say(const struct fg_pair *p)
{
    bool there = p->epoch_first && p->last >= p->epoch_first; /* the log has its records */

    return (struct fg_pair_said){.epoch = fg_pair_leads(p) && there ? p->epoch : 0,
                                 .reason = p->reason,
                                 .refused = p->state == FG_PAIR_STATE_REFUSED ||
                                            p->state == FG_PAIR_STATE_ENDED};
}

static void say_hello(struct fg_pair *p)
{
    struct fg_pair_said said = to_say(p);
    struct fg_pair_message m = {.type = FG_PAIR_TYPE_HELLO,
                                .epoch = said.epoch,
                                .count = (uint32_t)p->epochs_len,
                                .hello = {.log = p->log,
                                          .node = p->node,
                                          .state = p->state,
                                          .reason = p->reason,
                                          .first = p->first,
                                          .last = p->last,
                                          .durable = p->durable}};

    while (m.count && p->epochs[m.count - 1].first > p->last)
        m.count--; /* it began, and has no record yet */
    p->said = said;
    fg_pair_say(p, &m);
}

static void beat(struct fg_pair *p)
{
    bool sync = p->state == FG_PAIR_STATE_SYNC || p->state == FG_PAIR_STATE_HANDING;
    struct fg_pair_message m = {
        .type = FG_PAIR_TYPE_HEARTBEAT,
        .epoch = p->epoch,
        .heartbeat = {.sent_ms = p->now_ms, .committed = p->committed, .published = sync}};

    if (!p->peer.link || !p->peer.hello || p->now_ms < p->beat_ms)
        return;
    m.heartbeat.number = ++p->number;
    p->beat_ms = p->now_ms + p->timing.heartbeat_ms;
    fg_pair_say(p, &m);
}

static void settle(struct fg_pair *p)
{
    struct fg_pair_said said;

    for (unsigned round = 0; p->state != FG_PAIR_STATE_ENDED; round++) {
        FG_ASSERT(round < 16);
        for (unsigned i = 0; i < p->events_len; i++)
            fg_pair_step(p, p->events[i]);
        p->events_len = 0;
        fg_pair_commit(p);
        if (p->state != FG_PAIR_STATE_ENDED)
            fg_pair_lead_watch(p);
        if (p->events_len == 0)
            break;
    }
    p->events_len = 0;
    if (p->state == FG_PAIR_STATE_ENDED)
        return;
    said = to_say(p);
    if (p->peer.link && (said.epoch != p->said.epoch || said.reason != p->said.reason ||
                         said.refused != p->said.refused))
        say_hello(p);
    beat(p);
    fg_pair_pursue(p);
}

/* ---- time ------------------------------------------------------------------------------------ */

void fg_pair_time(struct fg_pair *p, uint64_t now_ms, uint64_t unix_ms)
{
    FG_ASSERT(now_ms >= p->now_ms);
    if (p->now_ms == 0) {
        p->seek_since_ms = now_ms;
        p->patient_until_ms = now_ms + p->timing.patience_ms;
    }
    if (p->now_ms && now_ms > p->now_ms + 2 * p->timing.heartbeat_ms) {
        /* This node stood still. What the peer said meanwhile is not read yet, so its silence does
         * not count. */
        p->peer.heard_ms += now_ms - p->now_ms;
        p->sample_ms += now_ms - p->now_ms;
    }
    p->now_ms = now_ms;
    p->unix_ms = unix_ms;
    if (p->peer.link && now_ms >= p->peer.heard_ms + p->timing.suspect_ms) {
        fg_pair_hang_up(p);
        fg_pair_lost(p);
    }
    settle(p);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t fg_pair_due_ms(const struct fg_pair *p)
{
    const struct fg_pair_timing *t = &p->timing;
    uint64_t due = UINT64_MAX;

    if (p->state == FG_PAIR_STATE_ENDED)
        return due;
    if (p->peer.link)
        due = p->peer.heard_ms + t->suspect_ms;
    if (p->peer.hello)
        due = sooner(due, p->beat_ms);
    if (p->calls[FG_PAIR_LANE_REGISTER].kind == FG_PAIR_CALL_NONE && p->retry_ms > p->now_ms)
        due = sooner(due, p->retry_ms);
    if (!fg_pair_leads(p))
        return due;
    if (p->calls[FG_PAIR_LANE_FLOOR].kind == FG_PAIR_CALL_NONE && p->floor_ms > p->now_ms)
        due = sooner(due, p->floor_ms);
    if (p->sample_seq)
        due = sooner(due, p->sample_ms + t->drop_ms + 1);
    if (p->state == FG_PAIR_STATE_SOLO && p->shipping)
        due = sooner(due, p->fit_since_ms + ((uint64_t)t->add_ms << p->penalty));
    if (p->state == FG_PAIR_STATE_HANDING)
        due = sooner(due, p->hand_until_ms);
    return due > p->now_ms ? due : p->now_ms + 1;
}

/* ---- the link -------------------------------------------------------------------------------- */

void fg_pair_connected(struct fg_pair *p, uint32_t link)
{
    FG_ASSERT(link);
    if (p->state == FG_PAIR_STATE_ENDED)
        return;
    if (p->peer.link) {
        fg_pair_hang_up(p);
        fg_pair_lost(p);
        settle(p);
    }
    p->peer.link = link;
    p->peer.hello = false;
    p->peer.heard_ms = p->now_ms;
    say_hello(p);
    settle(p);
}

void fg_pair_closed(struct fg_pair *p, uint32_t link)
{
    if (!link || link != p->peer.link)
        return;
    fg_pair_lost(p);
    settle(p);
}

static bool read_epochs(struct fg_pair_peer *peer, const struct fg_pair_message *m)
{
    for (uint32_t i = 0; i < m->count; i++)
        peer->epochs[i] = fg_pair_epoch_read(m->tail, i);
    peer->epochs_len = m->count;
    return fg_pair_epochs_are_sane(peer->epochs, peer->epochs_len) &&
           (m->count == 0 || peer->epochs[m->count - 1].first <= m->hello.last);
}

static void hello(struct fg_pair *p, const struct fg_pair_message *m)
{
    struct fg_pair_peer *peer = &p->peer;

    if (m->hello.node != 1 - p->node || m->hello.state >= FG_PAIR_STATES ||
        m->hello.reason >= FG_PAIR_REASONS || m->hello.last == UINT64_MAX ||
        m->hello.first > m->hello.last + 1 || m->hello.durable > m->hello.last ||
        !read_epochs(peer, m)) {
        fg_pair_violated(p);
        return;
    }
    peer->state = (enum fg_pair_state)m->hello.state;
    peer->reason = (enum fg_pair_reason)m->hello.reason;
    peer->epoch = m->epoch;
    peer->log = m->hello.log;
    peer->first = m->hello.first;
    peer->last = m->hello.last;
    if (!peer->hello)
        p->beat_ms = p->now_ms;
    peer->hello = true;
    if (fg_pair_leads(p) && peer->epoch > p->epoch)
        fg_pair_depose(p, FG_PAIR_REASON_DEPOSED);
    if (p->state == FG_PAIR_STATE_SEEKING)
        p->retry_ms = p->now_ms;
}

static void heartbeat(struct fg_pair *p, const struct fg_pair_message *m)
{
    struct fg_pair_message echo = {.type = FG_PAIR_TYPE_ECHO,
                                   .echo = {.number = m->heartbeat.number,
                                            .sent_ms = m->heartbeat.sent_ms,
                                            .unix_ms = p->unix_ms}};

    fg_pair_follow_beat(p, m);
    if (p->state == FG_PAIR_STATE_CATCHING || p->state == FG_PAIR_STATE_FOLLOWING)
        echo.epoch = p->epoch;
    fg_pair_say(p, &echo);
}

static void message(struct fg_pair *p, const struct fg_pair_message *m)
{
    switch ((enum fg_pair_type)m->type) {
    case FG_PAIR_TYPE_HELLO:
        hello(p, m);
        break;
    case FG_PAIR_TYPE_FOLLOW:
        if (fg_pair_leads(p))
            fg_pair_lead_follow(p, m);
        break;
    case FG_PAIR_TYPE_RECORDS:
        fg_pair_follow_records(p, m);
        break;
    case FG_PAIR_TYPE_ACK:
        fg_pair_lead_ack(p, m);
        break;
    case FG_PAIR_TYPE_HEARTBEAT:
        heartbeat(p, m);
        break;
    case FG_PAIR_TYPE_ECHO:
        fg_pair_lead_echo(p, m);
        break;
    case FG_PAIR_TYPE_TAKE:
        fg_pair_follow_take(p, m);
        break;
    }
}

void fg_pair_receive(struct fg_pair *p, uint32_t link, const uint8_t *bytes, size_t size)
{
    struct fg_pair_message m;

    if (!link || link != p->peer.link || p->state == FG_PAIR_STATE_ENDED)
        return;
    p->peer.heard_ms = p->now_ms;
    if (!fg_pair_message_read(&m, bytes, size, NULL) ||
        (!p->peer.hello && m.type != FG_PAIR_TYPE_HELLO))
        fg_pair_violated(p);
    else
        message(p, &m);
    settle(p);
}

void fg_pair_heard(struct fg_pair *p, uint32_t link)
{
    if (link && link == p->peer.link)
        p->peer.heard_ms = p->now_ms;
}

/* ---- the log --------------------------------------------------------------------------------- */

void fg_pair_began(struct fg_pair *p, uint64_t first)
{
    if (!fg_pair_leads(p) || p->epoch_first)
        return;
    FG_ASSERT(first > p->last);
    p->last = first - 1;
    p->epoch_first = first;
    fg_pair_add_epoch(p, p->epoch, first);
    settle(p);
}

void fg_pair_sealed(struct fg_pair *p, uint64_t seq)
{
    p->sealed = seq;
    settle(p);
}

void fg_pair_appended(struct fg_pair *p, uint64_t last)
{
    if (last > p->last && fg_pair_leads(p))
        p->last = last;
    settle(p);
}

void fg_pair_durable(struct fg_pair *p, uint64_t durable)
{
    FG_ASSERT(durable <= p->last);
    if (durable > p->durable) {
        p->durable = durable;
        fg_pair_follow_acknowledge(p);
    }
    settle(p);
}

void fg_pair_cut(struct fg_pair *p, uint64_t last)
{
    if (p->state != FG_PAIR_STATE_CUTTING || !p->cutting)
        return;
    FG_ASSERT(last <= p->last && last >= p->committed);
    p->cutting = false;
    p->last = p->durable = last;
    while (p->epochs_len && p->epochs[p->epochs_len - 1].first > last)
        p->epochs_len--;
    fg_pair_raise(p, FG_PAIR_EVENT_CUT);
    settle(p);
}

void fg_pair_filled(struct fg_pair *p, bool here)
{
    if (p->state != FG_PAIR_STATE_FILLING)
        return;
    if (here)
        fg_pair_raise(p, FG_PAIR_EVENT_FILLED);
    else
        fg_pair_refuse(p, FG_PAIR_REASON_RETIRED);
    settle(p);
}

void fg_pair_retired(struct fg_pair *p, uint64_t first)
{
    if (first > p->first)
        p->first = first;
}

void fg_pair_disk_failed(struct fg_pair *p)
{
    fg_pair_raise(p, FG_PAIR_EVENT_DISK);
    settle(p);
}

/* ---- arbiter, operator ----------------------------------------------------------------------- */

void fg_pair_answered(struct fg_pair *p, uint64_t ticket, enum fg_pair_outcome outcome,
                      int64_t revision, const char *text)
{
    if (p->state == FG_PAIR_STATE_ENDED)
        return;
    fg_pair_call_ended(p, ticket, outcome, revision, text);
    settle(p);
}

void fg_pair_switch(struct fg_pair *p)
{
    fg_pair_raise(p, FG_PAIR_EVENT_SWITCH);
    settle(p);
}

void fg_pair_alone(struct fg_pair *p, bool alone)
{
    p->alone = alone;
    if (alone)
        fg_pair_raise(p, FG_PAIR_EVENT_ALONE);
    settle(p);
}

void fg_pair_force(struct fg_pair *p)
{
    fg_pair_raise(p, FG_PAIR_EVENT_FORCE);
    settle(p);
}

uint64_t fg_pair_probe(struct fg_pair *p)
{
    uint64_t number = p->number + 1; /* what is sent from now on has at least this one */

    p->beat_ms = p->now_ms;
    p->floor_ms = p->now_ms;
    settle(p);
    return number;
}

size_t fg_pair_register_first(char text[FG_PAIR_TEXT_MAX], unsigned node, uint64_t log,
                              uint64_t epoch)
{
    struct fg_pair_register r = {.epoch = epoch, .leader = node, .log = log};

    return fg_pair_register_write(&r, text);
}

/* ---- outputs --------------------------------------------------------------------------------- */

bool fg_pair_next(struct fg_pair *p, struct fg_pair_output *output)
{
    struct fg_pair_item *item = &p->out[p->out_first];

    if (p->out_len == 0)
        return false;
    p->out_first = (p->out_first + 1) % FG_PAIR_OUTPUTS_MAX;
    p->out_len--;
    *output = item->output;
    if (output->kind != FG_PAIR_SEND)
        return true;
    output->bytes = p->bytes;
    output->size = fg_pair_message_write(&item->message, p->bytes);
    for (uint32_t i = 0; item->message.type == FG_PAIR_TYPE_HELLO && i < item->message.count; i++) {
        fg_pair_epoch_write(&p->epochs[i], p->bytes + output->size);
        output->size += FG_PAIR_EPOCH_SIZE;
    }
    return true;
}

static uint64_t valid_until(const struct fg_pair *p)
{
    if (p->state == FG_PAIR_STATE_SOLO || p->state == FG_PAIR_STATE_ADDING)
        return UINT64_MAX; /* the register names no other: only a person can change it */
    return fg_pair_leads(p) ? p->valid_until_ms : 0;
}

void fg_pair_view(const struct fg_pair *p, struct fg_pair_view *view)
{
    bool accepts = p->state == FG_PAIR_STATE_SOLO || p->state == FG_PAIR_STATE_ADDING ||
                   p->state == FG_PAIR_STATE_PUBLISHING || p->state == FG_PAIR_STATE_SYNC;

    *view = (struct fg_pair_view){.role = (enum fg_pair_role)state_roles[p->state],
                                  .state = p->state,
                                  .reason = p->reason,
                                  .accepting = accepts && p->epoch_first,
                                  .solo = p->state == FG_PAIR_STATE_SOLO && p->epoch_first,
                                  .epoch = p->epoch,
                                  .committed = p->committed,
                                  .valid_until_ms = valid_until(p),
                                  .probe = p->sign,
                                  .linked = p->peer.link && p->peer.hello,
                                  .peer_state = p->peer.state,
                                  .peer_durable = p->shipping ? p->peer_durable : 0,
                                  .peer_last = p->peer.last,
                                  .last = p->last,
                                  .durable = p->durable,
                                  .skew_ms = p->skew_ms,
                                  .drops = p->drops,
                                  .refused = p->refused};
}
