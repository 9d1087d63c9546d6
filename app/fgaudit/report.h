/* SPDX-License-Identifier: BSD-3-Clause */
/** report: the result as JSON for programs and as text for people. */
#ifndef FG_AUDIT_REPORT_H
#define FG_AUDIT_REPORT_H

#include "client.h"
#include "peer.h"
#include "postgres.h"
#include "redis.h"

struct fg_report {
    const struct fg_problems *problems;
    const struct fg_story *story;
    const struct fg_log *log;
    uint64_t snapshots;                       /* compared with the log */
    const struct fg_postgres_audit *postgres; /* NULL = not asked for */
    const struct fg_redis_audit *redis;       /* NULL = not asked for */
    const struct fg_peer *peer;               /* NULL = not asked for */
    const struct fg_client *client;           /* NULL = not asked for */
    uint64_t oversold;
    uint64_t elapsed_ms;
};

bool fg_report_passed(const struct fg_report *r);
void fg_report_json(const struct fg_report *r, FILE *out);
void fg_report_text(const struct fg_report *r, FILE *out);

/* Parts of these. */
void fg_report_string(FILE *out, const char *text); /**< as JSON */
void fg_report_problems_json(const struct fg_problems *p, FILE *out);
void fg_report_problems_text(const struct fg_problems *p, FILE *out);

#endif
