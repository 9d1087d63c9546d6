/* SPDX-License-Identifier: BSD-3-Clause */
#include "member/watcher.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "arbiter/watch.h"
#include "base/thread.h"

#define STOP_MS    3000
#define CONNECT_MS 1000
#define AGAIN_MS   250  /* until the next watch */
#define VALUES_MAX 8192 /* that wait to be taken */

struct fg_member_watcher {
    struct fg_arbiter_watch *watch;
    int wake_fd;
    void (*begin)(void);
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* under the mutex */
    bool quit, fresh, overflown;
    int64_t since, told;
    struct fg_member_values waiting;
    /* of the thread that takes */
    struct fg_member_values taken;
};

static void wake(const struct fg_member_watcher *w)
{
    uint64_t one = 1;

    if (write(w->wake_fd, &one, sizeof(one)) < 0)
        return; /* its counter is full: it is awake */
}

/* ---- the watch tells ------------------------------------------------------------------------- */

static void seen(void *ctx, const char *key, const struct fg_arbiter_value *value)
{
    struct fg_member_watcher *w = ctx;

    pthread_mutex_lock(&w->mutex);
    if (w->waiting.len < VALUES_MAX) {
        fg_member_values_add(&w->waiting, key, value);
    } else { /* the reads bring the rest */
        w->overflown = true;
        fg_arbiter_watch_cut(w->watch);
    }
    pthread_mutex_unlock(&w->mutex);
}

static void told(void *ctx, int64_t revision)
{
    struct fg_member_watcher *w = ctx;

    pthread_mutex_lock(&w->mutex);
    w->told = w->overflown ? 0 : revision;
    w->fresh = true;
    pthread_mutex_unlock(&w->mutex);
    wake(w);
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* Between two watches. */
static void rest(struct fg_member_watcher *w)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += AGAIN_MS * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!w->quit &&
           pthread_cond_clockwait(&w->changed, &w->mutex, CLOCK_MONOTONIC, &until) != ETIMEDOUT)
        continue;
}

static void watch(struct fg_member_watcher *w)
{
    const struct fg_arbiter_watch_hooks hooks = {.ctx = w, .seen = seen, .told = told};
    int64_t since = w->since;
    struct fg_error err = {""}; /* the reads tell whether etcd answers */

    pthread_mutex_unlock(&w->mutex);
    fg_arbiter_watch_run(w->watch, FG_FLEET_PREFIX, since, &hooks, &err);
    pthread_mutex_lock(&w->mutex);
    w->told = 0;
    w->fresh = true;
    w->overflown = false;
    wake(w);
}

static void *run(void *arg)
{
    struct fg_member_watcher *w = arg;

    w->begin();
    pthread_mutex_lock(&w->mutex);
    while (!w->quit) {
        if (!w->since) {
            pthread_cond_wait(&w->changed, &w->mutex);
            continue;
        }
        watch(w);
        rest(w);
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

/* ---- start, stop ----------------------------------------------------------------------------- */

static void release(struct fg_member_watcher *w)
{
    fg_arbiter_watch_close(w->watch);
    fg_member_values_free(&w->waiting);
    fg_member_values_free(&w->taken);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->mutex);
    free(w);
}

struct fg_member_watcher *fg_member_watcher_start(const struct fg_member_watcher_options *options,
                                                  struct fg_error *err)
{
    struct fg_member_watcher *w = calloc(1, sizeof(*w));
    struct fg_arbiter_options etcd = *options->etcd;

    FG_ASSERT(w);
    etcd.timeout_ms = CONNECT_MS;
    w->wake_fd = options->wake_fd;
    w->begin = options->begin;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->changed, NULL);
    w->watch = fg_arbiter_watch_open(&etcd, err);
    if (w->watch && fg_thread_start(&w->thread, "fg-fleet-watch", run, w))
        return w;
    if (w->watch)
        fg_fail(err, "cannot start a thread for the watch of etcd");
    release(w);
    return NULL;
}

bool fg_member_watcher_stop(struct fg_member_watcher *w)
{
    if (!w)
        return true;
    pthread_mutex_lock(&w->mutex);
    w->quit = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    fg_arbiter_watch_cut(w->watch);
    if (!fg_thread_join_within(w->thread, STOP_MS))
        return false;
    release(w);
    return true;
}

/* ---- for the thread of the fleet ------------------------------------------------------------- */

void fg_member_watcher_since(struct fg_member_watcher *w, int64_t since)
{
    pthread_mutex_lock(&w->mutex);
    w->since = since;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->mutex);
}

void fg_member_watcher_renew(struct fg_member_watcher *w)
{
    fg_arbiter_watch_cut(w->watch);
}

bool fg_member_watcher_take(struct fg_member_watcher *w, const struct fg_member_values **values,
                            int64_t *revision)
{
    struct fg_member_values used;
    bool fresh;

    fg_member_values_forget(&w->taken);
    used = w->taken;
    pthread_mutex_lock(&w->mutex);
    fresh = w->fresh;
    if (fresh) { /* else those that wait are a part of what is being told */
        w->fresh = false;
        w->taken = w->waiting;
        w->waiting = used;
    }
    *revision = w->told;
    pthread_mutex_unlock(&w->mutex);
    *values = &w->taken;
    return fresh;
}
