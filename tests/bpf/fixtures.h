/* SPDX-License-Identifier: BSD-3-Clause */
/** fixtures: frames and what is to become of them, for the BPF program and for the user-space build
 * alike. */
#ifndef FG_TEST_FIXTURES_H
#define FG_TEST_FIXTURES_H

#include "filter/filter.h"
#include "frames.h"

struct fixture {
    const char *name;
    struct frame_spec frame;
    enum fg_filter_verdict verdict; /* the action and the one counter that moves follow from it */
    const char *hit;                /* entry of a list whose counter of hits moves */
};

struct listed {
    enum fg_filter_list list;
    const char *prefix;
};

/** Fixtures under one set of lists; no rates. */
struct scenario {
    const char *name;
    const struct listed *lists;
    unsigned lists_count;
    const struct fixture *fixtures;
    unsigned fixtures_count;
    const struct fg_filter_own_addresses *own; /* NULL: any address is taken for ours */
};

extern const struct scenario scenarios[];
extern const unsigned scenarios_count;
/** With the order ports 65533 to 65535. */
extern const struct scenario scenario_ports;

#endif
