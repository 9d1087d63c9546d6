/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A log that grows by random legal decisions, and sinks of any kind that follow it, driven by
 * tests/harness/fgsink.py over standard input; one line a command, one line of JSON an answer.
 *
 *   sink_driver LOG_DIR SEED
 *   items N UNITS                 defines items 1..N
 *   load COMMITS RECORDS          commits of 1..RECORDS random records each
 *   fleet MEMBER MEMBERS          sinks that start from now on are of that member
 *   start SLOT ADDRESS PREFIX BATCH TIMEOUT_MS RETRY_MS STREAM_MAX DATABASE USER PASSWORD   "-" =
 * empty and with TLS, in the same line: CA CERT KEY SERVER_NAME kafka SLOT BROKERS TOPIC BATCH
 * TIMEOUT_MS RETRY_MS PROPERTIES_FILE snapshot                      writes one, and retires the
 * segments that it has passed postgres SLOT BATCH TIMEOUT_MS RETRY_MS SCHEMA PASSWORD CONNINFO   a
 * sink of PostgreSQL status SLOT stop SLOT DRAIN_MS extremes                      a commit of the
 * largest numbers that there are ledger PATH                   writes the ledger's state and the
 * log's events as JSON quit
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "journal/journal.h"
#include "ledger/snapshot.h"
#include "sink/sink.h"

#define SLOTS       4
#define ITEMS_MAX   64
#define LIVE_MAX    200000
#define LATER_MAX   4096
#define WAITING_MAX 4096
#define RECORDS_MAX 2000

struct live { /* an order that is reserved and durable */
    uint8_t order_id[16];
    uint64_t user, item, deadline_ms;
    uint16_t quantity;
    bool sold;
};

static struct fg_journal *journal;
static struct fg_ledger *ledger;
static const char *log_dir;
static _Atomic uint64_t durable_seq;
static struct fg_sink *sinks[SLOTS];
static uint64_t random_state, next_order = 1;
static unsigned item_count;
static unsigned fleet_member, fleet_members; /* of the sinks */
static struct live *live;
static struct live later[LATER_MAX]; /* sold or expired: what may follow is still open */
static size_t later_count;
static size_t live_count;
static struct live waiting[WAITING_MAX]; /* of the last item: those who wait, by ticket */
static size_t waiting_count;
static uint64_t tickets;
static uint64_t moved_units[2][ITEMS_MAX + 1], moved_times[2][ITEMS_MAX + 1]; /* of a fleet */

static uint64_t random_below(uint64_t n)
{
    random_state = fg_mix64(random_state, 0x9e6c63d0876a9a47ull);
    return random_state % n;
}

static uint64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint64_t monotonic_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static __attribute__((noreturn)) void die(const char *what)
{
    fprintf(stderr, "sink_driver: %s\n", what);
    exit(1);
}

/* ---- the log --------------------------------------------------------------------------------- */

static void commit(struct fg_journal_record *records, size_t n)
{
    struct fg_error err;

    if (!fg_journal_commit(journal, records, n, now_ms()))
        die(fg_journal_error(journal));
    if (!fg_ledger_replay(ledger, log_dir, UINT64_MAX, &err))
        die(err.text);
    atomic_store_explicit(&durable_seq, fg_journal_last_seq(journal), memory_order_release);
}

static struct fg_journal_record record(unsigned type, uint64_t item)
{
    return (struct fg_journal_record){.time_ms = now_ms(), .type = (uint8_t)type, .item = item};
}

static struct fg_journal_record line_set(uint64_t item)
{
    struct fg_journal_record r = record(FG_JOURNAL_RECORD_LINE_SET, item);

    r.line_max = WAITING_MAX;
    r.claim_ms = 1 + (uint32_t)random_below(120000);
    r.wait_ttl_ms = 30000;
    r.line_flags = (uint32_t)random_below(2);
    return r;
}

static struct fg_journal_record item_set(uint64_t item)
{
    struct fg_journal_record r = record(FG_JOURNAL_RECORD_ITEM_SET, item);

    r.hold_ms = 60000;
    r.order_max = 4;
    r.closes_ms = now_ms() + random_below(3600000);
    r.flags = (uint16_t)random_below(2);
    return r;
}

static void define_items(unsigned n, uint64_t units)
{
    if (n > ITEMS_MAX)
        die("too many items");
    for (unsigned i = 1; i <= n; i++) {
        struct fg_journal_record r[4] = {item_set(i), record(FG_JOURNAL_RECORD_ITEM_NAME, i),
                                         record(FG_JOURNAL_RECORD_STOCK, i), line_set(i)};

        snprintf((char *)r[1].name, sizeof(r[1].name), "item \"%u\" \xc3\xa4", i);
        r[2].arg = i == n ? units / 50 : units;
        commit(r, i == n ? 4 : 3);
    }
    item_count = n;
}

static struct fg_journal_record stock(uint64_t item)
{
    struct fg_journal_record r = record(FG_JOURNAL_RECORD_STOCK, item);

    r.arg = 1 + random_below(50);
    return r;
}

/* Of a fleet: a lease, or a return of units that were free before this commit. */
static struct fg_journal_record fleet_step(int64_t *free_units)
{
    uint64_t item = 1 + random_below(item_count);
    bool back = random_below(2) && free_units[item] > 0 && item != item_count;
    struct fg_journal_record r =
        record(back ? FG_JOURNAL_RECORD_RETURN : FG_JOURNAL_RECORD_LEASE, item);

    r.fleet_units =
        1 + random_below(back && free_units[item] < 30 ? (uint64_t)free_units[item] : 30);
    r.fleet_sum = moved_units[back][item] += r.fleet_units;
    r.fleet_times = ++moved_times[back][item];
    if (back)
        free_units[item] -= (int64_t)r.fleet_units;
    return r;
}

static struct fg_journal_record new_order(int64_t *free_units)
{
    uint64_t item = 1 + random_below(item_count);
    struct fg_journal_record r = record(FG_JOURNAL_RECORD_RESERVED, item);
    bool lined = item == item_count;

    r.quantity = (uint16_t)(1 + random_below(4));
    if (free_units[item] < r.quantity || (lined && waiting_count)) {
        if (!lined || waiting_count == WAITING_MAX || random_below(8) == 0)
            return stock(item); /* sold out: more comes instead */
        r.type = FG_JOURNAL_RECORD_WAITING;
    } else {
        free_units[item] -= r.quantity;
    }
    memcpy(r.order_id, &next_order, sizeof(next_order));
    memcpy(r.order_id + 8, &random_state, sizeof(random_state));
    next_order++;
    r.user = random_below(1000);
    r.arg = r.time_ms; /* may expire at once */
    if (r.type == FG_JOURNAL_RECORD_WAITING) {
        waiting[waiting_count++] =
            (struct live){.user = r.user, .item = item, .quantity = r.quantity};
        memcpy(waiting[waiting_count - 1].order_id, r.order_id, sizeof(r.order_id));
        r.arg = ++tickets;
    }
    return r;
}

static struct fg_journal_record order_step(unsigned type, const struct live *l)
{
    struct fg_journal_record r = record(type, l->item);

    memcpy(r.order_id, l->order_id, sizeof(r.order_id));
    r.user = l->user;
    r.quantity = l->quantity;
    return r;
}

static struct fg_journal_record end_order(void)
{
    static const unsigned types[] = {FG_JOURNAL_RECORD_SOLD, FG_JOURNAL_RECORD_SOLD,
                                     FG_JOURNAL_RECORD_CANCELLED, FG_JOURNAL_RECORD_EXPIRED};
    size_t at = random_below(live_count);
    struct live l = live[at];
    struct fg_journal_record r = order_step(types[random_below(4)], &l);

    live[at] = live[--live_count];
    if (r.type == FG_JOURNAL_RECORD_EXPIRED && r.time_ms < l.deadline_ms) /* extended */
        r.type = FG_JOURNAL_RECORD_CANCELLED;
    l.sold = r.type == FG_JOURNAL_RECORD_SOLD;
    if (r.type != FG_JOURNAL_RECORD_CANCELLED && later_count < LATER_MAX)
        later[later_count++] = l;
    return r;
}

/* The head of the line is offered its units, or leaves; now and then another one leaves. */
static struct fg_journal_record line_step(int64_t *free_units)
{
    size_t at = random_below(6) ? 0 : random_below(waiting_count);
    struct live l = waiting[at];
    struct fg_journal_record r = order_step(FG_JOURNAL_RECORD_LEFT, &l);

    if (at > 0)
        r.arg = FG_JOURNAL_LEFT_CANCELLED;
    else if (random_below(5) == 0)
        r.arg = FG_JOURNAL_LEFT_ABSENT + random_below(4);
    else if (free_units[l.item] < l.quantity)
        return stock(l.item);
    else {
        r.type = FG_JOURNAL_RECORD_OFFERED;
        r.arg = r.time_ms + random_below(50);
        free_units[l.item] -= l.quantity;
    }
    memmove(&waiting[at], &waiting[at + 1], (--waiting_count - at) * sizeof(waiting[0]));
    return r;
}

/* A refund; or an expired order is paid late, if units were free before this commit, or closed. */
static struct fg_journal_record later_step(int64_t *free_units)
{
    size_t at = random_below(later_count);
    struct live l = later[at];
    struct fg_journal_record r = order_step(FG_JOURNAL_RECORD_REFUNDED, &l);

    later[at] = later[--later_count];
    if (l.sold) {
        r.arg = random_below(2);
        return r;
    }
    if (free_units[l.item] < l.quantity || (l.item == item_count && waiting_count) ||
        random_below(2)) {
        r.type = FG_JOURNAL_RECORD_CLOSED;
        return r;
    }
    r.type = FG_JOURNAL_RECORD_SOLD_LATE;
    free_units[l.item] -= l.quantity;
    l.sold = true;
    later[later_count++] = l;
    return r;
}

static struct fg_journal_record extend_order(void)
{
    struct live *l = &live[random_below(live_count)];
    struct fg_journal_record r = order_step(FG_JOURNAL_RECORD_EXTENDED, l);

    l->deadline_ms += 1 + random_below(200);
    r.arg = l->deadline_ms;
    return r;
}

/* Users who never order: what the operator wants of them must not make orders illegal. */
static struct fg_journal_record user_set(void)
{
    struct fg_journal_record r = record(FG_JOURNAL_RECORD_USER, 0);

    r.user = 1000 + random_below(50);
    r.arg = random_below(3) != 0;
    return r;
}

static void remember(const struct fg_journal_record *r)
{
    struct live l = {
        .user = r->user, .item = r->item, .deadline_ms = r->arg, .quantity = r->quantity};

    if ((r->type != FG_JOURNAL_RECORD_RESERVED && r->type != FG_JOURNAL_RECORD_OFFERED) ||
        live_count == LIVE_MAX)
        return;
    memcpy(l.order_id, r->order_id, sizeof(l.order_id));
    live[live_count++] = l;
}

/* One commit, legal as a commit of the appliance is: what is released in it is not sold again in
 * it. */
static void random_commit(size_t records_max)
{
    struct fg_journal_record records[RECORDS_MAX];
    int64_t free_units[ITEMS_MAX + 1] = {0};
    size_t n = 1 + random_below(records_max);

    for (unsigned i = 1; i <= item_count; i++) {
        const struct fg_ledger_item *it = fg_ledger_item(ledger, i);

        free_units[i] = (int64_t)it->available;
        moved_units[0][i] = it->leased;
        moved_times[0][i] = it->leases;
        moved_units[1][i] = it->returned;
        moved_times[1][i] = it->returns;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t dice = random_below(100);

        if (dice < 2)
            records[i] = item_set(1 + random_below(item_count));
        else if (dice < 3)
            records[i] = line_set(item_count);
        else if (dice < 4)
            records[i] = fleet_step(free_units);
        else if (dice < 5)
            records[i] = user_set();
        else if (dice < 10 && live_count)
            records[i] = extend_order();
        else if (dice < 42 && live_count)
            records[i] = end_order();
        else if (dice < 46 && later_count)
            records[i] = later_step(free_units);
        else if (dice < 54 && waiting_count)
            records[i] = line_step(free_units);
        else
            records[i] = new_order(free_units);
    }
    commit(records, n);
    for (size_t i = 0; i < n; i++)
        remember(&records[i]);
}

/* Numbers that do not fit where a signed one would; they take part in nothing else. */
static void commit_extremes(void)
{
    static const uint64_t users[] = {UINT64_MAX, 1ull << 63, (1ull << 63) - 1, 0, 10000, 9999};
    struct fg_journal_record r[3 + 2 * 6 + 1] = {record(FG_JOURNAL_RECORD_ITEM_SET, UINT64_MAX),
                                                 record(FG_JOURNAL_RECORD_ITEM_NAME, UINT64_MAX),
                                                 record(FG_JOURNAL_RECORD_STOCK, UINT64_MAX)};
    size_t n = 3;

    r[0].hold_ms = UINT32_MAX;
    r[0].user_limit = UINT32_MAX;
    r[0].order_max = UINT16_MAX;
    r[0].closes_ms = UINT64_MAX;
    memcpy(r[1].name, "\xff\n\xc3\xa4\xed\xa0\x80!", 8);
    r[2].arg = FG_JOURNAL_UNITS_MAX;
    commit(r, n);
    n = 0;
    for (unsigned i = 0; i < 6; i++) {
        r[n] = record(FG_JOURNAL_RECORD_RESERVED, UINT64_MAX);
        r[n].user = users[i];
        memset(r[n].order_id, i ? 0 : 0xff, sizeof(r[n].order_id));
        r[n].quantity = UINT16_MAX;
        r[n++].arg = i % 2 ? UINT64_MAX : 1;
    }
    r[n] = record(FG_JOURNAL_RECORD_USER, 0);
    r[n].user = UINT64_MAX - 1;
    r[n++].arg = 1;
    commit(r, n);
}

/* ---- the ledger as JSON ---------------------------------------------------------------------- */

static void hex(FILE *out, const uint8_t id[16])
{
    for (int i = 0; i < 16; i++)
        fprintf(out, "%02x", id[i]);
}

static void write_items(FILE *out)
{
    fputs("\"items\": [", out);
    for (uint32_t i = 0; i < fg_ledger_items(ledger); i++) {
        const struct fg_ledger_item *it = fg_ledger_item_at(ledger, i);

        fprintf(out,
                "%s{\"item\": %" PRIu64 ", \"total\": %" PRIu64 ", \"available\": %" PRIu64
                ", \"reserved\": %" PRIu64 ", \"sold\": %" PRIu64 ", \"refunded\": %" PRIu64
                ", \"opens_ms\": %" PRIu64 ", \"closes_ms\": %" PRIu64
                ", \"hold_ms\": %u, \"user_limit\": %u, \"order_max\": %u, \"paused\": %u, "
                "\"line_max\": %u, \"claim_ms\": %u, \"wait_ttl_ms\": %u, \"one_unit\": %u, "
                "\"waiting\": %" PRIu64 ", \"leased\": %" PRIu64 ", \"returned\": %" PRIu64
                ", \"added\": %" PRId64 "}",
                i ? ",\n" : "", it->item, it->total, it->available, it->reserved, it->sold,
                it->refunded, it->opens_ms, it->closes_ms, it->hold_ms, it->user_limit,
                it->order_max, it->flags & FG_JOURNAL_ITEM_PAUSED, it->line_max, it->claim_ms,
                it->wait_ttl_ms, it->line_flags & FG_JOURNAL_LINE_ONE_UNIT, it->waiting, it->leased,
                it->returned, fg_ledger_item_stock(it));
    }
    fputs("],\n", out);
}

static void write_orders(FILE *out)
{
    fputs("\"orders\": [", out);
    for (uint64_t i = 0; i < fg_ledger_orders(ledger); i++) {
        const struct fg_ledger_order *o = fg_ledger_order_at(ledger, i);

        fprintf(out, "%s{\"order\": \"", i ? ",\n" : "");
        hex(out, o->order_id);
        fprintf(out,
                "\", \"user\": %" PRIu64 ", \"item\": %" PRIu64
                ", \"quantity\": %u, \"state\": \"%s\", \"late\": %u, "
                "\"deadline_ms\": %" PRIu64 ", \"changed_ms\": %" PRIu64 "}",
                o->user, o->item, o->quantity, fg_ledger_order_state_name(o->state), o->late,
                o->state == FG_LEDGER_ORDER_WAITING ? 0 : o->deadline_ms, o->changed_ms);
    }
    fputs("],\n", out);
}

static void write_denied(FILE *out)
{
    fputs("\"denied\": [", out);
    for (uint32_t i = 0; i < fg_ledger_denied_users(ledger); i++)
        fprintf(out, "%s%" PRIu64, i ? ", " : "", fg_ledger_denied_user(ledger, i));
    fputs("],\n", out);
}

static void write_events(FILE *out)
{
    struct fg_error err;
    struct fg_journal_reader *reader =
        fg_journal_reader_open(log_dir, fg_journal_first_seq(log_dir, &err), &err);
    struct fg_journal_record records[512];
    const char *comma = "";
    ssize_t n;

    if (!reader)
        die(err.text);
    fputs("\"events\": [", out);
    while ((n = fg_journal_read(reader, records, 512, UINT64_MAX, &err)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (records[i].type == FG_JOURNAL_RECORD_BATCH)
                continue;
            fprintf(out, "%s[%" PRIu64 ", \"%s\", %" PRIu64 "]", comma, records[i].seq,
                    fg_journal_record_name(records[i].type), records[i].item);
            comma = ",\n";
        }
    }
    fg_journal_reader_close(reader);
    if (n < 0)
        die(err.text);
    fputs("]\n", out);
}

static void write_ledger(const char *path)
{
    FILE *out = fopen(path, "we");

    if (!out)
        die(path);
    fprintf(out, "{\"seq\": %" PRIu64 ",\n", fg_ledger_seq(ledger));
    write_items(out);
    write_orders(out);
    write_denied(out);
    write_events(out);
    fputs("}\n", out);
    fclose(out);
}

static void snapshot(void)
{
    struct fg_error err;
    struct fg_journal_reader *reader = fg_journal_reader_open(log_dir, fg_ledger_seq(ledger), &err);

    if (!reader ||
        !fg_ledger_snapshot_write(ledger, log_dir, fg_journal_reader_appliance(reader), now_ms(),
                                  &err) ||
        fg_journal_retire(log_dir, fg_ledger_seq(ledger), 0, &err) < 0)
        die(err.text);
    fg_journal_reader_close(reader);
}

/* ---- sinks ----------------------------------------------------------------------------------- */

static bool start_sink(const char *arguments, struct fg_error *err)
{
    struct fg_redis_options o = {.address = ""};
    unsigned slot;
    char *texts[] = {o.user, o.password, o.tls_ca, o.tls_cert, o.tls_key, o.tls_server_name};
    int n = sscanf(
        arguments, "%u %255s %63s %u %u %u %" SCNu64 " %u %63s %127s %255s %255s %255s %255s",
        &slot, o.address, o.prefix, &o.batch_max, &o.timeout_ms, &o.retry_ms_max, &o.stream_max,
        &o.database, o.user, o.password, o.tls_ca, o.tls_cert, o.tls_key, o.tls_server_name);

    if ((n != 10 && n != 14) || slot >= SLOTS || sinks[slot])
        return fg_fail(err, "bad start: %s", arguments);
    o.tls = n == 14;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (!strcmp(texts[i], "-"))
            texts[i][0] = '\0';
    o.members = fleet_members;
    o.member = fleet_member;
    sinks[slot] = fg_sink_redis_start(&o, log_dir, &durable_seq, err);
    return sinks[slot];
}

static bool start_kafka(const char *arguments, struct fg_error *err)
{
    struct fg_sink_kafka_options o = {.brokers = ""};
    unsigned slot;
    int n = sscanf(arguments, "%u %255s %255s %u %u %u %511s", &slot, o.brokers, o.topic,
                   &o.batch_max, &o.timeout_ms, &o.retry_ms_max, o.properties_file);

    if (n != 7 || slot >= SLOTS || sinks[slot])
        return fg_fail(err, "bad kafka: %s", arguments);
    if (!strcmp(o.properties_file, "-"))
        o.properties_file[0] = '\0';
    o.members = fleet_members;
    o.member = fleet_member;
    sinks[slot] = fg_sink_kafka_start(&o, log_dir, &durable_seq, err);
    return sinks[slot];
}

static bool start_postgres(const char *arguments, struct fg_error *err)
{
    struct fg_sink_postgres_options o = {.conninfo = ""};
    unsigned slot;
    int n = sscanf(arguments, "%u %u %u %u %63s %127s %255[^\n]", &slot, &o.batch_max,
                   &o.timeout_ms, &o.retry_ms_max, o.schema, o.password, o.conninfo);

    if (n != 7 || slot >= SLOTS || sinks[slot])
        return fg_fail(err, "bad postgres: %s", arguments);
    if (!strcmp(o.password, "-"))
        o.password[0] = '\0';
    o.members = fleet_members;
    o.member = fleet_member;
    sinks[slot] = fg_sink_postgres_start(&o, log_dir, &durable_seq, err);
    return sinks[slot];
}

static void print_text(const char *text)
{
    for (; *text; text++)
        printf(*text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
}

static void print_status(unsigned slot)
{
    struct fg_sink_status s;

    if (slot >= SLOTS || !sinks[slot])
        die("no such sink");
    fg_sink_status(sinks[slot], &s);
    printf("{\"state\": \"%s\", \"cursor\": %" PRIu64 ", \"lag\": %" PRIu64
           ", \"records\": %" PRIu64 ", \"transactions\": %" PRIu64 ", \"reconnects\": %" PRIu64
           ", \"error\": \"",
           fg_sink_state_name(s.state), s.cursor, s.lag, s.records, s.transactions, s.reconnects);
    print_text(s.error);
    printf("\"}\n");
}

static void stop_sink(unsigned slot, unsigned drain_ms)
{
    uint64_t from = monotonic_ms();

    if (slot >= SLOTS || !sinks[slot])
        die("no such sink");
    fg_sink_stop(sinks[slot], drain_ms);
    sinks[slot] = NULL;
    printf("{\"ms\": %" PRIu64 "}\n", monotonic_ms() - from);
}

/* ---- commands -------------------------------------------------------------------------------- */

static void obey(const char *line)
{
    unsigned a, b;
    uint64_t units;
    char path[512];
    struct fg_error err;

    if (sscanf(line, "items %u %" SCNu64, &a, &units) == 2) {
        define_items(a, units);
    } else if (sscanf(line, "load %u %u", &a, &b) == 2 && b >= 1 && b <= RECORDS_MAX &&
               item_count) {
        while (a--)
            random_commit(b);
    } else if (!strncmp(line, "start ", 6) || !strncmp(line, "kafka ", 6) ||
               !strncmp(line, "postgres ", 9)) {
        if (!(line[0] == 's'   ? start_sink(line + 6, &err)
              : line[0] == 'k' ? start_kafka(line + 6, &err)
                               : start_postgres(line + 9, &err))) {
            printf("{\"error\": \"");
            print_text(err.text);
            printf("\"}\n");
            return;
        }
    } else if (sscanf(line, "fleet %u %u", &fleet_member, &fleet_members) == 2) {
        /* of the starts to come */
    } else if (sscanf(line, "status %u", &a) == 1) {
        print_status(a);
        return;
    } else if (sscanf(line, "adopt %u", &a) == 1) {
        if (a >= SLOTS || !sinks[a] || !fg_sink_adopt(sinks[a], &err))
            die("no such sink, or it does not refuse");
    } else if (sscanf(line, "stop %u %u", &a, &b) == 2) {
        stop_sink(a, b);
        return;
    } else if (!strcmp(line, "extremes")) {
        commit_extremes();
    } else if (!strcmp(line, "snapshot")) {
        snapshot();
    } else if (sscanf(line, "ledger %511s", path) == 1) {
        write_ledger(path);
    } else {
        die(line);
    }
    printf("{\"seq\": %" PRIu64 "}\n", fg_journal_last_seq(journal));
}

/* Another process had this log before. */
static void go_on(void)
{
    struct fg_error err;

    struct fg_ledger_snapshot_info info;

    if (!fg_ledger_snapshot_load(ledger, log_dir, &info, &err) ||
        !fg_ledger_replay(ledger, log_dir, UINT64_MAX, &err))
        die(err.text);
    item_count = fg_ledger_items(ledger);
    next_order = fg_ledger_orders(ledger) + 1;
    for (uint64_t i = 0; i < fg_ledger_orders(ledger) && live_count < LIVE_MAX; i++) {
        const struct fg_ledger_order *o = fg_ledger_order_at(ledger, i);
        struct live l = {.user = o->user,
                         .item = o->item,
                         .deadline_ms = o->deadline_ms,
                         .quantity = o->quantity};

        memcpy(l.order_id, o->order_id, sizeof(l.order_id));
        if (o->state == FG_LEDGER_ORDER_RESERVED)
            live[live_count++] = l;
        else if (o->state == FG_LEDGER_ORDER_WAITING) /* they come in the order of tickets */
            waiting[waiting_count++] = l;
    }
    tickets = fg_ledger_item(ledger, item_count)->tickets;
}

int main(int argc, char **argv)
{
    struct fg_journal_options options = {
        .segment_bytes = 1 << 20, .memory = true, .retired = true, .now_ms = now_ms()};
    char line[2048];
    struct fg_error err;

    if (argc != 3)
        die("usage: sink_driver LOG_DIR SEED");
    log_dir = options.dir = argv[1];
    random_state = strtoull(argv[2], NULL, 10) + 1;
    options.begin = !fg_journal_found(log_dir);
    setvbuf(stdout, NULL, _IOLBF, 0);
    journal = fg_journal_open(&options, &err);
    if (!journal)
        die(err.text);
    ledger = fg_ledger_create();
    live = calloc(LIVE_MAX, sizeof(*live));
    if (!ledger || !live)
        die("out of memory");
    if (fg_journal_last_seq(journal))
        go_on();
    atomic_store(&durable_seq, fg_journal_last_seq(journal));
    printf("{\"seq\": %" PRIu64 "}\n", fg_journal_last_seq(journal));
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (!strcmp(line, "quit"))
            break;
        obey(line);
    }
    for (unsigned i = 0; i < SLOTS; i++)
        fg_sink_stop(sinks[i], 0);
    fg_journal_close(journal);
    fg_ledger_destroy(ledger);
    free(live);
    return 0;
}
