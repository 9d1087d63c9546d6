/* SPDX-License-Identifier: BSD-3-Clause */
/* Orders: what became of them, and refunds. */
#include "fgctl.h"

#include <inttypes.h>
#include <string.h>

bool fg_user_arg(const char *text, uint64_t *user)
{
    if (fg_text_number(text, user))
        return true;
    fg_usage_error("USER: \"%.64s\" is not a whole number from 0 to %" PRIu64, text, UINT64_MAX);
    return false;
}

/* USER and ORDER of the command line, as the path of the order and `more`. */
static bool order_path(const struct fg_args *args, const char *more, char path[128])
{
    uint64_t user;
    uint8_t id[16];
    char hex[33];

    if (!fg_user_arg(args->positions[0], &user))
        return false;
    if (!fg_text_order_read(args->positions[1], id)) {
        fg_usage_error("ORDER: \"%.64s\" is not " FG_TEXT_ORDER, args->positions[1]);
        return false;
    }
    fg_text_hex(hex, id, sizeof(id));
    snprintf(path, 128, "/v1/orders/%" PRIu64 "/%s%s", user, hex, more);
    return true;
}

int fg_cmd_order_show(struct fg_cli *cli, const struct fg_args *args)
{
    char path[128];

    return order_path(args, "", path) ? fg_request_show(cli, path) : FG_EXIT_USAGE;
}

int fg_cmd_order_refund(struct fg_cli *cli, const struct fg_args *args)
{
    json_t *reply;
    char path[128];
    int code;

    if (!order_path(args, "/refund", path))
        return FG_EXIT_USAGE;
    code = fg_request(cli, "POST", path, json_pack("{s:b}", "restock", args->options[0] != NULL),
                      &reply);
    if (code != FG_EXIT_OK)
        return code;
    if (cli->json)
        fg_print_json(reply);
    else
        printf("order %s of user %s: refunded; its %lld units %s\n",
               json_string_value(json_object_get(reply, "order")),
               json_string_value(json_object_get(reply, "user")),
               json_integer_value(json_object_get(reply, "quantity")),
               json_is_true(json_object_get(reply, "restocked")) ? "are back on sale"
                                                                 : "are not put back on sale");
    json_decref(reply);
    return code;
}

static const char *text_of(const json_t *order, const char *key)
{
    const char *text = json_string_value(json_object_get(order, key));

    return text ? text : "-";
}

static void take_row(void *ctx, json_t *order)
{
    char units[24];

    snprintf(units, sizeof(units), "%lld", json_integer_value(json_object_get(order, "quantity")));
    fg_table_add(ctx, (const char *const[]){text_of(order, "order"), text_of(order, "item"), units,
                                            text_of(order, "state"), text_of(order, "deadline"),
                                            text_of(order, "changed")});
}

int fg_cmd_orders(struct fg_cli *cli, const struct fg_args *args)
{
    static const char *const columns[] = {"ORDER", "ITEM>",      "UNITS>",
                                          "STATE", "HELD UNTIL", "CHANGED"};
    uint64_t user;
    char path[64];

    if (!fg_user_arg(args->positions[0], &user))
        return FG_EXIT_USAGE;
    snprintf(path, sizeof(path), "/v1/orders/%" PRIu64, user);
    return fg_request_table(cli, path, "orders", columns, 6, take_row);
}
