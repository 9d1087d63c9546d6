/* SPDX-License-Identifier: BSD-3-Clause */
/** options: what the command line says. */
#ifndef ORDER_SERVICE_OPTIONS_H
#define ORDER_SERVICE_OPTIONS_H

#include "client/client.h"

struct options {
    const char *redis, *redis_password_file, *prefix, *group;
    const char *postgres;
    const char *servers[FG_CLIENT_SERVERS_MAX], *keys; /* of commands by packets */
    unsigned servers_count;
    unsigned members; /* of a fleet; 0: no fleet */
    bool of_fleet;    /* the keys in Redis are those of redis_member */
    unsigned redis_member;
    uint8_t member[FG_CLIENT_SERVERS_MAX];
    uint64_t items_first, items_last; /* reservations of others are another service's */
    uint64_t backend_key;
    bool by_server; /* --server was given */
    bool by_stream; /* confirm and cancel by the stream of commands */
    double success, failure;
    uint64_t delay_min_ms, delay_max_ms;
    uint64_t seed;
    uint64_t open_max;
    uint64_t until_idle_s; /* 0 = never ends by itself */
    uint64_t progress_s;
    const char *json;
};

/** -1: continue; else the exit code. */
int options_parse(struct options *o, int argc, char **argv);

#endif
