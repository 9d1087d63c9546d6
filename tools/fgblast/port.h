/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * port: one DPDK ethdev with one queue each way, of any driver. Main lcore only.
 */
#ifndef FG_BLAST_PORT_H
#define FG_BLAST_PORT_H

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "tools/fgblast/options.h"

#define FG_BURST 32u

struct fg_port {
    uint16_t id;
    uint8_t mac[6];
    struct rte_mempool *pool;
    struct rte_mbuf *waiting[FG_BURST]; /**< made, not yet taken by the port */
    unsigned waiting_count;
    uint64_t tx, rx, no_mbuf; /**< frames */
};

/** Starts EAL and the device that the options name. False and err (what failed, and what to do). */
bool fg_port_start(struct fg_port *port, const struct fg_blast_options *options,
                   struct fg_error *err);
void fg_port_stop(struct fg_port *port);

/** Frames that can be added before the next flush. */
static inline unsigned fg_port_room(const struct fg_port *port)
{
    return FG_BURST - port->waiting_count;
}

/** Room for a frame of `bytes`, which goes out with the next flush; NULL: no buffer is left
 * (counted). */
static inline uint8_t *fg_port_add(struct fg_port *port, uint32_t bytes)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(port->pool);

    if (fg_unlikely(!m)) {
        port->no_mbuf++;
        return NULL;
    }
    m->data_len = (uint16_t)bytes;
    m->pkt_len = bytes;
    port->waiting[port->waiting_count++] = m;
    return rte_pktmbuf_mtod(m, uint8_t *);
}

/** Gives the port what waits; what it does not take waits on. */
static inline void fg_port_flush(struct fg_port *port)
{
    unsigned sent = rte_eth_tx_burst(port->id, 0, port->waiting, (uint16_t)port->waiting_count);

    port->tx += sent;
    port->waiting_count -= sent;
    if (sent && port->waiting_count)
        memmove(port->waiting, port->waiting + sent,
                port->waiting_count * sizeof(port->waiting[0]));
}

static inline unsigned fg_port_receive(struct fg_port *port, struct rte_mbuf **mbufs)
{
    unsigned n = rte_eth_rx_burst(port->id, 0, mbufs, FG_BURST);

    port->rx += n;
    return n;
}

#endif
