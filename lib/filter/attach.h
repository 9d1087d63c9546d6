/* SPDX-License-Identifier: BSD-3-Clause */
/** attach: the program at interfaces. Private. */
#ifndef FG_FILTER_ATTACH_H
#define FG_FILTER_ATTACH_H

#include "filter/internal.h"

/** NULL: the filter is not attached to it. */
const struct fg_filter_attachment *fg_filter_attachment_find(const struct fg_filter *filter,
                                                             const char *ifname);
/** Closes descriptors; the pinned links stay in force. */
void fg_filter_attachments_release(struct fg_filter *filter);

#endif
