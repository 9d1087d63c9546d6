/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sequences of packets, with rates, through both builds side by side: the same seed of the tables,
 * the same steps of the clock (the program is built with one that this test moves). After each
 * packet the verdict, after each sequence counters, events, and both tables byte by byte must be
 * the same.
 */
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "filter/internal.h"
#include "harness.h"

enum { STEPS = 6000, SECOND = 1000000000 };

static uint64_t random_state;

static uint32_t below(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % n);
}

struct pair {
    struct fg_filter *kernel, *user;
    volatile uint64_t *kernel_now; /* ticks */
    uint64_t now_ns;
    unsigned seen[FG_FILTER_VERDICT_COUNT];
};

static void set_clock(struct pair *p, uint64_t ns)
{
    p->now_ns = ns;
    *p->kernel_now = ns << FG_FILTER_TICK_SHIFT;
}

static bool open_pair(struct pair *p, struct fg_filter_options options)
{
    void *clock;

    options.object = getenv("FG_CLOCKED");
    if (!ok(options.object != NULL, "the program with a clock of ours (FG_CLOCKED)"))
        return false;
    p->kernel = must_open(&options);
    clock = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
                 map_of_program(fg_filter_program(p->kernel, NULL), "fg_bpf.data"), 0);
    if (!ok(clock != MAP_FAILED, "its clock"))
        return false;
    p->kernel_now = clock;
    options.pins = options.object = NULL;
    p->user = must_open(&options);
    p->user->memory.state->seed = p->kernel->memory.state->seed; /* both tables are empty */
    for (unsigned list = 0; list < FG_FILTER_LISTS; list++)
        memcpy(p->user->memory.state->heads[0].slot, p->kernel->memory.state->heads[0].slot,
               sizeof(p->user->memory.state->heads[0].slot));
    set_clock(p, 1000 * (uint64_t)SECOND);
    return true;
}

/* ---- one packet through both ----------------------------------------------------------------- */

static int kernel_verdict(struct pair *p, const struct frame *frame)
{
    uint64_t before[FG_FILTER_VERDICT_COUNT], after[FG_FILTER_VERDICT_COUNT];
    int action, verdict;

    fg_filter_counters(p->kernel, before);
    action = run_program(fg_filter_program(p->kernel, NULL), frame, 1);
    fg_filter_counters(p->kernel, after);
    verdict = counter_moved(before, after);
    return verdict >= 0 && action == action_of((enum fg_filter_verdict)verdict) ? verdict : -1;
}

static bool same(struct pair *p, const struct frame *frame)
{
    bool drop;
    enum fg_filter_verdict user =
        fg_filter_verdict_of_frame(p->user, 0, frame->data, frame->len, p->now_ns, &drop);
    int kernel = kernel_verdict(p, frame);

    p->seen[user]++;
    if (kernel != (int)user)
        note("kernel %s, user space %s, at %lu",
             kernel < 0 ? "?" : fg_filter_verdict_name((unsigned)kernel),
             fg_filter_verdict_name(user), p->now_ns);
    return kernel == (int)user;
}

/* Some regulars, the crowd of their networks, and strangers. */
static void random_frame(struct frame *frame)
{
    struct frame_spec spec = {.kind = below(4) ? FRAME_UDP4 : FRAME_UDP6};
    char src[64];

    if (spec.kind == FRAME_UDP4)
        snprintf(src, sizeof(src), "198.18.%u.%u", below(3) ? below(3) : below(256),
                 below(2) ? below(4) : below(255));
    else
        snprintf(src, sizeof(src), "2001:db8:%x:%x::%x", below(3), below(below(2) ? 3 : 500),
                 below(100) + 1);
    spec.src = src;
    switch (below(4)) {
    case 0:
        spec.port = 53;
        break;
    case 1:
        spec.proto = 6;
        spec.tcp_flags = 2;
        break;
    case 2:
        spec.proto = 6;
        break;
    default:
        break;
    }
    frame_build(&spec, frame);
}

static uint64_t random_step(void)
{
    if (below(1000) == 0)
        return 70 * (uint64_t)SECOND;
    if (below(300) == 0)
        return SECOND;
    if (below(100) == 0)
        return 67108864; /* one unit of "seen" */
    return below(2) ? 0 : below(800000);
}

/* Both lists change on the way, in both. */
static bool change(struct pair *p)
{
    enum fg_filter_list list = below(3) ? FG_FILTER_LIST_BLOCK : FG_FILTER_LIST_ALLOW;
    struct fg_filter_prefix prefix;
    struct fg_error err;
    char text[64];
    bool there;

    snprintf(text, sizeof(text), "198.18.%u.%u", below(3), below(4));
    prefix = must_parse(text);
    there = fg_filter_find(p->kernel, list, &prefix, NULL);
    if (there != fg_filter_find(p->user, list, &prefix, NULL))
        return false;
    return there ? fg_filter_del(p->kernel, list, &prefix, &err) &&
                       fg_filter_del(p->user, list, &prefix, &err)
                 : fg_filter_add(p->kernel, list, &prefix, NULL, &err) &&
                       fg_filter_add(p->user, list, &prefix, NULL, &err);
}

/* ---- whole sequences ------------------------------------------------------------------------- */

static bool same_tables(const struct pair *p)
{
    const struct fg_filter_mapping *kernel = &p->kernel->memory, *user = &p->user->memory;
    const struct fg_filter_sizes *sizes = &p->kernel->sizes;

    return memcmp(kernel->sets, user->sets, sizes->sets * sizeof(*kernel->sets)) == 0 &&
           memcmp(kernel->nets, user->nets, sizes->nets * sizeof(*kernel->nets)) == 0;
}

static bool same_counters(const struct pair *p)
{
    uint64_t kernel[FG_FILTER_VERDICT_COUNT], user[FG_FILTER_VERDICT_COUNT];
    uint64_t kernel_events[FG_EVENT_COUNT], user_events[FG_EVENT_COUNT];

    fg_filter_counters(p->kernel, kernel);
    fg_filter_counters(p->user, user);
    fg_filter_events(p->kernel, kernel_events);
    fg_filter_events(p->user, user_events);
    note("sources that got a slot: %lu, refused: %lu", user_events[FG_FILTER_EVENT_SOURCE_NEW],
         user_events[FG_FILTER_EVENT_SOURCE_REFUSED]);
    return memcmp(kernel, user, sizeof(kernel)) == 0 &&
           memcmp(kernel_events, user_events, sizeof(kernel_events)) == 0;
}

static void clean(const char *pins)
{
    static const char *const names[] = {"fg_state", "fg_lists",    "fg_sources",
                                        "fg_nets",  "fg_counters", "fg_samples"};
    char path[256];

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", pins, names[i]);
        unlink(path);
    }
}

static unsigned seen_all[FG_FILTER_VERDICT_COUNT];

static void sequence(struct fg_filter_options options, uint64_t seed, const char *name)
{
    struct pair p = {.now_ns = 0};
    unsigned wrong = 0, changes_wrong = 0;
    int socket;

    if (!open_pair(&p, options))
        return;
    socket = place_socket(fg_filter_program(p.kernel, NULL), 0);
    random_state = seed;
    for (unsigned i = 0; i < STEPS && wrong < 5; i++) {
        struct frame frame;

        set_clock(&p, p.now_ns + random_step());
        if (below(200) == 0)
            changes_wrong += !change(&p);
        random_frame(&frame);
        wrong += !same(&p, &frame);
    }
    note("%s: orders %u, passed %u, blocked %u, over rates %u, %u, %u, of networks %u", name,
         p.seen[FG_FILTER_VERDICT_ORDER], p.seen[FG_FILTER_VERDICT_PASS],
         p.seen[FG_FILTER_VERDICT_BLOCKED], p.seen[FG_FILTER_VERDICT_RATE_ORDER],
         p.seen[FG_FILTER_VERDICT_RATE_SYN], p.seen[FG_FILTER_VERDICT_RATE_OTHER],
         p.seen[FG_FILTER_VERDICT_RATE_NET]);
    ok(wrong == 0 && changes_wrong == 0, "%s, seed %lu: the same verdicts", name, seed);
    for (unsigned i = 0; i < FG_FILTER_VERDICT_COUNT; i++)
        seen_all[i] += p.seen[i];
    ok(same_counters(&p), "%s: the same counters and events", name);
    ok(same_tables(&p), "%s: the same sources and networks, byte by byte", name);
    close(socket);
    munmap((void *)p.kernel_now, 4096);
    fg_filter_close(p.kernel);
    fg_filter_close(p.user);
    clean(options.pins);
}

static void body(const char *pins)
{
    struct fg_filter_options options = plain_options(pins);

    options.order_rate = options.syn_rate = options.other_rate = 20;
    options.order_burst = 3;
    options.syn_burst = 4;
    options.other_burst = 4;
    options.net_factor = 4;
    sequence(options, 1, "a roomy table");
    options.sources_max = 16;
    sequence(options, 2, "a full table");
    options.v6_prefix = 64;
    options.net_factor = 1;
    sequence(options, 3, "tight networks");
    ok(seen_all[FG_FILTER_VERDICT_BLOCKED] > 100 && seen_all[FG_FILTER_VERDICT_RATE_ORDER] > 20 &&
           seen_all[FG_FILTER_VERDICT_RATE_SYN] > 20 &&
           seen_all[FG_FILTER_VERDICT_RATE_OTHER] > 20 &&
           seen_all[FG_FILTER_VERDICT_RATE_NET] > 100 && seen_all[FG_FILTER_VERDICT_ORDER] > 100,
       "every verdict of lists and rates came up");
}

int main(void)
{
    return sandbox("sequences", body);
}
