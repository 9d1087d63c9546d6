/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether the limits have room for a recovered log, without engines: these would take all their
 * memory. */
#include "ledger/ledger.h"
#include "stock/engine.h"

static bool check_denied(unsigned workers, const struct fg_ledger *ledger, struct fg_error *err)
{
    uint32_t denied[FG_WORKERS_MAX] = {0};

    for (uint32_t i = 0; i < fg_ledger_denied_users(ledger); i++) {
        unsigned owner = fg_user_owner(fg_ledger_denied_user(ledger, i), workers);

        if (++denied[owner] > FG_STOCK_DENIED_MAX)
            return fg_fail(err, "worker %u has room for %d denied users", owner,
                           FG_STOCK_DENIED_MAX);
    }
    return true;
}

static bool check_waiting(const struct fg_stock_limits *limits, unsigned workers,
                          const struct fg_ledger *ledger, struct fg_error *err)
{
    uint64_t waiting[FG_WORKERS_MAX] = {0};
    bool lines = false;

    for (uint32_t i = 0; i < fg_ledger_items(ledger); i++) {
        const struct fg_ledger_item *item = fg_ledger_item_at(ledger, i);

        waiting[fg_user_owner(item->item, workers)] += item->waiting;
        lines |= item->line_max || item->tickets || item->line_flags;
    }
    for (unsigned i = 0; i < workers; i++)
        if (waiting[i] > limits->waiting_max || (lines && !limits->waiting_max))
            return fg_fail(
                err, "waiting_max = %u is too small for the log: at worker %u %llu users wait",
                limits->waiting_max, i, (unsigned long long)waiting[i]);
    return true;
}

bool fg_stock_check_ledger(const struct fg_stock_limits *limits, unsigned workers,
                           const struct fg_ledger *ledger, struct fg_error *err)
{
    uint64_t orders[FG_WORKERS_MAX] = {0};

    FG_ASSERT(workers >= 1 && workers <= FG_WORKERS_MAX);
    if (fg_ledger_items(ledger) > limits->items_max)
        return fg_fail(err, "items_max = %u is too small for the log: it has %u items",
                       limits->items_max, fg_ledger_items(ledger));
    for (uint64_t i = 0; i < fg_ledger_orders(ledger); i++) {
        orders[fg_user_owner(fg_ledger_order_at(ledger, i)->user, workers)]++;
    }
    for (unsigned i = 0; i < workers; i++) {
        if (orders[i] > limits->orders_max)
            return fg_fail(
                err,
                "orders_max is too small for the log: worker %u has room for %u orders, the log "
                "has %llu for it",
                i, limits->orders_max, (unsigned long long)orders[i]);
    }
    return check_denied(workers, ledger, err) && check_waiting(limits, workers, ledger, err);
}
