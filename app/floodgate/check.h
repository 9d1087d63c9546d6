/* SPDX-License-Identifier: BSD-3-Clause */
/** check: whether what the configuration names is there and usable. Main thread. */
#ifndef FG_CHECK_H
#define FG_CHECK_H

#include "config/config.h"

/** Hears each finding as one line, `FILE:LINE: [section] key: ...`. */
typedef void fg_check_tell(void *ctx, bool warning, const char *text);

/** Returns how many problems would stop a start. start: leaves out what the start itself finds
 * anyway. new_log: the start would begin a new log. */
unsigned fg_daemon_check(const struct fg_config *config, bool start, bool new_log,
                         fg_check_tell *tell, void *ctx);

#endif
