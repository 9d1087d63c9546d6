/* SPDX-License-Identifier: BSD-3-Clause */
#include "log.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_RECORDS 16384 /* 1 MiB */
#define NAME_DIGITS    20
#define SUFFIX         ".fgj"

static void segment_path(const struct fg_log *log, size_t index, char path[4096])
{
    snprintf(path, 4096, "%s/%020" PRIu64 SUFFIX, log->dir, log->segments[index].first_seq);
}

static bool segment_name(const char *name, uint64_t *first_seq)
{
    if (strlen(name) != NAME_DIGITS + strlen(SUFFIX) || strcmp(name + NAME_DIGITS, SUFFIX) != 0)
        return false;
    for (int i = 0; i < NAME_DIGITS; i++) {
        if (!isdigit((unsigned char)name[i]))
            return false;
    }
    *first_seq = strtoull(name, NULL, 10);
    return true;
}

static int by_first_seq(const void *a, const void *b)
{
    uint64_t x = ((const struct fg_log_segment *)a)->first_seq;
    uint64_t y = ((const struct fg_log_segment *)b)->first_seq;

    return (x > y) - (x < y);
}

static bool known(const struct fg_log *log, uint64_t first_seq)
{
    for (size_t i = 0; i < log->count; i++) {
        if (log->segments[i].first_seq == first_seq)
            return true;
    }
    return false;
}

/* Adds the segments that are new in the directory. */
static bool list(struct fg_log *log, struct fg_error *err)
{
    DIR *dir = opendir(log->dir);
    struct dirent *entry;
    uint64_t first_seq;

    if (!dir)
        return fg_fail(err, "%s: %s", log->dir, strerror(errno));
    while ((entry = readdir(dir))) {
        struct fg_log_segment *grown;

        if (!segment_name(entry->d_name, &first_seq) || known(log, first_seq))
            continue;
        grown = realloc(log->segments, (log->count + 1) * sizeof(*grown));
        if (!grown) {
            closedir(dir);
            return fg_fail(err, "out of memory");
        }
        log->segments = grown;
        log->segments[log->count++] = (struct fg_log_segment){.first_seq = first_seq};
    }
    closedir(dir);
    qsort(log->segments, log->count, sizeof(*log->segments), by_first_seq);
    return true;
}

/* NULL when the header is right, else what is wrong. */
static const char *check_header(struct fg_log *log, size_t index,
                                const struct fg_journal_segment_header *h)
{
    static char text[64];
    struct fg_journal_segment_header copy = *h;

    copy.crc = 0;
    if (h->magic != FG_JOURNAL_SEGMENT_MAGIC)
        return "wrong magic in the segment header";
    if (h->version != FG_JOURNAL_SEGMENT_VERSION) {
        snprintf(text, sizeof(text), "segment version %u, this program knows %d", h->version,
                 FG_JOURNAL_SEGMENT_VERSION);
        return text;
    }
    if (h->crc != fg_crc32c(&copy, sizeof(copy)))
        return "wrong CRC of the segment header";
    if (h->first_seq != log->segments[index].first_seq)
        return "segment header and file name differ in the first sequence";
    if (index > 0 && h->appliance_id != log->appliance)
        return "segment of another appliance";
    log->appliance = h->appliance_id;
    return NULL;
}

/* The first segment tells the epoch before it; each later one has to tell what its records told. */
static void check_epoch(struct fg_log *log, const char *path,
                        const struct fg_journal_segment_header *h)
{
    const struct fg_journal_epoch told = {h->epoch, h->epoch_seq};

    if (log->fd >= 0 && (told.epoch != log->epoch.epoch || told.first_seq != log->epoch.first_seq))
        fg_problem(log->problems, FG_PROBLEM_EPOCH,
                   "%s: its header tells epoch %" PRIu64 " since record %" PRIu64
                   ", the records before it epoch %" PRIu64 " since record %" PRIu64,
                   path, told.epoch, told.first_seq, log->epoch.epoch, log->epoch.first_seq);
    if (log->fd < 0)
        log->epoch = told;
}

/* Goes to that segment. On failure the log stays where it was. */
static bool open_segment(struct fg_log *log, size_t index, struct fg_error *err)
{
    struct fg_journal_segment_header header = {0};
    const char *wrong;
    char path[4096];
    int fd;

    segment_path(log, index, path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fg_fail(err, "%s: %s", path, strerror(errno));
    wrong = pread(fd, &header, sizeof(header), 0) < 0 ? strerror(errno)
                                                      : check_header(log, index, &header);
    if (wrong) {
        close(fd);
        return fg_fail(err, "%s: %s", path, wrong);
    }
    check_epoch(log, path, &header);
    if (log->fd >= 0)
        close(log->fd);
    log->fd = fd;
    log->current = index;
    log->size = header.bytes;
    log->offset = sizeof(header);
    log->filled = log->at = 0;
    return true;
}

/* A running appliance may retire the oldest segments between our listing and our opening. */
static bool open_oldest(struct fg_log *log, struct fg_error *err)
{
    char path[4096];

    while (!open_segment(log, 0, err)) {
        segment_path(log, 0, path);
        if (log->count < 2 || access(path, F_OK) == 0)
            return false;
        log->count--;
        memmove(log->segments, log->segments + 1, log->count * sizeof(*log->segments));
    }
    log->first_seq = log->next_seq = log->segments[0].first_seq;
    return true;
}

bool fg_log_open(struct fg_log *log, const char *dir, struct fg_problems *problems,
                 struct fg_error *err)
{
    *log = (struct fg_log){
        .dir = dir, .problems = problems, .fd = -1, .next_seq = 1, .limit_seq = UINT64_MAX};
    log->buffer = calloc(BUFFER_RECORDS, sizeof(*log->buffer));
    if (!log->buffer)
        return fg_fail(err, "out of memory");
    if (!list(log, err))
        return false;
    if (!log->count)
        return fg_fail(err, "%s: no log here (no file NNNNNNNNNNNNNNNNNNNN" SUFFIX ")", dir);
    return open_oldest(log, err);
}

void fg_log_close(struct fg_log *log)
{
    if (log->fd >= 0)
        close(log->fd);
    free(log->segments);
    free(log->buffer);
    *log = (struct fg_log){.fd = -1};
}

static uint32_t record_crc(const struct fg_journal_record *r)
{
    uint8_t bytes[FG_JOURNAL_RECORD_SIZE - sizeof(r->crc)];
    size_t at = offsetof(struct fg_journal_record, crc);

    memcpy(bytes, r, at);
    memcpy(bytes + at, (const uint8_t *)r + at + sizeof(r->crc), sizeof(bytes) - at);
    return fg_crc32c(bytes, sizeof(bytes));
}

static bool whole(const struct fg_journal_record *r)
{
    return r->seq && r->crc == record_crc(r);
}

static bool is_zero(const struct fg_journal_record *r)
{
    static const struct fg_journal_record zero;

    return memcmp(r, &zero, sizeof(zero)) == 0;
}

bool fg_log_crc_of(const char *dir, uint64_t seq, uint32_t *crc)
{
    struct fg_log log = {.dir = dir};
    struct fg_journal_record record = {0};
    struct fg_error ignored;
    char path[4096];
    int fd = -1;

    if (list(&log, &ignored)) {
        size_t i = log.count;

        while (i > 0 && log.segments[i - 1].first_seq > seq)
            i--;
        if (i > 0) {
            segment_path(&log, i - 1, path);
            fd = open(path, O_RDONLY | O_CLOEXEC);
            if (fd >= 0 && pread(fd, &record, sizeof(record),
                                 (off_t)((seq - log.segments[i - 1].first_seq + 1) *
                                         sizeof(record))) != sizeof(record))
                record.seq = 0;
        }
    }
    if (fd >= 0)
        close(fd);
    free(log.segments);
    *crc = record.crc;
    if (!seq || record.seq != seq || !whole(&record))
        return false;
    if (record.type == FG_JOURNAL_RECORD_BATCH && record.user) { /* only what both of a pair have */
        record.item = record.arg = 0;
        *crc = record_crc(&record);
    }
    return true;
}

/* Reads records from `offset` of the segment; how many. */
static size_t load(struct fg_log *log, uint64_t offset)
{
    uint64_t end = log->size > offset ? (log->size - offset) / FG_JOURNAL_RECORD_SIZE : 0;
    size_t want = end < BUFFER_RECORDS ? (size_t)end : BUFFER_RECORDS;
    ssize_t n =
        want ? pread(log->fd, log->buffer, want * FG_JOURNAL_RECORD_SIZE, (off_t)offset) : 0;

    return n > 0 ? (size_t)n / FG_JOURNAL_RECORD_SIZE : 0;
}

static void damage(struct fg_log *log, const char *why)
{
    char path[4096];

    segment_path(log, log->current, path);
    fg_problem(log->problems, FG_PROBLEM_LOG,
               "%s: offset %" PRIu64 ": record %" PRIu64
               " is not valid, %s; nothing behind it was read",
               path, log->offset, log->next_seq, why);
    log->damaged = true;
}

/* Reads the next record, if it is written; true when it is there. */
static bool valid_here(struct fg_log *log)
{
    log->filled = load(log, log->offset);
    log->at = 0;
    return log->filled && whole(&log->buffer[0]) && log->buffer[0].seq == log->next_seq;
}

/* The bytes behind the first invalid record: none, a torn commit (both counted), or proof that the
 * record was durable once. */
static bool tail_proves_damage(struct fg_log *log)
{
    bool proof = false;
    size_t n;

    log->torn = 0;
    for (uint64_t offset = log->offset; (n = load(log, offset));
         offset += n * FG_JOURNAL_RECORD_SIZE) {
        for (size_t i = 0; i < n; i++) {
            const struct fg_journal_record *r = &log->buffer[i];

            log->torn += !is_zero(r);
            proof |= r->type == FG_JOURNAL_RECORD_BATCH && r->seq > log->next_seq &&
                     r->arg >= log->next_seq && whole(r);
        }
    }
    log->filled = log->at = 0;
    return proof;
}

/* The current segment has no further valid record, and the next one begins with the record wanted.
 */
static bool next_segment(struct fg_log *log)
{
    struct fg_error err;

    if (open_segment(log, log->current + 1, &err))
        return true;
    /* A segment whose header did not reach the disk holds nothing that was acknowledged, if it is
     * the last.
     */
    if (log->current + 2 < log->count) {
        fg_problem(log->problems, FG_PROBLEM_LOG, "%s", err.text);
        log->damaged = true;
    }
    log->torn = 1;
    return false;
}

/* Looks for the next record: true when it is at hand, or in a segment just opened. A running daemon
 * may write it between two reads, so it is read once more before it counts as damage. */
static bool refill(struct fg_log *log)
{
    struct fg_error err;

    if (valid_here(log))
        return true;
    if (log->current + 1 == log->count && !list(log, &err))
        return false;
    if (log->current + 1 < log->count) {
        if (log->segments[log->current + 1].first_seq == log->next_seq)
            return next_segment(log);
        if (valid_here(log))
            return true;
        damage(log, "but there is a later segment");
        return false;
    }
    if (!tail_proves_damage(log))
        return false;
    if (valid_here(log))
        return true;
    damage(log, "but a later commit says that it was durable");
    return false;
}

const struct fg_journal_record *fg_log_next(struct fg_log *log)
{
    while (!log->damaged && log->next_seq <= log->limit_seq) {
        const struct fg_journal_record *r = &log->buffer[log->at];

        if (log->at < log->filled && whole(r) && r->seq == log->next_seq) {
            log->at++;
            log->next_seq++;
            log->offset += FG_JOURNAL_RECORD_SIZE;
            if (r->type == FG_JOURNAL_RECORD_EPOCH)
                log->epoch = (struct fg_journal_epoch){r->item, r->seq - 1};
            else if (r->type == FG_JOURNAL_RECORD_BATCH && r->user > log->epoch.epoch)
                log->epoch = (struct fg_journal_epoch){r->user, r->seq};
            return r;
        }
        if (!refill(log))
            return NULL;
    }
    return NULL;
}

const char *fg_log_left(uint64_t why)
{
    switch (why) {
#define X(name, number, text)                                                                      \
    case FG_JOURNAL_LEFT_##name:                                                                   \
        return text;
        FG_JOURNAL_LEFT_LIST(X)
#undef X
    }
    return NULL;
}

const char *fg_log_type(unsigned type)
{
    switch (type) {
#define X(name, number, text)                                                                      \
    case number:                                                                                   \
        return text;
        FG_JOURNAL_RECORD_LIST(X)
#undef X
    }
    return "?";
}
