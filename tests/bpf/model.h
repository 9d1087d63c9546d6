/* SPDX-License-Identifier: BSD-3-Clause */
/** model: the user-space build of the verdict, as a worker runs it, with a clock of the test. */
#ifndef FG_TEST_MODEL_H
#define FG_TEST_MODEL_H

#include "filter/filter.h"

/** options->pins is ignored. */
void model_reset(const struct fg_filter_options *options);
void model_clock(uint64_t ns);
/** NULL: any address is taken for ours. */
void model_own(const struct fg_filter_own_addresses *own);
void model_add(enum fg_filter_list list, const struct fg_filter_prefix *prefix);
enum fg_filter_verdict model_verdict(const uint8_t *data, uint32_t len);
uint64_t model_hits(enum fg_filter_list list, const struct fg_filter_prefix *prefix);
void model_counters(uint64_t counters[FG_FILTER_VERDICT_COUNT]);
uint64_t model_event(enum fg_filter_event event);

#endif
