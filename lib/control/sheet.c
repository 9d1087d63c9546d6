/* SPDX-License-Identifier: BSD-3-Clause */
/* The values of one moment, and the same as JSON. */
#include <string.h>

#include "base/json.h"
#include "control/sheet.h"

struct fg_control_sheet *fg_control_sheet_create(void)
{
    return calloc(1, sizeof(struct fg_control_sheet));
}

void fg_control_sheet_destroy(struct fg_control_sheet *sheet)
{
    if (!sheet)
        return;
    for (size_t i = 0; i < sheet->count; i++) {
        free(sheet->list[i].element);
        free(sheet->list[i].text);
        free(sheet->list[i].histogram);
    }
    free(sheet->list);
    free(sheet);
}

bool fg_control_sheet_complete(const struct fg_control_sheet *sheet)
{
    return !sheet->failed;
}

static struct fg_control_value *add(struct fg_control_sheet *sheet, enum fg_control_metric metric,
                                    const char *element)
{
    struct fg_control_value *value;

    if (sheet->count == sheet->room) {
        size_t room = sheet->room ? sheet->room * 2 : 256;
        struct fg_control_value *grown = realloc(sheet->list, room * sizeof(*grown));

        if (!grown) {
            sheet->failed = true;
            return NULL;
        }
        sheet->list = grown;
        sheet->room = room;
    }
    value = &sheet->list[sheet->count++];
    *value = (struct fg_control_value){.metric = metric};
    value->element = element ? strdup(element) : NULL;
    sheet->failed |= element && !value->element;
    return value;
}

void fg_control_sheet_set(struct fg_control_sheet *sheet, enum fg_control_metric metric,
                          const char *element, uint64_t value)
{
    fg_control_sheet_part(sheet, metric, element, NULL, value);
}

void fg_control_sheet_say(struct fg_control_sheet *sheet, enum fg_control_metric metric,
                          const char *element, const char *text)
{
    fg_control_sheet_part(sheet, metric, element, text, 1);
}

void fg_control_sheet_part(struct fg_control_sheet *sheet, enum fg_control_metric metric,
                           const char *element, const char *label_value, uint64_t value)
{
    struct fg_control_value *added = add(sheet, metric, element);

    if (!added)
        return;
    added->number = value;
    added->text = label_value ? strdup(label_value) : NULL;
    sheet->failed |= label_value && !added->text;
}

void fg_control_sheet_histogram(struct fg_control_sheet *sheet, enum fg_control_metric metric,
                                const char *element, const struct fg_histogram_sum *histogram)
{
    struct fg_control_value *added = add(sheet, metric, element);

    if (!added)
        return;
    added->number = histogram->count;
    added->histogram = malloc(sizeof(*histogram));
    if (added->histogram)
        *added->histogram = *histogram;
    sheet->failed |= !added->histogram;
}

unsigned fg_control_sheet_shift(const struct fg_control_metric_row *row)
{
    return row->unit == FG_CONTROL_NS   ? FG_HISTOGRAM_NS_SHIFT
           : row->unit == FG_CONTROL_MS ? FG_HISTOGRAM_MS_SHIFT
                                        : FG_HISTOGRAM_COUNT_SHIFT;
}

void fg_control_sheet_each(const struct fg_control_sheet *sheet, enum fg_control_section section,
                           void (*each)(void *ctx, const struct fg_control_value *value), void *ctx)
{
    for (size_t i = 0; i < sheet->count; i++)
        if (fg_control_metrics[sheet->list[i].metric].section == section)
            each(ctx, &sheet->list[i]);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* Only buckets that hold something, by their largest value; "more" is what is above all others. */
static json_t *histogram_json(const struct fg_control_value *value)
{
    const struct fg_histogram_sum *h = value->histogram;
    unsigned shift = fg_control_sheet_shift(&fg_control_metrics[value->metric]);
    json_t *buckets = json_object();
    char bound[24];

    for (unsigned i = 0; i < FG_HISTOGRAM_BUCKETS; i++) {
        snprintf(bound, sizeof(bound), "%llu", (unsigned long long)fg_histogram_bound(shift, i));
        if (h->buckets[i])
            json_object_set_new(buckets, i == FG_HISTOGRAM_BUCKETS - 1 ? "more" : bound,
                                json_integer((json_int_t)h->buckets[i]));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:o}", "count", (json_int_t)h->count, "sum",
                     (json_int_t)h->sum, "p50", (json_int_t)fg_histogram_quantile(h, shift, 0.5),
                     "p99", (json_int_t)fg_histogram_quantile(h, shift, 0.99), "buckets", buckets);
}

static json_t *value_json(const struct fg_control_value *value)
{
    if (value->histogram)
        return histogram_json(value);
    switch (fg_control_metrics[value->metric].unit) {
    case FG_CONTROL_FLAG:
        return json_boolean(value->number);
    case FG_CONTROL_TEXT:
        return fg_json_text(value->text);
    case FG_CONTROL_NUMBER:
    case FG_CONTROL_BYTES:
    case FG_CONTROL_SECONDS:
    case FG_CONTROL_MS:
    case FG_CONTROL_NS:
        break;
    }
    return json_integer((json_int_t)value->number);
}

/* Workers are numbered: their element is a number in JSON, too. */
static json_t *element_json(const char *label, const char *element)
{
    if (strcmp(label, "worker") == 0)
        return json_integer(strtoll(element, NULL, 10));
    return fg_json_text(element);
}

/* The object of an element in a list; made when it is not there yet. Values of an element come
 * one after the other, so it is the last, or a new one. */
static json_t *element_of(json_t *list, const char *label, const char *element)
{
    json_t *wanted = element_json(label, element), *object;
    size_t i;

    json_array_foreach (list, i, object)
        if (json_equal(json_object_get(object, label), wanted)) {
            json_decref(wanted);
            return object;
        }
    object = json_object();
    json_object_set_new(object, label, wanted);
    json_array_append_new(list, object);
    return object;
}

struct drawing {
    const struct fg_control_section_row *section;
    json_t *json;
};

static void draw(void *ctx, const struct fg_control_value *value)
{
    struct drawing *d = ctx;
    json_t *object = d->json;
    const char *key = fg_control_metrics[value->metric].key;

    if (d->section->shape == FG_CONTROL_LIST)
        object = element_of(d->json, d->section->label, value->element);
    else if (d->section->shape == FG_CONTROL_MAP)
        key = value->element;
    json_object_set_new(object, key, value_json(value));
}

static json_t *section_json(const struct fg_control_sheet *sheet, enum fg_control_section section)
{
    struct drawing d = {.section = &fg_control_sections[section]};

    d.json = d.section->shape == FG_CONTROL_LIST ? json_array() : json_object();
    fg_control_sheet_each(sheet, section, draw, &d);
    if (d.section->shape == FG_CONTROL_OBJECT && json_object_size(d.json) == 0) {
        json_decref(d.json);
        return json_null();
    }
    return d.json;
}

/* Section "a.b" becomes member b of a, which is there already; not if that is null. */
static void put_section(json_t *all, const char *path, json_t *json)
{
    const char *dot = strchr(path, '.');
    char outer[32];

    if (!dot) {
        json_object_set_new(all, path, json);
        return;
    }
    snprintf(outer, sizeof(outer), "%.*s", (int)(dot - path), path);
    json_object_set_new(json_object_get(all, outer), dot + 1, json);
}

json_t *fg_control_sheet_stats(const struct fg_control_sheet *sheet)
{
    json_t *all = json_object();

    for (unsigned i = 0; i < FG_CONTROL_SECTIONS; i++)
        if (fg_control_sections[i].shape != FG_CONTROL_HIDDEN)
            put_section(all, fg_control_sections[i].path, section_json(sheet, i));
    return all;
}

json_t *fg_control_sheet_status(const struct fg_control_sheet *sheet)
{
    json_t *all = section_json(sheet, FG_CONTROL_SECTION_daemon);

    for (unsigned i = FG_CONTROL_SECTION_daemon + 1; i < FG_CONTROL_SECTIONS; i++)
        if (fg_control_sections[i].in_status)
            put_section(all, fg_control_sections[i].path, section_json(sheet, i));
    return all;
}
