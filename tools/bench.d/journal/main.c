/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench_journal: acceptances through the group commit, as the daemon makes them: a worker's thread
 * pushes records into its ring and keeps so many of them in flight, the journal's thread commits
 * and publishes the watermark. Next to it, in turn, the same bytes in the same pieces by plain
 * write and fdatasync by one thread that does nothing else, into files like the log's segments,
 * allocated outside of the time.
 *
 *   bench_journal DIR RUNS SECONDS [IN_FLIGHT]        JSON rows on standard output; of one case
 * only. FG_COMMIT=plain, dsync or uring in the environment: how to commit, in place of the trial
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "journal/journal.h"
#include "journal/pace.h"

#define RING        16384
#define POLL_US     25 /* for records while a commit is under way, as the daemon */
#define RUNS_MAX    101
#define SAMPLES_MAX (1u << 22)
#define RAW_BYTES   FG_JOURNAL_SEGMENT_BYTES_NORMAL
#define DISK_BYTES  (1ull << 30) /* of a second: more than the disk takes */
#define SATURATED   10000        /* in flight */
#define TARGET      0.8          /* of plain writes when saturated */

static const unsigned in_flight[] = {1, 100, SATURATED};
enum { CASES = sizeof(in_flight) / sizeof(in_flight[0]) };

enum figure { RATE, P50, P99, BATCH, RAW, RATIO, FIGURES };

static const struct {
    const char *text, *unit, *better;
} figures[FIGURES] = {[RATE] = {"acknowledged acceptances", "1/s", "higher"},
                      [P50] = {"acknowledged, p50", "us", "lower"},
                      [P99] = {"acknowledged, p99", "us", "lower"},
                      [BATCH] = {"records of a commit", "records", "higher"},
                      [RAW] = {"plain write + fdatasync of the same pieces", "1/s", "higher"},
                      [RATIO] = {"share of plain writes", "ratio", "higher"}};

static enum fg_journal_way way = FG_JOURNAL_WAY_AUTO;
static double samples[CASES][FIGURES][RUNS_MAX];

struct run {
    struct fg_journal_committer committer;
    struct fg_ring *ring;
    struct fg_journal_watermark mark;
    _Atomic bool quit;
    uint64_t *pushed_ns;  /* [RING * 2], by number of the record */
    uint32_t *latency_us; /* [SAMPLES_MAX] */
    size_t latencies;
};

static __attribute__((noreturn)) void die(const char *what)
{
    fprintf(stderr, "bench_journal: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void *commit(void *ctx)
{
    struct run *r = ctx;
    struct fg_journal_pace pace = {0};

    prctl(PR_SET_TIMERSLACK, 1000ul);
    while (!atomic_load_explicit(&r->quit, memory_order_acquire)) {
        unsigned us = 0;

        fg_journal_committer_begin(&r->committer, 1);
        if (fg_journal_committer_end(&r->committer, r->committer.count == r->committer.depth
                                                        ? UINT_MAX
                                                    : fg_ring_waits(r->ring) ? 0
                                                                             : POLL_US)) {
            if (!fg_journal_committer_under_way(&r->committer))
                us = fg_journal_committer_gather_us(&r->committer);
            fg_journal_pace_worked(&pace);
        } else if (!fg_journal_committer_under_way(&r->committer)) {
            us = fg_journal_pace_idle(&pace, false);
        }
        if (us)
            nanosleep(&(struct timespec){.tv_nsec = (long)us * 1000}, NULL);
    }
    while (fg_journal_committer_under_way(&r->committer))
        fg_journal_committer_end(&r->committer, UINT_MAX);
    return NULL;
}

/* Waits for records to become durable and notes how long each took; how many are. */
static uint64_t take_acknowledged(struct run *r, uint64_t seen)
{
    uint64_t durable = atomic_load_explicit(&r->mark.durable, memory_order_acquire), now;

    if (durable == seen)
        return seen;
    now = now_ns();
    for (; seen < durable; seen++)
        if (r->latencies < SAMPLES_MAX)
            r->latency_us[r->latencies++] =
                (uint32_t)((now - r->pushed_ns[seen % (2 * RING)]) / 1000);
    return seen;
}

static uint64_t push(struct run *r, unsigned flight, uint64_t pushed, uint64_t acknowledged)
{
    struct fg_journal_record record = {
        .type = FG_JOURNAL_RECORD_RESERVED, .quantity = 1, .item = 1};

    while (pushed - acknowledged < flight && fg_ring_room(r->ring, 1)) {
        record.user = pushed;
        record.arg = pushed;
        r->pushed_ns[pushed % (2 * RING)] = now_ns();
        fg_ring_push(r->ring, &record);
        pushed++;
    }
    return pushed;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* One measurement; false: the journal failed. */
static void through_journal(struct run *r, const char *dir, unsigned flight, unsigned seconds,
                            unsigned n, double out[FIGURES][RUNS_MAX])
{
    struct fg_journal_options options = {
        .dir = dir, .begin = true, .prepare_ms = 100, .way = way, .now_ms = 1}; /* as the daemon */
    uint64_t pushed = 0, acknowledged = 0, begin, end;
    struct fg_error err;
    pthread_t thread;
    struct fg_journal *journal = fg_journal_open(&options, &err);

    if (!journal)
        die(err.text);
    r->latencies = 0;
    atomic_store(&r->quit, false);
    atomic_store(&r->mark.durable, 0);
    r->ring = fg_ring_create(RING);
    if (!r->ring ||
        !fg_journal_committer_init(&r->committer, journal, &r->ring, &r->mark, 1, 0, &err))
        die("no memory");
    if (pthread_create(&thread, NULL, commit, r))
        die("no thread");
    begin = now_ns();
    end = begin + seconds * 1000000000ull;
    while (now_ns() < end) {
        pushed = push(r, flight, pushed, acknowledged);
        acknowledged = take_acknowledged(r, acknowledged);
        if (atomic_load(&r->committer.state) != FG_JOURNAL_OK)
            die(fg_journal_error(journal));
    }
    end = now_ns();
    atomic_store_explicit(&r->quit, true, memory_order_release);
    pthread_join(thread, NULL);
    if (!r->latencies)
        die("nothing was acknowledged");
    qsort(r->latency_us, r->latencies, sizeof(*r->latency_us), compare_u32);
    out[RATE][n] = (double)acknowledged * 1e9 / (double)(end - begin);
    out[P50][n] = r->latency_us[r->latencies / 2];
    out[P99][n] = r->latency_us[r->latencies - 1 - r->latencies / 100];
    out[BATCH][n] =
        (double)atomic_load(&r->committer.records) / (double)atomic_load(&r->committer.commits);
    fg_journal_committer_free(&r->committer);
    fg_journal_close(journal);
    fg_ring_destroy(r->ring);
}

/*
 * A virtual machine may have given its free memory back to its host. Whoever writes first into
 * pages that it then has to fetch again takes ten times as long. So the pages that the page cache
 * will take are fetched before either side is measured.
 */
static void fetch_memory(unsigned seconds)
{
    uint64_t most = (uint64_t)sysconf(_SC_AVPHYS_PAGES) / 2 * (uint64_t)sysconf(_SC_PAGESIZE);
    size_t bytes = seconds * DISK_BYTES < most ? seconds * DISK_BYTES : most;
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pages == MAP_FAILED)
        return;
    madvise(pages, bytes, MADV_HUGEPAGE);
    madvise(pages, bytes, MADV_POPULATE_WRITE);
    munmap(pages, bytes);
}

static void raw_name(char name[32], unsigned n)
{
    snprintf(name, 32, "raw-%u", n);
}

/* Each a new one: a file that is written again finds its pages where they were, which no log does.
 */
static int raw_file(int dir_fd, unsigned n)
{
    char name[32];
    int fd;

    raw_name(name, n);
    fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || posix_fallocate(fd, 0, RAW_BYTES) || fsync(fd))
        die(name);
    return fd;
}

static void remove_raw(int dir_fd, unsigned files)
{
    char name[32];

    for (unsigned n = 0; n < files; n++) {
        raw_name(name, n);
        unlinkat(dir_fd, name, 0);
    }
}

/* The pieces that the journal wrote: its records, and the one that begins each commit. */
static double through_write(const char *dir, double batch, unsigned seconds)
{
    size_t records = (size_t)(batch + 0.5), len = (records + 1) * FG_JOURNAL_RECORD_SIZE;
    uint8_t *piece = malloc(len);
    uint64_t done = 0, offset = 0, spent = 0, begin;
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY), fd;
    unsigned files = 1;

    if (dir_fd < 0 || !piece)
        die(dir);
    memset(piece, 0x5a, len);
    fd = raw_file(dir_fd, 0);
    while (spent < seconds * 1000000000ull) {
        if (offset + len > RAW_BYTES) { /* a new one, outside of the time */
            close(fd);
            fd = raw_file(dir_fd, files++);
            offset = 0;
        }
        begin = now_ns();
        if (pwrite(fd, piece, len, (off_t)offset) != (ssize_t)len || fdatasync(fd))
            die("raw");
        spent += now_ns() - begin;
        offset += len;
        done += records;
    }
    close(fd);
    remove_raw(dir_fd, files);
    close(dir_fd);
    free(piece);
    return (double)done * 1e9 / (double)spent;
}

static void empty(const char *dir)
{
    char path[4300];

    snprintf(path, sizeof(path), "rm -rf '%s/log'", dir);
    if (system(path) != 0)
        die(dir);
}

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void print_row(unsigned c, enum figure f, unsigned runs, const char *comma)
{
    double *s = samples[c][f];
    bool aimed = f == RATIO && in_flight[c] == SATURATED;

    qsort(s, runs, sizeof(*s), compare_double);
    printf("%s\n{\"bench\": \"journal\", \"case\": \"%u in flight: %s\", \"value\": %.6g, \"min\": "
           "%.6g, "
           "\"max\": "
           "%.6g, \"unit\": \"%s\", \"better\": \"%s\", \"target\": ",
           comma, in_flight[c], figures[f].text, s[runs / 2], s[0], s[runs - 1], figures[f].unit,
           figures[f].better);
    if (aimed)
        printf("%g, \"met\": %s}", TARGET, s[runs / 2] >= TARGET ? "true" : "false");
    else
        printf("null, \"met\": null}");
}

int main(int argc, char **argv)
{
    bool given = argc == 4 || argc == 5;
    unsigned runs = given ? (unsigned)atoi(argv[2]) : 0,
             seconds = given ? (unsigned)atoi(argv[3]) : 0;
    unsigned only = argc == 5 ? (unsigned)atoi(argv[4]) : 0;
    const char *comma = "";
    struct run *r = aligned_alloc(FG_CACHE_LINE,
                                  (sizeof(*r) + FG_CACHE_LINE - 1) / FG_CACHE_LINE * FG_CACHE_LINE);
    char log_dir[4200];

    if (runs < 1 || runs > RUNS_MAX || seconds < 1 || !r) {
        fprintf(stderr, "usage: bench_journal DIR RUNS SECONDS [IN_FLIGHT]\n");
        return 2;
    }
    memset(r, 0, sizeof(*r));
    r->pushed_ns = calloc(2 * RING, sizeof(*r->pushed_ns));
    r->latency_us = calloc(SAMPLES_MAX, sizeof(*r->latency_us));
    if (!r->pushed_ns || !r->latency_us)
        die("memory");
    for (enum fg_journal_way w = 0; w < FG_JOURNAL_WAYS && getenv("FG_COMMIT"); w++)
        if (strcmp(getenv("FG_COMMIT"), fg_journal_way_name(w)) == 0)
            way = w;
    snprintf(log_dir, sizeof(log_dir), "%s/log", argv[1]);
    for (unsigned n = 0; n < runs; n++)
        for (unsigned c = 0; c < CASES; c++) {
            if (only && only != in_flight[c])
                continue;
            empty(argv[1]);
            fetch_memory(seconds);
            through_journal(r, log_dir, in_flight[c], seconds, n, samples[c]);
            empty(argv[1]);
            fetch_memory(seconds);
            samples[c][RAW][n] = through_write(argv[1], samples[c][BATCH][n], seconds);
            samples[c][RATIO][n] = samples[c][RATE][n] / samples[c][RAW][n];
        }
    empty(argv[1]);
    printf("{\"rows\": [");
    for (unsigned c = 0; c < CASES; c++)
        for (enum figure f = 0; f < FIGURES && (!only || only == in_flight[c]); f++, comma = ",")
            print_row(c, f, runs, comma);
    printf("\n]}\n");
    return 0;
}
