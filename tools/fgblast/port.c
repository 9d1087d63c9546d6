/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/fgblast/port.h"

#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_pci.h>

#define MBUF_BYTES      2560u /* with headers; an object must not cross a 4 KiB page (umem) */
#define SPARE_MB        64u
#define MBUFS_HUGE      16384u
#define MBUFS_SMALL     8192u
#define CACHE           256u
#define LINK_WAIT_TRIES 100 /* of 50 ms: memif connects in the background */

struct args {
    int count;
    char *list[32];
};

__attribute__((format(printf, 2, 3))) static void add(struct args *a, const char *fmt, ...)
{
    va_list values;

    FG_ASSERT(a->count < 31);
    va_start(values, fmt);
    FG_ASSERT(vasprintf(&a->list[a->count++], fmt, values) > 0);
    va_end(values);
}

static uint64_t free_huge_mb(void)
{
    FILE *in = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "r");
    unsigned long long pages = 0;

    if (in) {
        if (fscanf(in, "%llu", &pages) != 1)
            pages = 0;
        fclose(in);
    }
    return pages * 2;
}

static void add_device(struct args *a, const struct fg_blast_options *o)
{
    struct rte_pci_addr address;
    char name[64];

    snprintf(name, sizeof(name), "%.*s", (int)strcspn(o->device, ","), o->device);
    if (!o->interface[0] && rte_pci_addr_parse(name, &address) == 0) {
        add(a, "-a");
        add(a, "%s", o->device);
        return;
    }
    add(a, "--no-pci");
    add(a, "--iova-mode=va");
    if (strncmp(name, "net_virtio_user", strlen("net_virtio_user")) == 0)
        add(a, "--single-file-segments"); /* vhost-user hands over few files */
    add(a, "--vdev");
    if (o->interface[0])
        add(a, "net_af_xdp0,iface=%s", o->interface);
    else
        add(a, "%s", o->device);
}

/* Memory stays in the process: nothing is left behind by a killed one. */
static bool start_eal(const struct fg_blast_options *o, uint32_t *mbufs, struct fg_error *err)
{
    struct args a = {0};
    uint32_t wanted = o->mbufs ? (uint32_t)o->mbufs : MBUFS_HUGE;
    uint64_t mb = SPARE_MB + ((uint64_t)wanted * MBUF_BYTES >> 20);
    bool huge = !o->no_huge && free_huge_mb() >= mb;

    *mbufs = o->mbufs ? wanted : huge ? MBUFS_HUGE : MBUFS_SMALL;
    add(&a, "fgblast");
    add(&a, "--lcores");
    add(&a, "0@%u", (unsigned)o->cpu);
    add(&a, "--file-prefix");
    add(&a, "fgblast%d", (int)getpid());
    add(&a, huge ? "--in-memory" : "--no-shconf"); /* the first is refused without hugepages */
    add(&a, "--no-telemetry");
    add(&a, "--log-level=warning");
    add(&a, "--log-level=lib.eal:error"); /* it warns of hugepage sizes that are not used */
    if (!huge) {
        add(&a, "--no-huge");
        add(&a, "-m");
        add(&a, "%u", (unsigned)(SPARE_MB + ((uint64_t)*mbufs * MBUF_BYTES >> 20)));
    }
    add_device(&a, o);
    if (rte_eal_init(a.count, a.list) >= 0)
        return true; /* EAL keeps pointers into the arguments */
    return fg_fail(err, "DPDK does not start: %s (--device right? --cpu %u there?)",
                   rte_strerror(rte_errno), (unsigned)o->cpu);
}

/* Made by hand because rte_pktmbuf_pool_create cannot set NO_IOVA_CONTIG, without which af_xdp's
 * umem of DPDK 22.11 loses packets when there are no hugepages. Its mbufs have no IOVA, which a NIC
 * needs. */
static struct rte_mempool *make_pool(uint32_t mbufs, int socket, bool af_xdp)
{
    struct rte_pktmbuf_pool_private private = {.mbuf_data_room_size = RTE_MBUF_DEFAULT_BUF_SIZE};
    struct rte_mempool *pool = rte_mempool_create_empty(
        "fgblast", mbufs, sizeof(struct rte_mbuf) + RTE_MBUF_DEFAULT_BUF_SIZE, CACHE,
        sizeof(struct rte_pktmbuf_pool_private), socket, af_xdp ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0);

    if (!pool)
        return NULL;
    if (rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL)) {
        rte_mempool_free(pool);
        return NULL;
    }
    rte_pktmbuf_pool_init(pool, &private);
    if (rte_mempool_populate_default(pool) < 0) {
        rte_mempool_free(pool);
        return NULL;
    }
    rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
    return pool;
}

static bool configure(struct fg_port *port, const struct fg_blast_options *o, struct fg_error *err)
{
    struct rte_eth_conf conf = {0};
    uint16_t rx = (uint16_t)o->descriptors, tx = rx;
    struct rte_ether_addr mac;
    const char *step = "configure";
    int socket = rte_eth_dev_socket_id(port->id);
    int ret = rte_eth_dev_configure(port->id, 1, 1, &conf);

    if (!ret && (step = "adjust descriptors"))
        ret = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &rx, &tx);
    if (!ret && (step = "set up the receive queue"))
        ret = rte_eth_rx_queue_setup(port->id, 0, rx, (unsigned)socket, NULL, port->pool);
    if (!ret && (step = "set up the transmit queue"))
        ret = rte_eth_tx_queue_setup(port->id, 0, tx, (unsigned)socket, NULL);
    if (!ret && (step = "start"))
        ret = rte_eth_dev_start(port->id);
    if (!ret && (step = "read the address"))
        ret = rte_eth_macaddr_get(port->id, &mac);
    if (ret)
        return fg_fail(err, "port %s does not %s: %s", o->interface[0] ? o->interface : o->device,
                       step, rte_strerror(-ret));
    memcpy(port->mac, mac.addr_bytes, 6);
    rte_eth_promiscuous_enable(port->id); /* where a driver cannot, it receives everything anyway */
    return true;
}

static bool wait_for_link(struct fg_port *port, struct fg_error *err)
{
    struct rte_eth_link link = {0};

    for (int i = 0; i < LINK_WAIT_TRIES; i++) {
        if (rte_eth_link_get_nowait(port->id, &link) || link.link_status == RTE_ETH_LINK_UP)
            return true; /* a driver that knows of no link is taken as up */
        usleep(50000);
    }
    return fg_fail(err, "the port has no link after 5 s: is the other end there and up?");
}

bool fg_port_start(struct fg_port *port, const struct fg_blast_options *o, struct fg_error *err)
{
    uint32_t mbufs;

    if (!start_eal(o, &mbufs, err))
        return false;
    port->id = (uint16_t)rte_eth_find_next(0);
    if (port->id == RTE_MAX_ETHPORTS)
        return fg_fail(err, "DPDK found no port for %s",
                       o->interface[0] ? o->interface : o->device);
    port->pool = make_pool(mbufs, rte_eth_dev_socket_id(port->id), o->interface[0]);
    if (!port->pool)
        return fg_fail(err, "no memory for %u packet buffers (--mbufs): %s", mbufs,
                       rte_strerror(rte_errno));
    return configure(port, o, err) && wait_for_link(port, err);
}

void fg_port_stop(struct fg_port *port)
{
    for (unsigned i = 0; i < port->waiting_count; i++)
        rte_pktmbuf_free(port->waiting[i]);
    port->waiting_count = 0;
    if (port->pool && rte_eth_dev_is_valid_port(port->id)) {
        rte_eth_dev_stop(port->id);
        rte_eth_dev_close(port->id);
    }
    rte_eal_cleanup();
}
