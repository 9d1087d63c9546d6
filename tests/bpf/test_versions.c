/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Maps that another version of the program left pinned. Versions 1 and 2 are made here as they were made
 * then: by bpf calls, their layouts and the hash written down a second time.
 */
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "harness.h"

static const char *pins;

static void pin_path(char path[256], const char *name)
{
    snprintf(path, 256, "%s/%s", pins, name);
}

static bool is_pinned(const char *name)
{
    char path[256];

    pin_path(path, name);
    return access(path, F_OK) == 0;
}

static int make(const char *name, enum bpf_map_type type, uint32_t key, uint32_t value, uint32_t entries,
                uint32_t flags)
{
    LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
    int fd = bpf_map_create(type, name, key, value, entries, &opts);
    char path[256];

    pin_path(path, name);
    if (!ok(fd >= 0 && bpf_obj_pin(fd, path) == 0, "a map %s, pinned", name))
        _exit(1);
    return fd;
}

static void unpin(const char *name)
{
    char path[256];

    pin_path(path, name);
    unlink(path);
}

static uint64_t ticks_monotonic(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return ((uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec) << 6;
}

static uint64_t unix_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void refused(const struct fg_filter_options *options, const char *what, const char *hint)
{
    struct fg_error err = {""};
    struct fg_filter *filter = fg_filter_open(options, &err);

    ok(!filter && strstr(err.text, hint), "%s is refused: %s", what, err.text);
    fg_filter_close(filter);
}

static void remove_pins(void)
{
    static const char *const names[] = {"fg_state",    "fg_lists",     "fg_sources",  "fg_nets",
                                        "fg_counters", "fg_samples",   "fg_block",    "fg_allow",
                                        "fg_lengths",  "fg_state-old", "fg_lists-old"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unpin(names[i]);
}

/* ---- version 1: a hash map for each list ------------------------------------------------------------------
 */

struct key_1 {
    uint8_t family, length;
    uint16_t zero;
    uint8_t addr[16];
};

struct value_1 {
    uint64_t hits, expires, last;
    char reason[24];
};

static void put_1(int map, const char *text, const struct value_1 *value)
{
    struct fg_prefix prefix = must_parse(text);
    struct key_1 key = {.family = prefix.family, .length = prefix.length};

    memcpy(key.addr, prefix.addr, sizeof(key.addr));
    ok(bpf_map_update_elem(map, &key, value, BPF_NOEXIST) == 0, "version 1 has %s", text);
}

static void others_of_1(void)
{
    close(make("fg_lengths", BPF_MAP_TYPE_ARRAY, 4, 5176, 4, BPF_F_MMAPABLE));
    close(make("fg_sources", BPF_MAP_TYPE_LRU_HASH, 20, 16, 1024, 0));
    close(make("fg_counters", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 16, 12, 0));
}

static void version_1(const struct fg_filter_options *options)
{
    uint64_t now = ticks_monotonic(), second = UINT64_C(1000000000) << 6, ms = unix_ms();
    struct value_1 timed = {
        .hits = 77, .expires = now + 600 * second, .last = now - 5 * second, .reason = "penalty 2"};
    struct value_1 over = {.expires = now - second}, plain = {.hits = 3};
    struct fg_prefix v4 = must_parse("198.18.1.0/24"), v6 = must_parse("2001:db8:7::/48");
    struct fg_list_entry entry = {.hits = 0};
    struct fg_filter *filter;
    int block = make("fg_block", BPF_MAP_TYPE_HASH, 20, 48, 1024, BPF_F_NO_PREALLOC);
    int allow = make("fg_allow", BPF_MAP_TYPE_HASH, 20, 48, 1024, BPF_F_NO_PREALLOC);

    others_of_1();
    put_1(block, "198.18.1.0/24", &timed);
    put_1(block, "198.18.2.0/24", &over);
    put_1(block, "2001:db8:7::/48", &plain);
    put_1(allow, "198.18.1.9", &plain);
    filter = must_open(options);
    ok(judge(filter, "198.18.1.5") == XDP_DROP && judge(filter, "2001:db8:7::1") == XDP_DROP,
       "the block list of version 1 is in force");
    ok(judge(filter, "198.18.1.9") == XDP_PASS, "so is its allow list");
    ok(judge(filter, "198.18.2.1") == XDP_PASS && fg_filter_count(filter, FG_LIST_BLOCK) == 2,
       "what had expired is left out");
    ok(fg_filter_find(filter, FG_LIST_BLOCK, &v4, &entry), "an entry of version 1 is told");
    ok(entry.hits == 78 && strcmp(entry.reason, "penalty 2") == 0 && entry.expires_ms > ms + 590000 &&
           entry.expires_ms < ms + 610000,
       "hits, reason (%s) and expiry (in %.1f s) go on", entry.reason,
       (double)(entry.expires_ms - ms) / 1000);
    ok(fg_filter_find(filter, FG_LIST_BLOCK, &v6, &entry) && entry.hits == 4 && !entry.expires_ms,
       "an entry without an end has none");
    ok(!is_pinned("fg_block") && !is_pinned("fg_allow") && !is_pinned("fg_lengths"), "the old pins are gone");
    fg_filter_close(filter);
    filter = must_open(options);
    ok(judge(filter, "198.18.1.5") == XDP_DROP && fg_filter_count(filter, FG_LIST_BLOCK) == 2,
       "and once more");
    fg_filter_close(filter);
    close(block);
    close(allow);
    remove_pins();
}

/* The first of version 1 had nothing but hits. */
static void version_1_without_reasons(const struct fg_filter_options *options)
{
    int block = make("fg_block", BPF_MAP_TYPE_HASH, 20, 8, 1024, BPF_F_NO_PREALLOC);
    struct fg_filter *filter;

    put_1(block, "198.18.0.0/16", &(struct value_1){.hits = 5});
    filter = must_open(options);
    ok(judge(filter, "198.18.200.1") == XDP_DROP, "a list with hits alone is taken over");
    fg_filter_close(filter);
    close(block);
    remove_pins();
}

static void version_1_too_large(struct fg_filter_options options)
{
    int block = make("fg_block", BPF_MAP_TYPE_HASH, 20, 48, 1024, BPF_F_NO_PREALLOC);
    struct value_1 plain = {0};
    struct fg_filter *filter;

    put_1(block, "198.18.1.0/24", &plain);
    put_1(block, "198.18.2.0/24", &plain);
    put_1(block, "198.18.3.0/24", &plain);
    options.prefixes_max = 2;
    refused(&options, "a list that does not fit", "prefixes_max = 2");
    ok(is_pinned("fg_block"), "and stays");
    options.prefixes_max = 64;
    filter = must_open(&options);
    ok(judge(filter, "198.18.1.1") == XDP_DROP && judge(filter, "198.18.2.1") == XDP_DROP &&
           judge(filter, "198.18.3.1") == XDP_DROP && !is_pinned("fg_block"),
       "with more room it is taken over");
    fg_filter_close(filter);
    close(block);
    remove_pins();
}

/* ---- version 2: one array of rows, and a table of lengths
 * ---------------------------------------------------- */

struct entry_2 {
    uint64_t hi, lo;
    uint32_t kind, last;
    uint64_t expires, hits;
    char reason[24];
};

struct state_2 {
    uint32_t version, active;
    uint64_t seed;
    struct {
        uint32_t bits, bits_mask, cells, cells_mask, entries, generation;
        uint8_t lengths[16544];
    } heads[2];
    uint32_t prefixes_max, changing, used, free;
    uint32_t counts[516];
};

enum { ROOM_2 = 64, BIT_ROWS_2 = 4, CELL_ROWS_2 = 16, ROWS_2 = 2 * (BIT_ROWS_2 + CELL_ROWS_2 + ROOM_2 + 1) };

/* The second generation is in force, as after a load. How its entries were found does not matter any more. */
static void maps_of_2(uint32_t version)
{
    static struct state_2 state;
    int lists = make("fg_lists", BPF_MAP_TYPE_ARRAY, 4, 64, ROWS_2, BPF_F_MMAPABLE), zero = 0;
    int states = make("fg_state", BPF_MAP_TYPE_ARRAY, 4, sizeof(state), 1, BPF_F_MMAPABLE);
    uint32_t entries = ROWS_2 / 2 + BIT_ROWS_2 + CELL_ROWS_2;
    struct entry_2 block = {
        .hi = UINT64_C(0xc6120100) << 32, .kind = 1 << 24 | 4 << 8 | 24, .hits = 9, .reason = "old"};
    struct entry_2 allow = {
        .hi = UINT64_C(0x20010db800070000), .lo = 9, .kind = 1 << 24 | 1 << 16 | 6 << 8 | 128};
    struct entry_2 gone = {.hi = UINT64_C(0xc6120200) << 32}, wide = {.hi = UINT64_C(0x20010db8) << 32};
    uint32_t row = entries + 1;

    wide.kind = 1 << 24 | 6 << 8 | 32;
    ok(bpf_map_update_elem(lists, &row, &block, BPF_ANY) == 0 && ++row &&
           bpf_map_update_elem(lists, &row, &gone, BPF_ANY) == 0 && ++row &&
           bpf_map_update_elem(lists, &row, &allow, BPF_ANY) == 0 && ++row &&
           bpf_map_update_elem(lists, &row, &wide, BPF_ANY) == 0,
       "entries of version %u", version);
    memset(&state, 0, sizeof(state));
    state.version = version;
    state.active = 1;
    state.seed = 12345;
    state.heads[1].entries = entries;
    state.prefixes_max = ROOM_2;
    state.used = 4;
    ok(bpf_map_update_elem(states, &zero, &state, BPF_ANY) == 0, "state of version %u", version);
    close(lists);
    close(states);
}

static void check_2(const struct fg_filter_options *options, const char *how)
{
    struct fg_prefix prefix = must_parse("198.18.1.0/24");
    struct fg_list_entry entry = {.hits = 0};
    struct fg_filter *filter = must_open(options);

    ok(judge(filter, "198.18.1.77") == XDP_DROP && judge(filter, "2001:db8:7::8") == XDP_DROP,
       "%s: the block list of version 2 is in force", how);
    ok(judge(filter, "2001:db8:7::9") == XDP_PASS && judge(filter, "198.18.2.1") == XDP_PASS,
       "%s: so is its allow list, and what was deleted is not", how);
    ok(fg_filter_find(filter, FG_LIST_BLOCK, &prefix, &entry) && entry.hits == 10 &&
           !strcmp(entry.reason, "old"),
       "%s: with hits and reason", how);
    ok(!is_pinned("fg_state-old") && !is_pinned("fg_lists-old"), "%s: the old pins are gone", how);
    fg_filter_close(filter);
    remove_pins();
}

/* A process died when it had moved the one aside and not yet the other. */
static void half_moved(const struct fg_filter_options *options)
{
    char from[256], to[256];

    maps_of_2(2);
    pin_path(from, "fg_state");
    pin_path(to, "fg_state-old");
    ok(rename(from, to) == 0, "the state is aside, the lists are not");
    check_2(options, "half moved");
}

/* The same of this version, with another size; and then a death when all was taken over but one old pin. */
static void half_moved_of_3(struct fg_filter_options options)
{
    struct fg_prefix prefix = must_parse("198.18.1.0/24");
    struct fg_filter *filter = must_open(&options);
    char from[256], to[256];
    struct fg_error err;

    ok(fg_filter_add(filter, FG_LIST_BLOCK, &prefix, NULL, &err), "an entry");
    fg_filter_close(filter);
    pin_path(from, "fg_state");
    pin_path(to, "fg_state-old");
    ok(rename(from, to) == 0, "the state is aside, the lists are not");
    options.prefixes_max *= 2;
    filter = must_open(&options);
    ok(judge(filter, "198.18.1.77") == XDP_DROP && !is_pinned("fg_state-old") && !is_pinned("fg_lists-old"),
       "the list is taken over");
    fg_filter_close(filter);
    close(make("fg_lists_old", BPF_MAP_TYPE_ARRAY, 4, 64, 16, BPF_F_MMAPABLE));
    pin_path(from, "fg_lists_old");
    pin_path(to, "fg_lists-old");
    ok(rename(from, to) == 0, "an old pin");
    options.prefixes_max *= 2;
    filter = must_open(&options);
    ok(judge(filter, "198.18.1.77") == XDP_DROP && !is_pinned("fg_state-old") && !is_pinned("fg_lists-old"),
       "also beside a pin that was left behind");
    fg_filter_close(filter);
    remove_pins();
}

/* ---- what cannot be taken over
 * ------------------------------------------------------------------------------- */

static void unknown(const struct fg_filter_options *options, uint32_t version, uint32_t bytes)
{
    static uint32_t value[20000];
    int state = make("fg_state", BPF_MAP_TYPE_ARRAY, 4, bytes, 1, BPF_F_MMAPABLE), zero = 0;
    int lists = make("fg_lists", BPF_MAP_TYPE_ARRAY, 4, 64, 100, BPF_F_MMAPABLE);
    char hint[64];

    value[0] = version;
    bpf_map_update_elem(state, &zero, value, BPF_ANY);
    snprintf(hint, sizeof(hint), "fg_state: of version %u", version);
    refused(options, "a state of an unknown version", hint);
    ok(is_pinned("fg_state") && is_pinned("fg_lists") && !is_pinned("fg_lists-old") &&
           !is_pinned("fg_state-old"),
       "and nothing is moved");
    close(state);
    close(lists);
    remove_pins();
}

static void damaged(const struct fg_filter_options *options)
{
    char path[256];
    struct state_2 *state;
    int fd;

    maps_of_2(2);
    pin_path(path, "fg_state");
    fd = bpf_obj_get(path);
    state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (!ok(state != MAP_FAILED, "the state, mapped"))
        return;
    state->heads[1].entries = ROWS_2;
    refused(options, "a state that leads out of the lists", "fg_state-old: damaged");
    state->heads[1].entries = ROWS_2 / 2 + BIT_ROWS_2 + CELL_ROWS_2;
    munmap(state, sizeof(*state));
    close(fd);
    check_2(options, "repaired");
}

static void body(const char *folder)
{
    struct fg_filter_options options = plain_options(folder);

    pins = folder;
    fg_filter_close(must_open(&options)); /* makes the folder */
    remove_pins();
    version_1(&options);
    version_1_without_reasons(&options);
    version_1_too_large(options);
    maps_of_2(2);
    check_2(&options, "whole");
    half_moved(&options);
    half_moved_of_3(options);
    damaged(&options);
    unknown(&options, FG_STATE_VERSION + 1, sizeof(struct fg_state));
    unknown(&options, FG_STATE_VERSION + 1, sizeof(struct fg_state) + 64);
    unknown(&options, 2, 40000);
    unknown(&options, 4711, sizeof(struct state_2));
}

int main(void)
{
    return sandbox("versions", body);
}
