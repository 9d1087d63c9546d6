/* SPDX-License-Identifier: BSD-3-Clause */
#include "replication/lists.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/thread.h"

#define CHECK_MS   100  /* between two checks of what has changed */
#define PACE_MS    1000 /* between two offers, and before a list that failed is tried again */
#define REST       19   /* a long list: it rests so many times as long as it worked */
#define PATH_BYTES 600

static const enum fg_replication_file files[FG_FILTER_LISTS] = {
    [FG_FILTER_LIST_BLOCK] = FG_REPLICATION_BLOCK_LIST,
    [FG_FILTER_LIST_ALLOW] = FG_REPLICATION_ALLOW_LIST};
static const char *const names[FG_FILTER_LISTS] = {
    [FG_FILTER_LIST_BLOCK] = "block list", [FG_FILTER_LIST_ALLOW] = "allow list"};

struct list {
    _Atomic bool came;     /* a file is at `path`; its receiver sets it */
    char path[PATH_BYTES]; /* written once, before `came` */
    /* the thread's own */
    bool offered, complained;
    uint64_t changes; /* of the list, when it was offered */
};

struct fg_replication_lists {
    struct fg_replication_lists_options o;
    pthread_t thread;
    bool running;
    sem_t bell;
    _Atomic bool leads, quit;
    struct list lists[FG_FILTER_LISTS];
    /* the thread's own */
    bool offers;
    uint64_t rest_ms; /* nothing before */
};

/* ---- a standby ------------------------------------------------------------------------------- */

/* False: it is to be tried again. The other list may be what takes its room. */
static bool put_in_force(struct fg_replication_lists *l, enum fg_filter_list list)
{
    struct list *own = &l->lists[list];
    struct fg_filter_list_loaded loaded;
    struct fg_error err = {""};
    bool ok = fg_filter_load_copy(l->o.filter, list, own->path, &loaded, &err);

    if (ok && list == FG_FILTER_LIST_BLOCK)
        fg_penalty_recall(l->o.penalty, l->o.filter, fg_clock_mono_ms());
    ok = ok && !loaded.wrong;
    if (!ok && !own->complained)
        fg_diag(FG_DIAG_WARNING, "pair: the leader's %s is not whole here: %s", names[list],
                err.text);
    own->complained = !ok;
    return ok;
}

/* False: not all of what came is in force. */
static bool take(struct fg_replication_lists *l)
{
    bool all = true;

    for (unsigned list = 0; list < FG_FILTER_LISTS; list++) {
        struct list *own = &l->lists[list];

        if (!atomic_exchange_explicit(&own->came, false, memory_order_acquire) ||
            put_in_force(l, (enum fg_filter_list)list))
            continue;
        atomic_store(&own->came, true);
        all = false;
    }
    return all;
}

/* ---- a leader -------------------------------------------------------------------------------- */

/* Whether there was anything to do. */
static bool offer(struct fg_replication_lists *l, enum fg_filter_list list)
{
    uint64_t changes = fg_filter_changes(l->o.filter, list); /* later ones: the next time */
    struct list *own = &l->lists[list];
    char *text = NULL;
    size_t size = 0;
    FILE *out;
    bool ok;

    if (own->offered && own->changes == changes)
        return false;
    out = open_memstream(&text, &size);
    ok = out && fg_filter_save_copy(l->o.filter, list, out);
    if (out)
        ok &= fclose(out) == 0;
    if (!ok) {
        free(text);
        fg_diag(FG_DIAG_WARNING, "pair: no memory to send the %s to the standby", names[list]);
        return true;
    }
    l->o.offer(l->o.ctx, files[list], (uint8_t *)text, size);
    own->offered = true;
    own->changes = changes;
    return true;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void step(struct fg_replication_lists *l)
{
    uint64_t began_ms = fg_clock_mono_ms(), least_ms = 0, took_ms;
    bool begins = atomic_load(&l->leads) && !l->offers;

    if (!begins && began_ms < l->rest_ms)
        return;
    if (!l->offers && !take(l))
        least_ms = PACE_MS;
    l->offers |= begins;
    for (unsigned list = 0; l->offers && list < FG_FILTER_LISTS; list++)
        if (offer(l, (enum fg_filter_list)list))
            least_ms = PACE_MS;
    took_ms = fg_clock_mono_ms() - began_ms;
    l->rest_ms = began_ms + took_ms + (took_ms * REST > least_ms ? took_ms * REST : least_ms);
}

static void *run(void *lists)
{
    struct fg_replication_lists *l = lists;

    while (!atomic_load(&l->quit)) {
        struct timespec until;

        step(l);
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += CHECK_MS * 1000000l;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        sem_clockwait(&l->bell, CLOCK_MONOTONIC, &until);
    }
    return NULL;
}

/* ---- for others ------------------------------------------------------------------------------ */

struct fg_replication_lists *
fg_replication_lists_start(const struct fg_replication_lists_options *options, struct fg_error *err)
{
    struct fg_replication_lists *l = calloc(1, sizeof(*l));

    FG_ASSERT(l && options->filter && options->penalty && options->offer);
    l->o = *options;
    sem_init(&l->bell, 0, 0);
    l->running = fg_thread_start(&l->thread, "fg-pair-lists", run, l);
    if (l->running)
        return l;
    fg_replication_lists_free(l);
    fg_fail(err, "cannot start the thread of the pair's lists");
    return NULL;
}

void fg_replication_lists_received(struct fg_replication_lists *l, enum fg_replication_file file,
                                   const char *path)
{
    for (unsigned list = 0; list < FG_FILTER_LISTS; list++) {
        struct list *own = &l->lists[list];

        if (files[list] != file)
            continue;
        if (!own->path[0])
            snprintf(own->path, sizeof(own->path), "%s", path);
        FG_ASSERT(strcmp(own->path, path) == 0);
        atomic_store_explicit(&own->came, true, memory_order_release);
        sem_post(&l->bell);
    }
}

void fg_replication_lists_lead(struct fg_replication_lists *l)
{
    atomic_store(&l->leads, true);
    sem_post(&l->bell);
}

void fg_replication_lists_stop(struct fg_replication_lists *l)
{
    if (!l || !l->running)
        return;
    atomic_store(&l->quit, true);
    sem_post(&l->bell);
    pthread_join(l->thread, NULL);
    l->running = false;
}

void fg_replication_lists_free(struct fg_replication_lists *l)
{
    if (!l)
        return;
    FG_ASSERT(!l->running);
    sem_destroy(&l->bell);
    free(l);
}
