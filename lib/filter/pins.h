/* SPDX-License-Identifier: BSD-3-Clause */
/** pins: names on the bpffs, and whether the maps that are pinned there fit. Private. */
#ifndef FG_FILTER_PINS_H
#define FG_FILTER_PINS_H

#include "filter/internal.h"

/** Makes the folder; mounts a bpffs if it is not on one. */
bool fg_filter_pins_prepare(const char *pins, struct fg_error *err);
/** "PINS/KIND-IFNAME"; a dot, which bpffs does not take, becomes a colon, which no interface name
 * has. */
void fg_filter_pins_name(char *path, size_t size, const char *pins, const char *kind,
                         const char *ifname);
/** Every pinned map of the object must be what the object wants. */
bool fg_filter_pins_match(const struct bpf_object *object, struct fg_error *err);
/** Pins the program as "prog-IFNAME", in the place of one before. */
bool fg_filter_pins_program(const struct fg_filter *filter, const char *ifname, int program,
                            struct fg_error *err);

#endif
