/* SPDX-License-Identifier: BSD-3-Clause */
#include "arbiter/internal.h"

#include <pthread.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/clock.h"

/* ---- options --------------------------------------------------------------------------------- */

static bool split_endpoints(struct fg_arbiter *a, struct fg_error *err)
{
    char *rest, *word;

    for (word = strtok_r(a->names, ", ", &rest); word; word = strtok_r(NULL, ", ", &rest)) {
        if (a->endpoints_len == FG_ARBITER_ENDPOINTS_MAX)
            return fg_fail(err, "more than %d endpoints", FG_ARBITER_ENDPOINTS_MAX);
        if (strspn(word, FG_ARBITER_ENDPOINT_CHARS) != strlen(word) || !strchr(word, ':'))
            return fg_fail(err, "%s: not HOST:PORT", word);
        a->endpoints[a->endpoints_len++] = word;
    }
    return a->endpoints_len || fg_fail(err, "no endpoint");
}

static void start_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct fg_arbiter *fg_arbiter_open(const struct fg_arbiter_options *options, struct fg_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct fg_arbiter *a = calloc(1, sizeof(*a));

    FG_ASSERT(a && options->timeout_ms);
    pthread_once(&once, start_curl);
    a->options = *options;
    memcpy(a->names, options->endpoints, sizeof(a->names));
    a->curl = curl_easy_init();
    FG_ASSERT(a->curl);
    if (split_endpoints(a, err))
        return a;
    fg_arbiter_close(a);
    return NULL;
}

void fg_arbiter_close(struct fg_arbiter *a)
{
    if (!a)
        return;
    curl_easy_cleanup(a->curl);
    free(a);
}

/* ---- base 64, in which the gateway takes and gives bytes ------------------------------------- */

static json_t *base64(const void *bytes, size_t size)
{
    unsigned char text[(FG_ARBITER_VALUE_MAX + 2) / 3 * 4 + 1];

    FG_ASSERT(size <= FG_ARBITER_VALUE_MAX);
    EVP_EncodeBlock(text, bytes, (int)size); /* writes a 0 behind it */
    return json_string((const char *)text);
}

static bool base64_read(const json_t *from, struct fg_arbiter_value *to)
{
    const char *text = json_string_value(from);
    size_t len = json_string_length(from);
    unsigned char bytes[FG_ARBITER_VALUE_MAX + 3];
    int size;

    if (!text)
        return from == NULL; /* protobuf's JSON leaves an empty field out */
    if (len % 4 || len / 4 * 3 > sizeof(bytes))
        return false;
    size = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)len);
    for (size_t i = len; size > 0 && i-- > 0 && text[i] == '=';)
        size--;
    if (size < 0 || size > FG_ARBITER_VALUE_MAX)
        return false;
    to->size = (size_t)size;
    memcpy(to->bytes, bytes, to->size);
    return true;
}

bool fg_arbiter_read_revision(const json_t *object, const char *name, int64_t *revision)
{
    const char *text = json_string_value(json_object_get(object, name));
    char *end;

    if (!text || text[0] < '1' || text[0] > '9' || strlen(text) > 18)
        return false;
    *revision = strtoll(text, &end, 10);
    return *end == 0;
}

json_t *fg_arbiter_key(const struct fg_arbiter *a, const char *key)
{
    char text[FULL_KEY_MAX + 1];

    FG_ASSERT(strlen(key) <= FG_ARBITER_KEY_MAX);
    snprintf(text, sizeof(text), "%s%s", a->options.prefix, key);
    return base64(text, strlen(text));
}

/* ---- asking ---------------------------------------------------------------------------------- */

bool fg_arbiter_login(struct fg_arbiter *a, const char *endpoint, long timeout_ms,
                      struct etcd_answer *answer, struct fg_error *err)
{
    char password[FG_SECRET_MAX];
    const char *token;
    json_t *body;

    json_decref(answer->json);
    answer->json = NULL;
    if (!fg_secret_read(a->options.password_file, password, err)) {
        *answer = (struct etcd_answer){.kind = ETCD_ANSWERED, .code = ETCD_CODE_UNAUTHENTICATED};
        return false;
    }
    body = json_pack("{s:s, s:s}", "name", a->options.user, "password", password);
    FG_ASSERT(body);
    etcd_post(a->curl, &a->options, endpoint, "/v3/auth/authenticate", body, "", timeout_ms, answer,
              err);
    json_decref(body);
    explicit_bzero(password, sizeof(password));
    if (answer->kind == ETCD_LOST)
        answer->kind = ETCD_NOT_SENT; /* the request itself was not */
    if (answer->kind != ETCD_ANSWERED || answer->code)
        return false;
    token = json_string_value(json_object_get(answer->json, "token"));
    if (!token || strlen(token) >= TOKEN_MAX || strpbrk(token, "\r\n")) {
        fg_fail(err, "%s: a login without a token", endpoint);
        answer->kind = ETCD_NOT_SENT;
        return false;
    }
    memcpy(a->token, token, strlen(token) + 1);
    return true;
}

/* Posts to one endpoint, with a login when etcd wants one. */
static void ask_one(struct fg_arbiter *a, const char *endpoint, const char *path,
                    const json_t *body, long timeout_ms, struct etcd_answer *answer,
                    struct fg_error *err)
{
    for (unsigned attempt = 0; attempt < 2; attempt++) {
        if (a->options.user[0] && !a->token[0] &&
            !fg_arbiter_login(a, endpoint, timeout_ms, answer, err))
            return;
        json_decref(answer->json);
        etcd_post(a->curl, &a->options, endpoint, path, body, a->token, timeout_ms, answer, err);
        /* a token of before etcd's start is none */
        if (answer->kind != ETCD_ANSWERED || answer->code != ETCD_CODE_UNAUTHENTICATED ||
            !a->options.user[0])
            return;
        a->token[0] = 0;
    }
}

/* gRPC's codes of an error that no repetition mends, and that changed nothing: invalid argument,
 * permission denied, failed precondition, unimplemented, unauthenticated. */
static bool is_refusal(int code)
{
    return code == 3 || code == 7 || code == 9 || code == 12 || code == ETCD_CODE_UNAUTHENTICATED;
}

static enum fg_arbiter_result result_of(const struct etcd_answer *answer)
{
    if (answer->kind == ETCD_NOT_SENT)
        return FG_ARBITER_AWAY;
    if (answer->kind == ETCD_LOST)
        return FG_ARBITER_UNKNOWN;
    if (answer->code == 0)
        return FG_ARBITER_DONE;
    return is_refusal(answer->code) ? FG_ARBITER_REFUSED : FG_ARBITER_UNKNOWN;
}

/* Asks one endpoint after the other. A swap ends at the first that may have taken it. */
static enum fg_arbiter_result ask(struct fg_arbiter *a, const char *path, const json_t *body,
                                  bool may_repeat, struct etcd_answer *answer, struct fg_error *err)
{
    uint64_t end = fg_clock_mono_ms() + a->options.timeout_ms;
    enum fg_arbiter_result result = FG_ARBITER_AWAY;

    for (unsigned tried = 0; tried < a->endpoints_len; tried++) {
        unsigned left = a->endpoints_len - tried;
        uint64_t now = fg_clock_mono_ms();

        if (now >= end)
            break;
        json_decref(answer->json);
        *answer = (struct etcd_answer){0};
        /* whoever is silent leaves the others their share of the time */
        ask_one(a, a->endpoints[a->current], path, body, (long)((end - now + left - 1) / left),
                answer, err);
        result = result_of(answer);
        if (result == FG_ARBITER_DONE || result == FG_ARBITER_REFUSED)
            return result;
        a->current = (a->current + 1) % a->endpoints_len;
        if (result == FG_ARBITER_UNKNOWN && !may_repeat)
            return result;
    }
    return may_repeat ? FG_ARBITER_AWAY : result;
}

static bool read_value(const json_t *json, struct fg_arbiter_value *value)
{
    const json_t *found = json_object_get(json, "kvs"), *kv = json_array_get(found, 0);

    *value = (struct fg_arbiter_value){0};
    if (!fg_arbiter_read_revision(json_object_get(json, "header"), "revision", &value->store))
        return false;
    if (!found || (json_is_array(found) && json_array_size(found) == 0))
        return true;
    return json_array_size(found) == 1 &&
           fg_arbiter_read_revision(kv, "mod_revision", &value->revision) &&
           base64_read(json_object_get(kv, "value"), value);
}

enum fg_arbiter_result fg_arbiter_read(struct fg_arbiter *a, const char *key,
                                       struct fg_arbiter_value *value, struct fg_error *err)
{
    struct etcd_answer answer = {0};
    json_t *body = json_pack("{s:o}", "key", fg_arbiter_key(a, key));
    enum fg_arbiter_result result;

    FG_ASSERT(body);
    result = ask(a, "/v3/kv/range", body, true, &answer, err);
    if (result == FG_ARBITER_DONE && !read_value(answer.json, value)) {
        fg_fail(err, "%s: an answer that no etcd gives", a->endpoints[a->current]);
        result = FG_ARBITER_AWAY;
    }
    json_decref(answer.json);
    json_decref(body);
    return result;
}

/* {"header": {"revision"}, "succeeded": true}; a lost one has no "succeeded". */
static enum fg_arbiter_result read_swap(const struct fg_arbiter *a, const json_t *json,
                                        int64_t *revision, struct fg_error *err)
{
    const json_t *succeeded = json_object_get(json, "succeeded");

    if (!fg_arbiter_read_revision(json_object_get(json, "header"), "revision", revision) ||
        (succeeded && !json_is_boolean(succeeded))) {
        fg_fail(err, "%s: an answer that no etcd gives", a->endpoints[a->current]);
        return FG_ARBITER_UNKNOWN;
    }
    return json_is_true(succeeded) ? FG_ARBITER_DONE : FG_ARBITER_LOST;
}

enum fg_arbiter_result fg_arbiter_swap(struct fg_arbiter *a, const struct fg_arbiter_swap *swap,
                                       int64_t *revision, struct fg_error *err)
{
    struct etcd_answer answer = {0};
    char guard_revision[24];
    enum fg_arbiter_result result;
    json_t *body;

    snprintf(guard_revision, sizeof(guard_revision), "%lld", (long long)swap->revision);
    body = json_pack("{s:[{s:o, s:s, s:s, s:s}], s:[{s:{s:o, s:o}}]}", "compare", "key",
                     fg_arbiter_key(a, swap->guard), "target", "MOD", "result", "EQUAL",
                     "mod_revision", guard_revision, "success", "request_put", "key",
                     fg_arbiter_key(a, swap->key), "value", base64(swap->bytes, swap->size));
    FG_ASSERT(body);
    result = ask(a, "/v3/kv/txn", body, false, &answer, err);
    if (result == FG_ARBITER_DONE)
        result = read_swap(a, answer.json, revision, err);
    json_decref(answer.json);
    json_decref(body);
    return result;
}

/* ---- many keys ------------------------------------------------------------------------------- */

#define PAGE (2 * FG_ARBITER_PUTS_MAX) /* more than one commit changes */

bool fg_arbiter_read_kv(const struct fg_arbiter *a, const json_t *kv, int64_t store,
                        char key[FULL_KEY_MAX + 1], struct fg_arbiter_value *value)
{
    struct fg_arbiter_value name = {0};
    size_t prefix = strlen(a->options.prefix);

    *value = (struct fg_arbiter_value){.store = store};
    if (!base64_read(json_object_get(kv, "key"), &name) || name.size > FULL_KEY_MAX ||
        name.size < prefix || memcmp(name.bytes, a->options.prefix, prefix) != 0 ||
        memchr(name.bytes, 0, name.size) ||
        !fg_arbiter_read_revision(kv, "mod_revision", &value->revision) ||
        !base64_read(json_object_get(kv, "value"), value))
        return false;
    memcpy(key, name.bytes + prefix, name.size - prefix);
    key[name.size - prefix] = 0;
    return true;
}

static json_t *compare_of(const struct fg_arbiter *a, const struct fg_arbiter_put *put)
{
    char revision[24];

    snprintf(revision, sizeof(revision), "%lld", (long long)put->revision);
    return json_pack("{s:o, s:s, s:s, s:s}", "key", fg_arbiter_key(a, put->key), "target", "MOD",
                     "result", "EQUAL", "mod_revision", revision);
}

static json_t *commit_body(const struct fg_arbiter *a, const struct fg_arbiter_put *puts,
                           unsigned len)
{
    json_t *compare = json_array(), *success = json_array(), *failure = json_array(), *body;

    for (unsigned i = 0; i < len; i++) {
        json_array_append_new(compare, compare_of(a, &puts[i]));
        json_array_append_new(failure, json_pack("{s:{s:o}}", "request_range", "key",
                                                 fg_arbiter_key(a, puts[i].key)));
        if (puts[i].bytes)
            json_array_append_new(success, json_pack("{s:{s:o, s:o}}", "request_put", "key",
                                                     fg_arbiter_key(a, puts[i].key), "value",
                                                     base64(puts[i].bytes, puts[i].size)));
    }
    body = json_pack("{s:o, s:o, s:o}", "compare", compare, "success", success, "failure", failure);
    FG_ASSERT(body);
    return body;
}

/* The values of a lost commit, in the order of its keys. */
static bool read_failure(const struct fg_arbiter *a, const json_t *json,
                         const struct fg_arbiter_put *puts, unsigned len, int64_t store,
                         fg_arbiter_seen *seen, void *ctx)
{
    const json_t *responses = json_object_get(json, "responses");
    char key[FULL_KEY_MAX + 1];

    if (json_array_size(responses) != len)
        return false;
    for (unsigned i = 0; i < len; i++) {
        const json_t *range = json_object_get(json_array_get(responses, i), "response_range");
        const json_t *kv = json_array_get(json_object_get(range, "kvs"), 0);
        struct fg_arbiter_value value = {.store = store};

        if (!range ||
            (kv && (!fg_arbiter_read_kv(a, kv, store, key, &value) || strcmp(key, puts[i].key))))
            return false;
        seen(ctx, puts[i].key, &value);
    }
    return true;
}

enum fg_arbiter_result fg_arbiter_commit(struct fg_arbiter *a, const struct fg_arbiter_put *puts,
                                         unsigned len, fg_arbiter_seen *seen, void *ctx,
                                         int64_t *store, struct fg_error *err)
{
    struct etcd_answer answer = {0};
    json_t *body = commit_body(a, puts, len);
    enum fg_arbiter_result result;

    FG_ASSERT(len >= 1 && len <= FG_ARBITER_PUTS_MAX);
    result = ask(a, "/v3/kv/txn", body, false, &answer, err);
    if (result == FG_ARBITER_DONE)
        result = read_swap(a, answer.json, store, err);
    if (result == FG_ARBITER_LOST && !read_failure(a, answer.json, puts, len, *store, seen, ctx)) {
        fg_fail(err, "%s: an answer that no etcd gives", a->endpoints[a->current]);
        result = FG_ARBITER_UNKNOWN;
    }
    json_decref(answer.json);
    json_decref(body);
    return result;
}

json_t *fg_arbiter_key_behind(const struct fg_arbiter *a, const char *start)
{
    char end[FULL_KEY_MAX + 1];
    size_t len;

    FG_ASSERT(start[0] && strlen(start) <= FG_ARBITER_KEY_MAX);
    len = (size_t)snprintf(end, sizeof(end), "%s%s", a->options.prefix, start);
    end[len - 1]++;
    return base64(end, len);
}

static json_t *changes_body(const struct fg_arbiter *a, const char *start, int64_t since)
{
    char revision[24];
    json_t *body;

    snprintf(revision, sizeof(revision), "%lld", (long long)since + 1);
    body = json_pack("{s:o, s:o, s:s, s:s, s:s, s:i}", "key", fg_arbiter_key(a, start), "range_end",
                     fg_arbiter_key_behind(a, start), "min_mod_revision", revision, "sort_target",
                     "MOD", "sort_order", "ASCEND", "limit", PAGE);
    FG_ASSERT(body);
    return body;
}

/* A page; *since moves to the newest revision of which all keys were seen. */
static bool read_changes(const struct fg_arbiter *a, const json_t *json, int64_t *since, bool *more,
                         fg_arbiter_seen *seen, void *ctx, int64_t *store)
{
    const json_t *kvs = json_object_get(json, "kvs");
    char key[FULL_KEY_MAX + 1];
    struct fg_arbiter_value value;
    int64_t newest = *since;

    *more = json_is_true(json_object_get(json, "more"));
    if (!fg_arbiter_read_revision(json_object_get(json, "header"), "revision", store) ||
        (kvs && !json_is_array(kvs)))
        return false;
    for (size_t i = 0; i < json_array_size(kvs); i++) {
        if (!fg_arbiter_read_kv(a, json_array_get(kvs, i), *store, key, &value) ||
            value.revision < newest)
            return false;
        if (value.revision > newest)
            *since = newest;
        newest = value.revision;
        seen(ctx, key, &value);
    }
    return !*more || json_array_size(kvs) == PAGE;
}

enum fg_arbiter_result fg_arbiter_changes(struct fg_arbiter *a, const char *start, int64_t since,
                                          fg_arbiter_seen *seen, void *ctx, int64_t *store,
                                          struct fg_error *err)
{
    enum fg_arbiter_result result = FG_ARBITER_DONE;
    bool more = true;

    while (more && result == FG_ARBITER_DONE) {
        struct etcd_answer answer = {0};
        json_t *body = changes_body(a, start, since);

        result = ask(a, "/v3/kv/range", body, true, &answer, err);
        if (result == FG_ARBITER_DONE &&
            !read_changes(a, answer.json, &since, &more, seen, ctx, store)) {
            fg_fail(err, "%s: an answer that no etcd gives", a->endpoints[a->current]);
            result = FG_ARBITER_AWAY;
        }
        json_decref(answer.json);
        json_decref(body);
    }
    return result;
}
