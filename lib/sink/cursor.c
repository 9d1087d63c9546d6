/* SPDX-License-Identifier: BSD-3-Clause */
#include "sink/cursor.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <unistd.h>

#include "journal/journal.h"

bool fg_sink_log_crc(const struct fg_sink_log *log, uint64_t seq, uint32_t *crc,
                     struct fg_error *err)
{
    struct fg_journal_reader *reader;
    struct fg_journal_record record;
    bool ok;

    *crc = log->crc;
    if (seq == log->seq)
        return true;
    reader = fg_journal_reader_open(log->dir, seq, err);
    if (!reader)
        return false;
    if (fg_journal_reader_appliance(reader) != log->id)
        ok = fg_fail(err, "%s: another log has taken the place of this one", log->dir);
    else
        ok = fg_journal_read(reader, &record, 1, seq, err) == 1;
    *crc = ok ? fg_journal_record_shared_crc(&record) : 0;
    fg_journal_reader_close(reader);
    return ok;
}

static enum fg_sink_origin newer(struct fg_error *err, const char *name, const char *why)
{
    fg_fail(err,
            "%s: restore the right log; only if there is none, `fgctl sink adopt %s` "
            "(docs/%s.md)",
            why, name, name);
    return FG_SINK_ORIGIN_NEWER;
}

static enum fg_sink_origin compare(const struct fg_sink_log *log,
                                   const struct fg_sink_cursor *cursor, const char *name,
                                   struct fg_error *err)
{
    char why[160];
    uint64_t first;
    uint32_t crc;

    if (cursor->seq == log->seq && cursor->crc == log->crc)
        return FG_SINK_ORIGIN_OURS;
    first = fg_journal_first_seq(log->dir, err);
    if (!first)
        return FG_SINK_ORIGIN_UNREADABLE;
    if (cursor->seq < first) {
        snprintf(why, sizeof(why),
                 "the cursor is at %" PRIu64 ", it was refused before, and the log now begins "
                 "with %" PRIu64,
                 cursor->seq, first);
        return fg_sink_refusal_is_set(log, name) ? newer(err, name, why) : FG_SINK_ORIGIN_OURS;
    }
    if (!fg_sink_log_crc(log, cursor->seq, &crc, err))
        return FG_SINK_ORIGIN_UNREADABLE;
    if (crc == cursor->crc)
        return FG_SINK_ORIGIN_OURS;
    snprintf(why, sizeof(why),
             "record %" PRIu64 " of the log is not the one that was applied: an older copy of "
             "the log has grown",
             cursor->seq);
    return newer(err, name, why);
}

enum fg_sink_origin fg_sink_cursor_origin(const struct fg_sink_log *log,
                                          const struct fg_sink_cursor *cursor, const char *name,
                                          struct fg_error *err)
{
    char why[160];

    if (!cursor->found)
        return FG_SINK_ORIGIN_OURS;
    if (cursor->log != log->id) {
        fg_fail(err,
                "the cursor is of log %016" PRIx64 ", this is log %016" PRIx64
                ": give this one another place, or let `fgctl sink adopt %s` discard what is "
                "there (docs/%s.md)",
                cursor->log, log->id, name, name);
        return FG_SINK_ORIGIN_FOREIGN;
    }
    if (cursor->seq > log->durable) {
        snprintf(why, sizeof(why),
                 "the cursor is at %" PRIu64 ", ahead of the log, which ends at %" PRIu64,
                 cursor->seq, log->durable);
        return newer(err, name, why);
    }
    return cursor->seq ? compare(log, cursor, name, err) : FG_SINK_ORIGIN_OURS;
}

/* ---- the memory of a refusal ----------------------------------------------------------------- */

static const char *path_of(char path[PATH_MAX], const struct fg_sink_log *log, const char *name)
{
    snprintf(path, PATH_MAX, "%.4000s/refused.%.32s", log->dir, name);
    return path;
}

void fg_sink_refusal_set(const struct fg_sink_log *log, const char *name)
{
    char path[PATH_MAX];
    int fd = open(path_of(path, log, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0640);

    if (fd < 0)
        return; /* a full disk: the cursor's record is still there to be compared */
    fsync(fd);
    close(fd);
}

void fg_sink_refusal_clear(const struct fg_sink_log *log, const char *name)
{
    char path[PATH_MAX];

    unlink(path_of(path, log, name));
}

bool fg_sink_refusal_is_set(const struct fg_sink_log *log, const char *name)
{
    char path[PATH_MAX];

    return access(path_of(path, log, name), F_OK) == 0;
}
