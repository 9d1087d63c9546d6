/* SPDX-License-Identifier: BSD-3-Clause */
#include "filter/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

bool fg_filter_lock(const char *pins, struct fg_error *err)
{
    static int folder = -1;

    folder = open(pins, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return fg_fail(err, "filter: pins %s: cannot open: %s", pins, strerror(errno));
    if (flock(folder, LOCK_EX | LOCK_NB) == 0)
        return true;
    return fg_fail(err, "filter: pins %s: %s", pins,
                   errno == EWOULDBLOCK
                       ? "in use by another daemon; give this one a folder of its own"
                       : strerror(errno));
}
