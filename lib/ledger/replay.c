/* SPDX-License-Identifier: BSD-3-Clause */
#include "journal/journal.h"
#include "ledger/table.h"

#define REPLAY_RECORDS 4096
/* How far ahead memory is asked for: a look-up costs two cache misses, and there are two a unit
 * sold. */
#define AHEAD_SLOT  24
#define AHEAD_ORDER 12

static bool is_order(const struct fg_journal_record *r)
{
    return fg_ledger_step(r) != NULL;
}

/* gcc drops calls of functions that only prefetch, unless they are inlined at once */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE void ask_for_slot(const struct fg_ledger *l, const struct fg_journal_record *r)
{
    if (is_order(r))
        __builtin_prefetch(
            fg_ledger_index_home(&l->order_index, fg_ledger_order_hash(l, r->user, r->order_id)),
            1);
}

ALWAYS_INLINE void ask_for_order(const struct fg_ledger *l, const struct fg_journal_record *r)
{
    const struct fg_ledger_index_slot *slot;

    if (r->type == FG_JOURNAL_RECORD_RESERVED || !is_order(r))
        return; /* a reservation makes a new order at the end */
    slot = fg_ledger_index_home(&l->order_index, fg_ledger_order_hash(l, r->user, r->order_id));
    if (slot->number)
        __builtin_prefetch(fg_ledger_dense_at(&l->orders, slot->number - 1), 1);
}

bool fg_ledger_apply_all(struct fg_ledger *l, const struct fg_journal_record *records, size_t n,
                         struct fg_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD_SLOT < n)
            ask_for_slot(l, &records[i + AHEAD_SLOT]);
        if (i + AHEAD_ORDER < n)
            ask_for_order(l, &records[i + AHEAD_ORDER]);
        if (!fg_ledger_apply(l, &records[i], err))
            return false;
    }
    return true;
}

bool fg_ledger_replay(struct fg_ledger *ledger, const char *dir, uint64_t limit_seq,
                      struct fg_error *err)
{
    struct fg_journal_reader *reader;
    struct fg_journal_record *records;
    ssize_t n = 0;
    bool ok = true;

    if (ledger->seq >= limit_seq)
        return true;
    records = malloc(REPLAY_RECORDS * sizeof(*records));
    if (!records)
        return fg_fail(err, "%s: out of memory", dir);
    reader = fg_journal_reader_open(dir, ledger->seq + 1, err);
    while (reader && ok &&
           (n = fg_journal_read(reader, records, REPLAY_RECORDS, limit_seq, err)) > 0)
        ok = fg_ledger_apply_all(ledger, records, (size_t)n, err);
    ok = ok && reader && n == 0;
    fg_journal_reader_close(reader);
    free(records);
    return ok;
}
