/* SPDX-License-Identifier: BSD-3-Clause */
/* The only list of what the API can do. docs/api.md is checked against it by a test. */
#include <ctype.h>
#include <string.h>

#include "control/capture.h"
#include "control/explain.h"
#include "control/fleet.h"
#include "control/items.h"
#include "control/lists.h"
#include "control/orders.h"
#include "control/pair.h"
#include "control/penalties.h"
#include "control/rates.h"
#include "control/report.h"
#include "control/routes.h"
#include "control/samples.h"
#include "control/system.h"
#include "control/trail.h"
#include "control/users.h"
#include "control/waiting.h"

#define BODY   FG_CONTROL_ROUTE_BODY
#define PAGE   FG_CONTROL_ROUTE_PAGE
#define LIMIT  FG_CONTROL_ROUTE_LIMIT
#define TEXT   FG_CONTROL_ROUTE_TEXT
#define LEADER FG_CONTROL_ROUTE_LEADER

const struct fg_control_route fg_control_routes[] = {
    {"GET", "/v1", fg_control_handle_index, 0, "this list"},
    {"GET", "/v1/status", fg_control_handle_status, 0,
     "state of the appliance, its log and its sinks"},
    {"GET", "/v1/stats", fg_control_handle_stats, 0,
     "counters of workers, stock, filter and ports"},
    {"GET", "/v1/items", fg_control_handle_items, PAGE | FG_CONTROL_ROUTE_ALL,
     "items in order of definition; ?retired=true: retired ones, too"},
    {"POST", "/v1/items", fg_control_handle_item_create, BODY | LEADER, "create an item"},
    {"GET", "/v1/items/ITEM", fg_control_handle_item, 0, "one item"},
    {"PATCH", "/v1/items/ITEM", fg_control_handle_item_patch, BODY | LEADER,
     "change settings of an item"},
    {"POST", "/v1/items/ITEM/stock", fg_control_handle_item_stock, BODY | LEADER,
     "add or remove units"},
    {"POST", "/v1/items/ITEM/open", fg_control_handle_item_open, LEADER,
     "open the sale now, without an end"},
    {"POST", "/v1/items/ITEM/close", fg_control_handle_item_close, LEADER, "end the sale now"},
    {"POST", "/v1/items/ITEM/pause", fg_control_handle_item_pause, LEADER,
     "sell nothing until resumed"},
    {"POST", "/v1/items/ITEM/resume", fg_control_handle_item_resume, LEADER,
     "sell again after a pause"},
    {"GET", "/v1/items/ITEM/waiting", fg_control_handle_waiting, PAGE,
     "who waits for units of an item, in the order of the tickets"},
    {"POST", "/v1/items/ITEM/waiting/clear", fg_control_handle_waiting_clear, LEADER,
     "all who wait for the item leave"},
    {"GET", "/v1/waiting/USER", fg_control_handle_waiting_user, 0,
     "the places of a user in waiting lists"},
    {"GET", "/v1/orders/USER", fg_control_handle_orders, PAGE,
     "all orders of a user, the oldest first"},
    {"GET", "/v1/orders/USER/ORDER", fg_control_handle_order, 0,
     "one order; ORDER: " FG_TEXT_ORDER},
    {"GET", "/v1/orders/USER/ORDER/steps", fg_control_handle_order_steps, 0,
     "the requests of a traced order, and the times of their steps"},
    {"POST", "/v1/orders/USER/ORDER/refund", fg_control_handle_order_refund, BODY | LEADER,
     "undo a sale, and put its units back on sale if told to"},
    {"GET", "/v1/users/denied", fg_control_handle_denied_list, PAGE,
     "users who may reserve nothing"},
    {"POST", "/v1/users/denied", fg_control_handle_denied_add, BODY | LEADER,
     "let users reserve nothing"},
    {"DELETE", "/v1/users/denied", fg_control_handle_denied_del, BODY | LEADER,
     "let users reserve again"},
    {"GET", "/v1/users/worst", fg_control_handle_worst, LIMIT,
     "users refused most often for asking too often"},
    {"GET", "/v1/filter/block", fg_control_handle_block_list, PAGE, "block list"},
    {"POST", "/v1/filter/block", fg_control_handle_block_add, BODY | LEADER,
     "add prefixes to the block list"},
    {"DELETE", "/v1/filter/block", fg_control_handle_block_del, BODY | LEADER,
     "remove prefixes from the block list"},
    {"POST", "/v1/filter/block/load", fg_control_handle_block_load, TEXT | LEADER,
     "replace the block list by the lines of the body"},
    {"GET", "/v1/filter/block/save", fg_control_handle_block_save, 0,
     "the block list as lines that a load takes"},
    {"GET", "/v1/filter/allow", fg_control_handle_allow_list, PAGE, "allow list"},
    {"POST", "/v1/filter/allow", fg_control_handle_allow_add, BODY | LEADER,
     "add prefixes to the allow list"},
    {"DELETE", "/v1/filter/allow", fg_control_handle_allow_del, BODY | LEADER,
     "remove prefixes from the allow list"},
    {"POST", "/v1/filter/allow/load", fg_control_handle_allow_load, TEXT | LEADER,
     "replace the allow list by the lines of the body"},
    {"GET", "/v1/filter/allow/save", fg_control_handle_allow_save, 0,
     "the allow list as lines that a load takes"},
    {"GET", "/v1/filter/rates", fg_control_handle_rates, 0,
     "rates and monitor mode: in force, and in the file"},
    {"PATCH", "/v1/filter/rates", fg_control_handle_rates_patch, BODY,
     "change rates and monitor mode until the next restart"},
    {"GET", "/v1/filter/top", fg_control_handle_filter_top, LIMIT,
     "sources that misbehave most, by class"},
    {"GET", "/v1/filter/samples", fg_control_handle_samples, LIMIT, "sampled drops, newest first"},
    {"GET", "/v1/filter/explain/SOURCE", fg_control_handle_explain, FG_CONTROL_ROUTE_PACKET,
     "what would happen to a packet of this address now, and why"},
    {"GET", "/v1/filter/penalties", fg_control_handle_penalties, PAGE,
     "sources in the penalty box"},
    {"GET", "/v1/filter/penalties/settings", fg_control_handle_penalty_settings, 0,
     "mode, thresholds and first block of the penalty box: in force, and in the file"},
    {"PATCH", "/v1/filter/penalties/settings", fg_control_handle_penalty_settings_patch, BODY,
     "change them until the next restart"},
    {"POST", "/v1/filter/penalties", fg_control_handle_penalty_report,
     BODY | FG_CONTROL_ROUTE_REPORT,
     "report an offence of a client that completed a TCP handshake"},
    {"DELETE", "/v1/filter/penalties", fg_control_handle_penalty_release, BODY | LEADER,
     "release a source from the penalty box"},
    {"POST", "/v1/capture", fg_control_handle_capture, BODY,
     "copies of order packets and their replies, as a stream in the format pcap"},
    {"GET", "/v1/capture", fg_control_handle_capture_count, 0,
     "whether a capture runs, and what it copied and left out"},
    {"POST", "/v1/keys/reload", fg_control_handle_keys_reload, 0, "read the key file again"},
    {"POST", "/v1/log/snapshot", fg_control_handle_log_snapshot, 0, "make a snapshot of the log"},
    {"POST", "/v1/log/accept", fg_control_handle_log_accept, LEADER,
     "sell from this log although a sink knows later records"},
    {"POST", "/v1/sinks/SINK/adopt", fg_control_handle_sink_adopt, LEADER,
     "let a sink that refuses begin anew with this log"},
    {"GET", "/v1/pair", fg_control_handle_pair, FG_CONTROL_ROUTE_FREE,
     "both appliances of a pair: roles, epoch, lag, skew, arbiter, last changes"},
    {"POST", "/v1/pair/switch", fg_control_handle_pair_switch, 0, "hand over to the standby"},
    {"POST", "/v1/pair/solo", fg_control_handle_pair_solo, 0,
     "lead without a standby, and take none on"},
    {"POST", "/v1/pair/join", fg_control_handle_pair_join, 0, "take a standby on again"},
    {"POST", "/v1/pair/force", fg_control_handle_pair_force, BODY,
     "lead, whatever the arbiter says: the other appliance must be powered off"},
    {"GET", "/v1/fleet", fg_control_handle_fleet, FG_CONTROL_ROUTE_FREE,
     "this member of a fleet: map, etcd, silent and retired members"},
    {"GET", "/v1/fleet/items", fg_control_handle_fleet_items, PAGE,
     "the pool of each item, and what each member holds and waits for"},
    {"GET", "/v1/audit", fg_control_handle_audit, LIMIT, "audit trail of changes, newest first"},
    {"GET", "/healthz", fg_control_handle_health, FG_CONTROL_ROUTE_FREE,
     "200 when healthy, else 503"},
    {"GET", "/leader", fg_control_handle_leader, FG_CONTROL_ROUTE_FREE,
     "200 at the appliance that leads, else 503"},
    {"GET", "/metrics", fg_control_handle_metrics, 0, "Prometheus text format"},
};
const unsigned fg_control_routes_count = sizeof(fg_control_routes) / sizeof(fg_control_routes[0]);

#undef BODY
#undef PAGE
#undef LIMIT
#undef TEXT
#undef LEADER

/* One part of the path against one part of the pattern; both end at '/' or 0. */
static bool part_matches(const char *pattern, size_t pattern_len, const char *part, size_t len,
                         char *arg)
{
    if (!isupper((unsigned char)pattern[0]))
        return len == pattern_len && memcmp(pattern, part, len) == 0;
    if (len == 0 || len >= FG_CONTROL_ARG_SIZE)
        return false;
    memcpy(arg, part, len);
    arg[len] = 0;
    return true;
}

static bool path_matches(const char *pattern, const char *path,
                         char args[FG_CONTROL_ARGS][FG_CONTROL_ARG_SIZE])
{
    unsigned arg = 0;

    while (*pattern == '/' && *path == '/') {
        size_t pattern_len = strcspn(++pattern, "/"), len = strcspn(++path, "/");

        FG_ASSERT(arg < FG_CONTROL_ARGS || !isupper((unsigned char)*pattern));
        if (!part_matches(pattern, pattern_len, path, len, args[arg < FG_CONTROL_ARGS ? arg : 0]))
            return false;
        arg += isupper((unsigned char)*pattern) != 0;
        pattern += pattern_len;
        path += len;
    }
    return *pattern == 0 && *path == 0;
}

static void allow(struct fg_control_call *call, const char *method)
{
    size_t len = strlen(call->allow);

    snprintf(call->allow + len, sizeof(call->allow) - len, "%s%s", len ? ", " : "", method);
}

const struct fg_control_route *fg_control_route_find(struct fg_control_call *call,
                                                     const char *method, const char *path)
{
    const struct fg_control_route *routes = call->control->routes;

    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    for (unsigned i = 0; i < call->control->routes_count; i++) {
        if (!path_matches(routes[i].pattern, path, call->args))
            continue;
        if (strcmp(routes[i].method, method) == 0) {
            call->allow[0] = 0;
            return &routes[i];
        }
        allow(call, routes[i].method);
    }
    if (call->allow[0])
        fg_control_call_fail(call, 405, NULL, "%.16s is not possible here; %s is", method,
                             call->allow);
    else
        fg_control_call_fail(call, 404, NULL, "no such path: %.128s; GET %s lists them", path,
                             routes[0].pattern);
    return NULL;
}

void fg_control_handle_index(struct fg_control_call *call)
{
    const struct fg_control_route *routes = call->control->routes;
    json_t *list = json_array();

    for (unsigned i = 0; i < call->control->routes_count; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "method", routes[i].method, "path",
                                              routes[i].pattern, "help", routes[i].help));
    fg_control_call_reply(call, 200, json_pack("{s:o}", "routes", list));
}
