/* SPDX-License-Identifier: BSD-3-Clause */
/* Live view of a fleet, by the daemon of one member: of the others it knows what the pools say. */
#include "fgctl.h"

#include <inttypes.h>
#include <string.h>

#include "fleet/fleet.h"

#define ITEMS_LISTED 20   /* without a terminal */
#define ITEMS_MAX    1000 /* the first page: a view costs the daemon no more */

/* Sums over all items for a member, and over all members for an item. */
struct part {
    uint64_t item;
    int64_t held, leased, waits;
    double held_rate, leased_rate;
    const json_t *json; /* of an item */
};

struct sample {
    struct part member[FG_FLEET_MEMBERS_MAX];
    struct part *items; /* in the daemon's order */
    size_t count;
    int64_t free;
    double requests;
    uint64_t at_ms; /* 0: none yet */
};

struct fleet_top {
    struct fg_cli *cli;
    struct sample now, before;
    json_t *status, *fleet, *pools, *own;
    int64_t reserved, sold; /* units, of this member */
    double requests_rate;
    bool terminal;
};

static int64_t number(const json_t *json, const char *key)
{
    return json_integer_value(json_object_get(json, key));
}

static bool is_set(const json_t *json, const char *key)
{
    return json_is_true(json_object_get(json, key));
}

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text ? text : "";
}

static double seconds(const struct fleet_top *top)
{
    return top->before.at_ms ? (double)(top->now.at_ms - top->before.at_ms) / 1000 : 0;
}

/* ---- what the daemon says -------------------------------------------------------------------- */

static void add(struct part *part, const json_t *row)
{
    part->held += number(row, "held");
    part->leased += number(row, "leased");
    part->waits += number(row, "waits");
}

static void rate(struct part *part, const struct part *old, double s)
{
    if (!old || s <= 0)
        return;
    part->held_rate = (double)(part->held - old->held) / s;
    part->leased_rate = (double)(part->leased - old->leased) / s;
}

static const struct part *item_before(const struct sample *before, uint64_t item, size_t guess)
{
    if (guess < before->count && before->items[guess].item == item)
        return &before->items[guess]; /* order of definition: nearly always in its place */
    for (size_t i = 0; i < before->count; i++)
        if (before->items[i].item == item)
            return &before->items[i];
    return NULL;
}

static void take_pools(struct fleet_top *top)
{
    const json_t *list = json_object_get(top->pools, "items"), *entry, *row;
    struct sample *now = &top->now;
    size_t i, m;

    now->items = calloc(json_array_size(list) + 1, sizeof(*now->items));
    if (!now->items)
        abort();
    json_array_foreach (list, i, entry) {
        struct part *item = &now->items[now->count++];

        item->json = entry;
        fg_json_id_read(json_object_get(entry, "item"), &item->item);
        now->free += number(entry, "free");
        json_array_foreach (json_object_get(entry, "members"), m, row) {
            add(item, row);
            if (m < FG_FLEET_MEMBERS_MAX)
                add(&now->member[m], row);
        }
        rate(item, item_before(&top->before, item->item, i), seconds(top));
    }
    for (m = 0; m < FG_FLEET_MEMBERS_MAX; m++)
        rate(&now->member[m], &top->before.member[m], seconds(top));
}

static void take_own(struct fleet_top *top, const json_t *stats)
{
    const json_t *entry;
    size_t i;

    top->reserved = top->sold = 0;
    json_array_foreach (json_object_get(top->own, "items"), i, entry) {
        top->reserved += number(entry, "reserved");
        top->sold += number(entry, "sold");
    }
    top->now.requests = (double)number(json_object_get(stats, "stock"), "requests");
    /* a daemon that was started again counts anew */
    top->requests_rate = seconds(top) > 0 && top->now.requests > top->before.requests
                             ? (top->now.requests - top->before.requests) / seconds(top)
                             : 0;
}

static void forget(struct fleet_top *top)
{
    json_decref(top->status);
    json_decref(top->fleet);
    json_decref(top->pools);
    json_decref(top->own);
    top->status = top->fleet = top->pools = top->own = NULL;
}

/* The view before becomes the base of the rates. */
static void age(struct fleet_top *top)
{
    free(top->before.items);
    top->before = top->now;
    top->now = (struct sample){.at_ms = 0};
    forget(top);
}

static int fetch(struct fleet_top *top)
{
    json_t *stats = NULL;
    const struct {
        const char *path;
        json_t **reply;
    } list[] = {{"/v1/status", &top->status},
                {"/v1/fleet", &top->fleet},
                {"/v1/stats", &stats},
                {"/v1/fleet/items?limit=", &top->pools},
                {"/v1/items?limit=", &top->own}};
    int code = FG_EXIT_OK;

    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]) && code == FG_EXIT_OK; i++) {
        char path[64];

        snprintf(path, sizeof(path), i < 3 ? "%s" : "%s%d", list[i].path, ITEMS_MAX);
        code = fg_request(top->cli, "GET", path, NULL, list[i].reply);
        if (code == FG_EXIT_OK && i == 1 && !is_set(top->fleet, "enabled")) {
            fg_complain("this appliance is not a member of a fleet: [fleet] enabled = no");
            code = FG_EXIT_REFUSED;
        }
    }
    top->now.at_ms = fg_mono_ms();
    if (code == FG_EXIT_OK) {
        take_pools(top);
        take_own(top, stats);
    }
    json_decref(stats);
    return code;
}

/* ---- for people ------------------------------------------------------------------------------ */

static bool listed(const json_t *list, int64_t member)
{
    const json_t *one;
    size_t i;

    json_array_foreach (list, i, one)
        if (json_integer_value(one) == member)
            return true;
    return false;
}

/* What this member knows of one: of another one, whether it answers demands. */
static const char *state_of(const json_t *fleet, int64_t member)
{
    if (listed(json_object_get(fleet, "retired"), member))
        return "retired";
    if (member == number(fleet, "member"))
        return is_set(fleet, "may_sell") ? "sells" : "sells-nothing";
    return listed(json_object_get(fleet, "silent"), member) ? "silent" : "answers";
}

static void print_head(FILE *out, const void *view)
{
    const struct fleet_top *top = view;
    const json_t *fleet = top->fleet, *etcd = json_object_get(fleet, "etcd");
    const char *reason = text_of(fleet, "reason");
    char now[FG_TEXT_TIME_SIZE];

    fg_text_time(now, fg_now_ms() / 1000 * 1000);
    fprintf(out, "Fleet  %s  seen by member %" PRId64 "  map version %" PRId64 "%s\n", now,
            number(fleet, "member"), number(fleet, "version"),
            is_set(fleet, "frozen") ? ", frozen" : "");
    fprintf(out, "pool   %" PRId64 " units free  etcd %s", top->now.free,
            is_set(etcd, "reachable") ? "answers" : "is away");
    if (is_set(etcd, "reachable"))
        fprintf(out, " in %" PRId64 " ms", number(etcd, "took_ms"));
    fprintf(out, "%s%s\n", reason[0] ? "  leases and returns nothing: " : "", reason);
    if (number(top->pools, "count") > ITEMS_MAX)
        fprintf(out, "the first %d of %" PRId64 " items\n", ITEMS_MAX, number(top->pools, "count"));
    fg_show_alarms(out, top->status);
}

static void print_members(FILE *out, const struct fleet_top *top)
{
    static const char *const columns[] = {"MEMBER>",   "STATE", "HELD>",     "HELD/S>",
                                          "RESERVED>", "SOLD>", "ORDERS/S>", "WAITS>"};
    struct fg_table *table = fg_table_create(columns, 8);
    int64_t self = number(top->fleet, "member"), members = number(top->fleet, "members");

    for (int64_t m = 0; m < members && m < FG_FLEET_MEMBERS_MAX; m++) {
        const struct part *p = &top->now.member[m];
        char text[7][24];

        snprintf(text[0], 24, "%" PRId64, m);
        snprintf(text[1], 24, "%" PRId64, p->held);
        snprintf(text[2], 24, "%.0f", p->held_rate);
        for (int i = 3; i < 6; i++)
            snprintf(text[i], 24, "-"); /* the pool does not have it */
        if (m == self) {
            snprintf(text[3], 24, "%" PRId64, top->reserved);
            snprintf(text[4], 24, "%" PRId64, top->sold);
            snprintf(text[5], 24, "%.0f", top->requests_rate);
        }
        snprintf(text[6], 24, "%" PRId64, p->waits);
        fg_table_add(table, (const char *const[]){text[0], state_of(top->fleet, m), text[1],
                                                  text[2], text[3], text[4], text[5], text[6]});
    }
    fg_table_print(table, out);
    fg_table_free(table);
}

static int compare_items(const void *a, const void *b)
{
    const struct part *x = a, *y = b;

    if (x->leased_rate != y->leased_rate)
        return x->leased_rate < y->leased_rate ? 1 : -1;
    if (x->held != y->held)
        return x->held < y->held ? 1 : -1;
    return x->item < y->item ? -1 : x->item > y->item;
}

static void print_items(FILE *out, const struct fleet_top *top, unsigned rows)
{
    static const char *const columns[] = {"ITEM>",  "NAME",      "POOL>", "HELD>",
                                          "WAITS>", "LEASED/S>", "STATE"};
    struct fg_table *table = fg_table_create(columns, 7);
    struct part *sorted = malloc((top->now.count + 1) * sizeof(*sorted));

    if (!sorted)
        abort();
    memcpy(sorted, top->now.items, top->now.count * sizeof(*sorted));
    qsort(sorted, top->now.count, sizeof(*sorted), compare_items);
    for (size_t i = 0; i < top->now.count && i < rows; i++) {
        const struct part *p = &sorted[i];
        char text[4][24], name[128];

        snprintf(name, sizeof(name), "%s", text_of(p->json, "name"));
        fg_clean(name);
        snprintf(text[0], 24, "%" PRId64, number(p->json, "free"));
        snprintf(text[1], 24, "%" PRId64, p->held);
        snprintf(text[2], 24, "%" PRId64, p->waits);
        snprintf(text[3], 24, "%.0f", p->leased_rate);
        fg_table_add(table, (const char *const[]){text_of(p->json, "item"), name, text[0], text[1],
                                                  text[2], text[3],
                                                  is_set(p->json, "damaged")    ? "damaged"
                                                  : is_set(p->json, "sold_out") ? "sold-out"
                                                                                : ""});
    }
    fg_table_print(table, out);
    free(sorted);
    fg_table_free(table);
}

static void print_body(FILE *out, const void *view)
{
    const struct fleet_top *top = view;
    unsigned rows = ITEMS_LISTED, columns;

    if (top->terminal)
        fg_screen_size(&rows, &columns);
    fprintf(out, "\n");
    print_members(out, top);
    fprintf(out, "\n");
    print_items(out, top, rows);
}

/* ---- for scripts ----------------------------------------------------------------------------- */

/* One object a line. */
static void print_json_view(const struct fleet_top *top)
{
    json_t *members = json_array(), *items = json_object_get(top->pools, "items"), *all;
    int64_t count = number(top->fleet, "members");

    for (int64_t m = 0; m < count && m < FG_FLEET_MEMBERS_MAX; m++) {
        const struct part *p = &top->now.member[m];

        json_array_append_new(members, json_pack("{s:I, s:s, s:I, s:f, s:f, s:I}", "member",
                                                 (json_int_t)m, "state", state_of(top->fleet, m),
                                                 "held", (json_int_t)p->held, "held_rate",
                                                 p->held_rate, "leased_rate", p->leased_rate,
                                                 "waits", (json_int_t)p->waits));
    }
    for (size_t i = 0; i < top->now.count; i++)
        json_object_set_new(json_array_get(items, i), "leased_rate",
                            json_real(top->now.items[i].leased_rate));
    all = json_pack("{s:I, s:f, s:O, s:I, s:{s:I, s:I, s:f}, s:o, s:O}", "time_ms",
                    (json_int_t)fg_now_ms(), "seconds", seconds(top), "fleet", top->fleet, "free",
                    (json_int_t)top->now.free, "own", "reserved", (json_int_t)top->reserved, "sold",
                    (json_int_t)top->sold, "orders_rate", top->requests_rate, "members", members,
                    "items", items);
    fg_live_print_json(all);
}

static int view(void *ctx, bool terminal)
{
    struct fleet_top *top = ctx;
    int code;

    top->terminal = terminal;
    age(top);
    code = fetch(top);
    if (code == FG_EXIT_OK && top->cli->json)
        print_json_view(top);
    else if (code == FG_EXIT_OK)
        fg_live_print(terminal, print_head, print_body, top);
    return code;
}

int fg_cmd_fleet_top(struct fg_cli *cli, const struct fg_args *args)
{
    struct fleet_top top = {.cli = cli};
    int code = fg_live(cli, args, view, &top);

    forget(&top);
    free(top.now.items);
    free(top.before.items);
    return code;
}
