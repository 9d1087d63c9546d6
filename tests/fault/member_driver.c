/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A member of a fleet without an appliance: lib/member, a bank of one item, and a log of a line a
 * record, which outlives a kill.
 *
 *   member_driver dir=FOLDER etcd=ENDPOINTS member=N members=N shards=N log=NUMBER
 *
 * Then commands, one a line; each answer is a line of JSON:
 *   stock N     adds N units
 *   buy N       one request; how it was answered
 *   give N      N units of orders come back
 *   view        what lib/member and the bank say
 *   quit
 */
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "member/member.h"

#define ITEM 7

static struct fg_member_settings settings = {.shards = 16, .version = 1, .enabled = true};
static char dir[400];
static uint64_t log_id;

/* The bank and its log; the hooks call each other. */
static pthread_mutex_t mutex;
static pthread_cond_t answered;
static FILE *records;
static struct fg_fleet_counters counters;
static int64_t taken, stock_told;
static uint64_t seq;
static uint64_t units_free;
static uint32_t wanted; /* of the one request that waits; 0 = none */
static const char *answer;
static bool sold_out, news, lease, recall, leases_nothing;
static uint64_t lease_units;

static void die(const char *what, const struct fg_error *err)
{
    fprintf(stderr, "%s: %s\n", what, err ? err->text : "");
    exit(1);
}

/* ---- the log --------------------------------------------------------------------------------- */

static void record(const char *name, int64_t units)
{
    fprintf(records, "%s %" PRId64 "\n", name, units);
    fflush(records);
}

static void apply(const char *name, int64_t units)
{
    seq++;
    if (strcmp(name, "stock") == 0) {
        counters.stock += units;
    } else if (strcmp(name, "lease") == 0) {
        counters.leased += (uint64_t)units;
        counters.leases++;
    } else if (strcmp(name, "return") == 0) {
        counters.returned += (uint64_t)units;
        counters.returns++;
    } else {
        taken += units;
    }
}

static void write_down(const char *name, int64_t units)
{
    record(name, units);
    apply(name, units);
}

static void open_log(void)
{
    char path[512], name[16];
    long long units;

    snprintf(path, sizeof(path), "%s/records", dir);
    records = fopen(path, "a+");
    if (!records)
        die(path, NULL);
    rewind(records);
    while (fscanf(records, "%15s %lld", name, &units) == 2)
        apply(name, units);
    stock_told = counters.stock;
    units_free = (uint64_t)(fg_fleet_held(&counters) - taken);
}

/* ---- the bank -------------------------------------------------------------------------------- */

static void say(const char *status)
{
    answer = status;
    wanted = 0;
    pthread_cond_signal(&answered);
}

static void serve(void)
{
    news = true;
    if (!wanted)
        return;
    if (units_free >= wanted) {
        units_free -= wanted;
        write_down("take", wanted);
        say("RESERVED");
    } else if (sold_out) {
        say("SOLD_OUT");
    }
}

static void begin(void *ctx, struct fg_member *m)
{
    fg_member_logged(m, seq);
    if (!fg_member_item(m, 0, ITEM, &counters))
        die("item", NULL);
}

static void tell(struct fg_member *m)
{
    news = false;
    fg_member_bank(m, 0, wanted > units_free ? wanted : 0, wanted, units_free);
}

static void take(void *ctx, struct fg_member *m)
{
    uint64_t units;

    pthread_mutex_lock(&mutex);
    fg_member_logged(m, seq);
    if (counters.stock != stock_told) {
        stock_told = counters.stock;
        fg_member_stocked(m, 0, stock_told);
    }
    if (news)
        tell(m);
    if (lease && !leases_nothing) {
        lease = false;
        write_down("lease", (int64_t)lease_units);
        units_free += lease_units;
        serve();
        fg_member_leased(m, 0);
        tell(m);
    }
    if (recall) {
        recall = false;
        serve();
        units = units_free;
        units_free = 0;
        if (units)
            write_down("return", (int64_t)units);
        tell(m);
        fg_member_returned(m, 0, units);
    }
    pthread_mutex_unlock(&mutex);
}

static bool give(void *ctx, const struct fg_fleet_output *o)
{
    pthread_mutex_lock(&mutex);
    switch (o->kind) {
    case FG_FLEET_LEASE:
        lease = true;
        lease_units = o->units;
        break;
    case FG_FLEET_RECALL:
        recall = true;
        break;
    case FG_FLEET_REFUSE:
        if (wanted)
            say(o->refusal == FG_FLEET_REFUSAL_BUSY ? "BUSY" : "INSUFFICIENT");
        news = true;
        break;
    case FG_FLEET_SOLD_OUT:
        sold_out = true;
        serve();
        break;
    case FG_FLEET_OPEN:
        sold_out = false;
        news = true;
        break;
    default:
        FG_ASSERT(!"an output for the bank");
    }
    pthread_mutex_unlock(&mutex);
    return true;
}

static void stop(void *ctx, const char *reason)
{
    fprintf(stderr, "stops: %s\n", reason);
    _exit(FG_MEMBER_EXIT);
}

/* ---- commands -------------------------------------------------------------------------------- */

static json_t *buy(struct fg_member *m, uint32_t units)
{
    const char *said;

    pthread_mutex_lock(&mutex);
    answer = NULL;
    if (fg_member_may_sell(m)) {
        wanted = units;
        serve();
        while (!answer)
            pthread_cond_wait(&answered, &mutex);
    }
    said = answer ? answer : "UNAVAILABLE";
    pthread_mutex_unlock(&mutex);
    return json_pack("{s:s}", "status", said);
}

static json_t *view(struct fg_member *m)
{
    struct fg_fleet_item_view item = {0};
    struct fg_member_view v;
    json_t *json;

    fg_member_view(m, &v);
    fg_member_item_view(m, 0, &item);
    pthread_mutex_lock(&mutex);
    json = json_pack(
        "{s:I, s:s, s:b, s:b, s:i, s:I, s:I, s:I, s:I, s:b, s:b, s:s, s:s, s:i, s:b, s:I}",
        "revision", (json_int_t)v.fleet.revision, "reason", fg_fleet_reason_text(v.fleet.reason),
        "may_sell", v.fleet.may_sell, "away", v.fleet.away, "silent", (int)v.fleet.silent, "swaps",
        (json_int_t)v.fleet.swaps, "pool", (json_int_t)item.pool.free, "free",
        (json_int_t)units_free, "taken", (json_int_t)taken, "frozen", v.fleet.map.frozen, "etcd_ok",
        v.etcd_ok, "etcd_error", v.etcd_error, "seen_error", v.seen_error, "damaged",
        (int)v.fleet.damaged_items, "watched", v.fleet.watched, "reads", (json_int_t)v.fleet.reads);
    pthread_mutex_unlock(&mutex);
    return json;
}

static json_t *change(const char *what, int64_t units)
{
    pthread_mutex_lock(&mutex);
    write_down(what, units);
    if (strcmp(what, "stock") == 0)
        units_free += (uint64_t)units;
    else
        units_free -= (uint64_t)units;
    serve();
    pthread_mutex_unlock(&mutex);
    return json_pack("{s:b}", "done", 1);
}

static json_t *obey(struct fg_member *m, const char *line)
{
    char word[16] = "";
    long long n = 0;

    sscanf(line, "%15s %lld", word, &n);
    if (strcmp(word, "stock") == 0)
        return change("stock", n);
    if (strcmp(word, "give") == 0)
        return change("take", -n);
    if (strcmp(word, "buy") == 0)
        return buy(m, (uint32_t)n);
    if (strcmp(word, "no-lease") == 0) { /* from here on LEASE is never written */
        leases_nothing = true;
        return json_pack("{s:b}", "done", 1);
    }
    return strcmp(word, "view") == 0 ? view(m) : NULL;
}

static void print(json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);

    printf("%s\n", text);
    fflush(stdout);
    free(text);
    json_decref(json);
}

static void read_word(const char *word)
{
    const char *value = strchr(word, '=');
    size_t len = value ? (size_t)(value++ - word) : 0;

    if (strncmp(word, "dir", len) == 0)
        snprintf(dir, sizeof(dir), "%s", value);
    else if (strncmp(word, "etcd", len) == 0)
        snprintf(settings.etcd.endpoints, sizeof(settings.etcd.endpoints), "%s", value);
    else if (strncmp(word, "members", len) == 0 && len == 7)
        settings.members = (unsigned)atoi(value);
    else if (strncmp(word, "member", len) == 0 && len == 6)
        settings.member = (unsigned)atoi(value);
    else if (strncmp(word, "shards", len) == 0)
        settings.shards = (unsigned)atoi(value);
    else if (strncmp(word, "log", len) == 0)
        log_id = strtoull(value, NULL, 10);
    else
        die(word, NULL);
}

int main(int argc, char **argv)
{
    struct fg_member_options o = {
        .settings = &settings,
        .log_dir = dir,
        .items_max = 4,
        .hooks = {.begin = begin, .take = take, .give = give, .stop = stop}};
    pthread_mutexattr_t recursive;
    struct fg_error err = {""};
    struct fg_member *m;
    char line[64];
    json_t *json;

    for (int i = 1; i < argc; i++)
        read_word(argv[i]);
    strcpy(settings.etcd.prefix, "floodgate/");
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&mutex, &recursive);
    pthread_cond_init(&answered, NULL);
    open_log();
    news = true;
    o.log_id = log_id;
    m = fg_member_start(&o, &err);
    if (!m)
        die("start", &err);
    while (fgets(line, sizeof(line), stdin) && (json = obey(m, line)))
        print(json);
    fg_member_stop(m);
    print(json_pack("{s:b}", "stopped", 1));
    return 0;
}
