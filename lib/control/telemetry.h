/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * telemetry: the sheet for dpdk-telemetry.py, one command for each section. DPDK must have started.
 * The main thread starts and stops; DPDK calls `measure` on threads of its own, one at a time.
 */
#ifndef FG_CONTROL_TELEMETRY_H
#define FG_CONTROL_TELEMETRY_H

#include "control/sheet.h"

typedef void fg_control_telemetry_measure(void *ctx, struct fg_control_sheet *sheet);

/** Once in a process. A command that DPDK does not take is told in the log, no error. */
void fg_control_telemetry_start(fg_control_telemetry_measure *measure, void *ctx);
/** After its return `measure` is not called any more. */
void fg_control_telemetry_stop(void);

#endif
