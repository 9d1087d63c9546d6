/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a crash leaves of the log's last commit, and who finds out. The disk may have kept all of
 * it, a prefix that ends in the middle of a record, or some sectors and not others. The cut is
 * known here from the bytes alone; where the real journal is asked too, it has to come to the same
 * end.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "world.h"

enum { SECTOR = 8 }; /* slots of a record in 512 bytes */

static uint8_t image[LOG_MAX][FG_JOURNAL_RECORD_SIZE];

/* Damages the slots [from, to) of the image; they were zero before the commit. */
static void tear(uint32_t from, uint32_t to, uint64_t tail)
{
    struct rng rng = {tail};

    switch (rng_below(&rng, 4)) {
    case 0: /* all of it, but for the last record */
        memset(image[to - 1] + rng_below(&rng, FG_JOURNAL_RECORD_SIZE), 0, 1);
        memset(image[to - 1] + FG_JOURNAL_RECORD_SIZE - 8, 0, 8);
        break;
    case 1: /* sectors come in any order; the slot of the segment's header shifts them by one */
        for (uint32_t i = from; i < to; i++)
            if ((fg_mix64(tail, (i + 1) / SECTOR) & 3) == 0)
                memset(image[i], 0, FG_JOURNAL_RECORD_SIZE);
        break;
    default: { /* a prefix, with a torn last record */
        uint32_t cut = from + rng_below(&rng, to - from);
        uint32_t whole = rng_below(&rng, FG_JOURNAL_RECORD_SIZE);

        memset(image[cut] + whole, 0, FG_JOURNAL_RECORD_SIZE - whole);
        memset(image[cut + 1], 0, (size_t)(to - cut - 1) * FG_JOURNAL_RECORD_SIZE);
    }
    }
}

static void replay(const struct world *w, uint32_t len, struct fg_ledger *ledger)
{
    struct fg_error err;

    for (uint32_t i = 0; i < len; i++)
        if (!fg_ledger_apply(ledger, &w->log[i], &err)) {
            fprintf(stderr, "record %u: %s\n", i + 1, err.text);
            FG_ASSERT(!"the log is a legal story");
        }
}

static void write_segment(const char *dir, uint32_t len)
{
    struct fg_journal_segment_header h = {.magic = FG_JOURNAL_SEGMENT_MAGIC,
                                          .version = FG_JOURNAL_SEGMENT_VERSION,
                                          .appliance_id = 1,
                                          .first_seq = 1,
                                          .bytes = (LOG_MAX + 1) * FG_JOURNAL_RECORD_SIZE};
    size_t bytes = (size_t)len * FG_JOURNAL_RECORD_SIZE;
    char path[256];
    int fd;

    while (h.bytes / 2 >= FG_JOURNAL_SEGMENT_BYTES_MIN &&
           h.bytes / 2 >= bytes + 2 * FG_JOURNAL_RECORD_SIZE)
        h.bytes = h.bytes / 2 / FG_JOURNAL_RECORD_SIZE * FG_JOURNAL_RECORD_SIZE;
    h.crc = fg_crc32c(&h, sizeof(h));
    snprintf(path, sizeof(path), "%s/00000000000000000001.fgj", dir);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FG_ASSERT(fd >= 0 && ftruncate(fd, (off_t)h.bytes) == 0);
    FG_ASSERT(pwrite(fd, &h, sizeof(h), 0) == sizeof(h));
    FG_ASSERT(pwrite(fd, image, bytes, sizeof(h)) == (ssize_t)bytes);
    close(fd);
}

void disk_folder_empty(const char *dir)
{
    DIR *d = opendir(dir);

    for (struct dirent *e; d && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.')
            unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
}

void disk_folder_remove(const char *dir)
{
    disk_folder_empty(dir);
    rmdir(dir);
}

/* By lib/journal and fg_ledger_replay, as the daemon does at start. Returns the last sequence. */
static uint32_t recover_files(const char *dir, uint32_t len, struct fg_ledger *ledger)
{
    struct fg_journal_options options = {
        .dir = dir, .segment_bytes = FG_JOURNAL_SEGMENT_BYTES_MIN, .now_ms = 1};
    struct fg_journal *journal;
    struct fg_error err = {""};
    uint32_t last;

    FG_ASSERT(mkdir(dir, 0700) == 0 || errno == EEXIST);
    disk_folder_empty(dir);
    write_segment(dir, len);
    journal = fg_journal_open(&options, &err);
    if (!journal || !fg_ledger_replay(ledger, dir, UINT64_MAX, &err)) {
        fprintf(stderr, "%s\n", err.text);
        FG_ASSERT(!"the journal recovers the log");
    }
    last = (uint32_t)fg_journal_last_seq(journal);
    FG_ASSERT(fg_ledger_seq(ledger) == last);
    fg_journal_close(journal);
    disk_folder_empty(dir);
    return last;
}

uint32_t disk_crash(struct world *w, uint64_t tail, const char *folder,
                    struct fg_ledger **recovered)
{
    uint32_t cut = w->durable_len;

    memcpy(image, w->log, (size_t)w->log_len * FG_JOURNAL_RECORD_SIZE);
    if (w->log_len > w->durable_len && tail)
        tear(w->durable_len, w->log_len, tail);
    while (cut < w->log_len && memcmp(image[cut], &w->log[cut], FG_JOURNAL_RECORD_SIZE) == 0)
        cut++;
    *recovered = fg_ledger_create();
    FG_ASSERT(*recovered);
    if (!folder) {
        replay(w, cut, *recovered);
        return cut;
    }
    FG_ASSERT(recover_files(folder, w->log_len, *recovered) == cut);
    w->files_read++;
    return cut;
}
