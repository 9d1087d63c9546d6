/* SPDX-License-Identifier: BSD-3-Clause */
/** steer: flow rules that bring each worker's order port to a queue that it polls. */
#ifndef FG_PORT_STEER_H
#define FG_PORT_STEER_H

#include "port/port.h"

/** After the device is started. A driver that takes no flow rules is told in the log, no error. */
void fg_port_steer(const struct fg_port_group *group, const struct fg_port *port);

#endif
