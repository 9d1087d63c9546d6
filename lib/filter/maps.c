/* SPDX-License-Identifier: BSD-3-Clause */
/* The shared maps in this process's memory. */
#include "filter/maps.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "filter/skeleton.h"
#include "filter/table.h"

static void *map_memory(const struct bpf_map *map, size_t bytes, size_t *mapped,
                        struct fg_error *err)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *memory;

    *mapped = (bytes + page - 1) / page * page;
    memory = mmap(NULL, *mapped, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
    if (memory != MAP_FAILED)
        return memory;
    fg_fail(err, "cannot map %s (%zu bytes): %s", bpf_map__name(map), bytes, strerror(errno));
    return NULL;
}

/* The data path counts jiffies from a start of its own. */
static bool read_clock(struct fg_filter *filter, struct fg_error *err)
{
    uint64_t words[8] = {0};
    LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = words, .data_size_in = sizeof(words),
                .data_out = words, .data_size_out = sizeof(words), .repeat = 1);

    if (bpf_prog_test_run_opts(bpf_program__fd(filter->base->progs.fg_probe_clock), &run) != 0 ||
        run.retval != FG_FILTER_PROBE_FOUND)
        return fg_fail(err, "cannot read the clock of the XDP program: %s", strerror(errno));
    filter->clock_ahead = (int64_t)(words[0] - (words[1] << FG_FILTER_TICK_SHIFT));
    return true;
}

bool fg_filter_open_maps(struct fg_filter *filter, struct fg_error *err)
{
    struct fg_filter_mapping *m = &filter->memory;
    const struct fg_filter_sizes *sizes = &filter->sizes;
    uint64_t seed = 0;

    m->mapped = true;
    m->state = map_memory(filter->base->maps.fg_state, sizeof(*m->state), &m->bytes[0], err);
    m->rows = m->state ? map_memory(filter->base->maps.fg_lists, sizeof(*m->rows) * sizes->rows,
                                    &m->bytes[1], err)
                       : NULL;
    m->sets = m->rows ? map_memory(filter->base->maps.fg_sources, sizeof(*m->sets) * sizes->sets,
                                   &m->bytes[2], err)
                      : NULL;
    m->nets = m->sets ? map_memory(filter->base->maps.fg_nets, sizeof(*m->nets) * sizes->nets,
                                   &m->bytes[3], err)
                      : NULL;
    if (!m->nets || !read_clock(filter, err))
        return false;
    if (m->state->version == 0) {
        if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
            return fg_fail(err, "filter: no random numbers: %s", strerror(errno));
        fg_filter_state_start(m->state, sizes, seed);
    } else if (m->state->changing) {
        fg_filter_generation_repair(m);
    }
    return true;
}
