/* SPDX-License-Identifier: BSD-3-Clause */
/** notify: tells systemd our state, sd_notify(3)'s protocol: one datagram to NOTIFY_SOCKET. */
#ifndef FG_NOTIFY_H
#define FG_NOTIFY_H

/** state: "READY=1", "STOPPING=1", "STATUS=...". Does nothing when not started by systemd. */
void fg_notify(const char *state);

#endif
