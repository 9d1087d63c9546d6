/* SPDX-License-Identifier: BSD-3-Clause */
#include "fleet/map.h"

#include <string.h>

_Static_assert(FG_FLEET_MEMBERS_MAX <= 16, "a member is one hexadecimal digit");

static const char digits[] = "0123456789abcdef";

void fg_fleet_map_first(struct fg_fleet_map *map, unsigned members, unsigned shards)
{
    FG_ASSERT(members >= 1 && members <= FG_FLEET_MEMBERS_MAX);
    FG_ASSERT(shards >= 1 && shards <= FG_FLEET_SHARDS_MAX);
    *map = (struct fg_fleet_map){.version = 1, .members = members, .shards = shards};
    for (unsigned i = 0; i < shards; i++)
        map->owner[i] = (uint8_t)(i % members);
}

size_t fg_fleet_map_write(const struct fg_fleet_map *map, char text[FG_FLEET_TEXT_MAX])
{
    char retired[FG_FLEET_MEMBERS_MAX + 1] = "-", owner[FG_FLEET_SHARDS_MAX + 1];
    unsigned n = 0;
    int len;

    for (unsigned m = 0; m < FG_FLEET_MEMBERS_MAX; m++)
        if (map->retired & 1u << m)
            retired[n++] = digits[m];
    for (unsigned i = 0; i < map->shards; i++)
        owner[i] = digits[map->owner[i]];
    retired[n ? n : 1] = 0;
    owner[map->shards] = 0;
    len = snprintf(text, FG_FLEET_TEXT_MAX,
                   "floodgate-fleet 1 version %llu %s members %u retired %s shards %u %s",
                   (unsigned long long)map->version, map->frozen ? "frozen" : "running",
                   map->members, retired, map->shards, owner);
    FG_ASSERT(len > 0 && len < FG_FLEET_TEXT_MAX);
    return (size_t)len;
}

static bool owners_read(struct fg_fleet_map *map, const char *owner)
{
    if (map->shards < 1 || map->shards > FG_FLEET_SHARDS_MAX || strlen(owner) != map->shards)
        return false;
    for (unsigned i = 0; i < map->shards; i++) {
        const char *at = strchr(digits, owner[i]);

        if (!at || at - digits >= map->members)
            return false;
        map->owner[i] = (uint8_t)(at - digits);
    }
    return true;
}

static bool retired_read(struct fg_fleet_map *map, const char *retired)
{
    for (const char *c = strcmp(retired, "-") == 0 ? "" : retired; *c; c++) {
        const char *at = strchr(digits, *c);

        if (!at || at - digits >= map->members)
            return false;
        map->retired |= 1u << (at - digits);
    }
    return true;
}

/* What is written from what was read must be the same text: no sign, space or overflow passes. */
bool fg_fleet_map_read(struct fg_fleet_map *map, const char *text)
{
    char mode[9], retired[FG_FLEET_MEMBERS_MAX + 1], owner[FG_FLEET_SHARDS_MAX + 2];
    char again[FG_FLEET_TEXT_MAX];
    unsigned long long version;

    *map = (struct fg_fleet_map){0};
    if (strnlen(text, FG_FLEET_TEXT_MAX) == FG_FLEET_TEXT_MAX ||
        sscanf(text,
               "floodgate-fleet 1 version %llu %8s members %u retired %16s shards %u %1025[0-9a-f]",
               &version, mode, &map->members, retired, &map->shards, owner) != 6 ||
        map->members < 1 || map->members > FG_FLEET_MEMBERS_MAX || version < 1 ||
        !owners_read(map, owner) || !retired_read(map, retired))
        return false;
    map->version = version;
    map->frozen = strcmp(mode, "frozen") == 0;
    fg_fleet_map_write(map, again);
    return strcmp(text, again) == 0;
}

bool fg_fleet_map_same(const struct fg_fleet_map *a, const struct fg_fleet_map *b)
{
    return a->version == b->version && a->members == b->members && a->shards == b->shards &&
           memcmp(a->owner, b->owner, a->shards) == 0;
}
