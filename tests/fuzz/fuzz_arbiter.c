/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers of etcd, each already a JSON text, and lines of a watch. Input: a byte (what is asked),
 * then for each answer a byte (what became of the request, gRPC's code) and a line of JSON; for a
 * watch the rest are its lines.
 */
#include "arbiter/etcd.h"
#include "arbiter/watch.h"

#include "fuzz.h"

enum { SWAP = 1, TWO_ENDPOINTS = 2, USER = 4, WATCH = 8 };

static const uint8_t *input;
static size_t left;

static uint8_t next_byte(void)
{
    uint8_t byte = left ? *input : 0;

    input += left > 0;
    left -= left > 0;
    return byte;
}

void etcd_post(CURL *curl, const struct fg_arbiter_options *options, const char *endpoint,
               const char *path, const json_t *body, const char *token, long timeout_ms,
               struct etcd_answer *answer, struct fg_error *err)
{
    uint8_t how = next_byte();
    const uint8_t *end = left ? memchr(input, '\n', left) : NULL;
    size_t size = end ? (size_t)(end - input) : left;

    fg_fail(err, "%s", endpoint);
    *answer = (struct etcd_answer){.kind = how & 3, .code = how >> 3};
    if (answer->kind > ETCD_LOST)
        answer->kind = ETCD_ANSWERED;
    if (answer->kind == ETCD_ANSWERED)
        answer->json = json_loadb((const char *)input, size, 0, NULL);
    if (!json_is_object(answer->json)) { /* as etcd_post does */
        json_decref(answer->json);
        answer->json = NULL;
        if (answer->kind == ETCD_ANSWERED)
            answer->kind = ETCD_LOST;
    }
    input += size + (end != NULL);
    left -= size + (end != NULL);
}

struct etcd_stream {
    int nothing;
};

struct etcd_stream *etcd_stream_open(void)
{
    return calloc(1, sizeof(struct etcd_stream));
}

void etcd_stream_close(struct etcd_stream *s)
{
    free(s);
}

void etcd_stream_cut(struct etcd_stream *s)
{
}

void etcd_stream_run(struct etcd_stream *s, const struct fg_arbiter_options *options,
                     const char *endpoint, const char *path, const json_t *body, const char *token,
                     etcd_line *line, void *ctx, struct fg_error *err)
{
    bool more = true;

    while (more && left) {
        const uint8_t *end = memchr(input, '\n', left);
        size_t size = end ? (size_t)(end - input) : left;

        more = line(ctx, (const char *)input, size, err);
        input += size + (end != NULL);
        left -= size + (end != NULL);
    }
    FG_FUZZ_CHECK(more || err->text[0]);
}

static int64_t newest;

static void seen(void *ctx, const char *key, const struct fg_arbiter_value *value)
{
    FG_FUZZ_CHECK(value->revision >= newest && value->size <= FG_ARBITER_VALUE_MAX &&
                  value->bytes[value->size] == 0);
    newest = value->revision;
}

static void told(void *ctx, int64_t revision)
{
    FG_FUZZ_CHECK(revision >= newest);
    newest = revision;
}

static void watch_some(const struct fg_arbiter_options *options)
{
    const struct fg_arbiter_watch_hooks hooks = {.seen = seen, .told = told};
    struct fg_error err = {""};
    struct fg_arbiter_watch *w = fg_arbiter_watch_open(options, &err);

    FG_FUZZ_CHECK(w);
    newest = 6;
    fg_arbiter_watch_run(w, "pair", 6, &hooks, &err);
    fg_arbiter_watch_close(w);
}

static void read_one(struct fg_arbiter *a)
{
    struct fg_arbiter_value value;
    struct fg_error err = {""};
    enum fg_arbiter_result result = fg_arbiter_read(a, "pair", &value, &err);

    FG_FUZZ_CHECK(result == FG_ARBITER_DONE || result == FG_ARBITER_REFUSED ||
                  result == FG_ARBITER_AWAY);
    FG_FUZZ_CHECK(result != FG_ARBITER_DONE ||
                  (value.size <= FG_ARBITER_VALUE_MAX && value.bytes[value.size] == 0 &&
                   value.store > 0 && value.revision >= 0));
}

static void swap_one(struct fg_arbiter *a)
{
    const struct fg_arbiter_swap swap = {"pair", 7, "pair", "x", 1};
    struct fg_error err = {""};
    int64_t revision = 0;
    enum fg_arbiter_result result = fg_arbiter_swap(a, &swap, &revision, &err);

    FG_FUZZ_CHECK(result <= FG_ARBITER_UNKNOWN);
    FG_FUZZ_CHECK(result != FG_ARBITER_DONE || revision > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fg_arbiter_options options = {.endpoints = "a:1", .prefix = "p/", .timeout_ms = 60000};
    struct fg_arbiter *a;
    struct fg_error err;
    char path[64];
    uint8_t what;
    int fd;

    input = data;
    left = size;
    what = next_byte();
    if (what & TWO_ENDPOINTS)
        strcpy(options.endpoints, "a:1, b:2");
    fd = fuzz_file("secret\n", 7, path);
    if (what & USER) {
        strcpy(options.user, "u");
        strcpy(options.password_file, path);
    }
    a = fg_arbiter_open(&options, &err);
    FG_FUZZ_CHECK(a);
    if (what & WATCH)
        watch_some(&options);
    else
        (what & SWAP ? swap_one : read_one)(a);
    fg_arbiter_close(a);
    close(fd);
    return 0;
}
