/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * wheel: one timer for each of n members, in a hashed wheel (Varghese, Lauck 1987) of about 1 ms a
 * slot. Setting, cancelling and taking are O(1). One thread.
 */
#ifndef FG_BLAST_WHEEL_H
#define FG_BLAST_WHEEL_H

#include "base/base.h"

#define FG_WHEEL_NONE UINT32_MAX

struct fg_wheel;

/** NULL when out of memory. Time begins at now_ns. */
struct fg_wheel *fg_wheel_create(uint32_t members, uint64_t now_ns);
void fg_wheel_destroy(struct fg_wheel *wheel);

/** Replaces the member's timer. Fires at the first take at or after due_ns, at most two slots late.
 */
void fg_wheel_set(struct fg_wheel *wheel, uint32_t member, uint64_t due_ns);
void fg_wheel_cancel(struct fg_wheel *wheel, uint32_t member);

/** A member whose timer is due, or FG_WHEEL_NONE; its timer is off then. now_ns never goes back. */
uint32_t fg_wheel_take(struct fg_wheel *wheel, uint64_t now_ns);

#endif
