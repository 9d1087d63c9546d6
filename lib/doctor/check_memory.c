/* SPDX-License-Identifier: BSD-3-Clause */
/* Hugepages, memory, and the limits of BPF. */
#include <dirent.h>
#include <string.h>

#include "doctor/checks.h"

#define MBUF_BYTES    2432 /* about: header and data room */
#define HUGE_LEAST    (32ull << 20)
#define MAPPED_PREFIX "map_"

static const unsigned huge_kib[] = {2048, 1048576};

static unsigned long long huge_bytes(const struct fg_doctor *d, const char *file)
{
    unsigned long long bytes = 0;

    for (unsigned i = 0; i < 2; i++) {
        long long pages;

        if (fg_doctor_number(d, &pages, "/sys/kernel/mm/hugepages/hugepages-%ukB/%s", huge_kib[i],
                             file))
            bytes += (unsigned long long)pages * huge_kib[i] << 10;
    }
    return bytes;
}

static unsigned long long huge_needed(const struct fg_config *c)
{
    unsigned long long queues = 0;

    for (unsigned i = 0; i < c->ports_count; i++)
        queues += c->ports[i].queues;
    return c->eal.memory_mb ? (unsigned long long)c->eal.memory_mb << 20
                            : HUGE_LEAST + queues * c->eal.mbufs * MBUF_BYTES;
}

static unsigned pages_for(unsigned long long bytes)
{
    return (unsigned)((bytes + (2 << 20) - 1) / (2 << 20));
}

static bool without_hugepages(const struct fg_doctor *d, struct fg_doctor_finding *f)
{
    if (d->config->eal.huge)
        return false;
    fg_doctor_skip(f, "[eal] huge is no");
    return true;
}

FG_DOCTOR_CHECK(hugepages)
{
    if (without_hugepages(d, f) || huge_bytes(d, "nr_hugepages"))
        return;
    fg_doctor_say(f, FG_DOCTOR_WARNING,
                  "the machine has no hugepages: the packet path is about half as fast");
    fg_doctor_mend(f, "sysctl -w vm.nr_hugepages=%u", pages_for(huge_needed(d->config)));
}

FG_DOCTOR_CHECK(hugepages_free)
{
    unsigned long long total = huge_bytes(d, "nr_hugepages"),
                       free = huge_bytes(d, "free_hugepages"), need = huge_needed(d->config);
    struct fg_doctor_mount mount;

    if (without_hugepages(d, f))
        return;
    if (!total)
        return fg_doctor_skip(f, "there are none, see hugepages");
    if (fg_doctor_mounted(d, "hugetlbfs", &mount) &&
        fg_doctor_entries(d, d->config->eal.file_prefix, "%s", mount.point))
        return fg_doctor_skip(f, "a daemon of this file_prefix has its share");
    if (free >= need)
        return;
    fg_doctor_say(f, FG_DOCTOR_WARNING,
                  "%llu MiB of hugepages are free, the packet buffers need about %llu MiB",
                  free >> 20, need >> 20);
    fg_doctor_mend(f, "sysctl -w vm.nr_hugepages=%u", pages_for(total - free + need));
}

FG_DOCTOR_CHECK(hugepages_mount)
{
    struct fg_doctor_mount mount;

    if (without_hugepages(d, f) || fg_doctor_mounted(d, "hugetlbfs", &mount))
        return;
    fg_doctor_say(f, FG_DOCTOR_WARNING,
                  "no hugetlbfs is mounted: DPDK cannot use the hugepages of the machine");
    fg_doctor_mend(f, "mkdir -p /dev/hugepages && mount -t hugetlbfs hugetlbfs /dev/hugepages");
}

FG_DOCTOR_CHECK(hugepages_node)
{
    if (without_hugepages(d, f))
        return;
    for (unsigned i = 0; i < d->config->ports_count; i++) {
        const struct fg_port_options *port = &d->config->ports[i];
        long long node = -1, pages, sum = 0;
        bool known = false;

        if (!port->af_xdp ||
            !fg_doctor_number(d, &node, "/sys/class/net/%s/device/numa_node", port->device) ||
            node < 0)
            continue;
        for (unsigned k = 0; k < 2; k++)
            if (fg_doctor_number(d, &pages,
                                 "/sys/devices/system/node/node%lld/hugepages/"
                                 "hugepages-%ukB/nr_hugepages",
                                 node, huge_kib[k])) {
                known = true;
                sum += pages;
            }
        if (!known || sum)
            continue;
        fg_doctor_say(f, FG_DOCTOR_WARNING,
                      "%s is at NUMA node %lld, which has no hugepages: each packet crosses the "
                      "machine",
                      port->device, node);
        fg_doctor_mend(f,
                       "echo %u > /sys/devices/system/node/node%lld/hugepages/hugepages-2048kB/"
                       "nr_hugepages",
                       pages_for(huge_needed(d->config)), node);
        return;
    }
}

static bool process_maps(const struct fg_doctor *d, const char *pid, const char *path)
{
    char name[FG_DOCTOR_PATH], line[1024];
    FILE *file = fopen(fg_doctor_path(d, name, "/proc/%.20s/maps", pid), "re");
    bool found = false;

    while (file && !found && fgets(line, sizeof(line), file))
        found = strstr(line, path) != NULL;
    if (file)
        fclose(file);
    return found;
}

static bool anybody_maps(const struct fg_doctor *d, const char *path)
{
    char name[FG_DOCTOR_PATH];
    DIR *dir = opendir(fg_doctor_path(d, name, "/proc"));
    struct dirent *entry;
    bool found = false;

    while (dir && !found && (entry = readdir(dir)))
        found = entry->d_name[0] >= '0' && entry->d_name[0] <= '9' &&
                process_maps(d, entry->d_name, path);
    if (dir)
        closedir(dir);
    return found;
}

FG_DOCTOR_CHECK(hugepages_left)
{
    const char *prefix = d->config->eal.file_prefix;
    char first[160], path[700];
    struct fg_doctor_mount mount;
    unsigned count;

    if (without_hugepages(d, f) || !fg_doctor_mounted(d, "hugetlbfs", &mount))
        return;
    snprintf(first, sizeof(first), "%s" MAPPED_PREFIX, prefix);
    count = fg_doctor_entries(d, first, "%s", mount.point);
    snprintf(path, sizeof(path), "%s/%s", mount.point, first);
    if (!count || anybody_maps(d, path))
        return;
    fg_doctor_say(f, FG_DOCTOR_WARNING,
                  "%u hugepage files of a dead process hold their pages below %.200s", count,
                  mount.point);
    fg_doctor_mend(f, "rm %.200s*", path);
}

/* "MemAvailable:  123 kB" and the like. */
static bool meminfo(const struct fg_doctor *d, const char *key, unsigned long long *kib)
{
    char name[FG_DOCTOR_PATH], line[160];
    FILE *file = fopen(fg_doctor_path(d, name, "/proc/meminfo"), "re");
    bool found = false;

    while (file && !found && fgets(line, sizeof(line), file))
        found = !strncmp(line, key, strlen(key)) && line[strlen(key)] == ':' &&
                sscanf(line + strlen(key) + 1, "%llu", kib) == 1;
    if (file)
        fclose(file);
    return found;
}

#define ORDER_BYTES 200 /* about: of engine and ledger together, an order */

FG_DOCTOR_CHECK(memory)
{
    unsigned long long total, need = (unsigned long long)d->config->limits.orders_max * ORDER_BYTES;

    if (!meminfo(d, "MemTotal", &total))
        return fg_doctor_skip(f, "/proc/meminfo cannot be read");
    if (total << 10 > need + need / 4)
        return;
    fg_doctor_say(f, FG_DOCTOR_FAULT,
                  "[limits] orders_max = %u needs about %llu MiB, the machine has %llu MiB",
                  d->config->limits.orders_max, need >> 20, total >> 10);
}

FG_DOCTOR_CHECK(swap)
{
    unsigned long long total = 0, free = 0;

    if (!meminfo(d, "SwapTotal", &total) || !meminfo(d, "SwapFree", &free) || total - free < 1024)
        return;
    fg_doctor_say(f, FG_DOCTOR_WARNING,
                  "%llu MiB are swapped out: an order whose page is on disk waits for it",
                  (total - free) >> 10);
    fg_doctor_mend(f, "swapoff -a");
}

static bool kernel_version(const struct fg_doctor *d, unsigned *version)
{
    char text[128];
    unsigned major, minor;

    if (!fg_doctor_line(d, text, sizeof(text), "/proc/sys/kernel/osrelease") ||
        sscanf(text, "%u.%u", &major, &minor) != 2)
        return false;
    *version = major * 1000 + minor;
    return true;
}

static bool any_af_xdp(const struct fg_config *c)
{
    for (unsigned i = 0; i < c->ports_count; i++)
        if (c->ports[i].af_xdp)
            return true;
    return false;
}

static bool without_af_xdp(const struct fg_doctor *d, struct fg_doctor_finding *f)
{
    if (any_af_xdp(d->config))
        return false;
    fg_doctor_skip(f, "no port is an interface");
    return true;
}

FG_DOCTOR_CHECK(kernel)
{
    unsigned version;

    if (without_af_xdp(d, f))
        return;
    if (!kernel_version(d, &version))
        return fg_doctor_skip(f, "/proc/sys/kernel/osrelease cannot be read");
    if (version < 5012)
        fg_doctor_say(f, FG_DOCTOR_FAULT, "kernel %u.%u: the XDP filter needs 5.12 or newer",
                      version / 1000, version % 1000);
}

/* The line of /proc/self/limits: soft limit, then hard limit. */
static bool limit(const struct fg_doctor *d, const char *name, char soft[32])
{
    char path[FG_DOCTOR_PATH], line[256];
    FILE *file = fopen(fg_doctor_path(d, path, "/proc/self/limits"), "re");
    bool found = false;

    while (file && !found && fgets(line, sizeof(line), file))
        found =
            !strncmp(line, name, strlen(name)) && sscanf(line + strlen(name), " %31s", soft) == 1;
    if (file)
        fclose(file);
    return found;
}

#define CAP_IPC_LOCK 14

/* A process with CAP_IPC_LOCK may lock any amount. */
static bool may_lock(const struct fg_doctor *d)
{
    char path[FG_DOCTOR_PATH], line[256];
    FILE *file = fopen(fg_doctor_path(d, path, "/proc/self/status"), "re");
    unsigned long long caps = 0;

    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "CapEff: %llx", &caps) == 1)
            break;
    if (file)
        fclose(file);
    return caps >> CAP_IPC_LOCK & 1;
}

FG_DOCTOR_CHECK(memlock)
{
    unsigned long long need = huge_needed(d->config);
    char soft[32] = "";

    if (without_af_xdp(d, f))
        return;
    if (!limit(d, "Max locked memory", soft))
        return fg_doctor_skip(f, "/proc/self/limits cannot be read");
    if (!strcmp(soft, "unlimited") || strtoull(soft, NULL, 10) >= need || may_lock(d))
        return;
    fg_doctor_say(f, FG_DOCTOR_FAULT,
                  "AF_XDP locks about %llu bytes of packet buffers, and this user may lock %s",
                  need, soft);
    fg_doctor_mend(f, "ulimit -l unlimited"); /* the unit has LimitMEMLOCK=infinity */
}

FG_DOCTOR_CHECK(files)
{
    char soft[32] = "";

    if (!limit(d, "Max open files", soft))
        return fg_doctor_skip(f, "/proc/self/limits cannot be read");
    if (!strcmp(soft, "unlimited") || strtoull(soft, NULL, 10) >= 1024)
        return;
    fg_doctor_say(f, FG_DOCTOR_FAULT, "this user may open %s files; the daemon needs about 1024",
                  soft);
    fg_doctor_mend(f, "ulimit -n 65536");
}

FG_DOCTOR_CHECK(jit)
{
    long long on;

    if (without_af_xdp(d, f) || !fg_doctor_number(d, &on, "/proc/sys/net/core/bpf_jit_enable") ||
        on)
        return;
    fg_doctor_say(f, FG_DOCTOR_WARNING,
                  "the kernel interprets BPF: the filter takes several times as long for a packet");
    fg_doctor_mend(f, "sysctl -w net.core.bpf_jit_enable=1");
}

#define USUAL_BPFFS "/sys/fs/bpf"

/* As the daemon mounts one: elsewhere at the folder itself, as the one above it has other files. */
FG_DOCTOR_CHECK(bpffs)
{
    struct fg_doctor_mount mount = {"", ""};
    const char *pins = d->config->filter.pins;
    size_t usual = strlen(USUAL_BPFFS);

    if (without_af_xdp(d, f))
        return;
    if (fg_doctor_mount_of(d, pins, &mount) && !strcmp(mount.type, "bpf"))
        return;
    fg_doctor_say(f, FG_DOCTOR_FAULT,
                  "[filter] pins = %s lies on no bpffs (%s at %.100s): program and lists cannot "
                  "outlive the daemon",
                  pins, mount.type, mount.point);
    if (strncmp(pins, USUAL_BPFFS, usual) == 0 && (pins[usual] == '/' || !pins[usual]))
        fg_doctor_mend(f, "mount -t bpf bpf " USUAL_BPFFS);
    else
        fg_doctor_mend(f, "mkdir -p %s && mount -t bpf bpf %s", pins, pins);
}

FG_DOCTOR_CHECK(lockdown)
{
    char text[128];

    if (without_af_xdp(d, f) ||
        !fg_doctor_line(d, text, sizeof(text), "/sys/kernel/security/lockdown") ||
        !strstr(text, "[confidentiality]"))
        return;
    fg_doctor_say(
        f, FG_DOCTOR_FAULT,
        "the kernel is locked down (confidentiality): it lets no BPF program read packets");
}
