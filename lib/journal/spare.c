/* SPDX-License-Identifier: BSD-3-Clause */
#include "journal/spare.h"

#include <time.h>
#include <unistd.h>

#include "base/thread.h"

#define PIECE_BYTES                                                                                \
    (1u << 20) /* written and synced at once: who takes the file waits for one of them */
#define REST 3 /* times as long as a piece took nothing is done: the disk is the log's */

enum state {
    IDLE,
    WANTED, /* not begun */
    BUSY,
    READY,
};

struct fg_spare {
    struct fg_journal_file_ops ops;
    int dir_fd;
    uint64_t bytes;
    unsigned wait_ms;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* any of what follows */
    enum state state;
    uint64_t due_ns; /* when WANTED: not before */
    int fd;          /* when READY */
    bool hurry, quit;
};

static uint8_t zeros[PIECE_BYTES];

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static bool zero_piece(const struct fg_journal_file_ops *ops, int fd, uint64_t offset, uint64_t end)
{
    uint64_t n = end - offset < PIECE_BYTES ? end - offset : PIECE_BYTES;

    return fg_journal_file_write(ops, fd, zeros, n, offset) && ops->sync(ops->ctx, fd) == 0;
}

bool fg_journal_spare_zero(const struct fg_journal_file_ops *ops, int fd, uint64_t from,
                           uint64_t end)
{
    for (uint64_t offset = from; offset < end; offset += PIECE_BYTES)
        if (!zero_piece(ops, fd, offset, end))
            return false;
    return true;
}

/* Until then, or until something changes; the lock is held. */
static void wait_until(struct fg_spare *s, uint64_t until_ns)
{
    struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000),
                             .tv_nsec = (long)(until_ns % 1000000000)};

    pthread_cond_timedwait(&s->changed, &s->lock, &until);
}

/* As much as there is time for; false: it failed, and the file must not be used. The lock is held,
 * but not here. */
static bool zero_in_peace(struct fg_spare *s, int fd)
{
    bool ok = true;

    for (uint64_t offset = 0; ok && offset < s->bytes && !s->hurry && !s->quit;
         offset += PIECE_BYTES) {
        uint64_t began = now_ns(), ended;

        pthread_mutex_unlock(&s->lock);
        ok = zero_piece(&s->ops, fd, offset, s->bytes);
        pthread_mutex_lock(&s->lock);
        ended = now_ns();
        while (!s->hurry && !s->quit && now_ns() < ended + REST * (ended - began))
            wait_until(s, ended + REST * (ended - began));
    }
    return ok;
}

/* -1: there is no room, or the disk is broken. The writer will see for itself. */
static int make(struct fg_spare *s)
{
    int fd;

    pthread_mutex_unlock(&s->lock);
    fd = s->ops.create(s->ops.ctx, s->dir_fd, FG_JOURNAL_SPARE_NAME);
    if (fd >= 0 && s->ops.allocate(s->ops.ctx, fd, s->bytes) < 0) {
        close(fd);
        s->ops.remove(s->ops.ctx, s->dir_fd, FG_JOURNAL_SPARE_NAME);
        fd = -1;
    }
    pthread_mutex_lock(&s->lock);
    if (fd >= 0 && !zero_in_peace(s, fd)) {
        close(fd);
        s->ops.remove(s->ops.ctx, s->dir_fd, FG_JOURNAL_SPARE_NAME);
        fd = -1;
    }
    return fd;
}

static void *run(void *arg)
{
    struct fg_spare *s = arg;

    pthread_mutex_lock(&s->lock);
    while (!s->quit) {
        if (s->state != WANTED) {
            pthread_cond_wait(&s->changed, &s->lock);
            continue;
        }
        if (now_ns() <
            s->due_ns) { /* a log that fills segments faster needs all of the disk for itself */
            wait_until(s, s->due_ns);
            continue;
        }
        s->state = BUSY;
        s->fd = make(s);
        s->state = s->fd >= 0 ? READY : IDLE;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

struct fg_spare *fg_journal_spare_start(const struct fg_journal_file_ops *ops, int dir_fd,
                                        uint64_t bytes, unsigned wait_ms)
{
    struct fg_spare *s = calloc(1, sizeof(*s));
    pthread_condattr_t attr;

    if (!s)
        return NULL;
    *s = (struct fg_spare){
        .ops = *ops, .dir_fd = dir_fd, .bytes = bytes, .wait_ms = wait_ms, .fd = -1};
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &attr);
    pthread_condattr_destroy(&attr);
    if (!fg_thread_start(&s->thread, "fg-spare", run, s)) {
        free(s);
        return NULL;
    }
    fg_journal_spare_want(s);
    return s;
}

void fg_journal_spare_want(struct fg_spare *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    if (s->state == IDLE) {
        s->state = WANTED;
        s->due_ns = now_ns() + s->wait_ms * 1000000ull;
    }
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

int fg_journal_spare_take(struct fg_spare *s)
{
    int fd = -1;

    if (!s)
        return -1;
    pthread_mutex_lock(&s->lock);
    s->hurry = true;
    pthread_cond_broadcast(&s->changed);
    while (s->state == BUSY)
        pthread_cond_wait(&s->changed, &s->lock);
    s->hurry = false;
    if (s->state == READY)
        fd = s->fd;
    s->fd = -1;
    s->state = IDLE;
    pthread_mutex_unlock(&s->lock);
    return fd;
}

void fg_journal_spare_stop(struct fg_spare *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->quit = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    if (s->fd >= 0) {
        close(s->fd);
        s->ops.remove(s->ops.ctx, s->dir_fd, FG_JOURNAL_SPARE_NAME);
    }
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
