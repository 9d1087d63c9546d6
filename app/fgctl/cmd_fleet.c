/* SPDX-License-Identifier: BSD-3-Clause */
/* A fleet: how it is, by the daemon of one member; and its map, in etcd itself. */
#include "fgctl.h"

#include <string.h>

#include "arbiter/arbiter.h"
#include "config/config.h"
#include "fleet/fleet.h"

#define CONFIG_PATH "/etc/floodgate/floodgate.conf"
#define ETCD_MS     5000

enum { OPT_CONFIG }; /* as in commands.c */

/* ---- status ---------------------------------------------------------------------------------- */

#define COLUMNS_MAX (FG_FLEET_MEMBERS_MAX + 5)
#define CELL        32

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text ? text : "";
}

static long long number_of(const json_t *json, const char *key)
{
    return json_integer_value(json_object_get(json, key));
}

static void show_members(const json_t *fleet, const char *name)
{
    const json_t *list = json_object_get(fleet, name), *one;
    size_t i;

    if (json_array_size(list) == 0)
        return;
    printf("%-12s", name);
    json_array_foreach (list, i, one)
        printf(" %lld", json_integer_value(one));
    printf("\n");
}

static void show_fleet(const json_t *fleet)
{
    const json_t *etcd = json_object_get(fleet, "etcd");
    const char *reason = text_of(fleet, "reason");

    printf("%-12s %lld of %lld: %s%s\n", "member", number_of(fleet, "member"),
           number_of(fleet, "members"),
           reason[0] ? "leases and returns nothing: " : "leases and returns units", reason);
    printf("%-12s %s\n", "sale",
           json_is_true(json_object_get(fleet, "may_sell")) ? "sells what it holds"
                                                            : "sells nothing yet");
    printf("%-12s version %lld, %lld shards%s\n", "map", number_of(fleet, "version"),
           number_of(fleet, "shards"),
           json_is_true(json_object_get(fleet, "frozen")) ? ", frozen" : "");
    printf("%-12s %s: %s%s%s\n", "etcd", text_of(etcd, "endpoints"),
           json_is_true(json_object_get(etcd, "reachable")) ? "answers" : "is away",
           text_of(etcd, "error")[0] ? "; last error: " : "", text_of(etcd, "error"));
    if (text_of(fleet, "seen_error")[0])
        printf("%-12s not written: %s\n", "fleet.seen", text_of(fleet, "seen_error"));
    if (text_of(fleet, "catalogue_error")[0])
        printf("%-12s not applied: %s\n", "settings", text_of(fleet, "catalogue_error"));
    show_members(fleet, "behind");
    show_members(fleet, "silent");
    show_members(fleet, "retired");
    printf("\n");
}

/* Units that each member holds; WAITS: those that members wait for. */
static void add_item(void *ctx, json_t *item)
{
    char cells[COLUMNS_MAX][CELL] = {{0}};
    const char *row[COLUMNS_MAX];
    const json_t *members = json_object_get(item, "members"), *one;
    long long waits = 0;
    size_t i, n = 0;

    snprintf(cells[n++], CELL, "%s", text_of(item, "item"));
    snprintf(cells[n++], CELL, "%lld", number_of(item, "free"));
    for (i = 0; i < FG_FLEET_MEMBERS_MAX; i++)
        snprintf(cells[2 + i], CELL, "-");
    json_array_foreach (members, i, one) {
        snprintf(cells[n++], CELL, "%lld", number_of(one, "held"));
        waits += number_of(one, "waits");
    }
    n = *(const unsigned *)((void **)ctx)[1] + 2;
    snprintf(cells[n++], CELL, "%lld", waits);
    snprintf(cells[n++], CELL, "%s",
             json_is_true(json_object_get(item, "damaged"))    ? "damaged"
             : json_is_true(json_object_get(item, "sold_out")) ? "sold-out"
                                                               : "");
    for (i = 0; i < n; i++)
        row[i] = cells[i];
    row[n] = text_of(item, "name");
    fg_table_add(((void **)ctx)[0], row);
}

static int show_items(struct fg_cli *cli, unsigned members)
{
    char names[FG_FLEET_MEMBERS_MAX][CELL];
    const char *columns[COLUMNS_MAX] = {"ITEM>", "POOL>"};
    unsigned n = 2;
    struct fg_table *table;
    void *ctx[2] = {NULL, &members};
    int code;

    for (unsigned m = 0; m < members && m < FG_FLEET_MEMBERS_MAX; m++) {
        snprintf(names[m], CELL, "HELD-%u>", m);
        columns[n++] = names[m];
    }
    columns[n++] = "WAITS>";
    columns[n++] = "STATE";
    columns[n++] = "NAME";
    table = ctx[0] = fg_table_create(columns, n);
    code = fg_request_pages(cli, "/v1/fleet/items", "items", add_item, ctx);
    if (code == FG_EXIT_OK)
        fg_table_print(table, stdout);
    fg_table_free(table);
    return code;
}

static void take_item(void *list, json_t *item)
{
    json_array_append(list, item);
}

int fg_cmd_fleet_status(struct fg_cli *cli, const struct fg_args *args)
{
    json_t *fleet, *items;
    int code = fg_request(cli, "GET", "/v1/fleet", NULL, &fleet);

    if (code != FG_EXIT_OK)
        return code;
    if (!json_is_true(json_object_get(fleet, "enabled")) && !cli->json) {
        fg_complain("this appliance is not a member of a fleet: [fleet] enabled = no");
        code = FG_EXIT_REFUSED;
    } else if (!cli->json) {
        show_fleet(fleet);
        code = show_items(cli, (unsigned)number_of(fleet, "members"));
    } else {
        items = json_array();
        if (json_is_true(json_object_get(fleet, "enabled")))
            code = fg_request_pages(cli, "/v1/fleet/items", "items", take_item, items);
        json_object_set_new(fleet, "items", items);
        if (code == FG_EXIT_OK)
            fg_print_json(fleet);
    }
    json_decref(fleet);
    return code;
}

/* ---- the map in etcd ------------------------------------------------------------------------- */

static int exit_of(enum fg_arbiter_result result)
{
    return result == FG_ARBITER_DONE      ? FG_EXIT_OK
           : result == FG_ARBITER_REFUSED ? FG_EXIT_REFUSED
                                          : FG_EXIT_UNAVAILABLE;
}

/* Only if etcd still has it at `revision`. */
static int write_map(struct fg_arbiter *etcd, const struct fg_fleet_map *map, int64_t revision,
                     struct fg_error *err)
{
    char text[FG_FLEET_TEXT_MAX];
    const struct fg_arbiter_swap swap = {.guard = FG_FLEET_MAP_KEY,
                                         .revision = revision,
                                         .key = FG_FLEET_MAP_KEY,
                                         .bytes = text,
                                         .size = fg_fleet_map_write(map, text)};
    int64_t now;
    enum fg_arbiter_result result = fg_arbiter_swap(etcd, &swap, &now, err);

    if (result == FG_ARBITER_LOST)
        fg_fail(err, "somebody else changed the map just now; nothing was changed");
    return result == FG_ARBITER_LOST ? FG_EXIT_REFUSED : exit_of(result);
}

/* The map as etcd has it, and its revision; 0: it has none. */
static int read_map(struct fg_arbiter *etcd, struct fg_fleet_map *map, int64_t *revision,
                    struct fg_error *err)
{
    struct fg_arbiter_value *value = calloc(1, sizeof(*value));
    int code;

    FG_ASSERT(value);
    code = exit_of(fg_arbiter_read(etcd, FG_FLEET_MAP_KEY, value, err));
    *revision = value->revision;
    if (code == FG_EXIT_OK && value->revision && !fg_fleet_map_read(map, value->bytes)) {
        fg_fail(err, "etcd has a map that cannot be understood: %.200s", value->bytes);
        code = FG_EXIT_REFUSED;
    }
    free(value);
    return code;
}

static int begin(struct fg_arbiter *etcd, const struct fg_member_settings *s, int64_t revision,
                 struct fg_fleet_map *map, struct fg_error *err)
{
    if (revision) {
        fg_fail(err, "there is a map already, of version %llu; nothing was changed",
                (unsigned long long)map->version);
        return FG_EXIT_REFUSED;
    }
    fg_fleet_map_first(map, s->members, s->shards);
    map->version = s->version;
    return write_map(etcd, map, 0, err);
}

static int freeze(struct fg_arbiter *etcd, bool frozen, int64_t revision, struct fg_fleet_map *map,
                  struct fg_error *err)
{
    if (!revision) {
        fg_fail(err, "etcd has no map of the fleet: `fgctl fleet init` begins one");
        return FG_EXIT_REFUSED;
    }
    if (map->frozen == frozen)
        return FG_EXIT_OK;
    map->frozen = frozen;
    return write_map(etcd, map, revision, err);
}

static int change_map(struct fg_cli *cli, const struct fg_member_settings *s, const char *verb)
{
    struct fg_arbiter_options options = s->etcd;
    struct fg_error err = {""};
    struct fg_fleet_map map = {0};
    struct fg_arbiter *etcd;
    int64_t revision;
    int code;

    options.timeout_ms = ETCD_MS;
    etcd = fg_arbiter_open(&options, &err);
    code = etcd ? read_map(etcd, &map, &revision, &err) : FG_EXIT_INPUT;
    if (code == FG_EXIT_OK)
        code = strcmp(verb, "init") == 0
                   ? begin(etcd, s, revision, &map, &err)
                   : freeze(etcd, strcmp(verb, "freeze") == 0, revision, &map, &err);
    fg_arbiter_close(etcd);
    if (code != FG_EXIT_OK)
        fg_complain("%s", err.text);
    else if (cli->json)
        printf("{\"version\": %llu, \"members\": %u, \"shards\": %u, \"frozen\": %s}\n",
               (unsigned long long)map.version, map.members, map.shards,
               map.frozen ? "true" : "false");
    else
        printf("map of version %llu: %u members, %u shards, %s\n", (unsigned long long)map.version,
               map.members, map.shards, map.frozen ? "frozen" : "running");
    return code;
}

/* ---- all of it, as text ---------------------------------------------------------------------- */

static void print_value(void *prefix, const char *key, const struct fg_arbiter_value *value)
{
    if (value->revision)
        printf("%s%s\n%s\n", (const char *)prefix, key, value->bytes);
}

/* As `etcdctl get --prefix` prints it. */
static int dump(const struct fg_member_settings *s)
{
    struct fg_arbiter_options options = s->etcd;
    struct fg_error err = {""};
    struct fg_arbiter *etcd;
    int64_t store;
    int code = FG_EXIT_INPUT;

    options.timeout_ms = ETCD_MS;
    etcd = fg_arbiter_open(&options, &err);
    if (etcd)
        code = exit_of(fg_arbiter_changes(etcd, FG_FLEET_PREFIX, 0, print_value, options.prefix,
                                          &store, &err));
    fg_arbiter_close(etcd);
    if (code != FG_EXIT_OK)
        fg_complain("%s", err.text);
    return code;
}

int fg_cmd_fleet_map(struct fg_cli *cli, const struct fg_args *args)
{
    const char *path = args->options[OPT_CONFIG] ? args->options[OPT_CONFIG] : CONFIG_PATH;
    struct fg_config *config = calloc(1, sizeof(*config));
    struct fg_error err = {""};
    int code = FG_EXIT_INPUT;

    FG_ASSERT(config);
    if (!fg_config_load(config, path, &err))
        fg_complain("%s", err.text);
    else if (!config->fleet.enabled)
        fg_complain("%s: [fleet] enabled = no", path);
    else if (strcmp(args->command->verb, "dump") == 0)
        code = dump(&config->fleet);
    else
        code = change_map(cli, &config->fleet, args->command->verb);
    explicit_bzero(config, sizeof(*config)); /* passwords */
    free(config);
    return code;
}
