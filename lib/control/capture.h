/* SPDX-License-Identifier: BSD-3-Clause */
/** capture: handlers of the stream of captured order packets. */
#ifndef FG_CONTROL_CAPTURE_H
#define FG_CONTROL_CAPTURE_H

#include "control/call.h"

#define FG_CONTROL_CAPTURE_SECONDS     10 /**< when the body says nothing */
#define FG_CONTROL_CAPTURE_SECONDS_MAX 3600

void fg_control_handle_capture(struct fg_control_call *call);
void fg_control_handle_capture_count(struct fg_control_call *call);

#endif
