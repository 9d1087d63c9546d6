/* SPDX-License-Identifier: BSD-3-Clause */
#include "inbound/entry.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
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
           {"extend", FG_PACKET_OP_EXTEND},
           {"refund", FG_PACKET_OP_REFUND}};
#define OPS (sizeof(ops) / sizeof(ops[0]))

/* name, accepted */
#define FIELD_LIST(X)                                                                              \
    X(OP, "op", "confirm, cancel, extend, refund")                                                 \
    X(USER, "user", "0..18446744073709551615")                                                     \
    X(ORDER, "order", FG_TEXT_ORDER)                                                               \
    X(UNTIL_MS, "until_ms", "Unix time in milliseconds")                                           \
    X(RESTOCK, "restock", "1: the units go back on sale, 0")                                       \
    X(REF, "ref", "at most 64 bytes")

enum field {
#define X(name, text, accepted) name,
    FIELD_LIST(X)
#undef X
        FIELDS
};
static const struct {
    const char *name, *accepted;
} known[FIELDS] = {
#define X(name, text, accepted) {text, accepted},
    FIELD_LIST(X)
#undef X
};
_Static_assert(FG_INBOUND_ENTRY_REF == 64, "the text of what is accepted says so");

static bool refuse(char reason[FG_INBOUND_ENTRY_REASON], enum field field,
                   struct fg_redis_text value)
{
    char shown[SHOWN + 1];
    size_t n = value.len < SHOWN ? value.len : SHOWN;

    for (size_t i = 0; i < n; i++)
        shown[i] = isprint((unsigned char)value.text[i]) ? value.text[i] : '?';
    shown[n] = '\0';
    snprintf(reason, FG_INBOUND_ENTRY_REASON, "%s '%s'; accepted: %s", known[field].name, shown,
             known[field].accepted);
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

/* The bytes of a text, which may hold zeros: those are not an id. */
static bool parse_order(struct fg_redis_text value, uint8_t id[16])
{
    return strlen(value.text) == value.len && fg_text_order_read(value.text, id);
}

static bool parse_restock(struct fg_redis_text value, struct fg_inbound_command *o)
{
    bool yes = same(value, "1");

    o->flags = yes ? FG_PACKET_RESTOCK : 0;
    return yes || same(value, "0");
}

/* Too long is wrong: what is cut off could belong to another command. */
static bool parse_ref(struct fg_redis_text value, struct fg_inbound_ref *ref)
{
    if (value.len > FG_INBOUND_ENTRY_REF)
        return false;
    memcpy(ref->text, value.text, value.len);
    ref->len = (uint8_t)value.len;
    ref->given = true;
    return true;
}

static bool take_field(enum field field, struct fg_redis_text value, struct fg_inbound_command *o,
                       struct fg_inbound_ref *ref)
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
    case RESTOCK:
        return parse_restock(value, o);
    case REF:
        return parse_ref(value, ref);
    case FIELDS:
        break;
    }
    return false;
}

static enum field find_field(struct fg_redis_text name)
{
    for (unsigned i = 0; i < FIELDS; i++)
        if (same(name, known[i].name))
            return (enum field)i;
    return FIELDS;
}

/* A field that an operation needs is there, and none that belongs to another one. */
static bool fields_fit(const bool seen[FIELDS], const struct fg_inbound_command *o,
                       char reason[FG_INBOUND_ENTRY_REASON])
{
    bool extends = o->op == FG_PACKET_OP_EXTEND;
    struct fg_error err;

    for (unsigned i = 0; i < (extends ? RESTOCK : UNTIL_MS); i++)
        if (!seen[i]) {
            snprintf(reason, FG_INBOUND_ENTRY_REASON, "%s is missing; accepted: %s", known[i].name,
                     known[i].accepted);
            return false;
        }
    if (extends && !fg_text_moment_check(o->until_ms, &err)) {
        snprintf(reason, FG_INBOUND_ENTRY_REASON, "until_ms: %.140s", err.text);
        return false;
    }
    if (!extends && seen[UNTIL_MS]) {
        snprintf(reason, FG_INBOUND_ENTRY_REASON, "until_ms is for extend only");
        return false;
    }
    if (o->op != FG_PACKET_OP_REFUND && seen[RESTOCK]) {
        snprintf(reason, FG_INBOUND_ENTRY_REASON, "restock is for refund only");
        return false;
    }
    return true;
}

/* The caller's `ref` is read first, so that the result of a wrong command has it, too. */
static void find_ref(const redisReply *fields, struct fg_inbound_ref *ref)
{
    memset(ref, 0, sizeof(*ref));
    for (size_t i = 0; i + 1 < fg_redis_reply_size(fields) && !ref->given; i += 2)
        if (find_field(fg_redis_reply_text(fg_redis_reply_at(fields, i))) == REF)
            parse_ref(fg_redis_reply_text(fg_redis_reply_at(fields, i + 1)), ref);
}

/* Fields that are not ours may be there: they are the sender's business. */
bool fg_inbound_entry_parse(const redisReply *fields, struct fg_inbound_command *o,
                            struct fg_inbound_ref *ref, char reason[FG_INBOUND_ENTRY_REASON])
{
    bool seen[FIELDS] = {false};

    memset(o, 0, sizeof(*o));
    find_ref(fields, ref);
    for (size_t i = 0; i + 1 < fg_redis_reply_size(fields); i += 2) {
        enum field field = find_field(fg_redis_reply_text(fg_redis_reply_at(fields, i)));
        struct fg_redis_text value = fg_redis_reply_text(fg_redis_reply_at(fields, i + 1));

        if (field == FIELDS)
            continue;
        if (seen[field]) {
            snprintf(reason, FG_INBOUND_ENTRY_REASON, "%s is given twice", known[field].name);
            return false;
        }
        seen[field] = true;
        if (!take_field(field, value, o, ref))
            return refuse(reason, field, value);
    }
    return fields_fit(seen, o, reason);
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

static void pair_ref(struct fg_redis_resp *out, const struct fg_inbound_ref *ref)
{
    if (!ref->given)
        return;
    fg_redis_resp_text(out, known[REF].name);
    fg_redis_resp_word(out, ref->text, ref->len);
}

void fg_inbound_entry_result(struct fg_redis_resp *out, const char *key, uint64_t stream_max,
                             const char *id, const struct fg_inbound_ref *ref,
                             const struct fg_inbound_command *o,
                             const struct fg_stock_answer *answer)
{
    char order[33];

    fg_text_hex(order, o->order_id, sizeof(o->order_id));
    add_begin(out, key, stream_max, 8 + ref->given);
    pair_text(out, "command", id);
    pair_ref(out, ref);
    pair_text(out, "op", op_name(o->op));
    pair(out, "user", o->user);
    pair_text(out, "order", order);
    pair_text(out, "status", fg_packet_status_name(answer->status));
    pair(out, "item", answer->item);
    pair(out, "quantity", answer->quantity);
    pair(out, "deadline_ms", answer->deadline_ms);
}

void fg_inbound_entry_refused(struct fg_redis_resp *out, const char *key, uint64_t stream_max,
                              const char *id, const struct fg_inbound_ref *ref, const char *reason)
{
    add_begin(out, key, stream_max, 3 + ref->given);
    pair_text(out, "command", id);
    pair_ref(out, ref);
    pair_text(out, "status", FG_INBOUND_BAD_COMMAND);
    pair_text(out, "reason", reason);
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
