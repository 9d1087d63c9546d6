/* SPDX-License-Identifier: BSD-3-Clause */
#include "arbiter/watch.h"

#include <stdatomic.h>
#include <string.h>

#include "arbiter/internal.h"

struct fg_arbiter_watch {
    struct fg_arbiter *arbiter;
    struct etcd_stream *stream;
    /* of a run */
    const struct fg_arbiter_watch_hooks *hooks;
    int64_t since;
    bool refused; /* etcd ended it: the login may be the reason */
};

struct fg_arbiter_watch *fg_arbiter_watch_open(const struct fg_arbiter_options *options,
                                               struct fg_error *err)
{
    struct fg_arbiter_watch *w = calloc(1, sizeof(*w));

    FG_ASSERT(w);
    w->arbiter = fg_arbiter_open(options, err);
    if (!w->arbiter) {
        free(w);
        return NULL;
    }
    w->stream = etcd_stream_open();
    return w;
}

void fg_arbiter_watch_close(struct fg_arbiter_watch *w)
{
    if (!w)
        return;
    etcd_stream_close(w->stream);
    fg_arbiter_close(w->arbiter);
    free(w);
}

void fg_arbiter_watch_cut(struct fg_arbiter_watch *w)
{
    etcd_stream_cut(w->stream);
}

/* ---- what etcd tells ------------------------------------------------------------------------- */

static bool is_strange(struct fg_error *err)
{
    return fg_fail(err, "a watch tells what no etcd tells");
}

/* {"type": "DELETE", "kv": {"key", "mod_revision"}}; else, often without a type, it was written. */
static bool take_event(struct fg_arbiter_watch *w, const json_t *event, int64_t *newest)
{
    const char *type = json_string_value(json_object_get(event, "type"));
    const json_t *kv = json_object_get(event, "kv");
    char key[FULL_KEY_MAX + 1];
    struct fg_arbiter_value value;

    if (!fg_arbiter_read_kv(w->arbiter, kv, 0, key, &value) || value.revision < *newest)
        return false;
    *newest = value.revision;
    if (!type || strcmp(type, "DELETE") != 0)
        w->hooks->seen(w->hooks->ctx, key, &value);
    return true;
}

static bool take_events(struct fg_arbiter_watch *w, const json_t *events, struct fg_error *err)
{
    int64_t newest = w->since;

    for (size_t i = 0; i < json_array_size(events); i++)
        if (!take_event(w, json_array_get(events, i), &newest))
            return is_strange(err);
    w->since = newest;
    if (json_array_size(events))
        w->hooks->told(w->hooks->ctx, newest);
    return true;
}

/* {"result": {"header", "created" | "events" | "canceled", "compact_revision", "cancel_reason"}} or
 * {"error": {"message"}} */
static bool take_message(struct fg_arbiter_watch *w, const json_t *json, struct fg_error *err)
{
    const json_t *result = json_object_get(json, "result");
    const char *text =
        json_string_value(json_object_get(json_object_get(json, "error"), "message"));

    if (!text && json_is_true(json_object_get(result, "canceled")))
        text = json_object_get(result, "compact_revision")
                   ? "what changed since then was compacted"
                   : json_string_value(json_object_get(result, "cancel_reason"));
    if (text || !json_is_object(result)) {
        w->refused = true;
        return text ? fg_fail(err, "a watch ended: %.200s", text) : is_strange(err);
    }
    if (json_is_true(json_object_get(result, "created")))
        w->hooks->told(w->hooks->ctx, w->since);
    return take_events(w, json_object_get(result, "events"), err);
}

static bool take_line(void *ctx, const char *text, size_t size, struct fg_error *err)
{
    json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    bool good = json_is_object(json) ? take_message(ctx, json, err) : is_strange(err);

    json_decref(json);
    return good;
}

/* ---- a run ----------------------------------------------------------------------------------- */

static bool has_token(struct fg_arbiter *a, const char *endpoint, struct fg_error *err)
{
    struct etcd_answer answer = {0};
    bool found = !a->options.user[0] || a->token[0] ||
                 fg_arbiter_login(a, endpoint, a->options.timeout_ms, &answer, err);

    json_decref(answer.json);
    return found;
}

void fg_arbiter_watch_run(struct fg_arbiter_watch *w, const char *start, int64_t since,
                          const struct fg_arbiter_watch_hooks *hooks, struct fg_error *err)
{
    struct fg_arbiter *a = w->arbiter;
    const char *endpoint = a->endpoints[a->current];
    char revision[24];
    json_t *body;

    snprintf(revision, sizeof(revision), "%lld", (long long)since + 1);
    body = json_pack("{s:{s:o, s:o, s:s}}", "create_request", "key", fg_arbiter_key(a, start),
                     "range_end", fg_arbiter_key_behind(a, start), "start_revision", revision);
    FG_ASSERT(body);
    w->hooks = hooks;
    w->since = since;
    w->refused = false;
    if (has_token(a, endpoint, err))
        etcd_stream_run(w->stream, &a->options, endpoint, "/v3/watch", body, a->token, take_line, w,
                        err);
    if (w->refused)
        a->token[0] = 0;
    a->current = (a->current + 1) % a->endpoints_len;
    json_decref(body);
}
