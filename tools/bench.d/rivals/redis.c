/* SPDX-License-Identifier: BSD-3-Clause */
/*
 *   bench_rivals ADDRESS SCRIPT UNITS ORDERS DEPTH
 *
 * Empties the Redis at the address (/PATH of a unix socket, or IPV4:PORT), gives its item UNITS
 * units, and sends ORDERS reservations of one unit by the script, each of another order and user,
 * DEPTH of them in the pipeline. Prints
 * {"orders", "accepted", "rejected", "seconds"}.
 */
#include <hiredis/hiredis.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SCRIPT_MAX 8192
#define DEPTH_MAX  65536

struct run {
    redisContext *redis;
    char sha[41];
    uint64_t orders, sent, answered, accepted, rejected;
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_rivals: %s: %s\n", what, why);
    exit(1);
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint64_t number(const char *name, const char *text, uint64_t max)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);

    if (end == text || *end || value < 1 || value > max)
        die(name, text);
    return value;
}

static redisReply *answer_of(struct run *r, redisReply *reply, const char *what)
{
    if (!reply)
        die(what, r->redis->errstr);
    if (reply->type == REDIS_REPLY_ERROR)
        die(what, reply->str);
    return reply;
}

static void prepare(struct run *r, const char *path, uint64_t units)
{
    char text[SCRIPT_MAX];
    FILE *in = fopen(path, "r");
    size_t bytes = in ? fread(text, 1, sizeof(text), in) : 0;
    redisReply *reply;

    if (!bytes || bytes == sizeof(text))
        die(path, "cannot be read, or is longer than 8 KiB");
    fclose(in);
    freeReplyObject(answer_of(r, redisCommand(r->redis, "FLUSHALL"), "FLUSHALL"));
    freeReplyObject(
        answer_of(r, redisCommand(r->redis, "SET left %llu", (unsigned long long)units), "SET"));
    reply = answer_of(r, redisCommand(r->redis, "SCRIPT LOAD %b", text, bytes), "SCRIPT LOAD");
    snprintf(r->sha, sizeof(r->sha), "%s", reply->str);
    freeReplyObject(reply);
}

static void append(struct run *r)
{
    uint64_t id[2] = {r->sent * 0x9e3779b97f4a7c15ull, r->sent}; /* 128 bits, none twice */
    char user[24];
    const char *words[] = {"EVALSHA", r->sha,     "3",  "left", "orders",
                           "users",   (char *)id, user, "1",    "4"};
    size_t bytes[] = {7, 40, 1, 4, 6, 5, sizeof(id), 0, 1, 1};

    bytes[7] = (size_t)snprintf(user, sizeof(user), "%llu", (unsigned long long)r->sent + 1);
    if (redisAppendCommandArgv(r->redis, 10, words, bytes) != REDIS_OK)
        die("EVALSHA", r->redis->errstr);
    r->sent++;
}

static void take(struct run *r)
{
    void *found = NULL;
    redisReply *reply;

    redisGetReply(r->redis, &found); /* an error is an answer that is not there */
    reply = answer_of(r, found, "EVALSHA");
    if (reply->type != REDIS_REPLY_INTEGER || reply->integer < 0 || reply->integer > 1)
        die("EVALSHA", "neither reserved nor sold out");
    r->accepted += reply->integer == 1;
    r->rejected += reply->integer == 0;
    r->answered++;
    freeReplyObject(reply);
}

/* The pipeline is filled up again when half of it is answered, so that the server always has
 * something to do.
 */
static double flood(struct run *r, uint64_t depth)
{
    double from = now();

    while (r->answered < r->orders) {
        int done = 0;

        if (r->sent - r->answered <= depth / 2) {
            while (r->sent < r->orders && r->sent - r->answered < depth)
                append(r);
            while (!done)
                if (redisBufferWrite(r->redis, &done) != REDIS_OK)
                    die("write", r->redis->errstr);
        }
        take(r);
    }
    return now() - from;
}

static redisContext *connect_to(const char *address)
{
    const char *colon = strrchr(address, ':');
    char host[64];

    if (address[0] == '/')
        return redisConnectUnix(address);
    if (!colon || colon - address >= (int)sizeof(host))
        die(address, "neither /PATH nor IPV4:PORT");
    snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
    return redisConnect(host, (int)number("PORT", colon + 1, UINT16_MAX));
}

int main(int argc, char **argv)
{
    struct run r = {0};
    uint64_t units, depth;
    double seconds;

    if (argc != 6)
        die("usage", "bench_rivals ADDRESS SCRIPT UNITS ORDERS DEPTH");
    units = number("UNITS", argv[3], 1ull << 40);
    r.orders = number("ORDERS", argv[4], 1ull << 40);
    depth = number("DEPTH", argv[5], DEPTH_MAX);
    r.redis = connect_to(argv[1]);
    if (!r.redis || r.redis->err)
        die(argv[1], r.redis ? r.redis->errstr : "out of memory");
    prepare(&r, argv[2], units);
    seconds = flood(&r, depth);
    if (r.accepted != (units < r.orders ? units : r.orders))
        die("EVALSHA", "not as many accepted as there were units");
    printf("{\"orders\": %llu, \"accepted\": %llu, \"rejected\": %llu, \"seconds\": %.6f}\n",
           (unsigned long long)r.answered, (unsigned long long)r.accepted,
           (unsigned long long)r.rejected, seconds);
    redisFree(r.redis);
    return 0;
}
