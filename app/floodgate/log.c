/* SPDX-License-Identifier: BSD-3-Clause */
#include "log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

#include <bpf/libbpf.h>
#include <rte_log.h>
#include <xdp/libxdp.h>

static bool under_systemd;

void fg_log_open(void)
{
    under_systemd = getenv("JOURNAL_STREAM") != NULL;
    setvbuf(stderr, NULL, _IOLBF, 4096);
}

static const char *level_name(enum fg_log_level level)
{
    switch (level) {
#define X(name, priority, text)                                                                              \
    case FG_LOG_##name:                                                                                      \
        return text;
        FG_LOG_LIST(X)
#undef X
    }
    return "?";
}

static void write_line(enum fg_log_level level, const char *line, size_t len)
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
    fprintf(stderr, "%s.%03ldZ %-7s %.*s\n", when, now.tv_nsec / 1000000, level_name(level), (int)len, line);
}

static void write_lines(enum fg_log_level level, const char *text, size_t len)
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

void fg_log(enum fg_log_level level, const char *fmt, ...)
{
    char text[2048];
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (n > 0)
        write_lines(level, text, strnlen(text, sizeof(text)));
}

static enum fg_log_level of_eal(int level)
{
    if (level <= 0 || level > (int)RTE_LOG_NOTICE)
        return FG_LOG_INFO;
    if (level <= (int)RTE_LOG_ERR)
        return FG_LOG_ERROR;
    return level == (int)RTE_LOG_WARNING ? FG_LOG_WARNING : FG_LOG_NOTICE;
}

static ssize_t take_eal(void *cookie, const char *text, size_t len)
{
    write_lines(of_eal(rte_log_cur_msg_loglevel()), text, len);
    return (ssize_t)len;
}

void fg_log_take_eal(void)
{
    FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = take_eal});

    if (!stream)
        return; /* EAL keeps its own stream */
    setvbuf(stream, NULL, _IOLBF, 1024);
    rte_openlog_stream(stream);
}

static char xdp_last[512];

__attribute__((format(printf, 1, 0))) static void keep(const char *fmt, va_list args)
{
    vsnprintf(xdp_last, sizeof(xdp_last), fmt, args);
    xdp_last[strcspn(xdp_last, "\n")] = '\0';
}

__attribute__((format(printf, 2, 0))) static int keep_bpf(enum libbpf_print_level level, const char *fmt,
                                                          va_list args)
{
    if (level == LIBBPF_WARN)
        keep(fmt, args);
    return 0;
}

__attribute__((format(printf, 2, 0))) static int keep_xdp(enum libxdp_print_level level, const char *fmt,
                                                          va_list args)
{
    if (level == LIBXDP_WARN)
        keep(fmt, args);
    return 0;
}

void fg_log_take_xdp(void)
{
    libbpf_set_print(keep_bpf);
    libxdp_set_print(keep_xdp);
}

const char *fg_log_xdp_said(void)
{
    static char said[sizeof(xdp_last)];

    memcpy(said, xdp_last, sizeof(said));
    xdp_last[0] = '\0';
    return said;
}
