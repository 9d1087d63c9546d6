/* SPDX-License-Identifier: BSD-3-Clause */
/** thread: a thread that takes no signals. */
#ifndef FG_BASE_THREAD_H
#define FG_BASE_THREAD_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

/** The one signal that our threads do not block: it only ever interrupts. Ignored by default. */
#define FG_THREAD_SIGNAL SIGURG

/**
 * Starts `run(arg)` in a thread of that name (up to 15 characters), with every signal but that one
 * blocked: they are the main thread's, and a lost peer must not raise SIGPIPE. False: the system
 * has no thread for us.
 */
bool fg_thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg);

/**
 * Waits for the end of the thread, at most so long. False: it does not end, perhaps since a library
 * looks up a name or a disk hangs; whatever it uses must be left to it until the process ends.
 */
bool fg_thread_join_within(pthread_t thread, unsigned ms);

/** A thread was left behind: the process must end without the destructors of libraries. */
bool fg_thread_left_behind(void);

#endif
