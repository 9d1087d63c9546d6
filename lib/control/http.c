/* SPDX-License-Identifier: BSD-3-Clause */
/* From libmicrohttpd's callbacks to one call of a route's handler, and its reply back. */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "control/http.h"
#include "control/pair.h"
#include "control/peers.h"
#include "control/routes.h"
#include "control/trail.h"

#define ENDLESS_FACTOR 8 /* times the largest body: then the server hangs up */

struct upload {
    char *data;
    size_t size, room;
    uint64_t seen; /**< bytes, kept or not */
    uint64_t most; /**< bytes that are accepted */
    bool refused;  /**< too large, or no memory: the rest is read and thrown away */
};

static void upload_take(struct upload *upload, const char *data, size_t size)
{
    size_t room = upload->room ? upload->room : 4096;
    char *grown;

    upload->seen += size;
    if (upload->refused || upload->seen > upload->most) {
        upload->refused = true;
        return;
    }
    while (room < upload->size + size + 1)
        room *= 2;
    if (room > upload->room) {
        grown = realloc(upload->data, room);
        if (!grown) {
            upload->refused = true;
            return;
        }
        upload->data = grown;
        upload->room = room;
    }
    memcpy(upload->data + upload->size, data, size);
    upload->size += size;
}

static bool query_number(struct fg_control_call *call, const char *key, uint64_t min, uint64_t max,
                         uint64_t *number)
{
    const char *text = MHD_lookup_connection_value(call->connection, MHD_GET_ARGUMENT_KIND, key);

    if (!text)
        return true;
    if (!fg_text_number(text, number) || *number < min || *number > max)
        return fg_control_call_fail(call, 400, key,
                                    "%s: \"%.64s\" is not a whole number from %llu to %llu", key,
                                    text, (unsigned long long)min, (unsigned long long)max);
    return true;
}

struct query_check {
    struct fg_control_call *call;
    unsigned flags;
    bool ok;
};

static const char *accepted_keys(unsigned flags)
{
    if (flags & FG_CONTROL_ROUTE_PACKET)
        return "class, port";
    if (flags & FG_CONTROL_ROUTE_ALL)
        return "offset, limit, retired";
    return flags & FG_CONTROL_ROUTE_PAGE    ? "offset, limit"
           : flags & FG_CONTROL_ROUTE_LIMIT ? "limit"
                                            : "none";
}

static enum MHD_Result query_key(void *cls, enum MHD_ValueKind kind, const char *key,
                                 const char *value)
{
    struct query_check *check = cls;

    if ((check->flags & FG_CONTROL_ROUTE_PAGE && strcmp(key, "offset") == 0) ||
        (check->flags & (FG_CONTROL_ROUTE_PAGE | FG_CONTROL_ROUTE_LIMIT) &&
         strcmp(key, "limit") == 0) ||
        (check->flags & FG_CONTROL_ROUTE_ALL && strcmp(key, "retired") == 0) ||
        (check->flags & FG_CONTROL_ROUTE_PACKET &&
         (strcmp(key, "class") == 0 || strcmp(key, "port") == 0)))
        return MHD_YES;
    check->ok = fg_control_call_fail(check->call, 400, key,
                                     "unknown query parameter \"%.64s\"; accepted: %s", key,
                                     accepted_keys(check->flags));
    return MHD_NO;
}

static bool query_flag(struct fg_control_call *call, const char *key, bool *flag)
{
    const char *text = MHD_lookup_connection_value(call->connection, MHD_GET_ARGUMENT_KIND, key);

    *flag = text && strcmp(text, "true") == 0;
    if (!text || *flag || strcmp(text, "false") == 0)
        return true;
    return fg_control_call_fail(call, 400, key, "%s: \"%.64s\" is not true or false", key, text);
}

static bool read_query(struct fg_control_call *call, const struct fg_control_route *route)
{
    uint64_t most =
        route->flags & FG_CONTROL_ROUTE_PAGE ? FG_CONTROL_LIMIT_MAX : FG_CONTROL_WORST_MAX;
    struct query_check check = {.call = call, .flags = route->flags, .ok = true};

    MHD_get_connection_values(call->connection, MHD_GET_ARGUMENT_KIND, query_key, &check);
    call->limit = route->flags & FG_CONTROL_ROUTE_PAGE ? FG_CONTROL_LIMIT : 0;
    call->class_name =
        MHD_lookup_connection_value(call->connection, MHD_GET_ARGUMENT_KIND, "class");
    return check.ok && query_flag(call, "retired", &call->retired) &&
           query_number(call, "offset", 0, INT64_MAX, &call->offset) &&
           query_number(call, "limit", 1, most, &call->limit) &&
           query_number(call, "port", 1, 65535, &call->port);
}

static bool read_body(struct fg_control_call *call, const struct fg_control_route *route,
                      const struct upload *upload)
{
    json_error_t error;

    if (upload->refused)
        return fg_control_call_fail(call, 413, NULL, "body: more than %" PRIu64 " bytes",
                                    upload->most);
    if (route->flags & FG_CONTROL_ROUTE_TEXT) {
        call->lines = upload->size ? upload->data : "";
        call->lines_size = upload->size;
        return true;
    }
    if (upload->size == 0 && !(route->flags & FG_CONTROL_ROUTE_BODY))
        return true;
    if (upload->size == 0)
        return fg_control_call_fail(call, 400, NULL, "body: missing; %s %s takes a JSON object",
                                    route->method, route->pattern);
    call->body =
        json_loadb(upload->data, upload->size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!call->body)
        return fg_control_call_fail(call, 400, NULL, "body: no valid JSON: %s (line %d, column %d)",
                                    error.text, error.line, error.column);
    if (!json_is_object(call->body))
        return fg_control_call_fail(call, 400, NULL, "body: not a JSON object");
    if (!(route->flags & FG_CONTROL_ROUTE_BODY) && json_object_size(call->body))
        return fg_control_call_fail(call, 400, NULL, "body: %s %s takes none", route->method,
                                    route->pattern);
    return true;
}

static struct MHD_Response *render(struct fg_control_call *call)
{
    static const char broken[] = "{\"error\":{\"code\":500,\"message\":\"out of memory\"}}\n";
    struct MHD_Response *response = call->stream;
    const char *type = !call->text && !call->stream ? "application/json"
                       : call->text_type            ? call->text_type
                                                    : "text/plain; version=0.0.4; charset=utf-8";
    char *text = call->text ? call->text : call->json ? json_dumps(call->json, JSON_COMPACT) : NULL;

    call->text = NULL;
    if (response) {
        MHD_add_response_header(response, "Cache-Control", "no-store");
    } else if (text) {
        response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    } else {
        call->code = 500;
        response = MHD_create_response_from_buffer(sizeof(broken) - 1, (void *)broken,
                                                   MHD_RESPMEM_PERSISTENT);
    }
    if (response)
        MHD_add_response_header(response, "Content-Type", type);
    if (response && call->allow[0])
        MHD_add_response_header(response, "Allow", call->allow);
    if (response && call->policy) {
        MHD_add_response_header(response, "Content-Security-Policy", call->policy);
        MHD_add_response_header(response, "Cache-Control", "no-cache");
    }
    if (response)
        MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    return response;
}

static enum MHD_Result answer(struct fg_control_call *call)
{
    struct MHD_Response *response = render(call);
    enum MHD_Result result;

    json_decref(call->json);
    json_decref(call->body);
    if (!response)
        return MHD_NO;
    result = MHD_queue_response(call->connection, call->code, response);
    MHD_destroy_response(response);
    return result;
}

/* Before the body is sent: 413 now saves the client the way. Chunked bodies are counted as they
 * come. */
static bool announces_too_much(struct MHD_Connection *connection, uint64_t most)
{
    const char *text = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    uint64_t length;

    return text && (!fg_text_number(text, &length) || length > most);
}

/* True when this upload is the one that may be large. */
static bool take_text_slot(struct fg_control *control, struct upload *upload)
{
    const void *none = NULL;

    return atomic_compare_exchange_strong(&control->text_upload, &none, upload);
}

/* Only the lists of the filter may be large, and one at a time: 64 of them would take all memory.
 */
static bool begin(struct fg_control_call *call, struct upload *upload, const char *method,
                  const char *url)
{
    struct fg_control_call ignored = {.control = call->control};
    const struct fg_control_route *route = fg_control_route_find(&ignored, method, url);

    json_decref(ignored.json);
    upload->most = call->control->body_max;
    if (route && route->flags & FG_CONTROL_ROUTE_TEXT) {
        if (!take_text_slot(call->control, upload))
            return fg_control_call_fail(call, 503, NULL, "another list is being loaded; try again");
        upload->most = FG_CONTROL_TEXT_MAX;
    }
    return !announces_too_much(call->connection, upload->most) ||
           fg_control_call_fail(call, 413, NULL, "body: more than %" PRIu64 " bytes", upload->most);
}

/* One at a time, as handlers expect it. Only the answer about health waits for none of them: it
 * reads what other threads have published. */
static void handle(struct fg_control_call *call, const struct fg_control_route *route)
{
    bool alone = call->control->peers && !(route->flags & FG_CONTROL_ROUTE_FREE);

    if (alone)
        pthread_mutex_lock(&call->control->lock);
    if (!(route->flags & FG_CONTROL_ROUTE_LEADER) || fg_control_pair_leads(call))
        fg_control_trail_run(call, route);
    if (alone)
        pthread_mutex_unlock(&call->control->lock);
}

static enum MHD_Result take(void *cls, struct MHD_Connection *connection, const char *url,
                            const char *method, const char *version, const char *data, size_t *size,
                            void **state)
{
    struct fg_control_call call = {
        .control = cls, .connection = connection, .path = url, .code = 500};
    struct upload *upload = *state;
    const struct fg_control_route *route;

    if (!upload) {
        upload = *state = calloc(1, sizeof(*upload));
        if (!upload)
            return MHD_NO;
        return begin(&call, upload, method, url) ? MHD_YES : answer(&call);
    }
    if (*size) {
        upload_take(upload, data, *size);
        *size = 0;
        return upload->seen > ENDLESS_FACTOR * upload->most ? MHD_NO : MHD_YES;
    }
    route = fg_control_route_find(&call, method, url);
    fg_control_peers_busy(call.control->peers, connection);
    if (route && read_query(&call, route) && read_body(&call, route, upload))
        handle(&call, route);
    return answer(&call);
}

static void completed(void *cls, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode why)
{
    struct fg_control *control = cls;
    struct upload *upload = *state;

    const void *mine = upload;

    if (upload)
        atomic_compare_exchange_strong(&control->text_upload, &mine, NULL);
    fg_control_peers_idle(control->peers, connection);
    if (upload)
        free(upload->data);
    free(upload);
    *state = NULL;
}

struct MHD_Daemon *fg_control_http_start(struct fg_control *control, int fd,
                                         const struct fg_control_http_limits *limits)
{
    sigset_t all, before;
    struct MHD_Daemon *server;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    server = MHD_start_daemon(
        MHD_USE_AUTO | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
            MHD_USE_ITC,
        0, NULL, NULL, take, control, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
        limits->connections, MHD_OPTION_CONNECTION_TIMEOUT, limits->timeout_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, limits->memory, MHD_OPTION_NOTIFY_COMPLETED, completed,
        control, MHD_OPTION_NOTIFY_CONNECTION, fg_control_peers_notify, control->peers,
        MHD_OPTION_END);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return server;
}
