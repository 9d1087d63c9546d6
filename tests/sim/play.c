/* SPDX-License-Identifier: BSD-3-Clause */
#include "play.h"

enum { SETTLE_LOOPS = 3000, ANSWERS = 16 };

void sim_start(struct sim *s, const struct world_setup *setup, const char *folder)
{
    memset(&s->o, 0, sizeof(s->o));
    world_start(&s->w, setup);
    oracle_start(&s->o, &s->w);
    s->folder = folder;
}

void sim_stop(struct sim *s)
{
    world_stop(&s->w);
}

static void answered(struct sim *s, uint32_t token, const struct fg_stock_answer *a)
{
    oracle_answered(&s->o, &s->w, token, a);
    world_token_free(&s->w, token);
}

static void deliver(struct sim *s, unsigned worker, unsigned n)
{
    world_deliver(&s->w, worker, n);
    oracle_delivered(&s->o, &s->w);
}

/* A loop of the daemon: the state of the log is read, then the engine works. */
static void poll_worker(struct sim *s, unsigned i, unsigned max)
{
    struct fg_stock_answer answers[ANSWERS];
    unsigned n;

    if (s->w.mode[i] != world_mode(&s->w)) {
        s->w.mode[i] = world_mode(&s->w);
        fg_stock_set_mode(s->w.stock[i], s->w.mode[i]);
    }
    n = fg_stock_poll(s->w.stock[i], s->w.now_ms, answers, max);
    FG_ASSERT(n <= max);
    oracle_pushed(&s->o, &s->w, i, NULL);
    oracle_polled(&s->o, &s->w, i);
    oracle_balance(&s->o, &s->w);
    for (unsigned k = 0; k < n; k++)
        if (answers[k].kind == FG_STOCK_OPERATOR)
            sim_command_answered(s, answers[k].token, &answers[k]);
        else
            answered(s, answers[k].token, &answers[k]);
}

static void write_log(struct sim *s, unsigned worker, unsigned n)
{
    world_write(&s->w, worker, n);
    oracle_written(&s->o, &s->w);
}

static void sync_log(struct sim *s)
{
    world_sync(&s->w);
    oracle_written(&s->o, &s->w);
}

static void request(struct sim *s, const struct fg_stock_request *r)
{
    uint32_t token = world_token(&s->w);
    struct token *t = &s->w.tokens[token];
    struct fg_stock_answer a;
    enum fg_stock_result result;

    t->worker = fg_user_owner(r->op == FG_PACKET_OP_STOCK ? r->item : r->user, s->w.workers);
    t->request = *r;
    result = fg_stock_request(s->w.stock[t->worker], s->w.now_ms, r, token, &a);
    oracle_asked(&s->o, &s->w, token, result, &a);
    if (result == FG_STOCK_ANSWERED)
        answered(s, token, &a);
    else if (result == FG_STOCK_IGNORED)
        world_token_free(&s->w, token);
}

static void request_step(struct sim *s, const struct sim_step *step)
{
    struct fg_stock_request r = {.op =
                                     (uint8_t)(FG_PACKET_OP_RESERVE + step->n % FG_PACKET_OP_WAIT)};

    if (r.op == FG_PACKET_OP_STOCK) {
        r.item = ITEM_ID + step->c;
    } else if (r.op == FG_PACKET_OP_ORDERS) {
        r.user = 1000 + step->a;
        r.item = step->c ? ITEM_ID + step->c - 1 : 0;
        r.quantity = (uint16_t)step->d;
    } else {
        r.user = 1000 + step->a;
        memcpy(r.order_id, &step->b, sizeof(step->b));
    }
    if (r.op == FG_PACKET_OP_RESERVE || r.op == FG_PACKET_OP_WAIT) {
        r.item = ITEM_ID + step->c;
        r.quantity = (uint16_t)step->d;
    } else if (r.op == FG_PACKET_OP_EXTEND) {
        r.until_ms = s->w.now_ms + step->d;
    } else if (r.op == FG_PACKET_OP_REFUND) {
        r.flags = step->d & FG_PACKET_RESTOCK;
    }
    request(s, &r);
}

static void loop_all(struct sim *s)
{
    for (unsigned i = 0; i < s->w.workers; i++) {
        deliver(s, i, UINT32_MAX);
        poll_worker(s, i, ANSWERS);
        write_log(s, i, UINT32_MAX);
    }
    sync_log(s);
    sim_fleet(s, true);
    oracle_balance(&s->o, &s->w);
}

void sim_settle(struct sim *s)
{
    bool quiet = false, before = false; /* an armed draw begins in the loop behind a quiet one */

    for (unsigned loops = 0; loops < SETTLE_LOOPS && !(loops > 5 && quiet && before); loops++) {
        loop_all(s);
        before = quiet;
        quiet = world_quiet(&s->w) && s->w.tokens_out == 0 && s->w.committed_len == s->w.log_len;
    }
    FG_ASSERT(world_quiet(&s->w));
    oracle_settled(&s->o, &s->w);
}

/* The log is lost: who waits for units hears of it, who waits for the disk never does. */
static void settle_failed(struct sim *s)
{
    for (unsigned loops = 0;
         loops < SETTLE_LOOPS && (loops < 4 || oracle_waits_for_units(&s->o, &s->w)); loops++)
        for (unsigned i = 0; i < s->w.workers; i++) {
            deliver(s, i, UINT32_MAX);
            poll_worker(s, i, ANSWERS);
        }
    FG_ASSERT(!oracle_waits_for_units(&s->o, &s->w));
}

static void restart(struct sim *s, const struct sim_step *step, const char *folder)
{
    if (s->w.disk == DISK_FAILED)
        settle_failed(s);
    world_restart(&s->w, 1 + (step->n + WORKERS_MAX - 1u) % WORKERS_MAX, step->a, folder);
    oracle_restarted(&s->o, &s->w);
}

static void finish(struct sim *s, const struct sim_step *step)
{
    if (s->w.disk != DISK_FAILED) {
        s->w.disk = DISK_OK;
        s->w.stopping = true;
        sim_settle(s);
    }
    restart(s, step, NULL);
}

static void disk_step(struct sim *s, unsigned state)
{
    if (s->w.disk != DISK_FAILED)
        s->w.disk = (enum disk_state)(state % (DISK_FAILED + 1));
    s->w.troubled |= s->w.disk != DISK_OK;
}

void sim_apply(struct sim *s, const struct sim_step *step)
{
    unsigned worker = step->worker % s->w.workers;

    switch ((enum sim_kind)step->kind) {
    case SIM_REQUEST:
        request_step(s, step);
        break;
    case SIM_POLL:
        if (step->a)
            deliver(s, worker, UINT32_MAX);
        poll_worker(s, worker, 1 + step->n % ANSWERS);
        break;
    case SIM_DELIVER:
        deliver(s, worker, step->n);
        break;
    case SIM_WRITE:
        write_log(s, worker, step->n);
        break;
    case SIM_SYNC:
        sync_log(s);
        break;
    case SIM_CLOCK:
        s->w.now_ms += step->a;
        break;
    case SIM_DISK:
        disk_step(s, step->n);
        break;
    case SIM_STOP:
        s->w.stopping = true;
        break;
    case SIM_CRASH:
        restart(s, step, step->b ? s->folder : NULL);
        break;
    case SIM_FINISH:
        finish(s, step);
        break;
    default:
        sim_command(s, step);
    }
    oracle_balance(&s->o, &s->w);
}

/* Every unit that is free can be bought, from whichever worker; then, and only then, it is sold
 * out. */
void sim_buy_all(struct sim *s, uint32_t index)
{
    struct fg_stock_request r = {
        .op = FG_PACKET_OP_RESERVE, .item = ITEM_ID + index, .quantity = 1};
    uint64_t *sold = &s->o.statuses[FG_PACKET_STATUS_RESERVED],
             *out = &s->o.statuses[FG_PACKET_STATUS_SOLD_OUT], before;
    uint64_t left;

    oracle_balance(&s->o, &s->w);
    left = s->o.items[index].free;
    for (before = *sold; *sold - before < left;) {
        uint64_t sold_before = *sold;

        r.user = 1000000 + ++s->bought;
        request(s, &r);
        sim_settle(s);
        FG_ASSERT(*sold == sold_before + 1);
    }
    FG_ASSERT(s->o.items[index].free == 0);
    before = *out;
    for (unsigned n = 0; n < 4 * s->w.workers; n++) {
        r.user = 1000000 + ++s->bought;
        request(s, &r);
        sim_settle(s);
    }
    FG_ASSERT(*out == before + 4 * s->w.workers);
}

/* ORDERS tells of each order of each user exactly once. */
static void list_orders(struct sim *s)
{
    const uint64_t *busy = &s->o.statuses[FG_PACKET_STATUS_BUSY];

    for (uint32_t i = 0; i < s->o.orders_len; i++)
        s->o.orders[i].listed = 0;
    for (uint64_t user = 1000; user < 1016; user++) {
        struct fg_stock_request r = {.op = FG_PACKET_OP_ORDERS, .user = user};
        uint32_t n = oracle_orders(&s->o, user, 0);

        while (r.quantity < n) {
            uint64_t before = *busy;

            request(s, &r);
            sim_settle(s);
            r.quantity += *busy == before; /* else it sorts its orders first */
        }
        FG_ASSERT(oracle_orders(&s->o, user, 0) == n);
    }
    for (uint32_t i = 0; i < s->o.orders_len; i++)
        FG_ASSERT(s->o.orders[i].user >= 1016 || s->o.orders[i].now == FG_LEDGER_ORDER_NONE ||
                  s->o.orders[i].listed == 1);
}

void sim_liveness(struct sim *s)
{
    struct sim_step again = {.n = (uint16_t)s->w.workers};

    if (s->w.disk == DISK_FAILED || s->w.stopping)
        restart(s, &again, NULL);
    s->w.disk = DISK_OK;
    sim_settle(s);
    if (s->o.small || s->w.setup.limits.user_rate) { /* with room for all */
        s->w.setup.limits.user_rate = 0;
        restart(s, &again, NULL);
    }
    list_orders(s);
    for (uint32_t i = 0; i < ITEMS_MAX; i++) {
        struct sim_step item = {.kind = SIM_ITEM, .a = i, .b = 3600000, .d = 1};

        if (!s->w.shelves[i].known)
            continue;
        sim_command(s, &item);
        sim_settle(s);
        for (unsigned k = 0; k < s->w.workers; k++)
            sim_command(s, &(struct sim_step){.kind = SIM_APPLY, .worker = (uint8_t)k});
        sim_settle(s);
        s->w.now_ms += 20 * SIM_TTL_MAX + 100 + SIM_OPENS_MAX; /* nobody waits any more */
        sim_settle(s);
        FG_ASSERT(s->o.items[i].kept == 0);
        sim_buy_all(s, i);
    }
}
