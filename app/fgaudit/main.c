/* SPDX-License-Identifier: BSD-3-Clause */
/* fgaudit: do the log, Redis, PostgreSQL and the clients tell the same story? docs/audit.md */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "fleet/map.h"
#include "lottery.h"
#include "members.h"
#include "progress.h"
#include "report.h"
#include "runs.h"
#include "snapshot.h"

#define FILES_MAX 256
#define SHARDS    256 /* as [fleet] shards */

enum { EXIT_PASS, EXIT_DIFFERENT, EXIT_UNREADABLE };

struct options {
    bool fleet;
    const char *pools;
    uint64_t shards;         /* 0 = not given */
    const char *const *dirs; /* of the members' logs */
    unsigned dir_count;
    const char *log, *logs, *peer, *json, *files[FILES_MAX];
    unsigned file_count;
    bool complete;
    bool lottery;
    uint64_t limit_lists, settle_ms, lottery_item;
    struct fg_redis_audit redis;       /* address NULL = no Redis */
    struct fg_postgres_audit postgres; /* conninfo NULL = no PostgreSQL */
};

static const char usage[] =
    "Usage: fgaudit --log DIR [OPTION...]\n"
    "       fgaudit --fleet [--pools FILE] DIR0 DIR1...\n"
    "Says whether the log, Redis, PostgreSQL and what clients were told are the same story.\n"
    "\n"
    "  --log DIR                    directory of the log; its daemon may run\n"
    "  --logs DIR                   instead: a directory of log directories, one of each run; each "
    "is "
    "audited by\n"
    "                               itself, without Redis, PostgreSQL and clients\n"
    "  --fleet                      instead: the logs of all members of a fleet, in the order of "
    "their numbers; '-'\n"
    "                               stands for a lost one. Is each unit somewhere, once? First "
    "stop "
    "or freeze the\n"
    "                               fleet\n"
    "  --pools FILE                 with --fleet: what etcd has of it, from `fgctl fleet dump`\n"
    "  --shards N                   with --fleet and without --pools: of its map (default 256)\n"
    "  --peer DIR                   log of the other appliance of a pair: is one the beginning of "
    "the "
    "other?\n"
    "  --redis ADDRESS              host:port, [v6]:port or unix:/path; compared with the log\n"
    "  --redis-prefix PREFIX        of the keys (default floodgate)\n"
    "  --redis-member N             the keys of member N of a fleet\n"
    "  --redis-db N                 database (default 0)\n"
    "  --redis-user NAME            ACL user\n"
    "  --redis-password-file FILE   first line is the password (default: environment "
    "REDISCLI_AUTH)\n"
    "  --redis-wait-ms N            so long may Redis take to reach the end of the log (default "
    "1000)\n"
    "  --redis-stream-max N         the stream keeps about N entries (stream_max of the sink; "
    "default "
    "1000000, 0 = all)\n"
    "  --postgres CONNINFO          connection string of libpq; compared with the log\n"
    "  --postgres-schema NAME       of the tables (default floodgate)\n"
    "  --postgres-wait-ms N         so long may PostgreSQL take to reach the end of the log "
    "(default 1000)\n"
    "  --client FILE                orders as the load generator was told; may be given several "
    "times\n"
    "  --client-complete            the files name every order: any other in the log is a problem\n"
    "  --lottery[=ITEM]             prints each draw at the opening of an item, and the order that "
    "it gave\n"
    "  --settle-ms N                so long after a change of an item its old limits may be used "
    "(default "
    "2000)\n"
    "  --json FILE                  writes the result as JSON, '-' = standard output (the text "
    "goes to "
    "stderr)\n"
    "  --limit-lists N              problems listed of each kind (default 20)\n"
    "  --help\n"
    "\n"
    "Exit: 0 the stories agree, 1 they differ, 2 something cannot be read or an option is wrong.\n";

static __attribute__((noreturn, format(printf, 1, 2))) void refuse(const char *fmt, ...)
{
    va_list args;

    fg_progress_end();
    fputs("fgaudit: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    exit(EXIT_UNREADABLE);
}

static uint64_t number_from(const char *name, const char *text, uint64_t min, uint64_t max)
{
    char *end;
    uint64_t value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value < min || value > max)
        refuse("--%s '%s': accepted is %" PRIu64 "..%" PRIu64, name, text, min, max);
    return value;
}

static uint64_t number(const char *name, const char *text, uint64_t max)
{
    return number_from(name, text, 0, max);
}

static void take_password(struct fg_redis_audit *a, const char *password, const char *from)
{
    size_t len = strcspn(password, "\r\n");

    if (!len || len >= sizeof(a->password))
        refuse("%s: a password of %zu bytes, accepted: 1..%zu", from, len, sizeof(a->password) - 1);
    memcpy(a->password, password, len);
    a->password[len] = '\0';
}

static void read_password(struct fg_redis_audit *a, const char *path)
{
    FILE *file = fopen(path, "re");
    char line[512] = "";

    if (!file || !fgets(line, sizeof(line), file))
        refuse("%s: %s", path, file ? "no first line" : strerror(errno));
    fclose(file);
    take_password(a, line, path);
    explicit_bzero(line, sizeof(line));
}

enum {
    OPT_LOG = 1000,
    OPT_LOGS,
    OPT_FLEET,
    OPT_POOLS,
    OPT_SHARDS,
    OPT_PEER,
    OPT_REDIS,
    OPT_PREFIX,
    OPT_REDIS_MEMBER,
    OPT_DB,
    OPT_USER,
    OPT_PASSWORD,
    OPT_WAIT,
    OPT_STREAM,
    OPT_POSTGRES,
    OPT_POSTGRES_SCHEMA,
    OPT_POSTGRES_WAIT,
    OPT_CLIENT,
    OPT_COMPLETE,
    OPT_LOTTERY,
    OPT_SETTLE,
    OPT_JSON,
    OPT_LIMIT,
    OPT_HELP
};

static const struct option options_list[] = {
    {"log", required_argument, NULL, OPT_LOG},
    {"logs", required_argument, NULL, OPT_LOGS},
    {"fleet", no_argument, NULL, OPT_FLEET},
    {"pools", required_argument, NULL, OPT_POOLS},
    {"shards", required_argument, NULL, OPT_SHARDS},
    {"peer", required_argument, NULL, OPT_PEER},
    {"redis", required_argument, NULL, OPT_REDIS},
    {"redis-prefix", required_argument, NULL, OPT_PREFIX},
    {"redis-member", required_argument, NULL, OPT_REDIS_MEMBER},
    {"redis-db", required_argument, NULL, OPT_DB},
    {"redis-user", required_argument, NULL, OPT_USER},
    {"redis-password-file", required_argument, NULL, OPT_PASSWORD},
    {"redis-wait-ms", required_argument, NULL, OPT_WAIT},
    {"redis-stream-max", required_argument, NULL, OPT_STREAM},
    {"postgres", required_argument, NULL, OPT_POSTGRES},
    {"postgres-schema", required_argument, NULL, OPT_POSTGRES_SCHEMA},
    {"postgres-wait-ms", required_argument, NULL, OPT_POSTGRES_WAIT},
    {"client", required_argument, NULL, OPT_CLIENT},
    {"client-complete", no_argument, NULL, OPT_COMPLETE},
    {"lottery", optional_argument, NULL, OPT_LOTTERY},
    {"settle-ms", required_argument, NULL, OPT_SETTLE},
    {"json", required_argument, NULL, OPT_JSON},
    {"limit-lists", required_argument, NULL, OPT_LIMIT},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0}};

static void take_redis_option(struct fg_redis_audit *a, int option, const char *value)
{
    switch (option) {
    case OPT_REDIS:
        a->address = value;
        break;
    case OPT_PREFIX:
        a->prefix = value;
        break;
    case OPT_REDIS_MEMBER:
        a->of_fleet = true;
        a->member = (unsigned)number("redis-member", value, FG_FLEET_MEMBERS_MAX - 1);
        break;
    case OPT_DB:
        a->database = (unsigned)number("redis-db", value, 1000000);
        break;
    case OPT_USER:
        a->user = value;
        break;
    case OPT_PASSWORD:
        read_password(a, value);
        break;
    case OPT_WAIT:
        a->wait_ms = number("redis-wait-ms", value, 86400000);
        break;
    case OPT_STREAM:
        a->stream_max = number("redis-stream-max", value, UINT64_MAX);
        break;
    }
}

static void take_option(struct options *o, int option, const char *value)
{
    switch (option) {
    case OPT_LOG:
        o->log = value;
        break;
    case OPT_POSTGRES:
        o->postgres.conninfo = value;
        break;
    case OPT_POSTGRES_SCHEMA:
        o->postgres.schema = value;
        break;
    case OPT_POSTGRES_WAIT:
        o->postgres.wait_ms = number("postgres-wait-ms", value, 86400000);
        break;
    case OPT_FLEET:
        o->fleet = true;
        break;
    case OPT_POOLS:
        o->pools = value;
        break;
    case OPT_SHARDS:
        o->shards = number_from("shards", value, 1, FG_POOLS_SHARDS_MAX);
        break;
    case OPT_PEER:
        o->peer = value;
        break;
    case OPT_LOGS:
        o->logs = value;
        break;
    case OPT_CLIENT:
        if (o->file_count == FILES_MAX)
            refuse("more than %d client files", FILES_MAX);
        o->files[o->file_count++] = value;
        break;
    case OPT_COMPLETE:
        o->complete = true;
        break;
    case OPT_LOTTERY:
        o->lottery = true;
        o->lottery_item = value ? number("lottery", value, UINT64_MAX) : 0;
        break;
    case OPT_SETTLE:
        o->settle_ms = number("settle-ms", value, 86400000);
        break;
    case OPT_JSON:
        o->json = value;
        break;
    case OPT_LIMIT:
        o->limit_lists = number("limit-lists", value, 100000000);
        break;
    case OPT_HELP:
        fputs(usage, stdout);
        exit(EXIT_PASS);
    case '?':
        fputs(usage, stderr);
        exit(EXIT_UNREADABLE);
    default:
        take_redis_option(&o->redis, option, value);
    }
}

static void check_fleet(struct options *o)
{
    if (!o->fleet && (o->pools || o->shards))
        refuse("--pools and --shards go with --fleet");
    if (!o->fleet)
        return;
    if (o->log || o->logs || o->peer || o->redis.address || o->postgres.conninfo || o->file_count)
        refuse(
            "--fleet goes without --log, --logs, --peer, --redis, --postgres and --client: audit "
            "each member with --log");
    if (o->pools && o->shards)
        refuse("--shards is given together with --pools, which has the map");
    if (o->dir_count < 1 || o->dir_count > FG_POOLS_MEMBERS_MAX)
        refuse("--fleet DIR...: %u logs, accepted: 1..%d", o->dir_count, FG_POOLS_MEMBERS_MAX);
}

static void parse_options(struct options *o, int argc, char **argv)
{
    const char *password = getenv("REDISCLI_AUTH");
    int option;

    *o = (struct options){.limit_lists = 20, .settle_ms = 2000};
    o->redis.prefix = "floodgate";
    o->redis.wait_ms = o->postgres.wait_ms = 1000;
    o->postgres.schema = "floodgate";
    o->redis.stream_max = 1000000; /* as [redis] stream_max */
    while ((option = getopt_long(argc, argv, "", options_list, NULL)) != -1)
        take_option(o, option, optarg);
    o->dirs = (const char *const *)argv + optind;
    o->dir_count = (unsigned)(argc - optind);
    check_fleet(o);
    if (o->fleet)
        return;
    if (optind < argc)
        refuse("what is '%s'? See --help", argv[optind]);
    if (!o->log == !o->logs)
        refuse("--log DIR is %s. See --help", o->log ? "given together with --logs" : "missing");
    if (o->logs && (o->redis.address || o->postgres.conninfo || o->file_count || o->peer))
        refuse("--logs goes without --peer, --redis, --postgres and --client: they belong to one "
               "run, "
               "audit it with "
               "--log");
    if (o->redis.address && !o->redis.password[0] && password && *password)
        take_password(&o->redis, password, "REDISCLI_AUTH");
    if (o->redis.user && !o->redis.password[0])
        refuse("--redis-user without a password: --redis-password-file or REDISCLI_AUTH");
    if (o->complete && !o->file_count)
        refuse("--client-complete without --client");
}

static void write_report(const struct fg_report *report, const char *json)
{
    FILE *out;

    if (!json || strcmp(json, "-") != 0) {
        fg_report_text(report, stdout);
    } else {
        fg_report_text(report, stderr);
        fg_report_json(report, stdout);
    }
    if (json && strcmp(json, "-") != 0) {
        out = fopen(json, "we");
        if (!out)
            refuse("%s: %s", json, strerror(errno));
        fg_report_json(report, out);
        if (ferror(out) | fclose(out))
            refuse("%s: cannot be written", json);
    }
    if (fflush(stdout))
        refuse("standard output: %s", strerror(errno));
}

static void audit_clients(struct options *o, struct fg_client *client, struct fg_story *story)
{
    struct fg_error err;

    for (unsigned i = 0; i < o->file_count; i++) {
        if (!fg_client_read(client, o->files[i], story, &err))
            refuse("%s", err.text);
    }
    fg_client_unnamed(client, story, o->complete);
}

int main(int argc, char **argv)
{
    uint64_t start_ms = fg_now_ms(), snapshots;
    struct fg_problems problems = {0};
    struct fg_client client = {0};
    struct fg_peer peer = {0};
    struct fg_report report;
    struct fg_story story;
    struct fg_error err;
    struct options o;
    struct fg_log log;
    bool passed;

    parse_options(&o, argc, argv);
    if (o.fleet)
        return fg_members_audit(
            &(struct fg_members_options){.dirs = o.dirs,
                                         .count = o.dir_count,
                                         .pools = o.pools,
                                         .json = o.json,
                                         .shards = o.shards ? (unsigned)o.shards : SHARDS,
                                         .settle_ms = o.settle_ms,
                                         .limit_lists = o.limit_lists});
    if (o.logs)
        return fg_runs_audit(&(struct fg_runs_options){
            .dir = o.logs, .json = o.json, .settle_ms = o.settle_ms, .limit_lists = o.limit_lists});
    problems.limit = o.limit_lists;
    o.redis.problems = o.postgres.problems = &problems;
    if (o.redis.address && !fg_redis_audit_open(&o.redis))
        refuse("%s", o.redis.error.text);
    if (o.postgres.conninfo && !fg_postgres_audit_open(&o.postgres))
        refuse("%s", o.postgres.error.text);
    if (!fg_log_open(&log, o.log, &problems, &err))
        refuse("%s", err.text);
    fg_story_init(&story, &problems, o.settle_ms);
    if (!fg_snapshots_begin(&story, &log, &err))
        refuse("%s", err.text);
    fg_snapshots_read(&story, &log, &snapshots);
    audit_clients(&o, &client, &story);
    peer.dir = o.peer;
    if (o.peer && !fg_peer_compare(&peer, o.log, &problems, &err))
        refuse("%s", err.text);
    if (o.redis.address && !fg_redis_audit_compare(&o.redis, &story, &log))
        refuse("%s", o.redis.error.text);
    if (o.postgres.conninfo && !fg_postgres_audit_compare(&o.postgres, &story, &log))
        refuse("%s", o.postgres.error.text);
    fg_story_conservation(&story);
    fg_progress_end();
    report = (struct fg_report){.problems = &problems,
                                .story = &story,
                                .log = &log,
                                .snapshots = snapshots,
                                .redis = o.redis.address ? &o.redis : NULL,
                                .postgres = o.postgres.conninfo ? &o.postgres : NULL,
                                .peer = o.peer ? &peer : NULL,
                                .client = o.file_count ? &client : NULL,
                                .oversold = fg_story_oversold(&story),
                                .elapsed_ms = fg_now_ms() - start_ms};
    passed = fg_report_passed(&report);
    write_report(&report, o.json);
    if (o.lottery)
        fg_lottery_print(&story, o.lottery_item, o.json && !strcmp(o.json, "-") ? stderr : stdout);
    fg_redis_audit_close(&o.redis);
    fg_postgres_audit_close(&o.postgres);
    fg_story_free(&story);
    fg_log_close(&log);
    fg_problems_free(&problems);
    return passed ? EXIT_PASS : EXIT_DIFFERENT;
}
