/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * moment: times and durations as people write them. No clock; any thread.
 */
#ifndef FG_CONTROL_MOMENT_H
#define FG_CONTROL_MOMENT_H

#include "base/base.h"

#define FG_MOMENT_MAX  253402300799999 /**< 9999-12-31T23:59:59.999Z, Unix ms */
#define FG_MOMENT_TEXT 32              /**< bytes for fg_control_time_format */

/** RFC 3339: "2026-11-27T09:00:00Z", "2026-11-27 10:00:00.250+01:00"; from 1970 on; digits behind
 * the millisecond are cut off. */
bool fg_control_time_parse(const char *text, uint64_t *ms, struct fg_error *err);

/** "2026-11-27T09:00:00Z", with milliseconds when there are some. */
void fg_control_time_format(uint64_t ms, char text[FG_MOMENT_TEXT]);

/** "250ms", "90s", "1h30m", "2d"; a bare number is milliseconds. */
bool fg_control_duration_parse(const char *text, uint64_t *ms, struct fg_error *err);

/** Decimal digits only, no sign, no space; false also on overflow. */
bool fg_control_number_parse(const char *text, uint64_t *number);

#endif
