/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * control_double: stands for the daemon in tests of the control server and of fgctl: a real ledger,
 * a real filter when this machine lets us have one, and a record of what was called. Also a plain
 * HTTP client.
 */
#ifndef FG_CONTROL_DOUBLE_H
#define FG_CONTROL_DOUBLE_H

#include <pthread.h>

#include "control/control.h"

#define FG_DOUBLE_CAPTURED 2 /**< frames of a capture */

struct fg_double {
    pthread_mutex_t lock;
    struct fg_ledger *ledger;
    struct fg_journal_record waiting[8]; /**< records that the ledger is yet to see, when lag > 0 */
    unsigned waiting_count;
    unsigned lag; /**< how often the ledger is looked at before a change shows in it */
    unsigned countdown;
    uint64_t
        race;    /**< an item that another operator adds a unit to, before the next item changes */
    bool behind; /**< it does not become up to date */
    uint64_t seq;
    struct fg_filter *filter; /**< NULL: off */
    struct fg_penalty *penalty;
    char blocked[64];     /**< last source that the penalty box blocked; "" = none, or released */
    char filter_why[600]; /**< why there is none */
    char pins[128];
    struct fg_health health; /**< two alarms are raised */
    bool unhealthy;
    enum fg_control_result refuse_item, refuse_stock,
        refuse_keys; /**< not DONE: what the next calls answer */
    struct fg_control_item last_item;
    bool last_must_exist;
    int64_t last_units;
    unsigned item_calls, stock_calls, keys_calls, user_calls;
    unsigned users_room; /**< how many calls about users succeed before refuse_user counts */
    enum fg_control_result refuse_user;
    unsigned captures; /**< that began, as those below by the server's threads */
    uint64_t capture_user;
    unsigned capture_reads;
    _Atomic unsigned captures_ended;
    unsigned refund_calls;
    unsigned slow_ms;  /**< how long reading the counters takes */
    unsigned measured; /**< how often they were read */
    bool paired;       /**< it is one of a pair: `pair` */
    struct fg_control_pair pair;
    bool in_fleet; /**< it is a member of a fleet: `fleet`, and `pool` of each item */
    struct fg_control_fleet fleet;
    struct fg_fleet_item_view pool;
    uint64_t version;        /**< of the settings of its items */
    uint32_t behind_members; /**< that do not apply a change */
    uint32_t leased; /**< units that the item leases while its stock is changed the first time */
    unsigned acts;   /**< decisions about the pair, and the last one */
    enum fg_control_pair_act last_act;
    bool all_metrics; /**< every metric has a value, and nothing else counts */
};

/** with_filter: try to open one with maps of its own below /sys/fs/bpf. */
void fg_double_init(struct fg_double *d, bool with_filter);
void fg_double_free(struct fg_double *d);
struct fg_control_daemon fg_double_daemon(struct fg_double *d);
/** Appends to the log of the double. */
void fg_double_record(struct fg_double *d, struct fg_journal_record record);
/** An order of one unit of `item`: reserved, and then the further states given (0 ends). */
void fg_double_order(struct fg_double *d, uint64_t user, uint8_t id, uint64_t item, unsigned state);

/** A running server on a socket in a folder of its own. */
struct fg_fixture {
    struct fg_double daemon;
    struct fg_control *control;
    char folder[64];
    char socket[100];
};
void fg_fixture_start(struct fg_fixture *f, bool with_filter);
void fg_fixture_stop(struct fg_fixture *f);

/** Sends raw bytes, reads to the end; returns what came, malloc'ed. */
char *fg_raw_request(const char *socket, const char *request, size_t size);
/** One request. Returns the HTTP status; *json (owned by the caller) is the body when it is JSON,
 * else NULL.
 */
int fg_ask(const char *socket, const char *method, const char *path, const char *body,
           json_t **json);

#endif
