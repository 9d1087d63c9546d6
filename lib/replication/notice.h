/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * notice: what two replication threads say to each other beside the messages of lib/pair, on the
 * same connection; and the cutting of the stream into messages of both kinds. docs/pair.md,
 * "The link". Pure. Private to lib/replication.
 *
 * A notice is a header of 16 bytes (magic, version, type, 0, size, CRC32C of the whole with this
 * field as 0), then 64-bit words. Little-endian.
 */
#ifndef FG_REPLICATION_NOTICE_H
#define FG_REPLICATION_NOTICE_H

#include "replication/replication.h"

#define FG_REPLICATION_NOTICE_HEADER 16
#define FG_REPLICATION_LIMIT_SIZE    32
#define FG_REPLICATION_NOTICE_MAX                                                                  \
    (FG_REPLICATION_NOTICE_HEADER + 32 + FG_REPLICATION_LIMITS_MAX * FG_REPLICATION_LIMIT_SIZE)

enum fg_replication_notice_type {
    FG_REPLICATION_NOTICE_TERMS = 1, /**< both, first, and again when something in it changed */
    FG_REPLICATION_NOTICE_PASSED = 2 /**< both: what the slowest sink has passed */
};

struct fg_replication_notice {
    enum fg_replication_notice_type type;
    uint64_t node;                     /**< TERMS: 0 or 1 */
    struct fg_replication_terms terms; /**< TERMS */
    uint64_t passed;                   /**< PASSED */
};

size_t fg_replication_notice_write(const struct fg_replication_notice *n,
                                   uint8_t bytes[FG_REPLICATION_NOTICE_MAX]);
/** False: not one whole notice. */
bool fg_replication_notice_read(struct fg_replication_notice *n, const uint8_t *bytes, size_t size);

/* ---- the stream ------------------------------------------------------------------------------ */

#define FG_REPLICATION_INBOX_SIZE (256u << 10) /**< more than three of the largest messages */

/** Bytes that came, until they are whole messages. */
struct fg_replication_inbox {
    uint8_t *bytes; /**< [FG_REPLICATION_INBOX_SIZE], aligned to 8 */
    size_t from, to;
};

enum fg_replication_found {
    FG_REPLICATION_NOTHING, /**< not whole yet */
    FG_REPLICATION_PAIR,    /**< a message of lib/pair, by its header */
    FG_REPLICATION_NOTICE,  /**< one of this file, by its header */
    FG_REPLICATION_GARBAGE  /**< neither */
};

/** Where to put up to *size more bytes; then fg_replication_inbox_came. At least one byte, unless a
 * whole message waits. */
uint8_t *fg_replication_inbox_room(struct fg_replication_inbox *in, size_t *size);
void fg_replication_inbox_came(struct fg_replication_inbox *in, size_t size);
/** The first message. It stays until it is dropped; the pointer holds until more comes. */
enum fg_replication_found fg_replication_inbox_first(const struct fg_replication_inbox *in,
                                                     const uint8_t **bytes, size_t *size);
void fg_replication_inbox_drop(struct fg_replication_inbox *in, size_t size);

#endif
