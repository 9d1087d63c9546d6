/* SPDX-License-Identifier: BSD-3-Clause */
/* As much HTTP/1.1 as the control server speaks: requests with Content-Length, one kept connection.
 */
#include "fgctl.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define TIMEOUT_S 60
#define REPLY_MAX (256u << 20)

struct fg_http {
    char socket[108];
    int fd;
    bool too_long; /**< the path does not fit an address */
};

struct fg_http *fg_http_open(const char *socket)
{
    struct fg_http *http = calloc(1, sizeof(*http));

    if (!http)
        abort();
    http->fd = -1;
    http->too_long = strlen(socket) >= sizeof(http->socket);
    snprintf(http->socket, sizeof(http->socket), "%s", socket);
    return http;
}

static void hang_up(struct fg_http *http)
{
    if (http->fd >= 0)
        close(http->fd);
    http->fd = -1;
}

void fg_http_close(struct fg_http *http)
{
    hang_up(http);
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

static bool dial(struct fg_http *http, struct fg_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval timeout = {.tv_sec = TIMEOUT_S};

    if (http->too_long)
        return fg_fail(err, "socket %s...: the path is too long (at most 107 bytes)", http->socket);
    memcpy(address.sun_path, http->socket, sizeof(http->socket));
    http->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (http->fd < 0)
        return fg_fail(err, "socket: %s", strerror(errno));
    setsockopt(http->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(http->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    if (connect(http->fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return true;
    fg_fail(err, "cannot connect to %s: %s%s", http->socket, strerror(errno), advice(errno));
    hang_up(http);
    return false;
}

/* Bytes that went out. */
static size_t send_all(int fd, const char *data, size_t size)
{
    size_t sent = 0;

    while (sent < size) {
        ssize_t n = send(fd, data + sent, size - sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    return sent;
}

struct stream {
    char *data;
    size_t size, room;
};

/* Reads until `want` bytes are there; false at the end, on errors and timeouts. */
static bool fill(int fd, struct stream *in, size_t want)
{
    while (in->size < want) {
        ssize_t n;

        if (in->room < in->size + 65536) {
            in->room = in->room * 2 + 65536;
            in->data = realloc(in->data, in->room + 1);
            if (!in->data)
                abort();
        }
        n = recv(fd, in->data + in->size, in->room - in->size, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        in->size += (size_t)n;
    }
    return true;
}

/* Offset behind the empty line, or 0. */
static size_t read_head(int fd, struct stream *in)
{
    char *end;

    do {
        if (!fill(fd, in, in->size + 1) || in->size > REPLY_MAX)
            return 0;
        in->data[in->size] = 0;
        end = strstr(in->data, "\r\n\r\n");
    } while (!end);
    return (size_t)(end - in->data) + 4;
}

static const char *header(const char *head, const char *name)
{
    const char *line = head;
    size_t len = strlen(name);

    while ((line = strstr(line, "\r\n")) != NULL) {
        line += 2;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            line += len + 1;
            return line + strspn(line, " \t");
        }
    }
    return NULL;
}

static bool parse_head(const char *head, unsigned *code, size_t *length, bool *keep)
{
    const char *text = header(head, "Content-Length"), *connection = header(head, "Connection");
    char *end;

    if (sscanf(head, "HTTP/1.%*1d %3u", code) != 1 || *code < 100 || !text ||
        !isdigit((unsigned char)*text))
        return false;
    *length = strtoull(text, &end, 10);
    *keep = strncmp(head, "HTTP/1.1", 8) == 0 &&
            (!connection || strncasecmp(connection, "close", 5) != 0);
    return *length <= REPLY_MAX && *end == '\r';
}

static bool receive(struct fg_http *http, struct fg_reply *reply)
{
    struct stream in = {0};
    size_t head = read_head(http->fd, &in), length = 0;
    unsigned code = 0;
    bool keep = false, ok = head && parse_head(in.data, &code, &length, &keep);

    ok = ok && fill(http->fd, &in, head + length);
    if (!ok || !keep)
        hang_up(http);
    if (ok) {
        memmove(in.data, in.data + head, length);
        in.data[length] = 0;
        *reply = (struct fg_reply){.code = code, .body = in.data, .size = length};
    } else {
        free(in.data);
    }
    return ok;
}

static char *compose(const char *method, const char *path, const char *body, size_t *size)
{
    char *text;
    int len = asprintf(&text,
                       "%s %s HTTP/1.1\r\nHost: floodgate\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       method, path, body ? strlen(body) : 0, body ? body : "");

    if (len < 0)
        abort();
    *size = (size_t)len;
    return text;
}

void fg_http_request(struct fg_http *http, const char *method, const char *path, const char *body,
                     struct fg_reply *reply)
{
    bool kept = http->fd >= 0;
    size_t size, sent = 0;
    char *text = compose(method, path, body, &size);

    *reply = (struct fg_reply){0};
    if (kept && (sent = send_all(http->fd, text, size)) == 0)
        hang_up(
            http); /* the server closed an idle connection: not a byte of this request got there */
    if (http->fd >= 0 || dial(http, &reply->error)) {
        if (sent == 0)
            sent = send_all(http->fd, text, size);
        /* A server that refuses a large body answers before it has read it: listen also when
         * sending failed.
         */
        if (!receive(http, reply))
            fg_fail(&reply->error,
                    "%s: no answer to %s %s within %d s or connection lost; it may have happened "
                    "or not",
                    http->socket, method, path, TIMEOUT_S);
    }
    free(text);
}
