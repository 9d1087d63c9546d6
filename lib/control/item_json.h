/* SPDX-License-Identifier: BSD-3-Clause */
/** item_json: items out of the ledger, copied under its lock, as JSON. */
#ifndef FG_CONTROL_ITEM_JSON_H
#define FG_CONTROL_ITEM_JSON_H

#include "control/call.h"

/** The settings as the operator gives them; what the log does not say is the default. */
void fg_control_item_settings(const struct fg_ledger_item *item, struct fg_control_item *settings);
json_t *fg_control_item_json(const struct fg_ledger_item *item, uint64_t now_ms);
/** "open", "closed", ... */
const char *fg_control_item_state(const struct fg_ledger_item *item, uint64_t now_ms);
json_t *fg_control_time_json(uint64_t ms); /**< text, or null for 0 */
/** Copies out of the locked ledger; false when there is no such item. */
bool fg_control_item_copy(struct fg_control *control, uint64_t item, struct fg_ledger_item *copy);
/** Up to max items from `offset` on, in order of definition; NULL when memory is short. Caller
 * frees. */
struct fg_ledger_item *fg_control_items_copy(struct fg_control *control, uint64_t offset,
                                             uint64_t max, bool retired, uint64_t *count,
                                             uint64_t *all);

#endif
