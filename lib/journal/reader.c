/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <unistd.h>

#include "journal/segment.h"

struct fg_journal_reader {
    char dir[PATH_MAX];
    int dir_fd;
    struct fg_journal_segment segment;
    uint64_t next_seq;
    uint64_t appliance_id;
};

/* The segment that holds next_seq, or the last one when next_seq comes right behind it. */
static bool find_segment(struct fg_journal_reader *r, struct fg_error *err)
{
    uint64_t *seqs, first_seq = 0;
    size_t count;

    if (!fg_journal_file_list(r->dir_fd, r->dir, FG_JOURNAL_SEGMENT_SUFFIX, &seqs, &count, err))
        return false;
    for (size_t i = 0; i < count && seqs[i] <= r->next_seq; i++)
        first_seq = seqs[i];
    if (first_seq == 0)
        fg_fail(err,
                count ? "%s: the log does not hold record %" PRIu64 ": it begins with %" PRIu64
                      : "%s: no log here",
                r->dir, r->next_seq, count ? seqs[0] : 0);
    free(seqs);
    if (first_seq == 0)
        return false;
    if (!fg_journal_segment_open(&r->segment, r->dir_fd, r->dir, first_seq, O_RDONLY,
                                 &r->appliance_id, NULL, err))
        return false;
    if (r->next_seq <= fg_journal_segment_end(&r->segment))
        return true;
    return fg_fail(err,
                   "%s: the log does not hold record %" PRIu64 ": its last segment %020" PRIu64
                   ".fgj ends at %" PRIu64,
                   r->dir, r->next_seq, first_seq, fg_journal_segment_end(&r->segment) - 1);
}

struct fg_journal_reader *fg_journal_reader_open(const char *dir, uint64_t next_seq,
                                                 struct fg_error *err)
{
    struct fg_journal_reader *r;

    if (next_seq == 0 || strlen(dir) >= PATH_MAX) {
        fg_fail(err, "%.300s: cannot read from record %" PRIu64 " (records begin with 1)", dir,
                next_seq);
        return NULL;
    }
    r = calloc(1, sizeof(*r));
    if (!r) {
        fg_fail(err, "%s: out of memory", dir);
        return NULL;
    }
    snprintf(r->dir, sizeof(r->dir), "%s", dir);
    r->segment.fd = -1;
    r->next_seq = next_seq;
    r->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->dir_fd < 0)
        fg_fail(err, "%s: cannot open: %s", dir, strerror(errno));
    if (r->dir_fd >= 0 && find_segment(r, err))
        return r;
    fg_journal_reader_close(r);
    return NULL;
}

void fg_journal_reader_close(struct fg_journal_reader *r)
{
    if (!r)
        return;
    if (r->segment.fd >= 0)
        close(r->segment.fd);
    if (r->dir_fd >= 0)
        close(r->dir_fd);
    free(r);
}

/* 1: there is a segment behind the current one; 0: none; -1 and err. */
static int later_segment(struct fg_journal_reader *r, struct fg_error *err)
{
    uint64_t *seqs;
    size_t count;
    int later;

    if (!fg_journal_file_list(r->dir_fd, r->dir, FG_JOURNAL_SEGMENT_SUFFIX, &seqs, &count, err))
        return -1;
    later = count && seqs[count - 1] > r->segment.first_seq;
    free(seqs);
    return later;
}

/* The current segment is read to its end. 1: the next one is open; 0: there is none yet; -1 and
 * err. */
static int next_segment(struct fg_journal_reader *r, uint64_t limit_seq, struct fg_error *err)
{
    char name[FG_JOURNAL_SEGMENT_NAME_SIZE];
    struct fg_journal_segment next;
    bool missing;
    int later;

    fg_journal_segment_name(name, r->next_seq);
    if (fg_journal_segment_open(&next, r->dir_fd, r->dir, r->next_seq, O_RDONLY, &r->appliance_id,
                                &missing, err)) {
        close(r->segment.fd);
        r->segment = next;
        return 1;
    }
    if (!missing)
        return -1;
    later = limit_seq != UINT64_MAX ? 1 : later_segment(r, err);
    if (later > 0 && limit_seq == UINT64_MAX) /* or has a living writer made it just now? */
        later = faccessat(r->dir_fd, name, F_OK, 0) < 0;
    if (later > 0)
        fg_fail(err, "%s: record %" PRIu64 " is missing: no segment %020" PRIu64 ".fgj", r->dir,
                r->next_seq, r->next_seq);
    return later ? -1 : 0;
}

/* A living writer may have filled the place since we looked. */
static bool valid_now(const struct fg_journal_reader *r)
{
    struct fg_journal_record record;
    uint64_t offset = fg_journal_segment_offset(&r->segment, r->next_seq);

    return fg_journal_file_read(r->segment.fd, &record, sizeof(record), offset) &&
           fg_journal_record_valid(&record, r->next_seq);
}

/* next_seq was not valid: the end of the log (0), or corruption (-1). */
static int check_end(struct fg_journal_reader *r, uint64_t limit_seq, struct fg_error *err)
{
    struct fg_journal_segment_tail tail;
    int later;

    if (limit_seq != UINT64_MAX) {
        fg_fail(err,
                "%s/%020" PRIu64 ".fgj: record %" PRIu64 " at offset %" PRIu64
                " is missing or corrupt",
                r->dir, r->segment.first_seq, r->next_seq,
                fg_journal_segment_offset(&r->segment, r->next_seq));
        return -1;
    }
    later = later_segment(r, err);
    if (later < 0 || !fg_journal_segment_scan(&r->segment, r->dir, r->next_seq, &tail, err))
        return -1;
    if ((!later && !tail.witness_seq) || valid_now(r))
        return 0;
    fg_journal_segment_corrupt(&r->segment, r->dir, r->next_seq, tail.witness_seq, err);
    return -1;
}

ssize_t fg_journal_read(struct fg_journal_reader *r, struct fg_journal_record *records, size_t max,
                        uint64_t limit_seq, struct fg_error *err)
{
    uint64_t room, offset;
    size_t n = 0;

    if (max == 0 || r->next_seq > limit_seq)
        return 0;
    if (r->next_seq == fg_journal_segment_end(&r->segment)) {
        int moved = next_segment(r, limit_seq, err);

        if (moved <= 0)
            return moved;
    }
    room = fg_journal_segment_end(&r->segment) - r->next_seq;
    if (room > max)
        room = max;
    if (room > limit_seq - r->next_seq && limit_seq != UINT64_MAX)
        room = limit_seq - r->next_seq + 1;
    offset = fg_journal_segment_offset(&r->segment, r->next_seq);
    if (!fg_journal_file_read(r->segment.fd, records, room * sizeof(*records), offset)) {
        fg_fail(err, "%s/%020" PRIu64 ".fgj: cannot read at offset %" PRIu64 ": %s", r->dir,
                r->segment.first_seq, offset, strerror(errno));
        return -1;
    }
    while (n < room && fg_journal_record_valid(&records[n], r->next_seq + n))
        n++;
    if (n == 0)
        return check_end(r, limit_seq, err);
    r->next_seq += n;
    return (ssize_t)n;
}

uint64_t fg_journal_reader_appliance(const struct fg_journal_reader *reader)
{
    return reader->appliance_id;
}
