/* SPDX-License-Identifier: BSD-3-Clause */
/** internal: what the files of lib/filter share. Nobody else includes it. */
#ifndef FG_FILTER_INTERNAL_H
#define FG_FILTER_INTERNAL_H

#include <net/if.h>
#include <pthread.h>

#include <bpf/libbpf.h>

#include "filter/filter.h"
#include "filter/table.h"

#define FG_PATH_MAX        320
#define FG_PINS_MAX        256 /**< bytes of options.pins, with the closing zero */
#define FG_SHIELDS_MAX     64  /**< interfaces of one filter */
#define FG_RATE_MAX        100000000u
#define FG_NET_FACTOR_MAX  65536u
#define FG_SOURCES_MIN     16u
#define FG_SOURCES_MAX     (1u << 27)
#define FG_SAMPLE_RATE_MAX 10000u
#define FG_PREFIXES_MAX    (1u << 24)
#define FG_SAMPLE_RING     64 /**< samples of a worker that nobody has taken yet; a power of two */

struct fg_bpf; /* skeleton.h */

/** The program as attached to one interface. */
struct fg_filter_attachment {
    char ifname[IF_NAMESIZE];
    struct fg_bpf *bpf;
    int link; /**< descriptor of the pinned link */
};

/** Of one worker: it writes head and what is between, the reader writes tail. */
struct fg_filter_sample_ring {
    uint64_t head;
    uint64_t tail __attribute__((aligned(FG_CACHE_LINE)));
    struct fg_filter_sample slot[FG_SAMPLE_RING];
} __attribute__((aligned(FG_CACHE_LINE)));

struct fg_filter {
    struct fg_filter_options options; /**< pins and object point to the copies below */
    char pins[FG_PINS_MAX];
    char object_path[512];
    bool memlock_failed;
    struct fg_bpf *base; /**< loaded, attached to nothing: holds the shared maps; NULL: no kernel */
    pthread_mutex_t change; /**< of lists, in this process */
    int counters, samples;  /**< descriptors, owned by base */
    struct fg_filter_sizes sizes;
    struct fg_filter_mapping memory;
    struct fg_filter_tunables tune;
    const char *kept_reason; /**< see fg_filter_remember; NULL: none */
    uint64_t kept_ticks;
    int64_t clock_ahead; /**< ticks of the data path minus ticks of CLOCK_MONOTONIC */
    struct fg_filter_count (
        *judged)[FG_COUNTS];             /**< by fg_filter_verdict_of_frame, for each worker */
    struct fg_filter_sample_ring *rings; /**< the same */
    unsigned rings_next;                 /**< whose sample is taken next */
    struct fg_filter_attachment shields[FG_SHIELDS_MAX];
    unsigned shields_count;
};

/* pins.c */
/** Makes the folder, on a bpffs: mounts one when there is none. */
bool fg_filter_pins_prepare(const char *pins, struct fg_error *err);
/** "PINS/KIND-IFNAME"; a dot, which bpffs does not take, becomes a colon, which no interface name
 * has. */
void fg_filter_pins_name(char *path, size_t size, const char *pins, const char *kind,
                         const char *ifname);
/** Every map of the object that is pinned already must be what the object wants. */
bool fg_filter_pins_match(const struct bpf_object *object, struct fg_error *err);

/* byhand.c */
/** Pins the program as "prog-IFNAME", in the place of one before. */
bool fg_filter_pins_program(const struct fg_filter *filter, const char *ifname, int program,
                            struct fg_error *err);

/* load.c */
/** A loaded object: pinned maps reused or created; ifname NULL: with an xsks_map of its own, not
 * pinned. */
struct fg_bpf *fg_filter_load_object(struct fg_filter *filter, const char *ifname,
                                     struct fg_error *err);
void fg_unload(struct fg_bpf *bpf); /**< NULL: nothing */

void fg_filter_tunables_of(const struct fg_filter_options *options,
                           const struct fg_filter_sizes *sizes, struct fg_filter_tunables *tune);
/** Maps the shared maps into memory and starts or repairs what is in them. */
bool fg_filter_open_maps(struct fg_filter *filter, struct fg_error *err);

/* resize.c */
/** Before maps are made: moves pins of other sizes aside; refuses those of another layout. */
bool fg_resize_prepare(const struct fg_filter *filter, struct fg_error *err);
/** Copies the lists out of the maps that stand aside, then removes those. */
bool fg_resize_finish(struct fg_filter *filter, struct fg_error *err);

/* lists.c */
uint64_t fg_filter_ticks_now(const struct fg_filter *filter);
uint64_t fg_filter_ticks_of_unix(const struct fg_filter *filter, uint64_t ms);
uint64_t fg_filter_unix_of_ticks(const struct fg_filter *filter, uint64_t ticks);
void fg_filter_listed_of_prefix(enum fg_filter_list list, const struct fg_filter_prefix *prefix,
                                struct fg_filter_listed *listed);
void fg_filter_prefix_of_listed(const struct fg_filter_listed *listed,
                                struct fg_filter_prefix *prefix);
const char *fg_filter_list_name(enum fg_filter_list list);
bool fg_filter_listed_is_over(const struct fg_filter_listed *listed, uint64_t now);
/** Over, and not to be remembered any more. */
bool fg_filter_listed_is_forgotten(const struct fg_filter *filter,
                                   const struct fg_filter_listed *listed, uint64_t now);

/* attach.c */
const struct fg_filter_attachment *fg_filter_attachment_find(const struct fg_filter *filter,
                                                             const char *ifname);

#endif
