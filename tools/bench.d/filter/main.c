/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench_filter RUNS: prints JSON. Each round measures every case once, so that what disturbs the
 * machine disturbs all of them; a case is the mean of REPEAT runs of the program on one frame, in a
 * warm cache.
 */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "constants.h"
#include "harness.h"
#include "theirs.h"

#define REPEAT   300000
#define SOURCES  64 /* of a list, each with REPEAT / 8 runs */
#define RUNS_MAX 101
#define TURNS    20 /* of two programs that are compared, in a round */
#define MILLION  1000000

static const unsigned lengths[] = {20, 21, 22, 24, 26, 28, 30, 32};

enum row {
    BLOCKED_1,
    BLOCKED_1K,
    BLOCKED_1M,
    GROWTH,
    KNOWN,
    CONSTANT,
    VERSUS_CONSTANT,
    FULL,
    THEIRS_BLOCKED,
    THEIRS_CLEAN,
    VERSUS_BLOCKED,
    VERSUS_KNOWN,
    EMPTY_LOAD,
    LOAD,
    MEMORY,
    BUCKETS,
    ROWS
};

static const struct {
    const char *name, *unit;
} rows[ROWS] = {
    [BLOCKED_1] = {"blocked source, 1 prefix", "ns"},
    [BLOCKED_1K] = {"blocked source, 1,000 prefixes of 8 lengths", "ns"},
    [BLOCKED_1M] = {"blocked source, 1,000,000 prefixes of 8 lengths", "ns"},
    [GROWTH] = {"blocked, 1,000,000 prefixes / 1 prefix", ""},
    [KNOWN] = {"known source, order packet, all buckets, redirect", "ns"},
    [CONSTANT] = {"the same, its rates as constants", "ns"},
    [VERSUS_CONSTANT] = {"known source, rates in a map / as constants", ""},
    [FULL] = {"new source, table full", "ns"},
    [THEIRS_BLOCKED] = {"xdp-filter, blocked source (alw_ip)", "ns"},
    [THEIRS_CLEAN] = {"xdp-filter, clean source (alw_all)", "ns"},
    [VERSUS_BLOCKED] = {"blocked / xdp-filter", ""},
    [VERSUS_KNOWN] = {"known source / xdp-filter", ""},
    [EMPTY_LOAD] = {"bulk load of 1 prefix", "s"},
    [LOAD] = {"bulk load of 1,000,000 prefixes", "s"},
    [MEMORY] = {"memory of the lists, room for 1,000,000", "MB"},
    [BUCKETS] = {"memory of the buckets, 262,144 sources", "MB"},
};

static double samples[ROWS][RUNS_MAX];
static unsigned round_now;

static double of_runs(int program, const struct frame *frame, int wanted, int repeat)
{
    LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame->data, .data_size_in = frame->len,
                .repeat = repeat);

    FG_ASSERT(bpf_prog_test_run_opts(program, &run) == 0);
    if ((int)run.retval != wanted) {
        fprintf(stderr, "bench: a program said %d, expected %d\n", (int)run.retval, wanted);
        exit(1);
    }
    return run.duration;
}

static double per_packet(int program, const struct frame *frame, int wanted)
{
    return of_runs(program, frame, wanted, REPEAT);
}

/* The i-th prefix: lengths take turns, networks spread over the address space. */
static uint32_t spread(uint32_t i, unsigned *length)
{
    uint32_t bits;

    *length = lengths[i % 8];
    bits = (i / 8 * 2654435761u + 0x51234u) &
           (UINT32_MAX >> (32 - *length)); /* odd factor: no two alike */
    return bits << (32 - *length);
}

static bool usable(uint32_t address)
{
    return address >> 28 < 14 && address >> 24 != 0;
}

static void write_list(const char *path, uint32_t count)
{
    FILE *file = fopen(path, "w");
    unsigned length;

    FG_ASSERT(file);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t a = spread(i, &length);

        fprintf(file, "%u.%u.%u.%u/%u\n", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255, length);
    }
    FG_ASSERT(fclose(file) == 0);
}

static void frame_from(struct frame *frame, uint32_t address)
{
    uint32_t word = htonl(address);

    frame_build(&(struct frame_spec){.kind = FRAME_UDP4}, frame);
    memcpy(frame->data + 26, &word, sizeof(word));
}

/* Mean over sources of each length. */
static double blocked(struct fg_filter *filter, uint32_t count)
{
    unsigned found = 0, length;
    struct frame frame;
    double sum = 0;

    for (uint32_t i = 0; i < count && found < SOURCES; i++) {
        uint32_t address = spread(i, &length);

        if (!usable(address))
            continue;
        frame_from(&frame, address);
        sum += of_runs(fg_filter_program(filter, NULL), &frame, XDP_DROP, REPEAT / 8);
        found++;
    }
    FG_ASSERT(found);
    return sum / found;
}

static double load_list(struct fg_filter *filter, const char *path)
{
    struct fg_filter_list_loaded loaded;
    struct fg_error err;

    if (!fg_filter_load(filter, FG_FILTER_LIST_BLOCK, path, &loaded, &err)) {
        fprintf(stderr, "bench: %s\n", err.text);
        exit(1);
    }
    return loaded.seconds;
}

/* Every place is taken by a source that was there a moment ago. */
static void fill_table(struct fg_filter *filter)
{
    int map = map_of_program(fg_filter_program(filter, NULL), "fg_sources");
    struct fg_filter_source_set set;
    uint32_t seen = 0;

    for (uint32_t i = 0; bpf_map_lookup_elem(map, &i, &set) == 0; i++)
        for (unsigned way = 0; way < FG_FILTER_WAYS; way++)
            seen = set.seen[way] > seen ? set.seen[way] : seen;
    for (uint32_t i = 0; bpf_map_lookup_elem(map, &i, &set) == 0; i++) {
        for (unsigned way = 0; way < FG_FILTER_WAYS; way++) {
            set.key[way] = (uint64_t)1 << 63 | (i * FG_FILTER_WAYS + way);
            set.seen[way] = seen | 1;
        }
        FG_ASSERT(bpf_map_update_elem(map, &i, &set, BPF_ANY) == 0);
    }
    close(map);
}

/* No source was there. */
static void empty_table(struct fg_filter *filter)
{
    int map = map_of_program(fg_filter_program(filter, NULL), "fg_sources");
    struct fg_filter_source_set set = {0};

    for (uint32_t i = 0; bpf_map_update_elem(map, &i, &set, BPF_EXIST) == 0; i++)
        continue;
    close(map);
}

static void set(enum row row, double value)
{
    samples[row][round_now] = value;
}

static void lists_round(struct fg_filter *filter, const char *dir)
{
    static const uint32_t counts[] = {1, 1000, MILLION};
    char path[160];

    for (unsigned i = 0; i < 3; i++) {
        double seconds;

        snprintf(path, sizeof(path), "%s/%u", dir, counts[i]);
        seconds = load_list(filter, path);
        set(BLOCKED_1 + i, blocked(filter, counts[i]));
        if (i != 1)
            set(i ? LOAD : EMPTY_LOAD, seconds);
    }
    set(GROWTH, samples[BLOCKED_1M][round_now] / samples[BLOCKED_1][round_now]);
}

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* The kernel gives whole nanoseconds, and the machine only ever adds some. */
static double mean_of_lower_half(double *values)
{
    double sum = 0;

    qsort(values, TURNS, sizeof(*values), order);
    for (unsigned i = 0; i < TURNS / 2; i++)
        sum += values[i];
    return sum / (TURNS / 2);
}

/* The programs take turns, so that what disturbs the machine disturbs both. */
static void constants_round(int ours, int constants, const struct frame *frame)
{
    double mapped[TURNS], fixed[TURNS];

    for (unsigned i = 0; i < TURNS; i++) {
        mapped[i] = of_runs(ours, frame, XDP_REDIRECT, REPEAT / TURNS * 2);
        fixed[i] = of_runs(constants, frame, XDP_REDIRECT, REPEAT / TURNS * 2);
    }
    set(CONSTANT, mean_of_lower_half(fixed));
    set(VERSUS_CONSTANT, mean_of_lower_half(mapped) / samples[CONSTANT][round_now]);
}

static void rates_round(struct fg_filter *filter, int constants)
{
    int ours = fg_filter_program(filter, NULL);
    struct frame frame;

    frame_from(&frame, 0xc6120a01);
    empty_table(filter);              /* of the round before */
    for (unsigned i = 0; i < 10; i++) /* so long that it is known */
        per_packet(ours, &frame, XDP_REDIRECT);
    set(KNOWN, per_packet(ours, &frame, XDP_REDIRECT));
    constants_round(ours, constants, &frame);
    fill_table(filter);
    frame_from(&frame, 0xc6120b01);
    set(FULL, per_packet(ours, &frame, XDP_REDIRECT));
}

static void theirs_round(int theirs_ip, int theirs_all)
{
    struct frame frame;

    frame_from(&frame, 0xc6120c01);
    set(THEIRS_BLOCKED, per_packet(theirs_ip, &frame, XDP_DROP));
    set(THEIRS_CLEAN, per_packet(theirs_all, &frame, XDP_PASS));
    set(VERSUS_BLOCKED, samples[BLOCKED_1K][round_now] / samples[THEIRS_BLOCKED][round_now]);
    set(VERSUS_KNOWN, samples[KNOWN][round_now] / samples[THEIRS_CLEAN][round_now]);
}

static struct fg_filter *open_part(const char *pins, const char *part, bool rates,
                                   uint32_t prefixes)
{
    struct fg_filter_options options = plain_options(NULL);
    char folder[200];

    snprintf(folder, sizeof(folder), "%s/%s", pins, part);
    options.pins = folder;
    options.prefixes_max = prefixes;
    options.v6_prefix = 64;
    options.sources_max = 4096;
    if (rates) {
        options.order_rate = options.order_burst = options.syn_rate = options.syn_burst = 100000000;
        options.other_rate = options.other_burst = 100000000;
        options.net_factor = 64;
        options.sample_rate = 10;
    }
    return must_open(&options);
}

static void remove_files(const char *folder)
{
    char command[300];

    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    if (system(command) != 0)
        fprintf(stderr, "bench: cannot remove %s\n", folder);
}

static void print_rows(unsigned runs, bool theirs)
{
    const char *between = "";

    printf("[");
    for (unsigned i = 0; i < ROWS; i++) {
        if (!theirs && i >= THEIRS_BLOCKED && i <= VERSUS_KNOWN)
            continue;
        printf("%s{\"case\": \"%s\", \"unit\": \"%s\", \"samples\": [", between, rows[i].name,
               rows[i].unit);
        for (unsigned run = 0; run < runs; run++)
            printf("%s%.6g", run ? ", " : "", samples[i][run]);
        printf("]}");
        between = ",\n";
    }
    printf("]\n");
}

int main(int argc, char **argv)
{
    unsigned runs = argc == 2 ? (unsigned)atoi(argv[1]) : 0;
    char dir[] = "/tmp/fgbench-filter-XXXXXX", pins[64], path[160];
    int theirs_ip = theirs_load("alw_ip", htonl(0xc6120c01)),
        theirs_all = theirs_load("alw_all", 0), socket, constants;
    struct fg_filter *lists, *rates;
    uint64_t list_bytes, bucket_bytes;

    if (runs < 1 || runs > RUNS_MAX || !mkdtemp(dir)) {
        fprintf(stderr, "usage: bench_filter RUNS, 1 to %d\n", RUNS_MAX);
        return 2;
    }
    for (unsigned i = 0; i < 3; i++) {
        static const uint32_t counts[] = {1, 1000, MILLION};

        snprintf(path, sizeof(path), "%s/%u", dir, counts[i]);
        write_list(path, counts[i]);
    }
    snprintf(pins, sizeof(pins), "/sys/fs/bpf/fgbench-filter-%d", (int)getpid());
    lists = open_part(pins, "lists", false, MILLION);
    rates = open_part(pins, "rates", true, 1000);
    socket = place_socket(fg_filter_program(rates, NULL), 0);
    constants = constants_load(fg_filter_program(rates, NULL));
    fg_filter_memory(lists, &list_bytes, &bucket_bytes);
    for (round_now = 0; round_now < runs; round_now++) {
        lists_round(lists, dir);
        rates_round(rates, constants);
        if (theirs_ip >= 0 && theirs_all >= 0)
            theirs_round(theirs_ip, theirs_all);
        set(MEMORY, (double)list_bytes / 1e6);
        set(BUCKETS, (double)bucket_bytes / 1e6 * 64);
    }
    close(socket);
    fg_filter_close(lists);
    fg_filter_close(rates);
    remove_files(pins);
    remove_files(dir);
    print_rows(runs, theirs_ip >= 0 && theirs_all >= 0);
    return 0;
}
