/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control server, and the read-only one: the first byte tells which, and in which role the
 * daemon is; the rest is what a client sends over one connection, as it is. Or the rest is the file
 * of the audit trail, of which a client wants to see the last lines. The servers are the real ones,
 * with their sockets, threads and handlers; a double stands for the daemon behind them. Whatever
 * comes, they answer the next client.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "control/trail.h"
#include "control/viewer.h"
#include "fuzz.h"
#include "sink/sink.h"
#include "tests/unit/control_double.h"

#define EACH        256   /* inputs until a well-behaved client asks in between */
#define PATIENCE_US 20000 /* a stream of views has no end */

/* Bits of the first byte; '@' has none of them, 'A' to DEL any. */
enum { VIEWER = 1, PAIRED = 2, IN_FLEET = 4, FILTER = 8, TRAIL = 16, LEADS = 32 };

static const struct fg_replication_settings pair_settings = {
    .enabled = true, .arbiter = {.endpoints = "192.0.2.1:2379"}, .address = "192.0.2.10/24 at lo"};
static const struct fg_member_settings fleet_settings = {
    .enabled = true, .member = 1, .members = 2, .shards = 256, .etcd = {.endpoints = "[::1]:2379"}};

static struct fg_fixture fixture;
static struct fg_filter *filter; /* lists and buckets in plain memory */
static struct fg_control_viewer *viewer;
static char viewer_socket[100], trail[100];

/* The table of conditions names it; there are no sinks here, and none of their libraries. */
const char *fg_sink_state_name(unsigned state)
{
    return "live";
}

static void stop(void)
{
    fg_control_viewer_stop(viewer);
    fixture.daemon.filter = filter;
    fg_fixture_stop(&fixture);
}

/* Two items; users who wait for the first one, and one who bought it. */
static void fill(void)
{
    struct fg_journal_record waits = {
        .type = FG_JOURNAL_RECORD_WAITING, .item = 7, .quantity = 1, .order_id = {1}};

    FG_FUZZ_CHECK(
        fg_ask(fixture.socket, "POST", "/v1/items", "{\"item\": 7, \"waitlist\": 9}", NULL) == 201);
    FG_FUZZ_CHECK(fg_ask(fixture.socket, "POST", "/v1/items", "{\"item\": 8}", NULL) == 201);
    for (waits.user = 5; waits.user < 8; waits.user++) {
        waits.arg++;
        fg_double_record(&fixture.daemon, waits);
    }
    fg_double_record(&fixture.daemon, (struct fg_journal_record){
                                          .type = FG_JOURNAL_RECORD_STOCK, .item = 7, .arg = 100});
    fg_double_order(&fixture.daemon, 9, 2, 7, FG_LEDGER_ORDER_SOLD);
}

static void join(struct fg_double *d)
{
    d->pair.settings = &pair_settings;
    d->pair.view = (struct fg_replication_view){.node = 1,
                                                .peer = "192.0.2.2:4610",
                                                .history_len = 1,
                                                .history = {{.epoch = 5, .why = "it was tried"}}};
    d->fleet = (struct fg_control_fleet){.settings = &fleet_settings};
    d->fleet.view = (struct fg_member_view){.member = 1, .fleet = {.silent = 1}};
    d->pool = (struct fg_fleet_item_view){.state = FG_FLEET_STATE_LEASING, .revision = 9};
    fg_fleet_pool_first(&d->pool.pool, 2);
}

/* The thread of a stream may be at work when an input is over: leaks are looked for at the end. */
static void add_flag(int *argc, char ***argv)
{
    static char flag[] = "-detect_leaks=0";
    char **list = calloc((size_t)*argc + 2, sizeof(*list));

    FG_FUZZ_CHECK(list);
    memcpy(list, *argv, (size_t)*argc * sizeof(*list));
    list[(*argc)++] = flag;
    *argv = list;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct fg_filter_options options = {
        .order_port = 4600, .sources_max = 1024, .prefixes_max = 1024, .v6_prefix = 64};
    struct fg_control_daemon daemon = fg_double_daemon(&fixture.daemon);
    struct fg_error err;

    add_flag(argc, argv);
    fg_fixture_start(&fixture, false);
    filter = fg_filter_open(&options, &err);
    FG_FUZZ_CHECK(filter);
    snprintf(viewer_socket, sizeof(viewer_socket), "%s/viewer.sock", fixture.folder);
    snprintf(trail, sizeof(trail), "%s/" FG_CONTROL_TRAIL_FILE, fixture.folder);
    viewer = fg_control_viewer_start_socket(viewer_socket, 0600, "", &daemon, &err);
    FG_FUZZ_CHECK(viewer);
    atexit(stop);
    join(&fixture.daemon);
    fill();
    return 0;
}

static void talk(const char *path, const uint8_t *data, size_t size)
{
    struct timeval patience = {.tv_usec = path == viewer_socket ? PATIENCE_US : 0};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char answer[4096];

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    FG_FUZZ_CHECK(fd >= 0 && TEMP_FAILURE_RETRY(
                                 connect(fd, (struct sockaddr *)&address, sizeof(address))) == 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    for (size_t sent = 0; sent < size;) {
        ssize_t n = TEMP_FAILURE_RETRY(send(fd, data + sent, size - sent, MSG_NOSIGNAL));

        if (n <= 0)
            break; /* hung up: the answer is there to be read */
        sent += (size_t)n;
    }
    shutdown(fd, SHUT_WR); /* also the end of a stream */
    while (TEMP_FAILURE_RETRY(recv(fd, answer, sizeof(answer), 0)) > 0)
        ;
    close(fd);
}

static void show_trail(const uint8_t *data, size_t size)
{
    int fd = open(trail, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    FG_FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
    FG_FUZZ_CHECK(fg_ask(fixture.socket, "GET", "/v1/audit", NULL, NULL) == 200);
}

static void check(const char *path, const char *list)
{
    json_t *json = NULL;

    FG_FUZZ_CHECK(fg_ask(path, "GET", list, NULL, &json) == 200 && json);
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned count;
    struct fg_double *d = &fixture.daemon;

    if (size == 0)
        return 0;
    d->paired = data[0] & PAIRED;
    d->pair.leads = data[0] & LEADS;
    d->in_fleet = data[0] & IN_FLEET;
    d->filter = data[0] & FILTER ? filter : NULL;
    if (data[0] & TRAIL)
        show_trail(data + 1, size - 1);
    else
        talk(data[0] & VIEWER ? viewer_socket : fixture.socket, data + 1, size - 1);
    if (count++ % EACH == 0) {
        check(fixture.socket, "/v1");
        check(viewer_socket, "/routes");
    }
    return 0;
}
