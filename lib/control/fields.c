/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fields.h"

#include <inttypes.h>
#include <string.h>

const struct fg_control_item_field fg_control_item_fields[FG_CONTROL_ITEM_FIELDS] = {
#define X(name, option, kind, min, max, initial, text)                                             \
    {#name, option, FG_CONTROL_FIELD_##kind, min, max, initial, text},
    FG_CONTROL_ITEM_FIELD_LIST(X)
#undef X
};

unsigned fg_control_item_field_find(const char *name)
{
    unsigned i = 0;

    while (i < FG_CONTROL_ITEM_FIELDS && strcmp(fg_control_item_fields[i].name, name) != 0)
        i++;
    return i;
}

const char *fg_control_item_field_range(const struct fg_control_item_field *field, char *text)
{
    switch (field->kind) {
    case FG_CONTROL_FIELD_NUMBER:
    case FG_CONTROL_FIELD_ID:
        snprintf(text, 128, "a whole number from %" PRIu64 " to %" PRIu64, field->min, field->max);
        break;
    case FG_CONTROL_FIELD_DURATION:
        snprintf(text, 128, "milliseconds from %" PRIu64 " to %" PRIu64, field->min, field->max);
        break;
    case FG_CONTROL_FIELD_TEXT:
        snprintf(text, 128, "text of at most %" PRIu64 " bytes without control characters",
                 field->max);
        break;
    case FG_CONTROL_FIELD_TIME:
        snprintf(text, 128,
                 "Unix milliseconds from %" PRIu64 " to %" PRIu64 " or like 2026-11-27T09:00:00Z",
                 (uint64_t)FG_TEXT_MOMENT_MIN, field->max);
        break;
    case FG_CONTROL_FIELD_FLAG:
        snprintf(text, 128, "true or false");
        break;
    }
    return text;
}

/* U+2028..U+202E and U+2066..U+2069 end a line, or change the direction of what stands around. */
static bool turns_text(const char *at)
{
    const unsigned char *c = (const unsigned char *)at;

    return c[0] == 0xe2 && ((c[1] == 0x80 && c[2] >= 0xa8 && c[2] <= 0xae) ||
                            (c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9));
}

bool fg_control_item_name_valid(const char *name)
{
    size_t len = strlen(name);

    if (len > FG_JOURNAL_ITEM_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return false;
        /* C1 controls, U+0080..U+009F: some terminals obey them */
        if ((unsigned char)name[i] == 0xc2 && (unsigned char)name[i + 1] < 0xa0)
            return false;
        if (turns_text(name + i))
            return false;
    }
    return true;
}
