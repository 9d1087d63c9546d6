/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * config: the ini file of the daemon as one checked struct. Every setting has a default,
 * a minimum and a maximum, declared once in config.c; a wrong one is refused with file, line, value
 * and accepted range. Called once at start-up, from the main thread.
 */
#ifndef FG_CONFIG_H
#define FG_CONFIG_H

#include "base/base.h"
#include "control/options.h"
#include "filter/options.h"
#include "frame/frame.h"
#include "inbound/options.h"
#include "journal/options.h"
#include "member/options.h"
#include "penalty/penalty.h"
#include "port/options.h"
#include "replication/options.h"
#include "sink/sink.h"
#include "stock/stock.h"
#include "worker/options.h"

#define FG_CONFIG_SETTINGS_MAX 192 /* rows of the table of settings */

struct fg_config {
    char path[512]; /**< of the file */
    struct {        /* line numbers, for messages; 0 = not given */
        unsigned setting[FG_CONFIG_SETTINGS_MAX], port[FG_PORT_MAX], last;
    } lines;
    struct fg_port_options ports[FG_PORT_MAX];
    unsigned ports_count;
    struct fg_worker_options workers;
    struct fg_port_eal_options eal;
    struct {            /* [orders] */
        uint16_t port;  /**< UDP; the first one */
        bool steer;     /**< a port for each worker, from `port` on */
        unsigned trace; /**< orders of a million whose steps are kept */
        char keys[512]; /**< key file */
    } orders;
    struct fg_filter_settings filter;
    struct fg_penalty_options penalty; /* [penalty]; v6_prefix and seed are not settings */
    struct fg_journal_settings log;
    struct fg_redis_options redis;
    struct fg_sink_postgres_options postgres;
    struct fg_sink_kafka_options kafka;
    struct fg_inbound_settings inbound; /* [redis] commands */
    struct fg_replication_settings pair;
    struct fg_member_settings fleet;
    struct fg_control_options api;
    struct fg_control_viewer_options metrics;
    struct fg_stock_limits limits; /* of the whole appliance */
};

/** Reads and checks. On failure err holds one line a problem (as many as fit), each `FILE:LINE:
 * ...`. */
bool fg_config_load(struct fg_config *config, const char *path, struct fg_error *err);

/** As fg_config_load, but writes every problem to `out`, one line each; returns how many (0 = the
 * file is good). For `floodgate --check`. */
unsigned fg_config_check(struct fg_config *config, const char *path, FILE *out);

/**
 * The line of a setting, for messages: its own, or the last line of the file when it is not given.
 */
unsigned fg_config_line(const struct fg_config *config, const char *section, const char *key);
/** The line of a port's header. */
unsigned fg_config_port_line(const struct fg_config *config, unsigned port);

/** Writes all settings with defaults, ranges and meaning as a commented ini file. docs and --help
 * come from it. */
void fg_config_describe(FILE *out);

/** Order ports, from orders.port on. */
static inline unsigned fg_config_order_ports(const struct fg_config *config)
{
    return config->orders.steer ? config->workers.count : 1;
}

/** CPU of worker `index` from `cpus`, or -1 for any. */
int fg_config_cpu(const struct fg_config *config, unsigned index);

#endif
