/* SPDX-License-Identifier: BSD-3-Clause */
#include "journal/thread.h"

#include <limits.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/diag.h"
#include "base/thread.h"
#include "journal/orders.h"
#include "journal/pace.h"

#define PRIORITY       1   /* SCHED_RR: the least there is */
#define NICE           -10 /* of the thread, or less, where that is refused */
#define RAISE_POLL_US  50
#define FLIGHT_POLL_US 25    /* for records, while a commit is under way */
#define TROUBLE_US     10000 /* between attempts on a full disk */

static const char *const troubles[FG_JOURNAL_STATES] = {
    [FG_JOURNAL_FULL] = "no room, orders are answered BUSY until there is",
    [FG_JOURNAL_FAILED] = "FAILED, nothing is accepted any more; restart after repair",
    [FG_JOURNAL_GONE] = "gone, nothing is accepted until it is back"};

/* Whether the ledger lacks too many records. It has no memory for them: they wait on disk, and as
 * long as they do no snapshot lets old segments go. */
static bool lags(struct fg_journal_thread *t)
{
    bool before = atomic_load_explicit(&t->lagging, memory_order_relaxed), now;
    uint64_t durable = atomic_load_explicit(fg_journal_thread_committed(t), memory_order_relaxed);
    uint64_t has;

    if (!t->options.followed_seq)
        return false;
    has = atomic_load_explicit(t->options.followed_seq, memory_order_relaxed);
    now = durable > has && durable - has > (before ? t->options.lag_max / 2 : t->options.lag_max);
    if (now == before)
        return now;
    atomic_store_explicit(&t->lagging, now, memory_order_relaxed);
    if (now)
        atomic_fetch_add(&t->lagged, 1);
    fg_diag(FG_DIAG_WARNING,
            now ? "ledger: it lacks %llu records of the log, orders are answered BUSY until it "
                  "lacks half of [log] ledger_lag_max"
                : "ledger: it lacks %llu records of the log, orders are accepted again",
            (unsigned long long)(durable > has ? durable - has : 0));
    return now;
}

/* What the workers do: those of a follower have nothing to decide. */
static void publish(struct fg_journal_thread *t, int state, bool stopping)
{
    const struct fg_journal_pairing *p = t->options.pairing;
    int mode = t->options.mode((enum fg_journal_state)state, stopping);

    if (p && !atomic_load(&p->serves)) /* the engines are not the workers' yet */
        mode = t->options.follower_mode;
    atomic_store_explicit(&t->mode, mode, memory_order_release);
    if (p && atomic_load(&p->serves) && atomic_load(&p->ended)) /* just now, perhaps */
        atomic_store(&t->mode, p->work->failed_mode);
}

static void publish_mode(struct fg_journal_thread *t, int *seen)
{
    char why[FG_JOURNAL_ORDERS_TEXT];
    int state = atomic_load_explicit(&t->committer.state, memory_order_relaxed);
    bool stopping = atomic_load_explicit(&t->stopping, memory_order_relaxed) ||
                    atomic_load_explicit(&t->halted, memory_order_relaxed);

    int told = lags(t) && state == FG_JOURNAL_OK ? FG_JOURNAL_FULL : state;

    publish(t, told, stopping);
    if (state == *seen)
        return;
    fg_journal_thread_error(t, why, sizeof(why));
    if (state == FG_JOURNAL_OK)
        fg_diag(FG_DIAG_NOTICE, "log: %s, orders are accepted",
                *seen == FG_JOURNAL_GONE ? "it is back" : "there is room again");
    else
        fg_diag(FG_DIAG_ERROR, "log: %s: %s", troubles[state], why);
    *seen = state;
}

static void note_duration(struct fg_journal_commit_watch *w, uint64_t took_ms)
{
    if (took_ms > atomic_load_explicit(&w->max_ms, memory_order_relaxed))
        atomic_store_explicit(&w->max_ms, took_ms, memory_order_relaxed);
    if (took_ms >= FG_JOURNAL_SLOW_MS) {
        atomic_store(&w->slow_ms, took_ms);
        atomic_fetch_add(&w->slow, 1);
    }
}

/* What others see of the oldest commit under way. */
static void publish_start(struct fg_journal_thread *t, const struct fg_journal_commit_start *s)
{
    atomic_store_explicit(&t->watch.began_ms, s->ms, memory_order_relaxed);
    atomic_store_explicit(&t->commit_began, s->tsc, memory_order_relaxed);
}

/* Of a pair: a follower takes nothing of the workers, and a leader's order comes before what has
 * not begun. */
static bool may_begin(const struct fg_journal_thread *t)
{
    const struct fg_journal_pairing *p = t->options.pairing;

    if (!p)
        return true;
    return atomic_load_explicit(&p->leads, memory_order_relaxed) &&
           (t->committer.count || !fg_journal_orders_still(p));
}

static void begin(struct fg_journal_thread *t)
{
    struct fg_journal_committer *c = &t->committer;
    unsigned before = fg_journal_committer_under_way(c), after;
    const struct fg_journal_commit_start none = {0}, now = {fg_clock_mono_ms(),
                                                            fg_clock_passed_ns(t->options.clock),
                                                            fg_clock_tsc()};

    if (before == c->depth || !may_begin(t))
        return;
    if (before == 0) /* first, since the beginning may take long */
        publish_start(t, &now);
    fg_journal_committer_begin(c, fg_clock_now_ms(t->options.clock));
    after = fg_journal_committer_under_way(c);
    for (unsigned i = before; i < after; i++)
        t->starts[i] = now;
    if (t->options.pairing && fg_journal_state(c->journal) == FG_JOURNAL_FAILED)
        fg_journal_orders_tell(t->options.pairing, c);
    if (after == 0) {
        note_duration(&t->watch, fg_clock_mono_ms() - now.ms);
        publish_start(t, &none);
    }
}

static bool records_wait(const struct fg_journal_thread *t)
{
    const struct fg_journal_pairing *p = t->options.pairing;

    if (p && fg_journal_orders_wait(p))
        return true;
    if (p && !atomic_load_explicit(&p->leads, memory_order_relaxed))
        return false;
    for (unsigned i = 0; i < t->options.workers; i++)
        if (fg_ring_waits(t->options.records[i]))
            return true;
    return false;
}

/* How long to wait for the disk: while it would take one more commit, only until records may have
 * come. */
static unsigned patience_us(const struct fg_journal_thread *t)
{
    if (t->committer.count == t->committer.depth)
        return UINT_MAX;
    return records_wait(t) ? 0 : FLIGHT_POLL_US;
}

/* Records made durable. */
static size_t end(struct fg_journal_thread *t, unsigned us)
{
    struct fg_journal_committer *c = &t->committer;
    unsigned before = fg_journal_committer_under_way(c);
    struct fg_journal_commit_start none = {0}, began = t->starts[0];
    size_t n = fg_journal_committer_end(c, us);
    unsigned after = fg_journal_committer_under_way(c);

    if (after == before)
        return 0;
    note_duration(&t->watch, fg_clock_mono_ms() - began.ms);
    if (n) {
        fg_histogram_add(&t->watch.took, FG_HISTOGRAM_NS_SHIFT,
                         fg_clock_passed_ns(t->options.clock) - began.ns, 1);
        fg_histogram_add(&t->watch.size, FG_HISTOGRAM_COUNT_SHIFT, n, 1);
    }
    t->starts[0] = t->starts[1];
    publish_start(t, after ? &t->starts[0] : &none);
    if (t->options.pairing)
        fg_journal_orders_tell(t->options.pairing, c);
    return n;
}

/* Something of what replication wants. Commits under way and batches that met trouble come first.
 */
static bool carry_out(struct fg_journal_thread *t)
{
    struct fg_journal_pairing *p = t->options.pairing;

    if (!p)
        return false;
    while (fg_journal_orders_still(p) && fg_journal_committer_under_way(&t->committer))
        end(t, UINT_MAX);
    fg_journal_orders_word(p, &t->committer);
    return !t->committer.count &&
           fg_journal_orders_step(p, &t->committer, fg_clock_now_ms(t->options.clock));
}

/*
 * Every answer waits for this thread, and for the thread of the kernel (kblockd) that completes a
 * sync on the CPU where the sync was asked for. While an ordinary thread polls on that CPU, it
 * keeps the CPU for milliseconds after those two woke up. When a real-time thread blocks, however,
 * the kernel's thread runs next, since its nice value is better.
 */
static void raise_priority(void)
{
    struct sched_param param = {.sched_priority = PRIORITY};

    /* a thread that it starts, to prepare segments, is an ordinary one */
    if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &param) &&
        getpriority(PRIO_PROCESS, 0) > NICE)
        setpriority(PRIO_PROCESS, 0, NICE); /* a refusal does no harm */
}

static void wait_for_records(struct fg_journal_thread *t, unsigned us_max)
{
    fg_journal_doorbell_init(&t->doorbell);
    if (!records_wait(t)) /* a ring of the doorbell with no sleeper costs one system call */
        fg_journal_doorbell_sleep(&t->doorbell, us_max);
}

/* An order of replication rings the doorbell. */
static bool is_woken(const struct fg_journal_thread *t)
{
    const struct fg_journal_pairing *p = t->options.pairing;

    return t->options.woken || (p && !atomic_load_explicit(&p->leads, memory_order_relaxed));
}

static void *run(void *thread)
{
    struct fg_journal_thread *t = thread;
    struct fg_journal_pace pace = {0};
    int seen = FG_JOURNAL_OK;

    prctl(PR_SET_TIMERSLACK, 1000ul); /* else a sleep of some microseconds takes 50 more */
    raise_priority();
    atomic_store(&t->raised, true);
    while (!atomic_load_explicit(&t->quit, memory_order_acquire)) {
        bool carried = carry_out(t);
        size_t n;

        begin(t);
        n = end(t, patience_us(t));
        publish_mode(t, &seen);
        if (carried) {
            fg_journal_pace_worked(&pace);
            continue;
        }
        if (n) {
            unsigned us = fg_journal_committer_gather_us(&t->committer);

            fg_journal_pace_worked(&pace);
            if (us && !fg_journal_committer_under_way(&t->committer))
                fg_clock_sleep_us(us);
            continue;
        }
        if (fg_journal_committer_under_way(&t->committer))
            continue;
        if (seen == FG_JOURNAL_OK)
            wait_for_records(t, fg_journal_pace_idle(&pace, is_woken(t)));
        else
            fg_clock_sleep_us(TROUBLE_US);
    }
    while (fg_journal_committer_under_way(&t->committer))
        end(t, UINT_MAX);
    return NULL;
}

static bool join(struct fg_journal_thread *t, struct fg_error *err)
{
    struct fg_journal_pairing_work *w = t->options.pairing->work;

    if (t->options.batch_max > FG_JOURNAL_PAIRING_BATCH)
        return fg_fail(err, "[log] batch_max: at most %d in a pair", FG_JOURNAL_PAIRING_BATCH);
    w->bell = &t->doorbell;
    w->mode = &t->mode;
    w->failed_mode = t->options.mode(FG_JOURNAL_FAILED, false);
    return true;
}

bool fg_journal_thread_start(struct fg_journal_thread *t,
                             const struct fg_journal_thread_options *options, struct fg_error *err)
{
    t->options = *options;
    if (options->pairing && !join(t, err))
        return false;
    if (!fg_journal_committer_init(&t->committer, options->journal, options->records,
                                   options->watermarks, options->workers, options->batch_max, err))
        return false;
    publish(t, FG_JOURNAL_OK, false);
    t->started = fg_thread_start(&t->thread, "fg-journal", run, t);
    while (t->started && !atomic_load(&t->raised))
        fg_clock_sleep_us(RAISE_POLL_US);
    return t->started || fg_fail(err, "cannot start the journal thread");
}

void fg_journal_thread_stop(struct fg_journal_thread *t)
{
    if (!t->started)
        return;
    atomic_store_explicit(&t->quit, true, memory_order_release);
    pthread_join(t->thread, NULL);
    fg_journal_committer_free(&t->committer);
    t->started = false;
}

bool fg_journal_thread_in_place(struct fg_journal_thread *t)
{
    struct fg_journal_pairing_work *w = t->options.pairing ? t->options.pairing->work : NULL;
    bool there;

    if (w && pthread_mutex_trylock(&w->lock) != 0)
        return true; /* a cut is under way, or the error is read */
    there = !t->committer.journal || fg_journal_in_place(t->committer.journal);
    if (w)
        pthread_mutex_unlock(&w->lock);
    return there;
}

void fg_journal_thread_error(struct fg_journal_thread *t, char *text, size_t size)
{
    struct fg_journal_pairing_work *w = t->options.pairing ? t->options.pairing->work : NULL;

    if (w)
        pthread_mutex_lock(&w->lock);
    snprintf(text, size, "%s",
             w && w->error[0]       ? w->error
             : t->committer.journal ? fg_journal_error(t->committer.journal)
                                    : "");
    if (w)
        pthread_mutex_unlock(&w->lock);
}
