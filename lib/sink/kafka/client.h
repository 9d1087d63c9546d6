/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * kafka_client: handles of librdkafka, made with the settings of the sink and of its properties
 * file, and their blocking calls cut into pieces, so that a stop ends each wait.
 */
#ifndef FG_SINK_KAFKA_CLIENT_H
#define FG_SINK_KAFKA_CLIENT_H

#include <librdkafka/rdkafka.h>

#include "base/wait.h"
#include "sink/sink.h"

#define FG_SINK_KAFKA_CURSOR_SUFFIX ".cursor"

/** One handle: of the consumer that reads the cursor, or of the producer. */
struct fg_sink_kafka_client {
    rd_kafka_t *rk; /**< NULL = closed */
    rd_kafka_topic_t *events, *cursor;
    char trouble[256];            /**< what librdkafka last complained of; "" = nothing */
    rd_kafka_resp_err_t delivery; /**< first record that could not be delivered: why */
    int64_t delivered_offset;     /**< of the record that was delivered last */
    bool all_down;                /**< no broker can be reached */
};

struct fg_sink_kafka_setup {
    struct fg_sink_kafka_options options;
    char cursor_topic[272];
    char transactional_id[288]; /**< the topic; in a fleet one for each member */
    int partition;              /**< of the cursor */
    rd_kafka_conf_t *conf;      /**< brokers and properties file; copied for each handle */
};

/** Checks the options and reads the properties file. False and err. */
bool fg_sink_kafka_setup_init(struct fg_sink_kafka_setup *setup,
                              const struct fg_sink_kafka_options *options, struct fg_error *err);
void fg_sink_kafka_setup_free(struct fg_sink_kafka_setup *setup);

/** A consumer that reads what is committed, or the transactional producer. Connects in the
 * background. */
bool fg_sink_kafka_client_open(struct fg_sink_kafka_client *c,
                               const struct fg_sink_kafka_setup *setup, rd_kafka_type_t type,
                               struct fg_error *err);

/** Drops undelivered messages; the next producer ends an open transaction. */
void fg_sink_kafka_client_close(struct fg_sink_kafka_client *c);

/** Serves callbacks, and writes `what: reason` with librdkafka's last complaint. Returns false. */
bool fg_sink_kafka_client_fail(struct fg_sink_kafka_client *c, struct fg_error *err,
                               const char *what, const char *reason);

/** Milliseconds of the next piece of a wait until deadline_ms; 0 = it is over. */
int fg_sink_kafka_slice(const struct fg_wait *wait, uint64_t deadline_ms);

/** The same for a request that begins anew with each piece: from_ms is when the first began. Pieces
 * grow, so that slow brokers are heard, too. */
int fg_sink_kafka_slice_anew(const struct fg_wait *wait, uint64_t from_ms, uint64_t deadline_ms);

#endif
