/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <getopt.h>
#include <string.h>

#include "base/option.h"

static const char usage[] =
    "usage: order-service --redis ADDRESS --postgres CONNINFO (--server IP[:PORT] --keys FILE | "
    "--via "
    "stream) [OPTION...]\n"
    "Takes reservations from the event stream in Redis, charges for them (a pretended provider), "
    "writes each\n"
    "payment into PostgreSQL, and confirms or cancels the order. After it was killed it resumes "
    "its "
    "work.\n"
    "  --redis ADDRESS        host:port, [v6]:port or unix:/path\n"
    "  --redis-password-file FILE   its first line\n"
    "  --prefix WORD          of the keys in Redis [floodgate]\n"
    "  --redis-member N       the events, commands and results of member N of a fleet\n"
    "  --group WORD           consumer group on the event stream [order-service]\n"
    "  --postgres CONNINFO    as libpq takes it: 'host=... dbname=... user=...'; schema "
    "order_service is "
    "made in it\n"
    "  --via packets|stream   commands by order packets, or by {prefix}:commands in Redis "
    "[packets]\n"
    "  --server IP[:PORT]     the appliance; [v6]:PORT. Again for the other one of a pair\n"
    "  --member IP[:PORT][,IP[:PORT]]   in place of --server, once for each member of a fleet, "
    "from "
    "member 0 on:\n"
    "                         its appliance, or the two of its pair\n"
    "  --keys FILE            key file: ID ROLE[,ROLE...] SECRET\n"
    "  --backend-key ID       the key to use, of role backend [2]\n"
    "  --items FIRST-LAST     takes reservations of these items only [all]\n"
    "  --success SHARE        payments that succeed [1]\n"
    "  --failure SHARE        payments that are declined [0]; for the rest the provider never "
    "answers\n"
    "  --delay-ms MIN[-MAX]   until the provider answers [0]\n"
    "  --seed N               of its answers: the same order is always answered alike [1]\n"
    "  --open-max N           payments under way at a time; then no more events are taken "
    "[100000]\n"
    "  --until-idle SECONDS   end when nothing was under way for so long; 0 = continue until "
    "SIGTERM "
    "[0]\n"
    "  --progress SECONDS     a line on standard error, seconds from one to the next; 0 = none "
    "[0]\n"
    "  --json FILE            write the summary as JSON; - = standard output\n"
    "Exit: 0 ended as asked; 1 something cannot be used; 2 wrong use.\n";

static bool server(struct options *o, const char *text, unsigned member)
{
    char host[64];
    uint16_t port;
    struct fg_error err;

    if (o->servers_count == FG_CLIENT_SERVERS_MAX) {
        fprintf(stderr, "order-service: accepted: up to %d addresses\n", FG_CLIENT_SERVERS_MAX);
        return false;
    }
    if (!fg_client_address(text, host, &port, &err)) {
        fprintf(stderr, "order-service: --server: %s\n", err.text);
        return false;
    }
    o->member[o->servers_count] = (uint8_t)member;
    o->servers[o->servers_count++] = text;
    return true;
}

static bool member(struct options *o, char *text)
{
    char *rest;

    if (o->members == FG_CLIENT_MEMBERS_MAX) {
        fprintf(stderr, "order-service: --member: accepted: up to %d\n", FG_CLIENT_MEMBERS_MAX);
        return false;
    }
    for (char *one = strtok_r(text, ",", &rest); one; one = strtok_r(NULL, ",", &rest))
        if (!server(o, one, o->members))
            return false;
    o->members++;
    return true;
}

static bool redis_member(struct options *o, const char *text)
{
    uint64_t value;

    if (!fg_option_number("redis-member", text, 0, FG_CLIENT_MEMBERS_MAX - 1, &value))
        return false;
    o->redis_member = (unsigned)value;
    return true;
}

static bool way(struct options *o, const char *text)
{
    o->by_stream = !strcmp(text, "stream");
    return o->by_stream || !strcmp(text, "packets") ||
           fg_option_wrong("via", text, "packets, stream");
}

static const struct option names[] = {
    {"redis", 1, 0, 'r'},       {"redis-password-file", 1, 0, 'w'},
    {"prefix", 1, 0, 'p'},      {"redis-member", 1, 0, 'M'},
    {"group", 1, 0, 'g'},       {"postgres", 1, 0, 'P'},
    {"via", 1, 0, 'v'},         {"server", 1, 0, 's'},
    {"keys", 1, 0, 'k'},        {"member", 1, 0, 'm'},
    {"backend-key", 1, 0, 'b'}, {"items", 1, 0, 'i'},
    {"success", 1, 0, 'S'},     {"failure", 1, 0, 'F'},
    {"delay-ms", 1, 0, 'd'},    {"seed", 1, 0, 'e'},
    {"open-max", 1, 0, 'o'},    {"until-idle", 1, 0, 'u'},
    {"progress", 1, 0, 'R'},    {"json", 1, 0, 'j'},
    {"help", 0, 0, 'h'},        {0, 0, 0, 0}};

static bool take(struct options *o, int c)
{
    switch (c) {
    case 'r':
        o->redis = optarg;
        return true;
    case 'w':
        o->redis_password_file = optarg;
        return true;
    case 'p':
        o->prefix = optarg;
        return true;
    case 'M':
        o->of_fleet = true;
        return redis_member(o, optarg);
    case 'g':
        o->group = optarg;
        return true;
    case 'P':
        o->postgres = optarg;
        return true;
    case 's':
        o->by_server = true;
        return server(o, optarg, 0);
    case 'm':
        return member(o, optarg);
    case 'k':
        o->keys = optarg;
        return true;
    case 'j':
        o->json = optarg;
        return true;
    case 'v':
        return way(o, optarg);
    case 'b':
        return fg_option_number("backend-key", optarg, 1, 65535, &o->backend_key);
    case 'S':
        return fg_option_share("success", optarg, &o->success);
    case 'F':
        return fg_option_share("failure", optarg, &o->failure);
    case 'd':
        return fg_option_range("delay-ms", optarg, 0, 3600000, &o->delay_min_ms, &o->delay_max_ms);
    case 'i':
        return fg_option_range("items", optarg, 0, UINT64_MAX, &o->items_first, &o->items_last);
    case 'e':
        return fg_option_number("seed", optarg, 0, UINT64_MAX, &o->seed);
    case 'o':
        return fg_option_number("open-max", optarg, 1, 10000000, &o->open_max);
    case 'u':
        return fg_option_number("until-idle", optarg, 0, 86400, &o->until_idle_s);
    case 'R':
        return fg_option_number("progress", optarg, 0, 3600, &o->progress_s);
    default:
        return false;
    }
}

static bool complain(const char *what)
{
    fprintf(stderr, "order-service: %s; --help lists the options\n", what);
    return false;
}

static bool complete(const struct options *o)
{
    if (!o->redis)
        return complain("--redis is missing");
    if (!o->postgres)
        return complain("--postgres is missing");
    if (!o->by_stream && (!o->servers_count || !o->keys))
        return complain("--server (or --member) and --keys are missing (or --via stream)");
    if (o->by_server && o->members)
        return complain("--server and --member: one or the other");
    if (o->success + o->failure > 1 + 1e-9)
        return complain("--success and --failure together are more than 1");
    return true;
}

int options_parse(struct options *o, int argc, char **argv)
{
    int c;

    *o = (struct options){.prefix = "floodgate",
                          .group = "order-service",
                          .backend_key = 2,
                          .items_last = UINT64_MAX,
                          .success = 1,
                          .seed = 1,
                          .open_max = 100000};
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (!take(o, c))
            return 2;
    }
    if (optind != argc) {
        fprintf(stderr, "order-service: %s: not an option\n", argv[optind]);
        return 2;
    }
    return complete(o) ? -1 : 2;
}
