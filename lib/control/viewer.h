/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * viewer: the read-only listener, HTTP on a TCP address of the operator's choice, with threads of
 * its own. It shows numbers and states (/metrics, /healthz, /status), and a page that tells whether
 * the sale goes well (/, which reads /view). It changes nothing, so that Prometheus, a load
 * balancer and a screen on the wall can read the appliance without the rights of the control
 * socket.
 *
 * Its clients need not be friends: it takes few connections, no bodies, and short requests only,
 * and it measures at most every FG_CONTROL_VIEWER_KEEP_MS, however often they ask.
 */
#ifndef FG_CONTROL_VIEWER_H
#define FG_CONTROL_VIEWER_H

#include "control/control.h"

#define FG_CONTROL_VIEWER_KEEP_MS 100 /**< a page is shown again for so long */

struct fg_control_viewer;

/** False and err when fg_control_viewer_start cannot listen at this address of the machine. Does
 * not ask whether the port is taken: the daemon itself may have it. */
bool fg_control_check_viewer(const char *listen, struct fg_error *err);

/** Listens at `listen` ("127.0.0.1:9460", "[::1]:9460"). Of the daemon it calls now_ms,
 * measure, alarms, health, pair, penalty, ledger_lock and ledger_unlock, beside the control thread.
 */
struct fg_control_viewer *fg_control_viewer_start(const char *listen,
                                                  const struct fg_control_daemon *daemon,
                                                  struct fg_error *err);
/** The same at a unix socket, for fgctl and for tunnels: beside the routes of the address it has
 * those of /v1 that only read the numbers of the sale and the sources that misbehave. No orders, no
 * users. */
struct fg_control_viewer *fg_control_viewer_start_socket(const char *path, unsigned mode,
                                                         const char *group,
                                                         const struct fg_control_daemon *daemon,
                                                         struct fg_error *err);
void fg_control_viewer_stop(struct fg_control_viewer *viewer); /**< NULL: nothing happens */

#endif
