/* SPDX-License-Identifier: BSD-3-Clause */
/** rates: handlers of the filter's rates and its monitor mode, beside what the file says. */
#ifndef FG_CONTROL_RATES_H
#define FG_CONTROL_RATES_H

#include "control/call.h"

void fg_control_handle_rates(struct fg_control_call *call);
void fg_control_handle_rates_patch(struct fg_control_call *call);

#endif
