/* SPDX-License-Identifier: BSD-3-Clause */
/* Live view: state, rates out of differences of counters, the items that sell most. */
#include "fgctl.h"

#include <inttypes.h>
#include <string.h>

#define ITEMS_LISTED    20   /* without a terminal */
#define ITEMS_SHOWN_MAX 1000 /* the first page of /v1/items: a view costs the daemon no more */

struct top_item {
    uint64_t item;
    int64_t sold, reserved;
    double sold_rate;
    json_t *json;
};

struct top {
    struct fg_cli *cli;
    struct fg_sample_set now, before;
    struct top_item *items, *items_before;
    size_t items_count, items_before_count;
    json_t *status, *page;
    uint64_t at_ms, before_ms; /**< 0 = no view yet */
    bool terminal;
};

static const struct top_item *find_before(const struct top *top, uint64_t item, size_t guess)
{
    if (guess < top->items_before_count && top->items_before[guess].item == item)
        return &top->items_before[guess]; /* order of definition: nearly always in its place */
    for (size_t i = 0; i < top->items_before_count; i++)
        if (top->items_before[i].item == item)
            return &top->items_before[i];
    return NULL;
}

static int64_t number(const json_t *json, const char *key)
{
    return json_integer_value(json_object_get(json, key));
}

static double seconds(const struct top *top)
{
    return top->before_ms ? (double)(top->at_ms - top->before_ms) / 1000 : 0;
}

static void take_items(struct top *top)
{
    const json_t *list = json_object_get(top->page, "items");
    json_t *entry;
    size_t i;

    top->items_count = json_array_size(list);
    top->items = calloc(top->items_count + 1, sizeof(*top->items));
    if (!top->items)
        abort();
    json_array_foreach (list, i, entry) {
        struct top_item *item = &top->items[i];
        const struct top_item *old;

        *item = (struct top_item){
            .sold = number(entry, "sold"), .reserved = number(entry, "reserved"), .json = entry};
        fg_json_id_read(json_object_get(entry, "item"), &item->item);
        old = find_before(top, item->item, i);
        if (old && seconds(top) > 0 && item->sold > old->sold)
            item->sold_rate = (double)(item->sold - old->sold) / seconds(top);
    }
}

static void forget(struct top *top)
{
    json_decref(top->status);
    json_decref(top->page);
    top->status = top->page = NULL;
}

/* The view before becomes the base of the rates. */
static void age(struct top *top)
{
    struct fg_sample_set set = top->before;

    top->before = top->now;
    top->now = set;
    free(top->items_before);
    top->items_before = top->items;
    top->items_before_count = top->items_count;
    top->items = NULL;
    top->before_ms = top->at_ms;
    forget(top);
}

static int fetch(struct top *top)
{
    json_t *stats = NULL;
    char path[64];
    int code = fg_request(top->cli, "GET", "/v1/status", NULL, &top->status);

    snprintf(path, sizeof(path), "/v1/items?limit=%d", ITEMS_SHOWN_MAX);
    if (code == FG_EXIT_OK)
        code = fg_request(top->cli, "GET", "/v1/stats", NULL, &stats);
    top->at_ms = fg_mono_ms();
    if (code == FG_EXIT_OK)
        code = fg_request(top->cli, "GET", path, NULL, &top->page);
    if (code == FG_EXIT_OK) {
        fg_samples_take(&top->now, stats);
        fg_samples_rate(&top->now, &top->before, seconds(top));
        take_items(top);
    }
    json_decref(stats);
    return code;
}

static void print_head(FILE *out, const struct top *top)
{
    char now[FG_TEXT_TIME_SIZE];
    const char *state = json_string_value(json_object_get(top->status, "state"));
    const char *reason = json_string_value(json_object_get(top->status, "reason"));
    json_t *sink;
    size_t i;

    fg_text_time(now, fg_now_ms() / 1000 * 1000);
    fprintf(out, "Floodgate  %s  %s%s%s  up %" PRId64 " s  workers %" PRId64, now,
            state ? state : "?", reason && *reason ? ": " : "", reason ? reason : "",
            number(top->status, "uptime_s"), number(top->status, "workers"));
    json_array_foreach (json_object_get(top->status, "sinks"), i, sink)
        fprintf(out, "  %s %s, lag %" PRId64, json_string_value(json_object_get(sink, "sink")),
                json_string_value(json_object_get(sink, "state")), number(sink, "lag"));
    fprintf(out, "\n");
}

static void print_main_rates(FILE *out, const struct top *top)
{
    static const struct {
        const char *text, *name;
    } list[] = {{"frames in", "workers.rx"},
                {"requests", "stock.requests"},
                {"reserved", "stock.reserved"},
                {"sold", "stock.sold"},
                {"cancelled", "stock.cancelled"},
                {"expired", "stock.expired"},
                {"sold out", "stock.sold_out"},
                {"duplicates", "stock.duplicates"},
                {"busy", "stock.busy"}};

    fprintf(out, "%-20s %16s %14s\n", "", "TOTAL", "PER SECOND");
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        fprintf(out, "%-20s %16.0f %14.0f\n", list[i].text,
                fg_sample_value(&top->now, list[i].name), fg_sample_rate(&top->now, list[i].name));
}

/* What was dropped at all, by the filter or by a worker; at most `max` lines of it. */
static void print_drops(FILE *out, const struct top *top, unsigned max)
{
    unsigned lines = 0;

    for (size_t i = 0; i < top->now.count; i++) {
        const struct fg_sample *s = &top->now.list[i];
        bool drop = strncmp(s->name, "drops.", 6) == 0;
        bool verdict = strncmp(s->name, "filter.", 7) == 0 &&
                       strcmp(s->name, "filter.order") != 0 && strcmp(s->name, "filter.pass") != 0;

        if ((drop || verdict) && s->value > 0 && lines++ < max)
            fprintf(out, "%-6s %-13s %16.0f %14.0f\n", drop ? "drop" : "filter",
                    strchr(s->name, '.') + 1, s->value, s->rate);
    }
    if (lines > max)
        fprintf(out, "%u more kinds of drops: `fgctl stats` has all\n", lines - max);
}

static int compare_items(const void *a, const void *b)
{
    const struct top_item *x = a, *y = b;

    if (x->sold_rate != y->sold_rate)
        return x->sold_rate < y->sold_rate ? 1 : -1;
    if (x->sold + x->reserved != y->sold + y->reserved)
        return x->sold + x->reserved < y->sold + y->reserved ? 1 : -1;
    return x->item < y->item ? -1 : x->item > y->item;
}

static struct top_item *sorted_items(const struct top *top)
{
    struct top_item *sorted = malloc((top->items_count + 1) * sizeof(*sorted));

    if (!sorted)
        abort();
    if (top->items_count) {
        memcpy(sorted, top->items, top->items_count * sizeof(*sorted));
        qsort(sorted, top->items_count, sizeof(*sorted), compare_items);
    }
    return sorted;
}

static void print_items(FILE *out, const struct top *top, unsigned rows)
{
    static const char *const columns[] = {"ITEM>", "NAME",    "AVAILABLE>", "RESERVED>",
                                          "SOLD>", "SOLD/S>", "STATE"};
    struct fg_table *table = fg_table_create(columns, 7);
    struct top_item *sorted = sorted_items(top);

    for (size_t i = 0; i < top->items_count && i < rows; i++) {
        static const char *const keys[] = {"available", "reserved", "sold"};
        char text[4][24], name[128];

        for (int k = 0; k < 3; k++)
            snprintf(text[k], sizeof(text[k]), "%" PRId64, number(sorted[i].json, keys[k]));
        snprintf(text[3], sizeof(text[3]), "%.0f", sorted[i].sold_rate);
        snprintf(name, sizeof(name), "%s",
                 json_string_value(json_object_get(sorted[i].json, "name")));
        fg_clean(name);
        fg_table_add(table, (const char *const[]){
                                json_string_value(json_object_get(sorted[i].json, "item")), name,
                                text[0], text[1], text[2], text[3],
                                json_string_value(json_object_get(sorted[i].json, "state"))});
    }
    fprintf(out, "\n");
    fg_table_print(table, out);
    free(sorted);
    fg_table_free(table);
}

static void print_summary(FILE *out, const void *view)
{
    const struct top *top = view;

    print_head(out, top);
    fg_show_alarms(out, top->status);
}

static void print_body(FILE *out, const void *view)
{
    const struct top *top = view;
    unsigned rows = 24, columns, drops = UINT32_MAX;

    if (top->terminal) {
        fg_screen_size(&rows, &columns);
        drops = rows > 20 ? rows - 18 : 2; /* head, rates and some items have room, too */
    }
    fprintf(out, "\n");
    print_main_rates(out, top);
    print_drops(out, top, drops);
    print_items(out, top, top->terminal ? rows : ITEMS_LISTED);
}

/* One object a line: what a script wants to read as it comes. */
static void print_json_view(const struct top *top)
{
    json_t *values = json_object(), *rates = json_object(), *items = json_array(), *all;

    for (size_t i = 0; i < top->now.count; i++) {
        json_object_set_new(values, top->now.list[i].name, json_real(top->now.list[i].value));
        json_object_set_new(rates, top->now.list[i].name, json_real(top->now.list[i].rate));
    }
    for (size_t i = 0; i < top->items_count; i++) {
        json_object_set_new(top->items[i].json, "sold_rate", json_real(top->items[i].sold_rate));
        json_array_append(items, top->items[i].json);
    }
    all = json_pack("{s:I, s:f, s:O, s:o, s:o, s:o}", "time_ms", (json_int_t)fg_now_ms(), "seconds",
                    seconds(top), "status", top->status, "counters", values, "rates", rates,
                    "items", items);
    fg_live_print_json(all);
}

static int view(void *ctx, bool terminal)
{
    struct top *top = ctx;
    int code;

    top->terminal = terminal;
    age(top);
    code = fetch(top);
    if (code == FG_EXIT_OK && top->cli->json)
        print_json_view(top);
    else if (code == FG_EXIT_OK)
        fg_live_print(terminal, print_summary, print_body, top);
    return code;
}

static void top_free(struct top *top)
{
    forget(top);
    free(top->items);
    free(top->items_before);
    fg_samples_free(&top->now);
    fg_samples_free(&top->before);
}

int fg_cmd_top(struct fg_cli *cli, const struct fg_args *args)
{
    struct top top = {.cli = cli};
    int code = fg_live(cli, args, view, &top);

    top_free(&top);
    return code;
}
