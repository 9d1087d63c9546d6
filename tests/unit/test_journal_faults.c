/* SPDX-License-Identifier: BSD-3-Clause */
/* The log on disks that fill up, fail, or lose power: see journal_disk.h. */
#include "journal_disk.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

static struct fg_journal_record got[READ_MAX];

static struct fg_journal *open_by(enum fg_journal_way way, struct fg_error *err)
{
    struct fg_journal_options o = {
        .dir = log_dir, .segment_bytes = SEGMENT, .way = way, .now_ms = 1};

    o.begin = !fg_journal_found(log_dir);
    return fg_journal_open_on(&disk_ops, &o, err);
}

static struct fg_journal *open_on_disk(struct fg_error *err)
{
    return open_by(FG_JOURNAL_WAY_PLAIN, err);
}

/* A closed log without recorder, so that every call of what follows can be counted from a known
 * state. */
static void start_with(size_t records)
{
    disk_forget();
    remove_tree(log_dir);
    if (records) {
        struct fg_journal *j = must_open();
        struct image *f = &disk.files[0];
        struct stat st;

        assert_true(records < SLOTS && commit_n(j, records, 1));
        fg_journal_close(j);
        assert_int_equal(stat(in_log(FIRST_FGJ), &st), 0);
        *f = (struct image){.ino = st.st_ino, .name = FIRST_FGJ, .named = true};
        f->data = load_file(in_log(FIRST_FGJ), &f->size);
    }
}

/* ---- full and failing disks ------------------------------------------------------------------ */

/* got[from..] must be whole commits of `n` records each with these nonces. */
static void expect_commits(ssize_t from, ssize_t total, const uint64_t *nonces, const size_t *n,
                           size_t count)
{
    for (size_t c = 0; c < count; c++) {
        assert_true(from < total);
        assert_int_equal(got[from].type, FG_JOURNAL_RECORD_BATCH);
        from++;
        for (size_t i = 0; i < n[c]; i++, from++) {
            assert_true(from < total);
            assert_int_equal(got[from].user, nonces[c]);
            assert_int_equal(got[from].arg, i);
        }
    }
    assert_int_equal(from, total);
}

static void no_space_at_any_call_is_survived(void **state)
{
    /* spans two segments more than it begins in; then smaller and other records take its place */
    static const size_t sizes[] = {1000, 30};
    static const uint64_t nonces[] = {1, 3};
    static const unsigned kinds =
        1 << CALL_CREATE | 1 << CALL_ALLOCATE | 1 << CALL_WRITE | 1 << CALL_RENAME;
    unsigned hit = 0;

    for (int variant = 0; variant < 4; variant++) {
        for (uint64_t at = 1;; at++) {
            struct fg_error err = {""};
            struct fg_journal *j;
            uint64_t calls;

            start_with(sizes[0]);
            j = open_on_disk(&err);
            assert_non_null(j);
            calls = disk.calls;
            disk.kinds = kinds;
            disk.fail_errno = ENOSPC;
            disk.fail_at = calls + at;
            disk.fail_for = variant & 1 ? 1 : 12; /* longer: taking back fails too */
            disk.half = variant & 2;
            if (commit_n(j, 2100, 2)) {
                calls = disk.calls - calls;
                fg_journal_close(j);
                if (at > calls)
                    break; /* the commit makes fewer calls */
                continue;  /* this call cannot run out of space */
            }
            hit++;
            assert_int_equal(fg_journal_state(j), FG_JOURNAL_FULL);
            assert_int_equal(fg_journal_last_seq(j), sizes[0] + 1);
            assert_non_null(strstr(fg_journal_error(j), "No space left"));
            for (int tries = 0; tries < 20 && !commit_n(j, sizes[1], nonces[1]); tries++)
                assert_int_equal(fg_journal_state(j), FG_JOURNAL_FULL);
            assert_int_equal(fg_journal_state(j), FG_JOURNAL_OK);
            assert_string_equal(fg_journal_error(j), "");
            assert_int_equal(fg_journal_last_seq(j), sizes[0] + sizes[1] + 2);
            expect_commits(0, read_all(log_dir, got, UINT64_MAX, &err), nonces, sizes, 2);
            fg_journal_close(j);
            j = must_open();
            assert_int_equal(fg_journal_last_seq(j), sizes[0] + sizes[1] + 2);
            assert_int_equal(fg_journal_cut_records(j),
                             0); /* nothing of the refused commit is left */
            fg_journal_close(j);
        }
    }
    assert_true(hit > 20);
    disk_forget();
}

static void any_other_failure_is_final(void **state)
{
    static const uint64_t nonces[] = {1};
    static const size_t sizes[] = {1000};
    unsigned hit = 0;

    for (uint64_t at = 1;; at++) {
        struct fg_error err = {""};
        struct fg_journal *j;
        ssize_t n;
        uint64_t calls;

        start_with(1000);
        j = open_on_disk(&err);
        calls = disk.calls;
        disk.kinds = ~0u;
        disk.fail_errno = EIO;
        disk.fail_at = calls + at;
        disk.fail_for = 1; /* once: the next call would work */
        if (commit_n(j, 2100, 2)) {
            calls = disk.calls - calls;
            fg_journal_close(j);
            assert_true(at > calls); /* every single call matters */
            break;
        }
        hit++;
        calls = disk.calls;
        for (int i = 0; i < 3; i++) {
            assert_int_equal(fg_journal_state(j), FG_JOURNAL_FAILED);
            assert_false(commit_n(j, 1, 3));
        }
        assert_int_equal(disk.calls, calls); /* the disk is not touched again */
        assert_non_null(strstr(fg_journal_error(j), "Input/output error"));
        assert_int_equal(fg_journal_last_seq(j), 1001);
        fg_journal_close(j);
        j = must_open(); /* a restart finds what was acknowledged, and perhaps a prefix of the rest
                          */
        n = read_all(log_dir, got, UINT64_MAX, &err);
        assert_true(n >= 1001);
        assert_int_equal(n, fg_journal_last_seq(j));
        expect_commits(0, 1001, nonces, sizes, 1);
        for (ssize_t i = 1002; i < n; i++)
            assert_int_equal(got[i].user, 2);
        fg_journal_close(j);
    }
    assert_true(hit > 10);
    disk_forget();
}

static void no_space_at_a_sync_is_final(void **state)
{
    struct fg_error err = {""};
    struct fg_journal *j;

    start_with(10);
    j = open_on_disk(&err);
    disk.kinds = 1 << CALL_SYNC;
    disk.fail_errno = ENOSPC;
    disk.fail_at = disk.calls + 1;
    disk.fail_for = 5;
    assert_false(commit_n(j, 10, 2));
    assert_int_equal(fg_journal_state(j), FG_JOURNAL_FAILED);
    fg_journal_close(j);
    disk_forget();
}

static void opening_reports_a_failing_disk(void **state)
{
    static const int errors[] = {EIO, ENOSPC};

    for (int e = 0; e < 4; e++) {
        uint64_t at = 1;

        for (;; at++) {
            struct fg_error err = {""};
            struct fg_journal *j;

            start_with(e < 2 ? 10 : 0); /* an old log, or none */
            disk.kinds = ~0u & ~(1u << CALL_REMOVE);
            disk.fail_errno = errors[e & 1];
            disk.fail_at = at;
            disk.fail_for = 1;
            j = open_on_disk(&err);
            if (j) {
                bool done = at > disk.calls;

                fg_journal_close(j);
                if (done)
                    break;
                continue;
            }
            assert_non_null(strstr(err.text, strerror(errors[e & 1])));
            disk.fail_at = 0;
            j = must_open(); /* nothing has to be cleaned up */
            assert_int_equal(fg_journal_last_seq(j), e < 2 ? 11 : 0);
            fg_journal_close(j);
        }
        assert_true(at > 3);
    }
    disk_forget();
}

/* In a process of its own: 0 = as expected, else the line that was not. */
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            _exit(1 + __LINE__ % 200);                                                             \
    } while (0)

static void full_tmpfs(void)
{
    struct fg_journal *j;
    char filler[128];
    int fd;
    static char bytes[4096];

    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("fg-test", scratch, "tmpfs", 0, "size=512k") < 0)
        _exit(77);
    snprintf(filler, sizeof(filler), "%s/filler", scratch);
    CHECK((j = open_at(log_dir, NULL)));
    CHECK(commit_n(j, 900, 1));
    CHECK((fd = open(filler, O_WRONLY | O_CREAT, 0600)) >= 0);
    while (write(fd, bytes, sizeof(bytes)) == sizeof(bytes))
        ;
    CHECK(errno == ENOSPC);
    for (int i = 0; i < 3; i++) {
        CHECK(!commit_n(j, 300, 2));
        CHECK(fg_journal_state(j) == FG_JOURNAL_FULL);
    }
    CHECK(commit_n(j, 100, 3)); /* there is room in the segment */
    CHECK(fg_journal_state(j) == FG_JOURNAL_OK);
    CHECK(!commit_n(j, 300, 4));
    CHECK(ftruncate(fd, 0) == 0);
    CHECK(commit_n(j, 300, 5));
    fg_journal_close(j);
    CHECK((j = open_at(log_dir, NULL)));
    CHECK(fg_journal_last_seq(j) == 901 + 101 + 301 && fg_journal_cut_records(j) == 0);
    fg_journal_close(j);
    CHECK(umount(scratch) < 0 || true);
    _exit(0);
}

static void a_real_full_disk_is_survived(void **state)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        full_tmpfs();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip(); /* no right to mount */
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_file_size_limit_is_a_full_disk(void **state)
{
    struct rlimit old, small;
    struct fg_journal *j = must_open();

    assert_true(commit_n(j, 1000, 1));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){.rlim_cur = SEGMENT / 2, .rlim_max = old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_false(commit_n(j, 100, 2));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(fg_journal_state(j), FG_JOURNAL_FULL);
    assert_non_null(strstr(fg_journal_error(j), "File too large"));
    assert_true(commit_n(j, 100, 3));
    fg_journal_close(j);
}

/* ---- the committer on such disks ------------------------------------------------------------- */

static void the_committer_keeps_its_batch_while_the_disk_is_full(void **state)
{
    struct fg_error err = {""};
    struct fg_ring *rings[2] = {fg_ring_create(64), fg_ring_create(64)};
    struct fg_journal_watermark *marks = aligned_alloc(64, 2 * sizeof(*marks));
    struct fg_journal_committer c;
    struct fg_journal_record r = {.type = FG_JOURNAL_RECORD_RESERVED};
    struct fg_journal *j;

    memset(marks, 0, 2 * sizeof(*marks));
    start_with(10);
    j = open_on_disk(&err);
    assert_true(fg_journal_committer_init(&c, j, rings, marks, 2, 0, &err));
    assert_int_equal(c.durable_seq, 11);
    disk.kinds = 1 << CALL_WRITE;
    disk.fail_errno = ENOSPC;
    disk.fail_at = 1;
    disk.fail_for = UINT64_MAX;
    for (r.arg = 0; r.arg < 5; r.arg++)
        fg_ring_push(rings[r.arg % 2], &r);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fg_journal_committer_step(&c, 1), 0);
        assert_int_equal(c.state, FG_JOURNAL_FULL);
        assert_int_equal(c.held, 5);
        assert_int_equal(marks[0].durable + marks[1].durable, 0);
    }
    fg_ring_push(rings[0], &r); /* comes after what is held */
    disk.fail_at = 0;
    assert_int_equal(fg_journal_committer_step(&c, 1), 5);
    assert_int_equal(c.state, FG_JOURNAL_OK);
    assert_int_equal(marks[0].durable, 3);
    assert_int_equal(marks[1].durable, 2);
    assert_int_equal(c.durable_seq, 17);
    assert_int_equal(fg_journal_committer_step(&c, 1), 1);
    assert_int_equal(marks[0].durable, 4);
    assert_int_equal(read_all(log_dir, got, c.durable_seq, &err), 19);

    disk.kinds = 1 << CALL_SYNC; /* then it breaks */
    disk.fail_errno = EIO;
    disk.fail_at = disk.calls + 1;
    disk.fail_for = 2; /* a write, which is not of this kind, and its sync */
    fg_ring_push(rings[1], &r);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fg_journal_committer_step(&c, 1), 0);
        assert_int_equal(c.state, FG_JOURNAL_FAILED);
    }
    assert_int_equal(marks[1].durable, 2);
    assert_int_equal(c.durable_seq, 19);
    fg_journal_committer_free(&c);
    fg_journal_close(j);
    fg_ring_destroy(rings[0]);
    fg_ring_destroy(rings[1]);
    free(marks);
    disk_forget();
}

/* Two batches under way: the watermarks move in order, and both are kept when the first fails. */
static void two_batches_under_way_count_in_order(void **state)
{
    struct fg_error err = {""};
    struct fg_ring *ring = fg_ring_create(64);
    struct fg_journal_watermark *mark = aligned_alloc(64, sizeof(*mark));
    struct fg_journal_committer c;
    struct fg_journal_record r = {.type = FG_JOURNAL_RECORD_RESERVED};
    struct fg_journal *j;
    uint64_t orders = 0, order = 0;
    ssize_t n;

    memset(mark, 0, sizeof(*mark));
    start_with(10);
    do { /* of a log that has all of its room prepared */
        j = open_by(FG_JOURNAL_WAY_URING, &err);
        assert_true(fg_journal_committer_init(&c, j, &ring, mark, 1, 0, &err));
        assert_int_equal(c.depth, 2);
        atomic_store(&mark->durable, 0);
        for (unsigned i = 0; i < 2; i++, r.arg++) { /* the first one goes alone, to a border */
            fg_ring_push(ring, &r);
            orders += fg_journal_committer_step(&c, 1);
        }
        fg_ring_push(ring, &r);
        orders += fg_journal_committer_begin(&c, 1);
        r.arg++;
        fg_ring_push(ring, &r);
        orders += fg_journal_committer_begin(&c, 1);
        r.arg++;
        if (flights_up() == 2)
            break;
        while (fg_journal_committer_end(&c, UINT_MAX))
            ;
        fg_journal_close(j);
    } while (true);
    assert_int_equal(fg_journal_committer_under_way(&c), 2);
    fg_ring_push(ring, &r);
    assert_int_equal(fg_journal_committer_begin(&c, 1), 0); /* no third one */
    assert_int_equal(mark->durable, 2);
    disk.kinds = 1 << CALL_LAND | 1 << CALL_WRITE;
    disk.fail_errno = ENOSPC;
    disk.fail_at = disk.calls + 1;
    disk.fail_for = 8; /* with the taking back, and the next attempt */
    while (fg_journal_committer_under_way(&c))
        assert_int_equal(fg_journal_committer_end(&c, UINT_MAX), 0);
    assert_int_equal(c.state, FG_JOURNAL_FULL);
    assert_int_equal(c.held, 2);
    assert_int_equal(mark->durable, 2);
    while (mark->durable < 5) {
        fg_journal_committer_begin(&c, 1);
        fg_journal_committer_end(&c, UINT_MAX);
    }
    assert_int_equal(c.state, FG_JOURNAL_OK);
    n = read_all(log_dir, got, c.durable_seq, &err);
    assert_int_equal(n, c.durable_seq);
    for (ssize_t i = 11; i < n; i++) /* each once, in their order */
        if (got[i].type != FG_JOURNAL_RECORD_BATCH)
            assert_int_equal(got[i].arg, order++);
    assert_int_equal(order, r.arg + 1);

    for (unsigned i = 0; i < 2; i++) { /* then it breaks */
        fg_ring_push(ring, &r);
        fg_journal_committer_begin(&c, 1);
    }
    disk.kinds = 1 << CALL_LAND;
    disk.fail_errno = EIO;
    disk.fail_at = disk.calls + 1;
    disk.fail_for = 1; /* only one of two */
    while (fg_journal_committer_end(&c, UINT_MAX))
        ;
    assert_int_equal(c.state, FG_JOURNAL_FAILED);
    assert_int_equal(flights_up(), 0);
    assert_true(mark->durable < 7);
    n = (ssize_t)disk.calls;
    assert_int_equal(fg_journal_committer_begin(&c, 1), 0);
    assert_int_equal(fg_journal_committer_end(&c, UINT_MAX), 0);
    assert_int_equal(disk.calls, n); /* the disk is not touched again */
    fg_journal_committer_free(&c);
    fg_journal_close(j);
    fg_ring_destroy(ring);
    free(mark);
    disk_forget();
}

/* ---- power cuts ------------------------------------------------------------------------------ */

enum { TRIED_MAX = 256 };

struct attempt {
    uint64_t nonce;
    size_t n;
    int after; /* the one that was under way when this began; -1 = none */
};

struct story {
    uint64_t user[READ_MAX], arg[READ_MAX]; /* acknowledged, by sequence - 1 */
    uint64_t acked;
    struct attempt tried[TRIED_MAX]; /* since the last acknowledgement */
    size_t tries;
    size_t flying[FG_JOURNAL_FLIGHTS]; /* of tried: under way, oldest first */
    unsigned flights, buffer;
    uint64_t seed, nonce, cuts, kills, full, torn, prefix, second;
    enum fg_journal_way way;
    char wrong[256]; /* the first thing that must not be */
};

static bool wrong(struct story *s, const char *what, uint64_t seq)
{
    if (!s->wrong[0])
        snprintf(s->wrong, sizeof(s->wrong), "seed %" PRIu64 ": record %" PRIu64 ": %s", s->seed,
                 seq, what);
    return false;
}

static uint64_t user_of(const struct fg_journal_record *r)
{
    return r->type == FG_JOURNAL_RECORD_BATCH ? r->time_ms : r->user;
}

static uint64_t arg_of(const struct fg_journal_record *r)
{
    return r->type == FG_JOURNAL_RECORD_BATCH ? 0 : r->arg;
}

/*
 * Beyond what was acknowledged the log may hold a beginning of one attempt, or a whole one and a
 * beginning of the one that was begun while it was under way: never a mixture, nor the second
 * without the first.
 */
static bool continues(struct story *s, size_t attempt, ssize_t from, ssize_t n)
{
    const struct attempt *a = &s->tried[attempt];

    for (ssize_t i = from; i < n; i++) {
        uint64_t k = (uint64_t)(i - from);

        if (k > a->n && (got[i].type != FG_JOURNAL_RECORD_BATCH || got[i].time_ms != a->nonce)) {
            for (size_t next = attempt + 1; next < s->tries; next++)
                if (s->tried[next].after == (int)attempt && continues(s, next, i, n)) {
                    s->second++;
                    return true;
                }
            return false;
        }
        if (k == 0 ? got[i].type != FG_JOURNAL_RECORD_BATCH || got[i].time_ms != a->nonce
                   : k <= a->n && (got[i].user != a->nonce || got[i].arg != k - 1))
            return false;
    }
    return true;
}

static bool explained(struct story *s, ssize_t n)
{
    bool ok = (uint64_t)n == s->acked;

    for (size_t i = 0; i < s->tries && !ok; i++)
        ok = s->tried[i].after < 0 && continues(s, i, (ssize_t)s->acked, n);
    return ok;
}

static bool check_story(struct story *s, struct fg_journal *j)
{
    struct fg_error err = {""};
    ssize_t n = read_all(log_dir, got, UINT64_MAX, &err);

    if (n < 0)
        return wrong(s, err.text, 0);
    assert_int_equal(n, fg_journal_last_seq(j));
    if ((uint64_t)n < s->acked)
        return wrong(s, "was acknowledged and is lost", (uint64_t)n + 1);
    for (uint64_t i = 0; i < s->acked; i++)
        if (user_of(&got[i]) != s->user[i] || arg_of(&got[i]) != s->arg[i])
            return wrong(s, "is not what was acknowledged", i + 1);
    if (!explained(s, n))
        return wrong(s, "behind the last that was acknowledged: never begun like this",
                     s->acked + 1);
    s->torn += fg_journal_cut_records(j) > 0;
    s->prefix += (uint64_t)n > s->acked;
    for (uint64_t i = s->acked; i < (uint64_t)n; i++) { /* it is the truth from now on */
        s->user[i] = user_of(&got[i]);
        s->arg[i] = arg_of(&got[i]);
    }
    s->acked = (uint64_t)n;
    s->tries = 0;
    s->flights = 0;
    s->buffer = 0;
    return true;
}

static size_t new_attempt(struct story *s)
{
    struct attempt a = {.nonce = ++s->nonce,
                        .n = rnd(3) ? 1 + rnd(40) : 1 + rnd(1500),
                        .after = s->flights ? (int)s->flying[s->flights - 1] : -1};

    assert_true(s->tries < TRIED_MAX);
    s->tried[s->tries] = a;
    return s->tries++;
}

/* The log ends with that attempt now; what is under way stays tried. */
static void acknowledged(struct story *s, struct fg_journal *j, struct attempt a)
{
    uint64_t end = fg_journal_last_seq(j);

    for (uint64_t i = s->acked, k = 0; i < end; i++, k++) {
        s->user[i] = a.nonce;
        s->arg[i] = k && k <= a.n ? k - 1 : 0;
    }
    s->acked = end;
    for (unsigned i = 0; i < s->flights; i++) {
        s->tried[i] = s->tried[s->flying[i]];
        s->tried[i].after = (int)i - 1;
        s->flying[i] = i;
    }
    s->tries = s->flights;
}

static void commit_some(struct story *s, struct fg_journal *j)
{
    struct attempt a = s->tried[new_attempt(s)];

    if (commit_n(j, a.n, a.nonce))
        acknowledged(s, j, a);
    else
        s->full += fg_journal_state(j) == FG_JOURNAL_FULL;
}

static void begin_some(struct story *s, struct fg_journal *j)
{
    size_t attempt = new_attempt(s);
    struct attempt a = s->tried[attempt];
    unsigned buffer = s->buffer;

    fill_records(fg_journal_positions(j, buffer, a.n), a.n, a.nonce);
    if (fg_journal_begin(j, buffer, a.n, a.nonce)) {
        s->flying[s->flights++] = attempt;
        s->buffer = !buffer;
        return;
    }
    s->full += fg_journal_state(j) == FG_JOURNAL_FULL;
    if (fg_journal_state(j) == FG_JOURNAL_OK) { /* the one before has to end first */
        assert_true(s->flights > 0);
        s->tries--;
    }
}

static void end_some(struct story *s, struct fg_journal *j)
{
    struct attempt a = s->tried[s->flying[0]];
    uint64_t before = fg_journal_last_seq(j);
    int ended = fg_journal_end(j, rnd(2) ? UINT_MAX : 0);

    if (ended > 0) {
        assert_true(fg_journal_last_seq(j) >= s->acked + a.n + 1);
        s->flying[0] = s->flying[1];
        s->flights--;
        acknowledged(s, j, a);
    } else if (ended < 0) {
        assert_int_equal(fg_journal_last_seq(j), before);
        s->full += fg_journal_state(j) == FG_JOURNAL_FULL;
        s->flights = 0;
        s->buffer = 0;
    }
}

static void work_some(struct story *s, struct fg_journal *j)
{
    if (s->way == FG_JOURNAL_WAY_PLAIN)
        commit_some(s, j);
    else if (s->flights == 0 || (s->flights < FG_JOURNAL_FLIGHTS && rnd(2)))
        begin_some(s, j);
    else
        end_some(s, j);
}

/* Power goes at call `at`: from then on every call fails and changes nothing. */
static void live_until_cut(struct story *s, struct fg_journal *j, uint64_t at)
{
    while (disk.calls < at && s->acked < READ_MAX - 6000) {
        disk.kinds = ~0u;
        disk.fail_at = at;
        disk.fail_for = UINT64_MAX;
        disk.fail_errno = EIO;
        if (rnd(6) == 0) { /* or the disk is full for a while before */
            disk.kinds = 1 << CALL_CREATE | 1 << CALL_ALLOCATE | 1 << CALL_WRITE |
                         1 << CALL_SUBMIT | 1 << CALL_LAND;
            disk.fail_errno = ENOSPC;
            disk.fail_at = disk.calls + 1 + rnd(4);
            disk.fail_for = 1 + rnd(3);
            disk.half = rnd(2);
        }
        work_some(s, j);
        if (fg_journal_state(j) == FG_JOURNAL_FAILED)
            return;
    }
}

static void power_cuts(uint64_t seed, struct story *s, enum fg_journal_way way, enum canary canary)
{
    *s = (struct story){.seed = seed, .way = way};
    rng = seed;
    disk_forget();
    disk.canary = canary;
    remove_tree(log_dir);
    for (int life = 0; life < 12 && !s->wrong[0]; life++) {
        struct fg_error err = {""};
        struct fg_journal *j;
        uint64_t at = 1 + rnd(rnd(2) ? 30 : 8); /* often just after a recovery */

        disk.calls = 0;
        disk.lossy = rnd(2);
        disk.kinds = ~0u;
        disk.fail_errno = EIO;
        disk.fail_for = UINT64_MAX;
        disk.fail_at = rnd(3) ? 0 : at; /* one in three: already while it recovers */
        j = open_by(way, &err);
        if (!j && !(disk.fail_at && disk.calls >= at))
            wrong(s, err.text, 0);
        if (j) {
            if (check_story(s, j))
                live_until_cut(s, j, at);
            if (fg_journal_state(j) == FG_JOURNAL_OK && rnd(4) == 0)
                disk.fail_at = 0; /* a clean end, or nearly */
            fg_journal_close(j);
        }
        if (rnd(3) == 0) { /* only the process dies: the page cache lives on */
            s->kills++;
            continue;
        }
        cut_power();
        restart_after_cut();
        s->cuts++;
    }
}

static void search(enum fg_journal_way way, uint64_t count)
{
    static struct story s;
    uint64_t first = 1, torn = 0, full = 0, cuts = 0, kills = 0, prefix = 0, second = 0,
             records = 0, together = 0, overtaken = 0, shorts = 0;

    if (getenv("FG_SEED"))
        first = strtoull(getenv("FG_SEED"), NULL, 10), count = 1;
    if (getenv("FG_SEEDS"))
        count = strtoull(getenv("FG_SEEDS"), NULL, 10);
    for (uint64_t seed = first; seed < first + count; seed++) {
        power_cuts(seed, &s, way, SOUND);
        if (s.wrong[0])
            fail_msg("%s", s.wrong);
        torn += s.torn;
        full += s.full;
        cuts += s.cuts;
        kills += s.kills;
        prefix += s.prefix;
        second += s.second;
        records += s.acked;
        together += disk.flown_together;
        overtaken += disk.overtaken;
        shorts += disk.shorts;
        disk_forget();
    }
    print_message("# %s: %" PRIu64 " power cuts, %" PRIu64 " kills, %" PRIu64
                  " torn tails, %" PRIu64 " unacknowledged prefixes kept, %" PRIu64
                  " full disks, %" PRIu64 " records; %" PRIu64
                  " commits overlapped another, %" PRIu64 " overtook it, %" PRIu64
                  " were written in parts, %" PRIu64 " prefixes reached into the second of two\n",
                  fg_journal_way_name(way), cuts, kills, torn, prefix, full, records, together,
                  overtaken, shorts, second);
    if (count <= 100)
        return;
    assert_true(torn > 50); /* it found what it looks for */
    assert_true(prefix > 50);
    assert_true(full > 50);
    if (way == FG_JOURNAL_WAY_PLAIN)
        return;
    assert_true(together > 1000);
    assert_true(overtaken > 200);
    assert_true(shorts > 50);
    assert_true(second > 20);
}

static void power_cuts_lose_nothing_and_invent_nothing(void **state)
{
    search(FG_JOURNAL_WAY_PLAIN, 1200);
}

static void power_cuts_with_two_commits_under_way(void **state)
{
    search(FG_JOURNAL_WAY_URING, 2400);
}

/* Each would pass a search that does not look. */
static void the_search_finds_what_is_wrong_on_purpose(void **state)
{
    static struct story s;

    for (enum canary canary = SWAPS; canary <= VOUCHES; canary++) {
        uint64_t seed = 1;

        for (s.wrong[0] = 0; !s.wrong[0] && seed <= 400; seed++) {
            power_cuts(seed, &s, FG_JOURNAL_WAY_URING, canary);
            disk_forget();
        }
        print_message("# canary %d: %s\n", canary, s.wrong);
        assert_true(s.wrong[0]);
    }
}

/* A folder that is moved away, and one over which another is mounted, look alike from here: the
 * name leads elsewhere, and the open files still take everything. */
static void a_log_that_was_taken_away_acknowledges_nothing(void **state)
{
    static const size_t sizes[] = {5, 7, 2000};
    static const uint64_t nonces[] = {1, 2, 3};
    struct fg_error err = {""};
    struct fg_journal *j = must_open();
    char aside[120];

    snprintf(aside, sizeof(aside), "%s-aside", log_dir);
    assert_true(commit_n(j, 5, 1));
    for (int stand_in = 0; stand_in < 2; stand_in++) {
        size_t n = sizes[1 + stand_in];
        uint64_t last = fg_journal_last_seq(j);

        assert_int_equal(rename(log_dir, aside), 0);
        if (stand_in) {
            struct fg_journal *other = must_open(); /* with segments of the same names */

            assert_true(commit_n(other, 5, 1));
            fg_journal_close(other);
        }
        assert_false(commit_n(j, n, 2 + (uint64_t)stand_in));
        assert_int_equal(fg_journal_state(j), FG_JOURNAL_GONE);
        assert_non_null(strstr(fg_journal_error(j), log_dir));
        assert_false(commit_n(j, n, 2 + (uint64_t)stand_in));
        assert_int_equal(fg_journal_last_seq(j), last);
        remove_tree(log_dir);
        assert_int_equal(rename(aside, log_dir), 0);
        assert_true(commit_n(j, n, 2 + (uint64_t)stand_in)); /* the same again, once */
        assert_int_equal(fg_journal_state(j), FG_JOURNAL_OK);
    }
    fg_journal_close(j);
    expect_commits(0, read_all(log_dir, got, UINT64_MAX, &err), nonces, sizes, 3);
}

#define T(f) cmocka_unit_test_setup_teardown(f, make_scratch, drop_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(no_space_at_any_call_is_survived),
        T(any_other_failure_is_final),
        T(no_space_at_a_sync_is_final),
        T(opening_reports_a_failing_disk),
        T(a_real_full_disk_is_survived),
        T(a_file_size_limit_is_a_full_disk),
        T(the_committer_keeps_its_batch_while_the_disk_is_full),
        T(two_batches_under_way_count_in_order),
        T(a_log_that_was_taken_away_acknowledges_nothing),
        T(power_cuts_lose_nothing_and_invent_nothing),
        T(power_cuts_with_two_commits_under_way),
        T(the_search_finds_what_is_wrong_on_purpose),
    };
    return cmocka_run_group_tests_name("journal-faults", tests, NULL, NULL);
}
