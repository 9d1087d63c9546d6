/* SPDX-License-Identifier: BSD-3-Clause */
/** maps: the shared maps in the memory of this process. Private. */
#ifndef FG_FILTER_MAPS_H
#define FG_FILTER_MAPS_H

#include "filter/internal.h"

/** Maps them, and starts or repairs their content. */
bool fg_filter_open_maps(struct fg_filter *filter, struct fg_error *err);

#endif
