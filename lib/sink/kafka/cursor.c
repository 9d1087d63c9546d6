/* SPDX-License-Identifier: BSD-3-Clause */
#include "sink/kafka/cursor.h"

#include <string.h>

#include "sink/kafka/event.h"

#define WINDOW_FIRST                                                                               \
    64 /* records from the end that are read first: aborted ones and markers are among them        \
        */

static bool failed(struct fg_sink_kafka_client *c, const struct fg_sink_kafka_setup *s,
                   rd_kafka_resp_err_t code, struct fg_error *err)
{
    return fg_sink_kafka_client_fail(c, err, s->options.brokers, rd_kafka_err2str(code));
}

/* A request without an answer may be repeated; any other code is an answer. */
static bool unanswered(const struct fg_sink_kafka_client *c, rd_kafka_resp_err_t code)
{
    rd_kafka_poll(c->rk, 0);
    return !c->all_down &&
           (code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR__TRANSPORT ||
            code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE);
}

/* ---- topics ---------------------------------------------------------------------------------- */

static int partitions_of(const struct rd_kafka_metadata *md, rd_kafka_resp_err_t *code)
{
    if (md->topic_cnt != 1)
        return 0;
    *code = md->topics[0].err;
    return md->topics[0].partition_cnt;
}

/* Number of partitions; 0 and the code when it has none that are known. */
static int ask_topic(struct fg_sink_kafka_client *c, const struct fg_sink_kafka_setup *s,
                     rd_kafka_topic_t *topic, const struct fg_wait *wait, rd_kafka_resp_err_t *code)
{
    uint64_t from = fg_clock_mono_ms(), deadline = from + s->options.timeout_ms;
    int slice, count = 0;

    *code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    while ((slice = fg_sink_kafka_slice_anew(wait, from, deadline)) > 0) {
        const struct rd_kafka_metadata *md;

        *code = rd_kafka_metadata(c->rk, 0, topic, &md, slice);
        if (*code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            count = partitions_of(md, code);
            rd_kafka_metadata_destroy(md);
        }
        if (count > 0 || !unanswered(c, *code))
            break;
    }
    return *code ? 0 : count;
}

static bool topic_check(struct fg_sink_kafka_client *c, const struct fg_sink_kafka_setup *s,
                        rd_kafka_topic_t *topic, int partitions, const struct fg_wait *wait,
                        struct fg_error *err)
{
    rd_kafka_resp_err_t code;
    int count = ask_topic(c, s, topic, wait, &code);

    if (count >= partitions)
        return true;
    if (count > 0)
        return fg_fail(err, "topic %s has %d partitions; a fleet needs one for each member: %d",
                       rd_kafka_topic_name(topic), count, partitions);
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
        return fg_fail(err, "%s: there is no topic %s: create it (docs/kafka.md)",
                       s->options.brokers, rd_kafka_topic_name(topic));
    return failed(c, s, code, err);
}

bool fg_sink_kafka_topics_check(struct fg_sink_kafka_client *c, const struct fg_sink_kafka_setup *s,
                                const struct fg_wait *wait, struct fg_error *err)
{
    int cursors = s->options.members ? (int)s->options.members : 1;

    return topic_check(c, s, c->events, 1, wait, err) &&
           topic_check(c, s, c->cursor, cursors, wait, err);
}

/* ---- offsets --------------------------------------------------------------------------------- */

/* The first or (LSO of readers with read_committed) the end offset: RD_KAFKA_OFFSET_BEGINNING or
 * _END. Not by rd_kafka_query_watermark_offsets, which in 2.0.2 waits for brokers that hang beyond
 * any time-out. */
static int64_t ask_offset(struct fg_sink_kafka_client *c, const struct fg_sink_kafka_setup *s,
                          const char *topic, int partition, int64_t which,
                          const struct fg_wait *wait, struct fg_error *err)
{
    uint64_t from = fg_clock_mono_ms(), deadline = from + s->options.timeout_ms;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *entry = rd_kafka_topic_partition_list_add(list, topic, partition);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    int64_t offset = -1;
    int slice;

    while (offset < 0 && (slice = fg_sink_kafka_slice_anew(wait, from, deadline)) > 0) {
        entry->offset = which;
        code = rd_kafka_offsets_for_times(c->rk, list, slice);
        if (!code)
            code = entry->err;
        if (!code)
            offset = entry->offset;
        else if (!unanswered(c, code))
            break;
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (offset < 0)
        failed(c, s, code, err);
    return offset;
}

int64_t fg_sink_kafka_cursor_end(struct fg_sink_kafka_client *c,
                                 const struct fg_sink_kafka_setup *s, const struct fg_wait *wait,
                                 struct fg_error *err)
{
    return ask_offset(c, s, s->cursor_topic, s->partition, RD_KAFKA_OFFSET_END, wait, err);
}

/* Whether a topic ever held anything: as below. */
static int anything(struct fg_sink_kafka_client *c, const struct fg_sink_kafka_setup *s,
                    rd_kafka_topic_t *topic, const struct fg_wait *wait, struct fg_error *err)
{
    rd_kafka_resp_err_t code;
    int count = ask_topic(c, s, topic, wait, &code);

    if (!count) {
        failed(c, s, code, err);
        return -1;
    }
    for (int partition = 0; partition < count; partition++) {
        int64_t end =
            ask_offset(c, s, rd_kafka_topic_name(topic), partition, RD_KAFKA_OFFSET_END, wait, err);

        if (end)
            return end < 0 ? -1 : 1;
    }
    return 0;
}

int fg_sink_kafka_events_exist(struct fg_sink_kafka_client *c, const struct fg_sink_kafka_setup *s,
                               const struct fg_wait *wait, struct fg_error *err)
{
    int events = anything(c, s, c->events, wait, err), cursors;
    int64_t first;

    if (events != 1 || !s->options.members)
        return events;
    cursors = anything(c, s, c->cursor, wait, err);
    if (cursors != 1)
        return cursors < 0 ? -1 : 1;
    /* other members have written: records of this one were there, if the first one is not */
    first = ask_offset(c, s, s->cursor_topic, s->partition, RD_KAFKA_OFFSET_BEGINNING, wait, err);
    return first < 0 ? -1 : first > 0;
}

/* ---- the cursor ------------------------------------------------------------------------------ */

static bool take(const rd_kafka_message_t *message, struct fg_sink_kafka_cursor *cursor,
                 struct fg_error *err)
{
    return fg_sink_kafka_cursor_parse(message->payload, message->len, &cursor->at,
                                      &cursor->format) ||
           fg_fail(err, "the message at offset %lld is not a cursor", (long long)message->offset);
}

/* From the offset to the end of the partition; the last one counts. */
static bool scan(struct fg_sink_kafka_client *c, const struct fg_sink_kafka_setup *s,
                 const struct fg_wait *wait, struct fg_sink_kafka_cursor *cursor,
                 struct fg_error *err)
{
    uint64_t deadline = fg_clock_mono_ms() + s->options.timeout_ms;
    int slice;

    while ((slice = fg_sink_kafka_slice(wait, deadline)) > 0) {
        rd_kafka_message_t *message = rd_kafka_consume(c->cursor, s->partition, slice);
        rd_kafka_resp_err_t code = message ? message->err : RD_KAFKA_RESP_ERR_NO_ERROR;
        bool ok = !message || code || take(message, cursor, err);

        if (message)
            rd_kafka_message_destroy(message);
        if (!ok)
            return false;
        if (code == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            return true;
        if (code && !unanswered(c, code))
            return failed(c, s, code, err);
    }
    return failed(c, s, RD_KAFKA_RESP_ERR__TIMED_OUT, err);
}

static bool scan_from(struct fg_sink_kafka_client *c, const struct fg_sink_kafka_setup *s,
                      const struct fg_wait *wait, int64_t offset,
                      struct fg_sink_kafka_cursor *cursor, struct fg_error *err)
{
    bool ok;

    if (rd_kafka_consume_start(c->cursor, s->partition, offset))
        return failed(c, s, rd_kafka_last_error(), err);
    ok = scan(c, s, wait, cursor, err);
    rd_kafka_consume_stop(c->cursor, s->partition);
    return ok;
}

bool fg_sink_kafka_cursor_read(struct fg_sink_kafka_client *c, const struct fg_sink_kafka_setup *s,
                               const struct fg_wait *wait, struct fg_sink_kafka_cursor *cursor,
                               struct fg_error *err)
{
    int64_t low =
        ask_offset(c, s, s->cursor_topic, s->partition, RD_KAFKA_OFFSET_BEGINNING, wait, err);
    int64_t high =
        low < 0 ? -1
                : ask_offset(c, s, s->cursor_topic, s->partition, RD_KAFKA_OFFSET_END, wait, err);

    *cursor = (struct fg_sink_kafka_cursor){.end = 0};
    if (high < 0)
        return false;
    for (int64_t window = WINDOW_FIRST; !cursor->at.found && high > low; window *= 16) {
        int64_t from = high - low > window ? high - window : low;

        if (!scan_from(c, s, wait, from, cursor, err))
            return false;
        if (from == low)
            break;
    }
    cursor->end = high;
    return true;
}
