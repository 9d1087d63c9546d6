/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control_double.h"

#include "base/clock.h"
#include "control/trail.h"

static void apply(struct fg_double *d, const struct fg_journal_record *record)
{
    struct fg_error err;

    if (!fg_ledger_apply(d->ledger, record, &err))
        fail_msg("the double wrote an illegal record: %s", err.text);
}

static void catch_up(struct fg_double *d)
{
    for (unsigned i = 0; i < d->waiting_count; i++)
        apply(d, &d->waiting[i]);
    d->waiting_count = 0;
}

void fg_double_record(struct fg_double *d, struct fg_journal_record record)
{
    pthread_mutex_lock(&d->lock);
    record.seq = ++d->seq;
    record.time_ms = 1700000000000 + d->seq;
    if (d->lag) {
        d->countdown = d->lag;
        d->waiting[d->waiting_count++] = record;
    } else {
        apply(d, &record);
    }
    pthread_mutex_unlock(&d->lock);
}

void fg_double_order(struct fg_double *d, uint64_t user, uint8_t id, uint64_t item, unsigned state)
{
    static const uint8_t types[] = {[FG_LEDGER_ORDER_RESERVED] = FG_JOURNAL_RECORD_RESERVED,
                                    [FG_LEDGER_ORDER_SOLD] = FG_JOURNAL_RECORD_SOLD,
                                    [FG_LEDGER_ORDER_CANCELLED] = FG_JOURNAL_RECORD_CANCELLED,
                                    [FG_LEDGER_ORDER_EXPIRED] = FG_JOURNAL_RECORD_EXPIRED};
    struct fg_journal_record record = {
        .type = FG_JOURNAL_RECORD_RESERVED, .quantity = 1, .item = item, .user = user};

    memset(record.order_id, id, sizeof(record.order_id));
    record.arg = 1900000000000;
    fg_double_record(d, record);
    record.arg = 0;
    record.type = types[state];
    if (state != FG_LEDGER_ORDER_RESERVED)
        fg_double_record(d, record);
}

static void raise_alarm(struct fg_double *d, const char *name, enum fg_health_level level,
                        const char *text)
{
    for (unsigned i = 0; i < fg_health_conditions_count; i++)
        if (strcmp(fg_health_conditions[i].name, name) == 0) {
            d->health.list[i].level = level;
            snprintf(d->health.list[i].text, FG_HEALTH_TEXT, "%s", text);
        }
}

/* Every metric of the table has a value, so that a page of all of them is checked. */
static void fill(struct fg_control_sheet *sheet)
{
    static const struct fg_histogram_sum times = {
        .buckets = {[0] = 5, [3] = 90, [FG_HISTOGRAM_BUCKETS - 1] = 5}, .count = 100, .sum = 12345};

    for (unsigned m = 0; m < FG_CONTROL_METRICS; m++) {
        const struct fg_control_metric_row *row = &fg_control_metrics[m];
        const char *label = fg_control_sections[row->section].label;
        const char *element = !label ? NULL : strcmp(label, "worker") ? "other" : "7";

        if (row->section == FG_CONTROL_SECTION_items)
            continue; /* these are the server's own */
        if (row->type == FG_CONTROL_HISTOGRAM)
            fg_control_sheet_histogram(sheet, m, element, &times);
        else if (row->unit == FG_CONTROL_TEXT)
            fg_control_sheet_say(sheet, m, element, "text");
        else
            fg_control_sheet_set(sheet, m, element, m);
    }
}

/* Each reading finds 50 more requests; a view of `fgctl top` reads twice. */
static void measure(void *ctx, struct fg_control_sheet *sheet)
{
    static unsigned requests;
    struct fg_double *d = ctx;
    struct timespec time = {.tv_nsec = d->slow_ms * 1000000l};

    d->measured++;
    if (d->slow_ms)
        nanosleep(&time, NULL);
    if (d->all_metrics) {
        fill(sheet);
        return;
    }
    requests += 50;
    fg_control_sheet_say(sheet, FG_CONTROL_daemon_state, NULL, "running");
    fg_control_sheet_set(sheet, FG_CONTROL_daemon_healthy, NULL, !d->unhealthy);
    fg_control_sheet_set(sheet, FG_CONTROL_daemon_uptime_s, NULL, 5);
    fg_control_sheet_set(sheet, FG_CONTROL_daemon_workers, NULL, 2);
    fg_control_sheet_set(sheet, FG_CONTROL_daemon_filter_enabled, NULL, 1);
    fg_control_sheet_set(sheet, FG_CONTROL_workers_rx, "0", 11);
    fg_control_sheet_set(sheet, FG_CONTROL_workers_rx, "1", 22);
    fg_control_sheet_set(sheet, FG_CONTROL_drops_packets, "tag", 3);
    fg_control_sheet_set(sheet, FG_CONTROL_answers_packets, "SOLD_OUT", 4);
    fg_control_sheet_set(sheet, FG_CONTROL_stock_requests, NULL, requests);
    fg_control_sheet_set(sheet, FG_CONTROL_stock_sold, NULL, 9007199254740993);
    fg_control_sheet_set(sheet, FG_CONTROL_filter_packets, "rate-order", 5);
    fg_control_sheet_set(sheet, FG_CONTROL_alarm_levels_level, "orders", 2);
    fg_control_sheet_set(sheet, FG_CONTROL_alarm_levels_level, "log", 0);
    fg_control_sheet_say(sheet, FG_CONTROL_ports_device, "p\"0", "net_null0");
    fg_control_sheet_set(sheet, FG_CONTROL_ports_rx_packets, "p\"0", 33);
    fg_control_sheet_say(sheet, FG_CONTROL_log_state, NULL, "ok");
    fg_control_sheet_set(sheet, FG_CONTROL_log_durable_seq, NULL, 17);
    fg_control_sheet_set(sheet, FG_CONTROL_log_commit_max_ms, NULL, 1007);
    fg_control_sheet_set(sheet, FG_CONTROL_snapshot_running, NULL, 1);
    pthread_mutex_lock(&d->lock);
    fg_control_sheet_set(sheet, FG_CONTROL_ledger_seq, NULL, fg_ledger_seq(d->ledger));
    fg_control_sheet_set(sheet, FG_CONTROL_ledger_items, NULL, fg_ledger_items(d->ledger));
    fg_control_sheet_set(sheet, FG_CONTROL_ledger_orders, NULL, fg_ledger_orders(d->ledger));
    pthread_mutex_unlock(&d->lock);
    fg_control_sheet_say(sheet, FG_CONTROL_sinks_state, "redis", "live");
    fg_control_sheet_set(sheet, FG_CONTROL_sinks_cursor, "redis", 10);
    fg_control_sheet_set(sheet, FG_CONTROL_sinks_lag, "redis", 7);
    fg_control_sheet_say(sheet, FG_CONTROL_sinks_error, "redis", "it\n\"broke\"");
}

static struct fg_health_answer health(void *ctx)
{
    const struct fg_double *d = ctx;
    struct fg_health_answer v = {.healthy = !d->unhealthy};

    if (d->unhealthy)
        strcpy(v.reason, "log failed: no space");
    return v;
}

static bool known(struct fg_double *d, uint64_t item, struct fg_ledger_item *copy)
{
    const struct fg_ledger_item *found;

    pthread_mutex_lock(&d->lock);
    found = fg_ledger_item(d->ledger, item);
    if (found)
        *copy = *found;
    pthread_mutex_unlock(&d->lock);
    return found != NULL;
}

static uint64_t now_ms(void *ctx)
{
    return fg_clock_unix_ms();
}

static bool up_to_date(void *ctx, struct fg_error *err)
{
    struct fg_double *d = ctx;

    pthread_mutex_lock(&d->lock);
    if (d->waiting_count)
        catch_up(d);
    pthread_mutex_unlock(&d->lock);
    return !d->behind || fg_fail(err, "the ledger lags");
}

static uint64_t item_version(void *ctx, uint64_t item)
{
    struct fg_double *d = ctx;

    return d->in_fleet ? d->version : 0;
}

static enum fg_control_result item_set(void *ctx, const struct fg_control_item *item,
                                       bool must_exist, uint32_t *behind, struct fg_error *err)
{
    struct fg_double *d = ctx;
    struct fg_ledger_item old;
    struct fg_journal_record record = {.type = FG_JOURNAL_RECORD_ITEM_SET, .item = item->item};

    d->item_calls++;
    if (d->race)
        fg_double_record(d, (struct fg_journal_record){
                                .type = FG_JOURNAL_RECORD_STOCK, .item = d->race, .arg = 1});
    d->race = 0;
    d->last_item = *item;
    d->last_must_exist = must_exist;
    *behind = d->behind_members;
    if (d->refuse_item != FG_CONTROL_DONE) {
        fg_fail(err, "refused by the test");
        return d->refuse_item;
    }
    if (known(d, item->item, &old) != must_exist) {
        fg_fail(err, must_exist ? "no such item" : "item exists already");
        return must_exist ? FG_CONTROL_NOT_FOUND : FG_CONTROL_CONFLICT;
    }
    record.opens_ms = item->opens_ms;
    record.closes_ms = item->closes_ms;
    record.hold_ms = item->hold_ms;
    record.user_limit = item->user_limit;
    record.order_max = item->order_max;
    record.flags = (uint16_t)((item->paused ? FG_JOURNAL_ITEM_PAUSED : 0) |
                              (item->retired ? FG_JOURNAL_ITEM_RETIRED : 0));
    fg_double_record(d, record);
    record = (struct fg_journal_record){.type = FG_JOURNAL_RECORD_ITEM_NAME, .item = item->item};
    memcpy(record.name, item->name, strnlen(item->name, FG_JOURNAL_ITEM_NAME_MAX));
    fg_double_record(d, record);
    fg_double_record(d, (struct fg_journal_record){
                            .type = FG_JOURNAL_RECORD_LINE_SET,
                            .item = item->item,
                            .line_max = item->waitlist,
                            .claim_ms = item->claim_ms,
                            .wait_ttl_ms = item->wait_ttl_ms,
                            .line_flags = (item->one_unit ? FG_JOURNAL_LINE_ONE_UNIT : 0) |
                                          (item->lottery ? FG_JOURNAL_LINE_LOTTERY : 0)});
    return FG_CONTROL_DONE;
}

static enum fg_control_result stock_add(void *ctx, uint64_t item, int64_t units,
                                        struct fg_error *err)
{
    struct fg_double *d = ctx;
    struct fg_ledger_item old;
    struct fg_journal_record record = {
        .type = FG_JOURNAL_RECORD_STOCK, .item = item, .arg = (uint64_t)units};

    d->stock_calls++;
    d->last_units = units;
    if (d->refuse_stock != FG_CONTROL_DONE) {
        fg_fail(err, "refused by the test");
        return d->refuse_stock;
    }
    if (known(d, item, &old) && units < 0 && (uint64_t)-units > old.available) {
        fg_fail(err, "only %llu units are free", (unsigned long long)old.available);
        return FG_CONTROL_CONFLICT;
    }
    fg_double_record(d, record);
    if (d->leased)
        fg_double_record(d, (struct fg_journal_record){.type = FG_JOURNAL_RECORD_LEASE,
                                                       .item = item,
                                                       .fleet_units = d->leased,
                                                       .fleet_sum = d->leased,
                                                       .fleet_times = 1});
    d->leased = 0;
    return FG_CONTROL_DONE;
}

static enum fg_control_result user_set(void *ctx, uint64_t user, bool deny, struct fg_error *err)
{
    struct fg_double *d = ctx;

    if (d->refuse_user != FG_CONTROL_DONE && d->user_calls >= d->users_room) {
        fg_fail(err, "refused by the test");
        return d->refuse_user;
    }
    d->user_calls++;
    fg_double_record(
        d, (struct fg_journal_record){.type = FG_JOURNAL_RECORD_USER, .user = user, .arg = deny});
    return FG_CONTROL_DONE;
}

/* All leave at once. */
static enum fg_control_result line_clear(void *ctx, uint64_t item, uint64_t *cleared,
                                         struct fg_error *err)
{
    struct fg_double *d = ctx;

    for (uint64_t i = 0; i < fg_ledger_orders(d->ledger); i++) {
        struct fg_ledger_order order = *fg_ledger_order_at(d->ledger, i);
        struct fg_journal_record record = {.type = FG_JOURNAL_RECORD_LEFT,
                                           .item = item,
                                           .user = order.user,
                                           .quantity = order.quantity,
                                           .arg = FG_JOURNAL_LEFT_CLEARED};

        if (order.state != FG_LEDGER_ORDER_WAITING || order.item != item)
            continue;
        memcpy(record.order_id, order.order_id, sizeof(record.order_id));
        fg_double_record(d, record);
        ++*cleared;
    }
    return FG_CONTROL_DONE;
}

static enum fg_control_result order_refund(void *ctx, uint64_t user, const uint8_t order_id[16],
                                           bool restock, struct fg_error *err)
{
    struct fg_double *d = ctx;
    const struct fg_ledger_order *order;
    struct fg_journal_record record = {
        .type = FG_JOURNAL_RECORD_REFUNDED, .user = user, .arg = restock};
    unsigned state;

    d->refund_calls++;
    pthread_mutex_lock(&d->lock);
    order = fg_ledger_order(d->ledger, user, order_id);
    state = order ? order->state : FG_LEDGER_ORDER_NONE;
    record.item = order ? order->item : 0;
    record.quantity = order ? order->quantity : 0;
    pthread_mutex_unlock(&d->lock);
    if (state == FG_LEDGER_ORDER_REFUNDED)
        return FG_CONTROL_DONE;
    if (state != FG_LEDGER_ORDER_SOLD) {
        fg_fail(err, state ? "the order is %s, not sold" : "no such order of this user",
                fg_ledger_order_state_name(state));
        return state ? FG_CONTROL_CONFLICT : FG_CONTROL_NOT_FOUND;
    }
    memcpy(record.order_id, order_id, sizeof(record.order_id));
    fg_double_record(d, record);
    return FG_CONTROL_DONE;
}

/* There are 30 bad users, the worst with the largest number. */
static unsigned user_worst(void *ctx, struct fg_stock_user *users, unsigned max)
{
    unsigned n = 0;

    for (; n < max && n < 30; n++)
        users[n] = (struct fg_stock_user){.user = UINT64_MAX - n, .refused = 900 - n};
    return n;
}

static const struct fg_ledger *ledger_lock(void *ctx)
{
    struct fg_double *d = ctx;

    pthread_mutex_lock(&d->lock);
    if (d->waiting_count && d->countdown-- == 0)
        catch_up(d);
    return d->ledger;
}

static void ledger_unlock(void *ctx)
{
    struct fg_double *d = ctx;

    pthread_mutex_unlock(&d->lock);
}

/* Two: an order packet, and a frame that says little. */
static unsigned samples(void *ctx, struct fg_filter_sample *list, unsigned max)
{
    static const uint8_t frame[] =
        "\1\2\3\4\5\6\1\2\3\4\5\7\x08\0\x45\0\0\x5c\0\1\0\0\x40\x11\0\0"
        "\xc6\x12\0\7\xc6\x12\0\1\x4e\x20\x11\xf8\0\x48\0\0\x46\x47\1\1\2\0\1\0";

    memset(list, 0, max * sizeof(*list));
    list[0] = (struct fg_filter_sample){.time_ns = 1,
                                        .verdict = FG_FILTER_VERDICT_RATE_ORDER,
                                        .length = 106,
                                        .kept = sizeof(frame) - 1};
    memcpy(list[0].bytes, frame, sizeof(frame) - 1);
    if (max > 1)
        list[1] =
            (struct fg_filter_sample){.verdict = FG_FILTER_VERDICT_BLOCKED, .length = 9, .kept = 9};
    return max > 1 ? 2 : 1;
}

static struct fg_penalty *penalty(void *ctx)
{
    return ((struct fg_double *)ctx)->penalty;
}

static struct fg_filter *filter(void *ctx)
{
    return ((struct fg_double *)ctx)->filter;
}

static enum fg_control_result log_accept(void *ctx, struct fg_error *err)
{
    fg_fail(err, "no sink knows later records");
    return FG_CONTROL_CONFLICT;
}

static enum fg_control_result sink_adopt(void *ctx, const char *name, struct fg_error *err)
{
    if (!strcmp(name, "redis"))
        return FG_CONTROL_DONE;
    fg_fail(err, "no sink %s", name);
    return FG_CONTROL_NOT_FOUND;
}

static enum fg_control_result log_snapshot(void *ctx, uint64_t *seq, struct fg_error *err)
{
    struct fg_double *d = ctx;

    *seq = d->seq;
    if (d->seq)
        return FG_CONTROL_DONE;
    fg_fail(err, "the log is empty");
    return FG_CONTROL_UNAVAILABLE;
}

/* Of user 5: a request handed over and answered when it was durable. */
static unsigned order_steps(void *ctx, uint64_t user, const uint8_t order_id[16],
                            struct fg_worker_steps *list, unsigned max)
{
    if (user != 5)
        return 0;
    list[0] = (struct fg_worker_steps){.user = user,
                                       .received_ns = 1700000000123456789,
                                       .handed_ns = 900,
                                       .decided_ns = 1500,
                                       .durable_ns = 250000,
                                       .sent_ns = 260000,
                                       .op = FG_PACKET_OP_RESERVE,
                                       .status = FG_PACKET_STATUS_RESERVED,
                                       .worker = 1};
    return 1;
}

static enum fg_control_result capture_begin(void *ctx, const uint64_t *user, struct fg_error *err)
{
    struct fg_double *d = ctx;

    d->captures++;
    d->capture_user = user ? *user : 0;
    d->capture_reads = 0;
    return FG_CONTROL_DONE;
}

/* The head of a file, and a record of four bytes each time. */
static size_t capture_read(void *ctx, uint8_t *out, size_t room)
{
    static const uint32_t head[] = {0xa1b23c4d, 4 << 16 | 2, 0, 0, 65535, 1},
                          record[] = {1700000000, 5, 4, 4, 0x01020304};
    struct fg_double *d = ctx;
    size_t size = d->capture_reads++ ? sizeof(record) : sizeof(head);

    if (d->capture_reads > 1 + FG_DOUBLE_CAPTURED)
        return 0;
    memcpy(out, d->capture_reads == 1 ? head : record, size);
    return size;
}

static struct fg_control_capture capture_count(void *ctx)
{
    return (struct fg_control_capture){.frames = FG_DOUBLE_CAPTURED, .skipped = 3, .lost = 1};
}

static void capture_end(void *ctx)
{
    ((struct fg_double *)ctx)->captures_ended++;
}

static enum fg_control_result keys_reload(void *ctx, struct fg_error *err)
{
    struct fg_double *d = ctx;

    d->keys_calls++;
    if (d->refuse_keys != FG_CONTROL_DONE)
        fg_fail(err, "keys.txt:3: secret \"xyz\": 32 hex digits expected");
    return d->refuse_keys;
}

static bool pair(void *ctx, struct fg_control_pair *out)
{
    struct fg_double *d = ctx;

    pthread_mutex_lock(&d->lock);
    *out = d->pair;
    pthread_mutex_unlock(&d->lock);
    return d->paired;
}

static bool fleet(void *ctx, struct fg_control_fleet *out)
{
    struct fg_double *d = ctx;

    pthread_mutex_lock(&d->lock);
    *out = d->fleet;
    pthread_mutex_unlock(&d->lock);
    return d->in_fleet;
}

/* The second item is not known to the thread yet. */
static bool fleet_item(void *ctx, uint32_t index, struct fg_fleet_item_view *view)
{
    struct fg_double *d = ctx;

    pthread_mutex_lock(&d->lock);
    *view = d->pool;
    pthread_mutex_unlock(&d->lock);
    return index == 0;
}

/* Done at once: a hand-over ends the process, which no double can. */
static void pair_act(void *ctx, enum fg_control_pair_act act)
{
    static const enum fg_pair_role roles[] = {
        [FG_CONTROL_PAIR_SWITCH] = FG_PAIR_ROLE_REFUSED,
        [FG_CONTROL_PAIR_SOLO] = FG_PAIR_ROLE_SOLO,
        [FG_CONTROL_PAIR_JOIN] = FG_PAIR_ROLE_LEADER,
        [FG_CONTROL_PAIR_FORCE] = FG_PAIR_ROLE_SOLO,
    };
    struct fg_double *d = ctx;

    pthread_mutex_lock(&d->lock);
    d->acts++;
    d->last_act = act;
    d->pair.view.pair.role = roles[act];
    pthread_mutex_unlock(&d->lock);
}

struct fg_control_daemon fg_double_daemon(struct fg_double *d)
{
    return (struct fg_control_daemon){.ctx = d,
                                      .pair = pair,
                                      .pair_act = pair_act,
                                      .fleet = fleet,
                                      .fleet_item = fleet_item,
                                      .log_snapshot = log_snapshot,
                                      .log_accept = log_accept,
                                      .sink_adopt = sink_adopt,
                                      .measure = measure,
                                      .alarms = &d->health,
                                      .health = health,
                                      .now_ms = now_ms,
                                      .up_to_date = up_to_date,
                                      .item_version = item_version,
                                      .item_set = item_set,
                                      .stock_add = stock_add,
                                      .user_set = user_set,
                                      .order_refund = order_refund,
                                      .line_clear = line_clear,
                                      .user_worst = user_worst,
                                      .ledger_lock = ledger_lock,
                                      .ledger_unlock = ledger_unlock,
                                      .filter = filter,
                                      .penalty = penalty,
                                      .samples = samples,
                                      .trace = 1000,
                                      .order_steps = order_steps,
                                      .capture_begin = capture_begin,
                                      .capture_read = capture_read,
                                      .capture_count = capture_count,
                                      .capture_end = capture_end,
                                      .keys_reload = keys_reload};
}

static bool box_allowed(void *ctx, const struct fg_filter_prefix *address)
{
    return false;
}

static bool box_block(void *ctx, const struct fg_filter_prefix *source, uint64_t ms,
                      const char *reason, struct fg_error *err)
{
    fg_filter_prefix_format(source, ((struct fg_double *)ctx)->blocked);
    return true;
}

static bool box_unblock(void *ctx, const struct fg_filter_prefix *source, struct fg_error *err)
{
    ((struct fg_double *)ctx)->blocked[0] = 0;
    return true;
}

/* Two offences of any class are too many. */
static struct fg_penalty *open_box(struct fg_double *d)
{
    struct fg_penalty_options options = {
        .mode = FG_PENALTY_PROVEN, .first_ms = 60000, .v6_prefix = 64};
    struct fg_penalty_lists lists = {d, box_allowed, box_block, box_unblock, NULL};

    for (unsigned i = 0; i < FG_OFFENCES; i++)
        options.threshold[i] = 2;
    return fg_penalty_create(&options, &lists, 0);
}

void fg_double_init(struct fg_double *d, bool with_filter)
{
    struct fg_filter_options options = {.pins = d->pins,
                                        .order_port = 4600,
                                        .sources_max = 1024,
                                        .prefixes_max = 1024,
                                        .v6_prefix = 64};
    struct fg_error err = {"not asked for"};

    memset(d, 0, sizeof(*d));
    pthread_mutex_init(&d->lock, NULL);
    fg_health_init(&d->health);
    raise_alarm(d, "orders", FG_HEALTH_ALARM, "worker 0: 9 of 9");
    raise_alarm(d, "sink", FG_HEALTH_WARNING, "a\nb");
    d->ledger = fg_ledger_create();
    d->penalty = open_box(d);
    assert_non_null(d->ledger);
    assert_non_null(d->penalty);
    snprintf(d->pins, sizeof(d->pins), "/sys/fs/bpf/fg-control-test-%d", (int)getpid());
    if (with_filter && geteuid() == 0)
        d->filter = fg_filter_open(&options, &err);
    else if (with_filter)
        fg_fail(&err, "not root");
    snprintf(d->filter_why, sizeof(d->filter_why), "%s", err.text);
}

static void remove_pins(const char *folder)
{
    char command[256];

    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    if (system(command) != 0)
        print_message("cannot remove %s\n", folder);
}

void fg_double_free(struct fg_double *d)
{
    if (d->filter) {
        fg_filter_close(d->filter);
        remove_pins(d->pins);
    }
    fg_ledger_destroy(d->ledger);
    fg_penalty_destroy(d->penalty);
    pthread_mutex_destroy(&d->lock);
}

void fg_fixture_start(struct fg_fixture *f, bool with_filter)
{
    struct fg_control_daemon daemon;
    struct fg_error err = {""};

    fg_double_init(&f->daemon, with_filter);
    snprintf(f->folder, sizeof(f->folder), "/tmp/fg-control-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->socket, sizeof(f->socket), "%s/control.sock", f->folder);
    daemon = fg_double_daemon(&f->daemon);
    snprintf(daemon.audit, sizeof(daemon.audit), "%s/" FG_CONTROL_TRAIL_FILE, f->folder);
    f->control = fg_control_start(f->socket, 0600, "", &daemon, &err);
    if (!f->control)
        fail_msg("%s", err.text);
}

void fg_fixture_stop(struct fg_fixture *f)
{
    fg_control_stop(f->control);
    remove_pins(f->folder);
    fg_double_free(&f->daemon);
}

/* A fuzzer has an alarm that interrupts. */
char *fg_raw_request(const char *path, const char *request, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t used = 0, room = 1 << 16;
    char *text = malloc(room + 1), *grown;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ssize_t n;

    assert_non_null(text);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    assert_int_equal(TEMP_FAILURE_RETRY(connect(fd, (struct sockaddr *)&address, sizeof(address))),
                     0);
    for (size_t sent = 0; sent < size; sent += (size_t)n) {
        n = TEMP_FAILURE_RETRY(send(fd, request + sent, size - sent, MSG_NOSIGNAL));
        if (n <= 0)
            break; /* refused early: the answer is there to be read */
    }
    while ((n = TEMP_FAILURE_RETRY(recv(fd, text + used, room - used, 0))) > 0) {
        used += (size_t)n;
        if (used == room) {
            room *= 2;
            grown = realloc(text, room + 1);
            assert_non_null(grown);
            text = grown;
        }
    }
    close(fd);
    text[used] = 0;
    return text;
}

int fg_ask(const char *socket, const char *method, const char *path, const char *body,
           json_t **json)
{
    size_t size = body ? strlen(body) : 0;
    char *request, *reply, *start;
    int len, code = 0;

    len = asprintf(
        &request,
        "%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
        method, path, size, body ? body : "");
    assert_true(len > 0);
    reply = fg_raw_request(socket, request, (size_t)len);
    free(request);
    sscanf(reply, "HTTP/1.1 %d", &code);
    start = strstr(reply, "\r\n\r\n");
    if (json)
        *json = start ? json_loads(start + 4, 0, NULL) : NULL;
    free(reply);
    return code;
}
