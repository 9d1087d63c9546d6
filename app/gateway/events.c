/* SPDX-License-Identifier: BSD-3-Clause */
/* Route `events`: changes of stock as server-sent events. One timer a worker checks the shared
 * stock and writes what changed to all clients; a client that is slow misses changes in between. */
#include "module.h"

#define TICK_MS 250
#define ALIVE_S 15 /* a comment, so that a client that is gone is noticed */

struct client {
    ngx_queue_t link;
    ngx_http_request_t *r;
    ngx_uint_t n;
    const uint64_t *items; /* of the configuration */
    uint64_t *told;        /* what was written last, for each of them */
    time_t spoke_s;
    ngx_buf_t buf; /* used again for each event: the request's pool must not grow */
    size_t room;
};

static ngx_queue_t clients;
static ngx_event_t ticker;
static ngx_connection_t nowhere;

/* Exact up to 100, then two digits: a coarser number changes less often. */
static uint64_t coarse(uint64_t left)
{
    uint64_t unit = 1;

    while (left / unit > 100)
        unit *= 10;
    return left / unit * unit;
}

/* State, coarse number and opening time of an item as one word that changes with them. */
static uint64_t fingerprint(const struct gateway_stock *stock, uint64_t *left)
{
    uint64_t answer = __atomic_load_n(&stock->answer, __ATOMIC_ACQUIRE);
    uint64_t opens_s = __atomic_load_n(&stock->opens_s, __ATOMIC_ACQUIRE);

    *left = coarse(answer >> 32);
    return fg_mix64(*left << 8 | (answer & 0xff), opens_s) | 1;
}

static void cleanup(void *data)
{
    struct client *c = data;

    ngx_queue_remove(&c->link);
}

static void end(struct client *c, ngx_int_t rc)
{
    ngx_connection_t *connection = c->r->connection;

    ngx_http_finalize_request(c->r, rc);
    ngx_http_run_posted_requests(connection);
}

/* The changes since the last time; bytes. */
static size_t collect(struct client *c, char *text)
{
    size_t n = 0;

    for (ngx_uint_t i = 0; i < c->n; i++) {
        const struct gateway_stock *stock = gateway_stock_of(c->items[i]);
        uint64_t left, now;

        if (!stock || !gateway_stock_known(stock))
            continue;
        now = fingerprint(stock, &left);
        if (now == c->told[i])
            continue;
        c->told[i] = now;
        n += (size_t)(ngx_cpymem(text + n, "event: stock\ndata: ", 19) - (u_char *)(text + n));
        n += gateway_stock_write(text + n, stock, left);
        text[n++] = '\n';
        text[n++] = '\n';
    }
    if (!n && ngx_time() - c->spoke_s >= ALIVE_S)
        n = (size_t)(ngx_cpymem(text, ":\n\n", 3) - (u_char *)text);
    return n;
}

static ngx_int_t speak(struct client *c)
{
    ngx_chain_t out = {.buf = &c->buf, .next = NULL};
    size_t n;

    if (c->r->connection->buffered || c->r->out) /* it has not read the last one */
        return NGX_OK;
    n = collect(c, (char *)c->buf.start);
    if (!n)
        return NGX_OK;
    c->spoke_s = ngx_time();
    c->buf.pos = c->buf.start;
    c->buf.last = c->buf.start + n;
    c->buf.flush = 1;
    return ngx_http_output_filter(c->r, &out);
}

static void tick(ngx_event_t *event)
{
    ngx_queue_t *next;

    for (ngx_queue_t *q = ngx_queue_head(&clients); q != ngx_queue_sentinel(&clients); q = next) {
        struct client *c = ngx_queue_data(q, struct client, link);

        next = ngx_queue_next(q);
        for (ngx_uint_t i = 0; i < c->n; i++) {
            struct gateway_stock *stock = gateway_stock_of(c->items[i]);

            if (stock)
                gateway_stock_refresh(stock);
        }
        if (ngx_exiting || ngx_terminate)
            end(c, ngx_http_send_special(c->r, NGX_HTTP_LAST)); /* the client comes back */
        else if (speak(c) == NGX_ERROR)
            end(c, NGX_ERROR);
    }
    if (!ngx_queue_empty(&clients))
        ngx_add_timer(&ticker, TICK_MS);
}

void gateway_events_changed(void)
{
    if (!ticker.timer_set)
        return;
    ngx_del_timer(&ticker); /* or nginx keeps a time that is near */
    ngx_add_timer(&ticker, 1);
}

static void write_more(ngx_http_request_t *r)
{
    if (ngx_http_output_filter(r, NULL) == NGX_ERROR ||
        ngx_handle_write_event(r->connection->write, 0) != NGX_OK)
        ngx_http_finalize_request(r, NGX_ERROR);
}

static ngx_int_t start(ngx_http_request_t *r)
{
    const struct gateway_main *m = ngx_http_get_module_main_conf(r, ngx_http_floodgate_module);
    struct client *c = ngx_pcalloc(r->pool, sizeof(*c));
    ngx_http_cleanup_t *cln = ngx_http_cleanup_add(r, 0);

    if (!c || !cln)
        return NGX_ERROR;
    c->r = r;
    c->n = m->items ? m->items->nelts : 0;
    c->items = m->items ? m->items->elts : NULL;
    c->room = c->n * (GATEWAY_STOCK_ROOM + 32) + 8;
    c->told = ngx_pcalloc(r->pool, (c->n + 1) * sizeof(*c->told));
    c->buf.start = ngx_pnalloc(r->pool, c->room);
    if (!c->told || !c->buf.start)
        return NGX_ERROR;
    c->buf.end = c->buf.start + c->room;
    c->buf.memory = 1;
    c->spoke_s = ngx_time();
    if (!clients.next) {
        ngx_queue_init(&clients);
        nowhere.fd = -1;
        ticker.handler = tick;
        ticker.data = &nowhere;
        ticker.log = ngx_cycle->log;
    }
    ngx_queue_insert_tail(&clients, &c->link);
    cln->handler = cleanup;
    cln->data = c;
    if (!ticker.timer_set)
        ngx_add_timer(&ticker, 1);
    return NGX_OK;
}

ngx_int_t gateway_events_handler(ngx_http_request_t *r)
{
    static const char kind[] = "text/event-stream";
    bool preflight;

    if (ngx_http_discard_request_body(r) != NGX_OK || gateway_http_cors(r, &preflight) != NGX_OK)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    if (preflight)
        return gateway_http_send(r, NGX_HTTP_NO_CONTENT, "", "", 0, "no-store");
    if (r->method != NGX_HTTP_GET)
        return gateway_http_problem(r, GATEWAY_PROBLEM_METHOD, "accepted: GET");
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = -1;
    r->headers_out.content_type.data = (u_char *)kind;
    r->headers_out.content_type.len = r->headers_out.content_type_len = sizeof(kind) - 1;
    if (gateway_http_add(r, "Cache-Control", "no-store", 8) != NGX_OK ||
        ngx_http_send_header(r) == NGX_ERROR ||
        ngx_http_send_special(r, NGX_HTTP_FLUSH) == NGX_ERROR || start(r) != NGX_OK)
        return NGX_ERROR;
    r->main->count++;
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = write_more;
    return NGX_DONE;
}
