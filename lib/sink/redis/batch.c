/* SPDX-License-Identifier: BSD-3-Clause */
#include "sink/redis/batch.h"

#include <string.h>

#include "redis/keys.h"

/* Counters first add up here, so that a hot item costs one command a batch and not one a record. */
struct fg_batch_item {
    uint64_t item;
    bool taken;
    bool defined; /* ITEM_SET seen: all counters are written, so that the hash is complete from the
                     start */
    int64_t total, available, reserved, sold, refunded, waiting, leased, returned;
};

bool fg_sink_redis_batch_init(struct fg_sink_redis_batch *b, const char *prefix,
                              uint64_t stream_max, size_t records_max)
{
    memset(b, 0, sizeof(*b));
    snprintf(b->prefix, sizeof(b->prefix), "%s", prefix);
    fg_redis_base(b->base, prefix, 0, 0);
    b->base_len = strlen(b->base);
    b->stream_max = stream_max;
    b->records_max = records_max;
    b->items_size = 16;
    while (b->items_size < 2 * records_max)
        b->items_size *= 2;
    b->items = calloc(b->items_size, sizeof(*b->items));
    b->used = calloc(records_max, sizeof(*b->used));
    return b->items && b->used;
}

void fg_sink_redis_batch_of_member(struct fg_sink_redis_batch *b, unsigned members, unsigned member)
{
    b->members = members;
    fg_redis_base(b->base, b->prefix, members, member);
    b->base_len = strlen(b->base);
}

void fg_sink_redis_batch_free(struct fg_sink_redis_batch *b)
{
    fg_redis_resp_free(&b->out);
    free(b->items);
    free(b->used);
    memset(b, 0, sizeof(*b));
}

static struct fg_batch_item *item_of(struct fg_sink_redis_batch *b, uint64_t item)
{
    size_t slot = fg_mix64(item, 1) & (b->items_size - 1);

    while (b->items[slot].taken && b->items[slot].item != item)
        slot = (slot + 1) & (b->items_size - 1);
    if (!b->items[slot].taken) {
        FG_ASSERT(b->used_count < b->records_max);
        b->items[slot] = (struct fg_batch_item){.item = item, .taken = true};
        b->used[b->used_count++] = (uint32_t)slot;
    }
    return &b->items[slot];
}

/* A record's name as the log has it; not fg_journal_record_name, so that a type unknown here is
 * noticed. */
static const char *type_name(unsigned type)
{
    switch (type) {
#define X(name, number, text)                                                                      \
    case FG_JOURNAL_RECORD_##name:                                                                 \
        return text;
        FG_JOURNAL_RECORD_LIST(X)
#undef X
    }
    return NULL;
}

static void hex(char text[33], const uint8_t id[16])
{
    for (int i = 0; i < 16; i++) {
        text[2 * i] = "0123456789abcdef"[id[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[id[i] & 15];
    }
    text[32] = '\0';
}

static void key(struct fg_sink_redis_batch *b, const char *text, size_t len)
{
    char word[160];

    FG_ASSERT(b->base_len + len <= sizeof(word));
    memcpy(word, b->base, b->base_len);
    memcpy(word + b->base_len, text, len);
    fg_redis_resp_word(&b->out, word, b->base_len + len);
}

void fg_sink_redis_batch_key(struct fg_sink_redis_batch *b, const char *suffix)
{
    key(b, suffix, strlen(suffix));
}

/* Where the state of an item stands: with its appliance, and in a fleet once more as the sum over
 * all members. */
enum level { OWN, SUM };

static enum level last_level(const struct fg_sink_redis_batch *b)
{
    return b->members ? SUM : OWN;
}

static void level_key(struct fg_sink_redis_batch *b, enum level level, const char *suffix)
{
    char base[FG_REDIS_BASE_MAX], word[FG_REDIS_BASE_MAX + 32];

    fg_redis_base(base, b->prefix, 0, 0);
    snprintf(word, sizeof(word), "%s%s", level == SUM ? base : b->base, suffix);
    fg_redis_resp_text(&b->out, word);
}

static void item_key(struct fg_sink_redis_batch *b, enum level level, uint64_t item)
{
    char text[32];

    snprintf(text, sizeof(text), FG_REDIS_KEY_ITEM "%llu", (unsigned long long)item);
    level_key(b, level, text);
}

static void order_key(struct fg_sink_redis_batch *b, uint64_t user, const char *id)
{
    char text[72];
    int len =
        snprintf(text, sizeof(text), FG_REDIS_KEY_ORDER "%llu:%s", (unsigned long long)user, id);

    key(b, text, (size_t)len);
}

static void pair(struct fg_sink_redis_batch *b, const char *field, uint64_t value)
{
    fg_redis_resp_text(&b->out, field);
    fg_redis_resp_u64(&b->out, value);
}

static void pair_text(struct fg_sink_redis_batch *b, const char *field, const char *value)
{
    fg_redis_resp_text(&b->out, field);
    fg_redis_resp_text(&b->out, value);
}

/* XADD with `pairs` fields to come. The id is the sequence: Redis refuses
 * an id twice, so an event can never stand in the stream twice. */
static void stream_begin(struct fg_sink_redis_batch *b, uint64_t seq, size_t pairs)
{
    char id[32];

    fg_redis_resp_begin(&b->out, 3 + 2 * pairs + (b->stream_max ? 3 : 0));
    fg_redis_resp_text(&b->out, "XADD");
    fg_sink_redis_batch_key(b, FG_REDIS_KEY_EVENTS);
    if (b->stream_max) {
        fg_redis_resp_text(&b->out, "MAXLEN");
        fg_redis_resp_text(&b->out, "~");
        fg_redis_resp_u64(&b->out, b->stream_max);
    }
    snprintf(id, sizeof(id), "%llu-0", (unsigned long long)seq);
    fg_redis_resp_text(&b->out, id);
}

/* Of the fields to come, three are written here. */
static void event_begin(struct fg_sink_redis_batch *b, const struct fg_journal_record *r,
                        size_t pairs)
{
    stream_begin(b, r->seq, pairs);
    pair(b, "seq", r->seq);
    pair_text(b, "type", type_name(r->type));
    pair(b, "time_ms", r->time_ms);
}

/* Name of the field that has `arg` of the record. */
static const char *arg_field(unsigned type)
{
    return type == FG_JOURNAL_RECORD_REFUNDED  ? "restocked"
           : type == FG_JOURNAL_RECORD_WAITING ? "ticket"
                                               : "deadline_ms";
}

static void order_event(struct fg_sink_redis_batch *b, const struct fg_journal_record *r,
                        const char *id)
{
    event_begin(b, r, 8);
    pair(b, "user", r->user);
    pair_text(b, "order", id);
    pair(b, "item", r->item);
    pair(b, "quantity", r->quantity);
    if (r->type == FG_JOURNAL_RECORD_LEFT)
        pair_text(b, "why", fg_journal_left_name(r->arg));
    else
        pair(b, arg_field(r->type), r->arg);
}

static void order_new(struct fg_sink_redis_batch *b, const struct fg_journal_record *r,
                      const char *id)
{
    fg_redis_resp_begin(&b->out, 2 + 2 * 7);
    fg_redis_resp_text(&b->out, "HSET");
    order_key(b, r->user, id);
    pair_text(b, "state", type_name(r->type));
    pair(b, "item", r->item);
    pair(b, "user", r->user);
    pair(b, "quantity", r->quantity);
    pair(b, "deadline_ms", r->type == FG_JOURNAL_RECORD_WAITING ? 0 : r->arg);
    pair(b, "changed_ms", r->time_ms);
    pair(b, "seq", r->seq);
}

static void order_change(struct fg_sink_redis_batch *b, const struct fg_journal_record *r,
                         const struct fg_ledger_step *step, const char *id)
{
    fg_redis_resp_begin(&b->out, 2 + 2 * (step->late ? 4 : 3));
    fg_redis_resp_text(&b->out, "HSET");
    order_key(b, r->user, id);
    pair_text(b, "state", fg_ledger_order_state_name(step->to));
    if (step->late)
        pair(b, FG_REDIS_ORDER_FIELD_LATE, 1);
    pair(b, "changed_ms", r->time_ms);
    pair(b, "seq", r->seq);
}

/* Extended, or offered: RESERVED from now on, with a new deadline. */
static void order_hold(struct fg_sink_redis_batch *b, const struct fg_journal_record *r,
                       const char *id)
{
    bool offered = r->type == FG_JOURNAL_RECORD_OFFERED;

    fg_redis_resp_begin(&b->out, 2 + 2 * (offered ? 4 : 3));
    fg_redis_resp_text(&b->out, "HSET");
    order_key(b, r->user, id);
    if (offered)
        pair_text(b, "state", fg_ledger_order_state_name(FG_LEDGER_ORDER_RESERVED));
    pair(b, "deadline_ms", r->arg);
    pair(b, "changed_ms", r->time_ms);
    pair(b, "seq", r->seq);
}

static void add_order(struct fg_sink_redis_batch *b, const struct fg_journal_record *r)
{
    const struct fg_ledger_step *step = fg_ledger_step(r);
    struct fg_batch_item *item = item_of(b, r->item);
    int64_t units = r->quantity;
    char id[33];

    hex(id, r->order_id);
    if (step->from == FG_LEDGER_ORDER_NONE)
        order_new(b, r, id);
    else if (r->type == FG_JOURNAL_RECORD_EXTENDED || r->type == FG_JOURNAL_RECORD_OFFERED)
        order_hold(b, r, id);
    else
        order_change(b, r, step, id);
    item->available += step->available * units;
    item->reserved += step->reserved * units;
    item->sold += step->sold * units;
    item->refunded += step->refunded * units;
    item->waiting +=
        (step->to == FG_LEDGER_ORDER_WAITING) - (step->from == FG_LEDGER_ORDER_WAITING);
    order_event(b, r, id);
}

static void settings(struct fg_sink_redis_batch *b, const struct fg_journal_record *r)
{
#define X(name) pair(b, #name, r->name);
    FG_REDIS_SETTINGS_LIST(X)
#undef X
    pair(b, FG_REDIS_ITEM_FIELD_PAUSED, r->flags & FG_JOURNAL_ITEM_PAUSED ? 1 : 0);
}

static void add_to_items(struct fg_sink_redis_batch *b, enum level level, uint64_t item)
{
    fg_redis_resp_begin(&b->out, 3);
    fg_redis_resp_text(&b->out, "SADD");
    level_key(b, level, FG_REDIS_KEY_ITEMS);
    fg_redis_resp_u64(&b->out, item);
}

static void add_item_set(struct fg_sink_redis_batch *b, const struct fg_journal_record *r)
{
    item_of(b, r->item)->defined = true;
    for (enum level level = OWN; level <= last_level(b); level++) {
        add_to_items(b, level, r->item);
        fg_redis_resp_begin(&b->out, 2 + 2 * 6);
        fg_redis_resp_text(&b->out, "HSET");
        item_key(b, level, r->item);
        settings(b, r);
    }
    event_begin(b, r, 4 + 6);
    pair(b, "item", r->item);
    settings(b, r);
}

static void line(struct fg_sink_redis_batch *b, const struct fg_journal_record *r)
{
#define X(name) pair(b, #name, r->name);
    FG_REDIS_LINE_LIST(X)
#undef X
    pair(b, FG_REDIS_ITEM_FIELD_ONE_UNIT, r->line_flags & FG_JOURNAL_LINE_ONE_UNIT ? 1 : 0);
}

static void add_line_set(struct fg_sink_redis_batch *b, const struct fg_journal_record *r)
{
    bool draws = r->line_flags & FG_JOURNAL_LINE_LOTTERY;

    for (enum level level = OWN; level <= last_level(b); level++) {
        fg_redis_resp_begin(&b->out, 2 + 2 * 4);
        fg_redis_resp_text(&b->out, "HSET");
        item_key(b, level, r->item);
        line(b, r);
    }
    event_begin(b, r, 4 + 4 + draws);
    pair(b, "item", r->item);
    line(b, r);
    if (draws)
        pair(b, "lottery", 1);
}

/* Of a draw: events only. */
static void add_lottery(struct fg_sink_redis_batch *b, const struct fg_journal_record *r)
{
    bool drawn = r->type == FG_JOURNAL_RECORD_DRAWN;
    char hex[2 * sizeof(r->name) + 1];
    size_t size = drawn ? sizeof(r->order_id) : sizeof(r->name);

    for (size_t i = 0; i < size; i++)
        snprintf(hex + 2 * i, 3, "%02x", r->name[i]);
    event_begin(b, r, drawn ? 4 + 3 : 4 + 1);
    pair(b, "item", r->item);
    fg_redis_resp_text(&b->out, drawn ? "seed" : "commitment");
    fg_redis_resp_text(&b->out, hex);
    if (!drawn)
        return;
    pair(b, "orders", r->user);
    pair(b, "behind", r->arg);
}

static void add_item_name(struct fg_sink_redis_batch *b, const struct fg_journal_record *r)
{
    size_t len = strnlen((const char *)r->name, sizeof(r->name));

    for (enum level level = OWN; level <= last_level(b); level++) {
        fg_redis_resp_begin(&b->out, 4);
        fg_redis_resp_text(&b->out, "HSET");
        item_key(b, level, r->item);
        fg_redis_resp_text(&b->out, FG_REDIS_ITEM_FIELD_NAME);
        fg_redis_resp_word(&b->out, r->name, len);
    }
    event_begin(b, r, 5);
    pair(b, "item", r->item);
    fg_redis_resp_text(&b->out, FG_REDIS_ITEM_FIELD_NAME);
    fg_redis_resp_word(&b->out, r->name, len);
}

static void add_stock(struct fg_sink_redis_batch *b, const struct fg_journal_record *r)
{
    struct fg_batch_item *item = item_of(b, r->item);

    item->total += (int64_t)r->arg;
    item->available += (int64_t)r->arg;
    event_begin(b, r, 5);
    pair(b, "item", r->item);
    fg_redis_resp_text(&b->out, "units");
    fg_redis_resp_i64(&b->out, (int64_t)r->arg);
}

/* A lease, or a return. */
static void add_fleet(struct fg_sink_redis_batch *b, const struct fg_journal_record *r)
{
    struct fg_batch_item *item = item_of(b, r->item);
    int64_t units = fg_journal_record_moves(r);

    item->total += units;
    item->available += units;
    item->leased += units > 0 ? units : 0;
    item->returned += units < 0 ? -units : 0;
    event_begin(b, r, 7);
    pair(b, "item", r->item);
    pair(b, "units", r->fleet_units);
    pair(b, "sum", r->fleet_sum);
    pair(b, "times", r->fleet_times);
}

static void add_user(struct fg_sink_redis_batch *b, const struct fg_journal_record *r)
{
    fg_redis_resp_begin(&b->out, 3);
    fg_redis_resp_text(&b->out, r->arg ? "SADD" : "SREM");
    fg_sink_redis_batch_key(b, FG_REDIS_KEY_DENIED);
    fg_redis_resp_u64(&b->out, r->user);
    event_begin(b, r, 5);
    pair(b, "user", r->user);
    pair(b, "denied", r->arg);
}

static bool add_record(struct fg_sink_redis_batch *b, const struct fg_journal_record *r)
{
    switch (r->type) {
    case FG_JOURNAL_RECORD_BATCH: /* how the log was written, not what happened */
    case FG_JOURNAL_RECORD_EPOCH:
        return true;
    case FG_JOURNAL_RECORD_RESERVED:
    case FG_JOURNAL_RECORD_SOLD:
    case FG_JOURNAL_RECORD_CANCELLED:
    case FG_JOURNAL_RECORD_EXPIRED:
    case FG_JOURNAL_RECORD_EXTENDED:
    case FG_JOURNAL_RECORD_SOLD_LATE:
    case FG_JOURNAL_RECORD_CLOSED:
    case FG_JOURNAL_RECORD_REFUNDED:
    case FG_JOURNAL_RECORD_WAITING:
    case FG_JOURNAL_RECORD_OFFERED:
    case FG_JOURNAL_RECORD_LEFT:
        add_order(b, r);
        return true;
    case FG_JOURNAL_RECORD_LINE_SET:
        add_line_set(b, r);
        return true;
    case FG_JOURNAL_RECORD_LOTTERY:
    case FG_JOURNAL_RECORD_DRAWN:
        add_lottery(b, r);
        return true;
    case FG_JOURNAL_RECORD_ITEM_SET:
        add_item_set(b, r);
        return true;
    case FG_JOURNAL_RECORD_ITEM_NAME:
        add_item_name(b, r);
        return true;
    case FG_JOURNAL_RECORD_STOCK:
        add_stock(b, r);
        return true;
    case FG_JOURNAL_RECORD_LEASE:
    case FG_JOURNAL_RECORD_RETURN:
        add_fleet(b, r);
        return true;
    case FG_JOURNAL_RECORD_USER:
        add_user(b, r);
        return true;
    }
    return false;
}

static void counter(struct fg_sink_redis_batch *b, const struct fg_batch_item *item,
                    const char *field, int64_t units)
{
    if (!units && !item->defined)
        return;
    for (enum level level = OWN; level <= last_level(b); level++) {
        fg_redis_resp_begin(&b->out, 4);
        fg_redis_resp_text(&b->out, "HINCRBY");
        item_key(b, level, item->item);
        fg_redis_resp_text(&b->out, field);
        fg_redis_resp_i64(&b->out, units);
    }
}

static void add_counters(struct fg_sink_redis_batch *b)
{
    for (size_t i = 0; i < b->used_count; i++) {
        struct fg_batch_item *item = &b->items[b->used[i]];

#define X(name) counter(b, item, #name, item->name);
        FG_REDIS_UNITS_LIST(X)
#undef X
        if (item->waiting)
            counter(b, item, FG_REDIS_ITEM_FIELD_WAITING, item->waiting);
#define X(name)                                                                                    \
    if (item->name)                                                                                \
        counter(b, item, #name, item->name);
        FG_REDIS_FLEET_LIST(X)
#undef X
        if (item->defined && b->members) /* something may have been left there */
            fg_sink_redis_batch_sum(b, item->item);
        item->taken = false;
    }
    b->used_count = 0;
}

void fg_sink_redis_batch_cursor(struct fg_sink_redis_batch *b, uint64_t seq, uint32_t crc,
                                uint64_t log_id, bool filled)
{
    char log[17], crc_text[9];

    snprintf(log, sizeof(log), "%016llx", (unsigned long long)log_id);
    snprintf(crc_text, sizeof(crc_text), "%08x", crc);
    fg_redis_resp_begin(&b->out, 2 + 2 * (filled ? 5 : 4));
    fg_redis_resp_text(&b->out, "HSET");
    fg_sink_redis_batch_key(b, FG_REDIS_KEY_CURSOR);
    pair(b, FG_REDIS_CURSOR_SEQ, seq);
    pair_text(b, FG_REDIS_CURSOR_APPLIANCE, log);
    pair_text(b, FG_REDIS_CURSOR_CRC, crc_text);
    pair_text(b, FG_REDIS_CURSOR_FORMAT, FG_REDIS_FORMAT);
    if (filled)
        pair(b, FG_REDIS_CURSOR_FILLED, seq);
}

bool fg_sink_redis_batch_build(struct fg_sink_redis_batch *b,
                               const struct fg_journal_record *records, size_t n, uint64_t log_id)
{
    bool known = true;

    FG_ASSERT(n > 0 && n <= b->records_max);
    fg_redis_resp_clear(&b->out);
    fg_redis_resp_command(&b->out, 1, (const char *[]){"MULTI"});
    for (size_t i = 0; i < n && known; i++)
        known = add_record(b, &records[i]);
    add_counters(b);
    fg_sink_redis_batch_cursor(b, records[n - 1].seq, records[n - 1].crc, log_id, false);
    fg_redis_resp_command(&b->out, 1, (const char *[]){"EXEC"});
    return known && !b->out.no_memory;
}

/* ---- of a snapshot --------------------------------------------------------------------------- */

void fg_sink_redis_batch_order(struct fg_sink_redis_batch *b, const struct fg_ledger_order *o,
                               uint64_t seq)
{
    char id[33];

    hex(id, o->order_id);
    fg_redis_resp_begin(&b->out, 2 + 2 * (o->late ? 8 : 7));
    fg_redis_resp_text(&b->out, "HSET");
    order_key(b, o->user, id);
    if (o->late)
        pair(b, FG_REDIS_ORDER_FIELD_LATE, 1);
    pair_text(b, "state", fg_ledger_order_state_name(o->state));
    pair(b, "item", o->item);
    pair(b, "user", o->user);
    pair(b, "quantity", o->quantity);
    pair(b, "deadline_ms", o->state == FG_LEDGER_ORDER_WAITING ? 0 : o->deadline_ms);
    pair(b, "changed_ms", o->changed_ms);
    pair(b, "seq", seq);
}

static void item_hash(struct fg_sink_redis_batch *b, enum level level,
                      const struct fg_ledger_item *item)
{
    bool fleet = item->leases || item->returns;
    bool lined =
        item->line_max || item->claim_ms || item->wait_ttl_ms || item->line_flags || item->waiting;

    fg_redis_resp_begin(&b->out,
                        2 + 2 * (11u + (item->name[0] != 0) + (lined ? 5 : 0) + (fleet ? 2 : 0)));
    fg_redis_resp_text(&b->out, "HSET");
    item_key(b, level, item->item);
#define X(name) pair(b, #name, item->name);
    FG_REDIS_UNITS_LIST(X)
    FG_REDIS_SETTINGS_LIST(X)
#undef X
    pair(b, FG_REDIS_ITEM_FIELD_PAUSED, item->flags & FG_JOURNAL_ITEM_PAUSED ? 1 : 0);
    if (lined) {
#define X(name) pair(b, #name, item->name);
        FG_REDIS_LINE_LIST(X)
#undef X
        pair(b, FG_REDIS_ITEM_FIELD_ONE_UNIT, item->line_flags & FG_JOURNAL_LINE_ONE_UNIT ? 1 : 0);
        pair(b, FG_REDIS_ITEM_FIELD_WAITING, item->waiting);
    }
    if (fleet) {
#define X(name) pair(b, #name, item->name);
        FG_REDIS_FLEET_LIST(X)
#undef X
    }
    if (item->name[0])
        pair_text(b, FG_REDIS_ITEM_FIELD_NAME, item->name);
}

/* The units in the sums are those of this member until the script has replaced them. */
void fg_sink_redis_batch_item(struct fg_sink_redis_batch *b, const struct fg_ledger_item *item)
{
    for (enum level level = OWN; level <= last_level(b); level++) {
        item_hash(b, level, item);
        add_to_items(b, level, item->item);
    }
    if (b->members)
        fg_sink_redis_batch_sum(b, item->item);
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* KEYS: the set of items, the item with its sums, the item of each member. ARGV: item, fields. */
static const char sum_script[] =
    "local found = 0 "
    "for k = 3, #KEYS do found = found + redis.call('HLEN', KEYS[k]) end "
    "if found == 0 then redis.call('DEL', KEYS[2]) "
    "return redis.call('SREM', KEYS[1], ARGV[1]) end "
    "for f = 2, #ARGV do redis.call('HDEL', KEYS[2], ARGV[f]) "
    "for k = 3, #KEYS do local units = redis.call('HGET', KEYS[k], ARGV[f]) "
    "if units then redis.call('HINCRBY', KEYS[2], ARGV[f], units) end end end "
    "return 0";

static const char *const summed[] = {
#define X(name) #name,
    FG_REDIS_UNITS_LIST(X) FG_REDIS_FLEET_LIST(X)
#undef X
        FG_REDIS_ITEM_FIELD_WAITING};
#define SUMMED (sizeof(summed) / sizeof(summed[0]))

void fg_sink_redis_batch_sum(struct fg_sink_redis_batch *b, uint64_t item)
{
    char base[FG_REDIS_BASE_MAX], word[FG_REDIS_BASE_MAX + 32];

    fg_redis_resp_begin(&b->out, 3 + 2 + b->members + 1 + SUMMED);
    fg_redis_resp_text(&b->out, "EVAL");
    fg_redis_resp_text(&b->out, sum_script);
    fg_redis_resp_u64(&b->out, 2 + b->members);
    level_key(b, SUM, FG_REDIS_KEY_ITEMS);
    item_key(b, SUM, item);
    for (unsigned m = 0; m < b->members; m++) {
        fg_redis_base(base, b->prefix, b->members, m);
        snprintf(word, sizeof(word), "%s" FG_REDIS_KEY_ITEM "%llu", base, (unsigned long long)item);
        fg_redis_resp_text(&b->out, word);
    }
    fg_redis_resp_u64(&b->out, item);
    for (size_t i = 0; i < SUMMED; i++)
        fg_redis_resp_text(&b->out, summed[i]);
}

void fg_sink_redis_batch_denied(struct fg_sink_redis_batch *b, uint64_t user)
{
    fg_redis_resp_begin(&b->out, 3);
    fg_redis_resp_text(&b->out, "SADD");
    fg_sink_redis_batch_key(b, FG_REDIS_KEY_DENIED);
    fg_redis_resp_u64(&b->out, user);
}

void fg_sink_redis_batch_delete_item(struct fg_sink_redis_batch *b, uint64_t item)
{
    fg_redis_resp_begin(&b->out, 2);
    fg_redis_resp_text(&b->out, "DEL");
    item_key(b, OWN, item);
}

void fg_sink_redis_batch_resync(struct fg_sink_redis_batch *b,
                                const struct fg_ledger_snapshot_info *info)
{
    stream_begin(b, info->seq, 3);
    pair(b, "seq", info->seq);
    pair_text(b, "type", FG_REDIS_EVENT_RESYNC);
    pair(b, "time_ms", info->created_ms);
}
