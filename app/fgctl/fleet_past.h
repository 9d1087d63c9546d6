/* SPDX-License-Identifier: BSD-3-Clause */
/** fleet_past: the whole log of a member whose process is stopped, as numbers. Private to fgctl. */
#ifndef FG_FGCTL_FLEET_PAST_H
#define FG_FGCTL_FLEET_PAST_H

#include "fleet/catalogue.h"
#include "fleet/mend.h"
#include "ledger/ledger.h"

struct fg_member_past {
    const char *dir;
    uint64_t id, seq;
    uint64_t last_ms; /**< time of its last record; 0 = unknown */
    int lock;         /**< shared: no daemon writes the log meanwhile; -1 = a copy without a lock */
    struct fg_ledger *ledger;
};

/** False and err: it cannot be read, or a process uses it. Close it either way. */
bool fg_member_past_open(struct fg_member_past *past, const char *dir, struct fg_error *err);
void fg_member_past_close(struct fg_member_past *past);

/** What it says of an item; all zeros but seq when it does not know it. reserved: units in orders
 * that are held, and not paid. */
void fg_member_past_item(const struct fg_member_past *past, uint64_t item,
                         struct fg_fleet_past *numbers, uint64_t *reserved);
/** Its settings, without a version. False: it does not know the item. */
bool fg_member_past_settings(const struct fg_member_past *past, uint64_t item,
                             struct fg_fleet_settings *settings);

#endif
