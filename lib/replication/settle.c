/* SPDX-License-Identifier: BSD-3-Clause */
/* After each call of lib/pair: tells the workers, the journal thread and the daemon, then carries
 * out the outputs. */
#include <string.h>

#include "base/diag.h"
#include "replication/internal.h"

/* ---- told to others -------------------------------------------------------------------------- */

/* now_ms is at most a millisecond before tsc was read. */
static uint64_t tsc_of(const struct fg_replication *r, uint64_t ms)
{
    uint64_t left = ms > r->now_ms + 1 ? ms - r->now_ms - 1 : 0;

    if (ms == UINT64_MAX)
        return UINT64_MAX;
    return left ? r->tsc + (uint64_t)((__uint128_t)left * r->clock->tsc_hz / 1000) : 0;
}

static void tell_probes(struct fg_replication *r)
{
    unsigned done = 0;

    while (done < r->probes_len && r->probes[done].ticket <= r->now.probe)
        done++;
    if (!done)
        return;
    atomic_store_explicit(&r->leading->probe_answered, r->probes[done - 1].number,
                          memory_order_release);
    r->probes_len -= done;
    memmove(r->probes, r->probes + done, r->probes_len * sizeof(r->probes[0]));
}

bool fg_replication_leads(const struct fg_replication *r)
{
    return r->now.role == FG_PAIR_ROLE_LEADER || r->now.role == FG_PAIR_ROLE_SOLO;
}

/* What the workers go by. Before any output: a register that names another one, or a log that says
 * "solo", must not be ahead of it. */
static void tell_workers(struct fg_replication *r, const struct fg_pair_view *before)
{
    if (r->now.valid_until_ms != before->valid_until_ms)
        atomic_store_explicit(&r->leading->valid_until_tsc, tsc_of(r, r->now.valid_until_ms),
                              memory_order_relaxed);
    if (r->now.accepting != before->accepting)
        atomic_store_explicit(&r->leading->accepting, r->now.accepting, memory_order_relaxed);
    tell_probes(r);
}

static void tell_journal(struct fg_replication *r)
{
    if (r->ended || r->now.state == FG_PAIR_STATE_ENDED ||
        (r->committed == r->now.committed && r->solo == r->now.solo))
        return;
    r->committed = r->now.committed;
    r->solo = r->now.solo;
    fg_journal_pairing_commit(r->pairing, r->committed, r->solo);
}

static void tell_daemon(struct fg_replication *r)
{
    if (r->led || !fg_replication_leads(r) || !r->began_seq || r->leading_epoch ||
        r->now.committed <= r->began_seq)
        return;
    r->led = true;
    if (r->hooks.lead)
        r->hooks.lead(r->hooks.ctx, r->began_seq + 1, r->now.epoch);
}

/* ---- outputs --------------------------------------------------------------------------------- */

void fg_replication_keep(void *replication, int64_t revision, const char *text)
{
    struct fg_replication *r = replication;
    struct fg_pair_register seen;
    struct fg_error err;

    /* an older one is not to be remembered: lib/pair refuses it */
    if (revision <= r->kept.revision || !fg_pair_register_read(&seen, text) ||
        seen.epoch < r->kept.epoch)
        return;
    if (fg_replication_memory_write(r->log_dir, &(struct fg_pair_memory){revision, seen.epoch},
                                    &err)) /* else remember() tries it again, and tells */
        r->kept = (struct fg_pair_memory){revision, seen.epoch};
}

/* It is in the file already, but after an answer that a person forced upon us. */
static void remember(struct fg_replication *r, const struct fg_pair_memory *memory)
{
    struct fg_error err = {""};

    if (memory->revision == r->kept.revision && memory->epoch == r->kept.epoch)
        return;
    if (fg_replication_memory_write(r->log_dir, memory, &err)) {
        r->kept = *memory;
        return;
    }
    fg_diag(FG_DIAG_ERROR, "pair: %s", err.text);
    r->remember_failed = true;
}

static void end(struct fg_replication *r)
{
    if (r->ended)
        return;
    r->ended = true;
    atomic_store(&r->leading->valid_until_tsc, 0);
    fg_diag(FG_DIAG_ERROR, "pair: the process ends: %s", fg_pair_reason_text(r->now.reason));
    fg_replication_show(r);
    if (r->hooks.end)
        r->hooks.end(r->hooks.ctx, fg_pair_reason_text(r->now.reason));
}

/* Why lib/pair gave the link up. */
static const char *why_closed(struct fg_replication *r, const struct fg_pair_view *before)
{
    if (r->now.refused != before->refused)
        return "the peer broke the protocol";
    if (r->now.drops != before->drops)
        return "the standby is silent, or acknowledged too late";
    if (r->now.state == FG_PAIR_STATE_SEEKING || r->now.state == FG_PAIR_STATE_CLAIMING)
        return "the leader is silent, or handed over";
    return "the peer is silent, or out of step";
}

static void carry_out(struct fg_replication *r, const struct fg_pair_output *o,
                      const struct fg_pair_view *before)
{
    switch (o->kind) {
    case FG_PAIR_SEND:
        fg_replication_send(r, o);
        break;
    case FG_PAIR_CLOSE:
        if (r->current && r->current->link.number == o->link)
            fg_replication_hang_up(r, why_closed(r, before));
        break;
    case FG_PAIR_SWAP:
        if (atomic_load(&r->leaving) && !strcmp(o->key, FG_PAIR_REGISTER_KEY))
            break; /* never answered */
        fg_replication_caller_ask(r->callers[o->lane], o);
        break;
    case FG_PAIR_READ:
        fg_replication_caller_ask(r->callers[o->lane], o);
        break;
    case FG_PAIR_REMEMBER:
        remember(r, &o->memory);
        break;
    case FG_PAIR_FILL:
        fg_replication_fill_begin(r);
        break;
    case FG_PAIR_END:
        end(r);
        break;
    default:
        fg_replication_order(r, o);
        break;
    }
}

/* The link could not carry what was to be sent. */
static bool break_link(struct fg_replication *r)
{
    char why[FG_REPLICATION_TEXT_MAX];
    uint32_t number;

    if (!r->broken[0])
        return false;
    memcpy(why, r->broken, sizeof(why));
    r->broken[0] = 0;
    if (!r->current)
        return false;
    number = r->current->link.number;
    fg_diag(FG_DIAG_WARNING, "pair: the link is closed: %s", why);
    fg_replication_hang_up(r, why);
    fg_pair_closed(r->pair, number);
    return true;
}

void fg_replication_settle(struct fg_replication *r)
{
    struct fg_pair_output output;

    do {
        struct fg_pair_view before = r->now;

        fg_pair_view(r->pair, &r->now);
        tell_workers(r, &before);
        tell_journal(r);
        while (fg_pair_next(r->pair, &output))
            carry_out(r, &output, &before);
        fg_replication_note(r, &before);
        tell_daemon(r);
    } while (break_link(r));
}
