/* SPDX-License-Identifier: BSD-3-Clause */
/* The filter in front of the ports, and the options of lib/port as this daemon has them. */
#include "daemon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>

#include "base/address.h"
#include "base/diag.h"
#include "base/leading.h"
#include "port/messages.h"

static bool any_af_xdp(const struct fg_config *c)
{
    for (unsigned i = 0; i < c->ports_count; i++)
        if (c->ports[i].af_xdp)
            return true;
    return false;
}

/*
 * No port has a kernel driver: the workers filter. The tables are pinned all the same, so that
 * lists outlive the daemon; where the kernel does not let us, they lie in our memory.
 */
static bool open_filter_alone(struct fg_daemon *d, struct fg_filter_options options,
                              struct fg_error *err)
{
    d->filter = fg_filter_open(&options, err);
    if (d->filter)
        return fg_filter_lock(options.pins, err);
    fg_diag(FG_DIAG_WARNING, "lists of the filter end with this process: %s", err->text);
    options.pins = NULL;
    d->filter = fg_filter_open(&options, err);
    return d->filter != NULL;
}

static bool load_lists(struct fg_daemon *d, struct fg_error *err)
{
    if (fg_filter_pins_are_private(d->config.filter.pins))
        fg_diag(FG_DIAG_WARNING,
                "the filter's pins, %s, lie in a mount namespace of this process: its lists and "
                "rates end with it. `ip netns exec` makes such a namespace, `nsenter --net` does "
                "not",
                d->config.filter.pins);
    return fg_filter_load_at_start(d->filter, FG_FILTER_LIST_BLOCK, d->config.filter.block_file,
                                   d->left_out, sizeof(d->left_out), err) &&
           fg_filter_load_at_start(d->filter, FG_FILTER_LIST_ALLOW, d->config.filter.allow_file,
                                   d->left_out, sizeof(d->left_out), err);
}

/* The program is needed even with the filter off: it takes the order packets before the
 * kernel does. */
bool fg_attach_filters(struct fg_daemon *d, struct fg_error *err)
{
    const struct fg_config *c = &d->config;
    bool on = c->filter.enabled;
    struct fg_filter_options options = {
        .pins = c->filter.pins,
        .order_port = c->orders.port,
        .order_ports = (uint16_t)fg_config_order_ports(c),
        .order_rate = on ? c->filter.order.rate : 0,
        .order_burst = c->filter.order.burst,
        .syn_rate = on ? c->filter.syn.rate : 0,
        .syn_burst = c->filter.syn.burst,
        .net_factor = c->filter.net_factor,
        .sample_rate = c->filter.sample_rate,
        .monitor = c->filter.monitor,
        .other_rate = on ? c->filter.other.rate : 0,
        .other_burst = c->filter.other.burst,
        .sources_max = c->filter.sources_max,
        .prefixes_max = c->filter.prefixes_max,
        .v6_prefix = c->filter.v6_prefix,
    };

    if (!any_af_xdp(c))
        return !on || (open_filter_alone(d, options, err) && load_lists(d, err));
    fg_port_messages_take_xdp();
    for (unsigned i = 0; i < c->ports_count; i++)
        if (c->ports[i].af_xdp && !if_nametoindex(c->ports[i].device))
            return fg_fail(err, "port %s: no interface %s here", c->ports[i].name,
                           c->ports[i].device);
    d->filter = fg_filter_open(&options, err);
    if (!d->filter || !fg_filter_lock(c->filter.pins, err) || !load_lists(d, err))
        return false;
    d->own = fg_port_own_open(err);
    if (!d->own)
        return false;
    for (unsigned i = 0; i < c->ports_count; i++)
        if (c->ports[i].af_xdp &&
            !fg_port_own_attach(d->own, d->filter, c->ports[i].device, c->ports[i].generic,
                                c->ports[i].address, c->pair.enabled ? c->pair.address : "", err))
            return false;
    return true;
}

static bool workers_pass(const void *group, unsigned timeout_ms)
{
    return fg_worker_group_pass(group, timeout_ms);
}

struct fg_port_group_options fg_port_options_of(const struct fg_daemon *d)
{
    const struct fg_config *c = &d->config;
    struct fg_port_group_options options = {
        .ports = c->ports,
        .count = c->ports_count,
        .eal = &c->eal,
        .workers = c->workers.count,
        .order_port = c->orders.port,
        .steer = c->orders.steer,
        .floating = c->pair.enabled ? c->pair.address : NULL,
        .filter_frames = d->filter && c->filter.enabled,
        .filter = d->filter,
        .workers_pass = workers_pass,
        .ctx = &d->workers,
    };

    for (unsigned i = 0; i < c->workers.count; i++)
        options.cpus[i] = fg_config_cpu(c, i);
    return options;
}

/* ---- addresses of a pair --------------------------------------------------------------------- */

bool fg_floating_start(struct fg_daemon *d, struct fg_error *err)
{
    const struct fg_config *c = &d->config;

    if (!c->pair.enabled || !c->pair.address[0])
        return true;
    d->floating = fg_port_floating_start(c->pair.address, c->ports, c->ports_count, err);
    return d->floating != NULL;
}

/*
 * A leader that may not answer now says nothing: after FG_PORT_FLOATING_SILENT_MS it has lost the
 * addresses. So one that was stopped, and does not know yet that another leads, takes none back.
 */
void fg_floating_poll(struct fg_daemon *d)
{
    uint64_t now_ms = fg_clock_mono_ms();
    bool leads, valid;

    if (!d->floating)
        return;
    leads = atomic_load(&d->pair.leads) && !atomic_load(&d->pair.over);
    valid = leads && fg_clock_tsc() < atomic_load(&d->pair.leading->valid_until_tsc);
    if (valid)
        d->floating_ms = now_ms;
    if (valid || !leads)
        fg_port_floating_hold(d->floating, valid);
    fg_port_floating_hold_ports(&d->ports,
                                leads && now_ms < d->floating_ms + FG_PORT_FLOATING_SILENT_MS);
}

void fg_floating_fill(const struct fg_daemon *d, struct fg_control_pair *pair)
{
    struct fg_address_floating list[FG_ADDRESS_FLOATING_MAX];
    unsigned address = 0, count;
    int fault = fg_port_floating_fault(d->floating, &address);
    char text[INET6_ADDRSTRLEN] = "";

    pair->address_held = fg_port_floating_held(d->floating);
    if (!pair->leads || !fault)
        return;
    count = fg_address_floating_read(d->config.pair.address, list);
    if (address < count)
        inet_ntop(list[address].family, list[address].bytes, text, sizeof(text));
    if (fault == ESRCH)
        snprintf(pair->address_error, sizeof(pair->address_error),
                 "the process fg-address ended; restart to have it again");
    else
        snprintf(pair->address_error, sizeof(pair->address_error), "%s: %s", text, strerror(fault));
}

void fg_floating_stop(struct fg_daemon *d)
{
    fg_port_floating_stop(d->floating);
    d->floating = NULL;
}
