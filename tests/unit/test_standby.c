/* SPDX-License-Identifier: BSD-3-Clause */
/* The log of a standby: records of the peer appended, what counts as committed, the tail of a
 * deposed leader cut off; also when power is lost at any call. */
#include "journal_disk.h"

#include <dirent.h>

#include "journal/standby.h"

enum { PEER_MAX = 6000 };

static struct fg_journal_record peer[PEER_MAX], got[READ_MAX]; /* the peer's log, from record 1 */
static size_t peer_n;

/* Commits of a few records, or many; each batch record calls what was before it durable, and names
 * its epoch unless an older version wrote it. */
static void write_peer(uint64_t seed, size_t n)
{
    bool older = seed % 4 == 0;

    size_t commit = 0;
    uint64_t epoch = 0;

    rng = seed;
    for (peer_n = 0; peer_n < n; peer_n++) {
        struct fg_journal_record *r = &peer[peer_n];

        fill_records(r, 1, seed);
        r->arg = peer_n;
        if (commit == 0) {
            *r = (struct fg_journal_record){.type = FG_JOURNAL_RECORD_BATCH,
                                            .time_ms = seed,
                                            .arg = peer_n,
                                            .user = older ? 0 : epoch};
            commit = 1 + (rnd(4) ? rnd(20) : rnd(900));
            if (peer_n && rnd(3) == 0 && peer_n + 1 < n) {
                r->user = older ? 0 : epoch + 1;
                fg_journal_record_seal(r, 1, ++peer_n);
                *++r = (struct fg_journal_record){
                    .type = FG_JOURNAL_RECORD_EPOCH, .item = ++epoch, .user = 7};
                commit = 1;
            }
        }
        commit--;
        fg_journal_record_seal(r, 1, peer_n + 1);
    }
}

static struct fg_journal *open_disk(bool begin)
{
    struct fg_journal_options o = {
        .dir = log_dir, .segment_bytes = SEGMENT, .now_ms = 1, .begin = begin};
    struct fg_error err = {""};
    struct fg_journal *j = fg_journal_open_on(&disk_ops, &o, &err);

    if (!j && !disk.fail_at)
        fail_msg("%s", err.text);
    return j;
}

static void expect_peer(uint64_t last)
{
    struct fg_error err = {""};
    ssize_t n = read_all(log_dir, got, UINT64_MAX, &err);

    if (n < 0)
        fail_msg("%s", err.text);
    assert_int_equal(n, last);
    for (uint64_t i = 0; i < last; i++)
        assert_true(fg_journal_record_same(&got[i], &peer[i]));
}

/* ---- appending ------------------------------------------------------------------------------- */

static void records_of_the_peer_keep_their_sequences(void **state)
{
    struct fg_error err = {""};
    struct fg_journal *j = must_open();
    uint64_t at = 0;

    write_peer(3, PEER_MAX);
    for (unsigned i = 0; at < PEER_MAX; i++) { /* pieces that know nothing of commits */
        size_t n = 1 + (i * 37) % 1500;

        if (n > PEER_MAX - at)
            n = PEER_MAX - at;
        fg_journal_set_commit(j, at / 2);
        if (!fg_journal_append(j, peer + at, n, 5, &err))
            fail_msg("%s", err.text);
        at += n;
        assert_int_equal(fg_journal_last_seq(j), at);
    }
    fg_journal_close(j);
    expect_peer(PEER_MAX);
    for (size_t i = 0, bound = 0; i < PEER_MAX; i++) { /* and batch records are our own */
        if (got[i].type != FG_JOURNAL_RECORD_BATCH)
            continue;
        assert_true(got[i].arg < got[i].seq && got[i].arg >= bound);
        assert_true(got[i].item > 0 && got[i].item - 1 <= got[i].arg / 2 + 1);
        bound = got[i].arg;
    }
    j = must_open();
    assert_int_equal(fg_journal_last_seq(j), PEER_MAX);
    assert_true(fg_journal_epoch(j).epoch > 1);
    fg_journal_close(j);
}

/* On an empty disk: under the peer's id, behind a snapshot. */
static void a_log_begins_where_the_snapshot_of_the_peer_ends(void **state)
{
    struct fg_journal_options o = {.dir = log_dir,
                                   .segment_bytes = SEGMENT,
                                   .now_ms = 1,
                                   .begin = true,
                                   .appliance_id = 0xabc,
                                   .begin_seq = 101,
                                   .epoch = {7, 60}};
    struct fg_error err = {""};
    struct fg_journal *j = fg_journal_open(&o, &err);
    struct fg_journal_record r[2] = {{.type = FG_JOURNAL_RECORD_BATCH}, {.type = 2}};

    assert_int_equal(fg_journal_last_seq(j), 100);
    fg_journal_record_seal(r, 2, 101);
    assert_true(fg_journal_append(j, r, 2, 5, &err));
    fg_journal_close(j);
    o.begin = false;
    assert_null(fg_journal_open(&o, &err)); /* without the snapshot it is no log */
    o.retired = true;
    j = fg_journal_open(&o, &err);
    assert_int_equal(fg_journal_appliance(j), 0xabc);
    assert_int_equal(fg_journal_begin_seq(j), 101);
    assert_int_equal(fg_journal_last_seq(j), 102);
    assert_int_equal(fg_journal_epoch(j).epoch, 7);
    assert_int_equal(fg_journal_epoch(j).first_seq, 60);
    fg_journal_close(j);
}

static void records_that_do_not_fit_are_refused(void **state)
{
    struct fg_error err = {""};
    struct fg_journal *j = must_open();
    struct fg_journal_record r[3];

    write_peer(3, 10);
    assert_false(fg_journal_append(j, peer + 1, 2, 5, &err));
    assert_non_null(strstr(err.text, "gap"));
    memcpy(r, peer, sizeof(r));
    r[2].user ^= 1;
    assert_false(fg_journal_append(j, r, 3, 5, &err));
    assert_non_null(strstr(err.text, "CRC"));
    assert_int_equal(fg_journal_state(j), FG_JOURNAL_OK);
    assert_int_equal(fg_journal_last_seq(j), 0);
    assert_true(fg_journal_append(j, peer, 10, 5, &err));
    for (uint64_t i = 0; i < 2; i++) {
        r[0] = (struct fg_journal_record){.type = FG_JOURNAL_RECORD_BATCH};
        r[1] = (struct fg_journal_record){.type = FG_JOURNAL_RECORD_EPOCH, .item = 9};
        fg_journal_record_seal(r, 2, 11 + 2 * i);
        assert_int_equal(fg_journal_append(j, r, 2, 5, &err), i == 0);
    }
    assert_non_null(strstr(err.text, "epoch"));
    fg_journal_close(j);
}

/* Of a record of the peer, by its records alone. */
static struct fg_journal_epoch epoch_at(uint64_t seq)
{
    struct fg_journal_epoch e = {0};

    for (uint64_t i = 0; i < seq; i++) {
        if (peer[i].type == FG_JOURNAL_RECORD_BATCH && peer[i].user > e.epoch)
            e = (struct fg_journal_epoch){peer[i].user, peer[i].seq};
        if (peer[i].type == FG_JOURNAL_RECORD_EPOCH)
            e = (struct fg_journal_epoch){peer[i].item, peer[i].seq - 1};
    }
    return e;
}

/* Writer and list of epochs say the same, also when the EPOCH record was torn off. True: it was. */
static bool epoch_is_right(const struct fg_journal *j)
{
    static struct fg_journal_epochs list;
    struct fg_journal_epoch want = epoch_at(fg_journal_last_seq(j)), is = fg_journal_epoch(j);
    struct fg_error err = {""};

    list = (struct fg_journal_epochs){0};
    if (!fg_journal_epochs_read(&list, log_dir, &err))
        fail_msg("%s", err.text);
    assert_int_equal(is.epoch, want.epoch);
    assert_int_equal(is.first_seq, want.first_seq);
    is = fg_journal_epochs_last(&list);
    assert_int_equal(is.epoch, want.epoch);
    assert_int_equal(is.first_seq, want.first_seq);
    return want.epoch && want.first_seq == fg_journal_last_seq(j);
}

/* A power cut between two commits may take any sector of the second, whatever the peer had durable:
 * the log is cut there, and never taken for damaged. */
static void power_cuts_are_never_taken_for_damage(void **state)
{
    uint64_t torn = 0, cuts = 0, torn_epochs = 0;

    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct fg_error err = {""};
        uint64_t acked = 0, lives = 0;

        disk_forget();
        remove_tree(log_dir);
        write_peer(seed, 1500 + rnd(3000));
        disk.any_names = seed % 2;
        while (acked < peer_n && lives++ < 8) {
            struct fg_journal *j = open_disk(!fg_journal_found(log_dir));
            uint64_t last = fg_journal_last_seq(j);

            assert_true(last >= acked);
            torn += fg_journal_cut_records(j) > 0;
            torn_epochs += epoch_is_right(j);
            disk.calls = 0;
            disk.kinds = ~0u;
            disk.fail_errno = EIO;
            disk.fail_for = UINT64_MAX;
            disk.fail_at = 1 + rnd(12);
            while (last < peer_n) {
                size_t n = 1 + (rnd(3) ? rnd(30) : rnd(600));

                n = n < peer_n - last ? n : peer_n - last;
                if (!fg_journal_append(j, peer + last, n, 5, &err))
                    break;
                last = acked = fg_journal_last_seq(j);
            }
            acked = fg_journal_last_seq(j);
            fg_journal_close(j);
            cut_power();
            restart_after_cut();
            cuts++;
        }
        disk.fail_at = 0;
        fg_journal_close(open_disk(!fg_journal_found(log_dir)));
        assert_true(fg_journal_first_seq(log_dir, NULL) == 1);
        expect_peer((uint64_t)read_all(log_dir, got, UINT64_MAX, &err));
    }
    print_message("# %" PRIu64 " power cuts, %" PRIu64 " torn tails, %" PRIu64 " torn epochs\n",
                  cuts, torn, torn_epochs);
    assert_true(torn > 50 && torn_epochs > 0);
    disk_forget();
}

/* ---- what was committed ---------------------------------------------------------------------- */

static uint64_t committed(struct fg_journal **j)
{
    struct fg_error err = {""};
    uint64_t seq;

    fg_journal_close(*j);
    *j = must_open();
    if (!fg_journal_committed(*j, &seq, &err))
        fail_msg("%s", err.text);
    return seq;
}

static void the_log_says_what_was_committed(void **state)
{
    struct fg_journal *j = must_open();

    assert_int_equal(committed(&j), 0);
    assert_true(commit_n(j, 5, 1)); /* 1 to 6, alone: as from a log that never had a pair */
    assert_int_equal(committed(&j), 6);
    fg_journal_set_commit(j, 6);    /* now it waits for a peer */
    assert_true(commit_n(j, 3, 1)); /* to 10 */
    assert_int_equal(committed(&j), 6);
    fg_journal_set_commit(j, 9);
    assert_true(commit_n(j, 1, 1)); /* 11, 12 */
    assert_int_equal(committed(&j), 9);
    fg_journal_set_commit(j, 9);
    assert_true(commit_n(j, 3000, 1)); /* segments without any batch record: to 3013 */
    assert_int_equal(committed(&j), 9);
    fg_journal_set_commit(j, FG_JOURNAL_ALONE);
    assert_true(commit_n(j, 1, 1)); /* to 3015 */
    assert_int_equal(committed(&j), 3015);
    fg_journal_set_commit(j, 3013);
    assert_true(commit_n(j, 1, 1)); /* what it committed alone stays committed */
    assert_int_equal(committed(&j), 3015);
    fg_journal_set_commit(j, 0);
    assert_true(commit_n(j, 1, 1));
    assert_int_equal(committed(&j), 3015);
    fg_journal_set_commit(j, 100000); /* the peer is far ahead */
    assert_true(commit_n(j, 1, 1));
    assert_int_equal(committed(&j), 3021);
    fg_journal_close(j);
}

/* ---- cutting --------------------------------------------------------------------------------- */

enum { KEEP = 2 * SLOTS - 500 };

static const struct fg_journal_options cut_options = {
    .dir = log_dir, .segment_bytes = SEGMENT, .now_ms = 1, .retired = true};

static void put_snapshot(uint64_t seq)
{
    char name[FG_JOURNAL_NAME_SIZE];
    int fd, dir_fd = open(log_dir, O_RDONLY | O_DIRECTORY);

    fg_journal_file_name(name, seq, FG_JOURNAL_SNAPSHOT_SUFFIX);
    fd = disk_create(NULL, dir_fd, name);
    assert_true(fd >= 0);
    close(fd);
    disk_sync_dir(NULL, dir_fd);
    close(dir_fd);
}

/* A log of `last` records: those of the peer, and from KEEP + 1 on a tail of its own, which began
 * with a commit that was never acknowledged. */
static void write_diverged(uint64_t last)
{
    struct fg_error err;
    struct fg_journal *j;

    disk_forget();
    remove_tree(log_dir);
    j = open_disk(true);
    fg_journal_set_commit(j, KEEP);
    if (!fg_journal_append(j, peer, KEEP, 5, &err))
        fail_msg("%s", err.text);
    while (fg_journal_last_seq(j) < last) {
        uint64_t n = last - fg_journal_last_seq(j) - 1;

        assert_true(commit_n(j, n < 700 ? n : 700, 99));
    }
    fg_journal_close(j);
    put_snapshot(KEEP - 10);
    put_snapshot(KEEP + 5);
    put_snapshot(last - 1);
}

/* How many records behind KEEP the file of a tail has, checked against `tail`. */
static uint64_t tail_kept(const struct fg_journal_record *tail, uint64_t n)
{
    uint64_t best = 0;
    DIR *dir = opendir(log_dir);
    struct dirent *e;

    while ((e = readdir(dir))) {
        struct fg_journal_segment_header h;
        size_t len;
        uint8_t *data;

        if (!strstr(e->d_name, FG_JOURNAL_TAIL_SUFFIX))
            continue;
        data = load_file(in_log(e->d_name), &len);
        assert_true(len >= sizeof(h));
        memcpy(&h, data, sizeof(h));
        assert_int_equal(h.magic, FG_JOURNAL_SEGMENT_MAGIC);
        assert_int_equal(h.first_seq, KEEP + 1);
        assert_true(len / 64 - 1 <= n);
        assert_memory_equal(data + 64, tail, len - 64);
        best = len / 64 - 1 > best ? len / 64 - 1 : best;
        free(data);
    }
    closedir(dir);
    return best;
}

static bool there(uint64_t snapshot)
{
    char name[FG_JOURNAL_NAME_SIZE];

    fg_journal_file_name(name, snapshot, FG_JOURNAL_SNAPSHOT_SUFFIX);
    return access(in_log(name), F_OK) == 0;
}

static void a_tail_is_cut_and_kept(void **state)
{
    static struct fg_journal_record tail[READ_MAX];
    static const uint64_t ends[] = {KEEP + 3, 2 * SLOTS, 2 * SLOTS + 2, 5 * SLOTS + 77};
    struct fg_error err = {""};
    struct fg_journal_cut cut;

    write_peer(11, PEER_MAX);
    for (unsigned i = 0; i < 4; i++) {
        uint64_t last = ends[i];
        struct fg_journal *j;

        write_diverged(last);
        assert_int_equal(read_all(log_dir, got, UINT64_MAX, &err), last);
        memcpy(tail, got + KEEP, (last - KEEP) * sizeof(*tail));
        if (!fg_journal_cut(&cut_options, KEEP, &cut, &err))
            fail_msg("%s", err.text);
        assert_int_equal(cut.records, last - KEEP);
        assert_int_equal(access(in_log(cut.tail), F_OK), 0);
        assert_int_equal(tail_kept(tail, last - KEEP), last - KEEP);
        expect_peer(KEEP);
        assert_true(there(KEEP - 10));
        assert_false(there(KEEP + 5) || there(last - 1));
        assert_true(fg_journal_cut(&cut_options, KEEP, &cut, &err)); /* nothing is left to do */
        assert_int_equal(cut.records, 0);
        j = must_open(); /* and the log grows past the place */
        assert_int_equal(fg_journal_cut_records(j), 0);
        assert_true(fg_journal_append(j, peer + KEEP, PEER_MAX - KEEP, 5, &err));
        fg_journal_close(j);
        fg_journal_close(must_open());
        expect_peer(PEER_MAX);
    }
    disk_forget();
}

/* The tail is a segment, so a reader of logs shows it. */
static void a_tail_can_be_read(void **state)
{
    struct fg_journal_reader *reader;
    struct fg_error err = {""};
    struct fg_journal_cut cut;
    char from[200], to[200];

    write_peer(11, PEER_MAX);
    write_diverged(KEEP + 30);
    assert_true(fg_journal_cut(&cut_options, KEEP, &cut, &err));
    snprintf(from, sizeof(from), "%s", in_log(cut.tail));
    snprintf(to, sizeof(to), "%s/%020d.fgj", scratch, KEEP + 1);
    assert_int_equal(rename(from, to), 0);
    reader = fg_journal_reader_open(scratch, KEEP + 1, &err);
    assert_non_null(reader);
    assert_int_equal(fg_journal_read(reader, got, 100, UINT64_MAX, &err), 30);
    assert_int_equal(got[1].user, 99);
    assert_int_equal(fg_journal_read(reader, got, 100, UINT64_MAX, &err), 0);
    fg_journal_reader_close(reader);
    disk_forget();
}

static void what_was_committed_is_never_cut(void **state)
{
    struct fg_error err = {""};
    struct fg_journal_cut cut;
    struct fg_journal *j = must_open();

    assert_true(commit_n(j, 9, 1));
    fg_journal_set_commit(j, 15);
    assert_true(commit_n(j, 9, 1));
    fg_journal_close(j);
    assert_false(fg_journal_cut(&cut_options, 14, &cut, &err));
    assert_non_null(strstr(err.text, "up to 15 were committed"));
    j = must_open();
    assert_int_equal(fg_journal_last_seq(j), 20);
    assert_false(fg_journal_cut(&cut_options, 15, &cut, &err));
    assert_non_null(strstr(err.text, "in use"));
    fg_journal_close(j);
    assert_true(fg_journal_cut(&cut_options, 15, &cut, &err));
    assert_int_equal(cut.records, 5);
    j = must_open();
    assert_int_equal(fg_journal_last_seq(j), 15);
    fg_journal_set_commit(j, FG_JOURNAL_ALONE);
    assert_true(commit_n(j, 1, 1));
    fg_journal_close(j);
    assert_false(fg_journal_cut(&cut_options, 16, &cut, &err)); /* it was the leader alone */
}

static void a_rest_without_its_snapshot_is_refused(void **state)
{
    struct fg_error err = {""};
    struct fg_journal_cut cut;

    write_peer(11, PEER_MAX);
    write_diverged(KEEP + 5);
    assert_int_equal(fg_journal_retire(log_dir, SLOTS + 1, 0, &err), 1);
    assert_false(fg_journal_cut(&cut_options, SLOTS, &cut, &err)); /* committed, and gone */
    assert_int_equal(remove(in_log("00000000000000001536.fgs")), 0);
    assert_false(fg_journal_cut(&cut_options, KEEP, &cut, &err));
    assert_non_null(strstr(err.text, "no snapshot"));
    put_snapshot(SLOTS);
    assert_true(fg_journal_cut(&cut_options, KEEP, &cut, &err));
    disk_forget();
}

/* Power goes at every call of the cut in turn. The log can be opened, nothing of the tail is lost,
 * and the next attempt ends it. */
static void a_crash_at_any_step_of_a_cut_recovers(void **state)
{
    static struct fg_journal_record tail[READ_MAX];
    const uint64_t last = 4 * SLOTS + 9;
    unsigned crashed = 0, seed = 0;
    bool done = false;

    write_peer(11, PEER_MAX);
    for (uint64_t at = 1; !done; at++) {
        for (int round = 0; round < 12; round++) {
            struct fg_error err = {""};
            struct fg_journal_cut cut;
            struct fg_journal *j;
            uint64_t end, kept;

            write_diverged(last);
            assert_int_equal(read_all(log_dir, got, UINT64_MAX, &err), last);
            memcpy(tail, got + KEEP, (last - KEEP) * sizeof(*tail));
            disk.calls = 0;
            disk.any_names = round & 1;
            disk.half = round & 2;
            disk.kinds = ~0u;
            disk.fail_errno = EIO;
            disk.fail_for = UINT64_MAX;
            disk.fail_at = at;
            done = fg_journal_cut_on(&disk_ops, &cut_options, KEEP, &cut, &err);
            if (done && disk.calls >= at)
                fail_msg("the cut goes on after call %" PRIu64 " failed", at);
            crashed += !done;
            rng = ++seed;
            if (round >= 2) { /* else only the process dies */
                cut_power();
                restart_after_cut();
            }
            disk.fail_at = 0;
            j = open_disk(false);
            end = fg_journal_last_seq(j);
            fg_journal_close(j);
            assert_true(end >= KEEP && end <= last);
            assert_int_equal(read_all(log_dir, got, UINT64_MAX, &err), end);
            assert_memory_equal(got + KEEP, tail, (end - KEEP) * sizeof(*tail));
            kept = tail_kept(tail, last - KEEP);
            assert_true(end == last || kept == last - KEEP);
            assert_true(there(KEEP - 10));
            assert_true(end == last || (!there(KEEP + 5) && !there(last - 1)));
            if (!fg_journal_cut_on(&disk_ops, &cut_options, KEEP, &cut, &err))
                fail_msg("call %" PRIu64 ": %s", at, err.text);
            assert_int_equal(tail_kept(tail, last - KEEP), last - KEEP);
            expect_peer(KEEP);
            assert_false(there(KEEP + 5) || there(last - 1));
            j = open_disk(false);
            assert_true(fg_journal_append(j, peer + KEEP, 1200, 5, &err));
            fg_journal_close(j);
            cut_power();
            restart_after_cut();
            fg_journal_close(open_disk(false));
            expect_peer(KEEP + 1200);
        }
    }
    print_message("# %u cuts that a crash ended\n", crashed);
    assert_true(crashed > 100);
    disk_forget();
}

#define T(f) cmocka_unit_test_setup_teardown(f, make_scratch, drop_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(records_of_the_peer_keep_their_sequences),
        T(a_log_begins_where_the_snapshot_of_the_peer_ends),
        T(records_that_do_not_fit_are_refused),
        T(power_cuts_are_never_taken_for_damage),
        T(the_log_says_what_was_committed),
        T(a_tail_is_cut_and_kept),
        T(a_tail_can_be_read),
        T(what_was_committed_is_never_cut),
        T(a_rest_without_its_snapshot_is_refused),
        T(a_crash_at_any_step_of_a_cut_recovers),
    };
    return cmocka_run_group_tests_name("standby", tests, NULL, NULL);
}
