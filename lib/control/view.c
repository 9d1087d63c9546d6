/* SPDX-License-Identifier: BSD-3-Clause */
/* The view of a moment, and the server-sent events that carry it. */
#include <string.h>

#include "base/json.h"
#include "control/item_json.h"
#include "control/penalties.h"
#include "control/report.h"
#include "control/view.h"

#define ITEMS_MAX 1000 /* as many as have metrics */
#define SOURCES   5    /* of each class */
#define BLOCK     4096
#define SHARE_MS  (FG_CONTROL_STREAM_EACH_MS / 4) /* a view is fresh for so long */
#define RETRY_MS  "2000"                          /* of the browser, when the stream ends */

static const char *effect_name(enum fg_health_effect effect)
{
    static const char *const names[] = {[FG_HEALTH_NOTHING] = "none",
                                        [FG_HEALTH_TOLD] = "told",
                                        [FG_HEALTH_DEGRADED] = "degraded",
                                        [FG_HEALTH_UNHEALTHY] = "unhealthy"};

    return names[effect];
}

static const struct fg_health_condition *find_condition(const char *name)
{
    for (unsigned i = 0; i < fg_health_conditions_count; i++)
        if (strcmp(fg_health_conditions[i].name, name) == 0)
            return &fg_health_conditions[i];
    return NULL;
}

static void add_alarm(void *list, const char *name, enum fg_health_level level, const char *text)
{
    const struct fg_health_condition *c = level ? find_condition(name) : NULL;

    if (c)
        json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:s, s:o, s:s}", "name", name, "level",
                      fg_health_level_name(level), "effect",
                      effect_name(level == FG_HEALTH_ALARM ? c->alarm_effect : c->warning_effect),
                      "text", fg_json_text(text), "remedy", c->remedy));
}

static json_t *item_json(const struct fg_ledger_item *item, uint64_t now_ms)
{
    return json_pack("{s:o, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "item",
                     fg_json_id(item->item), "name", fg_json_text(item->name), "state",
                     fg_control_item_state(item, now_ms), "total", (json_int_t)item->total,
                     "available", (json_int_t)item->available, "reserved",
                     (json_int_t)item->reserved, "sold", (json_int_t)item->sold, "refunded",
                     (json_int_t)item->refunded, "opens_ms", (json_int_t)item->opens_ms,
                     "closes_ms", (json_int_t)item->closes_ms);
}

static void add_items(json_t *view, struct fg_control *control, uint64_t now_ms)
{
    uint64_t count, all = 0;
    struct fg_ledger_item *items =
        fg_control_items_copy(control, 0, ITEMS_MAX, false, &count, &all);
    json_t *list = json_array();

    for (uint64_t i = 0; items && i < count; i++)
        json_array_append_new(list, item_json(&items[i], now_ms));
    free(items);
    json_object_set_new(view, "items", list);
    json_object_set_new(view, "items_all", json_integer((json_int_t)all));
}

json_t *fg_control_view(struct fg_control *control)
{
    const struct fg_control_daemon *daemon = &control->daemon;
    struct fg_control_sheet *sheet = fg_control_measure_now(control);
    struct fg_health_answer verdict;
    uint64_t now_ms = fg_control_now_ms(control);
    json_t *view, *alarms;

    if (!sheet)
        return NULL;
    verdict = daemon->health(daemon->ctx);
    alarms = json_array();
    fg_health_each(daemon->alarms, add_alarm, alarms);
    view =
        json_pack("{s:I, s:o, s:o, s:o, s:o}", "time_ms", (json_int_t)now_ms, "stats",
                  fg_control_sheet_stats(sheet), "reason", fg_json_text(verdict.reason), "alarms",
                  alarms, "sources", fg_control_penalty_top(daemon->penalty(daemon->ctx), SOURCES));
    fg_control_sheet_destroy(sheet);
    if (view)
        add_items(view, control, now_ms);
    return view;
}

/* ---- streams --------------------------------------------------------------------------------- */

struct stream {
    struct fg_control_streams *streams;
    char *text; /* the event that is being sent; NULL: none yet */
    size_t size, sent;
    uint64_t next_ms;
};

void fg_control_streams_init(struct fg_control_streams *s, struct fg_control *server)
{
    pthread_condattr_t monotonic;

    memset(s, 0, sizeof(*s));
    s->server = server;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->stop, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void fg_control_streams_stop(struct fg_control_streams *s)
{
    pthread_mutex_lock(&s->server->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->stop);
    pthread_mutex_unlock(&s->server->lock);
}

void fg_control_streams_free(struct fg_control_streams *s)
{
    free(s->text);
    pthread_cond_destroy(&s->stop);
}

/* JSON without line ends is one line of an event. */
static char *make_event(struct fg_control *control)
{
    json_t *view = fg_control_view(control);
    char *json = view ? json_dumps(view, JSON_COMPACT) : NULL, *text = NULL;

    if (json && asprintf(&text, "retry: " RETRY_MS "\ndata: %s\n\n", json) < 0)
        text = NULL;
    free(json);
    json_decref(view);
    return text;
}

/* With the lock. */
static bool share(struct fg_control_streams *s, struct stream *stream)
{
    uint64_t now_ms = fg_clock_mono_ms();

    if (!s->text || now_ms - s->made_ms >= SHARE_MS) {
        free(s->text);
        s->text = make_event(s->server);
        s->made_ms = now_ms;
    }
    free(stream->text);
    stream->text = s->text ? strdup(s->text) : NULL;
    stream->size = stream->text ? strlen(stream->text) : 0;
    stream->sent = 0;
    stream->next_ms = now_ms + FG_CONTROL_STREAM_EACH_MS;
    return stream->text;
}

/* Waits until it is time; false: the server stops, or memory is short. */
static bool next_event(struct stream *stream)
{
    struct fg_control_streams *s = stream->streams;
    struct timespec at = {.tv_sec = (time_t)(stream->next_ms / 1000),
                          .tv_nsec = (long)(stream->next_ms % 1000) * 1000000};
    bool more;

    pthread_mutex_lock(&s->server->lock);
    while (!s->stopping && fg_clock_mono_ms() < stream->next_ms)
        pthread_cond_timedwait(&s->stop, &s->server->lock, &at);
    more = !s->stopping && share(s, stream);
    pthread_mutex_unlock(&s->server->lock);
    return more;
}

static ssize_t read_stream(void *cls, uint64_t position, char *buffer, size_t max)
{
    struct stream *stream = cls;
    size_t n;

    if (stream->sent == stream->size && !next_event(stream))
        return MHD_CONTENT_READER_END_OF_STREAM;
    n = stream->size - stream->sent < max ? stream->size - stream->sent : max;
    memcpy(buffer, stream->text + stream->sent, n);
    stream->sent += n;
    return (ssize_t)n;
}

static void close_stream(void *cls)
{
    struct stream *stream = cls;

    pthread_mutex_lock(&stream->streams->server->lock);
    stream->streams->open--;
    pthread_mutex_unlock(&stream->streams->server->lock);
    free(stream->text);
    free(stream);
}

/* A handler: it runs with the server's lock. */
void fg_control_streams_open(struct fg_control_streams *s, struct fg_control_call *call)
{
    struct stream *stream;

    if (s->open >= FG_CONTROL_STREAMS_MAX) {
        fg_control_call_fail(call, 503, NULL, "%u pages are open; close one", s->open);
        return;
    }
    stream = calloc(1, sizeof(*stream));
    if (!stream)
        return;
    stream->streams = s;
    call->stream = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_stream, stream,
                                                     close_stream);
    if (!call->stream) {
        free(stream);
        return;
    }
    s->open++;
    call->code = 200;
    call->text_type = "text/event-stream";
}
