/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * config: the ini file of the daemon as one checked struct. Every setting has a default,
 * a minimum and a maximum, declared once in config.c; a wrong one is refused with file, line, value
 * and accepted range. Called once at start-up, from the main thread.
 */
#ifndef FG_CONFIG_H
#define FG_CONFIG_H

#include "base/base.h"
#include "frame/frame.h"
#include "penalty/penalty.h"
#include "port/options.h"
#include "sink/sink.h"
#include "worker/options.h"

#define FG_CONFIG_SETTINGS_MAX 128 /* rows of the table of settings */

enum fg_journal_durability { FG_DURABILITY_DISK, FG_DURABILITY_MEMORY };
enum fg_journal_behind { FG_BEHIND_STOP, FG_BEHIND_SELL };

struct fg_filter_rate_options { /* of one class of packets; 0 packets/s = no limit */
    uint32_t rate;
    uint32_t burst;
};

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
        char keys[512]; /**< key file */
    } orders;
    struct { /* [filter] */
        bool enabled;
        char pins[256];                      /**< folder on a bpffs for link and maps */
        struct fg_filter_rate_options order; /**< order packets of one source */
        struct fg_filter_rate_options syn;   /**< connection attempts of one source */
        struct fg_filter_rate_options other; /**< everything else of one source */
        uint32_t sources_max;                /**< entries of the table of sources */
        uint32_t prefixes_max;               /**< entries of both lists together */
        uint32_t net_factor;  /**< what a /24 or /48 may send, in what a source may */
        uint32_t sample_rate; /**< of dropped packets, per second, verdict and CPU */
        bool monitor;         /**< drop nothing */
        unsigned v6_prefix;   /**< bits of an IPv6 address that make a source */
        char block_file[256], allow_file[256]; /**< lists for a start that finds none */
    } filter;
    struct fg_penalty_options penalty; /* [penalty]; v6_prefix and seed are not settings */
    struct {                           /* [log] */
        char dir[512];
        enum fg_journal_durability durability;
        enum fg_journal_behind behind; /**< when a sink knows records that the log lacks */
        uint64_t segment_bytes;
        unsigned batch_max;
        uint64_t snapshot_records; /**< between two snapshots; 0 = only when asked for */
        uint64_t keep_bytes;       /**< of old segments that nobody needs */
        unsigned ring;             /**< places of each worker's ring to the journal */
    } log;
    struct fg_redis_options redis;
    struct fg_sink_postgres_options postgres;
    struct fg_sink_kafka_options kafka;
    bool inbound;         /* [redis] commands: confirmations from a stream */
    struct {              /* [api] */
        char socket[108]; /**< unix socket of the control server */
        unsigned mode;    /**< its permissions, octal in the file */
        char group[64];   /**< its group; "" = leave */
    } api;
    struct {             /* [metrics] */
        char listen[64]; /**< address and port of the read-only listener; "" = none */
    } metrics;
    struct { /* [limits], of the whole appliance */
        uint32_t items_max, orders_max, users_max, parked_max, deferred_max;
        uint32_t user_rate;  /**< new reservations a second of one user; 0 = no limit */
        uint32_t user_burst; /**< of them at once */
    } limits;
};

/** Reads and checks. On failure err holds one line a problem (as many as fit), each `FILE:LINE:
 * ...`. */
bool fg_config_load(struct fg_config *config, const char *path, struct fg_error *err);

/** As fg_config_load, but writes every problem to `out`, one line each; returns how many (0 = the
 * file is good). For `floodgate --check`. */
unsigned fg_config_check(struct fg_config *config, const char *path, FILE *out);

/**
 * Where a person finds a setting: its line, or the last line of the file when it is not given.
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
