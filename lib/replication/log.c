/* SPDX-License-Identifier: BSD-3-Clause */
/* The log, by way of the journal thread: orders to it, and what it tells. */
#include <string.h>

#include "base/diag.h"
#include "replication/internal.h"

#define RETIRED_MS 5000 /* between two looks at where the log begins */

_Static_assert(sizeof(struct fg_journal_record) == FG_PAIR_RECORD_SIZE, "size of a record");

/* ---- orders ---------------------------------------------------------------------------------- */

static void append(struct fg_replication *r, const struct fg_pair_output *o)
{
    FG_ASSERT(o->count <= FG_PAIR_RECORDS_MAX);
    memcpy(r->records, o->bytes, o->size); /* aligned */
    r->view_next.received_records += o->count;
    /* no message was taken from the link without room for its records */
    FG_ASSERT(fg_journal_pairing_append(r->pairing, r->records, o->count));
}

void fg_replication_order(struct fg_replication *r, const struct fg_pair_output *o)
{
    switch (o->kind) {
    case FG_PAIR_APPEND:
        append(r, o);
        break;
    case FG_PAIR_CUT:
        r->cutting = true;
        fg_journal_pairing_cut(r->pairing, o->first, o->log);
        break;
    case FG_PAIR_LEAD:
        r->leading_epoch = o->epoch;
        fg_journal_pairing_lead(r->pairing, o->epoch, r->settings.node, o->nonce);
        break;
    case FG_PAIR_SEAL:
        r->sealing = true;
        fg_journal_pairing_seal(r->pairing);
        break;
    default:
        FG_ASSERT(!"an order to the journal thread");
    }
}

/* ---- what it tells --------------------------------------------------------------------------- */

static void see_failure(struct fg_replication *r)
{
    char why[FG_REPLICATION_TEXT_MAX];

    if (r->disk_told || (!atomic_load(&r->pairing->failed) && !r->remember_failed))
        return;
    r->disk_told = true;
    fg_journal_pairing_error(r->pairing, why, sizeof(why));
    fg_diag(FG_DIAG_ERROR, "pair: the log failed%s%s", why[0] ? ": " : "", why);
    fg_pair_disk_failed(r->pair);
    fg_replication_settle(r);
}

/* A cut changes where the log ends, an epoch where it begins: lib/pair learns that before it learns
 * of any record. */
static void see_orders(struct fg_replication *r)
{
    struct fg_journal_pairing *p = r->pairing;

    if (r->cutting && atomic_load(&p->cut_done) > r->cuts) {
        r->cuts = atomic_load(&p->cut_done);
        r->cutting = false;
        fg_pair_cut(r->pair, atomic_load(&p->durable_seq));
        fg_replication_settle(r);
    }
    if (r->leading_epoch && atomic_load(&p->began_epoch) >= r->leading_epoch) {
        r->began_seq = atomic_load(&p->began_seq);
        r->leading_epoch = 0;
        fg_pair_began(r->pair, r->began_seq);
        fg_replication_settle(r);
    }
    if (r->sealing && atomic_load(&p->seal_done) > r->seals) {
        r->seals = atomic_load(&p->seal_done);
        r->sealing = false;
        fg_pair_sealed(r->pair, atomic_load(&p->sealed_seq));
        fg_replication_settle(r);
    }
}

void fg_replication_log_moved(struct fg_replication *r)
{
    struct fg_journal_pairing *p = r->pairing;
    uint64_t durable, written;

    see_failure(r);
    see_orders(r);
    if (r->cutting || r->leading_epoch)
        return; /* what is said of records now may be of before */
    durable = atomic_load(&p->durable_seq);
    written = atomic_load(&p->written_seq);
    if (written < durable)
        written = durable;
    if (written > r->now.last) {
        fg_pair_appended(r->pair, written);
        fg_replication_settle(r);
    }
    if (durable > r->now.durable && durable <= r->now.last && !r->cutting && !r->leading_epoch) {
        fg_pair_durable(r->pair, durable);
        fg_replication_settle(r);
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Records that are durable, and no longer in the tail. */
static ssize_t read_old(struct fg_replication *r, uint64_t first, size_t at, size_t n,
                        struct fg_error *err)
{
    ssize_t got;

    if (r->reader && r->reader_next != first) {
        fg_journal_reader_close(r->reader);
        r->reader = NULL;
    }
    if (!r->reader)
        r->reader = fg_journal_reader_open(r->log_dir, first, err);
    if (!r->reader)
        return -1;
    got =
        fg_journal_read(r->reader, r->records + at, n, atomic_load(&r->pairing->durable_seq), err);
    r->reader_next = got > 0 ? first + (uint64_t)got : 0;
    if (got == 0)
        fg_fail(err, "record %llu is not there", (unsigned long long)first);
    return got;
}

bool fg_replication_log_read(struct fg_replication *r, uint64_t first, size_t n)
{
    struct fg_error err = {""};

    for (size_t at = 0; at < n;) {
        ssize_t got =
            (ssize_t)fg_journal_tail_read(r->pairing->tail, first + at, r->records + at, n - at);

        if (got == 0)
            got = read_old(r, first + at, at, n - at, &err);
        if (got <= 0) {
            snprintf(r->broken, sizeof(r->broken), "cannot ship the log: %.200s", err.text);
            return false;
        }
        at += (size_t)got;
    }
    return true;
}

void fg_replication_log_pass(struct fg_replication *r)
{
    uint64_t first;

    if (r->now_ms < r->retired_ms || r->now.role == FG_PAIR_ROLE_REFUSED)
        return;
    r->retired_ms = r->now_ms + RETIRED_MS;
    first = atomic_load(&r->pairing->log_id) ? fg_journal_first_seq(r->log_dir, NULL) : 0;
    if (first)
        fg_pair_retired(r->pair, first);
}
