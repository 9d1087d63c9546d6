/* SPDX-License-Identifier: BSD-3-Clause */
/** kafka_cursor: reading back how far a topic has come: the last committed record of partition 0 of
 * TOPIC.cursor; of a fleet each member has the partition of its number. */
#ifndef FG_SINK_KAFKA_CURSOR_H
#define FG_SINK_KAFKA_CURSOR_H

#include "sink/cursor.h"
#include "sink/kafka/client.h"

struct fg_sink_kafka_cursor {
    struct fg_sink_cursor at;
    unsigned format;
    int64_t end; /**< offset behind all that is committed in the partition */
};

/** Whether both topics exist. False and err: they do not, or no broker answers. */
bool fg_sink_kafka_topics_check(struct fg_sink_kafka_client *consumer,
                                const struct fg_sink_kafka_setup *setup, const struct fg_wait *wait,
                                struct fg_error *err);

/** The offset behind the last committed record of the cursor's partition; -1 and err when no
 * broker tells. */
int64_t fg_sink_kafka_cursor_end(struct fg_sink_kafka_client *consumer,
                                 const struct fg_sink_kafka_setup *setup,
                                 const struct fg_wait *wait, struct fg_error *err);

/** False and err: it could not be read in time, or the message there is not a cursor. */
bool fg_sink_kafka_cursor_read(struct fg_sink_kafka_client *consumer,
                               const struct fg_sink_kafka_setup *setup, const struct fg_wait *wait,
                               struct fg_sink_kafka_cursor *cursor, struct fg_error *err);

/** 1: the topic of the events holds something that no cursor tells of, 0: it does not, -1 and err:
 * no broker tells. The other members of a fleet write their cursors before their events: then what
 * tells is that the beginning of this member's partition of cursors is gone. */
int fg_sink_kafka_events_exist(struct fg_sink_kafka_client *consumer,
                               const struct fg_sink_kafka_setup *setup, const struct fg_wait *wait,
                               struct fg_error *err);

#endif
