/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything outside the configuration file that can stop a start, or is worth a warning. `--check`
 * and the start run the same list, so that they agree. A check changes nothing and connects to
 * nothing.
 */
#include "doctor/start.h"

#include <inttypes.h>
#include <net/if.h>
#include <unistd.h>

#include "base/folder.h"
#include "control/viewer.h"
#include "journal/recover.h"
#include "journal/room.h"
#include "port/port.h"
#include "sink/group.h"
#include "stock/check_log.h"
#include "worker/group.h"

static bool check_keys(const struct fg_config *c, struct fg_error *err)
{
    struct fg_packet_keyring *keys = fg_packet_keyring_load(c->orders.keys, err);

    fg_packet_keyring_free(keys);
    return keys != NULL;
}

static bool check_cpus(const struct fg_config *c, struct fg_error *err)
{
    int cpus[FG_WORKERS_MAX];

    for (unsigned i = 0; i < c->workers.count; i++)
        cpus[i] = fg_config_cpu(c, i);
    return fg_port_check_cpus(cpus, c->workers.count, err);
}

static bool check_list(enum fg_filter_list list, const char *path, const struct fg_config *c,
                       struct fg_error *err)
{
    struct fg_filter_list_loaded loaded = {0};

    if (!path[0] || !c->filter.enabled)
        return true;
    return fg_filter_check_list(list, path, c->filter.prefixes_max, &loaded, err) && !loaded.wrong;
}

static bool check_block_file(const struct fg_config *c, struct fg_error *err)
{
    return check_list(FG_FILTER_LIST_BLOCK, c->filter.block_file, c, err);
}

static bool check_allow_file(const struct fg_config *c, struct fg_error *err)
{
    return check_list(FG_FILTER_LIST_ALLOW, c->filter.allow_file, c, err);
}

static bool check_redis(const struct fg_config *c, struct fg_error *err)
{
    return !c->redis.enabled || fg_sink_redis_check(&c->redis, err);
}

static bool check_postgres(const struct fg_config *c, struct fg_error *err)
{
    return !c->postgres.enabled || fg_sink_postgres_check(&c->postgres, err);
}

static bool check_kafka(const struct fg_config *c, struct fg_error *err)
{
    return !c->kafka.enabled || fg_sink_kafka_check(&c->kafka, err);
}

static bool check_socket(const struct fg_config *c, struct fg_error *err)
{
    return fg_control_check_socket(c->api.socket, err);
}

static bool check_group(const struct fg_config *c, struct fg_error *err)
{
    return fg_control_check_group(c->api.group, err);
}

static bool check_viewer(const struct fg_config *c, struct fg_error *err)
{
    return !c->api.viewer[0] || fg_control_check_socket(c->api.viewer, err);
}

static bool check_viewer_group(const struct fg_config *c, struct fg_error *err)
{
    return fg_control_check_group(c->api.viewer_group, err);
}

static bool check_metrics(const struct fg_config *c, struct fg_error *err)
{
    return !c->metrics.listen[0] || fg_control_check_viewer(c->metrics.listen, err);
}

static bool check_log(const struct fg_config *c, struct fg_error *err)
{
    struct fg_stock_limits limits = fg_worker_limits(&c->limits, c->workers.count);

    if (!fg_journal_found(c->log.dir))
        return true; /* a new log, or told elsewhere */
    return fg_stock_check_log(&limits, c->workers.count, c->log.dir, err);
}

static bool check_room(const struct fg_config *c, struct fg_error *err)
{
    return fg_journal_room_check(c->log.dir, &c->log, err);
}

static bool check_archive(const struct fg_config *c, struct fg_error *err)
{
    bool fault;

    return !c->log.archive[0] || fg_journal_archive_check(c->log.archive, c->log.dir, &fault, err);
}

enum { WARNING = 1, CHECK_ONLY = 2 };

static const struct {
    const char *section, *key;
    bool (*check)(const struct fg_config *c, struct fg_error *err);
    unsigned flags;
} checks[] = {
    {"workers", "cpus", check_cpus, 0},
    {"orders", "keys", check_keys, 0},
    {"filter", "block_file", check_block_file,
     WARNING | CHECK_ONLY}, /* the start tells what it left out */
    {"filter", "allow_file", check_allow_file, WARNING | CHECK_ONLY},
    {"redis", "address", check_redis, 0},
    {"postgres", "conninfo", check_postgres, 0},
    {"kafka", "properties_file", check_kafka, 0},
    {"api", "socket", check_socket, 0},
    {"api", "group", check_group, 0},
    {"api", "viewer", check_viewer, 0},
    {"api", "viewer_group", check_viewer_group, 0},
    {"metrics", "listen", check_metrics, 0},
    {"limits", "orders_max", check_log, CHECK_ONLY},
    {"log", "keep_bytes", check_room, WARNING | CHECK_ONLY},
    {"log", "archive", check_archive, WARNING}, /* the sale does not depend on it */
};

static unsigned check_interfaces(const struct fg_config *c, fg_doctor_start_tell *tell, void *ctx)
{
    unsigned problems = 0;

    for (unsigned i = 0; i < c->ports_count; i++) {
        char text[1200];

        struct fg_error err = {""};

        if (!c->ports[i].af_xdp)
            continue;
        if (!if_nametoindex(c->ports[i].device))
            fg_fail(&err, "no interface %s here", c->ports[i].device);
        else if (fg_port_check_queues(&c->ports[i], &err))
            continue;
        snprintf(text, sizeof(text), "%s:%u: [port %s]: %.500s", c->path, fg_config_port_line(c, i),
                 c->ports[i].name, err.text);
        tell(ctx, false, text);
        problems++;
    }
    return problems;
}

static void tell_of(const struct fg_config *c, const char *section, const char *key, bool warning,
                    const char *why, fg_doctor_start_tell *tell, void *ctx)
{
    char text[1200];

    snprintf(text, sizeof(text), "%s:%u: [%s] %s: %s%s", c->path, fg_config_line(c, section, key),
             section, key, warning ? "warning: " : "", why);
    tell(ctx, warning, text);
}

/* The log itself: there when one is expected, and not there when a new one begins. */
static unsigned check_log_folder(const struct fg_config *c, bool new_log,
                                 fg_doctor_start_tell *tell, void *ctx)
{
    struct fg_error err = {""};

    if (fg_folder_check(c->log.dir, true, &err) && fg_journal_wanted(c->log.dir, new_log, &err))
        return 0;
    tell_of(c, "log", "dir", false, err.text, tell, ctx);
    return 1;
}

unsigned fg_doctor_start_check(const struct fg_config *c, bool start, bool new_log,
                               fg_doctor_start_tell *tell, void *ctx)
{
    unsigned problems = check_interfaces(c, tell, ctx) + check_log_folder(c, new_log, tell, ctx);

    for (unsigned i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        bool warning = checks[i].flags & WARNING;
        struct fg_error err = {""};

        if ((start && checks[i].flags & CHECK_ONLY) || checks[i].check(c, &err))
            continue;
        tell_of(c, checks[i].section, checks[i].key, warning, err.text, tell, ctx);
        problems += !warning;
    }
    return problems;
}
