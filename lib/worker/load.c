/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/load.h"

#include "base/notify.h"

#define STEP 1000000 /* orders between two reports of progress */

static bool load_worker(struct fg_worker_group *group, unsigned index,
                        const struct fg_ledger *ledger, struct fg_notify_progress *progress,
                        struct fg_error *err)
{
    struct fg_stock *stock = group->list[index]->stock;
    uint64_t orders = fg_ledger_orders(ledger);

    if (!fg_stock_load_items(stock, ledger, err))
        return false;
    for (uint64_t from = 0, to; from < orders; from = to) {
        to = RTE_MIN(from + STEP, orders);
        if (!fg_stock_load_orders(stock, ledger, from, to, err))
            return false;
        fg_notify_progress(progress, index * orders + to, orders * group->options.workers.count);
    }
    return true;
}

bool fg_worker_group_load(struct fg_worker_group *group, const struct fg_ledger *ledger,
                          struct fg_error *err)
{
    struct fg_notify_progress progress = {.what = "giving each worker its orders", .unit = "order"};

    if (!fg_stock_check_ledger(&group->options.limits, group->options.workers.count, ledger, err))
        return false;
    fg_notify_progress(&progress, 0, fg_ledger_orders(ledger) * group->options.workers.count);
    for (unsigned i = 0; i < group->options.workers.count; i++)
        if (!load_worker(group, i, ledger, &progress, err))
            return false;
    return true;
}
