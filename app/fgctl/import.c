/* SPDX-License-Identifier: BSD-3-Clause */
/* A catalogue of items from a CSV file: read, check against what is there, and only then send. */
#include "fgctl.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#define ERRORS_SHOWN      20
#define PROGRESS_AFTER_MS 2000
#define PROGRESS_EACH_MS  1000
#define PAST_MS           60000
#define COLUMNS_MAX       FG_CONTROL_ITEM_FIELDS

struct import {
    const char *path;
    struct fg_csv csv;
    unsigned columns[COLUMNS_MAX]; /**< field of each column */
    unsigned columns_count;
    json_t **existing; /**< sorted by item */
    size_t existing_count, existing_room;
    struct fg_plan *plans;
    size_t plans_count, done, retired; /**< retired: plans of items that are left alone */
    unsigned long errors;
    uint64_t started_ms, shown_ms;
};

__attribute__((format(printf, 4, 5))) static void
complain(struct import *import, unsigned long line, const char *column, const char *fmt, ...)
{
    char text[512], whole[1024];
    va_list args;

    if (import->errors++ >= ERRORS_SHOWN)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    snprintf(whole, sizeof(whole), "%s:%lu: %s%s%s%s", import->path, line, column ? "column " : "",
             column ? column : "", column ? ": " : "", text);
    fprintf(stderr, "%s\n", whole);
    fg_complained(whole);
}

static void read_header(struct import *import)
{
    const struct fg_csv_row *row = &import->csv.rows[0];
    bool seen[FG_CONTROL_ITEM_FIELDS] = {false};

    const char *other = row->count == 1 ? strpbrk(row->cells[0], ";\t") : NULL;

    if (other) {
        complain(import, row->line, NULL,
                 "columns are separated by commas; this file seems to use %s",
                 *other == ';' ? "\";\"" : "tabs");
        return;
    }
    for (unsigned i = 0; i < row->count; i++) {
        unsigned field = fg_control_item_field_find(row->cells[i]);

        if (field == FG_CONTROL_ITEM_FIELDS) {
            fg_clean(row->cells[i]);
            complain(import, row->line, row->cells[i],
                     "unknown; columns are item, name, total, user_limit, "
                     "order_max, hold_ms, opens, closes, paused, retired, waitlist, claim_ms, "
                     "wait_ttl_ms, one_unit, lottery");
        } else if (seen[field]) {
            complain(import, row->line, row->cells[i], "is there twice");
        } else {
            seen[field] = true;
            import->columns[import->columns_count++] = field;
        }
    }
    if (!seen[FG_CONTROL_ITEM_FIELD_item])
        complain(import, row->line, "item", "is missing in the header line");
}

static bool read_values(struct import *import, const struct fg_csv_row *row,
                        struct fg_values *values)
{
    unsigned long before = import->errors;
    struct fg_error err;

    if (row->count != import->columns_count) {
        complain(import, row->line, NULL, "%u cells; the header line has %u", row->count,
                 import->columns_count);
        return false;
    }
    for (unsigned i = 0; i < row->count; i++) {
        const char *name = fg_control_item_fields[import->columns[i]].name;

        if (row->cells[i][0] == 0 && import->columns[i] != FG_CONTROL_ITEM_FIELD_item)
            continue;
        if (!fg_value_parse(import->columns[i], row->cells[i], values, &err)) {
            fg_clean(err.text);
            complain(import, row->line, name, "%s", err.text);
        }
    }
    return import->errors == before;
}

static uint64_t item_of(const json_t *json)
{
    uint64_t item = 0;

    fg_json_id_read(json_object_get(json, "item"), &item);
    return item;
}

static int compare_existing(const void *a, const void *b)
{
    uint64_t x = item_of(*(json_t *const *)a), y = item_of(*(json_t *const *)b);

    return x < y ? -1 : x > y;
}

static void take_existing(void *ctx, json_t *entry)
{
    struct import *import = ctx;

    if (import->existing_count == import->existing_room) {
        import->existing_room = import->existing_room * 2 + 1024;
        import->existing =
            realloc(import->existing, import->existing_room * sizeof(*import->existing));
        if (!import->existing)
            abort();
    }
    import->existing[import->existing_count++] = json_incref(entry);
}

static const json_t *find_existing(const struct import *import, uint64_t item)
{
    size_t low = 0, high = import->existing_count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (item_of(import->existing[middle]) < item)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == import->existing_count || item_of(import->existing[low]) != item)
        return NULL;
    return import->existing[low];
}

/* A catalogue that still names an item that was taken out of it changes nothing of it. */
static bool stays_retired(const json_t *existing, const struct fg_values *values)
{
    return json_is_true(json_object_get(existing, "retired")) &&
           !(values->given[FG_CONTROL_ITEM_FIELD_retired] &&
             !values->number[FG_CONTROL_ITEM_FIELD_retired]);
}

static void plan_rows(struct import *import)
{
    for (size_t i = 1; i < import->csv.rows_count; i++) {
        const struct fg_csv_row *row = &import->csv.rows[i];
        struct fg_plan *plan = &import->plans[import->plans_count];
        struct fg_values values = {0};
        const json_t *existing;
        struct fg_error err;
        unsigned field;

        *plan = (struct fg_plan){.line = row->line};
        if (!read_values(import, row, &values))
            continue;
        import->plans_count++;
        existing = find_existing(import, values.number[FG_CONTROL_ITEM_FIELD_item]);
        if (stays_retired(existing, &values)) {
            plan->item = values.number[FG_CONTROL_ITEM_FIELD_item];
            import->retired++;
            continue;
        }
        if (!fg_plan_make(&values, existing, plan, &field, &err))
            complain(import, row->line, fg_control_item_fields[field].name, "%s", err.text);
    }
}

static int compare_plans(const void *a, const void *b)
{
    const struct fg_plan *x = *(const struct fg_plan *const *)a,
                         *y = *(const struct fg_plan *const *)b;

    if (x->item != y->item)
        return x->item < y->item ? -1 : 1;
    return x->line < y->line ? -1 : x->line > y->line;
}

static void find_twins(struct import *import)
{
    const struct fg_plan **sorted = calloc(import->plans_count + 1, sizeof(*sorted));

    if (!sorted)
        abort();
    for (size_t i = 0; i < import->plans_count; i++)
        sorted[i] = &import->plans[i];
    qsort(sorted, import->plans_count, sizeof(*sorted), compare_plans);
    for (size_t i = 1; i < import->plans_count; i++)
        if (sorted[i]->item == sorted[i - 1]->item)
            complain(import, sorted[i]->line, "item", "%" PRIu64 " is in line %lu already",
                     sorted[i]->item, sorted[i - 1]->line);
    free(sorted);
}

/* Of a time that the plan sets. `now` and small differences of clocks are no mistake. */
static void warn_of_past(const struct import *import, const struct fg_plan *plan, const char *name,
                         const char *effect)
{
    const json_t *value = json_object_get(plan->body, name);
    uint64_t ms = (uint64_t)json_integer_value(value);
    char text[FG_TEXT_TIME_SIZE];

    if (!json_is_integer(value) || ms == 0 || ms + PAST_MS > fg_now_ms())
        return;
    fg_text_time(text, ms);
    fprintf(stderr, "%s:%lu: column %s: warning: %s has passed: item %" PRIu64 " %s\n",
            import->path, plan->line, name, text, plan->item, effect);
}

static void warn_of_times(const struct import *import)
{
    for (size_t i = 0; i < import->plans_count; i++) {
        warn_of_past(import, &import->plans[i], "opens", "opens at once");
        warn_of_past(import, &import->plans[i], "closes", "is closed, and sells nothing");
    }
}

/* Units of a fleet move to other members: the next import of this file, here or at another member,
 * would add them again. */
static int check_total(struct fg_cli *cli, struct import *import)
{
    bool there = false;
    json_t *fleet;
    int code;

    for (unsigned i = 0; i < import->columns_count; i++)
        there |= import->columns[i] == FG_CONTROL_ITEM_FIELD_total;
    if (!there)
        return FG_EXIT_OK;
    code = fg_request(cli, "GET", "/v1/fleet", NULL, &fleet);
    if (code != FG_EXIT_OK)
        return code;
    if (json_is_true(json_object_get(fleet, "enabled"))) {
        complain(import, import->csv.rows[0].line, "total",
                 "this appliance is a member of a fleet, whose units move between its members: a "
                 "second import would add them again. Leave the column out, and add the units "
                 "once, at one member, by `fgctl stock add ITEM UNITS`");
        code = FG_EXIT_INPUT;
    }
    json_decref(fleet);
    return code;
}

/* Reads and checks everything; FG_EXIT_OK when it can be sent. */
static int prepare(struct fg_cli *cli, struct import *import)
{
    struct fg_error err;
    int code;

    if (!fg_csv_read(import->path, &import->csv, &err)) {
        fg_complain("%s", err.text);
        return FG_EXIT_INPUT;
    }
    if (import->csv.rows_count == 0) {
        fg_complain("%s:1: no header line", import->path);
        return FG_EXIT_INPUT;
    }
    read_header(import);
    if (import->errors)
        return FG_EXIT_INPUT;
    code = check_total(cli, import);
    if (code != FG_EXIT_OK)
        return code;
    code = fg_request_pages(cli, "/v1/items?retired=true", "items", take_existing, import);
    if (code != FG_EXIT_OK)
        return code;
    if (import->existing_count)
        qsort(import->existing, import->existing_count, sizeof(*import->existing),
              compare_existing);
    import->plans = calloc(import->csv.rows_count, sizeof(*import->plans));
    if (!import->plans)
        abort();
    plan_rows(import);
    find_twins(import);
    if (!import->errors)
        warn_of_times(import);
    return import->errors ? FG_EXIT_INPUT : FG_EXIT_OK;
}

static void progress(struct import *import)
{
    uint64_t now = fg_mono_ms();

    if (now - import->started_ms < PROGRESS_AFTER_MS || now - import->shown_ms < PROGRESS_EACH_MS)
        return;
    import->shown_ms = now;
    fprintf(stderr, "%zu of %zu items%s", import->done, import->plans_count,
            isatty(STDERR_FILENO) ? "\r" : "\n");
}

static int send_plans(struct fg_cli *cli, struct import *import)
{
    import->started_ms = fg_mono_ms();
    for (; import->done < import->plans_count; import->done++) {
        const struct fg_plan *plan = &import->plans[import->done];
        struct fg_error err = {""};
        json_t *reply = NULL;
        int code = FG_EXIT_OK;

        if (plan->body || plan->units)
            code = fg_plan_run(cli, plan, &reply, &err);
        if (code != FG_EXIT_OK) {
            if (cli->json && reply)
                fg_print_json_error(reply);
            json_decref(reply);
            fg_complain("%s:%lu: item %" PRIu64 ": %s", import->path, plan->line, plan->item,
                        err.text);
            fg_complain("done before it: %zu; nothing behind it was sent; run it again to continue",
                        import->done);
            return code;
        }
        json_decref(reply);
        progress(import);
    }
    return FG_EXIT_OK;
}

static json_t *summary(const struct import *import, bool dry_run)
{
    json_int_t created = 0, changed = 0, unchanged = 0, added = 0, removed = 0;

    for (size_t i = 0; i < import->plans_count; i++) {
        const struct fg_plan *plan = &import->plans[i];

        created += plan->create;
        changed += !plan->create && (plan->body || plan->units);
        unchanged += !plan->body && !plan->units;
        added += plan->units > 0 ? plan->units : 0;
        removed += plan->units < 0 ? -plan->units : 0;
        if (plan->create)
            added += json_integer_value(json_object_get(plan->body, "total"));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "created", created, "changed", changed,
                     "unchanged", unchanged, "units_added", added, "units_removed", removed,
                     "retired", (json_int_t)import->retired, "dry_run", dry_run);
}

static void report(const struct fg_cli *cli, const struct import *import, bool dry_run)
{
    json_t *json = summary(import, dry_run);

    for (size_t i = 0; dry_run && !cli->json && i < import->plans_count; i++)
        fg_plan_print(stdout, &import->plans[i]);
    if (cli->json)
        fg_print_json(json);
    else
        printf("%s%lld created, %lld changed, %lld unchanged; units: %lld added, %lld removed\n",
               dry_run ? "would be: " : "", json_integer_value(json_object_get(json, "created")),
               json_integer_value(json_object_get(json, "changed")),
               json_integer_value(json_object_get(json, "unchanged")),
               json_integer_value(json_object_get(json, "units_added")),
               json_integer_value(json_object_get(json, "units_removed")));
    if (!cli->json && import->retired)
        printf("%zu retired and left alone; false in the column retired brings an item back\n",
               import->retired);
    json_decref(json);
}

static void import_free(struct import *import)
{
    for (size_t i = 0; i < import->existing_count; i++)
        json_decref(import->existing[i]);
    for (size_t i = 0; i < import->plans_count; i++)
        fg_plan_free(&import->plans[i]);
    free(import->existing);
    free(import->plans);
    fg_csv_free(&import->csv);
}

int fg_cmd_item_import(struct fg_cli *cli, const struct fg_args *args)
{
    struct import import = {.path = args->positions[0]};
    bool dry_run = args->options[0] != NULL;
    int code = prepare(cli, &import);

    if (import.errors)
        fg_complain("%lu error%s in %s%s; nothing was sent", import.errors,
                    import.errors == 1 ? "" : "s", import.path,
                    import.errors > ERRORS_SHOWN ? " (the first 20 are shown)" : "");
    if (code == FG_EXIT_OK && !dry_run)
        code = send_plans(cli, &import);
    if (code == FG_EXIT_OK)
        report(cli, &import, dry_run);
    import_free(&import);
    return code;
}
