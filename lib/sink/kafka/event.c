/* SPDX-License-Identifier: BSD-3-Clause */
#include "sink/kafka/event.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static void add(struct fg_sink_kafka_event *e,
                                                      const char *fmt, ...)
{
    size_t room = sizeof(e->value) - e->value_len;
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(e->value + e->value_len, room, fmt, args);
    va_end(args);
    FG_ASSERT(len >= 0 && (size_t)len < room);
    e->value_len += (size_t)len;
}

__attribute__((format(printf, 2, 3))) static void set_key(struct fg_sink_kafka_event *e,
                                                          const char *fmt, ...)
{
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(e->key, sizeof(e->key), fmt, args);
    va_end(args);
    FG_ASSERT(len > 0 && (size_t)len < sizeof(e->key));
    e->key_len = (size_t)len;
}

static void hex(char text[33], const uint8_t id[16])
{
    for (int i = 0; i < 16; i++) {
        text[2 * i] = "0123456789abcdef"[id[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[id[i] & 15];
    }
    text[32] = '\0';
}

static void add_member(struct fg_sink_kafka_event *e)
{
    if (e->members)
        add(e, ",\"member\":%u", e->member);
}

/* Of what each member of a fleet has its own: the newest event of a key is of one member. */
static void set_member_key(struct fg_sink_kafka_event *e, const char *text)
{
    if (e->members)
        set_key(e, "%s:member:%u", text, e->member);
    else
        set_key(e, "%s", text);
}

/* Numbers that are names (users, items) use all of 64 bits, which JavaScript's numbers do not hold:
 * they are strings. The others stay below 2^53. */
static void begin(struct fg_sink_kafka_event *e, const char *type, uint64_t seq, uint64_t time_ms)
{
    e->value_len = 0;
    add(e, "{\"type\":\"%s\",\"seq\":%" PRIu64 ",\"time_ms\":%" PRIu64, type, seq, time_ms);
    add_member(e);
}

static void end(struct fg_sink_kafka_event *e)
{
    add(e, "}");
}

static void add_order(struct fg_sink_kafka_event *e, const uint8_t id[16], uint64_t user,
                      uint64_t item, unsigned quantity, uint64_t deadline_ms)
{
    char order[33];

    hex(order, id);
    set_key(e, "%" PRIu64 ":%s", user, order);
    add(e,
        ",\"user\":\"%" PRIu64 "\",\"order\":\"%s\",\"item\":\"%" PRIu64
        "\",\"quantity\":%u,\"deadline_ms\":%" PRIu64,
        user, order, item, quantity, deadline_ms);
}

static void add_item(struct fg_sink_kafka_event *e, uint64_t item)
{
    char text[32];

    snprintf(text, sizeof(text), "item:%" PRIu64, item);
    set_member_key(e, text);
    add(e, ",\"item\":\"%" PRIu64 "\"", item);
}

static void add_user(struct fg_sink_kafka_event *e, uint64_t user, bool denied)
{
    set_key(e, "user:%" PRIu64, user);
    add(e, ",\"user\":\"%" PRIu64 "\",\"denied\":%s", user, denied ? "true" : "false");
}

static void add_settings(struct fg_sink_kafka_event *e, uint64_t opens_ms, uint64_t closes_ms,
                         uint32_t hold_ms, uint32_t user_limit, uint16_t order_max, uint16_t flags)
{
    add(e,
        ",\"opens_ms\":%" PRIu64 ",\"closes_ms\":%" PRIu64
        ",\"hold_ms\":%u,\"user_limit\":%u,\"order_max\":%u,\"paused\":%s",
        opens_ms, closes_ms, hold_ms, user_limit, order_max,
        flags & FG_JOURNAL_ITEM_PAUSED ? "true" : "false");
}

static void add_line(struct fg_sink_kafka_event *e, uint32_t line_max, uint32_t claim_ms,
                     uint32_t wait_ttl_ms, uint32_t flags)
{
    add(e, ",\"line_max\":%u,\"claim_ms\":%u,\"wait_ttl_ms\":%u,\"one_unit\":%s", line_max,
        claim_ms, wait_ttl_ms, flags & FG_JOURNAL_LINE_ONE_UNIT ? "true" : "false");
    if (flags & FG_JOURNAL_LINE_LOTTERY)
        add(e, ",\"lottery\":true");
}

static void add_name(struct fg_sink_kafka_event *e, const char *name, size_t len)
{
    add(e, ",\"name\":\"");
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];

        if (c < 0x20 || c == 0x7f)
            add(e, "\\u%04x", c);
        else
            add(e, c == '"' || c == '\\' ? "\\%c" : "%c", c);
    }
    add(e, "\"");
}

static void add_hex(struct fg_sink_kafka_event *e, const char *name, const uint8_t *bytes,
                    size_t size)
{
    add(e, ",\"%s\":\"", name);
    for (size_t i = 0; i < size; i++)
        add(e, "%02x", bytes[i]);
    add(e, "\"");
}

bool fg_sink_kafka_event_record(struct fg_sink_kafka_event *e, const struct fg_journal_record *r)
{
    begin(e, fg_journal_record_name(r->type), r->seq, r->time_ms);
    switch (r->type) {
    case FG_JOURNAL_RECORD_BATCH:
    case FG_JOURNAL_RECORD_EPOCH:
        e->value_len = 0;
        return true;
    case FG_JOURNAL_RECORD_RESERVED:
    case FG_JOURNAL_RECORD_EXTENDED:
    case FG_JOURNAL_RECORD_OFFERED:
        add_order(e, r->order_id, r->user, r->item, r->quantity, r->arg);
        break;
    case FG_JOURNAL_RECORD_SOLD:
    case FG_JOURNAL_RECORD_CANCELLED:
    case FG_JOURNAL_RECORD_EXPIRED:
    case FG_JOURNAL_RECORD_SOLD_LATE:
    case FG_JOURNAL_RECORD_CLOSED:
        add_order(e, r->order_id, r->user, r->item, r->quantity, 0);
        break;
    case FG_JOURNAL_RECORD_REFUNDED:
        add_order(e, r->order_id, r->user, r->item, r->quantity, 0);
        add(e, ",\"restocked\":%s", r->arg ? "true" : "false");
        break;
    case FG_JOURNAL_RECORD_WAITING:
        add_order(e, r->order_id, r->user, r->item, r->quantity, 0);
        add(e, ",\"ticket\":%" PRIu64, r->arg);
        break;
    case FG_JOURNAL_RECORD_LEFT:
        add_order(e, r->order_id, r->user, r->item, r->quantity, 0);
        add(e, ",\"why\":\"%s\"", fg_journal_left_name(r->arg));
        break;
    case FG_JOURNAL_RECORD_LINE_SET:
        add_item(e, r->item);
        add_line(e, r->line_max, r->claim_ms, r->wait_ttl_ms, r->line_flags);
        break;
    case FG_JOURNAL_RECORD_LOTTERY:
        add_item(e, r->item);
        add_hex(e, "commitment", r->name, sizeof(r->name));
        break;
    case FG_JOURNAL_RECORD_DRAWN:
        add_item(e, r->item);
        add_hex(e, "seed", r->order_id, sizeof(r->order_id));
        add(e, ",\"orders\":%" PRIu64 ",\"behind\":%" PRIu64, r->user, r->arg);
        break;
    case FG_JOURNAL_RECORD_USER:
        add_user(e, r->user, r->arg != 0);
        break;
    case FG_JOURNAL_RECORD_STOCK:
        add_item(e, r->item);
        add(e, ",\"units\":%" PRId64, (int64_t)r->arg);
        break;
    case FG_JOURNAL_RECORD_LEASE:
    case FG_JOURNAL_RECORD_RETURN:
        add_item(e, r->item);
        add(e, ",\"units\":%" PRIu64 ",\"sum\":%" PRIu64 ",\"times\":%" PRIu64, r->fleet_units,
            r->fleet_sum, r->fleet_times);
        break;
    case FG_JOURNAL_RECORD_ITEM_SET:
        add_item(e, r->item);
        add_settings(e, r->opens_ms, r->closes_ms, r->hold_ms, r->user_limit, r->order_max,
                     r->flags);
        break;
    case FG_JOURNAL_RECORD_ITEM_NAME:
        add_item(e, r->item);
        add_name(e, (const char *)r->name, strnlen((const char *)r->name, sizeof(r->name)));
        break;
    default:
        return false;
    }
    end(e);
    return true;
}

void fg_sink_kafka_event_item(struct fg_sink_kafka_event *e, uint64_t seq, uint64_t time_ms,
                              const struct fg_ledger_item *item)
{
    begin(e, "snapshot-item", seq, time_ms);
    add_item(e, item->item);
    add_settings(e, item->opens_ms, item->closes_ms, item->hold_ms, item->user_limit,
                 item->order_max, item->flags);
    add(e,
        ",\"total\":%" PRIu64 ",\"available\":%" PRIu64 ",\"reserved\":%" PRIu64
        ",\"sold\":%" PRIu64 ",\"refunded\":%" PRIu64,
        item->total, item->available, item->reserved, item->sold, item->refunded);
    add_line(e, item->line_max, item->claim_ms, item->wait_ttl_ms, item->line_flags);
    add(e, ",\"waiting\":%" PRIu64, item->waiting);
    if (item->leases || item->returns)
        add(e, ",\"leased\":%" PRIu64 ",\"returned\":%" PRIu64, item->leased, item->returned);
    if (item->name[0])
        add_name(e, item->name, strlen(item->name));
    end(e);
}

void fg_sink_kafka_event_denied(struct fg_sink_kafka_event *e, uint64_t seq, uint64_t time_ms,
                                uint64_t user)
{
    begin(e, "snapshot-user", seq, time_ms);
    add_user(e, user, true);
    end(e);
}

void fg_sink_kafka_event_order(struct fg_sink_kafka_event *e, uint64_t seq, uint64_t time_ms,
                               const struct fg_ledger_order *order)
{
    bool waits = order->state == FG_LEDGER_ORDER_WAITING;

    begin(e, "snapshot-order", seq, time_ms);
    add_order(e, order->order_id, order->user, order->item, order->quantity,
              waits ? 0 : order->deadline_ms);
    if (waits)
        add(e, ",\"ticket\":%" PRIu64, order->ticket);
    add(e, ",\"state\":\"%s\",\"changed_ms\":%" PRIu64 ",\"late\":%s",
        fg_ledger_order_state_name(order->state), order->changed_ms,
        order->late ? "true" : "false");
    end(e);
}

/* ---- the cursor ------------------------------------------------------------------------------ */

void fg_sink_kafka_event_cursor(struct fg_sink_kafka_event *e, const struct fg_sink_cursor *cursor)
{
    e->value_len = 0;
    set_key(e, "cursor");
    add(e,
        "{\"appliance\":\"%016" PRIx64 "\",\"seq\":%" PRIu64 ",\"crc\":\"%08" PRIx32
        "\",\"format\":%u}",
        cursor->log, cursor->seq, cursor->crc, FG_SINK_KAFKA_FORMAT);
}

bool fg_sink_kafka_cursor_parse(const char *value, size_t len, struct fg_sink_cursor *cursor,
                                unsigned *format)
{
    char text[128];
    size_t held = len < sizeof(text) ? len : sizeof(text) - 1;
    int end_at = 0;

    *cursor = (struct fg_sink_cursor){.found = false};
    memcpy(text, value, held);
    text[held] = '\0';
    if (sscanf(text,
               "{\"appliance\":\"%16" SCNx64 "\",\"seq\":%" SCNu64 ",\"crc\":\"%8" SCNx32
               "\",\"format\":%u%n",
               &cursor->log, &cursor->seq, &cursor->crc, format, &end_at) == 4)
        cursor->found = *format > FG_SINK_KAFKA_FORMAT
                            ? text[end_at] == '}' || text[end_at] == ','
                            : text[end_at] == '}' && (size_t)end_at + 1 == len;
    return cursor->found;
}

void fg_sink_kafka_event_log(struct fg_sink_kafka_event *e, uint64_t time_ms, uint64_t log_id)
{
    e->value_len = 0;
    set_member_key(e, "log");
    add(e, "{\"seq\":0,\"type\":\"log\",\"time_ms\":%" PRIu64, time_ms);
    add_member(e);
    add(e, ",\"log\":\"%016" PRIx64 "\"}", log_id);
}
