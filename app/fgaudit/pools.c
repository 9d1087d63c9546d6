/* SPDX-License-Identifier: BSD-3-Clause */
#include "pools.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "tables.h"

#define LINE_MAX_BYTES 8192
#define UNITS_MAX      1000000000000000ull /* of a cumulative number */

void fg_pools_first(struct fg_pools *p, unsigned members, unsigned shards)
{
    *p = (struct fg_pools){.members = members, .shards = shards, .version = 1};
    for (unsigned i = 0; i < shards; i++)
        p->owner[i] = (uint8_t)(i % members);
}

unsigned fg_pools_owner(const struct fg_pools *p, uint64_t user)
{
    return p->owner[fg_user_shard(user, p->shards)];
}

const struct fg_pool *fg_pools_find(const struct fg_pools *p, uint64_t item)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->list[i].item == item)
            return &p->list[i];
    return NULL;
}

void fg_pools_free(struct fg_pools *p)
{
    free(p->list);
    p->list = NULL;
    p->count = 0;
}

/* A member's digit; -1 when there is no such member. */
static int member_of(char digit, unsigned members)
{
    int m = digit >= '0' && digit <= '9'   ? digit - '0'
            : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                                           : -1;

    return m < (int)members ? m : -1;
}

static bool read_map(struct fg_pools *p, const char *value)
{
    char mode[8] = "", retired[FG_POOLS_MEMBERS_MAX + 1] = "", owner[FG_POOLS_SHARDS_MAX + 1] = "";
    int m;

    if (sscanf(value,
               "floodgate-fleet 1 version %" SCNu64
               " %7s members %u retired %16s shards %u %1024[0-9a-f]",
               &p->version, mode, &p->members, retired, &p->shards, owner) != 6 ||
        p->members < 1 || p->members > FG_POOLS_MEMBERS_MAX || p->shards != strlen(owner))
        return false;
    p->frozen = strcmp(mode, "frozen") == 0;
    for (unsigned i = 0; i < p->shards; i++) {
        m = member_of(owner[i], p->members);
        if (m < 0)
            return false;
        p->owner[i] = (uint8_t)m;
    }
    for (const char *c = strcmp(retired, "-") == 0 ? "" : retired; *c; c++) {
        m = member_of(*c, p->members);
        if (m < 0)
            return false;
        p->retired |= 1u << m;
    }
    return true;
}

/* ---- a pool ---------------------------------------------------------------------------------- */

/* NULL when it adds up, else what is wrong. */
static const char *row_fault(const struct fg_pool_row *r)
{
    const int64_t most = (int64_t)UNITS_MAX;

    if (r->leased > UNITS_MAX || r->returned > UNITS_MAX || r->stock > most || r->stock < -most)
        return "a number is too large";
    if (r->stock + (int64_t)r->leased < (int64_t)r->returned)
        return "a member returned more than it had";
    if (!r->leases != !r->leased || r->leases > r->leased || !r->returns != !r->returned ||
        r->returns > r->returned)
        return "units that moved without a lease or return";
    return NULL;
}

static bool read_row(struct fg_pool *pool, unsigned m, const char **at)
{
    struct fg_pool_row *r = &pool->row[m];
    unsigned number;
    int len = 0;

    if (sscanf(*at,
               " / %u stock %" SCNd64 " leased %" SCNu64 " in %" SCNu64 " returned %" SCNu64
               " in %" SCNu64 " seq %" SCNu64 " empty %*u waits %*u for %*u%n",
               &number, &r->stock, &r->leased, &r->leases, &r->returned, &r->returns, &r->seq,
               &len) != 7 ||
        !len || number != m)
        return false;
    *at += len;
    return true;
}

/* NULL when it adds up, else what is wrong. */
static const char *read_pool(struct fg_pool *pool, const char *value, unsigned members)
{
    const char *at = value, *fault;
    unsigned count;
    int64_t free = 0;
    int len = 0;

    if (sscanf(at, "floodgate-pool 1 free %" SCNu64 " next %*u %*s members %u%n", &pool->free,
               &count, &len) != 2 ||
        !len || count != members)
        return "it cannot be understood";
    at += len;
    for (unsigned m = 0; m < members; m++) {
        if (!read_row(pool, m, &at))
            return "it cannot be understood";
        fault = row_fault(&pool->row[m]);
        if (fault)
            return fault;
        free += (int64_t)pool->row[m].returned - (int64_t)pool->row[m].leased;
    }
    if (*at)
        return "it cannot be understood";
    return free != (int64_t)pool->free ? "free is not what was returned less what was leased"
                                       : NULL;
}

static void add_pool(struct fg_pools *p, uint64_t item, const char *value,
                     struct fg_problems *problems)
{
    struct fg_pool pool = {.item = item};
    const char *fault = read_pool(&pool, value, p->members);

    if (fault)
        fg_problem(problems, FG_PROBLEM_FLEET_POOL, "pool of item %" PRIu64 ": %s: %.300s", item,
                   fault, value);
    pool.damaged = fault != NULL;
    p->list = realloc(p->list, (p->count + 1) * sizeof(*p->list));
    if (!p->list)
        fg_out_of_memory();
    p->list[p->count++] = pool;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* A sign, a space, zeros in front of the number: another program's key. */
static void take_value(struct fg_pools *p, const char *key, const char *value,
                       struct fg_problems *problems)
{
    uint64_t item, log;
    unsigned m, again;
    char same[64] = "";

    if (sscanf(key, "fleet/pool/%" SCNu64, &item) == 1) {
        snprintf(same, sizeof(same), "fleet/pool/%" PRIu64, item);
        if (strcmp(key, same) == 0)
            add_pool(p, item, value, problems);
        return;
    }
    if (sscanf(key, "fleet/member/%u", &m) == 1)
        snprintf(same, sizeof(same), "fleet/member/%u", m);
    if (strcmp(key, same) == 0 && m < p->members &&
        sscanf(value, "floodgate-member 1 member %u log %16" SCNx64, &again, &log) == 2 &&
        again == m) {
        p->registered |= 1u << m;
        p->log[m] = log;
    }
}

/* Behind the prefix; NULL: no key of a fleet. */
static const char *key_of(const char *line)
{
    const char *key = NULL;

    for (const char *at = line; (at = strstr(at, "fleet/")); at++)
        key = at;
    return key && !strchr(key, ' ') ? key : NULL;
}

/* Each key with its value; only the map, or all but the map. */
static bool each(FILE *in, struct fg_pools *p, bool map, struct fg_problems *problems)
{
    static char line[LINE_MAX_BYTES], value[LINE_MAX_BYTES];
    const char *key;
    bool found = false;

    rewind(in);
    while (fgets(line, sizeof(line), in)) {
        line[strcspn(line, "\r\n")] = '\0';
        key = key_of(line);
        if (!key || !fgets(value, sizeof(value), in))
            continue;
        value[strcspn(value, "\r\n")] = '\0';
        if (!map)
            take_value(p, key, value, problems);
        else if (strcmp(key, "fleet/map") == 0)
            found = read_map(p, value);
    }
    return found;
}

bool fg_pools_read(struct fg_pools *p, const char *path, struct fg_problems *problems,
                   struct fg_error *err)
{
    FILE *in = fopen(path, "re");

    *p = (struct fg_pools){0};
    if (!in)
        return fg_fail(err, "%.400s: %s", path, strerror(errno));
    if (!each(in, p, true, problems)) {
        fclose(in);
        return fg_fail(err, "%.300s: no map of a fleet; accepted is what `fgctl fleet dump` prints",
                       path);
    }
    each(in, p, false, problems);
    fclose(in);
    return true;
}
