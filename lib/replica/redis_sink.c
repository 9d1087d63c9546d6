/* SPDX-License-Identifier: BSD-3-Clause */
/* A sink's life: options, thread, status, end. */
#include "replica/redis_sink.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BATCH_MAX 100000

const char *fg_sink_state_name(unsigned state)
{
    switch (state) {
#define X(name, text)                                                                                        \
    case FG_SINK_##name:                                                                                     \
        return text;
        FG_SINK_STATE_LIST(X)
#undef X
    }
    return "?";
}

static bool check_options(const struct fg_redis_options *o, struct fg_redis_address *address,
                          struct fg_error *err)
{
    if (!fg_redis_address_parse(o->address, address, err) || !fg_redis_prefix_check(o->prefix, err))
        return false;
    if (o->batch_max < 1 || o->batch_max > BATCH_MAX)
        return fg_fail(err, "redis batch of %u records, accepted: 1..%d", o->batch_max, BATCH_MAX);
    if (o->timeout_ms < 1 || o->timeout_ms > 3600000)
        return fg_fail(err, "redis timeout of %u ms, accepted: 1..3600000", o->timeout_ms);
    if (o->retry_ms_max < 1 || o->retry_ms_max > 3600000)
        return fg_fail(err, "redis retry pause of %u ms, accepted: 1..3600000", o->retry_ms_max);
    if (o->user[0] && !o->password[0])
        return fg_fail(err, "redis user '%s' without a password", o->user);
    return true;
}

static bool finished(const struct fg_redis_sink *s)
{
    uint64_t stop_at = atomic_load(&s->stop_at_ms);

    if (!stop_at)
        return false;
    return s->refused || fg_monotonic_ms() >= stop_at || fg_redis_caught_up(s, atomic_load(&s->stop_from_ms));
}

static void *run(void *arg)
{
    struct fg_redis_sink *s = arg;

    while (!finished(s))
        fg_redis_follow(s);
    fg_redis_conn_close(&s->conn);
    return NULL;
}

/* The thread takes no signals: they are the main thread's, and a lost peer must not raise SIGPIPE. */
static bool start_thread(struct fg_redis_sink *s)
{
    sigset_t all, before;
    int failed;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed)
        pthread_setname_np(s->thread, "fg-redis");
    return !failed;
}

static void sink_free(struct fg_redis_sink *s)
{
    if (s->reader)
        fg_journal_reader_close(s->reader);
    fg_redis_batch_free(&s->batch);
    fg_resp_free(&s->conn.out);
    free(s->records);
    free(s->journal_dir);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    pthread_mutex_destroy(&s->lock);
    explicit_bzero(s->options.password, sizeof(s->options.password));
    free(s);
}

struct fg_redis_sink *fg_redis_sink_start(const struct fg_redis_options *options, const char *journal_dir,
                                          const _Atomic uint64_t *durable_seq, struct fg_error *err)
{
    struct fg_redis_address address;
    struct fg_redis_sink *s;

    if (!check_options(options, &address, err))
        return NULL;
    s = calloc(1, sizeof(*s));
    if (!s) {
        fg_fail(err, "redis sink: out of memory");
        return NULL;
    }
    pthread_mutex_init(&s->lock, NULL);
    s->options = *options;
    s->durable_seq = durable_seq;
    s->journal_dir = strdup(journal_dir);
    s->records = calloc(options->batch_max, sizeof(*s->records));
    s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s->conn = (struct fg_redis_conn){
        .address = address, .options = &s->options, .wake_fd = s->wake_fd, .give_up_ms = &s->stop_at_ms};
    s->batch_now = options->batch_max;
    s->retry_ms = 1;
    s->random = fg_mix64(fg_monotonic_ms(), (uint64_t)getpid());
    if (!s->journal_dir || !s->records || s->wake_fd < 0 ||
        !fg_redis_batch_init(&s->batch, options->prefix, options->stream_max, options->batch_max) ||
        !start_thread(s)) {
        fg_fail(err, "redis sink: out of memory, threads or file descriptors");
        sink_free(s);
        return NULL;
    }
    return s;
}

void fg_redis_sink_status(struct fg_redis_sink *s, struct fg_sink_status *status)
{
    uint64_t durable = atomic_load_explicit(s->durable_seq, memory_order_acquire);

    pthread_mutex_lock(&s->lock);
    *status = s->status;
    pthread_mutex_unlock(&s->lock);
    status->lag = durable > status->cursor ? durable - status->cursor : 0;
}

void fg_redis_sink_stop(struct fg_redis_sink *s, unsigned drain_ms)
{
    uint64_t one = 1;

    if (!s)
        return;
    atomic_store(&s->stop_from_ms, fg_monotonic_ms());
    atomic_store(&s->stop_at_ms, fg_monotonic_ms() + drain_ms);
    if (write(s->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        FG_ASSERT(!"an eventfd takes a count");
    pthread_join(s->thread, NULL);
    sink_free(s);
}
