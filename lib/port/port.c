/* SPDX-License-Identifier: BSD-3-Clause */
/* Ports: ethdev set-up of AF_XDP interfaces, virtual devices and PCI devices. */
#include "port/port.h"

#include "base/clock.h"
#include "base/diag.h"
#include "port/eal.h"
#include "port/floating.h"
#include "port/interface.h"
#include "port/links.h"
#include "port/memif.h"
#include "port/messages.h"
#include "port/rings.h"
#include "port/steer.h"

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>

#define CACHE_MAX      256
#define FRAME_OVERHEAD (RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN)
#define MBUF_ROOM      (RTE_MBUF_DEFAULT_BUF_SIZE - RTE_PKTMBUF_HEADROOM)
#define SOCKET_TRIES                                                                               \
    15 /* the kernel frees the AF_XDP queue of a killed process a moment after its end */
#define SOCKET_WAIT_US 140000

/*
 * By hand instead of rte_pktmbuf_pool_create: with --no-huge the AF_XDP driver of DPDK 22.11 takes
 * too short a umem when the pool has gaps at page boundaries, and frames are lost. Without IOVA
 * contiguity there are none. But then the mbufs have no IOVA, which devices that read memory
 * themselves need: AF_XDP only.
 */
static struct rte_mempool *create_pool(const struct fg_port_group *g, unsigned number, int socket,
                                       bool af_xdp)
{
    unsigned mbufs = g->options.eal->mbufs, cache = mbufs / (6 * g->options.workers);
    unsigned size = sizeof(struct rte_mbuf) + RTE_MBUF_DEFAULT_BUF_SIZE;
    struct rte_pktmbuf_pool_private private = {.mbuf_data_room_size = RTE_MBUF_DEFAULT_BUF_SIZE};
    struct rte_mempool *pool;
    char name[RTE_MEMPOOL_NAMESIZE];

    snprintf(name, sizeof(name), "fg_queue_%u", number);
    pool = rte_mempool_create_empty(name, mbufs, size, RTE_MIN(cache, (unsigned)CACHE_MAX),
                                    sizeof(private), socket,
                                    af_xdp ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0);
    if (!pool)
        return NULL;
    rte_pktmbuf_pool_init(pool, &private);
    if (rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL) < 0 ||
        rte_mempool_populate_default(pool) < 0) {
        rte_mempool_free(pool);
        return NULL;
    }
    rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
    return pool;
}

/*
 * Only what the device offers, and what is worth having. All mbufs of a transmit queue come from
 * the pool of its receive queue and have one reference, so a device may free them in bulk.
 * Checksums stay in software: 20 bytes that are in the cache anyway cost less than the flags, and
 * drivers lose their vector paths over them.
 */
static void port_conf(const struct rte_eth_dev_info *info, const struct fg_port_options *pc,
                      unsigned queues, struct rte_eth_conf *conf)
{
    uint64_t rss = (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP) & info->flow_type_rss_offloads;

    *conf = (struct rte_eth_conf){0};
    conf->txmode.offloads = info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
    if (pc->mtu)
        conf->rxmode.mtu = pc->mtu;
    if (pc->mtu + FRAME_OVERHEAD > MBUF_ROOM)
        conf->rxmode.offloads = RTE_ETH_RX_OFFLOAD_SCATTER;
    if (queues > 1 && rss) {
        conf->rx_adv_conf.rss_conf.rss_hf = rss;
        conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    }
}

/* Everything that the configuration asks for, and the device lacks. */
static bool check_abilities(const struct rte_eth_dev_info *info, const struct fg_port_options *pc,
                            uint16_t queues, struct fg_error *err)
{
    if (queues > info->max_rx_queues || queues > info->max_tx_queues)
        return fg_fail(err, "queues = %u, but the device has %u receive and %u transmit queues",
                       queues, info->max_rx_queues, info->max_tx_queues);
    if (pc->mtu && ((info->max_mtu && pc->mtu > info->max_mtu) || pc->mtu < info->min_mtu))
        return fg_fail(err, "mtu = %u, but the device takes %u..%u", pc->mtu, info->min_mtu,
                       info->max_mtu);
    if (pc->mtu && info->max_rx_pktlen &&
        pc->mtu + RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN > info->max_rx_pktlen)
        return fg_fail(err, "mtu = %u, but the device takes frames of up to %u bytes (mtu %u)",
                       pc->mtu, info->max_rx_pktlen,
                       info->max_rx_pktlen - RTE_ETHER_HDR_LEN - RTE_ETHER_CRC_LEN);
    if (pc->mtu + FRAME_OVERHEAD > MBUF_ROOM &&
        !(info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER))
        return fg_fail(
            err,
            "mtu = %u: such frames need several buffers, which the device does not fill (it lacks "
            "scattered receive); accepted: up to %u, or 0",
            pc->mtu, MBUF_ROOM - FRAME_OVERHEAD);
    return true;
}

static bool set_up_queue(struct fg_port_group *g, const struct fg_port_options *pc, uint16_t ethdev,
                         uint16_t index, unsigned number, uint16_t rx_desc, uint16_t tx_desc,
                         struct fg_error *err)
{
    struct fg_port_queue *q = &g->queues[number];
    int socket = rte_eth_dev_socket_id(ethdev), rc;

    *q = (struct fg_port_queue){.number = (uint16_t)number,
                                .ethdev = ethdev,
                                .index = index,
                                .worker = (uint16_t)(number % g->options.workers)};
    q->pool = create_pool(g, number, socket, pc->af_xdp);
    if (!q->pool)
        return fg_fail(
            err,
            "no memory for %u mbufs of queue %u: %s; raise [eal] memory_mb or hugepages, or "
            "lower mbufs",
            g->options.eal->mbufs, number, rte_strerror(rte_errno));
    rc = rte_eth_rx_queue_setup(ethdev, index, rx_desc, (unsigned)socket, NULL, q->pool);
    if (rc < 0)
        return fg_fail(err, "receive queue refused: %s", rte_strerror(-rc));
    rc = rte_eth_tx_queue_setup(ethdev, index, tx_desc, (unsigned)socket, NULL);
    return rc == 0 || fg_fail(err, "transmit queue refused: %s", rte_strerror(-rc));
}

static bool start_ethdev(struct fg_port_group *g, const struct fg_port_options *pc, uint16_t ethdev,
                         unsigned first_queue, uint16_t queues, struct fg_error *err)
{
    uint16_t rx_desc = (uint16_t)pc->descriptors, tx_desc = rx_desc;
    struct rte_eth_dev_info info;
    struct rte_eth_conf conf;
    int rc = rte_eth_dev_info_get(ethdev, &info);

    if (rc < 0)
        return fg_fail(err, "cannot ask its abilities: %s", rte_strerror(-rc));
    if (!check_abilities(&info, pc, queues, err))
        return false;
    port_conf(&info, pc, queues, &conf);
    rc = rte_eth_dev_configure(ethdev, queues, queues, &conf);
    if (rc == 0)
        rc = rte_eth_dev_adjust_nb_rx_tx_desc(ethdev, &rx_desc, &tx_desc);
    if (rc < 0)
        return fg_fail(err, "cannot be configured: %s", rte_strerror(-rc));
    if (pc->mtu && (rc = rte_eth_dev_set_mtu(ethdev, (uint16_t)pc->mtu)) < 0)
        return fg_fail(err, "mtu = %u refused: %s", pc->mtu, rte_strerror(-rc));
    for (uint16_t q = 0; q < queues; q++)
        if (!set_up_queue(g, pc, ethdev, q, first_queue + q, rx_desc, tx_desc, err))
            return false;
    rc = rte_eth_dev_start(ethdev);
    return rc == 0 || fg_fail(err, "cannot be started: %s", rte_strerror(-rc));
}

/* devargs: bus:NAME,arguments; returns the ethdev of that NAME. */
static bool probe(const char *bus, const char *devargs, uint16_t *ethdev, struct fg_error *err)
{
    char text[640], name[RTE_ETH_NAME_MAX_LEN];
    int rc;

    snprintf(name, sizeof(name), "%.*s", (int)strcspn(devargs, ","), devargs);
    if (!strcmp(bus, "pci") && rte_eth_dev_get_port_by_name(name, ethdev) == 0)
        return true; /* named to EAL, which has taken it at its start */
    snprintf(text, sizeof(text), "%s:%s", bus, devargs);
    rc = rte_dev_probe(text);
    if (rc < 0)
        return fg_fail(err, "DPDK does not take %s: %s", devargs, rte_strerror(-rc));
    rc = rte_eth_dev_get_port_by_name(name, ethdev);
    return rc == 0 || fg_fail(err, "%s made no ethdev of that name", devargs);
}

static bool try_af_xdp(struct fg_port_group *g, struct fg_port *p, unsigned queue,
                       struct fg_error *err)
{
    static unsigned serial;
    const struct fg_port_options *pc = p->options;
    unsigned number = p->first_queue + queue;
    char devargs[640];
    uint16_t ethdev;

    snprintf(devargs, sizeof(devargs),
             "net_af_xdp%u,iface=%s,start_queue=%u,queue_count=1,busy_budget=%u", serial++,
             pc->device, queue, pc->busy_budget);
    if (!probe("vdev", devargs, &ethdev, err))
        return false;
    if (start_ethdev(g, pc, ethdev, number, 1, err)) {
        p->ethdev[p->ethdevs++] = ethdev;
        return true;
    }
    rte_mempool_free(g->queues[number].pool);
    g->queues[number].pool = NULL;
    return false;
}

/*
 * The driver does not say why the kernel refused a socket, so any reason is given time to pass.
 * Each attempt is a new ethdev: the driver (22.11) keeps the queue's slot for the fill ring of a
 * failed one, and closing that one would write to freed memory. There are SOCKET_TRIES of them at
 * most, and they hold no socket.
 */
static bool start_af_xdp_queue(struct fg_port_group *g, struct fg_port *p, unsigned queue,
                               struct fg_error *err)
{
    struct fg_error why = {0};

    for (unsigned i = 0; i < SOCKET_TRIES; i++) {
        if (try_af_xdp(g, p, queue, &why)) {
            rte_log_set_level_pattern("pmd.net.af_xdp", RTE_LOG_WARNING);
            return true;
        }
        if (i == 0)
            fg_diag(FG_DIAG_NOTICE,
                    "port %s: queue %u does not start yet (%s), trying again for 2 s",
                    p->options->name, queue, why.text);
        rte_log_set_level_pattern("pmd.net.af_xdp", RTE_LOG_CRIT); /* the same each time */
        fg_clock_sleep_us(SOCKET_WAIT_US);
    }
    return fg_fail(err, "queue %u does not start: %s; does another program use it?", queue,
                   why.text);
}

bool fg_port_check_queues(const struct fg_port_options *pc, struct fg_error *err)
{
    struct fg_port_interface_queues have = {0};
    char command[96];

    if (pc->af_xdp)
        have = fg_port_interface_queues(pc->device);
    if (!have.receive || have.receive >= pc->queues)
        return true;
    fg_port_interface_queues_command(pc->device, &have, pc->queues, command, sizeof(command));
    return fg_fail(err,
                   "queue %u does not start: %s has %u receive queue%s, and queues = %u; `%s`, or "
                   "fewer queues",
                   have.receive, pc->device, have.receive, have.receive == 1 ? "" : "s", pc->queues,
                   command);
}

/* One ethdev for each queue: two queues of one AF_XDP ethdev need channels, which a veth does not
 * report. */
static bool start_af_xdp(struct fg_port_group *g, struct fg_port *p, struct fg_error *err)
{
    if (!fg_port_check_queues(p->options, err))
        return false;
    for (unsigned q = 0; q < p->options->queues; q++) {
        fg_port_messages_xdp_said();
        if (!start_af_xdp_queue(g, p, q, err) ||
            !fg_filter_check_socket(g->options.filter, p->options->device, q, err)) {
            fg_diag(FG_DIAG_NOTICE, "last warning of libxdp or libbpf: %s",
                    fg_port_messages_xdp_said());
            return false;
        }
    }
    return true;
}

/* Before any worker polls a queue. */
static void know_ourselves(struct fg_port_group *g, struct fg_port *p)
{
    struct rte_ether_addr mac;

    if (p->options->address[0])
        p->own.count = (unsigned)fg_frame_host_addresses_parse(
            p->options->address, p->own.addresses, FG_FRAME_HOST_ADDRESSES_MAX);
    fg_port_floating_take(g, p);
    if (!p->own.count)
        return;
    rte_eth_allmulticast_enable(
        p->ethdev[0]); /* neighbour discovery; a driver that cannot receives all */
    rte_eth_macaddr_get(p->ethdev[0], &mac);
    memcpy(p->own.mac, mac.addr_bytes, sizeof(p->own.mac));
    for (unsigned q = 0; q < p->options->queues; q++)
        g->queues[p->first_queue + q].host = &p->own;
    if (!p->memif) /* its MAC stays the same, and its peer is one process */
        g->queues[p->first_queue].announce = &p->announce;
}

static bool start_other(struct fg_port_group *g, struct fg_port *p, struct fg_error *err)
{
    const struct fg_port_options *pc = p->options;
    const char *devargs = pc->device;
    char changed[640];

    if (fg_port_device_is_memif(devargs)) {
        p->memif = fg_port_memif_open(g, p, changed, sizeof(changed), err);
        devargs = changed;
        if (!p->memif)
            return false;
    }
    if (!probe(fg_port_device_is_pci(pc->device) ? "pci" : "vdev", devargs, &p->ethdev[0], err))
        return false;
    p->ethdevs = 1;
    if (!start_ethdev(g, pc, p->ethdev[0], p->first_queue, (uint16_t)pc->queues, err))
        return false;
    know_ourselves(g, p);
    fg_port_steer(g, p);
    for (unsigned q = 0; q < pc->queues; q++)
        g->queues[p->first_queue + q].filtered = g->options.filter_frames;
    return !p->memif || fg_port_memif_start(p->memif, err);
}

bool fg_port_group_start(struct fg_port_group *g, const struct fg_port_group_options *options,
                         struct fg_error *err)
{
    struct fg_error why;
    unsigned next = 0;

    FG_ASSERT(options->count <= FG_PORT_MAX);
    g->options = *options;
    g->queues_count = fg_port_queues_total(options->ports, options->count);
    g->queues = calloc(g->queues_count, sizeof(*g->queues));
    if (!g->queues)
        return fg_fail(err, "no memory for %u queues", g->queues_count);
    for (unsigned i = 0; i < g->options.count; i++) {
        struct fg_port *p = &g->list[i];

        p->options = &g->options.ports[i];
        p->first_queue = (uint16_t)next;
        next += p->options->queues;
        if (!(p->options->af_xdp ? start_af_xdp(g, p, &why) : start_other(g, p, &why)))
            return fg_fail(err, "port %s (%s): %s", p->options->name, p->options->device, why.text);
        fg_port_rings_find(g, p);
        fg_diag(FG_DIAG_INFO, "port %s: %s, %u queue%s", p->options->name, p->options->device,
                p->options->queues, p->options->queues == 1 ? "" : "s");
        if (p->options->af_xdp && fg_port_interface_strips_vlan(p->options->device))
            fg_diag(
                FG_DIAG_NOTICE,
                "port %s: %s takes VLAN tags off frames (rx-vlan-offload): replies to tagged "
                "orders would leave untagged. If orders come tagged: `ethtool -K %s rxvlan off`",
                p->options->name, p->options->device, p->options->device);
        if (p->options->generic)
            fg_diag(FG_DIAG_WARNING,
                    "port %s: XDP in generic mode: slow, for drivers without native XDP",
                    p->options->name);
    }
    fg_port_links_start(g);
    fg_port_queues_poll(g);
    return true;
}

/* A virtual device goes too, so that a later start may make it anew. */
static void stop_ethdev(const struct fg_port *p, uint16_t ethdev)
{
    bool made_here = !p->options->af_xdp && !fg_port_device_is_pci(p->options->device);
    struct rte_eth_dev_info info = {0};
    bool known = rte_eth_dev_info_get(ethdev, &info) == 0;

    rte_eth_dev_stop(ethdev);
    rte_eth_dev_close(ethdev);
    if (made_here && known && info.device)
        rte_dev_remove(info.device);
}

void fg_port_group_stop(struct fg_port_group *g)
{
    fg_port_links_stop(g);
    rte_log_set_level_pattern("pmd.net.af_xdp",
                              RTE_LOG_CRIT); /* it cannot take our program away, nor should it */
    for (unsigned i = 0; i < g->options.count; i++) {
        fg_port_memif_stop(g->list[i].memif);
        g->list[i].memif = NULL;
        for (unsigned k = 0; k < g->list[i].ethdevs; k++)
            stop_ethdev(&g->list[i], g->list[i].ethdev[k]);
    }
    for (unsigned i = 0; i < g->queues_count; i++)
        rte_mempool_free(g->queues ? g->queues[i].pool : NULL);
    free(g->queues);
    g->queues = NULL;
}

static void add_counters(uint16_t ethdev, struct fg_port_counters *sum)
{
    struct rte_eth_stats stats;

    if (rte_eth_stats_get(ethdev, &stats) != 0)
        return;
    sum->rx_packets += stats.ipackets;
    sum->rx_bytes += stats.ibytes;
    sum->rx_missed += stats.imissed;
    sum->rx_errors += stats.ierrors;
    sum->rx_no_mbuf += stats.rx_nombuf;
    sum->tx_packets += stats.opackets;
    sum->tx_bytes += stats.obytes;
    sum->tx_errors += stats.oerrors;
}

struct fg_port_counters fg_port_counters(const struct fg_port *port)
{
    struct fg_port_counters sum = {0};

    for (unsigned i = 0; i < port->ethdevs; i++)
        add_counters(port->ethdev[i], &sum);
    sum.rx_missed += atomic_load(&port->ring_full);
    return sum;
}
