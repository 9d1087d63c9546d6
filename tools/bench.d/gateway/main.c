/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asks an HTTP server on 127.0.0.1 over connections that stay open, for tools/bench gateway.
 *
 *     bench_gateway load PORT FILE CONNECTIONS SECONDS RATE    RATE 0: as fast as answers come
 *     bench_gateway events PORT FILE CLIENTS FIRST    FIRST: clients of other processes before
 * these
 *
 * FILE is the request as it is sent. 32 letters K in a row become hexadecimal digits, 9 letters U a
 * number, both of their own for each request. `load` prints JSON; with a RATE latency counts from
 * the moment when a request was due. `events` opens streams from many source addresses, says "open"
 * when each has told something, and after each line of its input how many seconds passed until each
 * has told something again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER      8192
#define KEY         "KKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK"
#define USER        "UUUUUUUUU"
#define EVENTS      512
#define PER_ADDRESS 20000 /* source ports */
#define OPENING     256   /* streams that are being opened at a time */

struct connection {
    int fd;
    bool busy, told;
    double due;
    size_t got;
    char *text;
};

static struct {
    uint16_t port;
    char request[4096];
    size_t size, key_at, user_at;
    uint64_t number;
    int epoll;
    struct connection *connections;
    unsigned count, first;
    unsigned *idle, idles; /* stack */
    double *latency;
    size_t answers, room;
    unsigned status[600];
} b;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void read_request(const char *path)
{
    FILE *f = fopen(path, "r");
    const char *at;

    if (!f)
        die(path);
    b.size = fread(b.request, 1, sizeof(b.request) - 1, f);
    fclose(f);
    at = strstr(b.request, KEY);
    b.key_at = at ? (size_t)(at - b.request) : 0;
    at = strstr(b.request, USER);
    b.user_at = at ? (size_t)(at - b.request) : 0;
}

static void next_request(void)
{
    char text[33];

    b.number++;
    if (b.key_at) {
        snprintf(text, sizeof(text), "%016llx%016llx",
                 (unsigned long long)(b.number * 0x9e3779b97f4a7c15ull),
                 (unsigned long long)b.number);
        memcpy(b.request + b.key_at, text, 32);
    }
    if (b.user_at) {
        snprintf(text, sizeof(text), "%09llu",
                 (unsigned long long)(100000000 + b.number % 100000000));
        memcpy(b.request + b.user_at, text, 9);
    }
}

static void send_request(struct connection *c)
{
    next_request();
    if (send(c->fd, b.request, b.size, MSG_NOSIGNAL) != (ssize_t)b.size)
        die("send");
}

static void open_connection(unsigned i, bool wait)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(b.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr =
                                   htonl(INADDR_LOOPBACK + 1 + (b.first + i) / PER_ADDRESS)};
    struct connection *c = &b.connections[i];
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
    int one = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
        connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0)
        die("connect");
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(b.epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll_ctl");
    if (!wait)
        send_request(c);
}

static void prepare(const char *port, const char *file, unsigned count)
{
    struct rlimit files;

    b.port = (uint16_t)atoi(port);
    read_request(file);
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        die("getrlimit");
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) < 0)
        die("setrlimit");
    b.epoll = epoll_create1(EPOLL_CLOEXEC);
    b.connections = calloc(count, sizeof(*b.connections));
    b.idle = calloc(count, sizeof(*b.idle));
    if (b.epoll < 0 || !b.connections || !b.idle)
        die("memory");
    b.count = count;
}

/* ---- load ------------------------------------------------------------------------------------ */

static void start(double due)
{
    struct connection *c = &b.connections[b.idle[--b.idles]];

    c->busy = true;
    c->due = due;
    c->got = 0;
    send_request(c);
}

/* Whether the answer is all there. */
static bool complete(const struct connection *c)
{
    const char *end, *length;

    c->text[c->got] = 0;
    end = strstr(c->text, "\r\n\r\n");
    length = end ? strcasestr(c->text, "content-length:") : NULL;
    return end && length && length < end &&
           c->got >= (size_t)(end + 4 - c->text) + strtoul(length + 15, NULL, 10);
}

static void take(unsigned i)
{
    struct connection *c = &b.connections[i];
    ssize_t n = read(c->fd, c->text + c->got, BUFFER - 1 - c->got);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || !c->busy) {
        fprintf(stderr, "the server closed a connection: %.*s\n", (int)c->got, c->text);
        exit(1);
    }
    c->got += (size_t)n;
    if (!complete(c))
        return;
    b.status[strtoul(c->text + 9, NULL, 10) % 600]++;
    if (b.answers < b.room)
        b.latency[b.answers] = now() - c->due;
    b.answers++;
    c->busy = false;
    b.idle[b.idles++] = i;
}

static void wait_for_answers(double seconds)
{
    struct epoll_event events[EVENTS];
    struct timespec wait = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    int n = epoll_pwait2(b.epoll, events, EVENTS, &wait, NULL);

    for (int i = 0; i < n; i++)
        take(events[i].data.u32);
}

static int by_size(const void *x, const void *y)
{
    double d = *(const double *)x - *(const double *)y;

    return (d > 0) - (d < 0);
}

static void report(double seconds)
{
    size_t n = b.answers < b.room ? b.answers : b.room;
    const char *comma = "";

    qsort(b.latency, n, sizeof(*b.latency), by_size);
    printf(
        "{\"answers\": %zu, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"status\": {",
        b.answers, seconds, n ? 1e6 * b.latency[n / 2] : 0, n ? 1e6 * b.latency[n * 99 / 100] : 0);
    for (unsigned i = 0; i < 600; i++)
        if (b.status[i]) {
            printf("%s\"%u\": %u", comma, i, b.status[i]);
            comma = ", ";
        }
    printf("}}\n");
}

static void load(double seconds, double rate)
{
    double begun, end, due;

    b.room = 20000000;
    b.latency = malloc(b.room * sizeof(*b.latency)); /* touched as far as it is used */
    for (unsigned i = 0; i < b.count; i++) {
        b.connections[i].text = malloc(BUFFER);
        if (!b.latency || !b.connections[i].text)
            die("memory");
        open_connection(i, true);
        b.idle[b.idles++] = i;
    }
    begun = now();
    end = begun + seconds;
    for (due = begun; due < end;) {
        double time = now();

        if (time >= end)
            break;
        while (b.idles && (rate == 0 || due <= time)) {
            start(rate == 0 ? time : due);
            due = rate == 0 ? due : due + 1 / rate;
        }
        wait_for_answers(rate == 0 || !b.idles ? 0.1 : due > time ? due - time : 0);
    }
    seconds = now() - begun;
    report(seconds);
}

/* ---- events ---------------------------------------------------------------------------------- */

static unsigned listen_once(unsigned left, int wait_ms)
{
    struct epoll_event events[EVENTS];
    char text[BUFFER];
    int n = epoll_wait(b.epoll, events, EVENTS, wait_ms);

    for (int i = 0; i < n; i++) {
        struct connection *c = &b.connections[events[i].data.u32];
        ssize_t got = read(c->fd, text, sizeof(text) - 1);

        if (got <= 0)
            die("a stream ended");
        text[got] = 0;
        if (!c->told && strstr(text, "data:")) {
            c->told = true;
            left--;
        }
    }
    return left;
}

static void events(void)
{
    unsigned opened = 0, left = b.count;
    char line[16];

    while (left) {
        while (opened < b.count && opened - (b.count - left) < OPENING)
            open_connection(opened++, false);
        left = listen_once(left, 100);
    }
    printf("open\n");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        double begun = now();

        for (unsigned i = 0; i < b.count; i++)
            b.connections[i].told = false;
        for (left = b.count; left && now() - begun < 60;)
            left = listen_once(left, 100);
        printf("%.3f %u\n", now() - begun, left);
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    if (argc == 7 && !strcmp(argv[1], "load")) {
        prepare(argv[2], argv[3], (unsigned)atoi(argv[4]));
        load(atof(argv[5]), atof(argv[6]));
    } else if (argc == 6 && !strcmp(argv[1], "events")) {
        prepare(argv[2], argv[3], (unsigned)atoi(argv[4]));
        b.first = (unsigned)atoi(argv[5]);
        events();
    } else {
        fprintf(stderr, "usage: bench_gateway load PORT FILE CONNECTIONS SECONDS RATE | events "
                        "PORT FILE CLIENTS\n");
        return 2;
    }
    return 0;
}
