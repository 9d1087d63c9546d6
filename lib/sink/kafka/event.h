/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * kafka_event: a record of the log, or a piece of a snapshot, as key and value of a Kafka record.
 * The one definition of what docs/kafka.md describes. Pure: no connection, no clock.
 */
#ifndef FG_SINK_KAFKA_EVENT_H
#define FG_SINK_KAFKA_EVENT_H

#include "journal/record.h"
#include "ledger/ledger.h"
#include "sink/cursor.h"

#define FG_SINK_KAFKA_FORMAT  1  /**< of keys and values; stands in the cursor */
#define FG_SINK_KAFKA_KEY_MAX 64 /**< USER:ORDER has 20 + 1 + 32 */
#define FG_SINK_KAFKA_VALUE_MAX                                                                    \
    1024 /**< an item of a snapshot with a name that is all escapes needs less */

struct fg_sink_kafka_event {
    unsigned members, member; /**< set once: of a fleet, each event names its member; 0 = of none */
    size_t key_len, value_len; /**< value_len 0: the record makes no event */
    char key[FG_SINK_KAFKA_KEY_MAX];
    char value[FG_SINK_KAFKA_VALUE_MAX];
};

/** False: a record type that this version does not know. */
bool fg_sink_kafka_event_record(struct fg_sink_kafka_event *e,
                                const struct fg_journal_record *record);

/** The events that a snapshot is made of; seq and time_ms are the snapshot's. */
void fg_sink_kafka_event_item(struct fg_sink_kafka_event *e, uint64_t seq, uint64_t time_ms,
                              const struct fg_ledger_item *item);
void fg_sink_kafka_event_denied(struct fg_sink_kafka_event *e, uint64_t seq, uint64_t time_ms,
                                uint64_t user);
void fg_sink_kafka_event_order(struct fg_sink_kafka_event *e, uint64_t seq, uint64_t time_ms,
                               const struct fg_ledger_order *order);

/** The cursor, the value of the cursor topic. */
void fg_sink_kafka_event_cursor(struct fg_sink_kafka_event *e, const struct fg_sink_cursor *cursor);

/** Reads what fg_sink_kafka_event_cursor wrote, or would write in a newer format, which begins with
 * the same fields. False: no such text. */
bool fg_sink_kafka_cursor_parse(const char *value, size_t len, struct fg_sink_cursor *cursor,
                                unsigned *format);

/** From here on the topic holds the events of this log: what came before is of another one. */
void fg_sink_kafka_event_log(struct fg_sink_kafka_event *e, uint64_t time_ms, uint64_t log_id);

#endif
