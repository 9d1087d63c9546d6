/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON for people: any object as indented lines, so that a new field of the daemon needs no line
 * here. */
#include "fgctl.h"

#include <string.h>

#define ALARM_TEXT 1024

void fg_print_json(const json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    printf("\n");
}

void fg_clean(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++)
        if (*p < 0x20 || *p == 0x7f)
            *p = '?';
}

static void show_scalar(FILE *out, const json_t *json)
{
    if (json_is_string(json)) {
        char text[ALARM_TEXT];

        snprintf(text, sizeof(text), "%s", json_string_value(json));
        fg_clean(text);
        fprintf(out, "%s", *text ? text : "-");
    } else if (json_is_integer(json)) {
        fprintf(out, "%lld", json_integer_value(json));
    } else if (json_is_real(json)) {
        fprintf(out, "%.3f", json_real_value(json));
    } else {
        fprintf(out, "%s", json_is_true(json) ? "yes" : json_is_false(json) ? "no" : "-");
    }
}

static void show_any(FILE *out, const char *name, const json_t *json, int depth);

/* An entry of a list is shown by its name when it has one, else by its number. */
static const char *name_of(const json_t *entry)
{
    static const char *const keys[] = {"name", "port", "sink"};
    const char *name = NULL;

    for (size_t i = 0; !name && i < sizeof(keys) / sizeof(keys[0]); i++)
        name = json_string_value(json_object_get(entry, keys[i]));
    return name;
}

static void show_members(FILE *out, const json_t *json, int depth)
{
    const char *key;
    json_t *value;
    size_t i;

    json_object_foreach ((json_t *)json, key, value)
        show_any(out, key, value, depth);
    json_array_foreach (json, i, value) {
        const char *name = name_of(value);
        char label[64];

        snprintf(label, sizeof(label), "%zu", i);
        if (name)
            snprintf(label, sizeof(label), "%s", name);
        fg_clean(label);
        show_any(out, label, value, depth);
    }
}

static void show_any(FILE *out, const char *name, const json_t *json, int depth)
{
    int pad = 22 - 2 * depth;

    if (json_is_object(json) || json_is_array(json)) {
        fprintf(out, "%*s%s:\n", 2 * depth, "", name);
        show_members(out, json, depth + 1);
        return;
    }
    fprintf(out, "%*s%-*s ", 2 * depth, "", pad > 0 ? pad : 0, name);
    show_scalar(out, json);
    fprintf(out, "\n");
}

static void alarm_text(const json_t *alarm, const char *key, char text[ALARM_TEXT])
{
    const char *value = json_string_value(json_object_get(alarm, key));

    snprintf(text, ALARM_TEXT, "%s", value ? value : "?");
    fg_clean(text);
}

int fg_show_alarms(FILE *out, const json_t *status)
{
    const json_t *list = json_object_get(status, "alarms");
    json_t *alarm;
    size_t i;

    json_array_foreach (list, i, alarm) {
        char level[ALARM_TEXT], name[ALARM_TEXT], text[ALARM_TEXT];

        alarm_text(alarm, "level", level);
        alarm_text(alarm, "name", name);
        alarm_text(alarm, "text", text);
        for (char *p = level; *p; p++)
            *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
        fprintf(out, "%-8s %-8s %s\n", level, name, text);
    }
    return (int)json_array_size(list);
}

void fg_show(FILE *out, const json_t *json)
{
    show_members(out, json, 0);
}
