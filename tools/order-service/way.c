/* SPDX-License-Identifier: BSD-3-Clause */
#include "way.h"

#include <string.h>

#include "base/text.h"

#define QUESTIONS_MAX 16384 /* at a time */

bool way_open(struct way *w, const struct options *o, struct fg_error *err)
{
    struct fg_packet_keyring *ring = fg_packet_keyring_load(o->keys, err);
    struct fg_client_options options = {.outstanding_max = QUESTIONS_MAX, .keys = 1};
    const struct fg_packet_key *key;

    if (!ring)
        return false;
    key = fg_packet_keyring_find(ring, (uint16_t)o->backend_key);
    if (key && key->roles & FG_PACKET_ROLE_BACKEND) {
        options.key[0] = *key;
        options.members = o->members;
        memcpy(options.member, o->member, sizeof(options.member));
        w->link = fg_client_link_open(&options, o->servers, o->servers_count, err);
        explicit_bzero(&options, sizeof(options));
    } else {
        fg_fail(err, "%s: key %llu %s", o->keys, (unsigned long long)o->backend_key,
                key ? "has not the role backend" : "is not there");
    }
    fg_packet_keyring_free(ring);
    return w->link;
}

void way_close(struct way *w)
{
    fg_client_link_close(w->link);
    w->link = NULL;
}

bool way_ask(struct way *w, struct payment *p)
{
    struct fg_client_ask ask = {.op = payment_confirms(p) ? FG_PACKET_OP_CONFIRM
                                                          : FG_PACKET_OP_CANCEL,
                                .user = p->user,
                                .ask_again = FG_CLIENT_UNDECIDED,
                                .context = p};

    FG_ASSERT(!p->asked);
    if (!fg_text_hex_read(p->order, ask.order_id, sizeof(ask.order_id)))
        return false; /* no order of the appliance's: it does not write such an id */
    p->asked = fg_client_link_start(w->link, &ask);
    return p->asked;
}

void way_forget(struct way *w, struct payment *p)
{
    if (p->asked)
        fg_client_link_forget(w->link, p->asked);
    p->asked = 0;
}

bool way_next(struct way *w, struct payment **p, struct fg_client_done *done)
{
    if (!fg_client_link_next(w->link, done))
        return false;
    *p = done->context;
    (*p)->asked = 0;
    return true;
}

void way_wait(struct way *w, unsigned wait_ms)
{
    fg_client_link_wait(w->link, wait_ms);
}

uint64_t way_repeated(const struct way *w)
{
    return fg_client_link_counters(w->link)->repeated;
}
