/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A draw among a million users, and offers to them, with a log on the disk that holds all of it:
 * fgaudit can hold the draw again.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "bench.h"
#include "journal/thread.h"

#define WAITERS   (976 * CHUNK) /* a million, in whole chunks */
#define ITEM      7
#define HOLD_MS   3600000
#define OPENS_MS  (T0_MS + 60000)
#define BINS      20
#define FIRST     50000 /* ranks that are counted in the bins */
#define OFFERS    1000
#define RECORD    128 /* bytes of a commit of one record: it, and the one that begins a commit */
#define AT_MOST   5.0 /* ms from a release to its offer, without one sync */
#define LOG_BYTES 4096

static const struct kind enter = {
    .op = FG_PACKET_OP_WAIT, .status = FG_PACKET_STATUS_WAITING, .item = ITEM, .items = 1};
static const struct kind cancel = {.op = FG_PACKET_OP_CANCEL};

static uint32_t ranked[WAITERS]; /* the nth rank is of this arrival */
static double wins[BINS];

static void create_item(struct world *w)
{
    struct fg_stock_command set = {.type = FG_STOCK_ITEM_SET, .item = ITEM},
                            line = {.type = FG_STOCK_LINE_SET, .item = ITEM};

    set.opens_ms = OPENS_MS;
    set.hold_ms = HOLD_MS;
    set.order_max = set.user_limit = 4;
    world_command(w, set);
    set.type = FG_STOCK_ITEM_APPLY;
    world_command(w, set);
    line.line_max = WAITERS;
    line.claim_ms = line.wait_ttl_ms = HOLD_MS;
    line.line_flags = FG_JOURNAL_LINE_LOTTERY;
    world_command(w, line);
    line.type = FG_STOCK_LINE_APPLY;
    world_command(w, line);
    for (unsigned i = 0, got; i < 4; i++) { /* the commitment: written, durable, in force */
        world_log(w);
        world_poll(w, NULL, &got);
    }
}

static struct fg_stock_answer ask(struct world *w, const struct kind *k, uint64_t nth)
{
    struct fg_stock_request r = world_request(k, nth);
    struct fg_stock_answer a = {0};

    fg_stock_request(w->stock, w->now_ms, &r, 0, &a);
    return a;
}

static uint32_t ticket_of(struct world *w, uint64_t nth)
{
    struct fg_stock_answer a = ask(w, &enter, nth);

    return a.status == FG_PACKET_STATUS_WAITING ? (uint32_t)a.deadline_ms : 0;
}

/* From the opening until all have their tickets. */
static void draw(struct world *w)
{
    uint64_t start = tsc(), longest = 0, cycles;
    unsigned got;

    w->now_ms = OPENS_MS;
    do {
        cycles = world_poll(w, NULL, &got);
        longest = cycles > longest ? cycles : longest;
        world_log(w);
    } while (!ticket_of(w, 0));
    figure_add(FIGURE_DRAW, (double)(tsc() - start));
    figure_add(FIGURE_DRAW_LOOP, (double)longest);
}

/* The tickets of the draw follow those that were given before. */
static void see_ranks(struct world *w)
{
    for (uint32_t nth = 0; nth < WAITERS; nth++) {
        uint32_t rank = ticket_of(w, nth) - WAITERS - 1;

        FG_ASSERT(rank < WAITERS);
        ranked[rank] = nth;
    }
    for (uint32_t rank = 0; rank < FIRST; rank++)
        wins[(uint64_t)ranked[rank] * BINS / WAITERS]++;
}

static double chi_square(unsigned runs)
{
    const double expected = (double)FIRST * runs / BINS;
    double all = 0;

    for (unsigned i = 0; i < BINS; i++)
        all += (wins[i] - expected) * (wins[i] - expected) / expected;
    return all;
}

/* ---- offers */

static void wait_durable(struct world *w, uint64_t records)
{
    unsigned got;

    do
        world_poll(w, NULL, &got);
    while (atomic_load_explicit(&w->mark.durable, memory_order_acquire) < records);
    world_poll(w, NULL, &got);
}

static double sync_once(int fd, unsigned nth)
{
    static const char bytes[RECORD];
    uint64_t start = tsc();

    FG_ASSERT(pwrite(fd, bytes, sizeof(bytes), (off_t)nth * RECORD) == RECORD && !fdatasync(fd));
    return (double)(tsc() - start);
}

/* The unit goes from each user to the next one: a cancellation and an offer, both durable. */
static void offers(struct world *w, int fd)
{
    static double took[OFFERS], syncs[OFFERS];
    struct fg_stock_command add = {.type = FG_STOCK_STOCK_ADD, .item = ITEM};
    uint64_t durable = atomic_load(&w->mark.durable), start;
    double p99, sync;

    add.units = 1;
    FG_ASSERT(fg_stock_command(w->stock, w->now_ms, &add));
    wait_durable(w, durable += 2);
    for (unsigned i = 0; i < OFFERS; i++) {
        start = tsc();
        ask(w, &cancel, ranked[i]);
        wait_durable(w, durable += 2);
        took[i] = (double)(tsc() - start);
        FG_ASSERT(ask(w, &enter, ranked[i + 1]).status == FG_PACKET_STATUS_RESERVED);
        syncs[i] = sync_once(fd, i);
    }
    sync = median(syncs, OFFERS);
    median(took, OFFERS);
    p99 = took[OFFERS - 1 - OFFERS / 100];
    figure_add(FIGURE_DISK_OFFER, p99);
    figure_add(FIGURE_DISK_SYNC, sync);
    figure_add(FIGURE_DISK_RATIO, p99 / (AT_MOST * 1e-3 * tsc_hz() + sync));
}

static int mode(enum fg_journal_state state, bool stopping)
{
    return state == FG_JOURNAL_OK ? FG_STOCK_RUNNING : FG_STOCK_FAILED;
}

/* With the thread of the daemon, on another CPU. */
static void offers_with_thread(struct world *w, struct fg_journal *journal, const struct options *o)
{
    struct fg_ring *rings[] = {w->config.journal};
    struct fg_journal_thread_options options = {
        .journal = journal, .records = rings, .watermarks = &w->mark, .workers = 1, .mode = mode};
    static struct fg_journal_thread thread;
    static struct fg_clock clock;
    char path[LOG_BYTES];
    struct fg_error err;
    cpu_set_t here;
    int fd;

    snprintf(path, sizeof(path), "%s/sync", o->log);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FG_ASSERT(fd >= 0 && !posix_fallocate(fd, 0, OFFERS * RECORD) && !fsync(fd));
    fg_clock_start(&clock, (uint64_t)tsc_hz());
    options.clock = &clock;
    memset(&thread, 0, sizeof(thread));
    FG_ASSERT(sched_getaffinity(0, sizeof(here), &here) == 0);
    FG_ASSERT(sched_setaffinity(0, sizeof(o->others), &o->others) == 0);
    FG_ASSERT(fg_journal_thread_start(&thread, &options, &err));
    FG_ASSERT(sched_setaffinity(0, sizeof(here), &here) == 0);
    offers(w, fd);
    fg_journal_thread_stop(&thread);
    close(fd);
}

static struct fg_journal *new_log(const char *folder)
{
    char dir[LOG_BYTES], command[LOG_BYTES + 16];
    struct fg_journal_options options = {
        .dir = dir, .begin = true, .prepare_ms = 100, .now_ms = T0_MS};
    struct fg_journal *journal;
    struct fg_error err;

    snprintf(dir, sizeof(dir), "%s/log", folder);
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    journal = system(command) == 0 ? fg_journal_open(&options, &err) : NULL;
    if (journal)
        return journal;
    fprintf(stderr, "bench_engine: no log in %s\n", folder);
    exit(1);
}

static void draw_run(const struct options *o, uint8_t secret)
{
    struct fg_stock_limits limits = {.items_max = 8,
                                     .orders_max = WAITERS,
                                     .users_max = WAITERS,
                                     .parked_max = 4096,
                                     .deferred_max = 65536,
                                     .waiting_max = WAITERS};
    struct fg_journal *journal = new_log(o->log);
    static struct fg_journal_committer committer;
    static struct world w;
    struct fg_error err;

    memset(&w, 0, sizeof(w));
    w.secret = secret;
    world_create(&w, limits, 0, 1);
    FG_ASSERT(
        fg_journal_committer_init(&committer, journal, &w.config.journal, &w.mark, 1, 0, &err));
    w.committer = &committer;
    create_item(&w);
    for (uint64_t nth = 0; nth < WAITERS; nth += CHUNK)
        world_chunk(&w, &enter, nth);
    draw(&w);
    see_ranks(&w);
    fg_journal_committer_free(&committer);
    offers_with_thread(&w, journal, o);
    fg_journal_close(journal);
    world_destroy(&w);
}

void bench_draw(const struct options *o)
{
    for (unsigned r = 0; r < o->runs; r++)
        draw_run(o, (uint8_t)(r + 1));
    figure_add(FIGURE_DRAW_CHI2, chi_square(o->runs));
}
