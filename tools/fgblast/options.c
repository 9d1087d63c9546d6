/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/fgblast/options.h"

#include <getopt.h>
#include <string.h>

#include "packet/packet.h"

enum kind { FLAG, NUMBER, SHARE, TEXT, CALL };

struct row {
    const char *name, *value,
        *preset; /**< preset: the default, as it would be typed; NULL = none */
    enum kind kind;
    size_t at; /**< offset in struct fg_blast_options; TEXT: size in max */
    uint64_t min, max;
    bool (*call)(struct fg_blast_options *options, const char *text, struct fg_error *err);
    const char *help;
};

static bool set_server_mac(struct fg_blast_options *o, const char *text, struct fg_error *err)
{
    o->server_mac_set = true;
    return fg_value_mac(text, o->server_mac, err);
}

static bool set_standby_mac(struct fg_blast_options *o, const char *text, struct fg_error *err)
{
    o->standby_mac_set = true;
    return fg_value_mac(text, o->standby_mac, err);
}

static bool set_client_mac(struct fg_blast_options *o, const char *text, struct fg_error *err)
{
    o->client_mac_set = true;
    return fg_value_mac(text, o->client_mac, err);
}

static bool set_blocked(struct fg_blast_options *o, const char *text, struct fg_error *err)
{
    return fg_value_range(text, &o->blocked, err);
}

static bool set_overrate(struct fg_blast_options *o, const char *text, struct fg_error *err)
{
    return fg_value_range(text, &o->overrate, err);
}

static bool set_nonce(struct fg_blast_options *o, const char *text, struct fg_error *err)
{
    o->nonce_set = true;
    return fg_value_number(text, 0, UINT64_MAX, &o->nonce) ||
           fg_fail(err, "%s: not a number from 0 to 2^64-1", text);
}

static bool set_zipf(struct fg_blast_options *o, const char *text, struct fg_error *err)
{
    char *end;

    o->zipf = strtod(text, &end);
    return (end != text && !*end && o->zipf >= 0 && o->zipf <= 10) ||
           fg_fail(err, "%s: not a number from 0 to 10", text);
}

#define AT(field)   offsetof(struct fg_blast_options, field)
#define SIZE(field) sizeof(((struct fg_blast_options *)0)->field)
#define F(name, field, help)                                                                       \
    {                                                                                              \
        name, NULL, NULL, FLAG, AT(field), 0, 1, NULL, help                                        \
    }
#define N(name, v, d, field, a, b, h)                                                              \
    {                                                                                              \
        name, v, d, NUMBER, AT(field), a, b, NULL, h                                               \
    }
#define S(name, preset, field, help)                                                               \
    {                                                                                              \
        name, "SHARE", preset, SHARE, AT(field), 0, 1, NULL, help                                  \
    }
#define T(name, value, field, help)                                                                \
    {                                                                                              \
        name, value, NULL, TEXT, AT(field), 1, SIZE(field) - 1, NULL, help                         \
    }
#define C(name, v, preset, call, h)                                                                \
    {                                                                                              \
        name, v, preset, CALL, 0, 0, 0, call, h                                                    \
    }

#define BILLION 1000000000ull

/* clang-format off */
static const struct row rows[] = {
    T("interface", "IFNAME", interface, "send and receive by AF_XDP on this interface"),
    T("device", "DEV", device, "any other DPDK device: net_memif0,role=client,... net_af_packet0,iface=... or a PCI address"),
    N("cpu", "CPU", "0", cpu, 0, 1023, "the generator polls on this CPU"),
    N("descriptors", "N", "1024", descriptors, 64, 4096, "of the receive and of the transmit ring"),
    N("mbufs", "N", "0", mbufs, 0, 1048576, "packet buffers; 0 = 16384, or 8192 without hugepages"),
    F("no-huge", no_huge, "do not use hugepages (the default where there are none)"),
    C("server", "IP[:PORT]", NULL, fg_value_target, "the appliance; [IPv6]:PORT; give one of each family for both"),
    N("steer", "N", "1", steer, 1, 64, "order ports of the appliance (docs/protocol.md, Steering): each request goes to that of its user"),
    C("source-base", "IP", NULL, fg_value_source, "first address of the shoppers; one for each server"),
    N("sources", "N", "16", sources, 1, 65536, "number of addresses of the shoppers"),
    C("server-mac", "MAC", NULL, set_server_mac, "of the appliance or the next hop; else asked by ARP or neighbour discovery"),
    C("standby", "IP", NULL, fg_value_standby, "the other box of a pair, with the same order port: asked in turn while no answer comes, or NOT_LEADER"),
    C("standby-mac", "MAC", NULL, set_standby_mac, "of it or the next hop to it"),
    C("client-mac", "MAC", NULL, set_client_mac, "our own; else that of the port"),
    T("keys", "FILE", keys, "key file: ID ROLE[,ROLE...] SECRET"),
    N("shop-key", "ID", "1", shop_key, 1, 65535, "key of RESERVE and CANCEL"),
    N("backend-key", "ID", "2", backend_key, 1, 65535, "key of CONFIRM"),

    N("shoppers", "N", "1000", shoppers, 1, 16777216, "users; each has one order under way at a time"),
    N("user-base", "N", "1", user_base, 1, 1ull << 62, "number of the first user"),
    N("members", "N", "0", members, 0, 16, "of a fleet: the users are those of one member alone; 0 = no fleet"),
    N("member", "N", "0", member, 0, 15, "this one, from 0: the one at --server"),
    N("shards", "N", "256", shards, 1, 1024, "of the fleet: shard n is of member n modulo --members"),
    C("items", "LIST", "1", fg_value_items, "items, the most popular first: 7,9,100-149"),
    C("zipf", "S", "0", set_zipf, "popularity falls with rank^S; 0 = all alike"),
    C("hot", "ITEM:SHARE", NULL, fg_value_hot, "one item gets this share of the orders, the rest as by --zipf"),
    C("quantity", "DIST", "1", fg_value_quantity, "units of an order: 2, or 1-4, or 1:0.8,2:0.15,5:0.05"),

    N("orders", "N", "0", orders, 0, 1ull << 28, "stop after this many orders"),
    N("packets", "N", "0", packets, 0, 1ull << 40, "begin no new order after this many packets of any kind"),
    N("seconds", "N", "0", seconds, 0, 86400, "begin no new order after this time"),
    N("drain-seconds", "N", "60", drain_seconds, 0, 86400, "then wait at most so long for what is under way"),
    N("rate", "PPS", "0", rate, 0, BILLION, "requests a second without attacks; 0 = flat out"),
    N("window", "N", "512", window, 1, 16777216, "requests that may wait for their answer at a time"),

    S("duplicates", "0", duplicates, "requests that are sent twice"),
    S("replays", "0", replays, "further packets: an old request, byte for byte"),
    S("forged", "0", forged, "further packets: wrong tag"),
    S("malformed", "0", malformed, "further packets: wrong length, version, reserved bits, fragment, ..."),
    C("blocked-sources", "RANGE", NULL, set_blocked, "attackers on the block list: CIDR or FIRST-LAST; must never be answered"),
    N("blocked-rate", "PPS", "1000", blocked_rate, 1, BILLION, "packets a second of all of them"),
    C("overrate-sources", "RANGE", NULL, set_overrate, "attackers over their rate; few answers expected"),
    N("overrate-rate", "PPS", "1000", overrate_rate, 1, BILLION, "packets a second of all of them"),

    S("confirm", "1", confirm, "accepted orders that are paid"),
    S("cancel", "0", cancel, "accepted orders that are cancelled; those neither paid nor cancelled expire"),
    S("late", "0", late, "orders left to expire that are paid after all, too late"),
    F("served", served, "an order service pays and cancels orders, and no shopper does: orders may be SOLD or CANCELLED unasked"),
    N("confirm-delay-ms", "MS", "0", confirm_delay_ms, 0, 3600000, "time from acceptance to payment or cancellation, about"),
    N("again-ms", "MS", "0", again_ms, 0, 3600000, "shoppers who got SOLD_OUT ask again after this time, until units can no longer come back; 0 = never"),
    S("again", "1", again, "of them, those who do"),
    N("timeout-ms", "MS", "200", timeout_ms, 1, 60000, "an unanswered request is sent again; doubles each time up to 5 s"),
    N("retries", "N", "8", retries, 0, 200, "at most this many times"),

    N("seed", "S", "1", seed, 0, UINT64_MAX, "of all random choices"),
    C("nonce", "N", NULL, set_nonce, "first half of all order ids; random if not given"),

    F("crowd", crowd, "a sale of any size at full speed: everything is checked, state is kept of accepted orders only"),
    N("flat", "N", "0", flat, 0, 16777216, "benchmark: N requests signed at start, sent in turn, no state of orders"),
    F("echo", echo, "with --flat: the peer sends the frames back as they are; only counted"),
    F("open", open, "with --flat and --rate: packets leave when they are due, whatever was answered; what the port has no room for is dropped"),
    N("fresh-every", "N", "0", fresh_every, 0, BILLION, "with --flat: every Nth packet is an order that was not sent before; 0 = none"),
    N("fresh-item", "ITEM", "1", fresh_item, 1, UINT64_MAX, "item of these orders"),
    N("sample", "N", "64", sample, 1, 1048576, "with --flat: every Nth answer's tag is checked"),
    T("audit", "FILE", audit, "writes what was told of each order"),
    T("pcap", "FILE", pcap, "writes what is sent as pcap; without --interface and --device instead of sending"),
    T("json", "FILE", json, "writes the summary; - = standard output"),
    N("progress", "SECONDS", "0", progress, 0, 3600, "a line on standard error, seconds from one to the next"),
    F("progress-json", progress_json, "a line of JSON on standard output each second"),
};
/* clang-format on */

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static bool set_share(double *share, const char *text, struct fg_error *err)
{
    char *end;

    *share = strtod(text, &end);
    return (end != text && !*end && *share >= 0 && *share <= 1) ||
           fg_fail(err, "%s: not a share from 0 to 1", text);
}

static bool set_text(char *to, size_t max, const char *text, struct fg_error *err)
{
    if (!*text || strlen(text) > max)
        return fg_fail(err, "must have 1 to %zu characters", max);
    memcpy(to, text, strlen(text) + 1);
    return true;
}

static bool set(struct fg_blast_options *o, const struct row *row, const char *text,
                struct fg_error *err)
{
    void *at = (char *)o + row->at;
    struct fg_error why;
    bool good = false;

    switch (row->kind) {
    case FLAG:
        *(uint64_t *)at = 1;
        return true;
    case NUMBER:
        good = fg_value_number(text, row->min, row->max, at) ||
               fg_fail(&why, "%s: not a number from %llu to %llu", text,
                       (unsigned long long)row->min, (unsigned long long)row->max);
        break;
    case SHARE:
        good = set_share(at, text, &why);
        break;
    case TEXT:
        good = set_text(at, row->max, text, &why);
        break;
    case CALL:
        good = row->call(o, text, &why);
        break;
    }
    return good || fg_fail(err, "--%s: %s", row->name, why.text);
}

static bool check_targets(const struct fg_blast_options *o, struct fg_error *err)
{
    const struct fg_range *ranges[] = {&o->blocked, &o->overrate};

    if (o->targets_count == 0)
        return fg_fail(err, "--server is missing");
    for (unsigned i = 0; i < o->targets_count; i++) {
        const struct fg_target *t = &o->targets[i];

        if (!t->server.family)
            return fg_fail(err,
                           "--server of family IPv%u is missing: there is a --source-base of it",
                           t->source.family);
        if (!t->source.family)
            return fg_fail(err,
                           "--source-base of family IPv%u is missing: there is a --server of it",
                           t->server.family);
    }
    for (unsigned i = 0; i < 2; i++) {
        bool found = ranges[i]->count == 0;

        for (unsigned t = 0; t < o->targets_count; t++)
            found |= o->targets[t].server.family == ranges[i]->first.family;
        if (!found)
            return fg_fail(err, "%s: no --server of that family",
                           i ? "--overrate-sources" : "--blocked-sources");
    }
    return true;
}

/* The shoppers believe in one leader, so there is one server. */
static bool check_standby(const struct fg_blast_options *o, struct fg_error *err)
{
    if (!o->standby.family)
        return !o->standby_mac_set || fg_fail(err, "--standby-mac needs --standby");
    if (o->targets_count > 1 || o->targets[0].server.family != o->standby.family)
        return fg_fail(err, "--standby needs one --server, of the same family");
    if (o->flat || o->crowd)
        return fg_fail(err, "--standby goes without --flat and --crowd");
    return o->standby_mac_set || fg_fail(err, "--standby needs --standby-mac");
}

static bool check_crowd(const struct fg_blast_options *o, struct fg_error *err)
{
    if (!o->interface[0] && !o->device[0])
        return fg_fail(err, "--crowd needs --interface or --device");
    if (o->flat || o->pcap[0] || o->served || o->steer > 1)
        return fg_fail(err, "--crowd goes without --flat, --pcap, --served and --steer");
    if (o->replays > 0 || o->forged > 0 || o->malformed > 0 || o->blocked.count ||
        o->overrate.count || o->again_ms || o->rate)
        return fg_fail(err, "--crowd knows no attacks, replays, --again-ms and --rate");
    return true;
}

static bool check(const struct fg_blast_options *o, struct fg_error *err)
{
    if (o->interface[0] && o->device[0])
        return fg_fail(err, "--interface and --device exclude each other");
    if (!o->interface[0] && !o->device[0] && !o->pcap[0])
        return fg_fail(err, "one of --interface, --device, --pcap is needed");
    if (!o->keys[0])
        return fg_fail(err, "--keys is missing");
    if (o->confirm + o->cancel > 1.0 + 1e-9)
        return fg_fail(err, "--confirm and --cancel together: %g is more than 1",
                       o->confirm + o->cancel);
    if (o->served && (o->confirm > 0 || o->late > 0))
        return fg_fail(err, "--served needs --confirm 0, and no --late: no shopper pays");
    if (!o->orders && !o->packets && !o->seconds)
        return fg_fail(
            err, "one of --orders, --packets, --seconds is needed: nothing else ends the run");
    if (o->member && o->member >= o->members)
        return fg_fail(err, "--member %u needs --members above it", (unsigned)o->member);
    if (o->shards < o->members)
        return fg_fail(err, "--shards %u is below --members", (unsigned)o->shards);
    if (o->echo && !o->flat)
        return fg_fail(err, "--echo needs --flat");
    if (o->crowd && !check_crowd(o, err))
        return false;
    if ((o->open || o->fresh_every) && !o->flat)
        return fg_fail(err, "--open and --fresh-every need --flat");
    if (o->open && !o->rate)
        return fg_fail(err, "--open needs --rate");
    if (o->flat && !o->interface[0] && !o->device[0])
        return fg_fail(err, "--flat needs --interface or --device");
    if (o->flat && (o->audit[0] || o->pcap[0]))
        return fg_fail(err, "--flat keeps no orders: no --audit, no --pcap");
    if (o->flat && !o->seconds && !o->packets)
        return fg_fail(err, "--flat needs --seconds or --packets");
    return check_targets(o, err) && check_standby(o, err);
}

static bool set_presets(struct fg_blast_options *o, struct fg_error *err)
{
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].preset && !set(o, &rows[i], rows[i].preset, err))
            return false;
    return true;
}

enum fg_options_result fg_options_parse(struct fg_blast_options *options, int argc, char **argv,
                                        struct fg_error *err)
{
    struct option longs[ROWS + 2] = {{0}};
    int which;

    memset(options, 0, sizeof(*options));
    for (size_t i = 0; i < ROWS; i++)
        longs[i] = (struct option){rows[i].name,
                                   rows[i].kind == FLAG ? no_argument : required_argument, NULL, 1};
    longs[ROWS] = (struct option){"help", no_argument, NULL, 'h'};
    if (!set_presets(options, err))
        return FG_OPTIONS_WRONG;
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "h", longs, &which)) != -1;) {
        if (c == 'h')
            return FG_OPTIONS_HELP;
        if (c != 1 || !set(options, &rows[which], optarg, err)) {
            if (c != 1)
                fg_fail(err, "see --help");
            return FG_OPTIONS_WRONG;
        }
    }
    if (optind < argc) {
        fg_fail(err, "%s: not an option; see --help", argv[optind]);
        return FG_OPTIONS_WRONG;
    }
    return check(options, err) ? FG_OPTIONS_RUN : FG_OPTIONS_WRONG;
}

void fg_options_free(struct fg_blast_options *options)
{
    free(options->items);
    options->items = NULL;
}

void fg_options_help(FILE *out)
{
    fputs(
        "fgblast: shoppers by the thousand, for tests and benchmarks of a Floodgate appliance\n\n"
        "  fgblast --interface IFNAME --server IP --source-base IP --keys FILE --seconds 10 ...\n\n"
        "A SHARE is a number from 0 to 1. Exit code: 0 all answers were legal, 1 some contradicted "
        "the\n"
        "protocol or an earlier answer, 2 wrong options, 3 could not run.\n\n",
        out);
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *row = &rows[i];
        int width = fprintf(out, "  --%s %s", row->name, row->value ? row->value : "");

        fprintf(out, "%*s%s", width < 32 ? 32 - width : 1, "", row->help);
        if (row->kind == NUMBER)
            fprintf(out, " (%llu..%llu)", (unsigned long long)row->min,
                    (unsigned long long)row->max);
        if (row->preset)
            fprintf(out, " [%s]", row->preset);
        fputc('\n', out);
    }
}
