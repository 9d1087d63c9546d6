/* SPDX-License-Identifier: BSD-3-Clause */
/* What the journal thread tells. */
#include <string.h>

#include "base/diag.h"
#include "replication/internal.h"

#define RETIRED_MS 5000 /* between two looks at where the log begins */

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
    if (r->sealing && atomic_load(&p->seal_done) == r->seals) {
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
    if (!r->ended && r->now.state != FG_PAIR_STATE_ENDED) /* counts may have come late */
        fg_journal_pairing_commit(r->pairing, r->committed, r->solo);
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

/* ---- where it begins ------------------------------------------------------------------------- */

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
