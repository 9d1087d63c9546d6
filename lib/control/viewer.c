/* SPDX-License-Identifier: BSD-3-Clause */
/* The read-only listener: the same HTTP layer as the control socket, with few routes. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "control/call.h"
#include "control/http.h"
#include "control/items.h"
#include "control/page.h"
#include "control/pair.h"
#include "control/peers.h"
#include "control/penalties.h"
#include "control/report.h"
#include "control/routes.h"
#include "control/socket.h"
#include "control/system.h"
#include "control/view.h"
#include "control/viewer.h"

#define CONNECTIONS 16
#define BACKLOG     16

/* A page, for those who ask again at once. */
struct page {
    char *text;
    json_t *json;
    uint64_t made_ms;
};

struct fg_control_viewer {
    struct fg_control server; /* first: a call points to it */
    struct page metrics, status;
    struct fg_control_streams streams;
};
_Static_assert(offsetof(struct fg_control_viewer, server) == 0, "a call points to the server");

static void forget(struct page *page)
{
    free(page->text);
    json_decref(page->json);
    memset(page, 0, sizeof(*page));
}

/* Only good pages are kept. */
static void keep(struct page *page, const struct fg_control_call *call)
{
    forget(page);
    if (call->code != 200)
        return;
    page->text = call->text ? strdup(call->text) : NULL;
    page->json = json_incref(call->json);
    page->made_ms = fg_clock_mono_ms();
}

static void show(struct fg_control_call *call, struct page *page,
                 void (*make)(struct fg_control_call *call))
{
    bool fresh = (page->text || page->json) &&
                 fg_clock_mono_ms() - page->made_ms < FG_CONTROL_VIEWER_KEEP_MS;

    if (!fresh) {
        make(call);
        keep(page, call);
        return;
    }
    call->text = page->text ? strdup(page->text) : NULL;
    fg_control_call_reply(call, 200, json_incref(page->json));
}

static struct fg_control_viewer *viewer_of(struct fg_control_call *call)
{
    return (struct fg_control_viewer *)call->control;
}

static void handle_metrics(struct fg_control_call *call)
{
    show(call, &viewer_of(call)->metrics, fg_control_handle_metrics);
}

static void handle_status(struct fg_control_call *call)
{
    show(call, &viewer_of(call)->status, fg_control_handle_status);
}

static void handle_page(struct fg_control_call *call)
{
    call->code = 200;
    call->text = strdup(fg_control_page);
    call->text_type = "text/html; charset=utf-8";
    call->policy = fg_control_page_policy;
}

static void handle_view(struct fg_control_call *call)
{
    fg_control_streams_open(&viewer_of(call)->streams, call);
}

static const struct fg_control_route routes[] = {
    {"GET", "/routes", fg_control_handle_index, 0, "this list"},
    {"GET", "/", handle_page, 0, "the sale at a glance: a page for a browser"},
    {"GET", "/view", handle_view, 0, "what the page shows, each second, as server-sent events"},
    {"GET", "/metrics", handle_metrics, 0, "Prometheus text format"},
    {"GET", "/healthz", fg_control_handle_health, 0, "200 when healthy, else 503"},
    {"GET", "/leader", fg_control_handle_leader, 0, "200 at the appliance that leads, else 503"},
    {"GET", "/status", handle_status, 0, "state of the appliance, its log and its sinks"},
    /* from here on: at a unix socket alone */
    {"GET", "/v1/status", fg_control_handle_status, 0, "the same"},
    {"GET", "/v1/stats", fg_control_handle_stats, 0, "counters of workers, stock, filter, ports"},
    {"GET", "/v1/pair", fg_control_handle_pair, 0, "both appliances of a pair"},
    {"GET", "/v1/items", fg_control_handle_items, FG_CONTROL_ROUTE_PAGE, "items"},
    {"GET", "/v1/items/ITEM", fg_control_handle_item, 0, "one item"},
    {"GET", "/v1/filter/top", fg_control_handle_filter_top, FG_CONTROL_ROUTE_LIMIT,
     "sources that misbehave most, by class"},
};
#define ROUTES        (sizeof(routes) / sizeof(routes[0]))
#define SOCKET_ROUTES 6

static int open_socket(const struct fg_address *address)
{
    int fd = socket(address->as.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;

    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd >= 0 && address->as.any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    return fd;
}

static bool read_address(const char *listen, struct fg_address *address, struct fg_error *err)
{
    return fg_address_read(listen, address) ||
           fg_fail(err, "%s is not an address with a port, like 127.0.0.1:9460 or [::1]:9460",
                   listen);
}

bool fg_control_check_viewer(const char *listen, struct fg_error *err)
{
    struct fg_address address;
    int fd, why;

    if (!read_address(listen, &address, err))
        return false;
    address.as.v4.sin_port = 0; /* any: v6 has its port at the same offset */
    _Static_assert(
        offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port), "port");
    fd = open_socket(&address);
    why = fd < 0 || bind(fd, &address.as.any, address.size) < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return !why || fg_fail(err, "cannot listen at %s: %s", listen, strerror(why));
}

static int open_listener(const char *listen_at, struct fg_error *err)
{
    struct fg_address address;
    int fd;

    if (!read_address(listen_at, &address, err))
        return -1;
    fd = open_socket(&address);
    if (fd < 0 || bind(fd, &address.as.any, address.size) < 0 || listen(fd, BACKLOG) < 0) {
        fg_fail(err, "metrics: cannot listen at %s: %s", listen_at, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

/* Prometheus keeps no connection open between scrapes. */
static const struct fg_control_http_limits limits = {
    .connections = FG_CONTROL_PEERS_CAPACITY(CONNECTIONS), .timeout_s = 5, .memory = 8192};

/* Takes fd. */
static struct fg_control_viewer *start(int fd, const char *listen, unsigned routes_count,
                                       const struct fg_control_daemon *daemon, struct fg_error *err)
{
    struct fg_control_viewer *viewer;

    if (fd < 0)
        return NULL;
    viewer = calloc(1, sizeof(*viewer));
    if (viewer) {
        viewer->server.daemon = *daemon;
        viewer->server.routes = routes;
        viewer->server.routes_count = routes_count;
        pthread_mutex_init(&viewer->server.lock, NULL);
        fg_control_streams_init(&viewer->streams, &viewer->server);
        viewer->server.peers = fg_control_peers_create(CONNECTIONS);
        viewer->server.server =
            viewer->server.peers ? fg_control_http_start(&viewer->server, fd, &limits) : NULL;
    }
    if (!viewer || !viewer->server.server) {
        fg_fail(err, "viewer: the HTTP server at %s does not start: no memory or no thread",
                listen);
        if (viewer) {
            fg_control_streams_free(&viewer->streams);
            fg_control_peers_destroy(viewer->server.peers);
        }
        free(viewer);
        close(fd);
        return NULL;
    }
    return viewer;
}

struct fg_control_viewer *fg_control_viewer_start(const char *listen,
                                                  const struct fg_control_daemon *daemon,
                                                  struct fg_error *err)
{
    return start(open_listener(listen, err), listen, ROUTES - SOCKET_ROUTES, daemon, err);
}

struct fg_control_viewer *fg_control_viewer_start_socket(const char *path, unsigned mode,
                                                         const char *group,
                                                         const struct fg_control_daemon *daemon,
                                                         struct fg_error *err)
{
    struct fg_control_viewer *viewer =
        start(fg_control_listen(path, mode, group, err), path, ROUTES, daemon, err);

    if (viewer)
        fg_control_own_socket(&viewer->server, path);
    return viewer;
}

void fg_control_viewer_stop(struct fg_control_viewer *viewer)
{
    if (!viewer)
        return;
    fg_control_remove_socket(&viewer->server);
    fg_control_streams_stop(&viewer->streams);
    MHD_stop_daemon(viewer->server.server); /* closes the listening socket */
    forget(&viewer->metrics);
    forget(&viewer->status);
    fg_control_streams_free(&viewer->streams);
    fg_control_peers_destroy(viewer->server.peers);
    pthread_mutex_destroy(&viewer->server.lock);
    free(viewer);
}
