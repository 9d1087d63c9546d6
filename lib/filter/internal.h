/* SPDX-License-Identifier: BSD-3-Clause */
/** internal: struct fg_filter, for the files of lib/filter and tests of their insides. Private. */
#ifndef FG_FILTER_INTERNAL_H
#define FG_FILTER_INTERNAL_H

#include <net/if.h>
#include <pthread.h>

#include <bpf/libbpf.h>

#include "filter/filter.h"
#include "filter/table.h"

#define FG_FILTER_PATH_MAX        320
#define FG_FILTER_PINS_MAX        256 /**< bytes of options.pins, with the closing zero */
#define FG_FILTER_ATTACHMENTS_MAX 64  /**< interfaces of one filter */
#define FG_FILTER_RATE_MAX        100000000u
#define FG_FILTER_NET_FACTOR_MAX  65536u
#define FG_FILTER_SOURCES_MIN     16u
#define FG_FILTER_SOURCES_MAX     (1u << 27)
#define FG_FILTER_SAMPLE_RATE_MAX 10000u
#define FG_FILTER_PREFIXES_MAX    (1u << 24)
#define FG_FILTER_SAMPLE_RING                                                                      \
    64 /**< samples of a worker that the reader has not taken yet; a power of two */

struct fg_bpf; /* skeleton.h */

/** The program as attached to one interface. The main thread writes it. */
struct fg_filter_attachment {
    char ifname[IF_NAMESIZE];
    struct fg_bpf *bpf;
    int link; /**< descriptor of the pinned link */
};

/** Samples of one worker, in number order; slot = number modulo FG_FILTER_SAMPLE_RING. */
struct fg_filter_sample_ring {
    uint64_t head; /**< samples written; the worker writes it */
    uint64_t tail
        __attribute__((aligned(FG_CACHE_LINE)));         /**< samples taken; the reader writes it */
    struct fg_filter_sample slot[FG_FILTER_SAMPLE_RING]; /**< tail..head - 1 are whole; worker */
} __attribute__((aligned(FG_CACHE_LINE)));

struct fg_filter {
    /* Set by fg_filter_open, read only afterwards. */
    struct fg_filter_options options; /**< pins and object point to the copies below; its rates
                                         and monitor: in force, under `change` */
    struct fg_filter_rates begun;     /**< those that it was opened with */
    char pins[FG_FILTER_PINS_MAX];
    char object_path[512];
    bool memlock_failed;
    struct fg_bpf *base; /**< loaded, attached to nothing: holds the shared maps; NULL: no kernel */
    int counters, samples; /**< descriptors, owned by base; -1: no kernel */
    struct fg_filter_sizes sizes;
    struct fg_filter_tunables tune;
    struct fg_filter_live live;   /**< written under `change`; the data path reads it without */
    int64_t clock_ahead;          /**< ticks of the data path minus ticks of CLOCK_MONOTONIC */
    const struct fg_clock *clock; /**< Unix time; NULL: the system's */
    const char *kept_reason;      /**< see fg_filter_remember; NULL: none */
    uint64_t kept_ticks;

    /*
     * The lists in `memory`. Lock order: bulk, change. The penalty box takes `change` alone, so no
     * thread holds that one during I/O.
     */
    struct fg_filter_mapping memory;
    pthread_mutex_t
        bulk; /**< a walk over a list, or a bulk load: the generation in force stays the same */
    pthread_mutex_t change; /**< an entry, the state, or the generation in force changes */
    uint64_t changes[FG_FILTER_LISTS]; /**< written under `change`, read without */

    struct fg_filter_own own; /**< of fg_filter_verdict_of_frame; main thread */

    struct fg_filter_count (
        *worker_counts)[FG_FILTER_COUNTS]; /**< [worker], written by that worker */
    struct fg_filter_sample_ring *rings;   /**< [worker] */
    unsigned rings_next; /**< whose sample is taken next; the reader of samples writes it */

    struct fg_filter_attachment attachments[FG_FILTER_ATTACHMENTS_MAX]; /**< main thread */
    unsigned attachments_count;
};

#endif
