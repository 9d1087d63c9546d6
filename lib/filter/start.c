/* SPDX-License-Identifier: BSD-3-Clause */
/* The lists of a start that finds none, as after a boot. */
#include "base/diag.h"
#include "filter/filter.h"

bool fg_filter_load_at_start(struct fg_filter *filter, enum fg_filter_list list, const char *path,
                             char *left_out, size_t size, struct fg_error *err)
{
    const char *name = list == FG_FILTER_LIST_BLOCK ? "block" : "allow";
    struct fg_filter_list_loaded loaded;

    if (!path[0] || fg_filter_count(filter, list))
        return true;
    if (!fg_filter_load_good(filter, list, path, &loaded, err))
        return false;
    if (loaded.wrong) { /* a feed with one bad line must not stop a boot */
        fg_diag(FG_DIAG_WARNING, "filter: left out of the %s list: %s", name, err->text);
        snprintf(left_out, size, "%s", err->text);
    }
    fg_diag(FG_DIAG_INFO, "filter: %s list: %u entries from %s", name, loaded.entries, path);
    return true;
}
