/* SPDX-License-Identifier: BSD-3-Clause */
/* What the replication thread and the main thread do with it; orders.c has the other side. */
#include "journal/pairing.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "journal/orders.h"
#include "journal/standby.h"

#define ORDERS 16 /* there is at most one of each kind under way */

/* ---- made and freed -------------------------------------------------------------------------- */

static bool read_log(struct fg_journal_pairing *p, const struct fg_journal_pairing_options *o,
                     struct fg_error *err)
{
    struct fg_journal_pairing_start *s = &p->start;

    s->first = 1;
    if (!o->journal)
        return true;
    s->id = fg_journal_appliance(o->journal);
    s->first = fg_journal_begin_seq(o->journal);
    s->last = fg_journal_last_seq(o->journal);
    if (o->epochs)
        s->epochs = *o->epochs;
    if (!fg_journal_committed(o->journal, &s->committed, err) ||
        !fg_journal_epochs_read(&s->epochs, o->log.dir, err))
        return false;
    if (s->committed < o->committed_seq)
        s->committed = o->committed_seq;
    return true;
}

static bool make_work(struct fg_journal_pairing *p, const struct fg_journal_pairing_options *o)
{
    struct fg_journal_pairing_work *w = calloc(1, sizeof(*w));
    size_t row = (1 + o->workers) * sizeof(uint64_t);

    p->work = w;
    if (!w)
        return false;
    pthread_mutex_init(&w->lock, NULL);
    w->log = o->log;
    w->workers = o->workers;
    w->records = fg_ring_create(FG_JOURNAL_PAIRING_RECORDS);
    w->orders = fg_ring_create(ORDERS);
    w->marks.rows = calloc(FG_JOURNAL_ORDERS_MARKS, row);
    w->row = calloc(1, row);
    w->part = calloc(FG_JOURNAL_ORDERS_PART, sizeof(*w->part));
    atomic_store(&w->commit, p->start.committed + 1);
    return w->records && w->orders && w->marks.rows && w->row && w->part;
}

static bool make(struct fg_journal_pairing *p, const struct fg_journal_pairing_options *o,
                 struct fg_error *err)
{
    size_t marks = o->workers * sizeof(*p->committed);

    p->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (p->event_fd < 0)
        return fg_fail(err, "no eventfd for the pair: %s", strerror(errno));
    if (!read_log(p, o, err))
        return false;
    p->tail = fg_journal_tail_create(p->start.last);
    p->committed = aligned_alloc(FG_CACHE_LINE, marks);
    if (!make_work(p, o) || !p->tail || !p->committed)
        return fg_fail(err, "no memory for the log of a pair");
    memset(p->committed, 0, marks);
    atomic_store(&p->log_id, p->start.id);
    atomic_store(&p->written_seq, p->start.last);
    atomic_store(&p->durable_seq, p->start.last);
    atomic_store(&p->committed_seq, p->start.committed);
    return true;
}

struct fg_journal_pairing *
fg_journal_pairing_create(const struct fg_journal_pairing_options *options, struct fg_error *err)
{
    struct fg_journal_pairing *p;

    if (options->workers < 1 || options->workers > FG_WORKERS_MAX) {
        fg_fail(err, "pair: %u workers (1 to %d)", options->workers, FG_WORKERS_MAX);
        return NULL;
    }
    if (options->log.memory) {
        fg_fail(err, "a pair needs [log] durability = disk");
        return NULL;
    }
    p = calloc(1, sizeof(*p));
    if (!p) {
        fg_fail(err, "no memory for the log of a pair");
        return NULL;
    }
    p->event_fd = -1;
    pthread_mutex_init(&p->files, NULL);
    if (make(p, options, err))
        return p;
    fg_journal_pairing_destroy(p);
    return NULL;
}

static void free_work(struct fg_journal_pairing_work *w)
{
    if (!w)
        return;
    fg_ring_destroy(w->records);
    fg_ring_destroy(w->orders);
    free(w->marks.rows);
    free(w->row);
    free(w->part);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

void fg_journal_pairing_destroy(struct fg_journal_pairing *p)
{
    if (!p)
        return;
    if (p->event_fd >= 0)
        close(p->event_fd);
    fg_journal_tail_destroy(p->tail);
    free(p->committed);
    free_work(p->work);
    pthread_mutex_destroy(&p->files);
    free(p);
}

/* ---- orders ---------------------------------------------------------------------------------- */

static void wake(struct fg_journal_pairing_work *w)
{
    if (w->bell)
        fg_journal_doorbell_ring(w->bell);
}

bool fg_journal_pairing_append(struct fg_journal_pairing *p,
                               const struct fg_journal_record *records, size_t n)
{
    struct fg_journal_pairing_work *w = p->work;

    if (fg_ring_room(w->records, n) < n)
        return false;
    for (size_t i = 0; i < n; i++)
        memcpy(fg_ring_ahead(w->records, i), &records[i], sizeof(records[i]));
    fg_ring_give_many(w->records, n);
    w->given += n;
    wake(w);
    return true;
}

static void order(struct fg_journal_pairing *p, struct fg_journal_order o)
{
    bool room;

    o.after = p->work->given;
    room = fg_ring_push(p->work->orders, &o);
    FG_ASSERT(room);
    wake(p->work);
}

void fg_journal_pairing_cut(struct fg_journal_pairing *p, uint64_t keep_seq, uint64_t new_log_id)
{
    order(p, (struct fg_journal_order){
                 .kind = FG_JOURNAL_ORDER_CUT, .number = keep_seq, .id = new_log_id});
}

void fg_journal_pairing_lead(struct fg_journal_pairing *p, uint64_t epoch, uint64_t node,
                             const uint8_t nonce[16])
{
    struct fg_journal_order o = {.kind = FG_JOURNAL_ORDER_LEAD, .number = epoch, .id = node};

    memcpy(o.nonce, nonce, sizeof(o.nonce));
    order(p, o);
}

void fg_journal_pairing_seal(struct fg_journal_pairing *p)
{
    order(p, (struct fg_journal_order){.kind = FG_JOURNAL_ORDER_SEAL});
}

/* ---- the commit watermark -------------------------------------------------------------------- */

static void publish_marks(struct fg_journal_pairing *p, uint64_t committed_seq)
{
    struct fg_journal_marks *m = &p->work->marks;
    uint64_t head = atomic_load_explicit(&m->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&m->tail, memory_order_acquire);
    const uint64_t *last = NULL;
    size_t width = 1 + p->work->workers;

    for (; head != tail; head++) {
        const uint64_t *row = m->rows + head % FG_JOURNAL_ORDERS_MARKS * width;

        if (row[0] > committed_seq)
            break;
        last = row;
    }
    for (unsigned w = 0; last && w < p->work->workers; w++)
        atomic_store_explicit(&p->committed[w].durable, last[1 + w], memory_order_release);
    atomic_store_explicit(&m->head, head, memory_order_release);
}

void fg_journal_pairing_commit(struct fg_journal_pairing *p, uint64_t committed_seq, bool solo)
{
    uint64_t before = atomic_load_explicit(&p->committed_seq, memory_order_relaxed);

    if (committed_seq < before)
        committed_seq = before;
    atomic_store_explicit(&p->work->commit, solo ? 0 : committed_seq + 1, memory_order_relaxed);
    atomic_store_explicit(&p->committed_seq, committed_seq, memory_order_release);
    publish_marks(p, committed_seq);
}

/* ---- the main thread ------------------------------------------------------------------------- */

void fg_journal_pairing_serve(struct fg_journal_pairing *p)
{
    atomic_store(&p->serves, true);
    wake(p->work);
}

void fg_journal_pairing_end(struct fg_journal_pairing *p)
{
    atomic_store(&p->ended, true);
    if (p->work->mode && atomic_load(&p->serves))
        atomic_store(p->work->mode, p->work->failed_mode);
}

void fg_journal_pairing_error(struct fg_journal_pairing *p, char *text, size_t size)
{
    pthread_mutex_lock(&p->work->lock);
    snprintf(text, size, "%s", p->work->error);
    pthread_mutex_unlock(&p->work->lock);
}
