/* SPDX-License-Identifier: BSD-3-Clause */
/** constants: our program with its rates as constants, to measure what it costs to read them. */
#ifndef FG_BENCH_CONSTANTS_H
#define FG_BENCH_CONSTANTS_H

/** A second load of this program of ours, which shares all its maps, but has its rates in a frozen
 * map, whose values the verifier takes for constants. Its descriptor; exits when it cannot be had.
 */
int constants_load(int program);

#endif
