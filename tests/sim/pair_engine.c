/* SPDX-License-Identifier: BSD-3-Clause */
#include "pair_engine.h"

#include <stdlib.h>

#include "ledger/snapshot.h"
#include "stock/feed.h"
#include "stock/stock.h"
#include "world.h"

enum { UNITS = 1000000, READ = 512, ANSWERS = 64, READY = 3, GRACE_MS = 100 };

struct sim_engine {
    const struct fg_journal_pairing *pairing;
    struct fg_stock_config config;
    struct fg_ring *none; /* the only worker has no others */
    struct fg_stock *stock;
    struct fg_ledger *ledger;
    const char *dir;
    struct fg_journal_reader *reader;
    struct fg_journal_record records[READ];
    bool leads;
    unsigned set_up; /* steps done towards an item that can be bought */
};

static uint64_t unix_ms(const struct sim_world *w)
{
    return 1700000000000ull + w->now_ms;
}

static struct fg_stock *create(const struct sim_engine *e)
{
    struct fg_error err = {""};
    struct fg_stock *stock = fg_stock_create(&e->config, &err);

    FG_ASSERT(stock);
    return stock;
}

struct sim_engine *sim_engine_begin(struct fg_ring *ring, const struct fg_journal_watermark *mark,
                                    const struct fg_journal_pairing *pairing, const char *dir,
                                    struct fg_ledger *ledger)
{
    struct sim_engine *e = calloc(1, sizeof(*e));
    struct fg_error err = {""};

    FG_ASSERT(e);
    e->pairing = pairing;
    e->dir = dir;
    e->config = (struct fg_stock_config){.workers = 1,
                                         .limits = {.items_max = 1,
                                                    .orders_max = SIM_ORDERS_MAX,
                                                    .users_max = SIM_ORDERS_MAX,
                                                    .parked_max = 64,
                                                    .deferred_max = 4096},
                                         .to = &e->none,
                                         .from = &e->none,
                                         .journal = ring,
                                         .mark = mark,
                                         .committed = pairing->committed};
    e->stock = create(e);
    e->ledger = ledger;
    FG_ASSERT(fg_stock_load(e->stock, e->ledger, &err));
    return e;
}

void sim_engine_reopen(struct sim_engine *e)
{
    fg_journal_reader_close(e->reader);
    e->reader = NULL;
}

void sim_engine_end(struct sim_engine *e)
{
    if (!e)
        return;
    sim_engine_reopen(e);
    fg_stock_destroy(e->stock);
    fg_ledger_destroy(e->ledger);
    free(e);
}

/* ---- standing by ----------------------------------------------------------------------------- */

static bool feed_some(struct sim_engine *e, size_t n, struct fg_error *err)
{
    if (!fg_ledger_apply_all(e->ledger, e->records, n, err))
        return false;
    for (size_t i = 0; i < n && !e->leads; i++) /* then it knows by itself */
        if (!fg_stock_feed(e->stock, e->ledger, &e->records[i], err))
            return false;
    return true;
}

static bool feed(struct sim_world *w, const struct sim_node *n, struct sim_engine *e, uint64_t to)
{
    struct fg_error err = {""};

    while (fg_ledger_seq(e->ledger) < to) {
        ssize_t got = -1;

        if (!e->reader)
            e->reader = fg_journal_reader_open(e->dir, fg_ledger_seq(e->ledger) + 1, &err);
        if (e->reader)
            got = fg_journal_read(e->reader, e->records, READ, to, &err);
        if (got <= 0 || !feed_some(e, (size_t)got, &err)) {
            sim_fail(w, "node %u: its engine cannot be fed up to %llu: %s", n->index,
                     (unsigned long long)to, err.text);
            return false;
        }
    }
    return true;
}

static const struct fg_ledger_order *order_of(const struct sim_engine *e, uint64_t number)
{
    uint8_t id[16] = {0};

    memcpy(id, &number, sizeof(number));
    return fg_ledger_order(e->ledger, number, id);
}

/* Whatever a shopper was told is so. */
static void check_told(struct sim_world *w, const struct sim_node *n, const struct sim_engine *e)
{
    for (uint64_t k = 1; k <= w->orders_len && !w->disk_was_lost; k++) {
        const struct fg_ledger_order *o = w->orders[k] ? order_of(e, k) : NULL;

        if (w->orders[k] &&
            (!o || (w->orders[k] != FG_LEDGER_ORDER_RESERVED && o->state != w->orders[k])))
            sim_fail(w, "node %u leads, and order %llu is %s, not %s", n->index,
                     (unsigned long long)k, o ? fg_ledger_order_state_name(o->state) : "unknown",
                     fg_ledger_order_state_name(w->orders[k]));
    }
}

uint64_t sim_engine_snapshot(struct sim_world *w, const struct sim_node *n, struct sim_engine *e)
{
    struct fg_error err = {""};

    if (!feed(w, n, e, n->view.committed) || !fg_ledger_seq(e->ledger))
        return 0;
    if (!fg_ledger_snapshot_write(e->ledger, e->dir, LOG_ID, unix_ms(w), &err))
        sim_fail(w, "node %u cannot write a snapshot: %s", n->index, err.text);
    return fg_ledger_seq(e->ledger);
}

/* All records before the new epoch, and the two that begin it. */
static void take_over(struct sim_world *w, const struct sim_node *n, struct sim_engine *e)
{
    const struct fg_ledger_item *item;
    struct fg_error err = {""};
    struct fg_stock *loaded;

    if (!feed(w, n, e, atomic_load(&e->pairing->began_seq) + 1))
        return;
    loaded = create(e);
    if (!fg_stock_feed_end(e->stock, e->ledger, &err) || !fg_stock_load(loaded, e->ledger, &err))
        sim_fail(w, "node %u cannot take over: %s", n->index, err.text);
    else
        feed_compare(e->stock, loaded, e->ledger);
    fg_stock_destroy(loaded);
    check_told(w, n, e);
    fg_stock_set_grace(e->stock, GRACE_MS);
    e->leads = true;
    item = fg_ledger_item(e->ledger, ITEM_ID);
    e->set_up = !item ? 0 : item->total ? READY : 1;
}

/* ---- leading --------------------------------------------------------------------------------- */

static void command(const struct sim_world *w, struct sim_engine *e, uint8_t type)
{
    struct fg_stock_command c = {.type = type, .item = ITEM_ID};

    if (type == FG_STOCK_STOCK_ADD) {
        c.units = UNITS;
    } else {
        c.hold_ms = 3600000;
        c.order_max = 4;
    }
    FG_ASSERT(fg_stock_command(e->stock, unix_ms(w), &c));
}

static void set_up(const struct sim_world *w, struct sim_engine *e)
{
    if (e->set_up == 0) {
        command(w, e, FG_STOCK_ITEM_SET);
    } else if (e->set_up == 1) {
        command(w, e, FG_STOCK_ITEM_APPLY);
        command(w, e, FG_STOCK_STOCK_ADD);
    }
}

static void answered(struct sim_world *w, struct sim_engine *e, const struct fg_stock_answer *a)
{
    uint8_t state = 0, was;

    if (a->kind == FG_STOCK_OPERATOR) {
        e->set_up = e->set_up == 0 ? 1 : READY;
        if (e->set_up == 1)
            set_up(w, e);
        return;
    }
    if (a->status >= FG_PACKET_STATUS_RESERVED && a->status <= FG_PACKET_STATUS_CANCELLED)
        state = a->status; /* the same numbers */
    was = w->orders[a->token];
    if (state > was)
        w->orders[a->token] = state;
    if (was > FG_LEDGER_ORDER_RESERVED && state > FG_LEDGER_ORDER_RESERVED && state != was &&
        !w->disk_was_lost)
        sim_fail(w, "order %u was told %s, and then %s", a->token, fg_ledger_order_state_name(was),
                 fg_ledger_order_state_name(state));
}

void sim_engine_step(struct sim_world *w, struct sim_node *n, struct sim_engine *e)
{
    const struct fg_journal_pairing *p = e->pairing;
    struct fg_stock_answer answers[ANSWERS];
    uint64_t committed = atomic_load(&p->committed_seq);
    unsigned got;

    if (!e->leads) {
        if (atomic_load(&p->began_epoch) && committed > atomic_load(&p->began_seq) &&
            (n->view.role == FG_PAIR_ROLE_SOLO || n->view.role == FG_PAIR_ROLE_LEADER)) {
            take_over(w, n, e);
            if (e->leads)
                set_up(w, e);
        } else if (!atomic_load(&p->began_epoch)) {
            feed(w, n, e, committed);
        }
        return;
    }
    got = fg_stock_poll(e->stock, unix_ms(w), answers, ANSWERS);
    for (unsigned i = 0; i < got; i++) /* a worker that is stale drops its answers */
        if (answers[i].kind == FG_STOCK_OPERATOR || n->view.valid_until_ms >= w->now_ms)
            answered(w, e, &answers[i]);
}

bool sim_engine_request(struct sim_world *w, const struct sim_node *n, struct sim_engine *e)
{
    static const uint8_t ops[] = {FG_PACKET_OP_CONFIRM, FG_PACKET_OP_CANCEL, FG_PACKET_OP_RESERVE};
    struct fg_stock_request r = {.op = FG_PACKET_OP_RESERVE, .quantity = 1, .item = ITEM_ID};
    struct fg_stock_answer a;
    uint64_t number;

    if (!e->leads || e->set_up != READY || w->orders_len + 1 == SIM_ORDERS_MAX)
        return false;
    if (w->orders_len && sim_chance(w, 300000)) {
        number = 1 + sim_random(w, w->orders_len);
        r.op = ops[sim_random(w, 3)];
    } else {
        number = ++w->orders_len;
    }
    r.user = number;
    memcpy(r.order_id, &number, sizeof(number));
    if (fg_stock_request(e->stock, unix_ms(w), &r, (uint32_t)number, &a) == FG_STOCK_ANSWERED &&
        n->view.valid_until_ms >= w->now_ms)
        answered(w, e, &a);
    return true;
}
