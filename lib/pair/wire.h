/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * wire: messages between the two nodes of a pair, and the values that the arbiter keeps for them.
 * docs/pair.md describes both. Pure functions; any thread.
 *
 * A message is a header, 64-bit words by its type, and a tail of entries. Little-endian.
 */
#ifndef FG_PAIR_WIRE_H
#define FG_PAIR_WIRE_H

#include "base/base.h"

#define FG_PAIR_RECORD_SIZE 64
#define FG_PAIR_RECORDS_MAX 1024 /**< in one message */
#define FG_PAIR_EPOCHS_MAX  256  /**< in one HELLO: the newest */
#define FG_PAIR_EPOCH_SIZE  16
#define FG_PAIR_NONCE_SIZE  16
#define FG_PAIR_HEADER_SIZE 32
#define FG_PAIR_WORDS_MAX   8
#define FG_PAIR_HEAD_MAX    (FG_PAIR_HEADER_SIZE + 8 * FG_PAIR_WORDS_MAX)
#define FG_PAIR_MESSAGE_MAX (FG_PAIR_HEAD_MAX + FG_PAIR_RECORDS_MAX * FG_PAIR_RECORD_SIZE)
#define FG_PAIR_TEXT_MAX    256 /**< bytes of a value at the arbiter, with its zero */

/** Where an epoch begins in a log. Records before the first one are of epoch 0. */
struct fg_pair_epoch {
    uint64_t epoch;
    uint64_t first; /**< sequence */
};

/* name, number, words, bytes of an entry of the tail, most entries */
#define FG_PAIR_MESSAGE_LIST(X)                                                                    \
    X(HELLO, 1, 7, FG_PAIR_EPOCH_SIZE, FG_PAIR_EPOCHS_MAX) /* who I am; the epochs of my log */    \
    X(FOLLOW, 2, 1, 0, 0)                                  /* standby: ship me the log */          \
    X(RECORDS, 3, 4, FG_PAIR_RECORD_SIZE, FG_PAIR_RECORDS_MAX) /* leader: a part of the log */     \
    X(ACK, 4, 1, 0, 0)       /* standby: what is durable at me */                                  \
    X(HEARTBEAT, 5, 4, 0, 0) /* both */                                                            \
    X(ECHO, 6, 3, 0, 0)      /* both: the answer to a heartbeat */                                 \
    X(TAKE, 7, 1, 0, 0)      /* leader: lead in my place */

enum fg_pair_type {
#define X(name, number, words, entry, max) FG_PAIR_TYPE_##name = number,
    FG_PAIR_MESSAGE_LIST(X)
#undef X
};
const char *fg_pair_type_name(unsigned type); /**< "HELLO"; "?" when unknown */

struct fg_pair_message {
    uint8_t type;
    uint64_t epoch; /**< that the sender leads or follows; 0 = none */
    union {
        uint64_t word[FG_PAIR_WORDS_MAX];
        struct {
            uint64_t log;    /**< 0 = none yet */
            uint64_t node;   /**< 0 or 1 */
            uint64_t state;  /**< enum fg_pair_state */
            uint64_t reason; /**< enum fg_pair_reason; not 0: it cannot lead */
            uint64_t first, last, durable;
        } hello;
        struct {
            uint64_t first; /**< sequence that it wants next */
        } follow;
        struct {
            uint64_t first;       /**< sequence of the first record */
            uint64_t committed;   /**< the leader's commit watermark */
            uint64_t of_epoch;    /**< epoch of all of these records */
            uint64_t epoch_first; /**< where that begins; 0 for epoch 0 */
        } records;
        struct {
            uint64_t durable;
        } ack;
        struct {
            uint64_t number;
            uint64_t sent_ms; /**< by the sender's clock; comes back */
            uint64_t committed;
            uint64_t published; /**< 1: the register names the receiver as standby */
        } heartbeat;
        struct {
            uint64_t number, sent_ms; /**< of the heartbeat */
            uint64_t unix_ms;
        } echo;
        struct {
            uint64_t last; /**< the leader's last record */
        } take;
    };
    uint32_t count;      /**< entries of the tail */
    const uint8_t *tail; /**< in the bytes that were read; NULL in a message to be written */
};

/** Size of the message that begins with these FG_PAIR_HEADER_SIZE bytes; 0: they begin none. */
size_t fg_pair_message_size(const uint8_t bytes[FG_PAIR_HEADER_SIZE]);

/** False and err: not one whole message as the page says. */
bool fg_pair_message_read(struct fg_pair_message *m, const uint8_t *bytes, size_t size,
                          struct fg_error *err);

/** Header and words; the caller puts m->count entries behind them. Returns their size. */
size_t fg_pair_message_write(const struct fg_pair_message *m, uint8_t bytes[FG_PAIR_HEAD_MAX]);

struct fg_pair_epoch fg_pair_epoch_read(const uint8_t *tail, size_t index);
void fg_pair_epoch_write(const struct fg_pair_epoch *epoch, uint8_t bytes[FG_PAIR_EPOCH_SIZE]);

/* ---- lists of epochs ------------------------------------------------------------------------- */

/** Epoch of a record. */
uint64_t fg_pair_epoch_of(const struct fg_pair_epoch *list, size_t len, uint64_t seq);

/** Strictly rising in both numbers, none of them 0. */
bool fg_pair_epochs_are_sane(const struct fg_pair_epoch *list, size_t len);

/**
 * The last record that two logs of one id share. A list that is full begins somewhere; if the other
 * one has no entry of it, false: how much they share is unknown.
 */
bool fg_pair_common(const struct fg_pair_epoch *a, size_t a_len, uint64_t a_last,
                    const struct fg_pair_epoch *b, size_t b_len, uint64_t b_last, uint64_t *common);

/* ---- values at the arbiter ------------------------------------------------------------------- */

struct fg_pair_floor { /**< committed: who lacks it may not lead */
    uint64_t epoch;    /**< of the record */
    uint64_t seq;      /**< 0 = nothing */
};

struct fg_pair_register {
    uint64_t epoch;
    unsigned leader; /**< node */
    bool sync;       /**< its peer is its standby; false: it leads alone */
    uint64_t log;
    struct fg_pair_floor floor; /**< at the time of the swap; a key of its own advances later */
    uint8_t nonce[FG_PAIR_NONCE_SIZE];
};

size_t fg_pair_register_write(const struct fg_pair_register *r, char text[FG_PAIR_TEXT_MAX]);
bool fg_pair_register_read(struct fg_pair_register *r, const char *text);
size_t fg_pair_floor_write(const struct fg_pair_floor *f, uint64_t log,
                           char text[FG_PAIR_TEXT_MAX]);
bool fg_pair_floor_read(struct fg_pair_floor *f, uint64_t *log, const char *text);

#endif
