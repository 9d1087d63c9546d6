/* SPDX-License-Identifier: BSD-3-Clause */
/** options: what the command line says. */
#ifndef FG_HTTP_OPTIONS_H
#define FG_HTTP_OPTIONS_H

#include <netinet/in.h>

#include "base/base.h"

struct options {
    struct sockaddr_in server;
    const char *ca;      /* certificates that vouch for the server's */
    uint8_t secret[256]; /* of the gateway: gives the shoppers' numbers */
    size_t secret_size;
    uint32_t source;           /* first source address, host order; 0: the kernel's choice */
    uint64_t shoppers, orders; /* orders of each shopper */
    uint64_t seconds;          /* in which the orders are begun */
    uint64_t seconds_max;      /* then what is under way is given up */
    uint64_t items_first, items_last, hot;
    double hot_share, cancel;
    uint64_t seed;
    const char *audit, *json;
};

/** -1: continue; else the exit code. */
int options_parse(struct options *o, int argc, char **argv);

#endif
