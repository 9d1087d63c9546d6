/* SPDX-License-Identifier: BSD-3-Clause */
#include "problems.h"

#include <stdarg.h>
#include <string.h>

static const struct {
    const char *name, *meaning;
} kinds[FG_PROBLEM_COUNT] = {
#define X(name, text, meaning) {text, meaning},
    FG_PROBLEM_LIST(X)
#undef X
};

const char *fg_problem_name(enum fg_problem kind)
{
    return kinds[kind].name;
}

const char *fg_problem_meaning(enum fg_problem kind)
{
    return kinds[kind].meaning;
}

void fg_problem(struct fg_problems *p, enum fg_problem kind, const char *fmt, ...)
{
    struct fg_problem_kind *k = &p->kinds[kind];
    char **texts, *text, *longer;
    va_list args;
    int written;

    if (p->silent)
        return;
    k->count++;
    if (k->kept >= p->limit)
        return;
    va_start(args, fmt);
    written = vasprintf(&text, fmt, args);
    va_end(args);
    if (written >= 0 && p->about && asprintf(&longer, "%s: %s", p->about, text) >= 0) {
        free(text);
        text = longer;
    }
    texts = written < 0 ? NULL : realloc(k->texts, (k->kept + 1) * sizeof(*texts));
    if (!texts) { /* the count stands; only its text is lost */
        if (written >= 0)
            free(text);
        return;
    }
    k->texts = texts;
    k->texts[k->kept++] = text;
}

uint64_t fg_problems_count(const struct fg_problems *p)
{
    uint64_t n = 0;

    for (int i = 0; i < FG_PROBLEM_COUNT; i++)
        n += p->kinds[i].count;
    return n;
}

void fg_problems_forget(struct fg_problems *p, enum fg_problem from)
{
    for (int i = (int)from; i < FG_PROBLEM_COUNT; i++) {
        struct fg_problem_kind *k = &p->kinds[i];

        while (k->kept)
            free(k->texts[--k->kept]);
        free(k->texts);
        memset(k, 0, sizeof(*k));
    }
}

void fg_problems_free(struct fg_problems *p)
{
    fg_problems_forget(p, 0);
}
