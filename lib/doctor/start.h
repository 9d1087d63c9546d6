/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * start: whether the things that the configuration names are there and usable: the checks of a
 * start and of `floodgate --check`. Needs DPDK, which the other checks do not. Main thread.
 */
#ifndef FG_DOCTOR_START_H
#define FG_DOCTOR_START_H

#include "config/config.h"

/** Hears each finding as one line, `FILE:LINE: [section] key: ...`. */
typedef void fg_doctor_start_tell(void *ctx, bool warning, const char *text);

/** Returns how many problems would stop a start. start: leaves out what the start itself finds
 * anyway. new_log: the start would begin a new log. */
unsigned fg_doctor_start_check(const struct fg_config *config, bool start, bool new_log,
                               fg_doctor_start_tell *tell, void *ctx);

#endif
