/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * resolve: the addresses of a host's name, within a bounded time. getaddrinfo may take a minute
 * when no name server answers, and cannot be stopped: it runs in a thread of its own, which is left
 * behind when the caller's time is over.
 */
#ifndef FG_BASE_RESOLVE_H
#define FG_BASE_RESOLVE_H

#include "base/wait.h"

#define FG_RESOLVE_MAX 16 /**< addresses of a name that are used */
#define FG_RESOLVE_PENDING                                                                         \
    16 /**< look-ups left behind at a time; then further ones fail at once                         \
        */

struct fg_resolve_list {
    unsigned count;
    char text[FG_RESOLVE_MAX][46]; /**< numeric, IPv4 or IPv6 */
};

/** An address stands for itself. False and err: no such name, or no answer in time. */
bool fg_resolve(const char *host, const struct fg_wait *wait, uint64_t deadline_ms,
                struct fg_resolve_list *list, struct fg_error *err);

#endif
