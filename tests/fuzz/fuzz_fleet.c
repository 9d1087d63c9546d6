/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Values of etcd that a member of a fleet reads. Input: lines; the first byte says what becomes of
 * it (a map, a pool, a pool of another item, an answer, a watch, time), the rest is the text. What
 * is read must be what would be written, and a member never offers a pool that does not add up.
 */
#include "fleet/catalogue.h"
#include "fleet/fleet.h"

#include "fuzz.h"

static void check_texts(const char *text)
{
    struct fg_fleet_pool pool;
    struct fg_fleet_settings settings;
    struct fg_fleet_map map;
    char again[FG_FLEET_TEXT_MAX];
    unsigned member;
    int64_t revision;

    if (fg_fleet_pool_read(&pool, text)) {
        FG_FUZZ_CHECK(fg_fleet_pool_is_sane(&pool));
        fg_fleet_pool_write(&pool, again);
        FG_FUZZ_CHECK(strcmp(again, text) == 0);
    }
    if (fg_fleet_map_read(&map, text)) {
        FG_FUZZ_CHECK(fg_fleet_owner(&map, map.version) < map.members);
        fg_fleet_map_write(&map, again);
        FG_FUZZ_CHECK(strcmp(again, text) == 0);
    }
    if (fg_fleet_settings_read(&settings, text)) {
        FG_FUZZ_CHECK(settings.version && strlen(settings.name) <= FG_FLEET_NAME_MAX);
        fg_fleet_settings_write(&settings, again);
        FG_FUZZ_CHECK(strcmp(again, text) == 0);
    }
    if (fg_fleet_applied_read(&member, &revision, text)) {
        FG_FUZZ_CHECK(member < FG_FLEET_MEMBERS_MAX && revision >= 0);
        fg_fleet_applied_write(member, revision, again);
        FG_FUZZ_CHECK(strcmp(again, text) == 0);
    }
}

static uint64_t ticket;
static bool lease[2], recall[2];

static void drain(struct fg_fleet *f)
{
    struct fg_fleet_output o;
    struct fg_fleet_pool pool;

    while (fg_fleet_next(f, &o)) {
        if (o.kind == FG_FLEET_READ || o.kind == FG_FLEET_SWAP)
            ticket = o.ticket;
        for (unsigned i = 0; i < o.puts_len; i++)
            FG_FUZZ_CHECK(fg_fleet_pool_read(&pool, o.puts[i].text));
        if (o.kind == FG_FLEET_LEASE)
            lease[o.item] = true;
        if (o.kind == FG_FLEET_RECALL)
            recall[o.item] = true;
    }
}

static void step(struct fg_fleet *f, unsigned kind, unsigned n, const char *text, int64_t *store)
{
    static uint64_t now_ms = 1000;

    now_ms += kind == 't' ? n : 1;
    fg_fleet_time(f, now_ms);
    drain(f);
    if (kind == 'm')
        fg_fleet_value(f, FG_FLEET_MAP_KEY, ++*store, text);
    else if (kind == 'p' || kind == 'q')
        fg_fleet_value(f, kind == 'p' ? "fleet/pool/1" : "fleet/pool/2", ++*store, text);
    else if (kind == 'a')
        fg_fleet_answered(f, ticket, (enum fg_fleet_outcome)(n % 4), *store);
    else if (kind == 'w')
        fg_fleet_watched(f, n % 4 ? *store - n % 4 + 1 : 0);
    else if (kind == 'b')
        fg_fleet_bank(f, n & 1, n >> 1 & 3, n >> 1 & 7, recall[n & 1] ? 0 : n >> 6);
    for (unsigned i = 0; i < 2; i++) {
        drain(f);
        if (kind == 'l' && lease[i]) {
            lease[i] = false;
            fg_fleet_leased(f, i);
        }
        if (kind == 'r' && recall[i]) {
            recall[i] = false;
            fg_fleet_returned(f, i, 0);
        }
    }
    drain(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fg_fleet_options o = {.items_max = 2,
                                 .timing = fg_fleet_timing_usual,
                                 .seed = {1, 2},
                                 .register_key = "pair/0/register"};
    int64_t store = 10;
    struct fg_fleet *f;
    char *text = malloc(size + 1), *rest = text;

    FG_FUZZ_CHECK(text);
    memcpy(text, data, size);
    text[size] = 0;
    fg_fleet_map_first(&o.map, 2, 4);
    f = fg_fleet_create(&o, NULL);
    FG_FUZZ_CHECK(f);
    memset(lease, 0, sizeof(lease));
    memset(recall, 0, sizeof(recall));
    FG_FUZZ_CHECK(fg_fleet_item(f, 0, 1, &(struct fg_fleet_counters){.stock = 5}));
    FG_FUZZ_CHECK(fg_fleet_item(f, 1, 2, &(struct fg_fleet_counters){0}));
    fg_fleet_leads(f, 5);
    drain(f);
    for (char *line; (line = strsep(&rest, "\n"));) {
        check_texts(line);
        if (line[0])
            check_texts(line + 1);
        if (line[0] && line[1])
            step(f, (unsigned char)line[0], (unsigned char)line[1], line + 1, &store);
    }
    fg_fleet_destroy(f);
    free(text);
    return 0;
}
