/* SPDX-License-Identifier: BSD-3-Clause */
/* Every check of the doctor on a made-up machine below a folder: nothing is wrong with a healthy
 * one, and each check finds the one thing that is broken for it, and no other check does. */
#include <libgen.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "doctor/doctor.h"
#include "doctor/facts.h"

#define PCI  "0000:01:00.0"
#define NIC  "/sys/class/net/eth0"
#define CPU  "/sys/devices/system/cpu"
#define HUGE "/sys/kernel/mm/hugepages/hugepages-2048kB"

static char root[64];
static struct fg_config config;
static struct fg_doctor doctor;

/* ---- probes of a healthy machine ------------------------------------------------------------- */

static struct {
    bool no_dpdk, refuses;
    struct fg_doctor_dpdk dpdk;
    bool unsynchronised, redis_away, postgres_away, kafka_away, keeps_vlan;
    struct fg_doctor_disk disk;
    struct fg_doctor_redis redis;
    struct fg_sink_postgres_state postgres;
    bool arbiter_away, no_register, peer_away;
    struct fg_doctor_certificates certificates;
    long long skew_ms;
} said;

static bool synchronised(bool *is, struct fg_error *err)
{
    *is = !said.unsynchronised;
    return true;
}

static bool disk(const char *folder, struct fg_doctor_disk *found, struct fg_error *err)
{
    assert_non_null(strstr(folder, root));
    *found = said.disk;
    return true;
}

static bool redis(const struct fg_redis_options *options, struct fg_doctor_redis *found,
                  struct fg_error *err)
{
    *found = said.redis;
    return !said.redis_away || fg_fail(err, "Connection refused");
}

static bool postgres(const struct fg_sink_postgres_options *options,
                     struct fg_sink_postgres_state *state, struct fg_error *err)
{
    *state = said.postgres;
    return !said.postgres_away || fg_fail(err, "Connection refused");
}

static bool dpdk(struct fg_doctor_dpdk *found, struct fg_error *err)
{
    *found = said.dpdk;
    return !said.no_dpdk || fg_fail(err, "librte_eal.so.23: cannot open shared object file");
}

static bool refuses(const char *path, bool *is, struct fg_error *why)
{
    assert_string_equal(path, config.path);
    *is = said.refuses;
    return !said.refuses || fg_fail(why, "%s:3: [api] group: no group shops", path) || true;
}

static bool connects(const char *address, struct fg_error *err)
{
    bool peer = strcmp(address, "192.0.2.2:4610") == 0;

    assert_true(peer || strcmp(address, "broker:9092") == 0);
    return !(peer ? said.peer_away : said.kafka_away) || fg_fail(err, "Connection refused");
}

static bool strips_vlan(const char *interface)
{
    assert_string_equal(interface, "eth0");
    return !said.keeps_vlan;
}

static bool certificates(const char *ca, const char *cert, const char *key, const char *host,
                         struct fg_doctor_certificates *found, struct fg_error *err)
{
    assert_non_null(strstr(ca, root));
    assert_non_null(strstr(cert, "/etc/floodgate/pair/node.pem"));
    assert_string_equal(host, "2001:db8::1");
    *found = said.certificates;
    return true;
}

static bool arbiter(const struct fg_arbiter_options *options, bool *has_register,
                    struct fg_error *err)
{
    *has_register = !said.no_register;
    return !said.arbiter_away || fg_fail(err, "h:2379: Connection refused");
}

static bool skew(const char *socket_path, long long *ms, struct fg_error *err)
{
    *ms = said.skew_ms;
    return true;
}

static const struct fg_doctor_probes probes = {synchronised, disk,    redis,    postgres,
                                               dpdk,         refuses, connects, strips_vlan,
                                               certificates, arbiter, skew};

/* ---- a healthy machine ----------------------------------------------------------------------- */

static const char *below(const char *path)
{
    static char text[512];

    assert_in_range(snprintf(text, sizeof(text), "%s%s", root, path), 1, sizeof(text) - 1);
    return text;
}

static void make_folders(const char *path)
{
    char text[512];

    snprintf(text, sizeof(text), "%s", path);
    for (char *p = text + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = 0;
        mkdir(text, 0755);
    }
}

/* text NULL: remove it; "@TARGET": a link; "/": a folder. */
static void put(const char *path, const char *text)
{
    const char *name = below(path);
    FILE *file;

    if (!text) {
        char command[600];

        snprintf(command, sizeof(command), "rm -rf '%s'", name);
        assert_int_equal(system(command), 0);
        return;
    }
    make_folders(name);
    remove(name);
    if (text[0] == '@') {
        assert_int_equal(symlink(text + 1, name), 0);
        return;
    }
    if (!strcmp(text, "/")) {
        mkdir(name, 0755);
        return;
    }
    file = fopen(name, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    chmod(name, 0600);
}

#define MOUNTS                                                                                     \
    "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n21 20 0:5 / /sys/fs/bpf rw shared:1 - bpf bpf rw\n"      \
    "22 20 0:6 / /dev/hugepages rw - hugetlbfs hugetlbfs rw\n"
#define LOG_MOUNT "23 20 8:2 / /var/lib/floodgate rw,noatime - "

#define NGINX_SAYS "8,4,8,0011111111010111001111111111111111 "

static const struct {
    const char *path, *text;
} healthy[] = {
    {HUGE "/nr_hugepages", "512\n"},
    {HUGE "/free_hugepages", "512\n"},
    {"/dev/hugepages/other", ""},
    {"/proc/self/mountinfo", MOUNTS LOG_MOUNT "ext4 /dev/sdb1 rw\n"},
    {"/proc/self/limits", "Limit                     Soft Limit           Hard Limit     Units\n"
                          "Max open files            65536                65536          files\n"
                          "Max locked memory         8388608              8388608        bytes\n"},
    {"/proc/self/status", "Name: fgctl\nCapEff:\t000001ffffffffff\n"},
    {"/proc/meminfo", "MemTotal:       16000000 kB\nMemAvailable:   12000000 kB\n"
                      "SwapTotal:             0 kB\nSwapFree:              0 kB\n"},
    {"/proc/sys/kernel/osrelease", "6.1.0-22-amd64\n"},
    {"/proc/sys/kernel/sched_rt_runtime_us", "950000\n"},
    {"/proc/sys/net/core/bpf_jit_enable", "1\n"},
    {"/proc/cpuinfo", "processor : 0\nflags\t\t: fpu tsc constant_tsc nonstop_tsc\n"},
    {"/proc/interrupts", "  45:  12  0  PCI-MSI 524288-edge  eth0-TxRx-0\n  46: 1 1 eth01\n"},
    {"/proc/irq/45/smp_affinity_list", "0,3\n"},
    {"/proc/irq/46/smp_affinity_list", "1-2\n"},
    {"/proc/net/udp",
     "  sl  local_address rem_address   st\n   0: 00000000:0044 00000000:0000 07\n"},
    {"/proc/net/udp6", "  sl  local_address\n"},
    {"/proc/net/tcp", "  sl\n   0: 0100007F:0CEA 00000000:0000 0A\n"
                      "   1: 0100007F:24F4 0100007F:9999 01\n"},
    {"/proc/net/vlan/config", "VLAN Dev name | VLAN ID\nName-Type: VLAN_NAME_TYPE_RAW\n"
                              "eth7.5 | 5 | eth7\n"},
    {"/proc/77/maps", "7f00-7f01 rw-p 00000000 00:00 0 [heap]\n"},
    {"/sys/kernel/security/lockdown", "none [integrity] confidentiality\n"},
    {"/sys/kernel/iommu_groups/0", "/"},
    {"/sys/bus/pci/drivers/vfio-pci", "/"},
    {"/sys/bus/pci/devices/" PCI "/driver", "@../../bus/pci/drivers/vfio-pci"},
    {"/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"},
    {CPU "/online", "0-3\n"},
    {CPU "/isolated", "1-2\n"},
    {CPU "/cpu1/topology/thread_siblings_list", "1,5\n"},
    {CPU "/cpu2/topology/thread_siblings_list", "2,6\n"},
    {CPU "/cpu1/cpufreq/scaling_governor", "performance\n"},
    {CPU "/cpu2/cpufreq/scaling_governor", "performance\n"},
    {"/sys/devices/system/node/node0/cpu1", "/"},
    {"/sys/devices/system/node/node0/cpu2", "/"},
    {"/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages", "512\n"},
    {NIC "/operstate", "up\n"},
    {NIC "/carrier", "1\n"},
    {NIC "/mtu", "1500\n"},
    {NIC "/device/numa_node", "0\n"},
    {NIC "/device/driver", "@../../bus/pci/drivers/ice"},
    {NIC "/queues/rx-0", "/"},
    {NIC "/queues/rx-1", "/"},
    {NIC "/queues/tx-0", "/"},
    {"/usr/sbin/nginx", "nginx/ and 1,2,3 " NGINX_SAYS "nginx/1.22.1 (Debian)"},
    {"/usr/lib/nginx/modules/ngx_http_floodgate_module.so", NGINX_SAYS "nginx/1.22.1"},
    {"/proc/net/unix", "Num RefCount Protocol Flags Type St Inode Path\n"
                       "0: 00000002 00000000 00010000 0001 01 17 /run/other.sock\n"},
    {"/etc/floodgate/keys", "7 shop 000102030405060708090a0b0c0d0e0f\n"},
    {"/etc/floodgate/redis-password", "secret\n"},
    {"/etc/floodgate/redis.key", "key\n"},
    {"/etc/floodgate/pair/node.key", "key\n"},
    {"/sys/class/net/eth8", "/"},
    {"/proc/55/comm", "etcd\n"},
    {"/proc/55/cmdline", "/usr/bin/etcd"},
    {"/etc/floodgate/floodgate.conf", "\n"},
    {"/var/lib/floodgate/log", "/"},
    {"/run/floodgate", "/"},
};

static void make_config(void)
{
    config = (struct fg_config){
        .ports = {{.name = "a", .device = "eth0", .af_xdp = true, .queues = 2},
                  {.name = "b", .device = PCI, .queues = 1}},
        .ports_count = 2,
        .workers = {.count = 2, .cpus = "1,2", .idle = FG_WORKER_IDLE_SPIN},
        .eal = {.huge = true, .file_prefix = "floodgate", .mbufs = 8192},
        .orders = {.port = 4600, .keys = "/etc/floodgate/keys"},
        .filter = {.enabled = true, .pins = "/sys/fs/bpf/floodgate"},
        .log = {.dir = "/var/lib/floodgate/log", .segment_bytes = 1 << 20},
        .redis = {.enabled = true,
                  .address = "127.0.0.1:6379",
                  .password_file = "/etc/floodgate/redis-password",
                  .tls_key = "/etc/floodgate/redis.key"},
        .postgres = {.enabled = true, .conninfo = "host=db"},
        .kafka = {.enabled = true, .brokers = "broker:9092,second:9092"},
        .api = {.socket = "/run/floodgate/control.sock", .mode = 0660},
        .metrics = {.listen = "127.0.0.1:9460"},
        .limits = {.orders_max = 1000000},
        .pair = {.enabled = true,
                 .listen = "[2001:db8::1]:4610",
                 .peer = "192.0.2.2:4610",
                 .tls_ca = "/etc/floodgate/pair/ca.pem",
                 .tls_cert = "/etc/floodgate/pair/node.pem",
                 .tls_key = "/etc/floodgate/pair/node.key",
                 .arbiter = {.endpoints = "a:2379, b:2379, c:2379", .prefix = "floodgate/pair/"},
                 .address = "192.0.2.10/24 at eth8"},
    };
    snprintf(config.path, sizeof(config.path), "%s/etc/floodgate/floodgate.conf", root);
}

/* The environment of the process of etcd: words that end with a 0. */
static void put_etcd(const char *heartbeat, const char *retention, const char *folder)
{
    FILE *file;

    put("/proc/55/environ", "");
    file = fopen(below("/proc/55/environ"), "w");
    assert_non_null(file);
    fprintf(file, "HOME=/%cETCD_HEARTBEAT_INTERVAL=%s%cETCD_ELECTION_TIMEOUT=250%c", 0, heartbeat,
            0, 0);
    fprintf(file, "ETCD_AUTO_COMPACTION_RETENTION=%s%cETCD_DATA_DIR=%s%c", retention, 0, folder, 0);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    strcpy(root, "/tmp/fg-doctor-XXXXXX");
    assert_non_null(mkdtemp(root));
    for (size_t i = 0; i < sizeof(healthy) / sizeof(healthy[0]); i++)
        put(healthy[i].path, healthy[i].text);
    put_etcd("25", "1h", "/var/lib/etcd");
    make_config();
    memset(&said, 0, sizeof(said));
    said.certificates = (struct fg_doctor_certificates){true, true, true, "", 700};
    said.disk = (struct fg_doctor_disk){0.4, 800};
    said.redis = (struct fg_doctor_redis){7, 0, "noeviction", true};
    said.postgres.version = said.postgres.known = 2;
    said.postgres.server = 120003;
    said.dpdk = (struct fg_doctor_dpdk){"22.11.11", "22.11.3", 23};
    doctor = (struct fg_doctor){root, &config, &probes};
    return 0;
}

static int tear_down(void **state)
{
    put("", NULL);
    return 0;
}

/* ---- what breaks ----------------------------------------------------------------------------- */

static void no_hugepages(void)
{
    put(HUGE "/nr_hugepages", "0\n");
    put(HUGE "/free_hugepages", "0\n");
}
static void left_hugepages(void)
{
    put("/dev/hugepages/floodgatemap_0", "");
    put("/dev/hugepages/floodgatemap_1", "");
}
static void old_kernel(void)
{
    put("/proc/sys/kernel/osrelease", "5.11.22\n");
}
static void little_memlock(void)
{
    put("/proc/self/status", "Name: fgctl\nCapEff:\t0000000000003000\n");
}
static void many_workers(void)
{
    config.workers.count = 5;
    config.workers.cpus[0] = 0;
}
static void offline_cpu(void)
{
    strcpy(config.workers.cpus, "1,9");
    put(CPU "/isolated", "1-9\n");
    put("/sys/devices/system/node/node0/cpu9", "/");
}
static void few_queues(void)
{
    put(NIC "/queues/rx-1", NULL);
}
static void unread_queues(void)
{
    put(NIC "/queues/rx-2", "/");
}
static void no_interface(void)
{
    put(NIC, NULL);
}
static void no_device(void)
{
    put("/sys/bus/pci/devices/" PCI, NULL);
}
static void order_port_taken(void)
{
    config.orders.steer = true; /* two ports */
    put("/proc/net/udp6", "  sl\n   0: 00000000000000000000000000000000:11F9 0000:0000 07\n");
}
static void public_listener(void)
{
    strcpy(config.metrics.listen, "198.51.100.7:9461");
}
static void log_in_memory(void)
{
    put("/proc/self/mountinfo", MOUNTS LOG_MOUNT "tmpfs tmpfs rw\n");
}
static void log_on_btrfs(void)
{
    put("/proc/self/mountinfo", MOUNTS LOG_MOUNT "btrfs /dev/sdb rw\n");
}
static void log_on_root(void)
{
    put("/proc/self/mountinfo", MOUNTS);
}
static void no_log_folder(void)
{
    put("/var/lib/floodgate/log", "a file\n");
}
static void no_room(void)
{
    config.log.keep_bytes = 1ull << 60;
}
static void no_archive(void)
{
    strcpy(config.log.archive, "/srv/archive");
}
static void no_durability(void)
{
    config.log.durability = FG_JOURNAL_DURABILITY_MEMORY;
}
static void slow_sync(void)
{
    said.disk.p99_ms = 12;
}
static void slow_disk(void)
{
    said.disk.mib_per_second = 20;
}
static void open_keys(void)
{
    chmod(below("/etc/floodgate/keys"), 0640);
}
static void open_password(void)
{
    chmod(below("/etc/floodgate/redis-password"), 0604);
}
static void open_tls_key(void)
{
    chmod(below("/etc/floodgate/redis.key"), 0644);
}
static void open_config(void)
{
    strcpy(config.postgres.conninfo, "host=db password=x");
    chmod(config.path, 0644);
}
static void open_socket(void)
{
    config.api.mode = 0666;
}
static void open_folder(void)
{
    chmod(below("/run/floodgate"), 0777);
}
static void free_gateways(void)
{
    strcpy(config.filter.allow_file, "/var/lib/floodgate/allowed");
}
static void only_counts(void)
{
    config.filter.monitor = true;
}
static void many_orders(void)
{
    config.limits.orders_max = 80000000;
}
static void away(void)
{
    said.redis_away = true;
}
static void old_redis(void)
{
    said.redis.major = 6;
    said.redis.minor = 0;
}
static void evicts(void)
{
    strcpy(said.redis.policy, "allkeys-lru");
}
static void forgets(void)
{
    said.redis.persists = false;
}
static void no_postgres(void)
{
    said.postgres_away = true;
}
static void old_postgres(void)
{
    said.postgres.server = 110022;
}
static void old_dpdk(void)
{
    strcpy(said.dpdk.found, "21.11.9");
}
static void does_not_start(void)
{
    said.refuses = true;
}
static void no_tables(void)
{
    said.postgres.version = 0;
}
static void no_kafka(void)
{
    said.kafka_away = true;
}
static void drifts(void)
{
    said.unsynchronised = true;
}

#define W FG_DOCTOR_WARNING
#define F FG_DOCTOR_FAULT

/* The check; how it is broken: a file and its text, or a function; the verdict, words of the cause,
 * and words of the command ("" = there is none). */
static void wrong_host(void)
{
    said.certificates.host_fits = false;
}
static void ends_soon(void)
{
    said.certificates.days = 29;
}
static void no_arbiter(void)
{
    said.arbiter_away = true;
}
static void two_members(void)
{
    strcpy(config.pair.arbiter.endpoints, "a:2379, b:2379");
}
static void slow_etcd(void)
{
    put_etcd("100", "1h", "/var/lib/etcd");
}
static void etcd_keeps_all(void)
{
    put_etcd("25", "0", "/var/lib/etcd");
}
static void etcd_beside_log(void)
{
    put_etcd("25", "1h", "/var/lib/floodgate/etcd");
}
static void no_peer(void)
{
    said.peer_away = true;
}
static void clocks_differ(void)
{
    said.skew_ms = -51;
}
static void no_address_interface(void)
{
    strcpy(config.pair.address, "192.0.2.10/24 at b, 192.0.2.11/24 at eth9");
}

static const struct {
    const char *check, *path, *text;
    void (*change)(void);
    enum fg_doctor_verdict verdict;
    const char *cause, *command;
} breaks[] = {
    {"hugepages", NULL, NULL, no_hugepages, W, "no hugepages", "sysctl -w vm.nr_hugepages="},
    {"hugepages-free", HUGE "/free_hugepages", "3\n", NULL, W, "6 MiB",
     "sysctl -w vm.nr_hugepages="},
    {"hugepages-mount", "/proc/self/mountinfo",
     "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n21 20 0:5 / /sys/fs/bpf rw - bpf bpf rw\n" LOG_MOUNT
     "xfs /dev/sdb rw\n",
     NULL, W, "no hugetlbfs", "mount -t hugetlbfs hugetlbfs /dev/hugepages"},
    {"hugepages-node", "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages",
     "0\n", NULL, W, "eth0 is at NUMA node 0", "node0/hugepages/hugepages-2048kB/nr_hugepages"},
    {"hugepages-left", NULL, NULL, left_hugepages, W, "2 hugepage files",
     "rm /dev/hugepages/floodgatemap_*"},
    {"memory", NULL, NULL, many_orders, F, "orders_max = 80000000", ""},
    {"swap", "/proc/meminfo", "MemTotal: 16000000 kB\nSwapTotal: 900000 kB\nSwapFree: 100000 kB\n",
     NULL, W, "781 MiB", "swapoff -a"},
    {"kernel", NULL, NULL, old_kernel, F, "kernel 5.11", ""},
    {"memlock", NULL, NULL, little_memlock, F, "this user may lock 8388608", "ulimit -l unlimited"},
    {"open-files", "/proc/self/limits",
     "Max open files            256                  65536   files\n"
     "Max locked memory         unlimited            unlimited   bytes\n",
     NULL, F, "256 files", "ulimit -n 65536"},
    {"bpf-jit", "/proc/sys/net/core/bpf_jit_enable", "0\n", NULL, W, "interprets",
     "sysctl -w net.core.bpf_jit_enable=1"},
    {"bpffs", "/proc/self/mountinfo",
     "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 20 0:6 / /dev/hugepages rw - hugetlbfs hugetlbfs "
     "rw\n" LOG_MOUNT "ext4 /dev/sdb1 rw\n",
     NULL, F, "lies on no bpffs (ext4 at /)", "mount -t bpf bpf /sys/fs/bpf"},
    {"lockdown", "/sys/kernel/security/lockdown", "none integrity [confidentiality]\n", NULL, F,
     "locked down", ""},
    {"cpus", NULL, NULL, offline_cpu, F, "worker 1 is to run on CPU 9; the machine has 0-3", ""},
    {"workers", NULL, NULL, many_workers, W, "5 workers share 4 CPUs", ""},
    {"smt-siblings", CPU "/cpu2/topology/thread_siblings_list", "1-2\n", NULL, W,
     "workers 0 and 1 run on CPUs 1 and 2", ""},
    {"governor", CPU "/cpu2/cpufreq/scaling_governor", "powersave\n", NULL, W,
     "CPU 2 of worker 1 has the governor powersave", "echo performance"},
    {"isolation", CPU "/isolated", "1\n", NULL, W, "spins on CPU 2", "isolcpus=1,2"},
    {"numa", "/sys/devices/system/node/node0/cpu2", NULL, NULL, W, "not at NUMA node 0", ""},
    {"interrupts", "/proc/irq/45/smp_affinity_list", "0-1\n", NULL, W, "interrupt 45 of eth0",
     "/proc/irq/45/smp_affinity_list"},
    {"real-time", "/proc/sys/kernel/sched_rt_runtime_us", "0\n", NULL, W, "get 0 us",
     "sysctl -w kernel.sched_rt_runtime_us=950000"},
    {"clock", NULL, NULL, drifts, W, "not synchronised", "chrony"},
    {"clocksource", "/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n",
     NULL, W, "from hpet", "dmesg"},
    {"tsc", "/proc/cpuinfo", "flags : fpu tsc\n", NULL, W, "no constant_tsc", ""},
    {"interface", NULL, NULL, no_interface, F, "interface = eth0", "ip -br link"},
    {"link", NIC "/carrier", "0\n", NULL, F, "eth0 has no link", "ip link set eth0 up"},
    {"xdp-native", NIC "/device/driver", "@../../bus/pci/drivers/8139too", NULL, F, "8139too",
     "generic = yes"},
    {"zero-copy", NIC "/device/driver", "@../../bus/pci/drivers/virtio_net", NULL, W,
     "the driver of eth0, virtio_net, is not known to have zero copy", ""},
    {"queues", NULL, NULL, few_queues, F, "eth0 has 1 receive queues",
     "ethtool -L eth0 combined 2"},
    {"queues-unread", NULL, NULL, unread_queues, F, "over 3 queues", "ethtool -L eth0 combined 2"},
    {"mtu", NIC "/mtu", "9000\n", NULL, W, "9000 bytes", "ip link set eth0 mtu 1500"},
    {"bond-member", NIC "/master", "@../bond0", NULL, F, "member of bond0",
     "ip link set eth0 nomaster"},
    {"bond", NIC "/bonding", "/", NULL, F, "eth0 is a bond", "bonding"},
    {"vlan", "/proc/net/vlan/config", "eth0.5 | 5 | eth0\n", NULL, W, "VLAN eth0.5 come to eth0",
     "ethtool -K eth0 rxvlan off"},
    {"pci-device", NULL, NULL, no_device, F, "no PCI device " PCI, "lspci -D"},
    {"vfio", "/sys/bus/pci/drivers/vfio-pci", NULL, NULL, F, "vfio-pci", "modprobe vfio-pci"},
    {"vfio-bound", "/sys/bus/pci/devices/" PCI "/driver", "@../../bus/pci/drivers/ixgbe", NULL, F,
     "driver ixgbe", "dpdk-devbind.py --bind=vfio-pci " PCI},
    {"iommu", "/sys/kernel/iommu_groups/0", NULL, NULL, F, "IOMMU is off", "intel_iommu=on"},
    {"dpdk", NULL, NULL, old_dpdk, F, "DPDK is of version 21.11.9; accepted: 22.11",
     "apt install librte-eal23"},
    {"nginx-abi", "/usr/sbin/nginx", NGINX_SAYS "nginx/1.26.3", NULL, F,
     "built for nginx 1.22.1, and nginx 1.26.3 does not start", "libnginx-mod-http-floodgate"},
    {"order-port", NULL, NULL, order_port_taken, W, "UDP port 4601", "ss -lunp sport = :4601"},
    {"metrics-port", "/proc/net/tcp", "  sl\n   0: 0100007F:24F4 00000000:0000 0A\n", NULL, F,
     "another program listens", "ss -ltnp sport = :9460"},
    {"metrics-public", NULL, NULL, public_listener, W, "198.51.100.7:9461", "127.0.0.1:9461"},
    {"log-folder", NULL, NULL, no_log_folder, F, "[log] dir", "mkdir -p /var/lib/floodgate/log"},
    {"log-room", NULL, NULL, no_room, W, "MiB are free", "df -h /var/lib/floodgate/log"},
    {"log-archive", NULL, NULL, no_archive, F, "No such file", "findmnt -T /srv/archive"},
    {"log-memory", NULL, NULL, log_in_memory, F, "lies on tmpfs", ""},
    {"log-file-system", NULL, NULL, log_on_btrfs, W, "btrfs", ""},
    {"log-mount", NULL, NULL, log_on_root, W, "root file system", ""},
    {"log-durability", NULL, NULL, no_durability, F, "durability is memory", "durability = disk"},
    {"disk-latency", NULL, NULL, slow_sync, W, "12.0 ms", "iostat"},
    {"disk-throughput", NULL, NULL, slow_disk, W, "20 MiB/s", "iostat"},
    {"keys", "/etc/floodgate/keys", "7 shop 00\n", NULL, F, "[orders] keys", ""},
    {"keys-mode", NULL, NULL, open_keys, W, "others", "chmod 0600 /etc/floodgate/keys"},
    {"password-mode", NULL, NULL, open_password, W, "[redis] password_file",
     "chmod 0600 /etc/floodgate/redis-password"},
    {"tls-key-mode", NULL, NULL, open_tls_key, W, "[redis] tls_key",
     "chmod 0600 /etc/floodgate/redis.key"},
    {"config-mode", NULL, NULL, open_config, W, "has a password in it", "chmod 0600"},
    {"api-mode", NULL, NULL, open_socket, W, "0666", "mode = 0660"},
    {"api-folder", NULL, NULL, open_folder, F, "every user", "chmod o-w /run/floodgate"},
    {"gateways", NULL, NULL, free_gateways, W, "user_rate is 0", "user_rate = 5"},
    {"monitor", NULL, NULL, only_counts, W, "drops nothing", "monitor = no"},
    {"redis", NULL, NULL, away, W, "Connection refused", "systemctl status redis-server"},
    {"redis-version", NULL, NULL, old_redis, F, "version 6.0", ""},
    {"redis-policy", NULL, NULL, evicts, F, "allkeys-lru", "maxmemory-policy noeviction"},
    {"redis-persistence", NULL, NULL, forgets, W, "keeps nothing", "appendonly yes"},
    {"postgres", NULL, NULL, no_postgres, W, "Connection refused", "fgctl backend status"},
    {"postgres-version", NULL, NULL, old_postgres, F, "version 11; accepted: 12 or newer", ""},
    {"postgres-tables", NULL, NULL, no_tables, F, "version 0, 2 is needed", "fgctl backend init"},
    {"kafka", NULL, NULL, no_kafka, W, "broker:9092", "kcat -L -b broker:9092"},
    {"pair-certificates", NULL, NULL, wrong_host, F, "not made for the host of [pair] listen", ""},
    {"pair-expiry", NULL, NULL, ends_soon, W, "ends in 29 days", "fgctl pair init --keys"},
    {"pair-arbiter", NULL, NULL, no_arbiter, F, "h:2379: Connection refused", "endpoint health"},
    {"pair-members", NULL, NULL, two_members, W, "names 2 of etcd's members", ""},
    {"etcd-tuning", NULL, NULL, slow_etcd, W, "heartbeat-interval 100 and election-timeout 250",
     "ETCD_HEARTBEAT_INTERVAL=25"},
    {"etcd-compaction", NULL, NULL, etcd_keeps_all, F, "compacts nothing",
     "ETCD_AUTO_COMPACTION_RETENTION=1h"},
    {"etcd-disk", NULL, NULL, etcd_beside_log, W, "on one file system, /var/lib/floodgate", ""},
    {"pair-peer", NULL, NULL, no_peer, W, "192.0.2.2:4610: Connection refused",
     "fgctl pair status"},
    {"pair-clocks", NULL, NULL, clocks_differ, W, "51 ms behind ours", "chronyc tracking"},
    {"pair-address", NULL, NULL, no_address_interface, F, "there is no interface or port eth9",
     "ip -br link"},
    {"start", NULL, NULL, does_not_start, F, "does not start: ", "floodgate --check "},
};
#define BREAKS (sizeof(breaks) / sizeof(breaks[0]))

/* A check that has no meaning once something is broken may be skipped; none may complain. */
static void nothing_else_complains(const char *but)
{
    for (unsigned i = 0; i < fg_doctor_checks_count; i++) {
        struct fg_doctor_finding found;

        if (but && !strcmp(fg_doctor_checks[i].name, but))
            continue;
        fg_doctor_run(&doctor, &fg_doctor_checks[i], &found);
        if (found.verdict >= FG_DOCTOR_WARNING)
            fail_msg("%s broken, and %s complains: %s", but ? but : "nothing",
                     fg_doctor_checks[i].name, found.cause);
    }
}

static void a_healthy_machine_has_no_alarm(void **state)
{
    unsigned good = 0;

    nothing_else_complains(NULL);
    for (unsigned i = 0; i < fg_doctor_checks_count; i++) {
        struct fg_doctor_finding found;

        fg_doctor_run(&doctor, &fg_doctor_checks[i], &found);
        if (found.verdict == FG_DOCTOR_SKIPPED)
            fail_msg("%s was skipped: %s", fg_doctor_checks[i].name, found.cause);
        good += found.verdict == FG_DOCTOR_GOOD;
    }
    assert_int_equal(good, fg_doctor_checks_count);
}

/* Nothing is configured that a check could dislike, and the kernel shows nothing: no alarm either.
 */
static void an_unknown_machine_has_no_alarm(void **state)
{
    put("/proc", NULL);
    put("/sys", NULL);
    config = (struct fg_config){
        .ports = {{.name = "m", .device = "net_memif0,socket=/run/m", .queues = 1}},
        .ports_count = 1,
        .workers = {.count = 1},
        .orders = {.port = 4600, .keys = "/etc/floodgate/keys"},
        .log = {.dir = "/var/lib/floodgate/log", .segment_bytes = 1 << 20},
        .api = {.socket = "/run/floodgate/control.sock", .mode = 0660},
        .limits = {.orders_max = 1000}};
    nothing_else_complains(NULL);
}

static void each_check_finds_its_fault(void **state)
{
    for (unsigned i = 0; i < BREAKS; i++) {
        const struct fg_doctor_check *check = NULL;
        struct fg_doctor_finding found;

        for (unsigned k = 0; k < fg_doctor_checks_count; k++)
            if (!strcmp(fg_doctor_checks[k].name, breaks[i].check))
                check = &fg_doctor_checks[k];
        if (!check)
            fail_msg("no check %s", breaks[i].check);
        if (breaks[i].change)
            breaks[i].change();
        else
            put(breaks[i].path, breaks[i].text);
        fg_doctor_run(&doctor, check, &found);
        if (found.verdict != breaks[i].verdict)
            fail_msg("%s says %s: %s", check->name, fg_doctor_verdict_name(found.verdict),
                     found.cause);
        if (!strstr(found.cause, breaks[i].cause))
            fail_msg("%s does not say \"%s\": %s", check->name, breaks[i].cause, found.cause);
        if (!strstr(found.command, breaks[i].command) || !breaks[i].command[0] != !found.command[0])
            fail_msg("%s does not command \"%s\": %s", check->name, breaks[i].command,
                     found.command);
        if (strstr(found.command, config.path) && strstr(found.command, "sed ") &&
            !strstr(found.command, "/^\\s*\\[/")) /* fg_doctor_mend_setting */
            fail_msg("%s edits the configuration in a way of its own: %s", check->name,
                     found.command);
        if (check->fixable && !found.command[0])
            fail_msg("%s is fixable, without a command", check->name);
        nothing_else_complains(check->name);
        tear_down(NULL);
        set_up(NULL);
    }
}

static void every_check_is_broken_once(void **state)
{
    assert_in_range(fg_doctor_checks_count, 30, 200);
    assert_int_equal(fg_doctor_checks_count, BREAKS);
    for (unsigned k = 0; k < fg_doctor_checks_count; k++) {
        unsigned times = 0;

        for (unsigned i = 0; i < BREAKS; i++)
            times += !strcmp(breaks[i].check, fg_doctor_checks[k].name);
        if (times != 1)
            fail_msg("%s is broken %u times", fg_doctor_checks[k].name, times);
    }
}

static struct fg_doctor_finding finding_of(const char *name)
{
    struct fg_doctor_finding found = {0};

    for (unsigned k = 0; k < fg_doctor_checks_count; k++)
        if (!strcmp(fg_doctor_checks[k].name, name))
            fg_doctor_run(&doctor, &fg_doctor_checks[k], &found);
    return found;
}

static void row_says(const char *name, enum fg_doctor_verdict verdict, const char *cause)
{
    struct fg_doctor_finding found = finding_of(name);

    if (found.verdict != verdict || !strstr(found.cause, cause))
        fail_msg("%s: %s, not \"%s\"", name, found.cause, cause);
}

static void what_was_built_apart_is_told_apart(void **state)
{
    strcpy(said.dpdk.built, "24.11.1");
    row_says("dpdk", FG_DOCTOR_FAULT, "version 22.11.3, and the daemon was built with 24.11.1");
    strcpy(said.dpdk.found, "25.7.0");
    row_says("dpdk", FG_DOCTOR_GOOD, "");
    said.no_dpdk = true;
    row_says("dpdk", FG_DOCTOR_FAULT, "DPDK 24.11.1, which is not here: librte_eal.so.23");
    put("/usr/sbin/nginx", "8,4,8,0011111111010111001111111111111110 nginx/1.22.1");
    row_says("nginx-abi", FG_DOCTOR_FAULT, "1111110, does not start with it");
    put("/usr/sbin/nginx", "no version");
    row_says("nginx-abi", FG_DOCTOR_SKIPPED, "does not say its version");
    put("/usr/sbin/nginx", NULL);
    row_says("nginx-abi", FG_DOCTOR_SKIPPED, "not both installed");
}

/* The program as the machine has it: DPDK that the tests were built with, and a daemon in PATH. */
static void real_programs_are_asked(void **state)
{
    struct fg_doctor_dpdk found;
    struct fg_error err = {""};
    char path[1024], *before = strdup(getenv("PATH"));
    bool is = false;

    assert_true(fg_doctor_probes_real.dpdk(&found, &err));
    assert_int_equal(strncmp(found.built, found.found, 5), 0);
    put("/bin/floodgate", "#!/bin/sh\n[ \"$1 $2\" = '--check a.conf' ] || exit 0\n"
                          "echo 'a.conf:1: [log] archive: warning: full' >&2\n"
                          "echo 'a.conf:2: [log] dir: none' >&2\nexit 1\n");
    chmod(below("/bin/floodgate"), 0755);
    assert_in_range(snprintf(path, sizeof(path), "%s:%s", below("/bin"), before), 1, 1023);
    setenv("PATH", path, 1);
    assert_true(fg_doctor_probes_real.refuses("a.conf", &is, &err));
    assert_true(is);
    assert_string_equal(err.text, "a.conf:2: [log] dir: none");
    assert_true(fg_doctor_probes_real.refuses("b.conf", &is, &err));
    assert_false(is);
    setenv("PATH", before, 1);
    free(before);
}

/* Not beside a daemon; but a socket that a dead one left is no daemon. */
static void a_daemon_that_runs_has_started(void **state)
{
    said.refuses = true;
    put("/run/floodgate/control.sock", "");
    row_says("start", FG_DOCTOR_FAULT, "[api] group: no group shops");
    put("/proc/net/unix", "0: 00000002 00000000 00010000 0001 01 17 /run/floodgate/control.sock\n");
    row_says("start", FG_DOCTOR_SKIPPED, "a daemon runs");
    row_says("metrics-port", FG_DOCTOR_SKIPPED, "a daemon runs");
}

static void the_pair_is_told_apart(void **state)
{
    FILE *file;

    said.certificates.key_fits = false;
    row_says("pair-certificates", FG_DOCTOR_FAULT, "node.key is not the key of");
    said.certificates.key_fits = true;
    said.certificates.vouched = false;
    strcpy(said.certificates.why, "self-signed");
    row_says("pair-certificates", FG_DOCTOR_FAULT, "is none of the authority");
    said.certificates.days = -1;
    row_says("pair-expiry", FG_DOCTOR_FAULT, "ends in -1 days");
    said.no_register = true;
    row_says("pair-arbiter", FG_DOCTOR_FAULT, "no register of this pair below floodgate/pair/");
    /* options go before the environment; a file is read as well */
    file = fopen(below("/proc/55/cmdline"), "w");
    fprintf(file, "etcd%c--heartbeat-interval=30%c--election-timeout%c900%c", 0, 0, 0, 0);
    assert_int_equal(fclose(file), 0);
    row_says("etcd-tuning", FG_DOCTOR_WARNING, "heartbeat-interval 30 and election-timeout 900");
    put("/proc/55/environ", "");
    put("/etc/etcd.yml", "name: a\nauto-compaction-retention: \"2h\"\nelection-timeout: 9\n");
    file = fopen(below("/proc/55/cmdline"), "w");
    fprintf(file, "etcd%c--config-file%c/etc/etcd.yml%c", 0, 0, 0);
    assert_int_equal(fclose(file), 0);
    row_says("etcd-compaction", FG_DOCTOR_GOOD, "");
    row_says("etcd-tuning", FG_DOCTOR_WARNING, "heartbeat-interval 100 and election-timeout 9:");
    row_says("etcd-disk", FG_DOCTOR_SKIPPED, "data-dir is not given");
    put("/proc/55", NULL);
    row_says("etcd-tuning", FG_DOCTOR_SKIPPED, "no etcd runs on this machine");
    config.pair.enabled = false;
    row_says("pair-peer", FG_DOCTOR_SKIPPED, "[pair] enabled is no");
}

/* Each file with a secret, open to others while those before it are not. */
static void every_secret_file_is_watched(void **state)
{
    static const struct {
        const char *check, *setting, *text;
        char *field;
        size_t size;
    } files[] = {
#define SECRET(check, setting, field, text)                                                        \
    {check, setting, text, config.field, sizeof(config.field)}
        SECRET("password-mode", "[redis] password_file", redis.password_file, "x\n"),
        SECRET("password-mode", "[postgres] password_file", postgres.password_file, "x\n"),
        SECRET("password-mode", "[pair] arbiter_password_file", pair.arbiter.password_file, "x\n"),
        SECRET("password-mode", "[fleet] etcd_password_file", fleet.etcd.password_file, "x\n"),
        SECRET("password-mode", "[kafka] properties_file", kafka.properties_file,
               "compression.type = lz4\nsasl.password = x\n"),
        SECRET("tls-key-mode", "[redis] tls_key", redis.tls_key, "x\n"),
        SECRET("tls-key-mode", "[pair] tls_key", pair.tls_key, "x\n"),
        SECRET("tls-key-mode", "[pair] arbiter_tls_key", pair.arbiter.tls_key, "x\n"),
        SECRET("tls-key-mode", "[fleet] etcd_tls_key", fleet.etcd.tls_key, "x\n"),
#undef SECRET
    };

    for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char old[512], command[100];

        snprintf(old, sizeof(old), "%s", files[i].field);
        snprintf(files[i].field, files[i].size, "/etc/floodgate/secret-%u", i);
        snprintf(command, sizeof(command), "chmod 0600 %s", files[i].field);
        put(files[i].field, files[i].text);
        row_says(files[i].check, FG_DOCTOR_GOOD, "");
        chmod(below(files[i].field), 0644);
        row_says(files[i].check, FG_DOCTOR_WARNING, files[i].setting);
        assert_string_equal(finding_of(files[i].check).command, command);
        snprintf(files[i].field, files[i].size, "%s", old);
    }
    strcpy(config.kafka.properties_file, "/etc/floodgate/kafka.properties");
    put("/etc/floodgate/kafka.properties", "compression.type = lz4\n");
    chmod(below("/etc/floodgate/kafka.properties"), 0644);
    row_says("password-mode", FG_DOCTOR_GOOD, "");
}

static void a_bpffs_is_mounted_where_the_pins_are(void **state)
{
    strcpy(config.filter.pins, "/sys/fs/bpfilter/floodgate");
    row_says("bpffs", FG_DOCTOR_FAULT, "/sys/fs/bpfilter/floodgate lies on no bpffs");
    assert_string_equal(finding_of("bpffs").command, "mkdir -p /sys/fs/bpfilter/floodgate && "
                                                     "mount -t bpf bpf /sys/fs/bpfilter/floodgate");
    strcpy(config.filter.pins, "/sys/fs/bpf");
    put("/proc/self/mountinfo", "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
    assert_string_equal(finding_of("bpffs").command, "mount -t bpf bpf /sys/fs/bpf");
}

static void pages_that_a_daemon_uses_are_not_left(void **state)
{
    left_hugepages();
    put("/proc/77/maps", "7f00-7f01 rw-s 0 00:10 5 /dev/hugepages/floodgatemap_0\n");
    nothing_else_complains(NULL);
}

static void lists_of_the_kernel_are_read(void **state)
{
    assert_true(fg_doctor_list_has("0-3,8", 2));
    assert_true(fg_doctor_list_has("0-3,8", 8));
    assert_true(fg_doctor_list_has("5", 5));
    assert_false(fg_doctor_list_has("0-3,8", 4));
    assert_false(fg_doctor_list_has("", 0));
    assert_false(fg_doctor_list_has("3-1", 2));
    assert_false(fg_doctor_list_has("x", 0));
}

static void the_page_is_what_describe_writes(void **state)
{
    static const char begin[] = "<!-- table of checks: written by lib/doctor -->\n",
                      end[] = "<!-- end of the table of checks -->\n";
    char path[512], page[1 << 16] = "", *described = NULL, *from, *to;
    size_t size;
    FILE *out = open_memstream(&described, &size), *in;

    fg_doctor_describe(out);
    fclose(out);
    assert_non_null(getenv("FG_SOURCE"));
    snprintf(path, sizeof(path), "%s/docs/doctor.md", getenv("FG_SOURCE"));
    in = fopen(path, "r");
    assert_non_null(in);
    assert_true(fread(page, 1, sizeof(page) - 1, in) > 0);
    fclose(in);
    from = strstr(page, begin);
    to = strstr(page, end);
    assert_non_null(from);
    assert_non_null(to);
    *to = 0;
    if (strcmp(from + strlen(begin), described) != 0)
        fail_msg("docs/doctor.md is to have between its marks:\n%s", described);
    free(described);
}

static void a_nic_that_keeps_vlan_tags_has_no_alarm(void **state)
{
    put("/proc/net/vlan/config", "eth0.5 | 5 | eth0\n");
    said.keeps_vlan = true; /* after the command that the doctor names */
    nothing_else_complains(NULL);
    assert_false(fg_doctor_probes_real.strips_vlan("lo"));
    assert_true(fg_doctor_probes_real.strips_vlan("fg-none")); /* not known */
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* With the word "describe": prints the table for docs/doctor.md. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(a_healthy_machine_has_no_alarm),
        T(an_unknown_machine_has_no_alarm),
        T(each_check_finds_its_fault),
        T(the_pair_is_told_apart),
        T(what_was_built_apart_is_told_apart),
        T(a_daemon_that_runs_has_started),
        T(real_programs_are_asked),
        T(every_secret_file_is_watched),
        T(a_bpffs_is_mounted_where_the_pins_are),
        T(pages_that_a_daemon_uses_are_not_left),
        T(a_nic_that_keeps_vlan_tags_has_no_alarm),
        cmocka_unit_test(every_check_is_broken_once),
        cmocka_unit_test(lists_of_the_kernel_are_read),
        cmocka_unit_test(the_page_is_what_describe_writes),
    };

    if (argc == 2 && strcmp(argv[1], "describe") == 0) {
        fg_doctor_describe(stdout);
        return 0;
    }
    return cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
}
