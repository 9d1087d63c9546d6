/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pinned maps of other sizes are taken over, also when the process that did it died half-way. Maps
 * of another layout, and maps of other programs, are refused by name, and nothing is moved.
 * test_bulk.c resizes lists of a million entries.
 */
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

static bool nothing_is_aside(void)
{
    return !is_pinned("fg_state-old") && !is_pinned("fg_lists-old");
}

static void move_pin(const char *from, const char *to)
{
    char from_path[256], to_path[256];

    pin_path(from_path, from);
    pin_path(to_path, to);
    ok(rename(from_path, to_path) == 0, "%s becomes %s", from, to);
}

/* bpf_map_create wants a name without a dash, so `pin` is given apart. */
static int make(const char *pin, enum bpf_map_type type, uint32_t key, uint32_t value,
                uint32_t entries, uint32_t flags)
{
    LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
    int fd = bpf_map_create(type, "foreign", key, value, entries, &opts);
    char path[256];

    pin_path(path, pin);
    if (!ok(fd >= 0 && bpf_obj_pin(fd, path) == 0, "a map pinned as %s", pin))
        _exit(1);
    return fd;
}

static void refused(const struct fg_filter_options *options, const char *what, const char *hint,
                    const char *remedy)
{
    struct fg_error err = {""};
    struct fg_filter *filter = fg_filter_open(options, &err);
    char pin[300];

    ok(!filter && strstr(err.text, hint), "%s is refused: %s", what, err.text);
    snprintf(pin, sizeof(pin), "%s/%.32s", pins, hint);
    pin[strlen(pins) + 1 + strcspn(hint, ":")] = 0;
    ok(strstr(err.text, pin) && strstr(err.text, remedy), "and the pin and the remedy are named");
    fg_filter_close(filter);
}

static void remove_pins(void)
{
    static const char *const names[] = {"fg_state",     "fg_lists",    "fg_sources",
                                        "fg_nets",      "fg_counters", "fg_samples",
                                        "fg_state-old", "fg_lists-old"};
    char path[256];

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        pin_path(path, names[i]);
        unlink(path);
    }
}

/* ---- another size ---------------------------------------------------------------------------- */

/* Three entries in force, one of them on the allow list, and one that was removed again. */
static void fill(const struct fg_filter_options *options)
{
    struct fg_filter_prefix four = must_parse("198.18.1.0/24"), six = must_parse("2001:db8::/32");
    struct fg_filter_prefix allowed = must_parse("2001:db8:7::9"),
                            gone = must_parse("198.18.2.0/24");
    struct fg_filter_list_entry entry = {.reason = "old"};
    struct fg_filter *filter = must_open(options);

    ok(fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &four, &entry, NULL) &&
           fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &six, NULL, NULL) &&
           fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &gone, NULL, NULL) &&
           fg_filter_add(filter, FG_FILTER_LIST_ALLOW, &allowed, NULL, NULL) &&
           fg_filter_del(filter, FG_FILTER_LIST_BLOCK, &gone, NULL),
       "three entries for %u prefixes", options->prefixes_max);
    ok(verdict_of(filter, "198.18.1.77") == XDP_DROP, "one hit");
    fg_filter_close(filter);
}

static void check(const struct fg_filter_options *options, const char *how)
{
    struct fg_filter_prefix prefix = must_parse("198.18.1.0/24");
    struct fg_filter_list_entry entry = {.hits = 0};
    struct fg_filter *filter = must_open(options);

    ok(verdict_of(filter, "198.18.1.77") == XDP_DROP &&
           verdict_of(filter, "2001:db8:7::8") == XDP_DROP,
       "%s: the block list is in force", how);
    ok(verdict_of(filter, "2001:db8:7::9") == XDP_PASS &&
           verdict_of(filter, "198.18.2.1") == XDP_PASS,
       "%s: so is the allow list, and the removed entry is not", how);
    ok(fg_filter_find(filter, FG_FILTER_LIST_BLOCK, &prefix, &entry) && entry.hits == 2 &&
           !strcmp(entry.reason, "old"),
       "%s: hits and reason are kept", how);
    ok(nothing_is_aside(), "%s: the old pins are gone", how);
    fg_filter_close(filter);
    remove_pins();
}

static void other_sizes(struct fg_filter_options options)
{
    fill(&options);
    options.prefixes_max *= 2;
    check(&options, "twice the room");
    fill(&options);
    options.prefixes_max = 3;
    check(&options, "just enough room");
    options.prefixes_max = 64;
    fill(&options);
    options.sources_max *= 2;
    check(&options, "twice the sources");
}

static void too_small(struct fg_filter_options options)
{
    fill(&options);
    options.prefixes_max = 2;
    refused(&options, "a list that does not fit",
            "fg_lists-old: more prefixes than prefixes_max = 2", "set it to 64");
    options.prefixes_max = 64;
    check(&options, "with more room");
}

/* A process died between the two moves. */
static void half_moved(struct fg_filter_options options)
{
    fill(&options);
    move_pin("fg_state", "fg_state-old");
    options.prefixes_max *= 2;
    check(&options, "half moved");
}

/* A process died when all was taken over and one old pin was left. */
static void half_removed(struct fg_filter_options options)
{
    fill(&options);
    close(make("fg_lists_old", BPF_MAP_TYPE_ARRAY, 4, 64, 16, BPF_F_MMAPABLE));
    move_pin("fg_lists_old", "fg_lists-old");
    options.prefixes_max *= 2;
    check(&options, "half removed");
}

static void damaged(struct fg_filter_options options)
{
    char path[256];
    struct fg_filter_state *state;
    uint32_t entries;
    int fd;

    fill(&options);
    pin_path(path, "fg_state");
    fd = bpf_obj_get(path);
    state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (!ok(state != MAP_FAILED, "the state, mapped"))
        return;
    entries = state->heads[state->active & 1].entries;
    state->heads[state->active & 1].entries = 1 << 24;
    options.prefixes_max *= 2;
    refused(&options, "a state that leads out of the lists", "fg_state-old: damaged",
            "remove it and fg_lists-old");
    state->heads[state->active & 1].entries = entries;
    munmap(state, sizeof(*state));
    close(fd);
    check(&options, "repaired");
}

/* ---- another layout -------------------------------------------------------------------------- */

static void unknown_layout(const struct fg_filter_options *options, uint32_t version,
                           uint32_t bytes)
{
    static uint32_t value[20000];
    int state = make("fg_state", BPF_MAP_TYPE_ARRAY, 4, bytes, 1, BPF_F_MMAPABLE), zero = 0;
    int lists = make("fg_lists", BPF_MAP_TYPE_ARRAY, 4, 64, 100, BPF_F_MMAPABLE);
    char hint[64];

    value[0] = version;
    ok(bpf_map_update_elem(state, &zero, value, BPF_ANY) == 0, "version %u, %u bytes", version,
       bytes);
    snprintf(hint, sizeof(hint), "fg_state: layout of version %u", version);
    refused(options, "a state of another layout", hint, "remove all pins in /sys/fs/bpf/");
    ok(is_pinned("fg_state") && is_pinned("fg_lists") && nothing_is_aside(),
       "and nothing is moved");
    close(state);
    close(lists);
    remove_pins();
}

static void foreign(const struct fg_filter_options *options, const char *pin,
                    enum bpf_map_type type, uint32_t key, uint32_t value)
{
    int fd = make(pin, type, key, value, 64, 0);
    char hint[64];

    snprintf(hint, sizeof(hint), "%s: ", pin);
    refused(options, "a map of another program", hint, "remove the pin");
    ok(is_pinned(pin), "and stays");
    close(fd);
    remove_pins();
}

static void body(const char *folder)
{
    struct fg_filter_options options = plain_options(folder);

    pins = folder;
    fg_filter_close(must_open(&options)); /* makes the folder */
    remove_pins();
    other_sizes(options);
    too_small(options);
    half_moved(options);
    half_removed(options);
    damaged(options);
    unknown_layout(&options, FG_FILTER_STATE_VERSION + 1, sizeof(struct fg_filter_state));
    unknown_layout(&options, FG_FILTER_STATE_VERSION + 1, sizeof(struct fg_filter_state) + 64);
    unknown_layout(&options, FG_FILTER_STATE_VERSION - 1, sizeof(struct fg_filter_state));
    unknown_layout(&options, FG_FILTER_STATE_VERSION, sizeof(struct fg_filter_state) - 64);
    unknown_layout(&options, 4711, 64);
    foreign(&options, "fg_state", BPF_MAP_TYPE_HASH, 4, 64);
    foreign(&options, "fg_lists", BPF_MAP_TYPE_HASH, 20, 48);
    foreign(&options, "fg_sources", BPF_MAP_TYPE_LRU_HASH, 20, 16);
    foreign(&options, "fg_counters", BPF_MAP_TYPE_HASH, 4, 16);
}

int main(void)
{
    return sandbox("resize", body);
}
