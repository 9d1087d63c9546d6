/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/fgblast/pick.h"

#include <math.h>

double *fg_zipf_weights(uint32_t count, double s)
{
    double *weights = calloc(count, sizeof(*weights));

    for (uint32_t i = 0; weights && i < count; i++)
        weights[i] = pow(i + 1.0, -s);
    return weights;
}

/* Cells below average are filled up, one after the other, from a cell above average. */
static void fill(struct fg_alias *alias, double *scaled, uint32_t *stack)
{
    uint32_t n = alias->count, small = 0, large = n;

    for (uint32_t i = 0; i < n; i++)
        stack[scaled[i] < 1 ? small++ : --large] = i;
    while (small > 0 && large < n) {
        uint32_t s = stack[--small], l = stack[large];

        alias->cells[s].bar = (uint64_t)(scaled[s] * 4294967296.0);
        alias->cells[s].other = l;
        scaled[l] -= 1 - scaled[s];
        if (scaled[l] < 1) {
            large++;
            stack[small++] = l;
        }
    }
    while (small > 0)
        alias->cells[stack[--small]].bar = 1ull << 32;
    while (large < n)
        alias->cells[stack[large++]].bar = 1ull << 32;
}

struct fg_alias *fg_alias_create(const double *weights, uint32_t count)
{
    struct fg_alias *alias = calloc(1, sizeof(*alias) + count * sizeof(alias->cells[0]));
    double *scaled = calloc(count, sizeof(*scaled));
    uint32_t *stack = calloc(count, sizeof(*stack));
    double sum = 0;

    for (uint32_t i = 0; i < count; i++)
        sum += weights[i];
    if (alias && scaled && stack && sum > 0) {
        alias->count = count;
        for (uint32_t i = 0; i < count; i++)
            scaled[i] = weights[i] * count / sum;
        fill(alias, scaled, stack);
    } else {
        free(alias);
        alias = NULL;
    }
    free(scaled);
    free(stack);
    return alias;
}
