/* SPDX-License-Identifier: BSD-3-Clause */
/** resize: pinned maps of other sizes. Private. */
#ifndef FG_FILTER_RESIZE_H
#define FG_FILTER_RESIZE_H

#include "filter/internal.h"

/** Before maps are made: moves pins of other sizes aside; refuses those of another layout. */
bool fg_filter_resize_prepare(const struct fg_filter *filter, struct fg_error *err);
/** Copies the lists out of the maps that stand aside, then removes those. */
bool fg_filter_resize_finish(struct fg_filter *filter, struct fg_error *err);

#endif
