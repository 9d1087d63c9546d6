/* SPDX-License-Identifier: BSD-3-Clause */
/** client: what the load generator says it was told, against the story. Format: docs/audit.md. */
#ifndef FG_AUDIT_CLIENT_H
#define FG_AUDIT_CLIENT_H

#include "packet/packet.h"
#include "story.h"

struct fg_client {
    unsigned files;
    uint64_t orders;       /* lines */
    uint64_t acknowledged; /* last told RESERVED, SOLD, CANCELLED or EXPIRED */
    uint64_t rejected, unanswered;
    uint64_t open; /* lines with '+': a request is not answered */
    uint64_t told[FG_PACKET_STATUS_COUNT];
    uint64_t unnamed; /* orders in the log that no file names */
};

/** Reads one file and compares each line with the log. False and err (file, line) when it is not
 * readable. */
bool fg_client_read(struct fg_client *client, const char *path, struct fg_story *story,
                    struct fg_error *err);

/** After all files: counts the orders that none names; problems when `complete`. */
void fg_client_unnamed(struct fg_client *client, const struct fg_story *story, bool complete);

#endif
