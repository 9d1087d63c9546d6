/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames to a worker's own order port come in by a queue that it polls, where the driver takes flow
 * rules. */
#include "port/steer.h"

#include "base/diag.h"

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_flow.h>

static bool add_rule(uint16_t ethdev, enum rte_flow_item_type ip, uint16_t order_port,
                     uint16_t queue, struct rte_flow_error *why)
{
    const struct rte_flow_attr attr = {.ingress = 1};
    const struct rte_flow_item_udp udp = {.hdr.dst_port = rte_cpu_to_be_16(order_port)},
                                   mask = {.hdr.dst_port = UINT16_MAX};
    const struct rte_flow_item pattern[] = {
        {.type = RTE_FLOW_ITEM_TYPE_ETH},
        {.type = ip},
        {.type = RTE_FLOW_ITEM_TYPE_UDP, .spec = &udp, .mask = &mask},
        {.type = RTE_FLOW_ITEM_TYPE_END}};
    const struct rte_flow_action_queue to = {.index = queue};
    const struct rte_flow_action actions[] = {{.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &to},
                                              {.type = RTE_FLOW_ACTION_TYPE_END}};

    return rte_flow_create(ethdev, &attr, pattern, actions, why) != NULL;
}

/* Worker w has the order port orders.port + w. A worker without a queue of this port has no rule.
 */
static bool add_rules(const struct fg_port_group *g, const struct fg_port *p,
                      struct rte_flow_error *why)
{
    for (unsigned q = 0; q < p->options->queues && q < g->options.workers; q++) {
        const struct fg_port_queue *queue = &g->queues[p->first_queue + q];
        uint16_t order_port = (uint16_t)(g->options.order_port + queue->worker);

        if (!add_rule(p->ethdev[0], RTE_FLOW_ITEM_TYPE_IPV4, order_port, queue->index, why) ||
            !add_rule(p->ethdev[0], RTE_FLOW_ITEM_TYPE_IPV6, order_port, queue->index, why))
            return false;
    }
    return true;
}

void fg_port_steer(const struct fg_port_group *g, const struct fg_port *p)
{
    struct rte_flow_error why = {0}, ignored;

    if (!g->options.steer || p->options->af_xdp || p->options->queues == 1)
        return;
    if (add_rules(g, p, &why)) {
        fg_diag(FG_DIAG_INFO, "port %s: order ports are steered to their workers' queues",
                p->options->name);
        return;
    }
    rte_flow_flush(p->ethdev[0], &ignored);
    fg_diag(FG_DIAG_NOTICE,
            "port %s: the driver takes no flow rules (%s): orders that come in by another queue "
            "are handed off",
            p->options->name, why.message ? why.message : rte_strerror(rte_errno));
}
