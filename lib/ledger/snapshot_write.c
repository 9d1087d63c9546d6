/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "journal/file.h"
#include "ledger/snapshot.h"
#include "ledger/snapshot_format.h"

/* Written out in pieces: a sync of the log that comes meanwhile waits for about one of them. */
#define PIECE_BYTES (4u << 20)

struct writer {
    const struct fg_journal_file_ops *ops;
    const char *dir;
    int dir_fd, fd;
    uint64_t offset, synced;
    uint32_t before, kind;
    size_t used;    /* bytes of entries in the block */
    uint8_t *block; /* struct fg_ledger_snapshot_block and its entries */
    struct fg_error *err;
};

static bool trouble(struct writer *w, const char *what, const char *name)
{
    return fg_fail(w->err, "%.200s/%s: cannot %s: %s", w->dir, name, what, strerror(errno));
}

static bool sync_file(struct writer *w)
{
    w->synced = w->offset;
    return w->ops->sync(w->ops->ctx, w->fd) == 0 || trouble(w, "sync", FG_JOURNAL_SNAPSHOT_TEMP);
}

static bool put(struct writer *w, const void *data, size_t len)
{
    if (!fg_journal_file_write(w->ops, w->fd, data, len, w->offset))
        return trouble(w, "write", FG_JOURNAL_SNAPSHOT_TEMP);
    w->offset += len;
    return w->offset - w->synced < PIECE_BYTES || sync_file(w);
}

static bool put_block(struct writer *w)
{
    struct fg_ledger_snapshot_block head = {
        .before = w->before, .kind = w->kind, .bytes = (uint32_t)w->used};
    size_t len = sizeof(head) + w->used;

    memcpy(w->block, &head, sizeof(head));
    head.crc = fg_crc32c(w->block, len);
    memcpy(w->block, &head, sizeof(head));
    w->before = head.crc;
    w->used = 0;
    return put(w, w->block, len);
}

/* Room for the next entry; NULL when a full block could not be written. */
static void *room_for(struct writer *w, uint32_t kind)
{
    size_t size = fg_ledger_snapshot_entry(kind);
    uint8_t *at;

    if (w->used && (w->kind != kind || w->used + size > FG_LEDGER_SNAPSHOT_BLOCK_BYTES) &&
        !put_block(w))
        return NULL;
    w->kind = kind;
    at = w->block + sizeof(struct fg_ledger_snapshot_block) + w->used;
    w->used += size;
    return at;
}

static bool put_item(struct writer *w, const struct fg_ledger_item *i)
{
    struct fg_ledger_snapshot_item s = {.item = i->item,
                                        .opens_ms = i->opens_ms,
                                        .closes_ms = i->closes_ms,
                                        .total = i->total,
                                        .available = i->available,
                                        .reserved = i->reserved,
                                        .sold = i->sold,
                                        .refunded = i->refunded,
                                        .orders_reserved = i->orders_reserved,
                                        .orders_sold = i->orders_sold,
                                        .orders_cancelled = i->orders_cancelled,
                                        .orders_expired = i->orders_expired,
                                        .orders_refunded = i->orders_refunded,
                                        .orders_late = i->orders_late,
                                        .hold_ms = i->hold_ms,
                                        .user_limit = i->user_limit,
                                        .order_max = i->order_max,
                                        .flags = i->flags,
                                        .index = i->index};
    void *at = room_for(w, FG_LEDGER_SNAPSHOT_ITEMS);

    memcpy(s.name, i->name, sizeof(s.name));
    if (at)
        memcpy(at, &s, sizeof(s));
    return at != NULL;
}

static bool has_line(const struct fg_ledger_item *i)
{
    return i->line_max || i->claim_ms || i->wait_ttl_ms || i->tickets || i->line_flags;
}

static bool put_line(struct writer *w, const struct fg_ledger_item *i)
{
    struct fg_ledger_snapshot_line s = {.index = i->index,
                                        .line_max = i->line_max,
                                        .claim_ms = i->claim_ms,
                                        .wait_ttl_ms = i->wait_ttl_ms,
                                        .line_flags = i->line_flags,
                                        .tickets = i->tickets,
                                        .waiting = i->waiting};
    void *at = room_for(w, FG_LEDGER_SNAPSHOT_LINES);

    if (at)
        memcpy(at, &s, sizeof(s));
    return at != NULL;
}

static bool has_fleet(const struct fg_ledger_item *i)
{
    return i->leases || i->returns;
}

static bool put_fleet(struct writer *w, const struct fg_ledger_item *i)
{
    struct fg_ledger_snapshot_fleet s = {.index = i->index,
                                         .leased = i->leased,
                                         .leases = i->leases,
                                         .returned = i->returned,
                                         .returns = i->returns};
    void *at = room_for(w, FG_LEDGER_SNAPSHOT_FLEETS);

    if (at)
        memcpy(at, &s, sizeof(s));
    return at != NULL;
}

static bool put_entries(struct writer *w, const struct fg_ledger *ledger)
{
    const struct fg_journal_epochs *epochs = fg_ledger_epochs(ledger);
    uint64_t orders = fg_ledger_orders(ledger);
    void *at;

    for (uint32_t i = 0; i < epochs->count; i++) {
        if (!(at = room_for(w, FG_LEDGER_SNAPSHOT_EPOCHS)))
            return false;
        memcpy(at, &epochs->list[i], sizeof(epochs->list[i]));
    }

    for (uint32_t i = 0; i < fg_ledger_items(ledger); i++)
        if (has_line(fg_ledger_item_at(ledger, i)) && !put_line(w, fg_ledger_item_at(ledger, i)))
            return false;
    for (uint32_t i = 0; i < fg_ledger_items(ledger); i++)
        if (has_fleet(fg_ledger_item_at(ledger, i)) && !put_fleet(w, fg_ledger_item_at(ledger, i)))
            return false;
    for (uint32_t i = 0; i < fg_ledger_items(ledger); i++)
        if (!put_item(w, fg_ledger_item_at(ledger, i)))
            return false;
    for (uint32_t i = 0; i < fg_ledger_denied_users(ledger); i++) {
        uint64_t user = fg_ledger_denied_user(ledger, i);

        if (!(at = room_for(w, FG_LEDGER_SNAPSHOT_DENIED)))
            return false;
        memcpy(at, &user, sizeof(user));
    }
    for (uint64_t i = 0; i < orders; i++) {
        if (!(at = room_for(w, FG_LEDGER_SNAPSHOT_ORDERS)))
            return false;
        memcpy(at, fg_ledger_order_at(ledger, i), sizeof(struct fg_ledger_order));
    }
    if (w->used && !put_block(w))
        return false;
    w->kind = FG_LEDGER_SNAPSHOT_END;
    return put_block(w);
}

static bool put_all(struct writer *w, const struct fg_ledger *ledger, uint64_t appliance_id,
                    uint64_t now_ms)
{
    struct fg_ledger_snapshot_header h = {.magic = FG_LEDGER_SNAPSHOT_MAGIC,
                                          .version = fg_ledger_epochs(ledger)->count
                                                         ? FG_LEDGER_SNAPSHOT_EPOCHAL
                                                         : FG_LEDGER_SNAPSHOT_VERSION,
                                          .appliance_id = appliance_id,
                                          .seq = fg_ledger_seq(ledger),
                                          .created_ms = now_ms,
                                          .items = fg_ledger_items(ledger),
                                          .denied = fg_ledger_denied_users(ledger),
                                          .orders = fg_ledger_orders(ledger)};

    h.crc = fg_ledger_snapshot_header_crc(&h);
    w->before = h.crc;
    return put(w, &h, sizeof(h)) && put_entries(w, ledger) && sync_file(w);
}

/* The name comes last; until the directory is synced the file may have none, or its name, after a
 * crash. */
static bool give_name(struct writer *w, uint64_t seq)
{
    char name[FG_JOURNAL_NAME_SIZE];

    fg_journal_file_name(name, seq, FG_JOURNAL_SNAPSHOT_SUFFIX);
    if (w->ops->rename(w->ops->ctx, w->dir_fd, FG_JOURNAL_SNAPSHOT_TEMP, name) < 0)
        return trouble(w, "rename " FG_JOURNAL_SNAPSHOT_TEMP " to", name);
    return w->ops->sync_dir(w->ops->ctx, w->dir_fd) == 0 || trouble(w, "sync", ".");
}

static bool write_file(struct writer *w, const struct fg_ledger *ledger, uint64_t appliance_id,
                       uint64_t now_ms)
{
    bool ok;

    w->fd = w->ops->create(w->ops->ctx, w->dir_fd, FG_JOURNAL_SNAPSHOT_TEMP);
    if (w->fd < 0)
        return trouble(w, "create", FG_JOURNAL_SNAPSHOT_TEMP);
    ok = put_all(w, ledger, appliance_id, now_ms);
    close(w->fd);
    ok = ok && give_name(w, fg_ledger_seq(ledger));
    if (!ok)
        w->ops->remove(w->ops->ctx, w->dir_fd,
                       FG_JOURNAL_SNAPSHOT_TEMP); /* it may hold the little room that is left */
    return ok;
}

bool fg_ledger_snapshot_write_on(const struct fg_journal_file_ops *ops,
                                 const struct fg_ledger *ledger, const char *dir,
                                 uint64_t appliance_id, uint64_t now_ms, struct fg_error *err)
{
    struct writer w = {.ops = ops, .dir = dir, .err = err};
    bool ok;

    if (fg_ledger_seq(ledger) == 0)
        return fg_fail(err, "%s: an empty log needs no snapshot", dir);
    w.block = malloc(sizeof(struct fg_ledger_snapshot_block) + FG_LEDGER_SNAPSHOT_BLOCK_BYTES);
    if (!w.block)
        return fg_fail(err, "%s: out of memory", dir);
    w.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ok = w.dir_fd >= 0 ? write_file(&w, ledger, appliance_id, now_ms) : trouble(&w, "open", ".");
    if (w.dir_fd >= 0)
        close(w.dir_fd);
    free(w.block);
    return ok;
}

bool fg_ledger_snapshot_write(const struct fg_ledger *ledger, const char *dir,
                              uint64_t appliance_id, uint64_t now_ms, struct fg_error *err)
{
    return fg_ledger_snapshot_write_on(&fg_journal_file_system, ledger, dir, appliance_id, now_ms,
                                       err);
}

static uint64_t bytes_of(uint32_t kind, uint64_t entries)
{
    uint64_t size = fg_ledger_snapshot_entry(kind),
             per_block = FG_LEDGER_SNAPSHOT_BLOCK_BYTES / size;

    return entries * size +
           (entries + per_block - 1) / per_block * sizeof(struct fg_ledger_snapshot_block);
}

uint64_t fg_ledger_snapshot_bytes(const struct fg_ledger *ledger)
{
    uint64_t lines = 0, fleets = 0;

    for (uint32_t i = 0; i < fg_ledger_items(ledger); i++) {
        lines += has_line(fg_ledger_item_at(ledger, i));
        fleets += has_fleet(fg_ledger_item_at(ledger, i));
    }
    return sizeof(struct fg_ledger_snapshot_header) + sizeof(struct fg_ledger_snapshot_block) +
           bytes_of(FG_LEDGER_SNAPSHOT_EPOCHS, fg_ledger_epochs(ledger)->count) +
           bytes_of(FG_LEDGER_SNAPSHOT_LINES, lines) + bytes_of(FG_LEDGER_SNAPSHOT_FLEETS, fleets) +
           bytes_of(FG_LEDGER_SNAPSHOT_ITEMS, fg_ledger_items(ledger)) +
           bytes_of(FG_LEDGER_SNAPSHOT_DENIED, fg_ledger_denied_users(ledger)) +
           bytes_of(FG_LEDGER_SNAPSHOT_ORDERS, fg_ledger_orders(ledger));
}

bool fg_ledger_snapshot_keep_on(const struct fg_journal_file_ops *ops, const char *dir,
                                uint64_t newest_seq, uint64_t older_seq, struct fg_error *err)
{
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint64_t *seqs = NULL;
    size_t count = 0;
    bool ok;

    if (dir_fd < 0)
        return fg_fail(err, "%s: cannot open: %s", dir, strerror(errno));
    ok = fg_journal_file_list(dir_fd, dir, FG_JOURNAL_SNAPSHOT_SUFFIX, &seqs, &count, err);
    for (size_t i = 0; ok && i < count; i++) {
        char name[FG_JOURNAL_NAME_SIZE];

        if (seqs[i] == newest_seq || seqs[i] == older_seq)
            continue;
        fg_journal_file_name(name, seqs[i], FG_JOURNAL_SNAPSHOT_SUFFIX);
        if (ops->remove(ops->ctx, dir_fd, name) < 0 && errno != ENOENT)
            ok = fg_fail(err, "%.200s/%s: cannot remove: %s", dir, name, strerror(errno));
    }
    free(seqs);
    close(dir_fd);
    return ok;
}

bool fg_ledger_snapshot_keep(const char *dir, uint64_t newest_seq, uint64_t older_seq,
                             struct fg_error *err)
{
    return fg_ledger_snapshot_keep_on(&fg_journal_file_system, dir, newest_seq, older_seq, err);
}
