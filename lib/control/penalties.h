/* SPDX-License-Identifier: BSD-3-Clause */
/** penalties: handlers of sources that misbehave, and what the penalty box knows of one. */
#ifndef FG_CONTROL_PENALTIES_H
#define FG_CONTROL_PENALTIES_H

#include "control/call.h"

void fg_control_handle_filter_top(struct fg_control_call *call);
void fg_control_handle_penalty_settings(struct fg_control_call *call);
void fg_control_handle_penalty_settings_patch(struct fg_control_call *call);
void fg_control_handle_penalties(struct fg_control_call *call);
void fg_control_handle_penalty_report(struct fg_control_call *call);
void fg_control_handle_penalty_release(struct fg_control_call *call);

/** An address, or an error in the call. text may be NULL. */
bool fg_control_text_source(struct fg_control_call *call, const char *text,
                            struct fg_filter_prefix *address);
/** The worst sources of each class, up to limit. New reference. */
json_t *fg_control_penalty_top(struct fg_penalty *box, unsigned limit);
/** The penalty box's record of an address, or null. */
json_t *fg_control_offender_json(struct fg_control_call *call,
                                 const struct fg_filter_prefix *address);

#endif
