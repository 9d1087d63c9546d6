/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether the limits have room for a recovered log, without engines: these would take all their
 * memory. */
#include "ledger/ledger.h"
#include "stock/engine.h"

static bool uses(const struct fg_ledger_order *o)
{
    return o->state == FG_LEDGER_ORDER_RESERVED || o->state == FG_LEDGER_ORDER_SOLD;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Pairs of user and item that the worker's live orders make. */
static uint64_t count_pairs(const struct fg_ledger *ledger, unsigned worker, unsigned workers,
                            uint64_t most)
{
    uint64_t *pairs = malloc(most * sizeof(*pairs)), n = 0, distinct = 0;

    if (!pairs)
        return 0; /* the engine will find out */
    for (uint64_t i = 0; i < fg_ledger_orders(ledger); i++) {
        const struct fg_ledger_order *o = fg_ledger_order_at(ledger, i);

        if (uses(o) && fg_user_owner(o->user, workers) == worker)
            pairs[n++] = fg_mix64(o->user, o->item);
    }
    qsort(pairs, n, sizeof(*pairs), compare);
    for (uint64_t i = 0; i < n; i++)
        distinct += i == 0 || pairs[i] != pairs[i - 1];
    free(pairs);
    return distinct;
}

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

bool fg_stock_check_ledger(const struct fg_stock_limits *limits, unsigned workers,
                           const struct fg_ledger *ledger, struct fg_error *err)
{
    uint64_t orders[FG_WORKERS_MAX] = {0}, live[FG_WORKERS_MAX] = {0};

    FG_ASSERT(workers >= 1 && workers <= FG_WORKERS_MAX);
    if (fg_ledger_items(ledger) > limits->items_max)
        return fg_fail(err, "items_max = %u is too small for the log: it has %u items",
                       limits->items_max, fg_ledger_items(ledger));
    for (uint64_t i = 0; i < fg_ledger_orders(ledger); i++) {
        const struct fg_ledger_order *o = fg_ledger_order_at(ledger, i);
        unsigned owner = fg_user_owner(o->user, workers);

        orders[owner]++;
        live[owner] += uses(o);
    }
    for (unsigned i = 0; i < workers; i++) {
        if (orders[i] > limits->orders_max)
            return fg_fail(
                err,
                "orders_max is too small for the log: worker %u has room for %u orders, the log "
                "has %llu for it",
                i, limits->orders_max, (unsigned long long)orders[i]);
        if (live[i] > limits->users_max &&
            count_pairs(ledger, i, workers, live[i]) > limits->users_max)
            return fg_fail(err, "users_max is too small for the log: worker %u has room for %u", i,
                           limits->users_max);
    }
    return check_denied(workers, ledger, err);
}
