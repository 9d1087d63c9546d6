/* SPDX-License-Identifier: BSD-3-Clause */
/* The filter's lists while several threads use them: entries are told whole, and file I/O holds
 * nothing up.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "filter/filter.h"

static struct fg_filter *open_filter(void)
{
    struct fg_filter_options options = {
        .order_port = 4600, .sources_max = 16, .prefixes_max = 1000, .v6_prefix = 64};
    struct fg_filter *filter = fg_filter_open(&options, NULL);

    assert_non_null(filter);
    return filter;
}

static uint64_t unix_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- a walk while entries change ------------------------------------------------------------- */

enum { ROUNDS = 500000 };

struct change {
    struct fg_filter *filter;
    unsigned rounds; /* atomic: of the thread that changes entries; ROUNDS also when it gives up */
    bool done;       /* atomic: the walks are over */
};

/* One row of the table holds 10.0.0.0/24 "aaa...", then 10.1.0.0/24 "bbb...", and so on. */
static void fill_entry(uint8_t number, struct fg_filter_prefix *prefix,
                       struct fg_filter_list_entry *entry)
{
    *prefix = (struct fg_filter_prefix){.family = 4, .length = 24, .addr = {10, number}};
    *entry = (struct fg_filter_list_entry){.hits = 0};
    memset(entry->reason, 'a' + number, sizeof(entry->reason) - 1);
}

static void *change_entries(void *ctx)
{
    struct change *change = ctx;

    while (!__atomic_load_n(&change->done, __ATOMIC_ACQUIRE)) {
        struct fg_filter_list_entry entry;
        struct fg_filter_prefix prefix;

        fill_entry((uint8_t)(change->rounds % 26), &prefix, &entry);
        if (!fg_filter_add(change->filter, FG_FILTER_LIST_BLOCK, &prefix, &entry, NULL) ||
            !fg_filter_del(change->filter, FG_FILTER_LIST_BLOCK, &prefix, NULL)) {
            __atomic_store_n(&change->rounds, ROUNDS, __ATOMIC_RELEASE);
            return "an entry was not added or not deleted";
        }
        __atomic_store_n(&change->rounds, change->rounds + 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

static bool count_mixed(void *ctx, const struct fg_filter_prefix *prefix,
                        const struct fg_filter_list_entry *entry)
{
    struct fg_filter_list_entry whole;
    struct fg_filter_prefix same;

    fill_entry(prefix->addr[1], &same, &whole);
    *(unsigned *)ctx += strcmp(entry->reason, whole.reason) != 0;
    return true;
}

static void tells_whole_entries_while_they_change(void **state)
{
    struct change change = {.filter = open_filter()};
    unsigned mixed = 0;
    pthread_t thread;
    void *failed;

    assert_int_equal(pthread_create(&thread, NULL, change_entries, &change), 0);
    while (__atomic_load_n(&change.rounds, __ATOMIC_ACQUIRE) < ROUNDS)
        fg_filter_each(change.filter, FG_FILTER_LIST_BLOCK, count_mixed, &mixed);
    __atomic_store_n(&change.done, true, __ATOMIC_RELEASE);
    pthread_join(thread, &failed);
    assert_null(failed);
    assert_int_equal(mixed, 0);
    fg_filter_close(change.filter);
}

/* Each entry once, also when there are more than a walk copies at once; the callback may ask and
 * change. */
static bool delete_it(void *ctx, const struct fg_filter_prefix *prefix,
                      const struct fg_filter_list_entry *entry)
{
    struct fg_filter *filter = ctx;

    assert_true(fg_filter_find(filter, FG_FILTER_LIST_ALLOW, prefix, NULL));
    assert_true(fg_filter_del(filter, FG_FILTER_LIST_ALLOW, prefix, NULL));
    return true;
}

static void walks_all_of_a_list(void **state)
{
    struct fg_filter *filter = open_filter();
    struct fg_filter_prefix prefix = {.family = 4, .length = 32};

    for (unsigned i = 0; i < 500; i++) {
        prefix.addr[2] = (uint8_t)(i >> 8), prefix.addr[3] = (uint8_t)i;
        assert_true(fg_filter_add(filter, i % 5 ? FG_FILTER_LIST_BLOCK : FG_FILTER_LIST_ALLOW,
                                  &prefix, NULL, NULL));
    }
    assert_int_equal(fg_filter_count(filter, FG_FILTER_LIST_ALLOW), 100);
    fg_filter_each(filter, FG_FILTER_LIST_ALLOW, delete_it, filter);
    assert_int_equal(fg_filter_count(filter, FG_FILTER_LIST_ALLOW), 0);
    assert_int_equal(fg_filter_count(filter, FG_FILTER_LIST_BLOCK), 400);
    fg_filter_close(filter);
}

/* ---- a file on a slow disk ------------------------------------------------------------------- */

static struct {
    sem_t reading, go_on;
    bool slow, gave_up;
} disk;

char *__real_fgets(char *line, int size, FILE *file);
char *__wrap_fgets(char *line, int size, FILE *file);

/* The disk answers only when the test says so, or after ten seconds. */
char *__wrap_fgets(char *line, int size, FILE *file)
{
    struct timespec limit;

    if (disk.slow) {
        disk.slow = false;
        clock_gettime(CLOCK_REALTIME, &limit);
        limit.tv_sec += 10;
        sem_post(&disk.reading);
        disk.gave_up = sem_timedwait(&disk.go_on, &limit) != 0;
    }
    return __real_fgets(line, size, file);
}

struct loading {
    struct fg_filter *filter;
    const char *path;
    struct fg_filter_list_loaded loaded;
    struct fg_error err;
    bool ok;
};

static void *load_file(void *ctx)
{
    struct loading *l = ctx;

    l->ok = fg_filter_load(l->filter, FG_FILTER_LIST_BLOCK, l->path, &l->loaded, &l->err);
    return NULL;
}

static void a_slow_file_holds_no_change_up(void **state)
{
    char path[] = "/tmp/fg-filter-lists-XXXXXX";
    struct fg_filter_prefix own = {.family = 4, .length = 32, .addr = {198, 18, 0, 9}}, gone = own,
                            read = own;
    struct fg_filter_list_entry for_an_hour = {.expires_ms = unix_ms() + 3600000, .reason = "box"};
    struct loading l = {.filter = open_filter(), .path = path};
    int fd = mkstemp(path);
    pthread_t thread;

    assert_true(fd >= 0 && write(fd, "198.18.0.1\n198.18.0.2\n", 22) == 22 && close(fd) == 0);
    gone.addr[3] = 8, read.addr[3] = 1;
    assert_true(fg_filter_add(l.filter, FG_FILTER_LIST_BLOCK, &gone, NULL, NULL));
    assert_true(sem_init(&disk.reading, 0, 0) == 0 && sem_init(&disk.go_on, 0, 0) == 0);
    disk.slow = true;
    assert_int_equal(pthread_create(&thread, NULL, load_file, &l), 0);
    assert_int_equal(sem_wait(&disk.reading), 0);
    assert_true(fg_filter_put(l.filter, FG_FILTER_LIST_BLOCK, &own, &for_an_hour, NULL));
    assert_true(
        fg_filter_find(l.filter, FG_FILTER_LIST_BLOCK, &gone, NULL)); /* the old list is in force */
    assert_false(fg_filter_find(l.filter, FG_FILTER_LIST_BLOCK, &read, NULL));
    fg_filter_expire(l.filter);
    sem_post(&disk.go_on);
    pthread_join(thread, NULL);
    assert_false(disk.gave_up); /* the calls above returned before the disk answered */
    if (!l.ok)
        fail_msg("%s", l.err.text);
    assert_int_equal(l.loaded.entries, 2);
    assert_int_equal(l.loaded.kept, 1);
    assert_true(fg_filter_find(l.filter, FG_FILTER_LIST_BLOCK, &own,
                               NULL)); /* came while the file was read */
    assert_true(fg_filter_find(l.filter, FG_FILTER_LIST_BLOCK, &read, NULL));
    assert_false(fg_filter_find(l.filter, FG_FILTER_LIST_BLOCK, &gone, NULL));
    unlink(path);
    fg_filter_close(l.filter);
}

/* At both ends of what can be given: no product overflows, and an entry that ends late is in force.
 */
static void an_entry_may_end_at_any_time(void **state)
{
    static const uint64_t late[] = {4102444800000, 11000000000000, 20000000000000, 253402300799999};
    struct fg_filter *filter = open_filter();
    struct fg_filter_prefix prefix = {.family = 4, .length = 32, .addr = {198, 18, 0, 9}};
    struct fg_filter_list_entry entry = {.expires_ms = unix_ms() + 60000}, found;

    for (size_t i = 0; i < sizeof(late) / sizeof(late[0]); i++) {
        entry.expires_ms = late[i];
        prefix.addr[3] = (uint8_t)i;
        assert_true(fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &prefix, &entry, NULL));
        assert_true(fg_filter_find(filter, FG_FILTER_LIST_BLOCK, &prefix, &found));
        /* 4.5 years are as far as the clock of the filter goes; 142 million seconds are a bit less
         */
        assert_true(found.expires_ms <= late[i] &&
                    found.expires_ms >= unix_ms() + 142000000ull * 1000);
    }
    prefix.addr[3] = 99;
    entry.expires_ms = unix_ms() - 1;
    assert_false(fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &prefix, &entry, NULL));
    entry.expires_ms = 1;
    assert_false(fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &prefix, &entry, NULL));
    fg_filter_close(filter);
}

/* Seconds in a list file; a number that can only be milliseconds is refused as such. */
static void a_file_has_seconds(void **state)
{
    char path[] = "/tmp/fg-filter-lists-XXXXXX";
    struct fg_filter *filter = open_filter();
    struct fg_filter_list_loaded loaded;
    struct fg_error err;
    int fd = mkstemp(path);

    assert_true(fd >= 0 &&
                write(fd, "198.18.0.1 99999999999\n198.18.0.2 9999-12-31T23:59:59Z\n", 55) == 55 &&
                close(fd) == 0);
    if (!fg_filter_load(filter, FG_FILTER_LIST_BLOCK, path, &loaded, &err))
        fail_msg("%s", err.text);
    assert_int_equal(loaded.entries, 2);
    fd = open(path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0 && write(fd, "198.18.0.1 1800000000000\n", 25) == 25 && close(fd) == 0);
    assert_false(fg_filter_load(filter, FG_FILTER_LIST_BLOCK, path, &loaded, &err));
    if (!strstr(err.text, "looks like milliseconds; seconds since 1970 are meant"))
        fail_msg("%s", err.text);
    unlink(path);
    fg_filter_close(filter);
}

/* As a power cut may leave a file: it must not pass for an empty list. */
static void a_file_of_zero_bytes_is_wrong(void **state)
{
    static const char zeros[700] = "198.18.0.1\n198.18.0.2";
    char path[] = "/tmp/fg-filter-lists-XXXXXX";
    struct fg_filter *filter = open_filter();
    struct fg_filter_list_loaded loaded;
    struct fg_error err;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    for (size_t bytes = 22; bytes <= sizeof(zeros); bytes += 226) {
        assert_int_equal(pwrite(fd, zeros, bytes, 0), bytes);
        assert_false(fg_filter_load(filter, FG_FILTER_LIST_BLOCK, path, &loaded, &err));
        if (!strstr(err.text, ":2: the line holds a zero byte"))
            fail_msg("%zu bytes: %s", bytes, err.text);
    }
    assert_int_equal(ftruncate(fd, 0), 0); /* lines of which only one is wrong */
    assert_int_equal(pwrite(fd, "198.18.0.3\n198.18.0.4\0\n198.18.0.5\n", 34, 0), 34);
    assert_false(fg_filter_load(filter, FG_FILTER_LIST_BLOCK, path, &loaded, &err));
    assert_non_null(strstr(err.text, ":2: the line holds a zero byte"));
    assert_true(fg_filter_load_good(filter, FG_FILTER_LIST_BLOCK, path, &loaded, &err));
    assert_int_equal(loaded.entries, 2);
    assert_int_equal(loaded.wrong, 1);
    close(fd);
    unlink(path);
    fg_filter_close(filter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_whole_entries_while_they_change),
        cmocka_unit_test(walks_all_of_a_list),
        cmocka_unit_test(a_slow_file_holds_no_change_up),
        cmocka_unit_test(an_entry_may_end_at_any_time),
        cmocka_unit_test(a_file_has_seconds),
        cmocka_unit_test(a_file_of_zero_bytes_is_wrong),
    };

    return cmocka_run_group_tests_name("filter_lists", tests, NULL, NULL);
}
