/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/folder.h"

static char root[64], path[PATH_MAX];
static struct fg_error err;

static int set_up(void **state)
{
    strcpy(root, "/tmp/floodgate-folder-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
    static const char *const made[] = {"a/b", "a", "file", "closed"};

    for (unsigned i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", root, made[i]);
        if (remove(path) < 0)
            return -1;
    }
    return rmdir(root);
}

static const char *below(const char *name)
{
    snprintf(path, sizeof(path), "%s/%s", root, name);
    return path;
}

static bool exists(const char *name)
{
    struct stat st;

    return stat(below(name), &st) == 0;
}

static void parents_are_made_and_checks_make_nothing(void **state)
{
    assert_true(fg_folder_check(root, false, &err));
    assert_true(fg_folder_check(below("a"), false, &err));
    assert_true(fg_folder_check(below("a/b/c"), true, &err));
    assert_false(fg_folder_check(below("a/b/c"), false, &err));
    assert_non_null(strstr(err.text, "/a/b/c: cannot be created: "));
    assert_non_null(strstr(err.text, "/a/b: No such file or directory"));
    assert_false(exists("a"));
    assert_true(fg_folder_make_parents(below("a/b/c"), 0755, &err));
    assert_true(exists("a/b"));
    assert_false(exists("a/b/c"));
    assert_true(fg_folder_make_parents(below("a//b/c"), 0755, &err)); /* nothing is missing */
    assert_true(fg_folder_check(below("a/b/c"), false, &err));
}

static void files_in_the_way_are_named(void **state)
{
    assert_true(close(open(below("file"), O_CREAT | O_WRONLY, 0600)) == 0);
    assert_false(fg_folder_check(below("file"), true, &err));
    assert_string_equal(err.text + strlen(root), "/file: not a folder");
    assert_false(fg_folder_check(below("file/a/b"), true, &err));
    assert_string_equal(err.text + strlen(root), "/file/a/b: Not a directory");
    assert_false(fg_folder_make_parents(below("file/a/b"), 0755, &err));
    assert_string_equal(err.text + strlen(root), "/file/a: cannot create: Not a directory");
}

static void folders_without_rights_are_refused(void **state)
{
    assert_int_equal(mkdir(below("closed"), 0500), 0);
    if (access(path, W_OK) == 0) { /* root may write everywhere, but not below /proc */
        assert_false(fg_folder_check("/proc/1/floodgate", false, &err));
        assert_int_equal(strncmp(err.text, "/proc/1/floodgate: cannot be created: ", 38), 0);
        return;
    }
    assert_false(fg_folder_check(path, false, &err));
    assert_string_equal(err.text + strlen(root),
                        "/closed: cannot be written to: Permission denied");
}

static void odd_paths_are_refused(void **state)
{
    static char long_path[PATH_MAX + 1];

    memset(long_path, '/', sizeof(long_path) - 1);
    assert_false(fg_folder_check("", true, &err));
    assert_false(fg_folder_check(long_path, true, &err));
    assert_false(fg_folder_make_parents(long_path, 0755, &err));
    assert_true(fg_folder_check("/", true, &err) || strstr(err.text, "cannot be written to"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parents_are_made_and_checks_make_nothing),
        cmocka_unit_test(files_in_the_way_are_named),
        cmocka_unit_test(folders_without_rights_are_refused),
        cmocka_unit_test(odd_paths_are_refused),
    };
    return cmocka_run_group_tests_name("folder", tests, set_up, tear_down);
}
