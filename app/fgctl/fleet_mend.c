/* SPDX-License-Identifier: BSD-3-Clause */
/* A member of a fleet that never comes back, and an etcd that was lost (docs/fleet.md). */
#include "fgctl.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "config/config.h"
#include "fleet_etcd.h"
#include "fleet_past.h"

#define CONFIG_PATH "/etc/floodgate/floodgate.conf"
#define ETCD_MS     5000
#define TRIES_MAX   200 /* other members are faster meanwhile */
#define TRY_US      5000
#define SEEN        "fleet.seen" /* of lib/member, beside the log */
#define STOPPED     "all members are stopped"
#define OTHER_MAP   "the map in etcd is not the configured one"
#define CHANGED     "the map, a register or a pool was changed just now; repeat the command"

enum { OPT_CONFIG, OPT_CONFIRM, OPT_LOG, OPT_WRITE_OFF }; /* as in commands.c */
enum { OPT_RETIRED = 2 };

struct work {
    struct fg_cli *cli;
    const struct fg_args *args;
    struct fg_config *config;
    struct fg_fleet_store store;
    struct fg_member_past pasts[FG_FLEET_MEMBERS_MAX];
    unsigned member;  /* that is retired */
    uint32_t retired; /* bits, of a rebuild */
    uint64_t freed, reserved, lost, items;
    struct fg_error err;
};

static int exit_of(struct work *w, enum fg_arbiter_result result)
{
    if (result == FG_ARBITER_LOST)
        fg_fail(&w->err, CHANGED);
    return result == FG_ARBITER_DONE      ? FG_EXIT_OK
           : result == FG_ARBITER_LOST    ? FG_EXIT_RACE
           : result == FG_ARBITER_REFUSED ? FG_EXIT_REFUSED
                                          : FG_EXIT_UNAVAILABLE;
}

static int refuse(struct work *w, const char *why)
{
    fg_fail(&w->err, "%s", why);
    return FG_EXIT_REFUSED;
}

static int read_store(struct work *w)
{
    int code = exit_of(w, fg_fleet_store_read(&w->store, &w->err));

    if (code == FG_EXIT_OK && w->store.map_damaged)
        return refuse(w, "etcd has a map that cannot be understood");
    return code;
}

/* Configuration and etcd; then `act`. */
static int work(struct fg_cli *cli, const struct fg_args *args, int (*act)(struct work *w))
{
    const char *path = args->options[OPT_CONFIG] ? args->options[OPT_CONFIG] : CONFIG_PATH;
    struct work *w = calloc(1, sizeof(*w));
    struct fg_arbiter_options options;
    int code = FG_EXIT_INPUT;

    FG_ASSERT(w);
    w->cli = cli;
    w->args = args;
    w->config = calloc(1, sizeof(*w->config));
    FG_ASSERT(w->config);
    if (fg_config_load(w->config, path, &w->err) &&
        (w->config->fleet.enabled || fg_fail(&w->err, "%s: [fleet] enabled = no", path))) {
        options = w->config->fleet.etcd;
        options.timeout_ms = ETCD_MS;
        w->store.etcd = fg_arbiter_open(&options, &w->err);
        code = w->store.etcd ? read_store(w) : FG_EXIT_INPUT;
        if (code == FG_EXIT_OK)
            code = act(w);
    }
    if (code != FG_EXIT_OK)
        fg_complain("%s", w->err.text[0] ? w->err.text : "etcd does not answer");
    for (unsigned m = 0; m < FG_FLEET_MEMBERS_MAX; m++)
        if (w->pasts[m].dir)
            fg_member_past_close(&w->pasts[m]);
    fg_fleet_store_free(&w->store);
    fg_arbiter_close(w->store.etcd);
    explicit_bzero(w->config, sizeof(*w->config)); /* passwords */
    free(w->config);
    free(w);
    return code;
}

/* The log, if it is the one that etcd knows the member by. */
static int open_past(struct work *w, unsigned m, const char *dir)
{
    struct fg_member_past *past = &w->pasts[m];

    if (!fg_member_past_open(past, dir, &w->err))
        return FG_EXIT_INPUT;
    w->err.text[0] = '\0'; /* of a damaged snapshot: the one before it, or the log, did as well */
    if (!w->store.registers[m].known || w->store.registers[m].log == past->id)
        return FG_EXIT_OK;
    fg_fail(&w->err, "etcd knows member %u by log %016" PRIx64 ", %.200s is log %016" PRIx64, m,
            w->store.registers[m].log, dir, past->id);
    return FG_EXIT_REFUSED;
}

/* Every item of that log has a pool, be it a new one. */
static void make_pools(struct work *w, const struct fg_member_past *past)
{
    for (uint32_t i = 0; i < fg_ledger_items(past->ledger); i++)
        fg_fleet_store_make(&w->store, fg_ledger_item_at(past->ledger, i)->item,
                            w->config->fleet.members);
}

static void configured_map(const struct work *w, struct fg_fleet_map *map)
{
    const struct fg_member_settings *s = &w->config->fleet;

    fg_fleet_map_first(map, s->members, s->shards);
    map->version = s->version;
}

/* ---- retire ---------------------------------------------------------------------------------- */

/* What becomes of one pool. Adds up what that means. */
static int settle(struct work *w, struct fg_fleet_stored_pool *p, bool *changes)
{
    struct fg_fleet_pool before = p->pool;
    struct fg_fleet_past past;
    uint64_t freed = 0, reserved = 0;

    if (p->damaged) {
        fg_fail(&w->err, "the pool of item %" PRIu64 " is damaged: mend it first", p->item);
        return FG_EXIT_REFUSED;
    }
    if (!w->pasts[w->member].dir) {
        fg_fleet_write_off(&p->pool, w->member);
        w->lost += (uint64_t)fg_fleet_held(&p->pool.row[w->member].log);
    } else {
        fg_member_past_item(&w->pasts[w->member], p->item, &past, &reserved);
        if (!fg_fleet_settle(&p->pool, w->member, &past, &freed, &w->err))
            return FG_EXIT_REFUSED;
    }
    w->freed += freed;
    w->reserved += reserved;
    *changes = memcmp(&before, &p->pool, sizeof(before)) != 0;
    return FG_EXIT_OK;
}

/* All pools, in memory. changed: up to FG_FLEET_STORE_PUTS that are to be written. */
static int settle_all(struct work *w, struct fg_fleet_stored_pool **changed, unsigned *len)
{
    bool changes;
    int code;

    w->freed = w->reserved = w->lost = 0;
    *len = 0;
    if (w->pasts[w->member].dir)
        make_pools(w, &w->pasts[w->member]);
    w->items = w->store.count;
    for (size_t i = 0; i < w->store.count; i++) {
        code = settle(w, &w->store.pools[i], &changes);
        if (code != FG_EXIT_OK)
            return code;
        if (changes && *len < FG_FLEET_STORE_PUTS)
            changed[(*len)++] = &w->store.pools[i];
    }
    return FG_EXIT_OK;
}

/* Until every pool is settled. */
static int write_settled(struct work *w)
{
    struct fg_fleet_stored_pool *changed[FG_FLEET_STORE_PUTS];
    enum fg_arbiter_result result;
    unsigned len;
    int code;

    for (unsigned i = 0; i < TRIES_MAX; i++) {
        code = read_store(w);
        if (code == FG_EXIT_OK)
            code = settle_all(w, changed, &len);
        if (code != FG_EXIT_OK || len == 0)
            return code;
        result = fg_fleet_store_write(&w->store, w->member, changed, len, &w->err);
        if (result == FG_ARBITER_REFUSED)
            return FG_EXIT_REFUSED;
        if (result == FG_ARBITER_DONE)
            i = 0;
        else
            fg_clock_sleep_us(TRY_US);
    }
    fg_fail(&w->err, "other members change the pools all the time; repeat the command");
    return FG_EXIT_RACE;
}

/* The register first, so that nothing which the member sent takes place any more; the map last, so
 * that a repeat completes what was interrupted. */
static int write_retired(struct work *w)
{
    uint64_t logs[FG_FLEET_MEMBERS_MAX] = {0}, freed = w->freed, reserved = w->reserved,
             lost = w->lost;
    int code;

    logs[w->member] =
        w->pasts[w->member].dir ? w->pasts[w->member].id : w->store.registers[w->member].log;
    code =
        exit_of(w, fg_fleet_store_decide(&w->store, &w->store.map, 1u << w->member, logs, &w->err));
    if (code == FG_EXIT_OK)
        code = write_settled(w);
    if (code != FG_EXIT_OK)
        return code;
    w->store.map.retired |= 1u << w->member;
    code =
        exit_of(w, fg_fleet_store_decide(&w->store, &w->store.map, 1u << w->member, logs, &w->err));
    w->freed = freed;
    w->reserved = reserved;
    w->lost = lost;
    return code;
}

static void warn_of_retiring(const struct work *w)
{
    fprintf(
        stderr,
        "Member %u is retired for good; its users can order nothing any more. If it runs, or is\n"
        "only cut off, it goes on selling units that others sell too: power it off first.\n",
        w->member);
    if (!w->pasts[w->member].dir)
        fprintf(stderr,
                "Its log is lost: the %" PRIu64 " units that it held may have been sold, and stay "
                "out of the sale.\n",
                w->lost);
    else
        fprintf(stderr,
                "%" PRIu64 " units that it did not sell go to the others, %" PRIu64
                " of them out of orders that\n"
                "are reserved and not paid: these cannot be paid any more.\n",
                w->freed, w->reserved);
}

static int tell_retired(struct work *w)
{
    if (w->cli->json)
        printf("{\"member\": %u, \"items\": %" PRIu64 ", \"freed\": %" PRIu64
               ", \"reserved\": %" PRIu64 ", \"lost\": %" PRIu64 "}\n",
               w->member, w->items, w->freed, w->reserved, w->lost);
    else
        printf("member %u is retired: %" PRIu64 " units are free for others, %" PRIu64
               " stay out of the sale\n",
               w->member, w->freed, w->lost);
    return FG_EXIT_OK;
}

static int tell_retired_before(struct work *w)
{
    if (w->cli->json)
        return tell_retired(w);
    printf("member %u was retired already; nothing was changed%s\n", w->member,
           w->args->options[OPT_LOG]
               ? ". If its log was thought to be lost: `fgctl fleet rebuild` takes it in"
               : "");
    return FG_EXIT_OK;
}

static int retire(struct work *w)
{
    struct fg_fleet_stored_pool *changed[FG_FLEET_STORE_PUTS];
    const char *dir = w->args->options[OPT_LOG];
    struct fg_fleet_map map;
    char sentence[64];
    unsigned len;
    int code = FG_EXIT_OK;

    configured_map(w, &map);
    if (!w->store.map_revision)
        return refuse(w, "etcd has no map of the fleet");
    if (!fg_fleet_map_same(&w->store.map, &map))
        return refuse(w, OTHER_MAP);
    if (w->member >= map.members) {
        fg_fail(&w->err, "member %u: accepted are 0..%u", w->member, map.members - 1);
        return FG_EXIT_REFUSED;
    }
    if (w->store.map.retired & 1u << w->member)
        return tell_retired_before(w);
    if (dir)
        code = open_past(w, w->member, dir);
    if (code == FG_EXIT_OK)
        code = settle_all(w, changed, &len);
    if (code != FG_EXIT_OK)
        return code;
    warn_of_retiring(w);
    snprintf(sentence, sizeof(sentence), "member %u is powered off", w->member);
    if (!fg_confirmed(w->args->options[OPT_CONFIRM], sentence)) {
        fg_fail(&w->err, "not confirmed; nothing was changed");
        return FG_EXIT_USAGE;
    }
    code = write_retired(w);
    return code == FG_EXIT_OK ? tell_retired(w) : code;
}

/* ---- rebuild --------------------------------------------------------------------------------- */

/* Its orders are of its users. */
static int check_users(struct work *w, unsigned m, const struct fg_fleet_map *map)
{
    const struct fg_ledger *ledger = w->pasts[m].ledger;

    for (uint64_t i = 0; i < fg_ledger_orders(ledger); i++) {
        uint64_t user = fg_ledger_order_at(ledger, i)->user;

        if (fg_fleet_owner(map, user) == m)
            continue;
        fg_fail(&w->err,
                "%.200s is not the log of member %u: user %" PRIu64 " belongs to member %u",
                w->pasts[m].dir, m, user, fg_fleet_owner(map, user));
        return FG_EXIT_REFUSED;
    }
    return FG_EXIT_OK;
}

/* Every log once, and of the members that etcd knows. */
static int open_pasts(struct work *w, const struct fg_fleet_map *map)
{
    for (unsigned m = 0; m < w->args->count; m++) {
        int code = open_past(w, m, w->args->positions[m]);

        if (code != FG_EXIT_OK)
            return code;
        for (unsigned o = 0; o < m; o++)
            if (w->pasts[o].id == w->pasts[m].id) {
                fg_fail(&w->err, "%.200s and %.200s are the same log", w->pasts[o].dir,
                        w->pasts[m].dir);
                return FG_EXIT_REFUSED;
            }
        code = check_users(w, m, map);
        if (code != FG_EXIT_OK)
            return code;
        make_pools(w, &w->pasts[m]);
    }
    return FG_EXIT_OK;
}

static int rebuild_pool(struct work *w, struct fg_fleet_stored_pool *p)
{
    struct fg_fleet_past pasts[FG_FLEET_MEMBERS_MAX];
    struct fg_fleet_pool pool;
    struct fg_error why = {""};
    uint64_t reserved;

    for (unsigned m = 0; m < w->args->count; m++)
        fg_member_past_item(&w->pasts[m], p->item, &pasts[m], &reserved);
    if (!fg_fleet_rebuild(&pool, pasts, w->args->count, w->retired,
                          p->revision && !p->damaged && p->pool.members == w->args->count ? &p->pool
                                                                                          : NULL,
                          &why)) {
        fg_fail(&w->err, "item %" PRIu64 ": %.400s; nothing was changed", p->item, why.text);
        return FG_EXIT_REFUSED;
    }
    p->pool = pool;
    w->freed += pool.free;
    return FG_EXIT_OK;
}

static bool same_settings(struct fg_fleet_settings a, struct fg_fleet_settings b)
{
    char one[FG_FLEET_TEXT_MAX], other[FG_FLEET_TEXT_MAX];

    a.version = b.version = 1;
    fg_fleet_settings_write(&a, one);
    fg_fleet_settings_write(&b, other);
    return strcmp(one, other) == 0;
}

/* Settings of an item as the log has them whose last record is the newest: a member that was away
 * when they were changed has an older one. False: no log knows the item. */
static bool newest_settings(const struct work *w, uint64_t item, struct fg_fleet_settings *settings)
{
    struct fg_fleet_settings now;
    bool found = false, differ = false;
    unsigned of = 0;

    for (unsigned m = 0; m < w->args->count; m++) {
        if (!fg_member_past_settings(&w->pasts[m], item, &now))
            continue;
        differ |= found && !same_settings(now, *settings);
        if (!found || w->pasts[m].last_ms > w->pasts[of].last_ms) {
            *settings = now;
            of = m;
        }
        found = true;
    }
    if (differ)
        fprintf(stderr,
                "item %" PRIu64 ": the logs have other settings; those of member %u are taken, "
                "check them before you thaw the fleet\n",
                item, of);
    return found;
}

/* What etcd has is older, if it is a copy; the members apply it when they start. */
static int write_settings(struct work *w, const struct fg_fleet_stored_pool *items, size_t count)
{
    struct fg_fleet_stored_settings list[FG_FLEET_STORE_PUTS];
    int code = FG_EXIT_OK;
    size_t done = 0;

    while (code == FG_EXIT_OK && done < count) {
        unsigned len = 0;

        for (; done < count && len < FG_FLEET_STORE_PUTS; done++) {
            struct fg_fleet_settings newest;

            list[len] = fg_fleet_store_settings(&w->store, items[done].item);
            if (!newest_settings(w, items[done].item, &newest) ||
                (list[len].settings.version && same_settings(newest, list[len].settings)))
                continue;
            newest.version = list[len].settings.version + 1;
            list[len++].settings = newest;
        }
        if (len)
            code = exit_of(w, fg_fleet_store_write_settings(&w->store, list, len, &w->err));
    }
    return code;
}

static int write_rebuilt(struct work *w, const struct fg_fleet_map *map)
{
    struct fg_fleet_stored_pool *list[FG_FLEET_STORE_PUTS], *made = w->store.pools;
    uint64_t logs[FG_FLEET_MEMBERS_MAX];
    size_t count = w->store.count, done = 0;
    int code;

    for (unsigned m = 0; m < w->args->count; m++)
        logs[m] = w->pasts[m].id;
    code = exit_of(
        w, fg_fleet_store_decide(&w->store, map, (1u << w->args->count) - 1, logs, &w->err));
    if (code != FG_EXIT_OK)
        return code;
    w->store.pools = NULL; /* they are ours: what etcd has is read for its revisions alone */
    w->store.count = 0;
    code = read_store(w);
    while (code == FG_EXIT_OK && done < count) {
        unsigned len = 0;

        for (; done < count && len < FG_FLEET_STORE_PUTS; done++) {
            const struct fg_fleet_stored_pool *now =
                fg_fleet_store_pool(&w->store, made[done].item);

            made[done].revision = now ? now->revision : 0;
            list[len++] = &made[done];
        }
        code = exit_of(w, fg_fleet_store_write(&w->store, 0, list, len, &w->err));
    }
    if (code == FG_EXIT_OK)
        code = write_settings(w, made, count);
    free(made);
    w->items = count;
    return code;
}

/* A member's highest revision is that of the etcd which was lost. */
static void forget_seen(const struct work *w)
{
    for (unsigned m = 0; m < w->args->count; m++) {
        char path[4200];

        snprintf(path, sizeof(path), "%.4000s/" SEEN, w->pasts[m].dir);
        if (unlink(path) == 0)
            continue;
        fprintf(stderr,
                errno == ENOENT ? "%s: not there: if this is a copy of the log, remove " SEEN
                                  " beside the log of member %u before it starts\n"
                                : "%s: cannot be removed; remove it before member %u starts\n",
                path, m);
    }
}

/* "1,3" */
static bool take_retired(struct work *w, const char *text)
{
    char *end = NULL;

    for (; text && *text; text = *end == ',' ? end + 1 : end) {
        unsigned long m = strtoul(text, &end, 10);

        if (end == text || m >= w->args->count || (*end && *end != ','))
            return false;
        w->retired |= 1u << m;
    }
    return true;
}

static int check_map(struct work *w, struct fg_fleet_map *map)
{
    const struct fg_member_settings *s = &w->config->fleet;

    configured_map(w, map);
    if (w->args->count != s->members) {
        fg_fail(&w->err, "%u logs were given, the configuration has %u members", w->args->count,
                s->members);
        return FG_EXIT_REFUSED;
    }
    if (!take_retired(w, w->args->options[OPT_RETIRED])) {
        fg_fail(&w->err, "--retired '%.40s': accepted are numbers 0..%u, with commas between them",
                w->args->options[OPT_RETIRED], w->args->count - 1);
        return FG_EXIT_REFUSED;
    }
    if (w->store.map_revision && !w->store.map.frozen)
        return refuse(w, "etcd has a map, and the fleet is not frozen: `fgctl fleet freeze` first, "
                         "and stop all members");
    if (w->store.map_revision && !fg_fleet_map_same(&w->store.map, map))
        return refuse(w, OTHER_MAP);
    if (w->store.map_revision)
        *map = w->store.map;
    map->frozen = true;
    w->retired |= map->retired;
    map->retired = w->retired;
    return FG_EXIT_OK;
}

static int rebuild(struct work *w)
{
    struct fg_fleet_map map;
    int code = check_map(w, &map);

    if (code == FG_EXIT_OK)
        code = open_pasts(w, &map);
    for (size_t i = 0; i < w->store.count && code == FG_EXIT_OK; i++)
        code = rebuild_pool(w, &w->store.pools[i]);
    if (code != FG_EXIT_OK)
        return code;
    fprintf(
        stderr,
        "The pools of %zu items are written anew from the logs of %u members. A member that\n"
        "runs, or a log that is not the newest, would sell units twice. The fleet stays frozen.\n",
        w->store.count, w->args->count);
    if (!fg_confirmed(w->args->options[OPT_CONFIRM], STOPPED)) {
        fg_fail(&w->err, "not confirmed; nothing was changed");
        return FG_EXIT_USAGE;
    }
    code = write_rebuilt(w, &map);
    if (code != FG_EXIT_OK)
        return code;
    forget_seen(w);
    if (w->cli->json)
        printf("{\"items\": %" PRIu64 ", \"members\": %u, \"free\": %" PRIu64 "}\n", w->items,
               w->args->count, w->freed);
    else
        printf("%" PRIu64 " pools were written, with %" PRIu64
               " free units; start the members, and `fgctl fleet thaw`\n",
               w->items, w->freed);
    return FG_EXIT_OK;
}

/* ---- commands -------------------------------------------------------------------------------- */

static int retire_of(struct work *w)
{
    w->member = (unsigned)strtoul(w->args->positions[0], NULL, 10);
    return retire(w);
}

int fg_cmd_fleet_retire(struct fg_cli *cli, const struct fg_args *args)
{
    const char *number = args->positions[0];

    if (!number[0] || number[strspn(number, "0123456789")] || strlen(number) > 2)
        return fg_usage_error("member '%.40s'; accepted: 0 to %u", number,
                              FG_FLEET_MEMBERS_MAX - 1);
    if (!args->options[OPT_LOG] == !args->options[OPT_WRITE_OFF])
        return fg_usage_error("accepted: either --log DIR or --write-off");
    return work(cli, args, retire_of);
}

int fg_cmd_fleet_rebuild(struct fg_cli *cli, const struct fg_args *args)
{
    return work(cli, args, rebuild);
}
