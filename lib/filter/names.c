/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <string.h>

#include "filter/filter.h"

#define NAME_MAX_BYTES 16

static char names[FG_FILTER_COUNTS][NAME_MAX_BYTES] = {
#define X(name, text) #name,
    FG_FILTER_VERDICT_LIST(X) FG_FILTER_EVENT_LIST(X)
#undef X
};

static const char *const texts[FG_FILTER_COUNTS] = {
#define X(name, text) text,
    FG_FILTER_VERDICT_LIST(X) FG_FILTER_EVENT_LIST(X)
#undef X
};

#define X(name, text) _Static_assert(sizeof(#name) <= NAME_MAX_BYTES, "name fits");
FG_FILTER_VERDICT_LIST(X)
FG_FILTER_EVENT_LIST(X)
#undef X

/* RATE_ORDER in the list is "rate-order" for people. */
__attribute__((constructor)) static void names_fill(void)
{
    for (unsigned i = 0; i < FG_FILTER_COUNTS; i++)
        for (char *c = names[i]; *c; c++)
            *c = *c == '_' ? '-' : (char)tolower(*c);
}

const char *fg_filter_verdict_name(unsigned verdict)
{
    return verdict < FG_FILTER_VERDICT_COUNT ? names[verdict] : "?";
}

const char *fg_filter_verdict_text(unsigned verdict)
{
    return verdict < FG_FILTER_VERDICT_COUNT ? texts[verdict] : "?";
}

const char *fg_filter_event_name(unsigned event)
{
    return event < FG_EVENT_COUNT ? names[FG_FILTER_VERDICT_COUNT + event] : "?";
}

const char *fg_filter_event_text(unsigned event)
{
    return event < FG_EVENT_COUNT ? texts[FG_FILTER_VERDICT_COUNT + event] : "?";
}
