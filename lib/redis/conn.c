/* SPDX-License-Identifier: BSD-3-Clause */
#include "redis/conn.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/resolve.h"
#include "redis/reply.h"

void fg_redis_conn_close(struct fg_redis_conn *conn)
{
    fg_redis_tls_close(conn->tls);
    conn->tls = NULL;
    if (conn->redis)
        redisFree(conn->redis);
    conn->redis = NULL;
}

static bool lost(struct fg_redis_conn *conn, struct fg_error *err, const char *what)
{
    fg_fail(err, "%s: %s", conn->options->address, what);
    fg_redis_conn_close(conn);
    return false;
}

static bool timed_out(struct fg_redis_conn *conn, struct fg_error *err)
{
    char what[64];

    conn->timed_out = true;
    snprintf(what, sizeof(what), "no answer within %u ms", conn->options->timeout_ms);
    return lost(conn, err, what);
}

static bool connected(struct fg_redis_conn *conn, uint64_t deadline, struct fg_error *err)
{
    int problem = 0;
    socklen_t len = sizeof(problem);

    while (!fg_wait_fd(conn->wait, conn->redis->fd, POLLOUT, deadline)) {
        if (fg_wait_over(conn->wait, deadline))
            return timed_out(conn, err);
    }
    getsockopt(conn->redis->fd, SOL_SOCKET, SO_ERROR, &problem, &len);
    return problem ? lost(conn, err, strerror(problem)) : true;
}

static bool secured(struct fg_redis_conn *conn, uint64_t deadline, struct fg_error *err)
{
    char why[200];

    if (!conn->options->tls)
        return true;
    conn->tls = fg_redis_tls_open(conn->redis->fd, conn->options, &conn->address, conn->wait,
                                  deadline, why);
    if (conn->tls)
        return true;
    return why[0] ? lost(conn, err, why) : timed_out(conn, err);
}

void fg_redis_answer_free(struct fg_redis_answer *answer)
{
    for (unsigned i = 0; i < 2; i++) {
        if (answer->last[i] && answer->last[i] != answer->exec)
            freeReplyObject(answer->last[i]);
        answer->last[i] = NULL;
    }
    if (answer->exec)
        freeReplyObject(answer->exec);
    answer->exec = NULL;
}

static void keep(struct fg_redis_answer *answer, redisReply *reply, size_t index)
{
    const char *error = fg_redis_reply_error(reply);

    if (error && !answer->error[0])
        snprintf(answer->error, sizeof(answer->error), "%s", error);
    if (answer->last[1] && answer->last[1] != answer->exec)
        freeReplyObject(answer->last[1]);
    answer->last[1] = answer->last[0];
    answer->last[0] = reply;
    if (index == answer->exec_at)
        answer->exec = reply;
}

/* Takes what has arrived. False and err when the stream of replies is broken. */
static bool take(struct fg_redis_conn *conn, struct fg_redis_answer *answer, size_t *taken,
                 size_t wanted, struct fg_error *err)
{
    while (*taken < wanted) {
        void *reply = NULL;

        if (redisGetReplyFromReader(conn->redis, &reply) != REDIS_OK)
            return lost(conn, err, conn->redis->errstr);
        if (!reply)
            return true;
        keep(answer, reply, (*taken)++);
    }
    return true;
}

static bool send_some(struct fg_redis_conn *conn, const struct fg_redis_resp *commands,
                      size_t *sent, struct fg_error *err)
{
    const char *data = commands->data + *sent;
    size_t len = commands->len - *sent;
    char why[200] = "";
    ssize_t n = conn->tls ? fg_redis_tls_write(conn->tls, data, len, why)
                          : send(conn->redis->fd, data, len, MSG_NOSIGNAL);

    if (n >= 0)
        *sent += (size_t)n;
    else if (errno != EAGAIN && errno != EINTR)
        return lost(conn, err, why[0] ? why : strerror(errno));
    return true;
}

/* Gives what has arrived to the reader of replies; all that TLS has taken from the socket. */
static bool receive(struct fg_redis_conn *conn, struct fg_error *err)
{
    char why[200] = "";
    ssize_t n;

    /* A server that never comes to an end must not take all memory. */
    if (conn->received > FG_REDIS_ANSWER_MAX)
        return lost(conn, err, "an answer of more than 256 MiB");
    do {
        n = conn->tls ? fg_redis_tls_read(conn->tls, conn->in, sizeof(conn->in), why)
                      : recv(conn->redis->fd, conn->in, sizeof(conn->in), 0);
        if (n == 0)
            return lost(conn, err, "Server closed the connection");
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return lost(conn, err, why[0] ? why : strerror(errno));
        conn->received += n > 0 ? (size_t)n : 0;
        if (n > 0 && redisReaderFeed(conn->redis->reader, conn->in, (size_t)n) != REDIS_OK)
            return lost(conn, err, "out of memory");
    } while (n > 0 && conn->tls);
    return true;
}

/* "MOVED SLOT HOST:PORT": an IPv6 address has no brackets, and no host is this one. */
static void follow(struct fg_redis_conn *conn, const char *error)
{
    const char *node = strrchr(error, ' '), *colon = strrchr(error, ':');
    char text[400];
    struct fg_error why;

    if (!node || !colon || colon < node)
        return;
    node++;
    if (colon == node)
        snprintf(text, sizeof(text), strchr(conn->address.host, ':') ? "[%s]%s" : "%s%s",
                 conn->address.host, colon);
    else
        snprintf(text, sizeof(text),
                 memchr(node, ':', (size_t)(colon - node)) ? "[%.*s]%s" : "%.*s%s",
                 (int)(colon - node), node, colon);
    conn->moved = fg_redis_address_parse(text, &conn->named, &why);
}

/* The answers of a cluster's node that has not, or not now, all the keys of a command. */
static bool redirected(struct fg_redis_conn *conn, const char *error)
{
    static const char *const words[] = {"MOVED ", "ASK ", "TRYAGAIN ", "CLUSTERDOWN "};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strncmp(error, words[i], strlen(words[i])))
            continue;
        if (i == 0)
            follow(conn, error);
        return true;
    }
    return false;
}

bool fg_redis_conn_exchange(struct fg_redis_conn *conn, const struct fg_redis_resp *commands,
                            struct fg_redis_answer *answer, struct fg_error *err)
{
    uint64_t deadline = fg_clock_mono_ms() +
                        (uint64_t)conn->options->timeout_ms * (conn->patience ? conn->patience : 1);
    size_t sent = 0, taken = 0;

    conn->timed_out = false;
    conn->received = 0;
    if (commands->no_memory)
        return lost(conn, err, "out of memory");
    while (taken < commands->commands) {
        short events = (short)(POLLIN | (sent < commands->len ? POLLOUT : 0));
        short ready = fg_wait_fd(conn->wait, conn->redis->fd, events, deadline);

        if (!ready && fg_wait_over(conn->wait, deadline))
            return timed_out(conn, err);
        if ((ready & POLLOUT) && !send_some(conn, commands, &sent, err))
            return false;
        if ((ready & (POLLIN | POLLHUP | POLLERR)) && !receive(conn, err))
            return false;
        if (!take(conn, answer, &taken, commands->commands, err))
            return false;
    }
    return !redirected(conn, answer->error) || lost(conn, err, answer->error);
}

/* The password as it is now: a rotated one counts from the next connection on. */
static bool read_password(struct fg_redis_conn *conn, char password[FG_SECRET_MAX],
                          struct fg_error *err)
{
    struct fg_error why;

    memcpy(password, conn->options->password, FG_SECRET_MAX);
    if (!conn->options->password_file[0] ||
        fg_secret_read(conn->options->password_file, password, &why))
        return true;
    return lost(conn, err, why.text);
}

/* AUTH and SELECT; an error reply is a failure here. */
static bool log_in(struct fg_redis_conn *conn, struct fg_error *err)
{
    const struct fg_redis_options *o = conn->options;
    struct fg_redis_answer answer = {.exec_at = SIZE_MAX};
    char database[16], password[FG_SECRET_MAX];
    bool ok;

    if (!read_password(conn, password, err))
        return false;
    fg_redis_resp_clear(&conn->out);
    if (password[0] && o->user[0])
        fg_redis_resp_command(&conn->out, 3, (const char *[]){"AUTH", o->user, password});
    else if (password[0])
        fg_redis_resp_command(&conn->out, 2, (const char *[]){"AUTH", password});
    explicit_bzero(password, sizeof(password));
    snprintf(database, sizeof(database), "%u", o->database);
    if (o->database)
        fg_redis_resp_command(&conn->out, 2, (const char *[]){"SELECT", database});
    fg_redis_resp_command(&conn->out, 1, (const char *[]){"PING"});
    ok = fg_redis_conn_exchange(conn, &conn->out, &answer, err);
    if (ok && answer.error[0])
        ok = lost(conn, err, answer.error);
    fg_redis_answer_free(&answer);
    return ok;
}

/* Of several servers only the primary takes writes. One that may not say its role is tried. */
static bool is_primary(struct fg_redis_conn *conn, struct fg_error *err)
{
    struct fg_redis_answer answer = {.exec_at = SIZE_MAX};
    bool ok;

    fg_redis_resp_clear(&conn->out);
    fg_redis_resp_command(&conn->out, 1, (const char *[]){"ROLE"});
    ok = fg_redis_conn_exchange(conn, &conn->out, &answer, err);
    if (ok && !strcmp(fg_redis_reply_word(answer.last[0], 0), "slave"))
        ok = lost(conn, err, "is a replica: it takes no writes");
    fg_redis_answer_free(&answer);
    return ok;
}

static bool as_only_one(struct fg_redis_conn *conn, struct fg_error *err)
{
    return log_in(conn, err);
}

static bool as_one_of_several(struct fg_redis_conn *conn, struct fg_error *err)
{
    return log_in(conn, err) && is_primary(conn, err);
}

/* A Sentinel names the primary, which is then conn->named. */
static bool as_sentinel(struct fg_redis_conn *conn, struct fg_error *err)
{
    struct fg_redis_answer answer = {.exec_at = SIZE_MAX};
    const char *command[] = {"SENTINEL", "get-master-addr-by-name", conn->options->sentinel};
    char text[300], what[400] = "";
    struct fg_error why;
    bool ok;

    fg_redis_resp_clear(&conn->out);
    fg_redis_resp_command(&conn->out, 3, command);
    ok = fg_redis_conn_exchange(conn, &conn->out, &answer, err);
    if (ok) {
        const char *host = fg_redis_reply_word(answer.last[0], 0);

        snprintf(text, sizeof(text), strchr(host, ':') ? "[%s]:%s" : "%s:%s", host,
                 fg_redis_reply_word(answer.last[0], 1));
        if (answer.error[0])
            snprintf(what, sizeof(what), "the Sentinel answers: %s", answer.error);
        else if (!host[0])
            snprintf(what, sizeof(what), "the Sentinel knows no primary '%s'", command[2]);
        else if (!fg_redis_address_parse(text, &conn->named, &why))
            snprintf(what, sizeof(what), "the Sentinel names %.300s", why.text);
    }
    fg_redis_answer_free(&answer);
    return ok && (!what[0] || lost(conn, err, what));
}

typedef bool enter(struct fg_redis_conn *conn, struct fg_error *err);

static bool open_at(struct fg_redis_conn *conn, const char *host, enter *as, struct fg_error *err)
{
    const struct fg_redis_address *a = &conn->address;
    uint64_t deadline = fg_clock_mono_ms() + conn->options->timeout_ms;

    conn->redis = a->is_unix ? redisConnectUnixNonBlock(host) : redisConnectNonBlock(host, a->port);
    if (!conn->redis)
        return lost(conn, err, "out of memory");
    if (conn->redis->err)
        return lost(conn, err, conn->redis->errstr);
    return connected(conn, deadline, err) && secured(conn, deadline, err) && as(conn, err);
}

/* Every address of a name: some of them may be of a data centre that is away. */
static bool open_server(struct fg_redis_conn *conn, enter *as, struct fg_error *err)
{
    uint64_t deadline = fg_clock_mono_ms() + conn->options->timeout_ms;
    struct fg_resolve_list list;
    struct fg_error why = {""};

    if (conn->address.is_unix)
        return open_at(conn, conn->address.host, as, err);
    if (!fg_resolve(conn->address.host, conn->wait, deadline, &list, &why))
        return lost(conn, err, why.text);
    for (unsigned i = 0; i < list.count; i++) {
        if (open_at(conn, list.text[i], as, err))
            return true;
        if (fg_wait_over(conn->wait, UINT64_MAX)) /* told to stop */
            return false;
    }
    return false;
}

static bool open_named(struct fg_redis_conn *conn, struct fg_error *err)
{
    if (!open_server(conn, as_sentinel, err))
        return false;
    fg_redis_conn_close(conn);
    conn->address = conn->named;
    return open_server(conn, as_one_of_several, err);
}

bool fg_redis_conn_open(struct fg_redis_conn *conn, struct fg_error *err)
{
    struct fg_redis_address servers[FG_REDIS_SERVERS_MAX];
    unsigned n, first;

    fg_redis_conn_close(conn);
    if (!fg_redis_address_list(conn->options->address, servers, &n, err))
        return false;
    if (conn->moved) {
        conn->moved = false;
        conn->address = conn->named;
        if (open_server(conn, as_one_of_several, err))
            return true;
        if (fg_wait_over(conn->wait, UINT64_MAX))
            return false;
    }
    first = conn->turn++;
    for (unsigned i = 0; i < n; i++) {
        conn->address = servers[(first + i) % n];
        if (conn->options->sentinel[0]
                ? open_named(conn, err)
                : open_server(conn, n > 1 ? as_one_of_several : as_only_one, err)) {
            conn->turn = first + i + 1; /* if this one fails later, the next one comes first */
            return true;
        }
        if (fg_wait_over(conn->wait, UINT64_MAX))
            break;
    }
    return false;
}
