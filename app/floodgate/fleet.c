/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An appliance that is a member of a fleet (docs/fleet.md). The wishes of lib/member go to the
 * workers as commands; their answers and news, and what the ledger has of the log, go back.
 * Thread `fg-fleet`, but for what daemon.h says otherwise.
 */
#include "daemon.h"

#include <unistd.h>

#include "base/diag.h"
#include "stock/fleet.h"

#define NEWS_MAX 64
#define SCAN_MAX 512 /* items of the ledger that one round compares */
#define KIND_BIT 24  /* of a ticket: what the command is; below it the index of the item */

_Static_assert(FG_FLEET_STOP < 1u << (31 - KIND_BIT), "a kind fits a ticket");

struct fg_daemon_fleet_item {
    uint64_t id;
    int64_t stock;          /* as the member was told */
    uint32_t head;          /* of the bank's queue, likewise */
    uint32_t lease_units;   /* of the last LEASE */
    uint64_t lease_sum;     /* likewise */
    uint32_t returned;      /* units of the last RECALL, until the ledger has its RETURN */
    uint64_t returned_ever; /* with them */
};

/* Of an item, as the ledger has it. */
struct logged {
    uint32_t index;
    uint64_t id;
    struct fg_fleet_counters counters;
};

/* ---- commands -------------------------------------------------------------------------------- */

static struct fg_worker *home_of(const struct fg_daemon *d, uint64_t id)
{
    return d->workers.list[fg_user_owner(id, d->config.workers.count)];
}

static struct fg_stock_command command_of(const struct fg_daemon *d, uint32_t ticket)
{
    static const uint8_t types[] = {[FG_FLEET_LEASE] = FG_STOCK_LEASE,
                                    [FG_FLEET_RECALL] = FG_STOCK_RECALL,
                                    [FG_FLEET_REFUSE] = FG_STOCK_REFUSE,
                                    [FG_FLEET_SOLD_OUT] = FG_STOCK_SOLD_OUT,
                                    [FG_FLEET_OPEN] = FG_STOCK_OPEN};
    uint32_t index = ticket & ((1u << KIND_BIT) - 1);
    unsigned kind = (ticket & ~FG_WORKER_FLEET_TICKET) >> KIND_BIT;
    const struct fg_daemon_fleet_item *it = &d->fleet.items[index];
    struct fg_stock_command c = {
        .type = types[kind], .ticket = ticket, .item = it->id, .index = index};

    if (kind == FG_FLEET_LEASE) {
        c.fleet_units = it->lease_units;
        c.fleet_sum = it->lease_sum;
    }
    return c;
}

static bool post(struct fg_daemon *d, const struct fg_stock_command *command)
{
    struct fg_worker *w = home_of(d, command->item);
    uint8_t message[FG_RING_SLOT] = {0};

    if (d->fleet.under_way[w->index] == FG_WORKER_FLEET_SLOTS)
        return false;
    memcpy(message, command, sizeof(*command));
    FG_ASSERT(fg_ring_push(w->fleet_commands, message));
    d->fleet.under_way[w->index]++;
    return true;
}

static bool give(void *ctx, const struct fg_fleet_output *o)
{
    struct fg_daemon *d = ctx;
    struct fg_daemon_fleet_item *it = &d->fleet.items[o->item];
    uint32_t ticket = FG_WORKER_FLEET_TICKET | (uint32_t)o->kind << KIND_BIT | o->item;
    struct fg_stock_command c;

    if (d->fleet.again_len)
        return false;
    if (o->kind == FG_FLEET_LEASE) {
        it->lease_units = (uint32_t)o->units;
        it->lease_sum = o->counters.leased;
    }
    c = command_of(d, ticket);
    if (o->kind == FG_FLEET_REFUSE) {
        c.fleet_head = it->head;
        c.fleet_units = o->units < FG_JOURNAL_UNITS_MAX ? (uint32_t)o->units : FG_JOURNAL_UNITS_MAX;
        c.fleet_refusal = o->refusal == FG_FLEET_REFUSAL_INSUFFICIENT
                              ? FG_STOCK_OUTCOME_INSUFFICIENT
                              : FG_STOCK_OUTCOME_BUSY;
    }
    return post(d, &c);
}

/* What a worker did not take, for the log was full, or this appliance stops. */
static void give_again(struct fg_daemon *d)
{
    struct fg_daemon_fleet *f = &d->fleet;
    uint32_t left = 0;

    for (uint32_t i = 0; i < f->again_len; i++) {
        struct fg_stock_command c = command_of(d, f->again[i]);

        if (!post(d, &c))
            f->again[left++] = f->again[i];
    }
    f->again_len = left;
}

/* ---- the banks ------------------------------------------------------------------------------- */

static void tell_bank(struct fg_daemon *d, struct fg_member *m,
                      const struct fg_stock_fleet_news *news)
{
    d->fleet.items[news->index].head = news->head;
    fg_member_bank(m, news->index, news->least, news->wanted, news->free);
}

static void ask_bank(struct fg_daemon *d, struct fg_member *m, uint32_t index)
{
    struct fg_stock_fleet_news news;

    fg_stock_fleet_item(home_of(d, d->fleet.items[index].id)->stock, index, &news);
    tell_bank(d, m, &news);
}

static void take_news(struct fg_daemon *d, struct fg_member *m)
{
    struct fg_stock_fleet_news news[NEWS_MAX];
    unsigned n;

    for (unsigned w = 0; w < d->config.workers.count; w++) {
        do {
            n = fg_stock_fleet_take(d->workers.list[w]->stock, news, NEWS_MAX);
            for (unsigned i = 0; i < n; i++)
                if (news[i].index < d->fleet.known) /* else it is asked when it is known */
                    tell_bank(d, m, &news[i]);
        } while (n == NEWS_MAX);
    }
}

static void recalled(struct fg_daemon *d, struct fg_member *m, uint32_t index, uint32_t units)
{
    struct fg_daemon_fleet_item *it = &d->fleet.items[index];

    ask_bank(d, m, index);
    if (!units) {
        fg_member_returned(m, index, 0);
        return;
    }
    it->returned = units;
    it->returned_ever += units;
    d->fleet.giving[d->fleet.giving_len++] = index;
}

static void take_answer(struct fg_daemon *d, struct fg_member *m, const struct fg_stock_answer *a)
{
    uint32_t index = a->token & ((1u << KIND_BIT) - 1);
    unsigned kind = (a->token & ~FG_WORKER_FLEET_TICKET) >> KIND_BIT;

    if (kind != FG_FLEET_REFUSE && a->outcome != FG_STOCK_OUTCOME_DONE) {
        d->fleet.again[d->fleet.again_len++] = a->token;
        return;
    }
    if (kind == FG_FLEET_LEASE)
        fg_member_leased(m, index);
    if (kind == FG_FLEET_RECALL)
        recalled(d, m, index, a->left);
    else
        ask_bank(d, m, index); /* a request that was not refused, because another one is first */
}

static void take_answers(struct fg_daemon *d, struct fg_member *m)
{
    uint8_t message[FG_RING_SLOT];
    struct fg_stock_answer a;

    for (unsigned w = 0; w < d->config.workers.count; w++)
        while (fg_ring_pop(d->workers.list[w]->fleet_results, message)) {
            FG_ASSERT(d->fleet.under_way[w] > 0);
            d->fleet.under_way[w]--;
            memcpy(&a, message, sizeof(a));
            take_answer(d, m, &a);
        }
}

/* ---- the log --------------------------------------------------------------------------------- */

static void copy_item(const struct fg_ledger *ledger, uint32_t index, struct logged *to)
{
    const struct fg_ledger_item *item = fg_ledger_item_at(ledger, index);

    *to = (struct logged){.index = index,
                          .id = item->item,
                          .counters = {.stock = fg_ledger_item_stock(item),
                                       .leased = item->leased,
                                       .leases = item->leases,
                                       .returned = item->returned,
                                       .returns = item->returns}};
}

/* Those that returned units, new ones, and a part of the others. Under the ledger's lock. */
static unsigned copy_items(struct fg_daemon *d, struct logged *list)
{
    struct fg_daemon_fleet *f = &d->fleet;
    const struct fg_ledger *ledger = d->follower.ledger;
    uint32_t n = 0, items = fg_ledger_items(ledger);

    for (uint32_t i = 0; i < f->giving_len && n < SCAN_MAX / 2; i++)
        copy_item(ledger, f->giving[i], &list[n++]);
    for (; f->scanned < items && n < SCAN_MAX; f->scanned++)
        copy_item(ledger, f->scanned, &list[n++]);
    return n;
}

static void learn(struct fg_daemon *d, struct fg_member *m, const struct logged *l)
{
    struct fg_daemon_fleet_item *it = &d->fleet.items[l->index];

    FG_ASSERT(l->index == d->fleet.known);
    *it = (struct fg_daemon_fleet_item){
        .id = l->id, .stock = l->counters.stock, .returned_ever = l->counters.returned};
    d->fleet.known++;
    FG_ASSERT(fg_member_item(m, l->index, l->id, &l->counters));
    ask_bank(d, m, l->index);
}

static void take_item(struct fg_daemon *d, struct fg_member *m, const struct logged *l)
{
    struct fg_daemon_fleet_item *it = &d->fleet.items[l->index];
    uint32_t units = it->returned;

    if (l->index >= d->fleet.known) {
        learn(d, m, l);
        return;
    }
    if (l->counters.stock != it->stock) {
        it->stock = l->counters.stock;
        fg_member_stocked(m, l->index, it->stock);
    }
    if (units && l->counters.returned >= it->returned_ever) {
        it->returned = 0;
        fg_member_returned(m, l->index, units);
    }
}

static void forget_given(struct fg_daemon *d)
{
    struct fg_daemon_fleet *f = &d->fleet;
    uint32_t left = 0;

    for (uint32_t i = 0; i < f->giving_len; i++)
        if (f->items[f->giving[i]].returned)
            f->giving[left++] = f->giving[i];
    f->giving_len = left;
}

/* The follower may hold the lock for long: then in the next round. False: there is more. */
static bool take_log(struct fg_daemon *d, struct fg_member *m)
{
    struct fg_daemon_fleet *f = &d->fleet;
    uint64_t seq = atomic_load(&d->follower.seq);
    struct logged list[SCAN_MAX];
    unsigned n;

    if (f->all_scanned && seq == f->scanned_seq && !f->giving_len)
        return true;
    if (pthread_mutex_trylock(&d->follower.lock) != 0)
        return true;
    if (f->all_scanned) {
        f->scanned = 0;
        f->scanned_seq = seq;
    }
    n = copy_items(d, list);
    f->all_scanned = f->scanned == fg_ledger_items(d->follower.ledger);
    pthread_mutex_unlock(&d->follower.lock);
    for (unsigned i = 0; i < n; i++)
        take_item(d, m, &list[i]);
    forget_given(d);
    return f->all_scanned;
}

static void take(void *ctx, struct fg_member *m)
{
    struct fg_daemon *d = ctx;

    fg_member_logged(m, atomic_load(fg_journal_thread_committed(&d->journal_thread)));
    take_answers(d, m);
    take_news(d, m);
    take_log(d, m);
    give_again(d);
}

/* The log is consistent at each moment. */
static void stop(void *ctx, const char *reason)
{
    fg_diag(FG_DIAG_ERROR, "fleet: %s: this process ends", reason);
    _exit(FG_MEMBER_EXIT);
}

/* ---- start, stop, views: other threads ------------------------------------------------------- */

/* Before the ledger's thread starts, so nothing else has the lock: all items are known then. */
static void take_first(void *ctx, struct fg_member *m)
{
    struct fg_daemon *d = ctx;

    fg_member_logged(m, atomic_load(&d->follower.seq));
    while (!take_log(ctx, m))
        ;
}

bool fg_fleeted_start(struct fg_daemon *d, struct fg_error *err)
{
    const uint32_t items = d->config.limits.items_max;
    const struct fg_member_options options = {
        .settings = &d->config.fleet,
        .log_dir = d->config.log.dir,
        .log_id = d->log_id,
        .items_max = items,
        .hooks = {.ctx = d, .begin = take_first, .take = take, .give = give, .stop = stop}};

    if (!d->config.fleet.enabled)
        return true;
    d->fleet.items = calloc(items, sizeof(*d->fleet.items));
    d->fleet.giving = calloc(items, sizeof(*d->fleet.giving));
    d->fleet.again =
        calloc((size_t)d->config.workers.count * FG_WORKER_FLEET_SLOTS, sizeof(*d->fleet.again));
    FG_ASSERT(d->fleet.items && d->fleet.giving && d->fleet.again);
    d->fleet.member = fg_member_start(&options, err);
    return d->fleet.member != NULL;
}

void fg_fleeted_stop(struct fg_daemon *d)
{
    if (!fg_member_stop(d->fleet.member))
        fg_diag(FG_DIAG_WARNING, "fleet: a call to etcd did not end");
    d->fleet.member = NULL;
    free(d->fleet.items);
    free(d->fleet.giving);
    free(d->fleet.again);
    d->fleet.items = NULL;
    d->fleet.giving = d->fleet.again = NULL;
}

bool fg_fleeted_waits(struct fg_daemon *d)
{
    struct fg_member_catalogue_view catalogue;

    if (!d->fleet.member)
        return false;
    if (!fg_member_may_sell(d->fleet.member))
        return true;
    if (atomic_load(&d->journal_thread.mode) != FG_STOCK_RUNNING || atomic_load(&d->fleet.opened))
        return false;
    fg_member_catalogue_view(fg_member_catalogue(d->fleet.member), &catalogue);
    if (catalogue.complete) { /* the log takes records, and has the settings of all items */
        atomic_store(&d->fleet.shards.waits, false);
        atomic_store(&d->fleet.opened, true);
    }
    return false;
}

bool fg_fleeted_view(void *ctx, struct fg_control_fleet *fleet)
{
    struct fg_fleet_view *view = &fleet->view.fleet;
    struct fg_daemon *d = ctx;

    if (!d->fleet.member)
        return false;
    fleet->settings = &d->config.fleet;
    fg_member_view(d->fleet.member, &fleet->view);
    fg_member_catalogue_view(fg_member_catalogue(d->fleet.member), &fleet->catalogue);
    if (view->may_sell && view->reason == FG_FLEET_REASON_NONE && !fleet->catalogue.complete)
        view->reason = FG_FLEET_REASON_CATALOGUE;
    view->may_sell &= atomic_load(&d->fleet.opened); /* the workers know it */
    return true;
}

bool fg_fleeted_item(void *ctx, uint32_t index, struct fg_fleet_item_view *view)
{
    struct fg_daemon *d = ctx;

    return d->fleet.member && fg_member_item_view(d->fleet.member, index, view);
}
