/* SPDX-License-Identifier: BSD-3-Clause */
/** explain: handler that says what would happen to a packet. */
#ifndef FG_CONTROL_EXPLAIN_H
#define FG_CONTROL_EXPLAIN_H

#include "control/call.h"

void fg_control_handle_explain(struct fg_control_call *call);

#endif
