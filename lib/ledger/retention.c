/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Old segments stay for the auditor ([log] keep_bytes) and for a sink that lags (sink_keep_bytes),
 * but only while the disk has room: a sale that is refused for want of it would be the worse loss.
 */
#include "ledger/retention.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/diag.h"
#include "journal/file.h"

#define CHECK_MS 1000 /* between checks of what snapshots and sinks have passed */
#define ROOM_MS  100  /* between checks of the disk's room */
#define VAIN_MAX 4    /* segments that go for a log that is full on a disk that says it has room */

/* One check. */
struct check {
    struct fg_ledger_snapshots *s;
    struct fg_journal_extent extent;
    uint64_t free, need; /* bytes on the disk; that should be free for the next segments and the
                            next snapshot */
    bool full;           /* orders are refused */
};

uint64_t fg_ledger_retention_older(const char *dir, uint64_t seq)
{
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct fg_error ignored;
    uint64_t *seqs = NULL, older = 0;
    size_t count = 0;

    if (dir_fd < 0)
        return 0;
    fg_journal_file_list(dir_fd, dir, FG_JOURNAL_SNAPSHOT_SUFFIX, &seqs, &count, &ignored);
    for (size_t i = 0; i < count && seqs[i] < seq; i++)
        older = seqs[i];
    free(seqs);
    close(dir_fd);
    return older;
}

static uint64_t free_bytes(const char *dir)
{
    struct statvfs fs;

    return statvfs(dir, &fs) < 0 ? UINT64_MAX : (uint64_t)fs.f_bavail * fs.f_frsize;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Removes those up to passed_seq as long as keep_bytes stay. */
static size_t go(struct check *c, uint64_t passed_seq, uint64_t keep_bytes, const char *why)
{
    struct fg_ledger_snapshots *s = c->s;
    struct fg_error err;
    ssize_t n;

    if (s->options.archived)
        passed_seq = least(passed_seq, s->options.archived(s->options.ctx));
    if (passed_seq == 0)
        return 0;
    n = fg_journal_retire(s->options.dir, passed_seq, keep_bytes, &err);
    if (n < 0)
        fg_diag(FG_DIAG_WARNING, "%s", err.text);
    if (n <= 0)
        return 0;
    atomic_fetch_add(&s->retired, (uint64_t)n);
    fg_diag(FG_DIAG_NOTICE, "log %s: %zd old segments removed, up to record %llu at most: %s",
            s->options.dir, n, (unsigned long long)passed_seq, why);
    return (size_t)n;
}

static bool measure_log(struct check *c)
{
    const struct fg_ledger_snapshots_options *o = &c->s->options;
    struct fg_error ignored;

    c->free = free_bytes(o->dir);
    return fg_journal_extent(o->dir, &c->extent, &ignored);
}

/* As many as make up for what is short, and one at least. */
static size_t go_for_room(struct check *c, uint64_t passed_seq)
{
    uint64_t segment = c->extent.bytes / c->extent.segments;
    uint64_t short_of = c->need > c->free ? c->need - c->free : 1;
    uint64_t gone = (short_of + segment - 1) / segment * segment;
    uint64_t keep = c->extent.bytes > gone ? c->extent.bytes - gone : 0;
    size_t n = go(c, passed_seq, keep, "the disk has no room for more");

    atomic_fetch_add(&c->s->forced, n);
    c->s->vain += short_of == 1 ? (unsigned)n : 0;
    return n;
}

/* The newest snapshot, if it can be read back: the segments behind the older one are then all that
 * would be left without it. */
static uint64_t proven_newest(struct fg_ledger_snapshots *s)
{
    uint64_t seq = atomic_load(&s->seq);
    struct fg_ledger_snapshot_info info;
    struct fg_snapshot_reader *reader;
    struct fg_error err;

    if (seq == 0 || seq == s->proven_seq)
        return seq;
    reader = fg_ledger_snapshot_open_seq(s->options.dir, seq, &info, &err);
    if (!reader) {
        fg_diag(FG_DIAG_WARNING, "%s", err.text);
        return 0;
    }
    fg_ledger_snapshot_close(reader);
    s->proven_seq = seq;
    return seq;
}

/* True: a snapshot would help. */
static bool make_room(struct check *c, const struct fg_ledger *ledger)
{
    struct fg_ledger_snapshots *s = c->s;
    uint64_t since = fg_ledger_seq(ledger) - atomic_load(&s->seq);
    uint64_t bytes = fg_ledger_snapshot_bytes(ledger);

    if (s->vain >= VAIN_MAX) /* a quota ends sooner; a limit of the file size never does */
        return false;
    if (go_for_room(c, atomic_load(&s->older_seq)) > 0)
        return false;
    if (c->full)
        return go_for_room(c, proven_newest(s)) == 0 && since > 0 && c->free >= bytes;
    return since * FG_JOURNAL_RECORD_SIZE >= most(c->extent.bytes / c->extent.segments, bytes) &&
           c->free >= bytes;
}

/* The disk is too small for what the settings want to keep. */
static void assess(struct check *c)
{
    struct fg_ledger_snapshots *s = c->s;
    uint64_t room = c->free == UINT64_MAX ? UINT64_MAX : c->free + c->extent.bytes;

    atomic_store(&s->room_bytes, room);
    atomic_store(&s->tight, atomic_load(&s->forced) > 0 && room < UINT64_MAX &&
                                room < s->options.keep_bytes + c->need);
}

static void let_go(struct check *c)
{
    const struct fg_ledger_snapshots_options *o = &c->s->options;
    uint64_t older = atomic_load(&c->s->older_seq);

    if (o->held)
        older = least(older, o->held(o->ctx));
    go(c, least(older, o->passed(o->ctx)), o->keep_bytes, "snapshots and sinks have passed them");
    go(c, older, most(o->keep_bytes, o->sink_keep_bytes),
       "kept for a sink that is too far behind ([log] sink_keep_bytes); it is filled from a "
       "snapshot later");
}

bool fg_ledger_retention_poll(struct fg_ledger_snapshots *s, const struct fg_ledger *ledger)
{
    /* twice: a busy log takes a segment between two checks */
    struct check c = {.s = s, .need = 2 * s->options.free_bytes + fg_ledger_snapshot_bytes(ledger)};
    int state = atomic_load_explicit(s->options.log_state, memory_order_acquire);
    uint64_t now = fg_clock_mono_ms();

    if (s->options.memory || (state != FG_JOURNAL_OK && state != FG_JOURNAL_FULL) ||
        now - s->room_ms < ROOM_MS)
        return false;
    s->room_ms = now;
    c.full = state == FG_JOURNAL_FULL;
    s->vain = c.full ? s->vain : 0;
    c.free = free_bytes(s->options.dir);
    if (now - s->check_ms < CHECK_MS && c.free >= c.need && !c.full)
        return false;
    if (now - s->check_ms >= CHECK_MS) {
        s->check_ms = now;
        let_go(&c);
    }
    if (!measure_log(&c))
        return false;
    assess(&c);
    return (c.full || c.free < c.need) && c.extent.segments > 1 && make_room(&c, ledger);
}
