/* SPDX-License-Identifier: BSD-3-Clause */
/* A pair by the control server, and by the built fgctl. */
#include "fgctl_run.h"

static const struct fg_replication_settings settings = {
    .enabled = true,
    .arbiter = {.endpoints = "192.0.2.1:2379, 192.0.2.2:2379"},
    .address = "192.0.2.10/24 at eth0"};

/* The double becomes one of a pair. */
static void is_one_of_a_pair(enum fg_pair_role role, enum fg_pair_state state, bool leads)
{
    struct fg_control_pair *p = &fx.daemon.pair;

    fx.daemon.paired = true;
    *p = (struct fg_control_pair){.settings = &settings, .leads = leads};
    p->view = (struct fg_replication_view){
        .node = 1,
        .peer = "192.0.2.2:4610",
        .peer_name = "floodgate node 0",
        .link_error = "",
        .arbiter_ok = true,
        .arbiter_ms = 2,
        .lag_records = 12,
        .lag_ms = 3,
        .trip_us = 180,
        .fill = {.seq = 4711, .bytes = 3 << 20, .of = 8 << 20},
        .history_len = 1,
        .history = {{.unix_ms = 1700000000000, .epoch = 5, .role = role, .why = "it was tried"}},
        .pair = {.role = role,
                 .state = state,
                 .accepting = leads,
                 .epoch = 5,
                 .committed = 100,
                 .durable = 104,
                 .last = 112,
                 .linked = true,
                 .peer_state = FG_PAIR_STATE_SYNC,
                 .peer_durable = 100,
                 .skew_ms = -7,
                 .drops = 1}};
}

static json_t *ask(const char *method, const char *path, const char *body, int expected)
{
    json_t *json = NULL;
    int code = fg_ask(fx.socket, method, path, body, &json);

    if (code != expected)
        fail_msg("%s %s: %d, not %d: %s", method, path, code, expected,
                 json ? json_dumps(json, JSON_COMPACT) : "");
    return json;
}

static void refused(const char *method, const char *path, const char *body, const char *text)
{
    json_t *json = ask(method, path, body, 409);
    const char *message =
        json_string_value(json_object_get(json_object_get(json, "error"), "message"));

    if (!message || !strstr(message, text))
        fail_msg("%s %s: \"%s\" does not say \"%s\"", method, path, message, text);
    json_decref(json);
}

static void one_appliance_leads_by_itself(void **state)
{
    json_t *json = ask("GET", "/v1/pair", NULL, 200);

    assert_true(json_is_false(json_object_get(json, "enabled")));
    json_decref(json);
    json = ask("GET", "/leader", NULL, 200);
    assert_true(json_is_true(json_object_get(json, "leader")));
    json_decref(json);
    json = ask("GET", "/healthz", NULL, 200);
    assert_null(json_object_get(json, "role"));
    json_decref(json);
    refused("POST", "/v1/pair/switch", NULL, "not one of a pair");
    fails(1, "pair status", "not one of a pair");
    fails(1, "pair force", "not one of a pair");
    assert_int_equal(fx.daemon.acts, 0);
}

static void both_sides_are_shown(void **state)
{
    json_t *json, *peer;

    is_one_of_a_pair(FG_PAIR_ROLE_LEADER, FG_PAIR_STATE_SYNC, true);
    json = ask("GET", "/v1/pair", NULL, 200);
    assert_string_equal(json_string_value(json_object_get(json, "role")), "leader");
    assert_int_equal(number(json, "node"), 1);
    assert_int_equal(number(json, "epoch"), 5);
    assert_int_equal(number(json, "committed"), 100);
    assert_int_equal(number(json, "lag_records"), 12);
    assert_int_equal(number(json, "lag_ms"), 3);
    assert_int_equal(number(json, "skew_ms"), -7);
    peer = json_object_get(json, "peer");
    assert_string_equal(json_string_value(json_object_get(peer, "name")), "floodgate node 0");
    assert_int_equal(number(peer, "durable"), 100);
    assert_true(json_is_true(json_object_get(json_object_get(json, "arbiter"), "reachable")));
    assert_true(json_is_false(json_object_get(json_object_get(json, "address"), "held")));
    assert_int_equal(json_array_size(json_object_get(json, "changes")), 1);
    assert_int_equal(number(json_object_get(json, "fill"), "of"), 8 << 20);
    json_decref(json);
    run(0, "pair status");
    says(out, "filling      a snapshot of record 4711, 3 of 8 MiB\n");
    says(out, "this box     node 1, leader: leads with a standby\n");
    says(out, "peer         192.0.2.2:4610 (floodgate node 0): ");
    says(out, "lag          12 records, 3 ms");
    says(out, "skew         -7 ms");
    says(out, "arbiter      192.0.2.1:2379, 192.0.2.2:2379: answers\n");
    says(out, "it was tried");
    fx.daemon.pair.view.pair.linked = false;
    strcpy(fx.daemon.pair.view.link_error, "connection refused");
    run(0, "pair status");
    says(out, "no link: connection refused");
}

static void a_standby_takes_no_changes(void **state)
{
    static const struct {
        const char *method, *path, *body;
    } changes[] = {{"POST", "/v1/items", "{\"item\": 7}"},
                   {"PATCH", "/v1/items/7", "{\"total\": 5}"},
                   {"POST", "/v1/items/7/stock", "{\"add\": 5}"},
                   {"POST", "/v1/items/7/open", NULL},
                   {"POST", "/v1/items/7/close", NULL},
                   {"POST", "/v1/items/7/pause", NULL},
                   {"POST", "/v1/items/7/resume", NULL},
                   {"POST", "/v1/users/denied", "{\"users\": [1]}"},
                   {"DELETE", "/v1/users/denied", "{\"users\": [1]}"},
                   {"POST", "/v1/filter/block", "{\"prefix\": \"198.18.0.0/16\"}"},
                   {"DELETE", "/v1/filter/block", "{\"prefix\": \"198.18.0.0/16\"}"},
                   {"POST", "/v1/filter/allow", "{\"prefix\": \"198.18.0.0/16\"}"},
                   {"DELETE", "/v1/filter/allow", "{\"prefix\": \"198.18.0.0/16\"}"},
                   {"DELETE", "/v1/filter/penalties", "{\"source\": \"198.18.0.1\"}"},
                   {"POST", "/v1/log/accept", NULL},
                   {"POST", "/v1/sinks/redis/adopt", NULL}};
    json_t *json;

    is_one_of_a_pair(FG_PAIR_ROLE_STANDBY, FG_PAIR_STATE_FOLLOWING, false);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
        refused(changes[i].method, changes[i].path, changes[i].body,
                "does not lead its pair (standby: follows); nothing was changed. Ask the one at "
                "192.0.2.2:4610");
    assert_int_equal(fx.daemon.item_calls + fx.daemon.stock_calls + fx.daemon.user_calls, 0);
    json = ask("GET", "/healthz", NULL, 200);
    assert_string_equal(json_string_value(json_object_get(json, "role")), "standby");
    json_decref(json);
    json = ask("GET", "/leader", NULL, 503);
    assert_string_equal(json_string_value(json_object_get(json, "role")), "standby");
    json_decref(json);
    json_decref(ask("POST", "/v1/keys/reload", NULL, 200)); /* of this appliance alone */
    fx.daemon.pair.leads = true;
    json_decref(ask("GET", "/leader", NULL, 200));
    json_decref(ask("POST", "/v1/items", "{\"item\": 7}", 201));
    fx.daemon.pair.view.ended = true;
    json_decref(ask("GET", "/leader", NULL, 503));
}

static void decisions_are_for_the_right_one(void **state)
{
    is_one_of_a_pair(FG_PAIR_ROLE_STANDBY, FG_PAIR_STATE_FOLLOWING, false);
    refused("POST", "/v1/pair/switch", NULL, "is standby: only a leader with a standby");
    refused("POST", "/v1/pair/solo", NULL, "is standby: only the one that leads");
    refused("POST", "/v1/pair/join", NULL, "is standby: only the one that leads");
    refused("POST", "/v1/pair/force", "{\"peer_is_powered_off\": true}", "its peer answers");
    json_decref(ask("POST", "/v1/pair/force", "{\"peer_is_powered_off\": false}", 400));
    json_decref(ask("POST", "/v1/pair/force", "{}", 400));
    is_one_of_a_pair(FG_PAIR_ROLE_SOLO, FG_PAIR_STATE_SOLO, true);
    refused("POST", "/v1/pair/switch", NULL, "is solo: only a leader with a standby");
    refused("POST", "/v1/pair/force", "{\"peer_is_powered_off\": true}", "leads already");
    assert_int_equal(fx.daemon.acts, 0);
    run(0, "pair join");
    assert_int_equal(fx.daemon.last_act, FG_CONTROL_PAIR_JOIN);
    is_one_of_a_pair(FG_PAIR_ROLE_LEADER, FG_PAIR_STATE_SYNC, true);
    run(0, "pair switch");
    says(out, "handed over");
    assert_int_equal(fx.daemon.last_act, FG_CONTROL_PAIR_SWITCH);
    is_one_of_a_pair(FG_PAIR_ROLE_LEADER, FG_PAIR_STATE_SYNC, true);
    run(0, "pair solo");
    assert_int_equal(fx.daemon.last_act, FG_CONTROL_PAIR_SOLO);
    assert_int_equal(fx.daemon.acts, 3);
}

static void force_wants_a_sentence(void **state)
{
    is_one_of_a_pair(FG_PAIR_ROLE_REFUSED, FG_PAIR_STATE_REFUSED, false);
    fx.daemon.pair.view.pair.linked = false;
    fx.daemon.pair.view.pair.reason = FG_PAIR_REASON_BELOW_FLOOR;
    fails(2, "pair force --confirm yes", "not confirmed; nothing was changed");
    says(err, "this log lacks records that the pair had acknowledged");
    says(err, "power it off first");
    says(err, "104 records");
    assert_int_equal(fx.daemon.acts, 0);
    run(0, "pair force --confirm the~other~box~is~powered~off");
    says(out, "leads alone");
    assert_int_equal(fx.daemon.last_act, FG_CONTROL_PAIR_FORCE);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(one_appliance_leads_by_itself), T(both_sides_are_shown),
        T(a_standby_takes_no_changes),    T(decisions_are_for_the_right_one),
        T(force_wants_a_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
