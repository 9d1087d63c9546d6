/* SPDX-License-Identifier: BSD-3-Clause */
/* The link between two nodes: in order, late, stalled one way, cut. */
#include "pair_world.h"

static void post(struct sim_world *w, unsigned to, uint32_t link, uint8_t *bytes, size_t size)
{
    uint64_t at = w->now_ms + sim_random(w, w->calm ? 2 : 4);

    if (w->messages_len == MESSAGES_MAX) {
        sim_fail(w, "%u messages under way", MESSAGES_MAX);
        free(bytes);
        return;
    }
    for (unsigned i = 0; i < w->messages_len; i++) /* a link keeps the order */
        if (w->messages[i].to == to && w->messages[i].at_ms > at)
            at = w->messages[i].at_ms;
    w->messages[w->messages_len++] =
        (struct sim_message){.to = to, .link = link, .at_ms = at, .bytes = bytes, .size = size};
}

void sim_link_send(struct sim_world *w, struct sim_node *from, const struct fg_pair_output *o)
{
    size_t size = o->size + (size_t)o->count * FG_PAIR_RECORD_SIZE;
    uint8_t *bytes;

    if (o->link != from->link || !from->link)
        return;
    bytes = calloc(1, size);
    FG_ASSERT(bytes);
    memcpy(bytes, o->bytes, o->size);
    if (o->count)
        sim_log_read(w, from, o->first, o->count, bytes + o->size);
    post(w, 1 - from->index, o->link, bytes, size);
}

void sim_link_close(struct sim_world *w, struct sim_node *n, bool other_hears)
{
    if (n->link && other_hears)
        post(w, 1 - n->index, n->link, NULL, 0);
    n->link = 0;
    if (w->connect_ms <= w->now_ms)
        w->connect_ms = w->now_ms + 1 + sim_random(w, 20);
}

static void deliver(struct sim_world *w, const struct sim_message *m)
{
    struct sim_node *n = &w->node[m->to];

    if (!n->pair || n->link != m->link)
        return;
    if (m->bytes) {
        fg_pair_receive(n->pair, m->link, m->bytes, m->size);
    } else {
        n->link = 0;
        fg_pair_closed(n->pair, m->link);
        if (w->connect_ms <= w->now_ms)
            w->connect_ms = w->now_ms + 1 + sim_random(w, 20);
    }
    sim_drain(w, n);
}

static void connect(struct sim_world *w)
{
    struct sim_node *a = &w->node[0], *b = &w->node[1];

    if (w->now_ms < w->connect_ms || !a->pair || !b->pair || (a->link && b->link == a->link))
        return;
    w->connect_ms = w->now_ms + 1 + sim_random(w, 20);
    if (w->stalled_ms[0] > w->now_ms || w->stalled_ms[1] > w->now_ms || a->paused_ms > w->now_ms ||
        b->paused_ms > w->now_ms)
        return;
    a->link = b->link = ++w->links;
    fg_pair_connected(a->pair, a->link);
    sim_drain(w, a);
    if (b->pair && b->link == w->links) {
        fg_pair_connected(b->pair, b->link);
        sim_drain(w, b);
    }
}

void sim_link_tick(struct sim_world *w)
{
    for (unsigned i = 0; i < w->messages_len;) {
        struct sim_message m = w->messages[i];

        if (m.at_ms > w->now_ms || w->stalled_ms[m.to] > w->now_ms ||
            w->node[m.to].paused_ms > w->now_ms) {
            i++;
            continue;
        }
        memmove(w->messages + i, w->messages + i + 1,
                (w->messages_len - i - 1) * sizeof(w->messages[0]));
        w->messages_len--;
        deliver(w, &m);
        free(m.bytes);
    }
    connect(w);
}

void sim_link_end(struct sim_world *w)
{
    for (unsigned i = 0; i < w->messages_len; i++)
        free(w->messages[i].bytes);
}
