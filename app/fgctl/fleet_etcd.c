/* SPDX-License-Identifier: BSD-3-Clause */
#include "fleet_etcd.h"

#include <inttypes.h>
#include <string.h>

#define REGISTER_TEXT 128
#define NO_PROCESS    " process 00000000000000000000000000000000" /* written here */

static void register_key(char key[FG_FLEET_KEY_MAX], unsigned member)
{
    snprintf(key, FG_FLEET_KEY_MAX, FG_FLEET_PREFIX "member/%u", member);
}

struct fg_fleet_stored_pool *fg_fleet_store_pool(const struct fg_fleet_store *store, uint64_t item)
{
    for (size_t i = 0; i < store->count; i++)
        if (store->pools[i].item == item)
            return &store->pools[i];
    return NULL;
}

struct fg_fleet_stored_pool *fg_fleet_store_make(struct fg_fleet_store *store, uint64_t item,
                                                 unsigned members)
{
    struct fg_fleet_stored_pool *p = fg_fleet_store_pool(store, item);

    if (p)
        return p;
    store->pools = realloc(store->pools, (store->count + 1) * sizeof(*store->pools));
    FG_ASSERT(store->pools);
    p = &store->pools[store->count++];
    *p = (struct fg_fleet_stored_pool){.item = item};
    fg_fleet_pool_first(&p->pool, members);
    return p;
}

static void take_pool(struct fg_fleet_store *store, uint64_t item,
                      const struct fg_arbiter_value *value)
{
    struct fg_fleet_stored_pool *p = fg_fleet_store_make(store, item, 1);

    p->revision = value->revision;
    p->damaged = !fg_fleet_pool_read(&p->pool, value->bytes);
}

/* What is written from the number must be the same key: no sign, space, zero or overflow passes. */
static bool pool_of(const char *key, uint64_t *item)
{
    char again[FG_FLEET_KEY_MAX];

    if (sscanf(key, FG_FLEET_PREFIX "pool/%" SCNu64, item) != 1)
        return false;
    fg_fleet_key(again, *item);
    return strcmp(key, again) == 0;
}

static void take_settings(struct fg_fleet_store *store, uint64_t item,
                          const struct fg_arbiter_value *value)
{
    struct fg_fleet_stored_settings *s;

    store->settings =
        realloc(store->settings, (store->settings_count + 1) * sizeof(*store->settings));
    FG_ASSERT(store->settings);
    s = &store->settings[store->settings_count++];
    *s = (struct fg_fleet_stored_settings){.item = item, .revision = value->revision};
    if (!fg_fleet_settings_read(&s->settings, value->bytes))
        s->settings = (struct fg_fleet_settings){0};
}

struct fg_fleet_stored_settings fg_fleet_store_settings(const struct fg_fleet_store *store,
                                                        uint64_t item)
{
    for (size_t i = 0; i < store->settings_count; i++)
        if (store->settings[i].item == item)
            return store->settings[i];
    return (struct fg_fleet_stored_settings){.item = item};
}

static bool settings_of(const char *key, uint64_t *item)
{
    char again[FG_FLEET_KEY_MAX];

    if (sscanf(key, FG_FLEET_ITEM_PREFIX "%" SCNu64, item) != 1)
        return false;
    fg_fleet_catalogue_key(again, sizeof(again), *item);
    return strcmp(key, again) == 0;
}

static bool register_of(const char *key, unsigned *member)
{
    char again[FG_FLEET_KEY_MAX];

    if (sscanf(key, FG_FLEET_PREFIX "member/%u", member) != 1 || *member >= FG_FLEET_MEMBERS_MAX)
        return false;
    register_key(again, *member);
    return strcmp(key, again) == 0;
}

static void seen(void *ctx, const char *key, const struct fg_arbiter_value *value)
{
    struct fg_fleet_store *store = ctx;
    uint64_t item, log;
    unsigned m, again;

    if (!value->revision)
        return;
    if (strcmp(key, FG_FLEET_MAP_KEY) == 0) {
        store->map_revision = value->revision;
        store->map_damaged = !fg_fleet_map_read(&store->map, value->bytes);
    } else if (pool_of(key, &item)) {
        take_pool(store, item, value);
    } else if (settings_of(key, &item)) {
        take_settings(store, item, value);
    } else if (register_of(key, &m)) {
        store->registers[m].revision = value->revision;
        store->registers[m].known =
            sscanf(value->bytes, "floodgate-member 1 member %u log %16" SCNx64, &again, &log) ==
                2 &&
            !strstr(value->bytes, NO_PROCESS);
        if (store->registers[m].known)
            store->registers[m].log = log;
    }
}

void fg_fleet_store_free(struct fg_fleet_store *store)
{
    struct fg_fleet_store keep = {.etcd = store->etcd};

    for (unsigned m = 0; m < FG_FLEET_MEMBERS_MAX; m++)
        keep.registers[m].decided = store->registers[m].decided;
    free(store->pools);
    free(store->settings);
    *store = keep;
}

enum fg_arbiter_result fg_fleet_store_read(struct fg_fleet_store *store, struct fg_error *err)
{
    enum fg_arbiter_result result;
    int64_t revision;

    fg_fleet_store_free(store);
    result = fg_arbiter_changes(store->etcd, FG_FLEET_PREFIX, 0, seen, store, &revision, err);
    for (unsigned m = 0; m < FG_FLEET_MEMBERS_MAX && result == FG_ARBITER_DONE; m++)
        if (store->registers[m].decided &&
            store->registers[m].revision != store->registers[m].decided) {
            fg_fail(err, "another process is member %u: power it off, then repeat the command", m);
            return FG_ARBITER_REFUSED;
        }
    return result;
}

static void seen_nothing(void *ctx, const char *key, const struct fg_arbiter_value *value)
{
    (void)ctx;
    (void)key;
    (void)value;
}

enum fg_arbiter_result fg_fleet_store_write(struct fg_fleet_store *store, unsigned member,
                                            struct fg_fleet_stored_pool *const *pools, unsigned len,
                                            struct fg_error *err)
{
    static char texts[FG_FLEET_STORE_PUTS][FG_FLEET_TEXT_MAX];
    static char keys[FG_FLEET_STORE_PUTS][FG_FLEET_KEY_MAX];
    struct fg_arbiter_put puts[FG_FLEET_STORE_PUTS + 2];
    char own[FG_FLEET_KEY_MAX];
    unsigned n = 0;
    int64_t revision;

    FG_ASSERT(len <= FG_FLEET_STORE_PUTS);
    register_key(own, member);
    puts[n++] = (struct fg_arbiter_put){.key = FG_FLEET_MAP_KEY, .revision = store->map_revision};
    puts[n++] = (struct fg_arbiter_put){.key = own, .revision = store->registers[member].revision};
    for (unsigned i = 0; i < len; i++) {
        fg_fleet_key(keys[i], pools[i]->item);
        puts[n++] = (struct fg_arbiter_put){.key = keys[i],
                                            .revision = pools[i]->revision,
                                            .bytes = texts[i],
                                            .size = fg_fleet_pool_write(&pools[i]->pool, texts[i])};
    }
    return fg_arbiter_commit(store->etcd, puts, n, seen_nothing, NULL, &revision, err);
}

enum fg_arbiter_result fg_fleet_store_write_settings(struct fg_fleet_store *store,
                                                     const struct fg_fleet_stored_settings *list,
                                                     unsigned len, struct fg_error *err)
{
    static char texts[FG_FLEET_STORE_PUTS][FG_FLEET_TEXT_MAX];
    static char keys[FG_FLEET_STORE_PUTS][FG_FLEET_KEY_MAX];
    struct fg_arbiter_put puts[FG_FLEET_STORE_PUTS + 1];
    unsigned n = 0;
    int64_t revision;

    FG_ASSERT(len <= FG_FLEET_STORE_PUTS);
    puts[n++] = (struct fg_arbiter_put){.key = FG_FLEET_MAP_KEY, .revision = store->map_revision};
    for (unsigned i = 0; i < len; i++) {
        fg_fleet_catalogue_key(keys[i], sizeof(keys[i]), list[i].item);
        puts[n++] =
            (struct fg_arbiter_put){.key = keys[i],
                                    .revision = list[i].revision,
                                    .bytes = texts[i],
                                    .size = fg_fleet_settings_write(&list[i].settings, texts[i])};
    }
    return fg_arbiter_commit(store->etcd, puts, n, seen_nothing, NULL, &revision, err);
}

enum fg_arbiter_result fg_fleet_store_decide(struct fg_fleet_store *store,
                                             const struct fg_fleet_map *map, uint32_t moved,
                                             const uint64_t *logs, struct fg_error *err)
{
    char keys[FG_FLEET_MEMBERS_MAX][FG_FLEET_KEY_MAX], text[FG_FLEET_TEXT_MAX];
    char texts[FG_FLEET_MEMBERS_MAX][REGISTER_TEXT];
    struct fg_arbiter_put puts[FG_FLEET_MEMBERS_MAX + 1];
    enum fg_arbiter_result result;
    unsigned n = 0;
    int64_t revision;

    puts[n++] = (struct fg_arbiter_put){.key = FG_FLEET_MAP_KEY,
                                        .revision = store->map_revision,
                                        .bytes = text,
                                        .size = fg_fleet_map_write(map, text)};
    for (unsigned m = 0; m < FG_FLEET_MEMBERS_MAX; m++) {
        if (!(moved & 1u << m))
            continue;
        register_key(keys[m], m);
        snprintf(texts[m], REGISTER_TEXT, "floodgate-member 1 member %u log %016" PRIx64 NO_PROCESS,
                 m, logs[m]);
        puts[n++] = (struct fg_arbiter_put){.key = keys[m],
                                            .revision = store->registers[m].revision,
                                            .bytes = texts[m],
                                            .size = strlen(texts[m])};
    }
    result = fg_arbiter_commit(store->etcd, puts, n, seen_nothing, NULL, &revision, err);
    for (unsigned m = 0; m < FG_FLEET_MEMBERS_MAX && result == FG_ARBITER_DONE; m++)
        if (moved & 1u << m)
            store->registers[m].decided = revision;
    return result;
}
