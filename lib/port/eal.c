/* SPDX-License-Identifier: BSD-3-Clause */
/* DPDK's start: memory, lcores, buses. */
#include "port/eal.h"

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "port/hugepages.h"
#include "port/messages.h"

#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_pci.h>

#define EAL_SPARE_MB   64   /* for drivers and EAL itself, beside the mbuf pools */
#define MBUF_BYTES     2560 /* mempool header, mbuf, headroom and 2 KiB of data */
#define PREFIX_WAIT_MS 2000
#define PREFIX_POLL_US 20000

static char reclaim_prefix[128]; /* whose hugepage files a stop removes */
static bool started;

__attribute__((format(printf, 2, 3))) static void add(struct fg_port_arguments *a, const char *fmt,
                                                      ...)
{
    va_list values;

    FG_ASSERT(a->count < FG_PORT_ARGUMENTS_MAX - 1);
    va_start(values, fmt);
    FG_ASSERT(vasprintf(&a->list[a->count++], fmt, values) > 0);
    va_end(values);
}

unsigned fg_port_queues_total(const struct fg_port_options *ports, unsigned count)
{
    unsigned queues = 0;

    for (unsigned i = 0; i < count; i++)
        queues += ports[i].queues;
    return queues;
}

uint64_t fg_port_memory(unsigned queues, unsigned mbufs)
{
    return (uint64_t)queues * mbufs * MBUF_BYTES;
}

static size_t device_name(const char *device, char *name, size_t size)
{
    size_t n = strcspn(device, ",");

    snprintf(name, size, "%.*s", (int)n, device);
    return n;
}

bool fg_port_device_is_pci(const char *device)
{
    struct rte_pci_addr addr;
    char name[512];

    device_name(device, name, sizeof(name));
    return rte_pci_addr_parse(name, &addr) == 0;
}

bool fg_port_check_cpus(const int *cpus, unsigned workers, struct fg_error *err)
{
    char list[512] = "";
    size_t used = 0;
    cpu_set_t ours;

    if (sched_getaffinity(0, sizeof(ours), &ours) < 0)
        return true;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE && used + 8 < sizeof(list); cpu++)
        if (CPU_ISSET(cpu, &ours))
            used +=
                (size_t)snprintf(list + used, sizeof(list) - used, "%s%u", used ? "," : "", cpu);
    for (unsigned i = 0; i < workers; i++)
        if (cpus[i] >= 0 && !CPU_ISSET((size_t)cpus[i], &ours))
            return fg_fail(err, "worker %u: this process may not use CPU %d; accepted: %s", i,
                           cpus[i], list);
    return true;
}

/* CPUs of all threads but the workers: those that no worker was given, or all when none is left. */
static void other_cpus(const struct fg_port_group_options *o, cpu_set_t *set)
{
    cpu_set_t all;

    CPU_ZERO(&all);
    sched_getaffinity(0, sizeof(all), &all);
    *set = all;
    for (unsigned i = 0; i < o->workers; i++)
        if (o->cpus[i] >= 0)
            CPU_CLR((size_t)o->cpus[i], set);
    if (CPU_COUNT(set) == 0)
        *set = all;
}

/* "(0,1,5)" */
static void cpus_text(const cpu_set_t *set, char *text, size_t size)
{
    size_t used = 0;

    for (unsigned cpu = 0; cpu < CPU_SETSIZE && used + 8 < size; cpu++)
        if (CPU_ISSET(cpu, set))
            used += (size_t)snprintf(text + used, size - used, "%c%u", used ? ',' : '(', cpu);
    snprintf(text + used, size - used, ")");
}

/* The main lcore is 0; worker i is lcore i + 1 on its CPU, which other workers may share. */
static void add_lcores(struct fg_port_arguments *a, const struct fg_port_group_options *o,
                       const cpu_set_t *others)
{
    char any[2048], text[16384];
    size_t used;

    cpus_text(others, any, sizeof(any));
    used = (size_t)snprintf(text, sizeof(text), "0@%s", any);
    for (unsigned i = 0; i < o->workers; i++) {
        int cpu = o->cpus[i];

        FG_ASSERT(used + sizeof(any) < sizeof(text) || cpu >= 0);
        if (cpu < 0)
            used += (size_t)snprintf(text + used, sizeof(text) - used, ",%u@%s", i + 1, any);
        else
            used += (size_t)snprintf(text + used, sizeof(text) - used, ",%u@%d", i + 1, cpu);
    }
    FG_ASSERT(used < sizeof(text));
    add(a, "--lcores");
    add(a, "%s", text);
    add(a, "--main-lcore");
    add(a, "0");
}

static uint64_t memory_mb(const struct fg_port_group_options *o)
{
    uint64_t needed = fg_port_memory(fg_port_queues_total(o->ports, o->count), o->eal->mbufs);

    return o->eal->memory_mb ? o->eal->memory_mb : (needed >> 20) + EAL_SPARE_MB;
}

static void add_memory(struct fg_port_arguments *a, const struct fg_port_group_options *o,
                       const char *huge_dir)
{
    if (huge_dir) {
        add(a, "--huge-dir");
        add(a, "%s", huge_dir);
    } else {
        add(a, "--no-huge");
    }
    if (!huge_dir || o->eal->memory_mb) {
        add(a, "-m");
        add(a, "%llu", (unsigned long long)memory_mb(o));
    }
}

/* Returns whether PCI devices are wanted; only the ones named are taken. */
static bool add_pci(struct fg_port_arguments *a, const struct fg_port_group_options *o)
{
    bool any = false;

    for (unsigned i = 0; i < o->count; i++) {
        if (o->ports[i].af_xdp || !fg_port_device_is_pci(o->ports[i].device))
            continue;
        add(a, "-a");
        add(a, "%s", o->ports[i].device);
        any = true;
    }
    if (!any)
        add(a, "--no-pci");
    return any;
}

/* A vhost-user peer maps all of our memory, and takes few files of it. */
static bool any_virtio_user(const struct fg_port_group_options *o)
{
    static const char prefix[] = "net_virtio_user";

    for (unsigned i = 0; i < o->count; i++)
        if (!o->ports[i].af_xdp && !strncmp(o->ports[i].device, prefix, sizeof(prefix) - 1))
            return true;
    return false;
}

void fg_port_eal_arguments(const struct fg_port_group_options *o, const char *program,
                           const char *huge_dir, struct fg_port_arguments *a)
{
    cpu_set_t others;

    a->count = 0;
    add(a, "%s", program);
    other_cpus(o, &others);
    add_lcores(a, o, &others);
    add(a, "--file-prefix");
    add(a, "%s", o->eal->file_prefix);
    add(a, "--log-level=warning");
    add(a, "--log-level=lib.telemetry:error"); /* it warns of harmless things */
    add_memory(a, o, huge_dir);
    if (any_virtio_user(o))
        add(a, "--single-file-segments");
    if (!add_pci(a, o))
        add(a, "--iova-mode=va");
}

/* ---- start ----------------------------------------------------------------------------------- */

/* As EAL names it. */
static void runtime_config(const char *file_prefix, char *path, size_t size)
{
    const char *dir = getenv("RUNTIME_DIRECTORY");

    if (!dir)
        dir = getuid() == 0 ? "/var/run" : getenv("XDG_RUNTIME_DIR");
    snprintf(path, size, "%s/dpdk/%s/config", dir ? dir : "/tmp", file_prefix);
}

/* Does another process hold EAL's lock of this prefix? *owner: 0 = one of another container. */
static bool prefix_is_taken(const char *file_prefix, pid_t *owner)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char path[512];
    bool taken;
    int fd;

    runtime_config(file_prefix, path, sizeof(path));
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    taken = fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    *owner = lock.l_pid;
    close(fd);
    return taken;
}

/* A killed process holds it, and its memory, until the kernel has taken it down. */
bool fg_port_eal_wait_for_prefix(const char *file_prefix, struct fg_error *err)
{
    uint64_t end_ms = fg_clock_mono_ms() + PREFIX_WAIT_MS;
    pid_t owner;

    while (prefix_is_taken(file_prefix, &owner)) {
        if (fg_clock_mono_ms() >= end_ms)
            return fg_fail(err,
                           "DPDK does not start: file_prefix %s is in use by process %d; accepted: "
                           "one for each process",
                           file_prefix, (int)owner);
        fg_clock_sleep_us(PREFIX_POLL_US);
    }
    return true;
}

/* False: the packet path is without hugepages. */
static bool find_hugepages(const struct fg_port_group_options *o, struct fg_port_hugepages *found)
{
    struct fg_error why = {""};

    if (!o->eal->huge)
        return false;
    fg_port_hugepages_reclaim(o->eal->file_prefix);
    if (fg_port_hugepages_find(memory_mb(o) << 20, o->eal->file_prefix, found, &why))
        return true;
    fg_diag(FG_DIAG_NOTICE, "no hugepages, the packet path is slower: %llu MiB are needed; %s",
            (unsigned long long)memory_mb(o), why.text);
    return false;
}

bool fg_port_eal_start(const struct fg_port_group_options *o, const char *program,
                       struct fg_error *err)
{
    struct fg_port_hugepages huge;
    struct fg_port_arguments a;
    cpu_set_t others;

    snprintf(reclaim_prefix, sizeof(reclaim_prefix), "%s", o->eal->file_prefix);
    other_cpus(o, &others);
    if (!fg_port_eal_wait_for_prefix(o->eal->file_prefix, err))
        return false;
    fg_port_eal_arguments(o, program, find_hugepages(o, &huge) ? huge.dir : NULL, &a);
    fg_port_messages_take_eal();
    started = rte_eal_init(a.count, a.list) >= 0;
    if (!started)
        fg_fail(err, "DPDK does not start: %s", fg_port_messages_eal_said());
    /* for threads that we start later: EAL narrowed it to one CPU */
    sched_setaffinity(0, sizeof(others), &others);
    return started; /* EAL keeps pointers into the arguments: they are not freed */
}

void fg_port_eal_stop(void)
{
    if (started) {
        rte_eal_cleanup();
        fg_port_hugepages_reclaim(reclaim_prefix); /* EAL leaves its files to the next start */
    }
    started = false;
}
