/* SPDX-License-Identifier: BSD-3-Clause */
/* Which event does what to which state. What is not listed is nothing. */
#include "pair/internal.h"

struct row {
    enum fg_pair_state state;
    enum fg_pair_event event;
    enum fg_pair_state next;
    void (*action)(struct fg_pair *p); /* runs in the new state */
};

#define ROW(state, event, next, action)                                                            \
    {                                                                                              \
        FG_PAIR_STATE_##state, FG_PAIR_EVENT_##event, FG_PAIR_STATE_##next, action                 \
    }

static const struct row rows[] = {
    ROW(SEEKING, LEADER_FOUND, CUTTING, fg_pair_follow),
    ROW(SEEKING, MAY_LEAD, CLAIMING, fg_pair_claim),
    ROW(SEEKING, REFUSE, REFUSED, NULL),
    ROW(SEEKING, FORCE, SEEKING, fg_pair_seek_forced),
    ROW(SEEKING, DISK, ENDED, fg_pair_end_disk),

    ROW(CLAIMING, WON, SOLO, fg_pair_lead),
    ROW(CLAIMING, NOT_WON, SEEKING, fg_pair_seek_again),
    ROW(CLAIMING, UNCHANGED, SEEKING, fg_pair_seek_again),
    ROW(CLAIMING, DISK, ENDED, fg_pair_end_disk),

    ROW(CUTTING, CUT, CATCHING, fg_pair_catch_up),
    ROW(CUTTING, LOST, SEEKING, fg_pair_seek),
    ROW(CUTTING, REFUSE, REFUSED, NULL),
    ROW(CUTTING, DISK, ENDED, fg_pair_end_disk),

    ROW(CATCHING, PUBLISHED, FOLLOWING, NULL),
    ROW(CATCHING, LOST, SEEKING, fg_pair_seek),
    ROW(CATCHING, FILL, FILLING, fg_pair_fill),
    ROW(CATCHING, DISK, ENDED, fg_pair_end_disk),

    ROW(FILLING, FILLED, ENDED, fg_pair_end_filled),
    ROW(FILLING, LOST, SEEKING, fg_pair_seek),
    ROW(FILLING, REFUSE, REFUSED, NULL),
    ROW(FILLING, DISK, ENDED, fg_pair_end_disk),

    ROW(FOLLOWING, LOST, SEEKING, fg_pair_seek),
    ROW(FOLLOWING, TAKE, SEEKING, fg_pair_seek),
    ROW(FOLLOWING, DISK, ENDED, fg_pair_end_disk),

    ROW(SOLO, LOST, SOLO, fg_pair_unship),
    ROW(SOLO, FIT, ADDING, fg_pair_add),
    ROW(SOLO, DEPOSED, ENDED, fg_pair_end),
    ROW(SOLO, DISK, ENDED, fg_pair_end_disk),

    ROW(ADDING, AT_MARK, PUBLISHING, NULL),
    ROW(ADDING, LOST, SOLO, fg_pair_unship),
    ROW(ADDING, STALLED, SOLO, fg_pair_unship),
    ROW(ADDING, ALONE, SOLO, fg_pair_unship),
    ROW(ADDING, DEPOSED, ENDED, fg_pair_end),
    ROW(ADDING, DISK, ENDED, fg_pair_end_disk),

    ROW(PUBLISHING, WON, SYNC, fg_pair_synced),
    ROW(PUBLISHING, UNCHANGED, ADDING, NULL),
    ROW(PUBLISHING, LOST, DROPPING, fg_pair_drop),
    ROW(PUBLISHING, STALLED, DROPPING, fg_pair_drop),
    ROW(PUBLISHING, ALONE, DROPPING, fg_pair_part),
    ROW(PUBLISHING, DEPOSED, ENDED, fg_pair_end),
    ROW(PUBLISHING, DISK, ENDED, fg_pair_end_disk),

    ROW(SYNC, LOST, DROPPING, fg_pair_drop),
    ROW(SYNC, STALLED, DROPPING, fg_pair_drop),
    ROW(SYNC, ALONE, DROPPING, fg_pair_part),
    ROW(SYNC, SWITCH, HANDING, fg_pair_hand),
    ROW(SYNC, DEPOSED, ENDED, fg_pair_end),
    ROW(SYNC, DISK, ENDED, fg_pair_end_disk),

    ROW(DROPPING, WON, SOLO, fg_pair_lead),
    ROW(DROPPING, AT_MARK, SYNC, fg_pair_synced),
    ROW(DROPPING, LOST, DROPPING, fg_pair_hang_up),
    ROW(DROPPING, DEPOSED, ENDED, fg_pair_end),
    ROW(DROPPING, DISK, ENDED, fg_pair_end_disk),

    ROW(HANDING, LOST, DROPPING, fg_pair_hand_lost),
    ROW(HANDING, STALLED, DROPPING, fg_pair_drop),
    ROW(HANDING, DEPOSED, ENDED, fg_pair_end),
    ROW(HANDING, DISK, ENDED, fg_pair_end_disk),

    ROW(REFUSED, FORCE, SEEKING, fg_pair_seek_forced),
};

static const struct row *row_of(enum fg_pair_state state, enum fg_pair_event event)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].state == state && rows[i].event == event)
            return &rows[i];
    return NULL;
}

enum fg_pair_state fg_pair_next_state(enum fg_pair_state state, enum fg_pair_event event,
                                      bool *known)
{
    const struct row *row = row_of(state, event);

    *known = row != NULL;
    return row ? row->next : state;
}

void fg_pair_step(struct fg_pair *p, enum fg_pair_event event)
{
    const struct row *row = row_of(p->state, event);

    if (!row)
        return;
    fg_pair_commit(p); /* what the state that ends allows */
    p->state = row->next;
    if (row->action)
        row->action(p);
}
