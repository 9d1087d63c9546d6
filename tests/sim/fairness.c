/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who gets the last units. Many sales on real engines in simulated nanoseconds: workers loop (a
 * burst of requests, then the engine's loop), shoppers arrive at random workers. A shopper's chance
 * must not depend on which worker owns him (chi-square test), and among those who wait, who asked
 * earlier must not be passed over by more than some loops. The seeds are fixed: the figures are the
 * same in every run.
 */
#include <math.h>

#include "world.h"

enum {
    SALES = 240,
    WORLD_ITEMS = 24,
    UNITS = 60,
    SHOPPERS = 1500,
    RX_BURST = 32,
    ANSWERS = 64,
    RETURNS = 120
};
enum { POLL_NS = 200, REQUEST_NS = 50, COMMIT_NS = 20000 };
static const double p_min = 0.001;       /* of the chi-square test */
static const double bias_max = 0.15;     /* units that come back: see bias() */
static const double passed_over_max = 2; /* longest loops, see passed_over() */

enum shape { OPENING, STEADY, RETURNING, SHAPES };
static const struct {
    const char *name;
    uint64_t spread_ns; /* all shoppers come within */
} shapes[SHAPES] = {
    {"all at once", 1},
    {"steady", 400000},
    {"sold out, units come back", 400000},
};

struct shopper {
    uint64_t user, comes_ns, asked_ns;
    unsigned worker;
    bool holder; /* bought before the others came, and gives back */
    bool won, answered;
};

struct tally {
    uint64_t asked[WORKERS_MAX], won[WORKERS_MAX];
};

static struct world w;
static struct shopper shoppers[SHOPPERS + UNITS];
static struct rng rng;

/* ---- the sale */

static struct fg_stock_command command(uint8_t type, uint32_t index, uint64_t item)
{
    return (struct fg_stock_command){
        .type = type, .index = index, .item = item, .hold_ms = 3600000, .order_max = 1};
}

static void answered(uint32_t token, const struct fg_stock_answer *a)
{
    struct shopper *s = &shoppers[token & 0xffff];

    if (token >> 16) /* the answer to a cancellation */
        return;
    s->won = a->status == FG_PACKET_STATUS_RESERVED;
    s->answered = true;
}

static void settle(void)
{
    struct fg_stock_answer answers[ANSWERS];

    for (unsigned n = 0; n < 40 && (n < 8 || !world_quiet(&w)); n++) {
        for (unsigned i = 0; i < w.workers; i++) {
            unsigned k;

            world_deliver(&w, i, UINT32_MAX);
            k = fg_stock_poll(w.stock[i], w.now_ms, answers, ANSWERS);
            while (k-- > 0)
                if (answers[k].kind != FG_STOCK_OPERATOR)
                    answered(answers[k].token, &answers[k]);
            world_write(&w, i, UINT32_MAX);
        }
        world_sync(&w);
    }
    FG_ASSERT(world_quiet(&w));
}

static void put_on_sale(uint32_t index, uint64_t item)
{
    unsigned home = fg_user_owner(item, w.workers);
    struct fg_stock_command c = command(FG_STOCK_ITEM_SET, index, item);

    FG_ASSERT(fg_stock_command(w.stock[home], w.now_ms, &c));
    settle();
    c.type = FG_STOCK_ITEM_APPLY;
    for (unsigned i = 0; i < w.workers; i++)
        FG_ASSERT(fg_stock_command(w.stock[i], w.now_ms, &c));
    c.type = FG_STOCK_STOCK_ADD;
    c.units = UNITS;
    FG_ASSERT(fg_stock_command(w.stock[home], w.now_ms, &c));
    settle();
}

static void ask(uint32_t i, uint8_t op, uint64_t item, uint32_t sale)
{
    struct shopper *s = &shoppers[i];
    struct fg_stock_request r = {.op = op, .user = s->user};
    struct fg_stock_answer a;

    memcpy(r.order_id, &sale, sizeof(sale));
    if (op == FG_PACKET_OP_RESERVE) {
        r.item = item;
        r.quantity = 1;
    }
    if (fg_stock_request(w.stock[s->worker], w.now_ms, &r, i | (op == FG_PACKET_OP_CANCEL) << 16,
                         &a) == FG_STOCK_ANSWERED)
        answered(i | (op == FG_PACKET_OP_CANCEL) << 16, &a);
}

/* What a worker does next: handle a packet of its burst, or, after the last one, the engine's loop.
 */
struct lcore {
    uint64_t next_ns, began_ns;
    unsigned burst;                        /* packets left of it */
    uint32_t queue[SHOPPERS + UNITS], len; /* packets, by arrival */
    uint32_t at;
};
static struct lcore lcores[WORKERS_MAX];

static void begin_loop(struct lcore *l)
{
    l->began_ns = l->next_ns;
    for (l->burst = 0; l->burst < RX_BURST && l->at + l->burst < l->len; l->burst++)
        if (shoppers[l->queue[l->at + l->burst]].comes_ns > l->next_ns)
            break;
    l->next_ns += l->burst ? REQUEST_NS : POLL_NS / 2 + rng_below(&rng, POLL_NS);
}

/* Returns how long the loop took when this was the end of it, else 0. */
static uint64_t act(unsigned worker, uint64_t item, uint32_t sale)
{
    struct fg_stock_answer answers[ANSWERS];
    struct lcore *l = &lcores[worker];
    uint64_t took_ns;
    unsigned n;

    if (l->burst > 0) {
        uint32_t i = l->queue[l->at++];

        shoppers[i].asked_ns = l->next_ns;
        ask(i, shoppers[i].holder ? FG_PACKET_OP_CANCEL : FG_PACKET_OP_RESERVE, item, sale);
        l->next_ns += --l->burst ? REQUEST_NS : POLL_NS / 2 + rng_below(&rng, POLL_NS);
        return 0;
    }
    world_deliver(&w, worker, UINT32_MAX);
    n = fg_stock_poll(w.stock[worker], w.now_ms, answers, ANSWERS);
    while (n-- > 0)
        answered(answers[n].token, &answers[n]);
    took_ns = l->next_ns - l->began_ns;
    begin_loop(l);
    return took_ns;
}

static int by_arrival(const void *a, const void *b)
{
    const struct shopper *x = &shoppers[*(const uint32_t *)a], *y = &shoppers[*(const uint32_t *)b];

    return x->comes_ns < y->comes_ns ? -1 : x->comes_ns > y->comes_ns;
}

static void invite(enum shape shape, uint32_t holders)
{
    memset(lcores, 0, sizeof(lcores));
    for (uint32_t i = 0; i < SHOPPERS + holders; i++) {
        struct shopper *s = &shoppers[i];
        struct lcore *l;

        if (i < SHOPPERS)
            *s = (struct shopper){.user = rng_next(&rng)};
        s->worker = fg_user_owner(s->user, w.workers);
        s->comes_ns = rng_next(&rng) % shapes[shape].spread_ns;
        l = &lcores[s->worker];
        l->queue[l->len++] = i;
    }
    for (unsigned k = 0; k < w.workers; k++) {
        qsort(lcores[k].queue, lcores[k].len, sizeof(lcores[k].queue[0]), by_arrival);
        lcores[k].next_ns = rng_below(&rng, POLL_NS);
        begin_loop(&lcores[k]);
    }
}

/* Holders buy everything before the sale that is looked at; each of them gives back some time in
 * it. */
static uint32_t sell_out(uint64_t item, uint32_t sale)
{
    for (uint32_t i = 0; i < UNITS; i++) {
        struct shopper *s = &shoppers[SHOPPERS + i];

        *s = (struct shopper){.user = rng_next(&rng), .holder = true};
        s->worker = fg_user_owner(s->user, w.workers);
        ask(SHOPPERS + i, FG_PACKET_OP_RESERVE, item, sale);
        settle();
        FG_ASSERT(s->won);
    }
    return UNITS;
}

static void commit(void)
{
    for (unsigned k = 0; k < w.workers; k++)
        world_write(&w, k, UINT32_MAX);
    world_sync(&w);
    w.log_len = w.durable_len = 0; /* nobody reads it */
}

/* Returns the length of the longest loop. */
static uint64_t run_sale(enum shape shape, uint64_t item, uint32_t sale)
{
    uint32_t holders = shape == RETURNING ? sell_out(item, sale) : 0, left = SHOPPERS + holders;
    uint64_t commit_ns = COMMIT_NS, longest_ns = 0;

    invite(shape, holders);
    while (left > 0) {
        unsigned next = 0;
        uint64_t took_ns;
        uint32_t before;

        for (unsigned k = 1; k < w.workers; k++)
            next = lcores[k].next_ns < lcores[next].next_ns ? k : next;
        for (; lcores[next].next_ns >= commit_ns; commit_ns += COMMIT_NS)
            commit();
        before = lcores[next].at;
        took_ns = act(next, item, sale);
        left -= lcores[next].at - before;
        longest_ns = took_ns > longest_ns ? took_ns : longest_ns;
    }
    settle();
    w.log_len = w.durable_len = 0;
    return longest_ns;
}

/* ---- statistics */

/* Upper tail of the chi-square distribution: the regularised incomplete gamma function by its
 * series. */
static double chi_square_p(double x, unsigned freedom)
{
    double a = freedom / 2.0, h = x / 2.0, term = 1 / a, sum = term;

    if (h <= 0)
        return 1;
    for (unsigned n = 1; n < 100000 && term > sum * 1e-15; n++) {
        term *= h / (a + n);
        sum += term;
    }
    h = 1 - sum * exp(-h + a * log(h) - lgamma(a));
    return h > 0 ? h : 0;
}

static double chi_square(const struct tally *t, unsigned workers)
{
    uint64_t asked = 0, won = 0;
    double x = 0, p;

    for (unsigned k = 0; k < workers; k++) {
        asked += t->asked[k];
        won += t->won[k];
    }
    p = (double)won / (double)asked;
    for (unsigned k = 0; k < workers; k++) {
        double due = (double)t->asked[k] * p, off = (double)t->won[k] - due;

        x += off * off / (due * (1 - p));
    }
    return x;
}

static bool is_fair(const char *what, const struct tally *t)
{
    double x = chi_square(t, w.workers), p = chi_square_p(x, w.workers - 1);

    printf("#   by %s: chance", what);
    for (unsigned k = 0; k < w.workers; k++)
        printf(" %.2f%%", 100.0 * (double)t->won[k] / (double)t->asked[k]);
    printf("; chi-square %.2f with %u degrees of freedom, p = %.4f\n", x, w.workers - 1, p);
    return p > p_min;
}

/*
 * How much better or worse than the others the home's shoppers do. Of what comes back to a sold-out
 * item the home knows at once, the others a loop later, and asks of the time between go to the
 * home: a small bias is left.
 */
static double bias(const struct tally *t)
{
    uint64_t asked = 0, won = 0;
    double home = (double)t->won[0] / (double)t->asked[0], others;

    for (unsigned k = 1; k < w.workers; k++) {
        asked += t->asked[k];
        won += t->won[k];
    }
    others = (double)won / (double)asked;
    printf("#   the home's shoppers: %+.1f %%\n", 100 * (home / others - 1));
    return fabs(home / others - 1);
}

/* By how much later than a loser did a winner ask, at most? */
static uint64_t passed_over(void)
{
    uint64_t first_lost = UINT64_MAX, last_won = 0;

    for (uint32_t i = 0; i < SHOPPERS; i++) {
        const struct shopper *s = &shoppers[i];

        FG_ASSERT(s->answered);
        if (s->won && s->asked_ns > last_won)
            last_won = s->asked_ns;
        else if (!s->won && s->asked_ns < first_lost)
            first_lost = s->asked_ns;
    }
    return last_won > first_lost ? last_won - first_lost : 0;
}

static void count(struct tally *by_distance, struct tally *by_number, unsigned home)
{
    for (uint32_t i = 0; i < SHOPPERS; i++) {
        unsigned number = shoppers[i].worker, distance = (number + w.workers - home) % w.workers;

        by_distance->asked[distance]++;
        by_number->asked[number]++;
        by_distance->won[distance] += shoppers[i].won;
        by_number->won[number] += shoppers[i].won;
    }
}

static bool measure(unsigned number, unsigned workers, enum shape shape)
{
    struct world_setup setup = {.seed = workers, .workers = workers, .ring_capacity = 4096};
    struct tally by_distance = {0}, by_number = {0};
    double worst = 0;
    bool good;

    setup.limits = (struct fg_stock_limits){.items_max = WORLD_ITEMS,
                                            .orders_max = 20000,
                                            .users_max = 60000,
                                            .parked_max = 2048,
                                            .deferred_max = 2048};
    rng.state = 1000 * workers + shape;
    for (uint32_t sale = 0; sale < SALES; sale++) {
        uint64_t item = rng_next(&rng), longest_ns;
        double loops;

        if (sale % WORLD_ITEMS == 0)
            world_start(&w, &setup);
        put_on_sale(sale % WORLD_ITEMS, item);
        longest_ns = run_sale(shape, item, sale);
        count(&by_distance, &by_number, fg_user_owner(item, workers));
        loops = (double)passed_over() / (double)longest_ns;
        worst = loops > worst ? loops : worst;
        if (sale % WORLD_ITEMS == WORLD_ITEMS - 1)
            world_stop(&w);
    }
    printf("# %u workers, %s: %d sales of %d units to %d shoppers\n", workers, shapes[shape].name,
           SALES, UNITS, SHOPPERS);
    good = is_fair("distance from the home", &by_distance);
    if (shape == RETURNING)
        good = bias(&by_distance) <= bias_max;
    good &= is_fair("number of the worker", &by_number);
    if (shape != RETURNING) {
        printf("#   passed over by at most %.1f of the longest loops\n", worst);
        good &= worst <= passed_over_max;
    }
    printf("%sok %u - fair: %u workers, %s\n", good ? "" : "not ", number, workers,
           shapes[shape].name);
    return good;
}

int main(void)
{
    static const unsigned workers[] = {2, 3, 8};
    unsigned number = 0;
    bool good = true;

    printf("1..%d\n", 3 * SHAPES);
    for (unsigned i = 0; i < 3; i++)
        for (unsigned shape = 0; shape < SHAPES; shape++)
            good &= measure(++number, workers[i], (enum shape)shape);
    return good ? 0 : 1;
}
