/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * orders: the journal thread's side of a pairing: what the replication thread wants, and how far
 * it is. Private to lib/journal.
 */
#ifndef FG_JOURNAL_ORDERS_H
#define FG_JOURNAL_ORDERS_H

#include "journal/doorbell.h"
#include "journal/pairing.h"

#define FG_JOURNAL_ORDERS_MARKS 1024 /* commits that are not committed in the pair's sense yet */
#define FG_JOURNAL_ORDERS_TEXT  512
#define FG_JOURNAL_ORDERS_PART  8192 /* records of the peer that are made durable at once */

enum fg_journal_order_kind { FG_JOURNAL_ORDER_CUT, FG_JOURNAL_ORDER_LEAD, FG_JOURNAL_ORDER_SEAL };

struct fg_journal_order {
    uint64_t after;  /* that many records of the peer first, in all */
    uint64_t number; /* the last sequence to keep, or the epoch */
    uint64_t id;     /* of a new log, or of the node */
    uint32_t kind;
    uint8_t nonce[16];
    uint8_t unused[20];
};
_Static_assert(sizeof(struct fg_journal_order) == FG_RING_SLOT, "one message of a ring");

/* Records of each worker up to a sequence: [0] the sequence, [1 + worker] how many. */
struct fg_journal_marks {
    _Atomic uint64_t head, tail; /* the replication thread takes, the journal thread adds */
    uint64_t *rows;              /* [FG_JOURNAL_ORDERS_MARKS][1 + workers] */
};

struct fg_journal_pairing_work {
    struct fg_journal_options log;
    unsigned workers;
    struct fg_ring *records; /* of the peer, to the journal thread */
    struct fg_ring *orders;  /* to the journal thread */
    struct fg_journal_marks marks;
    _Atomic uint64_t commit; /* `item` of batch records */
    pthread_mutex_t lock;    /* of `error`, and of the journal while it is closed and opened */
    char error[FG_JOURNAL_ORDERS_TEXT];

    /* The journal thread's start writes. */
    struct fg_journal_doorbell *bell;
    _Atomic int *mode; /* of the workers */
    int failed_mode;

    uint64_t given; /* records so far; the replication thread */

    /* The journal thread. */
    uint64_t taken; /* records so far */
    struct fg_journal_record *part;
    uint64_t *row;     /* [1 + workers]: marks for which there is no room; 0 = none */
    uint64_t marked;   /* last sequence whose marks were added */
    uint64_t order_ms; /* of the first attempt at the next order: it is written the same again */
    bool quiet;        /* what is written now is told only when it is durable */
};

/** The journal thread: something waits for it. Any thread. */
bool fg_journal_orders_wait(const struct fg_journal_pairing *p);
/** The next order needs that no commit is under way. */
bool fg_journal_orders_still(const struct fg_journal_pairing *p);
/** Before a commit: what its batch records say. */
void fg_journal_orders_word(const struct fg_journal_pairing *p, struct fg_journal_committer *c);
/** Carries out the next order, or a part of it; the committer has no batch. False: there is none,
 * or the disk has to be tried again. */
bool fg_journal_orders_step(struct fg_journal_pairing *p, struct fg_journal_committer *c,
                            uint64_t now_ms);
/** Tells what is durable, or that the log failed, after a commit has ended. */
void fg_journal_orders_tell(struct fg_journal_pairing *p, struct fg_journal_committer *c);

#endif
