/* SPDX-License-Identifier: BSD-3-Clause */
#include "filter/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "base/clock.h"

#define WAIT_MS 2000 /* a killed daemon keeps its lock until the kernel has taken it down */
#define POLL_US 20000

static bool lock_in_time(int folder)
{
    uint64_t end_ms = fg_clock_mono_ms() + WAIT_MS;

    while (flock(folder, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK || fg_clock_mono_ms() >= end_ms)
            return false;
        fg_clock_sleep_us(POLL_US);
    }
    return true;
}

bool fg_filter_lock(const char *pins, struct fg_error *err)
{
    static int folder = -1;

    folder = open(pins, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return fg_fail(err, "filter: pins %s: cannot open: %s", pins, strerror(errno));
    if (lock_in_time(folder))
        return true;
    return fg_fail(err, "filter: pins %s: %s", pins,
                   errno == EWOULDBLOCK
                       ? "in use by another daemon; give this one a folder of its own"
                       : strerror(errno));
}
