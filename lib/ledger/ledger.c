/* SPDX-License-Identifier: BSD-3-Clause */
#include "ledger/ledger.h"

#include "ledger/table.h"

const char *fg_ledger_order_state_name(unsigned state)
{
    switch (state) {
    case FG_LEDGER_ORDER_NONE:
        return "none";
#define X(name, number, text)                                                                      \
    case FG_LEDGER_ORDER_##name:                                                                   \
        return text;
        FG_LEDGER_ORDER_STATE_LIST(X)
#undef X
    default:
        return "?";
    }
}

struct fg_ledger *fg_ledger_create(void)
{
    struct fg_ledger *l = calloc(1, sizeof(*l));

    if (l && fg_ledger_table_init(l))
        return l;
    fg_ledger_destroy(l);
    return NULL;
}

void fg_ledger_destroy(struct fg_ledger *ledger)
{
    if (!ledger)
        return;
    fg_ledger_table_free(ledger);
    free(ledger->denied);
    free(ledger);
}

bool fg_ledger_reserve(struct fg_ledger *ledger, uint64_t orders)
{
    return fg_ledger_table_reserve_orders(ledger, orders) &&
           fg_ledger_table_touch_orders(ledger, orders);
}

uint64_t fg_ledger_seq(const struct fg_ledger *ledger)
{
    return ledger->seq;
}

const struct fg_ledger_item *fg_ledger_item(const struct fg_ledger *ledger, uint64_t item)
{
    return fg_ledger_table_item(ledger, item);
}

const struct fg_ledger_item *fg_ledger_item_at(const struct fg_ledger *ledger, uint32_t index)
{
    return index < ledger->items.count ? fg_ledger_dense_at(&ledger->items, index) : NULL;
}

uint32_t fg_ledger_items(const struct fg_ledger *ledger)
{
    return (uint32_t)ledger->items.count;
}

const struct fg_ledger_order *fg_ledger_order(const struct fg_ledger *ledger, uint64_t user,
                                              const uint8_t order_id[16])
{
    return fg_ledger_table_order(ledger, user, order_id);
}

uint64_t fg_ledger_orders(const struct fg_ledger *ledger)
{
    return ledger->orders.count;
}

const struct fg_ledger_order *fg_ledger_order_at(const struct fg_ledger *ledger, uint64_t index)
{
    return index < ledger->orders.count ? fg_ledger_dense_at(&ledger->orders, index) : NULL;
}

const struct fg_journal_epochs *fg_ledger_epochs(const struct fg_ledger *ledger)
{
    return &ledger->epochs;
}

uint32_t fg_ledger_denied_users(const struct fg_ledger *ledger)
{
    return ledger->denied_count;
}

uint64_t fg_ledger_denied_user(const struct fg_ledger *ledger, uint32_t i)
{
    FG_ASSERT(i < ledger->denied_count);
    return ledger->denied[i];
}
