/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the control server share: the fixture, a request, and what its answer must be.
 */
#ifndef FG_TEST_CONTROL_ASK_H
#define FG_TEST_CONTROL_ASK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "control_double.h"

static struct fg_fixture fx;

static inline int start(void **state)
{
    fg_fixture_start(&fx, false);
    return 0;
}

static inline int start_filter(void **state)
{
    fg_fixture_start(&fx, true);
    return 0;
}

static inline int stop(void **state)
{
    fg_fixture_stop(&fx);
    return 0;
}

static inline json_t *ask(const char *method, const char *path, const char *body, int expected)
{
    json_t *json = NULL;
    int code = fg_ask(fx.socket, method, path, body, &json);

    if (code != expected) {
        char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);

        fail_msg("%s %s %s: %d, not %d: %s", method, path, body ? body : "", code, expected, text);
    }
    return json;
}

/* The error must name the field and contain the text. */
static inline void refused(const char *method, const char *path, const char *body, int code,
                           const char *field, const char *says)
{
    json_t *json = ask(method, path, body, code);
    json_t *error = json_object_get(json, "error");
    const char *message = json_string_value(json_object_get(error, "message"));
    const char *named = json_string_value(json_object_get(error, "field"));

    assert_non_null(message);
    assert_int_equal(json_integer_value(json_object_get(error, "code")), code);
    if (!strstr(message, says))
        fail_msg("%s %s %s: \"%s\" does not say \"%s\"", method, path, body ? body : "", message,
                 says);
    if (field)
        assert_string_equal(named ? named : "(none)", field);
    else
        assert_null(named);
    json_decref(json);
}

static inline long long number(const json_t *json, const char *key)
{
    assert_true(json_is_integer(json_object_get(json, key)));
    return json_integer_value(json_object_get(json, key));
}

static inline const char *text(const json_t *json, const char *key)
{
    assert_true(json_is_string(json_object_get(json, key)));
    return json_string_value(json_object_get(json, key));
}

static inline void has_state(const char *path, const char *expected)
{
    json_t *json = ask("GET", path, NULL, 200);

    assert_string_equal(text(json, "state"), expected);
    json_decref(json);
}

#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)

#endif
