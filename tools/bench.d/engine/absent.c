/* SPDX-License-Identifier: BSD-3-Clause */
/* A waiting list of which 99 of 100 users are absent, at two workers on CPUs of their own. */
#include <pthread.h>

#include "bench.h"

#define ITEM       7
#define WORKERS    2
#define EVERY      100 /* one of so many users is present */
#define SOME_LOOPS 64
#define TTL_MS     20000
#define TTLS_MAX   20 /* of the engine: nobody counts as present for longer */
#define HOLD_MS    600000
#define LONG_MS    36000000
#define USERS      100000 /* one unit comes back, time after time */
#define BUSY_NS    6400   /* of a loop with a burst of packets, 100 ns each */
#define MANY_USERS 500000 /* many holds end in one second */
#define MANY_HOLDS 50000
#define HOLDS_A_MS 50

static const struct kind wait = {.op = FG_PACKET_OP_WAIT, .item = ITEM, .items = 1};
static const struct kind cancel = {.op = FG_PACKET_OP_CANCEL};

static struct world worlds[WORKERS];
static _Atomic uint64_t now_ms;
static _Atomic bool stop;
static uint64_t busy_cycles;
static uint64_t present[MANY_USERS]; /* numbers of those users; all are of worker 0 */
static unsigned presents;

#define COUNTED(name)                                                                              \
    (fg_counter_read(&fg_stock_counters(worlds[0].stock)->name) +                                  \
     fg_counter_read(&fg_stock_counters(worlds[1].stock)->name))

static void loop(unsigned worker)
{
    struct world *w = &worlds[worker];
    uint64_t until = tsc() + busy_cycles;
    unsigned got;

    w->now_ms = atomic_load_explicit(&now_ms, memory_order_relaxed);
    world_poll(w, NULL, &got);
    world_log(w);
    while (busy_cycles && tsc() < until)
        ;
}

static void loop_both(unsigned loops)
{
    while (loops--)
        for (unsigned i = 0; i < WORKERS; i++)
            loop(i);
}

/* ---- in one thread: who holds, who waits, and who is heard of again */

static void ask(const struct kind *k, uint64_t nth)
{
    struct fg_stock_request r = world_request(k, nth);
    struct fg_stock_answer a;

    fg_stock_request(worlds[fg_user_owner(r.user, WORKERS)].stock, now_ms, &r, 1, &a);
}

static uint64_t of_worker_0(uint64_t nth)
{
    while (fg_user_owner(world_request(&wait, nth).user, WORKERS) != 0)
        nth++;
    return nth;
}

static void hold(uint64_t first, uint32_t units)
{
    for (uint32_t i = 0; i < units; i++) {
        atomic_fetch_add(&now_ms, i % HOLDS_A_MS == 0);
        ask(&wait, first + i);
        loop_both(2);
    }
    loop_both(SOME_LOOPS);
    FG_ASSERT(COUNTED(reserved) == units);
}

/* One after the other, so that their tickets are in this order. */
static void line_up(uint64_t nth, uint32_t users)
{
    presents = 0;
    for (uint32_t i = 0; i < users; i++, nth++) {
        bool is_present = fg_mix64(i, 4) % EVERY == 0 || i == users - 1;

        if (is_present)
            present[presents++] = nth = of_worker_0(nth);
        ask(&wait, nth);
        loop_both(2);
    }
    loop_both(SOME_LOOPS);
    FG_ASSERT(COUNTED(line_joined) == users);
}

static void set_line(uint32_t users)
{
    struct fg_stock_command c = {.item = ITEM, .line_max = users};

    c.claim_ms = LONG_MS;
    c.wait_ttl_ms = TTL_MS;
    for (unsigned i = 0; i < WORKERS; i++) {
        c.type = FG_STOCK_LINE_SET;
        if (fg_user_owner(ITEM, WORKERS) == i)
            world_command(&worlds[i], c);
        c.type = FG_STOCK_LINE_APPLY;
        world_command(&worlds[i], c);
    }
}

static void open_sale(uint32_t units, uint32_t users, uint32_t hold_ms)
{
    struct fg_stock_limits limits = {.items_max = 8,
                                     .orders_max = units + users,
                                     .users_max = units + users,
                                     .parked_max = 4096,
                                     .deferred_max = 65536,
                                     .waiting_max = users};

    memset(worlds, 0, sizeof(worlds));
    now_ms = T0_MS;
    busy_cycles = 0;
    for (unsigned i = 0; i < WORKERS; i++) {
        worlds[i].to[1 - i] = worlds[1 - i].from[i] = fg_ring_create(8192);
        FG_ASSERT(worlds[i].to[1 - i]);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        world_create(&worlds[i], limits, i, WORKERS);
    for (unsigned i = 0; i < WORKERS; i++)
        world_item(&worlds[i], ITEM, 0, hold_ms, units);
    set_line(users);
    hold(of_worker_0(0), units);
    line_up(of_worker_0(0) + units, users);
}

static void close_sale(void)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        world_destroy(&worlds[i]);
        fg_ring_destroy(worlds[i].to[1 - i]);
    }
}

static void only_some_are_heard(uint64_t at_ms)
{
    now_ms = at_ms;
    for (unsigned i = 0; i < presents; i++)
        ask(&wait, present[i]);
    loop_both(SOME_LOOPS);
    FG_ASSERT(COUNTED(line_offered) == 0 && COUNTED(line_skipped) == 0);
}

/* ---- in two threads: worker 0 in this one */

static void *other(void *arg)
{
    const struct options *o = arg;

    FG_ASSERT(sched_setaffinity(0, sizeof(o->others), &o->others) == 0);
    while (!atomic_load_explicit(&stop, memory_order_relaxed))
        loop(1);
    return NULL;
}

static pthread_t start_other(const struct options *o)
{
    pthread_t thread;

    stop = false;
    FG_ASSERT(pthread_create(&thread, NULL, other, (void *)(uintptr_t)o) == 0);
    for (unsigned i = 0; i < 100000; i++)
        loop(0); /* until it runs, too */
    return thread;
}

static void stop_other(pthread_t thread)
{
    stop = true;
    pthread_join(thread, NULL);
}

/* The unit goes from each user who is present to the next one. */
static void one_unit(const struct options *o, unsigned busy_ns, enum figure p99, enum figure each)
{
    static double took[USERS];
    double all = 0;
    pthread_t thread;
    uint64_t holder = of_worker_0(0);

    open_sale(1, USERS, LONG_MS);
    only_some_are_heard(T0_MS + (TTLS_MAX + 1) * TTL_MS);
    busy_cycles = (uint64_t)(busy_ns * tsc_hz() / 1e9);
    thread = start_other(o);
    for (unsigned i = 0; i < presents; i++) {
        uint64_t start = tsc();

        ask(&cancel, holder);
        while (fg_counter_read(&fg_stock_counters(worlds[0].stock)->line_offered) == i)
            loop(0);
        took[i] = (double)(tsc() - start);
        all += took[i];
        holder = present[i];
    }
    stop_other(thread);
    FG_ASSERT(COUNTED(line_skipped) == USERS - presents);
    figure_add(each, all / (USERS - presents));
    median(took, presents);
    figure_add(p99, took[presents - 1 - presents / 100]);
    close_sale();
}

/* From the moment when as many units had come back to the nth offer. */
static void holds_end(const struct options *o)
{
    static uint64_t back[MANY_HOLDS];
    static double late[MANY_USERS];
    uint64_t base = T0_MS + HOLD_MS, start;
    double hz = tsc_hz();
    uint32_t ended = 0, offered = 0;
    pthread_t thread;

    open_sale(MANY_HOLDS, MANY_USERS, HOLD_MS);
    only_some_are_heard(base - TTL_MS / 2);
    thread = start_other(o);
    start = tsc();
    while (offered < presents) {
        uint64_t offers, t;

        loop(0);
        offers = COUNTED(line_offered);
        t = tsc();
        FG_ASSERT((double)(t - start) < TTL_MS / 4 * 1e-3 * hz);
        now_ms = base + (uint64_t)((double)(t - start) * 1e3 / hz);
        for (uint64_t n = COUNTED(expired); ended < n; ended++)
            back[ended] = t;
        FG_ASSERT(offers <= ended);
        for (; offered < offers; offered++)
            late[offered] = (double)(t - back[offered]);
    }
    stop_other(thread);
    median(late, presents);
    figure_add(FIGURE_ABSENT_MANY, late[presents - 1 - presents / 100]);
    close_sale();
}

void bench_absent(const struct options *o)
{
    if (CPU_ISSET(o->cpu, &o->others)) {
        fprintf(stderr, "bench_engine: the case absent needs two CPUs\n");
        return;
    }
    for (unsigned r = 0; r < o->runs; r++) {
        one_unit(o, 0, FIGURE_ABSENT_OFFER, FIGURE_ABSENT_EACH);
        one_unit(o, BUSY_NS, FIGURE_ABSENT_BUSY, FIGURE_ABSENT_BUSY_EACH);
        holds_end(o);
    }
}
