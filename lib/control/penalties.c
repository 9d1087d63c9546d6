/* SPDX-License-Identifier: BSD-3-Clause */
/* Offenders and blocked sources. */
#include <string.h>
#include <time.h>

#include "control/penalties.h"

#define TOP_DEFAULT   10
#define REPORT_EVENTS 1000000

static struct fg_penalty *box_of(struct fg_control_call *call)
{
    return call->control->daemon.penalty(call->control->daemon.ctx);
}

static json_t *prefix_json(const struct fg_filter_prefix *prefix)
{
    char text[64];

    fg_filter_prefix_format(prefix, text);
    return json_string(text);
}

/* ---- top ------------------------------------------------------------------------------------- */

static json_t *hitter_json(const struct fg_penalty_hitter *hitter, uint64_t now_ms)
{
    return json_pack("{s:o, s:f, s:f, s:f, s:I}", "source", prefix_json(&hitter->source), "count",
                     hitter->count, "error", hitter->error, "proven", hitter->proven, "age_ms",
                     (json_int_t)(now_ms - hitter->last_ms));
}

static json_t *class_json(struct fg_penalty *box, enum fg_penalty_offence offence, unsigned limit)
{
    struct fg_penalty_hitter *top = calloc(limit, sizeof(*top));
    uint64_t now_ms = fg_clock_mono_ms();
    json_t *list = json_array();
    double total = 0;
    unsigned n = top ? fg_penalty_top(box, offence, top, limit, &total) : 0;

    for (unsigned i = 0; i < n; i++)
        json_array_append_new(list, hitter_json(&top[i], now_ms));
    free(top);
    return json_pack("{s:s, s:s, s:f, s:f, s:o}", "class", fg_penalty_offence_name(offence), "text",
                     fg_penalty_offence_text(offence), "total", total, "error_max",
                     total / FG_PENALTY_COUNTERS, "sources", list);
}

json_t *fg_control_penalty_top(struct fg_penalty *box, unsigned limit)
{
    json_t *classes = json_array();

    for (unsigned i = 0; i < FG_OFFENCES; i++)
        json_array_append_new(classes, class_json(box, i, limit));
    return classes;
}

void fg_control_handle_filter_top(struct fg_control_call *call)
{
    unsigned limit = call->limit ? (unsigned)call->limit : TOP_DEFAULT;

    if (limit > FG_PENALTY_COUNTERS)
        limit = FG_PENALTY_COUNTERS;
    fg_control_call_reply(
        call, 200, json_pack("{s:o}", "classes", fg_control_penalty_top(box_of(call), limit)));
}

/* ---- the box --------------------------------------------------------------------------------- */

static json_t *offender_json(const struct fg_penalty_offender *o, uint64_t now_ms)
{
    return json_pack("{s:o, s:s, s:i, s:I, s:I}", "source", prefix_json(&o->source), "class",
                     fg_penalty_offence_name(o->offence), "level", o->level, "since_ms",
                     (json_int_t)(now_ms - o->since_ms), "left_ms",
                     (json_int_t)(o->until_ms > now_ms ? o->until_ms - now_ms : 0));
}

void fg_control_handle_penalties(struct fg_control_call *call)
{
    struct fg_penalty *box = box_of(call);
    struct fg_penalty_offender *all = calloc(FG_PENALTY_MAX, sizeof(*all));
    uint64_t now_ms = fg_clock_mono_ms();
    unsigned n = all ? fg_penalty_list(box, all, FG_PENALTY_MAX, now_ms) : 0;
    json_t *list = json_array();

    for (uint64_t i = call->offset; i < n && i - call->offset < call->limit; i++)
        json_array_append_new(list, offender_json(&all[i], now_ms));
    free(all);
    fg_control_call_reply(call, 200,
                          json_pack("{s:s, s:o, s:I, s:I, s:I}", "mode",
                                    fg_penalty_mode_name(fg_penalty_mode(box)), "penalties", list,
                                    "count", (json_int_t)n, "offset", (json_int_t)call->offset,
                                    "limit", (json_int_t)call->limit));
}

bool fg_control_text_source(struct fg_control_call *call, const char *text,
                            struct fg_filter_prefix *address)
{
    struct fg_error err = {""};

    if (!text)
        return fg_control_call_fail(call, 400, "source", "source: not a text like \"198.18.7.9\"");
    if (!fg_filter_prefix_parse(text, address, &err))
        return fg_control_call_fail(call, 400, "source", "source: %s", err.text);
    return true;
}

/* The offence was committed behind a completed handshake, says who reports: only the operator's
 * tools can. */
void fg_control_handle_penalty_report(struct fg_control_call *call)
{
    const json_t *source = json_object_get(call->body, "source"),
                 *count = json_object_get(call->body, "count"),
                 *follow = json_object_get(call->body, "follow"); /* see trail.c */
    struct fg_penalty_report report = {.offence = FG_PENALTY_OFFENCE_HTTP, .proven = 1};
    struct fg_filter_prefix address;
    uint64_t events = 1;

    if (json_object_size(call->body) != 1u + (count != NULL) + (follow != NULL) || !source ||
        (follow && !json_is_true(follow))) {
        fg_control_call_fail(call, 400, NULL,
                             "body: must be {\"source\": ADDRESS}, also with \"count\": N and "
                             "\"follow\": true");
        return;
    }
    if (!fg_control_text_source(call, json_string_value(source), &address) ||
        (count && !fg_control_body_number(call, "count", count, 1, REPORT_EVENTS, &events)))
        return;
    if (address.length != (address.family == 6 ? 128 : 32)) {
        fg_control_call_fail(call, 400, "source",
                             "source: %.64s is a network; an address is wanted",
                             json_string_value(source));
        return;
    }
    report.family = address.family;
    report.events = (uint32_t)events;
    memcpy(report.addr, address.addr, sizeof(report.addr));
    fg_penalty_report(box_of(call), &report, fg_clock_mono_ms());
    fg_control_call_reply(call, 200, json_pack("{s:I}", "reported", (json_int_t)events));
}

void fg_control_handle_penalty_release(struct fg_control_call *call)
{
    struct fg_filter_prefix source;
    struct fg_error err = {""};
    bool released;

    if (json_object_size(call->body) != 1 || !json_object_get(call->body, "source")) {
        fg_control_call_fail(call, 400, NULL, "body: must be {\"source\": ADDRESS}");
        return;
    }
    if (!fg_control_text_source(call, json_string_value(json_object_get(call->body, "source")),
                                &source))
        return;
    /* one that is not in the box is released already */
    released = fg_penalty_release(box_of(call), &source, fg_clock_mono_ms(), &err);
    fg_control_call_reply(
        call, 200, json_pack("{s:i, s:i}", "released", (int)released, "unchanged", (int)!released));
}

/* ---- settings -------------------------------------------------------------------------------- */

/* As in the configuration: "bad_tag". NULL: it has no threshold there. */
static const char *threshold_name(unsigned offence, char name[32])
{
    if (offence == FG_PENALTY_OFFENCE_DROPPED)
        return NULL;
    snprintf(name, 32, "%s", fg_penalty_offence_name(offence));
    for (char *dash; (dash = strchr(name, '-'));)
        *dash = '_';
    return name;
}

static json_t *settings_json(const struct fg_penalty_options *o)
{
    json_t *json = json_pack("{s:s, s:I}", "mode", fg_penalty_mode_name(o->mode), "first_ms",
                             (json_int_t)o->first_ms);
    char name[32];

    for (unsigned i = 0; i < FG_OFFENCES; i++)
        if (threshold_name(i, name))
            json_object_set_new(json, name, json_integer(o->threshold[i]));
    return json;
}

void fg_control_handle_penalty_settings(struct fg_control_call *call)
{
    struct fg_penalty_options now, file;

    fg_penalty_settings(box_of(call), &now, &file);
    fg_control_call_reply(
        call, 200,
        json_pack("{s:o, s:o}", "in_force", settings_json(&now), "file", settings_json(&file)));
}

static bool take_mode(struct fg_control_call *call, const char *text, struct fg_penalty_options *o)
{
    for (int mode = FG_PENALTY_OFF; mode <= FG_PENALTY_SUSPECTED; mode++)
        if (text && strcmp(text, fg_penalty_mode_name(mode)) == 0) {
            o->mode = mode;
            return true;
        }
    return fg_control_call_fail(call, 400, "mode", "mode: must be off, proven or suspected");
}

static bool take_setting(struct fg_control_call *call, const char *name, const json_t *value,
                         struct fg_penalty_options *o)
{
    char known[32];
    uint64_t number;

    if (strcmp(name, "mode") == 0)
        return take_mode(call, json_string_value(value), o);
    if (strcmp(name, "first_ms") == 0) {
        if (!fg_control_body_number(call, name, value, FG_PENALTY_FIRST_MS_MIN,
                                    FG_PENALTY_FIRST_MS_MAX, &number))
            return false;
        o->first_ms = (uint32_t)number;
        return true;
    }
    for (unsigned i = 0; i < FG_OFFENCES; i++) {
        if (!threshold_name(i, known) || strcmp(known, name))
            continue;
        if (!fg_control_body_number(call, name, value, 0, FG_PENALTY_THRESHOLD_MAX, &number))
            return false;
        o->threshold[i] = (uint32_t)number;
        return true;
    }
    return fg_control_call_fail(call, 400, name, "unknown field \"%.64s\"", name);
}

void fg_control_handle_penalty_settings_patch(struct fg_control_call *call)
{
    struct fg_penalty_options now, file;
    const char *name;
    json_t *value;

    fg_penalty_settings(box_of(call), &now, &file);
    json_object_foreach (call->body, name, value)
        if (!take_setting(call, name, value, &now))
            return;
    fg_penalty_settings_set(box_of(call), &now);
    fg_control_handle_penalty_settings(call);
}

json_t *fg_control_offender_json(struct fg_control_call *call,
                                 const struct fg_filter_prefix *address)
{
    struct fg_penalty_offender found;

    if (!fg_penalty_find(box_of(call), address, &found))
        return json_null();
    return offender_json(&found, fg_clock_mono_ms());
}
