/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <string.h>

#include "filter/filter.h"

/* Decimal digits only, no sign, no leading zero: what strtoul would let through is refused. */
static bool parse_length(const char *text, unsigned max, unsigned *length)
{
    size_t digits = strlen(text);
    unsigned value = 0;

    if (digits < 1 || digits > 3 || (digits > 1 && text[0] == '0'))
        return false;
    for (size_t i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    *length = value;
    return value <= max;
}

static void clear_host_bits(uint8_t *addr, unsigned bytes, unsigned length)
{
    for (unsigned i = 0; i < bytes; i++) {
        unsigned keep = length > i * 8 ? length - i * 8 : 0;

        if (keep < 8)
            addr[i] &= (uint8_t)(0xff00u >> keep);
    }
}

void fg_filter_prefix_clear_host(struct fg_filter_prefix *prefix)
{
    clear_host_bits(prefix->addr, prefix->family == 6 ? 16 : 4, prefix->length);
}

/* ::ffff:a.b.c.d is how a socket of IPv6 writes an IPv4 client: packets of it are IPv4. */
static bool unmap(const char *text, struct fg_filter_prefix *p, struct fg_error *err)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (p->family != 6 || p->length < 96 || memcmp(p->addr, mapped, sizeof(mapped)) != 0)
        return true;
    if (p->length == 96)
        return fg_fail(err, "\"%s\" is every IPv4 address: did you mean 0.0.0.0/0?", text);
    p->family = 4;
    p->length = (uint8_t)(p->length - 96);
    memmove(p->addr, p->addr + 12, 4);
    memset(p->addr + 4, 0, 12);
    return true;
}

bool fg_filter_prefix_parse(const char *text, struct fg_filter_prefix *prefix, struct fg_error *err)
{
    char copy[64];
    struct fg_filter_prefix p = {0}, network;
    const char *slash = strchr(text, '/');
    size_t addr_len = slash ? (size_t)(slash - text) : strlen(text);
    unsigned max, length;

    if (strlen(text) >= sizeof(copy))
        return fg_fail(err, "\"%.48s...\" is too long for a prefix", text);
    memcpy(copy, text, addr_len);
    copy[addr_len] = 0;
    p.family = strchr(copy, ':') ? 6 : 4;
    if (inet_pton(p.family == 6 ? AF_INET6 : AF_INET, copy, p.addr) != 1)
        return fg_fail(
            err, "\"%s\" is not a prefix: want an address such as 198.18.7.0/24 or 2001:db8::/32",
            text);
    max = length = p.family == 6 ? 128 : 32;
    if (slash && !parse_length(slash + 1, max, &length))
        return fg_fail(err, "\"%s\": prefix length \"%s\" is not in 0..%u", text, slash + 1, max);
    p.length = (uint8_t)length;
    if (!unmap(text, &p, err))
        return false;
    network = p;
    clear_host_bits(network.addr, p.family == 6 ? 16 : 4, p.length);
    if (memcmp(&network, &p, sizeof(p)) != 0) {
        fg_filter_prefix_format(&network, copy);
        return fg_fail(err, "\"%s\": bits behind the prefix length are set: did you mean %s?", text,
                       copy);
    }
    *prefix = p;
    return true;
}

void fg_filter_prefix_format(const struct fg_filter_prefix *prefix, char *text)
{
    char addr[INET6_ADDRSTRLEN];
    unsigned max = prefix->family == 6 ? 128 : 32;

    inet_ntop(prefix->family == 6 ? AF_INET6 : AF_INET, prefix->addr, addr, sizeof(addr));
    if (prefix->length == max)
        snprintf(text, 64, "%s", addr);
    else
        snprintf(text, 64, "%s/%u", addr, prefix->length);
}
