/* SPDX-License-Identifier: BSD-3-Clause */
/** links: the start and end of the watch over the links, for port.c. */
#ifndef FG_PORT_LINKS_H
#define FG_PORT_LINKS_H

#include "port/port.h"

void fg_port_links_start(struct fg_port_group *group); /**< once the devices are started */
void fg_port_links_stop(struct fg_port_group *group);

#endif
