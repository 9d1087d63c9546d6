/* SPDX-License-Identifier: BSD-3-Clause */
/** entries: an entry of a list in memory, and its times. The caller holds the lock `change`, or a
 * copy. Private. */
#ifndef FG_FILTER_ENTRIES_H
#define FG_FILTER_ENTRIES_H

#include "filter/internal.h"

/* Ticks of the data path (xdp/shared.h), and Unix milliseconds, by what both clocks say now. */
uint64_t fg_filter_ticks_now(const struct fg_filter *filter);
uint64_t fg_filter_ticks_of_unix(const struct fg_filter *filter, uint64_t ms);
/* Of a time that is over; 1: it is earlier than ticks can tell. */
uint64_t fg_filter_ticks_of_past(const struct fg_filter *filter, uint64_t ms);
uint64_t fg_filter_unix_of_ticks(const struct fg_filter *filter, uint64_t ticks);

void fg_filter_listed_of_prefix(enum fg_filter_list list, const struct fg_filter_prefix *prefix,
                                struct fg_filter_listed *listed);
void fg_filter_prefix_of_listed(const struct fg_filter_listed *listed,
                                struct fg_filter_prefix *prefix);
void fg_filter_listed_tell(const struct fg_filter *filter, const struct fg_filter_listed *listed,
                           struct fg_filter_list_entry *entry);
bool fg_filter_listed_is_over(const struct fg_filter_listed *listed, uint64_t now);
/** Over, and not to be remembered any more. */
bool fg_filter_listed_is_forgotten(const struct fg_filter *filter,
                                   const struct fg_filter_listed *listed, uint64_t now);
const char *fg_filter_list_name(enum fg_filter_list list);
/** The list has changed, but for entries whose time is over. */
void fg_filter_list_changed(struct fg_filter *filter, enum fg_filter_list list);

#endif
