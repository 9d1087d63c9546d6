/* SPDX-License-Identifier: BSD-3-Clause */
#include "filter/filter.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include <bpf/bpf.h>

#include "filter/attach.h"
#include "filter/load.h"
#include "filter/maps.h"
#include "filter/pins.h"
#include "filter/resize.h"
#include "filter/skeleton.h"
#include "packet/packet.h"

_Static_assert(FG_FILTER_ORDER_BYTES == FG_PACKET_SIZE, "the filter knows the order packet");
_Static_assert((FG_FILTER_ORDER_MAGIC_1 << 8 | FG_FILTER_ORDER_MAGIC_0) == FG_PACKET_MAGIC,
               "little-endian on the wire");
_Static_assert(FG_FILTER_ORDER_VERSION == FG_PACKET_VERSION, "the filter knows the order packet");

static bool in_range(const char *name, uint32_t value, uint32_t min, uint32_t max,
                     struct fg_error *err)
{
    if (value >= min && value <= max)
        return true;
    return fg_fail(err, "filter: %s = %u is not in %u..%u", name, value, min, max);
}

/* The clock of the data path moves every 1 to 10 ms: a bucket that holds less would not fill in
 * time. */
static bool rate_in_range(const char *class, uint32_t rate, uint32_t burst, struct fg_error *err)
{
    char name[32];

    snprintf(name, sizeof(name), "%s_rate", class);
    if (!in_range(name, rate, 0, FG_FILTER_RATE_MAX, err))
        return false;
    snprintf(name, sizeof(name), "%s_burst", class);
    if (!rate)
        return true;
    if (in_range(name, burst, 1, FG_FILTER_RATE_MAX, NULL) && burst >= fg_filter_burst_min(rate))
        return true;
    return fg_fail(err, "filter: %s = %u is not in %u..%u (at least 10 ms of %s_rate = %u)", name,
                   burst, fg_filter_burst_min(rate), FG_FILTER_RATE_MAX, class, rate);
}

static bool check_options(const struct fg_filter_options *o, struct fg_error *err)
{
    return in_range("order_port", o->order_port, 1, 65535, err) &&
           rate_in_range("order", o->order_rate, o->order_burst, err) &&
           rate_in_range("syn", o->syn_rate, o->syn_burst, err) &&
           rate_in_range("other", o->other_rate, o->other_burst, err) &&
           in_range("net_factor", o->net_factor, 0, FG_FILTER_NET_FACTOR_MAX, err) &&
           in_range("sources_max", o->sources_max, FG_FILTER_SOURCES_MIN, FG_FILTER_SOURCES_MAX,
                    err) &&
           in_range("prefixes_max", o->prefixes_max, 1, FG_FILTER_PREFIXES_MAX, err) &&
           in_range("sample_rate", o->sample_rate, 0, FG_FILTER_SAMPLE_RATE_MAX, err) &&
           in_range("v6_prefix", o->v6_prefix, 1, 64, err);
}

static bool copy_options(struct fg_filter *filter, const struct fg_filter_options *options,
                         struct fg_error *err)
{
    filter->options = *options;
    if (options->pins) {
        snprintf(filter->pins, sizeof(filter->pins), "%s", options->pins);
        filter->options.pins = filter->pins;
    }
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
    if (!fg_filter_resize_prepare(filter, err))
        return false;
    filter->base = fg_filter_load_object(filter, NULL, err);
    if (!filter->base)
        return false;
    filter->samples = bpf_map__fd(filter->base->maps.fg_samples);
    filter->counters = bpf_map__fd(filter->base->maps.fg_counters);
    return fg_filter_open_maps(filter, err) && fg_filter_resize_finish(filter, err);
}

static bool open_memory(struct fg_filter *filter, struct fg_error *err)
{
    uint64_t seed = 0;

    filter->samples = filter->counters = -1;
    if (!fg_filter_mapping_make(&filter->memory, &filter->sizes, err))
        return false;
    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        return fg_fail(err, "filter: no random numbers: %s", strerror(errno));
    fg_filter_state_start(filter->memory.state, &filter->sizes, seed);
    return true;
}

static void rates_of(const struct fg_filter_options *o, struct fg_filter_rates *rates)
{
#define X(name) rates->name = o->name;
    FG_FILTER_RATES_LIST(X)
#undef X
    rates->monitor = o->monitor;
}

struct fg_filter *fg_filter_open(const struct fg_filter_options *options, struct fg_error *err)
{
    struct fg_filter *filter;

    if (!check_options(options, err) ||
        (options->pins && !fg_filter_pins_prepare(options->pins, err)))
        return NULL;
    filter = calloc(1, sizeof(*filter));
    if (filter) {
        filter->worker_counts = calloc(FG_WORKERS_MAX, sizeof(*filter->worker_counts));
        filter->rings = aligned_alloc(FG_CACHE_LINE, FG_WORKERS_MAX * sizeof(*filter->rings));
    }
    if (!filter || !filter->worker_counts || !filter->rings) {
        if (filter) {
            free(filter->worker_counts);
            free(filter->rings);
        }
        free(filter);
        fg_fail(err, "filter: out of memory");
        return NULL;
    }
    memset(filter->rings, 0, FG_WORKERS_MAX * sizeof(*filter->rings));
    pthread_mutex_init(&filter->bulk, NULL);
    pthread_mutex_init(&filter->change, NULL);
    raise_memlock(filter);
    fg_filter_sizes_of(options->prefixes_max, options->sources_max, &filter->sizes);
    fg_filter_tunables_of(options, &filter->sizes, &filter->tune);
    fg_filter_live_of(options, &filter->live);
    rates_of(options, &filter->begun);
    if (!copy_options(filter, options, err) ||
        !(options->pins ? open_maps(filter, err) : open_memory(filter, err))) {
        fg_filter_close(filter);
        return NULL;
    }
    return filter;
}

/* ---- what changes while it runs -------------------------------------------------------------- */

void fg_filter_rates(struct fg_filter *filter, struct fg_filter_rates *now,
                     struct fg_filter_rates *begun)
{
    pthread_mutex_lock(&filter->change);
    if (now)
        rates_of(&filter->options, now);
    if (begun)
        *begun = filter->begun;
    pthread_mutex_unlock(&filter->change);
}

static void write_live(struct fg_filter *filter)
{
    for (unsigned i = 0; i < filter->attachments_count; i++)
        filter->attachments[i].bpf->bss->fg_live = filter->live;
    if (filter->base)
        filter->base->bss->fg_live = filter->live;
}

bool fg_filter_rates_set(struct fg_filter *filter, const struct fg_filter_rates *rates,
                         struct fg_error *err)
{
    struct fg_filter_options wanted;
    bool good;

    pthread_mutex_lock(&filter->change);
    wanted = filter->options;
#define X(name) wanted.name = rates->name;
    FG_FILTER_RATES_LIST(X)
#undef X
    wanted.monitor = rates->monitor;
    good = check_options(&wanted, err);
    if (good) {
        filter->options = wanted;
        fg_filter_live_of(&wanted, &filter->live);
        write_live(filter);
    }
    pthread_mutex_unlock(&filter->change);
    return good;
}

void fg_filter_close(struct fg_filter *filter)
{
    if (!filter)
        return;
    fg_filter_attachments_release(filter);
    fg_filter_mapping_free(&filter->memory);
    fg_filter_unload_object(filter->base);
    free(filter->worker_counts);
    free(filter->rings);
    free(filter);
}

int fg_filter_program(const struct fg_filter *filter, const char *ifname)
{
    const struct fg_filter_attachment *attachment =
        ifname ? fg_filter_attachment_find(filter, ifname) : NULL;

    if (ifname && !attachment)
        return -1;
    if (!filter->base)
        return -1;
    return bpf_program__fd((attachment ? attachment->bpf : filter->base)->progs.xsk_def_prog);
}

int fg_filter_samples(const struct fg_filter *filter)
{
    return filter->samples;
}

static void read_counts(const struct fg_filter *filter, uint32_t first, uint32_t n, uint64_t *sums)
{
    int cpus = filter->counters < 0 ? 0 : libbpf_num_possible_cpus();
    struct fg_filter_count *values = cpus > 0 ? calloc((size_t)cpus, sizeof(*values)) : NULL;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t index = first + i;

        sums[i] = 0;
        for (unsigned worker = 0; worker < FG_WORKERS_MAX; worker++)
            sums[i] +=
                __atomic_load_n(&filter->worker_counts[worker][index].packets, __ATOMIC_RELAXED);
        if (!values || bpf_map_lookup_elem(filter->counters, &index, values) != 0)
            continue;
        for (int cpu = 0; cpu < cpus; cpu++)
            sums[i] += values[cpu].packets;
    }
    free(values);
}

void fg_filter_counters(struct fg_filter *filter, uint64_t counters[FG_FILTER_VERDICT_COUNT])
{
    read_counts(filter, 0, FG_FILTER_VERDICT_COUNT, counters);
}

void fg_filter_events(struct fg_filter *filter, uint64_t events[FG_EVENT_COUNT])
{
    read_counts(filter, FG_FILTER_VERDICT_COUNT, FG_EVENT_COUNT, events);
}

void fg_filter_memory(const struct fg_filter *filter, uint64_t *lists, uint64_t *buckets)
{
    *lists =
        (uint64_t)filter->sizes.rows * sizeof(union fg_filter_row) + sizeof(struct fg_filter_state);
    *buckets = (uint64_t)filter->sizes.sets * sizeof(struct fg_filter_source_set) +
               (uint64_t)filter->sizes.nets * sizeof(struct fg_filter_net_row);
}
