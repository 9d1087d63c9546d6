/* SPDX-License-Identifier: BSD-3-Clause */
#include "journal/journal.h"

#include <limits.h>

#define BATCH_NORMAL 8192
#define BATCH_MAX    (1u << 20)
#define MANY         128 /* records that came during a sync: orders come without waiting for answers */
#define ENOUGH       1024 /* records whose own cost is well above that of a commit */
#define GATHER_US    200  /* about as long as a sync of them takes */

bool fg_journal_committer_attach(struct fg_journal_committer *c, struct fg_journal *journal,
                                 struct fg_error *err)
{
    c->journal = journal;
    c->oldest = c->count = 0;
    c->depth = fg_journal_depth(journal);
    for (unsigned b = 0; b < c->depth; b++) {
        c->batches[b].records = fg_journal_positions(journal, b, c->batch_max);
        if (!c->batches[b].records)
            return fg_fail(err, "committer: out of memory");
    }
    fg_journal_committer_note(c);
    return true;
}

bool fg_journal_committer_init(struct fg_journal_committer *c, struct fg_journal *journal,
                               struct fg_ring **rings, struct fg_journal_watermark *marks,
                               unsigned workers, size_t batch_max, struct fg_error *err)
{
    memset(c, 0, sizeof(*c));
    if (workers < 1 || workers > FG_WORKERS_MAX)
        return fg_fail(err, "committer: %u workers (1 to %d)", workers, FG_WORKERS_MAX);
    if (batch_max > BATCH_MAX)
        return fg_fail(err, "committer: %zu records a commit (1 to %u, 0 = %d)", batch_max,
                       BATCH_MAX, BATCH_NORMAL);
    c->workers = workers;
    c->rings = rings;
    c->marks = marks;
    c->batch_max = batch_max ? batch_max : BATCH_NORMAL;
    c->depth = 1;
    return !journal || fg_journal_committer_attach(c, journal, err);
}

void fg_journal_committer_free(struct fg_journal_committer *c)
{
    memset(c->batches, 0, sizeof(c->batches)); /* the records are the journal's */
    c->count = 0;
}

static void take_from(struct fg_journal_committer *c, struct fg_journal_batch *b, unsigned worker,
                      size_t quota)
{
    struct fg_ring *ring = c->rings[worker];
    size_t n = fg_ring_count(ring);

    if (n > quota)
        n = quota;
    for (size_t i = 0; i < n; i++)
        memcpy(&b->records[b->n + i], fg_ring_peek(ring, i), sizeof(*b->records));
    fg_ring_release(ring, n);
    b->taken[worker] += n;
    b->n += n;
}

/*
 * Two rounds: first every worker up to its share, then whoever has more up to what is left. The
 * worker that begins moves on with each commit, so that the remainder goes to each in turn.
 */
static size_t gather(struct fg_journal_committer *c, struct fg_journal_batch *b)
{
    unsigned start =
        (unsigned)((atomic_load_explicit(&c->commits, memory_order_relaxed) + c->count) %
                   c->workers);
    size_t share = c->batch_max / c->workers;

    memset(b->taken, 0, sizeof(b->taken));
    b->n = 0;
    b->begun = false;
    for (unsigned i = 0; i < c->workers && share; i++)
        take_from(c, b, (start + i) % c->workers, share);
    for (unsigned i = 0; i < c->workers && b->n < c->batch_max; i++)
        take_from(c, b, (start + i) % c->workers, c->batch_max - b->n);
    return b->n;
}

static void add_relaxed(_Atomic uint64_t *counter, uint64_t n)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, now + n, memory_order_relaxed); /* only this thread writes */
}

static void publish(struct fg_journal_committer *c, const struct fg_journal_batch *b)
{
    atomic_store_explicit(&c->durable_seq, fg_journal_last_seq(c->journal), memory_order_release);
    for (unsigned w = 0; w < c->workers; w++) {
        uint64_t durable = atomic_load_explicit(&c->marks[w].durable, memory_order_relaxed);

        if (b->taken[w])
            atomic_store_explicit(&c->marks[w].durable, durable + b->taken[w],
                                  memory_order_release);
    }
    add_relaxed(&c->commits, 1);
    add_relaxed(&c->records, b->n);
}

static struct fg_journal_batch *batch(struct fg_journal_committer *c, unsigned i)
{
    return &c->batches[(c->oldest + i) % c->depth];
}

/* How it went: what is not begun and why. */
static void note_state(struct fg_journal_committer *c)
{
    c->held = 0;
    for (unsigned i = 0; i < c->count; i++)
        c->held += batch(c, i)->begun ? 0 : batch(c, i)->n;
    atomic_store_explicit(&c->state, (int)fg_journal_state(c->journal), memory_order_release);
}

void fg_journal_committer_note(struct fg_journal_committer *c)
{
    atomic_store_explicit(&c->durable_seq, fg_journal_last_seq(c->journal), memory_order_release);
    note_state(c);
}

/* An attempt that is repeated writes the same: a pair may have shipped it already. */
static bool begin(struct fg_journal_committer *c, struct fg_journal_batch *b)
{
    b->begun = fg_journal_begin(c->journal, (unsigned)(b - c->batches), b->n, b->time_ms);
    note_state(c);
    return b->begun;
}

size_t fg_journal_committer_begin(struct fg_journal_committer *c, uint64_t now_ms)
{
    size_t begun = 0;

    if (atomic_load_explicit(&c->state, memory_order_relaxed) == FG_JOURNAL_FAILED)
        return 0;
    for (unsigned i = 0; i < c->count; i++) {
        if (batch(c, i)->begun)
            continue;
        if (!begin(c, batch(c, i)))
            return begun;
        begun += batch(c, i)->n;
    }
    if (c->count == c->depth || !gather(c, batch(c, c->count)))
        return begun;
    batch(c, c->count++)->time_ms = now_ms;
    return begun + (begin(c, batch(c, c->count - 1)) ? batch(c, c->count - 1)->n : 0);
}

size_t fg_journal_committer_end(struct fg_journal_committer *c, unsigned us)
{
    struct fg_journal_batch *b = batch(c, 0);
    int ended;

    if (!c->count || !b->begun)
        return 0;
    ended = fg_journal_end(c->journal, us);
    if (ended == 0)
        return 0;
    if (ended > 0) {
        publish(c, b);
        c->oldest = (c->oldest + 1) % c->depth;
        c->count--;
    } else {
        for (unsigned i = 0; i < c->count; i++)
            batch(c, i)->begun = false;
    }
    note_state(c);
    return ended > 0 ? b->n : 0;
}

unsigned fg_journal_committer_under_way(const struct fg_journal_committer *c)
{
    unsigned n = 0;

    for (unsigned i = 0; i < c->count; i++)
        n += c->batches[(c->oldest + i) % c->depth].begun;
    return n;
}

size_t fg_journal_committer_step(struct fg_journal_committer *c, uint64_t now_ms)
{
    fg_journal_committer_begin(c, now_ms);
    return fg_journal_committer_end(c, UINT_MAX);
}

unsigned fg_journal_committer_gather_us(const struct fg_journal_committer *c)
{
    size_t waiting = 0;

    for (unsigned i = 0; i < c->workers; i++) {
        size_t n = fg_ring_count(c->rings[i]);

        if (n > (c->rings[i]->mask + 1) / 2) /* its worker must not run out of places */
            return 0;
        waiting += n;
    }
    return waiting >= MANY && waiting < ENOUGH && waiting < c->batch_max ? GATHER_US : 0;
}
