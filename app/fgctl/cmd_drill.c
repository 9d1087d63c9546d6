/* SPDX-License-Identifier: BSD-3-Clause */
/* Orders by packet, as a shop makes them: for drills, and for a look at what a shopper would see.
 */
#include "fgctl.h"

#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "client/client.h"

/* Options of the three commands; reserve alone has the last. */
enum { OPT_SERVER, OPT_KEYS, OPT_KEY, OPT_TIMEOUT, OPT_ORDER };

struct drill {
    struct fg_client_ask ask;
    struct fg_client_options options;
    char servers[256];
    const char *server[FG_CLIENT_SERVERS_MAX];
    unsigned servers_count;
};

/* verb, operation, roles that may, status that was wanted */
static const struct verb {
    const char *name;
    uint8_t op, roles, wanted;
} verbs[] = {
    {"reserve", FG_PACKET_OP_RESERVE, FG_PACKET_ROLE_SHOP, FG_PACKET_STATUS_RESERVED},
    {"confirm", FG_PACKET_OP_CONFIRM, FG_PACKET_ROLE_BACKEND, FG_PACKET_STATUS_SOLD},
    {"cancel", FG_PACKET_OP_CANCEL, FG_PACKET_ROLE_SHOP | FG_PACKET_ROLE_BACKEND,
     FG_PACKET_STATUS_CANCELLED},
};

static const struct verb *verb_of(const struct fg_args *args)
{
    const struct verb *verb = verbs;

    while (strcmp(verb->name, args->command->verb))
        verb++;
    return verb;
}

static bool read_servers(const struct fg_args *args, struct drill *d)
{
    const char *text = args->options[OPT_SERVER];
    char *rest;

    if (!text) {
        fg_usage_error("--server is missing: the address of the appliance's order port, like "
                       "198.18.0.1:4600");
        return false;
    }
    snprintf(d->servers, sizeof(d->servers), "%s", text);
    for (char *word = strtok_r(d->servers, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        if (d->servers_count == FG_CLIENT_SERVERS_MAX) {
            fg_usage_error("--server: more than %d addresses", FG_CLIENT_SERVERS_MAX);
            return false;
        }
        d->server[d->servers_count++] = word;
    }
    return d->servers_count > 0 || (fg_usage_error("--server: no address"), false);
}

/* The key of --key, or the first one that may do this. */
static int read_key(const struct fg_args *args, const struct verb *verb, struct drill *d)
{
    const char *path = args->options[OPT_KEYS] ? args->options[OPT_KEYS] : FG_DRILL_KEYS;
    struct fg_error err = {""};
    struct fg_packet_keyring *ring;
    const struct fg_packet_key *key = NULL;
    uint64_t id;

    if (args->options[OPT_KEY] &&
        (!fg_text_number(args->options[OPT_KEY], &id) || id < 1 || id > 65535))
        return fg_usage_error("--key: \"%.48s\" is not a whole number from 1 to 65535",
                              args->options[OPT_KEY]);
    ring = fg_packet_keyring_load(path, &err);
    if (!ring) {
        fg_complain("%s", err.text);
        return FG_EXIT_INPUT;
    }
    if (args->options[OPT_KEY])
        key = fg_packet_keyring_find(ring, (uint16_t)id);
    for (unsigned i = 0; !args->options[OPT_KEY] && !key && i < ring->count; i++)
        key = ring->keys[i].roles & verb->roles ? &ring->keys[i] : NULL;
    if (key)
        d->options.key[0] = *key;
    fg_packet_keyring_free(ring);
    if (key)
        return FG_EXIT_OK;
    fg_complain("%s: no key %s%s", path, args->options[OPT_KEY] ? "" : "that may ",
                args->options[OPT_KEY] ? args->options[OPT_KEY] : verb->name);
    return FG_EXIT_INPUT;
}

static bool read_order(const char *text, uint8_t id[16])
{
    if (text && fg_text_order_read(text, id))
        return true;
    if (!text && getrandom(id, 16, 0) == 16)
        return true;
    fg_usage_error("ORDER: \"%.64s\" is not " FG_TEXT_ORDER, text ? text : "");
    return false;
}

/* USER ITEM [UNITS], or USER ORDER. */
static bool read_ask(const struct fg_args *args, const struct verb *verb, struct drill *d)
{
    uint64_t units = 1, patience = FG_CLIENT_PATIENCE_MS;
    const char *timeout = args->options[OPT_TIMEOUT];
    bool reserves = verb->op == FG_PACKET_OP_RESERVE;

    d->ask.op = verb->op;
    if (!fg_user_arg(args->positions[0], &d->ask.user) ||
        (reserves && !fg_item_arg(args->positions[1], &d->ask.item)) ||
        !read_order(reserves ? args->options[OPT_ORDER] : args->positions[1], d->ask.order_id))
        return false;
    if (args->count > 2 &&
        (!fg_text_number(args->positions[2], &units) || units < 1 || units > UINT16_MAX)) {
        fg_usage_error("UNITS: \"%.48s\" is not a whole number from 1 to %d", args->positions[2],
                       UINT16_MAX);
        return false;
    }
    if (timeout && (!fg_text_duration_read(timeout, &patience, NULL) || patience < 100 ||
                    patience > 3600000)) {
        fg_usage_error("--timeout: \"%.48s\" is no duration from 100ms to 1h", timeout);
        return false;
    }
    d->ask.quantity = reserves ? (uint16_t)units : 0;
    d->ask.patience_ms = (uint32_t)patience;
    return true;
}

static json_t *done_json(const struct drill *d, const struct fg_client_done *done)
{
    const struct fg_packet_reply *r = &done->reply;
    char order[33];

    fg_text_hex(order, d->ask.order_id, sizeof(d->ask.order_id));
    if (!done->answered)
        return json_pack("{s:o, s:s, s:n, s:i, s:I}", "user", fg_json_id(d->ask.user), "order",
                         order, "status", "sent", (int)done->sent, "took_ms",
                         (json_int_t)done->took_ms);
    return json_pack("{s:o, s:s, s:s, s:o, s:i, s:I, s:I, s:I, s:b, s:s, s:i, s:I}", "user",
                     fg_json_id(d->ask.user), "order", order, "status",
                     fg_packet_status_name(r->status), "item", fg_json_id(r->item), "quantity",
                     (int)r->quantity, "left", (json_int_t)r->left, "deadline_ms",
                     (json_int_t)r->deadline_ms, "retry_ms", (json_int_t)r->retry_ms, "late",
                     (r->flags & FG_PACKET_LATE) != 0, "server", d->server[done->server], "sent",
                     (int)done->sent, "took_ms", (json_int_t)done->took_ms);
}

static void print_done(const struct drill *d, const struct fg_client_done *done)
{
    const struct fg_packet_reply *r = &done->reply;
    char order[33];

    fg_text_hex(order, d->ask.order_id, sizeof(d->ask.order_id));
    printf("order %s of user %" PRIu64 ": ", order, d->ask.user);
    if (!done->answered)
        printf("no answer after %u packets and %" PRIu64 " ms\n", done->sent, done->took_ms);
    else if (r->status == FG_PACKET_STATUS_RESERVED)
        printf("RESERVED, %u of item %" PRIu64 ", held for %.1f s\n", r->quantity, r->item,
               (double)r->retry_ms / 1000);
    else
        printf("%s%s\n", fg_packet_status_name(r->status),
               r->flags & FG_PACKET_LATE ? ", late" : "");
}

/* 0: what was asked for is so. */
static int exit_of(const struct verb *verb, const struct fg_client_done *done)
{
    if (!done->answered) {
        fg_complain("the appliance does not answer; whether it was carried out is not known: "
                    "repeat it with the same order");
        return FG_EXIT_CONNECT;
    }
    if (done->reply.status == verb->wanted)
        return FG_EXIT_OK;
    fg_complain("%s: %s", fg_packet_status_name(done->reply.status),
                fg_packet_status_text(done->reply.status));
    return FG_CLIENT_UNDECIDED >> done->reply.status & 1 ? FG_EXIT_UNAVAILABLE : FG_EXIT_REFUSED;
}

static int run(const struct fg_cli *cli, const struct verb *verb, const struct drill *d)
{
    struct fg_client_done done = {0};
    struct fg_error err = {""};
    struct fg_client_link *link =
        fg_client_link_open(&d->options, d->server, d->servers_count, &err);

    if (!link)
        return fg_usage_error("--server: %s", err.text);
    fg_client_link_ask(link, &d->ask, &done);
    fg_client_link_close(link);
    if (cli->json) {
        json_t *json = done_json(d, &done);

        fg_print_json_error(json); /* it says what went wrong, too */
        json_decref(json);
    } else {
        print_done(d, &done);
    }
    return exit_of(verb, &done);
}

int fg_cmd_drill(struct fg_cli *cli, const struct fg_args *args)
{
    const struct verb *verb = verb_of(args);
    struct drill d = {.options = {.outstanding_max = 1, .keys = 1}};
    int code;

    if (!read_ask(args, verb, &d) || !read_servers(args, &d))
        return FG_EXIT_USAGE;
    code = read_key(args, verb, &d);
    if (code == FG_EXIT_OK)
        code = run(cli, verb, &d);
    explicit_bzero(&d, sizeof(d));
    return code;
}
