/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What must hold, checked without any code of the engine or the ledger: a plain replay of the log record by
 * record, and the sums of DESIGN's invariants over all workers.
 */
#ifndef FG_SIM_ORACLE_H
#define FG_SIM_ORACLE_H

#include "world.h"

struct oracle_order {
    uint64_t user, item;
    uint8_t order_id[16];
    uint16_t quantity;
    uint8_t seen; /* bit per fg_order_state that the durable log has shown */
    uint8_t state;
};

struct oracle_item {
    uint64_t item;
    int64_t total, available, reserved, sold;
    uint32_t limit_max; /* largest limit ever set; 0 = none was ever in force */
    bool unlimited;     /* some time there was no limit */
    /* staleness of SOLD_OUT: 0 nothing is free; 1 units are free; 2 the home has polled since; 3 this worker
     * too */
    uint8_t stage[WORKERS_MAX];
};

struct oracle {
    uint32_t seen; /* records of the log that were replayed */
    uint32_t orders_len;
    struct oracle_order orders[ORDERS_MAX * 4];
    struct oracle_item items[ITEMS_MAX];
    uint32_t items_len;
    uint64_t checked, sold, returned;
};

void oracle_start(struct oracle *o);
/* Replays what the log has gained. Before a sync or a crash the tail may still vanish: call it after
 * world_sync only. */
void oracle_log(struct oracle *o, struct world *w);
void oracle_balance(struct oracle *o, struct world *w);
void oracle_polled(struct oracle *o, struct world *w, unsigned worker);
/* An answer that left the appliance. immediate: fg_stock_request gave it. */
void oracle_answer(struct oracle *o, struct world *w, const struct token *t, const struct fg_stock_answer *a,
                   bool immediate);

#endif
