/* SPDX-License-Identifier: BSD-3-Clause */
/* What a program would write that need not be right after a crash: no transaction over several
 * commands, no cursor. */
#include <inttypes.h>
#include <string.h>

#include <hiredis/hiredis.h>
#include <libpq-fe.h>

#include "bench.h"
#include "redis/address.h"
#include "redis/command.h"
#include "sink/redis/batch.h"

static void hex(char text[33], const uint8_t id[16])
{
    for (int i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", id[i]);
}

static bool is_order(const struct fg_journal_record *r)
{
    return r->type == FG_JOURNAL_RECORD_RESERVED || r->type == FG_JOURNAL_RECORD_SOLD ||
           r->type == FG_JOURNAL_RECORD_CANCELLED || r->type == FG_JOURNAL_RECORD_EXPIRED;
}

/* ---- Redis: what the sink sends, without MULTI and EXEC, and without watching the cursor ----- */

#define MULTI "*1\r\n$5\r\nMULTI\r\n"
#define EXEC  "*1\r\n$4\r\nEXEC\r\n"

struct plain {
    redisContext *redis;
    struct fg_sink_redis_batch batch;
};

static void write_redis(void *ctx, const struct fg_journal_record *records, size_t n)
{
    struct plain *p = ctx;
    const struct fg_redis_resp *out = &p->batch.out;
    size_t begin = strlen(MULTI), end = strlen(EXEC);

    if (!fg_sink_redis_batch_build(&p->batch, records, n, 1) ||
        memcmp(out->data, MULTI, begin) != 0 || memcmp(out->data + out->len - end, EXEC, end) != 0)
        die("not the transaction that was expected");
    redisAppendFormattedCommand(p->redis, out->data + begin, out->len - begin - end);
    for (size_t i = 0; i < out->commands - 2; i++) {
        redisReply *reply;

        if (redisGetReply(p->redis, (void **)&reply) != REDIS_OK ||
            reply->type == REDIS_REPLY_ERROR)
            die("Redis does not take it");
        freeReplyObject(reply);
    }
}

uint64_t plain_redis(const char *dir, const char *address)
{
    struct fg_redis_address where;
    struct fg_error err;
    struct plain p;
    redisContext *c;
    uint64_t n;

    if (!fg_redis_address_parse(address, &where, &err))
        die(err.text);
    c = where.is_unix ? redisConnectUnix(where.host) : redisConnect(where.host, where.port);
    if (!c || c->err)
        die("no Redis");
    p.redis = c;
    if (!fg_sink_redis_batch_init(&p.batch, "plain", 1000000, PLAIN_BATCH))
        die("out of memory");
    n = each_record(dir, write_redis, &p);
    fg_sink_redis_batch_free(&p.batch);
    redisFree(c);
    return n;
}

/* ---- PostgreSQL: a row for each record, by COPY ---------------------------------------------- */

static void must(PGconn *pg, PGresult *result, ExecStatusType wanted)
{
    if (PQresultStatus(result) != wanted)
        die(PQerrorMessage(pg));
    PQclear(result);
}

static void write_postgres(void *ctx, const struct fg_journal_record *records, size_t n)
{
    static char text[PLAIN_BATCH * 256];
    PGconn *pg = ctx;
    size_t len = 0;
    char id[33];

    must(pg, PQexec(pg, "COPY plain FROM STDIN"), PGRES_COPY_IN);
    for (size_t i = 0; i < n; i++) {
        const struct fg_journal_record *r = &records[i];

        if (!is_order(r))
            continue;
        hex(id, r->order_id);
        len += (size_t)snprintf(text + len, sizeof(text) - len,
                                "%" PRIu64 "\t%s\t%" PRIu64 "\t%u\t%s\t2026-11-26 09:00:00.123+00\t"
                                "2026-11-26 09:00:00.123+00\t%" PRIu64 "\n",
                                r->user, id, r->item, r->quantity, fg_journal_record_name(r->type),
                                r->seq);
    }
    if (PQputCopyData(pg, text, (int)len) != 1 || PQputCopyEnd(pg, NULL) != 1)
        die(PQerrorMessage(pg));
    must(pg, PQgetResult(pg), PGRES_COMMAND_OK);
    PQclear(PQgetResult(pg));
}

uint64_t plain_postgres(const char *dir, const char *conninfo)
{
    PGconn *pg = PQconnectdb(conninfo);
    uint64_t n;

    if (PQstatus(pg) != CONNECTION_OK)
        die(PQerrorMessage(pg));
    must(pg,
         PQexec(pg,
                "CREATE TABLE plain (user_id numeric(20) NOT NULL, order_id uuid NOT NULL, item "
                "numeric(20) NOT NULL,"
                " quantity integer NOT NULL, state text NOT NULL, deadline timestamptz NOT NULL,"
                " changed timestamptz NOT NULL, seq bigint NOT NULL)"),
         PGRES_COMMAND_OK);
    n = each_record(dir, write_postgres, pg);
    PQfinish(pg);
    return n;
}
