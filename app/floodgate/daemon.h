/* SPDX-License-Identifier: BSD-3-Clause */
/** daemon: what the appliance consists of, and the parts that put it together. See lifecycle.c for
 * the order.
 */
#ifndef FG_DAEMON_H
#define FG_DAEMON_H

#include <pthread.h>

#include "alarms.h"
#include "base/clock.h"
#include "config/config.h"
#include "control/control.h"
#include "control/viewer.h"
#include "frame/frame.h"
#include "inbound/inbound.h"
#include "port/own.h"
#include "port/port.h"
#include "snapshots.h"
#include "worker/mailbox.h"

/** Follows the log into the ledger, which the control thread reads under the lock. */
struct fg_ledger_follower {
    pthread_mutex_t lock;
    struct fg_ledger *ledger;
    _Atomic uint64_t seq; /**< of the ledger, to read without the lock */
    _Atomic bool broken;  /**< the log said what cannot be; `error` is set */
    struct fg_error error;
    pthread_t thread;
    bool started;
};

struct fg_daemon {
    struct fg_config config;
    struct fg_clock clock;

    struct fg_filter *filter;
    struct fg_port_own *own; /**< addresses of AF_XDP ports; NULL: there are none */
    struct fg_penalty *penalty;
    struct fg_filter_samples_reader *samples; /**< NULL without an XDP filter */
    char lists_wrong[256]; /**< lines of list files that the start left out; "" = none */
    uint64_t expired_ms;   /**< when entries that are over were last taken off the lists */
    struct fg_port_group ports;

    pthread_mutex_t keys_lock; /**< reloads, one at a time */
    _Atomic(struct fg_packet_keyring *) keys;

    struct fg_journal *journal;
    struct fg_journal_committer committer;
    struct fg_worker_group workers;
    _Atomic int mode; /**< enum fg_stock_mode; journal thread writes */
    _Atomic uint64_t
        commit_began; /**< TSC, of the commit under way; 0 = none; journal thread writes */

    struct fg_journal_doorbell bell; /**< workers ring, the journal's thread sleeps */
    pthread_t journal_thread;
    bool journal_started;
    _Atomic bool journal_quit;
    struct fg_journal_commit_watch { /* journal thread writes; ms, monotonic */
        _Atomic uint64_t began_ms;   /**< of the commit under way; 0 = none */
        _Atomic uint64_t max_ms;     /**< longest so far */
        _Atomic uint64_t slow,
            slow_ms; /**< how many took FG_COMMIT_SLOW_MS or more, and the last of them */
    } commit_watch;
    _Atomic bool stopping; /**< no new decisions */
    _Atomic bool log_gone; /**< somebody removed or moved the log's files */
    _Atomic bool follower_quit;
    struct fg_ledger_follower follower;
    struct fg_ledger_snapshots snapshots;
    struct fg_sink *sinks[FG_SINKS_MAX]; /**< sinks_count of them */
    unsigned sinks_count;
    struct fg_inbound *inbound; /**< NULL = off */
    struct fg_control *control;
    struct fg_control_viewer *viewer; /**< NULL = off */
    struct fg_worker_mailbox mailbox;
    struct fg_health_alarms alarms;

    uint64_t started_ms;
    struct fg_worker_watch {      /* supervisor writes */
        uint64_t loops, since_ms; /**< loops last seen to change, and when */
        _Atomic bool stalled;
    } watch[FG_WORKERS_MAX];
};

/* memory.c: what the limits cost */
struct fg_memory {
    struct fg_worker_memory workers;
    uint64_t ledger, mbufs; /**< bytes */
};
/** All that the configuration says; the pointers are left NULL. */
struct fg_worker_group_options fg_worker_options_of(const struct fg_config *config);
struct fg_memory fg_memory_needed(const struct fg_config *config);

/* port_glue.c */
bool fg_attach_filters(struct fg_daemon *d, struct fg_error *err); /**< before the ports start */
struct fg_port_group_options fg_port_options_of(const struct fg_daemon *d);

/* recovery.c. Progress: begins with the first call, says a line (and tells systemd) every two
 * seconds. */
struct fg_progress {
    const char *what, *unit; /**< "loading the snapshot", "order" */
    uint64_t told_ms;        /**< 0 at first */
};
void fg_progress(struct fg_progress *progress, uint64_t done, uint64_t of);
bool fg_ledger_recover(struct fg_daemon *d, struct fg_error *err);
bool fg_workers_load(struct fg_daemon *d,
                     struct fg_error *err); /**< each the orders of its users */

/* journal_thread.c, ledger_thread.c */
bool fg_journal_thread_start(struct fg_daemon *d, struct fg_error *err);
void fg_journal_thread_stop(struct fg_daemon *d);
bool fg_ledger_follower_start(struct fg_daemon *d, struct fg_error *err);
void fg_ledger_follower_stop(struct fg_daemon *d);
/** Waits until the ledger holds everything that is durable now; false after timeout_ms, in which
 * the time of a snapshot does not count. */
bool fg_ledger_follower_catch_up(struct fg_daemon *d, unsigned timeout_ms);

/* redis.c */
bool fg_add_sink(struct fg_daemon *d, struct fg_sink *sink); /**< takes what a sink's start gave */
bool fg_sinks_start_redis(struct fg_daemon *d, struct fg_error *err);
bool fg_inbound_open(struct fg_daemon *d, struct fg_error *err); /**< confirmations from a stream */
void fg_inbound_close(struct fg_daemon *d);
bool fg_inbound_ill(struct fg_daemon *d); /**< away or refused */

/* keys.c */
bool fg_keys_load(struct fg_daemon *d,
                  struct fg_error *err); /**< first time or again; any thread but a worker */

/* control_glue.c */
struct fg_control_daemon fg_control_glue(struct fg_daemon *d);

/* status.c: any thread */
#define FG_HEALTH_REASON 256 /**< bytes of a reason */
int fg_health_check(void *daemon, char *reason);
const char *fg_state_name(struct fg_daemon *d); /**< "running", "degraded", ... */
const char *fg_log_state_name(int state);       /**< of enum fg_journal_state */
unsigned fg_stalled_workers(const struct fg_daemon *d);

/* measure.c: every counter into a sheet. Any thread but a worker */
void fg_measure(void *daemon, struct fg_control_sheet *sheet);

/* shield.c: main thread */
bool fg_penalty_box_lists(struct fg_daemon *d,
                          struct fg_error *err); /**< from files, before anything is attached */
bool fg_penalty_box_start(struct fg_daemon *d, struct fg_error *err);
void fg_penalty_box_poll(struct fg_daemon *d, uint64_t now_ms); /**< every 100 ms */
void fg_penalty_box_stop(struct fg_daemon *d);

/* supervise.c: main thread, every 100 ms */
void fg_supervise(struct fg_daemon *d);
/** No engine waits for anything and all records are durable; replies may still be between two
 * workers. */
bool fg_all_quiet(struct fg_daemon *d);

/* postgres.c */
bool fg_sinks_start_postgres(struct fg_daemon *d, struct fg_error *err);

/* lifecycle.c */
bool fg_daemon_start(struct fg_daemon *d, const char *program, struct fg_error *err);
void fg_daemon_stop(struct fg_daemon *d);

#endif
