/* SPDX-License-Identifier: BSD-3-Clause */
/** config, private: the list of what is wrong with a file, one line each. */
#ifndef FG_CONFIG_PROBLEM_H
#define FG_CONFIG_PROBLEM_H

#include "base/base.h"

#define FG_CONFIG_PROBLEMS_SHOWN 100 /* further ones are only counted */

struct fg_config_problems {
    const char *path;
    FILE *out;
    unsigned count;
};

/** Writes one line `FILE:LINE: ...`. The caller must not pass a secret. */
__attribute__((format(printf, 3, 4))) void fg_config_problem(struct fg_config_problems *p,
                                                             unsigned line, const char *fmt, ...);

#endif
