/* SPDX-License-Identifier: BSD-3-Clause */
/* Snapshots: what is written comes back, and nothing that is damaged ever does. */
#include "journal_support.h"

#include "ledger/snapshot.h"
#include "ledger/snapshot_format.h"

#define APPLIANCE 0x1122334455667788ull

static struct fg_error err;

static void give(struct fg_ledger *l, struct fg_journal_record r)
{
    r.seq = fg_ledger_seq(l) + 1;
    r.time_ms = 1000 + r.seq;
    if (!fg_ledger_apply(l, &r, &err))
        fail_msg("%s", err.text);
}

static struct fg_journal_record order_of(unsigned type, uint64_t item, uint64_t user,
                                         unsigned quantity)
{
    struct fg_journal_record r = {
        .type = (uint8_t)type, .item = item, .quantity = (uint16_t)quantity};

    memcpy(r.order_id, &user, sizeof(user));
    r.user = user;
    r.arg = 5000 + user;
    return r;
}

/* Items with names and settings, denied users, orders in every state. */
static struct fg_ledger *ledger_with(uint64_t items, uint64_t orders)
{
    struct fg_ledger *l = fg_ledger_create();

    assert_non_null(l);
    for (uint64_t i = 1; i <= items; i++) {
        struct fg_journal_record set = {.type = FG_JOURNAL_RECORD_ITEM_SET,
                                        .item = i,
                                        .opens_ms = i,
                                        .closes_ms = 9,
                                        .hold_ms = 5};
        struct fg_journal_record name = {.type = FG_JOURNAL_RECORD_ITEM_NAME,
                                         .item = i,
                                         .name = "exactly thirty-two bytes of name"};
        struct fg_journal_record stock = {
            .type = FG_JOURNAL_RECORD_STOCK, .item = i, .arg = 1000000};

        set.user_limit = 3;
        set.order_max = 2;
        set.flags = i & 1 ? FG_JOURNAL_ITEM_PAUSED : 0;
        give(l, set);
        if (i % 3)
            give(l, name);
        give(l, stock);
        give(l,
             (struct fg_journal_record){.type = FG_JOURNAL_RECORD_USER, .user = 77 * i, .arg = 1});
    }
    for (uint64_t u = 1; u <= orders; u++) {
        static const uint8_t ends[] = {FG_JOURNAL_RECORD_SOLD, FG_JOURNAL_RECORD_CANCELLED,
                                       FG_JOURNAL_RECORD_EXPIRED};
        uint64_t item = 1 + u % items;

        give(l, order_of(FG_JOURNAL_RECORD_RESERVED, item, u, 1 + u % 2));
        if (u % 4)
            give(l, order_of(ends[u % 4 - 1], item, u, 1 + u % 2));
    }
    return l;
}

static void expect_same(const struct fg_ledger *a, const struct fg_ledger *b)
{
    assert_int_equal(fg_ledger_seq(a), fg_ledger_seq(b));
    assert_int_equal(fg_ledger_items(a), fg_ledger_items(b));
    assert_int_equal(fg_ledger_orders(a), fg_ledger_orders(b));
    assert_int_equal(fg_ledger_denied_users(a), fg_ledger_denied_users(b));
    for (uint32_t i = 0; i < fg_ledger_items(a); i++)
        assert_memory_equal(fg_ledger_item_at(a, i), fg_ledger_item_at(b, i),
                            sizeof(struct fg_ledger_item));
    for (uint32_t i = 0; i < fg_ledger_denied_users(a); i++)
        assert_int_equal(fg_ledger_denied_user(a, i), fg_ledger_denied_user(b, i));
    for (uint64_t i = 0; i < fg_ledger_orders(a); i++) {
        const struct fg_ledger_order *o = fg_ledger_order_at(a, i);

        assert_memory_equal(o, fg_ledger_order_at(b, i), sizeof(*o));
        assert_ptr_equal(fg_ledger_order(b, o->user, o->order_id), fg_ledger_order_at(b, i));
    }
}

static int make_dir(void **state)
{
    return make_scratch(state) || mkdir(log_dir, 0750);
}

static void must_write(const struct fg_ledger *l)
{
    if (!fg_ledger_snapshot_write(l, log_dir, APPLIANCE, 123, &err))
        fail_msg("%s", err.text);
}

static const char *snapshot_path(uint64_t seq)
{
    char name[32];

    snprintf(name, sizeof(name), "%020" PRIu64 ".fgs", seq);
    return in_log(name);
}

static void what_is_written_comes_back(void **state)
{
    static const uint64_t sizes[][2] = {{1, 0}, {1, 1}, {7, 100}, {20000, 60000}};

    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        struct fg_ledger *l = ledger_with(sizes[k][0], sizes[k][1]), *back = fg_ledger_create();
        struct fg_ledger_snapshot_info info;
        struct stat st;

        must_write(l);
        assert_int_not_equal(access(in_log("snapshot.tmp"), F_OK), 0);
        assert_int_equal(stat(snapshot_path(fg_ledger_seq(l)), &st), 0);
        assert_int_equal(st.st_size, fg_ledger_snapshot_bytes(l));
        if (!fg_ledger_snapshot_load(back, log_dir, &info, &err))
            fail_msg("%s", err.text);
        assert_string_equal(err.text, "");
        assert_int_equal(info.seq, fg_ledger_seq(l));
        assert_int_equal(info.appliance_id, APPLIANCE);
        assert_int_equal(info.created_ms, 123);
        assert_int_equal(info.orders, sizes[k][1]);
        expect_same(l, back);
        give(back, (struct fg_journal_record){.type = FG_JOURNAL_RECORD_STOCK,
                                              .item = 1,
                                              .arg = 5}); /* it goes on from there */
        fg_ledger_destroy(back);
        fg_ledger_destroy(l);
    }
}

static void a_waiting_list_comes_back(void **state)
{
    struct fg_ledger *l = ledger_with(7, 40), *back = fg_ledger_create();
    struct fg_journal_record set = {.type = FG_JOURNAL_RECORD_LINE_SET, .item = 3, .line_max = 5};
    struct fg_ledger_snapshot_info info;
    struct stat st;

    set.claim_ms = 4;
    set.wait_ttl_ms = 3;
    set.line_flags = FG_JOURNAL_LINE_ONE_UNIT;
    give(l, set);
    give(l, (struct fg_journal_record){
                .type = FG_JOURNAL_RECORD_LINE_SET, .item = 1, .claim_ms = 4}); /* without length */
    give(l, (struct fg_journal_record){
                .type = FG_JOURNAL_RECORD_LINE_SET, .item = 2, .wait_ttl_ms = 4});
    for (uint64_t user = 901; user <= 904; user++)
        give(l, order_of(FG_JOURNAL_RECORD_WAITING, user == 904 ? 7 : 3, user, 2));
    give(l, order_of(FG_JOURNAL_RECORD_OFFERED, 3, 901, 2));
    set = order_of(FG_JOURNAL_RECORD_LEFT, 3, 902, 2);
    set.arg = FG_JOURNAL_LEFT_DENIED;
    give(l, set);
    must_write(l);
    assert_int_equal(stat(snapshot_path(fg_ledger_seq(l)), &st), 0);
    assert_int_equal(st.st_size, fg_ledger_snapshot_bytes(l));
    if (!fg_ledger_snapshot_load(back, log_dir, &info, &err))
        fail_msg("%s", err.text);
    assert_int_equal(fg_ledger_item(back, 3)->waiting, 1);
    assert_int_equal(fg_ledger_item(back, 3)->tickets, 5903);
    assert_int_equal(fg_ledger_item(back, 7)->waiting, 1);
    expect_same(l, back);
    fg_ledger_destroy(back);
    fg_ledger_destroy(l);
}

static void what_a_fleet_moved_comes_back(void **state)
{
    struct fg_ledger *l = ledger_with(7, 40), *back = fg_ledger_create();
    struct fg_journal_record r = {.type = FG_JOURNAL_RECORD_LEASE, .item = 3};
    struct fg_ledger_snapshot_info info;
    struct stat st;

    r.fleet_units = r.fleet_sum = 90;
    r.fleet_times = 1;
    give(l, r);
    r.item = 7;
    give(l, r);
    r.type = FG_JOURNAL_RECORD_RETURN;
    r.fleet_units = r.fleet_sum = 20;
    give(l, r);
    must_write(l);
    assert_int_equal(stat(snapshot_path(fg_ledger_seq(l)), &st), 0);
    assert_int_equal(st.st_size, fg_ledger_snapshot_bytes(l));
    if (!fg_ledger_snapshot_load(back, log_dir, &info, &err))
        fail_msg("%s", err.text);
    assert_int_equal(fg_ledger_item(back, 3)->leased, 90);
    assert_int_equal(fg_ledger_item(back, 3)->returns, 0);
    assert_int_equal(fg_ledger_item(back, 7)->leases, 1);
    assert_int_equal(fg_ledger_item(back, 7)->returned, 20);
    expect_same(l, back);
    r.fleet_times = 2;
    r.fleet_sum = 40;
    give(back, r); /* it goes on from there */
    fg_ledger_destroy(back);
    fg_ledger_destroy(l);
}

static void readers_give_everything_in_order(void **state)
{
    struct fg_ledger *l = ledger_with(5, 300);
    struct fg_ledger_snapshot_info info;
    struct fg_snapshot_reader *r;
    struct fg_ledger_item items[2];
    struct fg_ledger_order orders[7];
    uint64_t users[3], n = 0;
    ssize_t got;

    must_write(l);
    r = fg_ledger_snapshot_open(log_dir, &info, &err);
    assert_non_null(r);
    while ((got = fg_ledger_snapshot_items(r, items, 2, &err)) > 0)
        for (ssize_t i = 0; i < got; i++)
            assert_memory_equal(&items[i], fg_ledger_item_at(l, (uint32_t)n++), sizeof(items[i]));
    assert_int_equal(got, 0);
    assert_int_equal(n, info.items);
    for (n = 0; (got = fg_ledger_snapshot_denied(r, users, 3, &err)) > 0;)
        for (ssize_t i = 0; i < got; i++)
            assert_int_equal(users[i], fg_ledger_denied_user(l, (uint32_t)n++));
    assert_int_equal(n, info.denied);
    for (n = 0; (got = fg_ledger_snapshot_orders(r, orders, 7, &err)) > 0;)
        for (ssize_t i = 0; i < got; i++)
            assert_memory_equal(&orders[i], fg_ledger_order_at(l, n++), sizeof(orders[i]));
    assert_int_equal(n, info.orders);
    assert_int_equal(fg_ledger_snapshot_orders(r, orders, 7, &err), 0);
    fg_ledger_snapshot_close(r);
    r = fg_ledger_snapshot_open(log_dir, &info, &err); /* out of order is refused */
    assert_int_equal(fg_ledger_snapshot_orders(r, orders, 7, &err), -1);
    fg_ledger_snapshot_close(r);
    fg_ledger_destroy(l);
}

static void note_progress(void *ctx, uint64_t orders, uint64_t of)
{
    uint64_t *seen = ctx; /* calls, orders, of */

    assert_true(orders > seen[1] && orders <= of);
    seen[0]++;
    seen[1] = orders;
    seen[2] = of;
}

static void a_long_load_says_how_far_it_is(void **state)
{
    struct fg_ledger *l = ledger_with(3, 60000), *back = fg_ledger_create();
    uint64_t seen[3] = {0}, orders = fg_ledger_orders(l);
    struct fg_ledger_snapshot_info info;

    must_write(l);
    assert_true(fg_ledger_snapshot_load_telling(back, log_dir, note_progress, seen, &info, &err));
    assert_true(seen[0] >= orders / 20000);
    assert_int_equal(seen[1], orders);
    assert_int_equal(seen[2], orders);
    fg_ledger_destroy(back);
    fg_ledger_destroy(l);
}

static void there_may_be_none(void **state)
{
    struct fg_ledger_snapshot_info info;
    struct fg_ledger *l = fg_ledger_create();

    strcpy(err.text, "old");
    assert_null(fg_ledger_snapshot_open(log_dir, &info, &err));
    assert_string_equal(err.text, "");
    assert_true(fg_ledger_snapshot_load(l, log_dir, &info, &err));
    assert_int_equal(info.seq, 0);
    assert_false(
        fg_ledger_snapshot_write(l, log_dir, APPLIANCE, 1, &err)); /* nothing to be written */
    assert_null(fg_ledger_snapshot_open("/nonexistent/log", &info, &err));
    assert_non_null(strstr(err.text, "No such file"));
    fg_ledger_destroy(l);
}

/* Neither reader nor loader gives anything; both name the file. */
static void expect_bad(const char *what, uint64_t at)
{
    struct fg_ledger_snapshot_info info;
    struct fg_ledger *l = fg_ledger_create();
    struct fg_snapshot_reader *r = fg_ledger_snapshot_open(log_dir, &info, &err);

    if (r)
        fail_msg("%s at %" PRIu64 " is not noticed by the reader", what, at);
    assert_non_null(strstr(err.text, ".fgs: "));
    if (fg_ledger_snapshot_load(l, log_dir, &info, &err))
        fail_msg("%s at %" PRIu64 " is not noticed by the loader", what, at);
    assert_non_null(strstr(err.text, ".fgs: "));
    assert_int_equal(info.seq, 0);
    assert_int_equal(
        fg_ledger_seq(l) + fg_ledger_items(l) + fg_ledger_orders(l) + fg_ledger_denied_users(l), 0);
    fg_ledger_destroy(l);
}

static void a_newer_version_is_refused_by_name(void **state)
{
    struct fg_ledger *l = ledger_with(2, 9), *empty = fg_ledger_create();
    struct fg_ledger_snapshot_info info;

    must_write(l);
    flip_byte(snapshot_path(fg_ledger_seq(l)), 8, 64); /* the version: 64 more */
    if (fg_ledger_snapshot_load(empty, log_dir, &info, &err))
        fail_msg("a snapshot of a newer version was read");
    assert_non_null(strstr(err.text, "snapshot version 6"));
    assert_non_null(strstr(err.text, "this program knows"));
    assert_non_null(strstr(err.text, ".fgs: "));
    fg_ledger_destroy(empty);
    fg_ledger_destroy(l);
}

static void every_damaged_byte_is_noticed(void **state)
{
    struct fg_ledger *l = ledger_with(2, 9);
    const char *path;
    char copy[200];
    uint8_t *data;
    size_t len;

    must_write(l);
    snprintf(copy, sizeof(copy), "%s", snapshot_path(fg_ledger_seq(l)));
    path = copy;
    data = load_file(path, &len);
    for (uint64_t at = 0; at < len; at++) {
        flip_byte(path, at, (uint8_t)(1u << at % 8));
        expect_bad("a flipped bit", at);
        flip_byte(path, at, (uint8_t)(1u << at % 8));
    }
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(truncate(path, (off_t)cut), 0);
        expect_bad("a cut", cut);
        save_file(path, data, len);
    }
    data[len] = 0;
    save_file(path, data, len + 1);
    expect_bad("a byte too many", len);
    free(data);
    fg_ledger_destroy(l);
}

/* The same entries, their CRCs right, but not as a ledger has them. */
static void what_does_not_add_up_is_refused(void **state)
{
    static const uint64_t item_fields[] = {
        offsetof(struct fg_ledger_snapshot_item, sold),
        offsetof(struct fg_ledger_snapshot_item, reserved),
        offsetof(struct fg_ledger_snapshot_item, total),
        offsetof(struct fg_ledger_snapshot_item, orders_reserved),
        offsetof(struct fg_ledger_snapshot_item, orders_sold),
        offsetof(struct fg_ledger_snapshot_item, orders_cancelled),
        offsetof(struct fg_ledger_snapshot_item, orders_expired),
        offsetof(struct fg_ledger_snapshot_item, orders_refunded),
        offsetof(struct fg_ledger_snapshot_item, orders_late),
        offsetof(struct fg_ledger_snapshot_item, refunded),
        offsetof(struct fg_ledger_snapshot_item, index)};
    struct fg_ledger *l = ledger_with(1, 9);

    for (size_t k = 0; k < sizeof(item_fields) / sizeof(item_fields[0]) + 4; k++) {
        size_t fields = sizeof(item_fields) / sizeof(item_fields[0]), len;
        struct fg_ledger_snapshot_info info;
        struct fg_ledger *back = fg_ledger_create();
        uint64_t offset = sizeof(struct fg_ledger_snapshot_header);
        struct fg_ledger_snapshot_header h;
        uint8_t *data;
        uint32_t before;

        must_write(l);
        data = load_file(snapshot_path(fg_ledger_seq(l)), &len);
        memcpy(&h, data, sizeof(h));
        before = h.crc;
        while (offset < len) {
            struct fg_ledger_snapshot_block b;
            uint8_t *entries = data + offset + sizeof(b);

            memcpy(&b, data + offset, sizeof(b));
            if (b.kind == FG_LEDGER_SNAPSHOT_ITEMS && k < fields)
                entries[item_fields[k]]++;
            if (b.kind == FG_LEDGER_SNAPSHOT_ORDERS && k == fields)
                entries[offsetof(struct fg_ledger_order, item)]++; /* of an unknown item */
            if (b.kind == FG_LEDGER_SNAPSHOT_ORDERS && k == fields + 1)
                memcpy(entries, entries + sizeof(struct fg_ledger_order),
                       24); /* twice the same name */
            if (b.kind == FG_LEDGER_SNAPSHOT_ORDERS && k == fields + 2)
                entries[offsetof(struct fg_ledger_order, changed_ms) + 8] = 9; /* no such state */
            if (b.kind == FG_LEDGER_SNAPSHOT_ORDERS && k == fields + 3)
                memset(entries + offsetof(struct fg_ledger_order, quantity), 0, 2);
            b.before = before;
            b.crc = 0;
            memcpy(data + offset, &b, sizeof(b));
            b.crc = before = fg_crc32c(data + offset, sizeof(b) + b.bytes);
            memcpy(data + offset, &b, sizeof(b));
            offset += sizeof(b) + b.bytes;
        }
        save_file(snapshot_path(fg_ledger_seq(l)), data, len);
        if (fg_ledger_snapshot_load(back, log_dir, &info, &err))
            fail_msg("case %zu was loaded", k);
        assert_non_null(strstr(err.text, ".fgs: "));
        assert_int_equal(fg_ledger_orders(back) + fg_ledger_items(back), 0);
        fg_ledger_destroy(back);
        free(data);
    }
    fg_ledger_destroy(l);
}

static void a_bad_one_falls_back_to_the_one_before(void **state)
{
    struct fg_ledger *l = ledger_with(2, 9), *back = fg_ledger_create();
    struct fg_ledger_snapshot_info info;
    struct fg_snapshot_reader *r;
    uint64_t first = fg_ledger_seq(l);

    must_write(l);
    give(l, (struct fg_journal_record){.type = FG_JOURNAL_RECORD_STOCK, .item = 1, .arg = 5});
    must_write(l);
    flip_byte(snapshot_path(first + 1), 300, 4);
    r = fg_ledger_snapshot_open(log_dir, &info, &err);
    assert_non_null(r);
    assert_int_equal(info.seq, first);
    assert_non_null(strstr(err.text, "is damaged at offset"));
    fg_ledger_snapshot_close(r);
    assert_true(fg_ledger_snapshot_load(back, log_dir, &info, &err));
    assert_int_equal(fg_ledger_seq(back), first);
    assert_non_null(strstr(err.text, "is damaged at offset"));
    assert_null(fg_ledger_snapshot_open_seq(log_dir, first + 1, &info, &err));
    assert_null(fg_ledger_snapshot_open_seq(log_dir, first + 2, &info, &err));
    r = fg_ledger_snapshot_open_seq(log_dir, first, &info, &err);
    assert_non_null(r);
    fg_ledger_snapshot_close(r);
    save_file(snapshot_path(first + 5), "x", 1); /* others may be newer still */
    assert_true(fg_ledger_snapshot_keep(log_dir, first + 1, first, &err));
    assert_int_not_equal(access(snapshot_path(first + 5), F_OK), 0);
    assert_int_equal(access(snapshot_path(first + 1), F_OK), 0);
    assert_int_equal(access(snapshot_path(first), F_OK), 0);
    assert_true(fg_ledger_snapshot_keep(log_dir, first + 1, 0, &err));
    expect_bad("the only one left", 0);
    fg_ledger_destroy(back);
    fg_ledger_destroy(l);
}

static void a_snapshot_and_its_log_belong_together(void **state)
{
    static const struct {
        uint64_t seq, appliance, first, last;
        const char *wrong;
    } cases[] = {
        {0, 0, 1, 0, NULL},
        {0, 0, 1, 50, NULL},
        {0, 0, 5, 50, "records 1 to 4 are missing"},
        {10, 7, 1, 50, NULL},
        {10, 7, 11, 50, NULL},
        {10, 7, 11, 10, NULL},
        {10, 7, 12, 50, "records 11 to 11 are missing: the newest good snapshot is of record 10"},
        {10, 7, 1, 9, "records 10 to 10 are missing: the log ends before snapshot"},
        {10, 8, 1, 50, "belongs to appliance 0000000000000008, the log to 0000000000000007"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fg_ledger_snapshot_info info = {.seq = cases[i].seq,
                                               .appliance_id = cases[i].appliance};

        err.text[0] = 0;
        assert_int_equal(
            fg_ledger_snapshot_fits(&info, "D", 7, cases[i].first, cases[i].last, &err),
            !cases[i].wrong);
        assert_non_null(strstr(err.text, cases[i].wrong ? cases[i].wrong : ""));
    }
}

/* ---- with a log ------------------------------------------------------------------------------ */

/* A legal log of `orders` orders, each reserved and sold. */
static void commit_sale(struct fg_journal *j, uint64_t orders)
{
    struct fg_journal_record r[2] = {
        {.type = FG_JOURNAL_RECORD_ITEM_SET, .item = 1, .order_max = 1},
        {.type = FG_JOURNAL_RECORD_STOCK, .item = 1}};

    r[1].arg = orders;
    assert_true(fg_journal_commit(j, r, 2, 1));
    for (uint64_t u = 1; u <= orders; u++) {
        r[0] = order_of(FG_JOURNAL_RECORD_RESERVED, 1, u, 1);
        r[1] = order_of(FG_JOURNAL_RECORD_SOLD, 1, u, 1);
        assert_true(fg_journal_commit(j, r, 2, 1));
    }
}

static ssize_t segments(void)
{
    struct fg_journal_extent e;

    return fg_journal_extent(log_dir, &e, &err) ? (ssize_t)e.segments : -1;
}

static void old_segments_go_and_the_log_goes_on(void **state)
{
    struct fg_journal *j = must_open();
    struct fg_ledger *l = fg_ledger_create(), *all = fg_ledger_create();
    struct fg_journal_options o = {
        .dir = log_dir, .segment_bytes = SEGMENT, .retired = true, .now_ms = 1};
    struct fg_journal_extent extent;
    struct fg_ledger_snapshot_info info;
    uint64_t last;

    commit_sale(j, 1500); /* 4503 records: segments at 1, 1024, 2047, 3070, 4093 */
    last = fg_journal_last_seq(j);
    assert_int_equal(fg_journal_first_seq(log_dir, &err), 1);
    assert_int_equal(segments(), 5);
    assert_true(fg_ledger_replay(all, log_dir, UINT64_MAX, &err));
    assert_true(fg_ledger_replay(l, log_dir, 3000, &err));
    assert_true(fg_ledger_snapshot_write(l, log_dir, fg_journal_appliance(j), 1, &err));

    assert_int_equal(fg_journal_retire(log_dir, 1023, 0, &err), 0);
    assert_int_equal(fg_journal_retire(log_dir, 1024, 0, &err), 1);
    assert_int_equal(fg_journal_retire(log_dir, 3000, 4 * SEGMENT, &err),
                     0); /* so many bytes are kept */
    assert_int_equal(fg_journal_retire(log_dir, 3000, 3 * SEGMENT, &err), 1);
    assert_int_equal(fg_journal_retire(log_dir, 3000, 0, &err),
                     0); /* 3000 lies in the one that begins now */
    assert_true(fg_journal_extent(log_dir, &extent, &err));
    assert_int_equal(extent.first_seq, 2047);
    assert_int_equal(extent.segments, 3);
    assert_int_equal(extent.bytes, 3 * SEGMENT);
    assert_true(commit_n(j, 10, 1) &&
                fg_journal_last_seq(j) == last + 11); /* the writer does not mind */
    fg_journal_close(j);

    assert_null(open_at(log_dir, &err)); /* who does not know of snapshots is refused */
    assert_non_null(strstr(err.text, "records 1 to 2046 are missing"));
    j = fg_journal_open(&o, &err);
    assert_non_null(j);
    assert_int_equal(fg_journal_begin_seq(j), 2047);
    assert_int_equal(fg_journal_last_seq(j), last + 11);
    fg_ledger_destroy(l);
    l = fg_ledger_create();
    assert_true(fg_ledger_snapshot_load(l, log_dir, &info, &err));
    assert_true(fg_ledger_snapshot_fits(&info, log_dir, fg_journal_appliance(j),
                                        fg_journal_begin_seq(j), fg_journal_last_seq(j), &err));
    assert_true(fg_ledger_replay(l, log_dir, last, &err));
    expect_same(l, all); /* snapshot and rest are the whole */
    assert_int_equal(fg_journal_retire(log_dir, UINT64_MAX, 0, &err), 2);
    assert_int_equal(segments(), 1); /* never the last */
    fg_journal_close(j);
    fg_ledger_destroy(l);
    fg_ledger_destroy(all);
}

static void no_new_log_where_one_was(void **state)
{
    struct fg_ledger *l = ledger_with(1, 1);

    must_write(l);
    save_file(in_log("snapshot.tmp"), "x", 1);
    assert_null(open_at(log_dir, &err));
    assert_non_null(strstr(err.text, "but no segment of its log"));
    assert_int_equal(access(in_log("snapshot.tmp"), F_OK), 0); /* what is refused stays as it is */
    assert_int_not_equal(access(in_log(FIRST_FGJ), F_OK), 0);
    fg_ledger_destroy(l);
}

#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, drop_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_is_written_comes_back),
        T(a_waiting_list_comes_back),
        T(what_a_fleet_moved_comes_back),
        T(readers_give_everything_in_order),
        T(a_long_load_says_how_far_it_is),
        T(there_may_be_none),
        T(a_newer_version_is_refused_by_name),
        T(every_damaged_byte_is_noticed),
        T(what_does_not_add_up_is_refused),
        T(a_bad_one_falls_back_to_the_one_before),
        cmocka_unit_test(a_snapshot_and_its_log_belong_together),
        T(old_segments_go_and_the_log_goes_on),
        T(no_new_log_where_one_was),
    };
    return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
