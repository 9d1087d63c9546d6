/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <string.h>

#include "filter/filter.h"

#define NAME_MAX_BYTES 16

static char names[FG_VERDICT_COUNT][NAME_MAX_BYTES] = {
#define X(name, text) [FG_VERDICT_##name] = #name,
    FG_VERDICT_LIST(X)
#undef X
};

static const char *const texts[FG_VERDICT_COUNT] = {
#define X(name, text) [FG_VERDICT_##name] = text,
    FG_VERDICT_LIST(X)
#undef X
};

#define X(name, text) _Static_assert(sizeof(#name) <= NAME_MAX_BYTES, "name fits");
FG_VERDICT_LIST(X)
#undef X

/* RATE_ORDER in the list is "rate-order" for people. */
__attribute__((constructor)) static void names_fill(void)
{
    for (unsigned i = 0; i < FG_VERDICT_COUNT; i++)
        for (char *c = names[i]; *c; c++)
            *c = *c == '_' ? '-' : (char)tolower(*c);
}

const char *fg_verdict_name(unsigned verdict)
{
    return verdict < FG_VERDICT_COUNT ? names[verdict] : "?";
}

const char *fg_verdict_text(unsigned verdict)
{
    return verdict < FG_VERDICT_COUNT ? texts[verdict] : "?";
}
