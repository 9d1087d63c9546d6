/* SPDX-License-Identifier: BSD-3-Clause */
/** module: what the files of ngx_http_floodgate_module share. */
#ifndef GATEWAY_MODULE_H
#define GATEWAY_MODULE_H

#include <ngx_config.h>

#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "answer.h"
#include "client/client.h"
#include "identity.h"
#include "parse.h"

#define GATEWAY_SHARES 64   /* sets of counters: workers beyond them share */
#define GATEWAY_ITEMS  1024 /* items whose stock is shown */

extern ngx_module_t ngx_http_floodgate_module;

/* ---- configuration --------------------------------------------------------------------------- */

/* Routes of `floodgate ROUTE`. name, word */
#define GATEWAY_ROUTE_LIST(X)                                                                      \
    X(ORDERS, "orders")                                                                            \
    X(BACKEND, "backend")                                                                          \
    X(ITEMS, "items")                                                                              \
    X(EVENTS, "events")                                                                            \
    X(METRICS, "metrics")                                                                          \
    X(LOGIN, "login")

enum gateway_route {
#define X(name, word) GATEWAY_ROUTE_##name,
    GATEWAY_ROUTE_LIST(X)
#undef X
        GATEWAY_ROUTES
};

struct gateway_peer {
    ngx_sockaddr_t address;
    socklen_t size;
    uint8_t member; /* of a fleet */
};

/* Of the whole http block. */
struct gateway_main {
    ngx_array_t *servers; /* of struct gateway_peer */
    ngx_uint_t members;   /* of a fleet; 0: no fleet */
    ngx_array_t *items;   /* of uint64_t */
    ngx_str_t keys_path;
    struct fg_packet_key key[2]; /* shop, backend */
    ngx_uint_t keys;
    ngx_uint_t outstanding;
    ngx_msec_t patience;
    ngx_shm_zone_t *zone;
    ngx_flag_t used;    /* a location has a route */
    ngx_flag_t backend; /* a location has route backend */
};

/* Of a location. */
struct gateway_location {
    ngx_uint_t route; /* GATEWAY_ROUTES: none */
    ngx_http_complex_value_t *user;
    ngx_uint_t user_number; /* 1: the user is a number, 0: made one by a hash */
    struct gateway_secret *user_secret, *session_secret;
    ngx_array_t *origins; /* of ngx_str_t */
    ngx_str_t prefix;     /* of the location */
};

/* ---- shared memory --------------------------------------------------------------------------- */

#define GATEWAY_BOUND_LIST(X)                                                                      \
    X(1) X(2) X(5) X(10) X(20) X(50) X(100) X(200) X(500) X(1000) X(2000) X(5000) X(10000)
#define X(ms) +1
enum { GATEWAY_BOUNDS = 0 GATEWAY_BOUND_LIST(X) };
#undef X

/* Counters of one worker; it adds with atomic instructions, since its successor after a reload
 * uses the same set for a while. */
struct gateway_counters {
    uint64_t replies[FG_PACKET_STATUS_COUNT]; /* by status */
    uint64_t problems[GATEWAY_PROBLEMS];
    uint64_t gone; /* clients that left while their request was under way */
    uint64_t sent, repeated, silent, moved;
    uint64_t ignored;   /* datagrams that were no reply to anything */
    uint64_t unsent;    /* packets that the kernel did not take */
    uint64_t offloaded; /* batches that left as one datagram */
    uint64_t latency[GATEWAY_BOUNDS + 1];
    uint64_t latency_sum_ms;
} __attribute__((aligned(64)));

/* The state of an item, for all workers. */
struct gateway_stock {
    uint64_t item;
    uint64_t asked_ms; /* monotonic: a worker asks the appliance since then */
    uint64_t known_ms; /* monotonic: when the answer came; 0: never */
    uint64_t answer;   /* left << 32 | status */
    uint64_t line;     /* users who wait << 32 | ticket that comes next; 0: no waiting list */
    uint64_t opens_s;  /* NOT_OPEN: Unix time, else 0 */
    uint64_t taken;    /* the entry is in use */
};

struct gateway_shared {
    struct gateway_counters counters[GATEWAY_SHARES];
    struct gateway_stock stock[GATEWAY_ITEMS];
};

/* ---- wire: one client a worker --------------------------------------------------------------- */

struct gateway_call {
    void (*done)(struct gateway_call *call, const struct fg_client_done *done);
    fg_client_handle handle; /* 0: nothing under way */
};

ngx_int_t gateway_wire_open(ngx_cycle_t *cycle, const struct gateway_main *main);
void gateway_wire_close(void);
/** Asks; call->done will be called in a later turn of the event loop. False: too many under way. */
bool gateway_wire_ask(struct gateway_call *call, struct fg_client_ask *ask);
void gateway_wire_forget(struct gateway_call *call);
uint64_t gateway_wire_random(void);

/** Counters of this worker. */
struct gateway_counters *gateway_counters(void);
/** The zone of this worker's cycle. */
struct gateway_shared *gateway_shared(void);

static inline void gateway_count(uint64_t *counter, uint64_t n)
{
    __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* ---- http: what the routes share ------------------------------------------------------------- */

/** The only header line of this name (lower case): NGX_OK, NGX_DECLINED: none, NGX_ERROR: two. */
ngx_int_t gateway_http_header(ngx_http_request_t *r, const char *name, ngx_str_t *value);
/** Sends a whole response and returns for ngx_http_finalize_request. cache: value of Cache-Control;
 * etag may be NULL. */
ngx_int_t gateway_http_send(ngx_http_request_t *r, ngx_uint_t status, const char *type,
                            const char *text, size_t size, const char *cache);
ngx_int_t gateway_http_add(ngx_http_request_t *r, const char *name, const char *value, size_t size);
ngx_int_t gateway_http_answer(ngx_http_request_t *r, const struct gateway_answer *answer);
ngx_int_t gateway_http_problem(ngx_http_request_t *r, enum gateway_problem problem,
                               const char *detail);
/** NGX_OK, or what the handler returns: refused origin preflight and so on. */
ngx_int_t gateway_http_cors(ngx_http_request_t *r, bool *preflight);
/** Behind the location's prefix: "" or "/...". */
ngx_str_t gateway_http_tail(ngx_http_request_t *r);
bool gateway_http_early(ngx_http_request_t *r);
/** A whole body that came together with the header (HTTP/1); it stays while the request is there.
 */
bool gateway_http_body_came(const ngx_http_request_t *r, ngx_str_t *body);
/** The body in one piece; false: it is above GATEWAY_BODY_MAX. */
bool gateway_http_body(ngx_http_request_t *r, ngx_str_t *body);
bool gateway_http_json(ngx_http_request_t *r);

ngx_int_t gateway_orders_handler(ngx_http_request_t *r);
/* ---- stock, for items and events ------------------------------------------------------------- */

#define GATEWAY_STOCK_ROOM 256 /* bytes of the JSON text of one item */

/** The entry of an item; NULL: the table is full. */
struct gateway_stock *gateway_stock_of(uint64_t item);
/** Asks the appliance unless the answer is fresh or a worker asks already. */
void gateway_stock_refresh(struct gateway_stock *stock);
bool gateway_stock_known(const struct gateway_stock *stock);
size_t gateway_stock_write(char *text, const struct gateway_stock *stock, uint64_t left);

/* ---- waiters: requests in a waiting list ----------------------------------------------------- */

struct gateway_waiter {
    ngx_queue_t link;
    struct gateway_stock *stock; /* NULL: not in the list */
    uint32_t ticket;
    void (*turn)(struct gateway_waiter *waiter); /* takes it out, and may free it */
};

/** turn() is called when the item's line has come to the ticket, or the worker shuts down. */
void gateway_waiter_add(struct gateway_waiter *waiter, uint64_t item, uint32_t ticket);
void gateway_waiter_remove(struct gateway_waiter *waiter); /**< one that was not added: nothing */

ngx_int_t gateway_items_handler(ngx_http_request_t *r);
void gateway_events_changed(void); /* of stock: this worker's streams hear of it at once */
ngx_int_t gateway_events_handler(ngx_http_request_t *r);
ngx_int_t gateway_metrics_handler(ngx_http_request_t *r);
ngx_int_t gateway_login_handler(ngx_http_request_t *r);

#endif
