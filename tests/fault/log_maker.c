/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes a log of any content, legal or not, with lib/journal: the auditor's tests damage stories
 * with it.
 *
 *   log_maker LOG_DIR [SEGMENT_BYTES] < LINES
 *
 *   item ITEM USER_LIMIT ORDER_MAX TIME_MS [OPENS_MS]
 *   epoch N                                       a new leader of a pair begins it
 *   stock ITEM UNITS                              units may be negative
 *   lease|return ITEM UNITS TIMES SUM             of a fleet
 *   line ITEM LENGTH CLAIM_MS TTL_MS FLAGS        settings of its waiting list
 *   STATE ITEM USER ORDERHEX QUANTITY TIME_MS ARG ARG: deadline, ticket, why
 *   user USER DENIED TIME_MS                      DENIED: 1, 0 or what must not be
 *   type NUMBER                                   a record of that type
 *   many N ITEM QUANTITY                          N orders reserved and sold
 *   commit                                        makes the lines since the last one durable
 *   snapshot                                      of all so far; segments that it holds go
 */
#include <inttypes.h>
#include <string.h>

#include "journal/journal.h"
#include "ledger/snapshot.h"

#define RECORDS_MAX 4096

static struct fg_journal *journal;
static const char *dir;
static struct fg_journal_record records[RECORDS_MAX];
static size_t count;

static __attribute__((noreturn)) void die(const char *what)
{
    fprintf(stderr, "log_maker: %s\n", what);
    exit(1);
}

static struct fg_journal_record *add(unsigned type, uint64_t item)
{
    if (count == RECORDS_MAX)
        die("too many records in one commit");
    records[count] =
        (struct fg_journal_record){.type = (uint8_t)type, .item = item, .time_ms = 1000};
    return &records[count++];
}

static void commit(void)
{
    if (count && !fg_journal_commit(journal, records, count, 1000))
        die(fg_journal_error(journal));
    count = 0;
}

static unsigned type_of(const char *name)
{
    for (unsigned type = 1; type < 256; type++) {
        if (!strcmp(fg_journal_record_name(type), name))
            return type;
    }
    die(name);
}

static bool take_item(const char *line)
{
    uint64_t item, time_ms, opens_ms = 0;
    uint32_t limit;
    uint16_t most;
    struct fg_journal_record *r;

    if (sscanf(line, "item %" SCNu64 " %" SCNu32 " %" SCNu16 " %" SCNu64 " %" SCNu64, &item, &limit,
               &most, &time_ms, &opens_ms) < 4)
        return false;
    r = add(FG_JOURNAL_RECORD_ITEM_SET, item);
    r->user_limit = limit;
    r->order_max = most;
    r->time_ms = time_ms;
    r->opens_ms = opens_ms;
    return true;
}

static bool take_line(const char *line)
{
    uint64_t item;
    uint32_t length, claim_ms, ttl_ms, flags;
    struct fg_journal_record *r;

    if (sscanf(line, "line %" SCNu64 " %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32, &item,
               &length, &claim_ms, &ttl_ms, &flags) != 5)
        return false;
    r = add(FG_JOURNAL_RECORD_LINE_SET, item);
    r->line_max = length;
    r->claim_ms = claim_ms;
    r->wait_ttl_ms = ttl_ms;
    r->line_flags = flags;
    return true;
}

static bool take_fleet(const char *line)
{
    char name[16];
    uint64_t item, units, times, sum;
    struct fg_journal_record *r;

    if (sscanf(line, "%15s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, name, &item, &units,
               &times, &sum) != 5 ||
        (strcmp(name, "lease") != 0 && strcmp(name, "return") != 0))
        return false;
    r = add(type_of(name), item);
    r->fleet_units = units;
    r->fleet_times = times;
    r->fleet_sum = sum;
    return true;
}

static bool take_order(const char *line)
{
    char name[16], hex[33];
    uint64_t item, user, time_ms, deadline_ms;
    uint16_t quantity;
    struct fg_journal_record *r;

    if (sscanf(line, "%15s %" SCNu64 " %" SCNu64 " %32s %" SCNu16 " %" SCNu64 " %" SCNu64, name,
               &item, &user, hex, &quantity, &time_ms, &deadline_ms) != 7)
        return false;
    r = add(type_of(name), item);
    for (int i = 0; i < 16; i++)
        sscanf(hex + 2 * i, "%2hhx", &r->order_id[i]);
    r->user = user;
    r->quantity = quantity;
    r->time_ms = time_ms;
    r->arg = deadline_ms;
    return true;
}

static bool take_user(const char *line)
{
    uint64_t user, denied, time_ms;
    struct fg_journal_record *r;

    if (sscanf(line, "user %" SCNu64 " %" SCNu64 " %" SCNu64, &user, &denied, &time_ms) != 3)
        return false;
    r = add(FG_JOURNAL_RECORD_USER, 0);
    r->user = user;
    r->arg = denied;
    r->time_ms = time_ms;
    return true;
}

static void many(uint64_t n, uint64_t item, uint16_t quantity)
{
    commit();
    for (uint64_t i = 0; i < n; i++) {
        for (unsigned type = FG_JOURNAL_RECORD_RESERVED; type <= FG_JOURNAL_RECORD_SOLD; type++) {
            struct fg_journal_record *r = add(type, item);

            memcpy(r->order_id, &i, sizeof(i));
            r->user = fg_mix64(i, 7);
            r->quantity = quantity;
            r->arg = 5000;
        }
        if (count >= 2000)
            commit();
    }
    commit();
}

static void epoch(uint64_t epoch)
{
    static const uint8_t nonce[16] = {1};

    commit();
    if (!fg_journal_begin_epoch(journal, epoch, 7, nonce, 1000))
        die(fg_journal_error(journal));
}

static void snapshot(void)
{
    struct fg_ledger *ledger = fg_ledger_create();
    struct fg_error err;

    commit();
    if (!ledger || !fg_ledger_replay(ledger, dir, UINT64_MAX, &err) ||
        !fg_ledger_snapshot_write(ledger, dir, fg_journal_appliance(journal), 1000, &err) ||
        fg_journal_retire(dir, fg_ledger_seq(ledger), 0, &err) < 0)
        die(ledger ? err.text : "out of memory");
    fg_ledger_destroy(ledger);
}

static void take(const char *line)
{
    uint64_t item, n;
    int64_t units;
    unsigned number;

    if (!strcmp(line, "commit"))
        commit();
    else if (!strcmp(line, "snapshot"))
        snapshot();
    else if (sscanf(line, "stock %" SCNu64 " %" SCNd64, &item, &units) == 2)
        add(FG_JOURNAL_RECORD_STOCK, item)->arg = (uint64_t)units;
    else if (sscanf(line, "epoch %" SCNu64, &n) == 1)
        epoch(n);
    else if (sscanf(line, "type %u", &number) == 1)
        add(number, 1);
    else if (sscanf(line, "many %" SCNu64 " %" SCNu64 " %u", &n, &item, &number) == 3)
        many(n, item, (uint16_t)number);
    else if (!take_item(line) && !take_line(line) && !take_user(line) && !take_fleet(line) &&
             !take_order(line))
        die(line);
}

int main(int argc, char **argv)
{
    struct fg_journal_options options = {.now_ms = 1000};
    char line[512];
    struct fg_error err;

    if (argc < 2 || argc > 3)
        die("usage: log_maker LOG_DIR [SEGMENT_BYTES] < LINES");
    options.dir = dir = argv[1];
    options.segment_bytes = argc > 2 ? strtoull(argv[2], NULL, 10) : FG_JOURNAL_SEGMENT_BYTES_MIN;
    options.begin = !fg_journal_found(options.dir);
    journal = fg_journal_open(&options, &err);
    if (!journal)
        die(err.text);
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        take(line);
    }
    commit();
    fg_journal_close(journal);
    return 0;
}
