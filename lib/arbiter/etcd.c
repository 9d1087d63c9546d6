/* SPDX-License-Identifier: BSD-3-Clause */
#include "arbiter/etcd.h"

#include <stdatomic.h>
#include <string.h>

#define REPLY_MAX      (2u << 20) /* a page of changes: 256 values, in base 64 */
#define LINE_MAX_BYTES (4u << 20) /* changes that a watch tells at once */

struct body {
    size_t size;
    char bytes[REPLY_MAX];
};

/* libcurl's callback. */
static size_t take(char *data, size_t one, size_t size, void *ctx)
{
    struct body *body = ctx;

    if (size > sizeof(body->bytes) - body->size)
        return 0;
    memcpy(body->bytes + body->size, data, size);
    body->size += size;
    return size;
}

static void prepare(CURL *curl, const struct fg_arbiter_options *o, const char *url,
                    struct curl_slist *headers, const char *text)
{
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* whatever the environment says */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, o->tls ? "https" : "http");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
    /* On a kept connection that breaks, libcurl repeats a request by itself. A swap must not be
     * made twice, or its second copy tells that it was lost. */
    curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
    if (!o->tls)
        return;
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (o->tls_ca[0])
        curl_easy_setopt(curl, CURLOPT_CAINFO, o->tls_ca);
    if (o->tls_cert[0]) {
        curl_easy_setopt(curl, CURLOPT_SSLCERT, o->tls_cert);
        curl_easy_setopt(curl, CURLOPT_SSLKEY, o->tls_key);
    }
}

static bool was_sent(CURL *curl)
{
    long bytes = 0;

    return curl_easy_getinfo(curl, CURLINFO_REQUEST_SIZE, &bytes) != CURLE_OK || bytes > 0;
}

/* etcd's errors are {"error": TEXT, "code": N}, with or without "message". */
static void read_error(struct etcd_answer *answer, const char *endpoint, long status,
                       struct fg_error *err)
{
    const char *text = json_string_value(json_object_get(answer->json, "error"));
    const json_t *code = json_object_get(answer->json, "code");

    if (status == 200 && !text)
        return;
    answer->code = json_is_integer(code) ? (int)json_integer_value(code) : 0;
    if (answer->code == 0 || !text) {
        answer->kind = ETCD_LOST;
        fg_fail(err, "%s: HTTP status %ld, and no error of etcd", endpoint, status);
        return;
    }
    fg_fail(err, "%s: %.200s", endpoint, text);
}

static void read_reply(CURL *curl, struct etcd_answer *answer, const char *endpoint,
                       const struct body *body, struct fg_error *err)
{
    long status = 0;

    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    answer->json = json_loadb(body->bytes, body->size, JSON_REJECT_DUPLICATES, NULL);
    answer->kind = ETCD_ANSWERED;
    if (json_is_object(answer->json)) {
        read_error(answer, endpoint, status, err);
        return;
    }
    answer->kind = ETCD_LOST;
    fg_fail(err, "%s: HTTP status %ld, and an answer that is no JSON object", endpoint, status);
}

/* What a request needs until it has ended. */
struct request {
    struct curl_slist *headers;
    char *text, url[600];
};

static void make_request(struct request *r, CURL *curl, const struct fg_arbiter_options *options,
                         const char *endpoint, const char *path, const json_t *body,
                         const char *token)
{
    char header[600];

    r->headers = curl_slist_append(NULL, "Content-Type: application/json");
    r->text = json_dumps(body, JSON_COMPACT);
    FG_ASSERT(r->text && r->headers);
    snprintf(r->url, sizeof(r->url), "http%s://%s%s", options->tls ? "s" : "", endpoint, path);
    if (token[0]) {
        snprintf(header, sizeof(header), "Authorization: %s", token);
        r->headers = curl_slist_append(r->headers, header);
    }
    prepare(curl, options, r->url, r->headers, r->text);
}

static void release_request(struct request *r)
{
    curl_slist_free_all(r->headers);
    free(r->text);
}

void etcd_post(CURL *curl, const struct fg_arbiter_options *options, const char *endpoint,
               const char *path, const json_t *body, const char *token, long timeout_ms,
               struct etcd_answer *answer, struct fg_error *err)
{
    struct body *reply = calloc(1, sizeof(*reply));
    struct request request;
    CURLcode code;

    FG_ASSERT(reply);
    *answer = (struct etcd_answer){0};
    make_request(&request, curl, options, endpoint, path, body, token);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
    code = curl_easy_perform(curl);
    if (code == CURLE_OK) {
        read_reply(curl, answer, endpoint, reply, err);
    } else {
        answer->kind = was_sent(curl) ? ETCD_LOST : ETCD_NOT_SENT;
        fg_fail(err, "%s: %s", endpoint, curl_easy_strerror(code));
    }
    release_request(&request);
    free(reply);
}

/* ---- a stream of lines ----------------------------------------------------------------------- */

#define STREAM_WAIT_MS 1000

struct etcd_stream {
    CURLM *multi;
    CURL *curl;
    _Atomic bool cut;
    /* of a run */
    etcd_line *line;
    void *ctx;
    struct fg_error *err;
    bool ended;  /* by `line`, or too long: err is set */
    char *bytes; /* of a line that has not ended */
    size_t size, room;
};

struct etcd_stream *etcd_stream_open(void)
{
    struct etcd_stream *s = calloc(1, sizeof(*s));

    FG_ASSERT(s);
    s->multi = curl_multi_init();
    s->curl = curl_easy_init();
    FG_ASSERT(s->multi && s->curl);
    return s;
}

void etcd_stream_close(struct etcd_stream *s)
{
    curl_easy_cleanup(s->curl);
    curl_multi_cleanup(s->multi);
    free(s->bytes);
    free(s);
}

void etcd_stream_cut(struct etcd_stream *s)
{
    atomic_store(&s->cut, true);
    curl_multi_wakeup(s->multi);
}

static bool make_room(struct etcd_stream *s, size_t size)
{
    if (size > LINE_MAX_BYTES)
        return fg_fail(s->err, "a line of more than %u bytes", LINE_MAX_BYTES);
    if (size > s->room) {
        s->room = 2 * size;
        s->bytes = realloc(s->bytes, s->room);
        FG_ASSERT(s->bytes);
    }
    return true;
}

static void take_lines(struct etcd_stream *s)
{
    size_t begin = 0;
    const char *end;

    while (!s->ended && (end = memchr(s->bytes + begin, '\n', s->size - begin))) {
        size_t size = (size_t)(end - s->bytes) - begin;

        if (size && !s->line(s->ctx, s->bytes + begin, size, s->err))
            s->ended = true;
        begin += size + 1;
    }
    s->size -= begin;
    memmove(s->bytes, s->bytes + begin, s->size);
}

/* libcurl's callback. */
static size_t take_stream(char *data, size_t one, size_t size, void *ctx)
{
    struct etcd_stream *s = ctx;

    if (!s->ended && !make_room(s, s->size + size))
        s->ended = true;
    if (s->ended)
        return 0;
    memcpy(s->bytes + s->size, data, size);
    s->size += size;
    take_lines(s);
    return s->ended ? 0 : size;
}

/* The last line of an error has no end. */
static void explain(struct etcd_stream *s, const char *endpoint)
{
    CURLMsg *message;
    int left;

    while (!s->ended && (message = curl_multi_info_read(s->multi, &left))) {
        long status = 0;

        if (s->size && !s->line(s->ctx, s->bytes, s->size, s->err))
            return;
        curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
        fg_fail(s->err, "%s: HTTP status %ld, %s", endpoint, status,
                curl_easy_strerror(message->data.result));
    }
}

void etcd_stream_run(struct etcd_stream *s, const struct fg_arbiter_options *options,
                     const char *endpoint, const char *path, const json_t *body, const char *token,
                     etcd_line *line, void *ctx, struct fg_error *err)
{
    struct request request;
    int running = 1;

    make_request(&request, s->curl, options, endpoint, path, body, token);
    curl_easy_setopt(s->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)options->timeout_ms);
    curl_easy_setopt(s->curl, CURLOPT_WRITEFUNCTION, take_stream);
    curl_easy_setopt(s->curl, CURLOPT_WRITEDATA, s);
    s->line = line;
    s->ctx = ctx;
    s->err = err;
    s->ended = false;
    s->size = 0;
    curl_multi_add_handle(s->multi, s->curl);
    while (running && !atomic_load(&s->cut)) {
        curl_multi_perform(s->multi, &running);
        if (running && !atomic_load(&s->cut))
            curl_multi_poll(s->multi, NULL, 0, STREAM_WAIT_MS, NULL);
    }
    explain(s, endpoint);
    if (atomic_exchange(&s->cut, false) && !err->text[0])
        fg_fail(err, "%s: cut", endpoint);
    curl_multi_remove_handle(s->multi, s->curl);
    release_request(&request);
}
