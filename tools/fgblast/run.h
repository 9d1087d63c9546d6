/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * run: the poll loops: world or flat packets on one side, the port (or a pcap file) on the other,
 * and a clock.
 */
#ifndef FG_BLAST_RUN_H
#define FG_BLAST_RUN_H

#include <signal.h>

#include "frame/frame.h"
#include "tools/fgblast/crowd.h"
#include "tools/fgblast/flat.h"
#include "tools/fgblast/pcap.h"
#include "tools/fgblast/port.h"
#include "tools/fgblast/report.h"

struct fg_clock {
    uint64_t begun_ns; /**< Unix time */
    uint64_t begun_tsc;
    uint64_t ns_per_tick; /**< in 2^-32 */
};

struct fg_run {
    const struct fg_blast_options *options;
    struct fg_clock clock;
    struct fg_port *port; /**< NULL: packets go to the pcap file only, and time is made up */
    struct fg_pcap *pcap; /**< may be NULL */
    struct fg_frames frames;
    struct fg_world *world; /**< or crowd, or flat */
    struct fg_crowd *crowd;
    struct fg_flat *flat;
    struct fg_summary summary;
    volatile sig_atomic_t *stop, *enough;
};

/** Unix time in nanoseconds; never goes back. */
void fg_clock_start(struct fg_clock *clock);
uint64_t fg_clock_now(const struct fg_clock *clock);

/** Finds the server's MAC address if the options do not give it. */
bool fg_run_find_server(struct fg_run *run, struct fg_error *err);

/** Until the world, the crowd or the flat run is done, or *stop. After *enough no new order begins.
 */
void fg_run_world(struct fg_run *run);
void fg_run_crowd(struct fg_run *run);
void fg_run_flat(struct fg_run *run);

#endif
