/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * redis_fill: fills the keys from a snapshot while others read them. Orders come first, each right
 * as of the snapshot; then one transaction replaces items, denied users and the cursor. A mark
 * (`{prefix}:fill`) stands from the beginning to that transaction: who finds it without a cursor
 * knows that the keys are an unfinished fill. It holds a random id and is under WATCH, so that of
 * two writers only the later one continues.
 */
#ifndef FG_SINK_REDIS_FILL_H
#define FG_SINK_REDIS_FILL_H

#include "sink/driver.h"
#include "sink/redis/cursor.h"

/** As the driver's fill. */
enum fg_sink_result
fg_sink_redis_fill(struct fg_redis_conn *conn, struct fg_sink_redis_batch *batch,
                   const struct fg_sink_log *log, struct fg_snapshot_reader *snapshot,
                   const struct fg_ledger_snapshot_info *info, struct fg_error *err);

/** Whether a fill of this appliance was begun and not finished. False with conn->redis NULL: err.
 */
bool fg_sink_redis_fill_begun(struct fg_redis_conn *conn, struct fg_sink_redis_batch *batch,
                              uint64_t appliance, struct fg_error *err);

/** Removes the mark. False: err, the connection failed. */
bool fg_sink_redis_fill_forget(struct fg_redis_conn *conn, struct fg_sink_redis_batch *batch,
                               struct fg_error *err);

#endif
