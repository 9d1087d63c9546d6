/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * measure: the one walk over the counters: from the features into a sheet (metrics.h), which
 * becomes JSON, metrics and DPDK's telemetry. Any thread but a worker.
 */
#ifndef FG_CONTROL_MEASURE_H
#define FG_CONTROL_MEASURE_H

#include "control/control.h"
#include "control/sheet.h"
#include "health/health.h"
#include "inbound/inbound.h"
#include "journal/thread.h"
#include "ledger/follower.h"
#include "penalty/penalty.h"
#include "port/port.h"
#include "sink/group.h"
#include "worker/group.h"

/** The sources of the numbers. None is NULL, unless said otherwise. */
struct fg_control_parts {
    const struct fg_worker_group *workers;
    const struct fg_port_group *ports;
    struct fg_filter *filter; /**< NULL = off */
    struct fg_penalty *penalty;
    struct fg_health *alarms;
    const char *log_way; /**< fg_journal_way_name; may be NULL */
    struct fg_journal_thread *journal_thread;
    const char *log_dir;
    bool log_in_memory;
    struct fg_journal_archive *archive; /**< NULL = none */
    struct fg_ledger_follower *follower;
    const struct fg_sink_group *sinks;
    struct fg_inbound *inbound;           /**< NULL = off */
    const struct fg_control_pair *pair;   /**< NULL = none */
    const struct fg_control_fleet *fleet; /**< NULL = none */
    const struct fg_clock *clock;
};

void fg_control_measure(const struct fg_control_parts *parts, struct fg_control_sheet *sheet);

#endif
