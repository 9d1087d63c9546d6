/* SPDX-License-Identifier: BSD-3-Clause */
/* The loop at a real port, and an echo at the same port: a generator is behind it, on another CPU.
 */
#include "bench.h"

#include <signal.h>

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_ethdev.h>

#define SAMPLES_MAX 65536
#define WARM_CHUNKS 2000
#define PATIENCE_S  60 /* for the first packet */

static struct sample samples[SAMPLES_MAX];
static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    stop = 1;
}

static uint16_t start_port(const char *device, struct rte_mempool *pool)
{
    char name[RTE_ETH_NAME_MAX_LEN], text[512];
    uint16_t port;

    snprintf(name, sizeof(name), "%.*s", (int)strcspn(device, ","), device);
    snprintf(text, sizeof(text), "vdev:%s", device);
    FG_ASSERT(rte_dev_probe(text) == 0);
    FG_ASSERT(rte_eth_dev_get_port_by_name(name, &port) == 0);
    FG_ASSERT(rte_eth_dev_configure(port, 1, 1, &(struct rte_eth_conf){0}) == 0);
    FG_ASSERT(rte_eth_rx_queue_setup(port, 0, 1024, 0, NULL, pool) == 0);
    FG_ASSERT(rte_eth_tx_queue_setup(port, 0, 1024, 0, NULL) == 0);
    FG_ASSERT(rte_eth_dev_start(port) == 0);
    return port;
}

/* What testpmd's 5tswap does to a frame, all of it our own: addresses and ports of IPv4 and UDP
 * swapped. */
static void swap_frame(uint8_t *f)
{
    uint8_t mac[6];
    uint64_t addresses;
    uint32_t ports;

    memcpy(mac, f, 6);
    memcpy(f, f + 6, 6);
    memcpy(f + 6, mac, 6);
    memcpy(&addresses, f + 26, 8);
    memcpy(&ports, f + 34, 4);
    addresses = addresses << 32 | addresses >> 32;
    ports = ports << 16 | ports >> 16;
    memcpy(f + 26, &addresses, 8);
    memcpy(f + 34, &ports, 4);
}

static unsigned echo_loop(uint16_t port)
{
    struct rte_mbuf *mbufs[64];
    unsigned n, sent;

    marks_start();
    n = rte_eth_rx_burst(port, 0, mbufs, 64);
    marks_end(FG_WORKER_STAGE_RECEIVE);
    for (unsigned i = 0; i < n; i++)
        swap_frame(rte_pktmbuf_mtod(mbufs[i], uint8_t *));
    marks_end(FG_WORKER_STAGE_REPLY);
    sent = rte_eth_tx_burst(port, 0, mbufs, (uint16_t)n);
    if (sent < n)
        rte_pktmbuf_free_bulk(mbufs + sent, n - sent);
    marks_end(FG_WORKER_STAGE_SEND);
    return n;
}

static unsigned worker_loop(struct world *w)
{
    uint64_t before = world_received(w);

    world_loop(w);
    return (unsigned)(world_received(w) - before);
}

static unsigned collect(struct world *w, uint16_t port, unsigned seconds, bool echo, double *burst)
{
    uint64_t hz = rte_get_tsc_hz(), until = tsc() + PATIENCE_S * hz, packets = 0, all = 0,
             loops = 0;
    unsigned chunks = 0, count = 0;

    while (!stop && tsc() < until && count < SAMPLES_MAX) {
        unsigned n = echo ? echo_loop(port) : worker_loop(w);

        if (n == 0) {
            marks_drop();
            continue;
        }
        if (all == 0)
            until = tsc() + seconds * hz;
        marks_keep();
        packets += n;
        all += n;
        loops++;
        if (packets < CHUNK)
            continue;
        if (chunks++ < WARM_CHUNKS)
            marks_sample(packets);
        else
            samples[count++] = marks_sample(packets);
        packets = 0;
    }
    *burst = loops ? (double)all / (double)loops : 0;
    return count;
}

void device_run(const char *device, const char *keys, unsigned seconds, bool echo)
{
    static struct world world;
    struct rte_mempool *pool = pool_create("budget");
    const char *name = echo ? "memif echo" : "memif";
    uint16_t port = start_port(device, pool);
    double burst;
    unsigned count;
    char text[64];

    signal(SIGTERM, on_signal);
    if (!echo) {
        world_create(&world, 1, keys);
        world_port(&world, port, pool);
        world_sell_nothing(&world);
    }
    fprintf(stderr, "ready\n");
    count = collect(&world, port, seconds, echo, &burst);
    if (count == 0) {
        fprintf(stderr, "bench_budget: too few packets came\n");
        exit(1);
    }
    figures_add(name, "TSC cycles", samples, count);
    snprintf(text, sizeof(text), "%s: frames of a burst", name);
    figures_extra(text, "frames", burst);
    rte_eth_dev_stop(port);
    rte_eth_dev_close(port);
}
