/* SPDX-License-Identifier: BSD-3-Clause */
#include "answer.h"

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
    case FG_PACKET_OP_WAIT:
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

/* Text that grows; the callers leave room. */
struct text {
    char *at, *end;
};

static void put_bytes(struct text *t, const char *bytes, size_t size)
{
    FG_ASSERT(size <= (size_t)(t->end - t->at));
    memcpy(t->at, bytes, size);
    t->at += size;
}

static void put(struct text *t, const char *text)
{
    put_bytes(t, text, strlen(text));
}

static void put_number(struct text *t, uint64_t number)
{
    char digits[GATEWAY_NUMBER];

    put_bytes(t, digits, gateway_number_write(digits, number));
}

static void put_uuid(struct text *t, const uint8_t id[16])
{
    char uuid[GATEWAY_UUID];

    gateway_uuid_write(uuid, id);
    put_bytes(t, uuid, sizeof(uuid));
}

static void finish(struct gateway_answer *a, struct text *t)
{
    put_bytes(t, "}\n", 3); /* a NUL ends it, which does not count */
    a->size = (size_t)(t->at - a->text) - 1;
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

static void put_head(struct text *t, const char *type, const char *title, unsigned http,
                     const char *detail)
{
    put(t, "{\"type\":\"" TYPE);
    put(t, type);
    put(t, "\",\"title\":\"");
    put(t, title);
    put(t, "\",\"status\":");
    put_number(t, http);
    put(t, ",\"detail\":\"");
    put(t, detail);
    put(t, "\"");
}

void gateway_answer_problem(struct gateway_answer *a, enum gateway_problem problem,
                            const char *detail)
{
    bool again = problem == GATEWAY_PROBLEM_OVERLOADED ||
                 problem == GATEWAY_PROBLEM_UNKNOWN_OUTCOME || problem == GATEWAY_PROBLEM_TOO_EARLY;
    struct text t;

    a->http = problems[problem].http;
    a->problem = true;
    a->retry_after_s = again ? 1 : 0;
    t = (struct text){a->text, a->text + sizeof(a->text)};
    put_head(&t, problems[problem].type, problems[problem].title, a->http, detail);
    finish(a, &t);
}

static void put_ticket(struct text *t, const struct fg_packet_reply *r)
{
    if (r->ticket) {
        put(t, ",\"ticket\":");
        put_number(t, r->ticket);
        put(t, ",\"ahead\":");
        put_number(t, r->left);
    } else {
        put(t, ",\"draw\":true"); /* it is to come */
    }
    if (r->expected_ms) {
        put(t, ",\"expected_ms\":");
        put_number(t, r->expected_ms);
    }
    put(t, ",\"repeat_ms\":");
    put_number(t, r->retry_ms);
}

size_t gateway_answer_order(char *text, size_t room, const uint8_t order_id[16],
                            const struct fg_packet_reply *r)
{
    struct text t = {text, text + room};
    char deadline[FG_TEXT_TIME_SIZE];

    put(&t, "\"order\":\"");
    put_uuid(&t, order_id);
    put(&t, "\",\"state\":\"");
    put(&t, fg_packet_status_name(r->status));
    put(&t, "\",\"item\":\"");
    put_number(&t, r->item);
    put(&t, "\",\"quantity\":");
    put_number(&t, r->quantity);
    if (r->status == FG_PACKET_STATUS_RESERVED && r->deadline_ms <= FG_TEXT_TIME_MAX) {
        fg_text_time(deadline, r->deadline_ms);
        put(&t, ",\"deadline\":\"");
        put(&t, deadline);
        put(&t, "\"");
        if (r->retry_ms) {
            put(&t, ",\"left_ms\":");
            put_number(&t, r->retry_ms);
        }
    }
    if (r->status == FG_PACKET_STATUS_WAITING)
        put_ticket(&t, r);
    if (r->status == FG_PACKET_STATUS_SOLD && r->flags & FG_PACKET_LATE)
        put(&t, ",\"late\":true");
    return (size_t)(t.at - text);
}

static void put_retry(struct gateway_answer *a, struct text *t, const struct fg_packet_reply *reply,
                      uint64_t random)
{
    struct fg_packet_reply hint = *reply;
    uint64_t ms;

    if (!told[reply->status].wait_ms)
        return;
    if (!hint.retry_ms)
        hint.retry_ms = told[reply->status].wait_ms;
    ms = fg_client_retry_ms(&hint, random);
    a->retry_after_s = (unsigned)((ms + 999) / 1000);
    put(t, ",\"retry_ms\":");
    put_number(t, ms);
}

/* The part of a problem that the status alone decides, up to the order's UUID. Made once: a flood
 * of shoppers hears SOLD_OUT. */
static void put_start(struct text *t, unsigned status)
{
    static struct {
        size_t size;
        char text[384];
    } starts[FG_PACKET_STATUS_COUNT];
    struct text start = {starts[status].text, starts[status].text + sizeof(starts[status].text)};
    char type[32];

    if (!starts[status].size) {
        type_of(type, fg_packet_status_name(status));
        put_head(&start, type, told[status].title, told[status].http,
                 fg_packet_status_text(status));
        put(&start, ",\"code\":\"");
        put(&start, fg_packet_status_name(status));
        put(&start, "\",\"order\":\"");
        starts[status].size = (size_t)(start.at - starts[status].text);
    }
    put_bytes(t, starts[status].text, starts[status].size);
}

static void refuse(struct gateway_answer *a, const uint8_t order_id[16],
                   const struct fg_packet_reply *r, uint64_t random)
{
    struct text t = {a->text, a->text + sizeof(a->text)};

    if (r->status >= FG_PACKET_STATUS_COUNT || !told[r->status].title) {
        gateway_answer_problem(a, GATEWAY_PROBLEM_UNKNOWN_OUTCOME, "the appliance's answer is new");
        return;
    }
    a->problem = true;
    a->http = told[r->status].http;
    put_start(&t, r->status);
    put_uuid(&t, order_id);
    put(&t, "\"");
    if (r->item) {
        put(&t, ",\"item\":\"");
        put_number(&t, r->item);
        put(&t, "\"");
    }
    if (r->status == FG_PACKET_STATUS_INSUFFICIENT || r->status == FG_PACKET_STATUS_USER_LIMIT) {
        put(&t, ",\"left\":");
        put_number(&t, r->left);
    }
    put_retry(a, &t, r, random);
    finish(a, &t);
}

void gateway_answer_reply(struct gateway_answer *a, uint8_t op, const uint8_t order_id[16],
                          const struct fg_packet_reply *r, uint64_t random)
{
    struct text t = {a->text, a->text + sizeof(a->text)};

    a->retry_after_s = 0;
    if (!(wished(op) >> r->status & 1)) {
        refuse(a, order_id, r, random);
        return;
    }
    a->http = r->status == FG_PACKET_STATUS_WAITING && op != FG_PACKET_OP_QUERY ? 202 : 200;
    a->problem = false;
    put(&t, "{");
    t.at += gateway_answer_order(t.at, (size_t)(t.end - t.at), order_id, r);
    finish(a, &t);
}
