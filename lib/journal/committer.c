/* SPDX-License-Identifier: BSD-3-Clause */
#include "journal/journal.h"

#define BATCH_NORMAL 8192
#define BATCH_MAX    (1u << 20)
#define MANY         128 /* records that came during a sync: orders come without waiting for answers */
#define ENOUGH       1024 /* records whose own cost is well above that of a commit */
#define GATHER_US    200  /* about as long as a sync of them takes */

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
    c->journal = journal;
    c->workers = workers;
    c->rings = rings;
    c->marks = marks;
    c->batch_max = batch_max ? batch_max : BATCH_NORMAL;
    c->batch = fg_journal_positions(journal, c->batch_max);
    if (!c->batch)
        return fg_fail(err, "committer: out of memory");
    atomic_store(&c->durable_seq, fg_journal_last_seq(journal));
    atomic_store(&c->state, fg_journal_state(journal));
    return true;
}

void fg_journal_committer_free(struct fg_journal_committer *c)
{
    c->batch = NULL; /* the journal's */
}

static size_t take_from(struct fg_journal_committer *c, unsigned worker, size_t held, size_t quota)
{
    struct fg_ring *ring = c->rings[worker];
    size_t n = fg_ring_count(ring);

    if (n > quota)
        n = quota;
    for (size_t i = 0; i < n; i++)
        memcpy(&c->batch[held + i], fg_ring_peek(ring, i), sizeof(*c->batch));
    fg_ring_release(ring, n);
    c->taken[worker] += n;
    return n;
}

/*
 * Two rounds: first every worker up to its share, then whoever has more up to what is left. The
 * worker that begins moves on with each commit, so that the remainder goes to each in turn.
 */
static size_t gather(struct fg_journal_committer *c)
{
    unsigned start =
        (unsigned)(atomic_load_explicit(&c->commits, memory_order_relaxed) % c->workers);
    size_t share = c->batch_max / c->workers, held = 0;

    memset(c->taken, 0, sizeof(c->taken));
    for (unsigned i = 0; i < c->workers && share; i++)
        held += take_from(c, (start + i) % c->workers, held, share);
    for (unsigned i = 0; i < c->workers && held < c->batch_max; i++)
        held += take_from(c, (start + i) % c->workers, held, c->batch_max - held);
    return held;
}

static void add_relaxed(_Atomic uint64_t *counter, uint64_t n)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, now + n, memory_order_relaxed); /* only this thread writes */
}

static void publish(struct fg_journal_committer *c, size_t n)
{
    atomic_store_explicit(&c->durable_seq, fg_journal_last_seq(c->journal), memory_order_release);
    for (unsigned w = 0; w < c->workers; w++) {
        uint64_t durable = atomic_load_explicit(&c->marks[w].durable, memory_order_relaxed);

        if (c->taken[w])
            atomic_store_explicit(&c->marks[w].durable, durable + c->taken[w],
                                  memory_order_release);
    }
    add_relaxed(&c->commits, 1);
    add_relaxed(&c->records, n);
}

size_t fg_journal_committer_step(struct fg_journal_committer *c, uint64_t now_ms)
{
    size_t n = c->held;
    bool durable;

    if (atomic_load_explicit(&c->state, memory_order_relaxed) == FG_JOURNAL_FAILED)
        return 0;
    if (n == 0)
        n = gather(c);
    if (n == 0)
        return 0;
    durable = fg_journal_commit(c->journal, c->batch, n, now_ms);
    c->held = durable ? 0 : n;
    if (durable)
        publish(c, n);
    atomic_store_explicit(&c->state, (int)fg_journal_state(c->journal), memory_order_release);
    return durable ? n : 0;
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
