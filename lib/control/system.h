/* SPDX-License-Identifier: BSD-3-Clause */
/** system: handlers of health, keys, snapshots, and decisions over log and sinks. */
#ifndef FG_CONTROL_SYSTEM_H
#define FG_CONTROL_SYSTEM_H

#include "control/call.h"

void fg_control_handle_health(struct fg_control_call *call);
void fg_control_handle_keys_reload(struct fg_control_call *call);
void fg_control_handle_log_snapshot(struct fg_control_call *call);
void fg_control_handle_log_accept(struct fg_control_call *call);
void fg_control_handle_sink_adopt(struct fg_control_call *call);

#endif
