/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/wait.h"

#include <poll.h>
#include <unistd.h>

/* The deadline, or the time to give up when that is earlier. Read anew on each wait: a stop may
 * come. */
static uint64_t bounded(const struct fg_wait *wait, uint64_t deadline_ms)
{
    uint64_t give_up = wait->give_up_ms ? atomic_load(wait->give_up_ms) : 0;

    return give_up && give_up < deadline_ms ? give_up : deadline_ms;
}

bool fg_wait_over(const struct fg_wait *wait, uint64_t deadline_ms)
{
    return fg_clock_mono_ms() >= bounded(wait, deadline_ms);
}

short fg_wait_fd(const struct fg_wait *wait, int fd, short events, uint64_t deadline_ms)
{
    struct pollfd fds[2] = {{.fd = fd, .events = events}, {.fd = wait->wake_fd, .events = POLLIN}};
    uint64_t now = fg_clock_mono_ms(), end = bounded(wait, deadline_ms), count;

    if (poll(fds, 2, end > now ? (int)(end - now) : 0) <= 0)
        return 0;
    if (fds[1].revents & POLLIN) {
        if (read(wait->wake_fd, &count, sizeof(count)) < 0)
            return fds[0].revents;
    }
    return fds[0].revents;
}

void fg_wait_ms(const struct fg_wait *wait, uint64_t ms)
{
    fg_wait_fd(wait, -1, 0, fg_clock_mono_ms() + ms);
}
