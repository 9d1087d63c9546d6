/* SPDX-License-Identifier: BSD-3-Clause */
/** items: handlers of items, their stock and their switches. */
#ifndef FG_CONTROL_ITEMS_H
#define FG_CONTROL_ITEMS_H

#include "control/call.h"

void fg_control_handle_items(struct fg_control_call *call);
void fg_control_handle_item(struct fg_control_call *call);
void fg_control_handle_item_create(struct fg_control_call *call);
void fg_control_handle_item_patch(struct fg_control_call *call);
void fg_control_handle_item_stock(struct fg_control_call *call);
void fg_control_handle_item_open(struct fg_control_call *call);
void fg_control_handle_item_close(struct fg_control_call *call);
void fg_control_handle_item_pause(struct fg_control_call *call);
void fg_control_handle_item_resume(struct fg_control_call *call);

#endif
