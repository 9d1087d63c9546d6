/* SPDX-License-Identifier: BSD-3-Clause */
/** socket: the listening socket. */
#ifndef FG_CONTROL_SOCKET_H
#define FG_CONTROL_SOCKET_H

#include "base/base.h"

/** A listening socket, or -1. */
int fg_control_listen(const char *path, unsigned mode, const char *group, struct fg_error *err);

#endif
