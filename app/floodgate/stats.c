/* SPDX-License-Identifier: BSD-3-Clause */
/* Counters as JSON. Sums are taken over the workers; names come from the lists in the headers. */
#include "daemon.h"

#include <rte_ethdev.h>

static void put(json_t *object, const char *name, uint64_t value)
{
    json_object_set_new(object, name, json_integer((json_int_t)value));
}

static json_t *worker_json(const struct fg_daemon *d, unsigned index)
{
    const struct fg_worker *w = d->workers[index];
    struct fg_stock_level levels[FG_STOCK_LEVELS];
    json_t *o = json_object();

    put(o, "worker", index);
#define X(name, text) put(o, #name, fg_counter(&w->counters.name));
    FG_WORKER_COUNTER_LIST(X)
#undef X
    fg_stock_levels(w->stock, levels);
    put(o, "orders_in_memory", levels[FG_STOCK_LEVEL_orders].used);
    put(o, "users_in_memory", levels[FG_STOCK_LEVEL_users].used);
    put(o, "parked", levels[FG_STOCK_LEVEL_parked].used);
    put(o, "held", levels[FG_STOCK_LEVEL_held].used);
    put(o, "users_denied", levels[FG_STOCK_LEVEL_denied].used);
    return o;
}

static json_t *drops_json(const struct fg_daemon *d)
{
    json_t *o = json_object();

    for (unsigned why = FG_DROP_NONE + 1; why < FG_DROP_COUNT; why++) {
        uint64_t sum = 0;

        for (unsigned i = 0; i < d->config.workers.count; i++)
            sum += fg_counter(&d->workers[i]->counters.dropped[why]);
        put(o, fg_drop_name(why), sum);
    }
    return o;
}

static json_t *answers_json(const struct fg_daemon *d)
{
    json_t *o = json_object();

    for (unsigned status = FG_STATUS_NONE + 1; status < FG_STATUS_COUNT; status++) {
        uint64_t sum = 0;

        for (unsigned i = 0; i < d->config.workers.count; i++)
            sum += fg_counter(&d->workers[i]->counters.answered[status]);
        put(o, fg_status_name(status), sum);
    }
    return o;
}

static json_t *stock_json(const struct fg_daemon *d)
{
    json_t *o = json_object();
    uint64_t sum;

#define X(name, text)                                                                                        \
    sum = 0;                                                                                                 \
    for (unsigned i = 0; i < d->config.workers.count; i++)                                                   \
        sum += fg_counter(&fg_stock_counters(d->workers[i]->stock)->name);                                   \
    put(o, #name, sum);
    FG_STOCK_COUNTER_LIST(X)
#undef X
    return o;
}

static json_t *filter_json(const struct fg_daemon *d)
{
    uint64_t counters[FG_VERDICT_COUNT] = {0};
    json_t *o = json_object();

    if (!d->filter)
        return o;
    fg_filter_counters(d->filter, counters);
    for (unsigned verdict = 0; verdict < FG_VERDICT_COUNT; verdict++)
        put(o, fg_verdict_name(verdict), counters[verdict]);
    return o;
}

static json_t *filter_events_json(const struct fg_daemon *d)
{
    uint64_t events[FG_EVENT_COUNT] = {0};
    json_t *o = json_object();

    if (!d->filter)
        return o;
    fg_filter_events(d->filter, events);
    for (unsigned event = 0; event < FG_EVENT_COUNT; event++)
        put(o, fg_event_name(event), events[event]);
    return o;
}

static void add_ethdev(uint16_t ethdev, struct rte_eth_stats *sum)
{
    struct rte_eth_stats stats;

    if (rte_eth_stats_get(ethdev, &stats) != 0)
        return;
    sum->ipackets += stats.ipackets;
    sum->opackets += stats.opackets;
    sum->ibytes += stats.ibytes;
    sum->obytes += stats.obytes;
    sum->imissed += stats.imissed;
    sum->ierrors += stats.ierrors;
    sum->oerrors += stats.oerrors;
    sum->rx_nombuf += stats.rx_nombuf;
}

static json_t *port_json(const struct fg_port *p)
{
    struct rte_eth_stats sum = {0};
    json_t *o = json_object();

    json_object_set_new(o, "port", json_string(p->config->name));
    json_object_set_new(o, "device", json_string(p->config->device));
    put(o, "queues", p->config->queues);
    put(o, "link_up", atomic_load(&p->link.state) == FG_LINK_UP);
    put(o, "link_lost", atomic_load(&p->link.lost));
    for (unsigned i = 0; i < p->ethdevs; i++)
        add_ethdev(p->ethdev[i], &sum);
    put(o, "rx", sum.ipackets);
    put(o, "rx_bytes", sum.ibytes);
    put(o, "rx_missed", sum.imissed);
    put(o, "rx_errors", sum.ierrors);
    put(o, "rx_no_mbuf", sum.rx_nombuf);
    put(o, "tx", sum.opackets);
    put(o, "tx_bytes", sum.obytes);
    put(o, "tx_errors", sum.oerrors);
    return o;
}

json_t *fg_stats_json(void *daemon)
{
    struct fg_daemon *d = daemon;
    json_t *o = json_object(), *workers = json_array(), *ports = json_array();

    for (unsigned i = 0; i < d->config.workers.count; i++)
        json_array_append_new(workers, worker_json(d, i));
    for (unsigned i = 0; i < d->config.ports_count; i++)
        json_array_append_new(ports, port_json(&d->ports[i]));
    json_object_set_new(o, "workers", workers);
    json_object_set_new(o, "drops", drops_json(d));
    json_object_set_new(o, "answers", answers_json(d));
    json_object_set_new(o, "stock", stock_json(d));
    json_object_set_new(o, "filter", filter_json(d));
    json_object_set_new(o, "filter_events", filter_events_json(d));
    json_object_set_new(o, "penalty", fg_shield_json(d));
    json_object_set_new(o, "alarm", fg_alarm_levels_json(d));
    json_object_set_new(o, "ports", ports);
    return o;
}
