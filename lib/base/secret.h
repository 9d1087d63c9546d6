/* SPDX-License-Identifier: BSD-3-Clause */
/** secret: a password in a file of its own. Any thread. */
#ifndef FG_BASE_SECRET_H
#define FG_BASE_SECRET_H

#include "base/base.h"

#define FG_SECRET_MAX 1024 /**< bytes of a password with its end */

/**
 * The first line of a file. To be called whenever the secret is used, so that a rotated one counts.
 * False and err (which never shows the secret): unreadable, empty, or too long.
 */
bool fg_secret_read(const char *path, char secret[FG_SECRET_MAX], struct fg_error *err);

#endif
