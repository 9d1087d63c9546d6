/* SPDX-License-Identifier: BSD-3-Clause */
/** client_file: what the shoppers were told, for the auditor (docs/audit.md). */
#ifndef FG_BLAST_CLIENT_FILE_H
#define FG_BLAST_CLIENT_FILE_H

#include <stdio.h>

#include "base/base.h"

/**
 * Writes the file whole or not at all: `write` adds the lines behind the first, false when it could
 * not. False and err: what was there before is there still.
 */
bool fg_client_file(const char *path, bool (*write)(const void *ctx, FILE *out), const void *ctx,
                    struct fg_error *err);

#endif
