/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/diag.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

static bool under_systemd;

void fg_diag_open(void)
{
    under_systemd = getenv("JOURNAL_STREAM") != NULL;
    setvbuf(stderr, NULL, _IOLBF, 4096);
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

static void write_line(enum fg_diag_level level, const char *line, size_t len)
{
    char when[32];
    struct timespec now;
    struct tm tm;

    if (under_systemd) {
        fprintf(stderr, "<%d>%.*s\n", (int)level, (int)len, line);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
    fprintf(stderr, "%s.%03ldZ %-7s %.*s\n", when, now.tv_nsec / 1000000, level_name(level),
            (int)len, line);
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
