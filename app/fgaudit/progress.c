/* SPDX-License-Identifier: BSD-3-Clause */
#include "progress.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define QUIET_MS 2000
#define EVERY_MS 500

uint64_t fg_now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint64_t next_ms;
static bool open_line;

void fg_progress(const char *what, uint64_t done)
{
    static unsigned calls;
    uint64_t now;
    bool tty;

    if (calls++ % 4096 && done % 1000) /* the clock is asked for a few of many calls only */
        return;
    now = fg_now_ms();
    if (!next_ms)
        next_ms = now + QUIET_MS;
    if (now < next_ms)
        return;
    tty = isatty(STDERR_FILENO);
    next_ms = now + (tty ? EVERY_MS : 4 * EVERY_MS);
    fprintf(stderr, tty ? "\r\033[Kfgaudit: %" PRIu64 " %s" : "fgaudit: %" PRIu64 " %s\n", done,
            what);
    open_line = tty;
}

void fg_progress_end(void)
{
    if (open_line)
        fputs("\r\033[K", stderr);
    open_line = false;
}
