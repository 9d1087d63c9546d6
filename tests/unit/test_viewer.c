/* SPDX-License-Identifier: BSD-3-Clause */
/* The read-only listener over real TCP, with the double of the daemon behind it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/address.h"
#include "base/clock.h"
#include "control/page.h"
#include "control/view.h"
#include "control/viewer.h"
#include "control_double.h"

static struct fg_double daemon_double;
static struct fg_control_viewer *viewer;
static struct fg_address address;
static char listen_at[64];

/* A port of the loopback that is free at this moment. */
static void choose_port(const char *host)
{
    socklen_t size;
    int fd;

    snprintf(listen_at, sizeof(listen_at), "%s:1", host);
    assert_true(fg_address_read(listen_at, &address));
    address.as.v4.sin_port = 0;
    fd = socket(address.as.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &address.as.any, address.size), 0);
    size = address.size;
    assert_int_equal(getsockname(fd, &address.as.any, &size), 0);
    close(fd);
    snprintf(listen_at, sizeof(listen_at), "%s:%u", host, ntohs(address.as.v4.sin_port));
}

static int start_at(const char *host)
{
    struct fg_control_daemon daemon;
    struct fg_error err = {""};

    fg_double_init(&daemon_double, false);
    choose_port(host);
    daemon = fg_double_daemon(&daemon_double);
    viewer = fg_control_viewer_start(listen_at, &daemon, &err);
    if (!viewer)
        fail_msg("%s", err.text);
    return 0;
}

static int start(void **state)
{
    return start_at("127.0.0.1");
}

static int start_v6(void **state)
{
    return start_at("[::1]");
}

static int stop(void **state)
{
    fg_control_viewer_stop(viewer);
    fg_double_free(&daemon_double);
    return 0;
}

static int connect_to_it(void)
{
    int fd = socket(address.as.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, &address.as.any, address.size), 0);
    return fd;
}

/* Sends, and reads to the end; the text is valid until the next call. */
static char *raw(const char *request, size_t size)
{
    static char text[1 << 18];
    size_t used = 0;
    int fd = connect_to_it();
    ssize_t n;

    for (size_t sent = 0; sent < size; sent += (size_t)n) {
        n = send(fd, request + sent, size - sent, MSG_NOSIGNAL);
        if (n <= 0)
            break; /* refused early: the answer is there to be read */
    }
    while ((n = recv(fd, text + used, sizeof(text) - 1 - used, 0)) > 0)
        used += (size_t)n;
    close(fd);
    text[used] = 0;
    return text;
}

/* The status; *body (may be NULL) points behind the header. */
static int ask(const char *method, const char *path, const char *body_sent, char **body)
{
    char request[512], *reply, *start;
    int code = 0, len = snprintf(request, sizeof(request),
                                 "%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
                                 "Content-Length: %zu\r\n\r\n%s",
                                 method, path, strlen(body_sent), body_sent);

    assert_in_range(len, 1, sizeof(request) - 1);
    reply = raw(request, (size_t)len);
    sscanf(reply, "HTTP/1.1 %d", &code);
    start = strstr(reply, "\r\n\r\n");
    if (body)
        *body = start ? start + 4 : reply;
    return code;
}

static void shows_numbers(void **state)
{
    char *body;
    json_t *json;

    assert_int_equal(ask("GET", "/metrics", "", &body), 200);
    assert_non_null(strstr(body, "\nfloodgate_healthy 1\n"));
    assert_non_null(strstr(body, "\nfloodgate_items 0\n"));
    assert_int_equal(ask("GET", "/healthz", "", &body), 200);
    json = json_loads(body, 0, NULL);
    assert_true(json_is_true(json_object_get(json, "healthy")));
    json_decref(json);
    assert_int_equal(ask("GET", "/status", "", &body), 200);
    json = json_loads(body, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(json, "state")), "running");
    assert_int_equal(json_array_size(json_object_get(json, "alarms")), 2);
    assert_null(json_object_get(json, "api")); /* it is not the control socket */
    json_decref(json);
    daemon_double.unhealthy = true;
    assert_int_equal(ask("GET", "/healthz", "", NULL), 503);
    assert_int_equal(ask("GET", "/routes", "", &body), 200);
    assert_non_null(strstr(body, "\"/metrics\""));
    assert_int_equal(ask("HEAD", "/metrics", "", &body), 200);
    assert_string_equal(body, "");
}

/* One file, which may load nothing. The reply begins with its header. */
static void shows_the_page(void **state)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    char *reply = raw(request, sizeof(request) - 1);

    assert_non_null(strstr(reply, "\r\nContent-Type: text/html; charset=utf-8\r\n"));
    assert_non_null(
        strstr(reply, "\r\nContent-Security-Policy: default-src 'none'; script-src 'sha"));
    assert_non_null(strstr(reply, "\r\n\r\n<!doctype html>\n"));
    assert_string_equal(strstr(reply, "<!doctype html>"), fg_control_page);
    assert_in_range(strlen(fg_control_page), 1, FG_CONTROL_PAGE_MOST);
    assert_null(strstr(fg_control_page, " src="));
    assert_null(strstr(fg_control_page, "https://"));
}

static int open_stream(void)
{
    static const char request[] = "GET /view HTTP/1.1\r\nHost: test\r\n\r\n";
    int fd = connect_to_it();

    assert_int_equal(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL), sizeof(request) - 1);
    return fd;
}

/* Reads until the text was there `times`, or the end. */
static bool read_until(int fd, const char *text, unsigned times, char *buffer, size_t size)
{
    size_t used = 0;
    unsigned seen = 0;
    ssize_t n;

    while (seen < times && used + 1 < size &&
           (n = recv(fd, buffer + used, size - 1 - used, 0)) > 0) {
        used += (size_t)n;
        buffer[used] = 0;
        seen = 0;
        for (const char *at = buffer; (at = strstr(at, text)); at++)
            seen++;
    }
    return seen >= times;
}

/* A view at once and the next a second later; alarms come with effect and remedy. */
static void streams_views(void **state)
{
    static char text[1 << 16];
    uint64_t began = fg_clock_mono_ms();
    int fd = open_stream();

    assert_true(read_until(fd, "\ndata: {\"time_ms\":", 2, text, sizeof(text)));
    assert_in_range(fg_clock_mono_ms() - began, FG_CONTROL_STREAM_EACH_MS / 2, 30000);
    assert_non_null(strstr(text, "\r\nContent-Type: text/event-stream\r\n"));
    assert_non_null(strstr(text, "\"name\":\"orders\",\"level\":\"alarm\",\"effect\":\"none\","));
    assert_non_null(strstr(text, "\"remedy\":\"raise `orders_max`"));
    assert_non_null(strstr(text, "\"durable_seq\":17"));
    close(fd);
}

/* Open pages take half of the connections at most, and end when the server does. */
static void bounds_streams(void **state)
{
    static char text[1 << 16];
    int fds[FG_CONTROL_STREAMS_MAX];
    uint64_t began;
    char *body;

    for (unsigned i = 0; i < FG_CONTROL_STREAMS_MAX; i++) {
        fds[i] = open_stream();
        assert_true(read_until(fds[i], "\ndata: {", 1, text, sizeof(text)));
    }
    assert_int_equal(ask("GET", "/view", "", &body), 503);
    assert_non_null(strstr(body, "8 pages are open"));
    assert_int_equal(ask("GET", "/metrics", "", NULL), 200);
    began = fg_clock_mono_ms();
    fg_control_viewer_stop(viewer);
    viewer = NULL;
    assert_in_range(fg_clock_mono_ms() - began, 0, 5000);
    for (unsigned i = 0; i < FG_CONTROL_STREAMS_MAX; i++) {
        assert_false(read_until(fds[i], "never", 1, text, sizeof(text)));
        close(fds[i]);
    }
}

/* Everything that the control socket can do, and this one must not. */
static void changes_nothing(void **state)
{
    static const char *const methods[] = {"POST", "PATCH", "PUT", "DELETE", "OPTIONS"};
    char path[128], *body;

    for (unsigned i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        assert_int_equal(ask(methods[i], "/metrics", "", NULL), 405);
        assert_int_equal(ask(methods[i], "/v1/items", "", NULL), 404);
    }
    assert_int_equal(ask("GET", "/v1/items", "", &body), 404);
    assert_non_null(strstr(body, "no such path: /v1/items; GET /routes lists them"));
    assert_int_equal(ask("POST", "/v1/keys/reload", "", NULL), 404);
    assert_int_equal(ask("POST", "/v1/log/snapshot", "", NULL), 404);
    assert_int_equal(ask("GET", "/v1/status", "", NULL), 404);
    assert_int_equal(ask("GET", "/metrics/", "", NULL), 404);
    snprintf(path, sizeof(path), "/%0100d", 0);
    assert_int_equal(ask("GET", path, "", NULL), 404);
    assert_int_equal(ask("POST", "/v1/items", "{\"item\": 7}", NULL), 413);
    assert_int_equal(ask("GET", "/metrics", "{}", NULL), 413);
    assert_int_equal(ask("GET", "/metrics?limit=1", "", NULL), 400);
    assert_int_equal(daemon_double.item_calls + daemon_double.stock_calls +
                         daemon_double.keys_calls + daemon_double.user_calls,
                     0);
}

static void bounds_what_it_reads(void **state)
{
    static const char chunked[] = "POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                                  "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n";
    static char large[1 << 16];
    int len = snprintf(large, sizeof(large), "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Large: ");
    char *reply;

    memset(large + len, 'a', sizeof(large) - (size_t)len);
    memcpy(large + sizeof(large) - 4, "\r\n\r\n", 4);
    reply = raw(large, sizeof(large));
    assert_null(strstr(reply, "HTTP/1.1 200"));
    reply = raw(chunked, sizeof(chunked) - 1);
    assert_null(strstr(reply, "HTTP/1.1 200"));
    assert_int_equal(ask("GET", "/metrics", "", NULL), 200);
}

/* However fast they ask, the counters are read a few times a second. */
static void measures_now_and_then(void **state)
{
    uint64_t began = fg_clock_mono_ms(), most;
    unsigned before = daemon_double.measured;

    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(ask("GET", i % 2 ? "/metrics" : "/status", "", NULL), 200);
    most = 2 * ((fg_clock_mono_ms() - began) / FG_CONTROL_VIEWER_KEEP_MS + 1);
    if (daemon_double.measured - before > most)
        fail_msg("200 pages cost %u measurements, not %llu", daemon_double.measured - before,
                 (unsigned long long)most);
    assert_true(daemon_double.measured > before);
}

/* Clients that begin a request and never end it hold every connection that there is: the oldest are
 * hung up on, and the next one is served at once. */
static void survives_tricklers(void **state)
{
    static const char begun[] = "GET /metrics HTTP/1.1\r\nHost: ";
    uint64_t began = fg_clock_mono_ms();
    int tricklers[40];

    for (unsigned i = 0; i < 40; i++) {
        tricklers[i] = connect_to_it();
        assert_int_equal(send(tricklers[i], begun, sizeof(begun) - 1, MSG_NOSIGNAL),
                         sizeof(begun) - 1);
    }
    assert_int_equal(ask("GET", "/healthz", "", NULL), 200);
    assert_in_range(fg_clock_mono_ms() - began, 0, 3000); /* a silent one is left alone for 5 s */
    for (unsigned i = 0; i < 40; i++)
        close(tricklers[i]);
}

static int ask_socket(const char *path, const char *method, const char *url)
{
    json_t *json;
    int code = fg_ask(path, method, url, NULL, &json);

    json_decref(json);
    return code;
}

/* For fgctl: what reads the numbers, and nothing that changes them or tells of orders and users. */
static void shows_more_at_a_socket(void **state)
{
    static const char *const reads[] = {"/metrics",
                                        "/healthz",
                                        "/status",
                                        "/v1/status",
                                        "/v1/stats",
                                        "/v1/items",
                                        "/v1/filter/top?limit=3"};
    static const char *const hidden[] = {"/v1/users/denied", "/v1/audit", "/v1/filter/block",
                                         "/v1/orders/1/00000000000000000000000000000001"};
    struct fg_control_daemon daemon = fg_double_daemon(&daemon_double);
    char folder[] = "/tmp/fg-viewer-XXXXXX", path[64];
    struct fg_control_viewer *second;
    struct fg_error err = {""};
    struct stat st;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/viewer.sock", folder);
    second = fg_control_viewer_start_socket(path, 0640, "", &daemon, &err);
    if (!second)
        fail_msg("%s", err.text);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    for (unsigned i = 0; i < sizeof(reads) / sizeof(reads[0]); i++)
        assert_int_equal(ask_socket(path, "GET", reads[i]), 200);
    for (unsigned i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
        assert_int_equal(ask_socket(path, "GET", hidden[i]), 404);
    assert_int_equal(ask_socket(path, "POST", "/v1/items"), 405);
    assert_int_equal(ask_socket(path, "PATCH", "/v1/items/7"), 405);
    assert_int_equal(ask_socket(path, "POST", "/v1/items/7/pause"), 404);
    assert_int_equal(ask_socket(path, "POST", "/v1/keys/reload"), 404);
    assert_int_equal(daemon_double.item_calls + daemon_double.keys_calls, 0);
    assert_null(fg_control_viewer_start_socket(path, 0640, "", &daemon, &err));
    assert_non_null(strstr(err.text, "another daemon listens there"));
    fg_control_viewer_stop(second);
    assert_int_equal(stat(path, &st), -1);
    assert_int_equal(rmdir(folder), 0);
}

static void says_why_it_cannot_listen(void **state)
{
    static const char *const wrong[] = {"127.0.0.1",       "localhost:9460", "127.0.0.1:0",
                                        "127.0.0.1:65536", "::1:9460",       "[::1:9460",
                                        "[::1]9460",       ":9460",          "127.0.0.1:9460 ",
                                        "1.2.3:9460",      "[]:1",           "unix:/tmp/x"};
    struct fg_control_daemon daemon = fg_double_daemon(&daemon_double);
    struct fg_error err = {""};

    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(fg_control_check_viewer(wrong[i], &err));
        assert_non_null(strstr(err.text, "is not an address with a port"));
        assert_null(fg_control_viewer_start(wrong[i], &daemon, &err));
    }
    assert_null(fg_control_viewer_start(listen_at, &daemon, &err));
    assert_non_null(strstr(err.text, "Address already in use"));
    assert_true(fg_control_check_viewer(listen_at, &err)); /* the one that runs may be ours */
    assert_false(fg_control_check_viewer("192.0.2.77:9460", &err));
    assert_non_null(strstr(err.text, "192.0.2.77:9460"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(shows_numbers),
        cmocka_unit_test_setup_teardown(shows_numbers, start_v6, stop),
        T(shows_the_page),
        T(streams_views),
        T(bounds_streams),
        T(changes_nothing),
        T(bounds_what_it_reads),
        T(measures_now_and_then),
        T(survives_tricklers),
        T(shows_more_at_a_socket),
        T(says_why_it_cannot_listen),
    };

    return cmocka_run_group_tests_name("viewer", tests, NULL, NULL);
}
