/* SPDX-License-Identifier: BSD-3-Clause */
/** samples: handler of sampled drops. */
#ifndef FG_CONTROL_SAMPLES_H
#define FG_CONTROL_SAMPLES_H

#include "control/call.h"

void fg_control_handle_samples(struct fg_control_call *call);

#endif
