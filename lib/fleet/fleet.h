/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * fleet: several members sell one item, no unit twice, and none is left over while a shopper asks
 * for it (docs/fleet.md). Units that no member holds are in a pool in etcd; a member leases them,
 * and returns what is free when another one needs it.
 *
 * This is the protocol of one member alone: no socket, file, clock or thread. The caller hands in
 * time, values of etcd, how calls ended, and what banks and log say; it carries out the outputs, in
 * their order:
 *
 *     fg_fleet_time(...)                        before anything else whenever time has moved
 *     fg_fleet_leads                            the pair's register moved
 *     fg_fleet_bank / _stocked                  the home bank of an item
 *     fg_fleet_logged                           the log
 *     fg_fleet_leased / _returned               a record is committed
 *     fg_fleet_value ..., fg_fleet_answered     a call to etcd has ended
 *     fg_fleet_value ..., fg_fleet_watched      a watch of etcd tells of changes
 *     while (fg_fleet_next(...))                after *each* of these: take the outputs
 *     ... and call fg_fleet_time again when fg_fleet_due_ms has come
 *
 * An item is a number below items_max, as in lib/stock; its key in etcd is its identifier. One call
 * to etcd is under way at a time. The outcome of a swap is never used: the pool is compared with
 * the log.
 *
 * Everything is allocated at creation; every queue is bounded. One thread at a time per fg_fleet.
 * Times are ms of a clock that never moves backwards. "Committed" is lib/pair's word; at a single
 * appliance it means durable.
 */
#ifndef FG_FLEET_H
#define FG_FLEET_H

#include "fleet/pool.h"

#define FG_FLEET_PUTS_MAX 126 /**< in one swap: etcd compares at most 128 keys */
#define FG_FLEET_KEY_MAX  32  /**< bytes of a key, with its zero */
#define FG_FLEET_MAP_KEY  "fleet/map"
#define FG_FLEET_PREFIX   "fleet/" /**< of all keys that are read */

/* Why it takes no part. name, text */
#define FG_FLEET_REASON_LIST(X)                                                                    \
    X(NONE, "")                                                                                    \
    X(UNREAD, "etcd has not been read yet")                                                        \
    X(FOLLOWS, "this appliance does not lead its pair")                                            \
    X(UNPREPARED, "etcd has no map of the fleet")                                                  \
    X(DAMAGED, "a value in etcd cannot be understood")                                             \
    X(OTHER_MAP, "the map in etcd is not the configured one")                                      \
    X(CATALOGUE, "the settings of all items are not applied yet")                                  \
    X(FROZEN, "a person froze the fleet")                                                          \
    X(RESTORED, "etcd was restored from a copy")                                                   \
    X(OLD_LOG, "the log of this member is older than what etcd knows of it")                       \
    X(RETIRED, "this member was retired: its units were given to others")

/* What an item exchanges with the bank. name, text */
#define FG_FLEET_STATE_LIST(X)                                                                     \
    X(UNREAD, "its pool was not read yet")                                                         \
    X(READY, "nothing is under way")                                                               \
    X(LEASING, "LEASE is being recorded")                                                          \
    X(RECALLING, "the bank is asked for what is free")

/* What happens to a state: docs/fleet.md has the table. name, text */
#define FG_FLEET_EVENT_LIST(X)                                                                     \
    X(READ, "the pool was read")                                                                   \
    X(AHEAD, "the pool has a lease that the log lacks")                                            \
    X(LEASED, "LEASE is committed")                                                                \
    X(SCARCE, "others need what is free here")                                                     \
    X(RETURNED, "the bank gave what was free, and RETURN is committed")

/* Why a request is refused. name, text */
#define FG_FLEET_REFUSAL_LIST(X)                                                                   \
    X(INSUFFICIENT, "too few units are free in the whole fleet")                                   \
    X(BUSY, "a member is silent, or etcd is away: ask again later")

enum fg_fleet_reason {
#define X(name, text) FG_FLEET_REASON_##name,
    FG_FLEET_REASON_LIST(X)
#undef X
        FG_FLEET_REASONS
};
enum fg_fleet_state {
#define X(name, text) FG_FLEET_STATE_##name,
    FG_FLEET_STATE_LIST(X)
#undef X
        FG_FLEET_STATES
};
enum fg_fleet_event {
#define X(name, text) FG_FLEET_EVENT_##name,
    FG_FLEET_EVENT_LIST(X)
#undef X
        FG_FLEET_EVENTS
};
enum fg_fleet_refusal {
#define X(name, text) FG_FLEET_REFUSAL_##name,
    FG_FLEET_REFUSAL_LIST(X)
#undef X
};

const char *fg_fleet_reason_text(unsigned reason); /**< a sentence's end */
const char *fg_fleet_state_name(unsigned state);   /**< "LEASING" */
const char *fg_fleet_event_name(unsigned event);   /**< "AHEAD" */
const char *fg_fleet_refusal_name(unsigned refusal);

struct fg_fleet_timing {
    unsigned poll_ms;     /**< between two reads of what changed */
    unsigned quick_ms;    /**< likewise, while a member waits or an item is sold out */
    unsigned watched_ms;  /**< between two reads while a watch tells of changes */
    unsigned retry_ms;    /**< after a lost swap, at most; doubled with each one, up to 32-fold */
    unsigned silent_ms;   /**< a member that does not answer a demand for so long is left out */
    unsigned away_ms;     /**< no answer of etcd for so long: it is away */
    unsigned remember_ms; /**< between two outputs REMEMBER */
};

extern const struct fg_fleet_timing fg_fleet_timing_usual;

struct fg_fleet_options {
    unsigned member;
    uint32_t items_max;
    struct fg_fleet_map map; /**< of the configuration */
    struct fg_fleet_timing timing;
    uint64_t seed[2];         /**< random, new for each process */
    int64_t revision;         /**< the highest that this member has seen in an earlier life */
    const char *register_key; /**< of this member's pair; shorter than FG_FLEET_KEY_MAX */
};

struct fg_fleet_put {
    char key[FG_FLEET_KEY_MAX];
    int64_t revision; /**< that the key must have; 0 = it must not exist */
    char text[FG_FLEET_TEXT_MAX];
};

/**
 * READ: bring the values below FG_FLEET_PREFIX that changed after revision `since`; fg_fleet_value
 * for each, then fg_fleet_answered.
 * SWAP: compare the keys of `puts`, of the map and of the register, then write the puts; else bring
 * the values of all of these, likewise.
 * LEASE: record LEASE with `counters` (leased, leases); when it is committed, add `units` to the
 * bank and call fg_fleet_leased.
 * RECALL: let the bank serve the requests that it can serve whole, take everything that is free
 * then, and record RETURN: `counters` (returned, returns) and what the bank gave. When that and
 * everything decided before it is committed, call fg_fleet_returned, also when it gave nothing.
 */
enum fg_fleet_output_kind {
    FG_FLEET_READ,
    FG_FLEET_SWAP,
    FG_FLEET_REMEMBER, /**< keep `revision` in a file */
    FG_FLEET_LEASE,
    FG_FLEET_RECALL,
    FG_FLEET_REFUSE,   /**< the oldest request of the bank: `refusal`; `units` are free */
    FG_FLEET_SOLD_OUT, /**< nothing is free anywhere: refuse all requests, until OPEN */
    FG_FLEET_OPEN,     /**< then call fg_fleet_bank */
    FG_FLEET_STOP,     /**< `reason`: sell nothing any more, and end the process */
};

struct fg_fleet_output {
    enum fg_fleet_output_kind kind;
    uint32_t item;
    uint64_t ticket; /**< READ, SWAP */
    int64_t since, revision;
    const struct fg_fleet_put *puts; /**< hold until the answer */
    unsigned puts_len;
    int64_t map_revision, register_revision; /**< SWAP: to be compared */
    struct fg_fleet_counters counters;
    uint64_t units;
    enum fg_fleet_refusal refusal;
    enum fg_fleet_reason reason;
};

/** How a call ended; as in lib/arbiter. */
enum fg_fleet_outcome {
    FG_FLEET_DONE,
    FG_FLEET_LOST,   /**< swap: something has another revision; nothing was changed */
    FG_FLEET_AWAY,   /**< or refused; nothing was changed */
    FG_FLEET_UNKNOWN /**< a swap may have taken place, or do so later */
};

/** Counted since the start. name, text */
#define FG_FLEET_COUNTER_LIST(X)                                                                   \
    X(reads, "reads of what changed")                                                              \
    X(swaps, "swaps that succeeded")                                                               \
    X(lost, "swaps that another member was faster than")                                           \
    X(unknown, "swaps of unknown outcome")                                                         \
    X(unanswered, "calls that etcd did not answer")                                                \
    X(leases, "leases recorded")                                                                   \
    X(recalls, "recalls answered")                                                                 \
    X(busy, "requests refused as BUSY")                                                            \
    X(damaged, "values that could not be understood")

struct fg_fleet_view {
    enum fg_fleet_reason reason; /**< why no units are leased or returned now; NONE = they are */
    bool may_sell;   /**< etcd was read, and knows nothing that forbids to sell what is held */
    bool away;       /**< etcd does not answer */
    bool watched;    /**< a watch tells of changes, and keeps up */
    uint32_t silent; /**< bit m: member m did not answer the last demand */
    uint32_t damaged_items;  /**< their pools are damaged or deleted: they are leased no more */
    int64_t revision;        /**< the highest seen */
    struct fg_fleet_map map; /**< as in etcd; version 0 = not read */
#define X(name, text) uint64_t name;
    FG_FLEET_COUNTER_LIST(X)
#undef X
};

struct fg_fleet_item_view {
    enum fg_fleet_state state;
    int64_t revision; /**< of the pool as it is known; 0 = there is none yet */
    struct fg_fleet_pool pool;
    struct fg_fleet_counters log; /**< committed */
    bool damaged; /**< its pool cannot be understood, or was deleted: it is leased no more */
};

struct fg_fleet;

/** NULL and err when an option is out of range. Copies the options. */
struct fg_fleet *fg_fleet_create(const struct fg_fleet_options *options, struct fg_error *err);
void fg_fleet_destroy(struct fg_fleet *f); /**< NULL is nothing */

/** An item, once, with what the log says of it. False: items_max, or known already. */
bool fg_fleet_item(struct fg_fleet *f, uint32_t item, uint64_t id,
                   const struct fg_fleet_counters *log);

/** Time passes; also runs what is due. */
void fg_fleet_time(struct fg_fleet *f, uint64_t now_ms);
uint64_t fg_fleet_due_ms(const struct fg_fleet *f);

/** etcd was read, and map, pools and log do not forbid to sell: the register may be claimed. Before
 * it leads it asks for a READ of everything, until one is answered. */
bool fg_fleet_may_lead(const struct fg_fleet *f);
/** The register of this member's pair has `revision`, and names this process as its leader; 0 = it
 * does not lead. Values of before it led do not count: all is read again. */
void fg_fleet_leads(struct fg_fleet *f, int64_t revision);

/**
 * The bank of an item now. `least`: units of its oldest request, which it cannot serve from what
 * all its workers have; 0 = there is none. `wanted`: units of all its requests. `free`: units that
 * no order has, at any worker.
 */
void fg_fleet_bank(struct fg_fleet *f, uint32_t item, uint32_t least, uint64_t wanted,
                   uint64_t free);
/** The records of the log up to `seq` are committed: before the first READ is answered, and
 * whenever there are more. */
void fg_fleet_logged(struct fg_fleet *f, uint64_t seq);
/** Stock was added or removed, and that is committed: the sum of all such records. */
void fg_fleet_stocked(struct fg_fleet *f, uint32_t item, int64_t stock);
/** Answers LEASE; then call fg_fleet_bank. */
void fg_fleet_leased(struct fg_fleet *f, uint32_t item);
/** Answers RECALL; fg_fleet_bank was called since the bank gave. */
void fg_fleet_returned(struct fg_fleet *f, uint32_t item, uint64_t units);

/** A value of etcd, of the call that is under way or of a watch. revision 0: there is no such key.
 * Older values than what is known are nothing; so are keys of others. */
void fg_fleet_value(struct fg_fleet *f, const char *key, int64_t revision, const char *text);
/** A watch has told (fg_fleet_value) all that changed up to `revision`; 0 = there is none any more.
 * While it keeps up with the reads, they are rare. It need not be complete: they find the rest. */
void fg_fleet_watched(struct fg_fleet *f, int64_t revision);
/** store: revision of the whole store in the answer; DONE and LOST only. */
void fg_fleet_answered(struct fg_fleet *f, uint64_t ticket, enum fg_fleet_outcome outcome,
                       int64_t store);

/** The next thing to be done; false: nothing. */
bool fg_fleet_next(struct fg_fleet *f, struct fg_fleet_output *output);

void fg_fleet_view(const struct fg_fleet *f, struct fg_fleet_view *view);
bool fg_fleet_item_view(const struct fg_fleet *f, uint32_t item, struct fg_fleet_item_view *view);

/** The key of an item's pool. */
void fg_fleet_key(char key[FG_FLEET_KEY_MAX], uint64_t id);

#endif
