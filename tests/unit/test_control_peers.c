/* SPDX-License-Identifier: BSD-3-Clause */
/* Clients of the control socket that want too much: files of root, all slots, all the time. */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control_ask.h"

/* Who may only open the socket must not read or write files with the rights of the daemon. */
static void opens_no_files(void **state)
{
    static const char save[] =
        "GET /v1/filter/block/save HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    char path[] = "/tmp/fgtest-secret-XXXXXX", body[128], *raw;
    int fd = mkstemp(path);
    struct stat st;
    json_t *json;

    assert_true(fd >= 0 && write(fd, "S3CRET\n", 7) == 7);
    snprintf(body, sizeof(body), "{\"path\": \"%s\"}", path);
    json = ask("POST", "/v1/filter/block/load", body, 400);
    raw = json_dumps(json, 0);
    assert_null(strstr(raw, "S3CRET"));
    free(raw);
    json_decref(json);
    json_decref(ask("POST", "/v1/filter/block/save", body, 405));
    assert_true(fstat(fd, &st) == 0 && st.st_size == 7 && st.st_nlink == 1);
    close(fd);
    unlink(path);
    json = ask("POST", "/v1/filter/block/load", "198.18.9.0/24 - loud\n", 200);
    assert_int_equal(number(json, "loaded"), 1);
    json_decref(json);
    raw = fg_raw_request(fx.socket, save, sizeof(save) - 1);
    assert_non_null(strstr(raw, "text/plain"));
    assert_non_null(strstr(raw, "198.18.9.0/24 - loud\n"));
    free(raw);
    json = ask("POST", "/v1/filter/block/load", "\n", 200);
    json_decref(json);
}

static int connected(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", fx.socket);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static uint64_t since(const struct timespec *from)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)((now.tv_sec - from->tv_sec) * 1000 + (now.tv_nsec - from->tv_nsec) / 1000000);
}

/* A request that waits for a disk is under way. */
static void health_waits_for_nobody(void **state)
{
    static const char get[] = "GET /v1/stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    struct timespec began;
    int slow = connected();
    char byte;

    fx.daemon.slow_ms = 900;
    assert_int_equal(send(slow, get, sizeof(get) - 1, 0), sizeof(get) - 1);
    usleep(100000);
    clock_gettime(CLOCK_MONOTONIC, &began);
    json_decref(ask("GET", "/healthz", NULL, 200));
    assert_true(since(&began) < 600);
    fx.daemon.slow_ms = 0;
    assert_int_equal(recv(slow, &byte, 1, MSG_DONTWAIT), -1); /* it was under way all the time */
    assert_int_equal(recv(slow, &byte, 1, 0), 1);
    close(slow);
}

/* More clients that begin a request and do not end it than there are slots. */
static void tricklers_lock_nobody_out(void **state)
{
    int fds[192]; /* three times the capacity of the server */
    unsigned n = sizeof(fds) / sizeof(fds[0]);
    struct timespec began;

    for (unsigned i = 0; i < n; i++) {
        fds[i] = connected();
        assert_int_equal(send(fds[i], "POST /v1/it", 11, MSG_NOSIGNAL), 11);
    }
    clock_gettime(CLOCK_MONOTONIC, &began);
    json_decref(ask("GET", "/v1/status", NULL, 200));
    assert_true(since(&began) < 5000);
    for (unsigned i = 0; i < n; i++)
        close(fds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(opens_no_files, start_filter, stop),
        T(health_waits_for_nobody),
        T(tricklers_lock_nobody_out),
    };

    return cmocka_run_group_tests_name("control-peers", tests, NULL, NULL);
}
