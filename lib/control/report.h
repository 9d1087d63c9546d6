/* SPDX-License-Identifier: BSD-3-Clause */
/** report: handlers of /metrics, /v1/stats and /v1/status. */
#ifndef FG_CONTROL_REPORT_H
#define FG_CONTROL_REPORT_H

#include "control/call.h"

void fg_control_handle_status(struct fg_control_call *call);
void fg_control_handle_stats(struct fg_control_call *call);
void fg_control_handle_metrics(struct fg_control_call *call);

/** Every counter and state of this moment; NULL when memory is short. */
struct fg_control_sheet *fg_control_measure_now(struct fg_control *control);

#endif
