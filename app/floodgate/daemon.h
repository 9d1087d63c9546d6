/* SPDX-License-Identifier: BSD-3-Clause */
/** daemon: the parts of the appliance, each a struct of its room. lifecycle.c has the order of
 * start and stop. */
#ifndef FG_DAEMON_H
#define FG_DAEMON_H

#include <pthread.h>

#include "base/clock.h"
#include "config/config.h"
#include "control/control.h"
#include "control/viewer.h"
#include "frame/frame.h"
#include "health/health.h"
#include "inbound/inbound.h"
#include "journal/archive.h"
#include "journal/pairing.h"
#include "journal/thread.h"
#include "ledger/follower.h"
#include "member/member.h"
#include "penalty/box.h"
#include "port/capture.h"
#include "port/floating.h"
#include "port/own.h"
#include "port/port.h"
#include "replication/replication.h"
#include "sink/group.h"
#include "worker/keys.h"
#include "worker/mailbox.h"
#include "worker/shards.h"
#include "worker/traced.h"
#include "worker/watch.h"

/** One of a pair; without [pair] all of it is zero, and event_fd -1. */
struct fg_daemon_pair {
    struct fg_journal_pairing *pairing;
    struct fg_leading *leading;
    struct fg_replication *replication;
    int event_fd;              /**< fg-pair wakes the main thread */
    _Atomic uint64_t lead_seq; /**< it leads from here on; 0 = it does not. fg-pair */
    _Atomic uint64_t epoch;    /**< that it leads; the same */
    _Atomic bool over;         /**< another one leads; the same */
    _Atomic bool leads;        /**< it sells; main thread */
    _Atomic bool stopping;     /**< a stop was asked for; main thread */
    _Atomic uint64_t log_ms;   /**< newest time of a record that was fed; ledger thread */
    uint64_t followed_ms;      /**< when it last followed, 0 = never; main thread */
    /** NULL: the filter is off */
    struct fg_replication_lists *lists;
};

struct fg_daemon_fleet_item;
struct fg_daemon;

/** Settings of an item that may be new: durable and in force on return. */
typedef enum fg_control_result
fg_catalogue_apply(struct fg_daemon *d, const struct fg_control_item *item, struct fg_error *err);

/** One of a fleet; without [fleet] all of it is zero. `fg-fleet` writes it, but for `member`. */
struct fg_daemon_fleet {
    struct fg_worker_shards shards;     /**< users of this member; main thread */
    struct fg_member *member;           /**< main thread */
    struct fg_daemon_fleet_item *items; /**< [items_max] */
    _Atomic bool opened;                /**< the workers sell, or did; main thread */
    uint32_t known;                     /**< items that the member was told of */
    uint32_t scanned;                   /**< items of the ledger that were compared in this pass */
    bool all_scanned;                   /**< the pass is over */
    uint64_t scanned_seq;               /**< of the ledger, when it began */
    uint32_t under_way[FG_WORKERS_MAX]; /**< commands without an answer, by worker */
    uint32_t *again, again_len;         /**< tickets of commands that are to be given again */
    uint32_t *giving, giving_len;       /**< items that returned units, until the ledger has it */
    fg_catalogue_apply *apply_item;     /**< by which that thread applies settings */
    pthread_t items_thread;             /**< `fg-fleet-items`: main thread, as the next */
    bool applies;                       /**< it was started */
    _Atomic bool quit;                  /**< it shall end */
};

/**
 * The main thread writes every pointer and every struct here, before it starts the threads that
 * read them; what changes later is written by the thread that is named.
 */
struct fg_daemon {
    struct fg_config config;
    bool new_log; /**< the start begins a new log; it was asked for */
    uint64_t started_ms;
    struct fg_clock clock; /**< main thread corrects its drift */

    /* The filter and the ports. */
    struct fg_filter *filter;
    struct fg_port_own *own;           /**< addresses of AF_XDP ports; NULL: there are none */
    struct fg_port_floating *floating; /**< [pair] address; NULL: none */
    uint64_t floating_ms;              /**< when we last might hold them; main thread */
    char left_out[256];         /**< wrong lines of list files that the start left out; "" = none */
    struct fg_penalty_box box;  /**< main thread */
    struct fg_port_group ports; /**< links: main thread */
    struct fg_port_capture *capture; /**< control server; NULL: none runs */

    /* The workers. */
    struct fg_worker_group workers;
    struct fg_worker_keys keys;       /**< main thread, and control thread, under its lock */
    struct fg_worker_mailbox mailbox; /**< under `mailbox_lock` */
    pthread_mutex_t mailbox_lock;     /**< control thread, and `fg-fleet-items` */
    struct fg_worker_watch watch;     /**< main thread */
    struct fg_worker_traced *traced;  /**< NULL: no order is traced */

    /* The log. */
    struct fg_journal *journal;              /**< until the journal thread has it */
    const char *log_way;                     /**< fg_journal_way_name */
    uint64_t log_id;                         /**< fg_journal_appliance */
    struct fg_journal_thread journal_thread; /**< journal thread */
    struct fg_journal_archive *archive;      /**< its own thread; NULL = off */
    struct fg_ledger_follower follower;      /**< ledger thread */
    _Atomic bool log_gone;       /**< its files were removed or moved away; main thread */
    uint64_t log_checked_ms;     /**< when they were last checked; main thread */
    uint64_t servers_checked_ms; /**< main thread: of the filter's list of our servers */
    bool servers_failed;
    _Atomic bool behind;          /**< a sink knows later records: nothing is sold; main thread */
    _Atomic bool behind_accepted; /**< the operator sells all the same; control thread */

    struct fg_daemon_pair pair;
    struct fg_daemon_fleet fleet;

    /* Servers, and the operator. Sinks and inbound commands of a pair start when it leads. */
    struct fg_sink_group sinks;
    _Atomic(struct fg_inbound *) inbound; /**< NULL = off */
    struct fg_control *control;
    struct fg_control_viewer *viewer;        /**< at [metrics] listen; NULL = off */
    struct fg_control_viewer *viewer_socket; /**< at [api] viewer; NULL = off */
    struct fg_health health;                 /**< main thread */
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
/** [pair] address: before anything else of a start, for it makes a process; every 100 ms, and at a
 * take-over; main thread. fill: any thread */
bool fg_floating_start(struct fg_daemon *d, struct fg_error *err);
void fg_floating_poll(struct fg_daemon *d);
void fg_floating_fill(const struct fg_daemon *d, struct fg_control_pair *pair);
void fg_floating_stop(struct fg_daemon *d);

/* log.c: the log, its recovery, its threads */
bool fg_log_open(struct fg_daemon *d, struct fg_error *err); /**< and recovers the ledger */
bool fg_log_start_writing(struct fg_daemon *d, struct fg_error *err);
void fg_log_close(struct fg_daemon *d);

/* pair.c; nothing of it does anything without [pair]. Main thread, where nothing else is said */
/** There is no log, and none is needed: it begins as that of the peer. */
bool fg_paired_begins(const struct fg_config *config);
/** The id of that log, by the word of the arbiter; waits for it. */
bool fg_paired_log(const struct fg_config *config, uint64_t *log, struct fg_error *err);
/** After the recovery. */
bool fg_paired_prepare(struct fg_daemon *d, const struct fg_journal_options *log,
                       const struct fg_ledger *ledger, struct fg_error *err);
bool fg_paired_start(struct fg_daemon *d, struct fg_error *err); /**< the journal thread runs */
void fg_paired_keys_changed(struct fg_daemon *d);                /**< any thread */
void fg_paired_poll(struct fg_daemon *d);                        /**< takes over when it is due */
void fg_paired_hand_over(
    struct fg_daemon *d); /**< before a stop: to the standby, if there is one */
void fg_paired_stop(struct fg_daemon *d);
/* control thread and viewer */
bool fg_paired_view(void *daemon, struct fg_control_pair *pair);
void fg_paired_act(void *daemon, enum fg_control_pair_act act);
void fg_paired_free(struct fg_daemon *d); /**< also after a start that failed */

/* fleet.c; nothing of it does anything without [fleet]. Main thread, where nothing else is said */
bool fg_fleeted_start(struct fg_daemon *d, struct fg_error *err); /**< the workers are created */
bool fg_fleeted_waits(struct fg_daemon *d);                       /**< nothing may be sold yet */
/** False: there is no fleet. Any thread but a worker, as the next. */
bool fg_fleeted_view(void *daemon, struct fg_control_fleet *fleet);
bool fg_fleeted_item(void *daemon, uint32_t index, struct fg_fleet_item_view *view);
void fg_fleeted_stop(struct fg_daemon *d); /**< the workers still run */

/* catalogue.c; likewise */
bool fg_catalogue_start(struct fg_daemon *d, fg_catalogue_apply *apply_item,
                        struct fg_error *err); /**< the workers run */
void fg_catalogue_stop(struct fg_daemon *d);   /**< before fg_fleeted_stop */
/** Version of an item's settings that are in force here; 0 = none, or no fleet. Control thread. */
uint64_t fg_catalogue_version(void *daemon, uint64_t item);
/** Control thread: settings for all members. *behind: bits of those that have not applied them. */
enum fg_control_result fg_catalogue_set(struct fg_daemon *d, const struct fg_control_item *item,
                                        uint32_t *behind, struct fg_error *err);

/* control_glue.c */
/** Settings of an item that may be new: durable and in force on return; those of its waiting list
 * stay. `fg-fleet-items` */
enum fg_control_result fg_glue_item_apply(struct fg_daemon *d, const struct fg_control_item *item,
                                          struct fg_error *err);
struct fg_control_daemon fg_control_glue(struct fg_daemon *d);

/* observe.c: what lib/health reads. Any thread but a worker */
void fg_observe(struct fg_daemon *d, struct fg_health_observations *o);
/** Only what the state depends on: it waits for no lock that is held for long. */
void fg_observe_state(struct fg_daemon *d, struct fg_health_observations *o);

/* measure.c: every counter into a sheet. Any thread but a worker */
void fg_measure(void *daemon, struct fg_control_sheet *sheet);

/* supervise.c: main thread, every 100 ms */
void fg_supervise(struct fg_daemon *d);

/* behind.c */
void fg_behind_poll(struct fg_daemon *d); /**< main thread, every 100 ms */
void fg_behind_wait(struct fg_daemon *d); /**< at the start, until each sink has told */
/** Control thread: sells although a sink knows later records. */
enum fg_control_result fg_behind_accept(struct fg_daemon *d, struct fg_error *err);

/* servers.c */
bool fg_start_sinks(struct fg_daemon *d, struct fg_error *err);
bool fg_start_inbound(struct fg_daemon *d, struct fg_error *err);

/* lifecycle.c */
bool fg_daemon_start(struct fg_daemon *d, const char *program, struct fg_error *err);
void fg_daemon_stop(struct fg_daemon *d);

#endif
