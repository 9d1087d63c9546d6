/* SPDX-License-Identifier: BSD-3-Clause */
/* values: those of the command line that are more than a number. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "packet/packet.h"
#include "tools/fgblast/options.h"

#define RANGE_MAX 65536u /* attacking sources of one kind */

bool fg_value_number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *value = strtoull(text, &end, 0);
    return errno == 0 && !*end && *value >= min && *value <= max;
}

static bool parse_address(const char *text, struct fg_address *address)
{
    memset(address, 0, sizeof(*address));
    if (inet_pton(AF_INET, text, address->bytes) == 1)
        address->family = 4;
    else if (inet_pton(AF_INET6, text, address->bytes) == 1)
        address->family = 6;
    return address->family != 0;
}

struct fg_address fg_address_add(const struct fg_address *first, uint32_t index)
{
    struct fg_address a = *first;
    uint64_t carry = index;

    for (int i = a.family == 4 ? 3 : 15; i >= 0 && carry; i--) {
        carry += a.bytes[i];
        a.bytes[i] = (uint8_t)carry;
        carry >>= 8;
    }
    return a;
}

/* "198.18.0.1", "198.18.0.1:4600", "2001:db8::1", "[2001:db8::1]:4600" */
static bool split_port(const char *text, char *host, size_t size, uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    const char *bracket = strchr(text, ']');
    uint64_t number = FG_PACKET_PORT_DEFAULT;

    if (strlen(text) >= size)
        return false;
    strcpy(host, text);
    if (text[0] == '[') {
        if (!bracket || (bracket[1] && bracket[1] != ':'))
            return false;
        memcpy(host, text + 1, (size_t)(bracket - text - 1));
        host[bracket - text - 1] = '\0';
        colon = bracket[1] ? bracket + 1 : NULL;
    } else if (colon && strchr(text, ':') == colon) {
        host[colon - text] = '\0';
    } else {
        colon = NULL;
    }
    if (colon && !fg_value_number(colon + 1, 1, 65535, &number))
        return false;
    *port = (uint16_t)number;
    return true;
}

/* The target of that family, a new one if there is none. */
static struct fg_target *target_of(struct fg_blast_options *o, uint8_t family)
{
    for (unsigned i = 0; i < o->targets_count; i++)
        if (o->targets[i].server.family == family || o->targets[i].source.family == family)
            return &o->targets[i];
    return &o->targets[o->targets_count++];
}

bool fg_value_target(struct fg_blast_options *o, const char *text, struct fg_error *err)
{
    char host[64];
    uint16_t port;
    struct fg_address address;
    struct fg_target *target;

    if (!split_port(text, host, sizeof(host), &port) || !parse_address(host, &address))
        return fg_fail(err, "%s: not IPV4[:PORT], IPV6 or [IPV6]:PORT with a port from 1 to 65535",
                       text);
    target = target_of(o, address.family);
    target->server = address;
    target->port = port;
    return true;
}

bool fg_value_standby(struct fg_blast_options *o, const char *text, struct fg_error *err)
{
    return parse_address(text, &o->standby) ||
           fg_fail(err, "%s: not an IPv4 or IPv6 address", text);
}

bool fg_value_source(struct fg_blast_options *o, const char *text, struct fg_error *err)
{
    struct fg_address address;

    if (!parse_address(text, &address))
        return fg_fail(err, "%s: not an IPv4 or IPv6 address", text);
    target_of(o, address.family)->source = address;
    return true;
}

bool fg_value_mac(const char *text, uint8_t mac[6], struct fg_error *err)
{
    int used = 0;

    if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2], &mac[3],
               &mac[4], &mac[5], &used) == 6 &&
        !text[used] && strlen(text) == 17)
        return true;
    return fg_fail(err, "%s: not a MAC address like 02:00:00:00:00:01", text);
}

static bool add_items(struct fg_blast_options *o, uint64_t first, uint64_t last)
{
    uint64_t count = last - first + 1;
    uint64_t *grown;

    if (first > last || count > FG_BLAST_ITEMS - o->items_count)
        return false;
    grown = realloc(o->items, (o->items_count + count) * sizeof(*grown));
    if (!grown)
        return false;
    o->items = grown;
    for (uint64_t i = 0; i < count; i++)
        o->items[o->items_count++] = first + i;
    return true;
}

bool fg_value_items(struct fg_blast_options *o, const char *text, struct fg_error *err)
{
    const char *at = text;

    o->items_count = 0;
    do {
        unsigned long long first = 0, last;
        int used = 0, more = 0;
        bool good = *at >= '0' && *at <= '9' && sscanf(at, "%llu%n", &first, &used) == 1;

        last = first;
        if (good && at[used] == '-')
            good = at[used + 1] >= '0' && at[used + 1] <= '9' &&
                   sscanf(at + used + 1, "%llu%n", &last, &more) == 1 && ++used;
        at += used + more;
        if (!good || first == 0 || last > INT64_MAX || (*at && *at != ',') ||
            !add_items(o, first, last))
            return fg_fail(err,
                           "%s: not a list like 7,9,100-149 of at most %u items from 1 to 2^63-1",
                           text, FG_BLAST_ITEMS);
    } while (*at++ == ',');
    return true;
}

bool fg_value_hot(struct fg_blast_options *o, const char *text, struct fg_error *err)
{
    unsigned long long item;
    int used = 0;

    if (*text >= '0' && *text <= '9' &&
        sscanf(text, "%llu:%lf%n", &item, &o->hot_share, &used) == 2 && !text[used] && item > 0 &&
        item <= INT64_MAX && o->hot_share >= 0 && o->hot_share <= 1) {
        o->hot_item = item;
        return true;
    }
    return fg_fail(err, "%s: not ITEM:SHARE with a share from 0 to 1", text);
}

static bool add_quantity(struct fg_blast_options *o, unsigned long quantity, double weight)
{
    if (quantity > 65535 || weight < 0 || o->quantities_count == FG_QUANTITIES_MAX)
        return false;
    o->quantities[o->quantities_count] = (uint16_t)quantity;
    o->weights[o->quantities_count++] = weight;
    return true;
}

/* One of the parts between commas: "2", "1-4" or "1:0.8"; NULL when it is none, else what follows.
 */
static const char *quantity_part(struct fg_blast_options *o, const char *at)
{
    unsigned long first, last;
    double weight = 1;
    char *end;

    if (*at < '0' || *at > '9')
        return NULL;
    first = last = strtoul(at, &end, 10);
    if (*end == '-')
        last = strtoul(end + 1, &end, 10);
    if (*end == ':')
        weight = strtod(end + 1, &end);
    if (last < first || last - first >= FG_QUANTITIES_MAX)
        return NULL;
    for (; first <= last; first++)
        if (!add_quantity(o, first, weight))
            return NULL;
    return end;
}

bool fg_value_quantity(struct fg_blast_options *o, const char *text, struct fg_error *err)
{
    const char *at = text;
    double sum = 0;

    o->quantities_count = 0;
    while ((at = quantity_part(o, at)) && *at == ',')
        at++;
    for (unsigned i = 0; i < o->quantities_count; i++)
        sum += o->weights[i];
    if (at && !*at && sum > 0)
        return true;
    return fg_fail(err, "%s: not 2, 1-4 or 1:0.8,2:0.2 with at most %u quantities from 0 to 65535",
                   text, FG_QUANTITIES_MAX);
}

static uint64_t low_word(const struct fg_address *a)
{
    uint64_t word = 0;
    unsigned from = a->family == 4 ? 0 : 8;

    for (unsigned i = from; i < (a->family == 4 ? 4u : 16u); i++)
        word = word << 8 | a->bytes[i];
    return word;
}

static bool range_of_prefix(struct fg_range *range, const char *bits)
{
    uint64_t length, width = range->first.family == 4 ? 32 : 128;

    if (!fg_value_number(bits, width - 16, width, &length))
        return false;
    range->count = 1u << (width - length);
    return (low_word(&range->first) & (range->count - 1)) == 0;
}

static bool range_to(struct fg_range *range, const char *text)
{
    struct fg_address last;
    uint64_t count;

    if (!parse_address(text, &last) || last.family != range->first.family ||
        (last.family == 6 && memcmp(last.bytes, range->first.bytes, 8)))
        return false;
    count = low_word(&last) - low_word(&range->first) + 1;
    range->count = (uint32_t)count;
    return count >= 1 && count <= RANGE_MAX;
}

bool fg_value_range(const char *text, struct fg_range *range, struct fg_error *err)
{
    char first[64];
    size_t length = strcspn(text, "/-");
    bool good = length < sizeof(first);

    if (good) {
        memcpy(first, text, length);
        first[length] = '\0';
        range->count = 1;
        good = parse_address(first, &range->first);
        if (good && text[length] == '/')
            good = range_of_prefix(range, text + length + 1);
        else if (good && text[length] == '-')
            good = range_to(range, text + length + 1);
    }
    return good ||
           fg_fail(err,
                   "%s: not an address, FIRST-LAST or a prefix without host bits, of at most %u "
                   "addresses",
                   text, RANGE_MAX);
}
