/* SPDX-License-Identifier: BSD-3-Clause */
/* The sink driver of Kafka: one transaction a batch, with the cursor as a record of its own topic
 * inside. */
#include <string.h>
#include <time.h>

#include "base/leading.h"
#include "sink/driver.h"
#include "sink/kafka/cursor.h"
#include "sink/kafka/event.h"

#define FILL_PIECES 1000  /* of a snapshot in one transaction */
#define FENCED_MS   60000 /* fenced twice within this time: another producer keeps writing */

struct kafka_sink {
    struct fg_sink_kafka_setup setup;
    struct fg_wait wait;
    struct fg_sink_kafka_client consumer, producer;
    struct fg_sink_kafka_event event;
    bool known;                   /* the cursor, read behind the fence of this producer */
    struct fg_sink_cursor cursor; /* it */
    int64_t end_min,
        end_max; /* where the cursor's partition ends while this producer alone writes there */
    uint64_t fenced_ms;        /* when another producer last took over; 0 = never */
    uint64_t fenced_before_ms; /* the time before */
};

static enum fg_sink_result gone(struct kafka_sink *k)
{
    k->known = false;
    return FG_SINK_GONE;
}

static uint64_t wall_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- the fence ------------------------------------------------------------------------------- */

static bool is_fence(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
           code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
}

/* One fence may come from a broker that ended our transaction during a pause of ours. Two in a
 * minute come from another producer. */
static bool contested(const struct kafka_sink *k)
{
    return k->fenced_before_ms && k->fenced_ms - k->fenced_before_ms < FENCED_MS &&
           fg_clock_mono_ms() - k->fenced_ms < FENCED_MS;
}

static enum fg_sink_result refuse_contested(const struct kafka_sink *k, struct fg_error *err)
{
    fg_fail(err,
            "another producer with transactional.id %s writes to the topic: stop one of the two "
            "(docs/kafka.md)",
            k->setup.transactional_id);
    return FG_SINK_REFUSE;
}

/* Why a transaction or its beginning did not go through. The error is freed. */
static enum fg_sink_result result_of(struct kafka_sink *k, rd_kafka_error_t *error,
                                     const char *what, struct fg_error *err)
{
    rd_kafka_resp_err_t code = rd_kafka_error_code(error), fatal;
    char reason[256];

    snprintf(reason, sizeof(reason), "%s", rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    fatal = rd_kafka_fatal_error(k->producer.rk, NULL, 0);
    k->known = false;
    if (is_fence(code) || is_fence(fatal)) {
        k->fenced_before_ms = k->fenced_ms;
        k->fenced_ms = fg_clock_mono_ms();
        fg_fail(err, "%s: another producer with transactional.id %s took over", what,
                k->setup.transactional_id);
        return FG_SINK_GONE;
    }
    if (k->producer.delivery == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
        code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
        fg_fail(err,
                "the brokers refuse records of this size: raise max.message.bytes of the topics");
        return FG_SINK_REFUSE;
    }
    fg_sink_kafka_client_fail(&k->producer, err, what,
                              k->producer.delivery ? rd_kafka_err2str(k->producer.delivery)
                                                   : reason);
    return code == RD_KAFKA_RESP_ERR__TIMED_OUT ? FG_SINK_SLOW : FG_SINK_GONE;
}

/* ---- a transaction --------------------------------------------------------------------------- */

static bool produce(struct kafka_sink *k, rd_kafka_topic_t *topic, int32_t partition,
                    rd_kafka_error_t **error)
{
    const struct fg_sink_kafka_event *e = &k->event;

    if (!e->value_len ||
        !rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, (void *)(uintptr_t)e->value,
                          e->value_len, e->key, e->key_len, NULL))
        return true;
    *error =
        rd_kafka_error_new(rd_kafka_last_error(), "%s", rd_kafka_err2str(rd_kafka_last_error()));
    return false;
}

static rd_kafka_error_t *timed_out(const struct kafka_sink *k)
{
    return rd_kafka_error_new(RD_KAFKA_RESP_ERR__TIMED_OUT, "not within %u ms",
                              k->setup.options.timeout_ms);
}

/* Until the brokers have all that was produced. */
static rd_kafka_error_t *flush(struct kafka_sink *k, uint64_t deadline)
{
    int slice;

    while ((slice = fg_sink_kafka_slice(&k->wait, deadline)) > 0) {
        rd_kafka_resp_err_t code = rd_kafka_flush(k->producer.rk, slice);

        if (k->producer.delivery)
            return rd_kafka_error_new(k->producer.delivery, "%s",
                                      rd_kafka_err2str(k->producer.delivery));
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            return NULL;
    }
    return timed_out(k);
}

/* The cursor goes out when all before it has arrived: read without isolation, too, it is never
 * ahead of the events. */
static rd_kafka_error_t *commit(struct kafka_sink *k, const struct fg_sink_cursor *cursor,
                                uint64_t deadline)
{
    rd_kafka_error_t *error = flush(k, deadline);
    int slice;

    fg_sink_kafka_event_cursor(&k->event, cursor);
    if (error || !produce(k, k->producer.cursor, k->setup.partition, &error) ||
        (error = flush(k, deadline)))
        return error;
    while ((slice = fg_sink_kafka_slice(&k->wait, deadline)) > 0) {
        error = rd_kafka_commit_transaction(k->producer.rk, slice);
        if (!error || !rd_kafka_error_is_retriable(error))
            return error;
        rd_kafka_error_destroy(error);
    }
    return timed_out(k);
}

static enum fg_sink_result finish(struct kafka_sink *k, const struct fg_sink_log *log, uint64_t seq,
                                  uint32_t crc, uint64_t deadline, struct fg_error *err)
{
    struct fg_sink_cursor cursor = {.found = true, .log = log->id, .seq = seq, .crc = crc};
    rd_kafka_error_t *error = commit(k, &cursor, deadline);

    if (error)
        return result_of(k, error, "the transaction failed", err);
    /* behind the cursor stands, soon, the marker of the commit */
    k->end_min = k->producer.delivered_offset;
    k->end_max = k->producer.delivered_offset + 2;
    k->cursor = cursor;
    k->known = true;
    return FG_SINK_OK;
}

static enum fg_sink_result apply(void *self, const struct fg_sink_log *log,
                                 const struct fg_journal_record *records, size_t n,
                                 struct fg_error *err)
{
    struct kafka_sink *k = self;
    uint64_t deadline = fg_clock_mono_ms() + k->setup.options.timeout_ms;
    rd_kafka_error_t *error = rd_kafka_begin_transaction(k->producer.rk);

    for (size_t i = 0; i < n && !error; i++) {
        if (!fg_sink_kafka_event_record(&k->event, &records[i])) {
            fg_fail(err, "record %llu: of a type unknown to this version",
                    (unsigned long long)records[i].seq);
            k->known = false;
            return FG_SINK_REFUSE;
        }
        produce(k, k->producer.events, RD_KAFKA_PARTITION_UA, &error);
    }
    if (error)
        return result_of(k, error, "the transaction failed", err);
    return finish(k, log, records[n - 1].seq, records[n - 1].crc, deadline, err);
}

/* ---- filling with a snapshot ----------------------------------------------------------------- */

union pieces {
    struct fg_ledger_item items[FILL_PIECES];
    uint64_t users[FILL_PIECES];
    struct fg_ledger_order orders[FILL_PIECES];
};

enum part { ITEMS, USERS, ORDERS, PARTS };

static ssize_t read_part(struct fg_snapshot_reader *snapshot, enum part part, union pieces *pieces,
                         struct fg_error *err)
{
    if (part == ITEMS)
        return fg_ledger_snapshot_items(snapshot, pieces->items, FILL_PIECES, err);
    if (part == USERS)
        return fg_ledger_snapshot_denied(snapshot, pieces->users, FILL_PIECES, err);
    return fg_ledger_snapshot_orders(snapshot, pieces->orders, FILL_PIECES, err);
}

static rd_kafka_error_t *produce_part(struct kafka_sink *k,
                                      const struct fg_ledger_snapshot_info *info, enum part part,
                                      const union pieces *pieces, size_t n)
{
    rd_kafka_error_t *error = NULL;

    for (size_t i = 0; i < n && !error; i++) {
        if (part == ITEMS)
            fg_sink_kafka_event_item(&k->event, info->seq, info->created_ms, &pieces->items[i]);
        else if (part == USERS)
            fg_sink_kafka_event_denied(&k->event, info->seq, info->created_ms, pieces->users[i]);
        else
            fg_sink_kafka_event_order(&k->event, info->seq, info->created_ms, &pieces->orders[i]);
        produce(k, k->producer.events, RD_KAFKA_PARTITION_UA, &error);
    }
    return error;
}

/* One transaction of n pieces, perhaps none, and the cursor at seq. */
static enum fg_sink_result write_pieces(struct kafka_sink *k, const struct fg_sink_log *log,
                                        const struct fg_ledger_snapshot_info *info, enum part part,
                                        const union pieces *pieces, size_t n, uint64_t seq,
                                        uint32_t crc, struct fg_error *err)
{
    uint64_t deadline = fg_clock_mono_ms() + k->setup.options.timeout_ms;
    rd_kafka_error_t *error = rd_kafka_begin_transaction(k->producer.rk);

    if (!error)
        error = produce_part(k, info, part, pieces, n);
    return error ? result_of(k, error, "the transaction failed", err)
                 : finish(k, log, seq, crc, deadline, err);
}

/* The cursor stays where it was until the last transaction: a fill that is interrupted begins
 * again. The reader of the topic takes the newest of each key. */
static enum fg_sink_result fill(void *self, const struct fg_sink_log *log,
                                struct fg_snapshot_reader *snapshot,
                                const struct fg_ledger_snapshot_info *info, struct fg_error *err)
{
    struct kafka_sink *k = self;
    union pieces *pieces = malloc(sizeof(*pieces));
    enum fg_sink_result result = FG_SINK_OK;
    struct fg_sink_cursor before = k->cursor;
    unsigned part = ITEMS;

    FG_ASSERT(pieces);
    while (part < PARTS && result == FG_SINK_OK) {
        ssize_t n = read_part(snapshot, (enum part)part, pieces, err);

        if (n > 0)
            result = write_pieces(k, log, info, (enum part)part, pieces, (size_t)n, before.seq,
                                  before.crc, err);
        else if (n < 0)
            result = FG_SINK_REFUSE;
        else
            part++;
    }
    free(pieces);
    return result == FG_SINK_OK
               ? write_pieces(k, log, info, ITEMS, NULL, 0, info->seq, log->crc, err)
               : result;
}

/* ---- the cursor ------------------------------------------------------------------------------ */

static enum fg_sink_result check_cursor(const struct kafka_sink *k, const struct fg_sink_log *log,
                                        const struct fg_sink_kafka_cursor *cursor,
                                        struct fg_error *err)
{
    const char *topic = k->setup.options.topic;
    struct fg_error at = {""};
    enum fg_sink_origin origin;

    if (cursor->at.found && cursor->format != FG_SINK_KAFKA_FORMAT) {
        fg_fail(err, "topic %s: the cursor is of format %u, this version writes %d", topic,
                cursor->format, FG_SINK_KAFKA_FORMAT);
        return FG_SINK_REFUSE;
    }
    origin = fg_sink_cursor_origin(log, &cursor->at, "kafka", &at);
    if (origin != FG_SINK_ORIGIN_OURS)
        fg_fail(err, "topic %.120s: %.300s", topic, at.text);
    return fg_sink_result_of(origin);
}

static enum fg_sink_result read_cursor(struct kafka_sink *k, const struct fg_sink_log *log,
                                       struct fg_sink_kafka_cursor *cursor, struct fg_error *err)
{
    if (!fg_sink_kafka_cursor_read(&k->consumer, &k->setup, &k->wait, cursor, err))
        return gone(k);
    return check_cursor(k, log, cursor, err);
}

/* Of a pair, the one that lost the leadership without knowing it must not fence the other one: both
 * would do so in turn. */
static bool may_fence(const struct kafka_sink *k, struct fg_error *err)
{
    const struct fg_leading *leading = k->setup.options.leading;

    return !leading ||
           fg_clock_tsc() <=
               atomic_load_explicit(&leading->valid_until_tsc, memory_order_relaxed) ||
           fg_fail(err, "it is not sure that this appliance still leads its pair");
}

/* From here on no earlier producer can write, and whatever it left open has been ended. */
static enum fg_sink_result raise_fence(struct kafka_sink *k, struct fg_error *err)
{
    uint64_t deadline = fg_clock_mono_ms() + k->setup.options.timeout_ms;
    rd_kafka_error_t *error = NULL;
    int slice;

    if (!may_fence(k, err))
        return gone(k);
    if (!fg_sink_kafka_client_open(&k->producer, &k->setup, RD_KAFKA_PRODUCER, err))
        return gone(k);
    while ((slice = fg_sink_kafka_slice(&k->wait, deadline)) > 0) {
        error = rd_kafka_init_transactions(k->producer.rk, slice);
        if (!error)
            return FG_SINK_OK;
        if (!rd_kafka_error_is_retriable(error))
            return result_of(k, error, "transactions cannot begin", err);
        rd_kafka_error_destroy(error);
        rd_kafka_poll(k->producer.rk, 0);
    }
    return result_of(k, timed_out(k), "transactions cannot begin", err);
}

/* The topic takes its first events from us, and says so before there are any: a cursor that is
 * missing later is not taken for a topic that is new. */
static enum fg_sink_result claim(struct kafka_sink *k, const struct fg_sink_log *log,
                                 struct fg_error *err)
{
    int exist = fg_sink_kafka_events_exist(&k->consumer, &k->setup, &k->wait, err);

    if (exist < 0)
        return gone(k);
    if (exist) {
        fg_fail(err,
                "topic %s holds events, but %s no cursor: choose another topic, or delete both "
                "(docs/kafka.md)",
                k->setup.options.topic, k->setup.cursor_topic);
        return FG_SINK_REFUSE;
    }
    return write_pieces(k, log, NULL, ITEMS, NULL, 0, 0, 0, err);
}

/* The cursor as it is told while it is known: cheap, and finds brokers that died and topics that
 * were emptied. */
static enum fg_sink_result still_there(struct kafka_sink *k, struct fg_error *err)
{
    int64_t end = fg_sink_kafka_cursor_end(&k->consumer, &k->setup, &k->wait, err);

    if (end >= k->end_min && end <= k->end_max)
        return FG_SINK_OK;
    if (end >= 0)
        fg_fail(err, "%s ends at %lld instead of %lld: another program wrote to it or emptied it",
                k->setup.cursor_topic, (long long)end, (long long)k->end_max);
    return gone(k);
}

static enum fg_sink_result cursor(void *self, const struct fg_sink_log *log,
                                  struct fg_sink_cursor *at, struct fg_error *err)
{
    struct kafka_sink *k = self;
    struct fg_sink_kafka_cursor found;
    enum fg_sink_result result;

    if (contested(k))
        return refuse_contested(k, err);
    if (!k->known) {
        /* first without the fence: a topic of another owner is not to be disturbed */
        fg_sink_kafka_client_close(&k->producer);
        result = read_cursor(k, log, &found, err);
        if (result == FG_SINK_OK)
            result = raise_fence(k, err);
        if (result == FG_SINK_OK)
            result = read_cursor(k, log, &found, err);
        if (result == FG_SINK_OK && !found.at.found)
            result = claim(k, log, err);
        else if (result == FG_SINK_OK) {
            k->end_min = k->end_max = found.end;
            k->cursor = found.at;
            k->known = true;
        }
    } else {
        result = still_there(k, err);
    }
    *at = k->cursor;
    return result;
}

/* Events cannot be taken back: one says that those of another log follow, and the cursor begins
 * anew. */
static enum fg_sink_result adopt(void *self, const struct fg_sink_log *log, struct fg_error *err)
{
    struct kafka_sink *k = self;
    uint64_t deadline = fg_clock_mono_ms() + k->setup.options.timeout_ms;
    enum fg_sink_result result;
    rd_kafka_error_t *error;

    if (contested(k))
        return refuse_contested(k, err);
    fg_sink_kafka_client_close(&k->producer);
    result = raise_fence(k, err);
    if (result != FG_SINK_OK)
        return result;
    error = rd_kafka_begin_transaction(k->producer.rk);
    if (!error) {
        fg_sink_kafka_event_log(&k->event, wall_ms(), log->id);
        produce(k, k->producer.events, RD_KAFKA_PARTITION_UA, &error);
    }
    return error ? result_of(k, error, "the transaction failed", err)
                 : finish(k, log, 0, 0, deadline, err);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void close_both(void *self)
{
    struct kafka_sink *k = self;

    k->known = false;
    fg_sink_kafka_client_close(&k->producer);
    fg_sink_kafka_client_close(&k->consumer);
}

static enum fg_sink_result open_consumer(void *self, struct fg_error *err)
{
    struct kafka_sink *k = self;

    close_both(k);
    if (!fg_sink_kafka_client_open(&k->consumer, &k->setup, RD_KAFKA_CONSUMER, err) ||
        !fg_sink_kafka_topics_check(&k->consumer, &k->setup, &k->wait, err))
        return FG_SINK_GONE;
    return FG_SINK_OK;
}

static void free_self(void *self)
{
    struct kafka_sink *k = self;

    fg_sink_kafka_setup_free(&k->setup);
    free(k);
}

static const struct fg_sink_driver driver = {.name = "kafka",
                                             .open = open_consumer,
                                             .cursor = cursor,
                                             .apply = apply,
                                             .fill = fill,
                                             .adopt = adopt,
                                             .close = close_both,
                                             .free = free_self};

bool fg_sink_kafka_check(const struct fg_sink_kafka_options *options, struct fg_error *err)
{
    struct fg_sink_kafka_setup setup;
    bool ok = fg_sink_kafka_setup_init(&setup, options, err);

    fg_sink_kafka_setup_free(&setup);
    return ok;
}

struct fg_sink *fg_sink_kafka_start(const struct fg_sink_kafka_options *options,
                                    const char *journal_dir, const _Atomic uint64_t *durable_seq,
                                    struct fg_error *err)
{
    struct fg_sink_common common = {.address = options->brokers,
                                    .batch_max = options->batch_max,
                                    .retry_ms_max = options->retry_ms_max};
    struct kafka_sink *k = calloc(1, sizeof(*k));

    FG_ASSERT(k);
    if (!fg_sink_kafka_setup_init(&k->setup, options, err)) {
        free_self(k);
        return NULL;
    }
    k->event.members = options->members;
    k->event.member = options->member;
    return fg_sink_start(&driver, k, &k->wait, &common, journal_dir, durable_seq, err);
}
