/* SPDX-License-Identifier: BSD-3-Clause */
/** harness: TAP lines, a pin folder that goes away whatever happens, and running the program on one
 * frame. */
#ifndef FG_TEST_HARNESS_H
#define FG_TEST_HARNESS_H

#include "filter/filter.h"
#include "frames.h"

#define SKIP_STATUS 77

/** One TAP line; returns cond. */
__attribute__((format(printf, 2, 3))) bool ok(bool cond, const char *fmt, ...);
/** A line of explanation. */
__attribute__((format(printf, 1, 2))) void note(const char *fmt, ...);

/**
 * Runs `body` in a process of its own with a fresh pin folder, which is removed in any case.
 * Returns the exit status of the test program: 0, 1, or SKIP_STATUS when BPF cannot be used here.
 */
int sandbox(const char *name, void (*body)(const char *pins));

/** Order port 4600, no rates, room for 64 prefixes and 1,024 sources, IPv6 sources of 56 bits. */
struct fg_filter_options plain_options(const char *pins);
/** Opens or ends the test. */
struct fg_filter *must_open(const struct fg_filter_options *options);
struct fg_filter_prefix must_parse(const char *text);

/** The program run `repeat` times on the frame (by BPF_PROG_TEST_RUN): the last XDP action, or -1.
 */
int run_program(int program, const struct frame *frame, int repeat);
/** The XDP action of a TCP packet from an address. */
int verdict_of(struct fg_filter *filter, const char *src);
/** The XDP action that follows from a verdict, with a socket in place. */
int action_of(enum fg_filter_verdict verdict);
/** Which counter moved, when exactly one did by one; -1 otherwise. */
int counter_moved(const uint64_t before[], const uint64_t after[]);
/** Descriptor of a map that the program uses, by name; -1. The caller closes it. */
int map_of_program(int program, const char *name);
/** Puts an AF_XDP socket that receives nothing into xsks_map[queue]; its descriptor, or -1. */
int place_socket(int program, uint32_t queue);
uint64_t hits_of(struct fg_filter *filter, enum fg_filter_list list,
                 const struct fg_filter_prefix *prefix);

#endif
