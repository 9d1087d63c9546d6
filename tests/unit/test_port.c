/* SPDX-License-Identifier: BSD-3-Clause */
/* Ports on a real EAL without hugepages and PCI: every kind that needs no root, and what they
 * refuse. */
#include "holder.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <sched.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "port/eal.h"
#include "port/hugepages.h"

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>

#define MBUFS   128
#define WAIT_MS 10000
#define PAGE    (2ull << 20)

static struct fg_port_eal_options eal = {.memory_mb = 96, .mbufs = MBUFS};
static char folder[64];
static cpu_set_t ours; /* CPUs, as they were before DPDK */

/* ---- a group --------------------------------------------------------------------------------- */

static _Atomic unsigned passes; /* how often a thread waited for the workers */
static _Atomic unsigned first_pass_fails;

static bool workers_pass(const void *ctx, unsigned timeout_ms)
{
    assert_true(timeout_ms > 0);
    return atomic_fetch_add(&passes, 1) >= atomic_load(&first_pass_fails);
}

static struct fg_port_group_options options_of(const struct fg_port_options *ports, unsigned count)
{
    return (struct fg_port_group_options){.ports = ports,
                                          .count = count,
                                          .eal = &eal,
                                          .workers = 2,
                                          .cpus = {-1, -1},
                                          .order_port = 4600,
                                          .workers_pass = workers_pass};
}

/* snprintf with the test's folder for each %s. */
__attribute__((format(printf, 2, 0))) static struct fg_port_options
port_of(const char *name, const char *device, unsigned queues)
{
    struct fg_port_options p = {.queues = queues, .descriptors = 64};

    snprintf(p.name, sizeof(p.name), "%s", name);
    snprintf(p.device, sizeof(p.device), device, folder, folder);
    return p;
}

static void start(struct fg_port_group *g, const struct fg_port_options *ports, unsigned count)
{
    struct fg_port_group_options o = options_of(ports, count);
    struct fg_error err = {""};

    memset(g, 0, sizeof(*g));
    if (!fg_port_group_start(g, &o, &err))
        fail_msg("%s", err.text);
}

/* Nothing of the group is left. */
static void stop(struct fg_port_group *g)
{
    fg_port_group_stop(g);
    assert_int_equal(rte_eth_dev_count_avail(), 0);
    assert_null(rte_mempool_lookup("fg_queue_0"));
}

static void refused(const struct fg_port_options *port, const char *wanted)
{
    struct fg_port_group_options o = options_of(port, 1);
    struct fg_port_group g = {0};
    struct fg_error err = {""};

    assert_false(fg_port_group_start(&g, &o, &err));
    if (!strstr(err.text, wanted))
        fail_msg("'%s' is not in: %s", wanted, err.text);
    stop(&g);
}

/* ---- the lines that a call writes ------------------------------------------------------------ */

static int lines = -1, real_stderr = -1;

static void listen_begin(void)
{
    lines = memfd_create("lines", MFD_CLOEXEC);
    real_stderr = dup(STDERR_FILENO);
    assert_true(lines >= 0 && real_stderr >= 0);
    dup2(lines, STDERR_FILENO);
}

static const char *listen_end(void)
{
    static char text[8192];
    ssize_t n;

    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    n = pread(lines, text, sizeof(text) - 1, 0);
    close(lines);
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}

/* ---- DPDK's start ---------------------------------------------------------------------------- */

static int first_cpu(void)
{
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET((size_t)cpu, &ours))
            return cpu;
    return -1;
}

/* Worker 0 has the first CPU for itself, if there is another; worker 1 any of the others. */
static void test_lcores(void **state)
{
    rte_cpuset_t one = rte_lcore_cpuset(1), any = rte_lcore_cpuset(2);
    cpu_set_t others = ours, now;

    CPU_CLR((size_t)first_cpu(), &others);
    if (CPU_COUNT(&others) == 0)
        others = ours;
    assert_int_equal(rte_lcore_count(), 3);
    assert_int_equal(rte_lcore_id(), 0);
    assert_int_equal(CPU_COUNT(&one), 1);
    assert_true(CPU_ISSET((size_t)first_cpu(), &one));
    assert_true(CPU_EQUAL(&any, &others));
    assert_int_equal(sched_getaffinity(0, sizeof(now), &now), 0);
    assert_true(CPU_EQUAL(&now, &others)); /* for threads that come later */
    assert_int_equal(rte_eal_has_hugepages(), 0);
    assert_int_equal(rte_eal_has_pci(), 0);
}

static const char *arguments(const struct fg_port_group_options *o, const char *huge_dir)
{
    static char text[4096];
    struct fg_port_arguments a;
    size_t used = 0;

    fg_port_eal_arguments(o, "program", huge_dir, &a);
    for (int i = 0; i < a.count; i++) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i ? " " : "", a.list[i]);
        free(a.list[i]);
    }
    assert_true(used < sizeof(text));
    return text;
}

static void contains(const char *text, const char *wanted)
{
    if (!strstr(text, wanted))
        fail_msg("'%s' is not in: %s", wanted, text);
}

static void lacks(const char *text, const char *unwanted)
{
    if (strstr(text, unwanted))
        fail_msg("'%s' is in: %s", unwanted, text);
}

static void test_memory_arguments(void **state)
{
    struct fg_port_eal_options own = {.mbufs = 4096, .file_prefix = "shop"};
    struct fg_port_options port = port_of("shop", "net_null0", 2);
    struct fg_port_group_options o = options_of(&port, 1);
    char wanted[64];

    o.eal = &own;
    snprintf(wanted, sizeof(wanted), "--no-huge -m %llu",
             ((unsigned long long)fg_port_memory(2, 4096) >> 20) + 64);
    contains(arguments(&o, NULL), wanted);
    contains(arguments(&o, NULL), "--file-prefix shop ");
    contains(arguments(&o, "/mnt/huge"), "--huge-dir /mnt/huge");
    lacks(arguments(&o, "/mnt/huge"), "--no-huge");
    lacks(arguments(&o, "/mnt/huge"), " -m "); /* as it is needed */
    own.memory_mb = 300;
    contains(arguments(&o, NULL), "--no-huge -m 300");
    contains(arguments(&o, "/mnt/huge"), "--huge-dir /mnt/huge -m 300");
}

static void test_device_arguments(void **state)
{
    struct fg_port_options ports[] = {port_of("a", "0000:01:00.0,flag=1", 1),
                                      port_of("b", "net_null0", 1)};
    struct fg_port_group_options o = options_of(ports, 2);

    contains(arguments(&o, NULL), "-a 0000:01:00.0,flag=1");
    lacks(arguments(&o, NULL), "--no-pci");
    lacks(arguments(&o, NULL), "--iova-mode");
    ports[0] = port_of("a", "0000:01:00.0", 1);
    ports[0].af_xdp = true; /* an interface of that name */
    contains(arguments(&o, NULL), "--no-pci --iova-mode=va");
    lacks(arguments(&o, NULL), "-a ");
    lacks(arguments(&o, NULL), "--single-file-segments");
    ports[1] = port_of("b", "net_virtio_user0,path=/run/x", 1);
    contains(arguments(&o, NULL), "--single-file-segments");
}

/* Sixty-four workers, also without a CPU of their own. */
static void test_cpu_arguments(void **state)
{
    struct fg_port_options port = port_of("shop", "net_null0", 1);
    struct fg_port_group_options o = options_of(&port, 1);

    o.workers = FG_WORKERS_MAX;
    for (unsigned i = 0; i < FG_WORKERS_MAX; i++)
        o.cpus[i] = i % 2 ? -1 : first_cpu();
    contains(arguments(&o, NULL), "--lcores 0@(");
    contains(arguments(&o, NULL), ",64@(");
    contains(arguments(&o, NULL), "--main-lcore 0 ");
    o.workers = 1;
    o.cpus[0] = 1023;
    contains(arguments(&o, NULL), ",1@1023 ");
}

static void test_cpus_of_this_process(void **state)
{
    int a = first_cpu(), b = a + 1, cpus[3] = {-1, a, -1};
    struct fg_error err = {""};
    cpu_set_t before, now;
    char wanted[64];

    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    now = ours; /* without regard to what DPDK's start left */
    assert_int_equal(sched_setaffinity(0, sizeof(now), &now), 0);
    assert_true(fg_port_check_cpus(cpus, 3, &err));
    cpus[2] = 1023;
    assert_true(fg_port_check_cpus(cpus, 2, &err));
    assert_false(fg_port_check_cpus(cpus, 3, &err));
    contains(err.text, "worker 2: this process may not use CPU 1023; accepted: ");
    CPU_ZERO(&now); /* as in the cpuset of a service or a container */
    CPU_SET((size_t)a, &now);
    assert_int_equal(sched_setaffinity(0, sizeof(now), &now), 0);
    cpus[2] = b;
    assert_false(fg_port_check_cpus(cpus, 3, &err));
    snprintf(wanted, sizeof(wanted), "may not use CPU %d; accepted: %d", b, a);
    contains(err.text, wanted);
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

static bool take_prefix(const char *prefix)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 64, .l_len = 8};
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/dpdk/%s/config", folder, prefix);
    fd = open(path, O_RDWR);
    return fd >= 0 && fcntl(fd, F_SETLK, &lock) == 0;
}

/* EAL's lock of a prefix, as systemd lets it place it. */
static void test_prefix(void **state)
{
    struct fg_error err = {""};
    char command[256], wanted[128];
    pid_t holder;

    snprintf(command, sizeof(command), "mkdir -p %s/dpdk/shop && touch %s/dpdk/shop/config", folder,
             folder);
    assert_int_equal(system(command), 0);
    setenv("RUNTIME_DIRECTORY", folder, 1);
    assert_true(fg_port_eal_wait_for_prefix("none", &err));
    assert_true(fg_port_eal_wait_for_prefix("shop", &err));
    holder = holder_start(take_prefix, "shop");
    assert_false(fg_port_eal_wait_for_prefix("shop", &err));
    snprintf(wanted, sizeof(wanted),
             "file_prefix shop is in use by process %d; accepted: ", (int)holder);
    contains(err.text, wanted);
    if (!holder_outlived(holder, fg_port_eal_wait_for_prefix, "shop", &err))
        fail_msg("%s", err.text);
    unsetenv("RUNTIME_DIRECTORY");
    snprintf(command, sizeof(command), "rm -r %s/dpdk", folder);
    assert_int_equal(system(command), 0);
}

/* ---- hugepages ------------------------------------------------------------------------------- */

static void path_in(char *path, size_t size, const char *name)
{
    snprintf(path, size, "%s/%s", folder, name);
}

static int make_file(const char *name)
{
    char path[128];
    int fd;

    path_in(path, sizeof(path), name);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

static bool exists(const char *name)
{
    char path[128];
    struct stat st;

    path_in(path, sizeof(path), name);
    return lstat(path, &st) == 0;
}

static void drop_file(const char *name)
{
    char path[128];

    path_in(path, sizeof(path), name);
    unlink(path);
}

static void test_reclaim(void **state)
{
    int held = make_file("shopmap_1");
    char target[128], path[128];

    close(make_file("shopmap_0"));
    close(make_file("othermap_0"));
    close(make_file("target"));
    path_in(target, sizeof(target), "target");
    path_in(path, sizeof(path), "shopmap_2");
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(flock(held, LOCK_EX), 0);
    fg_port_hugepages_reclaim_dir(folder, "shop");
    assert_false(exists("shopmap_0"));
    assert_true(exists("shopmap_1")); /* a living process has it */
    assert_true(exists("shopmap_2") && exists("target") && exists("othermap_0"));
    close(held);
    fg_port_hugepages_reclaim_dir(folder, "shop");
    assert_false(exists("shopmap_1"));
    drop_file("shopmap_2");
    drop_file("target");
    drop_file("othermap_0");
    fg_port_hugepages_reclaim_dir("/nonexistent", "shop");
}

static uint64_t count_of(const char *name)
{
    unsigned long long count = 0;
    char path[128];
    FILE *f;

    snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-2048kB/%s", name);
    f = fopen(path, "re");
    if (f && fscanf(f, "%llu", &count) != 1)
        count = 0;
    if (f)
        fclose(f);
    return count;
}

static void unmount_all(void)
{
    FILE *mounts = setmntent("/proc/self/mounts", "r");
    struct mntent *entry;

    while (mounts && (entry = getmntent(mounts)))
        if (!strcmp(entry->mnt_type, "hugetlbfs"))
            umount2(entry->mnt_dir, MNT_DETACH);
    if (mounts)
        endmntent(mounts);
}

/* In a mount namespace of its own, with one hugetlbfs at the test's folder (options NULL: with
 * none): the reason, "found", or NULL when the kernel lets us mount nothing. */
static const char *find_with(const char *options, unsigned long flags, uint64_t bytes, bool reserve)
{
    static char text[512];
    int tube[2];
    ssize_t n;
    pid_t child;

    assert_int_equal(pipe(tube), 0);
    child = fork();
    if (child == 0) {
        struct fg_port_hugepages found;
        struct fg_error why = {"no namespace"};
        uint64_t all = (count_of("free_hugepages") - count_of("resv_hugepages")) * PAGE;

        if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0) {
            unmount_all();
            if (options && mount("none", folder, "hugetlbfs", flags, options) < 0)
                snprintf(why.text, sizeof(why.text), "no namespace");
            else if (reserve && mmap(NULL, all, PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0) == MAP_FAILED)
                snprintf(why.text, sizeof(why.text), "no namespace");
            else if (fg_port_hugepages_find(bytes, "trial", &found, &why))
                snprintf(why.text, sizeof(why.text), "found");
        }
        n = write(tube[1], why.text, strlen(why.text) + 1);
        _exit(n > 0 ? 0 : 1);
    }
    close(tube[1]);
    n = read(tube[0], text, sizeof(text));
    close(tube[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(n > 0);
    return strcmp(text, "no namespace") ? text : NULL;
}

static void test_no_hugepages(void **state)
{
    const char *text = find_with(NULL, 0, PAGE, false);

    if (!text) {
        print_message("skipped: no mount namespace for this user\n");
        skip();
    }
    contains(text, "no hugetlbfs is mounted");
    contains(find_with("pagesize=2M", MS_RDONLY, PAGE, false), "is mounted read-only");
    contains(find_with("pagesize=2M,size=4M", 0, 32 * PAGE, false), "leaves 4 MiB");
    contains(find_with("pagesize=2M", 0, 1ull << 50, false), "are free in pages of 2048 KiB (");
    if (count_of("free_hugepages") < 8) {
        print_message("not tried: reserved hugepages, for fewer than 8 are free\n");
        return;
    }
    assert_string_equal(find_with("pagesize=2M", 0, 3 * PAGE - 1, false), "found");
    contains(find_with("pagesize=2M", 0, 3 * PAGE, true), "but other processes have reserved");
}

/* ---- ports ----------------------------------------------------------------------------------- */

/* An empty capture, which net_pcap receives from. */
static void make_pcap(void)
{
    static const uint32_t header[] = {0xa1b2c3d4, 0x00040002, 0, 0, 65535, 1};
    int fd = make_file("in.pcap");

    assert_int_equal(write(fd, header, sizeof(header)), sizeof(header));
    close(fd);
}

static void test_every_kind(void **state)
{
    const struct fg_port_options ports[] = {
        port_of("null", "net_null0", 2),
        port_of("ring", "net_ring0", 1),
        port_of("server", "net_memif0,role=server,id=0,socket=%s/server,socket-abstract=no", 1),
        port_of("client", "net_memif1,role=client,id=1,socket=%s/client,socket-abstract=no", 1),
        port_of("pcap", "net_pcap0,rx_pcap=%s/in.pcap,tx_pcap=%s/out.pcap", 1),
    };
    const unsigned count = sizeof(ports) / sizeof(ports[0]);
    struct fg_port_group g;

    make_pcap();
    for (unsigned round = 0; round < 2; round++) { /* the second finds nothing of the first */
        start(&g, ports, count);
        assert_int_equal(g.queues_count, 6);
        for (unsigned q = 0; q < g.queues_count; q++) {
            assert_int_equal(g.queues[q].number, q);
            assert_int_equal(g.queues[q].worker, q % 2);
            assert_false(g.queues[q].filtered);
            assert_null(g.queues[q].host);
            assert_int_equal(rte_mempool_avail_count(g.queues[q].pool) +
                                 rte_mempool_in_use_count(g.queues[q].pool),
                             MBUFS);
        }
        assert_int_equal(g.queues[1].index, 1);
        assert_int_equal(g.queues[0].ethdev, g.queues[1].ethdev);
        assert_int_equal(atomic_load(&g.list[0].link.state), FG_PORT_LINK_UP);
        assert_int_equal(atomic_load(&g.list[2].link.state), FG_PORT_LINK_NEW);
        assert_true(exists("server"));
        stop(&g);
        assert_false(exists("server") || exists("server-port") || exists("client-port"));
    }
    drop_file("in.pcap");
    drop_file("out.pcap");
}

static void test_counters(void **state)
{
    struct fg_port_options port = port_of("ring", "net_ring0", 1);
    struct fg_port_counters c;
    struct fg_port_group g;
    struct rte_mbuf *m;

    start(&g, &port, 1);
    for (unsigned i = 0; i < 3; i++) {
        m = rte_pktmbuf_alloc(g.queues[0].pool);
        assert_non_null(m);
        assert_non_null(rte_pktmbuf_append(m, 64));
        assert_int_equal(rte_eth_tx_burst(g.queues[0].ethdev, 0, &m, 1), 1);
    }
    assert_int_equal(rte_eth_rx_burst(g.queues[0].ethdev, 0, &m, 1), 1);
    rte_pktmbuf_free(m);
    c = fg_port_counters(&g.list[0]);
    assert_int_equal(c.tx_packets, 3);
    assert_int_equal(c.rx_packets, 1);
    while (rte_eth_rx_burst(g.queues[0].ethdev, 0, &m, 1))
        rte_pktmbuf_free(m);
    stop(&g);
}

static void test_host(void **state)
{
    struct fg_port_options port = port_of("null", "net_null0", 2);
    struct rte_ether_addr mac;
    struct fg_port_group g;

    snprintf(port.address, sizeof(port.address), "198.18.0.1, 2001:db8::1");
    start(&g, &port, 1);
    assert_ptr_equal(g.queues[0].host, &g.list[0].own);
    assert_ptr_equal(g.queues[1].host, &g.list[0].own);
    assert_int_equal(g.list[0].own.count, 2);
    assert_int_equal(rte_eth_macaddr_get(g.queues[0].ethdev, &mac), 0);
    assert_memory_equal(g.list[0].own.mac, mac.addr_bytes, sizeof(mac.addr_bytes));
    stop(&g);
}

static void test_filtered(void **state)
{
    struct fg_port_options port = port_of("null", "net_null0", 1);
    struct fg_port_group_options o = options_of(&port, 1);
    struct fg_port_group g = {0};
    struct fg_error err = {""};

    o.filter_frames = true;
    assert_true(fg_port_group_start(&g, &o, &err));
    assert_true(g.queues[0].filtered);
    stop(&g);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void test_refusals(void **state)
{
    struct fg_port_options port =
        port_of("shop", "net_pcap0,rx_pcap=%s/in.pcap,tx_pcap=%s/out.pcap", 2);

    make_pcap();
    refused(&port, "queues = 2, but the device has 1 receive and 1 transmit queues");
    drop_file("in.pcap");
    drop_file("out.pcap");
    port = port_of("shop", "net_memif0,role=server,socket=%s/m,socket-abstract=no", 1);
    port.mtu = 9000;
    refused(&port, "mtu = 9000, but the device takes ");
    port.mtu = 1400;
    refused(&port, "mtu = 1400 refused: ");
    port = port_of("shop", "net_nothing0", 1);
    refused(&port, "DPDK does not take net_nothing0");
    port = port_of("shop", "0000:ff:1f.7", 1);
    refused(&port, "DPDK does not take 0000:ff:1f.7");
}

/* Also when a queue of several has no memory, and after it the port starts with fewer. */
static void test_no_memory(void **state)
{
    struct fg_port_options port = port_of("shop", "net_null0", 2);
    struct fg_port_group g;

    eal.mbufs = 400000;
    refused(&port, "no memory for 400000 mbufs of queue 0");
    eal.mbufs = 24000; /* one of them fits */
    refused(&port, "no memory for 24000 mbufs of queue 1");
    eal.mbufs = MBUFS;
    start(&g, &port, 1);
    stop(&g);
}

/* The first port is taken down again when the second does not start. */
static void test_half_a_start(void **state)
{
    const struct fg_port_options ports[] = {
        port_of("good", "net_memif0,role=server,socket=%s/m,socket-abstract=no", 1),
        port_of("bad", "net_nothing0", 1)};
    struct fg_port_group_options o = options_of(ports, 2);
    struct fg_port_group g = {0};
    struct fg_error err = {""};

    assert_false(fg_port_group_start(&g, &o, &err));
    contains(err.text, "port bad (net_nothing0): DPDK does not take");
    stop(&g);
    assert_false(exists("m"));
}

static void test_no_flow_rules(void **state)
{
    struct fg_port_options port = port_of("shop", "net_null0", 2);
    struct fg_port_group_options o = options_of(&port, 1);
    struct fg_port_group g = {0};
    struct fg_error err = {""};
    const char *text;
    bool started;

    o.steer = true;
    listen_begin();
    started = fg_port_group_start(&g, &o, &err);
    text = listen_end();
    assert_true(started);
    contains(text, "port shop: the driver takes no flow rules (");
    stop(&g);
    memset(&g, 0, sizeof(g));
    port.queues = 1; /* all orders come in by it anyway */
    listen_begin();
    started = fg_port_group_start(&g, &o, &err);
    text = listen_end();
    assert_true(started);
    lacks(text, "flow rules");
    stop(&g);
}

/* ---- links ----------------------------------------------------------------------------------- */

static void set_link(struct fg_port_group *g, unsigned port, int state)
{
    atomic_store(&g->list[port].link.state, state);
}

static void test_links(void **state)
{
    const struct fg_port_options ports[] = {
        port_of("one", "net_null0", 1),
        port_of("two", "net_memif0,role=server,socket=%s/m,socket-abstract=no", 1)};
    struct fg_port_group g;
    char text[256];

    for (int i = 0; i < FG_PORT_LINKS; i++)
        assert_true(fg_port_link_name(i)[0]);
    start(&g, ports, 2);
    assert_true(fg_port_links_wrong(&g, text, sizeof(text)));
    contains(text, "port two (net_memif0");
    contains(text, "no link since the start");
    assert_false(fg_port_links_broken(&g)); /* the other port is up */
    fg_port_links_poll(&g);
    assert_int_equal(atomic_load(&g.list[1].link.state), FG_PORT_LINK_NEW); /* not yet lost */
    set_link(&g, 0, FG_PORT_LINK_DOWN);
    assert_true(fg_port_links_broken(&g));
    set_link(&g, 1, FG_PORT_LINK_UP);
    assert_false(fg_port_links_broken(&g));
    set_link(&g, 0, FG_PORT_LINK_DETACHED);
    assert_true(fg_port_links_wrong(&g, text, sizeof(text)));
    contains(text, "port one (net_null0): the XDP program is detached");
    set_link(&g, 0, FG_PORT_LINK_GONE);
    assert_true(fg_port_links_broken(&g));
    fg_port_links_poll(&g);
    assert_int_equal(atomic_load(&g.list[0].link.state), FG_PORT_LINK_GONE); /* for good */
    assert_int_equal(atomic_load(&g.list[1].link.state), FG_PORT_LINK_DOWN);
    assert_int_equal(atomic_load(&g.list[1].link.lost), 1);
    stop(&g);
}

/* ---- memif ----------------------------------------------------------------------------------- */

#define SERVER "net_memif0,role=server,socket=%s/m,socket-abstract=no"

static void mac_of(const char *name, const char *device, struct rte_ether_addr *mac)
{
    struct fg_port_options port = port_of(name, device, 1);
    struct fg_port_group g;

    start(&g, &port, 1);
    assert_int_equal(rte_eth_macaddr_get(g.queues[0].ethdev, mac), 0);
    stop(&g);
}

static void test_memif_mac(void **state)
{
    static const uint8_t given[] = {2, 0, 0, 0, 0, 7};
    struct rte_ether_addr first, again, other;

    mac_of("shop", SERVER, &first);
    mac_of("shop", SERVER, &again);
    assert_memory_equal(&first, &again, sizeof(first));
    assert_int_equal(first.addr_bytes[0], 2); /* locally administered, of one station */
    mac_of("spare", SERVER, &other);
    assert_memory_not_equal(&first, &other, sizeof(first));
    mac_of("shop", "net_memif0,role=server,socket=%s/n,socket-abstract=no", &other);
    assert_memory_not_equal(&first, &other, sizeof(first));
    mac_of("shop", SERVER ",mac=02:00:00:00:00:07", &other);
    assert_memory_equal(&other, given, sizeof(given));
}

static void keeps_file(const char *name)
{
    struct fg_port_options port = port_of("shop", SERVER, 1);
    int fd = make_file(name);
    struct stat st;

    assert_int_equal(write(fd, "accounts", 8), 8);
    refused(&port, "is not a socket; accepted: ");
    assert_true(exists(name));
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_nlink, 1);
    assert_int_equal(st.st_size, 8);
    close(fd);
    drop_file(name);
}

static void test_memif_file(void **state)
{
    struct fg_port_options port = port_of("shop", SERVER, 1);

    keeps_file("m");
    keeps_file("m-port");
    port = port_of("shop", "net_memif0,role", 1);
    refused(&port, "arguments are not KEY=VALUE");
}

static int listen_as(int type, const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int s = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    path_in(a.sun_path, sizeof(a.sun_path), name);
    assert_true(s >= 0);
    assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(s, 1), 0);
    return s;
}

/* A living socket is left alone, whatever it speaks; one without a process is replaced. */
static void test_memif_socket(void **state)
{
    struct fg_port_options ports[] = {
        port_of("shop", SERVER, 1),
        port_of("spare", "net_memif1,role=server,socket=%s/m-port,socket-abstract=no", 1)};
    struct fg_port_group_options o = options_of(ports, 2);
    struct fg_port_group g = {0};
    struct fg_error err = {""};
    int types[] = {SOCK_STREAM, SOCK_SEQPACKET};

    for (unsigned i = 0; i < 2; i++) {
        int s = listen_as(types[i], "m");

        refused(&ports[0], "another process listens there; accepted: one each");
        assert_true(exists("m"));
        close(s);
        start(&g, ports, 1);
        stop(&g);
        assert_false(exists("m"));
    }
    memset(&g, 0, sizeof(g));
    assert_false(fg_port_group_start(&g, &o, &err)); /* the second is the driver's of the first */
    contains(err.text, "m-port: is that of port shop; accepted: one each");
    stop(&g);
}

static void start_peer(uint16_t *ethdev, struct rte_mempool *pool)
{
    const struct rte_eth_conf conf = {0};
    char devargs[256];

    snprintf(devargs, sizeof(devargs),
             "vdev:net_memif_peer,role=client,socket=%s/m,socket-abstract=no", folder);
    assert_int_equal(rte_dev_probe(devargs), 0);
    assert_int_equal(rte_eth_dev_get_port_by_name("net_memif_peer", ethdev), 0);
    assert_int_equal(rte_eth_dev_configure(*ethdev, 1, 1, &conf), 0);
    assert_int_equal(rte_eth_rx_queue_setup(*ethdev, 0, 64, SOCKET_ID_ANY, NULL, pool), 0);
    assert_int_equal(rte_eth_tx_queue_setup(*ethdev, 0, 64, SOCKET_ID_ANY, NULL), 0);
    assert_int_equal(rte_eth_dev_start(*ethdev), 0);
}

static void stop_peer(uint16_t ethdev)
{
    struct rte_eth_dev_info info;

    assert_int_equal(rte_eth_dev_info_get(ethdev, &info), 0);
    rte_eth_dev_stop(ethdev);
    rte_eth_dev_close(ethdev);
    rte_dev_remove(info.device);
}

static void wait_link(struct fg_port_group *g, int state)
{
    uint64_t end_ms = fg_clock_mono_ms() + WAIT_MS;

    for (;;) {
        fg_port_links_poll(g);
        if (atomic_load(&g->list[0].link.state) == state)
            return;
        if (fg_clock_mono_ms() > end_ms)
            fail_msg("the link is %s, not %s",
                     fg_port_link_name(atomic_load(&g->list[0].link.state)),
                     fg_port_link_name(state));
        fg_clock_sleep_us(1000);
    }
}

/* The peer learns a moment later than we do that it is connected. */
static unsigned send_one(uint16_t ethdev, struct rte_mbuf *m)
{
    uint64_t end_ms = fg_clock_mono_ms() + WAIT_MS;
    unsigned n;

    while ((n = rte_eth_tx_burst(ethdev, 0, &m, 1)) == 0 && fg_clock_mono_ms() < end_ms)
        fg_clock_sleep_us(100);
    return n;
}

static unsigned receive_one(const struct fg_port_queue *q)
{
    uint64_t end_ms = fg_clock_mono_ms() + WAIT_MS;
    struct rte_mbuf *m;
    unsigned n;

    while ((n = rte_eth_rx_burst(q->ethdev, q->index, &m, 1)) == 0 && fg_clock_mono_ms() < end_ms)
        fg_clock_sleep_us(100);
    if (n)
        rte_pktmbuf_free(m);
    return n;
}

/* One peer after the other; the workers are waited for before the memory of each goes. */
static void test_memif_peers(void **state)
{
    struct fg_port_options port = port_of("shop", SERVER, 1);
    struct rte_mempool *pool =
        rte_pktmbuf_pool_create("peer", 256, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    struct fg_port_group g;

    assert_non_null(pool);
    start(&g, &port, 1);
    for (unsigned round = 0; round < 3; round++) {
        struct rte_mbuf *m;
        uint16_t peer;

        atomic_store(&passes, 0);
        atomic_store(&first_pass_fails, 2); /* a worker is slow */
        start_peer(&peer, pool);
        wait_link(&g, FG_PORT_LINK_UP);
        m = rte_pktmbuf_alloc(pool);
        assert_non_null(m);
        assert_non_null(rte_pktmbuf_append(m, 64));
        assert_int_equal(send_one(peer, m), 1);
        assert_int_equal(receive_one(&g.queues[0]), 1);
        assert_int_equal(atomic_load(&passes), 0);
        stop_peer(peer);
        wait_link(&g, FG_PORT_LINK_DOWN);
        assert_int_equal(atomic_load(&passes), 3);
        assert_int_equal(atomic_load(&g.list[0].link.lost), round + 1);
        assert_int_equal(rte_eth_rx_burst(g.queues[0].ethdev, 0, &m, 1), 0);
    }
    atomic_store(&first_pass_fails, 0);
    stop(&g);
    rte_mempool_free(pool);
}

static int say_nothing(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    const struct timeval limit = {.tv_sec = WAIT_MS / 1000};
    int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    path_in(a.sun_path, sizeof(a.sun_path), "m");
    assert_true(s >= 0);
    assert_int_equal(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    assert_int_equal(connect(s, (struct sockaddr *)&a, sizeof(a)), 0);
    return s;
}

/* Two of them hold the connection, each for a while; then a good peer has its turn. */
static void test_memif_silent_peer(void **state)
{
    struct fg_port_options port = port_of("shop", SERVER, 1);
    struct rte_mempool *pool =
        rte_pktmbuf_pool_create("peer", 256, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    struct fg_port_group g;
    uint16_t peer;
    char message[128];
    const char *text;
    ssize_t length;
    int silent;

    assert_non_null(pool);
    start(&g, &port, 1);
    silent = say_nothing();
    assert_int_equal(recv(silent, message, sizeof(message), 0), sizeof(message)); /* HELLO */
    listen_begin();
    length = recv(silent, message, sizeof(message), 0);
    text = listen_end();
    assert_int_equal(length, 0); /* sent away */
    contains(text, "did not connect within 2 s");
    close(silent);
    silent = say_nothing();
    start_peer(&peer, pool);
    wait_link(&g, FG_PORT_LINK_UP);
    stop_peer(peer);
    close(silent);
    stop(&g);
    rte_mempool_free(pool);
}

/* ---- EAL ------------------------------------------------------------------------------------- */

static int start_eal(void **state)
{
    struct fg_port_group_options o = options_of(NULL, 0);
    struct fg_error err = {""};

    sched_getaffinity(0, sizeof(ours), &ours);
    snprintf(folder, sizeof(folder), "/tmp/test_port.XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(eal.file_prefix, sizeof(eal.file_prefix), "test_port_%d", (int)getpid());
    o.cpus[0] = first_cpu();
    if (!fg_port_eal_start(&o, "test_port", &err))
        fail_msg("%s", err.text);
    return 0;
}

static int stop_eal(void **state)
{
    char dir[512], command[600];

    snprintf(dir, sizeof(dir), "%s", rte_eal_get_runtime_dir());
    fg_port_eal_stop();
    fg_port_eal_stop();                                     /* the second has nothing to do */
    snprintf(command, sizeof(command), "rm -rf '%s'", dir); /* EAL leaves it */
    assert_non_null(strstr(dir, eal.file_prefix));
    assert_int_equal(system(command), 0);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lcores),
        cmocka_unit_test(test_memory_arguments),
        cmocka_unit_test(test_device_arguments),
        cmocka_unit_test(test_cpu_arguments),
        cmocka_unit_test(test_cpus_of_this_process),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_reclaim),
        cmocka_unit_test(test_no_hugepages),
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_counters),
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_filtered),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_half_a_start),
        cmocka_unit_test(test_no_flow_rules),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_memif_mac),
        cmocka_unit_test(test_memif_file),
        cmocka_unit_test(test_memif_socket),
        cmocka_unit_test(test_memif_peers),
        cmocka_unit_test(test_memif_silent_peer),
    };

    return cmocka_run_group_tests(tests, start_eal, stop_eal);
}
