/* SPDX-License-Identifier: BSD-3-Clause */
/** load: what the workers take from the ledger before their loops start. Main thread. */
#ifndef FG_WORKER_LOAD_H
#define FG_WORKER_LOAD_H

#include "ledger/ledger.h"
#include "worker/group.h"

/**
 * Gives every engine the items, and the orders of its users. Progress goes to notify.h. False and
 * err when the ledger holds more than the limits of the workers allow.
 */
bool fg_worker_group_load(struct fg_worker_group *group, const struct fg_ledger *ledger,
                          struct fg_error *err);

#endif
