/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "control/call.h"
#include "control/http.h"
#include "control/peers.h"
#include "control/routes.h"
#include "control/socket.h"

/* Each connection has a thread, so that /healthz waits for no other request; all else is handled
 * one at a time. Signals are the main thread's: the server's threads are born with all of them
 * blocked. */
static struct MHD_Daemon *start_server(struct fg_control *control, int fd)
{
    sigset_t all, before;
    struct MHD_Daemon *server;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    server = MHD_start_daemon(
        MHD_USE_AUTO | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
            MHD_USE_ITC,
        0, NULL, NULL, fg_control_http_access, control, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)FG_CONTROL_PEERS_CAPACITY(FG_CONTROL_CONNECTIONS),
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)FG_CONTROL_TIMEOUT_S, MHD_OPTION_NOTIFY_COMPLETED,
        fg_control_http_completed, control, MHD_OPTION_NOTIFY_CONNECTION, fg_control_peers_notify,
        control->peers, MHD_OPTION_END);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return server;
}

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
        control->server = control->peers ? start_server(control, fd) : NULL;
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

void fg_control_stop(struct fg_control *control)
{
    if (!control)
        return;
    fg_control_remove_socket(control);
    MHD_stop_daemon(
        control->server); /* lets the running request end; closes the listening socket */
    fg_control_peers_destroy(control->peers);
    pthread_mutex_destroy(&control->lock);
    free(control);
}
