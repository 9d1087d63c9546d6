/* SPDX-License-Identifier: BSD-3-Clause */
#include "journal/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

void fg_journal_segment_name(char name[FG_JOURNAL_SEGMENT_NAME_SIZE], uint64_t first_seq)
{
    fg_journal_file_name(name, first_seq, FG_JOURNAL_SEGMENT_SUFFIX);
}

static uint32_t header_crc(const struct fg_journal_segment_header *header)
{
    struct fg_journal_segment_header copy = *header;

    copy.crc = 0;
    return fg_crc32c(&copy, sizeof(copy));
}

void fg_journal_segment_header_make(struct fg_journal_segment_header *header, uint64_t appliance_id,
                                    const struct fg_journal_segment *s, uint64_t created_ms)
{
    *header = (struct fg_journal_segment_header){.magic = FG_JOURNAL_SEGMENT_MAGIC,
                                                 .version = FG_JOURNAL_SEGMENT_VERSION,
                                                 .appliance_id = appliance_id,
                                                 .first_seq = s->first_seq,
                                                 .created_ms = created_ms,
                                                 .bytes = s->bytes,
                                                 .epoch = s->epoch.epoch,
                                                 .epoch_seq = s->epoch.first_seq};
    header->crc = header_crc(header);
}

static bool check_header(const struct fg_journal_segment_header *h, const char *dir,
                         const char *name, uint64_t first_seq, uint64_t *appliance_id,
                         struct fg_error *err)
{
    if (h->magic != FG_JOURNAL_SEGMENT_MAGIC)
        return fg_fail(
            err, "%s/%s: not a Floodgate log segment (magic %016" PRIx64 ", expected %016llx)", dir,
            name, h->magic, FG_JOURNAL_SEGMENT_MAGIC);
    if (h->version != FG_JOURNAL_SEGMENT_VERSION)
        return fg_fail(err, "%s/%s: segment version %" PRIu32 ", this program knows %d", dir, name,
                       h->version, FG_JOURNAL_SEGMENT_VERSION);
    if (h->crc != header_crc(h))
        return fg_fail(err, "%s/%s: the header at offset 0 is corrupt (its CRC does not match)",
                       dir, name);
    if (h->first_seq != first_seq)
        return fg_fail(err, "%s/%s: the header says that it begins with record %" PRIu64, dir, name,
                       h->first_seq);
    if (h->bytes < FG_JOURNAL_SEGMENT_BYTES_MIN || h->bytes > FG_JOURNAL_SEGMENT_BYTES_MAX ||
        h->bytes % FG_JOURNAL_RECORD_SIZE)
        return fg_fail(
            err,
            "%s/%s: segment size %" PRIu64 " in the header (a multiple of 64 from %llu to %llu)",
            dir, name, h->bytes, FG_JOURNAL_SEGMENT_BYTES_MIN, FG_JOURNAL_SEGMENT_BYTES_MAX);
    if (h->appliance_id == 0 || (*appliance_id && h->appliance_id != *appliance_id))
        return fg_fail(err, "%s/%s: belongs to appliance %016" PRIx64 ", the log to %016" PRIx64,
                       dir, name, h->appliance_id, *appliance_id);
    *appliance_id = h->appliance_id;
    return true;
}

bool fg_journal_segment_open(struct fg_journal_segment *s, int dir_fd, const char *dir,
                             uint64_t first_seq, int flags, uint64_t *appliance_id, bool *missing,
                             struct fg_error *err)
{
    char name[FG_JOURNAL_SEGMENT_NAME_SIZE];
    struct fg_journal_segment_header header;
    bool ok;

    fg_journal_segment_name(name, first_seq);
    *s = (struct fg_journal_segment){.fd = openat(dir_fd, name, flags | O_CLOEXEC),
                                     .first_seq = first_seq};
    if (missing)
        *missing = s->fd < 0 && errno == ENOENT;
    if (s->fd < 0)
        return fg_fail(err, "%s/%s: cannot open: %s", dir, name, strerror(errno));
    if (!fg_journal_file_read(s->fd, &header, sizeof(header), 0))
        ok = fg_fail(err, "%s/%s: cannot read the header: %s", dir, name, strerror(errno));
    else
        ok = check_header(&header, dir, name, first_seq, appliance_id, err);
    if (ok) {
        s->bytes = header.bytes;
        s->epoch = (struct fg_journal_epoch){header.epoch, header.epoch_seq};
        return true;
    }
    close(s->fd);
    s->fd = -1;
    return false;
}

bool fg_journal_all_zero(const void *data, size_t len)
{
    const uint8_t *p = data;

    return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

/* Behind the first bad record: only a BATCH record that vouches for it matters. */
static void scan_behind(const struct fg_journal_record *r, uint64_t seq,
                        struct fg_journal_segment_tail *tail)
{
    if (fg_journal_all_zero(r, sizeof(*r)))
        return;
    tail->torn++;
    if (!tail->witness_seq && r->type == FG_JOURNAL_RECORD_BATCH && r->arg >= tail->end_seq &&
        fg_journal_record_valid(r, seq))
        tail->witness_seq = seq;
}

/* What it says about itself and what follows it. */
static void scan_batch(const struct fg_journal_record *r, struct fg_journal_segment_tail *tail)
{
    uint64_t commit_seq = tail->batches && tail->alone ? r->seq - 1 : 0;

    if (r->arg > tail->durable_seq)
        tail->durable_seq = r->arg;
    tail->batches = true;
    tail->alone = r->item == 0;
    if (!tail->alone && r->item - 1 > commit_seq)
        commit_seq = r->item - 1;
    if (commit_seq > tail->commit_seq)
        tail->commit_seq = commit_seq;
}

static void scan_block(const struct fg_journal_record *block, size_t n, uint64_t seq, bool *bad,
                       struct fg_journal_segment_tail *tail)
{
    size_t i = 0;

    for (; i < n && !*bad; i++) {
        if (!fg_journal_record_valid(&block[i], seq + i)) {
            *bad = true;
            break;
        }
        tail->end_seq = seq + i + 1;
        if (block[i].type == FG_JOURNAL_RECORD_BATCH)
            scan_batch(&block[i], tail);
        tail->epoch = fg_journal_epoch_of(&block[i], tail->epoch);
    }
    if (i < n && fg_journal_all_zero(&block[i], (n - i) * sizeof(*block)))
        return;
    for (; i < n; i++)
        scan_behind(&block[i], seq + i, tail);
}

bool fg_journal_segment_scan(const struct fg_journal_segment *s, const char *dir, uint64_t from_seq,
                             struct fg_journal_segment_tail *tail, struct fg_error *err)
{
    struct fg_journal_record *block = malloc(FG_JOURNAL_SCAN_RECORDS * sizeof(*block));
    uint64_t end = fg_journal_segment_end(s);
    bool bad = false;

    *tail = (struct fg_journal_segment_tail){.end_seq = from_seq, .epoch = s->epoch};
    if (!block)
        return fg_fail(err, "%s: out of memory", dir);
    for (uint64_t seq = from_seq; seq < end;) {
        size_t n =
            end - seq < FG_JOURNAL_SCAN_RECORDS ? (size_t)(end - seq) : FG_JOURNAL_SCAN_RECORDS;

        if (!fg_journal_file_read(s->fd, block, n * sizeof(*block),
                                  fg_journal_segment_offset(s, seq))) {
            int error = errno;

            free(block);
            return fg_fail(err, "%s/%020" PRIu64 ".fgj: cannot read at offset %" PRIu64 ": %s", dir,
                           s->first_seq, fg_journal_segment_offset(s, seq), strerror(error));
        }
        scan_block(block, n, seq, &bad, tail);
        seq += n;
    }
    free(block);
    return true;
}

bool fg_journal_segment_corrupt(const struct fg_journal_segment *s, const char *dir, uint64_t seq,
                                uint64_t witness_seq, struct fg_error *err)
{
    char why[96] = "a later segment exists";

    if (witness_seq)
        snprintf(why, sizeof(why),
                 "record %" PRIu64 " at offset %" PRIu64 " says that it had been durable",
                 witness_seq, fg_journal_segment_offset(s, witness_seq));
    return fg_fail(err,
                   "%s/%020" PRIu64 ".fgj: record %" PRIu64 " at offset %" PRIu64
                   " is corrupt, and %s: the log is damaged in the middle",
                   dir, s->first_seq, seq, fg_journal_segment_offset(s, seq), why);
}
