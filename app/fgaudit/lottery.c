/* SPDX-License-Identifier: BSD-3-Clause */
#include "lottery.h"

#include <inttypes.h>
#include <openssl/sha.h>
#include <string.h>

#include "line.h"

struct entry {
    uint64_t rank;
    const struct fg_order *order;
};

static void add(uint8_t sum[32], const uint8_t hash[32])
{
    unsigned carry = 0;

    for (unsigned i = 0; i < 32; i++) {
        carry += sum[i] + hash[i];
        sum[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

static int by_rank(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return x->order->user < y->order->user ? -1 : x->order->user > y->order->user;
}

void fg_lottery_commitment(struct fg_story *s, struct fg_item *i, const struct fg_journal_record *r)
{
    struct fg_line *l;

    if (!i)
        return;
    if (!(i->line_flags & FG_JOURNAL_LINE_LOTTERY))
        fg_problem(s->problems, FG_PROBLEM_LOTTERY,
                   "record %" PRIu64 ": item %" PRIu64 " has no lottery", r->seq, i->item);
    l = fg_line_made(&i->line);
    if (!l->commit_seq && l->waiting && l->head <= l->set_tickets)
        fg_problem(s->problems, FG_PROBLEM_LOTTERY,
                   "record %" PRIu64 ": a draw of item %" PRIu64 " was set while ticket %" PRIu64
                   " waited, whose turn was known",
                   r->seq, i->item, l->head);
    l->renewed += l->commit_seq != 0;
    l->renewed_late += l->commit_seq != 0 && r->time_ms >= i->opens_ms;
    l->strangers = l->waiting;
    l->commit_seq = r->seq;
    memcpy(l->commitment, r->name, sizeof(l->commitment));
}

void fg_lottery_entry(struct fg_story *s, const struct fg_item *i,
                      const struct fg_journal_record *r)
{
    bool older = s->begin_seq > 0; /* the log does not hold its beginning */

    if (i->line_flags & FG_JOURNAL_LINE_LOTTERY && r->time_ms < i->opens_ms &&
        !(i->line && i->line->commit_seq) && !older)
        fg_problem(s->problems, FG_PROBLEM_LOTTERY,
                   "record %" PRIu64 ": an entry for item %" PRIu64 " before any commitment",
                   r->seq, i->item);
}

/* All who wait for the item, *count of them, in the order that the seed gives. The caller frees it.
 */
static struct entry *draw(struct fg_story *s, const struct fg_item *item,
                          const struct fg_journal_record *r, uint32_t *count)
{
    struct fg_tables *t = &s->tables;
    struct entry *entries = calloc((size_t)t->order_count + 1, sizeof(*entries));
    uint8_t hash[32], text[48] = {0};
    uint32_t n = 0;

    if (!entries)
        fg_out_of_memory();
    memcpy(text, r->order_id, 16);
    for (uint32_t k = 0; k < t->order_count; k++) {
        const struct fg_order *o = &t->orders[k];

        if (o->state != FG_STATE_WAITING || &t->items[o->item] != item)
            continue;
        SHA256((const uint8_t *)&o->user, sizeof(o->user), hash);
        add(text + 16, hash);
        entries[n++].order = o;
    }
    SHA256(text, 48, hash);
    for (uint32_t k = 0; k < n; k++) {
        uint8_t rank[32];

        memcpy(text, hash, 16);
        memcpy(text + 16, &entries[k].order->user, 8);
        SHA256(text, 24, rank);
        memcpy(&entries[k].rank, rank, sizeof(entries[k].rank));
    }
    qsort(entries, n, sizeof(*entries), by_rank);
    *count = n;
    return entries;
}

static struct fg_draw *keep(struct fg_story *s, const struct fg_item *i,
                            const struct fg_journal_record *r, uint32_t count)
{
    struct fg_draw *d;

    s->draws = realloc(s->draws, (s->draw_count + 1) * sizeof(*s->draws));
    if (!s->draws)
        fg_out_of_memory();
    d = &s->draws[s->draw_count++];
    *d = (struct fg_draw){.item = i->item,
                          .seq = r->seq,
                          .time_ms = r->time_ms,
                          .commit_seq = i->line->commit_seq,
                          .renewed = i->line->renewed,
                          .renewed_late = i->line->renewed_late,
                          .strangers = i->line->strangers,
                          .first = r->arg + 1,
                          .orders = calloc((size_t)count + 1, sizeof(*d->orders)),
                          .count = count};
    memcpy(d->seed, r->order_id, sizeof(d->seed));
    if (!d->orders)
        fg_out_of_memory();
    return d;
}

static void check(struct fg_story *s, const struct fg_item *i, const struct fg_journal_record *r,
                  uint32_t count)
{
    const struct fg_line *l = i->line;
    uint8_t hash[32];

    SHA256(r->order_id, 16, hash);
    if (!(i->line_flags & FG_JOURNAL_LINE_LOTTERY))
        fg_problem(s->problems, FG_PROBLEM_LOTTERY,
                   "record %" PRIu64 ": item %" PRIu64 " has no lottery", r->seq, i->item);
    if (l->commit_seq ? memcmp(hash, l->commitment, sizeof(hash)) != 0 : !s->begin_seq)
        fg_problem(s->problems, FG_PROBLEM_LOTTERY,
                   "record %" PRIu64 ": the seed of item %" PRIu64
                   " is not the one of record %" PRIu64,
                   r->seq, i->item, l->commit_seq);
    if (r->user != count || r->arg < l->tickets)
        fg_problem(s->problems, FG_PROBLEM_LOTTERY,
                   "record %" PRIu64 ": a draw among %" PRIu64 " orders behind ticket %" PRIu64
                   "; %u wait for item %" PRIu64 ", the largest ticket is %" PRIu64,
                   r->seq, r->user, r->arg, count, i->item, l->tickets);
    if (r->time_ms + s->settle_ms < i->opens_ms)
        fg_problem(s->problems, FG_PROBLEM_LOTTERY,
                   "record %" PRIu64 ": item %" PRIu64 " opens at %" PRIu64 " ms, after the draw",
                   r->seq, i->item, i->opens_ms);
}

void fg_lottery_drawn(struct fg_story *s, struct fg_item *i, const struct fg_journal_record *r)
{
    struct entry *entries;
    struct fg_draw *d;
    uint32_t n;

    if (!i)
        return;
    fg_line_made(&i->line);
    entries = draw(s, i, r, &n);
    check(s, i, r, n);
    d = keep(s, i, r, n);
    for (uint32_t k = 0; k < n; k++)
        fg_line_give_back(i->line, entries[k].order->ticket);
    if (r->arg > i->line->tickets) { /* the others were never recorded */
        i->line->gaps += r->arg - i->line->tickets;
        i->line->tickets = r->arg;
    }
    for (uint32_t k = 0; k < n; k++) {
        struct fg_order *o = &s->tables.orders[entries[k].order - s->tables.orders];

        o->ticket = r->arg + 1 + k;
        d->orders[k] = (uint32_t)(o - s->tables.orders);
        fg_line_join(&i->line, o->ticket, r->time_ms);
    }
    free(entries);
    i->line->commit_seq = i->line->renewed = i->line->renewed_late = 0;
    i->line_flags &= ~FG_JOURNAL_LINE_LOTTERY;
}

void fg_lottery_print(const struct fg_story *s, uint64_t item, FILE *out)
{
    for (size_t i = 0; i < s->draw_count; i++) {
        const struct fg_draw *d = &s->draws[i];
        char text[33];

        if (item && d->item != item)
            continue;
        fg_hex(text, d->seed);
        fprintf(out,
                "draw of item %" PRIu64 ": record %" PRIu64 ", at %" PRIu64
                " ms, seed %s, commitment in record %" PRIu64 " (renewed %" PRIu64
                " times, %" PRIu64 " of them after the opening, %" PRIu64
                " waited before it), %u orders\n",
                d->item, d->seq, d->time_ms, text, d->commit_seq, d->renewed, d->renewed_late,
                d->strangers, d->count);
        for (uint32_t k = 0; k < d->count; k++) {
            const struct fg_order *o = &s->tables.orders[d->orders[k]];

            fg_hex(text, o->id);
            fprintf(out, "  ticket %" PRIu64 " user %" PRIu64 " order %s %s\n", d->first + k,
                    o->user, text, fg_state_name(o->state));
        }
    }
}
