/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * peers: the connections of the control socket. A client that sends its request byte by byte, or
 * keeps an idle connection, must not lock operators out: a connection that has waited too long for
 * its request to end is cut off when another one comes, and the oldest of them when slots are
 * scarce. One whose request is being handled is left alone.
 */
#ifndef FG_CONTROL_PEERS_H
#define FG_CONTROL_PEERS_H

#include <microhttpd.h>

/** The server takes this many times the connections that are kept: those that were cut off are
 * still being closed when newcomers come. */
#define FG_CONTROL_PEERS_CAPACITY(max) (4 * (max))
#define FG_CONTROL_PEERS_KEPT          8     /**< slots that are kept for newcomers */
#define FG_CONTROL_REQUEST_MS          20000 /**< a request must be complete after this time */

struct fg_control_peers;

/** max: connections that are kept. NULL: no memory. */
struct fg_control_peers *fg_control_peers_create(unsigned max);
void fg_control_peers_destroy(struct fg_control_peers *peers);

/** libmicrohttpd's MHD_OPTION_NOTIFY_CONNECTION, with the peers as its argument. */
void fg_control_peers_notify(void *peers, struct MHD_Connection *connection, void **context,
                             enum MHD_ConnectionNotificationCode why);

/** The request of this connection is complete and is handled; or it has ended. */
void fg_control_peers_busy(struct fg_control_peers *peers, struct MHD_Connection *connection);
void fg_control_peers_idle(struct fg_control_peers *peers, struct MHD_Connection *connection);

#endif
