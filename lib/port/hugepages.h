/* SPDX-License-Identifier: BSD-3-Clause */
/** hugepages: which of them DPDK can have. */
#ifndef FG_PORT_HUGEPAGES_H
#define FG_PORT_HUGEPAGES_H

#include <stdint.h>

/** Takes away the files, and with them the pages, that a killed process of this prefix left. */
void fg_port_hugepages_reclaim(const char *file_prefix);
uint64_t fg_port_hugepages_free_bytes(void);

#endif
