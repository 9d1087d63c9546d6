/* SPDX-License-Identifier: BSD-3-Clause */
/* Outputs and events: two small queues in the node. */
#include <string.h>

#include "pair/internal.h"

static struct fg_pair_item *new_item(struct fg_pair *p)
{
    FG_ASSERT(p->out_len < FG_PAIR_OUTPUTS_MAX);
    return &p->out[(p->out_first + p->out_len++) % FG_PAIR_OUTPUTS_MAX];
}

void fg_pair_emit(struct fg_pair *p, const struct fg_pair_output *output)
{
    new_item(p)->output = *output;
}

void fg_pair_say(struct fg_pair *p, const struct fg_pair_message *message)
{
    struct fg_pair_item *item;

    if (!p->peer.link)
        return;
    item = new_item(p);
    item->output = (struct fg_pair_output){.kind = FG_PAIR_SEND, .link = p->peer.link};
    item->message = *message;
    if (message->type == FG_PAIR_TYPE_RECORDS) {
        item->output.first = message->records.first;
        item->output.count = message->count;
    }
}

void fg_pair_raise(struct fg_pair *p, enum fg_pair_event event)
{
    FG_ASSERT(p->events_len < FG_PAIR_EVENTS_MAX);
    p->events[p->events_len++] = event;
}

void fg_pair_refuse(struct fg_pair *p, enum fg_pair_reason reason)
{
    p->reason = reason;
    fg_pair_raise(p, FG_PAIR_EVENT_REFUSE);
}

void fg_pair_depose(struct fg_pair *p, enum fg_pair_reason reason)
{
    p->reason = reason;
    fg_pair_raise(p, FG_PAIR_EVENT_DEPOSED);
}

void fg_pair_hang_up(struct fg_pair *p)
{
    struct fg_pair_output output = {.kind = FG_PAIR_CLOSE, .link = p->peer.link};

    if (p->peer.link)
        fg_pair_emit(p, &output);
    p->peer.link = 0;
    p->peer.hello = false;
    p->shipping = false;
}

void fg_pair_lost(struct fg_pair *p)
{
    p->peer.link = 0;
    p->peer.hello = false;
    p->shipping = false;
    if (!p->cutting) /* else the log comes first */
        fg_pair_raise(p, FG_PAIR_EVENT_LOST);
}

void fg_pair_violated(struct fg_pair *p)
{
    p->refused++;
    fg_pair_hang_up(p);
    fg_pair_lost(p);
}

void fg_pair_nonce(struct fg_pair *p, uint8_t nonce[FG_PAIR_NONCE_SIZE])
{
    p->random[0] = fg_mix64(p->random[0] + 1, p->random[1]);
    p->random[1] = fg_mix64(p->random[1] + 1, p->random[0]);
    memcpy(nonce, p->random, FG_PAIR_NONCE_SIZE);
}

bool fg_pair_leads(const struct fg_pair *p)
{
    switch (p->state) {
    case FG_PAIR_STATE_SOLO:
    case FG_PAIR_STATE_ADDING:
    case FG_PAIR_STATE_PUBLISHING:
    case FG_PAIR_STATE_SYNC:
    case FG_PAIR_STATE_DROPPING:
    case FG_PAIR_STATE_HANDING:
        return true;
    default:
        return false;
    }
}

void fg_pair_add_epoch(struct fg_pair *p, uint64_t epoch, uint64_t first)
{
    if (p->epochs_len == FG_PAIR_EPOCHS_MAX)
        memmove(p->epochs, p->epochs + 1, --p->epochs_len * sizeof(p->epochs[0]));
    p->epochs[p->epochs_len++] = (struct fg_pair_epoch){epoch, first};
    FG_ASSERT(fg_pair_epochs_are_sane(p->epochs, p->epochs_len));
}
