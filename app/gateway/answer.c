/* SPDX-License-Identifier: BSD-3-Clause */
#include "answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "client/client.h"
#include "parse.h"

#define TYPE         "urn:floodgate:problem:"
#define STATUS(name) (1ull << FG_PACKET_STATUS_##name)

/* Statuses as problems. The title is for people; `wait`: to ask again makes sense, after this many
 * milliseconds where the reply has no hint. */
static const struct {
    unsigned http;
    const char *title;
    unsigned wait_ms;
} told[FG_PACKET_STATUS_COUNT] = {
    [FG_PACKET_STATUS_RESERVED] = {409, "The order is reserved", 0},
    [FG_PACKET_STATUS_SOLD] = {409, "The order is sold", 0},
    [FG_PACKET_STATUS_CANCELLED] = {409, "The order was cancelled", 0},
    [FG_PACKET_STATUS_EXPIRED] = {409, "The hold of the order has ended", 0},
    [FG_PACKET_STATUS_REFUNDED] = {409, "The order was refunded", 0},
    [FG_PACKET_STATUS_WAITING] = {409, "The order waits for units", 0},
    [FG_PACKET_STATUS_SOLD_OUT] = {409, "Sold out", 1000},
    [FG_PACKET_STATUS_INSUFFICIENT] = {409, "Fewer units are left", 0},
    [FG_PACKET_STATUS_USER_LIMIT] = {409, "The limit of this shopper is reached", 0},
    [FG_PACKET_STATUS_NOT_OPEN] = {409, "The sale has not begun", 1000},
    [FG_PACKET_STATUS_PAUSED] = {409, "The sale is paused", 1000},
    [FG_PACKET_STATUS_CLOSED] = {409, "The sale has ended", 0},
    [FG_PACKET_STATUS_CONFLICT] = {422, "The key belongs to another order", 0},
    [FG_PACKET_STATUS_BAD_QUANTITY] = {422, "This quantity cannot be ordered", 0},
    [FG_PACKET_STATUS_USER_RATE] = {429, "Too many orders in a short time", 1000},
    [FG_PACKET_STATUS_USER_DENIED] = {403, "This shopper may not order", 0},
    [FG_PACKET_STATUS_UNKNOWN_ITEM] = {404, "There is no such item", 0},
    [FG_PACKET_STATUS_UNKNOWN_ORDER] = {404, "There is no such order", 0},
    [FG_PACKET_STATUS_DENIED] = {500, "The gateway's key may not do this", 0},
    [FG_PACKET_STATUS_BUSY] = {503, "Nothing was decided", 1000},
    [FG_PACKET_STATUS_UNAVAILABLE] = {503, "The sale is not available", 1000},
    [FG_PACKET_STATUS_FULL] = {503, "No more orders can be taken", 5000},
    [FG_PACKET_STATUS_NOT_LEADER] = {503, "The sale is not available", 1000},
    [FG_PACKET_STATUS_WRONG_SHARD] = {503, "The sale is not available", 1000},
};

static const struct {
    const char *type, *title;
    unsigned http;
} problems[GATEWAY_PROBLEMS] = {
#define X(name, type, http, title) [GATEWAY_PROBLEM_##name] = {type, title, http},
    GATEWAY_PROBLEM_LIST(X)
#undef X
};

/* The states that an operation wishes for. */
static uint64_t wished(uint8_t op)
{
    switch (op) {
    case FG_PACKET_OP_RESERVE:
        return STATUS(RESERVED) | STATUS(SOLD) | STATUS(WAITING);
    case FG_PACKET_OP_CONFIRM:
        return STATUS(SOLD);
    case FG_PACKET_OP_CANCEL:
        return STATUS(CANCELLED);
    case FG_PACKET_OP_EXTEND:
        return STATUS(RESERVED);
    case FG_PACKET_OP_REFUND:
        return STATUS(REFUNDED);
    default:
        return STATUS(RESERVED) | STATUS(SOLD) | STATUS(CANCELLED) | STATUS(EXPIRED) |
               STATUS(REFUNDED) | STATUS(WAITING);
    }
}

__attribute__((format(printf, 3, 4))) static size_t put(char *text, size_t room, const char *format,
                                                        ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, room, format, args);
    va_end(args);
    FG_ASSERT(n >= 0 && (size_t)n < room);
    return (size_t)n;
}

static void type_of(char type[32], const char *name)
{
    size_t i;

    for (i = 0; i < 31 && name[i]; i++)
        type[i] = name[i] == '_' ? '-' : (char)(name[i] | 0x20);
    type[i] = '\0';
}

bool gateway_answer_status(unsigned status, unsigned *http, const char **title, char type[32])
{
    if (status >= FG_PACKET_STATUS_COUNT || !told[status].title)
        return false;
    *http = told[status].http;
    *title = told[status].title;
    type_of(type, fg_packet_status_name(status));
    return true;
}

const char *gateway_problem_type(unsigned problem)
{
    return problem < GATEWAY_PROBLEMS ? problems[problem].type : "?";
}

void gateway_answer_problem(struct gateway_answer *a, enum gateway_problem problem,
                            const char *detail)
{
    bool again = problem == GATEWAY_PROBLEM_OVERLOADED ||
                 problem == GATEWAY_PROBLEM_UNKNOWN_OUTCOME || problem == GATEWAY_PROBLEM_TOO_EARLY;

    a->http = problems[problem].http;
    a->problem = true;
    a->retry_after_s = again ? 1 : 0;
    a->size = put(a->text, sizeof(a->text),
                  "{\"type\":\"" TYPE "%s\",\"title\":\"%s\",\"status\":%u,\"detail\":\"%s\"}\n",
                  problems[problem].type, problems[problem].title, a->http, detail);
}

size_t gateway_answer_order(char *text, size_t room, const uint8_t order_id[16],
                            const struct fg_packet_reply *r)
{
    char uuid[GATEWAY_UUID], deadline[FG_TEXT_TIME_SIZE];
    size_t n;

    gateway_uuid_write(uuid, order_id);
    n = put(text, room, "\"order\":\"%.*s\",\"state\":\"%s\",\"item\":\"%llu\",\"quantity\":%u",
            GATEWAY_UUID, uuid, fg_packet_status_name(r->status), (unsigned long long)r->item,
            r->quantity);
    if (r->status == FG_PACKET_STATUS_RESERVED && r->deadline_ms <= FG_TEXT_TIME_MAX) {
        fg_text_time(deadline, r->deadline_ms);
        n += put(text + n, room - n, ",\"deadline\":\"%s\"", deadline);
        if (r->retry_ms)
            n += put(text + n, room - n, ",\"left_ms\":%u", r->retry_ms);
    }
    if (r->status == FG_PACKET_STATUS_SOLD && r->flags & FG_PACKET_LATE)
        n += put(text + n, room - n, ",\"late\":true");
    return n;
}

static size_t put_retry(struct gateway_answer *a, size_t n, const struct fg_packet_reply *reply,
                        uint64_t random)
{
    struct fg_packet_reply hint = *reply;
    uint64_t ms;

    if (!told[reply->status].wait_ms)
        return n;
    if (!hint.retry_ms)
        hint.retry_ms = told[reply->status].wait_ms;
    ms = fg_client_retry_ms(&hint, random);
    a->retry_after_s = (unsigned)((ms + 999) / 1000);
    return n + put(a->text + n, sizeof(a->text) - n, ",\"retry_ms\":%llu", (unsigned long long)ms);
}

static void refuse(struct gateway_answer *a, const uint8_t order_id[16],
                   const struct fg_packet_reply *r, uint64_t random)
{
    char type[32], uuid[GATEWAY_UUID];
    const char *title;
    size_t n;

    if (!gateway_answer_status(r->status, &a->http, &title, type)) {
        gateway_answer_problem(a, GATEWAY_PROBLEM_UNKNOWN_OUTCOME, "the appliance's answer is new");
        return;
    }
    a->problem = true;
    gateway_uuid_write(uuid, order_id);
    n = put(a->text, sizeof(a->text),
            "{\"type\":\"" TYPE "%s\",\"title\":\"%s\",\"status\":%u,\"detail\":\"%s\","
            "\"code\":\"%s\",\"order\":\"%.*s\"",
            type, title, a->http, fg_packet_status_text(r->status),
            fg_packet_status_name(r->status), GATEWAY_UUID, uuid);
    if (r->item)
        n += put(a->text + n, sizeof(a->text) - n, ",\"item\":\"%llu\"",
                 (unsigned long long)r->item);
    if (r->status == FG_PACKET_STATUS_INSUFFICIENT || r->status == FG_PACKET_STATUS_USER_LIMIT)
        n += put(a->text + n, sizeof(a->text) - n, ",\"left\":%u", r->left);
    n = put_retry(a, n, r, random);
    a->size = n + put(a->text + n, sizeof(a->text) - n, "}\n");
}

void gateway_answer_reply(struct gateway_answer *a, uint8_t op, const uint8_t order_id[16],
                          const struct fg_packet_reply *r, uint64_t random)
{
    size_t n = 1;

    a->retry_after_s = 0;
    if (!(wished(op) >> r->status & 1)) {
        refuse(a, order_id, r, random);
        return;
    }
    a->http = r->status == FG_PACKET_STATUS_WAITING ? 202 : 200;
    a->problem = false;
    a->text[0] = '{';
    n += gateway_answer_order(a->text + n, sizeof(a->text) - n, order_id, r);
    a->size = n + put(a->text + n, sizeof(a->text) - n, "}\n");
}
