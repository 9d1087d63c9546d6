/* SPDX-License-Identifier: BSD-3-Clause */
/* Route `metrics`: the sums over all workers, in Prometheus' text format. */
#include "module.h"

#define ROOM 16384

struct page {
    char *text;
    size_t size;
};

__attribute__((format(printf, 2, 3))) static void put(struct page *p, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(p->text + p->size, ROOM - p->size, format, args);
    va_end(args);
    FG_ASSERT(n >= 0 && (size_t)n < ROOM - p->size);
    p->size += (size_t)n;
}

/* A set of counters is nothing but uint64_t. */
static void sum_up(struct gateway_counters *sum)
{
    uint64_t *to = (uint64_t *)sum;

    ngx_memzero(sum, sizeof(*sum));
    for (unsigned i = 0; i < GATEWAY_SHARES; i++) {
        uint64_t *from = (uint64_t *)&gateway_shared()->counters[i];

        for (size_t k = 0; k < sizeof(*sum) / sizeof(*to); k++)
            to[k] += __atomic_load_n(&from[k], __ATOMIC_RELAXED);
    }
}

static void head(struct page *p, const char *name, const char *help, const char *kind)
{
    put(p, "# HELP floodgate_gateway_%s %s\n# TYPE floodgate_gateway_%s %s\n", name, help, name,
        kind);
}

static void counter(struct page *p, const char *name, const char *help, uint64_t value)
{
    head(p, name, help, "counter");
    put(p, "floodgate_gateway_%s %llu\n", name, (unsigned long long)value);
}

static void latency(struct page *p, const struct gateway_counters *c)
{
    static const unsigned bounds[] = {
#define X(ms) ms,
        GATEWAY_BOUND_LIST(X)
#undef X
    };
    uint64_t sum = 0;

    head(p, "latency_seconds", "Time from the first packet of a question to its end.", "histogram");
    for (unsigned i = 0; i <= GATEWAY_BOUNDS; i++) {
        sum += c->latency[i];
        if (i < GATEWAY_BOUNDS)
            put(p, "floodgate_gateway_latency_seconds_bucket{le=\"%g\"} %llu\n", bounds[i] / 1000.0,
                (unsigned long long)sum);
    }
    put(p, "floodgate_gateway_latency_seconds_bucket{le=\"+Inf\"} %llu\n", (unsigned long long)sum);
    put(p, "floodgate_gateway_latency_seconds_sum %g\n", (double)c->latency_sum_ms / 1000.0);
    put(p, "floodgate_gateway_latency_seconds_count %llu\n", (unsigned long long)sum);
}

static void write_page(struct page *p, const struct gateway_counters *c)
{
    head(p, "replies_total", "Replies of the appliance, by their status.", "counter");
    for (unsigned i = 1; i < FG_PACKET_STATUS_COUNT; i++)
        put(p, "floodgate_gateway_replies_total{status=\"%s\"} %llu\n", fg_packet_status_name(i),
            (unsigned long long)c->replies[i]);
    head(p, "problems_total", "Requests that the gateway itself answered with a problem.",
         "counter");
    for (unsigned i = 0; i < GATEWAY_PROBLEMS; i++)
        put(p, "floodgate_gateway_problems_total{problem=\"%s\"} %llu\n", gateway_problem_type(i),
            (unsigned long long)c->problems[i]);
    counter(p, "gone_total", "Clients that left while their request was under way.", c->gone);
    counter(p, "packets_sent_total", "Order packets that were sent.", c->sent);
    counter(p, "packets_repeated_total", "Of them, repeats of an unanswered question.",
            c->repeated);
    counter(p, "batches_offloaded_total",
            "Batches of order packets that left as one datagram for the kernel to cut.",
            c->offloaded);
    counter(p, "packets_unsent_total", "Order packets that the kernel did not take.", c->unsent);
    counter(p, "packets_ignored_total", "Datagrams that belonged to no question.", c->ignored);
    counter(p, "silent_total", "Questions that ended without an answer.", c->silent);
    counter(p, "moved_total", "Questions that changed to another server.", c->moved);
    latency(p, c);
}

ngx_int_t gateway_metrics_handler(ngx_http_request_t *r)
{
    struct gateway_counters sum;
    struct page p = {ngx_pnalloc(r->pool, ROOM), 0};

    if (r->method != NGX_HTTP_GET)
        return gateway_http_problem(r, GATEWAY_PROBLEM_METHOD, "accepted: GET");
    if (!p.text)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    sum_up(&sum);
    write_page(&p, &sum);
    return gateway_http_send(r, NGX_HTTP_OK, "text/plain; version=0.0.4", p.text, p.size,
                             "no-store");
}
