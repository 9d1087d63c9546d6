/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * notice: what two replication threads say to each other beside the messages of lib/pair, on the
 * same connection; and the cutting of the stream into messages of both kinds. docs/pair.md,
 * "The link". Pure. Private to lib/replication.
 *
 * A notice is a header of 16 bytes (magic, version, type, 0, size, CRC32C of the whole with this
 * field as 0), then 64-bit words. Little-endian. Behind the words of a PIECE are bytes of a file,
 * and zeros up to a multiple of 8; its CRC covers the header and the words alone, for a file has
 * checks of its own.
 */
#ifndef FG_REPLICATION_NOTICE_H
#define FG_REPLICATION_NOTICE_H

#include "replication/replication.h"

#define FG_REPLICATION_NOTICE_HEADER 16
#define FG_REPLICATION_LIMIT_SIZE    32
#define FG_REPLICATION_NOTICE_MAX                                                                  \
    (FG_REPLICATION_NOTICE_HEADER + 32 + FG_REPLICATION_LIMITS_MAX * FG_REPLICATION_LIMIT_SIZE)

enum fg_replication_notice_type {
    FG_REPLICATION_NOTICE_TERMS = 1,  /**< both, first, and again when something in it changed */
    FG_REPLICATION_NOTICE_PASSED = 2, /**< both: what the slowest sink has passed */
    FG_REPLICATION_NOTICE_OFFER = 3,  /**< leader: it has a file. Size 0: it has none */
    FG_REPLICATION_NOTICE_GET = 4,    /**< follower: bytes up to here may be sent. Version 0: which
                                         snapshot is there? `bytes`: best this version, of which
                                         it has a part */
    FG_REPLICATION_NOTICE_PIECE = 5   /**< leader: the next bytes of a file */
};

/** OFFER, GET and PIECE go only to a peer whose terms have a limit of this name; an offset in GET
 * only to one whose value is FG_REPLICATION_RESUMES or more. */
#define FG_REPLICATION_KNOWS_FILES "files"
#define FG_REPLICATION_RESUMES     2
#define FG_REPLICATION_PIECE_HEAD  48
#define FG_REPLICATION_PIECE_MAX   32768u /**< bytes of a file */

struct fg_replication_notice {
    enum fg_replication_notice_type type;
    uint64_t node;                     /**< TERMS: 0 or 1 */
    struct fg_replication_terms terms; /**< TERMS */
    uint64_t passed;                   /**< PASSED */
    enum fg_replication_file file;     /**< OFFER, GET, PIECE */
    uint64_t version;                  /**< the same */
    uint64_t bytes;                    /**< OFFER: its size. GET: how far. PIECE: how many follow */
    uint64_t offset;     /**< PIECE. GET: so many bytes are here from an earlier link */
    const uint8_t *tail; /**< PIECE: in what was read; the writer of a notice adds it itself */
};

/** Of a PIECE with so many bytes of a file. */
size_t fg_replication_piece_size(uint64_t bytes);

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
