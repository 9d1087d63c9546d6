/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/file.h"
#include "ledger/snapshot.h"
#include "ledger/snapshot_format.h"

#define LIST_TRIES 10 /* reads of a directory whose snapshots are being replaced */

struct fg_snapshot_reader {
    char path[PATH_MAX + FG_JOURNAL_NAME_SIZE];
    int fd;
    uint64_t size;
    struct fg_ledger_snapshot_header header;
    /* the block at hand */
    uint64_t offset; /* of the one behind it */
    uint32_t before, kind;
    size_t bytes, taken;
    uint64_t
        left[FG_LEDGER_SNAPSHOT_KINDS]; /* entries of each kind that no block has brought yet */
    uint8_t *block;
    struct fg_ledger_snapshot_line *lines;   /* read with the first item */
    struct fg_ledger_snapshot_fleet *fleets; /* likewise */
    size_t lines_count, lines_taken, fleets_count, fleets_taken;
    bool lines_read;
};

static bool damaged(const struct fg_snapshot_reader *r, uint64_t offset, struct fg_error *err,
                    const char *why)
{
    return fg_fail(err, "%s: the snapshot is damaged at offset %" PRIu64 ": %s", r->path, offset,
                   why);
}

static bool read_at(const struct fg_snapshot_reader *r, void *data, size_t len, uint64_t offset,
                    struct fg_error *err)
{
    if (offset > r->size || r->size - offset < len)
        return damaged(r, r->size, err, "it ends too early");
    return fg_journal_file_read(r->fd, data, len, offset) ||
           fg_fail(err, "%s: cannot read at offset %" PRIu64 ": %s", r->path, offset,
                   strerror(errno));
}

static bool check_header(struct fg_snapshot_reader *r, uint64_t seq, struct fg_error *err)
{
    const struct fg_ledger_snapshot_header *h = &r->header;

    if (h->magic != FG_LEDGER_SNAPSHOT_MAGIC)
        return damaged(r, 0, err, "wrong magic");
    if (!fg_ledger_snapshot_known(h->version))
        return fg_fail(err, "%s: snapshot version %" PRIu32 ", this program knows %d and %d",
                       r->path, h->version, FG_LEDGER_SNAPSHOT_VERSION, FG_LEDGER_SNAPSHOT_EPOCHAL);
    if (h->crc != fg_ledger_snapshot_header_crc(h))
        return damaged(r, 0, err, "wrong CRC of the header");
    if (h->seq != seq)
        return fg_fail(err, "%s: the header says that it is of record %" PRIu64, r->path, h->seq);
    if (h->items > r->size / fg_ledger_snapshot_entry(FG_LEDGER_SNAPSHOT_ITEMS) ||
        h->denied > r->size / fg_ledger_snapshot_entry(FG_LEDGER_SNAPSHOT_DENIED) ||
        h->orders > r->size / fg_ledger_snapshot_entry(FG_LEDGER_SNAPSHOT_ORDERS))
        return damaged(r, 0, err, "it is too short for what its header says");
    return h->appliance_id != 0 || damaged(r, 0, err, "no appliance id");
}

/* To the beginning of the blocks. */
static void rewind_blocks(struct fg_snapshot_reader *r)
{
    r->offset = sizeof(r->header);
    r->before = r->header.crc;
    r->kind = FG_LEDGER_SNAPSHOT_EPOCHS;
    r->bytes = r->taken = r->lines_count = r->lines_taken = 0;
    r->fleets_count = r->fleets_taken = 0;
    r->lines_read = false;
    r->left[FG_LEDGER_SNAPSHOT_EPOCHS] =
        r->header.version == FG_LEDGER_SNAPSHOT_EPOCHAL ? FG_JOURNAL_EPOCHS_MAX : 0;
    r->left[FG_LEDGER_SNAPSHOT_LINES] = r->header.items;  /* at most */
    r->left[FG_LEDGER_SNAPSHOT_FLEETS] = r->header.items; /* at most */
    r->left[FG_LEDGER_SNAPSHOT_ITEMS] = r->header.items;
    r->left[FG_LEDGER_SNAPSHOT_DENIED] = r->header.denied;
    r->left[FG_LEDGER_SNAPSHOT_ORDERS] = r->header.orders;
}

/* The head of a block fits what came before it; what may be missing is told by the kinds that are
 * passed. */
static bool check_head(struct fg_snapshot_reader *r, const struct fg_ledger_snapshot_block *head,
                       struct fg_error *err)
{
    unsigned rank = fg_ledger_snapshot_rank(head->kind), before = fg_ledger_snapshot_rank(r->kind);
    size_t size = fg_ledger_snapshot_entry(head->kind);

    if (head->before != r->before)
        return damaged(r, r->offset, err, "the block does not follow the one before");
    if (rank < before || head->kind >= FG_LEDGER_SNAPSHOT_KINDS ||
        head->bytes > FG_LEDGER_SNAPSHOT_BLOCK_BYTES)
        return damaged(r, r->offset, err, "no such block can be here");
    if (size ? head->bytes == 0 || head->bytes % size : head->bytes)
        return damaged(r, r->offset, err, "the block has a wrong size");
    for (uint32_t kind = FG_LEDGER_SNAPSHOT_ITEMS; kind < FG_LEDGER_SNAPSHOT_END; kind++)
        if (fg_ledger_snapshot_rank(kind) >= before && fg_ledger_snapshot_rank(kind) < rank &&
            r->left[kind])
            return damaged(r, r->offset, err, "entries are missing");
    if (size && head->bytes / size > r->left[head->kind])
        return damaged(r, r->offset, err, "there are more entries than the header says");
    return true;
}

/* The next block, verified; the last one stays at hand for ever. */
static bool next_block(struct fg_snapshot_reader *r, struct fg_error *err)
{
    struct fg_ledger_snapshot_block head;
    size_t len;

    if (!read_at(r, &head, sizeof(head), r->offset, err) || !check_head(r, &head, err))
        return false;
    len = sizeof(head) + head.bytes;
    if (!read_at(r, r->block, len, r->offset, err))
        return false;
    memcpy(r->block,
           &(struct fg_ledger_snapshot_block){
               .before = head.before, .kind = head.kind, .bytes = head.bytes},
           sizeof(head));
    if (fg_crc32c(r->block, len) != head.crc)
        return damaged(r, r->offset, err, "wrong CRC of the block");
    r->offset += len;
    if (head.kind == FG_LEDGER_SNAPSHOT_END && r->offset != r->size)
        return damaged(r, r->offset, err, "there is more behind its end");
    r->before = head.crc;
    r->kind = head.kind;
    r->bytes = head.bytes;
    r->taken = 0;
    if (head.bytes)
        r->left[head.kind] -= head.bytes / fg_ledger_snapshot_entry(head.kind);
    return true;
}

static bool verify(struct fg_snapshot_reader *r, struct fg_error *err)
{
    while (r->kind != FG_LEDGER_SNAPSHOT_END)
        if (!next_block(r, err))
            return false;
    rewind_blocks(r);
    return true;
}

static bool open_file(struct fg_snapshot_reader *r, uint64_t seq, bool *missing,
                      struct fg_error *err)
{
    struct stat st;

    r->fd = open(r->path, O_RDONLY | O_CLOEXEC);
    *missing = r->fd < 0 && errno == ENOENT;
    if (r->fd < 0)
        return fg_fail(err, "%s: cannot open: %s", r->path, strerror(errno));
    if (fstat(r->fd, &st) < 0)
        return fg_fail(err, "%s: cannot stat: %s", r->path, strerror(errno));
    r->size = (uint64_t)st.st_size;
    if (!read_at(r, &r->header, sizeof(r->header), 0, err) || !check_header(r, seq, err))
        return false;
    r->block = malloc(sizeof(struct fg_ledger_snapshot_block) + FG_LEDGER_SNAPSHOT_BLOCK_BYTES);
    if (!r->block)
        return fg_fail(err, "%s: out of memory", r->path);
    rewind_blocks(r);
    return true;
}

/* name: "/" and that of the file, or "" behind a path. */
static struct fg_snapshot_reader *open_file_of(const char *dir, const char *name, uint64_t seq,
                                               bool whole, struct fg_ledger_snapshot_info *info,
                                               bool *missing, struct fg_error *err)
{
    struct fg_snapshot_reader *r = strlen(dir) < PATH_MAX ? calloc(1, sizeof(*r)) : NULL;

    *missing = false;
    if (!r) {
        fg_fail(err, "%.300s: path too long, or out of memory", dir);
        return NULL;
    }
    snprintf(r->path, sizeof(r->path), "%s%s", dir, name);
    if (!open_file(r, seq, missing, err) || (whole && !verify(r, err))) {
        fg_ledger_snapshot_close(r);
        return NULL;
    }
    *info = (struct fg_ledger_snapshot_info){.seq = seq,
                                             .appliance_id = r->header.appliance_id,
                                             .created_ms = r->header.created_ms,
                                             .items = r->header.items,
                                             .denied = r->header.denied,
                                             .orders = r->header.orders};
    return r;
}

static struct fg_snapshot_reader *open_one(const char *dir, uint64_t seq, bool whole,
                                           struct fg_ledger_snapshot_info *info, bool *missing,
                                           struct fg_error *err)
{
    char name[FG_JOURNAL_NAME_SIZE + 1] = "/";

    fg_journal_file_name(name + 1, seq, FG_JOURNAL_SNAPSHOT_SUFFIX);
    return open_file_of(dir, name, seq, whole, info, missing, err);
}

static bool list(const char *dir, uint64_t **seqs, size_t *count, struct fg_error *err)
{
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok;

    if (dir_fd < 0)
        return fg_fail(err, "%s: cannot open: %s", dir, strerror(errno));
    ok = fg_journal_file_list(dir_fd, dir, FG_JOURNAL_SNAPSHOT_SUFFIX, seqs, count, err);
    close(dir_fd);
    return ok;
}

/* The newest good one of a list. *moved: one of them went away meanwhile, so there are newer ones.
 */
static struct fg_snapshot_reader *open_newest(const char *dir, const uint64_t *seqs, size_t count,
                                              bool *moved, struct fg_ledger_snapshot_info *info,
                                              struct fg_error *err)
{
    struct fg_error why;

    *moved = false;
    err->text[0] = '\0';
    for (size_t i = count; i > 0 && !*moved; i--) {
        struct fg_snapshot_reader *r = open_one(dir, seqs[i - 1], true, info, moved, &why);

        if (r)
            return r;
        if (!err->text[0])
            *err = why; /* what is wrong with the newest */
    }
    return NULL;
}

struct fg_snapshot_reader *
fg_ledger_snapshot_open(const char *dir, struct fg_ledger_snapshot_info *info, struct fg_error *err)
{
    struct fg_snapshot_reader *r = NULL;
    bool moved = true;

    *info = (struct fg_ledger_snapshot_info){0};
    for (int tries = 0; moved && !r && tries < LIST_TRIES; tries++) {
        uint64_t *seqs;
        size_t count;

        if (!list(dir, &seqs, &count, err))
            return NULL;
        r = open_newest(dir, seqs, count, &moved, info, err);
        free(seqs);
    }
    return r;
}

struct fg_snapshot_reader *fg_ledger_snapshot_open_seq(const char *dir, uint64_t seq,
                                                       struct fg_ledger_snapshot_info *info,
                                                       struct fg_error *err)
{
    bool missing;

    errno = 0;
    return open_one(dir, seq, true, info, &missing, err);
}

bool fg_ledger_snapshot_check(const char *path, uint64_t seq, struct fg_ledger_snapshot_info *info,
                              struct fg_error *err)
{
    bool missing;
    struct fg_snapshot_reader *r = open_file_of(path, "", seq, true, info, &missing, err);

    fg_ledger_snapshot_close(r);
    return r != NULL;
}

struct fg_snapshot_reader *fg_ledger_snapshot_open_quick(const char *dir, uint64_t seq,
                                                         struct fg_ledger_snapshot_info *info,
                                                         struct fg_error *err)
{
    bool missing;

    return open_one(dir, seq, false, info, &missing, err);
}

void fg_ledger_snapshot_close(struct fg_snapshot_reader *r)
{
    if (!r)
        return;
    if (r->fd >= 0)
        close(r->fd);
    free(r->block);
    free(r->lines);
    free(r->fleets);
    free(r);
}

/* Nothing is left of the block at hand, or only epochs, which need not be read. */
static bool done_with_block(const struct fg_snapshot_reader *r, uint32_t kind)
{
    return r->taken == r->bytes ||
           (r->kind == FG_LEDGER_SNAPSHOT_EPOCHS && kind != FG_LEDGER_SNAPSHOT_EPOCHS);
}

/* Entries of one kind that lie in the block at hand, at most max; 0 when there are no more of the
 * kind. */
static ssize_t at_hand(struct fg_snapshot_reader *r, uint32_t kind, size_t max,
                       const uint8_t **entries, struct fg_error *err)
{
    size_t size = fg_ledger_snapshot_entry(kind), n;

    while (done_with_block(r, kind) &&
           fg_ledger_snapshot_rank(r->kind) <= fg_ledger_snapshot_rank(kind))
        if (!next_block(r, err))
            return -1;
    if (fg_ledger_snapshot_rank(r->kind) < fg_ledger_snapshot_rank(kind)) {
        fg_fail(err, "%s: entries of kind %" PRIu32 " were not read before those of kind %" PRIu32,
                r->path, r->kind, kind);
        return -1;
    }
    if (r->kind != kind)
        return 0;
    n = (r->bytes - r->taken) / size;
    n = n < max ? n : max;
    *entries = r->block + sizeof(struct fg_ledger_snapshot_block) + r->taken;
    r->taken += n * size;
    return (ssize_t)n;
}

/* All entries of a kind, which are few. */
static bool read_all(struct fg_snapshot_reader *r, uint32_t kind, void **all, size_t *count,
                     struct fg_error *err)
{
    size_t size = fg_ledger_snapshot_entry(kind);
    const uint8_t *entries;
    ssize_t n;

    while ((n = at_hand(r, kind, SIZE_MAX, &entries, err)) > 0) {
        uint8_t *more = realloc(*all, (*count + (size_t)n) * size);

        if (!more)
            return fg_fail(err, "%s: out of memory", r->path);
        *all = more;
        memcpy(more + *count * size, entries, (size_t)n * size);
        *count += (size_t)n;
    }
    return n == 0;
}

static bool read_lines(struct fg_snapshot_reader *r, struct fg_error *err)
{
    void *lines = r->lines, *fleets = r->fleets;

    r->lines_read = read_all(r, FG_LEDGER_SNAPSHOT_LINES, &lines, &r->lines_count, err) &&
                    read_all(r, FG_LEDGER_SNAPSHOT_FLEETS, &fleets, &r->fleets_count, err);
    r->lines = lines;
    r->fleets = fleets;
    return r->lines_read;
}

static void take_fleet(struct fg_snapshot_reader *r, struct fg_ledger_item *item)
{
    const struct fg_ledger_snapshot_fleet *fleet;

    if (r->fleets_taken == r->fleets_count || r->fleets[r->fleets_taken].index != item->index)
        return;
    fleet = &r->fleets[r->fleets_taken++];
    item->leased = fleet->leased;
    item->leases = fleet->leases;
    item->returned = fleet->returned;
    item->returns = fleet->returns;
}

static void take_line(struct fg_snapshot_reader *r, struct fg_ledger_item *item)
{
    const struct fg_ledger_snapshot_line *line;

    if (r->lines_taken == r->lines_count || r->lines[r->lines_taken].index != item->index)
        return;
    line = &r->lines[r->lines_taken];
    r->lines_taken++;
    item->line_max = line->line_max;
    item->claim_ms = line->claim_ms;
    item->wait_ttl_ms = line->wait_ttl_ms;
    item->line_flags = line->line_flags;
    item->tickets = line->tickets;
    item->waiting = line->waiting;
}

static bool item_sane(const struct fg_ledger_item *i)
{
    return i->leased >= i->leases && i->returned >= i->returns && i->tickets <= UINT32_MAX &&
           i->waiting <= i->tickets && i->total <= FG_JOURNAL_UNITS_MAX &&
           i->available <= i->total && i->reserved <= i->total && i->sold <= i->total &&
           i->refunded <= i->total &&
           i->total == i->available + i->reserved + i->sold + i->refunded;
}

ssize_t fg_ledger_snapshot_epochs(struct fg_snapshot_reader *r, struct fg_journal_epoch *epochs,
                                  size_t max, struct fg_error *err)
{
    const uint8_t *entries;
    ssize_t n = at_hand(r, FG_LEDGER_SNAPSHOT_EPOCHS, max, &entries, err);

    if (n > 0)
        memcpy(epochs, entries, (size_t)n * sizeof(*epochs));
    return n;
}

ssize_t fg_ledger_snapshot_items(struct fg_snapshot_reader *r, struct fg_ledger_item *items,
                                 size_t max, struct fg_error *err)
{
    const uint8_t *entries;
    ssize_t n;

    if (!r->lines_read && !read_lines(r, err))
        return -1;
    n = at_hand(r, FG_LEDGER_SNAPSHOT_ITEMS, max, &entries, err);

    for (ssize_t k = 0; k < n; k++) {
        struct fg_ledger_snapshot_item s;

        memcpy(&s, entries + (size_t)k * sizeof(s), sizeof(s));
        items[k] = (struct fg_ledger_item){.item = s.item,
                                           .opens_ms = s.opens_ms,
                                           .closes_ms = s.closes_ms,
                                           .total = s.total,
                                           .available = s.available,
                                           .reserved = s.reserved,
                                           .sold = s.sold,
                                           .refunded = s.refunded,
                                           .orders_reserved = s.orders_reserved,
                                           .orders_sold = s.orders_sold,
                                           .orders_cancelled = s.orders_cancelled,
                                           .orders_expired = s.orders_expired,
                                           .orders_refunded = s.orders_refunded,
                                           .orders_late = s.orders_late,
                                           .hold_ms = s.hold_ms,
                                           .user_limit = s.user_limit,
                                           .order_max = s.order_max,
                                           .flags = s.flags,
                                           .index = s.index};
        memcpy(items[k].name, s.name, strnlen((const char *)s.name, sizeof(s.name)));
        take_line(r, &items[k]);
        take_fleet(r, &items[k]);
        if (!item_sane(&items[k])) {
            fg_fail(err, "%s: item %" PRIu64 ": its units do not add up", r->path, s.item);
            return -1;
        }
    }
    return n;
}

ssize_t fg_ledger_snapshot_denied(struct fg_snapshot_reader *r, uint64_t *users, size_t max,
                                  struct fg_error *err)
{
    const uint8_t *entries;
    ssize_t n = at_hand(r, FG_LEDGER_SNAPSHOT_DENIED, max, &entries, err);

    if (n > 0)
        memcpy(users, entries, (size_t)n * sizeof(*users));
    return n;
}

static bool order_sane(const struct fg_ledger_order *o)
{
    return o->state >= FG_LEDGER_ORDER_RESERVED && o->state < FG_ORDER_STATES && o->quantity > 0 &&
           (!o->late || o->state == FG_LEDGER_ORDER_SOLD || o->state == FG_LEDGER_ORDER_REFUNDED) &&
           (!o->closed || o->state == FG_LEDGER_ORDER_CANCELLED) &&
           (!o->restocked || o->state == FG_LEDGER_ORDER_REFUNDED) && o->reserved == 0 &&
           (o->state != FG_LEDGER_ORDER_WAITING || (o->line && o->ticket <= UINT32_MAX)) &&
           (!o->line || o->state == FG_LEDGER_ORDER_WAITING ||
            o->state == FG_LEDGER_ORDER_CANCELLED) &&
           o->reserved2 == 0;
}

ssize_t fg_ledger_snapshot_orders(struct fg_snapshot_reader *r, struct fg_ledger_order *orders,
                                  size_t max, struct fg_error *err)
{
    const uint8_t *entries;
    ssize_t n = at_hand(r, FG_LEDGER_SNAPSHOT_ORDERS, max, &entries, err);

    if (n > 0)
        memcpy(orders, entries, (size_t)n * sizeof(*orders));
    for (ssize_t k = 0; k < n; k++)
        if (!order_sane(&orders[k])) {
            fg_fail(err, "%s: an order of user %" PRIu64 " is in no state that there is", r->path,
                    orders[k].user);
            return -1;
        }
    return n;
}

bool fg_ledger_snapshot_fits(const struct fg_ledger_snapshot_info *info, const char *dir,
                             uint64_t appliance_id, uint64_t first_seq, uint64_t last_seq,
                             struct fg_error *err)
{
    if (info->seq && info->appliance_id != appliance_id)
        return fg_fail(err,
                       "%s: snapshot %020" PRIu64 FG_JOURNAL_SNAPSHOT_SUFFIX
                       " belongs to appliance %016" PRIx64 ", the log to %016" PRIx64,
                       dir, info->seq, info->appliance_id, appliance_id);
    if (info->seq + 1 < first_seq && !info->seq)
        return fg_fail(err,
                       "%s: records 1 to %" PRIu64
                       " are missing: the log begins with %020" PRIu64 FG_JOURNAL_SEGMENT_SUFFIX
                       ", and there is no snapshot",
                       dir, first_seq - 1, first_seq);
    if (info->seq + 1 < first_seq)
        return fg_fail(
            err,
            "%s: records %" PRIu64 " to %" PRIu64 " are missing: the newest good snapshot is of "
            "record %" PRIu64 ", the log begins with %020" PRIu64 FG_JOURNAL_SEGMENT_SUFFIX,
            dir, info->seq + 1, first_seq - 1, info->seq, first_seq);
    if (info->seq > last_seq)
        return fg_fail(
            err,
            "%s: records %" PRIu64 " to %" PRIu64
            " are missing: the log ends before snapshot %020" PRIu64 FG_JOURNAL_SNAPSHOT_SUFFIX,
            dir, last_seq + 1, info->seq, info->seq);
    return true;
}
