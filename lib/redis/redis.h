/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * redis: how this program talks to a Redis server: address, connection, TLS, commands. The Redis
 * sink, the inbound commands, the auditor and the order service use it.
 */
#ifndef FG_REDIS_H
#define FG_REDIS_H

#include "base/secret.h"

/** Keys: docs/redis.md. */
struct fg_redis_options {
    bool enabled;      /**< false: the daemon starts none */
    char address[512]; /**< "host:port", "[v6]:port" or "unix:/path"; several: ", " between */
    char sentinel[64]; /**< name of the primary: `address` is then of Sentinels; "" = of Redis */
    char user[64];     /**< ACL user; "" = default */
    char password[FG_SECRET_MAX]; /**< "" = none */
    char password_file[512];      /**< its first line is the password; read at each connection */
    unsigned database;
    char prefix[64];       /**< of every key, inside a hash tag: {prefix}:item:7 */
    unsigned batch_max;    /**< records of one transaction, 1..100000 */
    uint64_t stream_max;   /**< entries kept in the event stream, about; 0 = all */
    unsigned timeout_ms;   /**< connect and command */
    unsigned retry_ms_max; /**< longest pause between attempts to connect */
    bool tls;
    char tls_ca[256];   /**< file of the authorities; "" = the system's */
    char tls_cert[256]; /**< client certificate (chain) and its key; both or none */
    char tls_key[256];
    char
        tls_server_name[256]; /**< name in the server's certificate; "" = the host of the address */
    unsigned members, member; /**< of a fleet whose members share the prefix; 0 members = of none.
                                   Follows from [fleet], no setting of its own */
};

#endif
