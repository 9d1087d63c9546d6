/* SPDX-License-Identifier: BSD-3-Clause */
/* Steps from a seed, and steps as text. Looks at no engine: the same seed is always the same list.
 */
#include "play.h"

enum { WAIT = FG_PACKET_OP_WAIT - FG_PACKET_OP_RESERVE };
enum { USERS = 14, NTH = 80, RECENT = 8 };

struct drawing {
    struct rng rng;
    uint64_t seed;
    unsigned workers;
    uint32_t items;                 /* that are on sale from the beginning */
    uint32_t plenty;                /* largest addition of stock */
    uint32_t waits;                 /* percent of the new orders that would wait */
    struct sim_step recent[RECENT]; /* reservations that were asked for not long ago */
    uint32_t weight[SIM_KINDS], weights;
    struct sim_step
        cure; /* of a trouble that makes most steps idle, after this many steps; 0 = none */
    unsigned cure_in;
    bool lotteries;
    uint32_t later; /* items that open a little later, as a set */
};

static const uint16_t usual_weight[SIM_KINDS] = {
    [SIM_REQUEST] = 4300, [SIM_POLL] = 2500, [SIM_DELIVER] = 1000, [SIM_WRITE] = 900,
    [SIM_SYNC] = 500,     [SIM_CLOCK] = 250, [SIM_ITEM] = 50,      [SIM_APPLY] = 150,
    [SIM_ADD] = 150,      [SIM_REMOVE] = 70, [SIM_DENY] = 25,      [SIM_REFUND] = 40,
    [SIM_LINE] = 30,      [SIM_DISK] = 20,   [SIM_STOP] = 4,       [SIM_CRASH] = 12,
    [SIM_FINISH] = 4,     [SIM_CLEAR] = 6, /* SIM_FLEET: in a fleet alone */
};
enum { FLEET_WEIGHT = 900 };

static void draw_setup(struct drawing *d, struct world_setup *setup)
{
    struct rng *r = &d->rng;

    /* One draw a statement: in what order the initializers of a list are evaluated is the
     * compiler's choice.
     */
    *setup =
        (struct world_setup){.seed = d->seed, .workers = d->workers, .limits.items_max = ITEMS_MAX};
    setup->pair = fg_mix64(d->seed, 2) % 3 == 0;
    d->lotteries = fg_mix64(d->seed, 6) % 2 == 0;
    setup->ring_capacity = 2u << rng_below(r, 5);
    setup->limits.orders_max = rng_chance(r, 20) ? 40 : ROOMY;
    setup->limits.users_max = rng_chance(r, 20) ? 10 : ROOMY;
    setup->limits.parked_max = 1 + rng_below(r, 8);
    setup->limits.deferred_max = 2 + rng_below(r, 30);
    setup->limits.user_rate = rng_chance(r, 10) ? 1 + rng_below(r, 100) : 0;
    setup->limits.user_burst = 1 + rng_below(r, 20);
    setup->limits.waiting_max = rng_chance(r, 30)   ? 0
                                : rng_chance(r, 20) ? 1 + rng_below(r, 4)
                                                    : ROOMY;
    setup->limits.unsold_max = rng_chance(r, 30) ? 1 + rng_below(r, 3) : 0;
    if (setup->limits.user_rate == 0)
        setup->limits.user_burst = 0;
    d->items = 1 + rng_below(r, ITEMS_MAX);
    d->plenty = rng_chance(r, 40) ? 40 : 4;
    d->waits = setup->limits.waiting_max ? rng_below(r, 90) : 2;
    /* each seed has its own weather: some things are rare in it, others common */
    for (unsigned k = 0; k < SIM_FLEET; k++) {
        d->weight[k] = usual_weight[k] * (rng_chance(r, 20) ? 3 : rng_chance(r, 20) ? 1 : 2);
        d->weights += d->weight[k];
    }
    /* 6: the seeds that find the rarest canaries are none of these */
    setup->limits.fleet = fg_mix64(d->seed, 6) % 8 == 0;
    if (!setup->limits.fleet)
        return;
    setup->limits.waiting_max = 0;
    d->waits = 2;
    d->weight[SIM_FLEET] = FLEET_WEIGHT;
    d->weights += FLEET_WEIGHT;
}

/* The fields of an order follow from its id, so that a repeat is a repeat; now and then one lies.
 */
static struct sim_step reservation(struct drawing *d, uint32_t user, uint32_t nth)
{
    uint64_t h = fg_mix64(user, nth + d->seed);
    struct sim_step s = {.kind = SIM_REQUEST, .a = user, .b = nth};

    s.c = rng_chance(&d->rng, 3) ? rng_below(&d->rng, ITEMS_MAX + 1) : (uint32_t)(h % d->items);
    s.d = rng_chance(&d->rng, 3) ? rng_below(&d->rng, 6) : 1 + (uint32_t)(h >> 8) % 3;
    return s;
}

static struct sim_step request(struct drawing *d)
{
    static const uint8_t ops[] = {FG_PACKET_OP_RESERVE, FG_PACKET_OP_CONFIRM, FG_PACKET_OP_CONFIRM,
                                  FG_PACKET_OP_CANCEL,  FG_PACKET_OP_CANCEL,  FG_PACKET_OP_QUERY,
                                  FG_PACKET_OP_EXTEND,  FG_PACKET_OP_REFUND,  FG_PACKET_OP_ORDERS,
                                  FG_PACKET_OP_WAIT,    FG_PACKET_OP_WAIT};
    struct sim_step s, *old = &d->recent[rng_below(&d->rng, RECENT)];
    uint32_t nth;

    if (old->b && rng_chance(&d->rng, 45)) {
        s = *old;
        s.n = ops[rng_below(&d->rng, sizeof(ops))] - FG_PACKET_OP_RESERVE;
        if ((s.n == 0 || s.n == WAIT) && rng_chance(&d->rng, 10)) {
            s = reservation(d, s.a, s.b);
            s.n = rng_chance(&d->rng, 50) ? WAIT : 0;
            return s;
        }
        if (s.n != 0 && s.n != WAIT)
            s.c = s.d = 0;
        if (s.n == FG_PACKET_OP_EXTEND - FG_PACKET_OP_RESERVE)
            s.d = rng_below(&d->rng, 300);
        if (s.n == FG_PACKET_OP_REFUND - FG_PACKET_OP_RESERVE)
            s.d = rng_below(&d->rng, 2);
        if (s.n == FG_PACKET_OP_ORDERS - FG_PACKET_OP_RESERVE) {
            s.c = rng_chance(&d->rng, 50) ? 0 : 1 + rng_below(&d->rng, d->items);
            s.d = rng_below(&d->rng, 12);
        }
        return s;
    }
    nth = 1 + rng_below(&d->rng, NTH);
    s = reservation(d, rng_below(&d->rng, USERS), nth);
    if (rng_chance(&d->rng, 3))
        return (struct sim_step){
            .kind = SIM_REQUEST, .n = FG_PACKET_OP_STOCK - FG_PACKET_OP_RESERVE, .c = s.c};
    if (rng_chance(&d->rng, d->waits))
        s.n = WAIT;
    *old = s;
    return s;
}

static struct sim_step item(struct drawing *d, uint32_t index)
{
    struct rng *r = &d->rng;
    struct sim_step s = {.kind = SIM_ITEM, .a = index};

    if (rng_chance(r, 15)) {
        s.n = (uint16_t)rng_below(r, 8);
        s.n |= (uint16_t)(rng_below(r, 100) << 3);
    }
    s.b = rng_chance(r, 10) ? rng_below(r, 3) : 20 + rng_below(r, 200);
    s.c = rng_chance(r, 40) ? 0 : 1 + rng_below(r, 4);
    s.d = 1 + rng_below(r, 4);
    return s;
}

static struct sim_step line(struct drawing *d, uint32_t index)
{
    struct rng *r = &d->rng;
    struct sim_step s = {.kind = SIM_LINE, .a = index};

    s.n = rng_chance(r, 20);
    if (d->lotteries)
        s.n |= rng_chance(r, 25) ? 2 : 0;
    s.b = rng_chance(r, 15) ? rng_below(r, 3) : 1000;
    s.c = 20 + rng_below(r, 200);
    s.d = rng_chance(r, 50) ? 20 + rng_below(r, 60) : 1 + rng_below(r, SIM_TTL_MAX);
    return s;
}

/* A full disk has room again; a failed one, or a process that stops, makes room for the next. */
static void plan_cure(struct drawing *d, const struct sim_step *s)
{
    if (d->cure_in || (s->kind != SIM_DISK && s->kind != SIM_STOP))
        return;
    d->cure = (struct sim_step){.kind = SIM_DISK, .n = DISK_OK};
    if (s->kind == SIM_STOP || s->n == DISK_FAILED) {
        d->cure.kind = s->kind == SIM_STOP ? SIM_FINISH : SIM_CRASH;
        d->cure.n = (uint16_t)d->workers;
        d->cure.a = (uint32_t)rng_next(&d->rng);
    }
    d->cure_in = 10 + rng_below(&d->rng, 60);
}

static struct sim_step draw_step(struct drawing *d)
{
    struct rng *r = &d->rng;
    uint32_t dice = rng_below(r, d->weights);
    struct sim_step s = {.worker = (uint8_t)rng_below(r, d->workers)};
    unsigned next = rng_chance(r, 60) ? d->workers : 1 + rng_below(r, WORKERS_MAX);

    if (d->cure_in && --d->cure_in == 0)
        return d->cure;
    while (dice >= d->weight[s.kind])
        dice -= d->weight[s.kind++];
    switch (s.kind) {
    case SIM_REQUEST:
        return request(d);
    case SIM_POLL:
        s.n = (uint16_t)rng_below(r, 16);
        s.a = rng_chance(r, 60);
        break;
    case SIM_DELIVER:
    case SIM_WRITE:
        s.n = (uint16_t)(1 + rng_below(r, 8));
        break;
    case SIM_CLOCK:
        s.a = rng_below(r, 40);
        break;
    case SIM_ITEM:
        return item(d, rng_below(r, rng_chance(r, 50) ? ITEMS_MAX : d->items));
    case SIM_ADD:
    case SIM_REMOVE:
        s.a = rng_below(r, rng_chance(r, 20) ? ITEMS_MAX : d->items);
        s.b = rng_below(r, d->plenty);
        break;
    case SIM_FLEET:
        s.n = (uint16_t)rng_below(r, 16);
        s.b = rng_below(r, 8);
        /* fall through */
    case SIM_CLEAR:
        s.a = rng_below(r, d->items);
        break;
    case SIM_LINE:
        return line(d, rng_below(r, d->items));
    case SIM_DENY:
        s.a = rng_chance(r, 50) ? d->recent[s.worker % RECENT].a : rng_below(r, USERS);
        s.b = rng_chance(r, 50);
        break;
    case SIM_REFUND:
        s.a = d->recent[s.worker % RECENT].a;
        s.b = d->recent[s.worker % RECENT].b;
        s.c = rng_below(r, 2);
        break;
    case SIM_DISK:
        s.n = rng_chance(r, 85) ? DISK_FULL : DISK_FAILED;
        break;
    case SIM_CRASH:
        s.a = (uint32_t)rng_next(r);
        s.b = rng_chance(r, 30);
        /* fall through */
    case SIM_FINISH:
        s.n = (uint16_t)next;
        d->workers = next;
        break;
    default:
        break;
    }
    plan_cure(d, &s);
    return s;
}

/* An item is on sale soon, so that most steps meet something. */
static unsigned draw_opening(struct drawing *d, struct sim_step *steps, uint32_t index)
{
    struct sim_step *s = steps;

    s->c = rng_chance(&d->rng, 50) ? 0 : 1 + rng_below(&d->rng, 4);
    *s = (struct sim_step){
        .kind = SIM_ITEM, .a = index, .b = 20 + rng_below(&d->rng, 200), .c = s->c, .d = 3};
    if (d->lotteries && rng_chance(&d->rng, 70)) { /* it opens a little later */
        s->n = (uint16_t)(4 | rng_below(&d->rng, 300) << 3);
        d->later |= 1u << index;
    }
    *++s = (struct sim_step){.kind = SIM_ADD, .a = index, .b = rng_below(&d->rng, 8)};
    for (unsigned i = 0; i < d->workers; i++)
        *++s = (struct sim_step){.kind = SIM_WRITE, .worker = (uint8_t)i, .n = 9};
    *++s = (struct sim_step){.kind = SIM_SYNC};
    for (unsigned i = 0; i < d->workers; i++)
        *++s = (struct sim_step){.kind = SIM_POLL, .worker = (uint8_t)i, .n = 15, .a = 1};
    for (unsigned i = 0; i < d->workers; i++)
        *++s = (struct sim_step){.kind = SIM_APPLY, .worker = (uint8_t)i};
    return (unsigned)(s + 1 - steps);
}

void sim_draw(uint64_t seed, unsigned workers, struct world_setup *setup,
              struct sim_step steps[SIM_STEPS])
{
    struct drawing d = {.rng = {seed}, .seed = seed, .workers = workers};
    unsigned n = 0;

    draw_setup(&d, setup);
    for (uint32_t i = 0; i < d.items; i++)
        n += draw_opening(&d, steps + n, i);
    for (uint32_t i = 0; i < d.items; i++) {
        steps[n] = line(&d, i);
        steps[n++].n |= d.later & 1u << i ? 2 : 0; /* a draw at the opening */
    }
    while (n < SIM_STEPS)
        steps[n++] = draw_step(&d);
}

/* ---- as text */

static void describe_request(const struct sim_step *s, char *text, size_t size)
{
    static const char *const names[] = {"RESERVE", "CONFIRM", "CANCEL", "QUERY", "STOCK",
                                        "EXTEND",  "REFUND",  "ORDERS", "WAIT"};
    unsigned op = s->n % FG_PACKET_OP_WAIT;
    int n = snprintf(text, size, "%s", names[op]);

    if (op != FG_PACKET_OP_STOCK - FG_PACKET_OP_RESERVE)
        n += snprintf(text + n, size - (size_t)n, " user %u order %u", 1000 + s->a, s->b);
    if (op == 0 || op == WAIT || op == FG_PACKET_OP_STOCK - FG_PACKET_OP_RESERVE)
        n += snprintf(text + n, size - (size_t)n, " item %u", ITEM_ID + s->c);
    if (op == 0 || op == WAIT)
        snprintf(text + n, size - (size_t)n, " units %u", s->d & 0xffff);
    else if (op == FG_PACKET_OP_EXTEND - FG_PACKET_OP_RESERVE)
        snprintf(text + n, size - (size_t)n, " by %u ms", s->d);
    else if (op == FG_PACKET_OP_REFUND - FG_PACKET_OP_RESERVE)
        snprintf(text + n, size - (size_t)n, "%s", s->d & 1 ? ", restocked" : "");
    else if (op == FG_PACKET_OP_ORDERS - FG_PACKET_OP_RESERVE)
        snprintf(text + n, size - (size_t)n, " item %u, number %u", s->c ? ITEM_ID + s->c - 1 : 0,
                 s->d);
}

void sim_describe(const struct sim_step *s, char *text, size_t size)
{
    static const char *const disk[] = {"works", "is full", "fails"};
    unsigned item = ITEM_ID + s->a % ITEMS_MAX, next = 1 + (s->n + WORKERS_MAX - 1u) % WORKERS_MAX;

    switch ((enum sim_kind)s->kind) {
    case SIM_REQUEST:
        describe_request(s, text, size);
        break;
    case SIM_POLL:
        snprintf(text, size, "worker %u: %sa loop, at most %u answers", s->worker,
                 s->a ? "all is delivered, " : "", 1u + s->n % 16);
        break;
    case SIM_DELIVER:
        snprintf(text, size, "worker %u: %u messages of each other are delivered", s->worker, s->n);
        break;
    case SIM_WRITE:
        snprintf(text, size, "worker %u: %u records are written", s->worker, s->n);
        break;
    case SIM_SYNC:
        snprintf(text, size, "what is written is durable");
        break;
    case SIM_CLOCK:
        snprintf(text, size, "%u ms pass", s->a);
        break;
    case SIM_ITEM:
        snprintf(text, size,
                 "operator sets item %u: hold %u ms, limit %u, largest order %u%s%s%s (%u ms)",
                 item, s->b, s->c, s->d, s->n & 1 ? ", paused" : "", s->n & 2 ? ", closes" : "",
                 s->n & 4 ? ", opens" : "", s->n / 8u);
        break;
    case SIM_APPLY:
        snprintf(text, size, "worker %u: takes the durable settings", s->worker);
        break;
    case SIM_ADD:
    case SIM_REMOVE:
        snprintf(text, size, "operator %s item %u: %u units",
                 s->kind == SIM_ADD ? "adds to" : "takes from", item, 1 + s->b % 64);
        break;
    case SIM_DENY:
        snprintf(text, size, "operator %s user %u", s->b & 1 ? "denies" : "allows",
                 1000 + s->a % 16);
        break;
    case SIM_REFUND:
        snprintf(text, size, "operator refunds user %u order %u%s", 1000 + s->a, s->b,
                 s->c & 1 ? ", restocked" : "");
        break;
    case SIM_LINE:
        snprintf(text, size,
                 "operator sets the line of item %u: length %u, claim %u ms, ttl %u ms%s%s", item,
                 s->b, s->c, s->d, s->n & 1 ? ", one unit" : "", s->n & 2 ? ", lottery" : "");
        break;
    case SIM_FLEET: {
        static const char *const what[] = {"leases",
                                           "leases what is asked for to",
                                           "recalls",
                                           "recalls",
                                           "refuses as INSUFFICIENT",
                                           "refuses as BUSY",
                                           "is sold out of",
                                           "opens"};

        snprintf(text, size, "fleet %s item %u (%u)%s", what[s->n % 8], item, s->b,
                 s->n & 8 ? ", having taken the news" : "");
        break;
    }
    case SIM_CLEAR:
        snprintf(text, size, "operator clears the line of item %u", item);
        break;
    case SIM_DISK:
        snprintf(text, size, "the disk %s", disk[s->n % 3]);
        break;
    case SIM_STOP:
        snprintf(text, size, "SIGTERM");
        break;
    case SIM_CRASH:
        snprintf(text, size, "crash, the log's tail %08x%s; then %u workers", s->a,
                 s->b ? ", recovered from real files" : "", next);
        break;
    case SIM_FINISH:
        snprintf(text, size, "clean stop; then %u workers", next);
        break;
    default:
        snprintf(text, size, "?");
    }
}
