/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/text.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

/* Reads exactly `count` digits; -1 when there are fewer. */
static int digits(const char **p, int count)
{
    int value = 0;

    for (int i = 0; i < count; i++, (*p)++) {
        if (!isdigit((unsigned char)**p))
            return -1;
        value = value * 10 + (**p - '0');
    }
    return value;
}

static bool skip(const char **p, const char *any)
{
    if (**p == 0 || !strchr(any, **p))
        return false;
    (*p)++;
    return true;
}

static bool date_valid(const struct tm *tm)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = tm->tm_year + 1900;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    if (tm->tm_mon < 0 || tm->tm_mon > 11 || tm->tm_mday < 1)
        return false;
    return tm->tm_mday <= days[tm->tm_mon] + (leap && tm->tm_mon == 1);
}

static bool parse_clock(const char **p, struct tm *tm)
{
    tm->tm_hour = digits(p, 2);
    if (tm->tm_hour < 0 || tm->tm_hour > 23 || !skip(p, ":"))
        return false;
    tm->tm_min = digits(p, 2);
    if (tm->tm_min < 0 || tm->tm_min > 59 || !skip(p, ":"))
        return false;
    tm->tm_sec = digits(p, 2);
    return tm->tm_sec >= 0 && tm->tm_sec <= 59;
}

static bool parse_fraction(const char **p, int *ms)
{
    int unit = 100;

    *ms = 0;
    if (!skip(p, "."))
        return true;
    if (!isdigit((unsigned char)**p))
        return false;
    for (; isdigit((unsigned char)**p); (*p)++, unit /= 10)
        *ms += (**p - '0') * unit;
    return true;
}

static bool parse_zone(const char **p, int *minutes)
{
    int sign, hour, minute;

    *minutes = 0;
    if (skip(p, "Zz"))
        return true;
    if (**p != '+' && **p != '-')
        return false;
    sign = *(*p)++ == '-' ? -1 : 1;
    hour = digits(p, 2);
    if (hour < 0 || hour > 23 || !skip(p, ":"))
        return false;
    minute = digits(p, 2);
    if (minute < 0 || minute > 59)
        return false;
    *minutes = sign * (hour * 60 + minute);
    return true;
}

static bool parse_date(const char **p, struct tm *tm)
{
    int year = digits(p, 4);

    if (year < 0 || !skip(p, "-"))
        return false;
    tm->tm_year = year - 1900;
    tm->tm_mon = digits(p, 2) - 1;
    if (!skip(p, "-"))
        return false;
    tm->tm_mday = digits(p, 2);
    return date_valid(tm);
}

bool fg_text_time_read(const char *text, uint64_t *unix_ms, struct fg_error *err)
{
    const char *p = text;
    struct tm tm = {0};
    int fraction, zone;
    int64_t value;

    if (!parse_date(&p, &tm) || !skip(&p, "Tt ") || !parse_clock(&p, &tm) ||
        !parse_fraction(&p, &fraction) || !parse_zone(&p, &zone) || *p != 0)
        return fg_fail(err, "\"%.64s\" is not a time like 2026-11-27T09:00:00Z", text);
    value = ((int64_t)timegm(&tm) - zone * 60) * 1000 + fraction;
    if (value < 0 || value > FG_TEXT_TIME_MAX)
        return fg_fail(err, "\"%.64s\" lies outside 1970..9999", text);
    *unix_ms = (uint64_t)value;
    return true;
}

void fg_text_time(char text[FG_TEXT_TIME_SIZE], uint64_t unix_ms)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm tm;
    size_t len;

    gmtime_r(&seconds, &tm);
    len = strftime(text, FG_TEXT_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    if (unix_ms % 1000)
        len += (size_t)snprintf(text + len, FG_TEXT_TIME_SIZE - len, ".%03u",
                                (unsigned)(unix_ms % 1000));
    snprintf(text + len, FG_TEXT_TIME_SIZE - len, "Z");
}

static bool in_moments(uint64_t unix_ms)
{
    return unix_ms >= FG_TEXT_MOMENT_MIN && unix_ms <= FG_TEXT_TIME_MAX;
}

static bool looks_like(uint64_t given, const char *unit, uint64_t unix_ms, struct fg_error *err)
{
    char text[FG_TEXT_TIME_SIZE];

    fg_text_time(text, unix_ms);
    return fg_fail(err, "%" PRIu64 " looks like %s; Unix milliseconds are meant: %" PRIu64 " is %s",
                   given, unit, unix_ms, text);
}

bool fg_text_moment_check(uint64_t unix_ms, struct fg_error *err)
{
    if (in_moments(unix_ms))
        return true;
    if (unix_ms <= FG_TEXT_TIME_MAX / 1000 && in_moments(unix_ms * 1000))
        return looks_like(unix_ms, "seconds", unix_ms * 1000, err);
    if (in_moments(unix_ms / 1000))
        return looks_like(unix_ms, "microseconds", unix_ms / 1000, err);
    if (in_moments(unix_ms / 1000000))
        return looks_like(unix_ms, "nanoseconds", unix_ms / 1000000, err);
    return fg_fail(err, "%" PRIu64 " is not a time from 2000 to 9999 in Unix milliseconds",
                   unix_ms);
}

static const struct {
    const char *name;
    uint64_t ms;
} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

/* Length of the unit's name at p, 0 when there is none. "ms" comes before "m" in the table. */
static size_t unit_at(const char *p, uint64_t *ms)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t len = strlen(units[i].name);

        if (strncmp(p, units[i].name, len) == 0 && !isalpha((unsigned char)p[len])) {
            *ms = units[i].ms;
            return len;
        }
    }
    return 0;
}

bool fg_text_duration_read(const char *text, uint64_t *ms, struct fg_error *err)
{
    const char *p = text;
    uint64_t sum = 0;

    if (fg_text_number(text, ms))
        return true;
    do {
        uint64_t value = 0, unit = 0;
        int count = 0;
        size_t len;

        for (; isdigit((unsigned char)*p) && count < 12; p++, count++)
            value = value * 10 + (uint64_t)(*p - '0');
        len = count ? unit_at(p, &unit) : 0;
        if (len == 0 || value > FG_TEXT_TIME_MAX / unit || sum + value * unit > FG_TEXT_TIME_MAX)
            return fg_fail(err, "\"%.64s\" is not a duration like 250ms, 90s, 2m, 1h30m or 1d",
                           text);
        sum += value * unit;
        p += len;
    } while (*p);
    *ms = sum;
    return true;
}

bool fg_text_number(const char *text, uint64_t *number)
{
    uint64_t value = 0;

    if (*text == 0)
        return false;
    for (; *text; text++) {
        uint64_t digit = (uint64_t)(*text - '0');

        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *number = value;
    return true;
}

void fg_text_hex(char *text, const void *bytes, size_t size)
{
    static const char digits_of[] = "0123456789abcdef";
    const uint8_t *byte = bytes;

    for (size_t i = 0; i < size; i++) {
        *text++ = digits_of[byte[i] >> 4];
        *text++ = digits_of[byte[i] & 15];
    }
    *text = 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool fg_text_hex_read(const char *text, void *bytes, size_t size)
{
    uint8_t *byte = bytes;

    for (size_t i = 0; i < size; i++) {
        int high = hex_digit(text[2 * i]), low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);

        if (low < 0)
            return false;
        byte[i] = (uint8_t)(high << 4 | low);
    }
    return text[2 * size] == 0;
}

bool fg_text_order_read(const char *text, uint8_t order_id[16])
{
    char plain[33];
    size_t n = 0;

    if (strlen(text) != 36)
        return fg_text_hex_read(text, order_id, 16);
    for (size_t i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash && text[i] != '-')
            return false;
        if (!dash)
            plain[n++] = text[i];
    }
    plain[n] = 0;
    return fg_text_hex_read(plain, order_id, 16);
}
