/* SPDX-License-Identifier: BSD-3-Clause */
/* DPDK's start: memory, lcores, buses. */
#include "port/eal.h"

#include <sched.h>

#include "base/diag.h"
#include "port/hugepages.h"
#include "port/messages.h"
#include "port/port.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_pci.h>

#define ARGS_MAX     64
#define EAL_SPARE_MB 64   /* for drivers and EAL itself, beside the mbuf pools */
#define MBUF_BYTES   2560 /* mempool header, mbuf, headroom and 2 KiB of data */

static bool started;

struct args {
    int count;
    char *list[ARGS_MAX];
};

__attribute__((format(printf, 2, 3))) static void add(struct args *a, const char *fmt, ...)
{
    va_list values;

    FG_ASSERT(a->count < ARGS_MAX - 1);
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

/* CPUs of all threads that are no workers: those that no worker was given, or all when none is
 * left. */
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
static void add_lcores(struct args *a, const struct fg_port_group_options *o,
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

static void add_memory(struct args *a, const struct fg_port_group_options *o)
{
    uint64_t needed = fg_port_memory(fg_port_queues_total(o->ports, o->count), o->eal->mbufs);
    uint64_t mb = o->eal->memory_mb ? o->eal->memory_mb : (needed >> 20) + EAL_SPARE_MB;
    bool huge = false;

    if (o->eal->huge) {
        uint64_t have;

        fg_port_hugepages_reclaim(o->eal->file_prefix);
        have = fg_port_hugepages_free_bytes();
        huge = have >> 20 >= mb;
        if (!huge)
            fg_diag(FG_DIAG_NOTICE,
                    "%llu MiB of hugepages are free, %llu are needed: going on without, slower",
                    (unsigned long long)have >> 20, (unsigned long long)mb);
    }
    if (!huge)
        add(a, "--no-huge");
    if (!huge || o->eal->memory_mb) {
        add(a, "-m");
        add(a, "%llu", (unsigned long long)mb);
    }
}

/* Returns whether PCI devices are wanted; only the ones named are taken. */
static bool add_pci(struct args *a, const struct fg_port_group_options *o)
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

bool fg_port_eal_start(const struct fg_port_group_options *o, const char *program,
                       struct fg_error *err)
{
    struct args a = {0};
    cpu_set_t others;

    add(&a, "%s", program);
    other_cpus(o, &others);
    add_lcores(&a, o, &others);
    add(&a, "--file-prefix");
    add(&a, "%s", o->eal->file_prefix);
    add(&a, "--log-level=warning");
    add(&a, "--log-level=lib.telemetry:error"); /* it warns of what is no trouble */
    add_memory(&a, o);
    if (any_virtio_user(o))
        add(&a, "--single-file-segments");
    if (!add_pci(&a, o))
        add(&a, "--iova-mode=va");
    fg_port_messages_take_eal();
    started = rte_eal_init(a.count, a.list) >= 0;
    if (!started)
        fg_fail(err, "DPDK does not start: %s (file_prefix %s in use by another process?)",
                rte_strerror(rte_errno), o->eal->file_prefix);
    sched_setaffinity(0, sizeof(others),
                      &others); /* for threads that we start later; EAL narrowed it */
    return started;             /* EAL keeps pointers into the arguments: they are not freed */
}

void fg_port_eal_stop(void)
{
    if (started)
        rte_eal_cleanup();
    started = false;
}
