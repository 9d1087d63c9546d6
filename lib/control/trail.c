/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/trail.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/json.h"
#include "control/item_json.h"

#define LIMIT_DEFAULT 50
#define MODE          0640
#define NO_LOGIN      UINT32_MAX

/* ---- who ------------------------------------------------------------------------------------- */

static void read_proc(pid_t pid, const char *name, char *text, size_t size)
{
    char path[64];
    ssize_t n = -1;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, text, size - 1);
        close(fd);
    }
    text[n > 0 ? n : 0] = 0;
    text[strcspn(text, "\n")] = 0;
}

static json_t *user_name(uid_t uid)
{
    char buffer[4096];
    struct passwd entry, *found = NULL;

    if (getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found) == 0 && found)
        return fg_json_text(found->pw_name);
    snprintf(buffer, sizeof(buffer), "%u", (unsigned)uid);
    return json_string(buffer);
}

/* The user who logged in stays the same through sudo; a daemon has none. */
static void add_login(json_t *entry, pid_t pid)
{
    char text[32];
    uint64_t uid;

    read_proc(pid, "loginuid", text, sizeof(text));
    if (fg_text_number(text, &uid) && uid < NO_LOGIN)
        json_object_set_new(entry, "login", user_name((uid_t)uid));
}

static void add_peer(json_t *entry, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ucred peer = {0};
    socklen_t size = sizeof(peer);
    char command[64];

    if (!info || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return;
    read_proc(peer.pid, "comm", command, sizeof(command));
    json_object_set_new(entry, "uid", json_integer(peer.uid));
    json_object_set_new(entry, "user", user_name(peer.uid));
    json_object_set_new(entry, "pid", json_integer(peer.pid));
    json_object_set_new(entry, "command", fg_json_text(command));
    add_login(entry, peer.pid);
}

/* ---- what ------------------------------------------------------------------------------------ */

/* As it came: a handler may take parts out of it. */
static json_t *body_of(const struct fg_control_call *call)
{
    char *text = call->body ? json_dumps(call->body, JSON_COMPACT) : NULL;
    char line[64];
    json_t *json;

    if (call->lines) {
        snprintf(line, sizeof(line), "%zu bytes of text", call->lines_size);
        return json_string(line);
    }
    if (!text)
        return json_string("");
    if (strlen(text) > FG_CONTROL_TRAIL_BODY)
        strcpy(text + FG_CONTROL_TRAIL_BODY - 3, "...");
    json = fg_json_text(text);
    free(text);
    return json;
}

static void add_outcome(json_t *entry, const struct fg_control_call *call)
{
    const json_t *error = json_object_get(call->json, "error");
    const char *message = json_string_value(json_object_get(error, "message"));

    json_object_set_new(entry, "code", json_integer(call->code));
    json_object_set_new(entry, "outcome",
                        call->code < 400 ? json_string("done")
                                         : fg_json_text(message ? message : "failed"));
}

/* ---- the file -------------------------------------------------------------------------------- */

static int open_trail(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, MODE);
}

static void older_name(const char *path, char *older, size_t size)
{
    snprintf(older, size, "%s" FG_CONTROL_TRAIL_OLDER, path);
}

/* The file at the path is the newest one, with room for this line. */
static int open_with_room(const char *path, size_t line)
{
    char older[sizeof(((struct fg_control_daemon *)0)->audit) + 8];
    int fd = open_trail(path);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || (uint64_t)st.st_size + line <= FG_CONTROL_TRAIL_BYTES)
        return fd;
    close(fd);
    older_name(path, older, sizeof(older));
    return rename(path, older) < 0 ? -1 : open_trail(path);
}

/* One write: a line is there or not, also when the process ends. */
static void append(const char *path, const json_t *entry)
{
    char *text = json_dumps(entry, JSON_COMPACT), *line = NULL;
    int size = text ? asprintf(&line, "%s\n", text) : -1;
    int fd = size > 0 ? open_with_room(path, (size_t)size) : -1;

    if (fd < 0 || write(fd, line, (size_t)size) != size)
        fg_diag(FG_DIAG_WARNING, "audit trail %s: a change is not in it: %s", path,
                strerror(errno));
    if (fd >= 0)
        close(fd);
    if (size > 0)
        free(line);
    free(text);
}

/* A reader of nginx's log reports thousands in an attack: they would push the changes out. */
static bool is_left_out(const struct fg_control_call *call, const struct fg_control_route *route)
{
    return strcmp(route->method, "GET") == 0 ||
           (route->flags & FG_CONTROL_ROUTE_REPORT &&
            json_is_true(json_object_get(call->body, "follow")));
}

void fg_control_trail_run(struct fg_control_call *call, const struct fg_control_route *route)
{
    const char *path = call->control->daemon.audit;
    uint64_t now_ms;
    json_t *entry;

    if (!path[0] || is_left_out(call, route)) {
        route->handler(call);
        return;
    }
    now_ms = fg_control_now_ms(call->control);
    entry = json_pack("{s:I, s:o}", "time_ms", (json_int_t)now_ms, "time",
                      fg_control_time_json(now_ms));
    add_peer(entry, call->connection);
    json_object_set_new(entry, "method", json_string(route->method));
    json_object_set_new(entry, "path", fg_json_text(call->path));
    json_object_set_new(entry, "body", body_of(call));
    route->handler(call);
    add_outcome(entry, call);
    append(path, entry);
    json_decref(entry);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The whole file, terminated; NULL when there is none. */
static char *load(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = file ? malloc(FG_CONTROL_TRAIL_BYTES + 1) : NULL;

    if (text)
        text[fread(text, 1, FG_CONTROL_TRAIL_BYTES, file)] = 0;
    if (file)
        fclose(file);
    return text;
}

/* Appends the last lines, newest first, up to limit entries in all. */
static void take_lines(json_t *list, const char *path, uint64_t limit)
{
    char *text = load(path), *end;

    if (!text)
        return;
    while (json_array_size(list) < limit && (end = strrchr(text, '\n'))) {
        char *start;
        json_t *entry;

        *end = 0;
        start = strrchr(text, '\n');
        entry = json_loads(start ? start + 1 : text, 0, NULL);
        if (json_is_object(entry))
            json_array_append(list, entry);
        json_decref(entry);
        if (!start)
            break;
    }
    free(text);
}

void fg_control_handle_audit(struct fg_control_call *call)
{
    const char *path = call->control->daemon.audit;
    char older[sizeof(((struct fg_control_daemon *)0)->audit) + 8];
    uint64_t limit = call->limit ? call->limit : LIMIT_DEFAULT;
    json_t *list = json_array();

    older_name(path, older, sizeof(older));
    if (path[0]) {
        take_lines(list, path, limit);
        take_lines(list, older, limit);
    }
    fg_control_call_reply(call, 200, json_pack("{s:o}", "entries", list));
}
