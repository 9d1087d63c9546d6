/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * wait: how a thread that talks to a server waits: bounded by a deadline, woken by an eventfd,
 * never beyond the moment at which it was told to give up. Times are monotonic milliseconds.
 */
#ifndef FG_BASE_WAIT_H
#define FG_BASE_WAIT_H

#include <stdatomic.h>

#include "base/base.h"
#include "base/clock.h"

struct fg_wait {
    int wake_fd; /**< eventfd; readable when something outside changed. -1 = none */
    const _Atomic uint64_t *give_up_ms; /**< no wait goes beyond it. NULL or 0 = no such time */
};

/** The deadline has passed, or the time to give up has. */
bool fg_wait_over(const struct fg_wait *wait, uint64_t deadline_ms);

/** Polls fd (-1 = none) until deadline_ms. Returns its events; 0 at a wake-up or at the end. */
short fg_wait_fd(const struct fg_wait *wait, int fd, short events, uint64_t deadline_ms);

/** Sleeps up to ms, less when woken or when the time to give up comes. */
void fg_wait_ms(const struct fg_wait *wait, uint64_t ms);

#endif
