/* SPDX-License-Identifier: BSD-3-Clause */
#include "inbound/entry.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/text.h"

#define DEAD_FIELDS 32  /* kept of an entry that is set aside */
#define DEAD_BYTES  256 /* of each name and value */
#define SHOWN       40  /* bytes of a value in a reason */

/* name in the stream, command */
static const struct {
    const char *name;
    uint8_t op;
} ops[] = {{"confirm", FG_PACKET_OP_CONFIRM},
           {"cancel", FG_PACKET_OP_CANCEL},
           {"extend", FG_PACKET_OP_EXTEND}};
#define OPS (sizeof(ops) / sizeof(ops[0]))

enum field { OP, USER, ORDER, UNTIL_MS, FIELDS };
static const char *const names[FIELDS] = {"op", "user", "order", "until_ms"};
static const char *const accepted[FIELDS] = {"confirm, cancel, extend", "0..18446744073709551615",
                                             "32 hexadecimal digits", "Unix time in milliseconds"};

static bool refuse(char reason[FG_INBOUND_ENTRY_REASON], enum field field,
                   struct fg_redis_text value)
{
    char shown[SHOWN + 1];
    size_t n = value.len < SHOWN ? value.len : SHOWN;

    for (size_t i = 0; i < n; i++)
        shown[i] = isprint((unsigned char)value.text[i]) ? value.text[i] : '?';
    shown[n] = '\0';
    snprintf(reason, FG_INBOUND_ENTRY_REASON, "%s '%s'; accepted: %s", names[field], shown,
             accepted[field]);
    return false;
}

static bool same(struct fg_redis_text value, const char *word)
{
    return value.len == strlen(word) && !memcmp(value.text, word, value.len);
}

static bool parse_op(struct fg_redis_text value, uint8_t *op)
{
    for (size_t i = 0; i < OPS; i++)
        if (same(value, ops[i].name)) {
            *op = ops[i].op;
            return true;
        }
    return false;
}

static const char *op_name(unsigned op)
{
    for (size_t i = 0; i < OPS; i++)
        if (ops[i].op == op)
            return ops[i].name;
    return "?";
}

static bool parse_number(struct fg_redis_text value, uint64_t *number)
{
    char *end;

    if (value.len < 1 || value.len > 20 || strspn(value.text, "0123456789") != value.len)
        return false;
    errno = 0;
    *number = strtoull(value.text, &end, 10);
    return !*end && !errno;
}

static const char digits[] = "0123456789abcdef";

static int digit(char c)
{
    const char *at = c ? strchr(digits, tolower((unsigned char)c)) : NULL;

    return at ? (int)(at - digits) : -1;
}

static bool parse_order(struct fg_redis_text value, uint8_t id[16])
{
    if (value.len != 32)
        return false;
    for (int i = 0; i < 16; i++) {
        int high = digit(value.text[2 * i]), low = digit(value.text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        id[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool take_field(enum field field, struct fg_redis_text value, struct fg_inbound_command *o)
{
    switch (field) {
    case OP:
        return parse_op(value, &o->op);
    case USER:
        return parse_number(value, &o->user);
    case ORDER:
        return parse_order(value, o->order_id);
    case UNTIL_MS:
        return parse_number(value, &o->until_ms);
    case FIELDS:
        break;
    }
    return false;
}

static enum field find_field(struct fg_redis_text name)
{
    for (unsigned i = 0; i < FIELDS; i++)
        if (same(name, names[i]))
            return (enum field)i;
    return FIELDS;
}

/* Fields that are not ours may be there: they are the sender's business. */
bool fg_inbound_entry_parse(const redisReply *fields, struct fg_inbound_command *o,
                            char reason[FG_INBOUND_ENTRY_REASON])
{
    bool seen[FIELDS] = {false};
    struct fg_error err;
    unsigned needed;

    memset(o, 0, sizeof(*o));
    for (size_t i = 0; i + 1 < fg_redis_reply_size(fields); i += 2) {
        enum field field = find_field(fg_redis_reply_text(fg_redis_reply_at(fields, i)));
        struct fg_redis_text value = fg_redis_reply_text(fg_redis_reply_at(fields, i + 1));

        if (field == FIELDS)
            continue;
        if (seen[field]) {
            snprintf(reason, FG_INBOUND_ENTRY_REASON, "%s is given twice", names[field]);
            return false;
        }
        seen[field] = true;
        if (!take_field(field, value, o))
            return refuse(reason, field, value);
    }
    needed = o->op == FG_PACKET_OP_EXTEND ? FIELDS : UNTIL_MS;
    for (unsigned i = 0; i < needed; i++)
        if (!seen[i]) {
            snprintf(reason, FG_INBOUND_ENTRY_REASON, "%s is missing; accepted: %s", names[i],
                     accepted[i]);
            return false;
        }
    if (o->op == FG_PACKET_OP_EXTEND && !fg_text_moment_check(o->until_ms, &err)) {
        snprintf(reason, FG_INBOUND_ENTRY_REASON, "until_ms: %.140s", err.text);
        return false;
    }
    if (o->op != FG_PACKET_OP_EXTEND && seen[UNTIL_MS]) {
        snprintf(reason, FG_INBOUND_ENTRY_REASON, "until_ms is for extend only");
        return false;
    }
    return true;
}

static void add_begin(struct fg_redis_resp *out, const char *key, uint64_t stream_max, size_t pairs)
{
    fg_redis_resp_begin(out, 3 + (stream_max ? 3 : 0) + 2 * pairs);
    fg_redis_resp_text(out, "XADD");
    fg_redis_resp_text(out, key);
    if (stream_max) {
        fg_redis_resp_text(out, "MAXLEN");
        fg_redis_resp_text(out, "~");
        fg_redis_resp_u64(out, stream_max);
    }
    fg_redis_resp_text(out, "*");
}

static void pair_text(struct fg_redis_resp *out, const char *name, const char *value)
{
    fg_redis_resp_text(out, name);
    fg_redis_resp_text(out, value);
}

static void pair(struct fg_redis_resp *out, const char *name, uint64_t value)
{
    fg_redis_resp_text(out, name);
    fg_redis_resp_u64(out, value);
}

void fg_inbound_entry_result(struct fg_redis_resp *out, const char *key, uint64_t stream_max,
                             const char *id, const struct fg_inbound_command *o,
                             const struct fg_stock_answer *answer)
{
    char order[33] = "";

    for (int i = 0; i < 16; i++) {
        order[2 * i] = digits[o->order_id[i] >> 4];
        order[2 * i + 1] = digits[o->order_id[i] & 15];
    }
    add_begin(out, key, stream_max, 8);
    pair_text(out, "command", id);
    pair_text(out, "op", op_name(o->op));
    pair(out, "user", o->user);
    pair_text(out, "order", order);
    pair_text(out, "status", fg_packet_status_name(answer->status));
    pair(out, "item", answer->item);
    pair(out, "quantity", answer->quantity);
    pair(out, "deadline_ms", answer->deadline_ms);
}

void fg_inbound_entry_dead(struct fg_redis_resp *out, const char *key, uint64_t stream_max,
                           const char *id, const char *reason, const redisReply *fields)
{
    size_t there = fg_redis_reply_size(fields) / 2;
    size_t pairs = there < DEAD_FIELDS ? there : DEAD_FIELDS;

    add_begin(out, key, stream_max, 2 + pairs);
    pair_text(out, "command", id);
    pair_text(out, "reason", reason);
    for (size_t i = 0; i < 2 * pairs; i++) {
        struct fg_redis_text word = fg_redis_reply_text(fg_redis_reply_at(fields, i));

        fg_redis_resp_word(out, word.text, word.len < DEAD_BYTES ? word.len : DEAD_BYTES);
    }
}
