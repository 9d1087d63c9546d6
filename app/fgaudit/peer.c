/* SPDX-License-Identifier: BSD-3-Clause */
#include "peer.h"

#include <inttypes.h>
#include <string.h>

static bool same(const struct fg_journal_record *a, const struct fg_journal_record *b)
{
    if (a->type == FG_JOURNAL_RECORD_BATCH && b->type == FG_JOURNAL_RECORD_BATCH)
        return a->seq == b->seq && a->time_ms == b->time_ms && a->user == b->user;
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* To the record of that sequence. */
static void skip_to(struct fg_log *log, uint64_t seq)
{
    while (log->next_seq < seq && fg_log_next(log))
        ;
}

static void read_to_end(struct fg_log *log)
{
    while (fg_log_next(log))
        ;
}

static bool same_pair(const struct fg_log *a, const struct fg_log *b, struct fg_problems *problems)
{
    if (a->appliance == b->appliance)
        return true;
    fg_problem(problems, FG_PROBLEM_PEER,
               "%s has the id %016" PRIx64 ", %s has %016" PRIx64 ": not the logs of a pair",
               a->dir, a->appliance, b->dir, b->appliance);
    return false;
}

/* Each goes on by itself: where, and under which epoch? */
static void tell_difference(struct fg_log *a, const struct fg_journal_record *x, struct fg_log *b,
                            const struct fg_journal_record *y, struct fg_problems *problems)
{
    uint64_t seq = x->seq;
    const char *what = fg_log_type(x->type), *peer = fg_log_type(y->type);

    read_to_end(a);
    read_to_end(b);
    fg_problem(problems, FG_PROBLEM_PEER,
               "record %" PRIu64 ": %s in %s, which goes on to record %" PRIu64
               " and epoch %" PRIu64 "; %s in %s, which goes on to record %" PRIu64
               " and epoch %" PRIu64,
               seq, what, a->dir, a->next_seq - 1, a->epoch.epoch, peer, b->dir, b->next_seq - 1,
               b->epoch.epoch);
}

/* To the end of the shorter one, or to the first difference, which is told. */
static void walk(struct fg_peer *p, struct fg_log *a, struct fg_log *b,
                 struct fg_problems *problems)
{
    const struct fg_journal_record *x, *y;

    for (;;) {
        x = fg_log_next(a);
        y = fg_log_next(b);
        if (!x || !y)
            return;
        if (!same(x, y))
            break;
        p->same_seq = x->seq;
    }
    tell_difference(a, x, b, y, problems);
}

static void compare(struct fg_peer *p, struct fg_log *a, struct fg_log *b,
                    struct fg_problems *problems)
{
    p->from_seq = a->first_seq > b->first_seq ? a->first_seq : b->first_seq;
    skip_to(a, p->from_seq);
    skip_to(b, p->from_seq);
    if (a->next_seq != p->from_seq || b->next_seq != p->from_seq) {
        fg_problem(problems, FG_PROBLEM_PEER,
                   "%s holds records %" PRIu64 " to %" PRIu64 ", %s %" PRIu64 " to %" PRIu64
                   ": they have none in common",
                   a->dir, a->first_seq, a->next_seq - 1, b->dir, b->first_seq, b->next_seq - 1);
        return;
    }
    p->same_seq = p->from_seq - 1;
    if (a->epoch.epoch != b->epoch.epoch || a->epoch.first_seq != b->epoch.first_seq)
        fg_problem(problems, FG_PROBLEM_EPOCH,
                   "before record %" PRIu64 ": epoch %" PRIu64 " since record %" PRIu64
                   " in %s, epoch %" PRIu64 " since record %" PRIu64 " in %s",
                   p->from_seq, a->epoch.epoch, a->epoch.first_seq, a->dir, b->epoch.epoch,
                   b->epoch.first_seq, b->dir);
    walk(p, a, b, problems);
    read_to_end(a);
    read_to_end(b);
}

bool fg_peer_compare(struct fg_peer *p, const char *dir, struct fg_problems *problems,
                     struct fg_error *err)
{
    struct fg_problems silent = {.silent = true}; /* the audit has told what is wrong with it */
    struct fg_log a, b;

    if (!fg_log_open(&a, dir, &silent, err))
        return false;
    if (!fg_log_open(&b, p->dir, problems, err)) {
        fg_log_close(&a);
        return false;
    }
    p->first_seq = b.first_seq;
    if (same_pair(&a, &b, problems))
        compare(p, &a, &b, problems);
    p->last_seq = b.next_seq - 1;
    p->epoch = b.epoch.epoch;
    p->own_seq = a.next_seq - 1;
    fg_log_close(&a);
    fg_log_close(&b);
    return true;
}
