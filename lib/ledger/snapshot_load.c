/* SPDX-License-Identifier: BSD-3-Clause */
/* Loads a snapshot into an empty ledger. When its sums do not add up, the snapshot before it is
 * taken. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "journal/file.h"
#include "ledger/snapshot.h"
#include "ledger/snapshot_format.h"
#include "ledger/table.h"

#define LOAD_ENTRIES 4096

/* The sums over the orders of an item, counted anew. */
struct sums {
    uint64_t reserved, sold, refunded;
    uint64_t orders, states[FG_ORDER_STATES], late, closed, left;
};

static bool load_epochs(struct fg_ledger *l, struct fg_snapshot_reader *r, struct fg_error *err)
{
    struct fg_journal_epoch epoch;
    ssize_t n;

    while ((n = fg_ledger_snapshot_epochs(r, &epoch, 1, err)) > 0)
        if (epoch.epoch <= fg_journal_epochs_last(&l->epochs).epoch ||
            !fg_journal_epochs_add(&l->epochs, epoch))
            return fg_fail(err, "epoch %" PRIu64 " is not behind the one before", epoch.epoch);
    l->epochs.forgot = l->epochs.count == FG_JOURNAL_EPOCHS_MAX;
    return n == 0;
}

static bool load_items(struct fg_ledger *l, struct fg_snapshot_reader *r, struct fg_error *err)
{
    struct fg_ledger_item item;
    ssize_t n;

    while ((n = fg_ledger_snapshot_items(r, &item, 1, err)) > 0) {
        struct fg_ledger_item *entry;

        if (item.index != l->items.count || fg_ledger_table_item(l, item.item))
            return fg_fail(err, "item %" PRIu64 " is there twice, or not in its order", item.item);
        entry = fg_ledger_table_add_item(l, item.item);
        if (!entry)
            return fg_fail(err, "out of memory after %" PRIu64 " items", l->items.count);
        *entry = item;
    }
    return n == 0;
}

static bool load_denied(struct fg_ledger *l, struct fg_snapshot_reader *r, uint64_t count,
                        struct fg_error *err)
{
    ssize_t n;

    if (count > UINT32_MAX / 2)
        return fg_fail(err, "%" PRIu64 " denied users", count);
    if (count && !(l->denied = malloc(count * sizeof(*l->denied))))
        return fg_fail(err, "out of memory for %" PRIu64 " denied users", count);
    l->denied_room = (uint32_t)count;
    while ((n = fg_ledger_snapshot_denied(r, l->denied + l->denied_count,
                                          count - l->denied_count + 1, err)) > 0)
        l->denied_count += (uint32_t)n;
    return n == 0;
}

static bool count_order(const struct fg_ledger *l, const struct fg_ledger_order *o,
                        struct sums *sums, struct fg_error *err)
{
    const struct fg_ledger_item *item = fg_ledger_table_item(l, o->item);
    struct sums *s = item ? &sums[item->index] : NULL;

    if (!s)
        return fg_fail(err, "an order of item %" PRIu64 ", which it does not have", o->item);
    s->orders += !o->line; /* the others never held units */
    s->left += o->line && o->state == FG_LEDGER_ORDER_CANCELLED;
    s->states[o->state]++;
    s->reserved += o->state == FG_LEDGER_ORDER_RESERVED ? o->quantity : 0;
    s->sold += o->state == FG_LEDGER_ORDER_SOLD ? o->quantity : 0;
    s->refunded += o->state == FG_LEDGER_ORDER_REFUNDED && !o->restocked ? o->quantity : 0;
    s->late += o->late;
    s->closed += o->closed;
    return true;
}

struct listener {
    fg_ledger_snapshot_tell *tell;
    void *ctx;
};

static bool load_orders(struct fg_ledger *l, struct fg_snapshot_reader *r, uint64_t count,
                        struct sums *sums, const struct listener *to, struct fg_error *err)
{
    struct fg_ledger_order *orders = malloc(LOAD_ENTRIES * sizeof(*orders));
    ssize_t n = -1;
    bool ok = orders && fg_ledger_table_reserve_orders(l, count);

    if (!ok)
        fg_fail(err, "out of memory for %" PRIu64 " orders", count);
    while (ok && (n = fg_ledger_snapshot_orders(r, orders, LOAD_ENTRIES, err)) > 0) {
        for (ssize_t i = 0; ok && i < n; i++)
            ok = count_order(l, &orders[i], sums, err);
        if (ok && !fg_ledger_table_take_orders(l, orders, (size_t)n))
            ok = fg_fail(err, "an order is there twice, or out of memory after %" PRIu64 " orders",
                         l->orders.count);
        if (ok && to->tell)
            to->tell(to->ctx, l->orders.count, count);
    }
    free(orders);
    return ok && n == 0;
}

/* A counter says how often a state was reached; some orders have left it since. */
static bool counts_match(const struct fg_ledger_item *item, const struct sums *s)
{
    const uint64_t *now = s->states;

    return item->orders_reserved == s->orders &&
           item->orders_sold == now[FG_LEDGER_ORDER_SOLD] + now[FG_LEDGER_ORDER_REFUNDED] &&
           item->orders_cancelled == now[FG_LEDGER_ORDER_CANCELLED] - s->left &&
           item->waiting == now[FG_LEDGER_ORDER_WAITING] &&
           item->orders_expired == now[FG_LEDGER_ORDER_EXPIRED] + s->late + s->closed &&
           item->orders_refunded == now[FG_LEDGER_ORDER_REFUNDED] && item->orders_late == s->late;
}

static bool check_sums(const struct fg_ledger *l, const struct sums *sums, struct fg_error *err)
{
    for (uint32_t i = 0; i < l->items.count; i++) {
        const struct fg_ledger_item *item = fg_ledger_item_at(l, i);
        const struct sums *s = &sums[i];

        if (item->reserved != s->reserved || item->sold != s->sold ||
            item->refunded != s->refunded || !counts_match(item, s))
            return fg_fail(err, "item %" PRIu64 " is not what its orders add up to", item->item);
    }
    return true;
}

static bool load(struct fg_ledger *l, struct fg_snapshot_reader *r,
                 const struct fg_ledger_snapshot_info *info, const struct listener *to,
                 struct fg_error *err)
{
    struct sums *sums;
    bool ok;

    if (!load_epochs(l, r, err) || !load_items(l, r, err) || !load_denied(l, r, info->denied, err))
        return false;
    sums = calloc(l->items.count + 1, sizeof(*sums));
    if (!sums)
        return fg_fail(err, "out of memory");
    ok = load_orders(l, r, info->orders, sums, to, err) && check_sums(l, sums, err);
    free(sums);
    if (ok)
        l->seq = info->seq;
    return ok;
}

static bool empty_again(struct fg_ledger *l)
{
    fg_ledger_table_free(l);
    free(l->denied);
    memset(l, 0, sizeof(*l));
    return fg_ledger_table_init(l);
}

/* Verified block by block as it is loaded; the ledger is thrown away when one is bad. */
static bool load_one(struct fg_ledger *l, const char *dir, uint64_t seq, const struct listener *to,
                     struct fg_ledger_snapshot_info *info, struct fg_error *err)
{
    struct fg_snapshot_reader *r = fg_ledger_snapshot_open_quick(dir, seq, info, err);
    struct fg_error why;
    bool ok = r && load(l, r, info, to, &why);

    fg_ledger_snapshot_close(r);
    if (ok || !r)
        return ok;
    *info = (struct fg_ledger_snapshot_info){0};
    FG_ASSERT(empty_again(l));                      /* it had this little memory before */
    if (strncmp(why.text, dir, strlen(dir)) == 0) { /* of the reader, which names the file */
        *err = why;
        return false;
    }
    return fg_fail(err, "%.100s/%020" PRIu64 FG_JOURNAL_SNAPSHOT_SUFFIX ": %.350s", dir, seq,
                   why.text);
}

bool fg_ledger_snapshot_load(struct fg_ledger *ledger, const char *dir,
                             struct fg_ledger_snapshot_info *info, struct fg_error *err)
{
    return fg_ledger_snapshot_load_telling(ledger, dir, NULL, NULL, info, err);
}

bool fg_ledger_snapshot_load_telling(struct fg_ledger *ledger, const char *dir,
                                     fg_ledger_snapshot_tell *tell, void *ctx,
                                     struct fg_ledger_snapshot_info *info, struct fg_error *err)
{
    const struct listener to = {tell, ctx};
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct fg_error why;
    uint64_t *seqs = NULL;
    size_t count = 0;
    bool ok;

    FG_ASSERT(ledger->seq == 0 && ledger->items.count == 0);
    *info = (struct fg_ledger_snapshot_info){0};
    if (dir_fd < 0)
        return fg_fail(err, "%s: cannot open: %s", dir, strerror(errno));
    ok = fg_journal_file_list(dir_fd, dir, FG_JOURNAL_SNAPSHOT_SUFFIX, &seqs, &count, err);
    close(dir_fd);
    if (!ok)
        return false;
    err->text[0] = '\0';
    ok = count == 0;
    for (size_t i = count; i > 0 && !ok; i--) {
        ok = load_one(ledger, dir, seqs[i - 1], &to, info, &why);
        if (!ok && !err->text[0])
            *err = why;
    }
    free(seqs);
    return ok;
}
