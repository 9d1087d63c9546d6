/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * options: the command line of fgblast as one checked struct. Each option, its default and its
 * accepted range stand in one table in options.c, from which getopt, --help and the checks come.
 * Main thread, at start-up.
 */
#ifndef FG_BLAST_OPTIONS_H
#define FG_BLAST_OPTIONS_H

#include "base/base.h"

#define FG_TARGETS_MAX    2  /**< one server address of each family */
#define FG_QUANTITIES_MAX 16 /**< different quantities of an order */
#define FG_BLAST_ITEMS    1000000u

/** An IPv4 or IPv6 address, network byte order; IPv4 in the first four bytes. */
struct fg_address {
    uint8_t family; /**< 4 or 6; 0 = not given */
    uint8_t bytes[16];
};

/** The server of one family, and the addresses that its shoppers come from. */
struct fg_target {
    struct fg_address server;
    struct fg_address source; /**< the first one */
    uint16_t port;            /**< host byte order */
};

/** Consecutive addresses. */
struct fg_range {
    struct fg_address first;
    uint32_t count; /**< 0 = none given */
};

struct fg_blast_options {
    char interface[64], device[512];
    uint64_t cpu, descriptors, mbufs, no_huge;
    struct fg_target targets[FG_TARGETS_MAX];
    unsigned targets_count;
    uint64_t sources;
    struct fg_address standby; /**< the other box of a pair; at the port of its server */
    uint8_t server_mac[6], client_mac[6], standby_mac[6];
    bool server_mac_set, client_mac_set, standby_mac_set;
    char keys[512];
    uint64_t shop_key, backend_key;

    uint64_t shoppers, user_base;
    uint64_t members, member, shards; /**< of a fleet, by its first map; members 0 = none */
    uint64_t *items;                  /**< malloc; in the order of their popularity */
    unsigned items_count;
    double zipf, hot_share;
    uint64_t hot_item;
    uint16_t quantities[FG_QUANTITIES_MAX];
    double weights[FG_QUANTITIES_MAX];
    unsigned quantities_count;

    uint64_t orders, packets, seconds, drain_seconds; /**< 0 = no limit */
    uint64_t rate, window;
    double duplicates, replays, forged, malformed;
    struct fg_range blocked, overrate;
    uint64_t blocked_rate, overrate_rate; /**< packets/s, all sources together */
    double confirm, cancel, late, again;
    uint64_t confirm_delay_ms, again_ms, timeout_ms, retries;
    uint64_t seed, nonce;
    bool nonce_set;

    uint64_t served; /**< an order service pays */
    uint64_t flat, echo, sample, crowd, open, fresh_every, fresh_item, steer;
    char audit[512], pcap[512], json[512];
    uint64_t progress, progress_json;
};

enum fg_options_result { FG_OPTIONS_RUN, FG_OPTIONS_HELP, FG_OPTIONS_WRONG };

/** Fills *options with defaults and what argv says. WRONG: err names option, value and accepted
 * range. */
enum fg_options_result fg_options_parse(struct fg_blast_options *options, int argc, char **argv,
                                        struct fg_error *err);
void fg_options_free(struct fg_blast_options *options);
void fg_options_help(FILE *out);

/** The n-th user, n below 2^32. Of a member of a fleet: the first one from a number on that is the
 * member's by the fleet's first map. */
static inline uint64_t fg_blast_user(const struct fg_blast_options *options, uint64_t n)
{
    uint64_t user = options->user_base + n;

    if (!options->members)
        return user;
    for (user = options->user_base + n * 1024;
         fg_user_shard(user, (unsigned)options->shards) % options->members != options->member;)
        user++;
    return user;
}

/** Values that need more than a number; each returns false and err. In values.c. */
bool fg_value_target(struct fg_blast_options *options, const char *text, struct fg_error *err);
bool fg_value_standby(struct fg_blast_options *options, const char *text, struct fg_error *err);
bool fg_value_source(struct fg_blast_options *options, const char *text, struct fg_error *err);
bool fg_value_mac(const char *text, uint8_t mac[6], struct fg_error *err);
bool fg_value_items(struct fg_blast_options *options, const char *text, struct fg_error *err);
bool fg_value_hot(struct fg_blast_options *options, const char *text, struct fg_error *err);
bool fg_value_quantity(struct fg_blast_options *options, const char *text, struct fg_error *err);
bool fg_value_range(const char *text, struct fg_range *range, struct fg_error *err);

/** Whole text as a number, decimal or 0x hexadecimal; false when it is not one or lies outside. */
bool fg_value_number(const char *text, uint64_t min, uint64_t max, uint64_t *value);

/** Address `index` places after `first`. */
struct fg_address fg_address_add(const struct fg_address *first, uint32_t index);

#endif
