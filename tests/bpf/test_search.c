/* SPDX-License-Identifier: BSD-3-Clause */
/* Random lists, dense ones, against a search through all of their prefixes: the action, and who has
 * the hit.
 */
#include <linux/bpf.h>
#include <string.h>

#include "filter/internal.h"
#include "harness.h"

enum { RANDOM_PREFIXES = 190, RANDOM_ADDRESSES = 3000 };

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % n);
}

/* Few bits differ, so prefixes lie in each other, and groups of the prefix-length filter have more
 * lengths than it can name.
 */
static void random_address(struct fg_filter_prefix *address, unsigned family)
{
    memset(address, 0, sizeof(*address));
    address->family = (uint8_t)family;
    address->length = family == 6 ? 128 : 32;
    address->addr[0] = family == 6 ? 0x20 : 198;
    for (unsigned i = 1; i < address->length / 8u; i++)
        address->addr[i] = random_below(2) ? 0 : (uint8_t)(0x80 >> random_below(8));
}

static bool covers(const struct fg_filter_prefix *prefix, const struct fg_filter_prefix *address)
{
    struct fg_filter_prefix cut = *address;

    cut.length = prefix->length;
    fg_filter_prefix_clear_host(&cut);
    return memcmp(&cut, prefix, sizeof(cut)) == 0;
}

struct random_entry {
    struct fg_filter_prefix prefix;
    enum fg_filter_list list;
    uint64_t hits;
};

/* The entry that must count: allow beats block, then the longest. */
static struct random_entry *expected(struct random_entry *entries, unsigned n,
                                     const struct fg_filter_prefix *address)
{
    struct random_entry *best = NULL;

    for (unsigned i = 0; i < n; i++) {
        struct random_entry *e = &entries[i];

        if (!covers(&e->prefix, address))
            continue;
        if (!best || (e->list == FG_FILTER_LIST_ALLOW && best->list == FG_FILTER_LIST_BLOCK) ||
            (e->list == best->list && e->prefix.length > best->prefix.length))
            best = e;
    }
    return best;
}

static unsigned random_list(struct fg_filter *filter, struct random_entry *entries, unsigned family)
{
    unsigned n = 0;
    struct fg_error err;

    for (unsigned i = 0; i < RANDOM_PREFIXES; i++) {
        struct random_entry *e = &entries[n];

        random_address(&e->prefix, family);
        e->prefix.length = (uint8_t)(random_below(e->prefix.length - 11u) + 12);
        fg_filter_prefix_clear_host(&e->prefix);
        /* a short one on the allow list would hide all the others */
        e->list =
            e->prefix.length < 18 || random_below(4) ? FG_FILTER_LIST_BLOCK : FG_FILTER_LIST_ALLOW;
        e->hits = 0;
        n += fg_filter_add(filter, e->list, &e->prefix, NULL, &err);
    }
    return n;
}

static void against_search(struct fg_filter *filter, unsigned family)
{
    static struct random_entry entries[RANDOM_PREFIXES];
    struct fg_error err;
    unsigned n = random_list(filter, entries, family), wrong = 0, drops = 0, hits_wrong = 0;
    char text[64];

    for (unsigned i = 0; i < RANDOM_ADDRESSES; i++) {
        struct fg_filter_prefix address;
        struct random_entry *e;
        int action;

        random_address(&address, family);
        e = expected(entries, n, &address);
        fg_filter_prefix_format(&address, text);
        action = verdict_of(filter, text);
        wrong += action != (e && e->list == FG_FILTER_LIST_BLOCK ? XDP_DROP : XDP_PASS);
        drops += action == XDP_DROP;
        if (e)
            e->hits++;
    }
    for (unsigned i = 0; i < n; i++) {
        hits_wrong += hits_of(filter, entries[i].list, &entries[i].prefix) != entries[i].hits;
        wrong += !fg_filter_del(filter, entries[i].list, &entries[i].prefix, &err);
    }
    ok(wrong == 0 && drops > RANDOM_ADDRESSES / 20 && drops < RANDOM_ADDRESSES * 19 / 20,
       "IPv%u: %u addresses against %u prefixes as a search finds it: %u wrong, %u dropped", family,
       RANDOM_ADDRESSES, n, wrong, drops);
    ok(hits_wrong == 0, "and each hit at the right entry (%u wrong)", hits_wrong);
}

/* 0: the filter's own random one. With the others a cell that a deleted prefix left behind lies
 * where an IPv4 address looked for the longer prefixes of IPv6, found an unused entry, and passed.
 */
static const uint64_t hash_seeds[] = {0, UINT64_C(0xeed1f595b0fab6ea), UINT64_C(0x519ac31c2eae1999),
                                      UINT64_C(0x7f69cc4f31df4937)};

static void body(const char *pins)
{
    struct fg_filter_options options = plain_options(pins);
    struct fg_filter *filter;

    options.prefixes_max = 200;
    filter = must_open(&options);
    for (unsigned i = 0; i < sizeof(hash_seeds) / sizeof(*hash_seeds); i++) {
        if (hash_seeds[i]) {
            memset(filter->memory.state, 0, sizeof(*filter->memory.state));
            fg_filter_state_start(filter->memory.state, &filter->sizes, hash_seeds[i]);
            memset(filter->memory.rows, 0, sizeof(*filter->memory.rows) * filter->sizes.rows);
        }
        for (uint64_t seed = 1; seed <= 5; seed++) {
            random_state = seed;
            against_search(filter, 4);
            against_search(filter, 6);
        }
    }
    fg_filter_close(filter);
}

int main(void)
{
    return sandbox("search", body);
}
