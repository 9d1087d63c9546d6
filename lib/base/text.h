/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * text: numbers, identifiers and times as people and programs write them. Pure; any thread.
 */
#ifndef FG_BASE_TEXT_H
#define FG_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

/** Decimal digits only, no sign, no space; false also on overflow. */
bool fg_text_number(const char *text, uint64_t *number);

/** Two lower-case digits a byte; text holds 2 * size + 1 bytes. */
void fg_text_hex(char *text, const void *bytes, size_t size);
/** Exactly 2 * size hexadecimal digits in either case, and nothing behind them. */
bool fg_text_hex_read(const char *text, void *bytes, size_t size);

#define FG_TEXT_ORDER "32 hex digits, or a UUID with dashes" /**< for messages and help */
/** The id of an order as people and programs write it: FG_TEXT_ORDER, in either case. */
bool fg_text_order_read(const char *text, uint8_t order_id[16]);

#define FG_TEXT_TIME_MAX  253402300799999 /**< 9999-12-31T23:59:59.999Z, Unix ms */
#define FG_TEXT_TIME_SIZE 32              /**< bytes for fg_text_time */

/** "2026-11-27T09:00:00Z", with milliseconds when there are some. */
void fg_text_time(char text[FG_TEXT_TIME_SIZE], uint64_t unix_ms);
/** RFC 3339: "2026-11-27T09:00:00Z", "2026-11-27 10:00:00.250+01:00"; from 1970 on; digits behind
 * the millisecond are cut off. */
bool fg_text_time_read(const char *text, uint64_t *unix_ms, struct fg_error *err);

#define FG_TEXT_MOMENT_MIN 946684800000 /**< 2000-01-01T00:00:00Z, Unix ms */

/**
 * Whether a number that was given as Unix milliseconds is a plausible time: from 2000 to 9999.
 * When it is not, err says so, and which unit it looks like.
 */
bool fg_text_moment_check(uint64_t unix_ms, struct fg_error *err);

/** "250ms", "90s", "1h30m", "2d"; a bare number is milliseconds. */
bool fg_text_duration_read(const char *text, uint64_t *ms, struct fg_error *err);

#endif
