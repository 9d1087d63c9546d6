/* SPDX-License-Identifier: BSD-3-Clause */
/* fghttp: shoppers who buy from the gateway over HTTPS. One thread, one loop over all connections.
 */
#include <openssl/err.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "report.h"

#define EVENTS  256
#define TICK_MS 5 /* the times of the shoppers are read so often */

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    stopping = number;
}

static SSL_CTX *tls_for(const struct options *o)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    X509_VERIFY_PARAM *verify;

    if (!tls || SSL_CTX_load_verify_locations(tls, o->ca, NULL) != 1) {
        fprintf(stderr, "fghttp: --ca %s: no certificate to be read there\n", o->ca);
        SSL_CTX_free(tls);
        return NULL;
    }
    verify = SSL_CTX_get0_param(tls);
    X509_VERIFY_PARAM_set1_ip(verify, (const uint8_t *)&o->server.sin_addr, 4);
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    return tls;
}

static void step(struct world *w)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(w->epoll, events, EVENTS, TICK_MS);
    uint64_t now;

    for (int i = 0; i < n; i++) {
        struct shopper *s = events[i].data.ptr;

        ERR_clear_error();
        if (s->conn.ssl) /* not closed by an event before this one */
            shopper_drive(w, s);
    }
    now = fg_clock_mono_ms();
    for (uint64_t i = 0; i < w->o->shoppers; i++) {
        struct shopper *s = &w->shoppers[i];

        ERR_clear_error();
        if (s->step != STEP_ENDED && s->due_ms <= now)
            shopper_due(w, s);
    }
}

static void run(struct world *w)
{
    w->began_ms = fg_clock_mono_ms();
    for (uint32_t i = 0; i < w->o->shoppers; i++)
        shopper_init(w, i);
    while (!stopping && w->ended < w->o->shoppers &&
           fg_clock_mono_ms() - w->began_ms < w->o->seconds_max * 1000)
        step(w);
    for (uint32_t i = 0; i < w->o->shoppers; i++)
        shopper_give_up(w, &w->shoppers[i]);
    w->ended_ms = fg_clock_mono_ms();
}

/* A descriptor for each shopper. */
static void raise_limit(void)
{
    struct rlimit limit;

    if (!getrlimit(RLIMIT_NOFILE, &limit)) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int finish(const struct world *w)
{
    struct fg_error err = {""};

    if (!report_audit(w, &err) || !report_json(w, &err)) {
        fprintf(stderr, "fghttp: %s\n", err.text);
        return 1;
    }
    return w->contradictions || w->given_up ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_signal};
    static struct options o;
    static struct world w;
    int code = options_parse(&o, argc, argv);

    if (code >= 0)
        return code;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    raise_limit();
    w.o = &o;
    w.tls = tls_for(&o);
    w.epoll = epoll_create1(EPOLL_CLOEXEC);
    w.shoppers = calloc(o.shoppers, sizeof(*w.shoppers));
    w.orders = calloc(o.shoppers * o.orders, sizeof(*w.orders));
    if (!w.tls)
        return 1;
    FG_ASSERT(w.epoll >= 0 && w.shoppers && w.orders);
    run(&w);
    code = finish(&w);
    free(w.shoppers);
    free(w.orders);
    SSL_CTX_free(w.tls);
    close(w.epoll);
    return code;
}
