/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * health: what is wrong with the appliance, from one table of conditions (conditions.c). Alarms,
 * the answer of /healthz, the state in `fgctl status` and the table in docs/operation.md come from
 * it.
 *
 * A caller observes the appliance, as plain numbers, and gives them to the table:
 *
 * - fg_health_check: the state at this moment. Any thread; it keeps nothing and never waits.
 * - fg_health_poll: the alarms. The main thread calls it every 100 ms. An alarm ends only
 *   FG_HEALTH_KEEP_MS after its cause, so that one that comes and goes is one line of diagnostics.
 */
#ifndef FG_HEALTH_H
#define FG_HEALTH_H

#include <pthread.h>

#include "inbound/inbound.h"
#include "journal/journal.h"
#include "sink/sink.h"

#define FG_HEALTH_TEXT    640 /**< bytes: the longest cause fits, and what stands around it */
#define FG_HEALTH_DIR     256
#define FG_HEALTH_MAX     48   /**< rows of the table, at most */
#define FG_HEALTH_KEEP_MS 5000 /**< how long an alarm outlasts its cause */

/** How full a table of the worker is whose table is fullest: its users cannot go elsewhere. */
struct fg_health_use {
    unsigned worker;
    uint32_t used, max;
};

/** Input of the table. A caller fills all of it; zero is a healthy appliance without options. */
struct fg_health_observations {
    uint64_t now_ms; /**< monotonic */
    bool stopping;
    struct { /* [limits] */
        uint32_t items, items_max;
        struct fg_health_use orders, users, parked, deferred, denied;
        uint32_t user_rate; /**< 0 = no limit */
    } limits;
    struct { /* how often it happened so far; a larger number than at the last poll is news */
        uint64_t full;              /**< reservations refused for want of memory */
        uint64_t slow_commits;      /**< of FG_JOURNAL_SLOW_MS or more */
        uint64_t source_refused;    /**< packets of sources without a slot in the filter's table */
        uint64_t no_socket;         /**< orders that came to a queue without a worker */
        uint64_t penalties_refused; /**< sources that the penalty box could not block */
        uint64_t dead;              /**< inbound commands that made no sense */
        uint64_t trimmed;           /**< inbound commands that were removed before they were done */
    } counters;
    struct {
        char dir[FG_HEALTH_DIR];
        enum fg_journal_state state;
        char error[256];
        bool gone;           /**< its files were removed or moved away */
        bool behind;         /**< a sink knows later records, so nothing is sold */
        bool memory;         /**< durability is memory */
        uint64_t keep_bytes; /**< of the log, also for a sink that lags; 0 = nothing is promised */
        uint64_t room_bytes; /**< of the disk for the log; UINT64_MAX = unknown */
        uint64_t forced;     /**< segments that went early for want of room */
        bool tight;          /**< the disk is too small for [log] keep_bytes */
        char archive_error[240]; /**< of the last copy; "" = it succeeded, or there is no archive */
        uint64_t wait_ms;        /**< of the commit under way, for the disk; 0 = there is none */
        uint64_t slow_ms;        /**< of the last slow commit */
        char snapshot_error[240]; /**< of the last attempt; "" = it succeeded */
        uint64_t ledger_lag; /**< records that the ledger lacks, while orders wait for it; else 0 */
        bool ledger_broken;
        char ledger_error[512];
    } log;
    struct {
        const char *name;
        struct fg_sink_status status;
    } sinks[FG_SINK_SINKS_MAX];
    unsigned sinks_count;
    struct {
        bool enabled;
        enum fg_sink_state state;
        char error[256];
        char dead_reason[FG_INBOUND_REASON]; /**< of the last command that made no sense */
    } inbound;
    struct {
        bool monitor;       /**< it drops nothing */
        uint32_t allowed;   /**< entries of the allow list */
        char left_out[240]; /**< wrong lines of list files; "" = none */
    } filter;
    struct { /* of a pair */
        bool enabled;
        bool leads, solo, refused; /**< its role; none of them: it follows, or wants to */
        bool linked, arbiter_away;
        bool missed;                  /**< the log no longer holds what the standby lacks */
        uint64_t lag_records, lag_ms; /**< of the one that follows */
        int64_t skew_ms;              /**< the peer's clock minus ours */
        char peer[64];
        char reason[256];        /**< why it is refused, or has no link */
        char arbiter_error[256]; /**< of the last call that failed */
        char unlike[256];        /**< settings or keys that differ; "" = none */
        char address_error[160]; /**< why the floating addresses are not here; "" = none */
    } pair;
    struct { /* of a member of a fleet */
        bool enabled;
        bool may_sell, away, frozen;
        uint32_t silent;           /**< bit m: member m did not answer the last demand */
        uint32_t damaged;          /**< items whose pools are damaged or deleted */
        char reason[128];          /**< why it leases and returns nothing; "" = it does */
        char etcd_error[256];      /**< of the last call that failed */
        char seen_error[256];      /**< fleet.seen cannot be written; "" = it can */
        char catalogue_error[256]; /**< settings that cannot be applied; "" = none */
    } fleet;
    unsigned workers, workers_stalled;
    int64_t wall_ahead_ms; /**< the system's clock minus ours */
    bool link_wrong;       /**< of a port; `link_text` says why */
    bool link_broken;      /**< no order can come in, or an interface is gone */
    char link_text[240];
    char queues_unread[240]; /**< an interface spreads packets over more queues than are read; "" =
                                none */
};

enum fg_health_level { FG_HEALTH_NONE, FG_HEALTH_WARNING, FG_HEALTH_ALARM, FG_HEALTH_LEVELS };

/** The effect of a warning or an alarm on the state of the appliance. */
enum fg_health_effect {
    FG_HEALTH_NOTHING,  /**< one more row in the list of alarms */
    FG_HEALTH_TOLD,     /**< /healthz adds it as a warning */
    FG_HEALTH_DEGRADED, /**< the same, and the state is degraded: the sale continues */
    FG_HEALTH_UNHEALTHY /**< /healthz answers 503: a person or a supervisor must act */
};

/** A row of the table. */
struct fg_health_condition {
    const char *name;
    const char *warning, *alarm; /**< when it is raised; NULL: it has no such level */
    enum fg_health_effect warning_effect, alarm_effect;
    const char *remedy;
    /** text: FG_HEALTH_TEXT bytes, filled when the level is not NONE. before: the counters of the
     * last poll. */
    enum fg_health_level (*check)(const struct fg_health_observations *now,
                                  const struct fg_health_observations *before, char *text);
};
extern const struct fg_health_condition fg_health_conditions[];
extern const unsigned fg_health_conditions_count;

enum fg_health_state {
    FG_HEALTH_RUNNING,
    FG_HEALTH_IS_DEGRADED,
    FG_HEALTH_IS_UNHEALTHY,
    FG_HEALTH_STOPPING
};
const char *fg_health_state_name(enum fg_health_state state); /**< "running" */
const char *fg_health_level_name(enum fg_health_level level); /**< "warning" */

struct fg_health_answer {
    enum fg_health_state state;
    bool healthy;                /**< what /healthz answers */
    char reason[FG_HEALTH_TEXT]; /**< of the state; "" = none. When healthy, a warning */
};
struct fg_health_answer fg_health_check(const struct fg_health_observations *now);

/** The alarms. The main thread writes, any thread reads. */
struct fg_health {
    pthread_mutex_t lock;
    struct {
        enum fg_health_level level;
        uint64_t seen_ms; /**< when it was last as bad as its level */
        char text[FG_HEALTH_TEXT];
    } list[FG_HEALTH_MAX];
    bool polled;
    struct fg_health_observations before; /**< main thread alone */
};

void fg_health_init(struct fg_health *health);
/** Main thread. Writes a line of diagnostics for each alarm that is raised, changes or ends. */
void fg_health_poll(struct fg_health *health, const struct fg_health_observations *now);
/** Any thread. Calls each for every row of the table, in its order; text is "" for NONE. */
void fg_health_each(struct fg_health *health,
                    void (*each)(void *ctx, const char *name, enum fg_health_level level,
                                 const char *text),
                    void *ctx);

/** Writes the table of alarms of docs/operation.md. */
void fg_health_describe(FILE *out);

#endif
