/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/replication without sockets: the stream's messages, terms, and the memory file. The rest is
 * the business of tests/fault/test_replication.py. */
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "replication/internal.h"

static const struct fg_replication_terms terms = {
    .keys = 0x1122334455667788,
    .config = UINT64_MAX,
    .limits_len = 2,
    .limits = {{"orders_max", 1000000}, {"a_name_of_23_characters", UINT64_MAX}}};

/* ---- notices --------------------------------------------------------------------------------- */

static void notices_are_read_as_written(void **state)
{
    const struct fg_replication_notice told = {
        .type = FG_REPLICATION_NOTICE_TERMS, .node = 1, .terms = terms};
    const struct fg_replication_notice passed = {.type = FG_REPLICATION_NOTICE_PASSED,
                                                 .passed = 77};
    struct fg_replication_notice n;
    uint8_t bytes[FG_REPLICATION_NOTICE_MAX];
    size_t size = fg_replication_notice_write(&told, bytes);

    assert_true(fg_replication_notice_read(&n, bytes, size));
    assert_memory_equal(&n, &told, sizeof(n));
    size = fg_replication_notice_write(&passed, bytes);
    assert_true(fg_replication_notice_read(&n, bytes, size));
    assert_memory_equal(&n, &passed, sizeof(n));
}

static void files_are_read_as_written(void **state)
{
    const struct fg_replication_notice offer = {.type = FG_REPLICATION_NOTICE_OFFER,
                                                .file = FG_REPLICATION_ALLOW_LIST,
                                                .version = UINT64_MAX,
                                                .bytes = 1ull << 40};
    struct fg_replication_notice get = {.type = FG_REPLICATION_NOTICE_GET, .bytes = 4096};
    struct fg_replication_notice piece = {
        .type = FG_REPLICATION_NOTICE_PIECE, .version = 9, .offset = 1ull << 33};
    static uint8_t bytes[FG_REPLICATION_PIECE_HEAD + FG_REPLICATION_PIECE_MAX + 8];
    static const uint64_t sizes_of[] = {1, 7, 8, 9, FG_REPLICATION_PIECE_MAX};
    struct fg_replication_notice n;

    assert_true(fg_replication_notice_read(&n, bytes, fg_replication_notice_write(&offer, bytes)));
    assert_memory_equal(&n, &offer, sizeof(n));
    for (get.offset = 0; get.offset <= 2048; get.offset += 2048) {
        assert_true(
            fg_replication_notice_read(&n, bytes, fg_replication_notice_write(&get, bytes)));
        assert_memory_equal(&n, &get, sizeof(n));
    }
    get.offset = 0;
    assert_int_equal(fg_replication_notice_write(&get, bytes), FG_REPLICATION_PIECE_HEAD - 8);
    for (unsigned i = 0; i < sizeof(sizes_of) / sizeof(sizes_of[0]); i++) {
        size_t size = fg_replication_piece_size(sizes_of[i]);

        piece.bytes = sizes_of[i];
        assert_int_equal(fg_replication_notice_write(&piece, bytes), FG_REPLICATION_PIECE_HEAD);
        assert_int_equal(size % 8, 0);
        assert_true(fg_replication_notice_read(&n, bytes, size));
        assert_ptr_equal(n.tail, bytes + FG_REPLICATION_PIECE_HEAD);
        assert_true(n.bytes == piece.bytes && n.offset == piece.offset && n.version == 9);
        assert_false(fg_replication_notice_read(&n, bytes, size - 8));
        for (size_t at = 0; at < FG_REPLICATION_PIECE_HEAD; at++) {
            bytes[at] ^= 4;
            assert_false(fg_replication_notice_read(&n, bytes, size));
            bytes[at] ^= 4;
        }
    }
}

/* No byte may be another one, and none may be missing. */
static void damaged_notices_are_refused(void **state)
{
    const struct fg_replication_notice told = {
        .type = FG_REPLICATION_NOTICE_TERMS, .node = 1, .terms = terms};
    struct fg_replication_notice n;
    uint8_t bytes[FG_REPLICATION_NOTICE_MAX];
    size_t size = fg_replication_notice_write(&told, bytes);

    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 4;
        assert_false(fg_replication_notice_read(&n, bytes, size));
        bytes[i] ^= 4;
        assert_false(fg_replication_notice_read(&n, bytes, i));
    }
    assert_true(fg_replication_notice_read(&n, bytes, size));
}

static void terms_beyond_their_range_are_refused(void **state)
{
    struct fg_replication_notice told = {
        .type = FG_REPLICATION_NOTICE_TERMS, .node = 2, .terms = terms};
    struct fg_replication_notice n;
    uint8_t bytes[FG_REPLICATION_NOTICE_MAX];

    assert_false(fg_replication_notice_read(&n, bytes, fg_replication_notice_write(&told, bytes)));
    told.node = 0;
    told.terms.limits[0].name[3] = '\n';
    assert_false(fg_replication_notice_read(&n, bytes, fg_replication_notice_write(&told, bytes)));
}

/* ---- the stream ------------------------------------------------------------------------------ */

static uint8_t stream[1 << 20];
static size_t sizes[64], count, total;

static void add_message(void)
{
    const struct fg_replication_notice n = {
        .type = FG_REPLICATION_NOTICE_TERMS, .node = 1, .terms = terms};
    struct fg_pair_message m = {.type = FG_PAIR_TYPE_RECORDS, .epoch = 3};

    if (count % 3 == 0) {
        sizes[count] = fg_replication_notice_write(&n, stream + total);
    } else {
        m.count = count % 3 == 1 ? FG_PAIR_RECORDS_MAX : 1;
        sizes[count] =
            fg_pair_message_write(&m, stream + total) + (size_t)m.count * FG_PAIR_RECORD_SIZE;
    }
    total += sizes[count++];
}

/* Takes what is whole. Messages that were taken so far. */
static size_t take(struct fg_replication_inbox *in, size_t taken, size_t *at)
{
    const uint8_t *bytes;
    size_t size;
    enum fg_replication_found found;

    while ((found = fg_replication_inbox_first(in, &bytes, &size)) != FG_REPLICATION_NOTHING) {
        assert_int_equal(found, taken % 3 == 0 ? FG_REPLICATION_NOTICE : FG_REPLICATION_PAIR);
        assert_int_equal(size, sizes[taken]);
        assert_memory_equal(bytes, stream + *at, size);
        assert_int_equal((uintptr_t)bytes % 8, 0);
        fg_replication_inbox_drop(in, size);
        *at += size;
        taken++;
    }
    return taken;
}

static void messages_arrive_in_parts(void **state)
{
    struct fg_replication_inbox in = {aligned_alloc(64, FG_REPLICATION_INBOX_SIZE), 0, 0};
    uint64_t random = 5;

    count = total = 0;
    while (count < 20)
        add_message();
    for (unsigned round = 0; round < 200; round++) {
        size_t sent = 0, taken = 0, at = 0;

        in.from = in.to = 0;
        while (sent < total) {
            size_t room, n;
            uint8_t *to = fg_replication_inbox_room(&in, &room);

            assert_true(room > 0);
            random = fg_mix64(random, round);
            n = round == 0 ? 1 + random % 40
                           : 1 + random % (1 + random % FG_REPLICATION_INBOX_SIZE);
            n = n < room ? n : room;
            n = n < total - sent ? n : total - sent;
            memcpy(to, stream + sent, n);
            fg_replication_inbox_came(&in, n);
            sent += n;
            taken = take(&in, taken, &at);
        }
        assert_int_equal(taken, count);
    }
    free(in.bytes);
}

static enum fg_replication_found found_in(const void *bytes, size_t size)
{
    struct fg_replication_inbox in = {aligned_alloc(64, FG_REPLICATION_INBOX_SIZE), 0, 0};
    const uint8_t *first;
    enum fg_replication_found found;

    memcpy(in.bytes, bytes, size);
    fg_replication_inbox_came(&in, size);
    found = fg_replication_inbox_first(&in, &first, &size);
    free(in.bytes);
    return found;
}

static void garbage_is_no_message(void **state)
{
    struct fg_pair_message m = {.type = FG_PAIR_TYPE_ACK, .epoch = 3};
    uint8_t bytes[FG_PAIR_HEAD_MAX];
    size_t size = fg_pair_message_write(&m, bytes);

    assert_int_equal(found_in("GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n", 35),
                     FG_REPLICATION_GARBAGE);
    assert_int_equal(found_in(bytes, size), FG_REPLICATION_PAIR);
    assert_int_equal(found_in(bytes, size - 1), FG_REPLICATION_NOTHING);
    bytes[5] = 99; /* a type that there is not */
    assert_int_equal(found_in(bytes, size), FG_REPLICATION_GARBAGE);
    bytes[5] = FG_PAIR_TYPE_ACK;
    bytes[10] = 1; /* another size */
    assert_int_equal(found_in(bytes, size), FG_REPLICATION_GARBAGE);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void the_newest_register_is_remembered(void **state)
{
    char dir[] = "/tmp/fg-replication-XXXXXX", below[64], path[96];
    struct fg_pair_memory memory = {1, 1};
    struct fg_error err = {""};
    FILE *f;

    assert_non_null(mkdtemp(dir));
    snprintf(below, sizeof(below), "%s/log", dir);
    assert_true(fg_replication_memory_read(below, &memory, &err)); /* no log yet */
    assert_true(memory.revision == 0 && memory.epoch == 0);
    memory = (struct fg_pair_memory){INT64_MAX, UINT64_MAX};
    assert_true(fg_replication_memory_write(below, &memory, &err)); /* makes the folder */
    memory = (struct fg_pair_memory){81, 7};
    assert_true(fg_replication_memory_write(below, &memory, &err));
    memory = (struct fg_pair_memory){0};
    assert_true(fg_replication_memory_read(below, &memory, &err));
    assert_true(memory.revision == 81 && memory.epoch == 7);

    snprintf(path, sizeof(path), "%s/%s", below, FG_REPLICATION_MEMORY_NAME);
    f = fopen(path, "w");
    fputs("floodgate-pair-memory 1 revision 81", f);
    fclose(f);
    assert_false(fg_replication_memory_read(below, &memory, &err));
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, "damaged"));
    f = fopen(path, "w");
    fputs("floodgate-pair-memory 2 revision 81 epoch 7 witness 3\n", f);
    fclose(f);
    assert_false(fg_replication_memory_read(below, &memory, &err));
    assert_non_null(strstr(err.text, "pair.memory: format version 2, this program reads 1"));
    unlink(path);
    rmdir(below);
    rmdir(dir);
    assert_false(fg_replication_memory_write("/proc/none", &memory, &err));
}

static void digests(void **state)
{
    uint64_t a = fg_replication_digest(0, "key", 3), b = fg_replication_digest(a, "other", 5);

    assert_true(a && b && a != b);
    assert_true(fg_replication_digest(0, "key", 3) == a);
    assert_true(fg_replication_digest(1, "key", 3) != a);
    assert_true(fg_replication_digest(0, NULL, 0) != a);
}

/* ---- files ----------------------------------------------------------------------------------- */

static char dir[64];

static int make_dir(void **state)
{
    snprintf(dir, sizeof(dir), "/tmp/fg-replication-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static int drop_dir(void **state)
{
    return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static bool is_there(const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

/* Gives the keeper a snapshot of some bytes, and waits for its verdict. */
static enum fg_replication_kept keep(struct fg_replication_keeper *k, int wake_fd, uint64_t version,
                                     const char *text)
{
    enum fg_replication_kept kept;
    uint64_t written, rung;

    assert_true(fg_replication_keeper_begin(k, FG_REPLICATION_SNAPSHOT, version, strlen(text)) &&
                fg_replication_keeper_put(k, (const uint8_t *)text, strlen(text)));
    alarm(60);
    while ((kept = fg_replication_keeper_progress(k, &written)) == FG_REPLICATION_KEEPING)
        assert_int_equal(read(wake_fd, &rung, sizeof(rung)), sizeof(rung));
    alarm(0);
    return kept;
}

static bool usable(void *ctx, const char *path, uint64_t version, struct fg_error *err)
{
    char text[8] = "";
    FILE *f = fopen(path, "r");

    assert_non_null(f);
    assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
    fclose(f);
    return strcmp(text, "good") == 0 || fg_fail(err, "bad %d", (int)version);
}

/* It has no name: the next start does not take it, and it can be fetched again. */
static void a_snapshot_of_no_use_is_not_kept(void **state)
{
    const struct fg_replication_hooks hooks = {.usable = usable};
    int wake_fd = eventfd(0, EFD_CLOEXEC);
    struct fg_replication_keeper *k = fg_replication_keeper_start(dir, wake_fd, &hooks, NULL);
    struct fg_replication *r = calloc(1, sizeof(*r));

    assert_true(k && r);
    assert_int_equal(keep(k, wake_fd, 7, "ugly"), FG_REPLICATION_NOT_KEPT);
    assert_non_null(strstr(fg_replication_keeper_error(k), "bad 7"));
    assert_false(is_there("fill/part") || is_there("fill/00000000000000000007.fgs"));
    assert_int_equal(keep(k, wake_fd, 8, "good"), FG_REPLICATION_KEPT);
    assert_false(is_there("fill/part"));
    assert_true(is_there("fill/00000000000000000008.fgs"));
    r->keeper = k;
    pthread_mutex_init(&r->mutex, NULL);
    assert_true(fg_replication_show(r)); /* `fgctl pair force` says so */
    assert_true(r->view.fill.seq == 8 && r->view.fill.bytes == 4 && r->view.fill.of == 4);
    pthread_mutex_destroy(&r->mutex);
    free(r);
    fg_replication_keeper_stop(k);
    close(wake_fd);
}

/* Not after all of it has come. */
static void a_disk_that_is_too_small_says_so_at_once(void **state)
{
    const struct fg_replication_hooks hooks = {.usable = NULL};
    int wake_fd = eventfd(0, EFD_CLOEXEC);
    struct fg_replication_keeper *k = fg_replication_keeper_start(dir, wake_fd, &hooks, NULL);
    struct rlimit before, small;
    uint64_t written, rung;

    assert_non_null(k);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 1 << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_true(fg_replication_keeper_begin(k, FG_REPLICATION_SNAPSHOT, 7, 2 << 20));
    alarm(60);
    while (fg_replication_keeper_progress(k, &written) == FG_REPLICATION_KEEPING)
        assert_int_equal(read(wake_fd, &rung, sizeof(rung)), sizeof(rung));
    alarm(0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(fg_replication_keeper_progress(k, &written), FG_REPLICATION_NOT_KEPT);
    assert_non_null(strstr(fg_replication_keeper_error(k), strerror(EFBIG)));
    assert_false(is_there("fill/part"));
    fg_replication_keeper_stop(k);
    close(wake_fd);
}

/* A link that ends in the middle of a fill, again and again. */
static void fills_that_fail_come_less_often(void **state)
{
    struct fg_replication *r = calloc(1, sizeof(*r));
    uint64_t wait_ms = 5000;

    assert_non_null(r);
    for (unsigned f = 0; f < FG_REPLICATION_FILES; f++)
        r->gives[f].fd = -1;
    for (int i = 0; i < 9; i++) {
        r->now_ms += 1000000;
        r->now.state = FG_PAIR_STATE_FILLING;
        fg_replication_fill_begin(r);
        r->take.asked = true;
        r->files_link = 1; /* and now there is none */
        fg_replication_files_pass(r);
        assert_false(r->filling);
        assert_int_equal(r->fill_ms, r->now_ms + wait_ms);
        wait_ms = wait_ms * 2 < 300000 ? wait_ms * 2 : 300000;
    }
    wait_ms = r->fill_ms;
    fg_replication_fill_begin(r);
    r->files_link = 1; /* during the wait */
    fg_replication_files_pass(r);
    assert_false(r->filling);
    assert_int_equal(r->fill_ms, wait_ms);
    free(r);
}

static uint64_t kept_so_far(struct fg_replication *r)
{
    uint64_t kept = 0;

    assert_int_equal(fg_replication_keeper_progress(r->keeper, &kept), FG_REPLICATION_KEEPING);
    return kept;
}

/* What has come stays when the link breaks, and the next fill asks for the rest. */
static void a_fill_that_was_cut_off_is_resumed(void **state)
{
    static const uint8_t piece[FG_REPLICATION_PIECE_MAX] = {1};
    struct fg_replication *r = calloc(1, sizeof(*r));
    struct fg_replication_slot *slot = calloc(1, sizeof(*slot));
    int wake_fd = eventfd(0, EFD_CLOEXEC);
    struct fg_replication_notice offer = {.type = FG_REPLICATION_NOTICE_OFFER,
                                          .file = FG_REPLICATION_SNAPSHOT,
                                          .version = 7,
                                          .bytes = 4 * sizeof(piece)};

    assert_true(r && slot);
    for (unsigned f = 0; f < FG_REPLICATION_FILES; f++)
        r->gives[f].fd = -1;
    r->keeper = fg_replication_keeper_start(dir, wake_fd, &r->hooks, NULL);
    r->peer_takes_files = r->peer_resumes = true;
    r->now.state = FG_PAIR_STATE_FILLING;
    for (unsigned life = 1; life <= 3; life++) {
        r->now_ms += 1000000;
        slot->link.number = life;
        r->current = slot; /* a link that is not open: what is said is lost */
        fg_replication_files_pass(r);
        r->broken[0] = 0;
        fg_replication_fill_begin(r);
        fg_replication_files_pass(r);
        offer.version += life == 3; /* the leader has no more what there is a part of */
        assert_null(fg_replication_files_notice(r, &offer));
        fg_replication_files_pass(r);
        assert_true(r->take.active && r->take.version == offer.version);
        assert_int_equal(r->take.from, life == 2 ? sizeof(piece) : 0);
        assert_int_equal(r->take.came, r->take.from);
        if (life == 3)
            break;
        assert_true(fg_replication_keeper_put(r->keeper, piece, sizeof(piece)));
        r->take.came += sizeof(piece);
        r->current = NULL;
        fg_replication_files_pass(r);
        assert_false(r->take.active);
        assert_true(r->part.version == 7 && r->part.came == life * sizeof(piece));
        assert_int_equal(r->fill_ms, r->now_ms + 5000); /* it got on: no longer than that */
        for (int tries = 0; kept_so_far(r) < life * sizeof(piece); tries++) {
            assert_true(tries < 60000);
            fg_clock_sleep_us(1000);
        }
    }
    assert_int_equal(r->part.version, 0);
    fg_replication_keeper_stop(r->keeper);
    close(wake_fd);
    free(slot);
    free(r);
}

static void a_list_that_is_too_large_is_not_taken(void **state)
{
    struct fg_replication *r = calloc(1, sizeof(*r));
    struct fg_replication_notice offer = {.type = FG_REPLICATION_NOTICE_OFFER,
                                          .file = FG_REPLICATION_BLOCK_LIST,
                                          .version = 5,
                                          .bytes = (1ull << 30) + 1};

    assert_non_null(r);
    assert_null(fg_replication_files_notice(r, &offer));
    assert_int_equal(r->offered_size[FG_REPLICATION_BLOCK_LIST], 0);
    offer.bytes = 1ull << 30;
    assert_null(fg_replication_files_notice(r, &offer));
    assert_int_equal(r->offered_size[FG_REPLICATION_BLOCK_LIST], 1ull << 30);
    free(r);
}

static void wait_until_gone(const char *name)
{
    for (int tries = 0; is_there(name); tries++) {
        assert_true(tries < 60000);
        fg_clock_sleep_us(1000);
    }
}

static void no_part_is_left(void **state)
{
    const struct fg_replication_hooks hooks = {.usable = NULL};
    int wake_fd = eventfd(0, EFD_CLOEXEC);
    struct fg_replication_keeper *k = fg_replication_keeper_start(dir, wake_fd, &hooks, NULL);
    uint64_t rung;

    assert_true(k && fg_replication_keeper_begin(k, FG_REPLICATION_SNAPSHOT, 7, 1000) &&
                fg_replication_keeper_put(k, (const uint8_t *)"some", 4));
    alarm(60);
    assert_int_equal(read(wake_fd, &rung, sizeof(rung)), sizeof(rung));
    alarm(0);
    assert_true(is_there("fill/part"));
    fg_replication_keeper_stop(k); /* the process ends in the middle */
    assert_true(is_there("fill/part"));
    k = fg_replication_keeper_start(dir, wake_fd, &hooks, NULL);
    wait_until_gone("fill/part");
    assert_true(k && fg_replication_keeper_begin(k, FG_REPLICATION_SNAPSHOT, 8, 1000) &&
                fg_replication_keeper_put(k, (const uint8_t *)"some", 4));
    alarm(60);
    assert_int_equal(read(wake_fd, &rung, sizeof(rung)), sizeof(rung));
    alarm(0);
    assert_true(is_there("fill/part"));
    fg_replication_keeper_drop(k);
    wait_until_gone("fill/part");
    assert_int_equal(keep(k, wake_fd, 9, "all"), FG_REPLICATION_KEPT);
    fg_replication_keeper_stop(k);
    close(wake_fd);
}

static void ask(struct fg_replication *r, uint64_t version)
{
    const struct fg_replication_notice get = {.type = FG_REPLICATION_NOTICE_GET,
                                              .file = FG_REPLICATION_SNAPSHOT};

    assert_null(fg_replication_files_notice(r, &get));
    assert_int_equal(r->gives[FG_REPLICATION_SNAPSHOT].version, version);
    assert_int_equal(r->fill_seq, version);
}

/* A leader with snapshots 5, 7 and 9, of so many bytes. */
static struct fg_replication *giver(off_t size)
{
    struct fg_replication *r = calloc(1, sizeof(*r));
    char path[128];

    assert_non_null(r);
    for (unsigned seq = 5; seq <= 9; seq += 2) {
        FILE *f;

        snprintf(path, sizeof(path), "%s/%020u.fgs", dir, seq);
        f = fopen(path, "w");
        assert_true(f && fclose(f) == 0 && truncate(path, size) == 0);
    }
    for (unsigned f = 0; f < FG_REPLICATION_FILES; f++)
        r->gives[f].fd = -1;
    snprintf(r->log_dir, sizeof(r->log_dir), "%s", dir);
    r->now.role = FG_PAIR_ROLE_SOLO;
    return r;
}

/* The peer had the newest one, and has no use for it. */
static void one_that_was_sent_whole_is_not_sent_again(void **state)
{
    struct fg_replication *r = giver(1);

    ask(r, 9);
    ask(r, 9);
    r->gave_whole = 9;
    ask(r, 7);
    r->gave_whole = 7;
    ask(r, 9);
    fg_replication_files_free(r);
    free(r);
}

static void get_some(struct fg_replication *r, uint64_t version, uint64_t offset, uint64_t bytes)
{
    const struct fg_replication_notice get = {.type = FG_REPLICATION_NOTICE_GET,
                                              .file = FG_REPLICATION_SNAPSHOT,
                                              .version = version,
                                              .offset = offset,
                                              .bytes = bytes};

    assert_null(fg_replication_files_notice(r, &get));
}

/* Not the newest one, also when its file has been removed; and only the rest of it. */
static void a_part_is_completed(void **state)
{
    struct fg_replication *r = giver(100000);
    struct fg_replication_give *g = &r->gives[FG_REPLICATION_SNAPSHOT];
    char path[128];

    get_some(r, 0, 0, 7);
    assert_true(g->version == 7 && g->told);
    get_some(r, 0, 0, 8); /* there is none */
    assert_true(g->version == 9 && g->size == 100000);
    get_some(r, 9, 0, 65536);
    assert_true(g->sent == 0 && g->until == 65536);
    g->sent = 65536;
    snprintf(path, sizeof(path), "%s/%020u.fgs", dir, 9u);
    assert_int_equal(unlink(path), 0);
    r->files_link = 1; /* and now there is none */
    fg_replication_files_pass(r);
    assert_true(!g->told && g->sent == 0 && g->until == 0);
    get_some(r, 0, 0, 9);
    assert_true(g->version == 9 && g->told);
    get_some(r, 9, 65536, 80000);
    assert_true(g->sent == 65536 && g->until == 80000);
    get_some(r, 9, 65536, 100000);
    assert_true(g->sent == 65536 && g->until == 100000);
    r->fill_end_ms = r->now_ms; /* the peer took nothing for so long */
    fg_replication_files_pass(r);
    assert_true(!r->fill_seq && g->fd < 0);
    fg_replication_files_free(r);
    free(r);
}

/* From its first acknowledgement on the peer needs what is behind, until it is in step. */
static void what_a_filled_peer_lacks_is_held(void **state)
{
    struct fg_replication *r = calloc(1, sizeof(*r));

    assert_non_null(r);
    r->now.role = FG_PAIR_ROLE_SOLO;
    r->now.state = FG_PAIR_STATE_SOLO;
    r->now_ms = 1000;
    r->fill_seq = r->now.peer_durable = 100;
    r->fill_end_ms = 601000;
    fg_replication_files_pass(r);
    assert_int_equal(r->fill_seq, 100);
    r->now_ms = 600000; /* it catches up, slowly */
    r->now.peer_durable = 150;
    fg_replication_files_pass(r);
    r->now_ms = 1199000;
    fg_replication_files_pass(r);
    assert_int_equal(r->fill_seq, 150);
    r->now_ms = 1200000;
    fg_replication_files_pass(r);
    assert_int_equal(r->fill_seq, 0); /* it does not */
    r->fill_seq = 150;
    r->fill_end_ms = 1800000;
    r->now.state = FG_PAIR_STATE_SYNC;
    fg_replication_files_pass(r);
    assert_int_equal(r->fill_seq, 0);
    free(r);
}

/* How far the follower lets the leader send before anything is kept. */
static uint64_t asked_for(enum fg_replication_file file)
{
    struct fg_replication *r = calloc(1, sizeof(*r));
    int wake_fd = eventfd(0, EFD_CLOEXEC);
    uint64_t until;

    assert_non_null(r);
    for (unsigned f = 0; f < FG_REPLICATION_FILES; f++)
        r->gives[f].fd = -1;
    r->keeper = fg_replication_keeper_start(dir, wake_fd, &r->hooks, NULL);
    r->current = &r->slots[0];
    r->current->link.number = r->files_link = 1;
    r->filling = file == FG_REPLICATION_SNAPSHOT;
    r->take.asked = true;
    r->now.state = r->filling ? FG_PAIR_STATE_FILLING : FG_PAIR_STATE_FOLLOWING;
    r->offered[file] = 5;
    r->offered_size[file] = 1 << 20;
    fg_replication_files_pass(r);
    until = r->take.until;
    fg_replication_files_free(r);
    close(wake_fd);
    free(r);
    return until;
}

static void a_list_does_not_delay_heartbeats(void **state)
{
    assert_int_equal(asked_for(FG_REPLICATION_BLOCK_LIST), 64 << 10);
    assert_int_equal(asked_for(FG_REPLICATION_SNAPSHOT), 512 << 10);
}

/* Of a dead leader, and of a peer that comes back with less. */
static void what_the_peer_has_is_known_after_a_take_over(void **state)
{
    struct fg_replication *r = calloc(1, sizeof(*r));

    assert_non_null(r);
    r->now.state = FG_PAIR_STATE_FOLLOWING;
    r->now.role = FG_PAIR_ROLE_STANDBY;
    r->now.committed = 90;
    fg_replication_files_pass(r);
    r->now.state = FG_PAIR_STATE_SOLO;
    r->now.role = FG_PAIR_ROLE_SOLO;
    r->now.committed = 100;
    fg_replication_files_pass(r);
    assert_int_equal(r->peer_has, 90);
    r->now.linked = true;
    r->now.peer_last = 95;
    fg_replication_files_pass(r);
    assert_int_equal(r->peer_has, 90);
    r->now.peer_last = 60;
    fg_replication_files_pass(r);
    assert_int_equal(r->peer_has, 60);
    r->now.peer_durable = 70;
    fg_replication_files_pass(r);
    assert_int_equal(r->peer_has, 70);
    free(r);
}

/* ---- the view -------------------------------------------------------------------------------- */

/* A reader that lost its CPU to a worker must not keep the thread from its heartbeats. */
static void a_reader_of_the_view_is_not_waited_for(void **state)
{
    struct fg_replication *r = calloc(1, sizeof(*r));
    struct fg_replication_view view;

    assert_non_null(r);
    pthread_mutex_init(&r->mutex, NULL);
    r->view_next.links = 7;
    pthread_mutex_lock(&r->mutex);
    alarm(10); /* it would wait for ever */
    assert_false(fg_replication_show(r));
    alarm(0);
    pthread_mutex_unlock(&r->mutex);
    assert_true(fg_replication_show(r));
    fg_replication_view(r, &view);
    assert_int_equal(view.links, 7);
    pthread_mutex_destroy(&r->mutex);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notices_are_read_as_written),
        cmocka_unit_test(files_are_read_as_written),
        cmocka_unit_test(damaged_notices_are_refused),
        cmocka_unit_test(terms_beyond_their_range_are_refused),
        cmocka_unit_test(messages_arrive_in_parts),
        cmocka_unit_test(garbage_is_no_message),
        cmocka_unit_test(the_newest_register_is_remembered),
        cmocka_unit_test(digests),
        cmocka_unit_test_setup_teardown(a_snapshot_of_no_use_is_not_kept, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(a_disk_that_is_too_small_says_so_at_once, make_dir,
                                        drop_dir),
        cmocka_unit_test_setup_teardown(no_part_is_left, make_dir, drop_dir),
        cmocka_unit_test(fills_that_fail_come_less_often),
        cmocka_unit_test_setup_teardown(a_fill_that_was_cut_off_is_resumed, make_dir, drop_dir),
        cmocka_unit_test(a_list_that_is_too_large_is_not_taken),
        cmocka_unit_test_setup_teardown(one_that_was_sent_whole_is_not_sent_again, make_dir,
                                        drop_dir),
        cmocka_unit_test_setup_teardown(a_part_is_completed, make_dir, drop_dir),
        cmocka_unit_test(what_a_filled_peer_lacks_is_held),
        cmocka_unit_test_setup_teardown(a_list_does_not_delay_heartbeats, make_dir, drop_dir),
        cmocka_unit_test(what_the_peer_has_is_known_after_a_take_over),
        cmocka_unit_test(a_reader_of_the_view_is_not_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
