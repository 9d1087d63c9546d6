/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/problem.h"

#include <stdarg.h>

void fg_config_problem(struct fg_config_problems *p, unsigned line, const char *fmt, ...)
{
    va_list args;

    if (p->count++ >= FG_CONFIG_PROBLEMS_SHOWN)
        return;
    fprintf(p->out, "%s:%u: ", p->path, line);
    va_start(args, fmt);
    vfprintf(p->out, fmt, args);
    va_end(args);
    fputc('\n', p->out);
}
