/* SPDX-License-Identifier: BSD-3-Clause */
/** doctor, private: the table of checks. */
#ifndef FG_DOCTOR_CHECKS_H
#define FG_DOCTOR_CHECKS_H

#include "doctor/facts.h"

/* name in C, name in text, fixable, how it is tested, remedy */
#define FG_DOCTOR_CHECK_LIST(X)                                                                    \
    X(hugepages, "hugepages", true, "`/sys/kernel/mm/hugepages`, when `[eal] huge` is yes",        \
      "`sysctl -w vm.nr_hugepages=N`, and a file in `/etc/sysctl.d`")                              \
    X(hugepages_free, "hugepages-free", true,                                                      \
      "free hugepages against mbufs and queues, unless a daemon has its share",                    \
      "`sysctl -w vm.nr_hugepages=N`")                                                             \
    X(hugepages_mount, "hugepages-mount", true, "a hugetlbfs in `/proc/self/mountinfo`",           \
      "`mount -t hugetlbfs hugetlbfs /dev/hugepages`")                                             \
    X(hugepages_node, "hugepages-node", true, "hugepages of the NUMA node of each interface",      \
      "`echo N > /sys/devices/system/node/nodeK/hugepages/hugepages-2048kB/nr_hugepages`")         \
    X(hugepages_left, "hugepages-left", true,                                                      \
      "files of `[eal] file_prefix` in the hugetlbfs that no process maps",                        \
      "`rm /dev/hugepages/PREFIXmap_*`")                                                           \
    X(memory, "memory", false, "`/proc/meminfo` against `[limits] orders_max`",                    \
      "lower `orders_max`, or more memory")                                                        \
    X(swap, "swap", false, "swapped memory in `/proc/meminfo`", "`swapoff -a`")                    \
    X(kernel, "kernel", false, "`/proc/sys/kernel/osrelease` against 5.12", "a newer kernel")      \
    X(memlock, "memlock", false,                                                                   \
      "`/proc/self/limits` against mbufs and queues, unless this user has `CAP_IPC_LOCK`",         \
      "`LimitMEMLOCK=infinity` in the unit, or `ulimit -l unlimited`")                             \
    X(files, "open-files", false, "`/proc/self/limits` against 1024",                              \
      "`LimitNOFILE=65536` in the unit, or `ulimit -n 65536`")                                     \
    X(jit, "bpf-jit", true, "`/proc/sys/net/core/bpf_jit_enable`",                                 \
      "`sysctl -w net.core.bpf_jit_enable=1`")                                                     \
    X(bpffs, "bpffs", true, "the mount that holds `[filter] pins`",                                \
      "`mount -t bpf bpf /sys/fs/bpf`")                                                            \
    X(lockdown, "lockdown", false, "`/sys/kernel/security/lockdown`",                              \
      "boot without `lockdown=confidentiality`")                                                   \
    X(cpus, "cpus", false, "`[workers] cpus` against the CPUs that are online",                    \
      "correct `[workers] cpus`")                                                                  \
    X(workers, "workers", false, "`[workers] count` against the CPUs that are online",             \
      "lower `[workers] count`")                                                                   \
    X(smt, "smt-siblings", false, "`thread_siblings_list` of the workers' CPUs",                   \
      "name one CPU of each core in `[workers] cpus`")                                             \
    X(governor, "governor", true, "`scaling_governor` of the workers' CPUs",                       \
      "`echo performance > .../cpufreq/scaling_governor`")                                         \
    X(isolation, "isolation", false, "`/sys/devices/system/cpu/isolated`, for workers that spin",  \
      "kernel parameters `isolcpus=` and `nohz_full=`")                                            \
    X(numa, "numa", false, "NUMA node of each interface against the workers' CPUs",                \
      "name CPUs of that node in `[workers] cpus`")                                                \
    X(interrupts, "interrupts", false,                                                             \
      "`/proc/interrupts` and `smp_affinity_list` against CPUs of workers that spin",              \
      "`echo CPU > /proc/irq/N/smp_affinity_list`, without irqbalance")                            \
    X(realtime, "real-time", true, "`/proc/sys/kernel/sched_rt_runtime_us`",                       \
      "`sysctl -w kernel.sched_rt_runtime_us=950000`")                                             \
    X(clock, "clock", false, "the kernel's word on its clock (adjtimex)",                          \
      "run chrony or another NTP client")                                                          \
    X(clocksource, "clocksource", false, "`current_clocksource` of the kernel",                    \
      "see the kernel's messages; another firmware setting or host")                               \
    X(tsc, "tsc", false, "the flag `constant_tsc` in `/proc/cpuinfo`", "another machine")          \
    X(interface, "interface", false, "each interface of the configuration exists",                 \
      "correct `[port] interface`")                                                                \
    X(link, "link", false, "`carrier` of each interface", "`ip link set NAME up`; cable, switch")  \
    X(xdp, "xdp-native", false, "the driver of each interface against those with native XDP",      \
      "`generic = yes`, or another NIC")                                                           \
    X(zero_copy, "zero-copy", false,                                                               \
      "the driver of each interface against those with AF_XDP zero copy",                          \
      "another NIC, or DPDK's own driver: `device = ADDRESS` ([ports](ports.md))")                 \
    X(queues, "queues", true, "receive queues of each interface against `queues`",                 \
      "`ethtool -L NAME combined N`")                                                              \
    X(queues_unread, "queues-unread", true, "receive queues beyond `queues`",                      \
      "`ethtool -L NAME combined N`, or raise `queues`")                                           \
    X(mtu, "mtu", false, "MTU of each interface against what native XDP can take",                 \
      "`ip link set NAME mtu 1500`")                                                               \
    X(member, "bond-member", false, "whether an interface is a member of a bond or bridge",        \
      "`ip link set NAME nomaster`")                                                               \
    X(bond, "bond", false, "whether an interface is itself a bond or bridge",                      \
      "name its members as ports")                                                                 \
    X(vlan, "vlan", true, "`/proc/net/vlan/config`", "`ethtool -K NAME rxvlan off`")               \
    X(device, "pci-device", false, "each PCI device of the configuration exists",                  \
      "correct `[port] device`")                                                                   \
    X(vfio, "vfio", true, "`/sys/bus/pci/drivers/vfio-pci`", "`modprobe vfio-pci`")                \
    X(vfio_bound, "vfio-bound", false, "the driver of each PCI device",                            \
      "`dpdk-devbind.py --bind=vfio-pci ADDRESS`")                                                 \
    X(iommu, "iommu", false, "`/sys/kernel/iommu_groups`",                                         \
      "kernel parameter `intel_iommu=on` (or the firmware's setting)")                             \
    X(dpdk, "dpdk", false,                                                                         \
      "rte_version() of DPDK's library against 22.11, and against the build's",                    \
      "`apt install librte-eal23` (Debian 12), `librte-eal25` (Debian 13)")                        \
    X(nginx, "nginx-abi", false,                                                                   \
      "version and signature of modules in `/usr/sbin/nginx` against those in the gateway's "      \
      "module",                                                                                    \
      "`tools/package`, and install its `libnginx-mod-http-floodgate`")                            \
    X(order_port, "order-port", false, "UDP sockets of other programs at the order ports",         \
      "stop that program, or change `[orders] port`")                                              \
    X(metrics_port, "metrics-port", false, "TCP listeners at `[metrics] listen`",                  \
      "stop that program, or change `[metrics] listen`")                                           \
    X(metrics_public, "metrics-public", false, "whether `[metrics] listen` is a private address",  \
      "listen at an address of the monitoring network")                                            \
    X(log_folder, "log-folder", false, "whether the log's files can be made",                      \
      "`mkdir -p DIR`, owner, mount")                                                              \
    X(log_room, "log-room", false, "free room against `keep_bytes` and three segments",            \
      "a larger disk, or lower `keep_bytes`")                                                      \
    X(log_archive, "log-archive", false, "the folder of `[log] archive`, and its disk",            \
      "mount it; another disk than the log's")                                                     \
    X(log_memory, "log-memory", false, "whether the log lies in memory", "another `[log] dir`")    \
    X(log_file_system, "log-file-system", false,                                                   \
      "file systems that copy on write, or lie behind a network", "ext4 or xfs")                   \
    X(log_mount, "log-mount", false, "whether the log has a mount of its own",                     \
      "mount a disk at `[log] dir`")                                                               \
    X(log_durability, "log-durability", false, "`[log] durability`", "`durability = disk`")        \
    X(disk_latency, "disk-latency", false,                                                         \
      "writes of 4 KiB with fdatasync: 99 of 100 within 10 ms",                                    \
      "a disk with a cache that survives a power cut; find its other writers")                     \
    X(disk_throughput, "disk-throughput", false, "a write of 16 MiB with fdatasync: 50 MiB/s",     \
      "a faster disk; find its other writers")                                                     \
    X(keys, "keys", false, "the key file is read as the daemon reads it",                          \
      "correct the file ([protocol](protocol.md#keys))")                                           \
    X(keys_mode, "keys-mode", true, "permissions of the key file", "`chmod 0600 FILE`")            \
    X(password_mode, "password-mode", true,                                                        \
      "permissions of the password files, and of a `[kafka] properties_file` with a secret",       \
      "`chmod 0600 FILE`")                                                                         \
    X(tls_key_mode, "tls-key-mode", true,                                                          \
      "permissions of the private keys of `[redis]`, `[pair]` and `[fleet]`", "`chmod 0600 FILE`") \
    X(config_mode, "config-mode", true, "permissions of a configuration that has a password",      \
      "`chmod 0600 FILE`, or a `password_file`")                                                   \
    X(api_mode, "api-mode", false, "`[api] mode`", "`mode = 0660`, and a group")                   \
    X(api_folder, "api-folder", true, "permissions of the folder of `[api] socket`",               \
      "`chmod o-w FOLDER`")                                                                        \
    X(gateways, "gateways", false, "`allow_file` against `[limits] user_rate`",                    \
      "set `user_rate` to the requests that a person makes in a second")                           \
    X(monitor, "monitor", false, "`[filter] monitor`", "`monitor = no`")                           \
    X(redis, "redis", false, "connects, logs in and asks INFO", "start it; correct `[redis]`")     \
    X(redis_version, "redis-version", false, "the version that Redis says", "6.2 or newer")        \
    X(redis_policy, "redis-policy", false, "`maxmemory_policy` of INFO",                           \
      "`redis-cli CONFIG SET maxmemory-policy noeviction`")                                        \
    X(redis_persistence, "redis-persistence", false, "`aof_enabled` and `save`",                   \
      "`redis-cli CONFIG SET appendonly yes`")                                                     \
    X(postgres, "postgres", false, "connects and reads the version of the tables",                 \
      "start it; correct `[postgres]`")                                                            \
    X(postgres_version, "postgres-version", false, "the version that PostgreSQL says",             \
      "12 or newer")                                                                               \
    X(postgres_tables, "postgres-tables", false, "the version of the tables",                      \
      "`fgctl backend init`")                                                                      \
    X(kafka, "kafka", false, "a TCP connection to the first broker",                               \
      "start it; correct `[kafka]`")                                                               \
    X(pair_certificates, "pair-certificates", false,                                               \
      "`[pair] tls_ca`, `tls_cert`, `tls_key`: key, authority and host fit",                       \
      "`fgctl pair init --keys` ([pair](pair.md#set-up))")                                         \
    X(pair_expiry, "pair-expiry", false, "30 days before the first of them ends",                  \
      "`fgctl pair init --keys` ([pair](pair.md#upgrades-and-repairs))")                           \
    X(pair_arbiter, "pair-arbiter", false, "reads the register of the pair in etcd",               \
      "start etcd; `fgctl pair init`")                                                             \
    X(pair_members, "pair-members", false, "members of etcd in `[pair] arbiter`",                  \
      "name all three")                                                                            \
    X(etcd_tuning, "etcd-tuning", false,                                                           \
      "heartbeat and election timeout of an etcd on this machine: at most 50 and 500 ms",          \
      "`config/etcd-floodgate.conf` as `/etc/default/etcd`")                                       \
    X(etcd_compaction, "etcd-compaction", false,                                                   \
      "`auto-compaction-retention` of an etcd on this machine",                                    \
      "`config/etcd-floodgate.conf` as `/etc/default/etcd`")                                       \
    X(etcd_disk, "etcd-disk", false,                                                               \
      "the mounts of `data-dir` of an etcd on this machine, and of the log",                       \
      "another disk for one of them")                                                              \
    X(pair_peer, "pair-peer", false, "a TCP connection to `[pair] peer`",                          \
      "start it; correct `[pair]`")                                                                \
    X(pair_clocks, "pair-clocks", false, "the skew that a running daemon tells: 50 ms",            \
      "let one time server set both clocks")                                                       \
    X(pair_address, "pair-address", false, "each interface or port of `[pair] address` exists",    \
      "correct `[pair] address`")                                                                  \
    X(start, "start", false, "`floodgate --check`, unless a daemon runs", "correct what it names")

#define X(id, name, fixable, tested, remedy) FG_DOCTOR_CHECK(id);
FG_DOCTOR_CHECK_LIST(X)
#undef X

#endif
