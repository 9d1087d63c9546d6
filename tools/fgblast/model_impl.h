/* SPDX-License-Identifier: BSD-3-Clause */
/* model_impl: constants that the model, the world and the crowd share; private to them. */
#ifndef FG_BLAST_MODEL_IMPL_H
#define FG_BLAST_MODEL_IMPL_H

#include "tools/fgblast/model.h"

#define MS        1000000ull
#define NONE      UINT32_MAX
#define PORT_BASE 20000u
#define PORTS     40000u
#define SETTLE_NS (1000 * MS) /* after the last deadline, units are back on sale */
#define LATE_MS   300u        /* a late payment comes so long after the deadline */

/* Sets of statuses */
#define BIT(status)   (1u << FG_PACKET_STATUS_##status)
#define ANY_OVER      (BIT(SOLD) | BIT(CANCELLED) | BIT(EXPIRED))
#define ANY_HELD      (BIT(RESERVED) | ANY_OVER)
#define ANY_NONE_LEFT (BIT(SOLD_OUT) | BIT(INSUFFICIENT))
#define ANY_LATER     (BIT(BUSY) | BIT(UNAVAILABLE) | BIT(PAUSED) | BIT(NOT_OPEN) | BIT(NOT_LEADER))

/* The order exists: nothing but its own payment, cancellation or expiry can change it. */
static inline bool is_held(unsigned status)
{
    return ANY_HELD >> status & 1;
}

#endif
