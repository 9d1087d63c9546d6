/* SPDX-License-Identifier: BSD-3-Clause */
/* What all of the room uses: queues of items, and whether the member takes part. */
#include "fleet/internal.h"

/* ---- queues ---------------------------------------------------------------------------------- */

static void ring_push(struct fg_fleet_ring *r, uint32_t item)
{
    FG_ASSERT(r->len < r->size);
    r->items[(r->first + r->len++) % r->size] = item;
}

uint32_t fg_fleet_pop(struct fg_fleet_ring *r)
{
    uint32_t item = r->items[r->first];

    r->first = (r->first + 1) % r->size;
    r->len--;
    return item;
}

void fg_fleet_queue(struct fg_fleet *f, uint32_t item)
{
    if (!f->entries[item].queued)
        ring_push(&f->work, item);
    f->entries[item].queued = true;
}

void fg_fleet_list(struct fg_fleet *f, uint32_t item, unsigned out)
{
    f->entries[item].out |= out;
    if (!f->entries[item].listed)
        ring_push(&f->out, item);
    f->entries[item].listed = true;
}

/* ---- taking part ----------------------------------------------------------------------------- */

bool fg_fleet_is_live(const struct fg_fleet *f, unsigned member)
{
    return !(f->map.retired & 1u << member);
}

enum fg_fleet_reason fg_fleet_reason_now(const struct fg_fleet *f)
{
    if (f->reason != FG_FLEET_REASON_NONE)
        return f->reason;
    if (!f->register_revision || f->register_moved)
        return FG_FLEET_REASON_FOLLOWS;
    if (!f->read)
        return FG_FLEET_REASON_UNREAD;
    if (!f->map_revision)
        return FG_FLEET_REASON_UNPREPARED;
    if (f->map_damaged)
        return FG_FLEET_REASON_DAMAGED;
    return f->map.frozen ? FG_FLEET_REASON_FROZEN : FG_FLEET_REASON_NONE;
}

/* For good. With a restored etcd the member sells what it holds: its log is the truth of that. */
void fg_fleet_stop(struct fg_fleet *f, enum fg_fleet_reason reason)
{
    if (f->reason != FG_FLEET_REASON_NONE)
        return;
    f->reason = reason;
    if (reason == FG_FLEET_REASON_RESTORED)
        return;
    f->may_sell = false;
    f->stopping = true;
}

bool fg_fleet_is_sold_out(const struct fg_fleet *f, const struct fg_fleet_entry *it)
{
    return it->pool.sold_out && !it->damaged && !f->away &&
           fg_fleet_reason_now(f) == FG_FLEET_REASON_NONE;
}

void fg_fleet_key(char key[FG_FLEET_KEY_MAX], uint64_t id)
{
    snprintf(key, FG_FLEET_KEY_MAX, FG_FLEET_PREFIX "pool/%llu", (unsigned long long)id);
}
