/* SPDX-License-Identifier: BSD-3-Clause */
/* The verdict that a packet of a source would get now, and why. */
#include <inttypes.h>
#include <string.h>

#include "control/explain.h"
#include "control/penalties.h"

static const char *const class_names[FG_FILTER_CLASSES] = {[FG_FILTER_CLASS_ORDER] = "order",
                                                           [FG_FILTER_CLASS_SYN] = "syn",
                                                           [FG_FILTER_CLASS_OTHER] = "other"};

static json_t *entry_json(bool listed, const struct fg_filter_prefix *prefix,
                          const struct fg_filter_list_entry *entry)
{
    char text[64];

    if (!listed)
        return json_null();
    fg_filter_prefix_format(prefix, text);
    return json_pack("{s:s, s:s, s:I, s:I}", "prefix", text, "reason", entry->reason, "expires_ms",
                     (json_int_t)entry->expires_ms, "hits", (json_int_t)entry->hits);
}

/* In the order in which the data path decides. */
static void say_why(const struct fg_filter_explanation *e, const struct fg_filter_explained *c,
                    char *text, size_t size)
{
    if (e->allowed && !e->lists_ignored)
        snprintf(text, size, "on the allow list: neither blocked nor limited");
    else if (c->verdict == FG_FILTER_VERDICT_BLOCKED)
        snprintf(text, size, "on the block list%s%s", e->block.reason[0] ? ": " : "",
                 e->block.reason);
    else if (!c->limited)
        snprintf(text, size, "no rate is set for this class");
    else if (c->verdict == FG_FILTER_VERDICT_RATE_NET)
        snprintf(text, size, "its network is over its rate of %" PRIu64 "/s", c->net_rate);
    else if (c->tokens == 0)
        snprintf(text, size, "over its rate of %" PRIu64 "/s", c->rate);
    else
        snprintf(text, size, "within its rate of %" PRIu64 "/s%s", c->rate,
                 e->known ? "" : " (not seen lately, or no slot for it in the table of sources)");
}

static json_t *class_json(const struct fg_filter_explanation *e, unsigned class)
{
    const struct fg_filter_explained *c = &e->classes[class];
    char why[160];
    json_t *o;

    say_why(e, c, why, sizeof(why));
    o = json_pack("{s:s, s:s}", "verdict", fg_filter_verdict_name(c->verdict), "why", why);
    if (c->limited) {
        json_object_set_new(o, "rate", json_integer((json_int_t)c->rate));
        json_object_set_new(o, "left", json_integer((json_int_t)c->tokens));
    }
    if (c->net_limited) {
        json_object_set_new(o, "network_rate", json_integer((json_int_t)c->net_rate));
        json_object_set_new(o, "network_left", json_integer((json_int_t)c->net_tokens));
    }
    return o;
}

/* A set of classes. An order packet is the only one to the order port that counts; a TCP connection
 * to another port is a SYN and then other packets. */
static bool classes_of(struct fg_control_call *call, uint16_t order_port, unsigned *classes)
{
    *classes = (1u << FG_FILTER_CLASSES) - 1;
    if (call->class_name && call->port)
        return fg_control_call_fail(call, 400, "class", "class and port: one of them");
    if (call->port)
        *classes = call->port == order_port
                       ? 1u << FG_FILTER_CLASS_ORDER
                       : 1u << FG_FILTER_CLASS_SYN | 1u << FG_FILTER_CLASS_OTHER;
    if (!call->class_name)
        return true;
    for (unsigned class = 0; class < FG_FILTER_CLASSES; class ++)
        if (strcmp(call->class_name, class_names[class]) == 0) {
            *classes = 1u << class;
            return true;
        }
    return fg_control_call_fail(call, 400, "class", "class: \"%.32s\" is none of order, syn, other",
                                call->class_name);
}

void fg_control_handle_explain(struct fg_control_call *call)
{
    struct fg_filter *filter = call->control->daemon.filter(call->control->daemon.ctx);
    struct fg_filter_explanation e;
    struct fg_filter_prefix address;
    unsigned classes;
    char text[64];
    json_t *o;

    if (!filter) {
        fg_control_call_fail(call, 503, NULL,
                             "the filter is off (configuration, [filter] enabled)");
        return;
    }
    if (!fg_control_text_source(call, call->args[0], &address))
        return;
    fg_filter_explain(filter, &address, &e);
    if (!classes_of(call, e.order_port, &classes))
        return;
    fg_filter_prefix_format(&address, text);
    o = json_pack("{s:s, s:b, s:o, s:o, s:o}", "source", text, "monitor", e.monitor, "allow",
                  entry_json(e.allowed, &e.allow_prefix, &e.allow), "block",
                  entry_json(e.blocked, &e.block_prefix, &e.block), "penalty",
                  fg_control_offender_json(call, &address));
    for (unsigned class = 0; class < FG_FILTER_CLASSES; class ++)
        if (classes & 1u << class)
            json_object_set_new(o, class_names[class], class_json(&e, class));
    fg_control_call_reply(call, 200, o);
}
