/* SPDX-License-Identifier: BSD-3-Clause */
/** orders: handlers of orders. */
#ifndef FG_CONTROL_ORDERS_H
#define FG_CONTROL_ORDERS_H

#include "control/call.h"

void fg_control_handle_order(struct fg_control_call *call);
void fg_control_handle_order_steps(struct fg_control_call *call); /**< of a traced one */
void fg_control_handle_orders(struct fg_control_call *call);      /**< of one user */
void fg_control_handle_order_refund(struct fg_control_call *call);

#endif
