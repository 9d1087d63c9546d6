/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `penalty follow FILE`: reads nginx's error log as it grows, over rotations, and reports the
 * clients that its limits refused. nginx knows a client's address only behind accept(), so each has
 * completed a handshake.
 */
#include "fgctl.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLIENTS_MAX 1024 /* reported together; more wait for the next time */
#define PAUSE_US    200000
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define LINE_BYTES  4096

/* What nginx writes about a client that a limit or a time-out stopped. */
static const char *const offences[] = {
    "limiting requests, excess: ", "limiting connections by zone ", "client timed out ("};

struct client {
    char address[48];
    uint64_t count;
};

struct follow {
    const char *path;
    FILE *file;
    char line[LINE_BYTES];
    size_t length; /* of an unfinished line */
    bool skip;     /* the rest of a line that is too long */
    struct client clients[CLIENTS_MAX];
    unsigned count;
    uint64_t reported;
    bool ends; /* at the end of the file */
    bool away; /* the daemon did not answer, and that was said */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = 1;
}

/*
 * "TIME [LEVEL] PID#TID: *CONNECTION MESSAGE, client: ADDRESS, ...": the message must begin with an
 * offence, for it can hold text of the client's, who would blame another.
 */
static bool offending_client(const char *line, char address[48])
{
    const char *message = strstr(line, ": *"), *client = strstr(line, ", client: ");
    size_t length, i = 0;

    if (message)
        message = strchr(message + 3, ' ');
    if (!message || !client || client < message)
        return false;
    while (i < COUNT(offences) && strncmp(message + 1, offences[i], strlen(offences[i])))
        i++;
    client += strlen(", client: ");
    length = strcspn(client, ", \n");
    if (i == COUNT(offences) || length == 0 || length >= 48)
        return false;
    memcpy(address, client, length);
    address[length] = 0;
    return true;
}

/* Of a daemon that is restarted: said once. A client that is refused is no reason to stop. */
static void complain(struct follow *f, int code, const struct fg_error *err)
{
    if (code == FG_EXIT_CONNECT && !f->away)
        fprintf(stderr, "fgctl: %s%s\n", err->text, f->ends ? "" : "; it is tried again");
    else if (code != FG_EXIT_CONNECT && code != FG_EXIT_OK)
        fprintf(stderr, "fgctl: %s\n", err->text);
    f->away = code == FG_EXIT_CONNECT;
}

/* What could not be reported waits for the next time. */
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

/* False: no room, report first. */
static bool take_client(struct follow *f, const char *address)
{
    for (unsigned i = 0; i < f->count; i++)
        if (strcmp(f->clients[i].address, address) == 0) {
            f->clients[i].count++;
            return true;
        }
    if (f->count == CLIENTS_MAX)
        return false;
    snprintf(f->clients[f->count].address, sizeof(f->clients[0].address), "%s", address);
    f->clients[f->count++].count = 1;
    return true;
}

static int take_line(struct fg_cli *cli, struct follow *f)
{
    char address[48];
    int code = FG_EXIT_OK;

    if (!offending_client(f->line, address))
        return code;
    if (!take_client(f, address)) {
        code = report_all(cli, f);
        take_client(f, address);
    }
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
static void look_for_rotation(struct follow *f)
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

    f.ends = all;
    f.path = args->positions[0];
    f.file = fopen(f.path, "r");
    if (!f.file) {
        fprintf(stderr, "fgctl: %s: %s\n", f.path, strerror(errno));
        return FG_EXIT_INPUT;
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (!all)
        fseek(f.file, 0, SEEK_END);
    for (;;) {
        code = read_on(cli, &f);
        if (code == FG_EXIT_OK)
            code = report_all(cli, &f);
        if (all || interrupted)
            break;
        look_for_rotation(&f);
        usleep(PAUSE_US);
    }
    fclose(f.file);
    if (all)
        printf(cli->json ? "{\"reported\": %llu}\n" : "%llu reported\n",
               (unsigned long long)f.reported);
    return code;
}
