/* SPDX-License-Identifier: BSD-3-Clause */
/* fglog: prints the log, one record a line, as text or as JSON. Reads only; the daemon may run. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include "journal/journal.h"
#include "timeline.h"

#define READ_RECORDS 4096

struct options {
    const char *dir;
    uint64_t from, to;
    bool json, timeline;
};

static const char usage[] =
    "usage: fglog DIR [--json] [--from SEQ] [--to SEQ]\n"
    "       fglog timeline DIR [--json]\n"
    "Prints the records of the log in DIR, one a line. timeline: units that were held, sold and\n"
    "expired in each second with any, and how long each item was sold out.\n"
    "  --json      one JSON object a line\n"
    "  --from SEQ  first record (the first that the log still holds)\n"
    "  --to SEQ    last record (the end of the log)\n"
    "Exit: 0 printed to the end; 1 the log is missing or damaged; 2 wrong use.\n";

static bool parse_seq(const char *option, const char *text, uint64_t *seq)
{
    char *end;

    errno = 0;
    *seq = strtoull(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == 0 && errno == 0 && *seq > 0)
        return true;
    fprintf(stderr, "fglog: --%s %s: a record's sequence number, from 1, is needed\n", option,
            text);
    return false;
}

/* -1: continue; else the exit code. */
static int parse_options(int argc, char **argv, struct options *o)
{
    static const struct option names[] = {{"json", no_argument, NULL, 'j'},
                                          {"from", required_argument, NULL, 'f'},
                                          {"to", required_argument, NULL, 't'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int c;

    *o = (struct options){.to = UINT64_MAX};
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (c == 'j')
            o->json = true;
        else if (c == '?' || (c == 'f' && !parse_seq("from", optarg, &o->from)) ||
                 (c == 't' && !parse_seq("to", optarg, &o->to)))
            return 2;
    }
    o->timeline = optind + 2 == argc && strcmp(argv[optind], "timeline") == 0;
    optind += o->timeline;
    if (optind + 1 != argc || o->to < o->from || (o->timeline && (o->from || o->to < UINT64_MAX))) {
        fputs(usage, stderr);
        return 2;
    }
    o->dir = argv[optind];
    return -1;
}

static void print_hex(const char *before, const uint8_t *bytes, size_t n, const char *after)
{
    fputs(before, stdout);
    for (size_t i = 0; i < n; i++)
        printf("%02x", bytes[i]);
    fputs(after, stdout);
}

/* Length of the UTF-8 sequence at p (its shape; n bytes are left); 0 = none. */
static size_t utf8_length(const uint8_t *p, size_t n)
{
    size_t len = p[0] < 0x80   ? 1
                 : p[0] < 0xc2 ? 0
                 : p[0] < 0xe0 ? 2
                 : p[0] < 0xf0 ? 3
                 : p[0] < 0xf5 ? 4
                               : 0;

    if (len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

/* Names come from outside: control characters must not reach a terminal, nor broken UTF-8 a JSON
 * parser. */
static void print_name(const uint8_t *name)
{
    size_t len;

    putchar('"');
    for (size_t i = 0; i < FG_JOURNAL_ITEM_NAME_MAX && name[i]; i += len ? len : 1) {
        len = utf8_length(&name[i], FG_JOURNAL_ITEM_NAME_MAX - i);
        if (name[i] == '"' || name[i] == '\\')
            printf("\\%c", name[i]);
        else if (len == 0 || name[i] < 0x20 || name[i] == 0x7f)
            printf("\\u%04x", name[i]);
        else
            fwrite(&name[i], len, 1, stdout);
    }
    putchar('"');
}

/* Fields of a type beside seq, time, worker and item. The keys are the same in both forms. */
static void print_fields(const struct fg_journal_record *r, bool json)
{
    const char *sep = json ? ",\"" : " ", *is = json ? "\":" : "=", *quote = json ? "\"" : "";

    switch (r->type) {
    case FG_JOURNAL_RECORD_BATCH:
        printf("%sdurable%s%" PRIu64, sep, is, r->arg);
        if (r->item)
            printf("%scommitted%s%" PRIu64, sep, is, r->item - 1);
        if (r->user)
            printf("%sepoch%s%" PRIu64, sep, is, r->user);
        break;
    case FG_JOURNAL_RECORD_EPOCH:
        printf("%sepoch%s%" PRIu64 "%snode%s%s%" PRIu64 "%s%snonce%s", sep, is, r->item, sep, is,
               quote, r->user, quote, sep, is);
        print_hex(json ? "\"" : "", r->order_id, sizeof(r->order_id), json ? "\"" : "");
        break;
    case FG_JOURNAL_RECORD_STOCK:
        printf("%sunits%s%" PRId64, sep, is, (int64_t)r->arg);
        break;
    case FG_JOURNAL_RECORD_LEASE:
    case FG_JOURNAL_RECORD_RETURN:
        printf("%sunits%s%" PRIu64 "%ssum%s%" PRIu64 "%stimes%s%" PRIu64, sep, is, r->fleet_units,
               sep, is, r->fleet_sum, sep, is, r->fleet_times);
        break;
    case FG_JOURNAL_RECORD_ITEM_NAME:
        printf("%sname%s", sep, is);
        print_name(r->name);
        break;
    case FG_JOURNAL_RECORD_ITEM_SET:
        printf("%sopens_ms%s%" PRIu64 "%scloses_ms%s%" PRIu64
               "%shold_ms%s%u%suser_limit%s%u%sorder_max%s%u%spaused%s%s%sretired%s%s",
               sep, is, r->opens_ms, sep, is, r->closes_ms, sep, is, r->hold_ms, sep, is,
               r->user_limit, sep, is, r->order_max, sep, is,
               r->flags & FG_JOURNAL_ITEM_PAUSED ? "true" : "false", sep, is,
               r->flags & FG_JOURNAL_ITEM_RETIRED ? "true" : "false");
        break;
    case FG_JOURNAL_RECORD_LINE_SET:
        printf("%sline_max%s%u%sclaim_ms%s%u%swait_ttl_ms%s%u%sone_unit%s%s", sep, is, r->line_max,
               sep, is, r->claim_ms, sep, is, r->wait_ttl_ms, sep, is,
               r->line_flags & FG_JOURNAL_LINE_ONE_UNIT ? "true" : "false");
        printf("%slottery%s%s", sep, is,
               r->line_flags & FG_JOURNAL_LINE_LOTTERY ? "true" : "false");
        break;
    case FG_JOURNAL_RECORD_LOTTERY:
        printf("%scommitment%s", sep, is);
        print_hex(json ? "\"" : "", r->name, sizeof(r->name), json ? "\"" : "");
        break;
    case FG_JOURNAL_RECORD_DRAWN:
        printf("%sseed%s", sep, is);
        print_hex(json ? "\"" : "", r->order_id, sizeof(r->order_id), json ? "\"" : "");
        printf("%sorders%s%" PRIu64 "%sbehind%s%" PRIu64, sep, is, r->user, sep, is, r->arg);
        break;
    default: /* about an order, or of a kind without fields of its own here: all that a record can
                say */
        printf("%suser%s%s%" PRIu64 "%s%sorder%s", sep, is, quote, r->user, quote, sep, is);
        print_hex(json ? "\"" : "", r->order_id, sizeof(r->order_id), json ? "\"" : "");
        printf("%squantity%s%u", sep, is, r->quantity);
        if (r->type == FG_JOURNAL_RECORD_LEFT)
            printf("%swhy%s%s%s%s", sep, is, quote, fg_journal_left_name(r->arg), quote);
        else
            printf("%s%s%s%" PRIu64, sep, r->type == FG_JOURNAL_RECORD_WAITING ? "ticket" : "arg",
                   is, r->arg);
    }
}

static void print_record(const struct fg_journal_record *r, bool json)
{
    const char *name = fg_journal_record_name(r->type);

    if (json)
        printf("{\"seq\":%" PRIu64 ",\"time_ms\":%" PRIu64
               ",\"type\":\"%s\",\"type_number\":%u,\"worker\":%u,"
               "\"item\":\"%" PRIu64 "\"",
               r->seq, r->time_ms, name, r->type, r->worker, r->item);
    else
        printf("%" PRIu64 " %" PRIu64 " %s worker=%u item=%" PRIu64, r->seq, r->time_ms, name,
               r->worker, r->item);
    print_fields(r, json);
    fputs(json ? "}\n" : "\n", stdout);
}

static int print_log(const struct options *o)
{
    static struct fg_journal_record records[READ_RECORDS];
    struct fg_error err;
    uint64_t next = o->from ? o->from : fg_journal_first_seq(o->dir, &err);
    struct fg_journal_reader *reader = next ? fg_journal_reader_open(o->dir, next, &err) : NULL;
    ssize_t n = reader ? 1 : -1;

    while (n > 0 && next <= o->to) {
        /* no limit: the end of the log is not an error here */
        n = fg_journal_read(reader, records, READ_RECORDS, UINT64_MAX, &err);
        for (ssize_t i = 0; i < n && records[i].seq <= o->to; i++)
            print_record(&records[i], o->json);
        next += n > 0 ? (uint64_t)n : 0;
    }
    fg_journal_reader_close(reader);
    if (n < 0)
        fprintf(stderr, "fglog: %s\n", err.text);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return n < 0 ? 1 : 0;
    fprintf(stderr, "fglog: cannot write: %s\n", strerror(errno));
    return 1;
}

static int print_timeline(const struct options *o)
{
    struct fg_error err = {""};
    bool done = fg_timeline_print(o->dir, o->json, &err);

    if (!done)
        fprintf(stderr, "fglog: %s\n", err.text);
    return done && fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct options o;
    int code = parse_options(argc, argv, &o);

    if (code >= 0)
        return code;
    return o.timeline ? print_timeline(&o) : print_log(&o);
}
