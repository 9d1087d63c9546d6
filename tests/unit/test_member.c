/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/member without etcd: the file that keeps the newest revision seen. The rest is the business
 * of tests/fault/test_member.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "member/memory.h"

static char dir[64], path[96];

static int make_dir(void **state)
{
    strcpy(dir, "/tmp/fg-member-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/%s", dir, FG_MEMBER_MEMORY_NAME);
    return 0;
}

static int remove_dir(void **state)
{
    unlink(path);
    return rmdir(dir);
}

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void the_newest_revision_is_remembered(void **state)
{
    struct fg_error err = {""};
    int64_t revision = 1;

    assert_true(fg_member_memory_read(dir, &revision, &err)); /* no file yet */
    assert_int_equal(revision, 0);
    assert_true(fg_member_memory_write(dir, INT64_MAX, &err));
    assert_true(fg_member_memory_write(dir, 81, &err));
    assert_true(fg_member_memory_read(dir, &revision, &err));
    assert_int_equal(revision, 81);
    write_file("floodgate-fleet-seen 1 revision 81\n"); /* as versions before wrote it */
    assert_true(fg_member_memory_read(dir, &revision, &err));
    assert_int_equal(revision, 81);
}

static void a_damaged_file_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "floodgate",
                                        "floodgate-fleet-seen 1 revision 81",
                                        "floodgate-fleet-seen 1 revision x\n",
                                        "floodgate-fleet-seen 01 revision 81\n",
                                        "floodgate-fleet-seen 1 revision 81\nmore"};
    int64_t revision;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct fg_error err = {""};

        write_file(texts[i]);
        assert_false(fg_member_memory_read(dir, &revision, &err));
        assert_non_null(strstr(err.text, path));
        assert_non_null(strstr(err.text, "damaged"));
    }
}

static void another_version_is_refused_by_name_and_version(void **state)
{
    struct fg_error err = {""};
    int64_t revision;

    write_file("floodgate-fleet-seen 2 shard 5 revision 81\n");
    assert_false(fg_member_memory_read(dir, &revision, &err));
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, "fleet.seen: format version 2, this program reads 1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_newest_revision_is_remembered, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_refused, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(another_version_is_refused_by_name_and_version, make_dir,
                                        remove_dir),
    };

    return cmocka_run_group_tests_name("member", tests, NULL, NULL);
}
