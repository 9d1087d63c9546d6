/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "bench.h"

#define ITEMS  20
#define COMMIT 200   /* records of one commit */
#define HELD   20000 /* orders that are reserved at a time */
#define T0_MS  1700000000000

static struct fg_journal *journal;
static struct fg_journal_record pending[COMMIT];
static size_t count;

static void flush(void)
{
    if (count && !fg_journal_commit(journal, pending, count, T0_MS))
        die(fg_journal_error(journal));
    count = 0;
}

static void add(struct fg_journal_record r)
{
    r.time_ms = T0_MS;
    pending[count++] = r;
    if (count == COMMIT)
        flush();
}

static void define_items(void)
{
    for (uint64_t i = 1; i <= ITEMS; i++) {
        struct fg_journal_record set = {.type = FG_JOURNAL_RECORD_ITEM_SET, .item = i},
                                 stock = {.type = FG_JOURNAL_RECORD_STOCK, .item = i};

        set.hold_ms = 60000;
        set.order_max = 4;
        stock.arg = FG_JOURNAL_UNITS_MAX;
        add(set);
        add(stock);
    }
}

static struct fg_journal_record order(uint64_t number, unsigned type)
{
    uint64_t mixed = fg_mix64(number, 1);
    struct fg_journal_record r = {
        .type = (uint8_t)type, .quantity = (uint16_t)(1 + mixed % 3), .item = 1 + mixed % ITEMS};
    uint64_t id[2] = {mixed, number};

    memcpy(r.order_id, id, sizeof(r.order_id));
    r.user = fg_mix64(number, 2);
    if (type == FG_JOURNAL_RECORD_RESERVED)
        r.arg = T0_MS + 60000;
    return r;
}

/* Three of four are paid, the others are cancelled or expire. */
static void end_order(uint64_t number)
{
    static const unsigned types[] = {FG_JOURNAL_RECORD_SOLD, FG_JOURNAL_RECORD_SOLD,
                                     FG_JOURNAL_RECORD_SOLD, FG_JOURNAL_RECORD_CANCELLED,
                                     FG_JOURNAL_RECORD_SOLD, FG_JOURNAL_RECORD_SOLD,
                                     FG_JOURNAL_RECORD_SOLD, FG_JOURNAL_RECORD_EXPIRED};

    add(order(number, types[number % 8]));
}

void make_log(const char *dir, uint64_t orders)
{
    struct fg_journal_options options = {
        .dir = dir, .begin = true, .memory = true, .now_ms = T0_MS};
    struct fg_error err;

    journal = fg_journal_open(&options, &err);
    if (!journal)
        die(err.text);
    define_items();
    for (uint64_t i = 0; i < orders + HELD; i++) {
        if (i < orders)
            add(order(i, FG_JOURNAL_RECORD_RESERVED));
        if (i >= HELD)
            end_order(i - HELD);
    }
    flush();
    fg_journal_close(journal);
}

uint64_t each_record(const char *dir,
                     void (*write)(void *ctx, const struct fg_journal_record *records, size_t n),
                     void *ctx)
{
    static struct fg_journal_record records[PLAIN_BATCH];
    struct fg_error err;
    struct fg_journal_reader *reader = fg_journal_reader_open(dir, 1, &err);
    uint64_t total = 0;
    ssize_t n;

    if (!reader)
        die(err.text);
    while ((n = fg_journal_read(reader, records, PLAIN_BATCH, UINT64_MAX, &err)) > 0) {
        size_t kept = 0;

        for (ssize_t i = 0; i < n; i++) {
            if (records[i].type != FG_JOURNAL_RECORD_BATCH)
                records[kept++] = records[i];
        }
        write(ctx, records, kept);
        total += kept;
    }
    if (n < 0)
        die(err.text);
    fg_journal_reader_close(reader);
    return total;
}
