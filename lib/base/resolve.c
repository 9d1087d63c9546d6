/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/thread.h"

struct lookup {
    _Atomic unsigned owners; /* the caller and the thread: the last one frees */
    int done_fd;             /* eventfd */
    int problem;             /* of getaddrinfo */
    char host[256];
    struct fg_resolve_list list;
};

static _Atomic unsigned pending;

static void leave(struct lookup *l)
{
    if (atomic_fetch_sub(&l->owners, 1) != 1)
        return;
    close(l->done_fd);
    free(l);
}

static void *look_up(void *arg)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    struct lookup *l = arg;
    uint64_t one = 1;

    l->problem = getaddrinfo(l->host, NULL, &hints, &found);
    for (struct addrinfo *a = found; a && l->list.count < FG_RESOLVE_MAX; a = a->ai_next)
        if (!getnameinfo(a->ai_addr, a->ai_addrlen, l->list.text[l->list.count],
                         sizeof(l->list.text[0]), NULL, 0, NI_NUMERICHOST))
            l->list.count++;
    if (found)
        freeaddrinfo(found);
    if (write(l->done_fd, &one, sizeof(one)) < 0)
        l->problem = EAI_SYSTEM; /* never: the counter is 0 */
    atomic_fetch_sub(&pending, 1);
    leave(l);
    return NULL;
}

static struct lookup *begin(const char *host)
{
    struct lookup *l;
    pthread_t thread;

    if (atomic_fetch_add(&pending, 1) >= FG_RESOLVE_PENDING) {
        atomic_fetch_sub(&pending, 1);
        return NULL;
    }
    l = calloc(1, sizeof(*l));
    FG_ASSERT(l);
    snprintf(l->host, sizeof(l->host), "%s", host);
    atomic_store(&l->owners, 2);
    l->done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (l->done_fd >= 0 && fg_thread_start(&thread, "fg-resolve", look_up, l)) {
        pthread_detach(thread);
        return l;
    }
    if (l->done_fd >= 0)
        close(l->done_fd);
    free(l);
    atomic_fetch_sub(&pending, 1);
    return NULL;
}

static bool is_numeric(const char *host)
{
    uint8_t address[16];

    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

bool fg_resolve(const char *host, const struct fg_wait *wait, uint64_t deadline_ms,
                struct fg_resolve_list *list, struct fg_error *err)
{
    struct lookup *l;
    bool done = false;

    *list = (struct fg_resolve_list){0};
    if (is_numeric(host)) {
        list->count = 1;
        snprintf(list->text[0], sizeof(list->text[0]), "%s", host);
        return true;
    }
    l = begin(host);
    if (!l)
        return fg_fail(err, "%s: earlier look-ups of names have no answer yet", host);
    while (!done && !fg_wait_over(wait, deadline_ms))
        done = fg_wait_fd(wait, l->done_fd, POLLIN, deadline_ms) & POLLIN;
    if (!done)
        fg_fail(err, "%s: no name server answers", host);
    else if (l->problem)
        fg_fail(err, "%s: %s", host, gai_strerror(l->problem));
    else if (!l->list.count)
        fg_fail(err, "%s: the name has no address", host);
    else
        *list = l->list;
    leave(l);
    return list->count > 0;
}
