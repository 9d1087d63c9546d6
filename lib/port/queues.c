/* SPDX-License-Identifier: BSD-3-Clause */
/* The watch over the receive queues: overflows, and queues without a reader. */
#include "port/interface.h"
#include "port/port.h"
#include "port/rings.h"

#define SPREAD_POLLS 50 /* polls between two readings of how packets are spread: 5 s */

static void read_spread(struct fg_port *p)
{
    struct fg_port_interface_queues have;

    if (!p->options->af_xdp)
        return;
    have = fg_port_interface_queues(p->options->device);
    atomic_store(&p->queues_combined, have.combined);
    atomic_store(&p->queues_used, have.used);
}

void fg_port_queues_poll(struct fg_port_group *g)
{
    fg_port_rings_poll(g);
    if (g->queues_polls++ % SPREAD_POLLS)
        return;
    for (unsigned i = 0; i < g->options.count; i++)
        read_spread(&g->list[i]);
}

bool fg_port_queues_wrong(const struct fg_port_group *g, char *text, size_t size)
{
    for (unsigned i = 0; i < g->options.count; i++) {
        const struct fg_port *p = &g->list[i];
        struct fg_port_interface_queues have = {.used = atomic_load(&p->queues_used),
                                                .combined = atomic_load(&p->queues_combined)};
        char command[96];

        if (have.used <= p->options->queues)
            continue;
        fg_port_interface_queues_command(p->options->device, &have, p->options->queues, command,
                                         sizeof(command));
        snprintf(text, size,
                 "port %s: %.32s spreads packets over %u receive queues, and %u %s read: `%s`, or "
                 "queues = %u",
                 p->options->name, p->options->device, have.used, p->options->queues,
                 p->options->queues == 1 ? "is" : "are", command, have.used);
        return true;
    }
    return false;
}
