/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bank's side of a fleet (stock/fleet.h), at the home of an item; and how a slice says that all
 * it decided is committed. Only called when limits.fleet is set. Private to lib/stock.
 */
#ifndef FG_STOCK_FLEET_BANK_H
#define FG_STOCK_FLEET_BANK_H

#include "stock/outbox.h"

/* A command of the fleet. */
void fg_stock_fleet_command(struct fg_stock *s, uint64_t now_ms, const struct fg_stock_command *c);

/* What the ledger says, or the last record. */
void fg_stock_fleet_load(struct fg_stock *s, uint32_t index, const struct fg_ledger_item *from);

/* Publishes what the bank has and needs, if that is news. */
void fg_stock_fleet_publish(struct fg_stock *s, uint32_t index);

/* NONE: the oldest request, which cannot be served here, waits for the fleet. Else it is refused
 * with this, and *left units are free. */
enum fg_packet_status fg_stock_fleet_refusal(const struct fg_stock *s, uint32_t index,
                                             uint32_t *left);

/* The queue has no more requests that can be served: gives back what is free, if that was asked.
 * False when it has to be tried again. */
bool fg_stock_fleet_give(struct fg_stock *s, uint64_t now_ms, uint32_t index);

/* A slice was asked whether all that it decided is committed: says so when it is. False: not yet,
 * or the ring is full. */
bool fg_stock_fleet_settle(struct fg_stock *s, uint32_t index);

/* The thread of the fleet waits for the answer to RECALL. */
static inline bool fleet_is_recalling(const struct fg_stock *s, uint32_t index)
{
    return s->config.limits.fleet && s->fleets[index].recall != FLEET_RESTS;
}

/* The bank gives everything back, so nobody gets more than was asked for. */
static inline bool fleet_recalls(const struct fg_stock *s, uint32_t index)
{
    return fg_unlikely(s->config.limits.fleet) && s->fleets[index].recall == FLEET_GATHERS;
}

/* Requests that came after RECALL wait until the rest was given back: else those of a flood would
 * take it all. */
static inline bool fleet_stops_at_head(const struct fg_stock *s, uint32_t index)
{
    return fleet_recalls(s, index) &&
           (int32_t)(s->fleets[index].head - s->fleets[index].serve_to) >= 0;
}

#endif
