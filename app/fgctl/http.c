/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests to the control server over its unix socket, by libcurl. */
#include "fgctl.h"

#include <errno.h>
#include <string.h>

#include <curl/curl.h>

#define SILENCE_S 60 /* with no byte of the answer: given up */
#define REPLY_MAX (256u << 20)
#define PATH_SIZE 108 /* of a unix socket's address, its 0 included */

struct fg_http {
    const char *socket;
    CURL *curl;
    struct curl_slist *headers;
};

struct fg_http *fg_http_open(const char *socket)
{
    struct fg_http *http = calloc(1, sizeof(*http));

    curl_global_init(CURL_GLOBAL_NOTHING); /* no TLS is needed on a unix socket */
    if (!http || !(http->curl = curl_easy_init()))
        abort();
    http->socket = socket;
    http->headers = curl_slist_append(http->headers, "Content-Type: application/json");
    http->headers = curl_slist_append(http->headers, "Expect:"); /* no "100 Continue" first */
    return http;
}

void fg_http_close(struct fg_http *http)
{
    curl_slist_free_all(http->headers);
    curl_easy_cleanup(http->curl);
    curl_global_cleanup();
    free(http);
}

static const char *advice(int why)
{
    if (why == ENOENT || why == ECONNREFUSED)
        return "; is the daemon running, and is this its socket? (--socket PATH)";
    if (why == EACCES || why == EPERM)
        return "; are you in the group of the socket?";
    return "";
}

/* libcurl's callback for the body. */
static size_t take(char *data, size_t one, size_t size, void *ctx)
{
    struct fg_reply *reply = ctx;

    if (reply->size + size > REPLY_MAX)
        return 0;
    reply->body = realloc(reply->body, reply->size + size + 1);
    if (!reply->body)
        abort();
    memcpy(reply->body + reply->size, data, size);
    reply->size += size;
    reply->body[reply->size] = 0;
    return size;
}

static void prepare(struct fg_http *http, const char *method, const char *url, const char *body,
                    struct fg_reply *reply)
{
    CURL *curl = http->curl;
    bool get = strcmp(method, "GET") == 0;

    curl_easy_reset(curl); /* keeps the connection */
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, http->socket);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* whatever the environment says */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, http->headers);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)SILENCE_S);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_S);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
    if (get)
        return;
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body ? body : "");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(body ? strlen(body) : 0));
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    /* On a kept connection that breaks, libcurl repeats a request by itself. A change must not be
     * made twice, so it goes over a new connection. */
    curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
}

static void explain(const struct fg_http *http, CURLcode result, const char *method,
                    const char *path, struct fg_reply *reply)
{
    long why = 0;

    curl_easy_getinfo(http->curl, CURLINFO_OS_ERRNO, &why);
    free(reply->body);
    *reply = (struct fg_reply){0};
    if (result == CURLE_COULDNT_CONNECT && why)
        fg_fail(&reply->error, "cannot connect to %s: %s%s", http->socket, strerror((int)why),
                advice((int)why));
    else if (result == CURLE_COULDNT_CONNECT)
        fg_fail(&reply->error, "cannot connect to %s", http->socket);
    else if (result == CURLE_URL_MALFORMAT)
        fg_fail(&reply->error, "%.200s is not a path of the API; nothing was sent", path);
    else
        fg_fail(
            &reply->error,
            "%s: no answer to %s %s within %d s or connection lost; it may have happened or not",
            http->socket, method, path, SILENCE_S);
}

static bool fits(const struct fg_http *http, struct fg_reply *reply)
{
    return strlen(http->socket) < PATH_SIZE ||
           fg_fail(&reply->error, "socket %.107s...: the path is too long (at most %d bytes)",
                   http->socket, PATH_SIZE - 1);
}

struct transfer {
    struct fg_http *http;
    const struct fg_http_stream *stream;
    struct fg_reply *reply;
};

static size_t take_part(char *data, size_t one, size_t size, void *ctx)
{
    struct transfer *t = ctx;
    long code = 0;

    curl_easy_getinfo(t->http->curl, CURLINFO_RESPONSE_CODE, &code);
    if (code != 200)
        return take(data, one, size, t->reply);
    return t->stream->take(t->stream->ctx, data, size) ? size : 0;
}

static int go_on(void *ctx, curl_off_t all, curl_off_t now, curl_off_t all_up, curl_off_t now_up)
{
    struct transfer *t = ctx;

    return t->stream->progress(t->stream->ctx) ? 0 : 1;
}

static void perform(struct fg_http *http, const char *method, const char *path,
                    struct fg_reply *reply)
{
    CURLcode result = curl_easy_perform(http->curl);
    long code = 0;

    curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &code);
    if (result == CURLE_OK && code)
        reply->code = (unsigned)code;
    else
        explain(http, result, method, path, reply);
}

void fg_http_post_stream(struct fg_http *http, const char *path, const char *body,
                         const struct fg_http_stream *stream, struct fg_reply *reply)
{
    struct transfer transfer = {http, stream, reply};
    char *url;

    *reply = (struct fg_reply){0};
    if (!fits(http, reply))
        return;
    if (asprintf(&url, "http://floodgate%s", path) < 0)
        abort();
    prepare(http, "POST", url, body, reply);
    curl_easy_setopt(http->curl, CURLOPT_LOW_SPEED_LIMIT, 0L);
    curl_easy_setopt(http->curl, CURLOPT_WRITEFUNCTION, take_part);
    curl_easy_setopt(http->curl, CURLOPT_WRITEDATA, &transfer);
    curl_easy_setopt(http->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(http->curl, CURLOPT_XFERINFOFUNCTION, go_on);
    curl_easy_setopt(http->curl, CURLOPT_XFERINFODATA, &transfer);
    perform(http, "POST", path, reply);
    free(url);
}

void fg_http_request(struct fg_http *http, const char *method, const char *path, const char *body,
                     struct fg_reply *reply)
{
    char *url;

    *reply = (struct fg_reply){0};
    if (!fits(http, reply))
        return;
    if (asprintf(&url, "http://floodgate%s", path) < 0)
        abort();
    prepare(http, method, url, body, reply);
    perform(http, method, path, reply);
    free(url);
}
