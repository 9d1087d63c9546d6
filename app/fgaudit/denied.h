/* SPDX-License-Identifier: BSD-3-Clause */
/** denied: users whom the operator denied at any time, and whether they still are. */
#ifndef FG_AUDIT_DENIED_H
#define FG_AUDIT_DENIED_H

#include "base/base.h"

struct fg_denied {
    uint64_t user;
    uint64_t since_ms; /* of the record that denied the user */
    bool known;        /* the slot is taken */
    bool denied;       /* now */
    bool in_redis, in_postgres;
};

struct fg_denied_users {
    struct fg_denied *slots; /* open addressing */
    uint64_t count, size;
};

/** NULL when the user was never denied. */
struct fg_denied *fg_denied_find(const struct fg_denied_users *users, uint64_t user);
/** Made when new. Pointers hold until the next user is added. */
struct fg_denied *fg_denied_add(struct fg_denied_users *users, uint64_t user);

#endif
