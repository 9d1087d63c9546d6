/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>

#include "members.h"
#include "report.h"

/* ---- JSON ------------------------------------------------------------------------------------ */

static void member_json(const struct fg_members_units *u, unsigned m, FILE *out)
{
    fprintf(out,
            "%s\n      {\"member\": %u, \"added\": %" PRId64 ", \"leased\": %" PRIu64
            ", \"leases\": %" PRIu64 ", \"returned\": %" PRIu64 ", \"returns\": %" PRIu64
            ", \"available\": %" PRId64 ", \"reserved\": %" PRId64 ", \"sold\": %" PRId64
            ", \"refunded\": %" PRId64 ", \"leasing\": %" PRIu64 ", \"returning\": %" PRIu64
            ", \"settled\": %" PRIu64 "}",
            m ? "," : "", m, u->added, u->leased, u->leases, u->returned, u->returns, u->available,
            u->reserved, u->sold, u->refunded, u->leasing, u->returning, u->settled);
}

static void items_json(const struct fg_members *f, FILE *out)
{
    fputs("  \"items\": [", out);
    for (size_t i = 0; i < f->item_count; i++) {
        fprintf(out, "%s\n    {\"item\": \"%" PRIu64 "\", \"pool\": ", i ? "," : "",
                f->items[i].item);
        if (f->items[i].pool)
            fprintf(out, "%" PRIu64, f->items[i].pool->free);
        else
            fputs("null", out);
        fputs(", \"members\": [", out);
        for (unsigned m = 0; m < f->count; m++)
            member_json(&f->items[i].units[m], m, out);
        fputs("]}", out);
    }
    fputs("],\n", out);
}

static void fleet_json(const struct fg_members *f, FILE *out)
{
    const char *comma = "";

    fprintf(out,
            "  \"fleet\": {\"members\": %u, \"shards\": %u, \"version\": %" PRIu64
            ", \"frozen\": %s, \"pools\": %s, \"retired\": [",
            f->count, f->pools.shards, f->pools.version, f->pools.frozen ? "true" : "false",
            f->has_pools ? "true" : "false");
    for (unsigned m = 0; m < f->count; m++) {
        if (!(f->pools.retired & 1u << m))
            continue;
        fprintf(out, "%s%u", comma, m);
        comma = ", ";
    }
    fputs("]},\n  \"logs\": [", out);
    for (unsigned m = 0; m < f->count; m++) {
        const struct fg_members_one *one = &f->member[m];

        fprintf(out, "%s\n    ", m ? "," : "");
        if (one->lost) {
            fputs("null", out);
            continue;
        }
        fputs("{\"dir\": ", out);
        fg_report_string(out, one->dir);
        fprintf(out,
                ", \"appliance\": \"%016" PRIx64 "\", \"last_seq\": %" PRIu64
                ", \"records\": %" PRIu64 ", \"torn_records\": %" PRIu64 ", \"orders\": %u}",
                one->log.appliance, one->story.seq, one->story.records, one->log.torn,
                one->story.tables.order_count);
    }
    fputs("],\n", out);
}

void fg_members_json(const struct fg_members *f, uint64_t elapsed_ms, FILE *out)
{
    fprintf(out, "{\n  \"audit\": \"%s\",\n  \"oversold\": %" PRIu64 ",\n",
            fg_problems_count(&f->problems) ? "fail" : "pass", f->oversold);
    fg_report_problems_json(&f->problems, out);
    items_json(f, out);
    fleet_json(f, out);
    fprintf(out, "  \"elapsed_ms\": %" PRIu64 "\n}\n", elapsed_ms);
}

/* ---- text ------------------------------------------------------------------------------------ */

static void pending_text(const struct fg_members_units *u, unsigned m, FILE *out)
{
    if (u->leasing && !u->settled)
        fprintf(out, "         member %u leased %" PRIu64 " units, LEASE is not in its log yet\n",
                m, u->leasing);
    if (u->returning)
        fprintf(out, "         member %u returned %" PRIu64 " units that the pool has not yet\n", m,
                u->returning);
    if (u->settled)
        fprintf(out, "         member %u was retired: %" PRIu64 " of its units are free again\n", m,
                u->settled);
}

static void item_text(const struct fg_members *f, const struct fg_members_item *e, FILE *out)
{
    struct fg_members_units sum = {0};

    for (unsigned m = 0; m < f->count; m++) {
        sum.added += e->units[m].added;
        sum.available += e->units[m].available;
        sum.reserved += e->units[m].reserved;
        sum.sold += e->units[m].sold;
        sum.refunded += e->units[m].refunded;
    }
    fprintf(out, "item     %" PRIu64 ": added %" PRId64 ", ", e->item, sum.added);
    if (e->pool)
        fprintf(out, "in the pool %" PRIu64 ", ", e->pool->free);
    fprintf(out,
            "available at members %" PRId64 ", reserved %" PRId64 ", sold %" PRId64
            ", refunded %" PRId64 "\n",
            sum.available, sum.reserved, sum.sold, sum.refunded);
    for (unsigned m = 0; m < f->count; m++)
        pending_text(&e->units[m], m, out);
}

void fg_members_text(const struct fg_members *f, FILE *out)
{
    fg_report_problems_text(&f->problems, out);
    for (unsigned m = 0; m < f->count; m++) {
        const struct fg_members_one *one = &f->member[m];

        if (one->lost)
            fprintf(out, "member   %u: its log is lost; what it held counts as sold\n", m);
        else
            fprintf(out,
                    "member   %u: %s: %" PRIu64 " records, %u orders, %" PRIu64
                    " snapshots compared\n",
                    m, one->dir, one->story.seq, one->story.tables.order_count, one->snapshots);
        if (!one->lost && one->log.torn)
            fprintf(out, "         torn tail: %" PRIu64 " records, never acknowledged\n",
                    one->log.torn);
    }
    fprintf(out, "map      version %" PRIu64 ", %u shards%s%s\n", f->pools.version, f->pools.shards,
            f->pools.frozen ? ", frozen" : "",
            f->has_pools ? "" : "; no pools were given, so only the logs were compared");
    for (size_t i = 0; i < f->item_count; i++)
        item_text(f, &f->items[i], out);
    fprintf(out, "oversold %" PRIu64 "\n", f->oversold);
    if (fg_problems_count(&f->problems) == 0)
        fprintf(out, "audit    PASS\n");
    else
        fprintf(out, "audit    FAIL: %" PRIu64 " problems\n", fg_problems_count(&f->problems));
}
