/* SPDX-License-Identifier: BSD-3-Clause */
/** object: the compiled BPF program as bytes, linked into lib/filter (made by embed.py). */
#ifndef FG_XDP_OBJECT_H
#define FG_XDP_OBJECT_H

#include <stddef.h>

extern const unsigned char fg_xdp_object[];
extern const size_t fg_xdp_object_size;

#endif
