/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * pair: two appliances, one leads and one follows, and no acknowledged order is lost when either
 * dies (docs/pair.md). The decision who leads is one compare-and-swap register of the arbiter; no
 * clock takes part in it.
 *
 * This is the protocol alone: no socket, file, clock or thread. The caller hands in time, messages
 * of the peer, completions of the arbiter's calls, and how far its log is; it carries out the
 * outputs, in their order:
 *
 *     fg_pair_time(...)                        before anything else whenever time has moved
 *     fg_pair_connected / _receive / _closed   the link to the peer
 *     fg_pair_appended / _durable              the log
 *     fg_pair_answered                         a call to the arbiter has ended
 *     while (fg_pair_next(...))                after *each* of these: take the outputs
 *     ... and call fg_pair_time again when fg_pair_due_ms has come
 *
 * Everything is allocated at creation; every queue is bounded. One thread at a time per fg_pair.
 * Records are 64 opaque bytes: which of them are EPOCH or BATCH records is the log's business. But
 * each BATCH must name its epoch, so that the log knows where an epoch begins also when its EPOCH
 * record was torn off.
 * Sequences are those of the log, from 1; 0 = none. Times are ms of a clock that never moves
 * backwards, unless named unix_ms.
 */
#ifndef FG_PAIR_H
#define FG_PAIR_H

#include "pair/wire.h"

#define FG_PAIR_CALLS 2 /**< arbiter calls at a time, of different lanes */

/* name, text. As the operator sees it. */
#define FG_PAIR_ROLE_LIST(X)                                                                       \
    X(JOINING, "joining") /* follows or looks for its leader; not published as its standby */      \
    X(STANDBY, "standby") /* the register names it: it may take over */                            \
    X(LEADER, "leader")   /* leads; acknowledges what is durable here and at the standby */        \
    X(SOLO, "solo")       /* leads alone; acknowledges what is durable here */                     \
    X(REFUSED, "refused") /* neither may lead nor follow: a person decides */

/* name, role, text */
#define FG_PAIR_STATE_LIST(X)                                                                      \
    X(SEEKING, JOINING, "looks for its place")                                                     \
    X(CLAIMING, JOINING, "swaps the register to lead")                                             \
    X(CUTTING, JOINING, "cuts its log to what it shares with the leader's")                        \
    X(CATCHING, JOINING, "catches up")                                                             \
    X(FOLLOWING, STANDBY, "follows")                                                               \
    X(SOLO, SOLO, "leads alone")                                                                   \
    X(ADDING, SOLO, "waits for its peer's acknowledgements, not published yet")                    \
    X(PUBLISHING, SOLO, "swaps the register to name its standby")                                  \
    X(SYNC, LEADER, "leads with a standby")                                                        \
    X(DROPPING, LEADER, "swaps the register to lead alone; answers wait")                          \
    X(HANDING, LEADER, "hands over")                                                               \
    X(REFUSED, REFUSED, "refused")                                                                 \
    X(ENDED, REFUSED, "ended")                                                                     \
    X(FILLING, JOINING, "is filled from a snapshot of the leader")

/* Why it is refused, or ended. name, text */
#define FG_PAIR_REASON_LIST(X)                                                                     \
    X(NONE, "")                                                                                    \
    X(UNPREPARED, "the arbiter has no register of this pair")                                      \
    X(DAMAGED, "the arbiter's register cannot be understood")                                      \
    X(OTHER_LOG, "the pair has another log than this appliance")                                   \
    X(BELOW_FLOOR, "this log lacks records that the pair had acknowledged")                        \
    X(RESTORED, "the arbiter was restored from a copy")                                            \
    X(DIVERGED, "this log holds acknowledged records that the leader's lacks")                     \
    X(RETIRED, "the leader's log no longer begins early enough to catch up from")                  \
    X(DEPOSED, "another appliance leads")                                                          \
    X(DISK, "the log of this appliance failed")                                                    \
    X(FILLED, "a snapshot of the leader is here, with which the next start begins")

/* What happens to a state: docs/pair.md has the table. name, text */
#define FG_PAIR_EVENT_LIST(X)                                                                      \
    X(LEADER_FOUND, "the peer leads, and may be followed")                                         \
    X(CUT, "the log ends where it shall")                                                          \
    X(PUBLISHED, "the leader says that the register names this standby")                           \
    X(LOST, "the link broke, or was silent for too long")                                          \
    X(TAKE, "the leader asks its standby to lead")                                                 \
    X(MAY_LEAD, "register and peer say that this node should claim")                               \
    X(WON, "the swap has succeeded")                                                               \
    X(NOT_WON, "the swap did not succeed, or its outcome is unknown")                              \
    X(UNCHANGED, "the arbiter was away: the swap has surely changed nothing")                      \
    X(FIT, "the peer has caught up, and was fast enough for long enough")                          \
    X(AT_MARK, "the peer is durable up to the mark of the join")                                   \
    X(STALLED, "acknowledgements of the peer are missing")                                         \
    X(DEPOSED, "another one leads")                                                                \
    X(SWITCH, "the operator wants the standby to lead")                                            \
    X(ALONE, "the operator wants no standby")                                                      \
    X(REFUSE, "it may not take part")                                                              \
    X(FORCE, "the operator says that the other box is powered off")                                \
    X(DISK, "the log failed")                                                                      \
    X(FILL, "the leader's log begins too late to catch up from")                                   \
    X(FILLED, "its snapshot is here, and durable")

enum fg_pair_role {
#define X(name, text) FG_PAIR_ROLE_##name,
    FG_PAIR_ROLE_LIST(X)
#undef X
        FG_PAIR_ROLES
};
enum fg_pair_state {
#define X(name, role, text) FG_PAIR_STATE_##name,
    FG_PAIR_STATE_LIST(X)
#undef X
        FG_PAIR_STATES
};
enum fg_pair_reason {
#define X(name, text) FG_PAIR_REASON_##name,
    FG_PAIR_REASON_LIST(X)
#undef X
        FG_PAIR_REASONS
};
enum fg_pair_event {
#define X(name, text) FG_PAIR_EVENT_##name,
    FG_PAIR_EVENT_LIST(X)
#undef X
        FG_PAIR_EVENTS
};

const char *fg_pair_role_name(unsigned role);     /**< "standby"; "?" when unknown */
const char *fg_pair_state_name(unsigned state);   /**< "FOLLOWING" */
const char *fg_pair_state_text(unsigned state);   /**< "follows" */
const char *fg_pair_reason_text(unsigned reason); /**< a sentence's end */
const char *fg_pair_event_name(unsigned event);   /**< "LOST" */

struct fg_pair_timing {
    unsigned heartbeat_ms; /**< between two heartbeats */
    unsigned suspect_ms;   /**< a link that is silent for so long is lost */
    unsigned drop_ms;      /**< a record that the standby has not acknowledged for so long: it is
                              dropped */
    unsigned stale_ms;     /**< after the last sign of still leading, nothing is answered */
    unsigned add_ms;      /**< a peer must keep up for so long before it is waited for; doubles with
                             each time that it was dropped, up to 64-fold */
    unsigned calm_ms;     /**< in step for so long, and earlier drops are forgotten */
    unsigned lag_records; /**< a peer that lacks more is not caught up */
    unsigned retry_ms;    /**< between two attempts at the arbiter */
    unsigned patience_ms; /**< after a start, until the peer counts as unreachable */
    unsigned yield_ms;    /**< a restarted leader lets its standby go first for so long */
    unsigned hand_ms;     /**< a planned switch is taken back after so long */
    unsigned floor_ms;    /**< between two advances of the floor */
};

/** The defaults, for two machines in one room. */
extern const struct fg_pair_timing fg_pair_timing_usual;

/** What the log knows when the process starts. */
struct fg_pair_log {
    uint64_t id;        /**< 0 = there is no log yet */
    uint64_t first;     /**< oldest record that can be read; last + 1 when there is none */
    uint64_t last;      /**< all of it is durable */
    uint64_t committed; /**< the stored commit watermark; `last` when it was written solo. Nothing
                           up to it is ever cut */
    const struct fg_pair_epoch *epochs; /**< oldest first, strictly rising in both numbers */
    size_t epochs_len;                  /**< the newest FG_PAIR_EPOCHS_MAX count */
};

/** The newest register that a node has seen. The caller keeps it in a file. */
struct fg_pair_memory {
    int64_t revision;
    uint64_t epoch;
};

struct fg_pair_options {
    unsigned node; /**< 0 or 1: which of the two boxes */
    struct fg_pair_timing timing;
    uint64_t seed[2]; /**< random, new for each process: nonces come of it */
    struct fg_pair_log log;
    struct fg_pair_memory memory; /**< zeros when there is none */
};

#define FG_PAIR_REGISTER_KEY "register"
#define FG_PAIR_FLOOR_KEY    "floor"

enum fg_pair_output_kind {
    FG_PAIR_SEND,  /**< `bytes` to `link`: one message, or the head of one whose records follow */
    FG_PAIR_CLOSE, /**< the link; connect anew whenever it suits. fg_pair_closed is not due */
    FG_PAIR_READ,  /**< arbiter: `key`. fg_pair_answered with `ticket` */
    FG_PAIR_SWAP,  /**< arbiter: write `bytes` at `key` if the register has `revision`. Likewise */
    FG_PAIR_REMEMBER, /**< keep `memory` in a file, synced, before the next output */
    FG_PAIR_APPEND,   /**< `count` records of `bytes` to the log, from sequence `first` on */
    FG_PAIR_CUT,      /**< cut the log behind sequence `first` (its end: cut nothing), or begin log
                         `log` when there is none. Then fg_pair_cut */
    FG_PAIR_LEAD,     /**< append the EPOCH record of `epoch` with `nonce`; then fg_pair_began */
    FG_PAIR_SEAL, /**< append a batch, be it empty, that does not say "solo"; then fg_pair_sealed */
    FG_PAIR_FILL, /**< get a snapshot of the leader, for the next start; then fg_pair_filled */
    FG_PAIR_END   /**< end the process: nothing that waits may be answered any more */
};

/** Pointers hold until the next call of a function of this fg_pair; those of APPEND are into what
 * was given to fg_pair_receive. */
struct fg_pair_output {
    enum fg_pair_output_kind kind;
    uint32_t link;
    const uint8_t *bytes;
    size_t size;
    uint64_t first; /**< SEND: `count` records from here on are to be sent behind `bytes` */
    uint32_t count; /**< SEND: 0 = none. A caller that cannot read them breaks the link */
    unsigned lane;  /**< READ, SWAP: below FG_PAIR_CALLS; calls of one lane never overlap */
    uint64_t ticket;
    const char *key;
    int64_t revision;
    struct fg_pair_memory memory;
    uint64_t epoch, log;
    uint8_t nonce[FG_PAIR_NONCE_SIZE];
};

/** How a call to the arbiter ended; as in lib/arbiter. */
enum fg_pair_outcome {
    FG_PAIR_DONE,
    FG_PAIR_LOST,   /**< the register has another revision; nothing was changed */
    FG_PAIR_AWAY,   /**< or refused; nothing was changed */
    FG_PAIR_UNKNOWN /**< a swap may have taken place, or do so later */
};

struct fg_pair_view {
    enum fg_pair_role role;
    enum fg_pair_state state;
    enum fg_pair_reason reason; /**< REFUSED, ended; also SEEKING, when it may not lead */
    bool accepting;             /**< new records may be made */
    bool solo;                  /**< all that is durable here is committed */
    uint64_t epoch;             /**< led or followed; 0 = none */
    uint64_t committed;         /**< the commit watermark: nothing beyond leaves the box */
    uint64_t valid_until_ms;    /**< later nothing is answered; UINT64_MAX = no limit */
    uint64_t probe;             /**< newest probe that was answered, see fg_pair_probe */
    bool linked;                /**< to a peer that has said who it is */
    enum fg_pair_state peer_state;
    uint64_t peer_durable; /**< at the peer that is sent records; 0 = none acknowledged yet */
    uint64_t peer_last;    /**< linked: of its log, when it connected */
    uint64_t last, durable;
    int64_t skew_ms;  /**< the peer's Unix time minus ours */
    uint64_t drops;   /**< times that a peer was dropped */
    uint64_t refused; /**< messages that could not be understood; each closed its link */
};

struct fg_pair;

/** NULL and err when an option is out of range. Copies the options. */
struct fg_pair *fg_pair_create(const struct fg_pair_options *options, struct fg_error *err);
void fg_pair_destroy(struct fg_pair *p); /**< NULL is nothing */

/** Time passes; also runs what is due. */
void fg_pair_time(struct fg_pair *p, uint64_t now_ms, uint64_t unix_ms);
uint64_t fg_pair_due_ms(const struct fg_pair *p);

/** A new link to the authenticated peer. `link`: any number but 0, new for each. An older one is
 * over. */
void fg_pair_connected(struct fg_pair *p, uint32_t link);
/** One whole message: `size` is what its header says (fg_pair_message_size). */
void fg_pair_receive(struct fg_pair *p, uint32_t link, const uint8_t *bytes, size_t size);
/** The peer is alive: something that is not of this protocol came by the link. Messages of it may
 * wait behind that. */
void fg_pair_heard(struct fg_pair *p, uint32_t link);
void fg_pair_closed(struct fg_pair *p, uint32_t link); /**< by the peer, or broken */

/** FG_PAIR_LEAD is done: the epoch begins with sequence `first`, its BATCH record; EPOCH follows.
 * All records before belong to earlier epochs. */
void fg_pair_began(struct fg_pair *p, uint64_t first);
/** FG_PAIR_SEAL is done: the first batch that does not say "solo" begins with `seq`. */
void fg_pair_sealed(struct fg_pair *p, uint64_t seq);
/** A leader's log has records up to `last`: readable, durable or not. */
void fg_pair_appended(struct fg_pair *p, uint64_t last);
void fg_pair_durable(struct fg_pair *p, uint64_t durable);
/** FG_PAIR_CUT is done; the log, durable, ends with `last`. */
void fg_pair_cut(struct fg_pair *p, uint64_t last);
/** FG_PAIR_FILL is done: a snapshot is here, durable (true); or the leader has none. */
void fg_pair_filled(struct fg_pair *p, bool here);
/** The log removed old records: it begins with `first`. */
void fg_pair_retired(struct fg_pair *p, uint64_t first);
/** A write or a sync failed: a leader asks its standby to lead, and ends. */
void fg_pair_disk_failed(struct fg_pair *p);

/** revision: DONE: of the key, after a read (0 = no such key) or a swap. text: the value, ended by
 * a zero, after a read. A ticket that is not outstanding is nothing. */
void fg_pair_answered(struct fg_pair *p, uint64_t ticket, enum fg_pair_outcome outcome,
                      int64_t revision, const char *text);

bool fg_pair_next(struct fg_pair *p, struct fg_pair_output *output);
void fg_pair_view(const struct fg_pair *p, struct fg_pair_view *view);

/** Asks the peer, and the arbiter at the same time, for a sign that this node still leads. An
 * answer that depends on it (UNKNOWN_ORDER) may leave once view.probe has reached the result. */
uint64_t fg_pair_probe(struct fg_pair *p);

/* ---- the operator ---------------------------------------------------------------------------- */

void fg_pair_switch(struct fg_pair *p); /**< hand over to the standby; nothing without one */
/** true: lead without a standby, and take none on; false: take one on again. */
void fg_pair_alone(struct fg_pair *p, bool alone);
/** Lead, whatever register and floor say. Splits the pair unless the other box is powered off. */
void fg_pair_force(struct fg_pair *p);

/** The first register of a pair, which `fgctl pair init` writes: `node` leads `log` alone. epoch:
 * later than those that the log has of an earlier pair; 0 = it has none. */
size_t fg_pair_register_first(char text[FG_PAIR_TEXT_MAX], unsigned node, uint64_t log,
                              uint64_t epoch);

#endif
