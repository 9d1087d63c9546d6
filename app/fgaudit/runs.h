/* SPDX-License-Identifier: BSD-3-Clause */
/** runs: a directory of logs, one of each run of an appliance: each is audited by itself, by this
 * very program. */
#ifndef FG_AUDIT_RUNS_H
#define FG_AUDIT_RUNS_H

#include "base/base.h"

struct fg_runs_options {
    const char *dir;  /* of the logs: each in a directory of its own */
    const char *json; /* NULL = none, "-" = standard output */
    uint64_t settle_ms, limit_lists;
};

/** The exit code: the worst of all. */
int fg_runs_audit(const struct fg_runs_options *options);

#endif
