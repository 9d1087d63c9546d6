/* SPDX-License-Identifier: BSD-3-Clause */
/** http: between libmicrohttpd's callbacks and the handlers of routes. */
#ifndef FG_CONTROL_HTTP_H
#define FG_CONTROL_HTTP_H

#include <microhttpd.h>

#include "control/call.h"

struct fg_control_http_limits {
    unsigned connections, timeout_s; /**< of a silent connection */
    size_t memory;                   /**< of a connection: its request line and headers, bytes */
};

/**
 * Serves the routes of `control` at the socket `fd`. Each connection has a thread, so that a
 * stream, or /healthz, waits for no other request. The threads begin with all signals blocked,
 * which are the main thread's. NULL when it cannot start; the caller ends it by MHD_stop_daemon.
 */
struct MHD_Daemon *fg_control_http_start(struct fg_control *control, int fd,
                                         const struct fg_control_http_limits *limits);

#endif
