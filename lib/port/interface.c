/* SPDX-License-Identifier: BSD-3-Clause */
#include "port/interface.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define TABLE_MAX 4096 /* entries of a table that spreads packets; larger ones are not read */

static bool ask(const char *ifname, void *command)
{
    struct ifreq r = {.ifr_data = command};
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool done;

    if (s < 0)
        return false;
    snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", ifname);
    done = ioctl(s, SIOCETHTOOL, &r) == 0;
    close(s);
    return done;
}

/* The queues that the driver's table (RSS) names, as the first so many; 0 = it tells none. */
static unsigned spread_over(const char *ifname)
{
    union {
        struct ethtool_rxfh_indir head;
        uint32_t words[TABLE_MAX + sizeof(struct ethtool_rxfh_indir) / sizeof(uint32_t)];
    } table = {.head = {.cmd = ETHTOOL_GRXFHINDIR}};
    unsigned last = 0;

    if (!ask(ifname, &table) || !table.head.size || table.head.size > TABLE_MAX)
        return 0;
    table.head.cmd = ETHTOOL_GRXFHINDIR;
    if (!ask(ifname, &table))
        return 0;
    for (uint32_t i = 0; i < table.head.size && i < TABLE_MAX; i++)
        if (table.head.ring_index[i] > last)
            last = table.head.ring_index[i];
    return last + 1;
}

struct fg_port_interface_queues fg_port_interface_queues(const char *ifname)
{
    struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
    struct ethtool_rxnfc rings = {.cmd = ETHTOOL_GRXRINGS};
    struct fg_port_interface_queues q = {0};
    unsigned spread;

    if (ask(ifname, &channels)) {
        q.receive = channels.rx_count + channels.combined_count;
        q.combined = channels.combined_count > 0;
    } else if (ask(ifname, &rings)) {
        q.receive = (unsigned)rings.data;
    }
    spread = q.receive > 1 ? spread_over(ifname) : 0;
    q.used = spread && spread < q.receive ? spread : q.receive;
    return q;
}

void fg_port_interface_queues_command(const char *ifname,
                                      const struct fg_port_interface_queues *have, unsigned queues,
                                      char *text, size_t size)
{
    if (have->combined)
        snprintf(text, size, "ethtool -L %s combined %u", ifname, queues);
    else
        snprintf(text, size, "ethtool -L %s rx %u tx %u", ifname, queues, queues);
}

bool fg_port_interface_strips_vlan(const char *ifname)
{
    struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};

    return ask(ifname, &flags) && (flags.data & ETH_FLAG_RXVLAN);
}
