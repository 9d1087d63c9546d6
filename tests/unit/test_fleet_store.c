/* SPDX-License-Identifier: BSD-3-Clause */
/* What fgctl reads of a fleet in etcd, and changes there. The etcd is a small list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../../app/fgctl/fleet_etcd.h"

#define KEYS_MAX 16

static struct {
    char key[64];
    struct fg_arbiter_value value;
} keys[KEYS_MAX];
static unsigned count;
static int64_t revision;

static unsigned find(const char *key)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(keys[i].key, key) == 0)
            return i;
    return count;
}

static void put(const char *key, const void *bytes, size_t size)
{
    unsigned i = find(key);

    assert_true(i < KEYS_MAX);
    count += i == count;
    snprintf(keys[i].key, sizeof(keys[i].key), "%s", key);
    memcpy(keys[i].value.bytes, bytes, size);
    keys[i].value.bytes[size] = 0;
    keys[i].value.revision = revision;
}

static void write_text(const char *key, const char *text)
{
    revision++;
    put(key, text, strlen(text));
}

enum fg_arbiter_result fg_arbiter_changes(struct fg_arbiter *a, const char *start, int64_t since,
                                          fg_arbiter_seen *seen, void *ctx, int64_t *store,
                                          struct fg_error *err)
{
    (void)a;
    (void)start;
    (void)since;
    (void)err;
    for (unsigned i = 0; i < count; i++)
        seen(ctx, keys[i].key, &keys[i].value);
    *store = revision;
    return FG_ARBITER_DONE;
}

enum fg_arbiter_result fg_arbiter_commit(struct fg_arbiter *a, const struct fg_arbiter_put *puts,
                                         unsigned len, fg_arbiter_seen *seen, void *ctx,
                                         int64_t *store, struct fg_error *err)
{
    (void)a;
    (void)seen;
    (void)ctx;
    (void)err;
    for (unsigned i = 0; i < len; i++) {
        unsigned k = find(puts[i].key);

        if (puts[i].revision != (k < count ? keys[k].value.revision : 0))
            return FG_ARBITER_LOST;
    }
    *store = ++revision;
    for (unsigned i = 0; i < len; i++)
        if (puts[i].bytes)
            put(puts[i].key, puts[i].bytes, puts[i].size);
    return FG_ARBITER_DONE;
}

static int begin(void **state)
{
    struct fg_fleet_map map;
    char text[FG_FLEET_TEXT_MAX];

    (void)state;
    count = 0;
    revision = 0;
    fg_fleet_map_first(&map, 2, 8);
    fg_fleet_map_write(&map, text);
    write_text(FG_FLEET_MAP_KEY, text);
    return 0;
}

static void only_true_keys_are_taken(void **state)
{
    struct fg_fleet_store store = {0};
    struct fg_error err = {""};

    (void)state;
    for (unsigned i = 0; i < 5; i++)
        write_text((const char *[]){"fleet/pool/007", "fleet/pool/+7", "fleet/pool/ 7",
                                    "fleet/pool/7x", "fleet/pool/18446744073709551623"}[i],
                   "another program's");
    write_text("fleet/member/01", "floodgate-member 1 member 1 log 00000000000000aa process 1");
    assert_int_equal(fg_fleet_store_read(&store, &err), FG_ARBITER_DONE);
    assert_int_equal(store.count, 0);
    assert_int_equal(store.registers[1].revision, 0);
    write_text("fleet/pool/7", "damaged");
    write_text("fleet/member/1", "floodgate-member 1 member 1 log 00000000000000aa process 1");
    assert_int_equal(fg_fleet_store_read(&store, &err), FG_ARBITER_DONE);
    assert_int_equal(store.count, 1);
    assert_true(store.pools[0].item == 7 && store.pools[0].damaged);
    assert_true(store.registers[1].known && store.registers[1].log == 0xaa);
    fg_fleet_store_free(&store);
}

static void a_member_that_comes_back_is_noticed(void **state)
{
    struct fg_fleet_store store = {0};
    struct fg_fleet_stored_pool *pool;
    struct fg_error err = {""};
    const uint64_t logs[FG_FLEET_MEMBERS_MAX] = {0, 0xaa};

    (void)state;
    write_text("fleet/member/1", "floodgate-member 1 member 1 log 00000000000000aa process 1");
    assert_int_equal(fg_fleet_store_read(&store, &err), FG_ARBITER_DONE);
    assert_int_equal(fg_fleet_store_decide(&store, &store.map, 2, logs, &err), FG_ARBITER_DONE);
    assert_int_equal(fg_fleet_store_read(&store, &err), FG_ARBITER_DONE);
    assert_false(store.registers[1].known); /* a person wrote it */
    pool = fg_fleet_store_make(&store, 7, 2);
    assert_int_equal(fg_fleet_store_write(&store, 1, &pool, 1, &err), FG_ARBITER_DONE);
    assert_int_equal(fg_fleet_store_read(&store, &err), FG_ARBITER_DONE);
    assert_int_equal(store.count, 1);
    write_text("fleet/member/1", "floodgate-member 1 member 1 log 00000000000000aa process 2");
    assert_int_equal(fg_fleet_store_decide(&store, &store.map, 2, logs, &err), FG_ARBITER_LOST);
    assert_int_equal(fg_fleet_store_write(&store, 1, &pool, 1, &err), FG_ARBITER_LOST);
    assert_int_equal(fg_fleet_store_read(&store, &err), FG_ARBITER_REFUSED);
    assert_non_null(strstr(err.text, "another process is member 1: power it off"));
    fg_fleet_store_free(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(only_true_keys_are_taken, begin),
        cmocka_unit_test_setup(a_member_that_comes_back_is_noticed, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
