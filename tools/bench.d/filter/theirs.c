/* SPDX-License-Identifier: BSD-3-Clause */
#include "theirs.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define FLAG_SOURCE 1 /* of the values in its map of addresses */

static int be_silent(enum libbpf_print_level level, const char *fmt, va_list args)
{
    return 0;
}

static struct bpf_object *open_object(const char *name)
{
    struct bpf_object *object = NULL;
    char pattern[128];
    glob_t found;

    snprintf(pattern, sizeof(pattern), "/usr/lib/*/bpf/xdpfilt_%s.o", name);
    if (glob(pattern, 0, NULL, &found) == 0)
        object = bpf_object__open(found.gl_pathv[0]);
    globfree(&found);
    return object;
}

static void block(struct bpf_object *object, uint32_t source)
{
    int cpus = libbpf_num_possible_cpus(),
        map = bpf_object__find_map_fd_by_name(object, "filter_ipv4");
    uint64_t *values = calloc((size_t)cpus, sizeof(*values));

    for (int cpu = 0; cpu < cpus; cpu++)
        values[cpu] = FLAG_SOURCE;
    if (bpf_map_update_elem(map, &source, values, BPF_ANY) != 0)
        fprintf(stderr, "bench: xdp-filter takes no address\n");
    free(values);
}

int theirs_load(const char *name, uint32_t blocked)
{
    struct bpf_object *object;
    struct bpf_program *program;
    struct bpf_map *map;

    libbpf_set_print(be_silent);
    object = open_object(name);
    if (!object)
        return -1;
    for (map = bpf_object__next_map(object, NULL); map; map = bpf_object__next_map(object, map))
        bpf_map__set_pin_path(map, NULL);
    for (program = bpf_object__next_program(object, NULL); program;
         program = bpf_object__next_program(object, program))
        bpf_program__set_type(program, BPF_PROG_TYPE_XDP);
    if (bpf_object__load(object) != 0)
        return -1;
    if (blocked)
        block(object, blocked);
    return bpf_program__fd(bpf_object__next_program(object, NULL));
}
