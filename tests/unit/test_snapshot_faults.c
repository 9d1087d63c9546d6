/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Snapshots and the end of old segments on disks that fill up, fail, or lose power at any call,
 * together with the log that they stand beside. What was acknowledged is always recovered, from
 * whatever is left.
 */
#include "journal_disk.h"

#include "journal/retire.h"
#include "ledger/snapshot.h"
#include "ledger/snapshot_format.h"

static struct fg_error err;

static struct fg_journal *open_retired(void)
{
    struct fg_journal_options o = {
        .dir = log_dir, .segment_bytes = SEGMENT, .retired = true, .now_ms = 1};

    o.begin = !fg_journal_found(log_dir);
    return fg_journal_open_on(&disk_ops, &o, &err);
}

static void expect_same(const struct fg_ledger *a, const struct fg_ledger *b)
{
    assert_int_equal(fg_ledger_seq(a), fg_ledger_seq(b));
    assert_int_equal(fg_ledger_items(a), fg_ledger_items(b));
    assert_int_equal(fg_ledger_orders(a), fg_ledger_orders(b));
    for (uint32_t i = 0; i < fg_ledger_items(a); i++)
        assert_memory_equal(fg_ledger_item_at(a, i), fg_ledger_item_at(b, i),
                            sizeof(struct fg_ledger_item));
    for (uint64_t i = 0; i < fg_ledger_orders(a); i++)
        assert_memory_equal(fg_ledger_order_at(a, i), fg_ledger_order_at(b, i),
                            sizeof(struct fg_ledger_order));
}

struct story {
    struct fg_ledger *truth; /* all that was acknowledged, and what a recovery made of the rest */
    struct fg_ledger *now;   /* of this life */
    uint64_t user;           /* of the last order */
    uint64_t seed, seq, older_seq;
    uint64_t cuts, kills, snapshots, retired, fallbacks, failures;
};

static struct fg_journal_record order_of(unsigned type, uint64_t user)
{
    struct fg_journal_record r = {
        .type = (uint8_t)type, .item = 1, .quantity = 1, .user = user, .arg = 5};

    memcpy(r.order_id, &user, sizeof(user));
    return r;
}

/* A commit that the ledger takes after any prefix of those before: orders with users of their own,
 * some ended. */
static void commit_some(struct story *s, struct fg_journal *j)
{
    static struct fg_journal_record r[2002];
    uint64_t orders = rnd(3) ? 1 + rnd(20) : 1 + rnd(600), last = fg_journal_last_seq(j);
    size_t n = 0;

    if (fg_ledger_items(s->now) == 0) {
        r[n++] = (struct fg_journal_record){
            .type = FG_JOURNAL_RECORD_ITEM_SET, .item = 1, .order_max = 1};
        r[n++] =
            (struct fg_journal_record){.type = FG_JOURNAL_RECORD_STOCK, .item = 1, .arg = 1000000};
    }
    while (orders--) {
        r[n++] = order_of(FG_JOURNAL_RECORD_RESERVED, ++s->user);
        if (s->user % 3)
            r[n++] = order_of(s->user % 3 == 1 ? FG_JOURNAL_RECORD_SOLD : FG_JOURNAL_RECORD_EXPIRED,
                              s->user);
    }
    if (!fg_journal_commit(j, r, n, 1))
        return;
    assert_true(fg_ledger_replay(s->now, log_dir, last + 1 + n, &err));
    assert_true(fg_ledger_replay(s->truth, log_dir, last + 1 + n, &err));
}

/* As the daemon does: write, keep two, remove segments that the older one has passed. */
static void snapshot(struct story *s, struct fg_journal *j)
{
    uint64_t seq = fg_ledger_seq(s->now);
    ssize_t n;

    if (seq == 0 || seq == s->seq)
        return;
    if (!fg_ledger_snapshot_write_on(&disk_ops, s->now, log_dir, fg_journal_appliance(j), 1,
                                     &err)) {
        s->failures++;
        return;
    }
    s->snapshots++;
    s->older_seq = s->seq;
    s->seq = seq;
    fg_ledger_snapshot_keep_on(&disk_ops, log_dir, s->seq, s->older_seq, &err);
    n = s->older_seq ? fg_journal_retire_on(&disk_ops, log_dir, s->older_seq, 0, &err) : 0;
    s->retired += n > 0 ? (uint64_t)n : 0;
}

/* Snapshot and tail are the truth, and a beginning of what was not acknowledged. */
static void recover(struct story *s, struct fg_journal *j)
{
    struct fg_ledger_snapshot_info info;
    uint64_t acknowledged = fg_ledger_seq(s->truth), last = fg_journal_last_seq(j);

    s->now = fg_ledger_create();
    if (!fg_ledger_snapshot_load(s->now, log_dir, &info, &err) ||
        !fg_ledger_snapshot_fits(&info, log_dir, fg_journal_appliance(j), fg_journal_begin_seq(j),
                                 last, &err) ||
        !fg_ledger_replay(s->now, log_dir, last, &err))
        fail_msg("seed %" PRIu64 ": %s", s->seed, err.text);
    s->seq = info.seq;
    s->older_seq = 0;
    if (last < acknowledged)
        fail_msg("seed %" PRIu64 ": record %" PRIu64 " was acknowledged, the log ends at %" PRIu64,
                 s->seed, acknowledged, last);
    if (!fg_ledger_replay(s->truth, log_dir, last, &err))
        fail_msg("seed %" PRIu64 ": %s", s->seed, err.text);
    expect_same(s->now, s->truth);
}

static void live(struct story *s, uint64_t at)
{
    struct fg_journal *j = open_retired();

    if (!j && !(disk.fail_at && disk.calls >= at))
        fail_msg("seed %" PRIu64 ": %s", s->seed, err.text);
    if (!j)
        return;
    recover(s, j);
    disk.fail_at = at;
    while (disk.calls < at && fg_journal_state(j) == FG_JOURNAL_OK) {
        commit_some(s, j);
        if (rnd(3) == 0 && fg_journal_state(j) != FG_JOURNAL_FAILED)
            snapshot(s, j);
    }
    disk.fail_at = rnd(4) ? disk.fail_at : 0;
    fg_journal_close(j);
    fg_ledger_destroy(s->now);
}

static void lives(uint64_t seed, struct story *s)
{
    rng = s->seed = seed;
    s->truth = fg_ledger_create();
    s->user = 0;
    disk_forget();
    remove_tree(log_dir);
    for (int life = 0; life < 12; life++) {
        uint64_t at = 1 + rnd(rnd(2) ? 80 : 12);

        disk.calls = 0;
        disk.lossy = rnd(2);
        disk.any_names = seed % 2;
        disk.kinds = ~0u;
        disk.fail_errno = EIO;
        disk.fail_for = UINT64_MAX;
        disk.fail_at = rnd(4) ? 0 : at; /* one in four: already while it recovers */
        live(s, at);
        if (rnd(3) == 0) { /* only the process dies: the page cache lives on */
            s->kills++;
            continue;
        }
        cut_power();
        restart_after_cut();
        s->cuts++;
    }
    disk_forget();
    fg_ledger_destroy(s->truth);
}

static void power_cuts_lose_nothing_beside_snapshots(void **state)
{
    static struct story s;
    uint64_t first = 1, count = 300;

    if (getenv("FG_SEED"))
        first = strtoull(getenv("FG_SEED"), NULL, 10), count = 1;
    if (getenv("FG_SEEDS"))
        count = strtoull(getenv("FG_SEEDS"), NULL, 10);
    for (uint64_t seed = first; seed < first + count; seed++)
        lives(seed, &s);
    print_message("# %" PRIu64 " power cuts, %" PRIu64 " kills, %" PRIu64 " snapshots, %" PRIu64
                  " that failed, %" PRIu64 " segments removed\n",
                  s.cuts, s.kills, s.snapshots, s.failures, s.retired);
    if (count > 100) { /* it found what it looks for */
        assert_true(s.snapshots > 500);
        assert_true(s.failures > 50);
        assert_true(s.retired > 100);
    }
}

/* Whatever call fails: an error that says why, nothing left behind, the old snapshot untouched, and
 * it works later. */
static void a_failure_at_any_call_leaves_the_old_snapshot(void **state)
{
    static const int errors[] = {EIO, ENOSPC};
    unsigned hit = 0;

    for (int e = 0; e < 2; e++) {
        for (uint64_t at = 1;; at++) {
            struct story s = {.truth = fg_ledger_create(), .now = fg_ledger_create()};
            struct fg_ledger *back = fg_ledger_create();
            struct fg_ledger_snapshot_info info;
            struct fg_journal *j;
            uint64_t old, calls;
            bool ok;

            disk_forget();
            remove_tree(log_dir);
            rng = 1;
            j = open_retired();
            commit_some(&s, j);
            snapshot(&s, j);
            old = s.seq;
            commit_some(&s, j);
            calls = disk.calls;
            disk.kinds = ~0u & ~(1u << CALL_REMOVE);
            disk.fail_errno = errors[e];
            disk.fail_at = calls + at;
            disk.fail_for = 1;
            disk.half = at & 1;
            ok = fg_ledger_snapshot_write_on(&disk_ops, s.now, log_dir, fg_journal_appliance(j), 1,
                                             &err);
            calls = disk.calls - calls;
            if (!ok) {
                hit++;
                assert_non_null(strstr(err.text, strerror(errors[e])));
                assert_int_not_equal(access(in_log(FG_JOURNAL_SNAPSHOT_TEMP), F_OK), 0);
                assert_true(fg_ledger_snapshot_load(back, log_dir, &info, &err));
                assert_true(
                    info.seq >=
                    old); /* a sync of the directory may fail when the name is there already */
                disk.fail_at = 0;
                assert_true(fg_ledger_snapshot_write_on(&disk_ops, s.now, log_dir,
                                                        fg_journal_appliance(j), 1, &err));
            }
            disk.fail_at = 0;
            assert_true(commit_n(j, 1, 9)); /* the log does not mind */
            fg_journal_close(j);
            fg_ledger_destroy(back);
            fg_ledger_destroy(s.now);
            fg_ledger_destroy(s.truth);
            if (at > calls)
                break;
        }
    }
    assert_true(hit >= 10);
    disk_forget();
}

/* One removal after the other, each on disk before the next: no power cut leaves a hole. */
static void removals_leave_no_hole(void **state)
{
    for (uint64_t at = 1; at < 12; at++) {
        struct story s = {.truth = fg_ledger_create(), .now = fg_ledger_create()};
        struct fg_journal *j;

        for (int all = 0; all < 2; all++) {
            disk_forget();
            remove_tree(log_dir);
            rng = at;
            j = open_retired();
            while (fg_journal_last_seq(j) < 4 * SLOTS)
                assert_true(commit_n(j, 900, 1));
            disk.any_names = true;
            disk.kinds = ~0u;
            disk.fail_errno = EIO;
            disk.fail_at = disk.calls + at;
            disk.fail_for = UINT64_MAX;
            fg_journal_retire_on(&disk_ops, log_dir, 4 * SLOTS, 0, &err);
            fg_journal_close(j);
            cut_power();
            restart_after_cut();
            disk.fail_at = 0;
            j = open_retired();
            if (!j)
                fail_msg("%s", err.text);
            assert_true(fg_journal_last_seq(j) >= 4 * SLOTS);
            fg_journal_close(j);
        }
        fg_ledger_destroy(s.now);
        fg_ledger_destroy(s.truth);
    }
    disk_forget();
}

#define T(f) cmocka_unit_test_setup_teardown(f, make_scratch, drop_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_failure_at_any_call_leaves_the_old_snapshot),
        T(removals_leave_no_hole),
        T(power_cuts_lose_nothing_beside_snapshots),
    };
    return cmocka_run_group_tests_name("snapshot-faults", tests, NULL, NULL);
}
