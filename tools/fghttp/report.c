/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/text.h"
#include "tools/fgblast/client_file.h"

/* An order service confirms, cancels and refunds behind the shopper's back. */
static bool goes_on(const struct order *o)
{
    return o->told &&
           (o->open || o->told == FG_PACKET_STATUS_RESERVED || o->told == FG_PACKET_STATUS_EXPIRED);
}

static bool write_orders(const void *world, FILE *out)
{
    const struct world *w = world;
    char id[33];

    for (uint64_t i = 0; i < w->o->shoppers * w->o->orders; i++) {
        const struct order *o = &w->orders[i];

        if (!o->quantity) /* never begun */
            continue;
        fg_text_hex(id, o->id, sizeof(o->id));
        fprintf(out, "%s %" PRIu64 " %" PRIu64 " %u %s%s\n", id, o->user, o->item, o->quantity,
                o->told ? fg_packet_status_name(o->told) : "NONE", goes_on(o) ? "+" : "");
    }
    return true; /* an error of the file stays with it */
}

bool report_audit(const struct world *w, struct fg_error *err)
{
    return fg_client_file(w->o->audit, write_orders, w, err);
}

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *told(const struct world *w)
{
    uint64_t count[FG_PACKET_STATUS_COUNT] = {0};
    json_t *all = json_object();

    for (uint64_t i = 0; i < w->o->shoppers * w->o->orders; i++)
        if (w->orders[i].quantity)
            count[w->orders[i].told]++;
    for (unsigned i = 0; i < FG_PACKET_STATUS_COUNT; i++)
        if (count[i])
            json_object_set_new(all, i ? fg_packet_status_name(i) : "NONE", number(count[i]));
    return all;
}

static json_t *answers(const struct world *w)
{
    json_t *all = json_object();
    char name[8];

    for (unsigned i = 1; i < 600; i++)
        if (w->http[i]) {
            snprintf(name, sizeof(name), "%u", i);
            json_object_set_new(all, name, number(w->http[i]));
        }
    return all;
}

static json_t *latency(const struct world *w)
{
    return json_pack("{s:I, s:f, s:f}", "count", (json_int_t)w->latency.count, "p50",
                     (double)fg_hist_quantile(&w->latency, 0.5) / 1e3, "p99",
                     (double)fg_hist_quantile(&w->latency, 0.99) / 1e3);
}

bool report_json(const struct world *w, struct fg_error *err)
{
    json_t *all;
    int bad;

    if (!w->o->json)
        return true;
    all = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "shoppers",
                    number(w->o->shoppers), "requests", number(w->requests), "repeats",
                    number(w->repeats), "connections", number(w->connections), "unanswered",
                    number(w->unanswered), "given_up", number(w->given_up), "contradictions",
                    number(w->contradictions), "told", told(w), "answers", answers(w), "latency_us",
                    latency(w), "seconds", json_real((double)(w->ended_ms - w->began_ms) / 1e3));
    if (!strcmp(w->o->json, "-"))
        bad = json_dumpf(all, stdout, JSON_INDENT(2)) || putchar('\n') == EOF;
    else
        bad = json_dump_file(all, w->o->json, JSON_INDENT(2));
    json_decref(all);
    return !bad || fg_fail(err, "%s: cannot be written", w->o->json);
}
