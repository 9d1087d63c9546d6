/* SPDX-License-Identifier: BSD-3-Clause */
/** lists: handlers of the block list and the allow list. */
#ifndef FG_CONTROL_LISTS_H
#define FG_CONTROL_LISTS_H

#include "control/call.h"

void fg_control_handle_block_list(struct fg_control_call *call);
void fg_control_handle_block_add(struct fg_control_call *call);
void fg_control_handle_block_del(struct fg_control_call *call);
void fg_control_handle_block_load(struct fg_control_call *call);
void fg_control_handle_block_save(struct fg_control_call *call);
void fg_control_handle_allow_list(struct fg_control_call *call);
void fg_control_handle_allow_add(struct fg_control_call *call);
void fg_control_handle_allow_del(struct fg_control_call *call);
void fg_control_handle_allow_load(struct fg_control_call *call);
void fg_control_handle_allow_save(struct fg_control_call *call);

#endif
