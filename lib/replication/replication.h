/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * replication: the thread that makes an appliance one of a pair (docs/pair.md). It drives lib/pair:
 * it keeps the link to the peer, asks the arbiter, tells the journal thread what to append, to cut
 * and when to lead, and tells the rest of the daemon how far it may speak for the pair.
 *
 * Threads: `fg-pair` runs everything, by epoll, with the journal thread's priority. Two more
 * (`fg-pair-ask0`, `fg-pair-ask1`) make the arbiter's calls, which block; `fg-pair-keep` writes the
 * files that the leader sends; lists.h has one more. Functions here may be called from any thread,
 * unless they say otherwise; none of them waits for network or disk but start and stop.
 *
 * The link: one TCP connection, TLS 1.3. Node 0 listens, node 1 connects. Each side shows a
 * certificate of `tls_ca` that is valid for the host of the other side's `peer`, and is not the
 * other side's own. The files are read again at each connection.
 *
 * Order of a start:
 *   1. the log is open, the ledger recovered up to its commit watermark, the pairing created;
 *   2. the journal thread is started with the pairing: it follows, and takes no worker's records;
 *   3. fg_replication_start: from here on it may be told to cut, append and lead;
 *   4. hook `lead`, once: pairing.leads is true, and records up to its sequence are committed.
 * Both threads get their priority at the start, so rights are dropped after it. At the end the
 * journal thread stops first, then fg_replication_stop, then the pairing is destroyed.
 */
#ifndef FG_REPLICATION_H
#define FG_REPLICATION_H

#include "pair/pair.h"
#include "replication/options.h"

struct fg_clock;
struct fg_journal_pairing;
struct fg_leading;

#define FG_REPLICATION_LIMITS_MAX  24
#define FG_REPLICATION_HISTORY_MAX 16
#define FG_REPLICATION_TEXT_MAX    256
#define FG_REPLICATION_SKEW_MS     50 /**< more between the two clocks is worth an alarm */

/** A number that a log's records may use up, such as `orders_max`. */
struct fg_replication_limit {
    char name[24]; /**< as the settings call it */
    uint64_t value;
};

/**
 * What the two appliances compare when they connect, and when it changes. A follower whose limit is
 * smaller than its leader's does not follow it: it could not lead with its records. Other keys or
 * another configuration are shown (view.mismatch), and forbid nothing.
 */
struct fg_replication_terms {
    uint64_t keys;   /**< fg_replication_digest of ids and secrets of the shops' keys */
    uint64_t config; /**< the same of the settings that should be alike */
    unsigned limits_len;
    struct fg_replication_limit limits[FG_REPLICATION_LIMITS_MAX];
};

/** A digest (a part of SHA-256) of `size` bytes, behind an earlier digest or 0. */
uint64_t fg_replication_digest(uint64_t digest, const void *bytes, size_t size);

/** What a leader has for its standby beside the records. */
enum fg_replication_file {
    FG_REPLICATION_SNAPSHOT,   /**< its newest one, of its log's folder; version: its sequence */
    FG_REPLICATION_BLOCK_LIST, /**< version: fg_replication_digest of it */
    FG_REPLICATION_ALLOW_LIST,
    FG_REPLICATION_FILES
};

/** Called by `fg-pair`, while the link and all records wait: each must return at once. */
struct fg_replication_hooks {
    void *ctx;
    /** This appliance leads `epoch`, and records up to `seq` (with its EPOCH record) are committed.
     * Once in the life of a process. */
    void (*lead)(void *ctx, uint64_t seq, uint64_t epoch);
    /** Nothing that waits may be answered any more; the process must end, with
     * FG_REPLICATION_EXIT. Once. Afterwards the commit watermark stays where it is. `reason`: a
     * sentence's end. */
    void (*end)(void *ctx, const char *reason);
    /** What the slowest sink has passed: the other side keeps the records behind it. UINT64_MAX:
     * there is no sink. May be NULL. */
    uint64_t (*passed)(void *ctx);
    /** Of a follower: one of the leader's lists is here, in a file of this name. May be NULL. */
    void (*received)(void *ctx, enum fg_replication_file file, const char *path);
    /** Of a follower, by `fg-pair-keep`, which may wait: whether the leader's snapshot, all of it
     * in this file, can be used. False and err: it is not kept. May be NULL: it can. */
    bool (*usable)(void *ctx, const char *path, uint64_t version, struct fg_error *err);
};

#define FG_REPLICATION_EXIT 75 /**< EX_TEMPFAIL: start it again, and it joins */

/** All pointers stay the caller's, and valid until the stop; settings and terms are copied. */
struct fg_replication_options {
    const struct fg_replication_settings *settings;
    const char *log_dir; /**< older records are read from it; the memory file lies in it */
    struct fg_journal_pairing *pairing;
    struct fg_leading *leading; /**< start sets all of it; `fg-pair` writes it */
    const struct fg_clock *clock;
    const struct fg_replication_terms *terms;
    struct fg_replication_hooks hooks;
};

/** A change of role. */
struct fg_replication_change {
    uint64_t unix_ms;
    uint64_t epoch;
    enum fg_pair_role role;
    char why[FG_REPLICATION_TEXT_MAX / 2]; /**< a sentence's end */
};

/** A snapshot is on its way. */
struct fg_replication_fill {
    uint64_t seq; /**< its last record; 0 = none is under way */
    uint64_t bytes, of;
};

struct fg_replication_view {
    struct fg_pair_view pair;
    unsigned node;
    char peer[64];      /**< of the settings */
    char peer_name[64]; /**< of its certificate; "" = never linked */
    /** Why there is no link; "" = there is one. With a link: why this follower waits to be filled
     * again. */
    char link_error[FG_REPLICATION_TEXT_MAX];
    char refusal[FG_REPLICATION_TEXT_MAX];  /**< why this appliance does not follow the peer, or
                                               the peer would not follow it; "" = limits fit */
    char mismatch[FG_REPLICATION_TEXT_MAX]; /**< what else is unlike; "" = nothing, or unknown */
    bool arbiter_ok;                        /**< its newest call ended with an answer */
    char arbiter_error[FG_REPLICATION_TEXT_MAX]; /**< of the newest call that failed; "" = none did
                                                  */
    uint64_t arbiter_ms;                         /**< how long its newest call took */
    uint64_t linked_ms;                          /**< Unix time of the newest link; 0 = none yet */
    uint64_t links;                              /**< how many there were */
    uint64_t lag_records; /**< leader: the peer lacks them. Follower: it lacks them itself */
    uint64_t lag_ms;      /**< for how long the oldest of these has been missing, or the last one
                             was */
    uint64_t trip_us;     /**< from here to the peer and back, smoothed; of TCP */
    uint64_t peer_passed; /**< of the peer's sinks: keep what is behind. UINT64_MAX: there are none;
                             0: not known */
    struct fg_replication_fill fill; /**< leader: sent; follower: received, all of it: the next
                                        start begins with it */
    /** Leader, for retention. peer_has: the peer is known to have these records; 0: not known.
     * fill_seq: the peer is filled, has these records, and is not in step yet; 0: none is. */
    uint64_t peer_has, fill_seq;
    uint64_t sent_bytes, received_bytes, sent_records, received_records;
    bool ended;
    unsigned history_len; /**< oldest first */
    struct fg_replication_change history[FG_REPLICATION_HISTORY_MAX];
};

struct fg_replication;

/** Opens the listener, reads the memory file, and starts the threads; they have their priority when
 * this returns. NULL and err. Main thread. */
struct fg_replication *fg_replication_start(const struct fg_replication_options *options,
                                            struct fg_error *err);
/** Ends the threads; the journal thread may be at work. NULL is nothing. Main thread. False: a call
 * to the arbiter does not end (a name that is looked up); it is left behind, and so is memory. */
bool fg_replication_stop(struct fg_replication *r);

void fg_replication_view(struct fg_replication *r, struct fg_replication_view *view);
/** The keys were reloaded: compares again. */
void fg_replication_set_terms(struct fg_replication *r, const struct fg_replication_terms *terms);

/** A leader's list, for its standby; `bytes` are malloc'd and become the replication's. Size 0:
 * there is none. */
void fg_replication_offer(struct fg_replication *r, enum fg_replication_file file, uint8_t *bytes,
                          size_t size);

/* ---- the operator: each is carried out soon after; the view shows how it went ---------------- */

/** This process is about to end: from now on it does not change the register, so that the standby
 * that it names, if any, can take over. */
void fg_replication_leave(struct fg_replication *r);
/** Hand over to the standby; nothing when there is none. */
void fg_replication_switch(struct fg_replication *r);
/** true: lead without a standby, and take none on; false: take one on again. */
void fg_replication_alone(struct fg_replication *r, bool alone);
/** Lead, whatever register and floor say. Splits the pair unless the other box is powered off. */
void fg_replication_force(struct fg_replication *r);

#endif
