/* SPDX-License-Identifier: BSD-3-Clause */
#include "member/values.h"

#include <string.h>

void fg_member_values_add(struct fg_member_values *values, const char *key,
                          const struct fg_arbiter_value *value)
{
    struct fg_member_value *v;

    if (strlen(key) >= FG_FLEET_KEY_MAX)
        return;
    if (values->len == values->size) {
        values->size = 2 * values->size + 64;
        values->of = realloc(values->of, values->size * sizeof(*values->of));
        FG_ASSERT(values->of);
    }
    v = &values->of[values->len++];
    strcpy(v->key, key);
    v->revision = value->revision;
    v->text = strdup(value->bytes);
    FG_ASSERT(v->text);
}

void fg_member_values_forget(struct fg_member_values *values)
{
    for (size_t i = 0; i < values->len; i++)
        free(values->of[i].text);
    values->len = 0;
}

void fg_member_values_free(struct fg_member_values *values)
{
    fg_member_values_forget(values);
    free(values->of);
}
