/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The users that the operator denied, and the rate at which each user asks. Private to lib/stock.
 */
#ifndef FG_STOCK_USERS_H
#define FG_STOCK_USERS_H

#include "stock/engine.h"

bool fg_stock_user_is_denied(const struct fg_stock *s, uint64_t user);

/* Denies or allows; false when FG_STOCK_DENIED_MAX users were denied before. */
bool fg_stock_user_deny(struct fg_stock *s, uint64_t user, bool deny);

/* The set of slots where the rate of the user is kept. */
static inline struct watched *fg_stock_user_set(const struct fg_stock *s, uint64_t user)
{
    return &s->watched[((uint32_t)fg_mix64(user, ~s->config.seed) & (FG_STOCK_WATCHED_SETS - 1)) *
                       WATCHED_WAYS];
}

/* 0: the user may ask now, and this counts as asking; else the milliseconds until then. */
uint32_t fg_stock_user_wait_ms(struct fg_stock *s, uint64_t user, uint64_t now_ms);

#endif
