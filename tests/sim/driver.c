/* SPDX-License-Identifier: BSD-3-Clause */
#include "driver.h"

#include <getopt.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CANARY_SECONDS = 60, HEALTHY_SECONDS = 600 };

struct limits {
    uint64_t seed, runs;
    double seconds;
    bool traced;
};

uint64_t sim_draw(uint64_t *state, uint64_t below)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull; /* splitmix64, Steele et al. 2014 */

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return below ? (z ^ z >> 31) % below : 0;
}

void sim_note(char failure[SIM_FAILURE_MAX], uint64_t now_ms, const char *format, va_list args)
{
    int len;

    if (failure[0])
        return;
    len = snprintf(failure, SIM_FAILURE_MAX, "%llu ms: ", (unsigned long long)now_ms);
    vsnprintf(failure + len, SIM_FAILURE_MAX - (size_t)len, format, args);
}

static double now_s(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool hunt(const struct sim_subject *s, const struct limits *l)
{
    /* The time of a canary is that of the processor: other tests must not hide a bug. */
    clockid_t clock = s->canaries_len ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
    double end = now_s(clock) + l->seconds;
    char failure[SIM_FAILURE_MAX] = "";
    void *world = malloc(s->world_size);
    uint64_t runs = 0;

    FG_ASSERT(world);
    for (; !failure[0] && runs < l->runs && now_s(clock) < end; runs++)
        s->run(world, l->seed + runs, l->traced, failure);
    free(world);
    s->report(runs);
    if (failure[0])
        printf("# seed %llu: %s\n", (unsigned long long)(l->seed + runs - 1), failure);
    fflush(stdout);
    return !failure[0];
}

/* In a child: an assertion of the library that stops it has found the bug, too. */
static bool is_found(const struct sim_subject *s, unsigned number)
{
    struct limits l = {.seed = 1,
                       .runs = number ? UINT64_MAX : s->healthy_runs,
                       .seconds = number ? CANARY_SECONDS : HEALTHY_SECONDS};
    int status = 0;
    pid_t pid = fork();

    FG_ASSERT(pid >= 0);
    if (pid == 0) {
        s->plant(number);
        _exit(hunt(s, &l) ? 0 : 1);
    }
    FG_ASSERT(waitpid(pid, &status, 0) == pid);
    return status != 0;
}

static bool try_canary(const struct sim_subject *s, unsigned number)
{
    double start = now_s(CLOCK_MONOTONIC);
    bool good = is_found(s, number) == (number != 0);

    printf("%sok %u - %s: %s (%.1f s)\n", good ? "" : "not ", number + 1, s->canaries[number].name,
           s->canaries[number].text, now_s(CLOCK_MONOTONIC) - start);
    fflush(stdout);
    return good;
}

static int try_canaries(const struct sim_subject *s, int argc, char **argv)
{
    unsigned first = 0, last = s->canaries_len - 1;
    bool good = true, known = argc == 1;

    for (unsigned i = 0; argc == 3 && i < s->canaries_len; i++)
        if (strcmp(argv[1], "--canary") == 0 && strcmp(argv[2], s->canaries[i].name) == 0) {
            first = last = i;
            known = true;
        }
    if (!known) {
        printf("%s_canaries [--canary NAME]; names:", s->name);
        for (unsigned i = 0; i < s->canaries_len; i++)
            printf(" %s", s->canaries[i].name);
        printf("\n");
        return 2;
    }
    printf("1..%u\n", last - first + 1);
    fflush(stdout);
    for (unsigned i = first; i <= last; i++)
        good &= try_canary(s, i);
    return good ? 0 : 1;
}

int sim_main(const struct sim_subject *s, int argc, char **argv)
{
    static const struct option list[] = {{"seed", 1, NULL, 's'},    {"runs", 1, NULL, 'r'},
                                         {"seconds", 1, NULL, 't'}, {"trace", 0, NULL, 'v'},
                                         {"help", 0, NULL, 'h'},    {NULL, 0, NULL, 0}};
    struct limits l = {.seed = (uint64_t)time(NULL) * 1000, .runs = UINT64_MAX, .seconds = 1e9};
    bool good;
    int c;

    if (s->canaries_len)
        return try_canaries(s, argc, argv);
    while ((c = getopt_long(argc, argv, "", list, NULL)) != -1) {
        if (c == 's')
            l.seed = strtoull(optarg, NULL, 10);
        else if (c == 'r')
            l.runs = strtoull(optarg, NULL, 10);
        else if (c == 't')
            l.seconds = strtod(optarg, NULL);
        else if (c == 'v')
            l.traced = true;
        else {
            printf("%s [--seed N] [--runs N | --seconds N] [--trace]\n", s->name);
            return c == 'h' ? 0 : 2;
        }
    }
    printf("1..1\n# first seed %llu\n", (unsigned long long)l.seed);
    good = hunt(s, &l);
    printf("%sok 1 - %s\n", good ? "" : "not ", s->promise);
    return good ? 0 : 1;
}
