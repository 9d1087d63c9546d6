/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/settings.h"

#define LISTEN "accepted: an IPv4 address:port or [IPv6 address]:port, in digits"

static char dir[64], path[96], keys[96], secret[96];
static struct fg_config config;
static char report[1 << 16];

static void put(const char *file, const char *text, size_t length)
{
    FILE *f = fopen(file, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, length, f), length);
    assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
{
    strcpy(dir, "/tmp/floodgate-config-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/test.conf", dir);
    snprintf(keys, sizeof(keys), "%s/keys", dir);
    snprintf(secret, sizeof(secret), "%s/secret", dir);
    put(keys, "1 shop 00\n", 10);
    return 0;
}

static int tear_down(void **state)
{
    unlink(path);
    unlink(keys);
    unlink(secret);
    return rmdir(dir);
}

/* Puts the text in place of the file, checks it, keeps the report. @K is the path of the key file,
 * @S of the password file. */
static unsigned check(const char *text)
{
    char body[8192];
    size_t n = 0;
    FILE *out;
    unsigned count;

    for (; *text; text++)
        if (text[0] == '@' && (text[1] == 'K' || text[1] == 'S'))
            n += (size_t)snprintf(body + n, sizeof(body) - n, "%s", *++text == 'K' ? keys : secret);
        else
            body[n++] = *text;
    put(path, body, n);
    out = fmemopen(report, sizeof(report), "w");
    count = fg_config_check(&config, path, out);
    fputc('\0', out);
    fclose(out);
    return count;
}

#define GOOD "[port a]\ninterface = eth0\n[orders]\nkeys = @K\n" /* 4 lines */

static void fails_at(unsigned line, const char *text, const char *message)
{
    char expected[1024];
    unsigned count = check(text);

    snprintf(expected, sizeof(expected), "%s:%u: %s\n", path, line, message);
    if (count != 1 || strcmp(report, expected))
        fail_msg("%u problems:\n%s\nexpected:\n%s", count, report, expected);
}

/* A wrong line after the good file: the fifth names the section, the sixth is wrong. */
static void refuses(const char *section, const char *entry, const char *why)
{
    char text[1024], message[512];

    snprintf(text, sizeof(text), GOOD "[%s]\n%s\n", section, entry);
    snprintf(message, sizeof(message), "[%s] %s: %s", section, entry, why);
    fails_at(6, text, message);
}

static void refuses_port(const char *entry, const char *why)
{
    char text[1024], message[512];

    snprintf(text, sizeof(text), "[orders]\nkeys = @K\n[port a]\n%s%s\n",
             strstr(entry, "device") || strstr(entry, "interface") ? "# mine\n"
                                                                   : "interface = eth0\n",
             entry);
    snprintf(message, sizeof(message), "[port a] %s: %s", entry, why);
    fails_at(5, text, message);
}

static void accepts(const char *section, const char *entry)
{
    char text[1024];

    snprintf(text, sizeof(text), GOOD "[%s]\n%s\n", section, entry);
    if (check(text))
        fail_msg("%s", report);
}

static void defaults_are_in_force(void **state)
{
    if (check(GOOD))
        fail_msg("%s", report);
    assert_string_equal(config.path, path);
    assert_int_equal(config.ports_count, 1);
    assert_string_equal(config.ports[0].name, "a");
    assert_string_equal(config.ports[0].device, "eth0");
    assert_true(config.ports[0].af_xdp);
    assert_int_equal(config.ports[0].queues, 1);
    assert_false(config.ports[0].generic);
    assert_int_equal(config.ports[0].busy_budget, 64);
    assert_int_equal(config.ports[0].descriptors, 1024);
    assert_int_equal(config.ports[0].mtu, 0);
    assert_int_equal(config.workers.count, 1);
    assert_string_equal(config.workers.cpus, "");
    assert_int_equal(config.workers.idle, FG_WORKER_IDLE_YIELD);
    assert_int_equal(config.workers.burst, 64);
    assert_int_equal(config.workers.handoff, 1024);
    assert_true(config.eal.huge);
    assert_int_equal(config.eal.memory_mb, 0);
    assert_string_equal(config.eal.file_prefix, "floodgate");
    assert_int_equal(config.eal.mbufs, 8192);
    assert_int_equal(config.orders.port, 4600);
    assert_string_equal(config.orders.keys, keys);
}

static void defaults_of_filter_and_log(void **state)
{
    if (check(GOOD))
        fail_msg("%s", report);
    assert_true(config.filter.enabled);
    assert_string_equal(config.filter.pins, "/sys/fs/bpf/floodgate");
    assert_int_equal(config.filter.order.rate, 2000);
    assert_int_equal(config.filter.order.burst, 4000);
    assert_int_equal(config.filter.other.rate, 5000);
    assert_int_equal(config.filter.other.burst, 10000);
    assert_int_equal(config.filter.sources_max, 262144);
    assert_int_equal(config.filter.prefixes_max, 131072);
    assert_int_equal(config.filter.v6_prefix, 64);
    assert_int_equal(config.penalty.mode, FG_PENALTY_PROVEN);
    assert_int_equal(config.penalty.first_ms, 60000);
    assert_int_equal(config.penalty.threshold[FG_PENALTY_OFFENCE_ROLE], 1000);
    assert_int_equal(config.penalty.threshold[FG_PENALTY_OFFENCE_HTTP], 20);
    assert_string_equal(config.log.dir, "/var/lib/floodgate/log");
    assert_int_equal(config.log.durability, FG_JOURNAL_DURABILITY_DISK);
    assert_int_equal(config.log.segment_bytes, 64 << 20);
    assert_int_equal(config.log.batch_max, 8192);
    assert_int_equal(config.log.ring, 16384);
}

static void defaults_of_the_rest(void **state)
{
    if (check(GOOD))
        fail_msg("%s", report);
    assert_false(config.redis.enabled);
    assert_string_equal(config.redis.address, "");
    assert_string_equal(config.redis.user, "");
    assert_string_equal(config.redis.password, "");
    assert_string_equal(config.redis.password_file, "");
    assert_int_equal(config.redis.database, 0);
    assert_string_equal(config.redis.prefix, "floodgate");
    assert_int_equal(config.redis.batch_max, 1000);
    assert_int_equal(config.redis.stream_max, 1000000);
    assert_false(config.inbound.enabled);
    assert_int_equal(config.redis.timeout_ms, 2000);
    assert_int_equal(config.redis.retry_ms_max, 5000);
    assert_false(config.postgres.enabled);
    assert_string_equal(config.postgres.schema, "floodgate");
    assert_int_equal(config.postgres.batch_max, 2000);
    assert_int_equal(config.postgres.timeout_ms, 5000);
    assert_int_equal(config.postgres.retry_ms_max, 5000);
    assert_false(config.kafka.enabled);
    assert_string_equal(config.kafka.topic, "floodgate.orders");
    assert_int_equal(config.kafka.batch_max, 5000);
    assert_int_equal(config.kafka.timeout_ms, 10000);
    assert_string_equal(config.api.socket, "/run/floodgate/control.sock");
    assert_int_equal(config.api.mode, 0660);
    assert_string_equal(config.api.group, "");
    assert_int_equal(config.limits.items_max, 1000);
    assert_int_equal(config.limits.orders_max, 1000000);
    assert_int_equal(config.limits.users_max, 1000000);
    assert_int_equal(config.limits.parked_max, 4096);
    assert_int_equal(config.limits.deferred_max, 65536);
    assert_int_equal(config.limits.user_rate, 5);
    assert_int_equal(config.limits.unsold_max, 32);
    assert_int_equal(config.limits.user_burst, 20);
}

static void values_and_units_are_read(void **state)
{
    if (check(
            "# a comment\n  [port  a]  # mine\r\n device = net_ring0,args=1\nqueues=2\nmtu = 1500\n"
            "[port b]\ninterface=veth0\ngeneric = on\nbusy_budget = 0\n"
            "[workers]\ncount = 3\ncpus = 2,0-1\nidle = spin\n[eal]\nmemory_mb = 1g\nhuge = false\n"
            "[orders]\nport = 65535\nkeys = @K\n[log]\nsegment_bytes = 128k\ndurability = memory\n"
            "[redis]\naddress = [2001:db8::1]:6379\npassword = a = b\ntimeout_ms = "
            "3s\nretry_ms_max = 250ms\n"
            "[api]\nmode = 0600\n[limits]\ndeferred_max=16777216\n"
            "user_rate = 1000\nuser_burst = 100000"))
        fail_msg("%s", report);
    assert_int_equal(config.ports_count, 2);
    assert_string_equal(config.ports[0].device, "net_ring0,args=1");
    assert_false(config.ports[0].af_xdp);
    assert_int_equal(config.ports[0].queues, 2);
    assert_int_equal(config.ports[0].mtu, 1500);
    assert_string_equal(config.ports[1].device, "veth0");
    assert_true(config.ports[1].af_xdp);
    assert_true(config.ports[1].generic);
    assert_int_equal(config.ports[1].busy_budget, 0);
    assert_int_equal(config.workers.count, 3);
    assert_int_equal(config.workers.idle, FG_WORKER_IDLE_SPIN);
    assert_int_equal(config.eal.memory_mb, 1024);
    assert_false(config.eal.huge);
    assert_int_equal(config.orders.port, 65535);
    assert_int_equal(config.log.segment_bytes, 128 << 10);
    assert_int_equal(config.log.durability, FG_JOURNAL_DURABILITY_MEMORY);
    assert_true(config.redis.enabled);
    assert_string_equal(config.redis.password, "a = b");
    assert_int_equal(config.redis.timeout_ms, 3000);
    assert_int_equal(config.redis.retry_ms_max, 250);
    assert_int_equal(config.api.mode, 0600);
    assert_int_equal(config.limits.deferred_max, 16777216);
    assert_int_equal(config.limits.user_rate, 1000);
    assert_int_equal(config.limits.user_burst, 100000);
}

static void cpus_go_to_workers_in_order(void **state)
{
    if (check(GOOD "[workers]\ncount = 5\ncpus = 4,0-2,4\n"))
        fail_msg("%s", report);
    assert_int_equal(fg_config_cpu(&config, 0), 4);
    assert_int_equal(fg_config_cpu(&config, 1), 0);
    assert_int_equal(fg_config_cpu(&config, 3), 2);
    assert_int_equal(fg_config_cpu(&config, 4), 4);
    assert_int_equal(fg_config_cpu(&config, 5), -1);
    assert_int_equal(check(GOOD), 0);
    assert_int_equal(fg_config_cpu(&config, 0), -1);
}

/* One wrong line each, and what is said about it. */
static const struct {
    const char *section, *entry, *why;
} wrong[] = {
    {"workers", "count = 0", "too small; accepted: 1..64"},
    {"workers", "count = 65", "too large; accepted: 1..64"},
    {"workers", "count = -1", "not a whole number; accepted: 1..64"},
    {"workers", "count = 2.5", "not a whole number; accepted: 1..64"},
    {"workers", "count = 0x10", "not a whole number; accepted: 1..64"},
    {"workers", "count = 2k", "not a whole number; accepted: 1..64"},
    {"workers", "count = 99999999999999999999", "too large; accepted: 1..64"},
    {"workers", "count = ", "has no value; accepted: 1..64"},
    {"workers", "handoff = 100", "not a power of two; accepted: 64..1048576, a power of two"},
    {"workers", "idle = nap", "no such choice; accepted: spin, yield, sleep"},
    {"eal", "huge = maybe", "neither yes nor no; accepted: yes, no"},
    {"eal", "memory_mb = 8k", "not a number with m, g or no unit; accepted: 0, 64m..1024g"},
    {"eal", "memory_mb = 63", "too small; accepted: 0, 64m..1024g"},
    {"eal", "file_prefix = a/b",
     "has a character that is not allowed; accepted: 1..63 letters, digits, . _ -"},
    {"eal", "mbufs = 4095", "too small for AF_XDP ports; accepted: 4096..1048576"},
    {"filter", "v6_prefix = 65", "too large; accepted: 32..64"},
    {"filter", "order_burst = 0", "too small; accepted: 1..100000000"},
    {"filter", "syn_burst = 4", "less than 10 ms of its rate; accepted: 5..100000000"},
    {"filter", "pins = here",
     "not an absolute path; accepted: an absolute path of 1..255 characters"},
    {"log", "segment_bytes = 64q", "not a number with k, m, g or no unit; accepted: 64k..16g"},
    {"log", "segment_bytes = 64", "too small; accepted: 64k..16g"},
    {"log", "segment_bytes = 17g", "too large; accepted: 64k..16g"},
    {"log", "segment_bytes = 18446744073709551615g", "too large; accepted: 64k..16g"},
    {"log", "segment_bytes = 100001", "not a multiple of 64; accepted: multiples of 64"},
    {"log", "durability = paper", "no such choice; accepted: disk, memory"},
    {"api", "mode = 0888", "not an octal number; accepted: 0600..0777, octal"},
    {"api", "mode = 0440", "too small; accepted: 0600..0777, octal"},
    {"api", "mode = 1777", "too large; accepted: 0600..0777, octal"},
    {"limits", "items_max = 1000001", "too large; accepted: 1..1000000"},
    {"limits", "user_rate = 1001", "too large; accepted: 0..1000"},
    {"limits", "user_burst = 0", "too small; accepted: 1..100000"},
    {"metrics", "listen = localhost:9460", "not an address to listen at; " LISTEN},
    {"metrics", "listen = 127.0.0.1:0", "not an address to listen at; " LISTEN},
    {"metrics", "listen = unix:/run/metrics", "not an address to listen at; " LISTEN},
    {"redis", "address = nowhere",
     "not an address; accepted: host:port, [v6]:port or unix:/path, several with commas between"},
    {"redis", "address = h:0",
     "not an address; accepted: host:port, [v6]:port or unix:/path, several with commas between"},
    {"redis", "address = h:65536",
     "not an address; accepted: host:port, [v6]:port or unix:/path, several with commas between"},
    {"redis", "address = 2001:db8::1:6379",
     "not an address; accepted: host:port, [v6]:port or unix:/path, several with commas between"},
    {"redis", "address = [2001:db8::1:6379",
     "not an address; accepted: host:port, [v6]:port or unix:/path, several with commas between"},
    {"redis", "address = unix:sock",
     "not an address; accepted: host:port, [v6]:port or unix:/path, several with commas between"},
    {"workers", "cpus = a", "not a list of CPUs; accepted: a list like 0-3 or 0,2,4; CPUs 0..1023"},
    {"workers", "cpus = 0-",
     "not a list of CPUs; accepted: a list like 0-3 or 0,2,4; CPUs 0..1023"},
    {"workers", "cpus = 0,,1",
     "not a list of CPUs; accepted: a list like 0-3 or 0,2,4; CPUs 0..1023"},
    {"workers", "cpus = 3-1",
     "not a list of CPUs; accepted: a list like 0-3 or 0,2,4; CPUs 0..1023"},
    {"workers", "cpus = 1024",
     "not a list of CPUs; accepted: a list like 0-3 or 0,2,4; CPUs 0..1023"},
    {"workers", "cpus = 1,",
     "not a list of CPUs; accepted: a list like 0-3 or 0,2,4; CPUs 0..1023"},
    {"workers", "cpus = 99999999999999999999",
     "not a list of CPUs; accepted: a list like 0-3 or 0,2,4; CPUs 0..1023"},
    {"workers", "cpus = 0-1", "one CPU for each worker is accepted; CPUs: 2, workers: 1"},
};

static void wrong_values_are_refused_with_line_and_range(void **state)
{
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        refuses(wrong[i].section, wrong[i].entry, wrong[i].why);
}

static void the_ends_of_ranges_are_accepted(void **state)
{
    accepts("workers", "count = 64");
    accepts("log", "segment_bytes = 64k");
    accepts("log", "segment_bytes = 16g");
    accepts("redis", "address = unix:/run/redis/redis.sock");
    accepts("metrics", "listen = 127.0.0.1:9460");
    accepts("metrics", "listen = [::1]:9460");
    accepts("redis", "address = h:65535");
    accepts("api", "mode = 777");
    accepts("eal", "mbufs = 4096");
    accepts("eal", "memory_mb = 0");
    accepts("limits", "items_max = 1000000");
}

static void wrong_ports_are_refused(void **state)
{
    refuses_port("queues = 17", "too large; accepted: 1..16");
    refuses_port("mtu = 100", "too small; accepted: 0, 576..9600");
    refuses_port("interface = a-very-long-name",
                 "too long (16 characters); accepted: an interface name of 1..15 "
                 "characters");
    refuses_port("interface = a b",
                 "no interface can have this name; accepted: an interface name of 1..15 "
                 "characters");
    refuses_port("device = net_af_xdp0,iface=eth0",
                 "AF_XDP ports are given with interface = NAME; accepted: a "
                 "DPDK device of 1..255 characters, no spaces");
    fails_at(3, "[port a]\ninterface = eth0\ndevice = net_null0\n[orders]\nkeys = @K\n",
             "[port a]: interface and device both given; accepted: one of them");
    fails_at(1, "[port a]\nqueues = 1\n[orders]\nkeys = @K\n",
             "[port a]: neither interface nor device; accepted: one of them");
    fails_at(3, "[port a]\ndevice = net_null0\ngeneric = no\n[orders]\nkeys = @K\n",
             "[port a] generic: has no meaning with device; accepted: with interface");
    fails_at(6, GOOD "[port b]\ninterface = eth0\n",
             "[port b] interface = eth0: is port a already; accepted: each once");
    fails_at(5, GOOD "[port a]\ninterface = eth1\n",
             "[port a]: given twice, first in line 1; accepted: once");
    fails_at(5, GOOD "[port]\ninterface = eth1\n",
             "[port]: bad name of a port; accepted: [port NAME], 1..31 letters, digits, . _ -");
}

static void too_many_ports_are_refused(void **state)
{
    char text[2048] = "[orders]\nkeys = @K\n";

    for (int i = 0; i <= FG_PORT_MAX; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text),
                 "[port p%d]\ndevice = net_null%d\n", i, i);
    fails_at(3 + 2 * FG_PORT_MAX, text, "[port p16]: too many ports; accepted: 1..16");
}

static void missing_settings_are_refused(void **state)
{
    fails_at(2, "[port a]\ninterface = eth0\n",
             "[orders] keys: missing; accepted: an absolute path of 1..255 characters, of a "
             "readable file");
    fails_at(2, "[orders]\nkeys = @K\n", "[port NAME]: missing; accepted: 1..16 ports");
    fails_at(6, GOOD "[redis]\nuser = me\n",
             "[redis] address: missing; accepted: host:port, [v6]:port or unix:/path, several with "
             "commas between");
    fails_at(6, GOOD "[postgres]\nschema = s\n",
             "[postgres] conninfo: missing; accepted: a connection string of libpq");
    fails_at(6, GOOD "[kafka]\ntopic = t\n",
             "[kafka] brokers: missing; accepted: host:port[,host:port ...]");
    assert_int_equal(check(""), 2);
    assert_int_equal(check("[port a]\ninterface = eth0\n[orders]\nkeys = /tmp\n"), 1);
    assert_non_null(strstr(report, ":4: [orders] keys = /tmp: not a file; accepted: "));
    assert_int_equal(unlink(keys), 0);
    assert_int_equal(check(GOOD), 1);
    assert_non_null(strstr(report, ":4: [orders] keys = "));
    assert_non_null(strstr(report, ": no such file; accepted: "));
    put(keys, "x", 1);
}

#define PAIR                                                                                       \
    GOOD "[pair]\nenabled = yes\nnode = 0\nlisten = 192.0.2.1:4610\npeer = 192.0.2.2:4610\n"       \
         "tls_ca = @K\ntls_cert = @K\ntls_key = @K\narbiter = h:2379\n" /* 13 lines */

static void a_pair_needs_its_settings_only_when_it_is_enabled(void **state)
{
    assert_int_equal(check(GOOD "[pair]\nnode = 1\narbiter = h:1\n"), 0);
    assert_false(config.pair.enabled);
    assert_int_equal(config.pair.suspect_ms, 250);
    assert_string_equal(config.pair.arbiter.prefix, "floodgate/pair/");
    if (check(PAIR "arbiter_tls_ca = @K\naddress = 192.0.2.9/24 at eth0,2001:db8::9/64 at eth1\n"))
        fail_msg("%s", report);
    assert_true(config.pair.enabled);
    assert_int_equal(config.pair.node, 0);
    assert_string_equal(config.pair.peer, "192.0.2.2:4610");
    assert_string_equal(config.pair.arbiter.endpoints, "h:2379");
    assert_true(config.pair.arbiter.tls);
    assert_int_equal(check(GOOD "[pair]\nenabled = yes\n"), 7);
    assert_non_null(
        strstr(report, ":6: [pair] node: missing in an enabled pair; accepted: 0..1\n"));
    assert_non_null(strstr(report, ":6: [pair] peer: missing in an enabled pair; accepted: "));
    assert_non_null(strstr(report, ":6: [pair] tls_ca: missing in an enabled pair; accepted: "));
    assert_non_null(strstr(report, ":6: [pair] tls_cert: missing"));
    assert_non_null(strstr(report, ":6: [pair] tls_key: missing"));
    assert_non_null(strstr(report, ":6: [pair] arbiter: missing"));
}

static void a_fleet_needs_its_settings_only_when_it_is_enabled(void **state)
{
    assert_int_equal(check(GOOD "[fleet]\nmember = 3\n"), 0);
    assert_false(config.limits.fleet);
    assert_int_equal(check(GOOD "[fleet]\nenabled = yes\nmember = 1\nmembers = 2\netcd = h:1\n"),
                     0);
    assert_true(config.fleet.enabled);
    assert_true(config.limits.fleet);
    assert_int_equal(config.limits.waiting_max, 0);
    assert_int_equal(config.fleet.shards, 256);
    assert_int_equal(config.fleet.version, 1);
    assert_string_equal(config.fleet.etcd.prefix, "floodgate/");
    assert_int_equal(check(GOOD "[fleet]\nenabled = yes\nmembers = 2\n"), 2);
    assert_non_null(strstr(report, "[fleet] member: missing in an enabled fleet; accepted: 0..15"));
    assert_non_null(strstr(report, "[fleet] etcd: missing in an enabled fleet"));
    assert_int_equal(check(GOOD "[fleet]\nenabled = yes\nmember = 2\nmembers = 2\netcd = h:1\n"),
                     1);
    assert_non_null(strstr(report, "[fleet] member = 2: there are 2 members; accepted: 0..1"));
    assert_int_equal(check(GOOD "[fleet]\nenabled = yes\nmember = 1\nmembers = 4\nshards = 2\n"
                                "etcd = h:1\n"),
                     1);
    assert_non_null(strstr(report, "[fleet] shards = 2: fewer than members; accepted: 4..1024"));
    assert_int_equal(check(GOOD "[fleet]\netcd = unix:/run/etcd\n[pair]\n"
                                "arbiter = a:1,b:1,c:1,d:1,e:1,f:1,g:1,h:1,i:1,j:1\n"),
                     2);
    assert_non_null(strstr(report, "[fleet] etcd = unix:/run/etcd: not such addresses; accepted: "
                                   "host:port or [v6]:port, up to 9 with commas between"));
    assert_non_null(strstr(report, "[pair] arbiter = a:1,b:1"));
    assert_int_equal(check(GOOD "[fleet]\nenabled = yes\nmember = 0\nmembers = 1\netcd = h:1\n"
                                "etcd_user = a\n[limits]\nwaiting_max = 9\n"),
                     2);
    assert_non_null(strstr(report, "[fleet]: etcd_user and etcd_password_file: one of them"));
    assert_non_null(strstr(report, "[limits] waiting_max = 9: no waiting lists in a fleet"));
}

static void settings_of_a_pair_that_do_not_fit_are_refused(void **state)
{
    fails_at(14, PAIR "suspect_ms = 74\n",
             "[pair] suspect_ms = 74: less than three heartbeats; accepted: 75..60000");
    fails_at(15, PAIR "[log]\ndurability = memory\n",
             "[log] durability = memory: not in a pair; accepted: disk");
    fails_at(14, PAIR "arbiter_user = me\n",
             "[pair]: arbiter_user and arbiter_password_file: one of them is missing; accepted: "
             "both or none");
    fails_at(15, PAIR "arbiter_tls_ca = @K\narbiter_tls_cert = @K\n",
             "[pair]: arbiter_tls_cert and arbiter_tls_key: one of them is missing; accepted: both "
             "or none");
    fails_at(14, PAIR "arbiter_tls_cert = @K\narbiter_tls_key = @K\n",
             "[pair] arbiter_tls_cert: without arbiter_tls_ca");
    assert_int_equal(check(PAIR "[log]\nring = 64\n"), 0);
    fails_at(9,
             GOOD "[pair]\nenabled = yes\nnode = 0\nlisten = [::1]:1\npeer = [::1]:1\n"
                  "tls_ca = @K\ntls_cert = @K\ntls_key = @K\narbiter = h:2379\n",
             "[pair] peer = [::1]:1: is listen as well; accepted: the other appliance's");
}

static void addresses_of_a_pair_are_taken_strictly(void **state)
{
    static const char *const lists[] = {"192.0.2.9",
                                        "192.0.2.9/24",
                                        "192.0.2.9/24 at",
                                        "192.0.2.9/33 at eth0",
                                        "192.0.2.9/0 at eth0",
                                        "192.0.2.9/24 on eth0",
                                        "192.0.2.9/24 at eth0 eth1",
                                        "192.0.2.9/24 at an-interface-too-long",
                                        "192.0.2.9/24 at eth0,",
                                        "192.0.2.9/24 at eth0, 192.0.2.9/24 at eth1",
                                        "127.0.0.1/8 at lo",
                                        "224.0.0.1/8 at eth0",
                                        "fe80::1/64 at eth0",
                                        "2001:db8::9/129 at eth0"};
    char text[200];

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        snprintf(text, sizeof(text), "address = %s", lists[i]);
        refuses("pair", text,
                "not a list of unicast addresses at interfaces; accepted: 1..8 `ADDRESS/PREFIX at "
                "INTERFACE`, separated by commas");
    }
    accepts("pair", "address = 192.0.2.9/32 at eth0.7, 2001:db8::9/128 at eth0.7");
}

static void duplicates_are_refused(void **state)
{
    fails_at(7, GOOD "[workers]\nburst = 1\nburst = 2\n",
             "[workers] burst = 2: given twice, first in line 6; accepted: once");
    fails_at(5, GOOD "[orders]\nport = 1\n",
             "[orders]: given twice, first in line 3; accepted: once");
}

static void lines_that_are_no_ini_are_refused(void **state)
{
    fails_at(5, GOOD "[wrokers]\ncount = 1\n",
             "[wrokers]: no such section; accepted: [port NAME], [workers], [eal], [orders], "
             "[filter], [penalty], "
             "[log], [redis], [postgres], [kafka], [pair], [fleet], [api], [metrics], [limits]");
    fails_at(1, "count = 1\n" GOOD, "count: comes before the first [section]");
    fails_at(6, GOOD "[workers]\nspeed = 1\n",
             "[workers] speed: no such setting; accepted: count, cpus, idle, burst, handoff");
    fails_at(6, GOOD "[workers]\nCount = 1\n",
             "[workers] Count: no such setting; accepted: count, cpus, idle, burst, handoff");
    fails_at(5, GOOD "yes\n", "neither [SECTION] nor key = value nor # comment");
    fails_at(6, GOOD "[redis]\npassword S3CRET\n",
             "password: neither [SECTION] nor key = value nor # comment");
    assert_null(strstr(report, "S3CRET"));
    fails_at(6, GOOD "[log]\n dir: /x\n", "dir: neither [SECTION] nor key = value nor # comment");
    fails_at(5, GOOD "[log\ndir = /x\n", "a section is [NAME] alone on its line");
    fails_at(5, GOOD "[log] dir = /x\n", "a section is [NAME] alone on its line");
    fails_at(5, GOOD "[]\n", "section name of 0 characters; accepted: 1..63");
    fails_at(5, GOOD " = 1\n", "key of 0 characters; accepted: 1..63");
    fails_at(6, GOOD "[redis]\naddress = h\\#:1\n",
             "\\#: a value cannot hold #, which starts a comment");
}

static void lines_too_long_are_refused(void **state)
{
    char text[2048], long_word[301], wanted[512];

    memset(long_word, 'x', 300);
    long_word[300] = '\0';
    snprintf(text, sizeof(text), GOOD "[log]\ndir = /%s\n", long_word);
    snprintf(wanted, sizeof(wanted),
             "[log] dir = /%s: too long (301 characters); accepted: an absolute path of 1..255 "
             "characters",
             long_word);
    fails_at(6, text, wanted);
    accepts("redis", "address = h:1, [::1]:2,unix:/s");
    assert_string_equal(config.redis.address, "h:1, [::1]:2,unix:/s");
    snprintf(text, sizeof(text), GOOD "[%.64s]\n", long_word);
    assert_int_equal(check(text), 1);
    assert_non_null(strstr(report, ":5: section name of 64 characters; accepted: 1..63"));
    snprintf(text, sizeof(text), GOOD "%.64s = 1\n", long_word);
    assert_int_equal(check(text), 1);
    assert_non_null(strstr(report, "key of 64 characters; accepted: 1..63"));
    snprintf(text, sizeof(text), GOOD "# %s %s\n", long_word,
             long_word); /* a comment may be long */
    assert_int_equal(check(text), 0);
    put(path, "[a]\nb\0c = 1\n", 12);
    assert_false(fg_config_load(&config, path, NULL));
}

static void every_problem_is_reported(void **state)
{
    char text[4096] = GOOD;
    struct fg_error err;

    assert_int_equal(
        check(GOOD "[workers]\ncount = 0\nnonsense\nidle = x\n[what]\n[limits]\nitems_max = x\n"),
        5);
    assert_non_null(strstr(report, ":6: [workers] count"));
    assert_non_null(strstr(report, ":7: neither"));
    assert_non_null(strstr(report, ":8: [workers] idle"));
    assert_non_null(strstr(report, ":9: [what]"));
    assert_non_null(strstr(report, ":11: [limits] items_max"));
    assert_false(fg_config_load(&config, path, &err));
    assert_non_null(strstr(err.text, ":6: [workers] count = 0: too small; accepted: 1..64\n"));
    for (int i = 0; i < 200; i++)
        strcat(text, "bad line\n");
    assert_int_equal(check(text), 200);
    assert_non_null(strstr(report, ":104: neither"));
    assert_null(strstr(report, ":105: neither"));
    assert_non_null(strstr(report, ": 100 more problems\n"));
    assert_false(fg_config_load(&config, path, &err));
    assert_non_null(strstr(err.text, " more problems)"));
}

static void a_missing_file_is_refused(void **state)
{
    struct fg_error err;

    assert_false(fg_config_load(&config, "/nonexistent/floodgate.conf", &err));
    assert_string_equal(err.text,
                        "/nonexistent/floodgate.conf:1: cannot be read: No such file or directory");
    assert_false(fg_config_load(&config, dir, &err));
    assert_non_null(strstr(err.text, "cannot be read: Is a directory"));
}

static void the_password_comes_from_its_file_and_is_never_shown(void **state)
{
    put(secret, "open sesame\nrest\n", 17);
    if (check(GOOD "[redis]\naddress = h:1\npassword_file = @S\n"))
        fail_msg("%s", report);
    assert_string_equal(config.redis.password, "open sesame");
    assert_int_equal(check(GOOD "[redis]\naddress = h:1\npassword = a\npassword_file = @S\n"), 1);
    assert_non_null(strstr(report, ":8: [redis]: password and password_file both given"));
    put(secret, "\n", 1);
    assert_int_equal(check(GOOD "[redis]\naddress = h:1\npassword_file = @S\n"), 1);
    assert_non_null(strstr(report, "first line is empty; accepted: 1..1023 characters"));
    assert_int_equal(check(GOOD "[redis]\naddress = h:1\npassword = hush\npassword = hush\n"), 1);
    assert_null(strstr(report, "hush"));
}

/* Each line is wrong in a way of its own, and holds S3CRET where a person may put it. */
static void no_message_shows_a_secret(void **state)
{
    static const char *const texts[] = {
        GOOD "[redis]\naddress = h:1\npassword S3CRET\n",
        GOOD "[redis]\naddress = h:1\npassword: S3CRET\n",
        GOOD "[redis]\naddress = h:1\nS3CRET\n",
        GOOD "[redis]\naddress = h:1\npasswrd = S3CRET\n",
        GOOD "[redis]\naddress = h:1\nS3CRETS3CRETS3CRETS3CRET==\n",
        GOOD "[redis]\naddress = h:1\nS3CRET/+S3CRET = 1\n",
        GOOD "[redis] password = S3CRET\n",
        GOOD "[redis password = S3CRET\n",
        GOOD "[redis]\naddress = me:S3CRET@h\n",
        GOOD "[redis]\naddress = h:1\npassword = S3CRET\npassword = S3CRET\n",
        GOOD "[redis]\naddress = h:1\npassword = S3CRET\\#\n",
        GOOD "[redis]\naddress = h:1\npassword_file = S3CRET\n",
        GOOD "[postgres]\nconninfo = host=h\npassword = S3CRET\n",
        GOOD "[postgres]\nconninfo = password=S3CRET\nconninfo = password=S3CRET\n",
        GOOD "[kafka]\nbrokers = h\nsasl.password = S3CRET\n",
        GOOD "[orders]\nkeys = 1 shop S3CRET\n",
        "password = S3CRET\n" GOOD,
        "[port a]\ninterface = eth0\n[orders]\nkeys = 1 shop S3CRET\n",
    };
    char text[2048], many[200];

    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_not_equal(check(texts[i]), 0);
        if (strstr(report, "S3CRET"))
            fail_msg("text %u: %s", i, report);
    }
    for (size_t i = 0; i + 6 < sizeof(many); i += 6)
        memcpy(many + i, "S3CRET", 7);
    snprintf(text, sizeof(text), GOOD "[redis]\npassword = %s%s\n%s = 1\n[%s]\n", many, many, many,
             many);
    assert_int_equal(check(text), 3);
    assert_null(strstr(report, "S3CRET"));
}

static char *read_source(const char *name)
{
    const char *root = getenv("FG_SOURCE");
    char file[512];
    char *text = calloc(1, 1 << 17);
    FILE *f;

    assert_non_null(root);
    snprintf(file, sizeof(file), "%s/%s", root, name);
    f = fopen(file, "r");
    if (!f)
        fail_msg("cannot read %s", file);
    assert_true(fread(text, 1, (1 << 17) - 1, f) > 0);
    fclose(f);
    return text;
}

/* With FG_UPDATE=1 in the environment the file is rewritten instead, for a person to look through.
 */
static void same_or_update(const char *name, const char *text, const char *expected)
{
    char file[512];

    if (!getenv("FG_UPDATE")) {
        assert_string_equal(text, expected);
        return;
    }
    snprintf(file, sizeof(file), "%s/%s", getenv("FG_SOURCE"), name);
    put(file, expected, strlen(expected));
}

static void the_sample_is_what_describe_writes_and_loads(void **state)
{
    char *sample = read_source("config/floodgate.conf"), *described = NULL, *at;
    char text[1 << 16];
    size_t size;
    FILE *out = open_memstream(&described, &size);

    fg_config_describe(out);
    fclose(out);
    same_or_update("config/floodgate.conf", sample, described);
    at = strstr(sample, "\nkeys = ");
    assert_non_null(at);
    snprintf(text, sizeof(text), "%.*s\nkeys = %s%s", (int)(at - sample), sample, keys,
             strchr(at + 1, '\n'));
    put(path, text, strlen(text));
    assert_int_equal(fg_config_check(&config, path, stderr), 0);
    assert_string_equal(config.ports[0].name, "shop");
    free(sample);
    free(described);
}

/* With every # in front of `key = value` removed, each sample value must be one that is accepted;
 * interface and device exclude each other, as do password and password_file. */
static void every_value_of_the_sample_is_accepted(void **state)
{
    char why[160];
    struct fg_port_options port;

    for (unsigned i = 0; i < fg_config_settings_count; i++) {
        const struct fg_config_setting *s = &fg_config_settings[i];
        const char *value = s->sample ? s->sample : s->initial;

        if (s->kind == FG_CONFIG_KIND_FILE)
            continue; /* names files of the operator */
        assert_true(value[0]);
        if (!fg_config_setting_parse(s, value,
                                     strcmp(s->section, "port") ? (void *)&config : (void *)&port,
                                     why, sizeof(why)))
            fail_msg("[%s] %s = %s: %s", s->section, s->key, value, why);
    }
}

/* The table of a section as docs/configuration.md has it below `## [section]`. */
static void write_table(const char *section, FILE *out)
{
    fprintf(out, "| setting | default | accepted | meaning |\n|---|---|---|---|\n");
    for (unsigned i = 0; i < fg_config_settings_count; i++) {
        const struct fg_config_setting *s = &fg_config_settings[i];
        char accepted[160];

        if (strcmp(s->section, section))
            continue;
        fg_config_setting_accepted(s, accepted, sizeof(accepted));
        fprintf(out, "| `%s` | %s | %s | %s |\n", s->key,
                s->initial[0]                       ? s->initial
                : s->flags & FG_CONFIG_SET_REQUIRED ? "required"
                                                    : "none",
                accepted, s->text);
    }
}

/* The page with the tables replaced by what the settings say. */
static char *page_with_tables(const char *page)
{
    char *result = NULL, heading[64];
    size_t size;
    FILE *out = open_memstream(&result, &size);

    for (const struct fg_config_section *section = fg_config_sections; section->name; section++) {
        const char *found, *table, *end;

        snprintf(heading, sizeof(heading), "\n## [%s%s]\n", section->name,
                 strcmp(section->name, "port") ? "" : " NAME");
        found = strstr(page, heading); /* the sections come in the order of the sample */
        if (!found)
            fail_msg("no heading %s", heading);
        table = strstr(found, "| setting |");
        end = table ? strstr(table, "|\n\n") : NULL;
        if (table && !end && strlen(table) > 2)
            end = table + strlen(table) - 2; /* the page ends with the table */
        if (!end)
            fail_msg("no table below %s", heading);
        fprintf(out, "%.*s", (int)(table - page), page);
        write_table(section->name, out);
        page = end + 2;
    }
    fprintf(out, "%s", page);
    fclose(out);
    return result;
}

static void the_docs_have_the_tables_of_the_settings(void **state)
{
    char *page = read_source("docs/configuration.md"), *expected = page_with_tables(page);

    same_or_update("docs/configuration.md", page, expected);
    free(page);
    free(expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_in_force),
        cmocka_unit_test(defaults_of_filter_and_log),
        cmocka_unit_test(defaults_of_the_rest),
        cmocka_unit_test(values_and_units_are_read),
        cmocka_unit_test(cpus_go_to_workers_in_order),
        cmocka_unit_test(wrong_values_are_refused_with_line_and_range),
        cmocka_unit_test(the_ends_of_ranges_are_accepted),
        cmocka_unit_test(wrong_ports_are_refused),
        cmocka_unit_test(too_many_ports_are_refused),
        cmocka_unit_test(missing_settings_are_refused),
        cmocka_unit_test(a_pair_needs_its_settings_only_when_it_is_enabled),
        cmocka_unit_test(a_fleet_needs_its_settings_only_when_it_is_enabled),
        cmocka_unit_test(settings_of_a_pair_that_do_not_fit_are_refused),
        cmocka_unit_test(addresses_of_a_pair_are_taken_strictly),
        cmocka_unit_test(duplicates_are_refused),
        cmocka_unit_test(lines_that_are_no_ini_are_refused),
        cmocka_unit_test(lines_too_long_are_refused),
        cmocka_unit_test(every_problem_is_reported),
        cmocka_unit_test(a_missing_file_is_refused),
        cmocka_unit_test(the_password_comes_from_its_file_and_is_never_shown),
        cmocka_unit_test(no_message_shows_a_secret),
        cmocka_unit_test(the_sample_is_what_describe_writes_and_loads),
        cmocka_unit_test(every_value_of_the_sample_is_accepted),
        cmocka_unit_test(the_docs_have_the_tables_of_the_settings),
    };
    return cmocka_run_group_tests_name("config", tests, set_up, tear_down);
}
