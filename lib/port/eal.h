/* SPDX-License-Identifier: BSD-3-Clause */
/** eal: the arguments that DPDK starts with, and the kinds of devices by their name. */
#ifndef FG_PORT_EAL_H
#define FG_PORT_EAL_H

#include "port/port.h"

#define FG_PORT_ARGUMENTS_MAX 64

struct fg_port_arguments {
    int count;
    char *list[FG_PORT_ARGUMENTS_MAX]; /**< the caller frees them, if DPDK did not get them */
};

/** huge_dir: the mount of hugepages to use; NULL = no hugepages. */
void fg_port_eal_arguments(const struct fg_port_group_options *options, const char *program,
                           const char *huge_dir, struct fg_port_arguments *arguments);

/** Waits up to 2 s for the end of a process that has this prefix. False and err: it has it still.
 */
bool fg_port_eal_wait_for_prefix(const char *file_prefix, struct fg_error *err);

bool fg_port_device_is_pci(const char *device);

#endif
