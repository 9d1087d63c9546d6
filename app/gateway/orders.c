/* SPDX-License-Identifier: BSD-3-Clause */
/* Routes `orders` and `backend`: one request becomes one question, or some (long poll, list). */
#include "base/text.h"
#include "module.h"

#define POLL_MS     2000 /* between two questions of a long poll */
#define POLL_MAX_MS 15000
#define WAIT_MAX_S  60
#define STREAM_MS   600000 /* a stream of one order ends then; its client opens it again */
#define STREAM_ROOM 320
#define LISTED_MAX  100 /* orders in one answer */
#define LISTED_ROOM (LISTED_MAX * 256)
#define SHOP        0 /* index of the keys */
#define BACKEND     1

struct order {
    struct gateway_call call; /* first: what the wire hands back */
    ngx_http_request_t *r;
    struct fg_client_ask ask;
    ngx_event_t poll;
    struct gateway_waiter waiter;
    ngx_msec_t until; /* long poll: until then; 0: no long poll */
    uint8_t first;    /* long poll: the state at its begin */
    bool stream;      /* each change of the order becomes an event */
    uint64_t print;   /* stream: of the event that was written last; 0: none */
    char *list;       /* list of orders: the text so far */
    size_t list_size;
    uint8_t order_id[16];
    ngx_str_t body; /* data NULL: as nginx has read it */
    ngx_int_t rc;   /* of the response, after a check that failed */
};

static void order_done(struct gateway_call *call, const struct fg_client_done *done);

/* ---- the end of a request -------------------------------------------------------------------- */

static void finish(struct order *o, ngx_int_t rc)
{
    ngx_connection_t *c = o->r->connection;

    ngx_http_finalize_request(o->r, rc);
    ngx_http_run_posted_requests(c);
}

static void stop_waiting(struct order *o)
{
    gateway_waiter_remove(&o->waiter);
    if (o->poll.timer_set)
        ngx_del_timer(&o->poll);
}

static void cleanup(void *data)
{
    struct order *o = data;

    if (o->call.handle || o->poll.timer_set)
        gateway_count(&gateway_counters()->gone, 1);
    gateway_wire_forget(&o->call);
    stop_waiting(o);
}

static void count_latency(uint64_t ms)
{
    static const uint64_t bounds[] = {
#define X(ms) ms,
        GATEWAY_BOUND_LIST(X)
#undef X
    };
    unsigned i = 0;

    while (i < GATEWAY_BOUNDS && ms > bounds[i])
        i++;
    gateway_count(&gateway_counters()->latency[i], 1);
    gateway_count(&gateway_counters()->latency_sum_ms, ms);
}

static ngx_int_t answer(struct order *o, const struct fg_packet_reply *reply)
{
    struct gateway_answer a;

    if (reply->status == FG_PACKET_STATUS_DENIED)
        ngx_log_error(NGX_LOG_ERR, o->r->connection->log, 0,
                      "floodgate: key %ui may not do %s: give the gateway a key of the right role",
                      (ngx_uint_t)reply->key_id, fg_packet_op_name(o->ask.op));
    gateway_answer_reply(&a, o->until ? FG_PACKET_OP_QUERY : o->ask.op, o->order_id, reply,
                         gateway_wire_random());
    return gateway_http_answer(o->r, &a);
}

/* Asks, or says that it cannot; for the handlers, which return its result. */
static ngx_int_t ask(struct order *o)
{
    if (gateway_wire_ask(&o->call, &o->ask))
        return NGX_DONE;
    return gateway_http_problem(o->r, GATEWAY_PROBLEM_OVERLOADED,
                                "nothing was sent: repeat with the same key");
}

/* The same in a later turn. */
static void ask_more(struct order *o)
{
    ngx_int_t rc = ask(o);

    if (rc != NGX_DONE)
        finish(o, rc);
}

static bool is_state(uint8_t status)
{
    return status == FG_PACKET_STATUS_RESERVED || status == FG_PACKET_STATUS_SOLD ||
           status == FG_PACKET_STATUS_CANCELLED || status == FG_PACKET_STATUS_EXPIRED ||
           status == FG_PACKET_STATUS_REFUNDED || status == FG_PACKET_STATUS_WAITING;
}

/* ---- long poll ------------------------------------------------------------------------------- */

static void poll_handler(ngx_event_t *event)
{
    struct order *o = event->data;

    stop_waiting(o);
    ask_more(o);
}

static void turn_handler(struct gateway_waiter *w)
{
    poll_handler(&((struct order *)((char *)w - offsetof(struct order, waiter)))->poll);
}

/* Who waits in a line asks when the turn has come, and repeats WAIT in time, for the shopper who is
 * connected. Milliseconds until then. */
static ngx_msec_t in_line(struct order *o, const struct fg_packet_reply *reply)
{
    o->ask.op = FG_PACKET_OP_WAIT;
    o->ask.item = reply->item;
    o->ask.quantity = reply->quantity;
    o->waiter.turn = turn_handler;
    gateway_waiter_add(&o->waiter, reply->item, reply->ticket);
    return (ngx_msec_t)fg_client_retry_ms(reply, gateway_wire_random());
}

/* The question is asked again later, after `most` at the latest. */
static void rest(struct order *o, const struct fg_packet_reply *reply, ngx_msec_t most)
{
    ngx_msec_t wait = reply->status == FG_PACKET_STATUS_WAITING ? in_line(o, reply) : POLL_MS;

    o->poll.handler = poll_handler;
    o->poll.data = o;
    o->poll.log = o->r->connection->log;
    ngx_add_timer(&o->poll, most < wait ? most : wait);
}

/* Whether the question is to be asked again later. A worker that shuts down does not wait. */
static bool waits(struct order *o, const struct fg_packet_reply *reply)
{
    ngx_msec_t left = o->until > ngx_current_msec ? o->until - ngx_current_msec : 0;

    if (!o->first)
        o->first = reply->status;
    if (!left || ngx_exiting || ngx_terminate || reply->status != o->first ||
        (reply->status != FG_PACKET_STATUS_RESERVED && reply->status != FG_PACKET_STATUS_WAITING &&
         reply->status != FG_PACKET_STATUS_UNKNOWN_ORDER))
        return false;
    rest(o, reply, left);
    return true;
}

/* ---- stream of one order --------------------------------------------------------------------- */

static void write_more(ngx_http_request_t *r)
{
    if (ngx_http_output_filter(r, NULL) == NGX_ERROR ||
        ngx_handle_write_event(r->connection->write, 0) != NGX_OK)
        ngx_http_finalize_request(r, NGX_ERROR);
}

static ngx_int_t begin_stream(ngx_http_request_t *r)
{
    ngx_str_set(&r->headers_out.content_type, "text/event-stream");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = -1;
    r->write_event_handler = write_more;
    if (gateway_http_add(r, "Cache-Control", "no-store", 8) != NGX_OK)
        return NGX_ERROR;
    return ngx_http_send_header(r);
}

/* State, place and deadline as one word that changes with them. */
static uint64_t fingerprint(const struct fg_packet_reply *reply)
{
    bool waits = reply->status == FG_PACKET_STATUS_WAITING;

    uint64_t what = waits ? (uint64_t)reply->ticket << 32 | reply->left : reply->deadline_ms;

    return fg_mix64(what, reply->status) | 1;
}

/* A comment when nothing has changed, so that a client that is gone is noticed. */
static ngx_int_t write_event(struct order *o, const struct fg_packet_reply *reply)
{
    ngx_buf_t *b = ngx_create_temp_buf(o->r->pool, STREAM_ROOM);
    ngx_chain_t out = {.buf = b, .next = NULL};

    if (!b)
        return NGX_ERROR;
    if (o->print == fingerprint(reply)) {
        b->last = ngx_cpymem(b->last, ":\n\n", 3);
    } else {
        b->last = ngx_cpymem(b->last, "event: order\ndata: {", 20);
        b->last += gateway_answer_order((char *)b->last, (size_t)(b->end - b->last) - 8,
                                        o->order_id, reply);
        b->last = ngx_cpymem(b->last, "}\n\n", 3);
    }
    o->print = fingerprint(reply);
    b->flush = 1;
    return ngx_http_output_filter(o->r, &out);
}

/* The stream ends with the order, or its time; browsers open it again. */
/* A stream ends in time, and with its worker: the page opens another one. */
static bool stream_is_over(struct order *o)
{
    if (!ngx_exiting && !ngx_terminate && ngx_current_msec < o->until)
        return false;
    finish(o, ngx_http_send_special(o->r, NGX_HTTP_LAST));
    return true;
}

static void stream_done(struct order *o, const struct fg_packet_reply *reply)
{
    bool open =
        reply->status == FG_PACKET_STATUS_RESERVED || reply->status == FG_PACKET_STATUS_WAITING;

    if (!is_state(reply->status) && !o->print) {
        finish(o, answer(o, reply));
        return;
    }
    if ((!o->print && begin_stream(o->r) == NGX_ERROR) ||
        (is_state(reply->status) && write_event(o, reply) == NGX_ERROR)) {
        finish(o, NGX_ERROR);
        return;
    }
    if (is_state(reply->status) && !open)
        finish(o, ngx_http_send_special(o->r, NGX_HTTP_LAST));
    else if (!stream_is_over(o)) /* an appliance that is away for a moment is asked again */
        rest(o, reply, POLL_MAX_MS);
}

/* ---- list of orders -------------------------------------------------------------------------- */

static ngx_int_t send_list(struct order *o)
{
    o->list[o->list_size++] = ']';
    o->list[o->list_size++] = '}';
    o->list[o->list_size++] = '\n';
    return gateway_http_send(o->r, NGX_HTTP_OK, "application/json", o->list, o->list_size,
                             "no-store");
}

static void list_done(struct order *o, const struct fg_packet_reply *reply)
{
    if (!is_state(reply->status)) {
        finish(o,
               reply->status == FG_PACKET_STATUS_UNKNOWN_ORDER ? send_list(o) : answer(o, reply));
        return;
    }
    if (o->ask.quantity)
        o->list[o->list_size++] = ',';
    o->list[o->list_size++] = '{';
    o->list_size += gateway_answer_order(o->list + o->list_size, 250, reply->order_id, reply);
    o->list[o->list_size++] = '}';
    if (++o->ask.quantity == LISTED_MAX)
        finish(o, send_list(o));
    else
        ask_more(o);
}

static ngx_int_t start_list(struct order *o)
{
    static const char head[] = "{\"orders\":[";

    o->list = ngx_pnalloc(o->r->pool, LISTED_ROOM + sizeof(head) + 8);
    if (!o->list)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    o->list_size = sizeof(head) - 1;
    ngx_memcpy(o->list, head, o->list_size);
    o->ask.op = FG_PACKET_OP_ORDERS;
    return ask(o);
}

static void order_done(struct gateway_call *call, const struct fg_client_done *done)
{
    struct order *o = (struct order *)call;

    count_latency(done->took_ms);
    if (!done->answered && o->print) {
        if (stream_is_over(o))
            return;
        rest(o, &(struct fg_packet_reply){.status = FG_PACKET_STATUS_BUSY}, POLL_MAX_MS);
        return;
    }
    if (!done->answered) {
        finish(o, gateway_http_problem(o->r, GATEWAY_PROBLEM_UNKNOWN_OUTCOME,
                                       "repeat with the same key to learn it"));
        return;
    }
    gateway_count(&gateway_counters()->replies[done->reply.status], 1);
    if (o->stream)
        stream_done(o, &done->reply);
    else if (o->list)
        list_done(o, &done->reply);
    else if (!waits(o, &done->reply))
        finish(o, answer(o, &done->reply));
}

/* For checks: the request was answered; the handler returns o->rc. */
static bool refuse(struct order *o, enum gateway_problem problem, const char *detail)
{
    o->rc = gateway_http_problem(o->r, problem, detail);
    return false;
}

/* ---- the shopper ----------------------------------------------------------------------------- */

static bool number_of(const struct gateway_location *l, const char *name, size_t size,
                      uint64_t *user)
{
    if (l->user_number)
        return gateway_number_read(name, size, user);
    *user = gateway_user_hash(l->user_secret, name, size);
    return true;
}

static bool find_user(struct order *o, const struct gateway_location *l)
{
    ngx_str_t name;

    if (ngx_http_complex_value(o->r, l->user, &name) != NGX_OK) {
        o->rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        return false;
    }
    if (name.len == 0)
        return refuse(o, GATEWAY_PROBLEM_NO_USER, "log in first");
    if (number_of(l, (char *)name.data, name.len, &o->ask.user))
        return true;
    ngx_log_error(NGX_LOG_ERR, o->r->connection->log, 0,
                  "floodgate: user `%V` is not a number; accepted with floodgate_user_kind number: "
                  "0 to 2^64 - 1",
                  &name);
    return refuse(o, GATEWAY_PROBLEM_NO_USER, "the user is not a number");
}

/* ---- requests -------------------------------------------------------------------------------- */

static struct order *new_order(ngx_http_request_t *r)
{
    const struct gateway_main *m = ngx_http_get_module_main_conf(r, ngx_http_floodgate_module);
    struct order *o = ngx_pcalloc(r->pool, sizeof(*o));
    ngx_http_cleanup_t *c = ngx_http_cleanup_add(r, 0);

    if (!o || !c)
        return NULL;
    c->handler = cleanup;
    c->data = o;
    o->call.done = order_done;
    o->r = r;
    o->ask.patience_ms = (uint32_t)m->patience;
    o->ask.ask_again = FG_CLIENT_STATUS(BUSY);
    ngx_http_set_ctx(r, o, ngx_http_floodgate_module);
    return o;
}

/* A request whose answer comes later: a client that leaves meanwhile is noticed. */
static ngx_int_t later(struct order *o, ngx_int_t rc)
{
    if (rc == NGX_DONE) {
        o->r->main->count++;
        o->r->read_event_handler = ngx_http_test_reading;
        o->r->write_event_handler = ngx_http_request_empty_handler;
    }
    return rc;
}

static bool read_key(struct order *o, const char *text, size_t size)
{
    if (!gateway_key_read(text, size, o->order_id))
        return refuse(o, GATEWAY_PROBLEM_BAD_KEY, "a key has 1 to 255 visible ASCII characters");
    ngx_memcpy(o->ask.order_id, o->order_id, sizeof(o->order_id));
    return true;
}

static bool header_key(struct order *o)
{
    ngx_str_t key;

    switch (gateway_http_header(o->r, "idempotency-key", &key)) {
    case NGX_OK:
        return read_key(o, (char *)key.data, key.len);
    case NGX_DECLINED:
        return refuse(o, GATEWAY_PROBLEM_BAD_KEY,
                      "send the header Idempotency-Key: the same for every repeat of one order");
    default:
        return refuse(o, GATEWAY_PROBLEM_BAD_KEY, "more than one header Idempotency-Key");
    }
}

static bool read_body(struct order *o, unsigned wanted, unsigned optional,
                      struct gateway_body *body)
{
    const char *why;

    if (!o->body.data && !gateway_http_body(o->r, &o->body))
        return refuse(o, GATEWAY_PROBLEM_TOO_LARGE, "accepted: up to 4096 bytes");
    why = gateway_body_read((char *)o->body.data, o->body.len, wanted, optional, body);
    return !why || refuse(o, GATEWAY_PROBLEM_BAD_REQUEST, why);
}

static ngx_int_t reserve(struct order *o)
{
    struct gateway_body body;

    if (!read_body(o, GATEWAY_HAS(ITEM) | GATEWAY_HAS(QUANTITY), GATEWAY_HAS(WAIT), &body))
        return o->rc;
    if (body.number[GATEWAY_QUANTITY] < 1 || body.number[GATEWAY_QUANTITY] > UINT16_MAX)
        return gateway_http_problem(o->r, GATEWAY_PROBLEM_BAD_QUANTITY, "accepted: 1 to 65535");
    if (body.number[GATEWAY_WAIT])
        o->ask.op = FG_PACKET_OP_WAIT;
    o->ask.item = body.number[GATEWAY_ITEM];
    o->ask.quantity = (uint16_t)body.number[GATEWAY_QUANTITY];
    return ask(o);
}

static ngx_int_t backend_order(struct order *o)
{
    const struct gateway_location *l =
        ngx_http_get_module_loc_conf(o->r, ngx_http_floodgate_module);
    unsigned wanted = GATEWAY_HAS(USER), optional = 0;
    struct gateway_body body;
    struct fg_error err;

    if (o->ask.op == FG_PACKET_OP_EXTEND)
        wanted |= GATEWAY_HAS(UNTIL_MS);
    if (o->ask.op == FG_PACKET_OP_REFUND)
        optional = GATEWAY_HAS(RESTOCK);
    if (!read_body(o, wanted, optional, &body))
        return o->rc;
    if (!number_of(l, body.user, body.user_size, &o->ask.user))
        return gateway_http_problem(o->r, GATEWAY_PROBLEM_BAD_REQUEST, "the user is not a number");
    if (o->ask.op == FG_PACKET_OP_EXTEND &&
        !fg_text_moment_check(body.number[GATEWAY_UNTIL_MS], &err))
        return gateway_http_problem(o->r, GATEWAY_PROBLEM_BAD_REQUEST, err.text);
    o->ask.until_ms = body.number[GATEWAY_UNTIL_MS];
    o->ask.flags = body.number[GATEWAY_RESTOCK] ? FG_PACKET_RESTOCK : 0;
    return ask(o);
}

static ngx_int_t body_is_read(struct order *o)
{
    return o->ask.op == FG_PACKET_OP_RESERVE ? reserve(o) : backend_order(o);
}

static void body_handler(ngx_http_request_t *r)
{
    ngx_int_t rc = body_is_read(ngx_http_get_module_ctx(r, ngx_http_floodgate_module));

    if (rc == NGX_DONE) { /* the body's reader holds the request until finish() */
        r->read_event_handler = ngx_http_test_reading;
        r->write_event_handler = ngx_http_request_empty_handler;
        return;
    }
    ngx_http_finalize_request(r, rc);
}

static ngx_int_t with_body(struct order *o)
{
    ngx_int_t rc;

    if (!gateway_http_json(o->r))
        return gateway_http_problem(o->r, GATEWAY_PROBLEM_MEDIA_TYPE,
                                    "send Content-Type: application/json");
    if (o->r->headers_in.content_length_n > GATEWAY_BODY_MAX)
        return gateway_http_problem(o->r, GATEWAY_PROBLEM_TOO_LARGE, "accepted: up to 4096 bytes");
    if (gateway_http_body_came(o->r, &o->body)) {
        rc = ngx_http_discard_request_body(o->r); /* its bytes stay where they are */
        return rc == NGX_OK ? later(o, body_is_read(o)) : rc;
    }
    rc = ngx_http_read_client_request_body(o->r, body_handler);
    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}

static ngx_int_t method_problem(ngx_http_request_t *r, const char *allowed)
{
    if (gateway_http_add(r, "Allow", allowed, ngx_strlen(allowed)) != NGX_OK)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    return gateway_http_problem(r, GATEWAY_PROBLEM_METHOD, "see the header Allow");
}

static bool wait_argument(struct order *o)
{
    ngx_str_t text;
    uint64_t seconds;

    if (ngx_http_arg(o->r, (u_char *)"wait", 4, &text) != NGX_OK)
        return true;
    if (!gateway_number_read((char *)text.data, text.len, &seconds) || seconds > WAIT_MAX_S)
        return refuse(o, GATEWAY_PROBLEM_BAD_REQUEST, "wait: accepted: 0 to 60");
    o->until = seconds ? ngx_current_msec + (ngx_msec_t)seconds * 1000 : 0;
    return true;
}

/* "/v1/orders" */
static ngx_int_t all_orders(struct order *o)
{
    if (o->r->method == NGX_HTTP_GET)
        return later(o, start_list(o));
    if (o->r->method != NGX_HTTP_POST)
        return method_problem(o->r, "GET, POST");
    if (!header_key(o))
        return o->rc;
    o->ask.op = FG_PACKET_OP_RESERVE;
    return with_body(o);
}

/* "/v1/orders/KEY", or "/v1/orders/KEY/events" */
static ngx_int_t one_order(struct order *o, const ngx_str_t *tail)
{
    static const char events[] = "/events";
    size_t size = sizeof(events) - 1;

    if (o->r->method == NGX_HTTP_GET && tail->len > size + 1 &&
        !ngx_memcmp(tail->data + tail->len - size, events, size)) {
        o->stream = true;
        o->until = ngx_current_msec + STREAM_MS;
    }
    if (!read_key(o, (char *)tail->data + 1, tail->len - 1 - (o->stream ? size : 0)))
        return o->rc;
    switch (o->r->method) {
    case NGX_HTTP_GET:
        o->ask.op = FG_PACKET_OP_QUERY;
        return o->stream || wait_argument(o) ? later(o, ask(o)) : o->rc;
    case NGX_HTTP_DELETE:
        o->ask.op = FG_PACKET_OP_CANCEL;
        return later(o, ask(o));
    default:
        return method_problem(o->r, "GET, DELETE");
    }
}

static ngx_int_t shop_request(struct order *o, const ngx_str_t *tail)
{
    const struct gateway_location *l =
        ngx_http_get_module_loc_conf(o->r, ngx_http_floodgate_module);

    if (!find_user(o, l))
        return o->rc;
    o->ask.key = SHOP;
    if (tail->len == 0)
        return all_orders(o);
    if (tail->len == 1)
        return gateway_http_problem(o->r, GATEWAY_PROBLEM_NOT_FOUND, "no key in the path");
    return one_order(o, tail);
}

/* "/KEY/confirm" behind the prefix: the operation, and the key's length. */
static uint8_t backend_op(const ngx_str_t *tail, size_t *key)
{
    static const struct {
        const char *word;
        uint8_t op;
    } words[] = {{"/confirm", FG_PACKET_OP_CONFIRM},
                 {"/cancel", FG_PACKET_OP_CANCEL},
                 {"/extend", FG_PACKET_OP_EXTEND},
                 {"/refund", FG_PACKET_OP_REFUND}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t size = ngx_strlen(words[i].word);

        if (tail->len > size + 1 && tail->data[0] == '/' &&
            !ngx_memcmp(tail->data + tail->len - size, words[i].word, size)) {
            *key = tail->len - size - 1;
            return words[i].op;
        }
    }
    return 0;
}

static ngx_int_t backend_request(struct order *o, const ngx_str_t *tail)
{
    size_t size = 0;

    o->ask.key = BACKEND;
    o->ask.op = backend_op(tail, &size);
    if (!o->ask.op)
        return gateway_http_problem(o->r, GATEWAY_PROBLEM_NOT_FOUND,
                                    "accepted: KEY/confirm, KEY/cancel, KEY/extend, KEY/refund");
    if (o->r->method != NGX_HTTP_POST)
        return method_problem(o->r, "POST");
    return read_key(o, (char *)tail->data + 1, size) ? with_body(o) : o->rc;
}

ngx_int_t gateway_orders_handler(ngx_http_request_t *r)
{
    const struct gateway_location *l = ngx_http_get_module_loc_conf(r, ngx_http_floodgate_module);
    ngx_str_t tail = gateway_http_tail(r);
    struct order *o;
    bool preflight;

    if (r->method != NGX_HTTP_POST && ngx_http_discard_request_body(r) != NGX_OK)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    if (gateway_http_cors(r, &preflight) != NGX_OK)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    if (preflight)
        return gateway_http_send(r, NGX_HTTP_NO_CONTENT, "", "", 0, "no-store");
    if (gateway_http_early(r))
        return gateway_http_problem(r, GATEWAY_PROBLEM_TOO_EARLY, "repeat after the handshake");
    if (tail.len && tail.data[0] != '/')
        return gateway_http_problem(r, GATEWAY_PROBLEM_NOT_FOUND, "no such path");
    o = new_order(r);
    if (!o)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    return l->route == GATEWAY_ROUTE_BACKEND ? backend_request(o, &tail) : shop_request(o, &tail);
}
