/* SPDX-License-Identifier: BSD-3-Clause */
/** waiting: handlers of waiting lists. */
#ifndef FG_CONTROL_WAITING_H
#define FG_CONTROL_WAITING_H

#include "control/call.h"

void fg_control_handle_waiting(struct fg_control_call *call);       /**< of an item, in order */
void fg_control_handle_waiting_user(struct fg_control_call *call);  /**< places of a user */
void fg_control_handle_waiting_clear(struct fg_control_call *call); /**< all leave */

#endif
