/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the threads of the log: waits for a condition that another thread makes true. */
#ifndef FG_TEST_JOURNAL_WAIT_H
#define FG_TEST_JOURNAL_WAIT_H

#include "journal_support.h"

#include "base/clock.h"

#define WAIT_MS 30000 /* a test that waits so long has failed */

#define wait_until(condition)                                                                      \
    do {                                                                                           \
        for (uint64_t end_ms = fg_clock_mono_ms() + WAIT_MS; !(condition); fg_clock_sleep_us(100)) \
            if (fg_clock_mono_ms() > end_ms)                                                       \
                fail_msg("still not: %s", #condition);                                             \
    } while (0)

/* Any rate of the TSC will do: no test compares its time with another clock. */
static inline const struct fg_clock *started_clock(void)
{
    static struct fg_clock clock;

    fg_clock_start(&clock, 1000000000);
    return &clock;
}

#endif
