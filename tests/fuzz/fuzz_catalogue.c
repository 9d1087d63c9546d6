/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `fgctl item import` of any bytes, into a made-up appliance that checks what it is sent: a file
 * with errors sends nothing; what is sent is within the ranges; and when it was sent, the same file
 * changes nothing more.
 */
#include "fgctl/fgctl.h"
#include "fuzz.h"

#include <fcntl.h>
#include <stdlib.h>

static json_t *items; /* as the daemon would answer */
static unsigned changes;

static const char *answer_name(const char *field)
{
    if (!strcmp(field, "opens"))
        return "opens_ms";
    return !strcmp(field, "closes") ? "closes_ms" : field;
}

static json_int_t item_of(const json_t *json)
{
    uint64_t item = 0;

    FG_FUZZ_CHECK(json_is_string(json_object_get(json, "item")));
    FG_FUZZ_CHECK(fg_json_id_read(json_object_get(json, "item"), &item));
    return (json_int_t)item;
}

static json_t *find(json_int_t item)
{
    size_t i;
    json_t *it;

    json_array_foreach (items, i, it)
        if (item_of(it) == item)
            return it;
    return NULL;
}

static void check_value(const struct fg_control_item_field *field, const json_t *value)
{
    if (field->kind == FG_CONTROL_FIELD_TEXT) {
        FG_FUZZ_CHECK(json_is_string(value) &&
                      fg_control_item_name_valid(json_string_value(value)));
    } else if (field->kind == FG_CONTROL_FIELD_ID) {
        uint64_t id;

        FG_FUZZ_CHECK(json_is_string(value) && fg_json_id_read(value, &id));
        FG_FUZZ_CHECK(id >= field->min && id <= field->max);
    } else if (field->kind == FG_CONTROL_FIELD_FLAG) {
        FG_FUZZ_CHECK(json_is_boolean(value));
    } else {
        FG_FUZZ_CHECK(json_is_integer(value) &&
                      json_integer_value(value) >= (json_int_t)field->min);
        FG_FUZZ_CHECK((uint64_t)json_integer_value(value) <= field->max);
    }
}

static void set(json_t *it, const json_t *body)
{
    const char *key;
    json_t *value;

    json_object_foreach ((json_t *)body, key, value) {
        unsigned field = fg_control_item_field_find(key);

        if (!strcmp(key, "if") || !strcmp(key, "total"))
            continue;

        FG_FUZZ_CHECK(field < FG_CONTROL_ITEM_FIELDS);
        check_value(&fg_control_item_fields[field], value);
        json_object_set(it, answer_name(key), value);
    }
}

static json_t *new_item(void)
{
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b}", "name", "", "total", 0,
                     "available", 0, "user_limit", 0, "order_max", 10, "hold_ms", 120000,
                     "opens_ms", 0, "closes_ms", 0, "paused", 0);
}

/* The daemon makes the change only when the item is as the command saw it. */
static void check_seen(const json_t *it, const json_t *body)
{
    const char *key;
    json_t *value;

    json_object_foreach (json_object_get(body, "if"), key, value) {
        unsigned field = fg_control_item_field_find(key);

        FG_FUZZ_CHECK(field < FG_CONTROL_ITEM_FIELDS);
        FG_FUZZ_CHECK(json_equal(value, json_object_get(it, answer_name(key))));
    }
}

static void set_total(json_t *it, const json_t *wanted)
{
    json_int_t total = json_integer_value(wanted);
    json_int_t available = json_integer_value(json_object_get(it, "available"));
    json_int_t units = total - json_integer_value(json_object_get(it, "total"));

    if (!wanted)
        return;
    FG_FUZZ_CHECK(units != 0 && available + units >= 0 && total <= FG_JOURNAL_UNITS_MAX);
    json_object_set_new(it, "total", json_integer(total));
    json_object_set_new(it, "available", json_integer(available + units));
}

/* ---- what the command calls */

int fg_request(struct fg_cli *cli, const char *method, const char *path, json_t *body,
               json_t **reply)
{
    FG_FUZZ_CHECK(!strcmp(path, "/v1/fleet") && !strcmp(method, "GET") && !body);
    *reply = json_pack("{s:b}", "enabled", 0);
    return FG_EXIT_OK;
}

int fg_request_quiet(struct fg_cli *cli, const char *method, const char *path, json_t *body,
                     json_t **reply, struct fg_error *err)
{
    json_t *it;

    *reply = NULL;
    changes += strcmp(method, "GET") != 0;
    if (!strcmp(path, "/v1/items")) {
        FG_FUZZ_CHECK(!find(item_of(body)));
        FG_FUZZ_CHECK(json_is_false(json_object_get(json_object_get(body, "if"), "exists")));
        it = new_item();
        set(it, body);
        if (json_integer_value(json_object_get(body, "total")) != 0)
            set_total(it, json_object_get(body, "total"));
        FG_FUZZ_CHECK(item_of(it) > 0);
        json_array_append_new(items, it);
    } else {
        it = find(strtoll(path + strlen("/v1/items/"), NULL, 10));
        FG_FUZZ_CHECK(it != NULL && body != NULL);
        check_seen(it, body);
        set(it, body);
        set_total(it, json_object_get(body, "total"));
    }
    json_decref(body);
    return FG_EXIT_OK;
}

int fg_request_pages(struct fg_cli *cli, const char *path, const char *key,
                     void (*each)(void *ctx, json_t *entry), void *ctx)
{
    size_t i;
    json_t *it;

    json_array_foreach (items, i, it)
        each(ctx, it);
    return FG_EXIT_OK;
}

/* ---- */

/* One item that is there already, some of its units sold. */
static void open_shop(void)
{
    json_t *it = new_item();

    items = json_array();
    json_object_update_new(it, json_pack("{s:s, s:s, s:i, s:i}", "item", "7", "name", "shoe",
                                         "total", 100, "available", 60));
    json_array_append_new(items, it);
    changes = 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    int nowhere = open("/dev/null", O_WRONLY);

    FG_FUZZ_CHECK(nowhere >= 0 &&
                  dup2(nowhere, STDOUT_FILENO) >= 0); /* complaints go to a stream of their own */
    stderr = fopen("/dev/null", "w");
    return stderr ? 0 : 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fg_cli cli = {.json = size % 2};
    struct fg_args args = {.count = 1};
    char path[64];
    int code, fd = fuzz_file(data, size, path);

    open_shop();
    args.positions[0] = path;
    args.options[0] = "";
    code = fg_cmd_item_import(&cli, &args);
    FG_FUZZ_CHECK(code == FG_EXIT_OK || code == FG_EXIT_INPUT);
    FG_FUZZ_CHECK(changes == 0); /* that was --dry-run */
    args.options[0] = NULL;
    FG_FUZZ_CHECK(fg_cmd_item_import(&cli, &args) == code);
    FG_FUZZ_CHECK(code == FG_EXIT_OK || changes == 0);
    changes = 0;
    FG_FUZZ_CHECK(fg_cmd_item_import(&cli, &args) == code && changes == 0);
    json_decref(items);
    close(fd);
    return 0;
}
