/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/fgblast/run.h"

#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include <rte_cycles.h>

#define SECOND       1000000000ull
#define MADE_UP_NS   1000ull /* time of one packet that goes to a file only */
#define ASK_EVERY_NS (SECOND / 5)
#define ASK_TRIES    25
#define IDLE_LOOPS   64u /* then others may have the CPU */
#define WINDOW_IDLE                                                                                \
    1000u /* the same, with a full window: longer than a busy server's burst takes */
#define WINDOW_LARGE  2048u        /* the server is busy with it for longer than we sleep */
#define WINDOW_SLEEP  20000        /* ns */
#define AFTER_LAST_NS (SECOND / 5) /* flat: answers that still come */

void fg_clock_start(struct fg_clock *c)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    c->begun_ns = (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
    c->begun_tsc = rte_rdtsc();
    c->ns_per_tick =
        rte_get_tsc_hz() ? (SECOND << 32) / rte_get_tsc_hz() : 0; /* 0: no EAL, no port */
}

uint64_t fg_clock_now(const struct fg_clock *c)
{
    return c->begun_ns +
           (uint64_t)(((__uint128_t)(rte_rdtsc() - c->begun_tsc) * c->ns_per_tick) >> 32);
}

static struct fg_frame_host_address host_address(const struct fg_address *a)
{
    struct fg_frame_host_address host = {.family = a->family};

    memcpy(host.bytes, a->bytes, sizeof(host.bytes));
    return host;
}

static bool server_answered(struct fg_run *r, const struct fg_frame_host_address *server)
{
    struct rte_mbuf *mbufs[FG_BURST];
    unsigned n = fg_port_receive(r->port, mbufs);
    bool found = false;

    for (unsigned i = 0; i < n; i++) {
        found |= fg_frame_host_learn(server, rte_pktmbuf_mtod(mbufs[i], uint8_t *),
                                     mbufs[i]->data_len, r->frames.server_mac);
        rte_pktmbuf_free(mbufs[i]);
    }
    return found;
}

bool fg_run_find_server(struct fg_run *r, struct fg_error *err)
{
    const struct fg_target *t = &r->options->targets[0];
    struct fg_frame_host_address server = host_address(&t->server);
    struct fg_frame_host own = {.count = 1, .addresses = {host_address(&t->source)}};
    uint8_t question[FG_FRAME_HOST_QUESTION], *frame;
    uint32_t bytes;

    memcpy(own.mac, r->frames.client_mac, sizeof(own.mac));
    bytes = fg_frame_host_ask(&own, &server, question);

    for (int i = 0; i < ASK_TRIES && !*r->stop; i++) {
        uint64_t until_ns = fg_clock_now(&r->clock) + ASK_EVERY_NS;

        if (fg_port_room(r->port) && (frame = fg_port_add(r->port, bytes)))
            memcpy(frame, question, bytes);
        while (fg_clock_now(&r->clock) < until_ns) {
            fg_port_flush(r->port);
            if (server_answered(r, &server))
                return true;
            sched_yield();
        }
    }
    return fg_fail(
        err,
        "no host on this link answers for the server's address; --server-mac gives it by hand");
}

/* ---- world ----------------------------------------------------------------------------------- */

static unsigned take_answers(struct fg_run *r)
{
    struct rte_mbuf *mbufs[FG_BURST];
    unsigned n = fg_port_receive(r->port, mbufs);
    uint64_t now_ns = n ? fg_clock_now(&r->clock) : 0;

    for (unsigned i = 0; i < n; i++) {
        struct fg_address to;
        uint16_t port;
        const uint8_t *payload = fg_frame_read(&r->frames, rte_pktmbuf_mtod(mbufs[i], uint8_t *),
                                               mbufs[i]->data_len, &to, &port);

        if (payload)
            fg_world_reply(r->world, now_ns, payload, &to, port);
        else
            r->summary.other++;
    }
    rte_pktmbuf_free_bulk(mbufs, n);
    return n;
}

static void send_one(struct fg_run *r, uint64_t now_ns, const struct fg_send *send)
{
    uint8_t frame[FG_BLAST_FRAME_MAX], *out;
    uint32_t bytes = fg_frame_write(&r->frames, send, frame);

    if (r->pcap)
        fg_pcap_write(r->pcap, now_ns, frame, bytes);
    if (r->port && (out = fg_port_add(r->port, bytes)))
        memcpy(out, frame, bytes);
}

static void progress(struct fg_run *r, struct fg_progress *p, uint64_t now_ns)
{
    struct fg_view view;
    bool json = r->options->progress_json != 0;
    double every = json ? 1 : (double)r->options->progress;
    double at = (double)(now_ns - r->clock.begun_ns) / 1e9;

    if (every == 0 || at < p->at + every)
        return;
    p->seconds_ago = at - p->at;
    p->at = at;
    if (r->crowd)
        fg_crowd_view(r->crowd, &view);
    else
        fg_world_view(r->world, &view);
    fg_report_progress(&view, p, json);
    p->answers_before = view.stats->answers;
}

void fg_run_world(struct fg_run *r)
{
    struct fg_send sends[FG_BURST];
    struct fg_progress p = {0};
    uint64_t now_ns = r->clock.begun_ns;
    unsigned idle = 0;

    while (!*r->stop && !fg_world_done(r->world, now_ns)) {
        unsigned got = 0, n;

        if (*r->enough)
            fg_world_enough(r->world);
        if (r->port) {
            got = take_answers(r);
            now_ns = fg_clock_now(&r->clock);
        }
        n = fg_world_next(r->world, now_ns, sends, r->port ? fg_port_room(r->port) : FG_BURST);
        for (unsigned i = 0; i < n; i++)
            send_one(r, now_ns + (r->port ? 0 : i * MADE_UP_NS), &sends[i]);
        if (r->port)
            fg_port_flush(r->port);
        else
            now_ns += (n ? n : 100) * MADE_UP_NS;
        progress(r, &p, now_ns);
        idle = got || n ? 0 : idle + 1;
        if (idle >= IDLE_LOOPS && r->port)
            sched_yield();
    }
    r->summary.finished = fg_world_active(r->world) == 0;
    r->summary.seconds = (double)(now_ns - r->clock.begun_ns) / 1e9;
}

/* ---- crowd ----------------------------------------------------------------------------------- */

/* The thread that writes the log may have no other CPU; a yield offers it only within our
 * scheduling group. */
static void window_idle(const struct fg_run *r, unsigned loops)
{
    if (loops >= (r->options->window < WINDOW_LARGE ? WINDOW_IDLE : IDLE_LOOPS))
        nanosleep(&(struct timespec){.tv_nsec = WINDOW_SLEEP}, NULL);
}

/* As many bursts as there are, so that the server's way to us never fills up. */
static unsigned crowd_receive(struct fg_run *r)
{
    unsigned all = 0, n;

    do {
        struct rte_mbuf *mbufs[FG_CROWD_BURST];
        const uint8_t *frames[FG_CROWD_BURST];
        uint16_t bytes[FG_CROWD_BURST];

        n = rte_eth_rx_burst(r->port->id, 0, mbufs, FG_CROWD_BURST);
        for (unsigned i = 0; i < n; i++) {
            frames[i] = rte_pktmbuf_mtod(mbufs[i], uint8_t *);
            bytes[i] = mbufs[i]->data_len;
            rte_prefetch0(frames[i]);
            rte_prefetch0(frames[i] + RTE_CACHE_LINE_SIZE);
        }
        if (n)
            r->summary.other += fg_crowd_read(r->crowd, fg_clock_now(&r->clock), frames, bytes, n);
        rte_pktmbuf_free_bulk(mbufs, n);
        r->port->rx += n;
        all += n;
    } while (n == FG_CROWD_BURST);
    return all;
}

/* Packets that the port did not take wait here, and no new ones are made meanwhile. */
struct crowd_out {
    struct rte_mbuf *mbufs[FG_CROWD_BURST];
    unsigned at, count;
};

static unsigned crowd_send(struct fg_run *r, struct crowd_out *out, uint64_t now_ns)
{
    unsigned sent;

    if (out->at == out->count) {
        uint8_t *frames[FG_CROWD_BURST];
        unsigned n = fg_crowd_pick(r->crowd, now_ns, FG_CROWD_BURST);

        out->at = out->count = 0;
        if (!n)
            return 0;
        if (rte_pktmbuf_alloc_bulk(r->port->pool, out->mbufs, n)) {
            r->port->no_mbuf += n; /* as if they were lost: their timeouts send them again */
            return 0;
        }
        for (unsigned i = 0; i < n; i++)
            frames[i] = rte_pktmbuf_mtod(out->mbufs[i], uint8_t *);
        fg_crowd_write(r->crowd, frames);
        for (unsigned i = 0; i < n; i++)
            out->mbufs[i]->pkt_len = out->mbufs[i]->data_len = fg_crowd_bytes(r->crowd)[i];
        out->count = n;
    }
    sent = rte_eth_tx_burst(r->port->id, 0, out->mbufs + out->at, (uint16_t)(out->count - out->at));
    out->at += sent;
    r->port->tx += sent;
    return sent;
}

void fg_run_crowd(struct fg_run *r)
{
    struct fg_progress p = {0};
    struct crowd_out out = {.count = 0};
    uint64_t now_ns = fg_clock_now(&r->clock);
    unsigned idle = 0;

    prctl(PR_SET_TIMERSLACK, 1000ul);
    while (!*r->stop && !fg_crowd_done(r->crowd, now_ns)) {
        unsigned work = crowd_receive(r);

        if (*r->enough)
            fg_crowd_enough(r->crowd);
        now_ns = fg_clock_now(&r->clock);
        work += crowd_send(r, &out, now_ns);
        progress(r, &p, now_ns);
        idle = work ? 0 : idle + 1;
        window_idle(r, idle);
    }
    fg_crowd_stop(r->crowd);
    rte_pktmbuf_free_bulk(out.mbufs + out.at, out.count - out.at);
    r->summary.finished = fg_crowd_finished(r->crowd);
    r->summary.seconds = (double)(now_ns - r->clock.begun_ns) / 1e9;
}

/* ---- flat ------------------------------------------------------------------------------------ */

static unsigned flat_receive(struct fg_run *r, uint64_t now_ns)
{
    struct rte_mbuf *mbufs[FG_BURST];
    unsigned n = fg_port_receive(r->port, mbufs);

    for (unsigned i = 0; i < n; i++)
        rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));
    for (unsigned i = 0; i < n; i++)
        fg_flat_frame(r->flat, now_ns, rte_pktmbuf_mtod(mbufs[i], uint8_t *), mbufs[i]->data_len);
    rte_pktmbuf_free_bulk(mbufs, n);
    return n;
}

/* Drops the packets that the port has no room for, as a network would. */
static void drop_waiting(struct fg_run *r)
{
    struct fg_port *p = r->port;

    for (unsigned i = 0; i < p->waiting_count; i++)
        fg_flat_unsent(r->flat, rte_pktmbuf_mtod(p->waiting[i], uint8_t *),
                       p->waiting[i]->data_len);
    rte_pktmbuf_free_bulk(p->waiting, p->waiting_count);
    p->waiting_count = 0;
}

static unsigned flat_send(struct fg_run *r, uint64_t now_ns)
{
    unsigned n = fg_flat_room(r->flat, now_ns, fg_port_room(r->port));

    for (unsigned i = 0; i < n; i++) {
        uint32_t bytes;
        const uint8_t *frame = fg_flat_next(r->flat, now_ns, &bytes);
        uint8_t *out = fg_port_add(r->port, bytes);

        if (out)
            rte_memcpy(out, frame, bytes);
    }
    fg_port_flush(r->port);
    if (r->options->open)
        drop_waiting(r);
    return n;
}

void fg_run_flat(struct fg_run *r)
{
    uint64_t now_ns = fg_clock_now(&r->clock), until_ns;
    unsigned idle = 0;

    prctl(PR_SET_TIMERSLACK, 1000ul);
    while (!*r->stop && !*r->enough && !fg_flat_done(r->flat, now_ns)) {
        unsigned work;

        now_ns = fg_clock_now(&r->clock);
        work = flat_receive(r, now_ns);
        work += flat_send(r, now_ns);
        idle = work ? 0 : idle + 1;
        if (!r->options->rate)
            window_idle(r, idle);
        else if (idle >= IDLE_LOOPS)
            sched_yield(); /* who writes the log may have no other CPU */
    }
    r->summary.seconds = (double)(now_ns - r->flat->begun_ns) / 1e9;
    until_ns = now_ns + AFTER_LAST_NS;
    while (!*r->stop && r->flat->in_flight && now_ns < until_ns) {
        now_ns = fg_clock_now(&r->clock);
        flat_receive(r, now_ns);
        fg_port_flush(r->port);
    }
    r->summary.finished = r->flat->in_flight == 0;
}
