/* SPDX-License-Identifier: BSD-3-Clause */
#include "sink/kafka/client.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define SLICE_MS  100
#define LINE_SIZE 1024

/* Exactly-once rests on these; the rest is the operator's. */
static const char *const owned[] = {"bootstrap.servers",
                                    "metadata.broker.list",
                                    "transactional.id",
                                    "transaction.timeout.ms",
                                    "message.timeout.ms",
                                    "delivery.timeout.ms",
                                    "socket.timeout.ms",
                                    "enable.idempotence",
                                    "acks",
                                    "request.required.acks",
                                    "isolation.level",
                                    "enable.partition.eof",
                                    "max.in.flight",
                                    "max.in.flight.requests.per.connection",
                                    "enable.gapless.guarantee",
                                    "queue.buffering.max.messages",
                                    "queue.buffering.max.kbytes",
                                    "test.mock.num.brokers",
                                    NULL};

/* ---- settings -------------------------------------------------------------------------------- */

static char *trim(char *text)
{
    char *end;

    while (isspace((unsigned char)*text))
        text++;
    end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        end--;
    *end = '\0';
    return text;
}

static bool set(rd_kafka_conf_t *conf, const char *name, const char *value, struct fg_error *err)
{
    char why[256];

    if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) == RD_KAFKA_CONF_OK)
        return true;
    return fg_fail(err, "kafka: %s", why);
}

static bool set_number(rd_kafka_conf_t *conf, const char *name, uint64_t value,
                       struct fg_error *err)
{
    char text[32];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    return set(conf, name, text, err);
}

static bool property(rd_kafka_conf_t *conf, char *line, struct fg_error *err)
{
    char *name = trim(line), *value = strchr(name, '=');

    if (!*name || *name == '#')
        return true;
    if (!value)
        return fg_fail(err, "not `NAME = VALUE`");
    *value++ = '\0';
    name = trim(name);
    for (unsigned i = 0; owned[i]; i++)
        if (!strcmp(name, owned[i]))
            return fg_fail(err, "%s: set by the appliance, must not be given", name);
    return set(conf, name, trim(value), err);
}

static bool properties(rd_kafka_conf_t *conf, const char *path, struct fg_error *err)
{
    FILE *f = fopen(path, "re");
    struct fg_error why;
    char line[LINE_SIZE];
    bool ok = true;

    if (!f)
        return fg_fail(err, "%s: %s", path, strerror(errno));
    for (unsigned number = 1; ok && fgets(line, sizeof(line), f); number++) {
        ok = strchr(line, '\n') || feof(f) ? property(conf, line, &why)
                                           : fg_fail(&why, "longer than 1023 bytes");
        if (!ok)
            fg_fail(err, "%s:%u: %.400s", path, number, why.text);
    }
    explicit_bzero(line, sizeof(line));
    fclose(f);
    return ok;
}

static bool topic_ok(const char *topic)
{
    size_t len = strlen(topic);

    return len >= 1 && len <= FG_SINK_KAFKA_TOPIC_MAX && strcmp(topic, ".") != 0 &&
           strcmp(topic, "..") != 0 &&
           strspn(topic, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               len;
}

static bool check(const struct fg_sink_kafka_options *o, struct fg_error *err)
{
    if (!o->brokers[0])
        return fg_fail(err, "kafka: no brokers");
    if (!topic_ok(o->topic))
        return fg_fail(err, "kafka topic '%s', accepted: 1..%d letters, digits, . _ -", o->topic,
                       FG_SINK_KAFKA_TOPIC_MAX);
    if (o->batch_max < 1 || o->batch_max > FG_SINK_KAFKA_BATCH_MAX)
        return fg_fail(err, "kafka batch of %u records, accepted: 1..%d", o->batch_max,
                       FG_SINK_KAFKA_BATCH_MAX);
    if (o->timeout_ms < 1000 || o->timeout_ms > 300000)
        return fg_fail(err, "kafka timeout of %u ms, accepted: 1000..300000", o->timeout_ms);
    if (o->retry_ms_max < 1 || o->retry_ms_max > 3600000)
        return fg_fail(err, "kafka retry pause of %u ms, accepted: 1..3600000", o->retry_ms_max);
    return true;
}

bool fg_sink_kafka_setup_init(struct fg_sink_kafka_setup *s,
                              const struct fg_sink_kafka_options *options, struct fg_error *err)
{
    *s = (struct fg_sink_kafka_setup){.options = *options};
    if (!check(options, err))
        return false;
    snprintf(s->cursor_topic, sizeof(s->cursor_topic), "%s" FG_SINK_KAFKA_CURSOR_SUFFIX,
             options->topic);
    snprintf(s->transactional_id, sizeof(s->transactional_id),
             options->members ? "%s.member.%u" : "%s", options->topic, options->member);
    s->partition = options->members ? (int)options->member : 0;
    s->conf = rd_kafka_conf_new();
    /* These a properties file may change. Keys go to partitions as with Kafka's own clients. */
    return set(s->conf, "compression.type", "lz4", err) && set(s->conf, "linger.ms", "1", err) &&
           set(s->conf, "socket.nagle.disable", "true", err) &&
           set(s->conf, "partitioner", "murmur2_random", err) &&
           (!options->properties_file[0] || properties(s->conf, options->properties_file, err)) &&
           set(s->conf, "bootstrap.servers", options->brokers, err);
}

void fg_sink_kafka_setup_free(struct fg_sink_kafka_setup *s)
{
    if (s->conf)
        rd_kafka_conf_destroy(s->conf);
    s->conf = NULL;
}

/* ---- handles --------------------------------------------------------------------------------- */

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct fg_sink_kafka_client *c = opaque;

    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        c->all_down = true;
    if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || !c->trouble[0])
        snprintf(c->trouble, sizeof(c->trouble), "%s", reason);
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct fg_sink_kafka_client *c = opaque;

    if (message->err && !c->delivery)
        c->delivery = message->err;
    if (!message->err)
        c->delivered_offset = message->offset;
}

/* The log of the appliance is its own: what matters comes by on_error. */
static void no_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
}

static bool configure_producer(rd_kafka_conf_t *conf, const struct fg_sink_kafka_setup *s,
                               struct fg_error *err)
{
    const struct fg_sink_kafka_options *o = &s->options;

    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return set(conf, "transactional.id", s->transactional_id, err) &&
           set_number(conf, "transaction.timeout.ms", o->timeout_ms + 5000, err) &&
           set_number(conf, "message.timeout.ms", o->timeout_ms, err) &&
           set_number(conf, "queue.buffering.max.messages", FG_SINK_KAFKA_BATCH_MAX + 1000, err) &&
           set_number(conf, "queue.buffering.max.kbytes", 1 << 20, err);
}

static bool configure_consumer(rd_kafka_conf_t *conf, struct fg_error *err)
{
    return set(conf, "isolation.level", "read_committed", err) &&
           set(conf, "enable.partition.eof", "true", err);
}

bool fg_sink_kafka_client_open(struct fg_sink_kafka_client *c, const struct fg_sink_kafka_setup *s,
                               rd_kafka_type_t type, struct fg_error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_dup(s->conf);
    char why[256] = "";
    bool ok;

    *c = (struct fg_sink_kafka_client){.delivered_offset = -1};
    rd_kafka_conf_set_opaque(conf, c);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, no_log);
    ok = set_number(conf, "socket.timeout.ms", s->options.timeout_ms, err) &&
         (type == RD_KAFKA_PRODUCER ? configure_producer(conf, s, err)
                                    : configure_consumer(conf, err));
    if (ok && !(c->rk = rd_kafka_new(type, conf, why, sizeof(why))))
        ok = fg_fail(err, "kafka: %s", why);
    if (!ok) {
        rd_kafka_conf_destroy(conf);
        return false;
    }
    c->events = rd_kafka_topic_new(c->rk, s->options.topic, NULL);
    c->cursor = rd_kafka_topic_new(c->rk, s->cursor_topic, NULL);
    if (c->events && c->cursor)
        return true;
    fg_fail(err, "kafka: %s", rd_kafka_err2str(rd_kafka_last_error()));
    fg_sink_kafka_client_close(c);
    return false;
}

void fg_sink_kafka_client_close(struct fg_sink_kafka_client *c)
{
    if (!c->rk)
        return;
    if (rd_kafka_type(c->rk) == RD_KAFKA_PRODUCER) {
        rd_kafka_purge(c->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_poll(c->rk, 0);
    }
    if (c->events)
        rd_kafka_topic_destroy(c->events);
    if (c->cursor)
        rd_kafka_topic_destroy(c->cursor);
    rd_kafka_destroy(c->rk);
    *c = (struct fg_sink_kafka_client){.delivered_offset = -1};
}

bool fg_sink_kafka_client_fail(struct fg_sink_kafka_client *c, struct fg_error *err,
                               const char *what, const char *reason)
{
    rd_kafka_poll(c->rk, 0);
    if (c->trouble[0] && !strstr(c->trouble, reason))
        return fg_fail(err, "%s: %.160s (%.240s)", what, reason, c->trouble);
    return fg_fail(err, "%s: %.400s", what, c->trouble[0] ? c->trouble : reason);
}

static int slice(const struct fg_wait *wait, uint64_t deadline_ms, uint64_t wanted_ms)
{
    uint64_t now = fg_clock_mono_ms();

    if (fg_wait_over(wait, deadline_ms) || now >= deadline_ms)
        return 0;
    return (int)(deadline_ms - now < wanted_ms ? deadline_ms - now : wanted_ms);
}

int fg_sink_kafka_slice(const struct fg_wait *wait, uint64_t deadline_ms)
{
    return slice(wait, deadline_ms, SLICE_MS);
}

int fg_sink_kafka_slice_anew(const struct fg_wait *wait, uint64_t from_ms, uint64_t deadline_ms)
{
    return slice(wait, deadline_ms, SLICE_MS + (fg_clock_mono_ms() - from_ms));
}
