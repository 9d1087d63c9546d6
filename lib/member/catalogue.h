/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * catalogue: the settings of the items of a fleet at one member (docs/fleet.md). A change is
 * written to etcd where the operator asks for it; each member reads it, applies it to its own
 * engine, and says so in etcd.
 *
 * Any thread, unless a function says otherwise. Those that wait say for how long.
 */
#ifndef FG_MEMBER_CATALOGUE_H
#define FG_MEMBER_CATALOGUE_H

#include "fleet/catalogue.h"
#include "fleet/fleet.h"
#include "member/options.h"

struct fg_member_catalogue;

enum fg_member_published {
    FG_MEMBER_PUBLISHED,
    FG_MEMBER_CONFLICT,   /**< another change was faster; nothing was changed */
    FG_MEMBER_UNPUBLISHED /**< err says whether it may still happen */
};

struct fg_member_catalogue_view {
    bool complete;   /**< all was read, applied, and said once */
    int64_t newest;  /**< revision of the newest settings */
    uint32_t behind; /**< bit m: member m has not applied them */
    char error[256]; /**< of settings that cannot be applied here; "" = none */
};

/* ---- for the thread that applies ------------------------------------------------------------- */

/** Waits up to wait_ms for settings that are to be applied; then call _result. */
bool fg_member_catalogue_next(struct fg_member_catalogue *mc, unsigned wait_ms,
                              struct fg_fleet_listed *listed);
/** error: why they are not in force, a sentence's end; NULL = they are, and are durable. */
void fg_member_catalogue_result(struct fg_member_catalogue *mc,
                                const struct fg_fleet_listed *listed, const char *error);

/* ---- for the control server ------------------------------------------------------------------ */

/** Zeros when etcd has no settings of it. */
void fg_member_catalogue_item(struct fg_member_catalogue *mc, uint64_t item,
                              struct fg_fleet_listed *listed);
/** Writes settings that were made from those of version `base` (0: the item is new), if etcd still
 * has these; sets their version. *revision: for _wait. Waits for etcd, up to 3 s. One thread
 * at a time. */
enum fg_member_published fg_member_catalogue_publish(struct fg_member_catalogue *mc, uint64_t item,
                                                     uint64_t base,
                                                     struct fg_fleet_settings *settings,
                                                     int64_t *revision, struct fg_error *err);
/** Until all members have applied this version of an item, which has `revision`, up to wait_ms;
 * those that did not are in the answer, and are not waited for again before they are back. */
uint32_t fg_member_catalogue_wait(struct fg_member_catalogue *mc, uint64_t item, uint64_t version,
                                  int64_t revision, unsigned wait_ms);
void fg_member_catalogue_view(struct fg_member_catalogue *mc,
                              struct fg_member_catalogue_view *view);

/* ---- private to lib/member ------------------------------------------------------------------- */

/** NULL and err. Its own connection to etcd, for _publish. */
struct fg_member_catalogue *fg_member_catalogue_create(const struct fg_member_settings *settings,
                                                       const char *register_key, uint32_t items_max,
                                                       struct fg_error *err);
void fg_member_catalogue_destroy(struct fg_member_catalogue *mc); /**< NULL is nothing */
/** Revision of the register, 0 = not claimed; and what the fleet's thread knows. */
void fg_member_catalogue_state(struct fg_member_catalogue *mc, int64_t register_revision,
                               const struct fg_fleet_view *view);
void fg_member_catalogue_value(struct fg_member_catalogue *mc, const char *key, int64_t revision,
                               const char *text);
/** The values of an answer were given; all: of all keys. */
void fg_member_catalogue_read(struct fg_member_catalogue *mc, bool all);
/** True: key and text are to be written. */
bool fg_member_catalogue_must_say(struct fg_member_catalogue *mc, int64_t *revision);
void fg_member_catalogue_said(struct fg_member_catalogue *mc, int64_t revision);

#endif
