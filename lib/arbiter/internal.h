/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to lib/arbiter: what calls and the watch share. */
#ifndef FG_ARBITER_INTERNAL_H
#define FG_ARBITER_INTERNAL_H

#include "arbiter/arbiter.h"
#include "arbiter/etcd.h"

#define FULL_KEY_MAX (sizeof(((struct fg_arbiter_options *)0)->prefix) + FG_ARBITER_KEY_MAX)
#define TOKEN_MAX    512

struct fg_arbiter {
    struct fg_arbiter_options options;
    char names[sizeof(((struct fg_arbiter_options *)0)->endpoints)];
    const char *endpoints[FG_ARBITER_ENDPOINTS_MAX];
    unsigned endpoints_len, current; /* the one that answered last is asked first */
    char token[TOKEN_MAX];           /* of the login; "" = none yet */
    CURL *curl;
};

/* Takes a new token. False: answer says why. */
bool fg_arbiter_login(struct fg_arbiter *a, const char *endpoint, long timeout_ms,
                      struct etcd_answer *answer, struct fg_error *err);

/* In base 64, with the prefix: a key; the first one behind all that begin with `start`. */
json_t *fg_arbiter_key(const struct fg_arbiter *a, const char *key);
json_t *fg_arbiter_key_behind(const struct fg_arbiter *a, const char *start);

/* 64-bit numbers are strings in protobuf's JSON. */
bool fg_arbiter_read_revision(const json_t *object, const char *name, int64_t *revision);

/* {"key", "mod_revision", "value"}; `key` without the prefix. False: no etcd gives it. */
bool fg_arbiter_read_kv(const struct fg_arbiter *a, const json_t *kv, int64_t store,
                        char key[FULL_KEY_MAX + 1], struct fg_arbiter_value *value);

#endif
