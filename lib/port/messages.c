/* SPDX-License-Identifier: BSD-3-Clause */
#include "port/messages.h"

#include "base/diag.h"

#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include <bpf/libbpf.h>
#include <rte_log.h>
#include <xdp/libxdp.h>

static enum fg_diag_level of_eal(int level)
{
    if (level <= 0 || level > (int)RTE_LOG_NOTICE)
        return FG_DIAG_INFO;
    if (level <= (int)RTE_LOG_ERR)
        return FG_DIAG_ERROR;
    return level == (int)RTE_LOG_WARNING ? FG_DIAG_WARNING : FG_DIAG_NOTICE;
}

static char eal_last[256];

const char *fg_port_messages_eal_said(void)
{
    return eal_last;
}

/* "EAL: FATAL: Cannot init memory" */
static void keep_error(const char *text, size_t len)
{
    snprintf(eal_last, sizeof(eal_last), "%.*s", (int)len, text);
    eal_last[strcspn(eal_last, "\n")] = '\0';
}

static ssize_t take_eal(void *cookie, const char *text, size_t len)
{
    if (rte_log_cur_msg_loglevel() <= (int)RTE_LOG_ERR)
        keep_error(text, len);
    fg_diag_lines(of_eal(rte_log_cur_msg_loglevel()), text, len);
    return (ssize_t)len;
}

void fg_port_messages_take_eal(void)
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

__attribute__((format(printf, 2, 0))) static int keep_bpf(enum libbpf_print_level level,
                                                          const char *fmt, va_list args)
{
    if (level == LIBBPF_WARN)
        keep(fmt, args);
    return 0;
}

__attribute__((format(printf, 2, 0))) static int keep_xdp(enum libxdp_print_level level,
                                                          const char *fmt, va_list args)
{
    if (level == LIBXDP_WARN)
        keep(fmt, args);
    return 0;
}

void fg_port_messages_take_xdp(void)
{
    libbpf_set_print(keep_bpf);
    libxdp_set_print(keep_xdp);
}

const char *fg_port_messages_xdp_said(void)
{
    static char said[sizeof(xdp_last)];

    memcpy(said, xdp_last, sizeof(said));
    xdp_last[0] = '\0';
    return said;
}
