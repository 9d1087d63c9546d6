/* SPDX-License-Identifier: BSD-3-Clause */
#include "redis/address.h"

#include <ctype.h>
#include <string.h>

#define ACCEPTED "accepted: host:port, [v6]:port, unix:/path"

static bool parse_port(const char *text, const char *whole, uint16_t *port, struct fg_error *err)
{
    unsigned long value = 0;
    size_t len = strlen(text);

    for (const char *p = text; *p; p++) {
        if (!isdigit((unsigned char)*p))
            len = 0;
    }
    if (len >= 1 && len <= 5)
        value = strtoul(text, NULL, 10);
    if (value < 1 || value > 65535)
        return fg_fail(err, "redis address '%s': port '%s' is not 1..65535", whole, text);
    *port = (uint16_t)value;
    return true;
}

static bool parse_unix(const char *path, const char *whole, struct fg_redis_address *address,
                       struct fg_error *err)
{
    if (path[0] != '/')
        return fg_fail(err, "redis address '%s': the path of a unix socket begins with '/'", whole);
    if (strlen(path) > FG_REDIS_PATH_MAX)
        return fg_fail(err, "redis address '%s': path of %zu bytes, accepted: up to %d", whole,
                       strlen(path), FG_REDIS_PATH_MAX);
    address->is_unix = true;
    snprintf(address->host, sizeof(address->host), "%s", path);
    return true;
}

bool fg_redis_address_parse(const char *text, struct fg_redis_address *address,
                            struct fg_error *err)
{
    const char *host = text, *colon = strrchr(text, ':'), *end = colon;

    memset(address, 0, sizeof(*address));
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, text, address, err);
    if (!colon)
        return fg_fail(err, "redis address '%s' has no port; " ACCEPTED, text);
    if (text[0] == '[') {
        host = text + 1;
        end = colon - 1;
        if (end < host || *end != ']')
            return fg_fail(err, "redis address '%s': '[' without ']:port'; " ACCEPTED, text);
    } else if (memchr(text, ':', (size_t)(colon - text))) {
        return fg_fail(err, "redis address '%s': an IPv6 address stands in brackets; " ACCEPTED,
                       text);
    }
    if (end == host)
        return fg_fail(err, "redis address '%s' has no host; " ACCEPTED, text);
    if ((size_t)(end - host) >= sizeof(address->host))
        return fg_fail(err, "redis address: host of %zu bytes, accepted: up to %zu",
                       (size_t)(end - host), sizeof(address->host) - 1);
    memcpy(address->host, host, (size_t)(end - host));
    return parse_port(colon + 1, text, &address->port, err);
}

bool fg_redis_address_list(const char *text, struct fg_redis_address list[FG_REDIS_SERVERS_MAX],
                           unsigned *count, struct fg_error *err)
{
    char copy[1024], *rest = NULL;

    *count = 0;
    if ((size_t)snprintf(copy, sizeof(copy), "%s", text) >= sizeof(copy))
        return fg_fail(err, "redis address: the list is too long");
    for (char *one = strtok_r(copy, ", ", &rest); one; one = strtok_r(NULL, ", ", &rest)) {
        if (*count == FG_REDIS_SERVERS_MAX)
            return fg_fail(err, "redis address: more than %d servers", FG_REDIS_SERVERS_MAX);
        if (!fg_redis_address_parse(one, &list[(*count)++], err))
            return false;
    }
    return *count > 0 || fg_redis_address_parse(text, &list[0], err);
}

bool fg_redis_prefix_check(const char *prefix, struct fg_error *err)
{
    size_t len = strlen(prefix);

    if (len < 1 || len > FG_REDIS_PREFIX_MAX)
        return fg_fail(err, "redis prefix '%s' has %zu bytes, accepted: 1..%d", prefix, len,
                       FG_REDIS_PREFIX_MAX);
    for (const char *p = prefix; *p; p++) {
        if (!isalnum((unsigned char)*p) && !strchr("._:-", *p))
            return fg_fail(err, "redis prefix '%s': accepted are letters, digits and . _ : -",
                           prefix);
    }
    return true;
}

void fg_redis_base(char base[FG_REDIS_BASE_MAX], const char *prefix, unsigned members,
                   unsigned member)
{
    int len = members ? snprintf(base, FG_REDIS_BASE_MAX, "{%.63s}:member:%u:", prefix, member)
                      : snprintf(base, FG_REDIS_BASE_MAX, "{%.63s}:", prefix);

    FG_ASSERT(len < FG_REDIS_BASE_MAX);
}
