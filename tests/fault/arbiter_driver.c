/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asks an arbiter as its command line says, one call a line of standard input, and answers each by
 * a line of JSON:
 *
 *   arbiter_driver ENDPOINTS TIMEOUT_MS [CA CERT KEY | - - -] [USER PASSWORD_FILE]
 *
 *   read KEY                     {"result", "revision", "store", "value", "error"}
 *   swap GUARD REVISION KEY TEXT {"result", "revision", "error"}
 *   commit KEY REVISION TEXT ... {"result", "store", "values": {KEY: [REVISION, TEXT]}, "error"}
 *   changes START SINCE          likewise; TEXT "-" is only compared
 *   watch START SINCE            {"told": REVISION, "values": {KEY: [REVISION, TEXT]}} each time,
 *                                {"ended": WHY} in the end; the line `cut` ends it
 */
#include <pthread.h>
#include <string.h>

#include "arbiter/arbiter.h"
#include "arbiter/watch.h"
#include "base/clock.h"
#include "base/json.h"

static const char *const results[] = {[FG_ARBITER_DONE] = "done",
                                      [FG_ARBITER_LOST] = "lost",
                                      [FG_ARBITER_REFUSED] = "refused",
                                      [FG_ARBITER_AWAY] = "away",
                                      [FG_ARBITER_UNKNOWN] = "unknown"};

static void copy(char *to, size_t size, const char *from)
{
    if (strcmp(from, "-") != 0)
        snprintf(to, size, "%s", from);
}

static void say(json_t *answer, uint64_t began_ms)
{
    json_object_set_new(answer, "ms", json_integer((json_int_t)(fg_clock_mono_ms() - began_ms)));
    json_dumpf(answer, stdout, JSON_COMPACT);
    json_decref(answer);
    puts("");
    fflush(stdout);
}

static void do_read(struct fg_arbiter *a, const char *key)
{
    struct fg_arbiter_value value = {0};
    struct fg_error err = {""};
    uint64_t began = fg_clock_mono_ms();
    enum fg_arbiter_result result = fg_arbiter_read(a, key, &value, &err);

    say(json_pack("{s:s, s:I, s:I, s:s%, s:s}", "result", results[result], "revision",
                  (json_int_t)value.revision, "store", (json_int_t)value.store, "value",
                  value.bytes, value.size, "error", err.text),
        began);
}

static void do_swap(struct fg_arbiter *a, const char *guard, const char *revision, const char *key,
                    const char *text)
{
    struct fg_arbiter_swap swap = {.guard = guard,
                                   .revision = strtoll(revision, NULL, 10),
                                   .key = key,
                                   .bytes = text,
                                   .size = strlen(text)};
    struct fg_error err = {""};
    int64_t now = 0;
    uint64_t began = fg_clock_mono_ms();
    enum fg_arbiter_result result = fg_arbiter_swap(a, &swap, &now, &err);

    say(json_pack("{s:s, s:I, s:s}", "result", results[result], "revision", (json_int_t)now,
                  "error", err.text),
        began);
}

static void keep(void *ctx, const char *key, const struct fg_arbiter_value *value)
{
    json_object_set_new(
        ctx, key, json_pack("[I, s%]", (json_int_t)value->revision, value->bytes, value->size));
}

static void say_values(enum fg_arbiter_result result, int64_t store, json_t *values,
                       const struct fg_error *err, uint64_t began)
{
    say(json_pack("{s:s, s:I, s:o, s:s}", "result", results[result], "store", (json_int_t)store,
                  "values", values, "error", err->text),
        began);
}

static void do_commit(struct fg_arbiter *a, char *const *words, unsigned len)
{
    static struct fg_arbiter_put puts[FG_ARBITER_PUTS_MAX];
    json_t *values = json_object();
    struct fg_error err = {""};
    int64_t store = 0;
    uint64_t began = fg_clock_mono_ms();
    enum fg_arbiter_result result;

    for (unsigned i = 0; i < len; i++)
        puts[i] = (struct fg_arbiter_put){words[3 * i], strtoll(words[3 * i + 1], NULL, 10),
                                          words[3 * i + 2], strlen(words[3 * i + 2])};
    for (unsigned i = 0; i < len; i++)
        if (strcmp(words[3 * i + 2], "-") == 0)
            puts[i].bytes = NULL;
    result = fg_arbiter_commit(a, puts, len, keep, values, &store, &err);
    say_values(result, store, values, &err, began);
}

static void do_changes(struct fg_arbiter *a, const char *start, const char *since)
{
    json_t *values = json_object();
    struct fg_error err = {""};
    int64_t store = 0;
    uint64_t began = fg_clock_mono_ms();
    enum fg_arbiter_result result =
        fg_arbiter_changes(a, start, strtoll(since, NULL, 10), keep, values, &store, &err);

    say_values(result, store, values, &err, began);
}

static struct fg_arbiter_watch *watch;
static json_t *watched;

static void keep_watched(void *ctx, const char *key, const struct fg_arbiter_value *value)
{
    keep(watched, key, value);
}

static void say_told(void *ctx, int64_t revision)
{
    json_t *values = watched;

    watched = json_object();
    say(json_pack("{s:I, s:o}", "told", (json_int_t)revision, "values", values),
        fg_clock_mono_ms());
}

static void *wait_for_cut(void *arg)
{
    char line[16];

    if (fgets(line, sizeof(line), stdin))
        fg_arbiter_watch_cut(watch);
    return arg;
}

static void do_watch(const struct fg_arbiter_options *o, const char *start, const char *since)
{
    const struct fg_arbiter_watch_hooks hooks = {.seen = keep_watched, .told = say_told};
    struct fg_error err = {""};
    pthread_t cutter;

    watch = fg_arbiter_watch_open(o, &err);
    watched = json_object();
    pthread_create(&cutter, NULL, wait_for_cut, NULL);
    fg_arbiter_watch_run(watch, start, strtoll(since, NULL, 10), &hooks, &err);
    say(json_pack("{s:s}", "ended", err.text), fg_clock_mono_ms());
    pthread_join(cutter, NULL); /* the line, or the end of the input */
    json_decref(watched);
    fg_arbiter_watch_close(watch);
}

static void serve(struct fg_arbiter *a, const struct fg_arbiter_options *o)
{
    static char line[1 << 16], *words[1 + 3 * FG_ARBITER_PUTS_MAX];
    char *rest;

    while (fgets(line, sizeof(line), stdin)) {
        unsigned len = 0;

        line[strcspn(line, "\n")] = 0;
        for (char *w = strtok_r(line, " ", &rest); w && len < sizeof(words) / sizeof(words[0]);
             w = strtok_r(NULL, " ", &rest))
            words[len++] = w;
        if (len == 2 && strcmp(words[0], "read") == 0)
            do_read(a, words[1]);
        else if (len >= 5 && strcmp(words[0], "swap") == 0)
            do_swap(a, words[1], words[2], words[3], words[4]);
        else if (len >= 4 && len % 3 == 1 && strcmp(words[0], "commit") == 0)
            do_commit(a, words + 1, len / 3);
        else if (len == 3 && strcmp(words[0], "changes") == 0)
            do_changes(a, words[1], words[2]);
        else if (len == 3 && strcmp(words[0], "watch") == 0)
            do_watch(o, words[1], words[2]);
        else
            puts("{\"error\": \"read, swap, commit, changes or watch\"}"), fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    struct fg_arbiter_options o = {.prefix = "floodgate/test/"};
    struct fg_error err = {""};
    struct fg_arbiter *a;

    if (argc < 3)
        return 2;
    copy(o.endpoints, sizeof(o.endpoints), argv[1]);
    o.timeout_ms = (unsigned)atoi(argv[2]);
    if (argc >= 6) {
        o.tls = strcmp(argv[3], "-") != 0;
        copy(o.tls_ca, sizeof(o.tls_ca), argv[3]);
        copy(o.tls_cert, sizeof(o.tls_cert), argv[4]);
        copy(o.tls_key, sizeof(o.tls_key), argv[5]);
    }
    if (argc >= 8) {
        copy(o.user, sizeof(o.user), argv[6]);
        copy(o.password_file, sizeof(o.password_file), argv[7]);
    }
    a = fg_arbiter_open(&o, &err);
    if (!a) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    serve(a, &o);
    fg_arbiter_close(a);
    return 0;
}
