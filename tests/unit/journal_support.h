/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the log share: a scratch directory, commits of known content, files to damage.
 */
#ifndef FG_TEST_JOURNAL_SUPPORT_H
#define FG_TEST_JOURNAL_SUPPORT_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "journal/file.h"
#include "journal/journal.h"
#include "journal/recover.h"

#define SEGMENT   FG_JOURNAL_SEGMENT_BYTES_MIN /* 1023 records */
#define SLOTS     (SEGMENT / 64 - 1)
#define READ_MAX  100000
#define FIRST_FGJ "00000000000000000001.fgj"

static char scratch[64]; /* one directory per test, removed after it */
static char log_dir[96];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static void remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int make_scratch(void **state)
{
    /* memory if there is some: thousands of syncs */
    snprintf(scratch, sizeof(scratch), "%s/fg-journal-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(scratch))
        return -1;
    snprintf(log_dir, sizeof(log_dir), "%s/log", scratch);
    return 0;
}

static int drop_scratch(void **state)
{
    remove_tree(scratch);
    return 0;
}

static inline struct fg_journal *open_at(const char *dir, struct fg_error *err)
{
    struct fg_journal_options o = {.dir = dir, .segment_bytes = SEGMENT, .now_ms = 1700000000000};

    o.begin = !fg_journal_found(dir);
    return fg_journal_open(&o, err);
}

static inline struct fg_journal *must_open(void)
{
    struct fg_error err = {""};
    struct fg_journal *j = open_at(log_dir, &err);

    if (!j)
        fail_msg("%s", err.text);
    return j;
}

/* Record i of commit `nonce`: all that a test needs to know it again. */
static inline void fill_records(struct fg_journal_record *r, size_t n, uint64_t nonce)
{
    memset(r, 0, n * sizeof(*r));
    for (size_t i = 0; i < n; i++) {
        r[i].type = FG_JOURNAL_RECORD_RESERVED;
        r[i].quantity = 1;
        r[i].item = 7;
        r[i].user = nonce;
        r[i].arg = i;
    }
}

static inline bool commit_n(struct fg_journal *j, size_t n, uint64_t nonce)
{
    struct fg_journal_record *r = calloc(n ? n : 1, sizeof(*r));
    bool ok;

    fill_records(r, n, nonce);
    ok = fg_journal_commit(j, r, n, nonce);
    free(r);
    return ok;
}

/* All of a log in dir; -1 and err as fg_journal_read. */
static inline ssize_t read_all(const char *dir, struct fg_journal_record *r, uint64_t limit,
                               struct fg_error *err)
{
    struct fg_journal_reader *reader = fg_journal_reader_open(dir, 1, err);
    ssize_t n, total = 0;

    if (!reader)
        return -1;
    while ((n = fg_journal_read(reader, r + total, 777, limit, err)) > 0)
        total += n;
    fg_journal_reader_close(reader);
    return n < 0 ? n : total;
}

static inline void edit_file(const char *path, uint64_t offset, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, len, (off_t)offset), len);
    close(fd);
}

static inline void flip_byte(const char *path, uint64_t offset, uint8_t mask)
{
    int fd = open(path, O_RDWR);
    uint8_t byte;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
    byte ^= mask;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
    close(fd);
}

static inline uint8_t *load_file(const char *path, size_t *len)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    uint8_t *data;

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    *len = (size_t)st.st_size;
    data = malloc(*len + 1);
    assert_int_equal(read(fd, data, *len), *len);
    close(fd);
    return data;
}

static inline void save_file(const char *path, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
}

static inline const char *in_log(const char *name)
{
    static char path[200];

    snprintf(path, sizeof(path), "%s/%.90s", log_dir, name);
    return path;
}

static inline const char *segment_path(uint64_t first_seq)
{
    char name[32];

    snprintf(name, sizeof(name), "%020" PRIu64 ".fgj", first_seq);
    return in_log(name);
}

#endif
