/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/option.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

bool fg_option_wrong(const char *name, const char *text, const char *accepted)
{
    fprintf(stderr, "%s: --%s %s: accepted: %s\n", program_invocation_short_name, name, text,
            accepted);
    return false;
}

bool fg_option_number(const char *name, const char *text, uint64_t min, uint64_t max,
                      uint64_t *value)
{
    char accepted[64];

    if (fg_text_number(text, value) && *value >= min && *value <= max)
        return true;
    snprintf(accepted, sizeof(accepted), "%llu..%llu", (unsigned long long)min,
             (unsigned long long)max);
    return fg_option_wrong(name, text, accepted);
}

bool fg_option_share(const char *name, const char *text, double *value)
{
    char *end;

    *value = strtod(text, &end);
    return (end != text && !*end && *value >= 0 && *value <= 1) ||
           fg_option_wrong(name, text, "a share from 0 to 1");
}

bool fg_option_range(const char *name, const char *text, uint64_t min, uint64_t max,
                     uint64_t *first, uint64_t *last)
{
    const char *dash = strchrnul(text, '-');
    size_t len = (size_t)(dash - text);
    char word[32] = "";

    memcpy(word, text, len < sizeof(word) ? len : sizeof(word) - 1); /* else no number anyway */
    if (!fg_option_number(name, word, min, max, first))
        return false;
    *last = *first;
    return !*dash || fg_option_number(name, dash + 1, *first, max, last);
}
