/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `penalty follow FILE`: reads the log that config/nginx-floodgate.conf lets nginx write, one JSON
 * object a line, as it grows, over rotations, and reports the clients that nginx's limits refused.
 * Only the peer of the connection is ever reported: it completed a handshake. Everything else in a
 * line can be a client's own words.
 */
#include "fgctl.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLIENTS_MAX 1024 /* reported together; more wait for the next time */
#define PAUSE_US    200000
#define LINE_BYTES  4096
#define WINDOW_MS   10000 /* in which the box counts: an older offence is none of now */
#define WARNINGS    8     /* peers named that forward for others and are not listed */

struct client {
    char address[48];
    uint64_t count, last_ms; /* Unix time of its last offence */
};

struct follow {
    const char *path;
    FILE *file;
    char line[LINE_BYTES];
    size_t length; /* of an unfinished line */
    bool skip;     /* the rest of a line that is too long */
    struct client clients[CLIENTS_MAX];
    unsigned count;
    uint64_t reported, old, proxied, strange;
    char warned[WARNINGS][48];
    unsigned warnings;
    bool direct; /* no proxy stands before nginx: what a client says of forwarding is its own */
    bool ends;   /* at the end of the file */
    bool away;   /* the daemon did not answer, and that was said */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = 1;
}

static const char *text_in(const json_t *line, const char *name)
{
    const char *text = json_string_value(json_object_get(line, name));

    return text ? text : "";
}

static bool is_offence(const json_t *line)
{
    return !strcmp(text_in(line, "limit_req"), "REJECTED") ||
           !strcmp(text_in(line, "limit_conn"), "REJECTED") ||
           !strcmp(text_in(line, "status"), "408");
}

/* $msec: "1764400000.123" */
static bool read_time(const json_t *line, uint64_t *ms)
{
    const char *text = text_in(line, "msec");
    char *end;
    double seconds = *text >= '0' && *text <= '9' ? strtod(text, &end) : -1;

    if (seconds < 0 || *end || seconds > 1e11)
        return false;
    *ms = (uint64_t)(seconds * 1000 + 0.5);
    return true;
}

static void warn_of_proxy(struct follow *f, const char *peer)
{
    for (unsigned i = 0; i < f->warnings; i++)
        if (!strcmp(f->warned[i], peer))
            return;
    if (f->warnings == WARNINGS)
        return;
    snprintf(f->warned[f->warnings++], sizeof(f->warned[0]), "%s", peer);
    fg_complain("%s forwards for others, or says so: not reported. A proxy or CDN belongs into "
                "nginx's list of proxies; --direct when there is none",
                peer);
}

/*
 * The peer to blame. Not one that forwards for others: behind it stand all shoppers, and the filter
 * sees only its packets. Nor one whose claimed client is another address: the claim may be forged.
 */
static bool offending_peer(struct follow *f, const json_t *line, uint64_t now_ms, char address[48],
                           uint64_t *ms)
{
    const char *peer = text_in(line, "peer");

    if (!is_offence(line))
        return false;
    if (!*peer || strlen(peer) >= 48 || !read_time(line, ms)) {
        f->strange++;
        return false;
    }
    if (*ms + WINDOW_MS < now_ms || *ms > now_ms + WINDOW_MS) {
        f->old++;
        return false;
    }
    if (strcmp(text_in(line, "proxy"), "0") || strcmp(text_in(line, "client"), peer)) {
        f->proxied++;
        return false;
    }
    if (*text_in(line, "forwarded") && !f->direct) {
        f->proxied++;
        warn_of_proxy(f, peer);
        return false;
    }
    snprintf(address, 48, "%s", peer);
    return true;
}

/* Says once that the daemon is away. A client that the daemon refuses does not end the command. */
static void complain(struct follow *f, int code, const struct fg_error *err)
{
    if (code == FG_EXIT_CONNECT && !f->away)
        fg_complain("%s%s", err->text, f->ends ? "" : "; it is tried again");
    else if (code != FG_EXIT_CONNECT && code != FG_EXIT_OK)
        fg_complain("%s", err->text);
    f->away = code == FG_EXIT_CONNECT;
}

/* Clients that could not be reported wait for the next call. */
static int report_all(struct fg_cli *cli, struct follow *f)
{
    unsigned done = 0;
    int code = FG_EXIT_OK;

    while (done < f->count && code != FG_EXIT_CONNECT) {
        struct fg_error err = {""};

        code = fg_report_offence(cli, f->clients[done].address, f->clients[done].count, &err);
        complain(f, code, &err);
        f->reported += code == FG_EXIT_OK ? f->clients[done].count : 0;
        done += code != FG_EXIT_CONNECT;
    }
    f->count -= done;
    memmove(f->clients, f->clients + done, f->count * sizeof(f->clients[0]));
    return code == FG_EXIT_CONNECT ? code : FG_EXIT_OK;
}

/* An offence that could not be reported within its window must not count in a later one. */
static void forget_old(struct follow *f, uint64_t now_ms)
{
    unsigned left = 0;

    for (unsigned i = 0; i < f->count; i++) {
        bool old = f->clients[i].last_ms + WINDOW_MS < now_ms;

        f->old += old ? f->clients[i].count : 0;
        if (!old)
            f->clients[left++] = f->clients[i];
    }
    f->count = left;
}

/* False: no room, report first. */
static bool take_client(struct follow *f, const char *address, uint64_t ms)
{
    for (unsigned i = 0; i < f->count; i++)
        if (strcmp(f->clients[i].address, address) == 0) {
            f->clients[i].count++;
            f->clients[i].last_ms = ms > f->clients[i].last_ms ? ms : f->clients[i].last_ms;
            return true;
        }
    if (f->count == CLIENTS_MAX)
        return false;
    snprintf(f->clients[f->count].address, sizeof(f->clients[0].address), "%s", address);
    f->clients[f->count].last_ms = ms;
    f->clients[f->count++].count = 1;
    return true;
}

static int take_line(struct fg_cli *cli, struct follow *f)
{
    json_t *line = json_loadb(f->line, f->length, JSON_REJECT_DUPLICATES, NULL);
    int code = FG_EXIT_OK;
    char address[48];
    uint64_t ms;

    f->strange += !json_is_object(line);
    if (json_is_object(line) && offending_peer(f, line, fg_now_ms(), address, &ms) &&
        !take_client(f, address, ms)) {
        code = report_all(cli, f);
        take_client(f, address, ms);
    }
    json_decref(line);
    return code;
}

/* Everything that is there by now. A line without its end waits for it. */
static int read_on(struct fg_cli *cli, struct follow *f)
{
    int code = FG_EXIT_OK;

    clearerr(f->file);
    while (code == FG_EXIT_OK &&
           fgets(f->line + f->length, (int)(sizeof(f->line) - f->length), f->file)) {
        f->length += strlen(f->line + f->length);
        if (f->length && f->line[f->length - 1] == '\n') {
            if (!f->skip)
                code = take_line(cli, f);
            f->skip = false;
            f->length = 0;
        } else if (f->length == sizeof(f->line) - 1) {
            f->skip = true;
            f->length = 0;
        }
    }
    return code;
}

/* The file was renamed or cut: what is new begins at its start. */
static void check_rotation(struct follow *f)
{
    struct stat now, open_file;

    if (stat(f->path, &now) < 0 || fstat(fileno(f->file), &open_file) < 0)
        return;
    if (now.st_ino != open_file.st_ino || now.st_dev != open_file.st_dev) {
        FILE *file = fopen(f->path, "r");

        if (!file)
            return;
        fclose(f->file);
        f->file = file;
        f->length = 0;
    } else if (now.st_size < ftell(f->file)) {
        rewind(f->file);
        f->length = 0;
    }
}

int fg_cmd_penalty_follow(struct fg_cli *cli, const struct fg_args *args)
{
    struct sigaction action = {.sa_handler = on_signal};
    static struct follow f;
    bool all = args->options[0] != NULL;
    int code = FG_EXIT_OK;

    f = (struct follow){.path = args->positions[0], .ends = all, .direct = args->options[1]};
    f.file = fopen(f.path, "r");
    if (!f.file) {
        fg_complain("%s: %s", f.path, strerror(errno));
        return FG_EXIT_INPUT;
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (!all)
        fseek(f.file, 0, SEEK_END);
    for (;;) {
        code = read_on(cli, &f);
        forget_old(&f, fg_now_ms());
        if (code == FG_EXIT_OK)
            code = report_all(cli, &f);
        if (all || interrupted)
            break;
        check_rotation(&f);
        usleep(PAUSE_US);
    }
    fclose(f.file);
    if (all)
        printf(cli->json ? "{\"reported\": %llu, \"old\": %llu, \"proxied\": %llu, \"strange\": "
                           "%llu}\n"
                         : "%llu reported, %llu not of now, %llu of proxies, %llu strange lines\n",
               (unsigned long long)f.reported, (unsigned long long)f.old,
               (unsigned long long)f.proxied, (unsigned long long)f.strange);
    return code;
}
