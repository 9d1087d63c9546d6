/* SPDX-License-Identifier: BSD-3-Clause */
/** own: which frames are for us, as a table that the program reads. Private. */
#ifndef FG_FILTER_OWN_H
#define FG_FILTER_OWN_H

#include "filter/internal.h"

/** In the memory of this process; own NULL: any address is taken for ours. */
bool fg_filter_own_change(struct fg_filter_own *map, const struct fg_filter_own_addresses *own,
                          struct fg_error *err);
/** Which servers are ours; the program may read meanwhile. */
void fg_filter_servers_change(struct fg_filter_own *map, const struct fg_filter_servers *servers);
bool fg_filter_servers_write(struct fg_bpf *bpf, const struct fg_filter_servers *servers,
                             struct fg_error *err);

/** Into the map of a loaded program. */
bool fg_filter_own_write(struct fg_bpf *bpf, const struct fg_filter_own_addresses *own,
                         struct fg_error *err);

#endif
