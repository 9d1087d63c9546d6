/* SPDX-License-Identifier: BSD-3-Clause */
/* The counters of two moments, flattened, and their difference by time. */
#include "fgctl.h"

#include <string.h>

static struct fg_sample *find(const struct fg_sample_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->list[i].name, name) == 0)
            return &set->list[i];
    return NULL;
}

static void add(struct fg_sample_set *set, const char *name, double value)
{
    struct fg_sample *sample = find(set, name);

    if (!sample && set->count == set->room) {
        set->room = set->room * 2 + 128;
        set->list = realloc(set->list, set->room * sizeof(*set->list));
        if (!set->list)
            abort();
    }
    if (!sample) {
        sample = &set->list[set->count++];
        *sample = (struct fg_sample){0};
        snprintf(sample->name, sizeof(sample->name), "%s", name);
    }
    sample->value += value;
}

/* Elements of an array share their names, and so are summed up. */
static void walk(struct fg_sample_set *set, const char *prefix, const json_t *json)
{
    const char *key;
    json_t *value;
    size_t i;

    if (json_is_number(json))
        add(set, prefix, json_number_value(json));
    json_array_foreach (json, i, value) {
        walk(set, prefix, value);
    }
    json_object_foreach ((json_t *)json, key, value) {
        char name[96];

        snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "." : "", key);
        walk(set, name, value);
    }
}

void fg_samples_take(struct fg_sample_set *set, const json_t *stats)
{
    set->count = 0;
    walk(set, "", stats);
}

void fg_samples_rate(struct fg_sample_set *now, const struct fg_sample_set *before, double seconds)
{
    for (size_t i = 0; i < now->count; i++) {
        const struct fg_sample *old = find(before, now->list[i].name);
        double difference = old ? now->list[i].value - old->value : 0;

        /* Counters of a restarted daemon begin anew: no rate rather than a negative one. */
        now->list[i].rate = difference > 0 && seconds > 0 ? difference / seconds : 0;
    }
}

double fg_sample_rate(const struct fg_sample_set *set, const char *name)
{
    const struct fg_sample *sample = find(set, name);

    return sample ? sample->rate : 0;
}

double fg_sample_value(const struct fg_sample_set *set, const char *name)
{
    const struct fg_sample *sample = find(set, name);

    return sample ? sample->value : 0;
}

void fg_samples_free(struct fg_sample_set *set)
{
    free(set->list);
    *set = (struct fg_sample_set){0};
}
