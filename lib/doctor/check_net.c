/* SPDX-License-Identifier: BSD-3-Clause */
/* Interfaces, NICs of DPDK, and ports in use. */
#include <arpa/inet.h>
#include <string.h>

#include "base/address.h"
#include "doctor/checks.h"

#define NET     "/sys/class/net"
#define MTU_MAX 3498 /* of native XDP: one page, without its head and tail room */

/* Calls for each port of AF_XDP, until one has a finding. */
static void each_interface(const struct fg_doctor *d, struct fg_doctor_finding *f,
                           bool (*check)(const struct fg_doctor *d, struct fg_doctor_finding *f,
                                         const struct fg_port_options *port))
{
    bool any = false;

    for (unsigned i = 0; i < d->config->ports_count; i++) {
        const struct fg_port_options *port = &d->config->ports[i];

        if (!port->af_xdp)
            continue;
        any = true;
        if (fg_doctor_exists(d, NET "/%s", port->device) ? check && check(d, f, port) : !check)
            return;
    }
    if (!any)
        fg_doctor_skip(f, "no port is an interface");
}

FG_DOCTOR_CHECK(interface)
{
    for (unsigned i = 0; i < d->config->ports_count; i++) {
        const struct fg_port_options *port = &d->config->ports[i];

        if (!port->af_xdp || fg_doctor_exists(d, NET "/%s", port->device))
            continue;
        fg_doctor_say(f, FG_DOCTOR_FAULT,
                      "[port %s] interface = %s: the machine has none of this name", port->name,
                      port->device);
        fg_doctor_mend(f, "ip -br link");
        return;
    }
}

static bool is_down(const struct fg_doctor *d, struct fg_doctor_finding *f,
                    const struct fg_port_options *port)
{
    char state[32] = "";
    long long carrier = 0;

    fg_doctor_line(d, state, sizeof(state), NET "/%s/operstate", port->device);
    if (fg_doctor_number(d, &carrier, NET "/%s/carrier", port->device) && carrier)
        return false;
    fg_doctor_say(f, FG_DOCTOR_FAULT, "%s has no link (%s)", port->device, state);
    fg_doctor_mend(f, "ip link set %s up", port->device);
    return true;
}

FG_DOCTOR_CHECK(link)
{
    each_interface(d, f, is_down);
}

/* Drivers with native XDP in the kernels of Debian 12 and 13. */
static const char *const native[] = {
    "ixgbe",       "i40e",      "ice",       "igb",           "igc",           "ixgbevf",
    "mlx4_en",     "mlx5_core", "bnxt_en",   "qede",          "sfc",           "nfp",
    "virtio_net",  "veth",      "ena",       "gve",           "hv_netvsc",     "mvneta",
    "mvpp2",       "stmmac",    "dpaa2-eth", "fsl_dpaa2_eth", "tsnep",         "mana",
    "enetc",       "fsl_enetc", "cpsw",      "netsec",        "octeontx2-nic", "rvu_nicpf",
    "thunder-nic", "tun",       "vmxnet3",   "xen_netfront",  "netdevsim",     "ionic"};

/* Those of them with AF_XDP zero copy, in one of these kernels at least. */
static const char *const zero_copy[] = {"ixgbe",     "i40e",          "ice",   "igc",
                                        "mlx5_core", "fsl_dpaa2_eth", "tsnep", "nfp",
                                        "stmmac",    "dpaa2-eth",     "gve"};

static bool has(const char *const *drivers, size_t count, const char *driver)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(driver, drivers[i]))
            return true;
    return false;
}
#define HAS(drivers, driver) has(drivers, sizeof(drivers) / sizeof((drivers)[0]), driver)

static bool is_generic_only(const struct fg_doctor *d, struct fg_doctor_finding *f,
                            const struct fg_port_options *port)
{
    char driver[64], section[sizeof(port->name) + 8];

    if (port->generic ||
        !fg_doctor_link(d, driver, sizeof(driver), NET "/%s/device/driver", port->device) ||
        HAS(native, driver))
        return false;
    fg_doctor_say(f, FG_DOCTOR_FAULT, "the driver of %s, %s, is not known to have native XDP",
                  port->device, driver);
    snprintf(section, sizeof(section), "port %s", port->name);
    fg_doctor_mend_setting(d, f, section, "generic", "yes");
    return true;
}

FG_DOCTOR_CHECK(xdp)
{
    each_interface(d, f, is_generic_only);
}

/* Without native XDP there is a fault already; generic = yes is copy mode by choice. */
static bool copies(const struct fg_doctor *d, struct fg_doctor_finding *f,
                   const struct fg_port_options *port)
{
    char driver[64];

    if (port->generic ||
        !fg_doctor_link(d, driver, sizeof(driver), NET "/%s/device/driver", port->device) ||
        !HAS(native, driver) || HAS(zero_copy, driver))
        return false;
    fg_doctor_say(f, FG_DOCTOR_WARNING,
                  "the driver of %s, %s, is not known to have zero copy: AF_XDP runs in copy mode, "
                  "and a worker takes fewer packets",
                  port->device, driver);
    return true;
}

FG_DOCTOR_CHECK(zero_copy)
{
    each_interface(d, f, copies);
}

static unsigned queues_of(const struct fg_doctor *d, const struct fg_port_options *port)
{
    return fg_doctor_entries(d, "rx-", NET "/%s/queues", port->device);
}

static bool has_few_queues(const struct fg_doctor *d, struct fg_doctor_finding *f,
                           const struct fg_port_options *port)
{
    unsigned queues = queues_of(d, port);

    if (!queues || queues >= port->queues)
        return false;
    fg_doctor_say(f, FG_DOCTOR_FAULT, "%s has %u receive queues, [port %s] queues = %u needs more",
                  port->device, queues, port->name, port->queues);
    fg_doctor_mend(f, "ethtool -L %s combined %u", port->device, port->queues);
    return true;
}

FG_DOCTOR_CHECK(queues)
{
    each_interface(d, f, has_few_queues);
}

static bool has_lost_queues(const struct fg_doctor *d, struct fg_doctor_finding *f,
                            const struct fg_port_options *port)
{
    unsigned queues = queues_of(d, port);

    if (queues <= port->queues)
        return false;
    fg_doctor_say(
        f, FG_DOCTOR_FAULT,
        "%s spreads packets over %u queues, and the appliance reads %u: it never sees the "
        "orders of the others",
        port->device, queues, port->queues);
    fg_doctor_mend(f, "ethtool -L %s combined %u", port->device, port->queues);
    return true;
}

FG_DOCTOR_CHECK(queues_unread)
{
    each_interface(d, f, has_lost_queues);
}

static bool has_large_mtu(const struct fg_doctor *d, struct fg_doctor_finding *f,
                          const struct fg_port_options *port)
{
    long long mtu;

    if (port->generic || !fg_doctor_number(d, &mtu, NET "/%s/mtu", port->device))
        return false;
    mtu = port->mtu ? port->mtu : mtu;
    if (mtu <= MTU_MAX)
        return false;
    fg_doctor_say(f, FG_DOCTOR_WARNING,
                  "%s is to take packets of %lld bytes; many drivers refuse native XDP above %d",
                  port->device, mtu, MTU_MAX);
    fg_doctor_mend(f, "ip link set %s mtu 1500", port->device);
    return true;
}

FG_DOCTOR_CHECK(mtu)
{
    each_interface(d, f, has_large_mtu);
}

static bool is_member(const struct fg_doctor *d, struct fg_doctor_finding *f,
                      const struct fg_port_options *port)
{
    char master[32];

    if (!fg_doctor_link(d, master, sizeof(master), NET "/%s/master", port->device))
        return false;
    fg_doctor_say(
        f, FG_DOCTOR_FAULT,
        "%s is a member of %s, a bond or bridge: the kernel refuses XDP, or sends replies by "
        "another member",
        port->device, master);
    fg_doctor_mend(f, "ip link set %s nomaster", port->device);
    return true;
}

FG_DOCTOR_CHECK(member)
{
    each_interface(d, f, is_member);
}

static bool is_bond(const struct fg_doctor *d, struct fg_doctor_finding *f,
                    const struct fg_port_options *port)
{
    bool bond = fg_doctor_exists(d, NET "/%s/bonding", port->device);

    if (!bond && !fg_doctor_exists(d, NET "/%s/bridge", port->device))
        return false;
    fg_doctor_say(f, FG_DOCTOR_FAULT,
                  "%s is a %s: it has no receive queues of its own for AF_XDP; name its members as "
                  "ports instead",
                  port->device, bond ? "bond" : "bridge");
    fg_doctor_mend(f, "ls " NET "/%s/%s", port->device, bond ? "bonding" : "brif");
    return true;
}

FG_DOCTOR_CHECK(bond)
{
    each_interface(d, f, is_bond);
}

/* "eth0.5  | 5  | eth0": VLANs of the kernel on top of a port. */
static bool has_vlan(const struct fg_doctor *d, struct fg_doctor_finding *f,
                     const struct fg_port_options *port)
{
    char path[FG_DOCTOR_PATH], line[256], name[64], parent[64] = "";
    FILE *file = fopen(fg_doctor_path(d, path, "/proc/net/vlan/config"), "re");
    bool found = false;

    while (file && !found && fgets(line, sizeof(line), file))
        found =
            sscanf(line, "%63s | %*d | %63s", name, parent) == 2 && !strcmp(parent, port->device);
    if (file)
        fclose(file);
    if (!found || !d->probes->strips_vlan(port->device))
        return false;
    fg_doctor_say(f, FG_DOCTOR_WARNING,
                  "packets of VLAN %s come to %s, whose NIC takes the tag off (rx-vlan-offload): "
                  "replies leave without it",
                  name, port->device);
    fg_doctor_mend(f, "ethtool -K %s rxvlan off", port->device);
    return true;
}

FG_DOCTOR_CHECK(vlan)
{
    each_interface(d, f, has_vlan);
}

/* ---- NICs that DPDK drives ------------------------------------------------------------------- */

static bool is_pci(const char *device)
{
    unsigned domain, bus, slot, function;
    int used = 0;

    return sscanf(device, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &used) == 4 &&
           (device[used] == 0 || device[used] == ',');
}

/* The first PCI device of the configuration that check has a finding for. */
static void each_pci(const struct fg_doctor *d, struct fg_doctor_finding *f,
                     bool (*check)(const struct fg_doctor *d, struct fg_doctor_finding *f,
                                   const char *address))
{
    bool any = false;

    for (unsigned i = 0; i < d->config->ports_count; i++) {
        char address[32];

        if (d->config->ports[i].af_xdp || !is_pci(d->config->ports[i].device))
            continue;
        any = true;
        snprintf(address, sizeof(address), "%.*s", (int)strcspn(d->config->ports[i].device, ","),
                 d->config->ports[i].device);
        if (check(d, f, address))
            return;
    }
    if (!any)
        fg_doctor_skip(f, "no port is a PCI device");
}

static bool is_absent(const struct fg_doctor *d, struct fg_doctor_finding *f, const char *address)
{
    if (fg_doctor_exists(d, "/sys/bus/pci/devices/%s", address))
        return false;
    fg_doctor_say(f, FG_DOCTOR_FAULT, "the machine has no PCI device %s", address);
    fg_doctor_mend(f, "lspci -D");
    return true;
}

FG_DOCTOR_CHECK(device)
{
    each_pci(d, f, is_absent);
}

/* Drivers that share a NIC with the kernel need no vfio. */
static bool shares_driver(const struct fg_doctor *d, const char *address)
{
    char driver[64];

    return fg_doctor_link(d, driver, sizeof(driver), "/sys/bus/pci/devices/%s/driver", address) &&
           (!strcmp(driver, "mlx5_core") || !strcmp(driver, "mlx4_core"));
}

static bool lacks_vfio(const struct fg_doctor *d, struct fg_doctor_finding *f, const char *address)
{
    if (shares_driver(d, address) || fg_doctor_exists(d, "/sys/bus/pci/drivers/vfio-pci"))
        return false;
    fg_doctor_say(f, FG_DOCTOR_FAULT, "%s needs the kernel's module vfio-pci, which is not loaded",
                  address);
    fg_doctor_mend(f, "modprobe vfio-pci");
    return true;
}

FG_DOCTOR_CHECK(vfio)
{
    each_pci(d, f, lacks_vfio);
}

static bool is_unbound(const struct fg_doctor *d, struct fg_doctor_finding *f, const char *address)
{
    char driver[64] = "none";

    if (shares_driver(d, address) || !fg_doctor_exists(d, "/sys/bus/pci/devices/%s", address))
        return false;
    fg_doctor_link(d, driver, sizeof(driver), "/sys/bus/pci/devices/%s/driver", address);
    if (!strcmp(driver, "vfio-pci") || !strcmp(driver, "uio_pci_generic"))
        return false;
    fg_doctor_say(f, FG_DOCTOR_FAULT, "%s is bound to the driver %s, not to vfio-pci", address,
                  driver);
    fg_doctor_mend(f, "dpdk-devbind.py --bind=vfio-pci %s", address);
    return true;
}

FG_DOCTOR_CHECK(vfio_bound)
{
    each_pci(d, f, is_unbound);
}

static bool lacks_iommu(const struct fg_doctor *d, struct fg_doctor_finding *f, const char *address)
{
    char unsafe[8] = "";

    if (shares_driver(d, address) || fg_doctor_entries(d, "", "/sys/kernel/iommu_groups") ||
        (fg_doctor_line(d, unsafe, sizeof(unsafe),
                        "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode") &&
         unsafe[0] == 'Y'))
        return false;
    fg_doctor_say(f, FG_DOCTOR_FAULT, "the IOMMU is off: vfio does not give %s to a program",
                  address);
    fg_doctor_mend(f, "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&intel_iommu=on iommu=pt /' "
                      "/etc/default/grub && update-grub && reboot");
    return true;
}

FG_DOCTOR_CHECK(iommu)
{
    each_pci(d, f, lacks_iommu);
}

/* ---- ports in use ---------------------------------------------------------------------------- */

/* A table of /proc/net: "  0: 0100007F:24F4 00000000:0000 0A ...": local address and state. */
static bool socket_at(const struct fg_doctor *d, const char *table, unsigned port, unsigned state)
{
    char path[FG_DOCTOR_PATH], line[512];
    FILE *file = fopen(fg_doctor_path(d, path, "/proc/net/%s", table), "re");
    unsigned its_port, its_state;
    bool found = false;

    while (file && !found && fgets(line, sizeof(line), file))
        found = sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x", &its_port,
                       &its_state) == 2 &&
                its_port == port && (!state || its_state == state);
    if (file)
        fclose(file);
    return found;
}

FG_DOCTOR_CHECK(order_port)
{
    unsigned last = d->config->orders.port + fg_config_order_ports(d->config);

    for (unsigned port = d->config->orders.port; port < last; port++) {
        if (!socket_at(d, "udp", port, 0) && !socket_at(d, "udp6", port, 0))
            continue;
        fg_doctor_say(f, FG_DOCTOR_WARNING,
                      "another program has a socket at UDP port %u, an order port: it gets nothing "
                      "that arrives there",
                      port);
        fg_doctor_mend(f, "ss -lunp sport = :%u", port);
        return;
    }
}

#define LISTENING 0x0a

FG_DOCTOR_CHECK(metrics_port)
{
    struct fg_address address;
    unsigned port;

    if (!d->config->metrics.listen[0] || !fg_address_read(d->config->metrics.listen, &address))
        return fg_doctor_skip(f, "[metrics] listen is not given");
    if (fg_doctor_daemon_runs(d))
        return fg_doctor_skip(f, "a daemon runs, which has the port");
    port = ntohs(address.as.v4.sin_port);
    if (!socket_at(d, address.as.any.sa_family == AF_INET ? "tcp" : "tcp6", port, LISTENING))
        return;
    fg_doctor_say(f, FG_DOCTOR_FAULT, "[metrics] listen = %s: another program listens at this port",
                  d->config->metrics.listen);
    fg_doctor_mend(f, "ss -ltnp sport = :%u", port);
}

static bool is_private(const struct fg_address *address)
{
    uint32_t v4 = ntohl(address->as.v4.sin_addr.s_addr);
    const uint8_t *v6 = address->as.v6.sin6_addr.s6_addr;

    if (address->as.any.sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&address->as.v6.sin6_addr) || (v6[0] & 0xfe) == 0xfc ||
               (v6[0] == 0xfe && (v6[1] & 0xc0) == 0x80);
    return v4 >> 24 == 127 || v4 >> 24 == 10 || v4 >> 20 == 0xac1 || v4 >> 16 == 0xc0a8 ||
           v4 >> 16 == 0xa9fe || v4 >> 22 == 0x6440 >> 6;
}

FG_DOCTOR_CHECK(metrics_public)
{
    struct fg_address address;
    char local[32];

    if (!d->config->metrics.listen[0] || !fg_address_read(d->config->metrics.listen, &address))
        return fg_doctor_skip(f, "[metrics] listen is not given");
    if (is_private(&address))
        return;
    fg_doctor_say(f, FG_DOCTOR_WARNING,
                  "[metrics] listen = %s is not a private address: anyone who reaches it can read "
                  "the numbers of the sale",
                  d->config->metrics.listen);
    snprintf(local, sizeof(local), "127.0.0.1:%u", ntohs(address.as.v4.sin_port));
    fg_doctor_mend_setting(d, f, "metrics", "listen", local);
}
