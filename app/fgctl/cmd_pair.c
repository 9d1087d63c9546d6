/* SPDX-License-Identifier: BSD-3-Clause */
/* The two appliances of a pair: how they are, and what the operator decides about them. */
#include "fgctl.h"

#include <string.h>
#include <unistd.h>

#define SWITCH_MS 3000 /* for a hand-over: usually some ms */
#define POLL_US   20000
#define POWERED   "the other box is powered off"

enum { OPT_CONFIRM }; /* as in commands.c */

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text ? text : "";
}

static long long number_of(const json_t *json, const char *key)
{
    return json_integer_value(json_object_get(json, key));
}

/* A member of the answer; false and a complaint when this appliance is no pair's. */
static bool is_pair(const json_t *pair)
{
    if (json_is_true(json_object_get(pair, "enabled")))
        return true;
    fg_complain("this appliance is not one of a pair: [pair] enabled = no");
    return false;
}

static void show_line(const char *name, const char *text)
{
    if (text[0])
        printf("%-12s %s\n", name, text);
}

static void show_peer(const json_t *pair)
{
    const json_t *peer = json_object_get(pair, "peer");
    const char *name = text_of(peer, "name");

    printf("%-12s %s%s%s%s", "peer", text_of(peer, "address"), name[0] ? " (" : "", name,
           name[0] ? ")" : "");
    if (json_is_true(json_object_get(peer, "linked")))
        printf(": %s; durable up to record %lld\n", text_of(peer, "state"),
               number_of(peer, "durable"));
    else
        printf(": no link: %s\n", text_of(peer, "link_error"));
}

static void show_changes(const json_t *pair)
{
    static const char *const columns[] = {"TIME", "EPOCH>", "ROLE", "WHY"};
    struct fg_table *table = fg_table_create(columns, 4);
    const json_t *list = json_object_get(pair, "changes"), *one;
    size_t i;

    printf("\n");
    json_array_foreach (list, i, one) {
        char epoch[24];

        snprintf(epoch, sizeof(epoch), "%lld", number_of(one, "epoch"));
        fg_table_add(table, (const char *const[]){text_of(one, "time"), epoch, text_of(one, "role"),
                                                  text_of(one, "why")});
    }
    fg_table_print(table, stdout);
    fg_table_free(table);
}

static void show_fill(const json_t *pair)
{
    const json_t *fill = json_object_get(pair, "fill"), *peer = json_object_get(pair, "peer");

    if (json_is_true(json_object_get(peer, "linked")))
        show_line("not filled", text_of(peer, "link_error"));
    if (fill)
        printf("%-12s a snapshot of record %lld, %lld of %lld MiB\n", "filling",
               number_of(fill, "seq"), number_of(fill, "bytes") >> 20, number_of(fill, "of") >> 20);
}

static void show_pair(const json_t *pair)
{
    const json_t *arbiter = json_object_get(pair, "arbiter");
    const json_t *address = json_object_get(pair, "address");
    const char *reason = text_of(pair, "reason");

    printf("%-12s node %lld, %s: %s%s%s\n", "this box", number_of(pair, "node"),
           text_of(pair, "role"), text_of(pair, "state"), reason[0] ? ": " : "", reason);
    show_peer(pair);
    show_fill(pair);
    printf("%-12s %lld\n", "epoch", number_of(pair, "epoch"));
    printf("%-12s committed %lld, durable here %lld, last %lld\n", "records",
           number_of(pair, "committed"), number_of(pair, "durable"), number_of(pair, "last"));
    printf("%-12s %lld records, %lld ms; a heartbeat takes %lld us\n", "lag",
           number_of(pair, "lag_records"), number_of(pair, "lag_ms"), number_of(pair, "trip_us"));
    printf("%-12s %lld ms: the peer's clock minus ours\n", "skew", number_of(pair, "skew_ms"));
    printf("%-12s %s: %s", "arbiter", text_of(arbiter, "endpoints"),
           json_is_true(json_object_get(arbiter, "reachable")) ? "answers" : "is away");
    printf("%s%s\n", text_of(arbiter, "error")[0] ? "; last error: " : "",
           text_of(arbiter, "error"));
    if (address)
        printf("%-12s %s: %s%s%s\n", "address", text_of(address, "list"),
               json_is_true(json_object_get(address, "held")) ? "here" : "not here",
               text_of(address, "error")[0] ? ": " : "", text_of(address, "error"));
    show_line("refusal", text_of(pair, "refusal"));
    show_line("unlike", text_of(pair, "mismatch"));
    show_changes(pair);
}

int fg_cmd_pair_status(struct fg_cli *cli, const struct fg_args *args)
{
    json_t *pair;
    int code = fg_request(cli, "GET", "/v1/pair", NULL, &pair);

    if (code != FG_EXIT_OK)
        return code;
    if (cli->json)
        fg_print_json(pair);
    else if (is_pair(pair))
        show_pair(pair);
    else
        code = FG_EXIT_REFUSED;
    json_decref(pair);
    return code;
}

/* Role now; "" when the daemon does not answer, as one that handed over. */
static void role_now(struct fg_cli *cli, char role[16])
{
    struct fg_error err = {""};
    json_t *pair = NULL;

    fg_request_quiet(cli, "GET", "/v1/pair", NULL, &pair, &err);
    snprintf(role, 16, "%s", text_of(pair, "role"));
    json_decref(pair);
}

static bool wait_for_role(struct fg_cli *cli, const char *role, bool wanted)
{
    uint64_t end = fg_mono_ms() + SWITCH_MS;
    char now[16];

    do {
        role_now(cli, now);
        if ((strcmp(now, role) == 0) == wanted)
            return true;
        usleep(POLL_US);
    } while (fg_mono_ms() < end);
    return false;
}

static int decide(struct fg_cli *cli, const char *path, json_t *body)
{
    json_t *reply;
    int code = fg_request(cli, "POST", path, body, &reply);

    if (code == FG_EXIT_OK && cli->json)
        fg_print_json(reply);
    if (code == FG_EXIT_OK)
        json_decref(reply);
    return code;
}

static int told(struct fg_cli *cli, bool done, const char *yes, const char *no)
{
    if (!done)
        fg_complain("%s", no);
    else if (!cli->json)
        printf("%s\n", yes);
    return done ? FG_EXIT_OK : FG_EXIT_UNAVAILABLE;
}

int fg_cmd_pair_switch(struct fg_cli *cli, const struct fg_args *args)
{
    int code = decide(cli, "/v1/pair/switch", NULL);

    if (code != FG_EXIT_OK)
        return code;
    return told(cli, wait_for_role(cli, "leader", false),
                "handed over: the other box leads; this one restarts and joins it",
                "the standby did not take over within 3 s; `fgctl pair status` says why");
}

int fg_cmd_pair_solo(struct fg_cli *cli, const struct fg_args *args)
{
    int code = decide(cli, "/v1/pair/solo", NULL);

    if (code != FG_EXIT_OK)
        return code;
    return told(cli, wait_for_role(cli, "solo", true),
                "leads alone, until `fgctl pair join`: what is sold now is on one disk",
                "it does not lead alone after 3 s: is the arbiter away? `fgctl pair status`");
}

int fg_cmd_pair_join(struct fg_cli *cli, const struct fg_args *args)
{
    int code = decide(cli, "/v1/pair/join", NULL);

    if (code == FG_EXIT_OK && !cli->json)
        printf("takes a standby on as soon as one has caught up\n");
    return code;
}

/* ---- force ----------------------------------------------------------------------------------- */

static void warn(const json_t *pair)
{
    const json_t *fill = json_object_get(pair, "fill");

    fprintf(
        stderr,
        "This appliance is %s: %s%s%s.\n"
        "It would lead with its log as it is: %lld records. Every order that the other box\n"
        "acknowledged beyond that is lost, and its units are sold again. If the other box runs,\n"
        "both sell the same units: power it off first, and keep it off until its disk has\n"
        "been emptied or the pair has been decided (docs/pair.md).\n",
        text_of(pair, "role"), text_of(pair, "state"), text_of(pair, "reason")[0] ? ": " : "",
        text_of(pair, "reason"), number_of(pair, "durable"));
    if (fill && number_of(fill, "bytes") == number_of(fill, "of"))
        fprintf(stderr,
                "A whole snapshot of the former leader lies here, of record %lld. Restart this\n"
                "appliance first: it begins with that, and lacks less.\n",
                number_of(fill, "seq"));
}

int fg_cmd_pair_force(struct fg_cli *cli, const struct fg_args *args)
{
    json_t *pair;
    int code = fg_request(cli, "GET", "/v1/pair", NULL, &pair);

    if (code != FG_EXIT_OK)
        return code;
    if (!is_pair(pair)) {
        code = FG_EXIT_REFUSED;
    } else {
        warn(pair);
        if (!fg_confirmed(args->options[OPT_CONFIRM], POWERED)) {
            fg_complain("not confirmed; nothing was changed");
            code = FG_EXIT_USAGE;
        }
    }
    json_decref(pair);
    if (code == FG_EXIT_OK)
        code = decide(cli, "/v1/pair/force", json_pack("{s:b}", "peer_is_powered_off", 1));
    if (code != FG_EXIT_OK)
        return code;
    return told(cli, wait_for_role(cli, "solo", true), "leads alone",
                "it does not lead after 3 s: is the arbiter away? `fgctl pair status`");
}
