/* SPDX-License-Identifier: BSD-3-Clause */
/** model: xdp/verdict.h as a worker would run it, with small tables in user space and a clock of the test. */
#ifndef FG_TEST_MODEL_H
#define FG_TEST_MODEL_H

#include "filter/filter.h"

void model_reset(const struct fg_tunables *tune);
void model_clock(uint64_t ns);
void model_add(enum fg_list list, const struct fg_prefix *prefix);
enum fg_verdict model_judge(const uint8_t *data, uint32_t len);
uint64_t model_hits(enum fg_list list, const struct fg_prefix *prefix);
unsigned model_sources(void);

#endif
