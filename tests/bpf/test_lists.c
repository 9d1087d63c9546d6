/* SPDX-License-Identifier: BSD-3-Clause */
/* Lists, counters and pins through lib/filter: what is refused and how, what survives a restart. */
#include <linux/bpf.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "harness.h"

static bool change(struct fg_filter *filter, bool add, enum fg_filter_list list, const char *text,
                   struct fg_error *err)
{
    struct fg_filter_prefix prefix = must_parse(text);

    err->text[0] = 0;
    return add ? fg_filter_add(filter, list, &prefix, NULL, err)
               : fg_filter_del(filter, list, &prefix, err);
}

static bool count_one(void *ctx, const struct fg_filter_prefix *prefix,
                      const struct fg_filter_list_entry *entry)
{
    ++*(unsigned *)ctx;
    return true;
}

static bool stop_at_first(void *ctx, const struct fg_filter_prefix *prefix,
                          const struct fg_filter_list_entry *entry)
{
    ++*(unsigned *)ctx;
    return false;
}

static unsigned count(struct fg_filter *filter, enum fg_filter_list list)
{
    unsigned n = 0;

    fg_filter_each(filter, list, count_one, &n);
    return n;
}

static void add_and_del(struct fg_filter *filter)
{
    struct fg_filter_prefix wrong = {.family = 4, .length = 24, .addr = {198, 18, 0, 1}};
    struct fg_error err;
    unsigned seen = 0;

    ok(verdict_of(filter, "198.18.9.1") == XDP_PASS, "passes before");
    ok(change(filter, true, FG_FILTER_LIST_BLOCK, "198.18.9.0/24", &err), "add 198.18.9.0/24");
    ok(verdict_of(filter, "198.18.9.1") == XDP_DROP, "dropped");
    ok(!change(filter, true, FG_FILTER_LIST_BLOCK, "198.18.9.0/24", &err) &&
           strstr(err.text, "already there"),
       "adding twice is refused: %s", err.text);
    ok(change(filter, true, FG_FILTER_LIST_BLOCK, "198.18.9.0/25", &err),
       "a prefix inside is another entry");
    ok(change(filter, false, FG_FILTER_LIST_BLOCK, "198.18.9.0/25", &err) &&
           verdict_of(filter, "198.18.9.1") == XDP_DROP,
       "del the inner one: the outer one still drops");
    ok(!change(filter, false, FG_FILTER_LIST_BLOCK, "198.18.9.0/25", &err) &&
           strstr(err.text, "not there"),
       "deleting twice is refused: %s", err.text);
    ok(!change(filter, false, FG_FILTER_LIST_ALLOW, "198.18.9.0/24", &err),
       "the lists are apart: %s", err.text);
    ok(!fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &wrong, NULL, &err) &&
           strstr(err.text, "198.18.0.0/24"),
       "host bits are refused: %s", err.text);
    wrong.length = 33;
    ok(!fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &wrong, NULL, &err), "length 33 is refused: %s",
       err.text);
    ok(change(filter, false, FG_FILTER_LIST_BLOCK, "198.18.9.0/24", &err) &&
           verdict_of(filter, "198.18.9.1") == XDP_PASS,
       "del 198.18.9.0/24: passes again");
    ok(change(filter, true, FG_FILTER_LIST_BLOCK, "198.18.9.1", &err) &&
           change(filter, true, FG_FILTER_LIST_BLOCK, "::1:0", &err),
       "two entries");
    fg_filter_each(filter, FG_FILTER_LIST_BLOCK, stop_at_first, &seen);
    ok(count(filter, FG_FILTER_LIST_BLOCK) == 2 && seen == 1,
       "each gives both, and stops when told");
    ok(change(filter, false, FG_FILTER_LIST_BLOCK, "198.18.9.1", &err) &&
           change(filter, false, FG_FILTER_LIST_BLOCK, "::1:0", &err),
       "and are gone");
}

/* One prefix of every length there is, each with its own host inside and outside. */
static void all_lengths(struct fg_filter *filter, int family)
{
    unsigned max = family == 6 ? 128 : 32, wrong = 0;
    struct fg_error err;

    for (unsigned length = 1; length <= max; length++) {
        struct fg_filter_prefix prefix = {.family = (uint8_t)family, .length = (uint8_t)length};
        char text[64], host[64];

        /* bit `length` is 1, those before it are 0: the networks do not overlap */
        prefix.addr[(length - 1) / 8] = (uint8_t)(0x80 >> (length - 1) % 8);
        fg_filter_prefix_format(&prefix, text);
        prefix.length = (uint8_t)max;
        fg_filter_prefix_format(&prefix, host);
        wrong += verdict_of(filter, host) != XDP_PASS;
        wrong += !change(filter, true, FG_FILTER_LIST_BLOCK, text, &err);
        wrong += verdict_of(filter, host) != XDP_DROP;
    }
    ok(wrong == 0, "IPv%d: a prefix of each length up to %u drops from when it is added (%u wrong)",
       family, max, wrong);
}

static bool delete_one(void *ctx, const struct fg_filter_prefix *prefix,
                       const struct fg_filter_list_entry *entry)
{
    *(struct fg_filter_prefix *)ctx = *prefix;
    return false;
}

static void clear(struct fg_filter *filter, enum fg_filter_list list)
{
    struct fg_filter_prefix prefix;
    struct fg_error err;

    while (count(filter, list)) {
        fg_filter_each(filter, list, delete_one, &prefix);
        if (!fg_filter_del(filter, list, &prefix, &err)) {
            ok(false, "clear: %s", err.text);
            return;
        }
    }
}

static void full(struct fg_filter *filter, unsigned room)
{
    struct fg_error err = {""};
    char text[64];

    for (unsigned i = 0; i < room; i++) {
        snprintf(text, sizeof(text), "198.19.%u.%u", i >> 8, i & 255);
        if (!change(filter, true, FG_FILTER_LIST_BLOCK, text, &err))
            ok(false, "add: %s", err.text);
    }
    ok(!change(filter, true, FG_FILTER_LIST_BLOCK, "198.18.0.9", &err) && strstr(err.text, "full"),
       "full: %s", err.text);
    ok(!change(filter, true, FG_FILTER_LIST_ALLOW, "198.18.0.9", &err),
       "the other list shares the room");
    ok(verdict_of(filter, "198.19.0.3") == XDP_DROP, "a full list works");
    clear(filter, FG_FILTER_LIST_BLOCK);
    ok(count(filter, FG_FILTER_LIST_BLOCK) == 0 && verdict_of(filter, "198.19.0.3") == XDP_PASS,
       "and is emptied");
}

/* A process died in the middle of a change: entries are the truth, what was derived from them is
 * not. */
static void heal(const struct fg_filter_options *options)
{
    struct fg_filter *filter = must_open(options);
    struct fg_error err;
    struct fg_filter_state *state = malloc(sizeof(*state));
    uint32_t zero = 0;
    int map = map_of_program(fg_filter_program(filter, NULL), "fg_state");
    int rows = map_of_program(fg_filter_program(filter, NULL), "fg_lists");
    union fg_filter_row empty = {{0}};
    struct fg_filter_head *head;

    ok(change(filter, true, FG_FILTER_LIST_BLOCK, "198.18.0.0/21", &err), "an entry");
    ok(bpf_map_lookup_elem(map, &zero, state) == 0, "the state");
    state->changing = 1;
    state->used = state->free = 0;
    head = &state->heads[state->active];
    for (unsigned i = 0; i < FG_FILTER_LIST_SLOTS; i++)
        head->slot[FG_FILTER_FAMILY_4][i].count = 0;
    for (uint32_t row = head->lengths;
         row <= head->lengths + head->lengths_mask / FG_FILTER_ROW_WORDS; row++)
        ok(bpf_map_update_elem(rows, &row, &empty, BPF_ANY) == 0,
           "a row of the prefix-length filter is emptied");
    ok(bpf_map_update_elem(map, &zero, state, BPF_ANY) == 0 &&
           verdict_of(filter, "198.18.0.77") == XDP_PASS,
       "an entry that the prefix-length filter does not know is not in force");
    close(map);
    close(rows);
    free(state);
    fg_filter_close(filter);
    filter = must_open(options);
    ok(verdict_of(filter, "198.18.0.77") == XDP_DROP && count(filter, FG_FILTER_LIST_BLOCK) == 1,
       "after a restart it is");
    ok(change(filter, false, FG_FILTER_LIST_BLOCK, "198.18.0.0/21", &err), "and can be deleted");
    fg_filter_close(filter);
}

static void timed(struct fg_filter *filter)
{
    struct fg_filter_prefix prefix = must_parse("198.18.60.0/24"),
                            inner = must_parse("198.18.60.9"), match;
    struct fg_filter_list_entry entry = {.reason = "too many"}, got;
    struct timespec now;
    struct fg_error err = {""};
    bool found;

    clock_gettime(CLOCK_REALTIME, &now);
    entry.expires_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + 700;
    ok(fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &inner, &entry, &err) &&
           verdict_of(filter, "198.18.60.9") == XDP_DROP,
       "an entry for 0.7 s drops %s", err.text);
    found = fg_filter_find(filter, FG_FILTER_LIST_BLOCK, &inner, &got);
    ok(found && strcmp(got.reason, "too many") == 0 && got.hits == 1 &&
           got.last_ms + 1000 > entry.expires_ms - 700 && got.last_ms <= entry.expires_ms &&
           got.expires_ms / 10 >= entry.expires_ms / 10 - 1 &&
           got.expires_ms <= entry.expires_ms + 10,
       "and has its reason, hits, last hit and expiry: %lu of %lu, last %lu", got.expires_ms,
       entry.expires_ms, got.last_ms);
    ok(fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &prefix, NULL, &err) &&
           fg_filter_match(filter, FG_FILTER_LIST_BLOCK, &inner, &match, &got) &&
           match.length == 32,
       "the longest that matches is told");
    ok(fg_filter_del(filter, FG_FILTER_LIST_BLOCK, &prefix, &err), "clean");
    usleep(800000);
    ok(verdict_of(filter, "198.18.60.9") == XDP_PASS, "when its time is over it passes");
    ok(!fg_filter_find(filter, FG_FILTER_LIST_BLOCK, &inner, NULL) &&
           count(filter, FG_FILTER_LIST_BLOCK) == 0 &&
           fg_filter_count(filter, FG_FILTER_LIST_BLOCK) == 1,
       "and is told no more, but takes room");
    ok(fg_filter_expire(filter) == 1 && fg_filter_count(filter, FG_FILTER_LIST_BLOCK) == 0,
       "until it is taken out");
    ok(!fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &inner, &entry, &err) &&
           strstr(err.text, "over already"),
       "an expiry that is over is refused: %s", err.text);
    entry = (struct fg_filter_list_entry){.reason = "a;b"};
    ok(!fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &inner, &entry, &err),
       "so is such a reason: %s", err.text);
}

static bool count_over(void *ctx, const struct fg_filter_prefix *prefix,
                       const struct fg_filter_list_entry *entry)
{
    *(unsigned *)ctx += !strcmp(entry->reason, "penalty 1: role") && entry->expires_ms;
    return true;
}

static unsigned over(struct fg_filter *filter)
{
    unsigned n = 0;

    fg_filter_each_over(filter, FG_FILTER_LIST_BLOCK, count_over, &n);
    return n;
}

static uint64_t soon(unsigned ms)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + ms;
}

/* Blocks of the penalty box that are over: what the next daemon learns levels from. */
static void remembered(const struct fg_filter_options *options)
{
    struct fg_filter_prefix prefix = must_parse("198.18.61.1"), other = must_parse("198.18.61.2");
    struct fg_filter *filter = must_open(options);
    struct fg_filter_list_entry entry = {.reason = "penalty 1: role"},
                                plain = {.reason = "by hand"};
    struct fg_error err = {""};

    fg_filter_remember(filter, "penalty ", 60000);
    entry.expires_ms = plain.expires_ms = soon(300);
    ok(fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &prefix, &entry, &err) &&
           fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &other, &plain, &err) && over(filter) == 0,
       "two entries for 0.3 s %s", err.text);
    usleep(400000);
    ok(verdict_of(filter, "198.18.61.1") == XDP_PASS && over(filter) == 1 &&
           count(filter, FG_FILTER_LIST_BLOCK) == 0,
       "when their time is over none is in force");
    ok(fg_filter_expire(filter) == 1 && over(filter) == 1, "the one of the box is not taken out");
    fg_filter_close(filter);
    filter = must_open(options);
    fg_filter_remember(filter, "penalty ", 60000);
    ok(over(filter) == 1, "also after a restart");
    full(filter, options->prefixes_max);
    ok(over(filter) == 0, "but when the room is needed");
    entry.expires_ms = soon(300);
    ok(fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &prefix, &entry, &err), "again %s", err.text);
    usleep(400000);
    fg_filter_remember(filter, "penalty ", 50);
    ok(fg_filter_expire(filter) == 1 && over(filter) == 0, "and when it is long enough over");
    fg_filter_close(filter);
}

static void restart(const struct fg_filter_options *options)
{
    uint64_t before[FG_FILTER_VERDICT_COUNT], after[FG_FILTER_VERDICT_COUNT];
    struct fg_filter_prefix prefix = must_parse("198.18.8.0/21"), v6 = must_parse("2001:db8::/33");
    struct fg_filter *filter = must_open(options);
    struct fg_error err;

    ok(fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &prefix, NULL, &err) &&
           fg_filter_add(filter, FG_FILTER_LIST_ALLOW, &v6, NULL, &err),
       "entries before the restart");
    verdict_of(filter, "198.18.15.1");
    fg_filter_counters(filter, before);
    fg_filter_close(filter);
    filter = must_open(options);
    fg_filter_counters(filter, after);
    ok(before[FG_FILTER_VERDICT_BLOCKED] > 0 && memcmp(before, after, sizeof(before)) == 0,
       "counters survive");
    ok(hits_of(filter, FG_FILTER_LIST_BLOCK, &prefix) == 1, "hits survive");
    ok(verdict_of(filter, "198.18.15.1") == XDP_DROP, "the block list is in force");
    ok(verdict_of(filter, "2001:db8::1") == XDP_PASS &&
           hits_of(filter, FG_FILTER_LIST_ALLOW, &v6) == 1,
       "so is the allow list");
    ok(fg_filter_del(filter, FG_FILTER_LIST_BLOCK, &prefix, &err) &&
           verdict_of(filter, "198.18.15.1") == XDP_PASS,
       "an entry from before can be deleted");
    ok(fg_filter_del(filter, FG_FILTER_LIST_ALLOW, &v6, &err), "and the other");
    fg_filter_close(filter);
}

static void lists_off(struct fg_filter_options options)
{
    struct fg_filter_prefix prefix = must_parse("198.18.7.7");
    struct fg_filter *filter = must_open(&options), *off;
    struct fg_error err;

    options.ignore_lists = true;
    off = must_open(&options);
    ok(fg_filter_add(off, FG_FILTER_LIST_BLOCK, &prefix, NULL, &err) &&
           verdict_of(off, "198.18.7.7") == XDP_PASS &&
           verdict_of(filter, "198.18.7.7") == XDP_DROP,
       "a program that ignores the lists, beside one that does not");
    fg_filter_close(filter);
    ok(fg_filter_del(off, FG_FILTER_LIST_BLOCK, &prefix, &err), "clean");
    fg_filter_close(off);
}

static void refuses(struct fg_filter_options options, const char *what, const char *hint)
{
    struct fg_error err = {""};
    struct fg_filter *filter = fg_filter_open(&options, &err);

    ok(!filter && strstr(err.text, hint), "%s is refused: %s", what, err.text);
    fg_filter_close(filter);
}

static void refused_options(const struct fg_filter_options *good)
{
    struct fg_filter_options o = *good;

    o = *good, o.order_port = 0;
    refuses(o, "order port 0", "order_port = 0 is not in 1..65535");
    o = *good, o.v6_prefix = 129;
    refuses(o, "v6_prefix 129", "v6_prefix = 129 is not in 1..64");
    o = *good, o.order_rate = 5, o.order_burst = 0;
    refuses(o, "a rate without burst", "order_burst = 0 is not in");
    o = *good, o.other_rate = 200000000;
    refuses(o, "too high a rate", "other_rate = 200000000 is not in");
    o = *good, o.order_rate = 100000, o.order_burst = 999;
    refuses(o, "a burst of less than 10 ms", "order_burst = 999 is not in 1000..");
    o = *good, o.object = "/nonexistent/floodgate.bpf.o";
    refuses(o, "an object that is not there", "No such file");
    o = *good, o.pins = "relative/folder";
    refuses(o, "a relative pin folder", "want an absolute folder");
    o = *good, o.pins = "/sys/fs/bpf/with.dot";
    refuses(o, "a dot in the pin folder", "takes no dot");
}

static void foreign_pin(const struct fg_filter_options *good, const char *pins)
{
    struct fg_filter_options options = *good;
    char folder[200], path[256];
    int map = bpf_map_create(BPF_MAP_TYPE_HASH, NULL, 4, 4, 64, NULL);

    snprintf(folder, sizeof(folder), "%s/foreign", pins);
    snprintf(path, sizeof(path), "%s/fg_nets", folder);
    options.pins = folder;
    fg_filter_close(must_open(&options)); /* makes the folder */
    unlink(path);
    ok(map >= 0 && bpf_obj_pin(map, path) == 0, "a map of another kind as fg_nets");
    refuses(options, "a foreign map", "fg_nets: pinned by another version");
    close(map);
    for (const char *const *name =
             (const char *const[]){"fg_lists", "fg_state", "fg_nets", "fg_sources", "fg_counters",
                                   "fg_samples", NULL};
         *name; name++) {
        snprintf(path, sizeof(path), "%s/%s", folder, *name);
        ok(unlink(path) == 0, "pinned by name: %s", *name);
    }
    rmdir(folder);
}

/* In a mount namespace of this process, so that nobody else's bpffs goes away. */
static void mounts(struct fg_filter_options options)
{
    char folder[] = "/tmp/fgtest-pins-XXXXXX", pins[64];
    struct fg_filter_prefix prefix = must_parse("198.18.0.0/15");
    struct fg_error err = {""};
    struct fg_filter *filter;

    if (!ok(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                mkdtemp(folder),
            "a mount namespace"))
        return;
    umount2("/sys/fs/bpf", MNT_DETACH);
    filter = must_open(&options);
    ok(filter, "without a bpffs at the usual place, one is mounted");
    fg_filter_close(filter);
    snprintf(pins, sizeof(pins), "%s/a/b", folder);
    options.pins = pins;
    filter = must_open(&options);
    ok(fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &prefix, NULL, &err),
       "a folder elsewhere becomes a bpffs %s", err.text);
    fg_filter_close(filter);
    filter = must_open(&options);
    ok(count(filter, FG_FILTER_LIST_BLOCK) == 1, "and is not mounted over when it is one");
    fg_filter_close(filter);
    ok(umount(pins) == 0 && rmdir(pins) == 0, "mounted once");
    *strrchr(pins, '/') = 0;
    rmdir(pins);
    rmdir(folder);
}

static void body(const char *pins)
{
    struct fg_filter_options options = plain_options(pins);
    struct fg_filter *filter;

    options.prefixes_max = 200;
    filter = must_open(&options);
    add_and_del(filter);
    all_lengths(filter, 4);
    all_lengths(filter, 6);
    clear(filter, FG_FILTER_LIST_BLOCK);
    full(filter, options.prefixes_max);
    timed(filter);
    fg_filter_close(filter);
    remembered(&options);
    heal(&options);
    restart(&options);
    lists_off(options);
    refused_options(&options);
    foreign_pin(&options, pins);
    mounts(options);
}

int main(void)
{
    return sandbox("lists", body);
}
