/* SPDX-License-Identifier: BSD-3-Clause */
/** hugepages: which of them DPDK can have. The main thread, before DPDK starts. */
#ifndef FG_PORT_HUGEPAGES_H
#define FG_PORT_HUGEPAGES_H

#include "base/base.h"

/** A mounted hugetlbfs. */
struct fg_port_hugepages {
    char dir[256];
    uint64_t page_bytes;
};

/** Takes away the files, and with them the pages, that a killed process of this prefix left. */
void fg_port_hugepages_reclaim(const char *file_prefix);
void fg_port_hugepages_reclaim_dir(const char *dir, const char *file_prefix); /**< in one folder */

/**
 * Finds a mount that gives so many bytes, the one of the largest pages first. It takes the pages to
 * be sure, and gives them back. False, and `why` has the reason for each mount.
 */
bool fg_port_hugepages_find(uint64_t bytes, const char *file_prefix,
                            struct fg_port_hugepages *found, struct fg_error *why);

#endif
