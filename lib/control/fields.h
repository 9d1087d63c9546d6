/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * fields: the settings of an item, listed once: JSON field, CSV column, option of fgctl, range and
 * default. Pure data; any thread.
 */
#ifndef FG_CONTROL_FIELDS_H
#define FG_CONTROL_FIELDS_H

#include "base/base.h"
#include "base/text.h"
#include "journal/record.h"
#include "stock/stock.h"

enum fg_control_field_kind {
    FG_CONTROL_FIELD_NUMBER,
    FG_CONTROL_FIELD_ID,       /**< a number of 64 bits: a string in JSON */
    FG_CONTROL_FIELD_TEXT,     /**< min and max are bytes */
    FG_CONTROL_FIELD_DURATION, /**< milliseconds */
    FG_CONTROL_FIELD_TIME,     /**< Unix milliseconds; 0 has a meaning of its own */
    FG_CONTROL_FIELD_FLAG
};

/* name (JSON field, CSV column), option of fgctl, kind, min, max, default, meaning */
#define FG_CONTROL_ITEM_SETTING_LIST(X)                                                            \
    X(name, "name", TEXT, 0, FG_JOURNAL_ITEM_NAME_MAX, 0, "name for people, UTF-8")                \
    X(total, "total", NUMBER, 0, FG_JOURNAL_UNITS_MAX, 0, "units")                                 \
    X(user_limit, "user-limit", NUMBER, 0, UINT32_MAX, 0,                                          \
      "units one user may hold and have bought; 0 = any")                                          \
    X(order_max, "order-max", NUMBER, 1, UINT16_MAX, 10, "units of one order at most")             \
    X(hold_ms, "hold", DURATION, 100, FG_STOCK_HOLD_MS_MAX, 120000,                                \
      "how long an unpaid order holds its units")                                                  \
    X(opens, "opens", TIME, 0, FG_TEXT_TIME_MAX, 0, "start of the sale; 0 = at once")              \
    X(closes, "closes", TIME, 0, FG_TEXT_TIME_MAX, 0, "end of the sale; 0 = never")                \
    X(paused, "paused", FLAG, 0, 1, 0, "true: nothing is sold until resumed")                      \
    X(retired, "retired", FLAG, 0, 1, 0,                                                           \
      "true: its sale has ended, and it is not listed any more")                                   \
    X(waitlist, "waitlist", NUMBER, 0, FG_STOCK_WAITING_MAX, 0,                                    \
      "users who may wait for units that come back; 0 = no waiting list")                          \
    X(claim_ms, "claim", DURATION, 100, FG_STOCK_HOLD_MS_MAX, 120000,                              \
      "how long the units are held for the user whose turn it is")                                 \
    X(wait_ttl_ms, "wait-ttl", DURATION, 1000, 86400000, 30000,                                    \
      "a waiting user who was not heard of for so long is skipped")                                \
    X(one_unit, "one-unit", FLAG, 0, 1, 0, "true: a waiting order is of one unit")                 \
    X(lottery, "lottery", FLAG, 0, 1, 0,                                                           \
      "true: who waits at the opening is served in an order that is drawn")

/* Settings, and the item's number in front. */
#define FG_CONTROL_ITEM_FIELD_LIST(X)                                                              \
    X(item, "item", ID, 1, INT64_MAX, 0, "number of the item") FG_CONTROL_ITEM_SETTING_LIST(X)

enum fg_control_item_field_index {
#define X(name, option, kind, min, max, initial, text) FG_CONTROL_ITEM_FIELD_##name,
    FG_CONTROL_ITEM_FIELD_LIST(X)
#undef X
        FG_CONTROL_ITEM_FIELDS
};

struct fg_control_item_field {
    const char *name, *option;
    enum fg_control_field_kind kind;
    uint64_t min, max, initial;
    const char *text;
};

extern const struct fg_control_item_field fg_control_item_fields[FG_CONTROL_ITEM_FIELDS];

/** Index of the field of that name, or FG_CONTROL_ITEM_FIELDS. */
unsigned fg_control_item_field_find(const char *name);

/** "a whole number from 1 to 65535", ... for messages. Returns text, which holds at least 128
 * bytes. */
const char *fg_control_item_field_range(const struct fg_control_item_field *field, char *text);

/** A name that may be shown on a terminal: at most FG_JOURNAL_ITEM_NAME_MAX bytes, no control
 * characters. UTF-8 is the caller's question. */
bool fg_control_item_name_valid(const char *name);

#endif
