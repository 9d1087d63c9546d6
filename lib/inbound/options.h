/* SPDX-License-Identifier: BSD-3-Clause */
/** options: what an operator configures of inbound commands, beside the Redis server itself. */
#ifndef FG_INBOUND_OPTIONS_H
#define FG_INBOUND_OPTIONS_H

#include <stdbool.h>

struct fg_inbound_settings {
    bool enabled; /**< [redis] commands: take confirmations and cancellations from the stream */
};

#endif
