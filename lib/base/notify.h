/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * notify: tells systemd the state of the daemon, by the protocol of sd_notify(3): one datagram to
 * NOTIFY_SOCKET. Main thread.
 */
#ifndef FG_BASE_NOTIFY_H
#define FG_BASE_NOTIFY_H

#include <stdint.h>

/** state: "READY=1", "STOPPING=1", "STATUS=...". Does nothing when systemd did not start us. */
void fg_notify(const char *state);

/** A long step of the start. It begins with the first call of fg_notify_progress. */
struct fg_notify_progress {
    const char *what, *unit; /**< "loading the snapshot", "order" */
    uint64_t told_ms;        /**< 0 at first */
};

/** Writes a line and tells systemd at most every two seconds, so a short step is silent. */
void fg_notify_progress(struct fg_notify_progress *progress, uint64_t done, uint64_t of);

#endif
