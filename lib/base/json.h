/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * json: small things that every writer and reader of JSON needs (jansson). Any thread.
 *
 * Identifiers of 64 bits (users, items) are JSON strings on output: jq and JavaScript keep only 53
 * bits of a number. On input a string or a whole number is taken, whichever the client has.
 */
#ifndef FG_BASE_JSON_H
#define FG_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/** "18446744073709551615". New reference. */
json_t *fg_json_id(uint64_t id);
/** A string of decimal digits only, or an integer from 0 on; false: anything else, or too large. */
bool fg_json_id_read(const json_t *value, uint64_t *id);

/** A new reference to text; "(not UTF-8)" when it is none. */
json_t *fg_json_text(const char *text);

#endif
