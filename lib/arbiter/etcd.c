/* SPDX-License-Identifier: BSD-3-Clause */
#include "arbiter/etcd.h"

#include <string.h>

#define REPLY_MAX (2u << 20) /* a page of changes: 256 values, in base 64 */

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
                    struct curl_slist *headers, const char *text, long timeout_ms,
                    struct body *reply)
{
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* whatever the environment says */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, o->tls ? "https" : "http");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
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

void etcd_post(CURL *curl, const struct fg_arbiter_options *options, const char *endpoint,
               const char *path, const json_t *body, const char *token, long timeout_ms,
               struct etcd_answer *answer, struct fg_error *err)
{
    struct body *reply = calloc(1, sizeof(*reply));
    char *text = json_dumps(body, JSON_COMPACT);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    char url[600], header[600];
    CURLcode code;

    FG_ASSERT(reply && text && headers);
    snprintf(url, sizeof(url), "http%s://%s%s", options->tls ? "s" : "", endpoint, path);
    if (token[0]) {
        snprintf(header, sizeof(header), "Authorization: %s", token);
        headers = curl_slist_append(headers, header);
    }
    *answer = (struct etcd_answer){0};
    prepare(curl, options, url, headers, text, timeout_ms, reply);
    code = curl_easy_perform(curl);
    if (code == CURLE_OK) {
        read_reply(curl, answer, endpoint, reply, err);
    } else {
        answer->kind = was_sent(curl) ? ETCD_LOST : ETCD_NOT_SENT;
        fg_fail(err, "%s: %s", endpoint, curl_easy_strerror(code));
    }
    curl_slist_free_all(headers);
    free(text);
    free(reply);
}
