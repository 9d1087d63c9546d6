/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fleet.h"

#include "base/json.h"
#include "control/item_json.h"

/* False: there is no fleet. */
static bool read_fleet(struct fg_control *control, struct fg_control_fleet *fleet)
{
    const struct fg_control_daemon *daemon = &control->daemon;

    *fleet = (struct fg_control_fleet){0};
    return daemon->fleet && daemon->fleet(daemon->ctx, fleet);
}

json_t *fg_control_members_json(uint32_t bits)
{
    json_t *list = json_array();

    for (unsigned m = 0; m < FG_FLEET_MEMBERS_MAX; m++)
        if (bits & 1u << m)
            json_array_append_new(list, json_integer(m));
    return list;
}

static json_t *counters_json(const struct fg_fleet_view *v)
{
    json_t *json = json_object();

#define X(name, text) json_object_set_new(json, #name, json_integer((json_int_t)v->name));
    FG_FLEET_COUNTER_LIST(X)
#undef X
    return json;
}

static json_t *fleet_json(const struct fg_control_fleet *fleet)
{
    const struct fg_member_view *m = &fleet->view;
    const struct fg_fleet_view *v = &m->fleet;
    const struct fg_member_settings *s = fleet->settings;
    json_t *json = json_pack("{s:b, s:i, s:i, s:i, s:I, s:s, s:b, s:b, s:b, s:I}", "enabled", 1,
                             "member", (int)m->member, "members", (int)s->members, "shards",
                             (int)s->shards, "version", (json_int_t)s->version, "reason",
                             fg_fleet_reason_text(v->reason), "may_sell", v->may_sell, "frozen",
                             v->map.frozen, "away", v->away, "revision", (json_int_t)v->revision);

    json_object_set_new(json, "silent", fg_control_members_json(v->silent));
    json_object_set_new(json, "retired", fg_control_members_json(v->map.retired));
    json_object_set_new(json, "etcd",
                        json_pack("{s:s, s:b, s:o, s:I, s:b}", "endpoints", s->etcd.endpoints,
                                  "reachable", m->etcd_ok, "error", fg_json_text(m->etcd_error),
                                  "took_ms", (json_int_t)m->etcd_ms, "watched", v->watched));
    json_object_set_new(json, "seen_error", fg_json_text(m->seen_error));
    json_object_set_new(json, "behind", fg_control_members_json(fleet->catalogue.behind));
    json_object_set_new(json, "catalogue_error", fg_json_text(fleet->catalogue.error));
    json_object_set_new(json, "counters", counters_json(v));
    return json;
}

void fg_control_handle_fleet(struct fg_control_call *call)
{
    struct fg_control_fleet fleet;

    fg_control_call_reply(call, 200,
                          read_fleet(call->control, &fleet) ? fleet_json(&fleet)
                                                            : json_pack("{s:b}", "enabled", 0));
}

static json_t *rows_json(const struct fg_fleet_pool *pool)
{
    json_t *list = json_array();

    for (unsigned m = 0; m < pool->members; m++) {
        const struct fg_fleet_row *r = &pool->row[m];

        json_array_append_new(
            list, json_pack("{s:i, s:I, s:I, s:I, s:I, s:I}", "member", (int)m, "stock",
                            (json_int_t)r->log.stock, "leased", (json_int_t)r->log.leased,
                            "returned", (json_int_t)r->log.returned, "held",
                            (json_int_t)fg_fleet_held(&r->log), "waits", (json_int_t)r->wanted));
    }
    return list;
}

static json_t *item_json(struct fg_control *control, const struct fg_ledger_item *item)
{
    const struct fg_control_daemon *daemon = &control->daemon;
    uint64_t version = daemon->item_version ? daemon->item_version(daemon->ctx, item->item) : 0;
    struct fg_fleet_item_view v;

    if (!daemon->fleet_item(daemon->ctx, item->index, &v)) /* it was defined just now */
        v = (struct fg_fleet_item_view){.state = FG_FLEET_STATE_UNREAD};
    return json_pack("{s:o, s:o, s:I, s:s, s:b, s:b, s:I, s:o}", "item", fg_json_id(item->item),
                     "name", fg_json_text(item->name), "version", (json_int_t)version, "state",
                     fg_fleet_state_name(v.state), "sold_out", v.pool.sold_out, "damaged",
                     v.damaged, "free", (json_int_t)v.pool.free, "members", rows_json(&v.pool));
}

void fg_control_handle_fleet_items(struct fg_control_call *call)
{
    struct fg_control_fleet fleet;
    struct fg_ledger_item *items;
    uint64_t count, all = 0;
    json_t *list;

    if (!read_fleet(call->control, &fleet)) {
        fg_control_call_fail(call, 409, NULL,
                             "this appliance is not a member of a fleet: [fleet] enabled = no");
        return;
    }
    items = fg_control_items_copy(call->control, call->offset, call->limit, false, &count, &all);
    if (!items)
        return;
    list = json_array();
    for (uint64_t i = 0; i < count; i++)
        json_array_append_new(list, item_json(call->control, &items[i]));
    fg_control_call_reply(call, 200,
                          json_pack("{s:o, s:I, s:I, s:I}", "items", list, "count", (json_int_t)all,
                                    "offset", (json_int_t)call->offset, "limit",
                                    (json_int_t)call->limit));
    free(items);
}
