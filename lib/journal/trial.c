/* SPDX-License-Identifier: BSD-3-Clause */
/* Which way of committing is the faster one on this disk: a few small commits by each of them. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "journal/queue.h"
#include "journal/record.h"
#include "journal/spare.h"

#define FILE_BYTES   (64u << 10)
#define PASSES       5 /* the median counts */
#define COMMITS      8 /* of a pass */
#define TRIAL_MS     300
#define PLAIN_BYTES  (2 * FG_JOURNAL_RECORD_SIZE) /* what a commit of one record writes */
#define PREFERRED_PC 105 /* of the plain way's time: that of dsync, to be chosen */

/* A file like a segment, whose places were written before. */
struct ground {
    const struct fg_journal_file_ops *ops;
    int dir_fd, fd, direct_fd;
    unsigned align;
    void *data; /* [FG_JOURNAL_DIRECT_MAX] */
};

static void leave(struct ground *g)
{
    if (g->fd >= 0) {
        close(g->fd);
        g->ops->remove(g->ops->ctx, g->dir_fd, FG_JOURNAL_SPARE_NAME);
    }
    if (g->direct_fd >= 0)
        close(g->direct_fd);
    free(g->data);
}

static bool aligned(struct ground *g, unsigned align)
{
    struct iovec piece = {.iov_base = g->data, .iov_len = align};

    g->align = align;
    return pwritev2(g->direct_fd, &piece, 1, align, RWF_DSYNC) == (ssize_t)align;
}

static bool prepare(struct ground *g)
{
    const struct fg_journal_file_ops *o = g->ops;

    g->fd = g->direct_fd = -1;
    g->data = aligned_alloc(FG_JOURNAL_DIRECT_MAX, FG_JOURNAL_DIRECT_MAX);
    if (!g->data)
        return false;
    memset(g->data, 0, FG_JOURNAL_DIRECT_MAX);
    g->fd = o->create(o->ctx, g->dir_fd, FG_JOURNAL_SPARE_NAME);
    if (g->fd < 0 || o->allocate(o->ctx, g->fd, FILE_BYTES) < 0 ||
        !fg_journal_spare_zero(o, g->fd, 0, FILE_BYTES))
        return false;
    g->direct_fd = o->open_direct(o->ctx, g->dir_fd, FG_JOURNAL_SPARE_NAME);
    return g->direct_fd >= 0 &&
           (aligned(g, FG_JOURNAL_DIRECT_MIN) || aligned(g, FG_JOURNAL_DIRECT_MAX));
}

/* ns for COMMITS commits; UINT64_MAX: it fails. */
static uint64_t plain_pass(const struct ground *g)
{
    uint64_t began = fg_clock_mono_ns();

    for (unsigned i = 0; i < COMMITS; i++)
        if (!fg_journal_file_write(g->ops, g->fd, g->data, PLAIN_BYTES,
                                   (uint64_t)i * PLAIN_BYTES) ||
            g->ops->sync(g->ops->ctx, g->fd) < 0)
            return UINT64_MAX;
    return fg_clock_mono_ns() - began;
}

static uint64_t queue_pass(const struct ground *g, const struct fg_journal_file_ops *q)
{
    uint64_t began = fg_clock_mono_ns();
    bool ok = true;
    unsigned sent = 0, slot;
    ssize_t result;

    for (unsigned ended = 0; ended < COMMITS; ended++) {
        for (; ok && sent < COMMITS && sent - ended < q->depth; sent++)
            ok = q->submit(q->queue, sent % FG_JOURNAL_FLIGHTS, g->direct_fd, g->data, g->align,
                           (uint64_t)sent * g->align) == 0;
        if (sent == ended || q->reap(q->queue, UINT_MAX, &slot, &result) != 1)
            return UINT64_MAX;
        ok = ok && result == (ssize_t)g->align;
    }
    return ok ? fg_clock_mono_ns() - began : UINT64_MAX;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* ns of a commit, by way; 0: not possible. */
static void measure(const struct ground *g, const struct fg_journal_file_ops ways[],
                    uint64_t ns[FG_JOURNAL_WAYS])
{
    uint64_t passes[FG_JOURNAL_WAYS][PASSES], end = fg_clock_mono_ms() + TRIAL_MS;
    unsigned n = 0;

    do {
        passes[FG_JOURNAL_WAY_PLAIN][n] = plain_pass(g);
        for (int w = FG_JOURNAL_WAY_DSYNC; w <= FG_JOURNAL_WAY_URING; w++)
            passes[w][n] = ways[w].submit ? queue_pass(g, &ways[w]) : UINT64_MAX;
    } while (++n < PASSES && fg_clock_mono_ms() < end);
    for (int w = FG_JOURNAL_WAY_PLAIN; w <= FG_JOURNAL_WAY_URING; w++) {
        qsort(passes[w], n, sizeof(passes[w][0]), compare);
        ns[w] = passes[w][n / 2] == UINT64_MAX ? 0 : passes[w][n / 2] / COMMITS;
    }
}

/*
 * Not uring: a kernel thread of ordinary priority ends its writes, and waits for a time slice, 4
 * ms, beside workers that poll. The trial does not meet them.
 */
static enum fg_journal_way faster(const uint64_t ns[FG_JOURNAL_WAYS])
{
    uint64_t dsync = ns[FG_JOURNAL_WAY_DSYNC];

    return dsync && dsync <= ns[FG_JOURNAL_WAY_PLAIN] * PREFERRED_PC / 100 ? FG_JOURNAL_WAY_DSYNC
                                                                           : FG_JOURNAL_WAY_PLAIN;
}

static void pick(struct ground *g, struct fg_journal_file_ops ways[], enum fg_journal_way wanted,
                 struct fg_journal_trial *t)
{
    uint64_t ns[FG_JOURNAL_WAYS] = {0};

    measure(g, ways, ns);
    t->way = wanted == FG_JOURNAL_WAY_AUTO ? faster(ns) : wanted;
    if (t->way != FG_JOURNAL_WAY_PLAIN && !ns[t->way])
        t->way = FG_JOURNAL_WAY_PLAIN;
    t->align = g->align;
    snprintf(
        t->text, sizeof(t->text),
        "us a commit in the trial: plain %llu, dsync %llu, uring %llu (0 = refused or not tried)",
        (unsigned long long)ns[FG_JOURNAL_WAY_PLAIN] / 1000,
        (unsigned long long)ns[FG_JOURNAL_WAY_DSYNC] / 1000,
        (unsigned long long)ns[FG_JOURNAL_WAY_URING] / 1000);
}

void fg_journal_queue_choose(struct fg_journal_file_ops *ops, int dir_fd, int lock_fd,
                             enum fg_journal_way wanted, struct fg_journal_trial *trial)
{
    struct ground g = {.ops = ops, .dir_fd = dir_fd};
    struct fg_journal_file_ops ways[FG_JOURNAL_WAYS] = {{0}};

    *trial = (struct fg_journal_trial){.way = FG_JOURNAL_WAY_PLAIN};
    if (!prepare(&g)) {
        snprintf(trial->text, sizeof(trial->text), "no direct writes here: %s", strerror(errno));
        leave(&g);
        return;
    }
    fg_journal_queue_open(&ways[FG_JOURNAL_WAY_DSYNC], FG_JOURNAL_WAY_DSYNC, lock_fd);
    if (wanted == FG_JOURNAL_WAY_URING) /* a ring may leave threads of the kernel for seconds */
        fg_journal_queue_open(&ways[FG_JOURNAL_WAY_URING], FG_JOURNAL_WAY_URING, lock_fd);
    pick(&g, ways, wanted, trial);
    for (enum fg_journal_way w = FG_JOURNAL_WAY_DSYNC; w <= FG_JOURNAL_WAY_URING; w++) {
        if (w != trial->way) {
            fg_journal_queue_close(&ways[w]);
            continue;
        }
        ops->queue = ways[w].queue;
        ops->submit = ways[w].submit;
        ops->reap = ways[w].reap;
        ops->depth = ways[w].depth;
    }
    leave(&g);
}
