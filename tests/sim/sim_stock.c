/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Seeded simulation of the stock engine: any number of workers in one thread, random interleavings of
 * requests, loops, messages, commits, time, operator and crashes; first with faults (safety), then without
 * (liveness).
 */
#include <getopt.h>
#include <time.h>

#include "oracle.h"

enum { USERS = 12, NTH = 200, RECENT = 12, STEPS = 1500 };

static struct world w;
static struct oracle oracle;
static uint64_t seed;
static bool no_space; /* the log has no room */
static uint64_t statuses[FG_STATUS_COUNT];
static struct fg_stock_request recent[RECENT];

static void answered(uint32_t token, const struct fg_stock_answer *a, bool immediate)
{
    struct token *t = &w.tokens[token];

    FG_ASSERT(t->used);
    oracle_answer(&oracle, &w, t, a, immediate);
    statuses[a->status]++;
    t->used = false;
}

static void poll_worker(unsigned i)
{
    struct fg_stock_answer answers[16];
    unsigned n = fg_stock_poll(w.stock[i], w.now_ms, answers, 1 + rng_below(&w.rng, 16));

    oracle_polled(&oracle, &w, i);
    for (unsigned k = 0; k < n; k++) {
        if (answers[k].command)
            w.commands_out--;
        else
            answered(answers[k].token, &answers[k], false);
    }
}

static void sync_log(void)
{
    world_sync(&w);
    oracle_log(&oracle, &w);
}

static enum fg_stock_result send_request(const struct fg_stock_request *r, struct fg_stock_answer *a)
{
    uint32_t token = world_token(&w);
    unsigned owner = fg_user_owner(r->op == FG_OP_STOCK ? r->item : r->user, w.workers);
    enum fg_stock_result result;

    w.tokens[token] = (struct token){.used = true, .worker = owner, .request = *r};
    result = fg_stock_request(w.stock[owner], w.now_ms, r, token, a);
    if (result == FG_STOCK_ANSWERED)
        answered(token, a, true);
    else if (result == FG_STOCK_IGNORED)
        w.tokens[token].used = false;
    return result;
}

/* The fields of an order follow from its id, so that a repeat is a repeat; now and then one lies. */
static struct fg_stock_request reservation(uint32_t user, uint32_t nth)
{
    struct fg_stock_request r = {.op = FG_OP_RESERVE, .user = 1000 + user};
    uint64_t h = fg_mix64(user, nth + seed);

    memcpy(r.order_id, &nth, sizeof(nth));
    r.item = 500 + (rng_chance(&w.rng, 3) ? rng_below(&w.rng, ITEMS_MAX + 1) : h % ITEMS_MAX);
    r.quantity = (uint16_t)(rng_chance(&w.rng, 3) ? rng_below(&w.rng, 6) : 1 + (h >> 8) % 3);
    return r;
}

static struct fg_stock_request random_request(void)
{
    static const uint8_t ops[] = {FG_OP_RESERVE, FG_OP_CONFIRM, FG_OP_CANCEL, FG_OP_CANCEL, FG_OP_QUERY};
    struct fg_stock_request r;

    if (rng_chance(&w.rng, 40)) { /* about an order that was asked for not long ago */
        r = recent[rng_below(&w.rng, RECENT)];
        r.op = ops[rng_below(&w.rng, sizeof(ops))];
        if (r.op == FG_OP_RESERVE)
            return rng_chance(&w.rng, 10) ? reservation((uint32_t)(r.user % 1000), rng_below(&w.rng, NTH))
                                          : r;
        r.item = 0;
        r.quantity = 0;
        return r;
    }
    r = reservation(rng_below(&w.rng, USERS), rng_below(&w.rng, NTH));
    if (rng_chance(&w.rng, 3))
        return (struct fg_stock_request){.op = FG_OP_STOCK, .item = r.item};
    recent[rng_below(&w.rng, RECENT)] = r;
    return r;
}

static void give_command(struct fg_stock_command *c, unsigned worker)
{
    if (fg_stock_command(w.stock[worker], w.now_ms, c))
        w.commands_out++;
}

static void set_item(uint32_t index)
{
    struct fg_stock_command c = {.type = FG_STOCK_ITEM_SET, .index = index, .item = 500 + index};
    unsigned home = fg_user_owner(c.item, w.workers);

    c.hold_ms = 20 + rng_below(&w.rng, 200);
    c.user_limit = rng_chance(&w.rng, 40) ? 0 : 1 + rng_below(&w.rng, 4);
    c.order_max = (uint16_t)(1 + rng_below(&w.rng, 4));
    c.flags = rng_chance(&w.rng, 5) ? FG_ITEM_PAUSED : 0;
    if (no_space || !fg_stock_command(w.stock[home], w.now_ms, &c))
        return;
    w.commands_out++;
    for (unsigned i = 0; i < w.workers; i++) /* as the control thread does: durable first, then in force */
        world_write(&w, i, UINT32_MAX);
    sync_log();
    if (index == w.items)
        w.items++;
    c.type = FG_STOCK_ITEM_APPLY;
    for (unsigned i = 0; i < w.workers; i++)
        while (!fg_stock_command(w.stock[i], w.now_ms, &c)) {
            poll_worker(i);
            world_write(&w, i, UINT32_MAX);
            sync_log();
        }
    w.commands_out += w.workers;
}

static void operate(void)
{
    uint32_t index = rng_below(&w.rng, ITEMS_MAX);
    struct fg_stock_command c = {.index = index, .item = 500 + index, .units = 1 + rng_below(&w.rng, 5)};

    if (w.items == 0 || (w.items < ITEMS_MAX && rng_chance(&w.rng, 50))) {
        set_item(w.items);
        return;
    }
    if (rng_chance(&w.rng, 20)) {
        set_item(index % w.items);
        return;
    }
    c.type = rng_chance(&w.rng, 65) ? FG_STOCK_STOCK_ADD : FG_STOCK_STOCK_REMOVE;
    give_command(&c, fg_user_owner(c.item, w.workers));
}

static void step(bool faults)
{
    struct fg_stock_answer a;
    struct fg_stock_request r;
    uint32_t dice = rng_below(&w.rng, 1000);
    unsigned worker = rng_below(&w.rng, w.workers);

    if (dice < 450) {
        r = random_request();
        send_request(&r, &a);
    } else if (dice < 800) {
        poll_worker(worker);
    } else if (dice < 900) {
        world_write(&w, worker, 1 + rng_below(&w.rng, 8));
    } else if (dice < 950) {
        sync_log();
    } else if (dice < 975) {
        w.now_ms += rng_below(&w.rng, 40);
    } else if (dice < 996) {
        operate();
    } else if (dice < 998 && faults) {
        no_space = rng_chance(&w.rng, 50);
        for (unsigned i = 0; i < w.workers; i++)
            fg_stock_set_mode(w.stock[i], no_space ? FG_STOCK_NO_SPACE : FG_STOCK_RUNNING);
    } else if (faults && rng_chance(&w.rng, 40)) {
        world_crash(&w);
        no_space = false;
        for (uint32_t i = 0; i < ITEMS_MAX; i++)
            memset(oracle.items[i].stage, 0, sizeof(oracle.items[i].stage));
        oracle_log(&oracle, &w);
    }
    oracle_balance(&oracle, &w);
}

static bool all_idle(void)
{
    for (unsigned i = 0; i < w.workers; i++) {
        if (!fg_stock_idle(w.stock[i]))
            return false;
        for (unsigned j = 0; j < w.workers; j++)
            if (i != j && fg_ring_count(w.rings[i][j]))
                return false;
    }
    return true;
}

/* Fair loops without faults: everything that was asked must be answered, in a bounded number of loops. */
static void settle(void)
{
    for (unsigned loops = 0; loops < 3000; loops++) {
        for (unsigned i = 0; i < w.workers; i++) {
            poll_worker(i);
            world_write(&w, i, UINT32_MAX);
        }
        sync_log();
        oracle_balance(&oracle, &w);
        if (loops > 4 && all_idle())
            break;
    }
    FG_ASSERT(all_idle() && w.commands_out == 0);
    for (uint32_t i = 0; i < TOKENS_MAX; i++)
        FG_ASSERT(!w.tokens[i].used); /* nobody waits for ever */
}

static uint64_t free_units(uint32_t index)
{
    struct fg_stock_view v;
    uint64_t units = 0;

    for (unsigned i = 0; i < w.workers; i++)
        if (fg_stock_view(w.stock[i], index, &v))
            units += v.free;
    return units;
}

/* Every unit that is free can be bought, from whichever worker; then, and only then, it is sold out. */
static void buy_all(uint32_t index)
{
    struct fg_stock_request r = {.op = FG_OP_RESERVE, .item = 500 + index, .quantity = 1};
    struct fg_stock_answer a;
    uint64_t left = free_units(index), sold = 0, before = statuses[FG_STATUS_RESERVED];

    for (uint64_t user = 1; sold < left; user++) {
        r.user = 1000000 + user * 64 + index;
        send_request(&r, &a);
        settle();
        sold = statuses[FG_STATUS_RESERVED] - before;
        FG_ASSERT(sold == user);
    }
    FG_ASSERT(free_units(index) == 0);
    for (uint64_t user = 1; user <= 4ull * w.workers; user++) {
        r.user = 2000000 + user;
        send_request(&r, &a);
        settle();
    }
    FG_ASSERT(statuses[FG_STATUS_RESERVED] - before == left);
}

static void liveness(void)
{
    no_space = false;
    for (unsigned i = 0; i < w.workers; i++)
        fg_stock_set_mode(w.stock[i], FG_STOCK_RUNNING);
    settle();
    if (w.limits.orders_max < ORDERS_MAX || w.limits.users_max < 1000)
        world_crash(&w); /* with room for all */
    for (uint32_t i = 0; i < w.items; i++) {
        struct fg_stock_command c = {
            .type = FG_STOCK_ITEM_APPLY, .index = i, .item = 500 + i, .order_max = 1, .hold_ms = 60000};

        for (unsigned k = 0; k < w.workers; k++)
            give_command(&c, k);
        settle();
        buy_all(i);
    }
}

static void run(uint64_t the_seed, unsigned workers)
{
    seed = the_seed;
    world_start(&w, seed, workers);
    oracle_start(&oracle);
    memset(recent, 0, sizeof(recent));
    for (unsigned i = 0; i < STEPS; i++)
        step(true);
    liveness();
    world_stop(&w);
}

/* ---- command line */

static uint64_t number(const char *name, const char *text, uint64_t min, uint64_t max)
{
    char *end;
    uint64_t n = strtoull(text, &end, 0);

    if (*text && !*end && n >= min && n <= max)
        return n;
    fprintf(stderr, "sim_stock: %s %s: accepted %llu..%llu\n", name, text, (unsigned long long)min,
            (unsigned long long)max);
    exit(2);
}

static uint64_t seed_at_abort;

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seed", 1, NULL, 's'},    {"runs", 1, NULL, 'r'},
                                            {"seconds", 1, NULL, 't'}, {"workers", 1, NULL, 'w'},
                                            {"help", 0, NULL, 'h'},    {NULL, 0, NULL, 0}};
    static const unsigned cycle[] = {1, 2, 3, 8};
    uint64_t first = (uint64_t)time(NULL) * 1000003, runs = UINT64_MAX, workers = 0, steps = 0, checks = 0,
             n = 0;
    double limit = 10, start = seconds();
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 's')
            first = number("--seed", optarg, 0, UINT64_MAX);
        else if (c == 'r')
            runs = number("--runs", optarg, 1, 1u << 30), limit = 1e9;
        else if (c == 't')
            limit = (double)number("--seconds", optarg, 1, 86400);
        else if (c == 'w')
            workers = number("--workers", optarg, 1, WORKERS_MAX);
        else {
            printf("sim_stock [--seed N] [--runs N | --seconds N] [--workers 1..%d]\n", WORKERS_MAX);
            return c == 'h' ? 0 : 2;
        }
    }
    for (; n < runs && seconds() - start < limit; n++) {
        unsigned k = workers ? (unsigned)workers : cycle[n % 4];

        seed_at_abort = first + n;
        fprintf(stderr, "\rseed %llu workers %u ", (unsigned long long)seed_at_abort,
                k); /* the last line before an abort */
        run(seed_at_abort, k);
        steps += STEPS;
        checks += oracle.checked;
    }
    fprintf(stderr, "\n");
    printf("# seeds %llu..%llu: %llu steps, %llu balances checked; answers:", (unsigned long long)first,
           (unsigned long long)(first + n - 1), (unsigned long long)steps, (unsigned long long)checks);
    for (unsigned i = 1; i < FG_STATUS_COUNT; i++)
        printf(" %s %llu", fg_status_name(i), (unsigned long long)statuses[i]);
    printf("\nok 1 - engine simulation, seeds from %llu\n1..1\n", (unsigned long long)first);
    return 0;
}
