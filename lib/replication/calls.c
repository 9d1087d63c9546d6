/* SPDX-License-Identifier: BSD-3-Clause */
#include "replication/calls.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"

#define STOP_MS 3000

enum stage { IDLE, ASKED, ANSWERED };

struct fg_replication_caller {
    struct fg_arbiter *arbiter;
    int wake_fd;
    void (*begin)(void);
    void (*seen)(void *ctx, int64_t revision, const char *text); /* the register */
    void *ctx;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* under the mutex */
    enum stage stage;
    bool quit;
    /* whoever has the turn by `stage` */
    bool swap;
    uint64_t ticket;
    int64_t revision;
    size_t size;
    char key[FG_ARBITER_KEY_MAX + 1];
    char bytes[FG_PAIR_TEXT_MAX + 1];
    struct fg_replication_answer answer;
};

static enum fg_pair_outcome outcome_of(enum fg_arbiter_result result)
{
    switch (result) {
    case FG_ARBITER_DONE:
        return FG_PAIR_DONE;
    case FG_ARBITER_LOST:
        return FG_PAIR_LOST;
    case FG_ARBITER_REFUSED:
    case FG_ARBITER_AWAY:
        return FG_PAIR_AWAY;
    case FG_ARBITER_UNKNOWN:
        break;
    }
    return FG_PAIR_UNKNOWN;
}

static void call(struct fg_replication_caller *c)
{
    struct fg_replication_answer *a = &c->answer;
    struct fg_arbiter_value value = {0};
    struct fg_error err = {""};
    uint64_t began = fg_clock_mono_ms();
    struct fg_arbiter_swap swap = {.guard = FG_PAIR_REGISTER_KEY,
                                   .revision = c->revision,
                                   .key = c->key,
                                   .bytes = c->bytes,
                                   .size = c->size};
    enum fg_arbiter_result result;

    a->revision = 0;
    result = c->swap ? fg_arbiter_swap(c->arbiter, &swap, &a->revision, &err)
                     : fg_arbiter_read(c->arbiter, c->key, &value, &err);
    if (!c->swap)
        a->revision = value.revision;
    a->ticket = c->ticket;
    a->outcome = outcome_of(result);
    memcpy(a->text, value.bytes, sizeof(a->text));
    a->error[0] = 0;
    if (result != FG_ARBITER_DONE && result != FG_ARBITER_LOST)
        snprintf(a->error, sizeof(a->error), "%.250s", err.text[0] ? err.text : "no answer");
    a->took_ms = fg_clock_mono_ms() - began;
    if (result == FG_ARBITER_DONE && c->seen && strcmp(c->key, FG_PAIR_REGISTER_KEY) == 0)
        c->seen(c->ctx, a->revision, c->swap ? c->bytes : a->text);
}

static void wake(const struct fg_replication_caller *c)
{
    uint64_t one = 1;

    if (write(c->wake_fd, &one, sizeof(one)) < 0)
        return; /* its counter is full: it is awake */
}

static void *run(void *arg)
{
    struct fg_replication_caller *c = arg;

    c->begin();
    pthread_mutex_lock(&c->mutex);
    while (!c->quit) {
        if (c->stage != ASKED) {
            pthread_cond_wait(&c->changed, &c->mutex);
            continue;
        }
        pthread_mutex_unlock(&c->mutex);
        call(c);
        pthread_mutex_lock(&c->mutex);
        c->stage = ANSWERED;
        wake(c);
    }
    pthread_mutex_unlock(&c->mutex);
    return NULL;
}

static void release(struct fg_replication_caller *c)
{
    fg_arbiter_close(c->arbiter);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->mutex);
    free(c);
}

struct fg_replication_caller *fg_replication_caller_start(const struct fg_arbiter_options *options,
                                                          const char *name, int wake_fd,
                                                          void (*begin)(void), struct fg_error *err)
{
    struct fg_replication_caller *c = calloc(1, sizeof(*c));

    FG_ASSERT(c);
    c->wake_fd = wake_fd;
    c->begin = begin;
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->changed, NULL);
    c->arbiter = fg_arbiter_open(options, err);
    if (c->arbiter && fg_thread_start(&c->thread, name, run, c))
        return c;
    if (c->arbiter)
        fg_fail(err, "cannot start a thread for the arbiter's calls");
    release(c);
    return NULL;
}

void fg_replication_caller_on_register(struct fg_replication_caller *c,
                                       void (*seen)(void *ctx, int64_t revision, const char *text),
                                       void *ctx)
{
    c->seen = seen;
    c->ctx = ctx;
}

bool fg_replication_caller_stop(struct fg_replication_caller *c)
{
    if (!c)
        return true;
    pthread_mutex_lock(&c->mutex);
    c->quit = true;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->mutex);
    if (!fg_thread_join_within(c->thread, STOP_MS))
        return false;
    release(c);
    return true;
}

void fg_replication_caller_ask(struct fg_replication_caller *c, const struct fg_pair_output *call)
{
    pthread_mutex_lock(&c->mutex);
    FG_ASSERT(c->stage == IDLE && call->size < sizeof(c->bytes));
    c->swap = call->kind == FG_PAIR_SWAP;
    c->ticket = call->ticket;
    c->revision = call->revision;
    snprintf(c->key, sizeof(c->key), "%s", call->key);
    c->size = c->swap ? call->size : 0;
    if (c->size)
        memcpy(c->bytes, call->bytes, c->size);
    c->bytes[c->size] = 0;
    c->stage = ASKED;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->mutex);
}

bool fg_replication_caller_answer(struct fg_replication_caller *c,
                                  struct fg_replication_answer *answer)
{
    bool there;

    pthread_mutex_lock(&c->mutex);
    there = c->stage == ANSWERED;
    if (there) {
        *answer = c->answer;
        c->stage = IDLE;
    }
    pthread_mutex_unlock(&c->mutex);
    return there;
}
