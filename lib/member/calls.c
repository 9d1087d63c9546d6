/* SPDX-License-Identifier: BSD-3-Clause */
#include "member/calls.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "member/memory.h"

#define STOP_MS    3000
#define ETCD_MS    1000 /* of a call */
#define CLAIMS_MAX 3    /* a register that moved meanwhile is claimed again */

enum stage { IDLE, ASKED, ANSWERED };

struct fg_member_caller {
    struct fg_arbiter *etcd;
    char log_dir[512], register_key[FG_FLEET_KEY_MAX];
    int wake_fd;
    void (*begin)(void);
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* under the mutex */
    enum stage stage;
    bool quit;
    /* of the one that has the turn by `stage` */
    struct fg_member_call call;
    struct fg_fleet_put puts[FG_FLEET_PUTS_MAX];
    struct fg_member_values values;
    struct fg_member_answer answer;
};

static void seen(void *ctx, const char *key, const struct fg_arbiter_value *value)
{
    struct fg_member_caller *c = ctx;

    fg_member_values_add(&c->values, key, value);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static enum fg_fleet_outcome outcome_of(enum fg_arbiter_result result)
{
    switch (result) {
    case FG_ARBITER_DONE:
        return FG_FLEET_DONE;
    case FG_ARBITER_LOST:
        return FG_FLEET_LOST;
    case FG_ARBITER_REFUSED:
    case FG_ARBITER_AWAY:
        return FG_FLEET_AWAY;
    case FG_ARBITER_UNKNOWN:
        break;
    }
    return FG_FLEET_UNKNOWN;
}

static enum fg_arbiter_result swap_pools(struct fg_member_caller *c, struct fg_error *err)
{
    const struct fg_fleet_output *o = &c->call.output;
    struct fg_arbiter_put puts[FG_ARBITER_PUTS_MAX];
    unsigned n = 0;

    _Static_assert(FG_FLEET_PUTS_MAX + 2 <= FG_ARBITER_PUTS_MAX, "and map and register");
    puts[n++] = (struct fg_arbiter_put){.key = FG_FLEET_MAP_KEY, .revision = o->map_revision};
    puts[n++] = (struct fg_arbiter_put){.key = c->register_key, .revision = o->register_revision};
    for (unsigned i = 0; i < o->puts_len; i++)
        puts[n++] = (struct fg_arbiter_put){.key = c->puts[i].key,
                                            .revision = c->puts[i].revision,
                                            .bytes = c->puts[i].text,
                                            .size = strlen(c->puts[i].text)};
    return fg_arbiter_commit(c->etcd, puts, n, seen, c, &c->answer.store, err);
}

/* DONE: the register is this process's, at revision *store. LOST: it is another log's. */
static enum fg_arbiter_result claim(struct fg_member_caller *c, struct fg_error *err)
{
    const struct fg_member_call *call = &c->call;
    enum fg_arbiter_result result = FG_ARBITER_LOST;
    struct fg_arbiter_value now = {0};

    for (unsigned i = 0; result == FG_ARBITER_LOST && i < CLAIMS_MAX; i++) {
        struct fg_arbiter_swap swap = {.guard = c->register_key,
                                       .key = c->register_key,
                                       .bytes = call->text,
                                       .size = strlen(call->text)};

        result = fg_arbiter_read(c->etcd, c->register_key, &now, err);
        if (result != FG_ARBITER_DONE)
            return result;
        if (now.revision && strncmp(now.bytes, call->text, call->text_keep) != 0) {
            c->answer.other_log = true;
            fg_fail(err, "etcd knows this member by another log: %.120s", now.bytes);
            return FG_ARBITER_REFUSED;
        }
        swap.revision = now.revision;
        result = fg_arbiter_swap(c->etcd, &swap, &c->answer.store, err);
    }
    if (result == FG_ARBITER_LOST)
        fg_fail(err, "other processes move the register of this member");
    return result == FG_ARBITER_LOST ? FG_ARBITER_AWAY : result;
}

static enum fg_arbiter_result say(struct fg_member_caller *c, struct fg_error *err)
{
    const struct fg_arbiter_swap swap = {.guard = c->register_key,
                                         .revision = c->call.output.register_revision,
                                         .key = c->call.key,
                                         .bytes = c->call.text,
                                         .size = strlen(c->call.text)};

    return fg_arbiter_swap(c->etcd, &swap, &c->answer.store, err);
}

static enum fg_arbiter_result carry_out(struct fg_member_caller *c, struct fg_error *err)
{
    const struct fg_fleet_output *o = &c->call.output;

    switch (c->call.kind) {
    case FG_MEMBER_CLAIM:
        return claim(c, err);
    case FG_MEMBER_READ:
        return fg_arbiter_changes(c->etcd, FG_FLEET_PREFIX, o->since, seen, c, &c->answer.store,
                                  err);
    case FG_MEMBER_SWAP:
        return swap_pools(c, err);
    case FG_MEMBER_SAY:
        return say(c, err);
    case FG_MEMBER_REMEMBER:
        break;
    }
    return fg_member_memory_write(c->log_dir, o->revision, err) ? FG_ARBITER_DONE
                                                                : FG_ARBITER_REFUSED;
}

static void call(struct fg_member_caller *c)
{
    struct fg_error err = {""};
    uint64_t began_ms = fg_clock_mono_ms();
    enum fg_arbiter_result result;

    c->answer = (struct fg_member_answer){
        .kind = c->call.kind, .ticket = c->call.output.ticket, .since = c->call.output.since};
    result = carry_out(c, &err);
    c->answer.outcome = outcome_of(result);
    c->answer.values = &c->values;
    c->answer.took_ms = fg_clock_mono_ms() - began_ms;
    if (result != FG_ARBITER_DONE && result != FG_ARBITER_LOST)
        snprintf(c->answer.error, sizeof(c->answer.error), "%.250s",
                 err.text[0] ? err.text : "no answer");
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void wake(const struct fg_member_caller *c)
{
    uint64_t one = 1;

    if (write(c->wake_fd, &one, sizeof(one)) < 0)
        return; /* its counter is full: it is awake */
}

static void *run(void *arg)
{
    struct fg_member_caller *c = arg;

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

static void release(struct fg_member_caller *c)
{
    fg_arbiter_close(c->etcd);
    fg_member_values_free(&c->values);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->mutex);
    free(c);
}

struct fg_member_caller *fg_member_caller_start(const struct fg_member_caller_options *options,
                                                struct fg_error *err)
{
    struct fg_member_caller *c = calloc(1, sizeof(*c));
    struct fg_arbiter_options etcd = *options->etcd;

    FG_ASSERT(c);
    etcd.timeout_ms = ETCD_MS;
    c->wake_fd = options->wake_fd;
    c->begin = options->begin;
    snprintf(c->log_dir, sizeof(c->log_dir), "%s", options->log_dir);
    snprintf(c->register_key, sizeof(c->register_key), "%s", options->register_key);
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->changed, NULL);
    c->etcd = fg_arbiter_open(&etcd, err);
    if (c->etcd && fg_thread_start(&c->thread, "fg-fleet-ask", run, c))
        return c;
    if (c->etcd)
        fg_fail(err, "cannot start a thread for the calls to etcd");
    release(c);
    return NULL;
}

bool fg_member_caller_stop(struct fg_member_caller *c)
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

bool fg_member_caller_idle(struct fg_member_caller *c)
{
    bool idle;

    pthread_mutex_lock(&c->mutex);
    idle = c->stage == IDLE;
    pthread_mutex_unlock(&c->mutex);
    return idle;
}

void fg_member_caller_make(struct fg_member_caller *c, const struct fg_member_call *made)
{
    pthread_mutex_lock(&c->mutex);
    FG_ASSERT(c->stage == IDLE);
    fg_member_values_forget(&c->values);
    c->call = *made;
    if (made->kind == FG_MEMBER_SWAP)
        memcpy(c->puts, made->output.puts, made->output.puts_len * sizeof(c->puts[0]));
    c->stage = ASKED;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->mutex);
}

bool fg_member_caller_ended(struct fg_member_caller *c, struct fg_member_answer *answer)
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
