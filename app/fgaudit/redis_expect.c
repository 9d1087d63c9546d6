/* SPDX-License-Identifier: BSD-3-Clause */
#include "redis.h"

#include <inttypes.h>
#include <string.h>

#include "redis/keys.h"

void fg_expect(struct fg_expected *e, const char *name, const void *value, size_t len)
{
    FG_ASSERT(e->count < FG_EXPECT_MAX && len < sizeof(e->field[0].value));
    e->field[e->count].name = name;
    memcpy(e->field[e->count].value, value, len);
    e->field[e->count].value[len] = '\0';
    e->field[e->count].len = len;
    e->field[e->count].seen = e->field[e->count].optional = false;
    e->count++;
}

void fg_expect_text(struct fg_expected *e, const char *name, const char *value)
{
    fg_expect(e, name, value, strlen(value));
}

void fg_expect_u64(struct fg_expected *e, const char *name, uint64_t value)
{
    char text[24];

    fg_expect(e, name, text, (size_t)snprintf(text, sizeof(text), "%" PRIu64, value));
}

void fg_expect_i64(struct fg_expected *e, const char *name, int64_t value)
{
    char text[24];

    fg_expect(e, name, text, (size_t)snprintf(text, sizeof(text), "%" PRId64, value));
}

void fg_expect_or_absent(struct fg_expected *e, const char *name, uint64_t value)
{
    fg_expect_u64(e, name, value);
    e->field[e->count - 1].optional = !value;
}

static bool is_units(const char *name)
{
#define X(unit)                                                                                    \
    if (!strcmp(name, #unit))                                                                      \
        return true;
    FG_REDIS_UNITS_LIST(X)
#undef X
    return false;
}

static void compare_field(struct fg_redis_audit *a, struct fg_expected *e, const char *name,
                          struct fg_redis_text value, enum fg_problem kind,
                          enum fg_problem units_kind, const char *what)
{
    unsigned k = 0;

    while (k < e->count && strcmp(e->field[k].name, name) != 0)
        k++;
    if (k == e->count) {
        fg_problem(a->problems, kind, "%s: unknown field '%.40s'", what, name);
        return;
    }
    e->field[k].seen = true;
    if (value.len != e->field[k].len || memcmp(value.text, e->field[k].value, value.len) != 0)
        fg_problem(a->problems, is_units(name) ? units_kind : kind,
                   "%s: %s is '%.60s', the log has '%s'", what, name, value.text,
                   e->field[k].value);
}

void fg_expect_compare(struct fg_redis_audit *a, struct fg_expected *e, const redisReply *reply,
                       enum fg_problem kind, enum fg_problem units_kind, const char *what)
{
    for (size_t i = 0; i + 1 < fg_redis_reply_size(reply); i += 2)
        compare_field(a, e, fg_redis_reply_word(reply, i),
                      fg_redis_reply_text(fg_redis_reply_at(reply, i + 1)), kind, units_kind, what);
    for (unsigned k = 0; k < e->count; k++) {
        if (!e->field[k].seen && !e->field[k].optional)
            fg_problem(a->problems, is_units(e->field[k].name) ? units_kind : kind,
                       "%s: %s is missing, the log has '%s'", what, e->field[k].name,
                       e->field[k].value);
    }
}
