/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "control/call.h"
#include "control/http.h"
#include "control/peers.h"
#include "control/routes.h"
#include "control/socket.h"

#define MEMORY     32768 /* of a connection, bytes */
#define CAPTURE_MS 1000  /* for the end of a capture */

static const struct fg_control_http_limits limits = {
    .connections = FG_CONTROL_PEERS_CAPACITY(FG_CONTROL_CONNECTIONS),
    .timeout_s = FG_CONTROL_TIMEOUT_S,
    .memory = MEMORY};

struct fg_control *fg_control_start(const char *socket_path, unsigned mode, const char *group,
                                    const struct fg_control_daemon *daemon, struct fg_error *err)
{
    struct fg_control *control;
    int fd = fg_control_listen(socket_path, mode, group, err);

    if (fd < 0)
        return NULL;
    control = calloc(1, sizeof(*control));
    if (control) {
        control->daemon = *daemon;
        control->routes = fg_control_routes;
        control->routes_count = fg_control_routes_count;
        control->body_max = FG_CONTROL_BODY_MAX;
        pthread_mutex_init(&control->lock, NULL);
        control->peers = fg_control_peers_create(FG_CONTROL_CONNECTIONS);
        fg_control_own_socket(control, socket_path);
        control->server = control->peers ? fg_control_http_start(control, fd, &limits) : NULL;
    }
    if (!control || !control->server) {
        fg_fail(err, "control socket %s: the HTTP server does not start: no memory or no thread",
                socket_path);
        if (control)
            fg_control_peers_destroy(control->peers);
        free(control);
        close(fd);
        unlink(socket_path);
        return NULL;
    }
    return control;
}

/* The client of a capture is told its end, before the connections are cut. */
static void end_capture(struct fg_control *control)
{
    bool capturing = true;

    atomic_store(&control->stopping, true);
    for (unsigned ms = 0; capturing && ms < CAPTURE_MS; ms++) {
        pthread_mutex_lock(&control->lock);
        capturing = control->capturing;
        pthread_mutex_unlock(&control->lock);
        if (capturing)
            fg_clock_sleep_us(1000);
    }
}

void fg_control_stop(struct fg_control *control)
{
    if (!control)
        return;
    fg_control_remove_socket(control);
    end_capture(control);
    MHD_stop_daemon(
        control->server); /* lets the running request end; closes the listening socket */
    fg_control_peers_destroy(control->peers);
    pthread_mutex_destroy(&control->lock);
    free(control);
}
