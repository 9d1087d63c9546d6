/* SPDX-License-Identifier: BSD-3-Clause */
/** values: what etcd has told, in the order in which it came. Private to lib/member. */
#ifndef FG_MEMBER_VALUES_H
#define FG_MEMBER_VALUES_H

#include "arbiter/arbiter.h"
#include "fleet/fleet.h"

struct fg_member_value {
    char key[FG_FLEET_KEY_MAX];
    int64_t revision;
    char *text; /**< "" when there is no such key */
};

struct fg_member_values {
    struct fg_member_value *of;
    size_t len, size;
};

/** Of other programs' keys, which are longer, it takes none. */
void fg_member_values_add(struct fg_member_values *values, const char *key,
                          const struct fg_arbiter_value *value);
void fg_member_values_forget(struct fg_member_values *values); /**< what they say */
void fg_member_values_free(struct fg_member_values *values);

#endif
