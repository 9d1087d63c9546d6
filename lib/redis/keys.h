/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * redis_keys: names of keys and fields in Redis, defined once for the sink, its tests and the
 * auditor. docs/redis.md tells what they mean. Every key is `{prefix}:` and one of the suffixes:
 * the braces are a hash tag, which keeps all keys of a transaction in one slot of a cluster. Of a
 * member of a fleet it is `{prefix}:member:M:` and one of them (fg_redis_base); the items and their
 * set stand once more under `{prefix}:`, with the sums over all members.
 */
#ifndef FG_REDIS_KEYS_H
#define FG_REDIS_KEYS_H

#include <stdbool.h>
#include <string.h>

#define FG_REDIS_FORMAT "1" /**< of keys and fields; stands in the cursor */

#define FG_REDIS_KEY_CURSOR "cursor" /**< hash */
#define FG_REDIS_KEY_ITEMS  "items"  /**< set of item numbers */
#define FG_REDIS_KEY_EVENTS "events" /**< stream */
#define FG_REDIS_KEY_DENIED "denied" /**< set of user numbers */
#define FG_REDIS_KEY_ITEM   "item:"  /**< + item: hash */
#define FG_REDIS_KEY_ORDER  "order:" /**< + user ":" order id in hex: hash */

#define FG_REDIS_KEY_MEMBER "member:" /**< + member ":": begins the keys of a member of a fleet */

#define FG_REDIS_KEY_FILL "fill" /**< hash: while the keys are filled from a snapshot */

/* of inbound commands: written by others, or by lib/inbound; they stay when the keys above are
 * deleted
 */
#define FG_REDIS_KEY_COMMANDS "commands"      /**< stream: what the order service asks for */
#define FG_REDIS_KEY_DEAD     "commands:dead" /**< stream: commands that make no sense */
#define FG_REDIS_KEY_RESULTS  "results"       /**< stream: what became of the others */
#define FG_REDIS_KEY_LEADER   "leader"    /**< string: of a pair, the epoch that takes commands */
#define FG_REDIS_GROUP        "floodgate" /**< consumer group of the commands */

/** True when the key (without the prefix) belongs to inbound commands and not to the state of the
 * log.
 */
static inline bool fg_redis_key_of_inbound(const char *suffix)
{
    return !strcmp(suffix, FG_REDIS_KEY_COMMANDS) || !strcmp(suffix, FG_REDIS_KEY_DEAD) ||
           !strcmp(suffix, FG_REDIS_KEY_RESULTS) || !strcmp(suffix, FG_REDIS_KEY_LEADER);
}

/* fields of the cursor */
#define FG_REDIS_CURSOR_SEQ       "seq"
#define FG_REDIS_CURSOR_APPLIANCE "appliance"
#define FG_REDIS_CURSOR_CRC       "crc" /**< of that record, as it stands in the log */
#define FG_REDIS_CURSOR_FORMAT    "format"
#define FG_REDIS_CURSOR_BROKEN    "broken" /**< only when a transaction met an error inside Redis */

#define FG_REDIS_CURSOR_FILLED                                                                     \
    "filled" /**< record of the snapshot that the keys were last filled from                       \
              */

/* fields of the mark of a fill */
#define FG_REDIS_FILL_ID        "id" /**< random: of this attempt */
#define FG_REDIS_FILL_APPLIANCE "appliance"
#define FG_REDIS_FILL_SEQ       "seq"    /**< of the snapshot */
#define FG_REDIS_FILL_ORDERS    "orders" /**< written so far */

#define FG_REDIS_EVENT_RESYNC "resync" /**< type of the event that stands for all before it */

/* fields of an item that hold numbers: name in Redis, kind (units are kept by HINCRBY, settings by
 * HSET) */
#define FG_REDIS_UNITS_LIST(X)                                                                     \
    X(total)                                                                                       \
    X(available)                                                                                   \
    X(reserved)                                                                                    \
    X(sold)                                                                                        \
    X(refunded)

#define FG_REDIS_SETTINGS_LIST(X)                                                                  \
    X(opens_ms)                                                                                    \
    X(closes_ms)                                                                                   \
    X(hold_ms)                                                                                     \
    X(user_limit)                                                                                  \
    X(order_max)

/* of its waiting list: absent is 0 */
#define FG_REDIS_LINE_LIST(X)                                                                      \
    X(line_max)                                                                                    \
    X(claim_ms)                                                                                    \
    X(wait_ttl_ms)

#define FG_REDIS_ITEM_FIELD_ONE_UNIT "one_unit" /**< 0 or 1; absent is 0 */
#define FG_REDIS_ITEM_FIELD_WAITING                                                                \
    "waiting" /**< orders in the line, by HINCRBY; absent is 0                                     \
               */

/* of a fleet, by HINCRBY; absent is 0 */
#define FG_REDIS_FLEET_LIST(X)                                                                     \
    X(leased)                                                                                      \
    X(returned)

#define FG_REDIS_ITEM_FIELD_PAUSED "paused" /**< 0 or 1 */
#define FG_REDIS_ITEM_FIELD_NAME   "name"   /**< absent until named */

/* fields of an order */
#define FG_REDIS_ORDER_LIST(X)                                                                     \
    X(state)                                                                                       \
    X(item)                                                                                        \
    X(user)                                                                                        \
    X(quantity)                                                                                    \
    X(deadline_ms)                                                                                 \
    X(changed_ms)                                                                                  \
    X(seq)

#define FG_REDIS_ORDER_FIELD_LATE                                                                  \
    "late" /**< 1: it was paid after its hold had ended; else absent */

#endif
