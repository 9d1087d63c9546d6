/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The calls to the arbiter. Lane 0: the register is read, then swapped; a swap whose outcome is
 * unknown is resolved by reading anew and swapping anew, with another nonce. Lane 1: the leader
 * advances the floor, which also shows that it still leads.
 */
#include <string.h>

#include "pair/internal.h"

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static struct fg_pair_call *begin(struct fg_pair *p, unsigned lane, enum fg_pair_call_kind kind)
{
    struct fg_pair_call *call = &p->calls[lane];

    FG_ASSERT(call->kind == FG_PAIR_CALL_NONE);
    *call = (struct fg_pair_call){.kind = kind,
                                  .ticket = ++p->ticket,
                                  .started_ms = p->now_ms,
                                  .state = p->state,
                                  .revision = p->revision};
    return call;
}

static void emit_read(struct fg_pair *p, enum fg_pair_call_kind kind)
{
    struct fg_pair_call *call = begin(p, FG_PAIR_LANE_REGISTER, kind);
    struct fg_pair_output output = {.kind = FG_PAIR_READ,
                                    .lane = FG_PAIR_LANE_REGISTER,
                                    .ticket = call->ticket,
                                    .key = kind == FG_PAIR_CALL_FLOOR ? FG_PAIR_FLOOR_KEY
                                                                      : FG_PAIR_REGISTER_KEY};

    fg_pair_emit(p, &output);
}

static void emit_swap(struct fg_pair *p, unsigned lane, const char *key, size_t size)
{
    struct fg_pair_call *call = &p->calls[lane];
    struct fg_pair_output output = {.kind = FG_PAIR_SWAP,
                                    .lane = lane,
                                    .ticket = call->ticket,
                                    .key = key,
                                    .revision = call->revision,
                                    .bytes = (const uint8_t *)call->text,
                                    .size = size};

    fg_pair_emit(p, &output);
}

/* The floor that a swap to SOLO sets: everything that is durable here counts as committed then. */
static struct fg_pair_floor floor_of(const struct fg_pair *p, uint64_t seq)
{
    return (struct fg_pair_floor){fg_pair_epoch_of(p->epochs, p->epochs_len, seq), seq};
}

static void swap_register(struct fg_pair *p)
{
    struct fg_pair_call *call = begin(p, FG_PAIR_LANE_REGISTER, FG_PAIR_CALL_SWAP);
    struct fg_pair_register *r = &call->proposal;
    uint64_t newest = p->epochs_len ? p->epochs[p->epochs_len - 1].epoch : 0;

    *r = p->reg;
    r->leader = p->node;
    r->log = p->log;
    fg_pair_nonce(p, r->nonce);
    if (p->state == FG_PAIR_STATE_PUBLISHING) {
        r->sync = true;
    } else {
        r->sync = false;
        r->epoch = larger(larger(r->epoch, newest), p->memory.epoch) + 1;
        r->floor = floor_of(p, p->durable);
    }
    emit_swap(p, FG_PAIR_LANE_REGISTER, FG_PAIR_REGISTER_KEY,
              fg_pair_register_write(r, call->text));
}

static void advance_floor(struct fg_pair *p)
{
    struct fg_pair_call *call = begin(p, FG_PAIR_LANE_FLOOR, FG_PAIR_CALL_ADVANCE);
    struct fg_pair_floor floor = floor_of(p, p->committed);

    call->number = ++p->number;
    p->floor_ms = p->now_ms + p->timing.floor_ms;
    emit_swap(p, FG_PAIR_LANE_FLOOR, FG_PAIR_FLOOR_KEY,
              fg_pair_floor_write(&floor, p->log, call->text));
}

static bool wants_floor(const struct fg_pair *p)
{
    return fg_pair_leads(p) && p->state != FG_PAIR_STATE_DROPPING && p->epoch_first &&
           p->revision && p->calls[FG_PAIR_LANE_REGISTER].kind == FG_PAIR_CALL_NONE &&
           p->calls[FG_PAIR_LANE_FLOOR].kind == FG_PAIR_CALL_NONE && p->now_ms >= p->floor_ms;
}

void fg_pair_pursue(struct fg_pair *p)
{
    bool swaps = p->state == FG_PAIR_STATE_PUBLISHING || p->state == FG_PAIR_STATE_DROPPING;

    if (p->calls[FG_PAIR_LANE_REGISTER].kind == FG_PAIR_CALL_NONE && p->now_ms >= p->retry_ms) {
        if (p->state == FG_PAIR_STATE_CLAIMING || (swaps && p->revision))
            swap_register(p);
        else if (p->state == FG_PAIR_STATE_SEEKING || swaps || (fg_pair_leads(p) && p->doubt))
            emit_read(p, FG_PAIR_CALL_REGISTER);
    }
    if (wants_floor(p))
        advance_floor(p);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void remember(struct fg_pair *p, int64_t revision, uint64_t epoch)
{
    struct fg_pair_output output = {.kind = FG_PAIR_REMEMBER, .memory = {revision, epoch}};

    if (revision == p->memory.revision && epoch == p->memory.epoch)
        return;
    p->memory = output.memory;
    fg_pair_emit(p, &output);
}

/* What is wrong with a register that was read; NONE: nothing. */
static enum fg_pair_reason fault_of(const struct fg_pair *p, int64_t revision, const char *text,
                                    struct fg_pair_register *r)
{
    uint64_t newest = p->epochs_len ? p->epochs[p->epochs_len - 1].epoch : 0;

    *r = (struct fg_pair_register){0};
    if (revision == 0)
        return p->memory.revision ? FG_PAIR_REASON_RESTORED : FG_PAIR_REASON_UNPREPARED;
    if (!fg_pair_register_read(r, text))
        return FG_PAIR_REASON_DAMAGED;
    if (revision < p->memory.revision || r->epoch < p->memory.epoch ||
        (r->log == p->log && r->epoch < newest))
        return FG_PAIR_REASON_RESTORED;
    return FG_PAIR_REASON_NONE;
}

/* The register that a leader read: may it go on? */
static bool is_ours(const struct fg_pair *p)
{
    if (p->reg.leader != p->node || p->reg.log != p->log)
        return false;
    switch (p->state) {
    case FG_PAIR_STATE_DROPPING: /* an earlier attempt may have taken place */
        return p->reg.epoch >= p->epoch;
    case FG_PAIR_STATE_PUBLISHING:
        return p->reg.epoch == p->epoch;
    case FG_PAIR_STATE_SYNC:
    case FG_PAIR_STATE_HANDING:
        return p->reg.epoch == p->epoch && p->reg.sync;
    default:
        return p->reg.epoch == p->epoch && !p->reg.sync;
    }
}

static void register_read(struct fg_pair *p, int64_t revision, const char *text)
{
    enum fg_pair_reason fault = fault_of(p, revision, text, &p->reg);

    p->doubt = false;
    p->revision = 0;
    if (fault != FG_PAIR_REASON_NONE && !(p->forced && p->state == FG_PAIR_STATE_SEEKING)) {
        if (fg_pair_leads(p))
            fg_pair_depose(p, fault);
        else if (p->state == FG_PAIR_STATE_SEEKING)
            fg_pair_refuse(p, fault);
        return;
    }
    p->revision = revision;
    if (fault == FG_PAIR_REASON_NONE)
        remember(p, revision, p->reg.epoch);
    if (p->state == FG_PAIR_STATE_SEEKING)
        emit_read(p, FG_PAIR_CALL_FLOOR);
    else if (fg_pair_leads(p) && !is_ours(p))
        fg_pair_depose(p, FG_PAIR_REASON_DEPOSED);
}

static void floor_read(struct fg_pair *p, int64_t revision, const char *text)
{
    struct fg_pair_floor floor;
    uint64_t log;

    if (p->state != FG_PAIR_STATE_SEEKING)
        return;
    p->floor = p->reg.floor;
    if (revision && !fg_pair_floor_read(&floor, &log, text)) {
        if (!p->forced) {
            fg_pair_refuse(p, FG_PAIR_REASON_DAMAGED);
            return;
        }
    } else if (revision && log == p->reg.log &&
               (floor.epoch > p->floor.epoch ||
                (floor.epoch == p->floor.epoch && floor.seq > p->floor.seq))) {
        p->floor = floor;
    }
    fg_pair_decide(p);
}

static void register_swapped(struct fg_pair *p, const struct fg_pair_call *call,
                             enum fg_pair_outcome outcome, int64_t revision)
{
    bool wanted = call->state == p->state; /* else the state has other plans by now */

    p->revision = 0;
    if (outcome == FG_PAIR_DONE) {
        p->unsure = false;
        p->reg = call->proposal;
        p->revision = revision;
        remember(p, revision, p->reg.epoch);
        if (wanted)
            fg_pair_raise(p, FG_PAIR_EVENT_WON);
        return;
    }
    p->unsure |= outcome == FG_PAIR_UNKNOWN;
    if (outcome == FG_PAIR_AWAY)
        p->revision = call->revision;
    if (outcome != FG_PAIR_LOST)
        p->retry_ms = p->now_ms + p->timing.retry_ms;
    if (wanted)
        fg_pair_raise(p, outcome == FG_PAIR_AWAY && !p->unsure ? FG_PAIR_EVENT_UNCHANGED
                                                               : FG_PAIR_EVENT_NOT_WON);
}

static void floor_advanced(struct fg_pair *p, const struct fg_pair_call *call,
                           enum fg_pair_outcome outcome)
{
    if (!fg_pair_leads(p) || p->revision != call->revision)
        return; /* of another time */
    if (outcome == FG_PAIR_DONE)
        fg_pair_lead_sign(p, call->number, call->started_ms);
    else if (outcome == FG_PAIR_LOST)
        p->doubt = true;
}

static void read_ended(struct fg_pair *p, const struct fg_pair_call *call,
                       enum fg_pair_outcome outcome, int64_t revision, const char *text)
{
    if (outcome != FG_PAIR_DONE) {
        p->retry_ms = p->now_ms + p->timing.retry_ms;
        /* without the arbiter nobody can lead anew, but a leader can be followed */
        if (p->state == FG_PAIR_STATE_SEEKING && p->peer.hello && p->peer.epoch && !p->forced)
            fg_pair_raise(p, FG_PAIR_EVENT_LEADER_FOUND);
    } else if (call->kind == FG_PAIR_CALL_REGISTER) {
        register_read(p, revision, text ? text : "");
    } else {
        floor_read(p, revision, text ? text : "");
    }
}

void fg_pair_call_ended(struct fg_pair *p, uint64_t ticket, enum fg_pair_outcome outcome,
                        int64_t revision, const char *text)
{
    for (unsigned lane = 0; lane < FG_PAIR_CALLS; lane++) {
        struct fg_pair_call call = p->calls[lane];

        if (call.kind == FG_PAIR_CALL_NONE || call.ticket != ticket)
            continue;
        p->calls[lane].kind = FG_PAIR_CALL_NONE;
        if (call.kind == FG_PAIR_CALL_SWAP)
            register_swapped(p, &call, outcome, revision);
        else if (call.kind == FG_PAIR_CALL_ADVANCE)
            floor_advanced(p, &call, outcome);
        else
            read_ended(p, &call, outcome, revision, text);
        return;
    }
}
