/* SPDX-License-Identifier: BSD-3-Clause */
/** env: the verdict of xdp/verdict.h over tables in this process's memory. Private. */
#ifndef FG_FILTER_ENV_H
#define FG_FILTER_ENV_H

#include "xdp/parse.h"

struct fg_filter_env {
    const struct fg_filter_tunables *tune;
    const struct fg_filter_live *live;
    struct fg_filter_state *state;
    const struct fg_filter_own *own;
    union fg_filter_row *rows;
    struct fg_filter_source_set *sets;
    struct fg_filter_net_row *nets;
    struct fg_filter_count *counts; /**< of the caller */
    uint32_t rows_count;
};

static inline struct fg_filter_state *fg_filter_env_state(struct fg_filter_env *env)
{
    return env->state;
}

static inline const struct fg_filter_own *fg_filter_env_own(struct fg_filter_env *env)
{
    return env->own;
}

static inline union fg_filter_row *fg_filter_env_row(struct fg_filter_env *env, uint32_t index)
{
    return index < env->rows_count ? &env->rows[index] : NULL;
}

static inline struct fg_filter_source_set *fg_filter_env_set(struct fg_filter_env *env,
                                                             uint32_t index)
{
    return &env->sets[index];
}

static inline struct fg_filter_net_row *fg_filter_env_net(struct fg_filter_env *env, uint32_t index)
{
    return &env->nets[index];
}

static inline void fg_filter_env_event(struct fg_filter_env *env, enum fg_filter_event event)
{
    env->counts[FG_FILTER_VERDICT_COUNT + event].packets++;
}

#undef FG_FILTER_ENV_TUNE
#define FG_FILTER_ENV_TUNE (*env->tune)
#undef FG_FILTER_ENV_LIVE
#define FG_FILTER_ENV_LIVE (*env->live)
#include "xdp/verdict.h"

#endif
