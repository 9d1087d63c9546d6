/* SPDX-License-Identifier: BSD-3-Clause */
/** socket: the listening socket. */
#ifndef FG_CONTROL_SOCKET_H
#define FG_CONTROL_SOCKET_H

#include "control/call.h"

/** A listening socket, or -1. */
int fg_control_listen(const char *path, unsigned mode, const char *group, struct fg_error *err);

/** The file of the socket is this server's: another one that replaces it later stays. */
void fg_control_own_socket(struct fg_control *control, const char *path);
void fg_control_remove_socket(const struct fg_control *control);

#endif
