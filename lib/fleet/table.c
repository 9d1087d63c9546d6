/* SPDX-License-Identifier: BSD-3-Clause */
/* Which event does what to the state of an item. What is not listed is nothing. */
#include "fleet/internal.h"

#define ROW(state, event, next)                                                                    \
    {                                                                                              \
        FG_FLEET_STATE_##state, FG_FLEET_EVENT_##event, FG_FLEET_STATE_##next                      \
    }

static const struct {
    enum fg_fleet_state state;
    enum fg_fleet_event event;
    enum fg_fleet_state next;
} rows[] = {
    ROW(UNREAD, READ, READY),      ROW(READY, AHEAD, LEASING),      ROW(LEASING, LEASED, READY),
    ROW(READY, SCARCE, RECALLING), ROW(RECALLING, RETURNED, READY),
};

bool fg_fleet_step(struct fg_fleet_entry *it, enum fg_fleet_event event)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].state == it->state && rows[i].event == event) {
            it->state = rows[i].next;
            return true;
        }
    return false;
}

static const char *name_of(const char *const *names, unsigned len, unsigned index)
{
    return index < len ? names[index] : "?";
}

#define NAME(name, text) #name,
#define TEXT(name, text) text,

const char *fg_fleet_reason_text(unsigned reason)
{
    static const char *const texts[] = {FG_FLEET_REASON_LIST(TEXT)};

    return name_of(texts, FG_FLEET_REASONS, reason);
}

const char *fg_fleet_state_name(unsigned state)
{
    static const char *const names[] = {FG_FLEET_STATE_LIST(NAME)};

    return name_of(names, FG_FLEET_STATES, state);
}

const char *fg_fleet_event_name(unsigned event)
{
    static const char *const names[] = {FG_FLEET_EVENT_LIST(NAME)};

    return name_of(names, FG_FLEET_EVENTS, event);
}

const char *fg_fleet_refusal_name(unsigned refusal)
{
    static const char *const names[] = {FG_FLEET_REFUSAL_LIST(NAME)};

    return name_of(names, sizeof(names) / sizeof(names[0]), refusal);
}
