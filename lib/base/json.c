/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"

json_t *fg_json_id(uint64_t id)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, id);
    return json_string(text);
}

bool fg_json_id_read(const json_t *value, uint64_t *id)
{
    if (json_is_string(value))
        return fg_text_number(json_string_value(value), id);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *id = (uint64_t)json_integer_value(value);
    return true;
}

json_t *fg_json_text(const char *text)
{
    json_t *json = json_string(text);

    return json ? json : json_string("(not UTF-8)");
}
