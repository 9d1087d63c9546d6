/* SPDX-License-Identifier: BSD-3-Clause */
/** internal: what the files of lib/filter share. Nobody else includes it. */
#ifndef FG_FILTER_INTERNAL_H
#define FG_FILTER_INTERNAL_H

#include <net/if.h>
#include <pthread.h>

#include <bpf/libbpf.h>

#include "filter/filter.h"

#define FG_PATH_MAX        320
#define FG_PINS_MAX        256 /**< bytes of options.pins, with the closing zero */
#define FG_SHIELDS_MAX     64  /**< interfaces of one filter */
#define FG_RATE_MAX        100000000u
#define FG_SOURCES_MIN     16u
#define FG_SOURCES_MAX     (1u << 27)
#define FG_SAMPLE_RATE_MAX 10000u
#define FG_PREFIXES_MAX    (1u << 24)

/** The program as attached to one interface. */
struct fg_shield {
    char ifname[IF_NAMESIZE];
    struct bpf_object *object;
    int link; /**< descriptor of the pinned link */
};

struct fg_filter {
    struct fg_filter_options options; /**< pins and object point to the copies below */
    char pins[FG_PINS_MAX];
    char object_path[512];
    bool memlock_failed;
    struct bpf_object *base; /**< loaded, attached to nothing: holds the shared maps */
    pthread_mutex_t change;  /**< of entries and lengths: control thread and penalty box */
    int lists[FG_LISTS];     /**< descriptors, owned by base */
    int counters, samples;
    struct fg_lengths *lengths; /**< the map of lengths, mapped: FG_LENGTHS_COUNT entries */
    size_t lengths_bytes;
    uint32_t entries[FG_LENGTHS_COUNT][FG_LENGTHS_MAX]; /**< prefixes of each length */
    struct fg_shield shields[FG_SHIELDS_MAX];
    unsigned shields_count;
};

/* pins.c */
/** Makes the folder, on a bpffs: mounts one when there is none. */
bool fg_pins_prepare(const char *pins, struct fg_error *err);
/** "PINS/KIND-IFNAME"; a dot, which bpffs does not take, becomes a colon, which no interface name has. */
void fg_pins_name(char *path, size_t size, const char *pins, const char *kind, const char *ifname);
/** Every map of the object that is pinned already must be what the object wants. */
bool fg_pins_match(const struct bpf_object *object, struct fg_error *err);

/* byhand.c */
/** Pins the program as "prog-IFNAME", in the place of one before. */
bool fg_pins_program(const struct fg_filter *filter, const char *ifname, int program, struct fg_error *err);

/* load.c */
/** A loaded object: pinned maps reused or created; ifname NULL: with an xsks_map of its own, not pinned. */
struct bpf_object *fg_load(struct fg_filter *filter, const char *ifname, struct fg_error *err);
int fg_load_program(const struct bpf_object *object, const char *name);

/* lists.c */
/** Maps the lengths into memory and makes them say what is in the lists. */
bool fg_lists_open(struct fg_filter *filter, struct fg_error *err);
void fg_lists_close(struct fg_filter *filter);

/* attach.c */
const struct fg_shield *fg_shield_find(const struct fg_filter *filter, const char *ifname);

#endif
