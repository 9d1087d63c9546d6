/* SPDX-License-Identifier: BSD-3-Clause */
/* Route `items`: the stock of items, which all workers share. One packet an item every FRESH_MS for
 * the whole nginx; what is older is shown while a new answer is on its way. */
#include "module.h"

#include "base/text.h"

#define FRESH_MS    200
#define STALE_MS    10000 /* an older answer is not shown */
#define ASK_MS      1000  /* a worker that asked and never told: another one asks */
#define POLL_MS     5     /* while requests wait for a first answer */
#define PATIENCE_MS 3000

struct question {
    struct gateway_call call;
    struct gateway_stock *stock;
};

struct waiting {
    ngx_http_request_t *r;
    ngx_event_t poll;
    ngx_msec_t until;
};

static uint64_t get(const uint64_t *from)
{
    return __atomic_load_n(from, __ATOMIC_ACQUIRE);
}

static void set(uint64_t *to, uint64_t value)
{
    __atomic_store_n(to, value, __ATOMIC_RELEASE);
}

/* The entry of an item: it is taken at the first question for it. NULL: the table is full. */
struct gateway_stock *gateway_stock_of(uint64_t item)
{
    struct gateway_stock *all = gateway_shared()->stock;
    size_t at = fg_mix64(item, 1) % GATEWAY_ITEMS;

    for (unsigned i = 0; i < GATEWAY_ITEMS; i++, at = (at + 1) % GATEWAY_ITEMS) {
        uint64_t none = 0;

        if (get(&all[at].item) == item ||
            __atomic_compare_exchange_n(&all[at].item, &none, item, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE) ||
            none == item)
            return &all[at];
    }
    return NULL;
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void question_done(struct gateway_call *call, const struct fg_client_done *done)
{
    struct question *q = (struct question *)call;
    const struct fg_packet_reply *reply = &done->reply;
    uint64_t now_s = (uint64_t)ngx_time(), opens_s = 0, answer, line;

    if (done->answered && reply->status != FG_PACKET_STATUS_DENIED) {
        if (reply->status == FG_PACKET_STATUS_NOT_OPEN)
            opens_s =
                (now_s * 1000 + (uint64_t)ngx_timeofday()->msec + reply->retry_ms + 500) / 1000;
        answer = (uint64_t)reply->left << 32 | reply->status;
        line = (uint64_t)reply->waiting << 32 | reply->ticket;
        if (answer != get(&q->stock->answer) || line != get(&q->stock->line))
            gateway_events_changed();
        set(&q->stock->line, line);
        set(&q->stock->opens_s, opens_s);
        set(&q->stock->answer, answer);
        set(&q->stock->known_ms, ngx_current_msec);
    }
    set(&q->stock->asked_ms, 0);
    ngx_free(q);
}

static void ask(struct gateway_stock *stock)
{
    struct fg_client_ask ask = {
        .op = FG_PACKET_OP_STOCK, .item = stock->item, .patience_ms = ASK_MS};
    struct question *q = ngx_alloc(sizeof(*q), ngx_cycle->log);

    if (q) {
        q->call.done = question_done;
        q->stock = stock;
    }
    if (!q || !gateway_wire_ask(&q->call, &ask)) {
        set(&stock->asked_ms, 0);
        ngx_free(q);
    }
}

/* Asks unless the answer is fresh or a worker asks already. */
void gateway_stock_refresh(struct gateway_stock *stock)
{
    uint64_t now = ngx_current_msec ? ngx_current_msec : 1, asked = get(&stock->asked_ms);
    uint64_t known = get(&stock->known_ms);

    if ((known && now - known < FRESH_MS) || (asked && now - asked < ASK_MS))
        return;
    if (__atomic_compare_exchange_n(&stock->asked_ms, &asked, now, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
        ask(stock);
}

bool gateway_stock_known(const struct gateway_stock *stock)
{
    uint64_t known_ms = get(&stock->known_ms);

    return known_ms && ngx_current_msec - known_ms < STALE_MS;
}

/* ---- answering ------------------------------------------------------------------------------- */

size_t gateway_stock_write(char *text, const struct gateway_stock *stock, uint64_t left)
{
    uint64_t answer = get(&stock->answer), opens_s = get(&stock->opens_s);
    uint64_t line = get(&stock->line);
    unsigned status = answer & 0xff;
    char opens[FG_TEXT_TIME_SIZE];
    int n = snprintf(text, GATEWAY_STOCK_ROOM, "{\"item\":\"%llu\",\"state\":\"%s\",\"left\":%llu",
                     (unsigned long long)stock->item, fg_packet_status_name(status),
                     (unsigned long long)left);

    if (opens_s) {
        fg_text_time(opens, opens_s * 1000);
        n += snprintf(text + n, (size_t)(GATEWAY_STOCK_ROOM - n), ",\"opens\":\"%s\"", opens);
    }
    if ((uint32_t)line == FG_PACKET_UNDRAWN)
        n += snprintf(text + n, (size_t)(GATEWAY_STOCK_ROOM - n), ",\"draw\":true,\"waiting\":%u",
                      (unsigned)(line >> 32));
    else if (line)
        n += snprintf(text + n, (size_t)(GATEWAY_STOCK_ROOM - n), ",\"serving\":%u,\"waiting\":%u",
                      (unsigned)line, (unsigned)(line >> 32));
    text[n++] = '}';
    return (size_t)n;
}

static ngx_int_t send_text(ngx_http_request_t *r, const char *text, size_t size)
{
    char tag[32];
    int n = snprintf(tag, sizeof(tag), "W/\"%08x\"", fg_crc32c(text, size));
    ngx_table_elt_t *etag;

    if (gateway_http_add(r, "ETag", tag, (size_t)n) != NGX_OK)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    etag = (ngx_table_elt_t *)r->headers_out.headers.last->elts +
           r->headers_out.headers.last->nelts - 1;
    r->headers_out.etag = etag; /* nginx compares it with If-None-Match */
    return gateway_http_send(r, NGX_HTTP_OK, "application/json", text, size,
                             "public, max-age=1, stale-while-revalidate=5");
}

static ngx_int_t send_one(ngx_http_request_t *r, const struct gateway_stock *stock)
{
    char text[GATEWAY_STOCK_ROOM + 1];
    size_t n;

    if ((get(&stock->answer) & 0xff) == FG_PACKET_STATUS_UNKNOWN_ITEM)
        return gateway_http_problem(r, GATEWAY_PROBLEM_NOT_FOUND, "no such item");
    n = gateway_stock_write(text, stock, get(&stock->answer) >> 32);
    text[n++] = '\n';
    return send_text(r, text, n);
}

/* The items of the configuration, or one of them. */
static ngx_int_t wanted(ngx_http_request_t *r, uint64_t *one, ngx_uint_t *n, const uint64_t **items)
{
    const struct gateway_main *m = ngx_http_get_module_main_conf(r, ngx_http_floodgate_module);
    ngx_str_t tail = gateway_http_tail(r);

    *items = m->items ? m->items->elts : NULL;
    *n = m->items ? m->items->nelts : 0;
    if (tail.len == 0)
        return NGX_OK;
    if (tail.data[0] != '/' || !gateway_number_read((char *)tail.data + 1, tail.len - 1, one))
        return NGX_DECLINED;
    for (ngx_uint_t i = 0; i < *n; i++)
        if ((*items)[i] == *one) {
            *items += i;
            *n = 1;
            return NGX_OK;
        }
    return NGX_DECLINED;
}

static ngx_int_t send_all(ngx_http_request_t *r, const uint64_t *items, ngx_uint_t n)
{
    char *text = ngx_pnalloc(r->pool, n * (GATEWAY_STOCK_ROOM + 1) + 32);
    size_t size = 0;

    if (!text)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    size = (size_t)(ngx_cpymem(text, "{\"items\":[", 10) - (u_char *)text);
    for (ngx_uint_t i = 0; i < n; i++) {
        const struct gateway_stock *stock = gateway_stock_of(items[i]);

        if (!stock || (get(&stock->answer) & 0xff) == FG_PACKET_STATUS_UNKNOWN_ITEM)
            continue;
        if (text[size - 1] == '}')
            text[size++] = ',';
        size += gateway_stock_write(text + size, stock, get(&stock->answer) >> 32);
    }
    size += (size_t)(ngx_cpymem(text + size, "]}\n", 3) - (u_char *)(text + size));
    return send_text(r, text, size);
}

/* NGX_AGAIN: an item was never answered for. */
static ngx_int_t answer(ngx_http_request_t *r)
{
    const uint64_t *items;
    uint64_t one = 0;
    ngx_uint_t n;
    bool all = true;

    if (wanted(r, &one, &n, &items) != NGX_OK)
        return gateway_http_problem(r, GATEWAY_PROBLEM_NOT_FOUND, "no such item");
    for (ngx_uint_t i = 0; i < n; i++) {
        struct gateway_stock *stock = gateway_stock_of(items[i]);

        if (!stock)
            continue;
        gateway_stock_refresh(stock);
        all &= gateway_stock_known(stock);
    }
    if (!all)
        return NGX_AGAIN;
    return one ? send_one(r, gateway_stock_of(one)) : send_all(r, items, n);
}

/* ---- requests before the first answer -------------------------------------------------------- */

static void finish(struct waiting *w, ngx_int_t rc)
{
    ngx_connection_t *c = w->r->connection;

    ngx_http_finalize_request(w->r, rc);
    ngx_http_run_posted_requests(c);
}

static void poll(ngx_event_t *event)
{
    struct waiting *w = event->data;
    ngx_int_t rc = answer(w->r);

    if (rc != NGX_AGAIN)
        finish(w, rc);
    else if (ngx_current_msec >= w->until)
        finish(w, gateway_http_problem(w->r, GATEWAY_PROBLEM_UNKNOWN_OUTCOME,
                                       "the appliance does not answer"));
    else
        ngx_add_timer(&w->poll, POLL_MS);
}

static void cleanup(void *data)
{
    struct waiting *w = data;

    if (w->poll.timer_set)
        ngx_del_timer(&w->poll);
}

static ngx_int_t wait_for_answer(ngx_http_request_t *r)
{
    struct waiting *w = ngx_pcalloc(r->pool, sizeof(*w));
    ngx_http_cleanup_t *c = ngx_http_cleanup_add(r, 0);

    if (!w || !c)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    c->handler = cleanup;
    c->data = w;
    w->r = r;
    w->until = ngx_current_msec + PATIENCE_MS;
    w->poll.handler = poll;
    w->poll.data = w;
    w->poll.log = r->connection->log;
    ngx_add_timer(&w->poll, POLL_MS);
    r->main->count++;
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
    return NGX_DONE;
}

ngx_int_t gateway_items_handler(ngx_http_request_t *r)
{
    bool preflight;
    ngx_int_t rc;

    if (ngx_http_discard_request_body(r) != NGX_OK || gateway_http_cors(r, &preflight) != NGX_OK)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    if (preflight)
        return gateway_http_send(r, NGX_HTTP_NO_CONTENT, "", "", 0, "no-store");
    if (r->method != NGX_HTTP_GET && r->method != NGX_HTTP_HEAD)
        return gateway_http_problem(r, GATEWAY_PROBLEM_METHOD, "accepted: GET");
    rc = answer(r);
    return rc == NGX_AGAIN ? wait_for_answer(r) : rc;
}
