/* SPDX-License-Identifier: BSD-3-Clause */
#include "fleet/catalogue.h"

#include <string.h>

typedef unsigned long long ull;

struct entry {
    struct fg_fleet_listed listed;
    bool waits;  /* its newest settings are not applied */
    bool tried;  /* in vain, or they cannot be understood */
    bool broken; /* they cannot be understood */
    bool queued;
    uint64_t retry_ms;
};

struct fg_fleet_catalogue {
    unsigned member, members;
    uint32_t items_max, count;
    struct entry *entries;
    uint32_t *by_id, mask; /* entry + 1, by a hash of the item */
    uint32_t *queue, first, len;
    uint32_t waiting, fresh; /* entries that wait; those of them that were not tried yet */
    int64_t newest;          /* revision of settings */
    int64_t no_room;         /* lowest revision of settings that have no room; 0 = none */
    uint64_t no_room_item;   /* whose they are */
    uint32_t broken;         /* entries that cannot be understood */
    bool all_read;
    int64_t said[FG_FLEET_MEMBERS_MAX];    /* by each member */
    int64_t said_at[FG_FLEET_MEMBERS_MAX]; /* revision of the key in which it was read; 0 = none */
    uint32_t given_up;
    int64_t done; /* all settings up to this revision are applied */
};

/* ---- texts ----------------------------------------------------------------------------------- */

size_t fg_fleet_settings_write(const struct fg_fleet_settings *s, char text[FG_FLEET_TEXT_MAX])
{
    int len = snprintf(text, FG_FLEET_TEXT_MAX,
                       "floodgate-item 1 version %llu opens %llu closes %llu hold %u limit %u "
                       "order %u %s %s name \"%.*s\"",
                       (ull)s->version, (ull)s->opens_ms, (ull)s->closes_ms, s->hold_ms,
                       s->user_limit, s->order_max, s->paused ? "paused" : "running",
                       s->retired ? "retired" : "listed", FG_FLEET_NAME_MAX, s->name);

    FG_ASSERT(len > 0 && len < FG_FLEET_TEXT_MAX);
    return (size_t)len;
}

/* Between the quotes at the end of the text, which may stand in a name, too. */
static bool name_read(struct fg_fleet_settings *s, const char *text)
{
    size_t len = strlen(text);

    if (len < 2 || len - 2 > FG_FLEET_NAME_MAX || text[0] != '"' || text[len - 1] != '"')
        return false;
    memcpy(s->name, text + 1, len - 2);
    for (const char *c = s->name; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return false;
    return true;
}

/* What is written from what was read must be the same text: no sign, space or overflow passes. */
bool fg_fleet_settings_read(struct fg_fleet_settings *s, const char *text)
{
    char mode[8], listing[8], again[FG_FLEET_TEXT_MAX];
    ull version, opens_ms, closes_ms;
    int end = 0;

    *s = (struct fg_fleet_settings){0};
    if (strnlen(text, FG_FLEET_TEXT_MAX) == FG_FLEET_TEXT_MAX ||
        sscanf(text,
               "floodgate-item 1 version %llu opens %llu closes %llu hold %u limit %u order %hu "
               "%7s %7s name %n",
               &version, &opens_ms, &closes_ms, &s->hold_ms, &s->user_limit, &s->order_max, mode,
               listing, &end) != 8 ||
        !end || version < 1 || version > INT64_MAX || !name_read(s, text + end))
        return false;
    s->version = version;
    s->opens_ms = opens_ms;
    s->closes_ms = closes_ms;
    s->paused = strcmp(mode, "paused") == 0;
    s->retired = strcmp(listing, "retired") == 0;
    fg_fleet_settings_write(s, again);
    return strcmp(text, again) == 0;
}

size_t fg_fleet_applied_write(unsigned member, int64_t revision, char text[FG_FLEET_TEXT_MAX])
{
    return (size_t)snprintf(text, FG_FLEET_TEXT_MAX, "floodgate-applied 1 member %u revision %lld",
                            member, (long long)revision);
}

bool fg_fleet_applied_read(unsigned *member, int64_t *revision, const char *text)
{
    char again[FG_FLEET_TEXT_MAX];
    long long number;

    if (sscanf(text, "floodgate-applied 1 member %u revision %lld", member, &number) != 2 ||
        *member >= FG_FLEET_MEMBERS_MAX || number < 0)
        return false;
    *revision = number;
    fg_fleet_applied_write(*member, number, again);
    return strcmp(text, again) == 0;
}

void fg_fleet_catalogue_key(char *key, size_t size, uint64_t item)
{
    snprintf(key, size, FG_FLEET_ITEM_PREFIX "%llu", (ull)item);
}

/* ---- creation -------------------------------------------------------------------------------- */

static void *zeros(size_t n, size_t size)
{
    void *memory = calloc(n, size);

    FG_ASSERT(memory);
    return memory;
}

struct fg_fleet_catalogue *fg_fleet_catalogue_create(unsigned member, unsigned members,
                                                     uint32_t items_max)
{
    struct fg_fleet_catalogue *c = zeros(1, sizeof(*c));
    uint32_t slots = 2;

    FG_ASSERT(member < members && members <= FG_FLEET_MEMBERS_MAX && items_max >= 1);
    c->member = member;
    c->members = members;
    c->items_max = items_max;
    while (slots < 2 * items_max)
        slots *= 2;
    c->entries = zeros(items_max, sizeof(*c->entries));
    c->by_id = zeros(slots, sizeof(*c->by_id));
    c->mask = slots - 1;
    c->queue = zeros(items_max, sizeof(*c->queue));
    for (unsigned m = 0; m < FG_FLEET_MEMBERS_MAX; m++)
        c->said[m] = FG_FLEET_NO_REVISION;
    return c;
}

void fg_fleet_catalogue_destroy(struct fg_fleet_catalogue *c)
{
    if (!c)
        return;
    free(c->entries);
    free(c->by_id);
    free(c->queue);
    free(c);
}

static uint32_t *slot_of(const struct fg_fleet_catalogue *c, uint64_t item)
{
    uint32_t at = (uint32_t)fg_mix64(item, 0) & c->mask;

    while (c->by_id[at] && c->entries[c->by_id[at] - 1].listed.item != item)
        at = (at + 1) & c->mask;
    return &c->by_id[at];
}

/* ---- values of etcd -------------------------------------------------------------------------- */

/* What this member may say. A new value, or a new outcome, may change it. */
static void count(struct fg_fleet_catalogue *c)
{
    if (c->fresh)
        return;
    c->done = c->newest;
    for (uint32_t i = 0; i < c->count && c->waiting; i++)
        if (c->entries[i].waits && c->entries[i].listed.revision <= c->done)
            c->done = c->entries[i].listed.revision - 1;
    if (c->no_room && c->no_room <= c->done)
        c->done = c->no_room - 1;
}

static void push(struct fg_fleet_catalogue *c, struct entry *e)
{
    if (!e->queued)
        c->queue[(c->first + c->len++) % c->items_max] = (uint32_t)(e - c->entries);
    e->queued = true;
}

static struct entry *pop(struct fg_fleet_catalogue *c)
{
    struct entry *e = &c->entries[c->queue[c->first]];

    c->first = (c->first + 1) % c->items_max;
    c->len--;
    e->queued = false;
    return e;
}

static void set_waits(struct fg_fleet_catalogue *c, struct entry *e, bool waits, bool tried)
{
    c->waiting += (uint32_t)waits - (uint32_t)e->waits;
    c->fresh += (uint32_t)(waits && !tried) - (uint32_t)(e->waits && !e->tried);
    e->waits = waits;
    e->tried = tried;
    count(c);
}

/* NULL: there is no room. */
static struct entry *entry_of(struct fg_fleet_catalogue *c, uint64_t item)
{
    uint32_t *slot = slot_of(c, item);

    if (!*slot) {
        if (c->count == c->items_max)
            return NULL;
        c->entries[c->count] = (struct entry){.listed.item = item};
        *slot = ++c->count;
    }
    return &c->entries[*slot - 1];
}

static void item_value(struct fg_fleet_catalogue *c, uint64_t item, int64_t revision,
                       const char *text)
{
    struct fg_fleet_settings settings;
    struct entry *e = entry_of(c, item);
    bool sane = fg_fleet_settings_read(&settings, text);

    if (e && revision <= e->listed.revision)
        return;
    c->newest = revision > c->newest ? revision : c->newest;
    if (!e) {
        c->no_room = !c->no_room || revision < c->no_room ? revision : c->no_room;
        c->no_room_item = item;
        count(c);
        return;
    }
    e->listed.revision = revision;
    c->broken += (uint32_t)!sane - (uint32_t)e->broken;
    e->broken = !sane;
    if (sane) {
        e->listed.settings = settings;
        e->retry_ms = 0;
        push(c, e);
    }
    set_waits(c, e, true, !sane);
}

static void applied_value(struct fg_fleet_catalogue *c, const char *key, int64_t at,
                          const char *text)
{
    char own[sizeof(FG_FLEET_APPLIED_PREFIX) + 12];
    unsigned member;
    int64_t revision;

    if (!fg_fleet_applied_read(&member, &revision, text) || member >= c->members)
        return;
    snprintf(own, sizeof(own), FG_FLEET_APPLIED_PREFIX "%u", member);
    if (strcmp(own, key) != 0 || at <= c->said_at[member])
        return;
    c->said_at[member] = at;
    if (revision != c->said[member])
        c->given_up &= ~(1u << member);
    c->said[member] = revision;
}

void fg_fleet_catalogue_value(struct fg_fleet_catalogue *c, const char *key, int64_t revision,
                              const char *text)
{
    char own[sizeof(FG_FLEET_ITEM_PREFIX) + 20];
    ull item;

    if (revision <= 0)
        return;
    if (strncmp(key, FG_FLEET_APPLIED_PREFIX, strlen(FG_FLEET_APPLIED_PREFIX)) == 0)
        applied_value(c, key, revision, text);
    if (sscanf(key, FG_FLEET_ITEM_PREFIX "%llu", &item) != 1 || !item || item > INT64_MAX)
        return;
    fg_fleet_catalogue_key(own, sizeof(own), item);
    if (strcmp(key, own) == 0)
        item_value(c, item, revision, text);
}

void fg_fleet_catalogue_all_read(struct fg_fleet_catalogue *c)
{
    c->all_read = true;
}

/* ---- applying -------------------------------------------------------------------------------- */

/* The oldest that is due; those that failed stand behind those that were not tried. */
bool fg_fleet_catalogue_next(struct fg_fleet_catalogue *c, uint64_t now_ms,
                             struct fg_fleet_listed *listed)
{
    for (uint32_t n = c->len; n > 0; n--) {
        struct entry *e = pop(c);

        if (e->broken)
            continue;
        if (e->retry_ms <= now_ms) {
            *listed = e->listed;
            return true;
        }
        push(c, e);
    }
    return false;
}

static struct entry *taken(const struct fg_fleet_catalogue *c, const struct fg_fleet_listed *listed)
{
    uint32_t slot = *slot_of(c, listed->item);

    FG_ASSERT(slot);
    return &c->entries[slot - 1];
}

/* Newer ones that came meanwhile are in the queue. */
void fg_fleet_catalogue_applied(struct fg_fleet_catalogue *c, const struct fg_fleet_listed *listed)
{
    struct entry *e = taken(c, listed);

    e->listed.applied = listed->settings.version;
    if (e->listed.revision == listed->revision)
        set_waits(c, e, false, false);
}

void fg_fleet_catalogue_failed(struct fg_fleet_catalogue *c, const struct fg_fleet_listed *listed,
                               uint64_t retry_ms)
{
    struct entry *e = taken(c, listed);

    if (e->listed.revision != listed->revision)
        return;
    e->retry_ms = retry_ms;
    push(c, e);
    set_waits(c, e, true, true);
}

/* ---- what members say ------------------------------------------------------------------------ */

bool fg_fleet_catalogue_must_say(const struct fg_fleet_catalogue *c, int64_t *revision)
{
    *revision = c->done;
    return c->all_read && !c->fresh && c->done != c->said[c->member];
}

void fg_fleet_catalogue_said(struct fg_fleet_catalogue *c, int64_t revision)
{
    c->said[c->member] = revision;
}

bool fg_fleet_catalogue_complete(const struct fg_fleet_catalogue *c)
{
    return c->all_read && !c->waiting && !c->no_room && c->said[c->member] == c->newest;
}

void fg_fleet_catalogue_item(const struct fg_fleet_catalogue *c, uint64_t item,
                             struct fg_fleet_listed *listed)
{
    uint32_t slot = *slot_of(c, item);

    *listed = slot ? c->entries[slot - 1].listed : (struct fg_fleet_listed){.item = item};
}

uint32_t fg_fleet_catalogue_behind(const struct fg_fleet_catalogue *c, int64_t revision)
{
    uint32_t behind = 0;

    for (unsigned m = 0; m < c->members; m++)
        behind |= (uint32_t)(c->said[m] < revision) << m;
    return behind;
}

uint32_t fg_fleet_catalogue_awaited(const struct fg_fleet_catalogue *c, uint32_t behind)
{
    for (unsigned m = 0; m < c->members; m++)
        if (c->said[m] == FG_FLEET_NO_REVISION)
            behind &= ~(1u << m);
    return behind & ~c->given_up;
}

void fg_fleet_catalogue_give_up(struct fg_fleet_catalogue *c, uint32_t members)
{
    c->given_up |= members;
}

int64_t fg_fleet_catalogue_newest(const struct fg_fleet_catalogue *c)
{
    return c->newest;
}

bool fg_fleet_catalogue_unusable(const struct fg_fleet_catalogue *c, char *text, size_t size)
{
    uint32_t i = 0;

    if (c->no_room) {
        snprintf(text, size,
                 "item %llu: there are %u items already, as many as [limits] items_max "
                 "allows",
                 (ull)c->no_room_item, c->items_max);
        return true;
    }
    if (!c->broken)
        return false;
    while (!c->entries[i].broken)
        i++;
    snprintf(text, size,
             "item %llu: its settings in etcd cannot be understood: another program "
             "wrote them",
             (ull)c->entries[i].listed.item);
    return true;
}
