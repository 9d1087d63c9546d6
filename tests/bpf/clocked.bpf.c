/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* The program of xdp/, with a clock that test_sequences.c moves. Nothing else differs. */
#include <stdint.h>

volatile uint64_t fg_test_now = 1;
#define FG_NOW fg_test_now

#include "xdp/floodgate.bpf.c"
