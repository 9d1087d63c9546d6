/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A damaged snapshot: the streaming reader and the loader. A good one is made once; the input is a
 * list of damages to it, with or without CRCs that are right again afterwards, or a whole file.
 * Whatever it is: no crash, no more entries than the header says, nothing in the ledger that does
 * not add up.
 */
#include <fcntl.h>

#include "fuzz.h"
#include "ledger/snapshot.h"
#include "ledger/snapshot_format.h"

#define FILE_MAX 65536
#define ORDERS   40

enum { WHOLE_FILE = 1, MEND_CRCS = 2 };

static char dir[256], path[300];
static uint8_t good[FILE_MAX], bytes[FILE_MAX];
static size_t good_size, size_now;
static uint64_t seq;

static void remove_dir(void)
{
    unlink(path);
    rmdir(dir);
}

static void apply(struct fg_ledger *l, struct fg_journal_record r)
{
    struct fg_error err;

    r.seq = fg_ledger_seq(l) + 1;
    FG_FUZZ_CHECK(fg_ledger_apply(l, &r, &err));
}

static void fill(struct fg_ledger *l)
{
    for (uint64_t i = 1; i <= 3; i++) {
        apply(l, (struct fg_journal_record){
                     .type = FG_JOURNAL_RECORD_ITEM_SET, .item = i, .order_max = 2});
        apply(l,
              (struct fg_journal_record){.type = FG_JOURNAL_RECORD_STOCK, .item = i, .arg = 100});
        apply(l, (struct fg_journal_record){.type = FG_JOURNAL_RECORD_USER, .user = i, .arg = 1});
    }
    for (uint64_t u = 1; u <= ORDERS; u++) {
        static const uint8_t ends[] = {FG_JOURNAL_RECORD_SOLD, FG_JOURNAL_RECORD_CANCELLED,
                                       FG_JOURNAL_RECORD_EXPIRED};
        struct fg_journal_record r = {
            .type = FG_JOURNAL_RECORD_RESERVED, .item = 1 + u % 3, .user = u, .quantity = 1};

        apply(l, r);
        r.type = ends[u % 3];
        if (u % 4)
            apply(l, r);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *base = getenv("TMPDIR");
    struct fg_ledger *l = fg_ledger_create();
    struct fg_error err;
    int fd;

    snprintf(dir, sizeof(dir), "%s/fg-fuzz-snapshot-XXXXXX", base ? base : "/tmp");
    FG_FUZZ_CHECK(l && mkdtemp(dir));
    atexit(remove_dir);
    fill(l);
    seq = fg_ledger_seq(l);
    snprintf(path, sizeof(path), "%s/%020llu.fgs", dir, (unsigned long long)seq);
    FG_FUZZ_CHECK(fg_ledger_snapshot_write(l, dir, 7, 1, &err));
    fg_ledger_destroy(l);
    fd = open(path, O_RDONLY);
    FG_FUZZ_CHECK(fd >= 0);
    good_size = (size_t)read(fd, good, sizeof(good));
    FG_FUZZ_CHECK(good_size > 1000 && good_size < sizeof(good));
    close(fd);
    return 0;
}

/* Header and blocks as far as they can be followed. */
static void mend(void)
{
    struct fg_ledger_snapshot_header h;
    struct fg_ledger_snapshot_block b;
    size_t at = sizeof(h);
    uint32_t before;

    if (size_now < sizeof(h))
        return;
    memcpy(&h, bytes, sizeof(h));
    before = h.crc = fg_ledger_snapshot_header_crc(&h);
    memcpy(bytes, &h, sizeof(h));
    while (size_now - at >= sizeof(b)) {
        memcpy(&b, bytes + at, sizeof(b));
        if (b.bytes > size_now - at - sizeof(b))
            return;
        b.before = before;
        b.crc = 0;
        memcpy(bytes + at, &b, sizeof(b));
        before = b.crc = fg_crc32c(bytes + at, sizeof(b) + b.bytes);
        memcpy(bytes + at, &b, sizeof(b));
        at += sizeof(b) + b.bytes;
    }
}

static void damage(const uint8_t *data, size_t size)
{
    memcpy(bytes, good, good_size);
    size_now = good_size;
    while (size >= 4) {
        size_t at = (data[0] << 8 | data[1]) % size_now, len = data[2] % 32;

        if (data[2] == 255) { /* cut */
            size_now = at + 1;
            len = 0;
        } else {
            len = len < size - 3 ? len : size - 3;
            len = len < size_now - at ? len : size_now - at;
            memcpy(bytes + at, data + 3, len);
        }
        data += 3 + len;
        size -= 3 + len;
    }
}

static void write_file(void)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    FG_FUZZ_CHECK(fd >= 0 && write(fd, bytes, size_now) == (ssize_t)size_now);
    close(fd);
}

static void read_all(size_t max)
{
    struct fg_ledger_snapshot_info info;
    struct fg_error err = {""};
    struct fg_snapshot_reader *r = fg_ledger_snapshot_open(dir, &info, &err);
    struct fg_ledger_item *items = malloc(max * sizeof(*items));
    struct fg_ledger_order *orders = malloc(max * sizeof(*orders));
    uint64_t *users = malloc(max * sizeof(*users)), seen[3] = {0};
    ssize_t n = 0;

    FG_FUZZ_CHECK(items && orders && users && (r || err.text[0]));
    while (r && (n = fg_ledger_snapshot_items(r, items, max, &err)) > 0)
        seen[0] += (uint64_t)n;
    if (r && n == 0)
        while ((n = fg_ledger_snapshot_denied(r, users, max, &err)) > 0)
            seen[1] += (uint64_t)n;
    if (r && n == 0)
        while ((n = fg_ledger_snapshot_orders(r, orders, max, &err)) > 0)
            seen[2] += (uint64_t)n;
    if (r && n == 0)
        FG_FUZZ_CHECK(seen[0] == info.items && seen[1] == info.denied && seen[2] == info.orders);
    FG_FUZZ_CHECK(n >= 0 || err.text[0]);
    fg_ledger_snapshot_close(r);
    free(items);
    free(orders);
    free(users);
}

static void load(void)
{
    struct fg_ledger *l = fg_ledger_create();
    struct fg_ledger_snapshot_info info;
    struct fg_error err = {""};
    uint64_t reserved = 0, sold = 0;
    bool ok = fg_ledger_snapshot_load(l, dir, &info, &err);

    FG_FUZZ_CHECK(ok || err.text[0]);
    FG_FUZZ_CHECK(fg_ledger_seq(l) == (ok ? seq : 0) && info.seq == (ok ? seq : 0));
    FG_FUZZ_CHECK(ok || fg_ledger_orders(l) + fg_ledger_items(l) + fg_ledger_denied_users(l) == 0);
    for (uint64_t i = 0; i < fg_ledger_orders(l); i++) {
        const struct fg_ledger_order *o = fg_ledger_order_at(l, i);

        FG_FUZZ_CHECK(fg_ledger_order(l, o->user, o->order_id) == o && fg_ledger_item(l, o->item));
        reserved += o->state == FG_LEDGER_ORDER_RESERVED ? o->quantity : 0;
        sold += o->state == FG_LEDGER_ORDER_SOLD ? o->quantity : 0;
    }
    for (uint32_t i = 0; i < fg_ledger_items(l); i++) {
        const struct fg_ledger_item *item = fg_ledger_item_at(l, i);

        FG_FUZZ_CHECK(item->total == item->available + item->reserved + item->sold &&
                      item->index == i);
        reserved -= item->reserved;
        sold -= item->sold;
    }
    FG_FUZZ_CHECK(reserved == 0 && sold == 0);
    fg_ledger_destroy(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > FILE_MAX / 2)
        return 0;
    if (data[0] & WHOLE_FILE) {
        memcpy(bytes, data + 2, size - 2);
        size_now = size - 2;
    } else {
        damage(data + 2, size - 2);
    }
    if (data[0] & MEND_CRCS)
        mend();
    write_file();
    read_all(1 + data[1] % 64);
    load();
    return 0;
}
