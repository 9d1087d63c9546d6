/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every interleaving of small sales: depth-first over requests, single messages, loops and single
 * durable records, each state visited once. Safety is checked after every step (oracle), and from
 * every state a fair continuation must answer all that was asked; where nothing is left to do, what
 * is free must be sellable.
 */
#include "exhaustive.h"

#include <getopt.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "arena.h"
#ifdef SIM_CANARIES
#include <sys/wait.h>

#include "canary.h"

enum sim_canary sim_canary;
#endif

enum { DEPTH_MAX = 160, SEEN_BITS = 24, HOLD_MS = 16 };

struct frame {
    uint8_t *arena;
    struct sim *sim;
    uint32_t done; /* events that have happened */
    unsigned next; /* choice to be tried next */
    struct sim_step step;
};

struct search {
    const struct scenario *scenario;
    unsigned events;
    struct frame frames[DEPTH_MAX];
    unsigned depth;
    uint64_t states, transitions, ends;
    unsigned deepest;
    bool complete;
    bool fair; /* in what follows a state without faults */
};

static struct sim sim;
static struct search search;
static uint64_t *seen; /* open addressing; 0 = free */

/* Of the processor, so that a loaded machine sees as much of the search. */
static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool is_new(uint64_t hash)
{
    uint64_t at = hash >> (64 - SEEN_BITS);

    hash |= 1;
    for (; seen[at]; at = (at + 1) & ((1u << SEEN_BITS) - 1))
        if (seen[at] == hash)
            return false;
    seen[at] = hash;
    return true;
}

/* ---- steps */

static unsigned home(void)
{
    return fg_user_owner(ITEM_ID, 2);
}

/* The who-th user of the home or of the other worker. */
static uint32_t user_at(char at, unsigned who)
{
    unsigned worker = at == 'H' ? home() : 1 - home();
    uint32_t a = 0;

    for (;; a++)
        if (fg_user_owner(1000 + a, 2) == worker && --who == 0)
            return a;
}

static struct sim_step event_step(const struct event *e)
{
    struct sim_step s = {.kind = e->kind, .n = e->n, .b = e->units - 1u};

    if (e->kind == SIM_CLOCK)
        s.a = HOLD_MS + 16;
    if (e->kind != SIM_REQUEST)
        return s;
    s.n = (e->n == AGAIN ? FG_PACKET_OP_WAIT : e->n) - FG_PACKET_OP_RESERVE;
    s.a = user_at(e->at, e->user % 16);
    s.b = e->user; /* a user's second order is 16 more */
    s.d = e->n == FG_PACKET_OP_RESERVE || e->n == FG_PACKET_OP_REFUND || e->n == FG_PACKET_OP_WAIT
              ? e->units
              : 0;
    return s;
}

/* False when the choice is not open in this state. */
static bool choice_step(const struct search *x, uint32_t done, unsigned choice,
                        struct sim_step *step)
{
    const struct event *e = &x->scenario->events[choice];
    unsigned worker = (choice - x->events) % 2;

    if (choice < x->events) {
        *step = event_step(e);
        if (e->kind == SIM_REQUEST && e->after &&
            (e->n == FG_PACKET_OP_RESERVE || e->n == AGAIN)) /* a repeat */
            *step = event_step(&x->scenario->events[e->after - 1]);
        return !(done & 1u << choice) && (!e->after || done & 1u << (e->after - 1));
    }
    *step = (struct sim_step){.worker = (uint8_t)worker};
    switch ((choice - x->events) / 2) {
    case 0:
        *step = (struct sim_step){.kind = SIM_DELIVER, .worker = (uint8_t)worker, .n = 1};
        return fg_ring_count(sim.w.out[1 - worker][worker]) > 0 &&
               fg_ring_room(sim.w.in[1 - worker][worker], 1) > 0;
    case 1:
        *step = (struct sim_step){.kind = SIM_POLL, .worker = (uint8_t)worker, .n = 15};
        return true;
    default:
        *step = (struct sim_step){.kind = SIM_WRITE, .worker = (uint8_t)worker, .n = 1};
        return fg_ring_count(sim.w.journal[worker]) > 0 && sim.w.disk == DISK_OK;
    }
}

static void take_step(const struct sim_step *step, unsigned choice)
{
    static const struct sim_step sync = {.kind = SIM_SYNC};

    sim.w.token_next =
        choice % TOKENS_MAX; /* the same event has the same token in every order of events */
    sim_apply(&sim, step);
    if (step->kind == SIM_WRITE)
        sim_apply(&sim, &sync);
}

/* ---- depth-first */

static void save(struct frame *f)
{
    arena_save(f->arena);
    *f->sim = sim;
}

static void restore(const struct frame *f)
{
    arena_restore(f->arena);
    sim = *f->sim;
}

/* From here on without faults: all is answered, and, at the end, what is free can be bought. */
static void check_liveness(struct search *x, const struct frame *f)
{
    bool all = f->done == (1u << x->events) - 1;
    bool end = all && world_quiet(&sim.w) && sim.w.log_len == sim.w.durable_len;

    x->fair = true;
    sim.w.disk = DISK_OK;
    sim_settle(&sim);
    if (end) {
        x->ends++;
        sim_buy_all(&sim, 0);
    }
    x->fair = false;
}

static void enter(struct search *x, uint32_t done)
{
    struct frame *f = &x->frames[x->depth];

    x->states++;
    x->deepest = x->depth > x->deepest ? x->depth : x->deepest;
    f->done = done;
    f->next = 0;
    save(f);
    check_liveness(x, f);
    restore(f);
}

/* False when all choices of the frame on top have been tried. */
static bool try_next(struct search *x)
{
    struct frame *f = &x->frames[x->depth];
    unsigned choice = f->next++;
    uint32_t done = f->done | (choice < x->events ? 1u << choice : 0);

    if (choice == x->events + 6)
        return false;
    if (!choice_step(x, f->done, choice, &f->step))
        return true;
    take_step(&f->step, choice);
    x->transitions++;
    if (!is_new(state_hash(&sim, done))) {
        restore(f);
        return true;
    }
    x->depth++;
    FG_ASSERT(x->depth < DEPTH_MAX);
    enter(x, done);
    return true;
}

static void put_line(const struct event *line)
{
    sim_apply(&sim, &(struct sim_step){.kind = SIM_LINE,
                                       .n = line->at == 'L' ? 2 : 0,
                                       .b = line->units,
                                       .c = HOLD_MS,
                                       .d = line->n * 4u});
    sim_settle(&sim);
    for (unsigned i = 0; i < 2; i++)
        sim_apply(&sim, &(struct sim_step){.kind = SIM_APPLY, .worker = (uint8_t)i});
    sim_settle(&sim);
}

static void prepare(struct search *x, const struct scenario *scenario)
{
    static const struct fg_stock_limits limits = {
        .items_max = 1, .orders_max = ROOMY, .users_max = ROOMY, .deferred_max = 16};
    struct world_setup setup = {
        .seed = 1, .workers = 2, .ring_capacity = scenario->ring_capacity, .limits = limits};
    struct sim_step item = {.kind = SIM_ITEM, .b = HOLD_MS, .c = scenario->user_limit, .d = 16};
    struct sim_step add = {.kind = SIM_ADD, .b = scenario->units - 1};
    const struct event *line;

    setup.limits.parked_max = scenario->parked_max;
    setup.limits.unsold_max = scenario->unsold_max;
    memset(x, 0, offsetof(struct search, frames));
    x->depth = x->deepest = 0;
    x->states = x->transitions = x->ends = 0;
    x->complete = x->fair = false;
    x->scenario = scenario;
    while (x->events < EVENTS_MAX && scenario->events[x->events].kind != SIM_LINE &&
           (scenario->events[x->events].kind || scenario->events[x->events].n))
        x->events++;
    line = &scenario->events[x->events];
    if (line->kind == SIM_LINE && line->at == 'L')
        item.n = 4 | HOLD_MS << 3;
    setup.limits.waiting_max = line->kind == SIM_LINE ? 8 : 0;
    memset(seen, 0, sizeof(*seen) << SEEN_BITS);
    arena_reset();
    sim_start(&sim, &setup, NULL);
    arena_seal();
    sim_apply(&sim, &item);
    sim_settle(&sim);
    for (unsigned i = 0; i < 2; i++)
        sim_apply(&sim, &(struct sim_step){.kind = SIM_APPLY, .worker = (uint8_t)i});
    if (setup.limits.waiting_max)
        put_line(line);
    sim_apply(&sim, &add);
    sim_settle(&sim);
    for (unsigned i = 0; i < DEPTH_MAX; i++) {
        x->frames[i].arena = realloc(x->frames[i].arena, arena_copy_size());
        x->frames[i].sim = realloc(x->frames[i].sim, sizeof(sim));
        FG_ASSERT(x->frames[i].arena && x->frames[i].sim);
    }
}

static void explore(struct search *x, const struct scenario *scenario, double until)
{
    prepare(x, scenario);
    is_new(state_hash(&sim, 0));
    enter(x, 0);
    while (x->states < 3u << (SEEN_BITS - 2)) {
        if (try_next(x))
            continue;
        if (x->depth == 0) {
            x->complete = true;
            break;
        }
        x->depth--;
        restore(&x->frames[x->depth]);
        if ((x->transitions & 1023) == 0 && now() > until)
            break;
    }
    sim_stop(&sim);
}

/* ---- command line */

static void on_abort(int signal_number)
{
    char text[160];

    printf("# %s: fails after\n", search.scenario->name);
    for (unsigned i = 0; i < search.depth + !search.fair; i++) {
        sim_describe(&search.frames[i].step, text, sizeof(text));
        printf("# %4u  %s\n", i + 1, text);
    }
    printf("%snot ok %d - %s\n", search.fair ? "# and fair loops without faults\n" : "",
           (int)(search.scenario - scenarios) + 1, search.scenario->name);
    fflush(stdout);
    _exit(1);
}

#ifdef SIM_CANARIES
/* Bugs that show with two workers and one item, and the scenario that shows each. */
static const struct {
    enum sim_canary canary;
    const char *name;
    unsigned scenario;
} canaries[] = {
#define SHOWS(canary, scenario)                                                                    \
    {                                                                                              \
        SIM_CANARY_##canary, #canary, scenario - 1                                                 \
    }
    SHOWS(RELEASE_NOT_DURABLE, 4), SHOWS(ADDED_NOT_DURABLE, 14),
    SHOWS(LENT_FORGOTTEN, 1),      SHOWS(REFUSE_UNASKED, 1),
    SHOWS(GRANT_IN_RECALL, 1),     SHOWS(RECALL_FORGETS, 1),
    SHOWS(OPEN_UNSAID, 4),         SHOWS(RECALL_TAKES_GRANTED, 10),
    SHOWS(RETURN_TWICE, 4),        SHOWS(DUPLICATE_NOT_DURABLE, 6),
    SHOWS(ANSWER_EARLY, 1),        SHOWS(ANSWER_LOST, 11),
    SHOWS(WAITERS_UNLIMITED, 7),   SHOWS(LIMIT_KEPT, 8),
    SHOWS(EXPIRES_SOLD, 8),        SHOWS(CONFIRM_LATE, 8),
    SHOWS(CONFLICT_UNSEEN, 6),     SHOWS(LATE_REFUSED, 16),
    SHOWS(LATE_FORGOTTEN, 16),     SHOWS(REFUND_TWICE, 18),
    SHOWS(REFUND_NOT_DURABLE, 18), SHOWS(UNSOLD_UNLIMITED, 19),
    SHOWS(UNSOLD_KEPT, 20),        SHOWS(LINE_JUMPED, 21),
    SHOWS(LINE_TURNED, 22),        SHOWS(OFFER_LOST, 23),
    SHOWS(OFFER_TWICE, 22),        SHOWS(OFFER_OVERTAKES, 21),
    SHOWS(OFFER_TO_ABSENT, 24),    SHOWS(OFFER_CANCELLED, 23),
    SHOWS(HEARD_FORGOTTEN, 24),    SHOWS(PLACE_TWICE, 27),
    SHOWS(ENTRY_SOLD, 28),         SHOWS(DRAW_EARLY, 28),
    SHOWS(DRAW_ARRIVAL, 28),       SHOWS(DRAW_NOT_DURABLE, 28),
    SHOWS(DRAW_OPEN, 28),          SHOWS(DRAW_UNCOMMITTED, 28),
#undef SHOWS
};

static bool is_found(unsigned i, double seconds)
{
    int status;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        sim_canary = canaries[i].canary;
        FG_ASSERT(freopen("/dev/null", "w", stdout) && freopen("/dev/null", "w", stderr));
        explore(&search, &scenarios[canaries[i].scenario], now() + seconds);
        _exit(0);
    }
    FG_ASSERT(pid > 0 && waitpid(pid, &status, 0) == pid);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static bool explore_all(double seconds)
{
    unsigned n = sizeof(canaries) / sizeof(canaries[0]);
    bool all = true;

    printf("1..%u\n", n);
    for (unsigned i = 0; i < n; i++) {
        bool found = is_found(i, seconds);

        printf("%sok %u - %s is found: %s\n", found ? "" : "not ", i + 1, canaries[i].name,
               scenarios[canaries[i].scenario].name);
        all &= found;
    }
    return all;
}
#else
static bool explore_all(double seconds)
{
    double end = now() + seconds;
    uint64_t states = 0;

    printf("1..%u\n", scenarios_len);
    for (unsigned i = 0; i < scenarios_len; i++) {
        double start = now(), share = (end - start) / (scenarios_len - i);

        explore(&search, &scenarios[i], start + share);
        states += search.states;
        printf("ok %u - %s\n# %s: %llu states, %llu steps, %llu ends, depth %u, %.1f s\n", i + 1,
               scenarios[i].name,
               search.complete ? "all interleavings" : "cut short by its share of the time",
               (unsigned long long)search.states, (unsigned long long)search.transitions,
               (unsigned long long)search.ends, search.deepest, now() - start);
        fflush(stdout);
    }
    printf("# %llu states\n", (unsigned long long)states);
    return true;
}

#endif

int main(int argc, char **argv)
{
    static const struct option list[] = {{"seconds", 1, NULL, 't'}, {NULL, 0, NULL, 0}};
    double seconds = 60;
    int c;

    while ((c = getopt_long(argc, argv, "", list, NULL)) != -1) {
        seconds = c == 't' ? atof(optarg) : 0;
        if (seconds < 1) {
            fprintf(stderr, "exhaustive [--seconds N]: N from 1\n");
            return 2;
        }
    }
    seen = malloc(sizeof(*seen) << SEEN_BITS);
    FG_ASSERT(seen);
    arena_start();
    signal(SIGABRT, on_abort);
    return explore_all(seconds) ? 0 : 1;
}
