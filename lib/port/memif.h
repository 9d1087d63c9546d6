/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * memif: stands between the driver of a net_memif port and its peer, on the socket of the control
 * channel.
 *
 * The driver (DPDK 22.11 and later) takes the shared memory away from its own thread as soon as the
 * peer is gone, while a worker may be in the middle of a burst: the worker then reads memory that
 * is not there any more, and the daemon dies. Here the end of a peer is seen first; the workers are
 * kept out of the port and waited for; only then is the driver told, and when it has taken
 * everything down, they may poll again.
 *
 * The peer connects to the socket of the configuration; the driver has one of its own beside it.
 */
#ifndef FG_PORT_MEMIF_H
#define FG_PORT_MEMIF_H

#include "port/port.h"

struct fg_port_memif;

bool fg_port_device_is_memif(const char *device);

/** Before the driver is probed. Writes the devargs for it; NULL and err: wrong arguments, or no
 * socket. */
struct fg_port_memif *fg_port_memif_open(const struct fg_port_group *group,
                                         const struct fg_port *port, char *devargs, size_t size,
                                         struct fg_error *err);
/** Once the device is started. */
bool fg_port_memif_start(struct fg_port_memif *memif, struct fg_error *err);
void fg_port_memif_stop(
    struct fg_port_memif *memif); /**< before the device is stopped; NULL is fine */

#endif
