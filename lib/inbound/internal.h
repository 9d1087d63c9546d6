/* SPDX-License-Identifier: BSD-3-Clause */
/** internal: the inside of lib/inbound. One thread; what others read is under `lock` or atomic. */
#ifndef FG_INBOUND_INTERNAL_H
#define FG_INBOUND_INTERNAL_H

#include <pthread.h>

#include "inbound/entry.h"
#include "inbound/trim.h"
#include "redis/conn.h"

#define FG_INBOUND_PAGE 1000 /* entries that are read at a time */
#define FG_INBOUND_KEY  96
#define FG_INBOUND_WRITTEN                                                                         \
    (FG_INBOUND_CAPACITY + FG_INBOUND_PAGE) /* results of one exchange at most */

enum slot_state {
    SLOT_FREE,
    SLOT_GIVEN, /* at a worker */
    SLOT_WAITS, /* to be given again at due_ms */
    SLOT_LOST   /* at a worker, but its connection is gone: the entry comes again, this answer is
                   dropped */
};

struct slot { /* one entry under way */
    struct fg_inbound_command command;
    struct fg_inbound_ref ref;
    char id[FG_REDIS_ID_MAX];
    uint8_t state;
    unsigned wait_ms; /* before it is given again the next time */
    uint64_t due_ms;
};

struct written { /* an entry whose result is in `writes` */
    char id[FG_REDIS_ID_MAX];
    uint8_t status; /* FG_PACKET_STATUS_NONE: set aside */
};

struct fg_inbound {
    struct fg_inbound_options options;
    char commands[FG_INBOUND_KEY], dead[FG_INBOUND_KEY], results[FG_INBOUND_KEY],
        cursor[FG_INBOUND_KEY], leader[FG_INBOUND_KEY];
    char consumer[24];

    pthread_t thread;
    pthread_mutex_t lock; /* of `status` */
    struct fg_inbound_status status;
    struct fg_wait wait;
    _Atomic uint64_t stop_at_ms; /* monotonic: when it must have ended; 0 = runs */

    /* of the thread alone */
    struct fg_redis_conn conn;
    struct slot slots[FG_INBOUND_CAPACITY];
    uint16_t free[FG_INBOUND_CAPACITY], waits[FG_INBOUND_CAPACITY];
    unsigned free_count, waits_count, given;
    struct fg_redis_resp out; /* one exchange: MULTI and results first, as they come in */
    struct written *written;
    unsigned written_count, adds;        /* adds: XADDs among them; one that is set aside has two */
    char dead_reason[FG_INBOUND_REASON]; /* of the last entry that was set aside */
    bool was_connected;
    bool claiming;                  /* what was pending comes first */
    char claim_at[FG_REDIS_ID_MAX]; /* where the next page of it begins */
    uint64_t read_after_ms;
    unsigned empty_ms; /* pause after the next read that came back empty before its time */
    unsigned retry_ms; /* pause after the next failure */
    uint64_t random;   /* of the jitter */
    uint64_t retries;
    struct fg_inbound_position position;
    uint64_t trimmed; /* entries that were removed before they were done */
};

/* serve.c */
void fg_inbound_step(struct fg_inbound *s); /**< connects, or serves once, or waits a little */

/* leader.c: of a pair; else they are true */
/** A new connection: commands are for our epoch from now on. False and err, and *refused when they
 * are for a later one. */
bool fg_inbound_leader_claim(struct fg_inbound *s, bool *refused, struct fg_error *err);
/** Before each EXEC, which then fails when another appliance took over since. */
bool fg_inbound_leader_watch(struct fg_inbound *s, struct fg_error *err);

/* slots.c: entries under way */
void fg_inbound_slots_reset(struct fg_inbound *s);
/** An entry and its fields. There must be a free slot. */
void fg_inbound_slot_take(struct fg_inbound *s, const char *id, const redisReply *fields);
void fg_inbound_slots_collect(struct fg_inbound *s); /**< answers of the workers become writes */
void fg_inbound_slots_retry(struct fg_inbound *s);   /**< those that waited long enough */
void fg_inbound_slots_forget(struct fg_inbound *s);  /**< the connection is gone */

#endif
