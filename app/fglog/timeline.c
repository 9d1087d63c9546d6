/* SPDX-License-Identifier: BSD-3-Clause */
/* Replays the log record by record, and watches the units of the item that each is about. */
#include "timeline.h"

#include <inttypes.h>

#include "base/text.h"
#include "journal/journal.h"
#include "ledger/snapshot.h"

#define READ_RECORDS 4096

/* By the ledger's index of the item. */
struct sold_out {
    uint64_t since_ms; /* 0 = it has units, or had none yet */
    uint64_t ms, times;
};

struct timeline {
    struct fg_ledger *ledger;
    bool json;
    uint64_t second, last_ms;     /* of the record that was read last */
    uint64_t held, sold, expired; /* units, in that second */
    uint64_t joined, left;        /* of waiting lists: orders, in that second */
    struct sold_out *items;
    uint32_t count;
};

static void print_second(struct timeline *t)
{
    char text[FG_TEXT_TIME_SIZE];

    if (!(t->held | t->sold | t->expired | t->joined | t->left))
        return;
    fg_text_time(text, t->second * 1000);
    printf(t->json ? "{\"second\":\"%s\",\"held\":%" PRIu64 ",\"sold\":%" PRIu64
                     ",\"expired\":%" PRIu64
                   : "%s held=%" PRIu64 " sold=%" PRIu64 " expired=%" PRIu64,
           text, t->held, t->sold, t->expired);
    if (t->joined | t->left)
        printf(t->json ? ",\"joined\":%" PRIu64 ",\"left\":%" PRIu64
                       : " joined=%" PRIu64 " left=%" PRIu64,
               t->joined, t->left);
    puts(t->json ? "}" : "");
    t->held = t->sold = t->expired = t->joined = t->left = 0;
}

static struct sold_out *place_of(struct timeline *t, uint32_t index)
{
    if (index >= t->count) {
        uint32_t count = 2 * index + 64;
        struct sold_out *grown = realloc(t->items, count * sizeof(*grown));

        if (!grown)
            return NULL;
        memset(grown + t->count, 0, (count - t->count) * sizeof(*grown));
        t->items = grown;
        t->count = count;
    }
    return &t->items[index];
}

/* An item that is closed is no longer sold out. */
static void end_sold_out(struct sold_out *s, const struct fg_ledger_item *item, uint64_t now_ms)
{
    uint64_t end_ms = item->closes_ms && item->closes_ms < now_ms ? item->closes_ms : now_ms;

    if (s->since_ms && end_ms > s->since_ms)
        s->ms += end_ms - s->since_ms;
    s->since_ms = 0;
}

/* While anyone waits, units that come back are kept for them. */
static bool has_units(const struct fg_ledger_item *item)
{
    return item->available && !item->waiting;
}

static bool watch(struct timeline *t, const struct fg_journal_record *r,
                  const struct fg_ledger_item *before, const struct fg_ledger_item *after)
{
    struct sold_out *s = place_of(t, after->index);

    if (!s)
        return false;
    t->held += after->reserved > before->reserved ? after->reserved - before->reserved : 0;
    t->sold += after->sold > before->sold ? after->sold - before->sold : 0;
    if (r->type == FG_JOURNAL_RECORD_EXPIRED)
        t->expired += before->reserved - after->reserved;
    t->joined += r->type == FG_JOURNAL_RECORD_WAITING;
    t->left += r->type == FG_JOURNAL_RECORD_LEFT;
    if (has_units(after)) {
        end_sold_out(s, after, r->time_ms);
    } else if (has_units(before)) {
        s->since_ms = r->time_ms;
        s->times++;
    }
    return true;
}

static bool take(struct timeline *t, const struct fg_journal_record *r, struct fg_error *err)
{
    const struct fg_ledger_item *item = fg_ledger_item(t->ledger, r->item);
    struct fg_ledger_item before = {0};

    if (r->time_ms / 1000 != t->second) {
        print_second(t);
        t->second = r->time_ms / 1000;
    }
    t->last_ms = r->time_ms;
    if (item)
        before = *item;
    if (!fg_ledger_apply(t->ledger, r, err))
        return false;
    item = fg_ledger_item(t->ledger, r->item);
    return !item || watch(t, r, &before, item) || fg_fail(err, "out of memory");
}

static bool read_all(struct timeline *t, const char *dir, struct fg_error *err)
{
    static struct fg_journal_record records[READ_RECORDS];
    struct fg_journal_reader *reader =
        fg_journal_reader_open(dir, fg_ledger_seq(t->ledger) + 1, err);
    ssize_t n = reader ? 1 : -1;

    while (n > 0) {
        /* no limit: the end of the log is no error here */
        n = fg_journal_read(reader, records, READ_RECORDS, UINT64_MAX, err);
        for (ssize_t i = 0; i < n; i++)
            if (!take(t, &records[i], err)) {
                n = -1;
                break;
            }
    }
    fg_journal_reader_close(reader);
    print_second(t);
    return n == 0;
}

static void print_items(struct timeline *t)
{
    for (uint32_t i = 0; i < fg_ledger_items(t->ledger); i++) {
        const struct fg_ledger_item *item = fg_ledger_item_at(t->ledger, i);
        struct sold_out *s = place_of(t, i);
        bool still = s && s->since_ms;

        if (!s)
            return;
        end_sold_out(s, item, t->last_ms);
        if (t->json)
            printf("{\"item\":\"%" PRIu64 "\",\"sold_out_ms\":%" PRIu64 ",\"times\":%" PRIu64
                   ",\"still\":%s}\n",
                   item->item, s->ms, s->times, still ? "true" : "false");
        else
            printf("item %" PRIu64 ": sold out for %" PRIu64 ".%03u s, %" PRIu64 " times%s\n",
                   item->item, s->ms / 1000, (unsigned)(s->ms % 1000), s->times,
                   still ? ", also at the end" : "");
    }
}

/* A log whose first segments are gone begins with its newest snapshot. */
static bool begin(struct timeline *t, const char *dir, struct fg_error *err)
{
    struct fg_ledger_snapshot_info from;
    uint64_t first = fg_journal_first_seq(dir, err);

    if (first <= 1)
        return first == 1;
    if (!fg_ledger_snapshot_load(t->ledger, dir, &from, err))
        return false;
    fprintf(stderr,
            "fglog: the log begins at record %" PRIu64 "; the timeline, with the snapshot of "
            "record %" PRIu64 "\n",
            first, from.seq);
    return true;
}

bool fg_timeline_print(const char *dir, bool json, struct fg_error *err)
{
    struct timeline t = {.ledger = fg_ledger_create(), .json = json};
    bool done =
        t.ledger ? begin(&t, dir, err) && read_all(&t, dir, err) : fg_fail(err, "out of memory");

    if (done)
        print_items(&t);
    free(t.items);
    fg_ledger_destroy(t.ledger);
    return done;
}
