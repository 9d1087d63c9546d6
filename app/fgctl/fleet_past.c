/* SPDX-License-Identifier: BSD-3-Clause */
#include "fleet_past.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "journal/journal.h"
#include "ledger/snapshot.h"

#define LOCK "lock" /* as lib/journal has it */

/* False: a process has it. */
static bool lock(struct fg_member_past *past, struct fg_error *err)
{
    char path[4096];

    snprintf(path, sizeof(path), "%.4000s/" LOCK, past->dir);
    past->lock = open(path, O_RDONLY | O_CLOEXEC);
    if (past->lock < 0 || flock(past->lock, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return true;
    return fg_fail(err, "%.300s: its daemon runs; stop it first", past->dir);
}

static bool identify(struct fg_member_past *past, struct fg_error *err)
{
    uint64_t first = fg_journal_first_seq(past->dir, err);
    struct fg_journal_reader *reader = first ? fg_journal_reader_open(past->dir, first, err) : NULL;

    if (!reader)
        return false;
    past->id = fg_journal_reader_appliance(reader);
    fg_journal_reader_close(reader);
    return true;
}

static uint64_t last_ms(const struct fg_member_past *past)
{
    struct fg_error err;
    struct fg_journal_record record;
    struct fg_journal_reader *reader =
        past->seq ? fg_journal_reader_open(past->dir, past->seq, &err) : NULL;
    uint64_t time_ms = 0;

    if (reader && fg_journal_read(reader, &record, 1, UINT64_MAX, &err) == 1)
        time_ms = record.time_ms;
    if (reader)
        fg_journal_reader_close(reader);
    return time_ms;
}

/* The newest snapshot and what stands behind it; all of the log when there is none. */
static bool load(struct fg_member_past *past, struct fg_error *err)
{
    struct fg_ledger_snapshot_info from;
    uint64_t first = fg_journal_first_seq(past->dir, err);

    if (!first || (!fg_ledger_snapshot_load(past->ledger, past->dir, &from, err) && first > 1))
        return false;
    if (!fg_ledger_replay(past->ledger, past->dir, UINT64_MAX, err))
        return false;
    past->seq = fg_ledger_seq(past->ledger);
    past->last_ms = last_ms(past);
    return true;
}

bool fg_member_past_open(struct fg_member_past *past, const char *dir, struct fg_error *err)
{
    *past = (struct fg_member_past){.dir = dir, .lock = -1, .ledger = fg_ledger_create()};
    FG_ASSERT(past->ledger);
    if (!fg_journal_found(dir))
        return fg_fail(err, "%.300s: there is no log", dir);
    return lock(past, err) && identify(past, err) && load(past, err);
}

void fg_member_past_close(struct fg_member_past *past)
{
    fg_ledger_destroy(past->ledger);
    past->ledger = NULL;
    if (past->dir && past->lock >= 0)
        close(past->lock);
    past->lock = -1;
}

void fg_member_past_item(const struct fg_member_past *past, uint64_t item,
                         struct fg_fleet_past *numbers, uint64_t *reserved)
{
    const struct fg_ledger_item *i = fg_ledger_item(past->ledger, item);

    *numbers = (struct fg_fleet_past){.seq = past->seq};
    *reserved = 0;
    if (!i)
        return;
    numbers->log = (struct fg_fleet_counters){.stock = fg_ledger_item_stock(i),
                                              .leased = i->leased,
                                              .leases = i->leases,
                                              .returned = i->returned,
                                              .returns = i->returns};
    numbers->taken = (int64_t)(i->sold + i->refunded);
    *reserved = i->reserved;
}

bool fg_member_past_settings(const struct fg_member_past *past, uint64_t item,
                             struct fg_fleet_settings *settings)
{
    const struct fg_ledger_item *i = fg_ledger_item(past->ledger, item);

    if (!i)
        return false;
    *settings = (struct fg_fleet_settings){.opens_ms = i->opens_ms,
                                           .closes_ms = i->closes_ms,
                                           .hold_ms = i->hold_ms,
                                           .user_limit = i->user_limit,
                                           .order_max = i->order_max,
                                           .paused = i->flags & FG_JOURNAL_ITEM_PAUSED,
                                           .retired = i->flags & FG_JOURNAL_ITEM_RETIRED};
    memcpy(settings->name, i->name, sizeof(settings->name));
    return true;
}
