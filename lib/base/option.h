/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * option: numbers of a program's command line. What is wrong is told on standard error, with the
 * program, the option, the text and what is accepted. Any thread.
 */
#ifndef FG_BASE_OPTION_H
#define FG_BASE_OPTION_H

#include <stdbool.h>
#include <stdint.h>

/** Says that --NAME TEXT is wrong. Always false. */
bool fg_option_wrong(const char *name, const char *text, const char *accepted);

/** A decimal number of min to max. False: told. */
bool fg_option_number(const char *name, const char *text, uint64_t min, uint64_t max,
                      uint64_t *value);

/** 0 to 1. False: told. */
bool fg_option_share(const char *name, const char *text, double *value);

/** "FIRST-LAST", or one number for both; first ≤ last. False: told. */
bool fg_option_range(const char *name, const char *text, uint64_t min, uint64_t max,
                     uint64_t *first, uint64_t *last);

#endif
