/* SPDX-License-Identifier: BSD-3-Clause */
/* Carries out what lib/pair wants: messages and records to the link, orders to the journal thread.
 */
#include <string.h>
#include <sys/epoll.h>

#include "base/diag.h"
#include "replication/internal.h"

#define CLOSE_MS    200 /* for the peer to close too */
#define DIAL_MIN_MS 50
#define DIAL_MAX_MS 500
#define STEADY_MS   1000
#define SAY_MS      10000 /* between two lines that say the same */

_Static_assert(sizeof(struct fg_journal_record) == FG_PAIR_RECORD_SIZE, "size of a record");

/* ---- orders ---------------------------------------------------------------------------------- */

static void append(struct fg_replication *r, const struct fg_pair_output *o)
{
    FG_ASSERT(o->count <= FG_PAIR_RECORDS_MAX);
    memcpy(r->records, o->bytes, o->size); /* aligned */
    r->view_next.received_records += o->count;
    /* no message was taken from the link without room for its records */
    FG_ASSERT(fg_journal_pairing_append(r->pairing, r->records, o->count));
}

void fg_replication_order(struct fg_replication *r, const struct fg_pair_output *o)
{
    switch (o->kind) {
    case FG_PAIR_APPEND:
        append(r, o);
        break;
    case FG_PAIR_CUT:
        r->cutting = true;
        fg_journal_pairing_cut(r->pairing, o->first, o->log);
        break;
    case FG_PAIR_LEAD:
        r->leading_epoch = o->epoch;
        fg_journal_pairing_lead(r->pairing, o->epoch, r->settings.node, o->nonce);
        break;
    case FG_PAIR_SEAL:
        r->sealing = true;
        r->seals++; /* an earlier one, which nobody waits for any more, may still be under way */
        fg_journal_pairing_seal(r->pairing);
        break;
    default:
        FG_ASSERT(!"an order to the journal thread");
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Records that are durable, and no longer in the tail. */
static ssize_t read_old(struct fg_replication *r, uint64_t first, size_t at, size_t n,
                        struct fg_error *err)
{
    ssize_t got;

    if (r->reader && r->reader_next != first) {
        fg_journal_reader_close(r->reader);
        r->reader = NULL;
    }
    if (!r->reader)
        r->reader = fg_journal_reader_open(r->log_dir, first, err);
    if (!r->reader)
        return -1;
    got =
        fg_journal_read(r->reader, r->records + at, n, atomic_load(&r->pairing->durable_seq), err);
    r->reader_next = got > 0 ? first + (uint64_t)got : 0;
    if (got == 0)
        fg_fail(err, "record %llu is not there", (unsigned long long)first);
    return got;
}

static bool log_read(struct fg_replication *r, uint64_t first, size_t n)
{
    struct fg_error err = {""};

    for (size_t at = 0; at < n;) {
        ssize_t got =
            (ssize_t)fg_journal_tail_read(r->pairing->tail, first + at, r->records + at, n - at);

        if (got == 0)
            got = read_old(r, first + at, at, n - at, &err);
        if (got <= 0) {
            snprintf(r->broken, sizeof(r->broken), "cannot ship the log: %.200s", err.text);
            return false;
        }
        at += (size_t)got;
    }
    return true;
}

/* ---- the link -------------------------------------------------------------------------------- */

/* Tells epoll what the connection waits for; a socket that was closed is gone from it. */
void fg_replication_slot_watch(struct fg_replication *r, struct fg_replication_slot *s)
{
    struct epoll_event event = {.events = fg_replication_link_events(&s->link), .data.ptr = s};

    if (s->link.state == FG_REPLICATION_CLOSED || event.events == s->events)
        return;
    epoll_ctl(r->epoll_fd, s->events == UINT32_MAX ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, s->link.fd,
              &event);
    s->events = event.events;
}

/* A link that lived long enough is dialed again soon; one that always breaks, less and less often.
 */
void fg_replication_back_off(struct fg_replication *r)
{
    if (r->linked_ms && r->now_ms >= r->linked_ms + STEADY_MS)
        r->dial_wait_ms = DIAL_MIN_MS;
    r->linked_ms = 0;
    r->dial_ms = r->now_ms + r->dial_wait_ms;
    r->dial_wait_ms = r->dial_wait_ms * 2 < DIAL_MAX_MS ? r->dial_wait_ms * 2 : DIAL_MAX_MS;
}

void fg_replication_count_bytes(struct fg_replication *r, struct fg_replication_link *l)
{
    r->view_next.sent_bytes += l->sent;
    r->view_next.received_bytes += l->received;
    l->sent = l->received = 0;
}

void fg_replication_say(struct fg_replication *r, const char *why)
{
    if (strcmp(r->said, why) == 0 && r->now_ms < r->said_ms + SAY_MS)
        return;
    snprintf(r->said, sizeof(r->said), "%s", why);
    r->said_ms = r->now_ms;
    fg_diag(FG_DIAG_WARNING, "pair: no link to %s: %s", r->settings.peer, why);
}

bool fg_replication_put(struct fg_replication_link *l, const void *bytes, size_t size)
{
    uint8_t *to = fg_replication_link_room(l, size);

    if (!to)
        return false;
    memcpy(to, bytes, size);
    fg_replication_link_put_done(l, size);
    return true;
}

void fg_replication_send(struct fg_replication *r, const struct fg_pair_output *o)
{
    struct fg_replication_link *l = r->current ? &r->current->link : NULL;

    if (!l || l->number != o->link || r->broken[0])
        return;
    if (!fg_replication_put(l, o->bytes, o->size)) {
        snprintf(r->broken, sizeof(r->broken), "the peer takes too little");
        return;
    }
    if (o->count == 0)
        return;
    if (!log_read(r, o->first, o->count))
        return;
    r->view_next.sent_records += o->count;
    if (!fg_replication_put(l, r->records, (size_t)o->count * FG_PAIR_RECORD_SIZE))
        snprintf(r->broken, sizeof(r->broken), "the peer takes too little");
}

/* lib/pair has forgotten the link already. */
void fg_replication_hang_up(struct fg_replication *r, const char *why)
{
    struct fg_replication_slot *s = r->current;

    if (!s)
        return;
    r->current = NULL;
    r->peer_told = false;
    r->broken[0] = 0;
    snprintf(r->lost, sizeof(r->lost), "%s", why);
    snprintf(r->view_next.link_error, sizeof(r->view_next.link_error), "%s", why);
    s->link.number = 0;
    fg_replication_link_close(&s->link, why, r->now_ms + CLOSE_MS);
    fg_replication_slot_watch(r, s);
    fg_replication_say(r, why);
    fg_replication_back_off(r);
}
