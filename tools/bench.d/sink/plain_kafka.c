/* SPDX-License-Identifier: BSD-3-Clause */
/* An idempotent producer with the sink's settings that makes the same events, and keeps no cursor.
 */
#include <librdkafka/rdkafka.h>

#include "bench.h"
#include "sink/kafka/event.h"

#define WAIT_MS 120000

struct producer {
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
};

static rd_kafka_t *make_producer(const char *brokers)
{
    static const char *const settings[][2] = {
        {"enable.idempotence", "true"},    {"compression.type", "lz4"},
        {"partitioner", "murmur2_random"}, {"linger.ms", "1"},
        {"socket.nagle.disable", "true"},  {"queue.buffering.max.messages", "100000"}};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[256];
    rd_kafka_t *rk;

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why, sizeof(why)))
            die(why);
    if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof(why)) ||
        !(rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why))))
        die(why);
    return rk;
}

static void produce(void *ctx, const struct fg_journal_record *records, size_t n)
{
    struct producer *p = ctx;
    struct fg_sink_kafka_event e;

    for (size_t i = 0; i < n; i++) {
        if (!fg_sink_kafka_event_record(&e, &records[i]))
            die("a record of unknown type");
        while (e.value_len && rd_kafka_produce(p->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                                               e.value, e.value_len, e.key, e.key_len, NULL)) {
            if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
                die(rd_kafka_err2str(rd_kafka_last_error()));
            rd_kafka_poll(p->rk, 10);
        }
    }
    rd_kafka_poll(p->rk, 0);
}

uint64_t plain_kafka(const char *dir, const char *brokers)
{
    struct producer p = {.rk = make_producer(brokers)};
    uint64_t events;

    p.topic = rd_kafka_topic_new(p.rk, KAFKA_TOPIC, NULL);
    events = each_record(dir, produce, &p);
    if (rd_kafka_flush(p.rk, WAIT_MS))
        die("not all was acknowledged");
    rd_kafka_topic_destroy(p.topic);
    rd_kafka_destroy(p.rk);
    return events;
}
