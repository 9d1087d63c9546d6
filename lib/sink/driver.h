/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * sink: what all sinks have in common: the thread, its waits and pauses, the reader of the log,
 * states, status, and the end. A driver adds how to talk to one kind of server.
 * Private to lib/sink.
 *
 * A driver's functions are called by the sink's thread alone, one at a time. Each is bounded in
 * time by the driver's own timeout, and waits with fg_wait_*, so that a stop ends it.
 */
#ifndef FG_SINK_DRIVER_H
#define FG_SINK_DRIVER_H

#include "base/wait.h"
#include "journal/journal.h"
#include "ledger/snapshot.h"
#include "sink/cursor.h"
#include "sink/sink.h"

enum fg_sink_result {
    FG_SINK_OK,
    FG_SINK_AGAIN,   /**< the cursor may have moved under us: it is read again */
    FG_SINK_GONE,    /**< the server is away: closed, and tried again after a pause that grows */
    FG_SINK_SLOW,    /**< GONE for want of time: the next batches are smaller */
    FG_SINK_REFUSE,  /**< an operator must act, err says what; checked again every second */
    FG_SINK_FOREIGN, /**< REFUSE, because the cursor is of another log */
    FG_SINK_NEWER    /**< REFUSE, because the sink knows records that this log lacks */
};

/** The result that follows from the cursor's origin. */
static inline enum fg_sink_result fg_sink_result_of(enum fg_sink_origin origin)
{
    switch (origin) {
    case FG_SINK_ORIGIN_OURS:
        return FG_SINK_OK;
    case FG_SINK_ORIGIN_FOREIGN:
        return FG_SINK_FOREIGN;
    case FG_SINK_ORIGIN_NEWER:
        return FG_SINK_NEWER;
    case FG_SINK_ORIGIN_UNREADABLE:
        break;
    }
    return FG_SINK_REFUSE;
}

struct fg_sink_driver {
    const char *name; /**< "redis": in status, metrics, messages, and the thread's name */

    /** Connects, logs in, checks what must be there. */
    enum fg_sink_result (*open)(void *self, struct fg_error *err);

    /** Reads the sink's cursor, and says what follows from its origin. REFUSE also when it is of
     * another format. */
    enum fg_sink_result (*cursor)(void *self, const struct fg_sink_log *log,
                                  struct fg_sink_cursor *cursor, struct fg_error *err);

    /** All of records[0..n-1], n >= 1, and the cursor at the last of them, in one transaction. */
    enum fg_sink_result (*apply)(void *self, const struct fg_sink_log *log,
                                 const struct fg_journal_record *records, size_t n,
                                 struct fg_error *err);

    /**
     * The log does not go back to the cursor: makes the sink hold what the snapshot holds, and the
     * cursor info->seq (whose CRC is log->crc), so that readers see what was before or what is
     * after, and nothing in between. May take as long as it needs, in steps that are bounded;
     * begins again when it was interrupted. NULL: cannot.
     */
    enum fg_sink_result (*fill)(void *self, const struct fg_sink_log *log,
                                struct fg_snapshot_reader *snapshot,
                                const struct fg_ledger_snapshot_info *info, struct fg_error *err);

    /**
     * A person decided that the sink shall follow this log from its beginning: discards what it
     * holds of any other, so that `cursor` finds nothing, or this log's begin. In steps that are
     * bounded; may be called again when it was interrupted. REFUSE: cannot, err says why.
     */
    enum fg_sink_result (*adopt)(void *self, const struct fg_sink_log *log, struct fg_error *err);

    /** Drops the connection; also when there is none. */
    void (*close)(void *self);

    /** The driver's memory, after the last close. */
    void (*free)(void *self);
};

struct fg_sink_common {
    const char *address; /**< for status and messages; no password in it */
    size_t batch_max;    /**< records of one transaction */
    unsigned retry_ms_max;
};

/**
 * Starts the thread. *wait lies in the driver's self and is filled in here, before anything of the
 * driver is called. NULL and err: no memory; self has been freed then, too.
 */
struct fg_sink *fg_sink_start(const struct fg_sink_driver *driver, void *self, struct fg_wait *wait,
                              const struct fg_sink_common *common, const char *journal_dir,
                              const _Atomic uint64_t *durable_seq, struct fg_error *err);

#endif
