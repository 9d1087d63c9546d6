/* SPDX-License-Identifier: BSD-3-Clause */
/** theirs: the programs of xdp-filter, loaded from its BPF objects without its loader. */
#ifndef FG_BENCH_THEIRS_H
#define FG_BENCH_THEIRS_H

#include <stdint.h>

/** xdpfilt_NAME.o with an IPv4 source (network byte order; 0: none) that it drops. Its descriptor,
 * or -1. */
int theirs_load(const char *name, uint32_t blocked);

#endif
