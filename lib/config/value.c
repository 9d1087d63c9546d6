/* SPDX-License-Identifier: BSD-3-Clause */
/* One value: text to field, and what the field accepts as text. */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arbiter/arbiter.h"
#include "base/address.h"
#include "config/settings.h"
#include "frame/frame.h"

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit no_units[] = {{"", 1}, {NULL, 0}};
static const struct unit size_units[] = {
    {"", 1}, {"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}, {NULL, 0}};
static const struct unit megabyte_units[] = {{"", 1}, {"m", 1}, {"g", 1 << 10}, {NULL, 0}};
static const struct unit ms_units[] = {{"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {NULL, 0}};

static const struct unit *units_of(enum fg_config_kind kind)
{
    switch (kind) {
    case FG_CONFIG_KIND_SIZE:
        return size_units;
    case FG_CONFIG_KIND_MEGABYTE:
        return megabyte_units;
    case FG_CONFIG_KIND_MS:
        return ms_units;
    default:
        return no_units;
    }
}

static const char *units_text(enum fg_config_kind kind)
{
    switch (kind) {
    case FG_CONFIG_KIND_SIZE:
        return "a number with k, m, g or no unit";
    case FG_CONFIG_KIND_MEGABYTE:
        return "a number with m, g or no unit";
    case FG_CONFIG_KIND_MS:
        return "a number with ms, s, m or no unit";
    default:
        return "a whole number";
    }
}

static bool fail(char *why, size_t size, const char *text)
{
    snprintf(why, size, "%s", text);
    return false;
}

/* The largest unit that divides the number. */
static void format_units(enum fg_config_kind kind, uint64_t number, char *text, size_t size)
{
    const struct unit *best = units_of(kind);

    for (const struct unit *u = best; u->name; u++)
        if (number && number % u->factor == 0)
            best = u;
    snprintf(text, size, "%llu%s", (unsigned long long)(number / best->factor), best->name);
}

static void accepted_number(const struct fg_config_setting *s, char *text, size_t size)
{
    char min[32], max[32];

    if (s->kind == FG_CONFIG_KIND_OCTAL) {
        snprintf(text, size, "%04o..%04o, octal", (unsigned)s->min, (unsigned)s->max);
        return;
    }
    format_units(s->kind, s->min, min, sizeof(min));
    format_units(s->kind, s->max, max, sizeof(max));
    snprintf(text, size, "%s%s..%s%s", s->flags & FG_CONFIG_SET_ZERO_OK ? "0, " : "", min, max,
             s->flags & FG_CONFIG_SET_POWER_OF_TWO ? ", a power of two" : "");
}

static void accepted_names(const struct fg_config_setting *s, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (unsigned i = 0; s->names[i] && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", s->names[i]);
}

void fg_config_setting_accepted(const struct fg_config_setting *s, char *text, size_t size)
{
    unsigned max = (unsigned)s->max;

    switch (s->kind) {
    case FG_CONFIG_KIND_BOOL:
        snprintf(text, size, "yes, no");
        break;
    case FG_CONFIG_KIND_ENUM:
        accepted_names(s, text, size);
        break;
    case FG_CONFIG_KIND_TEXT:
        snprintf(text, size, "1..%u characters", max);
        break;
    case FG_CONFIG_KIND_WORD:
        snprintf(text, size, "1..%u letters, digits, . _ -", max);
        break;
    case FG_CONFIG_KIND_PATH:
        snprintf(text, size, "an absolute path of 1..%u characters", max);
        break;
    case FG_CONFIG_KIND_FILE:
        snprintf(text, size, "an absolute path of 1..%u characters, of a readable file", max);
        break;
    case FG_CONFIG_KIND_INTERFACE:
        snprintf(text, size, "an interface name of 1..%u characters", max);
        break;
    case FG_CONFIG_KIND_DEVICE:
        snprintf(text, size, "a DPDK device of 1..%u characters, no spaces", max);
        break;
    case FG_CONFIG_KIND_CPUS:
        snprintf(text, size, "a list like 0-3 or 0,2,4; CPUs 0..%d", FG_CONFIG_CPU_MAX);
        break;
    case FG_CONFIG_KIND_ADDRESS:
        snprintf(text, size, "host:port, [v6]:port or unix:/path, several with commas between");
        break;
    case FG_CONFIG_KIND_ENDPOINTS:
        snprintf(text, size, "host:port or [v6]:port, up to %d with commas between",
                 FG_ARBITER_ENDPOINTS_MAX);
        break;
    case FG_CONFIG_KIND_ADDRESSES:
        snprintf(text, size, "1..%d IPv4 and IPv6 addresses, separated by commas",
                 FG_FRAME_HOST_ADDRESSES_MAX);
        break;
    case FG_CONFIG_KIND_LISTEN:
        snprintf(text, size, "an IPv4 address:port or [IPv6 address]:port, in digits");
        break;
    case FG_CONFIG_KIND_FLOATING:
        snprintf(text, size, "1..%d `ADDRESS/PREFIX at INTERFACE`, separated by commas",
                 FG_ADDRESS_FLOATING_MAX);
        break;
    default:
        accepted_number(s, text, size);
    }
}

static bool store(const struct fg_config_setting *s, void *base, uint64_t number)
{
    char *field = (char *)base + s->offset;

    switch (s->size) {
    case 1:
        *(uint8_t *)field = (uint8_t)number;
        break;
    case 2:
        *(uint16_t *)field = (uint16_t)number;
        break;
    case 4:
        *(uint32_t *)field = (uint32_t)number;
        break;
    default:
        FG_ASSERT(s->size == 8);
        *(uint64_t *)field = number;
    }
    return true;
}

static bool digits_then_unit(const char *value, int base, const struct unit *units,
                             uint64_t *number)
{
    unsigned long long n;
    char *end;

    if (!isdigit((unsigned char)value[0]))
        return false;
    errno = 0;
    n = strtoull(value, &end, base);
    if (errno)
        n = UINT64_MAX; /* out of every range */
    for (; units->name; units++)
        if (!strcmp(end, units->name)) {
            *number = n > UINT64_MAX / units->factor ? UINT64_MAX : n * units->factor;
            return true;
        }
    return false;
}

static bool parse_number(const struct fg_config_setting *s, const char *value, void *base,
                         char *why, size_t size)
{
    uint64_t n;

    if (!digits_then_unit(value, s->kind == FG_CONFIG_KIND_OCTAL ? 8 : 10, units_of(s->kind), &n)) {
        snprintf(why, size, "not %s",
                 s->kind == FG_CONFIG_KIND_OCTAL ? "an octal number" : units_text(s->kind));
        return false;
    }
    if (n == 0 && s->flags & FG_CONFIG_SET_ZERO_OK)
        return store(s, base, n);
    if (n < s->min)
        return fail(why, size, "too small");
    if (n > s->max)
        return fail(why, size, "too large");
    if (s->flags & FG_CONFIG_SET_POWER_OF_TWO && (n & (n - 1)))
        return fail(why, size, "not a power of two");
    return store(s, base, n);
}

static bool parse_bool(const struct fg_config_setting *s, const char *value, void *base, char *why,
                       size_t size)
{
    static const char *const words[] = {"no", "yes", "off", "on", "false", "true", "0", "1"};

    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (!strcmp(value, words[i]))
            return store(s, base, i & 1);
    return fail(why, size, "neither yes nor no");
}

static bool parse_enum(const struct fg_config_setting *s, const char *value, void *base, char *why,
                       size_t size)
{
    for (unsigned i = 0; s->names[i]; i++)
        if (!strcmp(value, s->names[i]))
            return store(s, base, i);
    return fail(why, size, "no such choice");
}

int fg_config_cpu_list(const char *text, int *cpus, int max)
{
    int count = 0;

    for (;;) {
        unsigned long first, last;
        char *end;

        if (!isdigit((unsigned char)*text))
            return -1;
        first = last = strtoul(text, &end, 10);
        if (*end == '-') {
            text = end + 1;
            if (!isdigit((unsigned char)*text))
                return -1;
            last = strtoul(text, &end, 10);
        }
        if (first > last || last > FG_CONFIG_CPU_MAX)
            return -1;
        for (; first <= last; first++, count++)
            if (count < max)
                cpus[count] = (int)first;
        if (*end == '\0')
            return count;
        if (*end != ',')
            return -1;
        text = end + 1;
    }
}

static bool is_word(const char *value)
{
    for (; *value; value++)
        if (!isalnum((unsigned char)*value) && !strchr("._-", *value))
            return false;
    return true;
}

static bool no_space(const char *value)
{
    for (; *value; value++)
        if (isspace((unsigned char)*value))
            return false;
    return true;
}

static bool is_one_address(const char *value)
{
    const char *colon = strrchr(value, ':'), *bracket = strrchr(value, ']');
    uint64_t port;

    if (!strncmp(value, "unix:", 5))
        return value[5] == '/' && value[6];
    if (!no_space(value) || !colon || colon == value)
        return false;
    if (value[0] == '[' && bracket != colon - 1)
        return false;
    if (value[0] != '[' && strchr(value, ':') != colon)
        return false; /* IPv6 without brackets: which colon would it be? */
    return digits_then_unit(colon + 1, 10, no_units, &port) && port >= 1 && port <= 65535;
}

/* One, or several with commas between. */
static bool is_address(const char *value)
{
    char copy[FG_CONFIG_VALUE_MAX + 1], *rest = NULL;
    bool good = *value;

    snprintf(copy, sizeof(copy), "%s", value);
    for (char *one = strtok_r(copy, ",", &rest); one && good; one = strtok_r(NULL, ",", &rest))
        good = is_one_address(one + strspn(one, " "));
    return good;
}

/* A later reader must neither hang (FIFO) nor find no end (device). */
static const char *wrong_file(const char *value)
{
    struct stat st;

    if (value[0] != '/')
        return "not an absolute path";
    if (stat(value, &st) < 0)
        return errno == ENOENT ? "no such file" : strerror(errno);
    if (!S_ISREG(st.st_mode))
        return "not a file";
    return access(value, R_OK) < 0 ? strerror(errno) : NULL;
}

/* NULL, or why a text has not the shape of its kind. */
static const char *wrong_text(const struct fg_config_setting *s, const char *value)
{
    switch (s->kind) {
    case FG_CONFIG_KIND_WORD:
        return is_word(value) ? NULL : "has a character that is not allowed";
    case FG_CONFIG_KIND_PATH:
        return value[0] == '/' ? NULL : "not an absolute path";
    case FG_CONFIG_KIND_FILE:
        return wrong_file(value);
    case FG_CONFIG_KIND_INTERFACE:
        return no_space(value) && !strpbrk(value, "/:,=") && strcmp(value, ".") &&
                       strcmp(value, "..")
                   ? NULL
                   : "no interface can have this name";
    case FG_CONFIG_KIND_DEVICE:
        if (!strncmp(value, "net_af_xdp", 10))
            return "AF_XDP ports are given with interface = NAME";
        return no_space(value) ? NULL : "has a space";
    case FG_CONFIG_KIND_CPUS:
        return fg_config_cpu_list(value, NULL, 0) >= 0 ? NULL : "not a list of CPUs";
    case FG_CONFIG_KIND_ADDRESS:
        return is_address(value) ? NULL : "not an address";
    case FG_CONFIG_KIND_ENDPOINTS:
        return is_address(value) && fg_arbiter_takes(value) ? NULL : "not such addresses";
    case FG_CONFIG_KIND_ADDRESSES:
        return fg_frame_host_addresses_parse(
                   value, (struct fg_frame_host_address[FG_FRAME_HOST_ADDRESSES_MAX]){0},
                   FG_FRAME_HOST_ADDRESSES_MAX) > 0
                   ? NULL
                   : "not a list of unicast addresses";
    case FG_CONFIG_KIND_LISTEN:
        return fg_address_read(value, &(struct fg_address){0}) ? NULL
                                                               : "not an address to listen at";
    case FG_CONFIG_KIND_FLOATING:
        return fg_address_floating_read(
                   value, (struct fg_address_floating[FG_ADDRESS_FLOATING_MAX]){0}) > 0
                   ? NULL
                   : "not a list of unicast addresses at interfaces";
    default:
        return NULL;
    }
}

static bool parse_text(const struct fg_config_setting *s, const char *value, void *base, char *why,
                       size_t size)
{
    size_t length = strlen(value);
    const char *wrong;

    if (length > s->max) {
        snprintf(why, size, "too long (%zu characters)", length);
        return false;
    }
    FG_ASSERT(length < s->size);
    wrong = wrong_text(s, value);
    if (wrong)
        return fail(why, size, wrong);
    memcpy((char *)base + s->offset, value, length + 1);
    return true;
}

bool fg_config_setting_parse(const struct fg_config_setting *s, const char *value, void *base,
                             char *why, size_t why_size)
{
    if (!value[0])
        return fail(why, why_size, "has no value");
    if (s->kind >= FG_CONFIG_KIND_TEXT)
        return parse_text(s, value, base, why, why_size);
    if (s->kind == FG_CONFIG_KIND_BOOL)
        return parse_bool(s, value, base, why, why_size);
    if (s->kind == FG_CONFIG_KIND_ENUM)
        return parse_enum(s, value, base, why, why_size);
    return parse_number(s, value, base, why, why_size);
}
