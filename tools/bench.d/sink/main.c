/* SPDX-License-Identifier: BSD-3-Clause */
/*
 *   bench_sink log DIR ORDERS
 *   bench_sink sink-redis DIR ADDRESS BATCH       the sinks of the appliance
 *   bench_sink sink-postgres DIR CONNINFO BATCH
 *   bench_sink sink-kafka DIR BROKERS BATCH
 *   bench_sink plain-redis DIR ADDRESS            the same, written plainly
 *   bench_sink plain-postgres DIR CONNINFO
 *   bench_sink plain-kafka DIR BROKERS
 *
 * Prints {"events": N, "seconds": S}.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "sink/sink.h"

#define TIMEOUT_MS 60000

void die(const char *what)
{
    fprintf(stderr, "bench_sink: %s\n", what);
    exit(1);
}

uint64_t now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void nothing(void *ctx, const struct fg_journal_record *records, size_t n)
{
    *(uint64_t *)ctx = records[n - 1].seq;
}

static struct fg_sink *start(const char *kind, const char *dir, const char *where, unsigned batch,
                             const _Atomic uint64_t *durable)
{
    struct fg_sink_postgres_options p = {
        .schema = "floodgate", .batch_max = batch, .timeout_ms = TIMEOUT_MS, .retry_ms_max = 1000};
    struct fg_redis_options r = {.prefix = "sink",
                                 .batch_max = batch,
                                 .stream_max = 1000000,
                                 .timeout_ms = TIMEOUT_MS,
                                 .retry_ms_max = 1000};
    struct fg_sink_kafka_options k = {
        .topic = KAFKA_TOPIC, .batch_max = batch, .timeout_ms = TIMEOUT_MS, .retry_ms_max = 1000};
    struct fg_error err;
    struct fg_sink *sink;

    snprintf(k.brokers, sizeof(k.brokers), "%s", where);
    snprintf(p.conninfo, sizeof(p.conninfo), "%s", where);
    snprintf(r.address, sizeof(r.address), "%s", where);
    sink = !strcmp(kind, "sink-redis")   ? fg_sink_redis_start(&r, dir, durable, &err)
           : !strcmp(kind, "sink-kafka") ? fg_sink_kafka_start(&k, dir, durable, &err)
                                         : fg_sink_postgres_start(&p, dir, durable, &err);
    if (!sink)
        die(err.text);
    return sink;
}

/* From the start of the sink to the moment at which its cursor has reached the end of the log. */
static uint64_t follow(const char *kind, const char *dir, const char *where, unsigned batch)
{
    static _Atomic uint64_t durable;
    struct fg_sink_status status = {0};
    uint64_t last = 0, events = each_record(dir, nothing, &last);
    struct fg_sink *sink;

    atomic_store(&durable, last);
    sink = start(kind, dir, where, batch, &durable);
    do {
        usleep(500);
        fg_sink_status(sink, &status);
        if (status.state == FG_SINK_REFUSED)
            die(status.error);
    } while (status.cursor < last);
    fg_sink_stop(sink, 0);
    return events;
}

int main(int argc, char **argv)
{
    uint64_t from, events;

    if (argc < 4)
        die("usage: see the source");
    from = now_us();
    if (!strcmp(argv[1], "log")) {
        make_log(argv[2], strtoull(argv[3], NULL, 10));
        events = 0;
    } else if (!strcmp(argv[1], "plain-redis")) {
        events = plain_redis(argv[2], argv[3]);
    } else if (!strcmp(argv[1], "plain-postgres")) {
        events = plain_postgres(argv[2], argv[3]);
    } else if (!strcmp(argv[1], "plain-kafka")) {
        events = plain_kafka(argv[2], argv[3]);
    } else if (argc == 5) {
        events = follow(argv[1], argv[2], argv[3], (unsigned)strtoul(argv[4], NULL, 10));
    } else {
        die("usage: see the source");
    }
    printf("{\"events\": %" PRIu64 ", \"seconds\": %.6f}\n", events,
           (double)(now_us() - from) / 1e6);
    return 0;
}
