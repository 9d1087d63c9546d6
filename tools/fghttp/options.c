/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "base/option.h"

static const char usage[] =
    "usage: fghttp --server IP:PORT --ca FILE --user-secret FILE --audit FILE [OPTION...]\n"
    "Shoppers who buy from the gateway over HTTPS: each logs in, keeps one connection, orders,\n"
    "repeats what was not answered under the same key, and follows its orders by long poll or "
    "gives\n"
    "them back. Writes what each was told for fgaudit.\n"
    "  --server IP:PORT       the gateway (IPv4)\n"
    "  --ca FILE              PEM: its certificate, or the authority's\n"
    "  --user-secret FILE     secret of the gateway (floodgate_user_secret): the file of answers\n"
    "                         needs the numbers of the users\n"
    "  --audit FILE           what each shopper was told (docs/audit.md)\n"
    "  --json FILE            summary; - = standard output\n"
    "  --shoppers N           connections [100]\n"
    "  --orders N             of each shopper [4]\n"
    "  --seconds N            in which the orders are begun [10]\n"
    "  --seconds-max N        then what is under way is given up [seconds + 60]\n"
    "  --items FIRST-LAST     [1-1]\n"
    "  --hot ITEM:SHARE       this item gets this share of the orders\n"
    "  --cancel SHARE         of the accepted orders are given back [0]\n"
    "  --source-base IP       a source address of its own for each shopper, counted from here\n"
    "  --seed N               [1]\n"
    "Exit: 0 all was answered as the protocol says; 1 not; 2 wrong use.\n";

/* Cuts text at the mark, and gives what is behind it; NULL when there is none. */
static char *cut(char *text, char mark)
{
    char *at = strchr(text, mark);

    if (at)
        *at++ = '\0';
    return at;
}

static bool server(struct options *o, char *text)
{
    char *port = cut(text, ':');
    uint64_t value;

    o->server.sin_family = AF_INET;
    if (!port || inet_pton(AF_INET, text, &o->server.sin_addr) != 1)
        return fg_option_wrong("server", text, "IP:PORT");
    if (!fg_option_number("server", port, 1, UINT16_MAX, &value))
        return false;
    o->server.sin_port = htons((uint16_t)value);
    return true;
}

static bool source(struct options *o, const char *text)
{
    struct in_addr address;

    if (inet_pton(AF_INET, text, &address) != 1)
        return fg_option_wrong("source-base", text, "an IPv4 address");
    o->source = ntohl(address.s_addr);
    return true;
}

static bool hot(struct options *o, char *text)
{
    char *part = cut(text, ':');

    return fg_option_number("hot", text, 1, UINT64_MAX, &o->hot) &&
           (part ? fg_option_share("hot", part, &o->hot_share)
                 : fg_option_wrong("hot", text, "ITEM:SHARE"));
}

/* As the module reads it: a line feed at the end does not count. */
static bool secret(struct options *o, const char *path)
{
    FILE *f = fopen(path, "re");

    if (!f) {
        fprintf(stderr, "fghttp: --user-secret %s: %s\n", path, strerror(errno));
        return false;
    }
    o->secret_size = fread(o->secret, 1, sizeof(o->secret), f);
    fclose(f);
    if (o->secret_size && o->secret[o->secret_size - 1] == '\n')
        o->secret_size--;
    return o->secret_size >= 16 || fg_option_wrong("user-secret", path, "16 to 255 bytes");
}

static const struct option names[] = {{"server", 1, 0, 's'},      {"ca", 1, 0, 'c'},
                                      {"user-secret", 1, 0, 'u'}, {"audit", 1, 0, 'a'},
                                      {"json", 1, 0, 'j'},        {"shoppers", 1, 0, 'n'},
                                      {"orders", 1, 0, 'o'},      {"seconds", 1, 0, 't'},
                                      {"seconds-max", 1, 0, 'T'}, {"items", 1, 0, 'i'},
                                      {"hot", 1, 0, 'H'},         {"cancel", 1, 0, 'C'},
                                      {"source-base", 1, 0, 'b'}, {"seed", 1, 0, 'e'},
                                      {"help", 0, 0, 'h'},        {0, 0, 0, 0}};

static bool take(struct options *o, int c)
{
    switch (c) {
    case 's':
        return server(o, optarg);
    case 'c':
        o->ca = optarg;
        return true;
    case 'u':
        return secret(o, optarg);
    case 'a':
        o->audit = optarg;
        return true;
    case 'j':
        o->json = optarg;
        return true;
    case 'n':
        return fg_option_number("shoppers", optarg, 1, 60000, &o->shoppers);
    case 'o':
        return fg_option_number("orders", optarg, 1, 10000, &o->orders);
    case 't':
        return fg_option_number("seconds", optarg, 1, 86400, &o->seconds);
    case 'T':
        return fg_option_number("seconds-max", optarg, 1, 90000, &o->seconds_max);
    case 'i':
        return fg_option_range("items", optarg, 1, UINT64_MAX, &o->items_first, &o->items_last);
    case 'H':
        return hot(o, optarg);
    case 'C':
        return fg_option_share("cancel", optarg, &o->cancel);
    case 'b':
        return source(o, optarg);
    case 'e':
        return fg_option_number("seed", optarg, 0, UINT64_MAX, &o->seed);
    default:
        return false;
    }
}

int options_parse(struct options *o, int argc, char **argv)
{
    int c;

    *o = (struct options){
        .shoppers = 100, .orders = 4, .seconds = 10, .items_first = 1, .items_last = 1, .seed = 1};
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (!take(o, c))
            return 2;
    }
    if (optind != argc || !o->server.sin_port || !o->ca || !o->secret_size || !o->audit) {
        fprintf(stderr, "fghttp: needs --server, --ca, --user-secret and --audit, and nothing "
                        "else without a name; --help lists the options\n");
        return 2;
    }
    if (!o->seconds_max)
        o->seconds_max = o->seconds + 60;
    return -1;
}
