/* SPDX-License-Identifier: BSD-3-Clause */
/** way: the way back by order packets of role backend (docs/protocol.md). */
#ifndef ORDER_SERVICE_WAY_H
#define ORDER_SERVICE_WAY_H

#include "packet/packet.h"
#include "payment.h"

#define WAY_COOKIES 131072 /* requests that an answer can still be told to belong to */

struct way {
    int fd;
    struct fg_packet_keyring *ring;
    const struct fg_packet_key *key;
    uint32_t cookie; /* of the next request */
    struct {
        uint64_t user;
        char order[33];
    } asked[WAY_COOKIES]; /* by cookie: an answer does not name the user */
};

/** The socket, the key. False and err. */
bool way_open(struct way *w, const char *server, const char *keys, uint64_t key_id,
              struct fg_error *err);
void way_close(struct way *w);

/** Confirms what is charged, cancels what is not. Not answered: send it again. */
void way_send(struct way *w, const struct payment *p);

/** The next answer: whose it is, or NULL when it is of none that is under way; false when there is
 * none. */
bool way_receive(struct way *w, const struct payments *all, struct payment **p,
                 struct fg_packet_reply *reply);

#endif
