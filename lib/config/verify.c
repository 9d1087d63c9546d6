/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks over several settings: required ones, ones that exclude each other, ones that need each
 * other. */
#include <errno.h>
#include <string.h>

#include "config/settings.h"
#include "filter/filter.h"
#include "fleet/map.h"

static unsigned at(const char *section, const char *key)
{
    const struct fg_config_setting *s = fg_config_setting_find(section, key);

    FG_ASSERT(s);
    return (unsigned)(s - fg_config_settings);
}

/* Line of the setting, or of the end of the file when it is not given. */
static unsigned line_of(const struct fg_config_given *given, const char *section, const char *key)
{
    unsigned line = given->global[at(section, key)];

    return line ? line : given->last_line;
}

static void check_required(const struct fg_config_given *given, struct fg_config_problems *problems)
{
    for (unsigned i = 0; i < fg_config_settings_count; i++) {
        const struct fg_config_setting *s = &fg_config_settings[i];
        char accepted[160];

        if (!(s->flags & FG_CONFIG_SET_REQUIRED) || given->global[i])
            continue;
        fg_config_setting_accepted(s, accepted, sizeof(accepted));
        fg_config_problem(problems, given->last_line, "[%s] %s: missing; accepted: %s", s->section,
                          s->key, accepted);
    }
}

static void refuse_without_interface(const struct fg_port_options *port, const unsigned *given,
                                     const char *key, struct fg_config_problems *problems)
{
    unsigned line = given[at(FG_CONFIG_PORT_SECTION, key)];

    if (line)
        fg_config_problem(problems, line,
                          "[port %s] %s: has no meaning with device; accepted: with interface",
                          port->name, key);
}

static void check_port(struct fg_config *config, unsigned index,
                       const struct fg_config_given *given, struct fg_config_problems *problems)
{
    struct fg_port_options *port = &config->ports[index];
    const unsigned *lines = given->port[index];
    unsigned interface = lines[at(FG_CONFIG_PORT_SECTION, "interface")];
    unsigned device = lines[at(FG_CONFIG_PORT_SECTION, "device")];

    port->af_xdp = interface != 0;
    if (interface && device)
        fg_config_problem(problems, interface > device ? interface : device,
                          "[port %s]: interface and device both given; accepted: one of them",
                          port->name);
    else if (!interface && !device)
        fg_config_problem(problems, given->port_line[index],
                          "[port %s]: neither interface nor device; accepted: one of them",
                          port->name);
    else if (device) {
        refuse_without_interface(port, lines, "generic", problems);
        refuse_without_interface(port, lines, "busy_budget", problems);
    }
    for (unsigned i = 0; i < index; i++)
        if (port->device[0] && !strcmp(config->ports[i].device, port->device))
            fg_config_problem(problems, interface ? interface : device,
                              "[port %s] %s = %s: is port %s already; accepted: each once",
                              port->name, interface ? "interface" : "device", port->device,
                              config->ports[i].name);
}

static void check_workers(const struct fg_config *config, const struct fg_config_given *given,
                          struct fg_config_problems *problems)
{
    const char *cpus = config->workers.cpus;
    int n = cpus[0] ? fg_config_cpu_list(cpus, NULL, 0) : -1;

    if (n >= 0 && (unsigned)n != config->workers.count)
        fg_config_problem(
            problems, line_of(given, "workers", "cpus"),
            "[workers] cpus = %s: one CPU for each worker is accepted; CPUs: %d, workers: %u", cpus,
            n, config->workers.count);
}

/* An AF_XDP queue cannot start without buffers for its fill ring (2048) and some to work with. */
static void check_mbufs(const struct fg_config *config, const struct fg_config_given *given,
                        struct fg_config_problems *problems)
{
    const unsigned least = 4096;
    bool af_xdp = false;

    for (unsigned i = 0; i < config->ports_count; i++)
        af_xdp |= config->ports[i].af_xdp;
    if (af_xdp && config->eal.mbufs < least)
        fg_config_problem(problems, line_of(given, "eal", "mbufs"),
                          "[eal] mbufs = %u: too small for AF_XDP ports; accepted: %u..%llu",
                          config->eal.mbufs, least,
                          (unsigned long long)fg_config_settings[at("eal", "mbufs")].max);
}

static void check_burst(const char *key, const struct fg_filter_rate_options *r,
                        const struct fg_config_given *given, struct fg_config_problems *problems)
{
    if (r->burst < fg_filter_burst_min(r->rate))
        fg_config_problem(problems, line_of(given, "filter", key),
                          "[filter] %s = %u: less than 10 ms of its rate; accepted: %u..%llu", key,
                          r->burst, fg_filter_burst_min(r->rate),
                          (unsigned long long)fg_config_settings[at("filter", key)].max);
}

static void check_bursts(const struct fg_config *config, const struct fg_config_given *given,
                         struct fg_config_problems *problems)
{
    if (!config->filter.enabled)
        return;
    check_burst("order_burst", &config->filter.order, given, problems);
    check_burst("syn_burst", &config->filter.syn, given, problems);
    check_burst("other_burst", &config->filter.other, given, problems);
}

/* Read again at each connection; here to say early that it cannot be. */
static void read_password(const char *section, const char *path, char password[FG_SECRET_MAX],
                          unsigned line, struct fg_config_problems *problems)
{
    struct fg_error err;

    if (!fg_secret_read(path, password, &err))
        fg_config_problem(problems, line, "[%s] %s", section, err.text);
}

/* A sink is on when its server is given, and then only may its other settings be. */
static bool check_sink(const char *section, const char *key, const char *accepted,
                       const struct fg_config_given *given, struct fg_config_problems *problems)
{
    bool on = given->global[at(section, key)] != 0;
    unsigned first = 0;

    for (unsigned i = 0; i < fg_config_settings_count; i++)
        if (!strcmp(fg_config_settings[i].section, section) && given->global[i] &&
            (!first || given->global[i] < first))
            first = given->global[i];
    if (first && !on)
        fg_config_problem(problems, first, "[%s] %s: missing; accepted: %s", section, key,
                          accepted);
    return on;
}

static void check_redis(struct fg_config *config, const struct fg_config_given *given,
                        struct fg_config_problems *problems)
{
    static const char *const tls_only[] = {"tls_ca", "tls_cert", "tls_key", "tls_server_name"};

    config->redis.enabled = check_sink(
        "redis", "address", "host:port, [v6]:port or unix:/path, several with commas between",
        given, problems);
    if (!config->redis.tls_cert[0] != !config->redis.tls_key[0])
        fg_config_problem(
            problems, line_of(given, "redis", config->redis.tls_cert[0] ? "tls_cert" : "tls_key"),
            "[redis]: tls_cert and tls_key: one of them is missing; accepted: both or none");
    for (size_t i = 0; i < sizeof(tls_only) / sizeof(tls_only[0]); i++)
        if (!config->redis.tls && given->global[at("redis", tls_only[i])])
            fg_config_problem(problems, line_of(given, "redis", tls_only[i]),
                              "[redis] %s: without tls = yes", tls_only[i]);
    if (config->redis.password_file[0]) {
        unsigned line = line_of(given, "redis", "password_file");

        if (given->global[at("redis", "password")])
            fg_config_problem(
                problems, line,
                "[redis]: password and password_file both given; accepted: one of them");
        else
            read_password("redis", config->redis.password_file, config->redis.password, line,
                          problems);
    }
}

static void check_postgres(struct fg_config *config, const struct fg_config_given *given,
                           struct fg_config_problems *problems)
{
    config->postgres.enabled =
        check_sink("postgres", "conninfo", "a connection string of libpq", given, problems);
    if (config->postgres.password_file[0])
        read_password("postgres", config->postgres.password_file, config->postgres.password,
                      line_of(given, "postgres", "password_file"), problems);
}

/* What a pair cannot be without. */
static const char *const pair_needs[] = {"node",     "listen",  "peer",   "tls_ca",
                                         "tls_cert", "tls_key", "arbiter"};

/* Of [section], whose settings of etcd begin with `name`. */
static void check_etcd(const char *section, const char *name, struct fg_arbiter_options *a,
                       const struct fg_config_given *given, struct fg_config_problems *problems)
{
    char cert[32], key[32], user[32], password_file[32];
    size_t len = strlen(a->prefix);

    snprintf(cert, sizeof(cert), "%s_tls_cert", name);
    snprintf(key, sizeof(key), "%s_tls_key", name);
    snprintf(user, sizeof(user), "%s_user", name);
    snprintf(password_file, sizeof(password_file), "%s_password_file", name);
    a->tls = a->tls_ca[0] != 0;
    if (len && a->prefix[len - 1] != '/')
        memcpy(a->prefix + len, "/", 2); /* the setting leaves room for it */
    if (!a->tls_cert[0] != !a->tls_key[0])
        fg_config_problem(problems, line_of(given, section, a->tls_cert[0] ? cert : key),
                          "[%s]: %s and %s: one of them is missing; accepted: both or none",
                          section, cert, key);
    if (a->tls_cert[0] && !a->tls)
        fg_config_problem(problems, line_of(given, section, cert), "[%s] %s: without %s_tls_ca",
                          section, cert, name);
    if (!a->user[0] != !a->password_file[0])
        fg_config_problem(problems, line_of(given, section, a->user[0] ? user : password_file),
                          "[%s]: %s and %s: one of them is missing; accepted: both or none",
                          section, user, password_file);
    if (a->password_file[0]) {
        char password[FG_SECRET_MAX];

        read_password(section, a->password_file, password, line_of(given, section, password_file),
                      problems);
        explicit_bzero(password, sizeof(password));
    }
}

/* Settings that must be given when the section is enabled. */
static void check_needs(const char *section, const char *of, const char *const *needs, size_t count,
                        const struct fg_config_given *given, struct fg_config_problems *problems)
{
    for (size_t i = 0; i < count; i++) {
        unsigned setting = at(section, needs[i]);
        char accepted[160];

        fg_config_setting_accepted(&fg_config_settings[setting], accepted, sizeof(accepted));
        if (!given->global[setting])
            fg_config_problem(problems, line_of(given, section, "enabled"),
                              "[%s] %s: missing in an enabled %s; accepted: %s", section, needs[i],
                              of, accepted);
    }
}

static void check_pair(struct fg_config *config, const struct fg_config_given *given,
                       struct fg_config_problems *problems)
{
    struct fg_replication_settings *p = &config->pair;

    check_etcd("pair", "arbiter", &p->arbiter, given, problems);
    if (!p->enabled)
        return;
    check_needs("pair", "pair", pair_needs, sizeof(pair_needs) / sizeof(pair_needs[0]), given,
                problems);
    if (p->listen[0] && !strcmp(p->listen, p->peer))
        fg_config_problem(problems, line_of(given, "pair", "peer"),
                          "[pair] peer = %s: is listen as well; accepted: the other appliance's",
                          p->peer);
    if (p->suspect_ms < 3 * p->heartbeat_ms)
        fg_config_problem(problems, line_of(given, "pair", "suspect_ms"),
                          "[pair] suspect_ms = %u: less than three heartbeats; accepted: %u..%llu",
                          p->suspect_ms, 3 * p->heartbeat_ms,
                          (unsigned long long)fg_config_settings[at("pair", "suspect_ms")].max);
    if (config->log.durability != FG_JOURNAL_DURABILITY_DISK)
        fg_config_problem(problems, line_of(given, "log", "durability"),
                          "[log] durability = memory: not in a pair; accepted: disk");
}

static void check_fleet(struct fg_config *config, const struct fg_config_given *given,
                        struct fg_config_problems *problems)
{
    static const char *const needs[] = {"member", "members", "etcd"};
    struct fg_member_settings *f = &config->fleet;

    check_etcd("fleet", "etcd", &f->etcd, given, problems);
    config->limits.fleet = f->enabled;
    if (!f->enabled)
        return;
    check_needs("fleet", "fleet", needs, sizeof(needs) / sizeof(needs[0]), given, problems);
    if (f->member >= f->members)
        fg_config_problem(problems, line_of(given, "fleet", "member"),
                          "[fleet] member = %u: there are %u members; accepted: 0..%u", f->member,
                          f->members, f->members - 1);
    if (f->shards < f->members)
        fg_config_problem(problems, line_of(given, "fleet", "shards"),
                          "[fleet] shards = %u: fewer than members; accepted: %u..%d", f->shards,
                          f->members, FG_FLEET_SHARDS_MAX);
    if (config->log.durability != FG_JOURNAL_DURABILITY_DISK)
        fg_config_problem(problems, line_of(given, "log", "durability"),
                          "[log] durability = memory: not in a fleet; accepted: disk");
    if (config->limits.waiting_max && given->global[at("limits", "waiting_max")])
        fg_config_problem(problems, line_of(given, "limits", "waiting_max"),
                          "[limits] waiting_max = %u: no waiting lists in a fleet; accepted: 0",
                          config->limits.waiting_max);
    config->limits.waiting_max = 0;
    config->redis.members = config->postgres.members = config->kafka.members = f->members;
    config->redis.member = config->postgres.member = config->kafka.member = f->member;
    if (config->pair.enabled)
        fg_config_problem(problems, line_of(given, "fleet", "enabled"),
                          "[fleet] enabled: not at one of a pair yet; accepted: no");
}

void fg_config_verify(struct fg_config *config, const struct fg_config_given *given,
                      struct fg_config_problems *problems)
{
    check_required(given, problems);
    if (!config->ports_count)
        fg_config_problem(problems, given->last_line, "[port NAME]: missing; accepted: 1..%d ports",
                          FG_PORT_MAX);
    for (unsigned i = 0; i < config->ports_count; i++)
        check_port(config, i, given, problems);
    check_workers(config, given, problems);
    if (config->orders.port + fg_config_order_ports(config) > UINT16_MAX + 1)
        fg_config_problem(
            problems, line_of(given, "orders", "port"),
            "[orders] port = %u: no room for %u order ports behind it (steer); accepted: up to %u",
            config->orders.port, config->workers.count, UINT16_MAX + 1 - config->workers.count);
    check_mbufs(config, given, problems);
    check_bursts(config, given, problems);
    check_redis(config, given, problems);
    check_postgres(config, given, problems);
    check_pair(config, given, problems);
    check_fleet(config, given, problems);
    config->kafka.enabled =
        check_sink("kafka", "brokers", "host:port[,host:port ...]", given, problems);
    if (config->log.segment_bytes % 64)
        fg_config_problem(
            problems, line_of(given, "log", "segment_bytes"),
            "[log] segment_bytes = %llu: not a multiple of 64; accepted: multiples of 64",
            (unsigned long long)config->log.segment_bytes);
}
