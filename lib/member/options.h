/* SPDX-License-Identifier: BSD-3-Clause */
/** options: of a member of a fleet, as an operator gives them: section [fleet]. */
#ifndef FG_MEMBER_OPTIONS_H
#define FG_MEMBER_OPTIONS_H

#include "arbiter/arbiter.h"

struct fg_member_settings {
    bool enabled;    /**< false: there is no fleet, and nothing below counts */
    unsigned member; /**< which of them this appliance is, from 0 */
    unsigned members, shards;
    uint64_t version;               /**< of the map */
    struct fg_arbiter_options etcd; /**< tls is set when tls_ca is; timeout_ms is not a setting */
};

#endif
