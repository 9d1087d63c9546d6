/* SPDX-License-Identifier: BSD-3-Clause */
#include "snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "ledger/snapshot_format.h"
#include "line.h"

#define SUFFIX      ".fgs"
#define NAME_DIGITS 20
#define LIST_MAX    64 /* the appliance keeps two */

struct file {
    FILE *in;
    char path[4200];
    struct fg_ledger_snapshot_header header;
    uint64_t left[FG_LEDGER_SNAPSHOT_KINDS]; /* entries of each kind that may still come */
    uint8_t *block;                          /* head and entries */
    struct fg_ledger_snapshot_line *lines;
    struct fg_ledger_snapshot_fleet *fleets;
    size_t line_count, fleet_count;
};

/* Takes one entry of a snapshot; false: it does not fit. */
struct user_of {
    bool (*epoch)(void *ctx, struct fg_journal_epoch e);
    bool (*item)(void *ctx, const struct fg_ledger_snapshot_item *i,
                 const struct fg_ledger_snapshot_line *line,
                 const struct fg_ledger_snapshot_fleet *fleet);
    bool (*denied)(void *ctx, uint64_t user);
    bool (*order)(void *ctx, const struct fg_ledger_order *o);
    void *ctx;
};

/* ---- reading --------------------------------------------------------------------------------- */

static size_t list(const char *dir_name, uint64_t seqs[LIST_MAX])
{
    DIR *dir = opendir(dir_name);
    struct dirent *entry;
    size_t n = 0;

    while (dir && (entry = readdir(dir)) && n < LIST_MAX) {
        const char *name = entry->d_name;

        if (strlen(name) == NAME_DIGITS + strlen(SUFFIX) && !strcmp(name + NAME_DIGITS, SUFFIX) &&
            strspn(name, "0123456789") == NAME_DIGITS)
            seqs[n++] = strtoull(name, NULL, 10);
    }
    if (dir)
        closedir(dir);
    for (size_t i = 1; i < n; i++) /* few: by insertion */
        for (size_t k = i; k > 0 && seqs[k] < seqs[k - 1]; k--) {
            uint64_t swap = seqs[k];

            seqs[k] = seqs[k - 1];
            seqs[k - 1] = swap;
        }
    return n;
}

static bool read_header(struct file *f, uint64_t seq, uint64_t appliance, struct fg_error *err)
{
    struct fg_ledger_snapshot_header copy, *h = &f->header;

    if (fread(h, sizeof(*h), 1, f->in) != 1)
        return fg_fail(err, "%.400s: too short", f->path);
    copy = *h;
    copy.crc = 0;
    if (h->magic != FG_LEDGER_SNAPSHOT_MAGIC || !fg_ledger_snapshot_known(h->version) ||
        h->crc != fg_crc32c(&copy, sizeof(copy)) || h->seq != seq)
        return fg_fail(err, "%.400s: the header is not that of this snapshot", f->path);
    if (h->appliance_id != appliance)
        return fg_fail(err, "%.350s: of appliance %016" PRIx64 ", the log is of %016" PRIx64,
                       f->path, h->appliance_id, appliance);
    if (h->version == FG_LEDGER_SNAPSHOT_EPOCHAL)
        f->left[FG_LEDGER_SNAPSHOT_EPOCHS] = FG_JOURNAL_EPOCHS_MAX;
    f->left[FG_LEDGER_SNAPSHOT_ITEMS] = f->left[FG_LEDGER_SNAPSHOT_LINES] = h->items;
    f->left[FG_LEDGER_SNAPSHOT_FLEETS] = h->items;
    f->left[FG_LEDGER_SNAPSHOT_DENIED] = h->denied;
    f->left[FG_LEDGER_SNAPSHOT_ORDERS] = h->orders;
    return true;
}

/* All zeros for an item without one. */
static const struct fg_ledger_snapshot_line *line_of(const struct file *f, uint32_t index)
{
    static const struct fg_ledger_snapshot_line none;

    for (size_t i = 0; i < f->line_count; i++)
        if (f->lines[i].index == index)
            return &f->lines[i];
    return &none;
}

static const struct fg_ledger_snapshot_fleet *fleet_of(const struct file *f, uint32_t index)
{
    static const struct fg_ledger_snapshot_fleet none;

    for (size_t i = 0; i < f->fleet_count; i++)
        if (f->fleets[i].index == index)
            return &f->fleets[i];
    return &none;
}

static bool keep_fleet(struct file *f, const uint8_t *entry)
{
    f->fleets = realloc(f->fleets, (f->fleet_count + 1) * sizeof(*f->fleets));
    if (!f->fleets)
        fg_out_of_memory();
    memcpy(&f->fleets[f->fleet_count++], entry, sizeof(*f->fleets));
    return true;
}

static bool keep_line(struct file *f, const uint8_t *entry)
{
    f->lines = realloc(f->lines, (f->line_count + 1) * sizeof(*f->lines));
    if (!f->lines)
        fg_out_of_memory();
    memcpy(&f->lines[f->line_count++], entry, sizeof(*f->lines));
    return true;
}

static bool give(struct file *f, const struct user_of *u, const struct fg_ledger_snapshot_block *b,
                 const uint8_t *entry)
{
    struct fg_ledger_snapshot_item item;
    struct fg_ledger_order order;
    struct fg_journal_epoch epoch;
    uint64_t user;

    switch (b->kind) {
    case FG_LEDGER_SNAPSHOT_EPOCHS:
        memcpy(&epoch, entry, sizeof(epoch));
        return u->epoch(u->ctx, epoch);
    case FG_LEDGER_SNAPSHOT_ITEMS:
        memcpy(&item, entry, sizeof(item));
        return u->item(u->ctx, &item, line_of(f, item.index), fleet_of(f, item.index));
    case FG_LEDGER_SNAPSHOT_LINES:
        return keep_line(f, entry);
    case FG_LEDGER_SNAPSHOT_FLEETS:
        return keep_fleet(f, entry);
    case FG_LEDGER_SNAPSHOT_DENIED:
        memcpy(&user, entry, sizeof(user));
        return u->denied(u->ctx, user);
    default:
        memcpy(&order, entry, sizeof(order));
        return u->order(u->ctx, &order);
    }
}

static bool take_entries(struct file *f, const struct fg_ledger_snapshot_block *b,
                         const struct user_of *u, struct fg_error *err)
{
    size_t size = fg_ledger_snapshot_entry(b->kind), n = size ? b->bytes / size : 0;

    if (!size || b->bytes % size || n > f->left[b->kind])
        return fg_fail(err, "%.400s: a block that cannot be there", f->path);
    f->left[b->kind] -= n;
    for (size_t i = 0; i < n; i++)
        if (!give(f, u, b, f->block + sizeof(*b) + i * size))
            return false;
    return true;
}

/* One block, its chain and CRC checked. */
static bool next_block(struct file *f, uint32_t before, struct fg_ledger_snapshot_block *b,
                       struct fg_error *err)
{
    struct fg_ledger_snapshot_block copy;

    if (fread(b, sizeof(*b), 1, f->in) != 1 || b->bytes > FG_LEDGER_SNAPSHOT_BLOCK_BYTES ||
        fread(f->block + sizeof(*b), 1, b->bytes, f->in) != b->bytes)
        return fg_fail(err, "%.400s: it ends too early", f->path);
    copy = *b;
    copy.crc = 0;
    memcpy(f->block, &copy, sizeof(copy));
    if (b->before != before || b->crc != fg_crc32c(f->block, sizeof(copy) + b->bytes))
        return fg_fail(err, "%.400s: a block is damaged", f->path);
    return true;
}

static bool read_blocks(struct file *f, const struct user_of *u, struct fg_error *err)
{
    uint32_t before = f->header.crc, kind = FG_LEDGER_SNAPSHOT_EPOCHS;
    struct fg_ledger_snapshot_block b;

    for (;;) {
        if (!next_block(f, before, &b, err))
            return false;
        before = b.crc;
        if (b.kind == FG_LEDGER_SNAPSHOT_END)
            break;
        if (fg_ledger_snapshot_rank(b.kind) < fg_ledger_snapshot_rank(kind))
            return fg_fail(err, "%.400s: blocks in a wrong order", f->path);
        kind = b.kind;
        if (!take_entries(f, &b, u, err))
            return false;
    }
    for (kind = FG_LEDGER_SNAPSHOT_ITEMS; kind < FG_LEDGER_SNAPSHOT_END; kind++)
        if (f->left[kind])
            return fg_fail(err, "%.400s: entries are missing", f->path);
    return fgetc(f->in) == EOF || fg_fail(err, "%.400s: there is more behind its end", f->path);
}

/* 1: read to its end; 0: there is no such file any more; -1 and err. */
static int read_snapshot(const struct fg_log *log, uint64_t seq, const struct user_of *u,
                         struct fg_ledger_snapshot_header *header, struct fg_error *err)
{
    struct file f = {.in = NULL};
    bool ok;

    snprintf(f.path, sizeof(f.path), "%.4000s/%020" PRIu64 SUFFIX, log->dir, seq);
    err->text[0] = '\0';
    f.in = fopen(f.path, "re");
    if (!f.in) {
        fg_fail(err, "%.400s: %s", f.path, strerror(errno));
        return errno == ENOENT ? 0 : -1;
    }
    f.block = malloc(sizeof(struct fg_ledger_snapshot_block) + FG_LEDGER_SNAPSHOT_BLOCK_BYTES);
    if (!f.block)
        fg_out_of_memory();
    ok = read_header(&f, seq, log->appliance, err) && read_blocks(&f, u, err);
    *header = f.header;
    free(f.lines);
    free(f.fleets);
    free(f.block);
    fclose(f.in);
    return ok ? 1 : -1;
}

/* ---- beginning with one ---------------------------------------------------------------------- */

static enum fg_state state_of(unsigned state)
{
    switch (state) {
    case FG_LEDGER_ORDER_RESERVED:
        return FG_STATE_RESERVED;
    case FG_LEDGER_ORDER_SOLD:
        return FG_STATE_SOLD;
    case FG_LEDGER_ORDER_CANCELLED:
        return FG_STATE_CANCELLED;
    case FG_LEDGER_ORDER_EXPIRED:
        return FG_STATE_EXPIRED;
    case FG_LEDGER_ORDER_REFUNDED:
        return FG_STATE_REFUNDED;
    case FG_LEDGER_ORDER_WAITING:
        return FG_STATE_WAITING;
    default:
        return FG_STATE_ABSENT;
    }
}

static bool begin_epoch(void *ctx, struct fg_journal_epoch e)
{
    return fg_story_epoch(ctx, e);
}

static bool begin_item(void *ctx, const struct fg_ledger_snapshot_item *s,
                       const struct fg_ledger_snapshot_line *line,
                       const struct fg_ledger_snapshot_fleet *fleet)
{
    struct fg_story *story = ctx;
    struct fg_item *i;

    if (fg_tables_item(&story->tables, s->item))
        return false;
    i = fg_tables_item_add(&story->tables, s->item);
    i->total = (int64_t)s->total;
    i->reserved = (int64_t)s->reserved;
    i->sold = (int64_t)s->sold;
    i->refunded = (int64_t)s->refunded;
    i->free_before = fg_item_available(i);
    i->commit = story->commits;
    i->opens_ms = s->opens_ms;
    i->closes_ms = s->closes_ms;
    i->hold_ms = s->hold_ms;
    i->user_limit = s->user_limit;
    i->order_max = s->order_max;
    i->flags = s->flags;
    i->name_len = (uint8_t)strnlen((const char *)s->name, sizeof(s->name));
    memcpy(i->name, s->name, i->name_len);
    i->line_max = line->line_max;
    i->claim_ms = line->claim_ms;
    i->wait_ttl_ms = line->wait_ttl_ms;
    i->line_flags = line->line_flags;
    i->lease = (struct fg_moved){fleet->leased, fleet->leases};
    i->giving = (struct fg_moved){fleet->returned, fleet->returns};
    fg_item_keep_added(i);
    if (line->tickets)
        fg_line_begin(&i->line, line->tickets);
    return true;
}

static bool begin_denied(void *ctx, uint64_t user)
{
    struct fg_story *story = ctx;

    fg_denied_add(&story->denied, user)->denied = true;
    return true;
}

static bool begin_order(void *ctx, const struct fg_ledger_order *s)
{
    struct fg_story *story = ctx;
    struct fg_item *i = fg_tables_item(&story->tables, s->item);
    struct fg_order *o;

    if (!i || state_of(s->state) == FG_STATE_ABSENT ||
        fg_tables_order(&story->tables, s->user, s->order_id))
        return false;
    o = fg_tables_order_add(&story->tables, s->user, s->order_id);
    o->item = (uint32_t)(i - story->tables.items);
    o->quantity = s->quantity;
    o->state = state_of(s->state);
    o->late = s->late;
    o->closed = s->closed;
    o->restocked = s->restocked;
    o->deadline_ms = s->deadline_ms;
    o->changed_ms = s->changed_ms;
    o->left = s->line && o->state == FG_STATE_CANCELLED;
    o->seq = 0; /* before the log begins */
    story->states[o->state]++;
    if (o->state == FG_STATE_WAITING && !fg_line_join(&i->line, s->ticket, s->changed_ms))
        return false;
    if (o->state == FG_STATE_RESERVED || o->state == FG_STATE_SOLD || o->state == FG_STATE_WAITING)
        *fg_tables_held(&story->tables, s->user, o->item) += s->quantity;
    return true;
}

/* Denied before the snapshot was made: the time is lost. */
static void date_denials(struct fg_story *story, uint64_t ms)
{
    for (uint64_t k = 0; k < story->denied.size; k++)
        if (story->denied.slots[k].known)
            story->denied.slots[k].since_ms = ms;
}

static void forget(struct fg_story *story)
{
    struct fg_problems *problems = story->problems;
    uint64_t settle_ms = story->settle_ms;

    fg_story_free(story);
    fg_story_init(story, problems, settle_ms);
}

bool fg_snapshots_begin(struct fg_story *story, struct fg_log *log, struct fg_error *err)
{
    const struct user_of begin = {begin_epoch, begin_item, begin_denied, begin_order, story};
    struct fg_ledger_snapshot_header header;
    uint64_t seqs[LIST_MAX];
    struct fg_error why = {""};
    size_t n = list(log->dir, seqs);

    if (log->first_seq == 1)
        return true;
    for (size_t i = 0; i < n; i++) {
        if (seqs[i] + 1 < log->first_seq)
            continue;
        if (read_snapshot(log, seqs[i], &begin, &header, &why) > 0) {
            story->seq = story->begin_seq = header.seq;
            date_denials(story, header.created_ms);
            while (log->next_seq <= header.seq && fg_log_next(log))
                ;
            return log->next_seq > header.seq || log->damaged ||
                   fg_fail(err, "%s: the log ends before snapshot %020" PRIu64 SUFFIX, log->dir,
                           header.seq);
        }
        forget(story);
    }
    return fg_fail(err,
                   "%.200s: the log begins at record %" PRIu64
                   ", and no good snapshot reaches it%s%.200s",
                   log->dir, log->first_seq, why.text[0] ? ": " : "", why.text);
}

/* ---- comparing ------------------------------------------------------------------------------- */

static bool same_epoch(void *ctx, struct fg_journal_epoch e)
{
    const struct fg_story *story = ctx;

    for (uint32_t i = 0; i < story->epochs.count; i++)
        if (story->epochs.list[i].epoch == e.epoch)
            return story->epochs.list[i].first_seq == e.first_seq;
    return false;
}

static bool same_item(void *ctx, const struct fg_ledger_snapshot_item *s,
                      const struct fg_ledger_snapshot_line *line,
                      const struct fg_ledger_snapshot_fleet *fleet)
{
    const struct fg_story *story = ctx;
    const struct fg_item *i = fg_tables_item(&story->tables, s->item);

    return i && i->total == (int64_t)s->total && i->reserved == (int64_t)s->reserved &&
           i->sold == (int64_t)s->sold && i->refunded == (int64_t)s->refunded &&
           (int64_t)s->available == fg_item_available(i) && i->opens_ms == s->opens_ms &&
           i->closes_ms == s->closes_ms && i->hold_ms == s->hold_ms &&
           i->user_limit == s->user_limit && i->order_max == s->order_max && i->flags == s->flags &&
           i->line_max == line->line_max && i->claim_ms == line->claim_ms &&
           i->wait_ttl_ms == line->wait_ttl_ms && i->line_flags == line->line_flags &&
           i->lease.units == fleet->leased && i->lease.times == fleet->leases &&
           i->giving.units == fleet->returned && i->giving.times == fleet->returns &&
           (i->line ? i->line->tickets : 0) == line->tickets &&
           (i->line ? i->line->waiting : 0) == line->waiting &&
           i->name_len == strnlen((const char *)s->name, sizeof(s->name)) &&
           memcmp(i->name, s->name, i->name_len) == 0;
}

static bool same_denied(void *ctx, uint64_t user)
{
    const struct fg_story *story = ctx;
    const struct fg_denied *d = fg_denied_find(&story->denied, user);

    return d && d->denied;
}

static bool same_order(void *ctx, const struct fg_ledger_order *s)
{
    const struct fg_story *story = ctx;
    const struct fg_order *o = fg_tables_order(&story->tables, s->user, s->order_id);

    return o && story->tables.items[o->item].item == s->item && o->quantity == s->quantity &&
           o->state == state_of(s->state) && o->late == s->late && o->closed == s->closed &&
           o->restocked == s->restocked && o->deadline_ms == s->deadline_ms &&
           o->left == (s->line && s->state == FG_LEDGER_ORDER_CANCELLED) &&
           o->changed_ms == s->changed_ms;
}

static uint64_t denied_now(const struct fg_story *story)
{
    uint64_t n = 0;

    for (uint64_t k = 0; k < story->denied.size; k++)
        n += story->denied.slots[k].known && story->denied.slots[k].denied;
    return n;
}

static bool compare(struct fg_story *story, const struct fg_log *log, uint64_t seq)
{
    const struct user_of same = {same_epoch, same_item, same_denied, same_order, story};
    struct fg_ledger_snapshot_header h;
    struct fg_error err;
    int found = read_snapshot(log, seq, &same, &h, &err);

    if (found == 0)
        return false; /* the daemon has removed it meanwhile */
    if (found > 0 && (h.items != story->tables.item_count ||
                      h.orders != story->tables.order_count || h.denied != denied_now(story)))
        found = -1;
    if (found < 0)
        fg_problem(story->problems, FG_PROBLEM_SNAPSHOT, "snapshot of record %" PRIu64 ": %s", seq,
                   err.text[0] ? err.text : "not what the log says at that record");
    return true;
}

void fg_snapshots_read(struct fg_story *story, struct fg_log *log, uint64_t *compared)
{
    uint64_t seqs[LIST_MAX], limit = log->limit_seq;
    size_t n = list(log->dir, seqs);

    *compared = 0;
    for (size_t i = 0; i < n; i++) {
        if (seqs[i] < story->seq || (seqs[i] == story->seq && story->begin_seq == story->seq) ||
            seqs[i] > limit)
            continue;
        log->limit_seq = seqs[i];
        fg_story_read(story, log);
        if (story->seq < seqs[i] && !log->damaged)
            fg_problem(story->problems, FG_PROBLEM_SNAPSHOT,
                       "snapshot of record %" PRIu64 ": the log ends at record %" PRIu64, seqs[i],
                       story->seq);
        if (story->seq == seqs[i] && compare(story, log, seqs[i]))
            (*compared)++;
    }
    log->limit_seq = limit;
    fg_story_read(story, log);
}
