/* SPDX-License-Identifier: BSD-3-Clause */
#include "journal/orders.h"

#include <inttypes.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "journal/standby.h"

/* ---- telling --------------------------------------------------------------------------------- */

static void ring_out(const struct fg_journal_pairing *p)
{
    const uint64_t one = 1;

    if (write(p->event_fd, &one, sizeof(one)) < 0) {
        /* it is readable already */
    }
}

/* Final. */
static bool give_up(struct fg_journal_pairing *p, struct fg_journal_committer *c, const char *why)
{
    struct fg_journal_pairing_work *w = p->work;

    pthread_mutex_lock(&w->lock);
    snprintf(w->error, sizeof(w->error), "%.511s", why);
    pthread_mutex_unlock(&w->lock);
    atomic_store(&c->state, FG_JOURNAL_FAILED);
    atomic_store_explicit(&p->failed, true, memory_order_release);
    ring_out(p);
    return false;
}

/* How many records of each worker there are up to the last sequence. Without room they wait, and
 * become more meanwhile. */
static void add_marks(struct fg_journal_pairing *p, const struct fg_journal_committer *c)
{
    struct fg_journal_marks *m = &p->work->marks;
    uint64_t tail = atomic_load_explicit(&m->tail, memory_order_relaxed);
    size_t width = 1 + p->work->workers;
    uint64_t *row = p->work->row;

    if (fg_journal_last_seq(c->journal) == p->work->marked) { /* nothing new */
        row[0] = 0;
        return;
    }
    row[0] = fg_journal_last_seq(c->journal);
    for (unsigned w = 0; w < p->work->workers; w++)
        row[1 + w] = atomic_load_explicit(&c->marks[w].durable, memory_order_relaxed);
    if (tail - atomic_load_explicit(&m->head, memory_order_acquire) == FG_JOURNAL_ORDERS_MARKS)
        return;
    memcpy(m->rows + tail % FG_JOURNAL_ORDERS_MARKS * width, row, width * sizeof(*row));
    atomic_store_explicit(&m->tail, tail + 1, memory_order_release);
    p->work->marked = row[0];
    row[0] = 0;
}

void fg_journal_orders_tell(struct fg_journal_pairing *p, struct fg_journal_committer *c)
{
    uint64_t last;

    if (atomic_load_explicit(&p->failed, memory_order_relaxed))
        return;
    if (fg_journal_state(c->journal) == FG_JOURNAL_FAILED) {
        give_up(p, c, fg_journal_error(c->journal));
        return;
    }
    last = fg_journal_last_seq(c->journal);
    if (atomic_load_explicit(&p->leads, memory_order_relaxed))
        add_marks(p, c);
    if (atomic_load_explicit(&p->written_seq, memory_order_relaxed) < last)
        atomic_store_explicit(&p->written_seq, last, memory_order_release);
    atomic_store_explicit(&p->durable_seq, last, memory_order_release);
    ring_out(p);
}

/* A commit begins. */
static void staged(void *pairing, const struct fg_journal_record *records, size_t n)
{
    struct fg_journal_pairing *p = pairing;

    fg_journal_tail_add(p->tail, records, n);
    if (p->work->quiet)
        return;
    atomic_store_explicit(&p->written_seq, fg_journal_tail_last(p->tail), memory_order_release);
    ring_out(p);
}

/* ---- the orders ------------------------------------------------------------------------------ */

static bool append(struct fg_journal_pairing *p, struct fg_journal_committer *c, size_t n,
                   uint64_t now_ms)
{
    struct fg_journal_pairing_work *w = p->work;
    struct fg_error err = {""};
    uint64_t before, done;
    bool ok;

    if (!c->journal || atomic_load_explicit(&p->leads, memory_order_relaxed))
        return give_up(p, c,
                       c->journal ? "records of the peer came to a leader"
                                  : "records of the peer came, and there is no log");
    for (size_t i = 0; i < n; i++)
        memcpy(&w->part[i], fg_ring_peek(w->records, i), sizeof(*w->part));
    before = fg_journal_last_seq(c->journal);
    ok = fg_journal_append(c->journal, w->part, n, now_ms, &err);
    done = fg_journal_last_seq(c->journal) - before;
    fg_ring_release(w->records, done);
    w->taken += done;
    fg_journal_committer_note(c);
    if (!ok && fg_journal_state(c->journal) == FG_JOURNAL_OK)
        return give_up(p, c, err.text);
    fg_journal_orders_tell(p, c);
    return ok;
}

static struct fg_journal *cut_and_open(struct fg_journal_pairing *p, struct fg_journal *journal,
                                       uint64_t keep_seq, struct fg_error *err)
{
    struct fg_journal_options o = p->work->log;
    struct fg_journal_cut cut;

    o.begin = false;
    o.now_ms = fg_clock_unix_ms();
    p->work->log.way = fg_journal_way(journal); /* no second trial */
    fg_journal_close(journal);
    o.way = FG_JOURNAL_WAY_PLAIN;
    if (!fg_journal_cut(&o, keep_seq, &cut, err))
        return NULL;
    if (cut.records)
        fg_diag(FG_DIAG_NOTICE,
                "log %s: %" PRIu64 " records behind record %" PRIu64
                " were never committed and are cut off; %s keeps them",
                o.dir, cut.records, keep_seq, cut.tail);
    o.way = p->work->log.way;
    return fg_journal_open(&o, err);
}

static struct fg_journal *begin_log(struct fg_journal_pairing *p, uint64_t id, struct fg_error *err)
{
    struct fg_journal_options o = p->work->log;

    if (!id) {
        fg_fail(err, "%s: there is no log to cut", o.dir);
        return NULL;
    }
    o.begin = true;
    o.appliance_id = id;
    o.now_ms = fg_clock_unix_ms();
    return fg_journal_open(&o, err);
}

/* Opens the log anew under the locks; whoever holds a file of it open checks cut_done. */
static bool replace(struct fg_journal_pairing *p, struct fg_journal_committer *c,
                    const struct fg_journal_order *o)
{
    struct fg_error err = {""};
    bool ok;

    pthread_mutex_lock(&p->files);
    pthread_mutex_lock(&p->work->lock);
    c->journal =
        c->journal ? cut_and_open(p, c->journal, o->number, &err) : begin_log(p, o->id, &err);
    ok = c->journal && fg_journal_committer_attach(c, c->journal, &err);
    pthread_mutex_unlock(&p->work->lock);
    if (ok)
        atomic_store(&p->log_id, fg_journal_appliance(c->journal));
    pthread_mutex_unlock(&p->files);
    return ok || give_up(p, c, err.text);
}

static bool cut(struct fg_journal_pairing *p, struct fg_journal_committer *c,
                const struct fg_journal_order *o)
{
    uint64_t committed = atomic_load_explicit(&p->committed_seq, memory_order_acquire), last;
    char why[128];

    if (c->journal && o->number < committed) {
        snprintf(why, sizeof(why),
                 "the last record in common with the peer is %" PRIu64 ", but %" PRIu64
                 " is committed",
                 o->number, committed);
        return give_up(p, c, why);
    }
    if ((!c->journal || o->number < fg_journal_last_seq(c->journal)) && !replace(p, c, o))
        return false;
    last = fg_journal_last_seq(c->journal);
    atomic_store_explicit(&p->written_seq, last, memory_order_release);
    atomic_store_explicit(&p->durable_seq, last, memory_order_release);
    atomic_fetch_add(&p->cut_done, 1);
    ring_out(p);
    return true;
}

/* False: not yet. */
static bool lead(struct fg_journal_pairing *p, struct fg_journal_committer *c,
                 const struct fg_journal_order *o, uint64_t now_ms)
{
    char why[128];
    bool ok;

    if (!c->journal || o->number <= fg_journal_epoch(c->journal).epoch) {
        snprintf(why, sizeof(why), "epoch %" PRIu64 " cannot begin: %s", o->number,
                 c->journal ? "the log has a later one" : "there is no log");
        return give_up(p, c, why);
    }
    if (!atomic_load_explicit(&p->leads, memory_order_relaxed) && !p->work->quiet) {
        fg_journal_tail_reset(p->tail, fg_journal_last_seq(c->journal));
        fg_journal_on_staged(c->journal, staged, p);
    }
    p->work->quiet = true; /* its records must not be told before the epoch is */
    ok = fg_journal_begin_epoch(c->journal, o->number, o->id, o->nonce, now_ms);
    fg_journal_committer_note(c);
    if (ok) {
        p->work->quiet = false;
        atomic_store(&p->began_seq, fg_journal_epoch(c->journal).first_seq);
        atomic_store(&p->began_epoch, o->number);
        atomic_store(&p->leads, true);
    }
    fg_journal_orders_tell(p, c);
    return ok;
}

static bool seal(struct fg_journal_pairing *p, struct fg_journal_committer *c, uint64_t now_ms)
{
    uint64_t first;
    bool ok;

    if (!c->journal)
        return give_up(p, c, "there is no log to seal");
    if (atomic_load_explicit(&p->work->commit, memory_order_relaxed) == 0)
        fg_journal_set_commit(c->journal,
                              atomic_load_explicit(&p->committed_seq, memory_order_relaxed));
    first = fg_journal_last_seq(c->journal) + 1;
    ok = fg_journal_seal(c->journal, now_ms);
    fg_journal_committer_note(c);
    if (ok) {
        atomic_store(&p->sealed_seq, first);
        atomic_fetch_add(&p->seal_done, 1);
    }
    fg_journal_orders_tell(p, c);
    return ok;
}

static bool carry_out(struct fg_journal_pairing *p, struct fg_journal_committer *c,
                      const struct fg_journal_order *o, uint64_t now_ms)
{
    bool done = false;

    if (p->work->order_ms)
        now_ms = p->work->order_ms;
    p->work->order_ms = now_ms;

    switch (o->kind) {
    case FG_JOURNAL_ORDER_CUT:
        done = cut(p, c, o);
        break;
    case FG_JOURNAL_ORDER_LEAD:
        done = lead(p, c, o, now_ms);
        break;
    case FG_JOURNAL_ORDER_SEAL:
        done = seal(p, c, now_ms);
        break;
    }
    if (!done)
        return false;
    p->work->order_ms = 0;
    fg_ring_release(p->work->orders, 1);
    return true;
}

bool fg_journal_orders_wait(const struct fg_journal_pairing *p)
{
    return fg_ring_waits(p->work->records) || fg_ring_waits(p->work->orders);
}

bool fg_journal_orders_still(const struct fg_journal_pairing *p)
{
    return fg_ring_waits(p->work->orders);
}

void fg_journal_orders_word(const struct fg_journal_pairing *p, struct fg_journal_committer *c)
{
    if (c->journal)
        fg_journal_set_commit(c->journal,
                              atomic_load_explicit(&p->work->commit, memory_order_relaxed) - 1);
}

bool fg_journal_orders_step(struct fg_journal_pairing *p, struct fg_journal_committer *c,
                            uint64_t now_ms)
{
    struct fg_journal_pairing_work *w = p->work;
    uint64_t n = fg_ring_count(w->records); /* first: then all orders before them are seen */
    const struct fg_journal_order *o = fg_ring_peek(w->orders, 0);

    if (atomic_load_explicit(&p->failed, memory_order_relaxed))
        return false;
    if (w->row[0]) {
        add_marks(p, c);
        if (!w->row[0])
            ring_out(p);
    }
    if (o && o->after == w->taken)
        return carry_out(p, c, o, now_ms);
    if (o && n > o->after - w->taken)
        n = o->after - w->taken;
    if (n > FG_JOURNAL_ORDERS_PART)
        n = FG_JOURNAL_ORDERS_PART;
    return n && append(p, c, (size_t)n, now_ms);
}
