/* SPDX-License-Identifier: BSD-3-Clause */
/* What the caller is to do. */
#include "fleet/internal.h"

static bool call_output(struct fg_fleet *f, struct fg_fleet_output *o)
{
    if (!f->call_is_due)
        return false;
    f->call_is_due = false;
    o->kind = f->call_is_read ? FG_FLEET_READ : FG_FLEET_SWAP;
    o->ticket = f->ticket;
    o->since = f->since;
    o->puts = f->puts;
    o->puts_len = f->call_is_read ? 0 : f->puts_len;
    o->map_revision = f->map_revision;
    o->register_revision = f->register_revision;
    return true;
}

static void lease_output(const struct fg_fleet *f, struct fg_fleet_entry *it,
                         struct fg_fleet_output *o)
{
    const struct fg_fleet_counters *pool = &it->pool.row[f->member].log;

    o->kind = FG_FLEET_LEASE;
    o->units = pool->leased - it->log.leased;
    o->counters = it->log;
    o->counters.leased = pool->leased;
    o->counters.leases = pool->leases;
}

static bool tell_output(const struct fg_fleet *f, struct fg_fleet_entry *it,
                        struct fg_fleet_output *o)
{
    bool sold_out = fg_fleet_is_sold_out(f, it);

    if (sold_out == it->told)
        return false;
    it->told = sold_out;
    if (sold_out)
        it->least = 0;
    o->kind = sold_out ? FG_FLEET_SOLD_OUT : FG_FLEET_OPEN;
    return true;
}

/* One output of an item; the lowest bit comes first. */
static bool item_output(const struct fg_fleet *f, struct fg_fleet_entry *it,
                        struct fg_fleet_output *o)
{
    unsigned out = it->out & -it->out;

    it->out &= ~out;
    switch (out) {
    case FG_FLEET_OUT_LEASE:
        lease_output(f, it, o);
        return true;
    case FG_FLEET_OUT_RECALL:
        o->kind = FG_FLEET_RECALL;
        o->counters = it->log;
        return true;
    case FG_FLEET_OUT_REFUSE:
        o->kind = FG_FLEET_REFUSE;
        o->refusal = it->refusal;
        o->units = it->left;
        return true;
    default:
        return tell_output(f, it, o);
    }
}

bool fg_fleet_next(struct fg_fleet *f, struct fg_fleet_output *o)
{
    *o = (struct fg_fleet_output){0};
    if (f->stopping) {
        f->stopping = false;
        o->kind = FG_FLEET_STOP;
        o->reason = f->reason;
        return true;
    }
    if (f->remember_ms == UINT64_MAX) {
        f->remember_ms = f->now_ms + f->timing.remember_ms;
        o->kind = FG_FLEET_REMEMBER;
        o->revision = f->remembered = f->high;
        return true;
    }
    while (f->out.len) {
        uint32_t item = f->out.items[f->out.first];
        struct fg_fleet_entry *it = &f->entries[item];

        o->item = item;
        if (it->out && item_output(f, it, o))
            return true;
        if (it->out)
            continue;
        fg_fleet_pop(&f->out);
        it->listed = false;
    }
    return call_output(f, o);
}
