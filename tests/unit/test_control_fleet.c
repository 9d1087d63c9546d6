/* SPDX-License-Identifier: BSD-3-Clause */
/* A fleet by the control server, and by the built fgctl. */
#include "fgctl_run.h"

static const struct fg_member_settings settings = {
    .enabled = true,
    .member = 1,
    .members = 2,
    .shards = 256,
    .version = 7,
    .etcd = {.endpoints = "192.0.2.1:2379, 192.0.2.2:2379"}};

/* The double becomes member 1 of 2: its item 7 has a pool of 30 of 100 units. */
static void is_a_member(void)
{
    struct fg_fleet_pool *pool = &fx.daemon.pool.pool;

    fx.daemon.in_fleet = true;
    fx.daemon.fleet = (struct fg_control_fleet){.settings = &settings};
    fx.daemon.fleet.view = (struct fg_member_view){.member = 1,
                                                   .etcd_ok = true,
                                                   .etcd_ms = 2,
                                                   .fleet = {.may_sell = true,
                                                             .watched = true,
                                                             .revision = 4711,
                                                             .leases = 3,
                                                             .map = {.version = 7}}};
    fx.daemon.pool = (struct fg_fleet_item_view){.state = FG_FLEET_STATE_LEASING, .revision = 9};
    fg_fleet_pool_first(pool, 2);
    pool->free = 30;
    pool->row[0].log = (struct fg_fleet_counters){.stock = 100, .returned = 95, .returns = 1};
    pool->row[1].log = (struct fg_fleet_counters){.leased = 65, .leases = 3};
    pool->row[0].demand = 1;
    pool->row[0].wanted = 40;
    pool->next = 2;
    run(0, "item add 7 --name lamp");
    run(0, "item add 8");
}

static json_t *get(const char *path, int expected)
{
    json_t *json = NULL;
    int code = fg_ask(fx.socket, "GET", path, NULL, &json);

    if (code != expected)
        fail_msg("%s: %d, not %d: %s", path, code, expected,
                 json ? json_dumps(json, JSON_COMPACT) : "");
    return json;
}

static void one_appliance_is_no_fleet(void **state)
{
    json_t *json = get("/v1/fleet", 200);

    assert_true(json_is_false(json_object_get(json, "enabled")));
    json_decref(json);
    json_decref(get("/v1/fleet/items", 409));
    fails(1, "fleet top", "not a member of a fleet");
    fails(2, "fleet top --interval 50ms", "100ms to 1h");
    fails(1, "fleet status", "not a member of a fleet");
    run(0, "fleet status --json");
}

static void member_and_pools_are_shown(void **state)
{
    json_t *json, *item, *row;

    is_a_member();
    json = get("/v1/fleet", 200);
    assert_int_equal(number(json, "member"), 1);
    assert_int_equal(number(json, "members"), 2);
    assert_int_equal(number(json, "version"), 7);
    assert_int_equal(number(json, "revision"), 4711);
    assert_int_equal(number(json_object_get(json, "counters"), "leases"), 3);
    assert_true(json_is_true(json_object_get(json_object_get(json, "etcd"), "reachable")));
    assert_true(json_is_true(json_object_get(json_object_get(json, "etcd"), "watched")));
    json_decref(json);
    json = get("/v1/fleet/items", 200);
    item = json_array_get(json_object_get(json, "items"), 0);
    assert_int_equal(number(item, "free"), 30);
    assert_string_equal(json_string_value(json_object_get(item, "state")), "LEASING");
    row = json_array_get(json_object_get(item, "members"), 0);
    assert_int_equal(number(row, "held"), 5);
    assert_int_equal(number(row, "waits"), 40);
    row = json_array_get(json_object_get(item, "members"), 1);
    assert_int_equal(number(row, "leased"), 65);
    assert_int_equal(number(row, "held"), 65);
    item = json_array_get(json_object_get(json, "items"), 1);
    assert_string_equal(json_string_value(json_object_get(item, "state")), "UNREAD");
    assert_int_equal(json_array_size(json_object_get(item, "members")), 0);
    json_decref(json);
    run(0, "fleet status");
    says(out, "member       1 of 2: leases and returns units\n");
    says(out, "map          version 7, 256 shards\n");
    says(out, "192.0.2.2:2379: answers\n");
    says(out, "ITEM  POOL  HELD-0  HELD-1  WAITS  STATE  NAME");
    says(out, "   7    30       5      65     40         lamp");
    says(out, "   8     0       -       -      0");
}

static void faults_are_shown(void **state)
{
    struct fg_member_view *v = &fx.daemon.fleet.view;

    is_a_member();
    v->fleet.reason = FG_FLEET_REASON_FROZEN;
    v->fleet.map.frozen = true;
    v->fleet.silent = 1u << 0;
    v->fleet.map.retired = 1u << 2 | 1u << 3;
    v->etcd_ok = false;
    strcpy(v->etcd_error, "192.0.2.1:2379: timeout");
    strcpy(v->seen_error, "/log/fleet.seen: No space left on device");
    strcpy(fx.daemon.fleet.catalogue.error, "item 7, version 2: no room");
    fx.daemon.fleet.catalogue.behind = 1u << 0 | 1u << 1;
    fx.daemon.pool.pool.sold_out = true;
    run(0, "fleet status");
    says(out, "leases and returns nothing: a person froze the fleet\n");
    says(out, "version 7, 256 shards, frozen\n");
    says(out, "is away; last error: 192.0.2.1:2379: timeout\n");
    says(out, "fleet.seen   not written: /log/fleet.seen: No space left on device\n");
    says(out, "settings     not applied: item 7, version 2: no room\n");
    says(out, "behind       0 1\n");
    says(out, "silent       0\n");
    says(out, "retired      2 3\n");
    says(out, "sold-out");
    fx.daemon.pool.damaged = true;
    run(0, "fleet status");
    says(out, "  damaged  lamp");
}

/* No total is set where units move, neither the present one nor by a file. */
static void no_total_is_set(void **state)
{
    char words[512];
    json_t *json = NULL;

    is_a_member();
    run(0, "stock add 7 10");
    fails(1, "item set 7 --total 20", "add or remove units instead; nothing was changed");
    fails(1, "item set 7 --name other --total 10", "a member of a fleet");
    assert_int_equal(fg_ask(fx.socket, "POST", "/v1/items/7/stock", "{\"total\": 20}", &json), 409);
    json_decref(json);
    run(0, "item show 7");
    says(out, "lamp");
    words_with_file(words, "item import %s", "items.csv");
    write_file("items.csv", "item,total\n7,20\n9,5\n");
    fails(6, words, "items.csv:1: column total: this appliance is a member of a fleet");
    says(err, "nothing was sent");
    write_file("items.csv", "item,name\n7,other\n9,new\n");
    run(0, words);
    says(out, "1 created, 1 changed, 0 unchanged; units: 0 added, 0 removed");
    run(0, "stock remove 7 10");
    assert_int_equal(fx.daemon.stock_calls, 2);
    fx.daemon.in_fleet = false;
    run(0, "item set 7 --total 20");
}

/* Units move while a change is answered: its answer does not wait for a total. */
static void a_change_is_seen_while_units_move(void **state)
{
    json_t *json;

    is_a_member();
    fx.daemon.leased = 5;
    json = run_json("stock add 7 10 --json");
    assert_int_equal(number(json, "total"), 15);
    assert_null(json_object_get(json, "lagging"));
    json_decref(json);
}

/* The units of a new item may be in the pool already. */
static void the_fleet_may_have_the_units(void **state)
{
    is_a_member();
    fx.daemon.refuse_stock = FG_CONTROL_UNAVAILABLE;
    fails(4, "item add 9 --total 5", "in the pool and at all members first (fgctl fleet status)");
}

/* Members as rows: what the pool says of both, and what this one knows of itself. */
static void top_shows_all_members(void **state)
{
    json_t *json, *members;

    is_a_member();
    fx.daemon.fleet.view.fleet.silent = 1u << 0;
    run(0, "fleet top --count 1");
    says(out, "seen by member 1  map version 7\n");
    says(out, "\npool   30 units free  etcd answers in 2 ms\n");
    says(out, "MEMBER  STATE   HELD  HELD/S  RESERVED  SOLD  ORDERS/S  WAITS\n");
    says(out, "     0  silent     5       0         -     -         -     40\n");
    says(out, "     1  sells     65       0         0     0         0      0\n");
    says(out, "   7  lamp    30    70     40         0");
    assert_null(strchr(out, '\033'));
    fx.daemon.fleet.view.fleet.silent = 0;
    fx.daemon.fleet.view.fleet.may_sell = false;
    fx.daemon.fleet.view.fleet.reason = FG_FLEET_REASON_FROZEN;
    fx.daemon.fleet.view.fleet.map.frozen = true;
    fx.daemon.fleet.view.etcd_ok = false;
    run(0, "fleet top --count 1");
    says(out, "map version 7, frozen\n");
    says(out, "etcd is away  leases and returns nothing: a person froze the fleet\n");
    says(out, "     0  answers ");
    says(out, "     1  sells-nothing ");
    fx.daemon.fleet.view.fleet.map.retired = 1u << 0;
    run(0, "fleet top --count 1 --json");
    json = json_loads(out, 0, NULL);
    assert_non_null(json);
    members = json_object_get(json, "members");
    assert_int_equal(json_array_size(members), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(members, 0), "state")),
                        "retired");
    assert_int_equal(number(json_array_get(members, 1), "held"), 65);
    assert_int_equal(number(json, "free"), 30);
    json_decref(json);
}

/* The newest view that a running `fleet top --json` wrote; NULL: none yet. */
static json_t *newest_view(void)
{
    char *end, *line;

    read_back("out", out, sizeof(out));
    end = strrchr(out, '\n');
    if (!end)
        return NULL;
    *end = 0;
    line = strrchr(out, '\n');
    return json_loads(line ? line + 1 : out, 0, NULL);
}

static void top_has_rates(void **state)
{
    double held = 0, leased = 0, orders = 0;
    pid_t pid;

    is_a_member();
    pid = spawn("fleet top --json --interval 100ms");
    for (int i = 0; i < 2000 && (held <= 0 || leased <= 0 || orders <= 0); i++) {
        json_t *view = newest_view();

        if (view) {
            pthread_mutex_lock(&fx.daemon.lock);
            fx.daemon.pool.pool.row[1].log.leased++; /* in each view more than before */
            pthread_mutex_unlock(&fx.daemon.lock);
            held = json_real_value(
                json_object_get(json_array_get(json_object_get(view, "members"), 1), "held_rate"));
            leased = json_real_value(
                json_object_get(json_array_get(json_object_get(view, "items"), 0), "leased_rate"));
            orders = json_real_value(json_object_get(json_object_get(view, "own"), "orders_rate"));
            json_decref(view);
        }
        usleep(10000);
    }
    kill(pid, SIGINT);
    assert_int_equal(finish(pid), 0);
    assert_true(held > 0 && leased > 0 && orders > 0);
}

/* As many columns as there may be members. */
static void the_largest_fleet_is_shown(void **state)
{
    struct fg_member_settings large = settings;

    is_a_member();
    large.members = FG_FLEET_MEMBERS_MAX;
    fx.daemon.fleet.settings = &large;
    run(0, "fleet status");
    says(out, "HELD-15");
    run(0, "fleet top --count 1");
    says(out, "    15  answers ");
}

/* Settings are changed for all members, from the version that was read. */
static void changes_are_of_all_members(void **state)
{
    json_t *json;

    is_a_member();
    fx.daemon.version = 5;
    fx.daemon.behind_members = 1u << 0 | 1u << 3;
    json = run_json("item set 7 --order-max 3 --json");
    assert_int_equal(fx.daemon.last_item.version, 5);
    assert_int_equal(json_array_size(json_object_get(json, "behind")), 2);
    json_decref(json);
    run(0, "close 7");
    says(err, "not applied yet by these members of the fleet: 0 3\n");
    fx.daemon.behind_members = 0;
    json = run_json("resume 7 --json");
    assert_null(json_object_get(json, "behind"));
    json_decref(json);
    fx.daemon.refuse_item = FG_CONTROL_CONFLICT;
    fails(1, "pause 7", "refused by the test");
    fx.daemon.refuse_item = FG_CONTROL_DONE;
    json = get("/v1/fleet/items", 200);
    assert_int_equal(number(json_array_get(json_object_get(json, "items"), 0), "version"), 5);
    json_decref(json);
}

/* Each member may be told of a new item: the others have it already. */
static void an_item_is_told_again(void **state)
{
    unsigned calls;

    is_a_member();
    calls = fx.daemon.item_calls;
    run(0, "item add 8");
    assert_int_equal(fx.daemon.item_calls, calls);
    fails(1, "item add 8 --total 5", "item exists already");
    fails(1, "item add 8 --user-limit 5", "item exists already");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(one_appliance_is_no_fleet),
        T(member_and_pools_are_shown),
        T(faults_are_shown),
        T(no_total_is_set),
        T(a_change_is_seen_while_units_move),
        T(the_fleet_may_have_the_units),
        T(top_shows_all_members),
        T(top_has_rates),
        T(the_largest_fleet_is_shown),
        T(changes_are_of_all_members),
        T(an_item_is_told_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
