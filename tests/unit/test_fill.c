/* SPDX-License-Identifier: BSD-3-Clause */
/* A snapshot of the leader takes the place of a standby's log: whatever step fails, the next start
 * finishes it, and before the first step nothing of the log is touched. */
#include "journal_disk.h"

#include <dirent.h>
#include <sys/resource.h>

#include "journal/standby.h"
#include "ledger/fill.h"
#include "ledger/recover.h"

enum { EPOCH = 5, ORDERS = 3000, BEHIND = 2500 };

static struct fg_error err;
static char fill_dir[128], leader_dir[128];
static uint64_t id, snapshot_seq;
static uint64_t first_orders; /* the leader begins another epoch with this one; 0 = none */

static struct fg_journal_options options(void)
{
    return (struct fg_journal_options){
        .dir = log_dir, .segment_bytes = SEGMENT, .retired = true, .now_ms = 1};
}

/* A leader's log with an epoch; its snapshot, as if it had come over the link. */
static void begin_epoch(struct fg_journal *j, uint64_t epoch)
{
    const uint8_t nonce[16] = {1};

    assert_true(fg_journal_begin_epoch(j, epoch, 0, nonce, 1));
}

static void make_snapshot(void)
{
    struct fg_journal_options o = {
        .dir = leader_dir, .begin = true, .segment_bytes = SEGMENT, .now_ms = 1};
    struct fg_journal_record r[2] = {
        {.type = FG_JOURNAL_RECORD_ITEM_SET, .item = 7, .hold_ms = 5, .order_max = 1},
        {.type = FG_JOURNAL_RECORD_STOCK, .item = 7, .arg = 1000000}};
    struct fg_journal *j = fg_journal_open(&o, &err);
    struct fg_ledger *ledger = fg_ledger_create();

    assert_non_null(j);
    begin_epoch(j, EPOCH);
    assert_true(fg_journal_commit(j, r, 2, 1));
    for (uint64_t u = 1; u <= ORDERS; u++) {
        struct fg_journal_record order = {
            .type = FG_JOURNAL_RECORD_RESERVED, .item = 7, .quantity = 1, .user = u, .arg = 5000};

        if (u == first_orders)
            begin_epoch(j, EPOCH + 2);
        memcpy(order.order_id, &u, sizeof(u));
        assert_true(fg_journal_commit(j, &order, 1, 1));
    }
    id = fg_journal_appliance(j);
    snapshot_seq = fg_journal_last_seq(j);
    fg_journal_close(j);
    if (!fg_ledger_replay(ledger, leader_dir, snapshot_seq, &err) ||
        !fg_ledger_snapshot_write(ledger, fill_dir, id, 1, &err))
        fail_msg("%s", err.text);
    fg_ledger_destroy(ledger);
}

/* The standby's own: the first records of the leader's, in three segments, and a snapshot. */
static void make_log(void)
{
    struct fg_journal_options o = options();
    struct fg_journal_record *records = calloc(READ_MAX, sizeof(*records));
    struct fg_ledger *ledger = fg_ledger_create();
    struct fg_journal *j;

    o.begin = true;
    o.appliance_id = id;
    j = fg_journal_open(&o, &err);
    assert_true(j && read_all(leader_dir, records, BEHIND, &err) == BEHIND);
    if (!fg_journal_append(j, records, BEHIND, 1, &err))
        fail_msg("%s", err.text);
    fg_journal_close(j);
    assert_true(fg_ledger_replay(ledger, log_dir, 1200, &err));
    assert_true(fg_ledger_snapshot_write(ledger, log_dir, id, 1, &err));
    fg_ledger_destroy(ledger);
    free(records);
}

static int begin(void **state)
{
    if (make_scratch(state))
        return -1;
    snprintf(fill_dir, sizeof(fill_dir), "%s/fill", log_dir);
    snprintf(leader_dir, sizeof(leader_dir), "%s/leader", scratch);
    if (mkdir(log_dir, 0750) || mkdir(fill_dir, 0750))
        return -1;
    make_snapshot();
    return 0;
}

static bool is_there(const char *dir, uint64_t seq)
{
    char path[200];

    snprintf(path, sizeof(path), "%s/%020" PRIu64 ".fgs", dir, seq);
    return access(path, F_OK) == 0;
}

static uint64_t last_of_log(void)
{
    struct fg_journal_options o = options();
    struct fg_journal *j = fg_journal_open(&o, &err);
    uint64_t last;

    if (!j)
        fail_msg("%s", err.text);
    last = fg_journal_last_seq(j);
    assert_true(fg_journal_appliance(j) == id);
    fg_journal_close(j);
    return last;
}

/* The log begins behind the snapshot, under its epoch, and a start has all orders. */
static void is_filled(void)
{
    struct fg_journal_options o = options();
    struct fg_journal *j = fg_journal_open(&o, &err);
    struct fg_ledger_recovery r = {
        .dir = log_dir, .appliance_id = id, .orders_max = ORDERS, .first_seq = snapshot_seq + 1};
    struct fg_ledger_snapshot_info from;
    struct fg_ledger *ledger;

    if (!j)
        fail_msg("%s", err.text);
    assert_int_equal(fg_journal_begin_seq(j), snapshot_seq + 1);
    assert_int_equal(fg_journal_last_seq(j), snapshot_seq);
    assert_int_equal(fg_journal_epoch(j).epoch, EPOCH);
    assert_int_equal(fg_journal_epoch(j).first_seq, 1);
    fg_journal_close(j);
    r.last_seq = snapshot_seq;
    ledger = fg_ledger_recover(&r, &from, &err);
    if (!ledger)
        fail_msg("%s", err.text);
    assert_int_equal(from.seq, snapshot_seq);
    assert_int_equal(fg_ledger_orders(ledger), ORDERS);
    fg_ledger_destroy(ledger);
    assert_false(is_there(fill_dir, snapshot_seq));
    assert_false(is_there(log_dir, 1200));
}

static uint64_t install(void)
{
    struct fg_journal_options o = options();
    uint64_t seq;

    if (!fg_ledger_fill_install(&o, &seq, &err))
        fail_msg("%s", err.text);
    return seq;
}

/* ---- a file system that fails ---------------------------------------------------------------- */

static int calls_left; /* that change something; then all fail, as after a crash */

static bool fails(void)
{
    errno = EIO;
    return calls_left-- <= 0;
}

static int fail_create(void *ctx, int dir_fd, const char *name)
{
    return fails() ? -1 : fg_journal_file_system.create(NULL, dir_fd, name);
}

static int fail_rename(void *ctx, int dir_fd, const char *from, const char *to)
{
    return fails() ? -1 : fg_journal_file_system.rename(NULL, dir_fd, from, to);
}

static int fail_remove(void *ctx, int dir_fd, const char *name)
{
    return fails() ? -1 : fg_journal_file_system.remove(NULL, dir_fd, name);
}

static int fail_sync_dir(void *ctx, int dir_fd)
{
    return fails() ? -1 : fg_journal_file_system.sync_dir(NULL, dir_fd);
}

static int fail_sync(void *ctx, int fd)
{
    return fails() ? -1 : fg_journal_file_system.sync(NULL, fd);
}

static bool install_until(int calls)
{
    struct fg_journal_file_ops ops = fg_journal_file_system;
    struct fg_journal_options o = options();
    uint64_t seq;

    calls_left = calls;
    ops.create = fail_create;
    ops.rename = fail_rename;
    ops.remove = fail_remove;
    ops.sync_dir = fail_sync_dir;
    ops.sync = fail_sync;
    return fg_ledger_fill_install_on(&ops, &o, &seq, &err);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void a_log_that_is_behind_is_replaced(void **state)
{
    make_log();
    assert_int_equal(install(), snapshot_seq);
    is_filled();
    assert_int_equal(install(), 0); /* once */
    is_filled();
}

static void without_a_log_it_begins(void **state)
{
    assert_int_equal(install(), snapshot_seq);
    is_filled();
}

static void every_step_may_be_the_last(void **state)
{
    int steps = 0;
    bool done = false;

    for (; !done; steps++) {
        drop_scratch(state);
        assert_int_equal(begin(state), 0);
        make_log();
        done = install_until(steps);
        install();
        is_filled();
        drop_scratch(state);
        assert_int_equal(begin(state), 0);
        make_log();
        for (int again = 0; again <= steps; again++) /* and the next start stops, too */
            install_until(again);
        install();
        is_filled();
    }
    print_message("%d steps\n", steps);
    assert_true(steps > 8);
}

static void what_did_not_come_whole_is_left_alone(void **state)
{
    char path[200];

    make_log();
    snprintf(path, sizeof(path), "%s/%020" PRIu64 ".fgs", fill_dir, snapshot_seq);
    flip_byte(path, 3000, 1);
    assert_int_equal(install(), 0);
    assert_int_equal(last_of_log(), BEHIND);
    assert_true(is_there(log_dir, 1200));
    assert_false(is_there(fill_dir, snapshot_seq));
    snprintf(path, sizeof(path), "%s/part", fill_dir);
    save_file(path, "half", 4);
    assert_int_equal(install(), 0);
    assert_int_equal(last_of_log(), BEHIND);
}

static void install_fails(const char *why)
{
    struct fg_journal_options o = options();
    struct stat st;
    char path[200];
    uint64_t seq;

    assert_false(fg_ledger_fill_install(&o, &seq, &err));
    if (!strstr(err.text, why))
        fail_msg("%s", err.text);
    snprintf(path, sizeof(path), "%s/%020" PRIu64 ".fgs", fill_dir, snapshot_seq);
    assert_int_equal(lstat(path, &st), 0);
}

/* The old log is gone, and the new one may have begun: the snapshot is all that there is. */
static void a_damaged_one_stays_when_the_log_is_gone(void **state)
{
    struct fg_journal_options o = options();
    char path[200];

    snprintf(path, sizeof(path), "%s/%020" PRIu64 ".fgs", fill_dir, snapshot_seq);
    flip_byte(path, 3000, 1);
    install_fails("empty that folder");
    o.begin = true;
    o.appliance_id = id;
    o.begin_seq = snapshot_seq + 1;
    o.epoch = (struct fg_journal_epoch){EPOCH, 1};
    fg_journal_close(fg_journal_open(&o, &err));
    install_fails("empty that folder");
    flip_byte(path, 3000, 1);
    install();
}

static void one_that_cannot_be_read_now_stays(void **state)
{
    char path[200], aside[200];

    make_log();
    snprintf(path, sizeof(path), "%s/%020" PRIu64 ".fgs", fill_dir, snapshot_seq);
    snprintf(aside, sizeof(aside), "%s/aside", fill_dir);
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(symlink(path, path), 0);
    install_fails(strerror(ELOOP));
    assert_int_equal(rename(aside, path), 0);
    assert_int_equal(install(), snapshot_seq);
    is_filled();
}

/* Another log is not taken for none. */
static void without_descriptors_nothing_goes(void **state)
{
    struct fg_journal *j = must_open();
    struct rlimit before, now;
    struct fg_journal_options o = options();
    uint64_t seq;
    int lowest;

    assert_true(commit_n(j, 5, 1));
    fg_journal_close(j);
    lowest = dup(0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (int more = 0; more < 6; more++) {
        now = before;
        now.rlim_cur = (rlim_t)(lowest + 1 + more);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
        if (fg_ledger_fill_install(&o, &seq, &err) && is_there(fill_dir, snapshot_seq))
            more = -100;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_true(more >= 0 && access(segment_path(1), F_OK) == 0);
    }
    close(lowest);
    assert_false(is_there(fill_dir, snapshot_seq));
}

/* ---- power cuts ------------------------------------------------------------------------------ */

/* The disk has this file. */
static void adopt(const char *name)
{
    struct image *f;
    struct stat st;

    assert_int_equal(stat(in_log(name), &st), 0);
    f = image_of(st.st_ino, true);
    snprintf(f->name, sizeof(f->name), "%.60s", name);
    f->named = true;
    f->data = load_file(in_log(name), &f->size);
}

static void adopt_all(void)
{
    static const char *const folders[] = {"", FG_JOURNAL_FILL_DIR "/"};

    for (int i = 0; i < 2; i++) {
        DIR *dir = opendir(in_log(folders[i]));
        char name[300];

        assert_non_null(dir);
        for (struct dirent *e; (e = readdir(dir));) {
            snprintf(name, sizeof(name), "%s%s", folders[i], e->d_name);
            if (strstr(name, ".fg"))
                adopt(name);
        }
        closedir(dir);
    }
}

static bool install_on_disk(uint64_t fail_at)
{
    struct fg_journal_options o = options();
    uint64_t seq;

    disk.calls = 0;
    disk.kinds = ~0u;
    disk.fail_errno = EIO;
    disk.fail_for = UINT64_MAX;
    disk.fail_at = fail_at;
    return fg_ledger_fill_install_on(&disk_ops, &o, &seq, &err);
}

/* Any of the names that were not synced may be there, or not. */
static void no_power_cut_keeps_it_from_its_end(void **state)
{
    unsigned finished = 0;

    for (uint64_t seed = 1; seed <= 60; seed++) {
        drop_scratch(state);
        assert_int_equal(begin(state), 0);
        make_log();
        disk_forget();
        adopt_all();
        rng = seed;
        for (int starts = 0; starts < 3; starts++) {
            disk.any_names = seed % 4;
            finished += install_on_disk(1 + rnd(rnd(2) ? 6 : 30));
            cut_power();
            restart_after_cut();
        }
        if (!install_on_disk(0))
            fail_msg("seed %" PRIu64 ": %s", seed, err.text);
        is_filled();
    }
    disk_forget();
    assert_true(finished > 10);
}

/* ---- other logs ------------------------------------------------------------------------------ */

/* A person put another log here meanwhile, or this one went on. */
static void no_other_log_is_replaced(void **state)
{
    struct fg_journal *j = must_open();

    assert_true(commit_n(j, 5, 1));
    id = fg_journal_appliance(j);
    fg_journal_close(j);
    assert_int_equal(install(), 0);
    assert_int_equal(last_of_log(), 6);
    assert_false(is_there(fill_dir, snapshot_seq));
}

static void no_longer_log_is_replaced(void **state)
{
    struct fg_journal_options o = options();
    struct fg_journal *j;

    o.begin = true;
    o.appliance_id = id;
    o.begin_seq = snapshot_seq;
    j = fg_journal_open(&o, &err);
    assert_true(j && commit_n(j, 5, 1));
    fg_journal_close(j);
    assert_int_equal(install(), 0);
    assert_int_equal(last_of_log(), snapshot_seq + 5);
}

static void leads_epoch(uint64_t epoch)
{
    struct fg_journal_options o = options();
    struct fg_journal *j = fg_journal_open(&o, &err);
    const uint8_t nonce[16] = {2};

    assert_true(j && fg_journal_begin_epoch(j, epoch, 1, nonce, 1) && commit_n(j, 5, 1));
    fg_journal_close(j);
}

/* A person made the filling box lead, and it acknowledged orders: they are only here. */
static void no_log_that_led_meanwhile_is_replaced(void **state)
{
    make_log();
    leads_epoch(EPOCH + 1); /* later than the snapshot's */
    assert_int_equal(install(), 0);
    assert_int_equal(last_of_log(), BEHIND + 8);
    assert_true(is_there(log_dir, 1200));
    assert_false(is_there(fill_dir, snapshot_seq));
}

/* The snapshot's leader began an epoch of the same number behind, or one in between. */
static void no_log_of_another_epoch_is_replaced(void **state)
{
    drop_scratch(state);
    first_orders = BEHIND; /* then the leader begins another epoch */
    assert_int_equal(begin(state), 0);
    first_orders = 0;
    make_log();
    leads_epoch(EPOCH + 2);
    assert_int_equal(install(), 0);
    assert_int_equal(last_of_log(), BEHIND + 8);
}

static void a_log_in_use_is_refused(void **state)
{
    struct fg_journal_options o = options();
    struct fg_journal *j;
    uint64_t seq;

    make_log();
    j = fg_journal_open(&o, &err);
    assert_non_null(j);
    assert_false(fg_ledger_fill_install(&o, &seq, &err));
    assert_non_null(strstr(err.text, "in use"));
    fg_journal_close(j);
    assert_int_equal(last_of_log(), BEHIND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_log_that_is_behind_is_replaced, begin, drop_scratch),
        cmocka_unit_test_setup_teardown(without_a_log_it_begins, begin, drop_scratch),
        cmocka_unit_test_setup_teardown(every_step_may_be_the_last, begin, drop_scratch),
        cmocka_unit_test_setup_teardown(what_did_not_come_whole_is_left_alone, begin, drop_scratch),
        cmocka_unit_test_setup_teardown(a_damaged_one_stays_when_the_log_is_gone, begin,
                                        drop_scratch),
        cmocka_unit_test_setup_teardown(one_that_cannot_be_read_now_stays, begin, drop_scratch),
        cmocka_unit_test_setup_teardown(without_descriptors_nothing_goes, begin, drop_scratch),
        cmocka_unit_test_setup_teardown(no_power_cut_keeps_it_from_its_end, begin, drop_scratch),
        cmocka_unit_test_setup_teardown(no_other_log_is_replaced, begin, drop_scratch),
        cmocka_unit_test_setup_teardown(no_longer_log_is_replaced, begin, drop_scratch),
        cmocka_unit_test_setup_teardown(no_log_that_led_meanwhile_is_replaced, begin, drop_scratch),
        cmocka_unit_test_setup_teardown(no_log_of_another_epoch_is_replaced, begin, drop_scratch),
        cmocka_unit_test_setup_teardown(a_log_in_use_is_refused, begin, drop_scratch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
