/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/diag.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 2200 /* less than PIPE_BUF */

static bool under_systemd;
static pthread_mutex_t lock =
    PTHREAD_MUTEX_INITIALIZER; /* of the order of lines; held for no wait */
static _Atomic uint64_t lost;
static uint64_t told; /* of them */

void fg_diag_open(void)
{
    under_systemd = getenv("JOURNAL_STREAM") != NULL;
}

static const char *level_name(enum fg_diag_level level)
{
    switch (level) {
#define X(name, priority, text)                                                                    \
    case FG_DIAG_##name:                                                                           \
        return text;
        FG_DIAG_LIST(X)
#undef X
    }
    return "?";
}

/* Never waits. A pipe with room for PIPE_BUF bytes takes a line at once, because no other thread
 * of this process writes meanwhile. A reader that stalls costs lines, not the sale. */
static bool give(const char *line, size_t len)
{
    struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};
    ssize_t n = send(STDERR_FILENO, line, len, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0 && errno == ENOTSOCK)
        n = poll(&fd, 1, 0) == 1 && fd.revents & POLLOUT ? write(STDERR_FILENO, line, len) : -1;
    return n >= 0;
}

/* The time and the level, or the priority for systemd; returns its length. */
static size_t write_head(enum fg_diag_level level, char *out, size_t size)
{
    char when[32];
    struct timespec now;
    struct tm tm;

    if (under_systemd)
        return (size_t)snprintf(out, size, "<%d>", (int)level);
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
    return (size_t)snprintf(out, size, "%s.%03ldZ %-7s ", when, now.tv_nsec / 1000000,
                            level_name(level));
}

/* How many lines were lost, as soon as one is taken again. */
static bool tell_lost(void)
{
    uint64_t n = atomic_load(&lost) - told;
    char line[192];
    size_t len = write_head(FG_DIAG_WARNING, line, sizeof(line));

    if (!n)
        return true;
    len += (size_t)snprintf(line + len, sizeof(line) - len,
                            "%llu lines were lost here: the reader of this log did not read\n",
                            (unsigned long long)n);
    told += give(line, len) ? n : 0;
    return atomic_load(&lost) == told;
}

static void write_line(enum fg_diag_level level, const char *text, size_t len)
{
    char line[LINE_BYTES];
    size_t head = write_head(level, line, sizeof(line));

    len = len < sizeof(line) - head - 1 ? len : sizeof(line) - head - 1;
    memcpy(line + head, text, len);
    line[head + len] = '\n';
    pthread_mutex_lock(&lock);
    if (!tell_lost() || !give(line, head + len + 1))
        atomic_fetch_add(&lost, 1);
    pthread_mutex_unlock(&lock);
}

uint64_t fg_diag_lost(void)
{
    return atomic_load(&lost);
}

void fg_diag_lines(enum fg_diag_level level, const char *text, size_t len)
{
    while (len > 0) {
        const char *end = memchr(text, '\n', len);
        size_t n = end ? (size_t)(end - text) : len;

        if (n > 0)
            write_line(level, text, n);
        n += end != NULL;
        text += n;
        len -= n;
    }
}

void fg_diag(enum fg_diag_level level, const char *fmt, ...)
{
    char text[2048];
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (n > 0)
        fg_diag_lines(level, text, strnlen(text, sizeof(text)));
}
