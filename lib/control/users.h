/* SPDX-License-Identifier: BSD-3-Clause */
/** users: handlers of denied users and of users that ask too often. */
#ifndef FG_CONTROL_USERS_H
#define FG_CONTROL_USERS_H

#include "control/call.h"

void fg_control_handle_denied_list(struct fg_control_call *call);
void fg_control_handle_denied_add(struct fg_control_call *call);
void fg_control_handle_denied_del(struct fg_control_call *call);
void fg_control_handle_worst(struct fg_control_call *call);

#endif
