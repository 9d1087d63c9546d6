/* SPDX-License-Identifier: BSD-3-Clause */
/** options: of a pair, as an operator gives them: section [pair]. */
#ifndef FG_REPLICATION_OPTIONS_H
#define FG_REPLICATION_OPTIONS_H

#include "arbiter/arbiter.h"

struct fg_replication_settings {
    bool enabled;    /**< false: there is no pair, and nothing below counts */
    unsigned node;   /**< 0 or 1: which of the two boxes */
    char listen[64]; /**< for the peer; fg_address_read reads both */
    char peer[64];   /**< where the peer listens */
    char tls_ca[256], tls_cert[256], tls_key[256];
    struct fg_arbiter_options
        arbiter;       /**< tls is set when tls_ca is; timeout_ms is not a setting */
    char address[256]; /**< that moves with the leadership; fg_address_floating_read; "" = none */
    unsigned heartbeat_ms, suspect_ms, drop_ms, stale_ms; /**< as in struct fg_pair_timing */
};

#endif
