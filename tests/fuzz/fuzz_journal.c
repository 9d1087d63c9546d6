/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A damaged log: reader, ledger and the writer's recovery. A good log of two segments is made once;
 * the input is a list of damages to it. Whatever they are: no crash, only valid records in order,
 * and the writer resumes exactly where the reader saw the end.
 */
#include <dirent.h>
#include <fcntl.h>

#include "fuzz.h"
#include "journal/journal.h"
#include "ledger/ledger.h"

#define SEGMENT     FG_JOURNAL_SEGMENT_BYTES_MIN
#define SLOTS       (SEGMENT / FG_JOURNAL_RECORD_SIZE - 1)
#define RECORDS     (SLOTS + 40) /* some way into the second segment */
#define SCAN_MAX    (1 << 20)    /* bytes of a segment that a damaged header may claim here */
#define DAMAGES_MAX 16

enum damage { PATCH, PATCH_RECORD, PATCH_HEADER, CUT, WIPE, REMOVE, DAMAGES };

static const char *const names[2] = {"00000000000000000001.fgj", "00000000000000001024.fgj"};
static uint8_t good[2][SEGMENT];
static char dir[256];

struct input {
    const uint8_t *at, *end;
};

struct log {
    uint8_t bytes[2][SEGMENT];
    size_t size[2];
    bool removed[2];
};

static struct log log_now;

static void empty_dir(void)
{
    DIR *d = opendir(dir);

    FG_FUZZ_CHECK(d);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.')
            unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
}

static void remove_dir(void)
{
    empty_dir();
    rmdir(dir);
}

static struct fg_journal *open_writer(struct fg_error *err)
{
    struct fg_journal_options options = {
        .dir = dir, .segment_bytes = SEGMENT, .memory = true, .now_ms = 1};

    options.begin = !fg_journal_found(dir);
    return fg_journal_open(&options, err);
}

/* The n-th record of a small sale: an item, its stock, then orders that are reserved and sold. */
static struct fg_journal_record record_of(unsigned n)
{
    struct fg_journal_record r = {.type = FG_JOURNAL_RECORD_ITEM_SET, .item = 7};

    if (n == 0) {
        r.order_max = 1;
        r.hold_ms = 1000;
    } else if (n == 1) {
        r.type = FG_JOURNAL_RECORD_STOCK;
        r.arg = 2000;
    } else {
        r.type = n % 2 ? FG_JOURNAL_RECORD_SOLD : FG_JOURNAL_RECORD_RESERVED;
        r.quantity = 1;
        r.user = n / 2;
        r.arg = n % 2 ? 0 : 5000;
        memcpy(r.order_id, &r.user, 8);
    }
    return r;
}

static void read_file(unsigned file)
{
    int fd = openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY),
        segment = openat(fd, names[file], O_RDONLY);

    FG_FUZZ_CHECK(read(segment, good[file], SEGMENT) == SEGMENT);
    close(segment);
    close(fd);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *base = getenv("TMPDIR");
    struct fg_error err;
    struct fg_journal *journal;

    snprintf(dir, sizeof(dir), "%s/fg-fuzz-journal-XXXXXX", base ? base : "/tmp");
    FG_FUZZ_CHECK(mkdtemp(dir));
    atexit(remove_dir);
    journal = open_writer(&err);
    FG_FUZZ_CHECK(journal);
    for (unsigned n = 0; fg_journal_last_seq(journal) < RECORDS; n += 4) {
        struct fg_journal_record batch[4] = {record_of(n), record_of(n + 1), record_of(n + 2),
                                             record_of(n + 3)};

        FG_FUZZ_CHECK(fg_journal_commit(journal, batch, 4, n));
    }
    fg_journal_close(journal);
    read_file(0);
    read_file(1);
    return 0;
}

/* ---- damage ---------------------------------------------------------------------------------- */

static unsigned take(struct input *in, unsigned bytes)
{
    unsigned value = 0;

    while (bytes-- && in->at < in->end)
        value = value << 8 | *in->at++;
    return value;
}

static void patch(struct input *in, uint8_t *to, size_t room)
{
    size_t len = take(in, 1);

    len = len < room ? len : room;
    len = len < (size_t)(in->end - in->at) ? len : (size_t)(in->end - in->at);
    memcpy(to, in->at, len);
    in->at += len;
}

static void damage_record(struct input *in, uint8_t *segment)
{
    uint8_t *slot = segment + (1 + take(in, 2) % SLOTS) * FG_JOURNAL_RECORD_SIZE;
    unsigned at = take(in, 1) % FG_JOURNAL_RECORD_SIZE;
    struct fg_journal_record r;

    patch(in, slot + at, FG_JOURNAL_RECORD_SIZE - at);
    memcpy(&r, slot, sizeof(r));
    r.crc = fg_journal_record_crc(&r);
    memcpy(slot, &r, sizeof(r));
}

static void damage_header(struct input *in, unsigned file)
{
    uint8_t *segment = log_now.bytes[file];
    unsigned at = take(in, 1) % sizeof(struct fg_journal_segment_header);
    struct fg_journal_segment_header h;

    patch(in, segment + at, sizeof(h) - at);
    memcpy(&h, segment, sizeof(h));
    if (h.bytes > SCAN_MAX)
        h.bytes = SCAN_MAX; /* 16 GiB of nothing are read as well, but not thousands of times */
    h.crc = 0;
    h.crc = fg_crc32c(&h, sizeof(h));
    memcpy(segment, &h, sizeof(h));
}

static void do_damage(struct input *in)
{
    unsigned what = take(in, 1), file = what >> 7;
    uint8_t *segment = log_now.bytes[file];
    size_t at;

    switch (what % DAMAGES) {
    case PATCH:
        at = take(in, 2) % SEGMENT;
        patch(in, segment + at, SEGMENT - at);
        break;
    case PATCH_RECORD:
        damage_record(in, segment);
        break;
    case PATCH_HEADER:
        damage_header(in, file);
        break;
    case CUT:
        log_now.size[file] = take(in, 2) % SEGMENT;
        break;
    case WIPE:
        at = take(in, 2) % SEGMENT;
        memset(segment + at, 0, SEGMENT - at);
        break;
    case REMOVE:
        log_now.removed[file] = true;
        break;
    }
}

static void write_log(void)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY);

    for (unsigned file = 0; file < 2; file++) {
        int segment = log_now.removed[file]
                          ? -1
                          : openat(fd, names[file], O_WRONLY | O_CREAT | O_TRUNC, 0600);

        if (segment < 0)
            continue;
        FG_FUZZ_CHECK(write(segment, log_now.bytes[file], log_now.size[file]) ==
                      (ssize_t)log_now.size[file]);
        close(segment);
    }
    close(fd);
}

/* ---- what must hold -------------------------------------------------------------------------- */

/* Records until the end of the log, or -1 when it is corrupt; at most `max` at a time. */
static int64_t read_all(size_t max)
{
    struct fg_error err = {""};
    struct fg_journal_reader *reader = fg_journal_reader_open(dir, 1, &err);
    struct fg_journal_record *records = malloc(max * sizeof(*records)); /* of the exact size */
    int64_t total = 0;
    ssize_t n = -1;

    FG_FUZZ_CHECK(records);
    while (reader && (n = fg_journal_read(reader, records, max, UINT64_MAX, &err)) > 0) {
        FG_FUZZ_CHECK((size_t)n <= max);
        for (ssize_t i = 0; i < n; i++) {
            FG_FUZZ_CHECK(records[i].seq == (uint64_t)++total);
            FG_FUZZ_CHECK(records[i].crc == fg_journal_record_crc(&records[i]));
        }
    }
    FG_FUZZ_CHECK(n == 0 || err.text[0]);
    free(records);
    fg_journal_reader_close(reader);
    return n == 0 ? total : -1;
}

static void check_ledger(int64_t seen)
{
    struct fg_ledger *ledger = fg_ledger_create();
    struct fg_error err = {""};
    bool ok;

    FG_FUZZ_CHECK(ledger);
    ok = fg_ledger_replay(ledger, dir, UINT64_MAX, &err);
    FG_FUZZ_CHECK(ok || err.text[0]);
    FG_FUZZ_CHECK(!ok || fg_ledger_seq(ledger) == (uint64_t)seen);
    for (uint32_t i = 0; i < fg_ledger_items(ledger); i++) {
        const struct fg_ledger_item *item = fg_ledger_item_at(ledger, i);

        FG_FUZZ_CHECK(item->total == item->available + item->reserved + item->sold);
    }
    fg_ledger_destroy(ledger);
}

/* The writer continues where the reader ended, and what it adds can be read. */
static void check_writer(int64_t seen, size_t max)
{
    struct fg_error err = {""};
    struct fg_journal *journal = open_writer(&err);
    struct fg_journal_record r = record_of(0);

    FG_FUZZ_CHECK(journal || err.text[0]);
    FG_FUZZ_CHECK(journal || seen < 0); /* what can be read to its end can be continued */
    if (!journal)
        return;
    if (seen >= 0) {
        FG_FUZZ_CHECK(fg_journal_last_seq(journal) == (uint64_t)seen);
        FG_FUZZ_CHECK(fg_journal_commit(journal, &r, 1, 2));
        FG_FUZZ_CHECK(read_all(max) == seen + 2);
    }
    fg_journal_close(journal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    size_t max = 1 + take(&in, 1) * 5;
    int64_t seen;

    memcpy(log_now.bytes, good, sizeof(good));
    log_now.size[0] = log_now.size[1] = SEGMENT;
    log_now.removed[0] = log_now.removed[1] = false;
    for (int i = 0; i < DAMAGES_MAX && in.at < in.end; i++)
        do_damage(&in);
    write_log();
    seen = read_all(max);
    check_ledger(seen);
    check_writer(seen, max);
    empty_dir();
    return 0;
}
