/* SPDX-License-Identifier: BSD-3-Clause */
/* After the sale: what became of each item's units, out of the log itself. */
#include "fgctl.h"

#include <inttypes.h>
#include <string.h>

#include "config/config.h"
#include "ledger/snapshot.h"

#define CONFIG_PATH "/etc/floodgate/floodgate.conf"

enum { OPT_CONFIG, OPT_DIR }; /* as in commands.c */

/* name in CSV and JSON. Units: added = sold + refunded + held + unsold */
#define COLUMN_LIST(X)                                                                             \
    X(added)                                                                                       \
    X(sold)                                                                                        \
    X(late)      /* of those sold: paid after the hold had ended */                                \
    X(refunded)  /* and not back on sale */                                                        \
    X(restocked) /* refunded, and back on sale */                                                  \
    X(expired)   /* held and never paid */                                                         \
    X(cancelled)                                                                                   \
    X(held) /* still, at the end of the log */                                                     \
    X(unsold)

struct row {
#define X(name) uint64_t name;
    COLUMN_LIST(X)
#undef X
};

static void take_order(struct row *row, const struct fg_ledger_order *order)
{
    switch (order->state) {
    case FG_LEDGER_ORDER_SOLD:
        row->late += order->late ? order->quantity : 0;
        break;
    case FG_LEDGER_ORDER_REFUNDED:
        row->restocked += order->restocked ? order->quantity : 0;
        break;
    case FG_LEDGER_ORDER_EXPIRED:
        row->expired += order->quantity;
        break;
    case FG_LEDGER_ORDER_CANCELLED:
        row->cancelled += order->line ? 0 : order->quantity; /* it never held them */
        break;
    }
}

/* By the index of the items; NULL: out of memory. */
static struct row *rows_of(const struct fg_ledger *ledger)
{
    struct row *rows = calloc(fg_ledger_items(ledger) + 1, sizeof(*rows));

    for (uint32_t i = 0; rows && i < fg_ledger_items(ledger); i++) {
        const struct fg_ledger_item *item = fg_ledger_item_at(ledger, i);

        rows[i] = (struct row){.added = item->total,
                               .sold = item->sold,
                               .refunded = item->refunded,
                               .held = item->reserved,
                               .unsold = item->available};
    }
    for (uint64_t i = 0; rows && i < fg_ledger_orders(ledger); i++) {
        const struct fg_ledger_order *order = fg_ledger_order_at(ledger, i);

        take_order(&rows[fg_ledger_item(ledger, order->item)->index], order);
    }
    return rows;
}

/* RFC 4180. */
static void print_cell(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"')
            putchar('"');
        putchar(*text);
    }
    putchar('"');
}

static void print_csv(const struct fg_ledger *ledger, const struct row *rows)
{
    printf("item,name");
#define X(name) printf("," #name);
    COLUMN_LIST(X)
#undef X
    printf("\n");
    for (uint32_t i = 0; i < fg_ledger_items(ledger); i++) {
        printf("%" PRIu64 ",", fg_ledger_item_at(ledger, i)->item);
        print_cell(fg_ledger_item_at(ledger, i)->name);
#define X(name) printf(",%" PRIu64, rows[i].name);
        COLUMN_LIST(X)
#undef X
        printf("\n");
    }
}

static void print_json(const struct fg_ledger *ledger, const struct row *rows)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < fg_ledger_items(ledger); i++) {
        const struct fg_ledger_item *item = fg_ledger_item_at(ledger, i);
        json_t *json = json_pack("{s:o, s:o}", "item", fg_json_id(item->item), "name",
                                 fg_json_text(item->name));

#define X(name) json_object_set_new(json, #name, json_integer((json_int_t)rows[i].name));
        COLUMN_LIST(X)
#undef X
        json_array_append_new(list, json);
    }
    fg_print_json(list);
    json_decref(list);
}

/* The newest snapshot and what stands behind it; all of the log when there is none. */
static bool load(struct fg_ledger *ledger, const char *dir, struct fg_error *err)
{
    struct fg_ledger_snapshot_info from;
    uint64_t first = fg_journal_first_seq(dir, err);

    if (!first || (!fg_ledger_snapshot_load(ledger, dir, &from, err) && first > 1))
        return false;
    return fg_ledger_replay(ledger, dir, UINT64_MAX, err);
}

static int report(struct fg_cli *cli, const char *dir)
{
    struct fg_ledger *ledger = fg_ledger_create();
    struct fg_error err = {"out of memory"};
    struct row *rows = ledger && load(ledger, dir, &err) ? rows_of(ledger) : NULL;

    if (!rows)
        fg_complain("%s", err.text);
    else if (cli->json)
        print_json(ledger, rows);
    else
        print_csv(ledger, rows);
    free(rows);
    fg_ledger_destroy(ledger);
    return rows ? FG_EXIT_OK : FG_EXIT_INPUT;
}

int fg_cmd_report(struct fg_cli *cli, const struct fg_args *args)
{
    const char *file = args->options[OPT_CONFIG], *dir = args->options[OPT_DIR];
    struct fg_config *config = calloc(1, sizeof(*config));
    struct fg_error err = {"out of memory"};
    int code = FG_EXIT_INPUT;

    if (!config || (!dir && !fg_config_load(config, file ? file : CONFIG_PATH, &err)))
        fg_complain("%s", err.text);
    else
        code = report(cli, dir ? dir : config->log.dir);
    if (config)
        explicit_bzero(config, sizeof(*config)); /* passwords */
    free(config);
    return code;
}
