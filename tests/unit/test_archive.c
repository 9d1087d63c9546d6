/* SPDX-License-Identifier: BSD-3-Clause */
/* The archive of the log: what is copied, what a crash left, what is refused; and the checks of its
 * folder. */
#include "journal_wait.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "journal/archive.h"
#include "journal/room.h"

static struct fg_journal *journal;
static struct fg_journal_archive *archive;
static char folder[512], of_log[600];
static struct fg_error err;

static void commit_segments(unsigned n)
{
    struct fg_journal_record r[SLOTS - 1] = {0};

    for (size_t i = 0; i < SLOTS - 1; i++)
        r[i].type = FG_JOURNAL_RECORD_STOCK;
    for (unsigned i = 0; i < n; i++)
        assert_true(fg_journal_commit(journal, r, SLOTS - 1, 1000));
}

static _Atomic uint64_t committed_seq;

static void start(void)
{
    archive = fg_journal_archive_start(log_dir, folder, fg_journal_appliance(journal),
                                       &committed_seq, &err);
    if (!archive)
        fail_msg("%s", err.text);
}

static void halt(void)
{
    fg_journal_archive_stop(archive);
    archive = NULL;
}

static int begin(void **state)
{
    struct fg_journal_options o;

    if (make_scratch(state))
        return -1;
    o = (struct fg_journal_options){
        .dir = log_dir, .begin = true, .segment_bytes = SEGMENT, .now_ms = 1};
    journal = fg_journal_open(&o, &err);
    if (!journal)
        fail_msg("%s", err.text);
    snprintf(folder, sizeof(folder), "%s-archive", log_dir);
    atomic_store(&committed_seq, UINT64_MAX - 1);
    snprintf(of_log, sizeof(of_log), "%s/%016" PRIx64, folder, fg_journal_appliance(journal));
    return mkdir(folder, 0700);
}

static int end(void **state)
{
    char command[1200];

    halt();
    fg_journal_close(journal);
    snprintf(command, sizeof(command), "rm -rf '%s' '%s.away'", folder, folder);
    return system(command) ? -1 : drop_scratch(state);
}

static const char *copy_path(uint64_t seq)
{
    static char path[700];

    snprintf(path, sizeof(path), "%s/%020" PRIu64 ".fgj", of_log, seq);
    return path;
}

static bool is_copy(uint64_t seq)
{
    char command[2048];

    snprintf(command, sizeof(command), "cmp -s '%s' '%s'", copy_path(seq), segment_path(seq));
    return system(command) == 0;
}

static bool tells(const char *why)
{
    char text[256];

    fg_journal_archive_error(archive, text, sizeof(text));
    return why[0] ? strstr(text, why) != NULL : !text[0];
}

static void complete_segments_are_copied(void **state)
{
    commit_segments(3); /* the fourth has not begun: the third may be the last */
    start();
    wait_until(fg_journal_archive_seq(archive) == 2 * SLOTS + 1);
    assert_true(is_copy(1) && is_copy(SLOTS + 1));
    assert_int_not_equal(access(copy_path(2 * SLOTS + 1), F_OK), 0);
    commit_segments(1);
    wait_until(fg_journal_archive_seq(archive) == 3 * SLOTS + 1);
    assert_true(is_copy(2 * SLOTS + 1));
    assert_int_equal(fg_journal_archive_copied(archive), 3);
    assert_true(tells(""));
}

/* What a cut of a pair may take is no history yet. */
static void what_is_not_committed_is_not_copied(void **state)
{
    atomic_store(&committed_seq, 2 * SLOTS - 1);
    commit_segments(4);
    start();
    wait_until(fg_journal_archive_seq(archive) == SLOTS + 1);
    assert_int_equal(fg_journal_archive_copied(archive), 1);
    atomic_store(&committed_seq, 2 * SLOTS);
    wait_until(fg_journal_archive_seq(archive) == 2 * SLOTS + 1);
    assert_int_equal(fg_journal_archive_copied(archive), 2);
}

static void a_restart_goes_on_where_it_was(void **state)
{
    char part[800];
    int fd;

    commit_segments(2);
    start();
    wait_until(fg_journal_archive_seq(archive) == SLOTS + 1);
    halt();
    snprintf(part, sizeof(part), "%s.part", copy_path(SLOTS + 1)); /* half a copy */
    fd = open(part, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0 && write(fd, part, sizeof(part)) == sizeof(part));
    close(fd);
    commit_segments(1);
    start();
    wait_until(fg_journal_archive_seq(archive) == 2 * SLOTS + 1);
    assert_true(is_copy(SLOTS + 1));
    assert_int_not_equal(access(part, F_OK), 0);
    assert_int_equal(fg_journal_archive_copied(archive), 1); /* the first was there */
}

static void a_missing_folder_is_told_and_not_made(void **state)
{
    char away[600];

    snprintf(away, sizeof(away), "%s.away", folder);
    assert_int_equal(rename(folder, away), 0);
    commit_segments(2);
    start();
    wait_until(tells("No such file or directory"));
    assert_int_equal(fg_journal_archive_seq(archive), 0);
    assert_int_not_equal(access(folder, F_OK), 0);
    assert_int_equal(rename(away, folder), 0);
    wait_until(fg_journal_archive_seq(archive) == SLOTS + 1);
    wait_until(tells(""));
}

/* As after a sale that went on from an older copy of the log. */
static void another_segment_of_that_name_is_kept(void **state)
{
    commit_segments(2);
    start();
    wait_until(fg_journal_archive_seq(archive) == SLOTS + 1);
    halt();
    flip_byte(copy_path(1), SEGMENT - 10, 1);
    start();
    wait_until(tells("is no copy of the log's"));
    assert_int_equal(fg_journal_archive_seq(archive), 0);
    assert_false(is_copy(1));
}

static unsigned threads(void)
{
    DIR *d = opendir("/proc/self/task");
    unsigned n = 0;

    while (d && readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

/* In a process of its own. The file system hangs when the archive stops; its thread is left behind,
 * and what it was given is freed. Then the file system goes on. */
static void be_left_behind(const char *hangs)
{
    _Atomic uint64_t *seq =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    atomic_store(seq, UINT64_MAX - 1);
    archive = fg_journal_archive_start(log_dir, folder, fg_journal_appliance(journal), seq, &err);
    wait_until(access(of_log, F_OK) == 0); /* next it opens the segment */
    halt();
    munmap(seq, 4096);
    close(open(hangs, O_WRONLY | O_CLOEXEC));
    wait_until(threads() == 1);
    _exit(0);
}

static void a_thread_that_is_left_behind_does_no_harm(void **state)
{
    const char *first = segment_path(1);
    int status;
    pid_t pid;

    commit_segments(4);
    assert_int_equal(unlink(first), 0);
    assert_int_equal(mkfifo(first, 0600), 0);
    pid = fork();
    if (pid == 0)
        be_left_behind(first);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void the_folder_is_checked(void **state)
{
    bool fault;

    assert_false(fg_journal_archive_check("/nowhere/at-all", log_dir, &fault, &err));
    assert_true(fault);
    assert_false(fg_journal_archive_check(folder, log_dir, &fault, &err));
    assert_false(fault);
    assert_non_null(strstr(err.text, "lies on the disk of the log"));
    assert_true(fg_journal_archive_check(folder, "/proc/self", &fault, &err));
}

static void the_disk_is_compared_with_keep_bytes(void **state)
{
    struct fg_journal_settings s = {.segment_bytes = SEGMENT};

    assert_true(fg_journal_room_check(log_dir, &s, &err));
    s.keep_bytes = 1ull << 60;
    assert_false(fg_journal_room_check(log_dir, &s, &err));
    assert_non_null(strstr(err.text, "old segments go sooner"));
    assert_true(fg_journal_room_check("/nowhere/at-all", &s, &err));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(complete_segments_are_copied),         TEST(what_is_not_committed_is_not_copied),
        TEST(a_restart_goes_on_where_it_was),       TEST(a_missing_folder_is_told_and_not_made),
        TEST(another_segment_of_that_name_is_kept), TEST(the_folder_is_checked),
        TEST(the_disk_is_compared_with_keep_bytes), TEST(a_thread_that_is_left_behind_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
