/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * arbiter: a few small values in etcd v3, changed by compare-and-swap. The one place where machines
 * decide who of them leads. No lease, no lock and no clock takes part: etcd 3.4's key-value
 * operations passed Jepsen for strict serializability, its locks and leases did not
 * (https://jepsen.io/analyses/etcd-3.4.3).
 *
 * etcd is asked by its JSON gateway (etcd 3.4 and later): POST /v3/kv/range and /v3/kv/txn. Both
 * are linearizable, at any member.
 *
 * Calls block for at most `timeout_ms`, a name look-up apart. One thread at a time per fg_arbiter.
 */
#ifndef FG_ARBITER_H
#define FG_ARBITER_H

#include <string.h>

#include "base/secret.h"

#define FG_ARBITER_KEY_MAX   64   /**< bytes of a key behind the prefix */
#define FG_ARBITER_VALUE_MAX 4096 /**< bytes of a value */
#define FG_ARBITER_PUTS_MAX  128  /**< keys of a commit; etcd takes no more */

#define FG_ARBITER_ENDPOINTS_MAX 9
#define FG_ARBITER_ENDPOINT_CHARS                                                                  \
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]"

struct fg_arbiter_options {
    char endpoints[512]; /**< "host:port", "[v6]:port"; several: ", " between */
    char prefix[64];     /**< of every key, with a slash behind it */
    unsigned timeout_ms; /**< of a call, all endpoints together */
    bool tls;
    char tls_ca[256];   /**< file of the authorities; "" = the system's */
    char tls_cert[256]; /**< client certificate (chain) and its key; both or none */
    char tls_key[256];
    char user[64];           /**< "" = etcd asks for none */
    char password_file[512]; /**< its first line; read at each login */
};

/** Whether fg_arbiter_open takes a list of what looks like addresses. Any thread. */
static inline bool fg_arbiter_takes(const char *endpoints)
{
    unsigned commas = 0;

    for (const char *at = endpoints; *at; at++)
        commas += *at == ',';
    return commas < FG_ARBITER_ENDPOINTS_MAX &&
           strspn(endpoints, FG_ARBITER_ENDPOINT_CHARS ", ") == strlen(endpoints);
}

enum fg_arbiter_result {
    FG_ARBITER_DONE,
    FG_ARBITER_LOST,    /**< swap: the guard has another revision; nothing was changed */
    FG_ARBITER_REFUSED, /**< etcd, or the options, forbid it; nothing was changed; a person decides
                         */
    FG_ARBITER_AWAY,    /**< no endpoint answers; nothing was changed */
    FG_ARBITER_UNKNOWN  /**< swap: it may have taken place, or do so later. Resolve it by another
                           swap: a read proves nothing */
};

struct fg_arbiter_value {
    int64_t revision; /**< of the last change of this key; 0 = there is no such key */
    int64_t store;    /**< revision of the whole store. It never goes back, unless etcd was restored
                         from a copy */
    size_t size;
    char bytes[FG_ARBITER_VALUE_MAX + 1]; /**< with a 0 behind them */
};

struct fg_arbiter_swap {
    const char *guard; /**< key that is compared */
    int64_t revision;  /**< that it must have; 0 = it must not exist */
    const char *key;   /**< key that is written: the guard itself, or another one */
    const void *bytes;
    size_t size; /**< at most FG_ARBITER_VALUE_MAX */
};

/** A value that was found; `key` without the prefix. Both hold until the function returns. */
typedef void fg_arbiter_seen(void *ctx, const char *key, const struct fg_arbiter_value *value);

struct fg_arbiter_put {
    const char *key;
    int64_t revision;  /**< that it must have; 0 = it must not exist */
    const void *bytes; /**< NULL: the key is only compared */
    size_t size;       /**< at most FG_ARBITER_VALUE_MAX */
};

struct fg_arbiter;

/** Copies the options; asks nothing yet. NULL and err: an option is wrong. The caller closes it. */
struct fg_arbiter *fg_arbiter_open(const struct fg_arbiter_options *options, struct fg_error *err);
void fg_arbiter_close(struct fg_arbiter *a); /**< NULL is allowed */

/** DONE, REFUSED or AWAY. err of the last two: the endpoint, and what it said. */
enum fg_arbiter_result fg_arbiter_read(struct fg_arbiter *a, const char *key,
                                       struct fg_arbiter_value *value, struct fg_error *err);

/** *revision: what the written key has now; only when DONE. */
enum fg_arbiter_result fg_arbiter_swap(struct fg_arbiter *a, const struct fg_arbiter_swap *swap,
                                       int64_t *revision, struct fg_error *err);

/**
 * Compares all keys, then writes those with bytes, at once: up to FG_ARBITER_PUTS_MAX. LOST:
 * nothing was changed, and `seen` has got every key as it is. *store: revision of the store, which
 * the written keys have when DONE; DONE and LOST only.
 */
enum fg_arbiter_result fg_arbiter_commit(struct fg_arbiter *a, const struct fg_arbiter_put *puts,
                                         unsigned len, fg_arbiter_seen *seen, void *ctx,
                                         int64_t *store, struct fg_error *err);

/** `seen` gets each key that begins with `start` and changed after revision `since`, oldest change
 * first. DONE: these are all up to revision *store. Else some may have been seen. */
enum fg_arbiter_result fg_arbiter_changes(struct fg_arbiter *a, const char *start, int64_t since,
                                          fg_arbiter_seen *seen, void *ctx, int64_t *store,
                                          struct fg_error *err);

#endif
