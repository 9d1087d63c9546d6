/* SPDX-License-Identifier: BSD-3-Clause */
/* The order of start and stop. */
#include "daemon.h"

#include <errno.h>
#include <libgen.h>
#include <sys/stat.h>

#include "base/diag.h"
#include "base/notify.h"
#include "control/telemetry.h"
#include "rights/rights.h"
#include "worker/load.h"

#include <rte_cycles.h>

#define OPEN_MS          1000 /* a start waits so long for etcd */
#define QUIET_MS         5000 /* for what is under way when we are told to stop */
#define DRAIN_MS         2000 /* for each sink to catch up */
#define INBOUND_DRAIN_MS 1000 /* for confirmations that are under way */
#define QUIET_ROUNDS     3    /* of 1 ms: replies pass from worker to worker and out */

/* Of a socket. */
static bool make_folder(const char *path, struct fg_error *err)
{
    char copy[sizeof(((struct fg_control_options *)0)->socket)];
    const char *folder;

    snprintf(copy, sizeof(copy), "%s", path);
    folder = dirname(copy);
    return mkdir(folder, 0755) == 0 || errno == EEXIST ||
           fg_fail(err, "control socket %s: cannot make %s: %s", path, folder, strerror(errno));
}

static bool start_control(struct fg_daemon *d, struct fg_error *err)
{
    struct fg_control_daemon glue = fg_control_glue(d);

    if (!make_folder(d->config.api.socket, err))
        return false;
    d->control =
        fg_control_start(d->config.api.socket, d->config.api.mode, d->config.api.group, &glue, err);
    return d->control != NULL;
}

/* Has no part in the sale, and reads what the control server reads. */
static bool start_viewer(struct fg_daemon *d, struct fg_error *err)
{
    struct fg_control_daemon glue = fg_control_glue(d);

    if (d->config.api.viewer[0]) {
        if (!make_folder(d->config.api.viewer, err))
            return false;
        d->viewer_socket =
            fg_control_viewer_start_socket(d->config.api.viewer, d->config.api.viewer_mode,
                                           d->config.api.viewer_group, &glue, err);
        if (!d->viewer_socket)
            return false;
    }
    if (!d->config.metrics.listen[0])
        return true;
    d->viewer = fg_control_viewer_start(d->config.metrics.listen, &glue, err);
    return d->viewer != NULL;
}

static bool start_box(struct fg_daemon *d, struct fg_error *err)
{
    struct fg_penalty_options options = d->config.penalty;

    options.v6_prefix = d->config.filter.v6_prefix;
    return fg_penalty_box_start(&d->box, &options, d->filter, err);
}

static bool create_workers(struct fg_daemon *d, struct fg_error *err)
{
    struct fg_worker_group_options o = fg_worker_options_of(&d->config);

    o.filter = d->filter;
    o.clock = &d->clock;
    o.keys = &d->keys.in_force;
    o.mode = &d->journal_thread.mode;
    o.commit_began = &d->journal_thread.commit_began;
    o.doorbell = &d->journal_thread.doorbell;
    o.committed = d->pair.pairing ? d->pair.pairing->committed : NULL;
    o.leading = d->pair.leading;
    if (d->config.fleet.enabled) {
        d->fleet.shards.member = d->config.fleet.member;
        fg_member_map(&d->config.fleet, &d->fleet.shards.map);
        atomic_store(&d->fleet.shards.waits, true);
        o.shards = &d->fleet.shards;
    }
    if (!fg_worker_group_create(&d->workers, &o, err))
        return false;
    if (o.trace)
        d->traced = fg_worker_traced_create(&d->workers);
    return !o.trace || d->traced || fg_fail(err, "no memory for traced orders");
}

/* A member of a fleet: until it sells, or for a second. */
static void wait_for_fleet(struct fg_daemon *d)
{
    uint64_t end = fg_clock_mono_ms() + OPEN_MS;

    while (d->fleet.member && !atomic_load(&d->fleet.opened) && fg_clock_mono_ms() < end) {
        fg_clock_sleep_us(1000);
        fg_behind_poll(d);
    }
}

/* The log first, then the way in. The recovered ledger follows the log from then on. */
static bool start_parts(struct fg_daemon *d, const char *program, struct fg_error *err)
{
    struct fg_port_group_options ports;
    const bool paired = d->config.pair.enabled; /* it has sinks and commands when it leads */

    if (!fg_worker_keys_load(&d->keys, d->config.orders.keys, &d->workers, err) ||
        !fg_log_open(d, err) || !fg_attach_filters(d, err))
        return false;
    ports = fg_port_options_of(d);
    if (!fg_port_eal_start(&ports, program, err))
        return false;
    fg_clock_start(&d->clock, rte_get_tsc_hz());
    if (d->filter)
        fg_filter_set_clock(d->filter, &d->clock);
    if (!start_box(d, err) || !create_workers(d, err) ||
        !fg_worker_group_load(&d->workers, d->follower.ledger, err) ||
        !fg_port_group_start(&d->ports, &ports, err))
        return false;
    /* what follows needs no rights any more, and most of it speaks to strangers */
    if (!fg_log_start_writing(d, err) || !fg_paired_start(d, err) || !fg_fleeted_start(d, err) ||
        !fg_rights_drop(err) || !fg_rights_filter(err))
        return false;
    /* sinks before the ledger's thread: it asks them how far they are before it removes segments */
    if (!paired && !fg_start_sinks(d, err))
        return false;
    if (!paired)
        fg_behind_wait(d);
    if (!fg_ledger_follower_start(&d->follower, fg_journal_thread_committed(&d->journal_thread),
                                  err) ||
        !fg_worker_group_start(&d->workers, d->ports.queues, d->ports.queues_count, err))
        return false;
    d->mailbox =
        (struct fg_worker_mailbox){.group = &d->workers, .stopping = &d->journal_thread.stopping};
    if (!fg_catalogue_start(d, fg_glue_item_apply, err))
        return false;
    wait_for_fleet(d);
    return (paired || fg_start_inbound(d, err)) && start_control(d, err) && start_viewer(d, err);
}

bool fg_daemon_start(struct fg_daemon *d, const char *program, struct fg_error *err)
{
    fg_worker_keys_init(&d->keys);
    fg_health_init(&d->health);
    d->pair.event_fd = -1;
    pthread_mutex_init(&d->mailbox_lock, NULL);
    d->started_ms = fg_clock_mono_ms();
    if (!fg_floating_start(d, err) || !start_parts(d, program, err))
        return false;
    fg_control_telemetry_start(fg_measure, d);
    return true;
}

static bool wait_quiet(struct fg_daemon *d)
{
    uint64_t end = fg_clock_mono_ms() + QUIET_MS;
    unsigned rounds = 0;
    bool quiet;
    int mode;

    while (rounds < QUIET_ROUNDS && fg_clock_mono_ms() < end) {
        fg_clock_sleep_us(1000);
        mode = atomic_load(&d->journal_thread.mode);
        quiet = fg_worker_group_quiet(&d->workers, mode == FG_STOCK_FAILED);
        rounds = quiet && mode != FG_STOCK_RUNNING ? rounds + 1 : 0;
    }
    return rounds == QUIET_ROUNDS;
}

static void stop_threads(struct fg_daemon *d)
{
    bool over = atomic_load(&d->pair.over); /* another one leads: nothing of ours is to be told */

    fg_port_floating_hold(d->floating, false);
    fg_inbound_stop(d->inbound, over ? 0 : INBOUND_DRAIN_MS);
    d->inbound = NULL;
    atomic_store(&d->journal_thread.stopping, true);
    if (d->workers.started && !over && !wait_quiet(d))
        fg_diag(FG_DIAG_WARNING, "not everything under way was answered within %d s",
                QUIET_MS / 1000);
    fg_control_viewer_stop(d->viewer);
    d->viewer = NULL;
    fg_control_viewer_stop(d->viewer_socket);
    d->viewer_socket = NULL;
    if (d->control)
        fg_control_stop(d->control);
    d->control = NULL;
    fg_floating_stop(d); /* the control server showed it */
    fg_catalogue_stop(d);
    fg_fleeted_stop(d);
    fg_worker_group_stop(&d->workers);
    fg_journal_thread_stop(&d->journal_thread);
    fg_ledger_follower_stop(&d->follower); /* it asks how far the sinks of the pair are */
    fg_paired_stop(d);
    fg_sink_group_stop(&d->sinks, over ? 0 : DRAIN_MS);
}

/* Also after a start that failed half way. */
void fg_daemon_stop(struct fg_daemon *d)
{
    fg_control_telemetry_stop();
    stop_threads(d);
    fg_port_group_stop(&d->ports);
    fg_worker_traced_destroy(d->traced);
    fg_worker_group_destroy(&d->workers);
    fg_penalty_box_stop(&d->box);
    fg_port_eal_stop();
    fg_port_own_close(d->own);
    if (d->filter)
        fg_filter_close(d->filter);
    fg_log_close(d);
    fg_worker_keys_free(&d->keys);
}
