/* SPDX-License-Identifier: BSD-3-Clause */
/* CPUs, clocks and scheduling. */
#include <dirent.h>
#include <string.h>

#include "doctor/checks.h"

#define CPU "/sys/devices/system/cpu"

/* Calls for each worker that is bound to a CPU, until one has a finding. */
static void each_cpu(const struct fg_doctor *d, struct fg_doctor_finding *f,
                     bool (*check)(const struct fg_doctor *d, struct fg_doctor_finding *f,
                                   unsigned worker, int cpu))
{
    if (!d->config->workers.cpus[0])
        return fg_doctor_skip(f, "[workers] cpus is not given");
    for (unsigned i = 0; i < d->config->workers.count; i++)
        if (check(d, f, i, fg_config_cpu(d->config, i)))
            return;
}

static bool is_offline(const struct fg_doctor *d, struct fg_doctor_finding *f, unsigned worker,
                       int cpu)
{
    char list[256];

    if (!fg_doctor_line(d, list, sizeof(list), CPU "/online") || fg_doctor_list_has(list, cpu))
        return false;
    fg_doctor_say(f, FG_DOCTOR_FAULT, "worker %u is to run on CPU %d; the machine has %s", worker,
                  cpu, list);
    return true;
}

FG_DOCTOR_CHECK(cpus)
{
    each_cpu(d, f, is_offline);
}

FG_DOCTOR_CHECK(workers)
{
    char list[256];
    unsigned cpus = 0;

    if (!fg_doctor_line(d, list, sizeof(list), CPU "/online"))
        return fg_doctor_skip(f, "/sys/devices/system/cpu cannot be read");
    for (int cpu = 0; cpu < 1024; cpu++)
        cpus += fg_doctor_list_has(list, cpu);
    if (d->config->workers.count <= cpus)
        return;
    fg_doctor_say(f, FG_DOCTOR_WARNING, "%u workers share %u CPUs: they take turns",
                  d->config->workers.count, cpus);
}

static bool shares_core(const struct fg_doctor *d, struct fg_doctor_finding *f, unsigned worker,
                        int cpu)
{
    char list[128];

    if (!fg_doctor_line(d, list, sizeof(list), CPU "/cpu%d/topology/thread_siblings_list", cpu))
        return false;
    for (unsigned other = 0; other < worker; other++) {
        int its = fg_config_cpu(d->config, other);

        if (its == cpu || !fg_doctor_list_has(list, its))
            continue;
        fg_doctor_say(f, FG_DOCTOR_WARNING,
                      "workers %u and %u run on CPUs %d and %d, two threads of one core: each gets "
                      "about half of it",
                      other, worker, its, cpu);
        return true;
    }
    return false;
}

FG_DOCTOR_CHECK(smt)
{
    each_cpu(d, f, shares_core);
}

static bool is_slow(const struct fg_doctor *d, struct fg_doctor_finding *f, unsigned worker,
                    int cpu)
{
    char governor[64];

    if (!fg_doctor_line(d, governor, sizeof(governor), CPU "/cpu%d/cpufreq/scaling_governor",
                        cpu) ||
        !strcmp(governor, "performance"))
        return false;
    fg_doctor_say(f, FG_DOCTOR_WARNING,
                  "CPU %d of worker %u has the governor %s: it is slow when the sale opens", cpu,
                  worker, governor);
    fg_doctor_mend(f, "for g in " CPU "/cpu*/cpufreq/scaling_governor; do echo performance > $g; "
                      "done");
    return true;
}

FG_DOCTOR_CHECK(governor)
{
    each_cpu(d, f, is_slow);
}

static bool is_shared(const struct fg_doctor *d, struct fg_doctor_finding *f, unsigned worker,
                      int cpu)
{
    char list[256] = "";

    if (fg_doctor_line(d, list, sizeof(list), CPU "/isolated") && fg_doctor_list_has(list, cpu))
        return false;
    fg_doctor_say(f, FG_DOCTOR_WARNING,
                  "worker %u spins on CPU %d, which is not isolated: other programs take its time",
                  worker, cpu);
    fg_doctor_mend(f,
                   "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&isolcpus=%.60s nohz_full=%.60s /' "
                   "/etc/default/grub && update-grub && reboot",
                   d->config->workers.cpus, d->config->workers.cpus);
    return true;
}

FG_DOCTOR_CHECK(isolation)
{
    if (d->config->workers.idle != FG_WORKER_IDLE_SPIN)
        return fg_doctor_skip(f, "[workers] idle is not spin");
    each_cpu(d, f, is_shared);
}

static bool is_remote(const struct fg_doctor *d, struct fg_doctor_finding *f, unsigned worker,
                      int cpu)
{
    for (unsigned i = 0; i < d->config->ports_count; i++) {
        const char *name = d->config->ports[i].device;
        long long node = -1;

        if (!d->config->ports[i].af_xdp ||
            !fg_doctor_number(d, &node, "/sys/class/net/%s/device/numa_node", name) || node < 0 ||
            fg_doctor_exists(d, "/sys/devices/system/node/node%lld/cpu%d", node, cpu))
            continue;
        fg_doctor_say(f, FG_DOCTOR_WARNING,
                      "worker %u runs on CPU %d, which is not at NUMA node %lld, where %s is",
                      worker, cpu, node, name);
        return true;
    }
    return false;
}

FG_DOCTOR_CHECK(numa)
{
    each_cpu(d, f, is_remote);
}

/* "  45:  12  0  IR-PCI-MSI 524288-edge  eth0-TxRx-0": the number, when the line is of the
 * interface.
 */
static bool interrupt_of(const char *line, const char *interface, unsigned *number)
{
    const char *name = strstr(line, interface);

    return name && name > line && (name[-1] == ' ' || name[-1] == '\t' || name[-1] == '@') &&
           !strchr("0123456789", name[strlen(interface)]) && sscanf(line, " %u:", number) == 1;
}

/* Interrupts on a worker's CPU take its time; the worker itself polls. */
static bool interrupts_worker(const struct fg_doctor *d, struct fg_doctor_finding *f,
                              const char *line, unsigned port)
{
    const char *name = d->config->ports[port].device;
    unsigned number;
    char list[128];

    if (!d->config->ports[port].af_xdp || !interrupt_of(line, name, &number) ||
        !fg_doctor_line(d, list, sizeof(list), "/proc/irq/%u/smp_affinity_list", number))
        return false;
    for (unsigned i = 0; i < d->config->workers.count; i++) {
        int cpu = fg_config_cpu(d->config, i);

        if (!fg_doctor_list_has(list, cpu))
            continue;
        fg_doctor_say(f, FG_DOCTOR_WARNING,
                      "interrupt %u of %s may arrive on CPU %d, where worker %u spins", number,
                      name, cpu, i);
        fg_doctor_mend(f, "systemctl stop irqbalance; echo 0 > /proc/irq/%u/smp_affinity_list",
                       number);
        return true;
    }
    return false;
}

FG_DOCTOR_CHECK(interrupts)
{
    char path[FG_DOCTOR_PATH], *line = NULL;
    size_t room = 0;
    bool found = false;
    FILE *file;

    if (d->config->workers.idle != FG_WORKER_IDLE_SPIN || !d->config->workers.cpus[0])
        return fg_doctor_skip(f, "[workers] idle is not spin, or cpus is not given");
    file = fopen(fg_doctor_path(d, path, "/proc/interrupts"), "re");
    while (file && !found && getline(&line, &room, file) > 0)
        for (unsigned i = 0; i < d->config->ports_count && !found; i++)
            found = interrupts_worker(d, f, line, i);
    free(line);
    if (file)
        fclose(file);
}

FG_DOCTOR_CHECK(realtime)
{
    long long us;

    if (!fg_doctor_number(d, &us, "/proc/sys/kernel/sched_rt_runtime_us") || us == -1 ||
        us >= 100000)
        return;
    fg_doctor_say(
        f, FG_DOCTOR_WARNING,
        "real-time threads get %lld us of each period: the thread that writes the log may "
        "be held back",
        us);
    fg_doctor_mend(f, "sysctl -w kernel.sched_rt_runtime_us=950000");
}

FG_DOCTOR_CHECK(clock)
{
    bool synchronised = false;
    struct fg_error err = {""};

    if (!d->probes->clock_synchronised(&synchronised, &err))
        return fg_doctor_skip(f, err.text);
    if (synchronised)
        return;
    fg_doctor_say(
        f, FG_DOCTOR_WARNING,
        "the clock is not synchronised: the sale opens, and holds end, at the wrong moment");
    fg_doctor_mend(f, "apt-get install -y chrony && systemctl enable --now chrony");
}

FG_DOCTOR_CHECK(clocksource)
{
    static const char *const good[] = {"tsc", "kvm-clock", "hyperv_clocksource_tsc_page",
                                       "arch_sys_counter"};
    char name[64];

    if (!fg_doctor_line(d, name, sizeof(name),
                        "/sys/devices/system/clocksource/clocksource0/current_clocksource"))
        return fg_doctor_skip(f, "the kernel does not say which clock it uses");
    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!strcmp(name, good[i]))
            return;
    fg_doctor_say(f, FG_DOCTOR_WARNING,
                  "the kernel reads the time from %s, which takes microseconds; it found the TSC "
                  "unreliable",
                  name);
    fg_doctor_mend(f, "dmesg | grep -i -e tsc -e clocksource");
}

FG_DOCTOR_CHECK(tsc)
{
    char path[FG_DOCTOR_PATH], line[4096];
    FILE *file = fopen(fg_doctor_path(d, path, "/proc/cpuinfo"), "re");
    bool flags = false, constant = false;

    while (file && !flags && fgets(line, sizeof(line), file)) {
        flags = !strncmp(line, "flags", 5);
        constant = flags && strstr(line, " constant_tsc");
    }
    if (file)
        fclose(file);
    if (!flags)
        return fg_doctor_skip(f, "this CPU lists no such flags");
    if (!constant)
        fg_doctor_say(
            f, FG_DOCTOR_WARNING,
            "the CPU's time stamp counter changes its speed (no constant_tsc): workers take "
            "the time from it");
}
