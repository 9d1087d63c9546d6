/* SPDX-License-Identifier: BSD-3-Clause */
#include "journal/writer.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "journal/standby.h"

/* Records why the disk refused: FULL or FAILED by errno. Returns false. */
static bool refused(struct fg_journal *j, const char *what, const char *name)
{
    int error = errno;

    j->state = fg_journal_file_no_space(error) ? FG_JOURNAL_FULL : FG_JOURNAL_FAILED;
    snprintf(j->error, sizeof(j->error), "%.300s/%s: cannot %s: %s", j->dir, name, what,
             strerror(error));
    return false;
}

bool fg_journal_segment_refused(struct fg_journal *j, const char *what, uint64_t first_seq)
{
    char name[FG_JOURNAL_SEGMENT_NAME_SIZE];

    fg_journal_segment_name(name, first_seq);
    return refused(j, what, name);
}

/* No space reported by a sync is final too: what was written before is lost with it. */
static bool sync_refused(struct fg_journal *j, const char *name)
{
    refused(j, "sync", name);
    j->state = FG_JOURNAL_FAILED;
    return false;
}

static bool sync_segment(struct fg_journal *j, const struct fg_journal_segment *s)
{
    char name[FG_JOURNAL_SEGMENT_NAME_SIZE];

    if (j->memory || j->ops.sync(j->ops.ctx, s->fd) == 0)
        return true;
    fg_journal_segment_name(name, s->first_seq);
    return sync_refused(j, name);
}

static bool sync_dir(struct fg_journal *j)
{
    return j->memory || j->ops.sync_dir(j->ops.ctx, j->dir_fd) == 0 || sync_refused(j, ".");
}

static void drop_spare(struct fg_journal *j)
{
    if (j->spare_fd < 0)
        return;
    close(j->spare_fd);
    j->spare_fd = -1;
    j->ops.remove(j->ops.ctx, j->dir_fd, FG_JOURNAL_SPARE_NAME);
}

bool fg_journal_make_spare(struct fg_journal *j)
{
    j->spare_fd = j->ops.create(j->ops.ctx, j->dir_fd, FG_JOURNAL_SPARE_NAME);
    if (j->spare_fd < 0)
        return refused(j, "create", FG_JOURNAL_SPARE_NAME);
    if (j->ops.allocate(j->ops.ctx, j->spare_fd, j->segment_bytes) < 0) {
        refused(j, "allocate", FG_JOURNAL_SPARE_NAME);
        drop_spare(j); /* it may hold the little room that is left */
        return false;
    }
    return true;
}

/* Takes the spare that was prepared, or else makes one. */
static bool have_spare(struct fg_journal *j)
{
    if (j->spare_fd < 0)
        j->spare_fd = fg_journal_spare_take(j->spare);
    return j->spare_fd >= 0 || fg_journal_make_spare(j);
}

/* Of the record before first_seq, which may be the batch record that begins an epoch. */
static struct fg_journal_epoch epoch_before(const struct fg_journal *j, uint64_t first_seq)
{
    return j->epoch.first_seq < first_seq ? j->epoch : j->before;
}

bool fg_journal_next_segment(struct fg_journal *j, uint64_t first_seq, uint64_t now_ms)
{
    struct fg_journal_segment next = {
        .first_seq = first_seq, .bytes = j->segment_bytes, .epoch = epoch_before(j, first_seq)};
    struct fg_journal_segment_header header;
    char name[FG_JOURNAL_SEGMENT_NAME_SIZE];

    if (!have_spare(j))
        return false;
    next.fd = j->spare_fd;
    fg_journal_segment_name(name, first_seq);
    fg_journal_segment_header_make(&header, j->appliance_id, &next, now_ms);
    if (!fg_journal_file_write(&j->ops, next.fd, &header, sizeof(header), 0))
        return refused(j, "write", FG_JOURNAL_SPARE_NAME);
    if (!sync_segment(j, &next))
        return false;
    if (j->ops.rename(j->ops.ctx, j->dir_fd, FG_JOURNAL_SPARE_NAME, name) < 0)
        return refused(j, "rename " FG_JOURNAL_SPARE_NAME " to", name);
    j->spare_fd = -1;
    fg_journal_spare_want(j->spare);
    if (j->tip.fd >= 0 && j->tip.fd != j->base.fd)
        close(j->tip.fd);
    j->tip = next;
    return sync_dir(j);
}

/* Removes the segments that the unfinished commit began. Newest first, so the rest is a prefix at
 * any moment. */
static bool remove_segments(struct fg_journal *j)
{
    while (j->tip.first_seq != j->base.first_seq) {
        char name[FG_JOURNAL_SEGMENT_NAME_SIZE];

        fg_journal_segment_name(name, j->tip.first_seq);
        if (j->ops.remove(j->ops.ctx, j->dir_fd, name) < 0 && errno != ENOENT)
            return refused(j, "remove", name);
        if (!sync_dir(j))
            return false;
        if (j->tip.fd >= 0)
            close(j->tip.fd);
        if (j->tip.first_seq == fg_journal_segment_end(&j->base))
            j->tip = j->base;
        else
            j->tip = (struct fg_journal_segment){
                .fd = -1,
                .first_seq = j->tip.first_seq - fg_journal_segment_positions(j->segment_bytes),
                .bytes = j->segment_bytes};
    }
    return true;
}

/*
 * Takes back what a commit on a full disk has written. It has to be gone, and durably so, before
 * other records take its place: after a crash the new ones could otherwise be followed by old ones
 * that fit.
 */
bool fg_journal_take_back(struct fg_journal *j)
{
    uint64_t offset = fg_journal_segment_offset(&j->base, j->last_seq + 1);

    if (!j->unfinished)
        return true;
    if (!remove_segments(j))
        return false;
    while (offset < j->dirty_end) {
        static const uint8_t zeros[65536];
        uint64_t n = j->dirty_end - offset;

        if (n > sizeof(zeros))
            n = sizeof(zeros);
        if (!fg_journal_file_write(&j->ops, j->base.fd, zeros, n, offset))
            return fg_journal_segment_refused(j, "write", j->base.first_seq);
        offset += n;
    }
    if (!sync_segment(j, &j->base))
        return false;
    j->unfinished = false;
    j->dirty_end = 0;
    return true;
}

struct fg_journal_record *fg_journal_positions(struct fg_journal *j, unsigned buffer, size_t n)
{
    const size_t page = FG_JOURNAL_DIRECT_MAX / FG_JOURNAL_RECORD_SIZE;
    size_t want = (n + 1 + page + page - 1) / page * page; /* BATCH record, records, padding */

    if (want > j->stage_records[buffer]) {
        struct fg_journal_record *more = aligned_alloc(FG_JOURNAL_DIRECT_MAX, want * sizeof(*more));

        if (!more)
            return NULL;
        memset(more, 0, want * sizeof(*more));
        free(j->stage[buffer]);
        j->stage[buffer] = more;
        j->stage_records[buffer] = want;
    }
    return j->stage[buffer] + 1;
}

/*
 * A batch record of the peer says what was durable there. Here it would call records durable that a
 * power cut may still take, and recovery would take a torn tail for damage.
 */
static void own_batches(const struct fg_journal *j, struct fg_journal_record *records, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (records[i].type != FG_JOURNAL_RECORD_BATCH)
            continue;
        records[i].arg = j->durable_seq;
        records[i].item = atomic_load_explicit(&j->commit, memory_order_relaxed);
    }
}

size_t fg_journal_padding(const struct fg_journal *j, uint64_t first_seq, size_t count)
{
    struct fg_journal_segment s = j->base;
    uint64_t seq = first_seq + count, beyond, room;

    if (j->way == FG_JOURNAL_WAY_PLAIN)
        return 0;
    while (seq > fg_journal_segment_end(&s))
        s = (struct fg_journal_segment){.first_seq = fg_journal_segment_end(&s),
                                        .bytes = j->segment_bytes};
    beyond = fg_journal_segment_offset(&s, seq) % j->align;
    room = fg_journal_segment_end(&s) - seq;
    beyond = beyond ? (j->align - beyond) / FG_JOURNAL_RECORD_SIZE : 0;
    return beyond < room ? beyond : room;
}

static unsigned buffer_of(const struct fg_journal *j, const struct fg_journal_record *records)
{
    for (unsigned b = 1; b < FG_JOURNAL_BUFFERS; b++)
        if (j->stage[b] && records == j->stage[b] + 1)
            return b;
    return 0;
}

struct fg_journal_record *fg_journal_stage(struct fg_journal *j,
                                           const struct fg_journal_record *records, size_t n,
                                           size_t first, size_t count, uint64_t first_seq,
                                           uint64_t now_ms)
{
    struct fg_journal_record *stage = j->stage[buffer_of(j, records)];
    bool there = records == stage + 1;
    struct fg_journal_record *part = there ? stage + first : stage;
    size_t from = first ? first : 1, end = first + count, to = end < n + 1 ? end : n + 1;
    const struct fg_journal_record batch = {
        .time_ms = now_ms,
        .type = FG_JOURNAL_RECORD_BATCH,
        .item = atomic_load_explicit(&j->commit, memory_order_relaxed),
        .user = j->epoch.epoch,
        .arg = j->durable_seq};

    if (!there && to > from)
        memcpy(part + from - first, records + from - 1, (to - from) * sizeof(*part));
    if (first == 0)
        part[0] = batch;
    for (size_t k = first > n + 1 ? first : n + 1; k < end; k++)
        part[k - first] = batch;
    fg_journal_record_seal(part, count, first_seq + first);
    return part;
}

/* The same of records of the peer, which have their BATCH records. */
static struct fg_journal_record *stage_foreign(struct fg_journal *j,
                                               const struct fg_journal_record *records,
                                               size_t first, size_t count)
{
    struct fg_journal_record *part = j->stage[0];

    memmove(part, records + first, count * sizeof(*part));
    own_batches(j, part, count);
    fg_journal_record_seal(part, count, j->last_seq + 1 + first);
    return part;
}

/* Writes those records; all of them lie in the tip. */
static bool write_part(struct fg_journal *j, const struct fg_journal_record *records, size_t n,
                       size_t first, size_t count, uint64_t now_ms)
{
    uint64_t offset = fg_journal_segment_offset(&j->tip, j->last_seq + 1 + first);
    struct fg_journal_record *part =
        j->foreign ? stage_foreign(j, records, first, count)
                   : fg_journal_stage(j, records, n, first, count, j->last_seq + 1, now_ms);

    if (j->staged && !j->foreign)
        j->staged(j->staged_ctx, part, count);
    j->unfinished = true;
    if (j->tip.fd == j->base.fd)
        j->dirty_end = offset + count * sizeof(*part);
    if (!fg_journal_file_write(&j->ops, j->tip.fd, part, count * sizeof(*part), offset))
        return fg_journal_segment_refused(j, "write", j->tip.first_seq);
    return true;
}

static bool write_all(struct fg_journal *j, const struct fg_journal_record *records, size_t n,
                      size_t total, uint64_t now_ms)
{
    size_t done = 0, most = j->stage_records[buffer_of(j, records)];

    while (done < total) {
        uint64_t seq = j->last_seq + 1 + done;
        uint64_t count = fg_journal_segment_end(&j->tip) - seq;

        if (count == 0) {
            j->unfinished = true;
            if (!sync_segment(j, &j->tip) || !fg_journal_next_segment(j, seq, now_ms))
                return false;
            continue;
        }
        if (count > total - done)
            count = total - done;
        if (count > most)
            count = most;
        if (!write_part(j, records, n, done, count, now_ms))
            return false;
        done += count;
    }
    return sync_segment(j, &j->tip);
}

/* Asks for the next segment's room before a byte is written: a full disk is mostly found here. */
static bool find_room(struct fg_journal *j, size_t total)
{
    return j->last_seq + total < fg_journal_segment_end(&j->base) || have_spare(j);
}

/* Whether a restart would find the last segment. The disk takes what goes into a file without a
 * name, so nothing but the name tells. */
bool fg_journal_placed(struct fg_journal *j)
{
    char name[FG_JOURNAL_SEGMENT_NAME_SIZE], path[sizeof(j->dir) + sizeof(name) + 1];

    fg_journal_segment_name(name, j->tip.first_seq);
    snprintf(path, sizeof(path), "%s/%s", j->dir, name);
    return j->ops.leads_to(j->ops.ctx, path, j->tip.fd);
}

/* The commit is whole, but in a file that a restart would not find: it is taken back before the
 * next one. */
bool fg_journal_is_gone(struct fg_journal *j)
{
    j->unfinished = true;
    j->state = FG_JOURNAL_GONE;
    snprintf(j->error, sizeof(j->error), FG_JOURNAL_GONE_TEXT, j->dir);
    return false;
}

/* n records are `total` with BATCH records. */
static bool commit(struct fg_journal *j, const struct fg_journal_record *records, size_t n,
                   size_t total, uint64_t now_ms)
{
    FG_ASSERT(!j->flying);
    if (j->state == FG_JOURNAL_FAILED)
        return false;
    if (j->state == FG_JOURNAL_GONE && !fg_journal_placed(j))
        return false;
    if (!fg_journal_take_back(j) || !find_room(j, total))
        return false;
    if (!write_all(j, records, n, total, now_ms)) {
        if (j->state == FG_JOURNAL_FULL)
            fg_journal_take_back(j); /* if that fails too, the next commit tries again first */
        return false;
    }
    if (!fg_journal_placed(j))
        return fg_journal_is_gone(j);
    if (j->base.fd != j->tip.fd)
        close(j->base.fd);
    j->base = j->tip;
    j->unfinished = false;
    j->dirty_end = 0;
    j->last_seq += total;
    if (!j->memory)
        j->durable_seq = j->last_seq;
    j->state = FG_JOURNAL_OK;
    j->error[0] = 0;
    return true;
}

bool fg_journal_commit(struct fg_journal *j, const struct fg_journal_record *records, size_t n,
                       uint64_t now_ms)
{
    if (n == 0)
        return j->state != FG_JOURNAL_FAILED;
    return commit(j, records, n, n + 1 + fg_journal_padding(j, j->last_seq + 1, n + 1), now_ms);
}

bool fg_journal_seal(struct fg_journal *j, uint64_t now_ms)
{
    return commit(j, NULL, 0, 1 + fg_journal_padding(j, j->last_seq + 1, 1), now_ms);
}

bool fg_journal_commit_foreign(struct fg_journal *j, const struct fg_journal_record *records,
                               size_t n, uint64_t now_ms)
{
    bool ok;

    j->foreign = true;
    ok = commit(j, records, n, n, now_ms);
    j->foreign = false;
    return ok;
}

void fg_journal_enter(struct fg_journal *j, struct fg_journal_epoch epoch)
{
    j->before = j->epoch;
    j->epoch = epoch;
}

void fg_journal_leave(struct fg_journal *j, const struct fg_journal_standing *was)
{
    j->epoch = was->epoch;
    j->before = was->before;
}

bool fg_journal_begin_epoch(struct fg_journal *j, uint64_t epoch, uint64_t node,
                            const uint8_t nonce[16], uint64_t now_ms)
{
    struct fg_journal_record record = {
        .time_ms = now_ms, .type = FG_JOURNAL_RECORD_EPOCH, .item = epoch, .user = node};
    const struct fg_journal_standing was = {j->epoch, j->before};

    FG_ASSERT(epoch > j->epoch.epoch);
    memcpy(record.order_id, nonce, sizeof(record.order_id));
    fg_journal_enter(j, (struct fg_journal_epoch){.epoch = epoch, .first_seq = j->last_seq + 1});
    if (fg_journal_commit(j, &record, 1, now_ms))
        return true;
    fg_journal_leave(j, &was);
    return false;
}

struct fg_journal_epoch fg_journal_epoch(const struct fg_journal *journal)
{
    return journal->epoch;
}

void fg_journal_release(struct fg_journal *j)
{
    if (j->state != FG_JOURNAL_FAILED && j->unfinished)
        fg_journal_take_back(j);
    fg_journal_spare_stop(j->spare);
    drop_spare(j);
    if (j->tip.fd >= 0 && j->tip.fd != j->base.fd)
        close(j->tip.fd);
    if (j->base.fd >= 0)
        close(j->base.fd);
    if (j->lock_fd >= 0) {
        if (ftruncate(j->lock_fd, 0) < 0) {
            /* the pid in it is only a hint; the lock itself ends with the descriptor */
        }
        close(j->lock_fd);
    }
    if (j->dir_fd >= 0)
        close(j->dir_fd);
    for (unsigned b = 0; b < FG_JOURNAL_BUFFERS; b++)
        free(j->stage[b]);
    free(j);
}

enum fg_journal_way fg_journal_way(const struct fg_journal *journal)
{
    return journal->way;
}

const char *fg_journal_way_text(const struct fg_journal *journal)
{
    return journal->way_text;
}

const char *fg_journal_way_name(enum fg_journal_way way)
{
    static const char *const names[] = {[FG_JOURNAL_WAY_PLAIN] = "plain",
                                        [FG_JOURNAL_WAY_DSYNC] = "dsync",
                                        [FG_JOURNAL_WAY_URING] = "uring",
                                        [FG_JOURNAL_WAY_AUTO] = "auto"};

    return names[way];
}

unsigned fg_journal_depth(const struct fg_journal *journal)
{
    return journal->way == FG_JOURNAL_WAY_URING ? FG_JOURNAL_FLIGHTS : 1;
}

uint64_t fg_journal_appliance(const struct fg_journal *journal)
{
    return journal->appliance_id;
}

uint64_t fg_journal_begin_seq(const struct fg_journal *journal)
{
    return journal->begin_seq;
}

uint64_t fg_journal_last_seq(const struct fg_journal *journal)
{
    return journal->last_seq;
}

uint64_t fg_journal_cut_records(const struct fg_journal *journal)
{
    return journal->cut_records;
}

const char *fg_journal_state_name(enum fg_journal_state state)
{
    static const char *const names[] = {[FG_JOURNAL_OK] = "ok",
                                        [FG_JOURNAL_FULL] = "full",
                                        [FG_JOURNAL_FAILED] = "failed",
                                        [FG_JOURNAL_GONE] = "gone"};

    return names[state];
}

enum fg_journal_state fg_journal_state(const struct fg_journal *journal)
{
    return journal->state;
}

const char *fg_journal_error(const struct fg_journal *journal)
{
    return journal->error;
}
