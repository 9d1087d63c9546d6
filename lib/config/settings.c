/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/settings.h"

#include <string.h>

#include "fleet/map.h"
#include "journal/journal.h"
#include "packet/packet.h"

static const char *const penalty_names[] = {"off", "proven", "suspected", NULL};
static const char *const idle_names[] = {"spin", "yield", "sleep", NULL};
static const char *const behind_names[] = {"stop", "sell", NULL};
static const char *const durability_names[] = {"disk", "memory", NULL};
static const char *const commit_names[] = {"plain", "dsync", "uring", "auto", NULL};

#define PORT(field)                                                                                \
    offsetof(struct fg_port_options, field), sizeof(((struct fg_port_options *)0)->field)
#define GLOBAL(field) offsetof(struct fg_config, field), sizeof(((struct fg_config *)0)->field)
#define TEXT_MAX      255
#define LONG_TEXT     FG_CONFIG_VALUE_MAX

const struct fg_config_section fg_config_sections[] = {
    {"port", "A port that orders come in by; one section each, with a name of your choice."},
    {"workers", "The threads that decide orders."},
    {"eal", "Memory for the packet path (DPDK)."},
    {"orders", "Order packets."},
    {"filter", "The XDP filter in front of AF_XDP ports."},
    {"penalty", "The penalty box: sources that misbehave are blocked for a while."},
    {"log", "The log of decisions: the truth of the sale."},
    {"redis", "Replication to Redis; without an address there is none."},
    {"postgres", "Orders and stock in PostgreSQL; without a conninfo there are none."},
    {"kafka", "Events to Kafka; without brokers there are none."},
    {"pair", "A second appliance that takes over when this one dies; not enabled = none."},
    {"fleet", "Several appliances that sell the same items; not enabled = this one alone."},
    {"api", "The control server (fgctl, curl, metrics)."},
    {"metrics",
     "A read-only listener for Prometheus and health checks; without an address there is none."},
    {"limits", "Sizes of the appliance as a whole; memory is taken at start-up."},
    {NULL, NULL},
};
_Static_assert(sizeof(fg_config_sections) / sizeof(fg_config_sections[0]) <= FG_CONFIG_SECTIONS_MAX,
               "bits");

/* clang-format off */
const struct fg_config_setting fg_config_settings[] = {
    {"port", "interface", FG_CONFIG_KIND_INTERFACE, 0, PORT(device), "", 1, 15, NULL, "eth0",
     "network interface to use through AF_XDP; the kernel driver stays. This or device"},
    {"port", "device", FG_CONFIG_KIND_DEVICE, 0, PORT(device), "", 1, TEXT_MAX, NULL, "0000:01:00.0",
     "any other DPDK ethdev: PCI address or virtual device, with its arguments. This or interface"},
    {"port", "queues", FG_CONFIG_KIND_NUMBER, 0, PORT(queues), "1", 1, FG_PORT_QUEUES_MAX, NULL, NULL,
     "receive queues, each with a transmit queue"},
    {"port", "generic", FG_CONFIG_KIND_BOOL, 0, PORT(generic), "no", 0, 0, NULL, NULL,
     "interface only: run XDP in generic (SKB) mode, for drivers without native XDP; slow"},
    {"port", "busy_budget", FG_CONFIG_KIND_NUMBER, 0, PORT(busy_budget), "64", 0, 1024, NULL, NULL,
     "interface only: packets of one busy poll of the AF_XDP socket; 0 = no busy polling"},
    {"port", "descriptors", FG_CONFIG_KIND_NUMBER, FG_CONFIG_SET_POWER_OF_TWO, PORT(descriptors), "1024", 64, 8192, NULL, NULL,
     "slots of each receive and transmit ring"},
    {"port", "mtu", FG_CONFIG_KIND_NUMBER, FG_CONFIG_SET_ZERO_OK, PORT(mtu), "0", 576, 9600, NULL, NULL,
     "largest IP packet, bytes; 0 = leave it as it is"},
    {"port", "address", FG_CONFIG_KIND_ADDRESSES, 0, PORT(address), "", 1, TEXT_MAX, NULL, "198.18.0.1, 2001:db8::1",
     "device: the addresses of the port; the appliance takes orders to them alone, and answers ARP, neighbour discovery and ping, as no kernel does. interface: further addresses whose orders are ours (on lo, say); those of the interface are known"},

    {"workers", "count", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(workers.count), "1", 1, FG_WORKERS_MAX, NULL, NULL,
     "worker threads"},
    {"workers", "cpus", FG_CONFIG_KIND_CPUS, 0, GLOBAL(workers.cpus), "", 1, 127, NULL, "0",
     "CPU of each worker, in order; a CPU may be named several times; the other threads keep off them while any are left. Not given = any CPU"},
    {"workers", "idle", FG_CONFIG_KIND_ENUM, 0, GLOBAL(workers.idle), "yield", 0, 0, idle_names, NULL,
     "what a worker does that finds nothing to do: spin (for CPUs that no other thread needs), yield the CPU, or sleep "
     "for some microseconds"},
    {"workers", "burst", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(workers.burst), "64", 1, 256, NULL, NULL,
     "frames that a worker takes from a queue at a time"},
    {"workers", "handoff", FG_CONFIG_KIND_NUMBER, FG_CONFIG_SET_POWER_OF_TWO, GLOBAL(workers.handoff), "1024", 64, 1 << 20,
     NULL, NULL, "slots of each ring between two workers"},

    {"eal", "huge", FG_CONFIG_KIND_BOOL, 0, GLOBAL(eal.huge), "yes", 0, 0, NULL, NULL,
     "use hugepages when the machine has some; without them the packet path is slower"},
    {"eal", "memory_mb", FG_CONFIG_KIND_MEGABYTE, FG_CONFIG_SET_ZERO_OK, GLOBAL(eal.memory_mb), "0", 64, 1 << 20, NULL, NULL,
     "memory for DPDK, MiB; 0 = what is needed"},
    {"eal", "file_prefix", FG_CONFIG_KIND_WORD, 0, GLOBAL(eal.file_prefix), "floodgate", 1, 63, NULL, NULL,
     "name of this process among the DPDK processes of the machine; one each"},
    {"eal", "mbufs", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(eal.mbufs), "8192", 512, 1 << 20, NULL, NULL,
     "packet buffers of each receive queue; an AF_XDP queue needs 2048 for its fill ring alone"},

    {"orders", "port", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(orders.port), "4600", 1, 65535, NULL, NULL,
     "UDP port of the order packets"},
    {"orders", "steer", FG_CONFIG_KIND_BOOL, 0, GLOBAL(orders.steer), "no", 0, 0, NULL, NULL,
     "an order port for each worker, from port on: a client that sends to the one of the user's worker saves the handing off"},
    {"orders", "trace", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(orders.trace), "0", 0, 1000000, NULL, NULL,
     "orders of a million, chosen by a hash, whose steps from the packet to the answer are kept for `fgctl order trace`; 0 = none"},
    {"orders", "keys", FG_CONFIG_KIND_FILE, FG_CONFIG_SET_REQUIRED | FG_CONFIG_SET_SECRET_FILE, GLOBAL(orders.keys), "", 1, TEXT_MAX, NULL,
     "/etc/floodgate/keys", "key file: one `ID ROLE[,ROLE...] SECRET` a line (docs/protocol.md)"},

    {"filter", "enabled", FG_CONFIG_KIND_BOOL, 0, GLOBAL(filter.enabled), "yes", 0, 0, NULL, NULL,
     "filter by source: block list, allow list, rates. Off: order packets are still checked"},
    {"filter", "pins", FG_CONFIG_KIND_PATH, 0, GLOBAL(filter.pins), "/sys/fs/bpf/floodgate", 1, TEXT_MAX, NULL, NULL,
     "folder on a bpffs where program and lists outlive the daemon"},
    {"filter", "order_rate", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(filter.order.rate), "2000", 0, 100000000, NULL, NULL,
     "order packets per second that one source may send; 0 = no limit"},
    {"filter", "order_burst", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(filter.order.burst), "4000", 1, 100000000, NULL, NULL,
     "order packets that one source may send at once"},
    {"filter", "syn_rate", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(filter.syn.rate), "500", 0, 100000000, NULL, NULL,
     "connection attempts (TCP SYN) per second that one source may send; 0 = no limit"},
    {"filter", "syn_burst", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(filter.syn.burst), "1000", 1, 100000000, NULL, NULL,
     "connection attempts that one source may send at once"},
    {"filter", "other_rate", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(filter.other.rate), "5000", 0, 100000000, NULL, NULL,
     "other packets (TCP, ICMP ...) per second that one source may send; 0 = no limit"},
    {"filter", "other_burst", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(filter.other.burst), "10000", 1, 100000000, NULL, NULL,
     "other packets that one source may send at once"},
    {"filter", "sources_max", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(filter.sources_max), "262144", 1024, 1 << 24, NULL, NULL,
     "sources whose rates are known at a time; of new ones beyond only the rate of their network counts"},
    {"filter", "prefixes_max", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(filter.prefixes_max), "131072", 16, 1 << 22, NULL, NULL,
     "entries of block list and allow list together"},
    {"filter", "v6_prefix", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(filter.v6_prefix), "64", 32, 64, NULL, NULL,
     "leading bits of an IPv6 address that make one source"},
    {"filter", "net_factor", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(filter.net_factor), "64", 0, 65536, NULL, NULL,
     "an IPv4 /24 or IPv6 /48 as a whole may send this many times the rate of one source; 0 = no limit"},
    {"filter", "sample_rate", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(filter.sample_rate), "10", 0, 10000, NULL, NULL,
     "dropped packets per second kept as samples, for each verdict and CPU; 0 = none"},
    {"filter", "monitor", FG_CONFIG_KIND_BOOL, 0, GLOBAL(filter.monitor), "no", 0, 0, NULL, NULL,
     "decide and count everything, drop nothing"},
    {"filter", "block_file", FG_CONFIG_KIND_FILE, 0, GLOBAL(filter.block_file), "", 1, TEXT_MAX, NULL,
     "/var/lib/floodgate/blocked", "list file that a start loads when the block list is empty, as after a boot"},
    {"filter", "allow_file", FG_CONFIG_KIND_FILE, 0, GLOBAL(filter.allow_file), "", 1, TEXT_MAX, NULL,
     "/var/lib/floodgate/allowed", "list file that a start loads when the allow list is empty, as after a boot"},

    {"penalty", "mode", FG_CONFIG_KIND_ENUM, 0, GLOBAL(penalty.mode), "proven", 0, 0, penalty_names, NULL,
     "which offences block their source for a while: none, those that a forged source address cannot produce, or "
     "all that are suspected"},
    {"penalty", "first", FG_CONFIG_KIND_MS, 0, GLOBAL(penalty.first_ms), "1m", FG_PENALTY_FIRST_MS_MIN, FG_PENALTY_FIRST_MS_MAX, NULL, NULL,
     "how long the first block lasts; the second 10 times as long, every further one 60 times"},
    {"penalty", "bad_tag", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(penalty.threshold[FG_PENALTY_OFFENCE_BAD_TAG]), "1000", 0, FG_PENALTY_THRESHOLD_MAX, NULL, NULL,
     "order packets with a wrong tag within 10 s that block their source, if mode is suspected; 0 = never"},
    {"penalty", "malformed", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(penalty.threshold[FG_PENALTY_OFFENCE_MALFORMED]), "1000", 0, FG_PENALTY_THRESHOLD_MAX, NULL, NULL,
     "malformed order packets within 10 s that block their source, if mode is suspected; 0 = never"},
    {"penalty", "role", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(penalty.threshold[FG_PENALTY_OFFENCE_ROLE]), "1000", 0, FG_PENALTY_THRESHOLD_MAX, NULL, NULL,
     "requests within 10 s whose key may not do the operation, that block their source; 0 = never"},
    {"penalty", "user_rate", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(penalty.threshold[FG_PENALTY_OFFENCE_USER_RATE]), "10000", 0, FG_PENALTY_THRESHOLD_MAX, NULL, NULL,
     "reservations within 10 s of users who ask too often, that block their source; 0 = never"},
    {"penalty", "user_denied", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(penalty.threshold[FG_PENALTY_OFFENCE_USER_DENIED]), "10000", 0, FG_PENALTY_THRESHOLD_MAX, NULL, NULL,
     "reservations within 10 s of denied users, that block their source; 0 = never"},
    {"penalty", "http", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(penalty.threshold[FG_PENALTY_OFFENCE_HTTP]), "20", 0, FG_PENALTY_THRESHOLD_MAX, NULL, NULL,
     "offences within 10 s that nginx reported, that block their source; 0 = never"},

    {"log", "dir", FG_CONFIG_KIND_PATH, 0, GLOBAL(log.dir), "/var/lib/floodgate/log", 1, TEXT_MAX, NULL, NULL,
     "folder of the log; made only with a new log (floodgate --new-log, fgctl log init)"},
    {"log", "durability", FG_CONFIG_KIND_ENUM, 0, GLOBAL(log.durability), "disk", 0, 0, durability_names, NULL,
     "when an order is acknowledged: when it is on disk, or (benchmarks only) when it is in memory"},
    {"log", "commit", FG_CONFIG_KIND_ENUM, 0, GLOBAL(log.commit), "plain", 0, 0, commit_names, NULL,
     "how records reach the disk: write and fdatasync; one durable write; the same by io_uring, two under way; or the "
     "faster one of the first two by a short trial at start"},
    {"log", "behind", FG_CONFIG_KIND_ENUM, 0, GLOBAL(log.behind), "stop", 0, 0, behind_names, NULL,
     "when a sink knows later records than the log, which is an older copy then: stop selling, or sell"},
    {"log", "segment_bytes", FG_CONFIG_KIND_SIZE, 0, GLOBAL(log.segment_bytes), "64m", FG_JOURNAL_SEGMENT_BYTES_MIN,
     FG_JOURNAL_SEGMENT_BYTES_MAX, NULL, NULL, "size of one file of the log, a multiple of 64 bytes"},
    {"log", "batch_max", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(log.batch_max), "8192", 1, 65536, NULL, NULL,
     "records that are made durable together"},
    {"log", "snapshot_records", FG_CONFIG_KIND_NUMBER, FG_CONFIG_SET_ZERO_OK, GLOBAL(log.snapshot_records), "1000000", 100,
     1000000000000, NULL, NULL,
     "records between two snapshots, and at least as many as there are orders; 0 = only when asked for"},
    {"log", "keep_bytes", FG_CONFIG_KIND_SIZE, 0, GLOBAL(log.keep_bytes), "16g", 0, 1ull << 50, NULL, NULL,
     "old segments that snapshots and sinks have passed are removed only as long as more than this stays, and the disk has room"},
    {"log", "sink_keep_bytes", FG_CONFIG_KIND_SIZE, 0, GLOBAL(log.sink_keep_bytes), "64g", 0, 1ull << 50, NULL, NULL,
     "a sink that lags holds old segments only as long as the log is not larger; later it is filled from a snapshot"},
    {"log", "archive", FG_CONFIG_KIND_PATH, 0, GLOBAL(log.archive), "", 1, TEXT_MAX, NULL, "/srv/floodgate-archive",
     "folder, best on another disk, to which each old segment is copied before it is removed; not given = none"},
    {"log", "ledger_lag_max", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(log.ledger_lag_max), "32000000", 1000, 100000000000, NULL, NULL,
     "records on disk that the ledger may lack; with more, requests that need a record are BUSY until it lacks half of that"},
    {"log", "ring", FG_CONFIG_KIND_NUMBER, FG_CONFIG_SET_POWER_OF_TWO, GLOBAL(log.ring), "16384", 64, 1 << 22, NULL, NULL,
     "capacity of each worker's ring to the log, in records"},

    {"redis", "address", FG_CONFIG_KIND_ADDRESS, 0, GLOBAL(redis.address), "", 1, 511, NULL, "127.0.0.1:6379",
     "Redis to keep up to date; of several the first that takes writes is used; not given = none"},
    {"redis", "sentinel", FG_CONFIG_KIND_WORD, 0, GLOBAL(redis.sentinel), "", 1, 63, NULL, "mymaster",
     "name of the primary, as Sentinel knows it: then address lists Sentinels; not given = Redis itself"},
    {"redis", "user", FG_CONFIG_KIND_TEXT, 0, GLOBAL(redis.user), "", 1, 63, NULL, "floodgate",
     "ACL user; not given = the default user"},
    {"redis", "password", FG_CONFIG_KIND_TEXT, FG_CONFIG_SET_SECRET, GLOBAL(redis.password), "", 1, FG_SECRET_MAX - 1, NULL, "secret",
     "password; better in password_file"},
    {"redis", "password_file", FG_CONFIG_KIND_FILE, FG_CONFIG_SET_SECRET_FILE, GLOBAL(redis.password_file), "", 1, TEXT_MAX, NULL,
     "/etc/floodgate/redis-password", "file whose first line is the password, read at each connection"},
    {"redis", "database", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(redis.database), "0", 0, 1023, NULL, NULL,
     "number of the database"},
    {"redis", "prefix", FG_CONFIG_KIND_WORD, 0, GLOBAL(redis.prefix), "floodgate", 1, 63, NULL, NULL,
     "first part of every key"},
    {"redis", "batch_max", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(redis.batch_max), "1000", 1, 100000, NULL, NULL,
     "records of one transaction"},
    {"redis", "stream_max", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(redis.stream_max), "1000000", 0, 1000000000000, NULL, NULL,
     "events kept in the stream, about; 0 = all"},
    {"redis", "commands", FG_CONFIG_KIND_BOOL, 0, GLOBAL(inbound.enabled), "no", 0, 0, NULL, NULL,
     "take confirmations and cancellations from the stream {prefix}:commands"},
    {"redis", "timeout_ms", FG_CONFIG_KIND_MS, 0, GLOBAL(redis.timeout_ms), "2s", 10, 60000, NULL, NULL,
     "longest wait for a connection or an answer"},
    {"redis", "retry_ms_max", FG_CONFIG_KIND_MS, 0, GLOBAL(redis.retry_ms_max), "5s", 10, 600000, NULL, NULL,
     "longest pause between attempts to connect"},
    {"redis", "tls", FG_CONFIG_KIND_BOOL, 0, GLOBAL(redis.tls), "no", 0, 0, NULL, NULL,
     "encrypt the connection, and check the server's certificate"},
    {"redis", "tls_ca", FG_CONFIG_KIND_FILE, 0, GLOBAL(redis.tls_ca), "", 1, TEXT_MAX, NULL, "/etc/floodgate/redis-ca.pem",
     "certificates of the authorities that may vouch for the server; not given = the system's"},
    {"redis", "tls_cert", FG_CONFIG_KIND_FILE, 0, GLOBAL(redis.tls_cert), "", 1, TEXT_MAX, NULL,
     "/etc/floodgate/redis-client.pem", "our certificate, for a server that asks for one; with tls_key"},
    {"redis", "tls_key", FG_CONFIG_KIND_FILE, 0, GLOBAL(redis.tls_key), "", 1, TEXT_MAX, NULL,
     "/etc/floodgate/redis-client.key", "private key of tls_cert"},
    {"redis", "tls_server_name", FG_CONFIG_KIND_TEXT, 0, GLOBAL(redis.tls_server_name), "", 1, TEXT_MAX, NULL,
     "redis.example", "name or address in the server's certificate; not given = the host of address"},

    {"postgres", "conninfo", FG_CONFIG_KIND_TEXT, FG_CONFIG_SET_SECRET, GLOBAL(postgres.conninfo), "", 1, LONG_TEXT, NULL,
     "host=10.0.0.5 dbname=shop user=floodgate sslmode=verify-full",
     "PostgreSQL to keep up to date, as libpq's connection string or URI; not given = none"},
    {"postgres", "password_file", FG_CONFIG_KIND_FILE, FG_CONFIG_SET_SECRET_FILE, GLOBAL(postgres.password_file), "", 1, TEXT_MAX, NULL,
     "/etc/floodgate/postgres-password", "file whose first line is the password, read at each connection; goes before one in conninfo"},
    {"postgres", "schema", FG_CONFIG_KIND_WORD, 0, GLOBAL(postgres.schema), "floodgate", 1, 63, NULL, NULL,
     "schema of the tables; lower case letters, digits and _. `fgctl backend init` makes it"},
    {"postgres", "batch_max", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(postgres.batch_max), "2000", 1, 100000, NULL, NULL,
     "records of one transaction"},
    {"postgres", "timeout_ms", FG_CONFIG_KIND_MS, 0, GLOBAL(postgres.timeout_ms), "5s", 10, 60000, NULL, NULL,
     "longest wait for a connection or an answer"},
    {"postgres", "retry_ms_max", FG_CONFIG_KIND_MS, 0, GLOBAL(postgres.retry_ms_max), "5s", 10, 600000, NULL, NULL,
     "longest pause between attempts to connect"},

    {"kafka", "brokers", FG_CONFIG_KIND_TEXT, 0, GLOBAL(kafka.brokers), "", 1, LONG_TEXT, NULL, "broker-1:9092,broker-2:9092",
     "Kafka brokers to begin with, separated by commas; not given = no Kafka"},
    {"kafka", "topic", FG_CONFIG_KIND_WORD, 0, GLOBAL(kafka.topic), "floodgate.orders", 1, 240, NULL, NULL,
     "topic of the events; the cursor's is TOPIC.cursor. Both must be there"},
    {"kafka", "properties_file", FG_CONFIG_KIND_FILE, 0, GLOBAL(kafka.properties_file), "", 1, TEXT_MAX, NULL,
     "/etc/floodgate/kafka.properties", "further settings of librdkafka, one `NAME = VALUE` a line: TLS, SASL ..."},
    {"kafka", "batch_max", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(kafka.batch_max), "5000", 1, 100000, NULL, NULL,
     "records of one transaction"},
    {"kafka", "timeout_ms", FG_CONFIG_KIND_MS, 0, GLOBAL(kafka.timeout_ms), "10s", 1000, 300000, NULL, NULL,
     "longest wait for a connection, an answer or a transaction"},
    {"kafka", "retry_ms_max", FG_CONFIG_KIND_MS, 0, GLOBAL(kafka.retry_ms_max), "5s", 10, 600000, NULL, NULL,
     "longest pause between attempts to connect"},

    {"pair", "enabled", FG_CONFIG_KIND_BOOL, 0, GLOBAL(pair.enabled), "no", 0, 0, NULL, NULL,
     "this appliance is one of a pair; the settings below count then only"},
    {"pair", "node", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(pair.node), "0", 0, 1, NULL, NULL,
     "which of the two this is; one has 0, the other one 1. Must be given"},
    {"pair", "listen", FG_CONFIG_KIND_LISTEN, 0, GLOBAL(pair.listen), "", 1, 63, NULL, "192.0.2.1:4610",
     "TCP address for the other appliance; best on a network of its own"},
    {"pair", "peer", FG_CONFIG_KIND_LISTEN, 0, GLOBAL(pair.peer), "", 1, 63, NULL, "192.0.2.2:4610",
     "where the other appliance listens"},
    {"pair", "tls_ca", FG_CONFIG_KIND_FILE, 0, GLOBAL(pair.tls_ca), "", 1, TEXT_MAX, NULL, "/etc/floodgate/pair/ca.pem",
     "certificate of the authority of this pair alone: it vouches for both appliances"},
    {"pair", "tls_cert", FG_CONFIG_KIND_FILE, 0, GLOBAL(pair.tls_cert), "", 1, TEXT_MAX, NULL, "/etc/floodgate/pair/node.pem",
     "certificate of this appliance; the other one has a certificate of its own"},
    {"pair", "tls_key", FG_CONFIG_KIND_FILE, 0, GLOBAL(pair.tls_key), "", 1, TEXT_MAX, NULL, "/etc/floodgate/pair/node.key",
     "private key of tls_cert"},
    {"pair", "arbiter", FG_CONFIG_KIND_ENDPOINTS, 0, GLOBAL(pair.arbiter.endpoints), "", 1, 511, NULL,
     "192.0.2.1:2379, 192.0.2.2:2379, 192.0.2.3:2379",
     "the members of etcd, by which the two decide which of them leads; the one on this machine first"},
    {"pair", "arbiter_prefix", FG_CONFIG_KIND_TEXT, 0, GLOBAL(pair.arbiter.prefix), "floodgate/pair", 1, 62, NULL, NULL,
     "first part of the keys in etcd; one for each pair"},
    {"pair", "arbiter_tls_ca", FG_CONFIG_KIND_FILE, 0, GLOBAL(pair.arbiter.tls_ca), "", 1, TEXT_MAX, NULL, "/etc/floodgate/etcd-ca.pem",
     "certificate of the authority that vouches for etcd; given: the connection is encrypted"},
    {"pair", "arbiter_tls_cert", FG_CONFIG_KIND_FILE, 0, GLOBAL(pair.arbiter.tls_cert), "", 1, TEXT_MAX, NULL,
     "/etc/floodgate/etcd-client.pem", "our certificate, for an etcd that asks for one; with arbiter_tls_key"},
    {"pair", "arbiter_tls_key", FG_CONFIG_KIND_FILE, 0, GLOBAL(pair.arbiter.tls_key), "", 1, TEXT_MAX, NULL,
     "/etc/floodgate/etcd-client.key", "private key of arbiter_tls_cert"},
    {"pair", "arbiter_user", FG_CONFIG_KIND_TEXT, 0, GLOBAL(pair.arbiter.user), "", 1, 63, NULL, "floodgate",
     "user at etcd; not given = etcd asks for none"},
    {"pair", "arbiter_password_file", FG_CONFIG_KIND_FILE, FG_CONFIG_SET_SECRET_FILE, GLOBAL(pair.arbiter.password_file), "", 1, TEXT_MAX, NULL,
     "/etc/floodgate/etcd-password", "file whose first line is the password of arbiter_user, read at each login"},
    {"pair", "address", FG_CONFIG_KIND_FLOATING, 0, GLOBAL(pair.address), "", 1, TEXT_MAX, NULL,
     "192.0.2.10/24 at eth0, 2001:db8::10/64 at eth0",
     "addresses that clients know: the appliance that leads adds them to the interface, and takes them off again. A port without a kernel is named by its section. Not given = none"},
    {"pair", "heartbeat_ms", FG_CONFIG_KIND_MS, 0, GLOBAL(pair.heartbeat_ms), "25ms", 5, 10000, NULL, NULL,
     "between two heartbeats"},
    {"pair", "suspect_ms", FG_CONFIG_KIND_MS, 0, GLOBAL(pair.suspect_ms), "250ms", 50, 60000, NULL, NULL,
     "a peer that is silent for so long is lost; at least three heartbeats"},
    {"pair", "drop_ms", FG_CONFIG_KIND_MS, 0, GLOBAL(pair.drop_ms), "200ms", 20, 60000, NULL, NULL,
     "a standby that acknowledges a record later than this is not waited for any more"},
    {"pair", "stale_ms", FG_CONFIG_KIND_MS, 0, GLOBAL(pair.stale_ms), "200ms", 20, 60000, NULL, NULL,
     "a leader with a standby that has no sign of still leading for so long answers nothing"},

    {"fleet", "enabled", FG_CONFIG_KIND_BOOL, 0, GLOBAL(fleet.enabled), "no", 0, 0, NULL, NULL,
     "this appliance is a member of a fleet; the settings below count then only"},
    {"fleet", "member", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(fleet.member), "0", 0, FG_FLEET_MEMBERS_MAX - 1, NULL, NULL,
     "which of them this is, from 0; each has a number of its own. Must be given"},
    {"fleet", "members", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(fleet.members), "1", 1, FG_FLEET_MEMBERS_MAX, NULL, "2",
     "how many there are; the same at all of them. Must be given"},
    {"fleet", "shards", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(fleet.shards), "256", 1, FG_FLEET_SHARDS_MAX, NULL, NULL,
     "parts of the users, dealt out to the members in turn; the same at all of them, and at all clients"},
    {"fleet", "version", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(fleet.version), "1", 1, 1000000000, NULL, NULL,
     "of the map of members and shards; etcd must have the same, by fgctl fleet init"},
    {"fleet", "etcd", FG_CONFIG_KIND_ENDPOINTS, 0, GLOBAL(fleet.etcd.endpoints), "", 1, 511, NULL,
     "192.0.2.1:2379, 192.0.2.2:2379, 192.0.2.3:2379",
     "the members of etcd, which has the units that no member holds; the one on this machine first"},
    {"fleet", "etcd_prefix", FG_CONFIG_KIND_TEXT, 0, GLOBAL(fleet.etcd.prefix), "floodgate", 1, 62, NULL, NULL,
     "first part of the keys in etcd; one for each fleet"},
    {"fleet", "etcd_tls_ca", FG_CONFIG_KIND_FILE, 0, GLOBAL(fleet.etcd.tls_ca), "", 1, TEXT_MAX, NULL, "/etc/floodgate/etcd-ca.pem",
     "certificate of the authority that vouches for etcd; given: the connection is encrypted"},
    {"fleet", "etcd_tls_cert", FG_CONFIG_KIND_FILE, 0, GLOBAL(fleet.etcd.tls_cert), "", 1, TEXT_MAX, NULL,
     "/etc/floodgate/etcd-client.pem", "our certificate, for an etcd that asks for one; with etcd_tls_key"},
    {"fleet", "etcd_tls_key", FG_CONFIG_KIND_FILE, 0, GLOBAL(fleet.etcd.tls_key), "", 1, TEXT_MAX, NULL,
     "/etc/floodgate/etcd-client.key", "private key of etcd_tls_cert"},
    {"fleet", "etcd_user", FG_CONFIG_KIND_TEXT, 0, GLOBAL(fleet.etcd.user), "", 1, 63, NULL, "floodgate",
     "user at etcd; not given = etcd asks for none"},
    {"fleet", "etcd_password_file", FG_CONFIG_KIND_FILE, FG_CONFIG_SET_SECRET_FILE, GLOBAL(fleet.etcd.password_file), "", 1, TEXT_MAX, NULL,
     "/etc/floodgate/etcd-password", "file whose first line is the password of etcd_user, read at each login"},

    {"api", "socket", FG_CONFIG_KIND_PATH, 0, GLOBAL(api.socket), "/run/floodgate/control.sock", 1, 107, NULL, NULL,
     "unix socket of the control server"},
    {"api", "mode", FG_CONFIG_KIND_OCTAL, 0, GLOBAL(api.mode), "0660", 0600, 0777, NULL, NULL,
     "permissions of the socket, octal: who may write to it controls the sale"},
    {"api", "group", FG_CONFIG_KIND_WORD, 0, GLOBAL(api.group), "", 1, 63, NULL, "floodgate",
     "group of the socket, of which the daemon's user is a member; not given = the daemon's"},
    {"api", "viewer", FG_CONFIG_KIND_PATH, 0, GLOBAL(api.viewer), "", 1, 107, NULL, "/run/floodgate/viewer.sock",
     "second unix socket, that only shows: status, metrics, items and the page for a browser; not given = none"},
    {"api", "viewer_mode", FG_CONFIG_KIND_OCTAL, 0, GLOBAL(api.viewer_mode), "0660", 0600, 0777, NULL, NULL,
     "permissions of the viewer's socket, octal"},
    {"api", "viewer_group", FG_CONFIG_KIND_WORD, 0, GLOBAL(api.viewer_group), "", 1, 63, NULL, "floodgate-viewer",
     "group of the viewer's socket, likewise; not given = the daemon's"},

    {"metrics", "listen", FG_CONFIG_KIND_LISTEN, 0, GLOBAL(metrics.listen), "", 1, 63, NULL, "127.0.0.1:9460",
     "TCP address of the page for a browser, /metrics, /healthz and /status; not given = none. Whoever reaches it can read the numbers of the sale and the addresses of sources that misbehave, and change nothing"},

    {"limits", "items_max", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(limits.items_max), "1000", 1, 1000000, NULL, NULL,
     "items"},
    {"limits", "orders_max", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(limits.orders_max), "1000000", 64, 2000000000, NULL, NULL,
     "orders that are remembered, finished ones too"},
    {"limits", "users_max", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(limits.users_max), "1000000", 64, 2000000000, NULL, NULL,
     "pairs of user and item that hold or have bought units, of items with a limit per user"},
    {"limits", "parked_max", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(limits.parked_max), "4096", 64, 1 << 20, NULL, NULL,
     "requests that wait for units of other workers at a time"},
    {"limits", "deferred_max", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(limits.deferred_max), "65536", 64, 1 << 24, NULL, NULL,
     "answers that wait for the disk at a time"},
    {"limits", "user_rate", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(limits.user_rate), "5", 0, 1000, NULL, NULL,
     "new reservations per second that one user may ask for; 0 = no limit"},
    {"limits", "user_burst", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(limits.user_burst), "20", 1, 100000, NULL, NULL,
     "new reservations that one user may ask for at once"},
    {"limits", "waiting_max", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(limits.waiting_max), "100000", 0, FG_STOCK_WAITING_MAX, NULL, NULL,
     "users in all waiting lists together; 0 = no waiting lists"},
    {"limits", "unsold_max", FG_CONFIG_KIND_NUMBER, 0, GLOBAL(limits.unsold_max), "32", 0, FG_STOCK_UNSOLD_MAX, NULL, NULL,
     "cancelled and expired orders of one user and item, before the answer is USER_LIMIT; 0 = no limit"},
};
/* clang-format on */

const unsigned fg_config_settings_count =
    sizeof(fg_config_settings) / sizeof(fg_config_settings[0]);
_Static_assert(sizeof(fg_config_settings) / sizeof(fg_config_settings[0]) <= FG_CONFIG_SETTINGS_MAX,
               "arrays by setting");
_Static_assert(FG_PACKET_PORT_DEFAULT == 4600, "orders.port in the table");

const struct fg_config_setting *fg_config_setting_find(const char *section, const char *key)
{
    for (unsigned i = 0; i < fg_config_settings_count; i++)
        if (!strcmp(fg_config_settings[i].section, section) &&
            !strcmp(fg_config_settings[i].key, key))
            return &fg_config_settings[i];
    return NULL;
}

bool fg_config_key_known(const char *key)
{
    for (unsigned i = 0; i < fg_config_settings_count; i++)
        if (!strcmp(fg_config_settings[i].key, key))
            return true;
    return false;
}

int fg_config_section_find(const char *name)
{
    for (int i = 0; fg_config_sections[i].name; i++)
        if (!strcmp(fg_config_sections[i].name, name))
            return i;
    return -1;
}
