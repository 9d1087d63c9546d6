/* SPDX-License-Identifier: BSD-3-Clause */
/* Which word was meant: the one with the fewest letters to change. */
#include "fgctl.h"

#include <string.h>

#define WORD_MAX 32
#define CHANGES  2 /* letters that may be wrong */

/* Levenshtein's distance, where two letters that changed places are one change. */
static unsigned distance(const char *a, const char *b)
{
    unsigned d[WORD_MAX + 1][WORD_MAX + 1];
    size_t n = strlen(a), m = strlen(b);

    if (n > WORD_MAX || m > WORD_MAX)
        return WORD_MAX;
    for (unsigned i = 0; i <= n; i++)
        d[i][0] = i;
    for (unsigned k = 0; k <= m; k++)
        d[0][k] = k;
    for (size_t i = 1; i <= n; i++)
        for (size_t k = 1; k <= m; k++) {
            unsigned best = d[i - 1][k - 1] + (a[i - 1] != b[k - 1]);

            best = d[i - 1][k] + 1 < best ? d[i - 1][k] + 1 : best;
            best = d[i][k - 1] + 1 < best ? d[i][k - 1] + 1 : best;
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] &&
                d[i - 2][k - 2] + 1 < best)
                best = d[i - 2][k - 2] + 1;
            d[i][k] = best;
        }
    return d[n][m];
}

void fg_suggest(struct fg_suggestion *s, const char *typed, const char *word)
{
    unsigned changes = distance(typed, word);

    if (changes > CHANGES || changes >= strlen(typed) || (s->word && changes >= s->changes))
        return;
    s->word = word;
    s->changes = changes;
}

const char *fg_suggestion_text(const struct fg_suggestion *s, const char *before, char text[96])
{
    if (s->word)
        snprintf(text, 96, "; did you mean \"%s%s\"?", before, s->word);
    else
        text[0] = 0;
    return text;
}
