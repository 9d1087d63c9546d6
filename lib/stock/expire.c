/* SPDX-License-Identifier: BSD-3-Clause */
#include "stock/expire.h"

#include "stock/order.h"
#include "stock/tables.h"
#include "stock/wheel.h"

/* False when there is no room for the record. */
static bool expire(struct fg_stock *s, uint64_t now_ms, uint32_t at)
{
    struct order *o = &s->orders[at];

    if (o->state != FG_LEDGER_ORDER_RESERVED)
        return true;
    if (o->deadline_ms + s->grace_ms > now_ms) { /* it was extended, or has grace */
        fg_stock_wheel_add(s, at);
        return true;
    }
    if (!can_record(s))
        return false;
    fg_stock_expire(s, now_ms, o);
    return true;
}

void fg_stock_expire_due(struct fg_stock *s, uint64_t now_ms)
{
    uint32_t batch[EXPIRE_MAX];
    unsigned n = fg_stock_wheel_take_due(s, now_ms, batch);

    for (unsigned i = 0; i < n; i++)
        if (s->orders[batch[i]].state == FG_LEDGER_ORDER_RESERVED)
            usage_fetch_of(s, &s->orders[batch[i]]);
    for (unsigned i = 0; i < n; i++)
        if (!expire(s, now_ms, batch[i]))
            fg_stock_wheel_put_back(s, batch[i]);
}
