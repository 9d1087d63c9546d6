/* SPDX-License-Identifier: BSD-3-Clause */
/** orders: handler of one order. */
#ifndef FG_CONTROL_ORDERS_H
#define FG_CONTROL_ORDERS_H

#include "control/call.h"

void fg_control_handle_order(struct fg_control_call *call);

#endif
