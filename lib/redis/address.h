/* SPDX-License-Identifier: BSD-3-Clause */
/** redis_address: where a Redis server is, as a person writes it. Pure; any thread. */
#ifndef FG_REDIS_ADDRESS_H
#define FG_REDIS_ADDRESS_H

#include "base/base.h"

#define FG_REDIS_PATH_MAX   107 /**< bytes of a unix socket's path (sockaddr_un) */
#define FG_REDIS_PREFIX_MAX 63

struct fg_redis_address {
    bool is_unix;
    char host[256]; /**< name, address, or path of the unix socket */
    uint16_t port;  /**< 0 for a unix socket */
};

/** "host:port", "[v6]:port" or "unix:/path". False and err (value and accepted forms) when it is
 * not. */
bool fg_redis_address_parse(const char *text, struct fg_redis_address *address,
                            struct fg_error *err);

#define FG_REDIS_SERVERS_MAX 8

/** A list of addresses, with commas between. *count: how many. False and err. */
bool fg_redis_address_list(const char *text, struct fg_redis_address list[FG_REDIS_SERVERS_MAX],
                           unsigned *count, struct fg_error *err);

/** A prefix may hold letters, digits and . _ : - only: it stands in glob patterns and in a hash
 * tag. */
bool fg_redis_prefix_check(const char *prefix, struct fg_error *err);

#define FG_REDIS_BASE_MAX 80

/** What all keys of one appliance begin with: "{prefix}:", or "{prefix}:member:M:" of a member of a
 * fleet (0 members: of none). One slot of a cluster has the keys of all members. */
void fg_redis_base(char base[FG_REDIS_BASE_MAX], const char *prefix, unsigned members,
                   unsigned member);

#endif
