/* SPDX-License-Identifier: BSD-3-Clause */
/* Order packets and their replies into a file that Wireshark reads. */
#include "fgctl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define PCAP_HEAD   24
#define RECORD_HEAD 16
#define KEPT_AT     8 /* in the head of a record: bytes that follow */
#define KEPT_MAX    65535
#define MODE        0600 /* addresses and users */

enum { OPT_SECONDS, OPT_USER }; /* as in commands.c */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = 1;
}

struct capture {
    FILE *file;
    struct fg_cli *cli;
    struct fg_http *ask; /* for the progress */
    bool has_head, broken;
    uint64_t frames, asked_ms;
    size_t size; /* bytes that are no whole record yet */
    uint8_t part[RECORD_HEAD + KEPT_MAX];
};

static void ask_counts(struct capture *c, json_t **counts)
{
    struct fg_reply reply;

    fg_http_request(c->ask, "GET", "/v1/capture", NULL, &reply);
    *counts = reply.code == 200 ? json_loadb(reply.body, reply.size, 0, NULL) : NULL;
    free(reply.body);
}

/* Bytes of the next piece of the file, when its head is there; 0: not yet. */
static size_t piece(const struct capture *c)
{
    uint32_t kept;

    if (!c->has_head)
        return PCAP_HEAD;
    if (c->size < RECORD_HEAD)
        return 0;
    memcpy(&kept, c->part + KEPT_AT, sizeof(kept));
    return kept <= KEPT_MAX ? RECORD_HEAD + kept : SIZE_MAX;
}

/* Only whole records are written, so that the file is right whenever the stream ends. */
static bool take_whole(struct capture *c)
{
    for (size_t n; (n = piece(c)) && (n <= c->size || n == SIZE_MAX);) {
        c->broken |= n == SIZE_MAX;
        if (c->broken || fwrite(c->part, 1, n, c->file) != n)
            return false;
        c->frames += c->has_head;
        c->has_head = true;
        c->size -= n;
        memmove(c->part, c->part + n, c->size);
    }
    return true;
}

static bool take(void *ctx, const char *data, size_t size)
{
    struct capture *c = ctx;

    while (size) {
        size_t n = sizeof(c->part) - c->size < size ? sizeof(c->part) - c->size : size;

        memcpy(c->part + c->size, data, n);
        c->size += n;
        data += n;
        size -= n;
        if (!take_whole(c))
            return false;
    }
    return fflush(c->file) == 0;
}

/* False ends the capture. */
static bool progress(void *ctx)
{
    struct capture *c = ctx;
    uint64_t now_ms = fg_mono_ms();
    json_t *counts;

    if (interrupted || !isatty(STDERR_FILENO) || now_ms - c->asked_ms < 1000)
        return !interrupted;
    c->asked_ms = now_ms;
    ask_counts(c, &counts);
    fprintf(stderr,
            "\r%" PRIu64 " frames written, %lld requests over the rate, %lld frames lost; "
            "Ctrl-C ends it ",
            c->frames, json_integer_value(json_object_get(counts, "skipped")),
            json_integer_value(json_object_get(counts, "lost")));
    json_decref(counts);
    return true;
}

static void report(struct capture *c, const char *path)
{
    json_t *counts;

    ask_counts(c, &counts);
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
    if (c->cli->json) {
        json_object_set_new(counts, "frames", json_integer((json_int_t)c->frames));
        json_object_del(counts, "running");
        if (c->file != stdout)
            fg_print_json(counts);
    } else {
        fprintf(stderr,
                "%s: %" PRIu64 " frames; left out: %lld requests over the rate, %lld frames for "
                "want of room\n",
                path, c->frames, json_integer_value(json_object_get(counts, "skipped")),
                json_integer_value(json_object_get(counts, "lost")));
    }
    json_decref(counts);
}

static int run(struct fg_cli *cli, struct capture *c, const json_t *body, const char *path)
{
    const struct fg_http_stream stream = {take, progress, c};
    char *text = json_dumps(body, JSON_COMPACT);
    struct fg_error err = {""};
    int code = fg_request_stream(cli, "/v1/capture", text, &stream, &err);

    free(text);
    if (c->broken)
        fg_complain("the daemon's answer is no capture");
    else if (code != FG_EXIT_OK && !(interrupted && c->has_head))
        fg_complain("%s", err.text);
    else if (fflush(c->file) != 0)
        fg_complain("cannot write %s: %s", path, strerror(errno));
    else {
        report(c, path);
        return FG_EXIT_OK;
    }
    return code == FG_EXIT_OK ? FG_EXIT_INPUT : code;
}

static bool body_of(const struct fg_args *args, json_t *body)
{
    uint64_t number;

    if (args->options[OPT_SECONDS]) {
        if (!fg_text_number(args->options[OPT_SECONDS], &number) || number < 1 || number > 3600) {
            fg_usage_error("--seconds: \"%s\" is not a whole number from 1 to 3600",
                           args->options[OPT_SECONDS]);
            return false;
        }
        json_object_set_new(body, "seconds", json_integer((json_int_t)number));
    }
    if (args->options[OPT_USER]) {
        if (!fg_user_arg(args->options[OPT_USER], &number))
            return false;
        json_object_set_new(body, "user", fg_json_id(number));
    }
    return true;
}

static FILE *open_file(const char *path)
{
    int fd;

    if (strcmp(path, "-") == 0)
        return stdout;
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, MODE);
    return fd < 0 ? NULL : fdopen(fd, "w");
}

int fg_cmd_capture(struct fg_cli *cli, const struct fg_args *args)
{
    const char *path = args->positions[0];
    struct sigaction action = {.sa_handler = on_signal};
    struct capture *c = calloc(1, sizeof(*c));
    json_t *body = json_object();
    int code = FG_EXIT_USAGE;

    if (!c)
        abort();
    if (body_of(args, body)) {
        c->cli = cli;
        c->file = open_file(path);
        code = FG_EXIT_INPUT;
        if (!c->file) {
            fg_complain("cannot write %s: %s", path, strerror(errno));
        } else {
            sigaction(SIGINT, &action, NULL);
            sigaction(SIGTERM, &action, NULL);
            c->ask = fg_http_open(cli->socket);
            code = run(cli, c, body, path);
            fg_http_close(c->ask);
            if (c->file != stdout)
                fclose(c->file);
        }
    }
    json_decref(body);
    free(c);
    return code;
}
