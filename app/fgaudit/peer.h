/* SPDX-License-Identifier: BSD-3-Clause */
/** peer: the logs of the two appliances of a pair: is one the beginning of the other? */
#ifndef FG_AUDIT_PEER_H
#define FG_AUDIT_PEER_H

#include "log.h"

struct fg_peer {
    const char *dir;
    uint64_t first_seq, last_seq; /* that it holds */
    uint64_t epoch;               /* of its last record */
    uint64_t from_seq, same_seq;  /* compared from, and the same up to */
    uint64_t own_seq;             /* last of the log that it was compared with */
};

/**
 * Compares the log in dir with that of the peer, record by record; batch records only by sequence
 * and time, since each appliance writes its own. Differences go to the problems. False and err: one
 * of them cannot be read.
 */
bool fg_peer_compare(struct fg_peer *peer, const char *dir, struct fg_problems *problems,
                     struct fg_error *err);

#endif
