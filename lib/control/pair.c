/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/pair.h"

#include <string.h>

#include "base/json.h"
#include "control/item_json.h"

/* False: there is no pair. */
static bool read_pair(struct fg_control *control, struct fg_control_pair *pair)
{
    const struct fg_control_daemon *daemon = &control->daemon;

    memset(pair, 0, sizeof(*pair));
    return daemon->pair && daemon->pair(daemon->ctx, pair);
}

static bool leads(const struct fg_control_pair *pair)
{
    return pair->leads && !pair->view.ended;
}

static json_t *peer_json(const struct fg_replication_view *v)
{
    json_t *peer = json_pack("{s:s, s:o, s:b, s:o, s:I, s:I}", "address", v->peer, "name",
                             fg_json_text(v->peer_name), "linked", v->pair.linked, "link_error",
                             fg_json_text(v->link_error), "linked_ms", (json_int_t)v->linked_ms,
                             "links", (json_int_t)v->links);

    if (!v->pair.linked)
        return peer;
    json_object_set_new(peer, "state", json_string(fg_pair_state_text(v->pair.peer_state)));
    json_object_set_new(peer, "durable", json_integer((json_int_t)v->pair.peer_durable));
    return peer;
}

static json_t *history_json(const struct fg_replication_view *v)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < v->history_len && i < FG_REPLICATION_HISTORY_MAX; i++) {
        const struct fg_replication_change *c = &v->history[i];

        json_array_append_new(
            list, json_pack("{s:I, s:o, s:I, s:s, s:o}", "time_ms", (json_int_t)c->unix_ms, "time",
                            fg_control_time_json(c->unix_ms), "epoch", (json_int_t)c->epoch, "role",
                            fg_pair_role_name(c->role), "why", fg_json_text(c->why)));
    }
    return list;
}

static json_t *pair_json(const struct fg_control_pair *pair)
{
    const struct fg_replication_view *v = &pair->view;
    const struct fg_pair_view *p = &v->pair;
    const struct fg_replication_settings *s = pair->settings;
    json_t *json =
        json_pack("{s:b, s:i, s:s, s:b, s:s, s:s, s:I, s:b}", "enabled", 1, "node", (int)v->node,
                  "role", fg_pair_role_name(p->role), "leads", leads(pair), "state",
                  fg_pair_state_text(p->state), "reason", fg_pair_reason_text(p->reason), "epoch",
                  (json_int_t)p->epoch, "accepting", p->accepting);
    json_t *numbers = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "committed",
                                (json_int_t)p->committed, "durable", (json_int_t)p->durable, "last",
                                (json_int_t)p->last, "lag_records", (json_int_t)v->lag_records,
                                "lag_ms", (json_int_t)v->lag_ms, "skew_ms", (json_int_t)p->skew_ms,
                                "trip_us", (json_int_t)v->trip_us, "drops", (json_int_t)p->drops);

    json_object_update(json, numbers);
    json_decref(numbers);
    json_object_set_new(json, "refusal", fg_json_text(v->refusal));
    json_object_set_new(json, "mismatch", fg_json_text(v->mismatch));
    json_object_set_new(json, "peer", peer_json(v));
    json_object_set_new(json, "arbiter",
                        json_pack("{s:s, s:b, s:o, s:I}", "endpoints", s->arbiter.endpoints,
                                  "reachable", v->arbiter_ok, "error",
                                  fg_json_text(v->arbiter_error), "took_ms",
                                  (json_int_t)v->arbiter_ms));
    if (s->address[0])
        json_object_set_new(json, "address",
                            json_pack("{s:s, s:b, s:o}", "list", s->address, "held",
                                      pair->address_held, "error",
                                      fg_json_text(pair->address_error)));
    if (v->fill.seq)
        json_object_set_new(json, "fill",
                            json_pack("{s:I, s:I, s:I}", "seq", (json_int_t)v->fill.seq, "bytes",
                                      (json_int_t)v->fill.bytes, "of", (json_int_t)v->fill.of));
    json_object_set_new(json, "changes", history_json(v));
    return json;
}

void fg_control_handle_pair(struct fg_control_call *call)
{
    struct fg_control_pair pair;

    fg_control_call_reply(call, 200,
                          read_pair(call->control, &pair) ? pair_json(&pair)
                                                          : json_pack("{s:b}", "enabled", 0));
}

void fg_control_handle_leader(struct fg_control_call *call)
{
    struct fg_control_pair pair;
    json_t *json;
    bool leader = true;

    if (!read_pair(call->control, &pair)) {
        json = json_pack("{s:b}", "leader", 1);
    } else {
        leader = leads(&pair);
        json = json_pack("{s:b, s:s}", "leader", leader, "role",
                         fg_pair_role_name(pair.view.pair.role));
    }
    fg_control_call_reply(call, leader ? 200 : 503, json);
}

const char *fg_control_pair_role(struct fg_control *control)
{
    struct fg_control_pair pair;

    return read_pair(control, &pair) ? fg_pair_role_name(pair.view.pair.role) : "";
}

bool fg_control_pair_leads(struct fg_control_call *call)
{
    struct fg_control_pair pair;

    if (!read_pair(call->control, &pair) || leads(&pair))
        return true;
    return fg_control_call_fail(call, 409, NULL,
                                "this appliance does not lead its pair (%s: %s); nothing was "
                                "changed. Ask the one at %s",
                                fg_pair_role_name(pair.view.pair.role),
                                fg_pair_state_text(pair.view.pair.state), pair.view.peer);
}

/* ---- the operator's decisions ---------------------------------------------------------------- */

/* The pair, for a decision; false after an error. */
static bool take_pair(struct fg_control_call *call, struct fg_control_pair *pair)
{
    return read_pair(call->control, pair) ||
           fg_control_call_fail(call, 409, NULL,
                                "this appliance is not one of a pair: [pair] enabled = no");
}

static bool refuse(struct fg_control_call *call, const struct fg_control_pair *pair,
                   const char *what)
{
    return fg_control_call_fail(call, 409, NULL, "this appliance is %s: %s; nothing was changed",
                                fg_pair_role_name(pair->view.pair.role), what);
}

static void act(struct fg_control_call *call, enum fg_control_pair_act what, const char *name)
{
    const struct fg_control_daemon *daemon = &call->control->daemon;

    daemon->pair_act(daemon->ctx, what);
    fg_control_call_reply(call, 202, json_pack("{s:b}", name, 1));
}

void fg_control_handle_pair_switch(struct fg_control_call *call)
{
    struct fg_control_pair pair;

    if (!take_pair(call, &pair))
        return;
    if (pair.view.pair.role == FG_PAIR_ROLE_LEADER)
        act(call, FG_CONTROL_PAIR_SWITCH, "handing");
    else
        refuse(call, &pair, "only a leader with a standby can hand over");
}

static void alone(struct fg_control_call *call, enum fg_control_pair_act what, const char *name)
{
    struct fg_control_pair pair;

    if (!take_pair(call, &pair))
        return;
    if (leads(&pair))
        act(call, what, name);
    else
        refuse(call, &pair, "only the one that leads decides about a standby");
}

void fg_control_handle_pair_solo(struct fg_control_call *call)
{
    alone(call, FG_CONTROL_PAIR_SOLO, "solo");
}

void fg_control_handle_pair_join(struct fg_control_call *call)
{
    alone(call, FG_CONTROL_PAIR_JOIN, "joining");
}

void fg_control_handle_pair_force(struct fg_control_call *call)
{
    struct fg_control_pair pair;
    const json_t *off = json_object_get(call->body, "peer_is_powered_off");

    if (json_object_size(call->body) != 1 || !json_is_true(off)) {
        fg_control_call_fail(call, 400, "peer_is_powered_off",
                             "peer_is_powered_off: must be true, and alone: two appliances that "
                             "lead sell every unit twice");
        return;
    }
    if (!take_pair(call, &pair))
        return;
    if (leads(&pair))
        refuse(call, &pair, "it leads already");
    else if (pair.view.pair.linked)
        refuse(call, &pair, "its peer answers, so it is not powered off");
    else
        act(call, FG_CONTROL_PAIR_FORCE, "forcing");
}
