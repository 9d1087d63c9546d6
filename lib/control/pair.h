/* SPDX-License-Identifier: BSD-3-Clause */
/** pair: the two appliances of a pair, as the operator sees and steers them. */
#ifndef FG_CONTROL_PAIR_H
#define FG_CONTROL_PAIR_H

#include "control/call.h"

void fg_control_handle_pair(struct fg_control_call *call);
void fg_control_handle_pair_switch(struct fg_control_call *call);
void fg_control_handle_pair_solo(struct fg_control_call *call);
void fg_control_handle_pair_join(struct fg_control_call *call);
void fg_control_handle_pair_force(struct fg_control_call *call);
/** 200 where changes and orders are taken, else 503: for load balancers. */
void fg_control_handle_leader(struct fg_control_call *call);

/** False, and 409 with a text: this appliance stands by, and a change belongs to the other one. */
bool fg_control_pair_leads(struct fg_control_call *call);
/** The role of this appliance, "" without a pair. */
const char *fg_control_pair_role(struct fg_control *control);

#endif
