/* SPDX-License-Identifier: BSD-3-Clause */
/* The lock of the pins: one daemon at a time, and a killed one is waited for. */
#include "holder.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "filter/filter.h"

static char folder[64];

static bool take(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY);

    return fd >= 0 && flock(fd, LOCK_EX) == 0;
}

static void test_taken(void **state)
{
    pid_t holder = holder_start(take, folder);
    struct fg_error err = {""};

    assert_false(fg_filter_lock(folder, &err));
    assert_non_null(
        strstr(err.text, "in use by another daemon; give this one a folder of its own"));
    holder_kill(holder);
    assert_false(fg_filter_lock("/nonexistent", &err));
    assert_non_null(strstr(err.text, "pins /nonexistent: cannot open: "));
}

static void test_killed(void **state)
{
    pid_t holder = holder_start(take, folder);
    struct fg_error err = {""};

    if (!holder_outlived(holder, fg_filter_lock, folder, &err))
        fail_msg("%s", err.text);
}

static int start(void **state)
{
    snprintf(folder, sizeof(folder), "/tmp/test_filter_lock.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int stop(void **state)
{
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_taken), cmocka_unit_test(test_killed)};

    return cmocka_run_group_tests(tests, start, stop);
}
