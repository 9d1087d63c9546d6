/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * control: the operator's server, HTTP/JSON on a unix socket (libmicrohttpd, jansson), one thread.
 * It knows HTTP and JSON; what the daemon can do is handed in as struct fg_control_daemon. `curl
 * --unix-socket SOCKET http://floodgate/v1/status` is a client. docs/api.md describes paths, fields
 * and errors.
 */
#ifndef FG_CONTROL_H
#define FG_CONTROL_H

#include <jansson.h>

#include "control/sheet.h"
#include "filter/filter.h"
#include "health/health.h"
#include "ledger/ledger.h"
#include "member/member.h"
#include "penalty/penalty.h"
#include "replication/replication.h"
#include "sink/sink.h"
#include "stock/stock.h"
#include "worker/steps.h"

#define FG_CONTROL_PATH 600 /**< bytes of a file name */

/** Settings of an item as the operator gives them. */
struct fg_control_item {
    uint64_t item; /**< 1..2^63-1 */
    char name[FG_JOURNAL_ITEM_NAME_MAX + 1];
    uint64_t opens_ms, closes_ms; /**< Unix time; 0 = open at once / never closes */
    uint32_t hold_ms;             /**< 100..FG_STOCK_HOLD_MS_MAX */
    uint32_t user_limit;          /**< 0 = none */
    uint16_t order_max;           /**< 1..65535 */
    bool paused;
    bool retired;         /**< no longer listed; its sale has ended */
    uint32_t waitlist;    /**< users who may wait; 0 = no waiting list */
    uint32_t claim_ms;    /**< 100..FG_STOCK_HOLD_MS_MAX: how long an offer is held */
    uint32_t wait_ttl_ms; /**< 1000..86400000: how long a user is present after a WAIT */
    bool one_unit;        /**< orders of one unit only may wait */
    bool lottery;         /**< a draw at the opening is to come */
    uint64_t version;     /**< of a fleet: that these settings were made from; 0 = of none */
};

/** What a capture copied, and what it left out. */
struct fg_control_capture {
    uint64_t frames, skipped, lost; /**< as struct fg_port_capture_counters */
};

/** This appliance as one of a pair. */
struct fg_control_pair {
    struct fg_replication_view view;
    const struct fg_replication_settings *settings;
    bool leads;              /**< it takes orders and changes now */
    bool address_held;       /**< [pair] address is on its interfaces */
    char address_error[160]; /**< why it is not, although it should be; "" = none */
};

/** This appliance as a member of a fleet. */
struct fg_control_fleet {
    struct fg_member_view view;
    struct fg_member_catalogue_view catalogue;
    const struct fg_member_settings *settings;
};

enum fg_control_pair_act {
    FG_CONTROL_PAIR_SWITCH,
    FG_CONTROL_PAIR_SOLO,
    FG_CONTROL_PAIR_JOIN,
    FG_CONTROL_PAIR_FORCE
};

enum fg_control_result {
    FG_CONTROL_DONE,
    FG_CONTROL_BAD,         /**< 400: err says what is wrong */
    FG_CONTROL_NOT_FOUND,   /**< 404 */
    FG_CONTROL_CONFLICT,    /**< 409: exists already, too few units, ... */
    FG_CONTROL_UNAVAILABLE, /**< 503: stopping, log failed, timeout; err says whether it may still
                               happen */
};

/** The daemon, as the control server sees it. All functions are called from the control thread only
 * and may block for seconds; the viewer (viewer.h) calls those that its header names, too, from a
 * thread of its own. */
struct fg_control_daemon {
    void *ctx;
    char audit[FG_CONTROL_PATH]; /**< file of the audit trail (trail.h); "" = none */
    /** Unix time by the clock that the engines decide by. */
    uint64_t (*now_ms)(void *ctx);
    /** Reads every counter and state into the sheet: for /v1/stats, /v1/status and /metrics. */
    void (*measure)(void *ctx, struct fg_control_sheet *sheet);
    struct fg_health *alarms;
    /** For /healthz and the state: it never waits. */
    struct fg_health_answer (*health)(void *ctx);
    /** False: there is no pair; NULL: the same. Never waits; the viewer calls it, too. */
    bool (*pair)(void *ctx, struct fg_control_pair *pair);
    /** False: there is no fleet; NULL: the same. Never waits; the viewer calls it, too. */
    bool (*fleet)(void *ctx, struct fg_control_fleet *fleet);
    /** False: the fleet's thread does not know an item of this index. Likewise. */
    bool (*fleet_item)(void *ctx, uint32_t index, struct fg_fleet_item_view *view);
    /** Carried out soon after; `pair` tells how it went. */
    void (*pair_act)(void *ctx, enum fg_control_pair_act act);
    /** False and err: a command is under way, or the ledger lags: what is read now may be old. */
    bool (*up_to_date)(void *ctx, struct fg_error *err);
    /** Of a fleet: version of the settings that are in force here; 0 = none. NULL: no fleet. */
    uint64_t (*item_version)(void *ctx, uint64_t item);
    /** Creates (must_exist false: fails with CONFLICT when there) or changes an item; returns when
     * durable and in force on all workers. In a fleet: at all members but those of *behind (bits),
     * which have not said so; CONFLICT when another change was faster. */
    enum fg_control_result (*item_set)(void *ctx, const struct fg_control_item *item,
                                       bool must_exist, uint32_t *behind, struct fg_error *err);
    /** units > 0 adds, < 0 removes free units (all or nothing: CONFLICT says how many are free).
     * Durable on return. */
    enum fg_control_result (*stock_add)(void *ctx, uint64_t item, int64_t units,
                                        struct fg_error *err);
    /** Denies a user new reservations, or allows them again; idempotent. Durable and in force on
     * return. */
    enum fg_control_result (*user_set)(void *ctx, uint64_t user, bool deny, struct fg_error *err);
    /** Undoes a sale, and puts its units back on sale if told to; idempotent. Durable on return.
     * CONFLICT: the order is not sold. */
    enum fg_control_result (*order_refund)(void *ctx, uint64_t user, const uint8_t order_id[16],
                                           bool restock, struct fg_error *err);
    /** All who wait for the item now leave, each with a record; *cleared is how many places that
     * are. Durable on return; UNAVAILABLE: not yet. Idempotent. */
    enum fg_control_result (*line_clear)(void *ctx, uint64_t item, uint64_t *cleared,
                                         struct fg_error *err);
    unsigned trace; /**< orders of a million that are traced */
    /** The requests of a traced order, up to max, in the order of their arrival. */
    unsigned (*order_steps)(void *ctx, uint64_t user, const uint8_t order_id[16],
                            struct fg_worker_steps *list, unsigned max);
    /** As fg_stock_worst_users, over all workers. */
    unsigned (*user_worst)(void *ctx, struct fg_stock_user *users, unsigned max);
    /** The materialised log, locked until ledger_unlock. May lag the workers by a moment. */
    const struct fg_ledger *(*ledger_lock)(void *ctx);
    void (*ledger_unlock)(void *ctx);
    /** NULL when the filter is off. */
    struct fg_filter *(*filter)(void *ctx);
    /** Never NULL. Its clock is CLOCK_MONOTONIC in milliseconds. */
    struct fg_penalty *(*penalty)(void *ctx);
    /** The last dropped packets that were sampled, up to max, newest first. */
    unsigned (*samples)(void *ctx, struct fg_filter_sample *list, unsigned max);
    /** Begins to copy order packets and their replies, of one user or (NULL) of all; as a stream in
     * the format pcap. The server has one capture at a time, and ends it. */
    enum fg_control_result (*capture_begin)(void *ctx, const uint64_t *user, struct fg_error *err);
    /** Whole records; returns their bytes, 0 when nothing new came. Any thread. */
    size_t (*capture_read)(void *ctx, uint8_t *out, size_t room);
    struct fg_control_capture (*capture_count)(void *ctx);
    void (*capture_end)(void *ctx);
    /** Re-reads the key file and puts it in force. */
    enum fg_control_result (*keys_reload)(void *ctx, struct fg_error *err);
    /** Makes a snapshot of the log, unless nothing happened since the last one, whose sequence is
     * in *seq. */
    enum fg_control_result (*log_snapshot)(void *ctx, uint64_t *seq, struct fg_error *err);
    /** Sells from this log although a sink knows later records; until the end of the process.
     * CONFLICT when no sink does. */
    enum fg_control_result (*log_accept)(void *ctx, struct fg_error *err);
    /** Lets a sink that refuses begin anew with this log. NOT_FOUND, CONFLICT when it does not
     * refuse. */
    enum fg_control_result (*sink_adopt)(void *ctx, const char *name, struct fg_error *err);
};

struct fg_control;

/* False and err when fg_control_start would refuse the path or the group of the socket. Makes
 * nothing. */
bool fg_control_check_socket(const char *socket_path, struct fg_error *err);
bool fg_control_check_group(const char *group, struct fg_error *err); /**< "" = none */

/** Listens on `socket_path` (a stale socket of a dead daemon is replaced, a live one refused) and
 * starts the thread. */
struct fg_control *fg_control_start(const char *socket_path, unsigned mode, const char *group,
                                    const struct fg_control_daemon *daemon, struct fg_error *err);
void fg_control_stop(struct fg_control *control);

#endif
