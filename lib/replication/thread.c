/* SPDX-License-Identifier: BSD-3-Clause */
/* The thread: time, events, the outputs of lib/pair, and what it tells the rest of the daemon. */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "base/diag.h"
#include "base/thread.h"
#include "replication/internal.h"

#define PRIORITY      1   /* SCHED_RR, as the journal thread */
#define NICE          -10 /* where that is refused */
#define RAISE_POLL_US 50
#define EVENTS_MAX    16
#define IDLE_MS       100  /* sleeps no longer */
#define PROBE_MS      5    /* a worker that wants a probe is seen within that... */
#define PROBING_MS    1    /* ... or that, while there are many */
#define PROBES_MS     1000 /* since the last one */
#define ARBITER_MS    1000 /* of one call */

/* ---- events ---------------------------------------------------------------------------------- */

static void time_passes(struct fg_replication *r)
{
    r->tsc = fg_clock_tsc();
    r->now_ms = fg_clock_mono_ms();
    fg_pair_time(r->pair, r->now_ms, fg_clock_now_ms(r->clock));
    fg_replication_settle(r);
}

static void take_answers(struct fg_replication *r)
{
    struct fg_replication_view *v = &r->view_next;
    struct fg_replication_answer a;

    for (unsigned lane = 0; lane < FG_PAIR_CALLS; lane++) {
        if (!fg_replication_caller_answer(r->callers[lane], &a))
            continue;
        v->arbiter_ok = !a.error[0];
        v->arbiter_ms = a.took_ms;
        if (a.error[0])
            memcpy(v->arbiter_error, a.error, sizeof(v->arbiter_error));
        fg_pair_answered(r->pair, a.ticket, a.outcome, a.revision, a.text);
        fg_replication_settle(r);
    }
}

static void take_mail(struct fg_replication *r)
{
    struct fg_replication_mail mail;

    r->mail_waits = pthread_mutex_trylock(&r->mutex) != 0; /* as fg_replication_show */
    if (r->mail_waits)
        return;
    mail = r->mail;
    r->mail = (struct fg_replication_mail){0};
    pthread_mutex_unlock(&r->mutex);
    if (mail.set_terms) {
        r->terms = mail.terms;
        fg_replication_greet_again(r);
    }
    for (unsigned f = 0; f < FG_REPLICATION_FILES; f++)
        if (mail.offered[f])
            fg_replication_files_offer(r, (enum fg_replication_file)f, mail.offer[f].version,
                                       mail.offer[f].bytes, mail.offer[f].size);
    if (mail.do_switch) {
        fg_pair_switch(r->pair);
        fg_replication_settle(r);
    }
    if (mail.set_alone) {
        fg_pair_alone(r->pair, mail.alone);
        fg_replication_settle(r);
    }
    if (mail.force) {
        fg_pair_force(r->pair);
        fg_replication_settle(r);
    }
}

static void begin_probe(struct fg_replication *r)
{
    uint64_t number, ticket;
    unsigned at = r->probes_len;

    if (!fg_replication_leads(r) || r->ended ||
        !atomic_load_explicit(&r->leading->probe_wanted, memory_order_relaxed))
        return;
    atomic_exchange(&r->leading->probe_wanted, false);
    number = atomic_fetch_add(&r->leading->probe_started, 1) + 1;
    ticket = fg_pair_probe(r->pair);
    if (at == FG_REPLICATION_PROBES)
        at--; /* the newest answers for the one before, too */
    else
        r->probes_len++;
    r->probes[at].number = number;
    r->probes[at].ticket = ticket;
    r->probe_ms = r->now_ms;
    fg_replication_settle(r);
}

static void empty(int fd)
{
    uint64_t count;

    if (read(fd, &count, sizeof(count)) < 0)
        return; /* by another round already */
}

static void take_event(struct fg_replication *r, const struct epoll_event *e)
{
    if (e->data.ptr == &r->wake_fd)
        empty(r->wake_fd);
    else if (e->data.ptr == r->pairing)
        empty(r->pairing->event_fd);
    else if (e->data.ptr == &r->listen_fd)
        fg_replication_accept(r);
    else
        fg_replication_slot_step(r, e->data.ptr, e->events);
}

static int sleep_ms(const struct fg_replication *r)
{
    uint64_t due = fg_pair_due_ms(r->pair), peers = fg_replication_peers_due_ms(r);
    uint64_t files = fg_replication_files_due_ms(r);
    uint64_t now = fg_clock_mono_ms(), most = IDLE_MS;

    if (fg_replication_leads(r))
        most = r->now_ms < r->probe_ms + PROBES_MS ? PROBING_MS : PROBE_MS;
    if (r->mail_waits)
        most = PROBING_MS;
    if (peers < due)
        due = peers;
    if (files < due)
        due = files;
    if (due <= now)
        return 0;
    return (int)(due - now < most ? due - now : most);
}

static void rounds(struct fg_replication *r)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(r->epoll_fd, events, EVENTS_MAX, sleep_ms(r));

    time_passes(r);
    for (int i = 0; i < n; i++)
        take_event(r, &events[i]);
    fg_replication_log_moved(r);
    take_answers(r);
    take_mail(r);
    begin_probe(r);
    if (r->current && (r->current->link.paused || r->current->link.more))
        fg_replication_slot_step(r, r->current, 0);
    fg_replication_log_pass(r);
    fg_replication_peers_pass(r);
    if (r->now_ms != r->shown_ms && fg_replication_show(r))
        r->shown_ms = r->now_ms;
}

/* The leader's heartbeats must not wait for workers that poll; nor may what acknowledges. */
static void raise_priority(void)
{
    struct sched_param param = {.sched_priority = PRIORITY};

    prctl(PR_SET_TIMERSLACK, 1000ul);
    if (sched_setscheduler(0, SCHED_RR, &param) && getpriority(PRIO_PROCESS, 0) > NICE)
        setpriority(PRIO_PROCESS, 0, NICE); /* a refusal does no harm */
}

static void *run(void *arg)
{
    struct fg_replication *r = arg;

    raise_priority();
    atomic_store(&r->raised, true);
    while (!atomic_load_explicit(&r->quit, memory_order_acquire))
        rounds(r);
    return NULL;
}

/* ---- start, stop ----------------------------------------------------------------------------- */

static bool random_bytes(void *bytes, size_t size, struct fg_error *err)
{
    return getrandom(bytes, size, 0) == (ssize_t)size ||
           fg_fail(err, "getrandom: %s", strerror(errno));
}

static bool create_pair(struct fg_replication *r, struct fg_error *err)
{
    const struct fg_journal_pairing_start *start = &r->pairing->start;
    struct fg_pair_epoch epochs[FG_PAIR_EPOCHS_MAX];
    struct fg_pair_options o = {.node = r->settings.node,
                                .timing = fg_pair_timing_usual,
                                .log = {.id = start->id,
                                        .first = start->first,
                                        .last = start->last,
                                        .committed = start->committed,
                                        .epochs = epochs}};
    size_t count = start->epochs.count, skip;

    skip = count > FG_PAIR_EPOCHS_MAX ? count - FG_PAIR_EPOCHS_MAX : 0;
    for (size_t i = skip; i < count; i++)
        epochs[i - skip] =
            (struct fg_pair_epoch){start->epochs.list[i].epoch, start->epochs.list[i].first_seq};
    o.log.epochs_len = count - skip;
    o.timing.heartbeat_ms = r->settings.heartbeat_ms;
    o.timing.suspect_ms = r->settings.suspect_ms;
    o.timing.drop_ms = r->settings.drop_ms;
    o.timing.stale_ms = r->settings.stale_ms;
    if (!random_bytes(o.seed, sizeof(o.seed), err) ||
        !fg_replication_memory_read(r->log_dir, &o.memory, err))
        return false;
    r->kept = o.memory;
    r->pair = fg_pair_create(&o, err);
    return r->pair != NULL;
}

static bool add_fd(struct fg_replication *r, int fd, void *ptr, struct fg_error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = ptr};

    return (fd >= 0 && epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0) ||
           fg_fail(err, "pair: epoll: %s", strerror(errno));
}

static bool start_callers(struct fg_replication *r, struct fg_error *err)
{
    static const char *const names[FG_PAIR_CALLS] = {"fg-pair-ask0", "fg-pair-ask1"};

    r->settings.arbiter.timeout_ms = ARBITER_MS;
    for (unsigned lane = 0; lane < FG_PAIR_CALLS; lane++) {
        r->callers[lane] = fg_replication_caller_start(&r->settings.arbiter, names[lane],
                                                       r->wake_fd, raise_priority, err);
        if (!r->callers[lane])
            return false;
        fg_replication_caller_on_register(r->callers[lane], fg_replication_keep, r);
    }
    return true;
}

static bool start(struct fg_replication *r, struct fg_error *err)
{
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    r->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    r->listen_fd = -1;
    if (!create_pair(r, err) || !add_fd(r, r->wake_fd, &r->wake_fd, err) ||
        !add_fd(r, r->pairing->event_fd, r->pairing, err) ||
        !(r->keeper = fg_replication_keeper_start(r->log_dir, r->wake_fd, &r->hooks, err)) ||
        !fg_replication_peers_open(r, err) || !start_callers(r, err))
        return false;
    fg_pair_view(r->pair, &r->now);
    r->committed = r->now.committed;
    fg_journal_pairing_commit(r->pairing, r->committed, false);
    fg_replication_show(r);
    return fg_thread_start(&r->thread, "fg-pair", run, r) ||
           fg_fail(err, "cannot start the pair's thread");
}

static bool release(struct fg_replication *r)
{
    bool all = true;

    for (unsigned lane = 0; lane < FG_PAIR_CALLS; lane++)
        all &= fg_replication_caller_stop(r->callers[lane]);
    fg_replication_files_free(r);
    fg_replication_peers_close(r);
    fg_pair_destroy(r->pair);
    if (r->reader)
        fg_journal_reader_close(r->reader);
    free(r->records);
    close(r->epoll_fd);
    if (all) { /* else a caller still writes it */
        close(r->wake_fd);
        pthread_mutex_destroy(&r->mutex);
        free(r);
    }
    return all;
}

struct fg_replication *fg_replication_start(const struct fg_replication_options *options,
                                            struct fg_error *err)
{
    struct fg_replication *r = calloc(1, sizeof(*r));

    FG_ASSERT(r && options->settings && options->pairing && options->leading && options->clock);
    r->settings = *options->settings;
    r->hooks = options->hooks;
    r->pairing = options->pairing;
    r->leading = options->leading;
    r->clock = options->clock;
    if (options->terms)
        r->terms = *options->terms;
    snprintf(r->log_dir, sizeof(r->log_dir), "%s", options->log_dir);
    pthread_mutex_init(&r->mutex, NULL);
    for (unsigned f = 0; f < FG_REPLICATION_FILES; f++)
        r->gives[f].fd = -1;
    r->records = aligned_alloc(FG_CACHE_LINE, FG_PAIR_RECORDS_MAX * sizeof(r->records[0]));
    FG_ASSERT(r->records);
    r->passed_told = UINT64_MAX;
    r->peer_passed = 0;
    r->view_next.node = r->settings.node;
    memcpy(r->view_next.peer, r->settings.peer, sizeof(r->view_next.peer));
    atomic_store(&r->leading->valid_until_tsc, 0);
    atomic_store(&r->leading->accepting, false);
    if (!start(r, err)) {
        release(r);
        return NULL;
    }
    while (!atomic_load(&r->raised))
        fg_clock_sleep_us(RAISE_POLL_US);
    return r;
}

static void wake(struct fg_replication *r)
{
    uint64_t one = 1;

    if (write(r->wake_fd, &one, sizeof(one)) < 0)
        return; /* its counter is full: it is awake */
}

bool fg_replication_stop(struct fg_replication *r)
{
    if (!r)
        return true;
    atomic_store_explicit(&r->quit, true, memory_order_release);
    wake(r);
    pthread_join(r->thread, NULL);
    return release(r);
}

/* ---- mail ------------------------------------------------------------------------------------ */

void fg_replication_leave(struct fg_replication *r)
{
    atomic_store(&r->leaving, true);
}

void fg_replication_switch(struct fg_replication *r)
{
    pthread_mutex_lock(&r->mutex);
    r->mail.do_switch = true;
    pthread_mutex_unlock(&r->mutex);
    wake(r);
}

void fg_replication_alone(struct fg_replication *r, bool alone)
{
    pthread_mutex_lock(&r->mutex);
    r->mail.set_alone = true;
    r->mail.alone = alone;
    pthread_mutex_unlock(&r->mutex);
    wake(r);
}

void fg_replication_force(struct fg_replication *r)
{
    pthread_mutex_lock(&r->mutex);
    r->mail.force = true;
    pthread_mutex_unlock(&r->mutex);
    wake(r);
}

void fg_replication_set_terms(struct fg_replication *r, const struct fg_replication_terms *terms)
{
    pthread_mutex_lock(&r->mutex);
    r->mail.set_terms = true;
    r->mail.terms = *terms;
    pthread_mutex_unlock(&r->mutex);
    wake(r);
}

void fg_replication_offer(struct fg_replication *r, enum fg_replication_file file, uint8_t *bytes,
                          size_t size)
{
    uint64_t version = fg_replication_digest(0, bytes, size);

    pthread_mutex_lock(&r->mutex);
    free(r->mail.offer[file].bytes);
    r->mail.offered[file] = true;
    r->mail.offer[file].bytes = bytes;
    r->mail.offer[file].size = size;
    r->mail.offer[file].version = version;
    pthread_mutex_unlock(&r->mutex);
    wake(r);
}

uint64_t fg_replication_digest(uint64_t digest, const void *bytes, size_t size)
{
    uint8_t whole[SHA256_DIGEST_LENGTH];
    uint64_t next;
    uint8_t *text = malloc(sizeof(digest) + size);

    FG_ASSERT(text);
    memcpy(text, &digest, sizeof(digest));
    if (size)
        memcpy(text + sizeof(digest), bytes, size);
    SHA256(text, sizeof(digest) + size, whole);
    explicit_bzero(text, sizeof(digest) + size);
    free(text);
    memcpy(&next, whole, sizeof(next));
    return next;
}
