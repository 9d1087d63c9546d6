/* SPDX-License-Identifier: BSD-3-Clause */
/** skeleton: the BPF program as bytes, with its maps and programs by name (made by bpftool).
 * Private. */
#ifndef FG_FILTER_SKELETON_H
#define FG_FILTER_SKELETON_H

#include "xdp/shared.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include "xdp/floodgate.skel.h"
#pragma GCC diagnostic pop

#endif
