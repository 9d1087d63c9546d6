/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * penalty: counts the offences of sources, and blocks offenders for a while. Workers, the filter's
 * samples and nginx report offences of sources; this counts them by class in bounded memory
 * (hitters.h), and blocks a source whose offences of one class within a window reach the class's
 * threshold: for a minute, then ten, then an hour. A day without offence is forgotten.
 *
 * docs/filter.md tells what counts as evidence, and why. In short: any sender can write any
 * source address on a packet, so by default only offences count that carry proof of the source: a
 * completed TCP handshake. A correct tag proves who signed a packet, not who sent it: a
 * sender may have copied it. In the strict mode everything counts.
 *
 * All functions may be called by any thread but a worker; the box has a lock, which is held while
 * the lists are called. Times are monotonic milliseconds of the caller.
 */
#ifndef FG_PENALTY_H
#define FG_PENALTY_H

#include "base/ring.h"
#include "penalty/hitters.h"

/* name, text, may it be proven, what it is */
#define FG_PENALTY_OFFENCE_LIST(X)                                                                 \
    X(BAD_TAG, "bad-tag", false, "order packets with a wrong tag or an unknown key")               \
    X(MALFORMED, "malformed", false, "order packets of wrong shape")                               \
    X(ROLE, "role", false, "requests with a correct tag whose key may not do the operation")       \
    X(USER_RATE, "user-rate", false,                                                               \
      "reservations of users who ask too often, with a correct tag")                               \
    X(USER_DENIED, "user-denied", false, "reservations of denied users, with a correct tag")       \
    X(DROPPED, "dropped", false, "packets that the filter dropped, as far as they were sampled")   \
    X(HTTP, "http", true, "offences that nginx or another server reported, after a TCP handshake")

enum fg_penalty_offence {
#define X(name, text, proof, help) FG_PENALTY_OFFENCE_##name,
    FG_PENALTY_OFFENCE_LIST(X)
#undef X
        FG_OFFENCES
};
const char *fg_penalty_offence_name(unsigned offence); /**< "bad-tag"; "?" when unknown */
const char *fg_penalty_offence_text(unsigned offence);
/** FG_OFFENCES when there is none of that name. */
unsigned fg_penalty_offence_find(const char *name);

/** One offence, as it passes a ring (base/ring.h) from a worker. */
struct fg_penalty_report {
    uint8_t family; /**< 4 or 6; 0 = unknown: only counted */
    uint8_t offence;
    uint8_t proven; /**< the source completed a handshake; heeded where the list above says true */
    uint8_t zero;
    uint32_t events; /**< 1, or more where the reporter has counted */
    uint8_t addr[16];
    uint8_t unused[40];
};
_Static_assert(sizeof(struct fg_penalty_report) == 64, "one message of a ring");

#define FG_PENALTY_LEVELS    3
#define FG_PENALTY_WINDOW_MS 10000    /**< in which a threshold must be reached */
#define FG_PENALTY_QUIET_MS  86400000 /**< after which an offender is a stranger again */
#define FG_PENALTY_MAX       8192     /**< offenders that are remembered, blocked ones included */
#define FG_PENALTY_COUNTERS  1024  /**< k of each class: an error of 0.1 % of the class's events */
#define FG_PENALTY_HALF_MS   60000 /**< counts for people (top) halve so often */
#define FG_PENALTY_NOTES_MAX 10    /**< lines of the log in a window */
#define FG_PENALTY_REASON    "penalty " /**< how every reason begins */

/** Which offences block their source. */
enum fg_penalty_mode { FG_PENALTY_OFF, FG_PENALTY_PROVEN, FG_PENALTY_SUSPECTED };

#define FG_PENALTY_THRESHOLD_MAX 1000000000
#define FG_PENALTY_FIRST_MS_MIN  1000
#define FG_PENALTY_FIRST_MS_MAX  86400000

struct fg_penalty_options {
    enum fg_penalty_mode mode;
    uint32_t threshold[FG_OFFENCES]; /**< 0 = never */
    uint32_t first_ms;  /**< length of the first block; the next are 10 and 60 times as long */
    unsigned v6_prefix; /**< bits of an IPv6 address that make one source */
    uint64_t seed;      /**< secret */
};

/** Callbacks of the box. All may be NULL together: then nothing is ever blocked. */
struct fg_penalty_lists {
    void *ctx;
    /** Does the allow list have this address? Then it is spared. */
    bool (*allowed)(void *ctx, const struct fg_filter_prefix *address);
    /** Blocks for so long, or prolongs a block that is there; reason: at most 23 characters. */
    bool (*block)(void *ctx, const struct fg_filter_prefix *source, uint64_t ms, const char *reason,
                  struct fg_error *err);
    bool (*unblock)(void *ctx, const struct fg_filter_prefix *source, struct fg_error *err);
    /** A line for the operator, at a limited rate. */
    void (*note)(void *ctx, const char *text);
};

/* name, text */
#define FG_PENALTY_COUNTER_LIST(X)                                                                 \
    X(reports, "offences reported")                                                                \
    X(sourceless, "of them, without a source address")                                             \
    X(unproven, "of them, without proof: no evidence unless the mode is suspected")                \
    X(blocks, "sources blocked")                                                                   \
    X(spared, "sources not blocked because the allow list has them")                               \
    X(refused, "sources not blocked because the list is full or refused them")                     \
    X(unsaid, "lines of the log that the limit swallowed")

struct fg_penalty_counters {
#define X(name, text) uint64_t name;
    FG_PENALTY_COUNTER_LIST(X)
#undef X
};

/** One offender, as shown. */
struct fg_penalty_offender {
    struct fg_filter_prefix source;
    uint8_t level; /**< 1..3 */
    uint8_t offence;
    uint64_t since_ms, until_ms; /**< of the block; over when until_ms has passed */
};

struct fg_penalty;

/** NULL: out of memory. options and lists are copied. */
struct fg_penalty *fg_penalty_create(const struct fg_penalty_options *options,
                                     const struct fg_penalty_lists *lists, uint64_t now_ms);
/**
 * A box whose blocks are entries of the filter's block list, and which warns by diagnostics
 * (enforce.c). It spares sources on the allow list, leaves entries of an operator alone, and takes
 * over the blocks that a box made before a restart. It sets options->seed itself. filter NULL: no
 * source is ever blocked. NULL and err: out of memory, or no random numbers. The filter outlives
 * the box.
 */
struct fg_penalty *fg_penalty_open(const struct fg_penalty_options *options,
                                   struct fg_filter *filter, uint64_t now_ms, struct fg_error *err);
void fg_penalty_destroy(struct fg_penalty *penalty);

void fg_penalty_report(struct fg_penalty *penalty, const struct fg_penalty_report *report,
                       uint64_t now_ms);
/** Takes the reports (struct fg_penalty_report) that wait in the ring of a worker. */
void fg_penalty_take(struct fg_penalty *penalty, struct fg_ring *reports, uint64_t now_ms);
/** The filter dropped a packet of this source (family 0: it had none) and sampled it. */
void fg_penalty_report_dropped(struct fg_penalty *penalty, const struct fg_filter_prefix *source,
                               uint64_t now_ms);
/** Ends windows, lets counts fade, forgets. At least once a second. */
void fg_penalty_tick(struct fg_penalty *penalty, uint64_t now_ms);

/** After a restart: a block that was made by a box (reason as given to block) and ends in left_ms,
 * or ended so long ago (negative): then only its level is remembered. False: another reason, or no
 * room. */
bool fg_penalty_restore(struct fg_penalty *penalty, const struct fg_filter_prefix *source,
                        const char *reason, int64_t left_ms, uint64_t now_ms);

/** Forgets every offender; their blocks stay in the lists. */
void fg_penalty_forget(struct fg_penalty *penalty);
/** Forgets every offender, and takes over the blocks that are in the filter's block list now
 * (enforce.c): at a start, and when the list became a copy of another appliance's. */
void fg_penalty_recall(struct fg_penalty *penalty, struct fg_filter *filter, uint64_t now_ms);

/** Lifts the block and forgets the offender. False and err when it is not blocked. */
bool fg_penalty_release(struct fg_penalty *penalty, const struct fg_filter_prefix *source,
                        uint64_t now_ms, struct fg_error *err);

/** Those blocked now, up to max; returns how many there are. */
unsigned fg_penalty_list(struct fg_penalty *penalty, struct fg_penalty_offender *list, unsigned max,
                         uint64_t now_ms);
/** The record of a source or of the source of an address; false: there is none. */
bool fg_penalty_find(struct fg_penalty *penalty, const struct fg_filter_prefix *address,
                     struct fg_penalty_offender *found);

/** Largest sources of a class; *total: all its events, of which a count may have up to total/k too
 * many. */
unsigned fg_penalty_top(struct fg_penalty *penalty, enum fg_penalty_offence offence,
                        struct fg_penalty_hitter *top, unsigned max, double *total);
struct fg_penalty_counters fg_penalty_counters(struct fg_penalty *penalty);
/** What is in force, and what the box began with. */
void fg_penalty_settings(struct fg_penalty *penalty, struct fg_penalty_options *now,
                         struct fg_penalty_options *begun);
/** Puts mode, thresholds and the length of the first block in force: for evidence and blocks from
 * now on. Blocks that run keep their end. */
void fg_penalty_settings_set(struct fg_penalty *penalty, const struct fg_penalty_options *wanted);
enum fg_penalty_mode fg_penalty_mode(struct fg_penalty *penalty);
const char *fg_penalty_mode_name(enum fg_penalty_mode mode);

#endif
