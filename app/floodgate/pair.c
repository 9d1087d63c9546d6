/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An appliance that is one of a pair (docs/pair.md): it begins as the one that stands by, and takes
 * over when the thread `fg-pair` says so. There is no way back: a leader that another one took over
 * from ends its process.
 */
#include "daemon.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/leading.h"
#include "base/notify.h"
#include "ledger/snapshot.h"
#include "pair/wire.h"
#include "replication/lists.h"
#include "stock/feed.h"

#define REGISTER_MS      60000 /* an appliance without a log waits so long for that of its pair */
#define REGISTER_POLL_MS 250
#define ARBITER_MS       1000
#define HAND_MS          600   /* a stop waits so long for the standby to lead */
#define FEED_MS          30000 /* for the last records before it leads; usually some ms */
#define SKEW_MORE_MS     50    /* by which the measured skew may be wrong */
#define GRACE_MS_MAX     60000 /* of holds, after an outage */

/* ---- the log of a box that has none ---------------------------------------------------------- */

bool fg_paired_begins(const struct fg_config *config)
{
    return config->pair.enabled && !fg_journal_found(config->log.dir);
}

static bool stop_is_due(void)
{
    sigset_t pending;

    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT));
}

/* False and err: it cannot be had now. */
static bool read_register(struct fg_arbiter *arbiter, struct fg_pair_register *found,
                          struct fg_error *err)
{
    struct fg_arbiter_value value;

    if (fg_arbiter_read(arbiter, FG_PAIR_REGISTER_KEY, &value, err) != FG_ARBITER_DONE)
        return false;
    if (!value.revision)
        return fg_fail(err, "the arbiter has no register of this pair: begin it at the appliance "
                            "whose log it is, by 'fgctl pair init'");
    return fg_pair_register_read(found, value.bytes) ||
           fg_fail(err, "the arbiter's register cannot be understood");
}

bool fg_paired_log(const struct fg_config *config, uint64_t *log, struct fg_error *err)
{
    struct fg_arbiter_options options = config->pair.arbiter;
    uint64_t end = fg_clock_mono_ms() + REGISTER_MS;
    struct fg_pair_register pair = {0};
    struct fg_arbiter *arbiter;
    bool found, told = false;

    options.timeout_ms = ARBITER_MS;
    arbiter = fg_arbiter_open(&options, err);
    if (!arbiter)
        return false;
    while (!(found = read_register(arbiter, &pair, err)) && fg_clock_mono_ms() < end &&
           !stop_is_due()) {
        if (!told)
            fg_diag(FG_DIAG_NOTICE, "log %s: there is none; waits for that of the pair: %s",
                    config->log.dir, err->text);
        told = true;
        fg_clock_sleep_us(REGISTER_POLL_MS * 1000);
    }
    fg_arbiter_close(arbiter);
    *log = pair.log;
    if (found && pair.leader == config->pair.node && !pair.sync)
        return fg_fail(err,
                       "log %s: there is none, and this appliance is the only one that has log "
                       "%016llx: is its disk mounted?",
                       config->log.dir, (unsigned long long)pair.log);
    return found;
}

/* ---- hooks: fg-pair calls them --------------------------------------------------------------- */

static void wake(struct fg_daemon *d)
{
    const uint64_t one = 1;

    if (write(d->pair.event_fd, &one, sizeof(one)) < 0)
        return; /* the main thread looks every 100 ms anyhow */
}

static void lead(void *ctx, uint64_t seq, uint64_t epoch)
{
    struct fg_daemon *d = ctx;

    atomic_store(&d->pair.epoch, epoch);
    atomic_store(&d->pair.lead_seq, seq);
    wake(d);
}

/* What waits for its commit is never answered: the other appliance may have decided otherwise. */
static void end(void *ctx, const char *reason)
{
    struct fg_daemon *d = ctx;

    fg_journal_pairing_end(d->pair.pairing);
    if (!atomic_load(&d->pair.stopping)) {
        fg_diag(FG_DIAG_ERROR, "pair: %s; this process ends, and the next one joins", reason);
        _exit(FG_REPLICATION_EXIT);
    }
    fg_diag(FG_DIAG_NOTICE, "pair: %s", reason);
    atomic_store(&d->pair.over, true);
    wake(d);
}

static uint64_t passed(void *ctx)
{
    struct fg_daemon *d = ctx;

    return atomic_load(&d->pair.leads) ? fg_sink_group_passed(&d->sinks) : 0; /* not known yet */
}

static void received(void *ctx, enum fg_replication_file file, const char *path)
{
    struct fg_daemon *d = ctx;

    if (d->pair.lists)
        fg_replication_lists_received(d->pair.lists, file, path);
}

/* fg-pair-keep calls it. */
static bool usable(void *ctx, const char *path, uint64_t version, struct fg_error *err)
{
    struct fg_daemon *d = ctx;
    struct fg_ledger_snapshot_info info;

    return fg_ledger_snapshot_check(path, version, &info, err) &&
           (info.appliance_id == atomic_load(&d->pair.pairing->log_id) ||
            fg_fail(err, "it is of log %016llx", (unsigned long long)info.appliance_id));
}

/* ---- lists: fg-pair-lists calls it ----------------------------------------------------------- */

static void offer(void *ctx, enum fg_replication_file file, uint8_t *bytes, size_t size)
{
    struct fg_daemon *d = ctx;

    fg_replication_offer(d->pair.replication, file, bytes, size);
}

/* ---- the engines of a standby: ledger thread ------------------------------------------------- */

static void feed_worker(struct fg_daemon *d, unsigned worker,
                        const struct fg_journal_record *records, size_t n)
{
    struct fg_stock *stock = d->workers.list[worker]->stock;
    struct fg_error err;

    for (size_t i = 0; i < n; i++) {
        if (fg_stock_feed(stock, d->follower.ledger, &records[i], &err))
            continue;
        fg_diag(FG_DIAG_ERROR, "pair: record %llu of the leader: %s",
                (unsigned long long)records[i].seq, err.text);
        _exit(FG_REPLICATION_EXIT); /* the next start says the same of the whole log */
    }
    fg_stock_feed_time(stock, fg_clock_now_ms(&d->clock));
}

static void feed(void *ctx, const struct fg_journal_record *records, size_t n)
{
    struct fg_daemon *d = ctx;

    for (unsigned i = 0; i < d->config.workers.count; i++)
        feed_worker(d, i, records, n);
    for (size_t i = 0; i < n; i++) /* batch records have the time of this appliance */
        if (records[i].type != FG_JOURNAL_RECORD_BATCH &&
            records[i].time_ms > atomic_load_explicit(&d->pair.log_ms, memory_order_relaxed))
            atomic_store_explicit(&d->pair.log_ms, records[i].time_ms, memory_order_relaxed);
}

/* ---- start ----------------------------------------------------------------------------------- */

bool fg_paired_prepare(struct fg_daemon *d, const struct fg_journal_options *log,
                       const struct fg_ledger *ledger, struct fg_error *err)
{
    const struct fg_journal_pairing_options options = {.journal = d->journal,
                                                       .log = *log,
                                                       .epochs = fg_ledger_epochs(ledger),
                                                       .committed_seq = fg_ledger_seq(ledger),
                                                       .workers = d->config.workers.count};

    d->pair.leading = aligned_alloc(_Alignof(struct fg_leading), sizeof(*d->pair.leading));
    d->pair.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    FG_ASSERT(d->pair.leading && d->pair.event_fd >= 0);
    memset(d->pair.leading, 0, sizeof(*d->pair.leading));
    atomic_store(&d->pair.leading->accepting, true);
    d->pair.pairing = fg_journal_pairing_create(&options, err);
    if (!d->pair.pairing)
        return false;
    fg_ledger_follower_pair(&d->follower,
                            &(struct fg_ledger_follower_pair){d->pair.pairing, feed, d});
    return true;
}

static void add_limit(struct fg_replication_terms *terms, const char *name, uint64_t value)
{
    struct fg_replication_limit *limit = &terms->limits[terms->limits_len++];

    snprintf(limit->name, sizeof(limit->name), "%s", name);
    limit->value = value;
}

/* What both appliances should have alike. */
static struct fg_replication_terms terms_of(struct fg_daemon *d)
{
    const struct fg_stock_limits *l = &d->config.limits;
    const uint64_t alike[] = {l->user_rate, l->user_burst, l->unsold_max, d->config.orders.port,
                              d->config.orders.steer};
    struct fg_replication_terms terms = {.config = fg_replication_digest(0, alike, sizeof(alike))};
    const struct fg_packet_keyring *ring;

    pthread_mutex_lock(&d->keys.lock);
    ring = atomic_load(&d->keys.in_force);
    for (unsigned i = 0; ring && i < ring->count; i++) {
        terms.keys = fg_replication_digest(terms.keys, &ring->keys[i].id, sizeof(ring->keys[i].id));
        terms.keys =
            fg_replication_digest(terms.keys, ring->keys[i].secret, sizeof(ring->keys[i].secret));
    }
    pthread_mutex_unlock(&d->keys.lock);
    add_limit(&terms, "items_max", l->items_max);
    add_limit(&terms, "orders_max", l->orders_max);
    add_limit(&terms, "users_max", l->users_max);
    add_limit(&terms, "waiting_max", l->waiting_max);
    return terms;
}

static bool start_lists(struct fg_daemon *d, struct fg_error *err)
{
    const struct fg_replication_lists_options options = {
        .filter = d->filter, .penalty = d->box.penalty, .offer = offer, .ctx = d};

    if (!d->filter || !d->config.filter.enabled)
        return true;
    d->pair.lists = fg_replication_lists_start(&options, err);
    return d->pair.lists != NULL;
}

bool fg_paired_start(struct fg_daemon *d, struct fg_error *err)
{
    struct fg_replication_terms terms;
    const struct fg_replication_options options = {.settings = &d->config.pair,
                                                   .log_dir = d->config.log.dir,
                                                   .pairing = d->pair.pairing,
                                                   .leading = d->pair.leading,
                                                   .clock = &d->clock,
                                                   .terms = &terms,
                                                   .hooks = {.ctx = d,
                                                             .lead = lead,
                                                             .end = end,
                                                             .passed = passed,
                                                             .received = received,
                                                             .usable = usable}};

    if (!d->pair.pairing)
        return true;
    if (!start_lists(d, err))
        return false;
    terms = terms_of(d);
    d->pair.replication = fg_replication_start(&options, err);
    return d->pair.replication != NULL;
}

void fg_paired_keys_changed(struct fg_daemon *d)
{
    struct fg_replication_terms terms;

    if (!d->pair.replication)
        return;
    terms = terms_of(d);
    fg_replication_set_terms(d->pair.replication, &terms);
}

/* ---- the take-over: main thread -------------------------------------------------------------- */

/* The sale's time does not go back behind what the log has, as far as that is the skew of the two
 * clocks: a log from the future is not believed. */
static void keep_time(struct fg_daemon *d, const struct fg_replication_view *view)
{
    uint64_t skew_ms = view->pair.skew_ms > 0 ? (uint64_t)view->pair.skew_ms : 0;
    uint64_t moved_ms =
        fg_clock_not_before(&d->clock, atomic_load(&d->pair.log_ms), skew_ms + SKEW_MORE_MS);

    if (moved_ms)
        fg_diag(FG_DIAG_NOTICE, "pair: the sale's time is %llu ms ahead of this appliance's clock",
                (unsigned long long)moved_ms);
}

/* In the outage nobody could pay, and the dead leader's clock may have been behind ours. */
static void give_grace(struct fg_daemon *d, const struct fg_replication_view *view)
{
    int64_t skew_ms = view->pair.skew_ms;
    uint64_t ms = (uint64_t)(skew_ms < 0 ? -skew_ms : skew_ms);

    if (!d->pair.followed_ms) /* it restarted alone: holds end as ever */
        return;
    ms += fg_clock_mono_ms() - d->pair.followed_ms + d->config.pair.suspect_ms;
    ms = ms < GRACE_MS_MAX ? ms : GRACE_MS_MAX;
    for (unsigned w = 0; w < d->config.workers.count; w++)
        fg_stock_set_grace(d->workers.list[w]->stock, (uint32_t)ms);
}

/* Nothing is fed any more. */
static void end_feeding(struct fg_daemon *d)
{
    struct fg_error err;

    pthread_mutex_lock(&d->follower.lock);
    for (unsigned w = 0; w < d->config.workers.count; w++)
        if (!fg_stock_feed_end(d->workers.list[w]->stock, d->follower.ledger, &err)) {
            fg_diag(FG_DIAG_ERROR, "pair: this process cannot lead: %s", err.text);
            _exit(FG_REPLICATION_EXIT);
        }
    pthread_mutex_unlock(&d->follower.lock);
}

/* Sales first: each further step may take longer. */
static void take_over(struct fg_daemon *d, const struct fg_replication_view *view)
{
    uint64_t seq = atomic_load(&d->pair.lead_seq), began_ms = fg_clock_mono_ms();
    struct fg_error err = {""};

    fg_ledger_follower_stop_feeding(&d->follower, seq);
    if (!fg_ledger_follower_fed(&d->follower, FEED_MS)) {
        fg_diag(FG_DIAG_ERROR,
                "pair: the ledger does not reach record %llu: this process cannot lead",
                (unsigned long long)seq);
        _exit(FG_REPLICATION_EXIT);
    }
    end_feeding(d);
    keep_time(d, view);
    give_grace(d, view);
    fg_journal_pairing_serve(d->pair.pairing);
    fg_diag(FG_DIAG_NOTICE,
            "pair: this appliance leads epoch %llu from record %llu on, after %llu ms",
            (unsigned long long)atomic_load(&d->pair.epoch), (unsigned long long)seq,
            (unsigned long long)(fg_clock_mono_ms() - began_ms));
    if (!fg_start_sinks(d, &err) || !fg_start_inbound(d, &err)) { /* as at any start */
        fg_diag(FG_DIAG_ERROR, "pair: this process cannot lead: %s", err.text);
        _exit(FG_REPLICATION_EXIT);
    }
    if (d->pair.lists)
        fg_replication_lists_lead(d->pair.lists);
    atomic_store(&d->pair.leads, true);
    fg_notify("STATUS=leads its pair");
}

void fg_paired_poll(struct fg_daemon *d)
{
    struct fg_replication_view view;
    uint64_t count;

    if (!d->pair.replication)
        return;
    if (read(d->pair.event_fd, &count, sizeof(count)) < 0)
        count = 0;
    if (d->pair.leads)
        return;
    fg_replication_view(d->pair.replication, &view);
    if (view.pair.role == FG_PAIR_ROLE_STANDBY && view.pair.linked)
        d->pair.followed_ms = fg_clock_mono_ms();
    if (atomic_load(&d->pair.lead_seq))
        take_over(d, &view);
}

/* ---- what the control server shows and asks ------------------------------------------------- */

bool fg_paired_view(void *ctx, struct fg_control_pair *pair)
{
    struct fg_daemon *d = ctx;

    if (!d->pair.replication)
        return false;
    *pair =
        (struct fg_control_pair){.settings = &d->config.pair, .leads = atomic_load(&d->pair.leads)};
    fg_replication_view(d->pair.replication, &pair->view);
    fg_floating_fill(d, pair);
    return true;
}

void fg_paired_act(void *ctx, enum fg_control_pair_act act)
{
    struct fg_daemon *d = ctx;

    switch (act) {
    case FG_CONTROL_PAIR_SWITCH:
        fg_replication_switch(d->pair.replication);
        break;
    case FG_CONTROL_PAIR_SOLO:
    case FG_CONTROL_PAIR_JOIN:
        fg_replication_alone(d->pair.replication, act == FG_CONTROL_PAIR_SOLO);
        break;
    case FG_CONTROL_PAIR_FORCE:
        fg_replication_force(d->pair.replication);
        break;
    }
}

/* ---- stop ------------------------------------------------------------------------------------ */

void fg_paired_hand_over(struct fg_daemon *d)
{
    uint64_t until = fg_clock_mono_ms() + HAND_MS, now;
    struct pollfd event = {.fd = d->pair.event_fd, .events = POLLIN};
    struct fg_replication_view view;

    if (!d->pair.replication)
        return;
    atomic_store(&d->pair.stopping, true);
    fg_replication_leave(d->pair.replication);
    fg_replication_view(d->pair.replication, &view);
    if (view.pair.role != FG_PAIR_ROLE_LEADER)
        return;
    fg_replication_switch(d->pair.replication);
    while (!atomic_load(&d->pair.over) && (now = fg_clock_mono_ms()) < until)
        poll(&event, 1, (int)(until - now));
    if (!atomic_load(&d->pair.over))
        fg_diag(FG_DIAG_WARNING, "pair: the standby did not take over within %d ms", HAND_MS);
}

/* The journal thread has stopped. */
void fg_paired_stop(struct fg_daemon *d)
{
    fg_replication_lists_stop(d->pair.lists);
    if (!fg_replication_stop(d->pair.replication))
        fg_diag(FG_DIAG_WARNING, "pair: a call to the arbiter did not end");
    d->pair.replication = NULL;
}

void fg_paired_free(struct fg_daemon *d)
{
    fg_journal_pairing_destroy(d->pair.pairing);
    d->pair.pairing = NULL;
    fg_replication_lists_free(d->pair.lists);
    d->pair.lists = NULL;
    free(d->pair.leading);
    d->pair.leading = NULL;
    if (d->pair.event_fd >= 0)
        close(d->pair.event_fd);
    d->pair.event_fd = -1;
}
