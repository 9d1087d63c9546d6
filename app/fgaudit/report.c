/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <inttypes.h>
#include <string.h>

#include "line.h"

bool fg_report_passed(const struct fg_report *r)
{
    return fg_problems_count(r->problems) == 0;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* Written by hand: jansson's integers are signed, item and user numbers use all 64 bits. */
void fg_report_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '"' || *p == '\\')
            fprintf(out, "\\%c", *p);
        else if (*p < 0x20 || *p >= 0x7f) /* bytes that may be no UTF-8, from Redis */
            fprintf(out, "\\u%04x", *p);
        else
            fputc(*p, out);
    }
    fputc('"', out);
}

void fg_report_problems_json(const struct fg_problems *p, FILE *out)
{
    const char *comma = "";

    fputs("  \"problem_counts\": {", out);
    for (int k = 0; k < FG_PROBLEM_COUNT; k++) {
        if (!p->kinds[k].count)
            continue;
        fprintf(out, "%s\"%s\": %" PRIu64, comma, fg_problem_name((enum fg_problem)k),
                p->kinds[k].count);
        comma = ", ";
    }
    fputs("},\n  \"problems\": [", out);
    comma = "";
    for (int k = 0; k < FG_PROBLEM_COUNT; k++) {
        for (size_t i = 0; i < p->kinds[k].kept; i++) {
            fprintf(out, "%s\n    {\"kind\": \"%s\", \"text\": ", comma,
                    fg_problem_name((enum fg_problem)k));
            fg_report_string(out, p->kinds[k].texts[i]);
            fputc('}', out);
            comma = ",";
        }
    }
    fputs("],\n", out);
}

/* Units of an item by what became of their orders, beside what is in the item. */
struct ends {
    uint64_t late, restocked, expired, cancelled;
};

static struct ends *ends_of(const struct fg_tables *t)
{
    struct ends *ends = calloc(t->item_count + 1, sizeof(*ends));

    if (!ends)
        fg_out_of_memory();
    for (uint32_t k = 0; k < t->order_count; k++) {
        const struct fg_order *o = &t->orders[k];
        struct ends *e = &ends[o->item];

        e->late += o->state == FG_STATE_SOLD && o->late ? o->quantity : 0;
        e->restocked += o->state == FG_STATE_REFUNDED && o->restocked ? o->quantity : 0;
        e->expired += o->state == FG_STATE_EXPIRED ? o->quantity : 0;
        e->cancelled += o->state == FG_STATE_CANCELLED && !o->left ? o->quantity : 0;
    }
    return ends;
}

static void items(const struct fg_tables *t, FILE *out)
{
    struct ends *ends = ends_of(t);

    fputs("  \"items\": [", out);
    for (uint32_t k = 0; k < t->item_count; k++) {
        const struct fg_item *i = &t->items[k];

        fprintf(out,
                "%s\n    {\"item\": \"%" PRIu64 "\", \"total\": %" PRId64
                ", \"available\": %" PRId64 ", \"reserved\": %" PRId64 ", \"sold\": %" PRId64
                ", \"refunded\": %" PRId64 ", \"late\": %" PRIu64 ", \"restocked\": %" PRIu64
                ", \"expired\": %" PRIu64 ", \"cancelled\": %" PRIu64,
                k ? "," : "", i->item, i->total, fg_item_available(i), i->reserved, i->sold,
                i->refunded, ends[k].late, ends[k].restocked, ends[k].expired, ends[k].cancelled);
        if (i->line)
            fprintf(out,
                    ", \"line\": {\"tickets\": %" PRIu64 ", \"gaps\": %" PRIu64
                    ", \"waiting\": %" PRIu64 ", \"offered\": %" PRIu64 ", \"left\": %" PRIu64 "}",
                    i->line->tickets, i->line->gaps, i->line->waiting, i->line->offered,
                    i->line->left);
        if (i->lease.times || i->giving.times)
            fprintf(out,
                    ", \"added\": %" PRId64 ", \"leased\": %" PRIu64 ", \"leases\": %" PRIu64
                    ", \"returned\": %" PRIu64 ", \"returns\": %" PRIu64,
                    fg_item_added(i), i->lease.units, i->lease.times, i->giving.units,
                    i->giving.times);
        fputc('}', out);
    }
    free(ends);
    fputs("],\n", out);
}

static void log_part(const struct fg_report *r, FILE *out)
{
    const struct fg_story *s = r->story;

    fputs("  \"log\": {\"dir\": ", out);
    fg_report_string(out, r->log->dir);
    fprintf(out,
            ", \"appliance\": \"%016" PRIx64 "\", \"segments\": %zu, \"first_seq\": %" PRIu64
            ", \"begin_snapshot\": %" PRIu64 ", \"snapshots\": %" PRIu64 ", \"last_seq\": %" PRIu64
            ", \"commits\": %" PRIu64 ", \"records\": %" PRIu64 ", \"torn_records\": %" PRIu64
            ", \"orders\": %u",
            r->log->appliance, r->log->count, r->log->first_seq, s->begin_seq, r->snapshots, s->seq,
            s->commits, s->records, r->log->torn, s->tables.order_count);
    for (int k = FG_STATE_ABSENT + 1; k < FG_STATE_COUNT; k++)
        fprintf(out, ", \"%s\": %" PRIu64, fg_state_name((unsigned)k), s->states[k]);
    fputs("},\n", out);
}

static void redis_part(const struct fg_redis_audit *a, FILE *out)
{
    if (!a) {
        fputs("  \"redis\": null,\n", out);
        return;
    }
    fputs("  \"redis\": {\"address\": ", out);
    fg_report_string(out, a->address);
    fputs(", \"prefix\": ", out);
    fg_report_string(out, a->prefix);
    fprintf(out,
            ", \"cursor\": %" PRIu64 ", \"behind\": %" PRIu64 ", \"items\": %" PRIu64
            ", \"orders\": %" PRIu64 ", \"events\": %" PRIu64 "},\n",
            a->cursor, a->behind, a->items, a->orders, a->events);
}

static void postgres_part(const struct fg_postgres_audit *a, FILE *out)
{
    if (!a) {
        fputs("  \"postgres\": null,\n", out);
        return;
    }
    fputs("  \"postgres\": {\"address\": ", out);
    fg_report_string(out, a->address);
    fputs(", \"schema\": ", out);
    fg_report_string(out, a->schema);
    fprintf(out,
            ", \"cursor\": %" PRIu64 ", \"behind\": %" PRIu64 ", \"filled_seq\": %" PRIu64
            ", \"items\": %" PRIu64 ", \"orders\": %" PRIu64 ", \"denied\": %" PRIu64 "},\n",
            a->cursor, a->behind, a->filled, a->items, a->orders, a->users);
}

static void peer_part(const struct fg_peer *p, FILE *out)
{
    if (!p) {
        fputs("  \"peer\": null,\n", out);
        return;
    }
    fputs("  \"peer\": {\"dir\": ", out);
    fg_report_string(out, p->dir);
    fprintf(out,
            ", \"first_seq\": %" PRIu64 ", \"last_seq\": %" PRIu64 ", \"epoch\": %" PRIu64
            ", \"from_seq\": %" PRIu64 ", \"same_seq\": %" PRIu64 "},\n",
            p->first_seq, p->last_seq, p->epoch, p->from_seq, p->same_seq);
}

static void client_part(const struct fg_client *c, FILE *out)
{
    static const char *const names[] = {[FG_PACKET_STATUS_NONE] = "NONE",
#define X(name, number, text) [number] = #name,
                                        FG_PACKET_STATUS_LIST(X)
#undef X
    };
    const char *comma = "";

    if (!c) {
        fputs("  \"client\": null,\n", out);
        return;
    }
    fprintf(out,
            "  \"client\": {\"files\": %u, \"orders\": %" PRIu64 ", \"acknowledged\": %" PRIu64
            ", \"rejected\": %" PRIu64 ", \"unanswered\": %" PRIu64 ", \"open\": %" PRIu64
            ", \"unnamed\": %" PRIu64 ", \"told\": {",
            c->files, c->orders, c->acknowledged, c->rejected, c->unanswered, c->open, c->unnamed);
    for (int k = 0; k < FG_PACKET_STATUS_COUNT; k++) {
        if (!c->told[k])
            continue;
        fprintf(out, "%s\"%s\": %" PRIu64, comma, names[k], c->told[k]);
        comma = ", ";
    }
    fputs("}},\n", out);
}

void fg_report_json(const struct fg_report *r, FILE *out)
{
    fprintf(out, "{\n  \"audit\": \"%s\",\n  \"oversold\": %" PRIu64 ",\n",
            fg_report_passed(r) ? "pass" : "fail", r->oversold);
    fg_report_problems_json(r->problems, out);
    items(&r->story->tables, out);
    log_part(r, out);
    redis_part(r->redis, out);
    postgres_part(r->postgres, out);
    peer_part(r->peer, out);
    client_part(r->client, out);
    fprintf(out, "  \"elapsed_ms\": %" PRIu64 "\n}\n", r->elapsed_ms);
}

/* ---- text ------------------------------------------------------------------------------------ */

void fg_report_problems_text(const struct fg_problems *p, FILE *out)
{
    for (int k = 0; k < FG_PROBLEM_COUNT; k++) {
        const struct fg_problem_kind *kind = &p->kinds[k];

        if (!kind->count)
            continue;
        fprintf(out, "%s: %" PRIu64 ": %s\n", fg_problem_name((enum fg_problem)k), kind->count,
                fg_problem_meaning((enum fg_problem)k));
        for (size_t i = 0; i < kind->kept; i++)
            fprintf(out, "  %s\n", kind->texts[i]);
        if (kind->count > kind->kept)
            fprintf(out, "  ... and %" PRIu64 " more\n", kind->count - kind->kept);
    }
}

static void text_units(const struct fg_tables *t, FILE *out)
{
    int64_t total = 0, reserved = 0, sold = 0, refunded = 0;

    for (uint32_t k = 0; k < t->item_count; k++) {
        total += t->items[k].total;
        reserved += t->items[k].reserved;
        sold += t->items[k].sold;
        refunded += t->items[k].refunded;
    }
    fprintf(out,
            "units    %u items, total %" PRId64 ", available %" PRId64 ", reserved %" PRId64
            ", sold %" PRId64 ", refunded %" PRId64 "\n",
            t->item_count, total, total - reserved - sold - refunded, reserved, sold, refunded);
}

void fg_report_text(const struct fg_report *r, FILE *out)
{
    const struct fg_story *s = r->story;

    fg_report_problems_text(r->problems, out);
    fprintf(out, "log      %s: %" PRIu64 " records in %zu segments, %u orders", r->log->dir, s->seq,
            r->log->count, s->tables.order_count);
    for (int k = FG_STATE_ABSENT + 1; k < FG_STATE_COUNT; k++)
        fprintf(out, ", %" PRIu64 " %s", s->states[k], fg_state_name((unsigned)k));
    fputc('\n', out);
    if (s->begin_seq)
        fprintf(out,
                "         begins with the snapshot of record %" PRIu64 ", audited from there\n",
                s->begin_seq);
    if (r->snapshots)
        fprintf(out, "         %" PRIu64 " snapshots compared\n", r->snapshots);
    if (r->log->torn)
        fprintf(out, "         torn tail: %" PRIu64 " records behind the end, never acknowledged\n",
                r->log->torn);
    text_units(&s->tables, out);
    if (r->redis)
        fprintf(out,
                "redis    %s: cursor %" PRIu64 " (%" PRIu64 " behind), %" PRIu64 " items, %" PRIu64
                " orders, %" PRIu64 " events\n",
                r->redis->address, r->redis->cursor, r->redis->behind, r->redis->items,
                r->redis->orders, r->redis->events);
    if (r->postgres)
        fprintf(out,
                "postgres %s schema %s: cursor %" PRIu64 " (%" PRIu64 " behind), %" PRIu64
                " items, %" PRIu64 " orders, %" PRIu64 " denied users\n",
                r->postgres->address, r->postgres->schema, r->postgres->cursor, r->postgres->behind,
                r->postgres->items, r->postgres->orders, r->postgres->users);
    if (r->peer)
        fprintf(out,
                "peer     %s: records %" PRIu64 " to %" PRIu64 ", epoch %" PRIu64
                "; the same from record %" PRIu64 " to %" PRIu64 " (the log ends with %" PRIu64
                ")\n",
                r->peer->dir, r->peer->first_seq, r->peer->last_seq, r->peer->epoch,
                r->peer->from_seq, r->peer->same_seq, r->peer->own_seq);
    if (r->client)
        fprintf(out,
                "clients  %u files: %" PRIu64 " orders, %" PRIu64 " acknowledged, %" PRIu64
                " rejected, %" PRIu64 " unanswered; %" PRIu64 " orders of the log are in no file\n",
                r->client->files, r->client->orders, r->client->acknowledged, r->client->rejected,
                r->client->unanswered, r->client->unnamed);
    fprintf(out, "oversold %" PRIu64 "\n", r->oversold);
    if (fg_report_passed(r))
        fprintf(out, "audit    PASS\n");
    else
        fprintf(out, "audit    FAIL: %" PRIu64 " problems\n", fg_problems_count(r->problems));
}
