/* SPDX-License-Identifier: BSD-3-Clause */
/** load: the BPF program: its parameters, and loading it. Private. */
#ifndef FG_FILTER_LOAD_H
#define FG_FILTER_LOAD_H

#include "filter/internal.h"

void fg_filter_live_of(const struct fg_filter_options *options, struct fg_filter_live *live);
void fg_filter_tunables_of(const struct fg_filter_options *options,
                           const struct fg_filter_sizes *sizes, struct fg_filter_tunables *tune);
/** A loaded program: reuses or makes pinned maps. ifname NULL: with an xsks_map of its own, not
 * pinned. */
struct fg_bpf *fg_filter_load_object(struct fg_filter *filter, const char *ifname,
                                     struct fg_error *err);
void fg_filter_unload_object(struct fg_bpf *bpf); /**< NULL: nothing */

#endif
