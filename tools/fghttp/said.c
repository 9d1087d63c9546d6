/* SPDX-License-Identifier: BSD-3-Clause */
#include "said.h"

#include <jansson.h>
#include <string.h>

#define BIT(name) (1ull << FG_PACKET_STATUS_##name)

static unsigned status_of(const json_t *text)
{
    const char *name = json_string_value(text);

    for (unsigned i = 1; name && i < FG_PACKET_STATUS_COUNT; i++)
        if (!strcmp(fg_packet_status_name(i), name))
            return i;
    return FG_PACKET_STATUS_NONE;
}

struct said said_by(unsigned http, const char *body)
{
    const uint64_t undecided = BIT(BUSY) | BIT(UNAVAILABLE) | BIT(FULL) | BIT(USER_RATE) |
                               BIT(NOT_LEADER) | BIT(WRONG_SHARD);
    struct said said = {.unknown = http == 0 || http == 502 || http == 504};
    json_t *json = http ? json_loads(body, 0, NULL) : NULL;
    json_int_t retry = json_integer_value(json_object_get(json, "retry_ms"));

    if (retry > 0)
        said.retry_ms = (uint64_t)retry;
    if (http == 200 || http == 202)
        said.status = status_of(json_object_get(json, "state"));
    else
        said.status = status_of(json_object_get(json, "code"));
    if (undecided >> said.status & 1)
        said.status = FG_PACKET_STATUS_NONE;
    json_decref(json);
    return said;
}

bool said_state(unsigned status)
{
    return (BIT(RESERVED) | BIT(SOLD) | BIT(CANCELLED) | BIT(EXPIRED) | BIT(REFUNDED) |
            BIT(WAITING)) >>
               status &
           1;
}
