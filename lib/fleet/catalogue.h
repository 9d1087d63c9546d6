/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * catalogue: the settings of the items of a fleet, as etcd has them, and which members apply them
 * (docs/fleet.md). Each item has a key `fleet/item/ITEM`, each member a key `fleet/applied/M`,
 * which says up to which revision of etcd it has applied the settings of all items.
 *
 * No socket, clock or thread: the caller hands in values of etcd and what was applied. Everything
 * is allocated at creation. One thread at a time per fg_fleet_catalogue.
 */
#ifndef FG_FLEET_CATALOGUE_H
#define FG_FLEET_CATALOGUE_H

#include "fleet/map.h"

#define FG_FLEET_NAME_MAX       32 /**< bytes of an item's name */
#define FG_FLEET_ITEM_PREFIX    "fleet/item/"
#define FG_FLEET_APPLIED_PREFIX "fleet/applied/"
#define FG_FLEET_NO_REVISION    (-1) /**< a member that never said which one it has applied */

/** Of an item. What the numbers may be, the caller knows. */
struct fg_fleet_settings {
    uint64_t version; /**< from 1, one more with each change */
    uint64_t opens_ms, closes_ms;
    uint32_t hold_ms, user_limit;
    uint16_t order_max;
    bool paused, retired;
    char name[FG_FLEET_NAME_MAX + 1]; /**< no control characters */
};

size_t fg_fleet_settings_write(const struct fg_fleet_settings *s, char text[FG_FLEET_TEXT_MAX]);
/** False: not as fg_fleet_settings_write writes it. */
bool fg_fleet_settings_read(struct fg_fleet_settings *s, const char *text);

/** Text and key by which a member says what it has applied. */
size_t fg_fleet_applied_write(unsigned member, int64_t revision, char text[FG_FLEET_TEXT_MAX]);
bool fg_fleet_applied_read(unsigned *member, int64_t *revision, const char *text);

/** An item as a member knows it. */
struct fg_fleet_listed {
    uint64_t item;
    int64_t revision; /**< of its key in etcd; 0 = there is none */
    struct fg_fleet_settings settings;
    uint64_t applied; /**< version of the settings that are in force here; 0 = none */
};

struct fg_fleet_catalogue;

struct fg_fleet_catalogue *fg_fleet_catalogue_create(unsigned member, unsigned members,
                                                     uint32_t items_max);
void fg_fleet_catalogue_destroy(struct fg_fleet_catalogue *c); /**< NULL is nothing */

/** A value of an answer of etcd whose store is not older than what is known. Keys of others are
 * nothing, and so are older values than what is known. */
void fg_fleet_catalogue_value(struct fg_fleet_catalogue *c, const char *key, int64_t revision,
                              const char *text);
/** All keys were read. */
void fg_fleet_catalogue_all_read(struct fg_fleet_catalogue *c);

/** The next settings that are to be applied, by whoever asks: then call _applied or _failed. False:
 * none, or not yet. */
bool fg_fleet_catalogue_next(struct fg_fleet_catalogue *c, uint64_t now_ms,
                             struct fg_fleet_listed *listed);
/** Settings of the version of `listed` are durable and in force. */
void fg_fleet_catalogue_applied(struct fg_fleet_catalogue *c, const struct fg_fleet_listed *listed);
/** They are not; _next brings them again at `retry_ms`. */
void fg_fleet_catalogue_failed(struct fg_fleet_catalogue *c, const struct fg_fleet_listed *listed,
                               uint64_t retry_ms);

/** True: the member is to say in etcd that it has applied `*revision`. */
bool fg_fleet_catalogue_must_say(const struct fg_fleet_catalogue *c, int64_t *revision);
/** It has said so. */
void fg_fleet_catalogue_said(struct fg_fleet_catalogue *c, int64_t revision);

/** All was read, applied, and said. */
bool fg_fleet_catalogue_complete(const struct fg_fleet_catalogue *c);
/** An item; zeros when etcd has no settings of it. */
void fg_fleet_catalogue_item(const struct fg_fleet_catalogue *c, uint64_t item,
                             struct fg_fleet_listed *listed);
/** Bit m: member m has not said that it applied `revision`. */
uint32_t fg_fleet_catalogue_behind(const struct fg_fleet_catalogue *c, int64_t revision);
/** Of these, those that are to be waited for: they said something before, and were not given up. */
uint32_t fg_fleet_catalogue_awaited(const struct fg_fleet_catalogue *c, uint32_t behind);
/** They did not say it in time: until they say something they are not waited for. */
void fg_fleet_catalogue_give_up(struct fg_fleet_catalogue *c, uint32_t members);
/** Revision of the newest settings that are known. */
int64_t fg_fleet_catalogue_newest(const struct fg_fleet_catalogue *c);
/** Settings that are not tried, since they have no room or cannot be understood: a sentence about
 * one of them. False: there are none. */
bool fg_fleet_catalogue_unusable(const struct fg_fleet_catalogue *c, char *text, size_t size);

/** The key of an item's settings. */
void fg_fleet_catalogue_key(char *key, size_t size, uint64_t item);

#endif
