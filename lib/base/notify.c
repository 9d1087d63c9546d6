/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"

#define TELL_MS 2000 /* between two lines of one step */

void fg_notify(const char *state)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path ? strlen(path) : 0;
    int fd;

    if (len < 2 || len >= sizeof(to.sun_path) || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(to.sun_path, path, len);
    if (path[0] == '@') /* abstract */
        to.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
                         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
        fg_diag(FG_DIAG_WARNING, "cannot tell systemd %s through %s", state, path);
    if (fd >= 0)
        close(fd);
}

void fg_notify_progress(struct fg_notify_progress *p, uint64_t done, uint64_t of)
{
    uint64_t now_ms = fg_clock_mono_ms();
    char text[160];

    if (p->told_ms == 0)
        p->told_ms = now_ms;
    if (now_ms - p->told_ms < TELL_MS)
        return;
    p->told_ms = now_ms;
    snprintf(text, sizeof(text), "%s: %s %llu of %llu", p->what, p->unit, (unsigned long long)done,
             (unsigned long long)of);
    fg_diag(FG_DIAG_INFO, "%s", text);
    snprintf(text, sizeof(text), "STATUS=%s: %s %llu of %llu\nEXTEND_TIMEOUT_USEC=30000000",
             p->what, p->unit, (unsigned long long)done, (unsigned long long)of);
    fg_notify(text);
}
