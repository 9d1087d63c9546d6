/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests with JSON in and out; HTTP status to exit code. */
#include "fgctl.h"

#include <string.h>

static int exit_code(unsigned status)
{
    if (status == 0)
        return FG_EXIT_CONNECT;
    if (status < 300)
        return FG_EXIT_OK;
    if (status == 412)
        return FG_EXIT_RACE;
    return status >= 500 ? FG_EXIT_UNAVAILABLE : FG_EXIT_REFUSED;
}

static void explain(const struct fg_reply *reply, const json_t *json, struct fg_error *err)
{
    const json_t *error = json_object_get(json, "error");
    const char *message = json_string_value(json_object_get(error, "message"));

    if (!reply->code)
        *err = reply->error;
    else if (message)
        fg_fail(err, "%.500s", message);
    else if (json_object_get(json, "reason"))
        fg_fail(err, "%.500s", json_string_value(json_object_get(json, "reason")));
    else
        fg_fail(err, "the daemon answered with HTTP status %u and no reason", reply->code);
    fg_clean(err->text);
}

static int send_text(struct fg_cli *cli, const char *method, const char *path, const char *text,
                     json_t **reply, struct fg_error *err)
{
    struct fg_reply raw;
    json_t *json = NULL;
    int code;

    fg_http_request(cli->http, method, path, text, &raw);
    if (raw.code)
        json = json_loadb(raw.body, raw.size, 0, NULL);
    code = exit_code(raw.code);
    if (code == FG_EXIT_OK && !json) {
        fg_fail(err, "the daemon's answer to %s %s is no JSON", method, path);
        code = FG_EXIT_CONNECT;
    } else if (code != FG_EXIT_OK) {
        explain(&raw, json, err);
    }
    free(raw.body);
    if (reply)
        *reply = json;
    else
        json_decref(json);
    return code;
}

int fg_request_quiet(struct fg_cli *cli, const char *method, const char *path, json_t *body,
                     json_t **reply, struct fg_error *err)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    int code = send_text(cli, method, path, text, reply, err);

    json_decref(body);
    free(text);
    return code;
}

int fg_request_text(struct fg_cli *cli, const char *path, const char *text, json_t **reply,
                    struct fg_error *err)
{
    return send_text(cli, "POST", path, text, reply, err);
}

int fg_request_raw(struct fg_cli *cli, const char *path, struct fg_reply *reply,
                   struct fg_error *err)
{
    int code;

    fg_http_request(cli->http, "GET", path, NULL, reply);
    code = exit_code(reply->code);
    if (code != FG_EXIT_OK) {
        json_t *json = reply->code ? json_loadb(reply->body, reply->size, 0, NULL) : NULL;

        explain(reply, json, err);
        json_decref(json);
    } else if (!reply->body) {
        fg_fail(err, "the daemon's answer to GET %s is empty", path);
        code = FG_EXIT_CONNECT;
    }
    return code;
}

int fg_request_stream(struct fg_cli *cli, const char *path, const char *body,
                      const struct fg_http_stream *stream, struct fg_error *err)
{
    struct fg_reply reply;
    json_t *json;
    int code;

    fg_http_post_stream(cli->http, path, body, stream, &reply);
    code = exit_code(reply.code);
    if (code != FG_EXIT_OK) {
        json = reply.body ? json_loadb(reply.body, reply.size, 0, NULL) : NULL;
        explain(&reply, json, err);
        json_decref(json);
    }
    free(reply.body);
    return code;
}

int fg_request(struct fg_cli *cli, const char *method, const char *path, json_t *body,
               json_t **reply)
{
    struct fg_error err = {""};
    json_t *json = NULL;
    int code = fg_request_quiet(cli, method, path, body, &json, &err);

    if (code != FG_EXIT_OK) {
        if (cli->json && json)
            fg_print_json_error(json);
        fg_complain("%s", err.text);
    }
    if (code == FG_EXIT_OK && reply)
        *reply = json;
    else
        json_decref(json);
    return code;
}

int fg_request_pages(struct fg_cli *cli, const char *path, const char *key,
                     void (*each)(void *ctx, json_t *entry), void *ctx)
{
    json_int_t offset = 0, all = 1;

    while (offset < all) {
        char page[256];
        json_t *reply, *list, *entry;
        size_t i;
        int code;

        snprintf(page, sizeof(page), "%s%coffset=%lld&limit=10000", path,
                 strchr(path, '?') ? '&' : '?', (long long)offset);
        code = fg_request(cli, "GET", page, NULL, &reply);
        if (code != FG_EXIT_OK)
            return code;
        list = json_object_get(reply, key);
        all = json_integer_value(json_object_get(reply, "count"));
        json_array_foreach (list, i, entry)
            each(ctx, entry);
        offset += (json_int_t)json_array_size(list);
        if (json_array_size(list) == 0)
            all = 0; /* entries went away in the meantime */
        json_decref(reply);
    }
    return FG_EXIT_OK;
}

int fg_request_show(struct fg_cli *cli, const char *path)
{
    json_t *reply;
    int code = fg_request(cli, "GET", path, NULL, &reply);

    if (code != FG_EXIT_OK)
        return code;
    if (cli->json)
        fg_print_json(reply);
    else
        fg_show(stdout, reply);
    json_decref(reply);
    return code;
}

static void take_json(void *list, json_t *entry)
{
    json_array_append(list, entry);
}

int fg_request_table(struct fg_cli *cli, const char *path, const char *key,
                     const char *const *columns, unsigned count,
                     void (*row)(void *table, json_t *entry))
{
    struct fg_table *table = fg_table_create(columns, count);
    json_t *list = json_array();
    int code = fg_request_pages(cli, path, key, cli->json ? take_json : row,
                                cli->json ? (void *)list : (void *)table);

    if (code == FG_EXIT_OK && cli->json)
        fg_print_json(list);
    else if (code == FG_EXIT_OK)
        fg_table_print(table, stdout);
    json_decref(list);
    fg_table_free(table);
    return code;
}
