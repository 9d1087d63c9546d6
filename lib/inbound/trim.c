/* SPDX-License-Identifier: BSD-3-Clause */
#include "inbound/trim.h"

#include <string.h>

static bool named(const redisReply *group, const char *name)
{
    struct fg_redis_text text = fg_redis_reply_text(fg_redis_reply_value(group, "name"));

    return text.text && !strcmp(text.text, name);
}

bool fg_inbound_trim_begin(struct fg_inbound_position *p, const redisReply *groups,
                           const char *group, struct fg_error *err)
{
    const redisReply *ours = NULL, *read;

    *p = (struct fg_inbound_position){.last = "0-0"};
    for (size_t i = 0; i < fg_redis_reply_size(groups) && !ours; i++) {
        ours = fg_redis_reply_at(groups, i);
        ours = named(ours, group) ? ours : NULL;
    }
    if (!ours)
        return fg_redis_reply_wrong(groups, "XINFO GROUPS", "our group", err);
    read = fg_redis_reply_value(ours, "entries-read");
    p->known = read && !fg_redis_reply_is_nil(read); /* nil: Redis does not know it either */
    return (!p->known || fg_redis_reply_count(read, "entries-read", &p->read, err)) &&
           fg_redis_reply_id(fg_redis_reply_value(ours, "last-delivered-id"), "last-delivered-id",
                             p->last, err);
}

static bool later(const char *id, const char *than)
{
    uint64_t a[2] = {0, 0}, b[2] = {0, 0};

    fg_redis_id_parse(id, &a[0], &a[1]);
    fg_redis_id_parse(than, &b[0], &b[1]);
    return a[0] != b[0] ? a[0] > b[0] : a[1] > b[1];
}

bool fg_inbound_trim_check(struct fg_inbound_position *p, const redisReply *stream,
                           uint64_t *length, uint64_t *trimmed, struct fg_error *err)
{
    const redisReply *count = fg_redis_reply_value(stream, "entries-added"),
                     *first = fg_redis_reply_value(stream, "first-entry");
    char id[FG_REDIS_ID_MAX] = "0-0";
    uint64_t added;

    *trimmed = 0;
    if (!fg_redis_reply_count(fg_redis_reply_value(stream, "length"), "length", length, err))
        return false;
    if (!count) /* Redis 6.2 does not count them */
        return true;
    if (!fg_redis_reply_count(count, "entries-added", &added, err) ||
        (*length && !fg_redis_reply_id(fg_redis_reply_at(first, 0), "first-entry", id, err)))
        return false;
    if (*length && !later(id, p->last)) /* what was read is still there */
        return true;
    added = added > *length ? added - *length : 0; /* before the first that is there */
    if (p->known && added == p->read)
        return true;
    if (p->known && added > p->read)
        *trimmed = added - p->read;
    p->known = p->tell = true;
    p->read = added;
    return true;
}

void fg_inbound_trim_read(struct fg_inbound_position *p, const char *id)
{
    p->read++;
    snprintf(p->last, sizeof(p->last), "%s", id);
}
