/* SPDX-License-Identifier: BSD-3-Clause */
/** eal: the kinds of devices, by their name. */
#ifndef FG_PORT_EAL_H
#define FG_PORT_EAL_H

#include <stdbool.h>

bool fg_port_device_is_pci(const char *device);

#endif
