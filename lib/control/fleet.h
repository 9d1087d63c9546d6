/* SPDX-License-Identifier: BSD-3-Clause */
/** fleet: this appliance as a member of a fleet, and the pools, as the operator sees them. */
#ifndef FG_CONTROL_FLEET_H
#define FG_CONTROL_FLEET_H

#include "control/call.h"

/** Numbers of members, of their bits. */
json_t *fg_control_members_json(uint32_t bits);

void fg_control_handle_fleet(struct fg_control_call *call);
void fg_control_handle_fleet_items(struct fg_control_call *call);

#endif
