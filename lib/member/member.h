/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * member: the thread that makes an appliance a member of a fleet (docs/fleet.md). It drives
 * lib/fleet: it asks etcd, tells the banks what to lease, to return and to refuse, and says whether
 * this appliance may sell.
 *
 * Threads: `fg-fleet` runs everything, and calls the hooks; `fg-fleet-ask` makes the calls to etcd,
 * which block. Other functions may be called from any thread, unless they say otherwise; none of
 * them waits for network or disk but start and stop.
 *
 * A single appliance has a register in etcd, which it moves at each start: nothing that an earlier
 * process sent takes place then. If another process moves it, this one ends. Before it moves it, it
 * compares map, pools and log, so that a process that must not sell stops no other one.
 */
#ifndef FG_MEMBER_H
#define FG_MEMBER_H

#include "fleet/fleet.h"
#include "member/catalogue.h"
#include "member/options.h"

/** EX_CONFIG: of a process that must not sell. Not to be started again before a person has looked:
 * config/floodgate.service. */
#define FG_MEMBER_EXIT 78
#define FG_MEMBER_TEXT 256

struct fg_member;

/** Called by `fg-fleet`, but for `begin`: each must return at once. */
struct fg_member_hooks {
    void *ctx;
    /** Once, by fg_member_start: tells all items that the log has, so that their pools are read
     * before the first sale. */
    void (*begin)(void *ctx, struct fg_member *m);
    /** Every ms or so: tells what is new of items, banks and log, by the functions below. */
    void (*take)(void *ctx, struct fg_member *m);
    /** LEASE, RECALL, REFUSE, SOLD_OUT, OPEN for the bank of `output->item`. False: there is no
     * room; it is offered again, and nothing else meanwhile. */
    bool (*give)(void *ctx, const struct fg_fleet_output *output);
    /** Nothing may be sold any more, and the process must end, with FG_MEMBER_EXIT. Once. `reason`:
     * a sentence's end. */
    void (*stop)(void *ctx, const char *reason);
};

/** Copied, but for what the pointers of the hooks name. */
struct fg_member_options {
    const struct fg_member_settings *settings;
    const char *log_dir; /**< a file in it keeps the highest revision of etcd that was seen */
    uint64_t log_id;
    uint32_t items_max;
    struct fg_member_hooks hooks;
};

struct fg_member_view {
    struct fg_fleet_view fleet;
    unsigned member;
    bool claimed; /**< the register is this process's */
    bool stopped;
    bool etcd_ok;                    /**< the newest call ended with an answer */
    char etcd_error[FG_MEMBER_TEXT]; /**< of the newest call that failed; "" = none did */
    uint64_t etcd_ms;                /**< how long the newest call took */
    char seen_error[FG_MEMBER_TEXT]; /**< of fleet.seen, which could not be written; "" = it was */
};

/** The map that these settings describe. */
void fg_member_map(const struct fg_member_settings *settings, struct fg_fleet_map *map);

/** Reads the memory file, and starts the threads; they have their priority when this returns. NULL
 * and err. Main thread. */
struct fg_member *fg_member_start(const struct fg_member_options *options, struct fg_error *err);
/** NULL is nothing. Main thread. False: a call to etcd does not end (a name that is looked up); it
 * is left behind, and so is memory. */
bool fg_member_stop(struct fg_member *m);

/** etcd was read, and knows nothing that forbids to sell what is held. */
bool fg_member_may_sell(struct fg_member *m);
void fg_member_view(struct fg_member *m, struct fg_member_view *view);
/** False: there is no such item here. */
bool fg_member_item_view(struct fg_member *m, uint32_t item, struct fg_fleet_item_view *view);

/** Of the items' settings: it lives as long as the member. */
struct fg_member_catalogue *fg_member_catalogue(struct fg_member *m);

/* ---- for the hooks `begin` and `take` -------------------------------------------------------- */
/* As the functions of lib/fleet of that name. */

bool fg_member_item(struct fg_member *m, uint32_t item, uint64_t id,
                    const struct fg_fleet_counters *log);
void fg_member_bank(struct fg_member *m, uint32_t item, uint32_t least, uint64_t wanted,
                    uint64_t free);
void fg_member_logged(struct fg_member *m, uint64_t seq);
void fg_member_stocked(struct fg_member *m, uint32_t item, int64_t stock);
void fg_member_leased(struct fg_member *m, uint32_t item);
void fg_member_returned(struct fg_member *m, uint32_t item, uint64_t units);

#endif
