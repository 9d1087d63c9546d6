/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/thread.h"

#include <stdatomic.h>
#include <time.h>

bool fg_thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg)
{
    sigset_t all, before;
    int failed;

    sigfillset(&all);
    sigdelset(&all, FG_THREAD_SIGNAL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed)
        pthread_setname_np(*thread, name);
    return !failed;
}

static _Atomic bool left_behind;

bool fg_thread_join_within(pthread_t thread, unsigned ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    if (pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until) == 0)
        return true;
    atomic_store(&left_behind, true);
    return false;
}

bool fg_thread_left_behind(void)
{
    return atomic_load(&left_behind);
}
