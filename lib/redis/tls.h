/* SPDX-License-Identifier: BSD-3-Clause */
/** redis_tls: TLS over a connected socket that does not block (OpenSSL). One thread. */
#ifndef FG_REDIS_TLS_H
#define FG_REDIS_TLS_H

#include <sys/types.h>

#include "base/wait.h"
#include "redis/address.h"
#include "redis/redis.h"

struct fg_redis_tls;

/**
 * Shakes hands, and checks that the server's certificate is of a known authority and of the right
 * name. Files are read each time, so that renewed ones are used by the next connection. NULL: `why`
 * says what went wrong,
 * "" when time was over.
 */
struct fg_redis_tls *fg_redis_tls_open(int fd, const struct fg_redis_options *options,
                                       const struct fg_redis_address *address,
                                       const struct fg_wait *wait, uint64_t deadline_ms,
                                       char why[200]);
void fg_redis_tls_close(struct fg_redis_tls *tls); /**< NULL is allowed */

/** As send and recv: -1 with errno EAGAIN, or with `why` filled in; 0 from read: closed. */
ssize_t fg_redis_tls_write(struct fg_redis_tls *tls, const void *data, size_t len, char why[200]);
ssize_t fg_redis_tls_read(struct fg_redis_tls *tls, void *data, size_t len, char why[200]);

#endif
