/* SPDX-License-Identifier: BSD-3-Clause */
/** watcher: a thread with a watch of the fleet's keys, which it begins again whenever it ends.
 * Private to lib/member. */
#ifndef FG_MEMBER_WATCHER_H
#define FG_MEMBER_WATCHER_H

#include "member/values.h"

struct fg_member_watcher;

struct fg_member_watcher_options {
    const struct fg_arbiter_options *etcd;
    int wake_fd;         /**< 1 is added when there is something to take */
    void (*begin)(void); /**< the thread's first act */
};

/** NULL and err. */
struct fg_member_watcher *fg_member_watcher_start(const struct fg_member_watcher_options *options,
                                                  struct fg_error *err);
/** False: the watch does not end (a name that is looked up): thread and memory are left behind.
 * NULL is nothing. */
bool fg_member_watcher_stop(struct fg_member_watcher *w);

/** All up to revision `since` is known: the next watch begins there. There is none before. */
void fg_member_watcher_since(struct fg_member_watcher *w, int64_t since);
/** It does not keep up: another one begins, at the next endpoint. */
void fg_member_watcher_renew(struct fg_member_watcher *w);

/** What was told since it was last taken; *values holds until the next call. All up to *revision
 * was told; 0 = there is no watch. False: nothing is new. */
bool fg_member_watcher_take(struct fg_member_watcher *w, const struct fg_member_values **values,
                            int64_t *revision);

#endif
