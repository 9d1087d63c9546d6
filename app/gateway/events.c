/* SPDX-License-Identifier: BSD-3-Clause */
/* Route `events`: changes of stock as server-sent events. One timer a worker checks the shared
 * stock, and begins a round through the clients when something has changed; a client that is slow
 * misses changes in between. */
#include "module.h"

#include <ctype.h>

#define TICK_MS  50
#define ROUND_MS 1000 /* a round without a change: for comments, and for clients that were slow */
#define ALIVE_S  15   /* a comment, so that a client that is gone is noticed */
#define SLICE    256  /* clients of one turn of the event loop; requests have theirs in between */
#define ROOM     (GATEWAY_STOCK_ROOM + 32)

/* An item of the configuration: its event, made once for all clients. */
struct shown {
    struct gateway_stock *stock; /* NULL: the table is full */
    ngx_uint_t clients;
    uint64_t print; /* of the state that the text tells; 0: not known */
    size_t size;
    char text[ROOM];
};

/* An item that a client has chosen. */
struct told {
    struct shown *shown;
    uint64_t print; /* of what was written last */
};

struct client {
    ngx_queue_t link;
    ngx_http_request_t *r;
    ngx_uint_t n;
    struct told *told;
    time_t spoke_s;
    ngx_buf_t buf; /* used again for each event: the request's pool must not grow */
};

static struct shown *items; /* as the configuration has them */
static ngx_uint_t item_count;
static ngx_queue_t clients;
static ngx_queue_t *next_client; /* of the round under way; NULL: none is */
static bool wanted;              /* a round: something changed since the last one began */
static ngx_msec_t round_ms;      /* when it began */
static ngx_event_t ticker, turn;
static ngx_connection_t nowhere;

/* Exact up to 100, then two digits: a coarser number changes less often. */
static uint64_t coarse(uint64_t left)
{
    uint64_t unit = 1;

    while (left / unit > 100)
        unit *= 10;
    return left / unit * unit;
}

/* State, coarse numbers, ticket and opening time of an item as one word that changes with them. */
static uint64_t fingerprint(const struct gateway_stock *stock, uint64_t *left)
{
    uint64_t answer = __atomic_load_n(&stock->answer, __ATOMIC_ACQUIRE);
    uint64_t opens_s = __atomic_load_n(&stock->opens_s, __ATOMIC_ACQUIRE);
    uint64_t line = __atomic_load_n(&stock->line, __ATOMIC_ACQUIRE);

    *left = coarse(answer >> 32);
    line = coarse(line >> 32) << 32 | (uint32_t)line;
    return fg_mix64(fg_mix64(*left << 8 | (answer & 0xff), opens_s), line) | 1;
}

static void refresh(void)
{
    for (ngx_uint_t i = 0; i < item_count; i++) {
        struct shown *s = &items[i];
        uint64_t left, print;
        u_char *at = (u_char *)s->text;

        if (!s->clients || !s->stock)
            continue;
        gateway_stock_refresh(s->stock);
        if (!gateway_stock_known(s->stock)) {
            s->print = 0;
            continue;
        }
        print = fingerprint(s->stock, &left);
        if (print == s->print)
            continue;
        s->print = print;
        wanted = true;
        at = ngx_cpymem(at, "event: stock\ndata: ", 19);
        at += gateway_stock_write((char *)at, s->stock, left);
        at = ngx_cpymem(at, "\n\n", 2);
        s->size = (size_t)(at - (u_char *)s->text);
    }
}

static void cleanup(void *data)
{
    struct client *c = data;

    if (next_client == &c->link)
        next_client = ngx_queue_next(&c->link);
    ngx_queue_remove(&c->link);
    for (ngx_uint_t i = 0; i < c->n; i++)
        c->told[i].shown->clients--;
}

static void end(struct client *c, ngx_int_t rc)
{
    ngx_connection_t *connection = c->r->connection;

    ngx_http_finalize_request(c->r, rc);
    ngx_http_run_posted_requests(connection);
}

/* The changes since the last time; bytes. */
static size_t collect(struct client *c, u_char *text)
{
    u_char *at = text;

    for (ngx_uint_t i = 0; i < c->n; i++) {
        struct told *t = &c->told[i];

        if (t->print == t->shown->print || !t->shown->print)
            continue;
        t->print = t->shown->print;
        at = ngx_cpymem(at, t->shown->text, t->shown->size);
    }
    if (at == text && ngx_time() - c->spoke_s >= ALIVE_S)
        at = ngx_cpymem(text, ":\n\n", 3);
    return (size_t)(at - text);
}

static ngx_int_t speak(struct client *c)
{
    ngx_chain_t out = {.buf = &c->buf, .next = NULL};
    size_t n;

    if (c->r->connection->buffered || c->r->out) /* it has not read the last one */
        return NGX_OK;
    n = collect(c, c->buf.start);
    if (!n)
        return NGX_OK;
    c->spoke_s = ngx_time();
    c->buf.pos = c->buf.start;
    c->buf.last = c->buf.start + n;
    c->buf.flush = 1;
    return ngx_http_output_filter(c->r, &out);
}

static void take_turn(ngx_event_t *event)
{
    for (unsigned i = 0; i < SLICE && next_client != ngx_queue_sentinel(&clients); i++) {
        struct client *c = ngx_queue_data(next_client, struct client, link);

        next_client = ngx_queue_next(next_client);
        if (ngx_exiting || ngx_terminate)
            end(c, ngx_http_send_special(c->r, NGX_HTTP_LAST)); /* the client comes back */
        else if (speak(c) == NGX_ERROR)
            end(c, NGX_ERROR);
    }
    if (next_client != ngx_queue_sentinel(&clients)) {
        ngx_post_event(&turn, &ngx_posted_next_events);
        return;
    }
    next_client = NULL;
    if (wanted)
        gateway_events_changed();
}

/* The timer runs as long as there are clients, so that a worker that shuts down ends them. */
static void tick(ngx_event_t *event)
{
    if (ngx_queue_empty(&clients))
        return;
    ngx_add_timer(&ticker, TICK_MS);
    refresh();
    if (next_client ||
        !(wanted || ngx_exiting || ngx_terminate || ngx_current_msec - round_ms >= ROUND_MS))
        return;
    wanted = false;
    round_ms = ngx_current_msec;
    next_client = ngx_queue_head(&clients);
    take_turn(&turn);
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

static ngx_int_t prepare(const struct gateway_main *m)
{
    ngx_uint_t n = m->items ? m->items->nelts : 0;

    if (items)
        return NGX_OK;
    items = ngx_pcalloc(ngx_cycle->pool, (n + 1) * sizeof(*items));
    if (!items)
        return NGX_ERROR;
    item_count = n;
    for (ngx_uint_t i = 0; i < n; i++)
        items[i].stock = gateway_stock_of(((uint64_t *)m->items->elts)[i]);
    ngx_queue_init(&clients);
    nowhere.fd = -1;
    ticker.handler = tick;
    turn.handler = take_turn;
    ticker.data = turn.data = &nowhere;
    ticker.log = turn.log = ngx_cycle->log;
    return NGX_OK;
}

/* ---- the items that a client wants ----------------------------------------------------------- */

static ngx_int_t choose_one(const struct gateway_main *m, struct client *c, const u_char *text,
                            size_t size)
{
    const uint64_t *known = m->items->elts;
    uint64_t item;
    ngx_uint_t i = 0;

    if (!gateway_number_read((char *)text, size, &item))
        return NGX_DECLINED;
    while (i < item_count && known[i] != item)
        i++;
    if (i == item_count)
        return NGX_DECLINED;
    for (ngx_uint_t k = 0; k < c->n; k++)
        if (c->told[k].shown == &items[i])
            return NGX_OK;
    c->told[c->n++].shown = &items[i];
    return NGX_OK;
}

/* nginx would drop an escape that is cut short. */
static bool whole_escapes(ngx_str_t text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '%' &&
            (i + 2 >= text.len || !isxdigit(text.data[i + 1]) || !isxdigit(text.data[i + 2])))
            return false;
    return true;
}

/* "7,8": NGX_DECLINED: one of them is no item that is shown; NGX_ABORT: not the text of a URL. */
static ngx_int_t choose(const struct gateway_main *m, struct client *c, ngx_str_t text)
{
    u_char *at = text.data, *to = text.data, *end_of_text;

    if (!whole_escapes(text))
        return NGX_ABORT;
    ngx_unescape_uri(&to, &at, text.len, 0);
    for (at = text.data, end_of_text = to; at <= end_of_text; at = to + 1) {
        to = ngx_strlchr(at, end_of_text, ',');
        to = to ? to : end_of_text;
        if (choose_one(m, c, at, (size_t)(to - at)) != NGX_OK)
            return NGX_DECLINED;
    }
    return NGX_OK;
}

/* The argument `items`, or all. */
static ngx_int_t choice(ngx_http_request_t *r, const struct gateway_main *m, struct client *c)
{
    ngx_str_t text;
    bool all = ngx_http_arg(r, (u_char *)"items", 5, &text) != NGX_OK;
    ngx_uint_t most = all ? item_count : ngx_min(item_count, text.len / 2 + 1);

    c->told = ngx_pcalloc(r->pool, (most + 1) * sizeof(*c->told));
    if (!c->told)
        return NGX_ERROR;
    if (!all) {
        text.data = ngx_pstrdup(r->pool, &text);
        return text.data ? choose(m, c, text) : NGX_ERROR;
    }
    for (c->n = 0; c->n < item_count; c->n++)
        c->told[c->n].shown = &items[c->n];
    return NGX_OK;
}

/* NGX_DECLINED: no such item; NGX_ABORT: an argument that is damaged. */
static ngx_int_t new_client(ngx_http_request_t *r, struct client **client)
{
    const struct gateway_main *m = ngx_http_get_module_main_conf(r, ngx_http_floodgate_module);
    struct client *c = ngx_pcalloc(r->pool, sizeof(*c));
    size_t room;
    ngx_int_t rc;

    if (!c || prepare(m) != NGX_OK)
        return NGX_ERROR;
    c->r = r;
    rc = choice(r, m, c);
    if (rc != NGX_OK)
        return rc;
    room = c->n * ROOM + 8;
    c->buf.start = ngx_pnalloc(r->pool, room);
    if (!c->buf.start)
        return NGX_ERROR;
    c->buf.end = c->buf.start + room;
    c->buf.memory = 1;
    c->spoke_s = ngx_time();
    *client = c;
    return NGX_OK;
}

static ngx_int_t start(struct client *c)
{
    ngx_http_cleanup_t *cln = ngx_http_cleanup_add(c->r, 0);

    if (!cln)
        return NGX_ERROR;
    cln->handler = cleanup;
    cln->data = c;
    ngx_queue_insert_tail(&clients, &c->link);
    for (ngx_uint_t i = 0; i < c->n; i++)
        c->told[i].shown->clients++;
    wanted = true;
    if (!ticker.timer_set)
        ngx_add_timer(&ticker, 1);
    return NGX_OK;
}

ngx_int_t gateway_events_handler(ngx_http_request_t *r)
{
    static const char kind[] = "text/event-stream";
    struct client *c;
    bool preflight;
    ngx_int_t rc;

    if (ngx_http_discard_request_body(r) != NGX_OK || gateway_http_cors(r, &preflight) != NGX_OK)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    if (preflight)
        return gateway_http_send(r, NGX_HTTP_NO_CONTENT, "", "", 0, "no-store");
    if (r->method != NGX_HTTP_GET)
        return gateway_http_problem(r, GATEWAY_PROBLEM_METHOD, "accepted: GET");
    rc = new_client(r, &c);
    if (rc == NGX_ABORT)
        return gateway_http_problem(r, GATEWAY_PROBLEM_BAD_REQUEST,
                                    "items: a % is not followed by two hexadecimal digits");
    if (rc == NGX_DECLINED)
        return gateway_http_problem(
            r, GATEWAY_PROBLEM_NOT_FOUND,
            "items: accepted: numbers of items that are shown, with commas");
    if (rc != NGX_OK)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = -1;
    r->headers_out.content_type.data = (u_char *)kind;
    r->headers_out.content_type.len = r->headers_out.content_type_len = sizeof(kind) - 1;
    if (gateway_http_add(r, "Cache-Control", "no-store", 8) != NGX_OK ||
        ngx_http_send_header(r) == NGX_ERROR ||
        ngx_http_send_special(r, NGX_HTTP_FLUSH) == NGX_ERROR || start(c) != NGX_OK)
        return NGX_ERROR;
    r->main->count++;
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = write_more;
    return NGX_DONE;
}
