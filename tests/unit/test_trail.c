/* SPDX-License-Identifier: BSD-3-Clause */
/* The audit trail of the control server: who changed what, and its bounds. */
#include <sys/stat.h>
#include <unistd.h>

#include "control/trail.h"
#include "control_ask.h"

/* Who, what, when, outcome: changes that were done and that were refused; reading is no change. */
static void keeps_an_audit_trail(void **state)
{
    json_t *json, *list, *entry;

    json_decref(ask("GET", "/v1/items", NULL, 200));
    json_decref(ask("POST", "/v1/items", "{\"item\": 7, \"total\": 5}", 201));
    json_decref(ask("POST", "/v1/items/8/pause", NULL, 404));
    json_decref(ask("POST", "/v1/filter/penalties",
                    "{\"source\": \"198.18.0.1\", \"follow\": true}", 200)); /* of nginx's log */
    json_decref(ask("POST", "/v1/filter/penalties", "{\"source\": \"198.18.0.2\"}", 200));
    json = ask("GET", "/v1/audit", NULL, 200);
    list = json_object_get(json, "entries");
    assert_int_equal(json_array_size(list), 3);
    entry = json_array_get(list, 0); /* the newest */
    assert_string_equal(text(entry, "body"), "{\"source\":\"198.18.0.2\"}");
    entry = json_array_get(list, 1);
    assert_string_equal(text(entry, "path"), "/v1/items/8/pause");
    assert_int_equal(number(entry, "code"), 404);
    assert_string_equal(text(entry, "outcome"), "no item 8");
    entry = json_array_get(list, 2);
    assert_string_equal(text(entry, "method"), "POST");
    assert_string_equal(text(entry, "path"), "/v1/items");
    assert_string_equal(text(entry, "body"), "{\"item\":7,\"total\":5}");
    assert_string_equal(text(entry, "outcome"), "done");
    assert_int_equal(number(entry, "code"), 201);
    assert_int_equal(number(entry, "pid"), getpid());
    assert_int_equal(number(entry, "uid"), getuid());
    assert_true(number(entry, "time_ms") > 0);
    json_decref(json);
    json = ask("GET", "/v1/audit?limit=1", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(json, "entries")), 1);
    json_decref(json);
}

/* A full file becomes the older one; what was the older one is gone. Both are read. */
static void bounds_its_audit_trail(void **state)
{
    char path[160], older[170], line[101];
    struct stat st;
    json_t *json;
    FILE *file;

    snprintf(path, sizeof(path), "%s/" FG_CONTROL_TRAIL_FILE, fx.folder);
    snprintf(older, sizeof(older), "%s" FG_CONTROL_TRAIL_OLDER, path);
    memset(line, ' ', sizeof(line));
    memcpy(line, "{\"n\":1}", 7);
    strcpy(line + sizeof(line) - 2, "\n");
    for (unsigned round = 0; round < 2; round++) {
        file = fopen(path, "a");
        assert_non_null(file);
        for (unsigned i = 0; i < FG_CONTROL_TRAIL_BYTES / (sizeof(line) - 1); i++)
            fputs(line, file);
        assert_int_equal(fclose(file), 0);
        json_decref(ask("POST", "/v1/items/8/pause", NULL, 404));
    }
    assert_int_equal(stat(path, &st), 0);
    assert_in_range(st.st_size, 1, 1000);
    assert_int_equal(stat(older, &st), 0);
    assert_in_range(st.st_size, FG_CONTROL_TRAIL_BYTES - 100, FG_CONTROL_TRAIL_BYTES + 1000);
    json = ask("GET", "/v1/audit?limit=1000", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(json, "entries")), 1000);
    assert_int_equal(number(json_array_get(json_object_get(json, "entries"), 0), "code"), 404);
    assert_int_equal(number(json_array_get(json_object_get(json, "entries"), 1), "n"), 1);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(keeps_an_audit_trail),
        T(bounds_its_audit_trail),
    };

    return cmocka_run_group_tests_name("trail", tests, NULL, NULL);
}
