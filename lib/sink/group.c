/* SPDX-License-Identifier: BSD-3-Clause */
#include "sink/group.h"

#include <string.h>

static bool add(struct fg_sink_group *group, struct fg_sink *sink)
{
    if (sink) {
        group->list[group->count] = sink; /* before the count: other threads may read it */
        group->count++;
    }
    return sink != NULL;
}

bool fg_sink_group_start(struct fg_sink_group *group, const struct fg_sink_group_options *o,
                         struct fg_error *err)
{
    const char *dir = o->journal_dir;
    struct fg_sink_kafka_options kafka = *o->kafka;

    kafka.leading = o->leading;

    return (!o->redis->enabled ||
            add(group, fg_sink_redis_start(o->redis, dir, o->durable_seq, err))) &&
           (!o->postgres->enabled ||
            add(group, fg_sink_postgres_start(o->postgres, dir, o->durable_seq, err))) &&
           (!kafka.enabled || add(group, fg_sink_kafka_start(&kafka, dir, o->durable_seq, err)));
}

void fg_sink_group_stop(struct fg_sink_group *group, unsigned drain_ms)
{
    for (unsigned i = 0; i < group->count; i++)
        fg_sink_ask_stop(group->list[i], drain_ms);
    while (group->count)
        fg_sink_stop(group->list[--group->count], drain_ms);
}

uint64_t fg_sink_group_passed(struct fg_sink_group *group)
{
    uint64_t seq = UINT64_MAX;

    for (unsigned i = 0; i < group->count; i++) {
        struct fg_sink_status s;

        fg_sink_status(group->list[i], &s);
        seq = s.cursor < seq ? s.cursor : seq;
    }
    return seq;
}

struct fg_sink *fg_sink_group_find(const struct fg_sink_group *group, const char *name)
{
    for (unsigned i = 0; i < group->count; i++)
        if (strcmp(fg_sink_name(group->list[i]), name) == 0)
            return group->list[i];
    return NULL;
}

const char *fg_sink_group_newer(struct fg_sink_group *group)
{
    for (unsigned i = 0; i < group->count; i++) {
        struct fg_sink_status s;

        fg_sink_status(group->list[i], &s);
        if (s.newer)
            return fg_sink_name(group->list[i]);
    }
    return NULL;
}

bool fg_sink_group_told(struct fg_sink_group *group)
{
    for (unsigned i = 0; i < group->count; i++) {
        struct fg_sink_status s;

        fg_sink_status(group->list[i], &s);
        if (s.state == FG_SINK_CONNECTING)
            return false;
    }
    return true;
}
