/* SPDX-License-Identifier: BSD-3-Clause */
#include "constants.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/base.h"
#include "harness.h"
#include "xdp/shared.h"

#include "floodgate.skel.h" /* needs the types of shared.h */

static void must(bool done, const char *what)
{
    if (done)
        return;
    perror(what);
    exit(1);
}

/* The rates as they are now, where neither programs nor we can change them. */
static int frozen_copy(int rates)
{
    LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_RDONLY_PROG);
    struct fg_filter_live live;
    struct bpf_map_info info = {0};
    uint32_t size = sizeof(info), key = 0;
    int map;

    must(bpf_obj_get_info_by_fd(rates, &info, &size) == 0 && info.value_size == sizeof(live),
         "bench: the map of the rates");
    map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "fg_constants", sizeof(key), info.value_size, 1,
                         &options);
    must(map >= 0 && bpf_map_lookup_elem(rates, &key, &live) == 0 &&
             bpf_map_update_elem(map, &key, &live, BPF_ANY) == 0 && bpf_map_freeze(map) == 0,
         "bench: a frozen map");
    return map;
}

static void share(struct bpf_map *map, int program)
{
    bool rates = strstr(bpf_map__name(map), ".bss") != NULL;
    char name[BPF_OBJ_NAME_LEN];
    int ours;

    must(bpf_map__set_pin_path(map, NULL) == 0, "bench: a map is not pinned");
    snprintf(name, sizeof(name), "%s", bpf_map__name(map)); /* as the kernel cuts it */
    ours = map_of_program(program, name);
    if (ours < 0) { /* of another program of the object */
        must(bpf_map__set_autocreate(map, false) == 0, name);
        return;
    }
    if (rates) {
        int frozen = frozen_copy(ours);

        must(bpf_map__reuse_fd(map, frozen) == 0, name);
        close(frozen);
    } else {
        must(bpf_map__reuse_fd(map, ours) == 0, name);
    }
    close(ours);
}

int constants_load(int program)
{
    struct bpf_prog_info info = {0};
    struct fg_bpf *bpf = fg_bpf__open();
    uint32_t size = sizeof(info);
    struct bpf_program *one = NULL;
    struct bpf_map *map = NULL;
    int found = -1;

    must(bpf && bpf_obj_get_info_by_fd(program, &info, &size) == 0, "bench: the program");
    while ((map = bpf_object__next_map(bpf->obj, map)))
        share(map, program);
    while ((one = bpf_object__next_program(bpf->obj, one)))
        bpf_program__set_autoload(
            one, strncmp(bpf_program__name(one), info.name, BPF_OBJ_NAME_LEN - 1) == 0);
    must(bpf_object__load(bpf->obj) == 0, "bench: the program with constants");
    while ((one = bpf_object__next_program(bpf->obj, one)))
        if (bpf_program__autoload(one))
            found = bpf_program__fd(one);
    must(found >= 0, "bench: no such program");
    return found; /* the object lives as long as this program */
}
