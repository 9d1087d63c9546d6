/* SPDX-License-Identifier: BSD-3-Clause */
/* Start and stop of the thread, and its connection. */
#include "inbound/inbound.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/thread.h"
#include "inbound/internal.h"
#include "redis/keys.h"

static bool finished(const struct fg_inbound *s)
{
    uint64_t stop_at = atomic_load(&s->stop_at_ms);

    return stop_at &&
           (!s->conn.redis || fg_clock_mono_ms() >= stop_at || (!s->given && !s->written_count));
}

static void *run(void *arg)
{
    struct fg_inbound *s = arg;

    while (!finished(s))
        fg_inbound_step(s);
    fg_redis_conn_close(&s->conn);
    return NULL;
}

static void inbound_free(struct fg_inbound *s)
{
    fg_redis_resp_free(&s->out);
    fg_redis_resp_free(&s->conn.out);
    free(s->written);
    if (s->wait.wake_fd >= 0)
        close(s->wait.wake_fd);
    pthread_mutex_destroy(&s->lock);
    explicit_bzero(s->options.redis.password, sizeof(s->options.redis.password));
    free(s);
}

static void name_keys(struct fg_inbound *s)
{
    const struct fg_redis_options *o = &s->options.redis;
    char base[FG_REDIS_BASE_MAX];

    fg_redis_base(base, o->prefix, o->members, o->member);
    snprintf(s->commands, sizeof(s->commands), "%s" FG_REDIS_KEY_COMMANDS, base);
    snprintf(s->results, sizeof(s->results), "%s" FG_REDIS_KEY_RESULTS, base);
    snprintf(s->dead, sizeof(s->dead), "%s" FG_REDIS_KEY_DEAD, base);
    snprintf(s->cursor, sizeof(s->cursor), "%s" FG_REDIS_KEY_CURSOR, base);
    snprintf(s->leader, sizeof(s->leader), "%s" FG_REDIS_KEY_LEADER, base);
    snprintf(s->consumer, sizeof(s->consumer), "%016llx", (unsigned long long)s->options.appliance);
}

struct fg_inbound *fg_inbound_start(const struct fg_inbound_options *options, struct fg_error *err)
{
    struct fg_redis_address servers[FG_REDIS_SERVERS_MAX];
    struct fg_inbound *s;
    unsigned n;

    if (!fg_redis_address_list(options->redis.address, servers, &n, err) ||
        !fg_redis_prefix_check(options->redis.prefix, err))
        return NULL;
    s = calloc(1, sizeof(*s));
    FG_ASSERT(s);
    pthread_mutex_init(&s->lock, NULL);
    s->options = *options;
    name_keys(s);
    fg_inbound_slots_reset(s);
    s->written = calloc(FG_INBOUND_WRITTEN, sizeof(*s->written));
    s->wait = (struct fg_wait){.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
                               .give_up_ms = &s->stop_at_ms};
    s->conn = (struct fg_redis_conn){.options = &s->options.redis, .wait = &s->wait};
    s->retry_ms = 1;
    s->random = fg_mix64(fg_clock_mono_ms(), (uint64_t)getpid());
    if (!s->written || s->wait.wake_fd < 0 || !fg_thread_start(&s->thread, "fg-inbound", run, s)) {
        fg_fail(err, "inbound commands: out of memory, threads or file descriptors");
        inbound_free(s);
        return NULL;
    }
    return s;
}

void fg_inbound_status(struct fg_inbound *s, struct fg_inbound_status *status)
{
    pthread_mutex_lock(&s->lock);
    *status = s->status;
    pthread_mutex_unlock(&s->lock);
}

void fg_inbound_stop(struct fg_inbound *s, unsigned drain_ms)
{
    uint64_t one = 1;

    if (!s)
        return;
    atomic_store(&s->stop_at_ms, fg_clock_mono_ms() + drain_ms);
    if (write(s->wait.wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        FG_ASSERT(!"an eventfd takes a count");
    pthread_join(s->thread, NULL);
    inbound_free(s);
}
