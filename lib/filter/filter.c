/* SPDX-License-Identifier: BSD-3-Clause */
#include "filter/filter.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include <bpf/bpf.h>

#include "filter/internal.h"
#include "packet/packet.h"

_Static_assert(FG_SHIELD_PAYLOAD == FG_PACKET_SIZE, "the shield knows the order packet");
_Static_assert((FG_SHIELD_MAGIC_1 << 8 | FG_SHIELD_MAGIC_0) == FG_PACKET_MAGIC, "little-endian on the wire");
_Static_assert(FG_SHIELD_VERSION == FG_PACKET_VERSION, "the shield knows the order packet");

static bool in_range(const char *name, uint32_t value, uint32_t min, uint32_t max, struct fg_error *err)
{
    if (value >= min && value <= max)
        return true;
    return fg_fail(err, "filter: %s = %u is not in %u..%u", name, value, min, max);
}

static bool check_options(const struct fg_filter_options *o, struct fg_error *err)
{
    if (!in_range("order_port", o->order_port, 1, 65535, err) ||
        !in_range("order_rate", o->order_rate, 0, FG_RATE_MAX, err) ||
        !in_range("other_rate", o->other_rate, 0, FG_RATE_MAX, err) ||
        !in_range("sources_max", o->sources_max, FG_SOURCES_MIN, FG_SOURCES_MAX, err) ||
        !in_range("prefixes_max", o->prefixes_max, 1, FG_PREFIXES_MAX, err) ||
        !in_range("sample_rate", o->sample_rate, 0, FG_SAMPLE_RATE_MAX, err) ||
        !in_range("v6_prefix", o->v6_prefix, 1, 128, err))
        return false;
    return (!o->order_rate || in_range("order_burst", o->order_burst, 1, FG_RATE_MAX, err)) &&
           (!o->other_rate || in_range("other_burst", o->other_burst, 1, FG_RATE_MAX, err));
}

static bool copy_options(struct fg_filter *filter, const struct fg_filter_options *options,
                         struct fg_error *err)
{
    filter->options = *options;
    snprintf(filter->pins, sizeof(filter->pins), "%s", options->pins);
    filter->options.pins = filter->pins;
    if (!options->object)
        return true;
    if (strlen(options->object) >= sizeof(filter->object_path))
        return fg_fail(err, "filter: the path of the object is too long");
    snprintf(filter->object_path, sizeof(filter->object_path), "%s", options->object);
    filter->options.object = filter->object_path;
    return true;
}

/* Kernels before 5.11 count the memory of maps against this limit. */
static void raise_memlock(struct fg_filter *filter)
{
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};

    filter->memlock_failed = setrlimit(RLIMIT_MEMLOCK, &unlimited) != 0;
}

static bool open_maps(struct fg_filter *filter, struct fg_error *err)
{
    filter->base = fg_load(filter, NULL, err);
    if (!filter->base)
        return false;
    filter->lists[FG_LIST_BLOCK] = bpf_object__find_map_fd_by_name(filter->base, "fg_block");
    filter->lists[FG_LIST_ALLOW] = bpf_object__find_map_fd_by_name(filter->base, "fg_allow");
    filter->samples = bpf_object__find_map_fd_by_name(filter->base, "fg_samples");
    filter->counters = bpf_object__find_map_fd_by_name(filter->base, "fg_counters");
    return fg_lists_open(filter, err);
}

struct fg_filter *fg_filter_open(const struct fg_filter_options *options, struct fg_error *err)
{
    struct fg_filter *filter;

    if (!check_options(options, err) || !fg_pins_prepare(options->pins, err))
        return NULL;
    filter = calloc(1, sizeof(*filter));
    if (!filter) {
        fg_fail(err, "filter: out of memory");
        return NULL;
    }
    pthread_mutex_init(&filter->change, NULL);
    raise_memlock(filter);
    if (!copy_options(filter, options, err) || !open_maps(filter, err)) {
        fg_filter_close(filter);
        return NULL;
    }
    return filter;
}

int fg_filter_program(const struct fg_filter *filter, const char *ifname)
{
    const struct fg_shield *shield = ifname ? fg_shield_find(filter, ifname) : NULL;

    if (ifname && !shield)
        return -1;
    return fg_load_program(shield ? shield->object : filter->base, "xsk_def_prog");
}

int fg_filter_samples(const struct fg_filter *filter)
{
    return filter->samples;
}

void fg_filter_counters(struct fg_filter *filter, uint64_t counters[FG_VERDICT_COUNT])
{
    int cpus = libbpf_num_possible_cpus();
    struct fg_count *values = cpus > 0 ? calloc((size_t)cpus, sizeof(*values)) : NULL;

    memset(counters, 0, FG_VERDICT_COUNT * sizeof(*counters));
    for (uint32_t i = 0; values && i < FG_VERDICT_COUNT; i++) {
        if (bpf_map_lookup_elem(filter->counters, &i, values) != 0)
            continue;
        for (int cpu = 0; cpu < cpus; cpu++)
            counters[i] += values[cpu].packets;
    }
    free(values);
}
