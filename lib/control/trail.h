/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * trail: the audit trail of the control socket: a line for every change that a client asked for:
 * who (by the credentials that the kernel keeps of the connection), what, when, and the outcome. A
 * file of JSON lines; when it is full it becomes the older of two, so that at most twice
 * FG_CONTROL_TRAIL_BYTES are kept.
 *
 * Reports of offences are not changes of an operator, and come by the thousand: they are left out.
 */
#ifndef FG_CONTROL_TRAIL_H
#define FG_CONTROL_TRAIL_H

#include "control/routes.h"

#define FG_CONTROL_TRAIL_FILE  "audit.jsonl" /**< in the folder of the log */
#define FG_CONTROL_TRAIL_OLDER ".old"        /**< added to the name of the older file */
#define FG_CONTROL_TRAIL_BYTES (4u << 20)    /**< of one file */
#define FG_CONTROL_TRAIL_BODY  512           /**< bytes of a request's body that are kept */

/** Runs the handler; a change is written to the trail with its outcome. Under the server's lock. */
void fg_control_trail_run(struct fg_control_call *call, const struct fg_control_route *route);

void fg_control_handle_audit(struct fg_control_call *call);

#endif
