/* SPDX-License-Identifier: BSD-3-Clause */
/* Block list and allow list. */
#include "fgctl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES     65536
#define LIST_BYTES_MAX (256u << 20)
#define BATCH          10000 /* prefixes of one request; each request is all or nothing */

static const char *moment(char text[FG_TEXT_TIME_SIZE], const json_t *entry, const char *name)
{
    json_int_t ms = json_integer_value(json_object_get(entry, name));

    if (!ms)
        return "-";
    fg_text_time(text, (uint64_t)ms / 1000 * 1000);
    return text;
}

static void take_row(void *ctx, json_t *entry)
{
    char hits[24], last[FG_TEXT_TIME_SIZE], expires[FG_TEXT_TIME_SIZE];
    const char *reason = json_string_value(json_object_get(entry, "reason"));

    snprintf(hits, sizeof(hits), "%lld", json_integer_value(json_object_get(entry, "hits")));
    fg_table_add(ctx, (const char *const[]){json_string_value(json_object_get(entry, "prefix")),
                                            hits, moment(last, entry, "last_ms"),
                                            moment(expires, entry, "expires_ms"),
                                            reason ? reason : "-"});
}

static void list_path(const struct fg_args *args, char path[64])
{
    snprintf(path, 64, "/v1/filter/%s", args->command->noun);
}

int fg_cmd_filter_list(struct fg_cli *cli, const struct fg_args *args)
{
    static const char *const columns[] = {"PREFIX", "HITS>", "LAST", "EXPIRES", "REASON"};
    char path[64];

    list_path(args, path);
    return fg_request_table(cli, path, "prefixes", columns, 5, take_row);
}

/* One word a line, # starts a comment. */
bool fg_words_read(const char *path, const char *what, json_t *list)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    char line[256];
    unsigned long number = 0;
    bool ok = true;

    if (!file) {
        fg_complain("%s: %s", path, strerror(errno));
        return false;
    }
    while (ok && memset(line, ' ', sizeof(line)) && fgets(line, sizeof(line), file)) {
        const char *end = memrchr(line, 0, sizeof(line)); /* a zero byte before it is none */
        char *word, *rest;

        number++;
        ok = line + strlen(line) == end && (end[-1] == '\n' || end < line + sizeof(line) - 1);
        line[strcspn(line, "#")] = 0;
        word = strtok_r(line, " \t\r\n", &rest);
        if (!word)
            continue;
        ok = ok && !strtok_r(NULL, " \t\r\n", &rest) &&
             json_array_append_new(list, json_string(word)) == 0;
    }
    if (!ok)
        fg_complain("%s:%lu: one %s", path, number, what);
    else if (!(ok = !ferror(file)))
        fg_complain("%s: %s", path, strerror(errno));
    if (file != stdin)
        fclose(file);
    return ok;
}

/* --reason, --for, --expires, --replace: what is said of all prefixes, as members of the request.
 */
static int read_saying(const struct fg_args *args, json_t *say)
{
    const char *reason = args->options[1], *duration = args->options[2],
               *expires = args->options[3];
    struct fg_error err;
    uint64_t ms = 0;

    if (duration && expires)
        return fg_usage_error("--for and --expires: one of them");
    if (reason && json_object_set_new(say, "reason", json_string(reason)) < 0)
        return fg_usage_error("--reason is not UTF-8");
    if (duration && !fg_duration_parse(duration, &ms, &err))
        return fg_usage_error("--for: %s", err.text);
    if (duration && ms == 0)
        return fg_usage_error("--for: \"%.48s\" is not a duration like 500ms, 90s, 10m or 24h",
                              duration);
    if (duration)
        ms += fg_now_ms();
    if (expires &&
        (!fg_time_parse(expires, &ms) || (ms <= fg_now_ms() && fg_text_moment_check(ms, NULL))))
        return fg_usage_error(
            "--expires: \"%.48s\" is not a future time like +10m, Unix milliseconds or "
            "2026-11-27T09:00:00Z",
            expires);
    if (expires && !fg_text_moment_check(ms, &err))
        return fg_usage_error("--expires: %s", err.text);
    if (args->options[4])
        json_object_set_new(say, "replace", json_true());
    if (ms)
        json_object_set_new(say, "expires_ms", json_integer((json_int_t)ms));
    return FG_EXIT_OK;
}

static json_t *slice(const json_t *list, size_t from, const json_t *say)
{
    json_t *part = json_array(), *request = json_copy((json_t *)say);

    for (size_t i = from; i < json_array_size(list) && i < from + BATCH; i++)
        json_array_append(part, json_array_get(list, i));
    json_object_set_new(request, "prefixes", part);
    return request;
}

static int send_all(struct fg_cli *cli, const struct fg_args *args, const json_t *list,
                    const json_t *say)
{
    bool add = strcmp(args->command->verb, "add") == 0;
    const char *done_name = add ? "added" : "removed";
    size_t all = json_array_size(list);
    json_int_t changed = 0, unchanged = 0;
    char path[64];

    list_path(args, path);
    for (size_t done = 0; done < all; done += BATCH) {
        json_t *reply = NULL;
        int code = fg_request(cli, add ? "POST" : "DELETE", path, slice(list, done, say), &reply);

        changed += json_integer_value(json_object_get(reply, done_name));
        unchanged += json_integer_value(json_object_get(reply, "unchanged"));
        json_decref(reply);

        if (code != FG_EXIT_OK) {
            if (done)
                fg_complain("the first %zu of %zu were %s before", done, all, done_name);
            return code;
        }
    }
    if (cli->json)
        printf("{\"%s\": %lld, \"unchanged\": %lld}\n", done_name, changed, unchanged);
    else if (unchanged)
        printf("%lld %s, %lld %s\n", changed, done_name, unchanged,
               add ? "listed already" : "not listed");
    else
        printf("%lld %s\n", changed, done_name);
    return FG_EXIT_OK;
}

/* A prefix of length 0 is everybody, and more likely a slip than a wish. */
static bool is_everybody(const char *prefix)
{
    size_t size = strcspn(prefix, " \t\r\n#");

    return size > 2 && strncmp(prefix + size - 2, "/0", 2) == 0;
}

/* FG_EXIT_OK: yes. Asks on a terminal; anywhere else --yes has to say so. */
static int confirm(const struct fg_args *args, const char *prefix, const char *yes, bool may_ask)
{
    bool block = strcmp(args->command->noun, "block") == 0;
    int size = (int)strcspn(prefix, " \t\r\n#");
    char answer[16] = "";

    if (yes)
        return FG_EXIT_OK;
    if (!may_ask || !isatty(STDIN_FILENO))
        return fg_usage_error(
            "%.*s is every source: %s; --yes says that this is meant", size, prefix,
            block ? "nothing would come in any more" : "nobody would have a rate any more");
    fprintf(stderr, "%s %.*s, every source? [y/N] ", block ? "block" : "allow", size, prefix);
    if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
        return FG_EXIT_OK;
    return fg_usage_error("not confirmed; nothing was sent");
}

static int confirm_all(const struct fg_args *args, const json_t *list)
{
    bool may_ask = !args->options[0] || strcmp(args->options[0], "-");
    json_t *entry;
    size_t i;

    if (strcmp(args->command->verb, "add"))
        return FG_EXIT_OK;
    json_array_foreach (list, i, entry)
        if (is_everybody(json_string_value(entry)))
            return confirm(args, json_string_value(entry), args->options[5], may_ask);
    return FG_EXIT_OK;
}

int fg_cmd_filter_change(struct fg_cli *cli, const struct fg_args *args)
{
    json_t *list = json_array(), *say = json_object();
    int code = read_saying(args, say);

    for (unsigned i = 0; i < args->count && code == FG_EXIT_OK; i++)
        if (json_array_append_new(list, json_string(args->positions[i])) < 0)
            code = fg_usage_error("PREFIX %u is not UTF-8", i + 1);
    if (code == FG_EXIT_OK && args->options[0] &&
        !fg_words_read(args->options[0], "prefix is expected, like 198.18.7.0/24", list))
        code = FG_EXIT_INPUT;
    else if (code == FG_EXIT_OK && json_array_size(list) == 0 && !args->options[0])
        code = fg_usage_error("no prefix given: name some, or use --file");
    if (code == FG_EXIT_OK)
        code = confirm_all(args, list);
    if (code == FG_EXIT_OK)
        code = send_all(cli, args, list, say);
    json_decref(list);
    json_decref(say);
    return code;
}

/* ---- whole lists ----------------------------------------------------------------------------- */

/* Files are opened here, with the rights of the caller: the daemon opens no file for a caller. */

static bool file_failed(const char *path, const char *why)
{
    fg_complain("%s: %s", path, why);
    return false;
}

/* All of a file as one text; NULL after a message. */
static char *read_whole(const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char *text = NULL;
    size_t size = 0, got;

    if (!file) {
        file_failed(path, strerror(errno));
        return NULL;
    }
    do {
        text = realloc(text, size + READ_BYTES + 1);
        if (!text)
            abort();
        got = fread(text + size, 1, READ_BYTES, file);
        size += got;
    } while (got == READ_BYTES && size <= LIST_BYTES_MAX);
    text[size] = '\0';
    if (ferror(file) || size > LIST_BYTES_MAX || strlen(text) != size) {
        file_failed(path, ferror(file)            ? strerror(errno)
                          : size > LIST_BYTES_MAX ? "more than 256 MiB"
                                                  : "not a text: it holds a zero byte");
        free(text);
        text = NULL;
    }
    if (file != stdin)
        fclose(file);
    return text;
}

/* The first line that lists everybody must be meant. */
static int confirm_lines(const struct fg_args *args, const char *text)
{
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (is_everybody(line + strspn(line, " \t")))
            return confirm(args, line + strspn(line, " \t"), args->options[0],
                           strcmp(args->positions[0], "-") != 0);
    return FG_EXIT_OK;
}

static int load_list(struct fg_cli *cli, const struct fg_args *args, const char *route)
{
    const char *path = args->positions[0];
    char *text = read_whole(path);
    json_t *reply = NULL;
    struct fg_error err = {""};
    int code;

    if (!text)
        return FG_EXIT_INPUT;
    code = confirm_lines(args, text);
    if (code != FG_EXIT_OK) {
        free(text);
        return code;
    }
    code = fg_request_text(cli, route, text, &reply, &err);
    free(text);
    if (code != FG_EXIT_OK && cli->json && reply)
        fg_print_json_error(reply);
    if (code != FG_EXIT_OK)
        fg_complain("%s%s", strncmp(err.text, "body:", 5) ? "" : path,
                    strncmp(err.text, "body:", 5) ? err.text : err.text + 4);
    else if (cli->json)
        fg_print_json(reply);
    else
        printf("%lld loaded\n", json_integer_value(json_object_get(reply, "loaded")));
    json_decref(reply);
    return code;
}

/* The file appears complete or not at all. A new one is for its owner and its group. */
static bool write_whole(const char *path, const char *text, size_t size)
{
    char part[PATH_MAX];
    mode_t mode = 0640;
    struct stat st;
    FILE *file;
    int fd;
    bool ok;

    if (snprintf(part, sizeof(part), "%s.part", path) >= PATH_MAX)
        return file_failed(path, "the path is too long");
    if (lstat(path, &st) == 0) {
        if (!S_ISREG(st.st_mode)) /* a device, a link: the rename would take its place */
            return file_failed(path, "not an ordinary file");
        mode = st.st_mode & 0777;
    }
    unlink(part); /* of a save that was killed; and a FIFO or a link there is not written through */
    fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file)
        return file_failed(part, strerror(errno));
    ok = fwrite(text, 1, size, file) == size && fflush(file) == 0 && fchmod(fd, mode) == 0 &&
         fsync(fd) == 0;
    ok = fclose(file) == 0 && ok;
    if (ok && rename(part, path) == 0)
        return true;
    file_failed(path, strerror(errno));
    unlink(part);
    return false;
}

static unsigned long count_entries(const char *text)
{
    unsigned long lines = 0;

    for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
        lines += *text != '#';
    return lines;
}

static int save_list(struct fg_cli *cli, const char *route, const char *path)
{
    bool out = strcmp(path, "-") == 0;
    struct fg_reply reply;
    struct fg_error err = {""};
    int code = fg_request_raw(cli, route, &reply, &err);

    if (code != FG_EXIT_OK)
        fg_complain("%s", err.text);
    else if (out)
        fwrite(reply.body, 1, reply.size, stdout);
    else if (!write_whole(path, reply.body, reply.size))
        code = FG_EXIT_INPUT;
    else
        printf(cli->json ? "{\"saved\": %lu}\n" : "%lu saved\n", count_entries(reply.body));
    free(reply.body);
    return code;
}

int fg_cmd_filter_file(struct fg_cli *cli, const struct fg_args *args)
{
    char route[64];

    snprintf(route, sizeof(route), "/v1/filter/%s/%s", args->command->noun, args->command->verb);
    return strcmp(args->command->verb, "load") ? save_list(cli, route, args->positions[0])
                                               : load_list(cli, args, route);
}
