/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long a unit lies idle while somebody waits for it, in loops of real engines. One loop: each
 * worker takes its messages, works once, and what it recorded becomes durable. The bounds asserted
 * are those of docs/waiting.md; the figures are the same in every run.
 */
#include <getopt.h>

#include "world.h"

enum { HOLDER = 1, FIRST = 1000000, EVERY = 100, TURNS = 20, TTL = 1000, HOLD = 100 };
enum { LONG_MS = 3600000, ITEM = 7, ANSWERS = 64, RING = 4096 };
enum { STEPS = 64, SOME_LOOPS = 16, SHORT = 100 /* part of what --long takes */ };

static struct world w;
static uint64_t answers[FG_PACKET_STATUS_COUNT];
static unsigned commands_done;

static uint64_t counted(size_t counter)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < w.workers; i++)
        n += fg_counter_read(
            (const _Atomic uint64_t *)((const char *)fg_stock_counters(w.stock[i]) + counter));
    return n;
}
#define COUNTED(name) counted(offsetof(struct fg_stock_counters, name))

static void loop(void)
{
    struct fg_stock_answer a[ANSWERS];

    for (unsigned i = 0; i < w.workers; i++) {
        unsigned n;

        world_deliver(&w, i, UINT32_MAX);
        n = fg_stock_poll(w.stock[i], w.now_ms, a, ANSWERS);
        while (n-- > 0)
            if (a[n].kind == FG_STOCK_OPERATOR)
                commands_done += a[n].outcome == FG_STOCK_OUTCOME_DONE;
            else
                answers[a[n].status]++;
        world_write(&w, i, UINT32_MAX);
    }
    world_sync(&w);
    w.log_len = w.durable_len = w.committed_len = 0; /* nobody reads it */
}

static void command(struct fg_stock_command c, bool all)
{
    unsigned home = fg_user_owner(ITEM, w.workers), asked = 0;

    c.item = ITEM;
    commands_done = 0;
    for (unsigned i = 0; i < w.workers; i++)
        if (all || i == home) {
            FG_ASSERT(fg_stock_command(w.stock[i], w.now_ms, &c));
            asked++;
        }
    for (unsigned n = 0; n < SOME_LOOPS && commands_done < asked; n++)
        loop();
    FG_ASSERT(commands_done == asked);
}

/* Returns the status; 0: it comes later. */
static unsigned ask(uint8_t op, uint64_t user)
{
    struct fg_stock *s = w.stock[fg_user_owner(user, w.workers)];
    struct fg_stock_request r = {.op = op, .user = user, .order_id = {1}};
    struct fg_stock_answer a;

    if (op == FG_PACKET_OP_WAIT) {
        r.item = ITEM;
        r.quantity = 1;
    }
    return fg_stock_request(s, w.now_ms, &r, 1, &a) == FG_STOCK_ANSWERED ? a.status : 0;
}

/* One after the other, by WAIT: in the order of their tickets. */
static void come(uint64_t from, uint32_t users, unsigned status)
{
    for (uint32_t i = 0; i < users; i++) {
        uint64_t before = answers[status];

        FG_ASSERT(ask(FG_PACKET_OP_WAIT, from + i) == 0);
        for (unsigned n = 0; n < SOME_LOOPS && answers[status] == before; n++)
            loop();
        FG_ASSERT(answers[status] == before + 1);
    }
}

static unsigned loops_until_offered(uint64_t offers, unsigned most)
{
    unsigned loops = 0;

    for (; COUNTED(line_offered) < offers; loops++) {
        FG_ASSERT(loops <= most);
        loop();
    }
    return loops;
}

static void open_sale(unsigned workers, uint32_t users, uint32_t units, uint32_t ttl_ms,
                      uint32_t hold_ms)
{
    struct world_setup setup = {.seed = workers, .workers = workers, .ring_capacity = RING};
    struct fg_stock_command item = {.hold_ms = hold_ms, .order_max = 1};
    struct fg_stock_command line = {.line_max = users, .claim_ms = LONG_MS, .wait_ttl_ms = ttl_ms};

    setup.limits = (struct fg_stock_limits){.items_max = 1,
                                            .orders_max = users + units,
                                            .users_max = users + units,
                                            .parked_max = 1024,
                                            .deferred_max = RING,
                                            .waiting_max = users};
    memset(answers, 0, sizeof(answers));
    world_start(&w, &setup);
    item.type = FG_STOCK_ITEM_SET;
    command(item, false);
    item.type = FG_STOCK_ITEM_APPLY;
    command(item, true);
    line.type = FG_STOCK_LINE_SET;
    command(line, false);
    line.type = FG_STOCK_LINE_APPLY;
    command(line, true);
    command((struct fg_stock_command){.type = FG_STOCK_STOCK_ADD, .units = units}, false);
    come(HOLDER, units, FG_PACKET_STATUS_RESERVED);
    come(FIRST, users, FG_PACKET_STATUS_WAITING);
}

/* 99 of 100 are not heard of again: only the 100th, the 200th ... are. */
static void some_are_heard(unsigned present)
{
    w.now_ms += TTL / 2;
    for (unsigned n = 1; n <= present; n++)
        FG_ASSERT(ask(FG_PACKET_OP_WAIT, FIRST + n * EVERY - 1) == FG_PACKET_STATUS_WAITING);
    w.now_ms += TTL / 2 + 32;
}

/* One unit comes back, time after time: in that moment it is the next one's who is there, after at
 * most one loop for each absent user before. */
static void most_abandon(unsigned number, unsigned workers)
{
    unsigned all = 0, worst = 0;
    uint64_t holder = HOLDER;

    open_sale(workers, TURNS * EVERY, 1, TTL, LONG_MS);
    some_are_heard(TURNS);
    for (unsigned n = 1; n <= TURNS; n++) {
        uint64_t next = FIRST + n * EVERY - 1;
        unsigned loops;

        FG_ASSERT(ask(FG_PACKET_OP_CANCEL, holder) == 0);
        loops = loops_until_offered(n, EVERY - 1 + SOME_LOOPS);
        loop();
        FG_ASSERT(ask(FG_PACKET_OP_QUERY, next) == FG_PACKET_STATUS_RESERVED);
        FG_ASSERT(ask(FG_PACKET_OP_QUERY, next - 1) == FG_PACKET_STATUS_CANCELLED);
        FG_ASSERT(COUNTED(line_skipped) == n * (EVERY - 1));
        holder = next;
        all += loops;
        worst = loops > worst ? loops : worst;
    }
    world_stop(&w);
    printf(
        "ok %u - %u workers: %d of %d users are absent at their turn\n# a unit was offered after "
        "%.0f loops, at most %u\n",
        number, workers, EVERY - 1, EVERY, (double)all / TURNS, worst);
}

/* Many holds end at one moment: all units are offered in the order of tickets, at least STEPS in a
 * loop. */
static void holds_end(unsigned number, unsigned workers, uint32_t holds, uint32_t users)
{
    unsigned loops;

    open_sale(workers, users, holds, LONG_MS, HOLD);
    w.now_ms += HOLD + 32;
    loops = loops_until_offered(holds, holds / STEPS + SOME_LOOPS);
    loop();
    for (uint32_t i = 0; i < users; i++)
        FG_ASSERT(ask(FG_PACKET_OP_QUERY, FIRST + i) ==
                  (i < holds ? FG_PACKET_STATUS_RESERVED : FG_PACKET_STATUS_WAITING));
    FG_ASSERT(COUNTED(line_offered) == holds && COUNTED(expired) == holds);
    world_stop(&w);
    printf("ok %u - %u workers: %u holds end at one moment, %u users wait\n# all units were "
           "offered after %u loops\n",
           number, workers, holds, users, loops);
}

/* Both: the units go to as many users who are there, in the order of tickets, and whoever is
 * behind the last of them waits on, present or not. */
static void holds_end_and_most_abandon(unsigned number, unsigned workers, uint32_t holds)
{
    uint32_t users = 2 * holds * EVERY;
    unsigned loops;

    open_sale(workers, users, holds, TTL, TTL + HOLD);
    some_are_heard(2 * holds);
    FG_ASSERT(COUNTED(expired) == 0);
    w.now_ms += HOLD;
    loops = loops_until_offered(holds, holds * EVERY / STEPS + TURNS * EVERY);
    loop();
    for (uint32_t i = 0; i < users; i++)
        FG_ASSERT(ask(FG_PACKET_OP_QUERY, FIRST + i) ==
                  (i >= holds * EVERY       ? FG_PACKET_STATUS_WAITING
                   : i % EVERY == EVERY - 1 ? FG_PACKET_STATUS_RESERVED
                                            : FG_PACKET_STATUS_CANCELLED));
    FG_ASSERT(COUNTED(line_offered) == holds && COUNTED(line_skipped) == holds * (EVERY - 1));
    world_stop(&w);
    printf("ok %u - %u workers: %u holds end at one moment, %d of %d users of %u are absent\n# all "
           "units were offered after %u loops\n",
           number, workers, holds, EVERY - 1, EVERY, users, loops);
}

int main(int argc, char **argv)
{
    static const struct option list[] = {{"long", 0, NULL, 'l'}, {NULL, 0, NULL, 0}};
    uint32_t part = SHORT;
    unsigned number = 0;
    int c;

    while ((c = getopt_long(argc, argv, "", list, NULL)) != -1) {
        if (c != 'l') {
            fprintf(stderr,
                    "abandon [--long]: as many holds and users as the documentation says\n");
            return 2;
        }
        part = 1;
    }
    printf("1..9\n");
    for (unsigned workers = 1; workers <= 3; workers++) {
        most_abandon(++number, workers);
        holds_end(++number, workers, 50000 / part, 500000 / part);
        holds_end_and_most_abandon(++number, workers, 2500 / part);
    }
    return 0;
}
