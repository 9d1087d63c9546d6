/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Servers that answer anything. The input is a program for a server of our own, which a thread runs
 * on a unix socket: how it answers each message. The client is the real code: the sinks of Redis
 * and PostgreSQL, the inbound commands, the auditor, the order service, the doctor.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "app/fgaudit/postgres.h"
#include "app/fgaudit/redis.h"
#include "app/fgaudit/snapshot.h"
#include "doctor/probe.h"
#include "fuzz.h"
#include "inbound/inbound.h"
#include "journal/journal.h"
#include "tools/order-service/books.h"
#include "tools/order-service/events.h"

#define STEPS_MAX 64 /* messages that a server answers */
#define RECORDS   6

static char folder[64], log_dir[80], redis_path[96], postgres_path[96], redis_address[104],
    conninfo[128];
static _Atomic uint64_t durable = RECORDS;

/* ---- results of PostgreSQL ------------------------------------------------------------------- */

/*
 * libpq 15 loses a result of its own when a server ends a pipeline twice, or in the middle of rows.
 * So its allocations count for nothing, and those that it hands out are counted here.
 */
static _Atomic int results;

const char *__lsan_default_suppressions(void);
PGresult *__real_PQgetResult(PGconn *pg);
PGresult *__wrap_PQgetResult(PGconn *pg);
PGresult *__real_PQexec(PGconn *pg, const char *query);
PGresult *__wrap_PQexec(PGconn *pg, const char *query);
PGresult *__real_PQexecParams(PGconn *pg, const char *query, int n, const Oid *types,
                              const char *const *values, const int *lengths, const int *formats,
                              int format);
PGresult *__wrap_PQexecParams(PGconn *pg, const char *query, int n, const Oid *types,
                              const char *const *values, const int *lengths, const int *formats,
                              int format);
void __real_PQclear(PGresult *result);
void __wrap_PQclear(PGresult *result);

const char *__lsan_default_suppressions(void)
{
    return "leak:libpq.so\n";
}

static PGresult *handed_out(PGresult *result)
{
    results += result != NULL;
    return result;
}

PGresult *__wrap_PQgetResult(PGconn *pg)
{
    return handed_out(__real_PQgetResult(pg));
}

PGresult *__wrap_PQexec(PGconn *pg, const char *query)
{
    return handed_out(__real_PQexec(pg, query));
}

PGresult *__wrap_PQexecParams(PGconn *pg, const char *query, int n, const Oid *types,
                              const char *const *values, const int *lengths, const int *formats,
                              int format)
{
    return handed_out(__real_PQexecParams(pg, query, n, types, values, lengths, formats, format));
}

void __wrap_PQclear(PGresult *result)
{
    results -= result != NULL;
    __real_PQclear(result);
}

/* ---- the program ----------------------------------------------------------------------------- */

struct program {
    const uint8_t *data;
    size_t size, at;
    int listener, fd;
    uint8_t out[65536];
    size_t len;
};

static unsigned next(struct program *p)
{
    return p->at < p->size ? p->data[p->at++] : 0;
}

static void put(struct program *p, const void *bytes, size_t n)
{
    if (n <= sizeof(p->out) - p->len) {
        memcpy(p->out + p->len, bytes, n);
        p->len += n;
    }
}

static void put_text(struct program *p, const char *text)
{
    put(p, text, strlen(text));
}

/* The bytes of the program as they are. */
static void put_raw(struct program *p)
{
    size_t n = next(p);

    n = n < p->size - p->at ? n : p->size - p->at;
    put(p, p->data + p->at, n);
    p->at += n;
}

static const char *const words[] = {"",
                                    "0",
                                    "1",
                                    "-1",
                                    "99999999999999999999999",
                                    "reserved",
                                    "seq",
                                    "0-0",
                                    "1-0",
                                    "5-0",
                                    "6",
                                    "1122334455667788",
                                    "type",
                                    "op",
                                    "confirm",
                                    "cancel",
                                    "user",
                                    "order",
                                    "00000000000000000000000000000000",
                                    "{p}:item:1",
                                    "{p}:order:1:00000000000000000000000000000000",
                                    "{p}:events",
                                    "{p}:commands",
                                    "p",
                                    "last-generated-id",
                                    "total",
                                    "state",
                                    "resync",
                                    "\x1b[31m",
                                    "until_ms",
                                    "item",
                                    "quantity",
                                    "deadline_ms",
                                    "status",
                                    "2026-11-30",
                                    "t",
                                    "f",
                                    "taken"};
#define WORDS (sizeof(words) / sizeof(words[0]))

static const char *word(struct program *p)
{
    return words[next(p) % WORDS];
}

/* ---- Redis ----------------------------------------------------------------------------------- */

static void put_bulk(struct program *p, const char *text)
{
    char head[32];

    snprintf(head, sizeof(head), "$%zu\r\n", strlen(text));
    put_text(p, head);
    put_text(p, text);
    put_text(p, "\r\n");
}

static void put_count(struct program *p, char kind, long long n)
{
    char head[32];

    snprintf(head, sizeof(head), "%c%lld\r\n", kind, n);
    put_text(p, head);
}

static void put_entry(struct program *p, unsigned number)
{
    static const char *const fields[] = {"op", "confirm", "user",
                                         "1",  "order",   "00000000000000000000000000000000"};
    char id[16];

    snprintf(id, sizeof(id), "%u-0", number);
    put_count(p, '*', 2);
    put_bulk(p, id);
    put_count(p, '*', 6);
    for (int i = 0; i < 6; i++)
        put_bulk(p, fields[i]);
}

static void put_reply(struct program *p, unsigned depth)
{
    unsigned op = next(p) % 12, n;

    switch (op) {
    case 0:
        put_count(p, ':', (int8_t)next(p));
        return;
    case 1:
        put_text(p, "$-1\r\n");
        return;
    case 2:
        put_text(p, "*-1\r\n");
        return;
    case 3:
        put_text(p, "-ERR odd %s%n\r\n");
        return;
    case 4:
        put_text(p, "+OK\r\n");
        return;
    case 5: /* more entries than anybody asks for */
        n = next(p) * 8;
        put_count(p, '*', 1);
        put_count(p, '*', 2);
        put_bulk(p, "k");
        put_count(p, '*', n);
        for (unsigned i = 1; i <= n; i++)
            put_entry(p, i);
        return;
    case 6:
        put_entry(p, next(p));
        return;
    case 7:
        put_raw(p);
        return;
    case 8:
    case 9:
        n = depth < 4 ? next(p) % 8 : 0;
        put_count(p, '*', n);
        for (unsigned i = 0; i < n; i++)
            put_reply(p, depth + 1);
        return;
    default:
        put_bulk(p, word(p));
    }
}

/* Lines of INFO, and bytes of the program in between. */
static void put_info(struct program *p)
{
    static const char *const lines[] = {"",
                                        "redis_version:7.0.15",
                                        "redis_version:99999999999999999999.1",
                                        "maxmemory_policy:noeviction",
                                        "maxmemory_policy:0123456789012345678901234567890123456789",
                                        "aof_enabled:1",
                                        "aof_enabled:",
                                        "redis_version:-1.x"};
    char text[2048] = "# Server\r\n";
    unsigned n = next(p) % 8;

    for (unsigned i = 0; i < n; i++) {
        unsigned line = next(p) % 8;
        size_t used = strlen(text);

        if (line)
            snprintf(text + used, sizeof(text) - used, "%s\r\n", lines[line]);
        for (unsigned left = line ? 0 : next(p); left; left--, used++)
            text[used] = (char)next(p);
    }
    put_bulk(p, text);
}

/* The answer that the command wants, for an empty server. */
static void put_honest(struct program *p, const char *name, unsigned n, unsigned *queued)
{
    if (!strcmp(name, "EXEC")) {
        put_count(p, '*', *queued);
        for (unsigned i = 0; i < *queued; i++)
            put_text(p, ":1\r\n");
    } else if (*queued) {
        put_text(p, "+QUEUED\r\n");
    } else if (!strcmp(name, "HMGET")) {
        put_count(p, '*', n - 2);
        for (unsigned i = 2; i < n; i++)
            put_text(p, "$-1\r\n");
    } else if (!strcmp(name, "SCAN")) {
        put_text(p, "*2\r\n$1\r\n0\r\n*0\r\n");
    } else if (!strcmp(name, "XINFO") && n > 2) { /* good for STREAM and for GROUPS */
        put_text(p, "*4\r\n$6\r\nlength\r\n:0\r\n+of\r\n*4\r\n$4\r\nname\r\n$9\r\nfloodgate\r\n"
                    "$17\r\nlast-delivered-id\r\n$3\r\n0-0\r\n");
    } else if (!strcmp(name, "INFO")) {
        put_info(p);
    } else if (!strcmp(name, "XLEN")) {
        put_text(p, ":0\r\n");
    } else if (!strcmp(name, "XAUTOCLAIM")) {
        put_text(p, "*2\r\n$3\r\n0-0\r\n*0\r\n");
    } else if (!strncmp(name, "XREAD", 5)) {
        put_text(p, "*-1\r\n");
    } else if (strchr("SXH", name[0])) {
        put_text(p, "*0\r\n");
    } else {
        put_text(p, "+OK\r\n");
    }
}

/* Takes one command of our own client from the stream: its name and its number of words. */
static bool take_command(FILE *in, char name[32], unsigned *n)
{
    char line[64], skipped[512];
    unsigned long len;

    if (!fgets(line, sizeof(line), in) || line[0] != '*')
        return false;
    *n = (unsigned)strtoul(line + 1, NULL, 10);
    for (unsigned i = 0; i < *n; i++) {
        if (!fgets(line, sizeof(line), in))
            return false;
        len = strtoul(line + 1, NULL, 10) + 2;
        for (size_t got = 0, now; got < len; got += now) {
            now = len - got < sizeof(skipped) - 1 ? len - got : sizeof(skipped) - 1;
            if (fread(skipped, 1, now, in) != now)
                return false;
            skipped[now] = '\0';
            if (!i && !got)
                snprintf(name, 32, "%.*s", (int)(len - 2 < 31 ? len - 2 : 31), skipped);
        }
    }
    return true;
}

static bool flush(struct program *p)
{
    size_t len = p->len;

    p->len = 0;
    return send(p->fd, p->out, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static void serve_redis(struct program *p, FILE *in)
{
    unsigned n, queued = 0;
    char name[32];

    for (unsigned step = 0; step < STEPS_MAX && take_command(in, name, &n); step++) {
        bool multi = !strcmp(name, "MULTI");

        if (next(p) >= 96)
            put_reply(p, 0);
        else if (multi)
            put_text(p, "+OK\r\n");
        else
            put_honest(p, name, n, &queued);
        queued = !strcmp(name, "EXEC") || multi ? 0 : queued;
        queued += multi || queued;
        if (!flush(p))
            return;
    }
}

/* ---- PostgreSQL ------------------------------------------------------------------------------ */

static void put_message(struct program *p, char kind, const void *body, size_t len)
{
    uint8_t head[5] = {(uint8_t)kind, (uint8_t)((len + 4) >> 24), (uint8_t)((len + 4) >> 16),
                       (uint8_t)((len + 4) >> 8), (uint8_t)(len + 4)};

    put(p, head, sizeof(head));
    put(p, body, len);
}

static void put_columns(struct program *p, unsigned n)
{
    uint8_t body[2 + 8 * 20] = {0, (uint8_t)n};
    size_t at = 2;

    for (unsigned i = 0; i < n; i++, at += 20)
        memcpy(body + at, "c\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0", 20);
    put_message(p, 'T', body, at);
}

static void put_row(struct program *p, unsigned n)
{
    uint8_t body[2 + 8 * 64] = {0, (uint8_t)n};
    size_t at = 2;

    for (unsigned i = 0; i < n; i++) {
        const char *text = word(p);
        size_t len = *text ? strlen(text) : 0;

        memset(body + at, *text ? 0 : 0xff, 4);
        body[at + 3] = *text ? (uint8_t)len : 0xff;
        memcpy(body + at + 4, text, len);
        at += 4 + len;
    }
    put_message(p, 'D', body, at);
}

/* Rows of so many columns; sometimes the rows have another number, as libpq may or may not accept.
 */
static void put_rows(struct program *p, bool described)
{
    unsigned columns = next(p) % 8, rows = next(p) % 4, odd = next(p) % 16;

    if (described)
        put_columns(p, columns);
    for (unsigned i = 0; i < rows; i++)
        put_row(p, odd == 15 ? next(p) % 8 : columns);
    put_message(p, 'C', "SELECT 1", 9);
}

static void put_copy(struct program *p)
{
    unsigned lines = next(p) % 4;

    put_message(p, 'H', "\0\0\0", 3);
    for (unsigned i = 0; i < lines; i++) {
        char line[128] = "";
        unsigned cells = next(p) % 10;

        for (unsigned c = 0; c < cells; c++)
            snprintf(line + strlen(line), sizeof(line) - strlen(line), "%s%.12s", c ? "\t" : "",
                     word(p));
        snprintf(line + strlen(line), sizeof(line) - strlen(line), "\n");
        put_message(p, 'd', line, strlen(line));
    }
    put_message(p, 'c', "", 0);
    put_message(p, 'C', "COPY 1", 7);
}

static void answer_postgres(struct program *p, int kind, const char *body)
{
    if (next(p) >= 224) {
        put_raw(p);
        return;
    }
    switch (kind) {
    case 'Q':
        if (!strncmp(body, "COPY", 4))
            put_copy(p);
        else if (!strncmp(body, "SELECT", 6) || next(p) >= 192)
            put_rows(p, true);
        else
            put_message(p, 'C', "BEGIN", 6);
        put_message(p, 'Z', "I", 1);
        break;
    case 'P':
        put_message(p, '1', "", 0);
        break;
    case 'B':
        put_message(p, '2', "", 0);
        break;
    case 'D':
        put_columns(p, next(p) % 8);
        break;
    case 'E':
        put_rows(p, false);
        break;
    case 'S':
        put_message(p, 'Z', "I", 1);
    }
}

static void serve_postgres(struct program *p, FILE *in)
{
    char body[512];
    int kind = 0;

    for (unsigned step = 0; step < STEPS_MAX; step++) {
        uint8_t head[4];
        size_t len;

        if (step && (kind = fgetc(in)) == EOF)
            return;
        if (fread(head, 1, 4, in) != 4)
            return;
        len = ((size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3]) - 4;
        for (size_t got = 0; got < len; got++) {
            int c = fgetc(in);

            if (c == EOF)
                return;
            body[got < sizeof(body) - 1 ? got : sizeof(body) - 1] = (char)c;
        }
        body[len < sizeof(body) - 1 ? len : sizeof(body) - 1] = '\0';
        if (!step) {
            put_message(p, 'R', "\0\0\0", 4);
            put_message(p, 'S', "in_hot_standby\0off", 19);
            put_message(p, 'S', "default_transaction_read_only\0off", 34);
            put_message(p, 'S',
                        "server_version\0"
                        "15.0",
                        20);
            put_message(p, 'Z', "I", 1);
        } else {
            answer_postgres(p, kind, body);
        }
        if (!flush(p))
            return;
    }
}

/* ---- one conversation ------------------------------------------------------------------------ */

static bool is_postgres;

static void *serve(void *arg)
{
    /* A client that waits for the rest of a reply, or pauses: the conversation is over. */
    struct timeval patience = {.tv_usec = 20000};
    struct program *p = arg;
    FILE *in;

    p->fd = accept(p->listener, NULL, NULL);
    if (p->fd < 0)
        return NULL;
    setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    in = fdopen(p->fd, "r");
    is_postgres ? serve_postgres(p, in) : serve_redis(p, in);
    shutdown(p->fd, SHUT_WR);
    fclose(in);
    return NULL;
}

static int listen_at(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    unlink(path);
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    FG_FUZZ_CHECK(fd >= 0 && !bind(fd, (struct sockaddr *)&a, sizeof(a)) && !listen(fd, 1));
    return fd;
}

/* Lets the client end: the server's thread ends by itself when the client has closed. */
static void end_server(struct program *p, pthread_t thread)
{
    shutdown(p->listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(p->listener);
}

/* ---- clients --------------------------------------------------------------------------------- */

static unsigned members; /* of a fleet; 0: of none */

static struct fg_redis_options redis_options(void)
{
    struct fg_redis_options o = {
        .enabled = true, .batch_max = 4, .timeout_ms = 2000, .retry_ms_max = 1, .members = members};

    snprintf(o.address, sizeof(o.address), "%s", redis_address);
    snprintf(o.prefix, sizeof(o.prefix), "p");
    return o;
}

static void run_sink(struct program *p, pthread_t thread)
{
    struct fg_sink_postgres_options postgres = {
        .enabled = true, .batch_max = 4, .timeout_ms = 2000, .retry_ms_max = 1, .members = members};
    struct fg_redis_options redis = redis_options();
    struct fg_error err = {""};
    struct fg_sink *sink;

    snprintf(postgres.conninfo, sizeof(postgres.conninfo), "%s", conninfo);
    snprintf(postgres.schema, sizeof(postgres.schema), "s");
    sink = is_postgres ? fg_sink_postgres_start(&postgres, log_dir, &durable, &err)
                       : fg_sink_redis_start(&redis, log_dir, &durable, &err);
    FG_FUZZ_CHECK(sink);
    pthread_join(thread, NULL);
    close(p->listener);
    fg_sink_stop(sink, 0);
}

static void run_inbound(struct program *p, pthread_t thread)
{
    struct fg_inbound_options o = {.redis = redis_options(), .durable_seq = &durable, .workers = 1};
    struct fg_error err = {""};
    struct fg_inbound *inbound;

    o.commands[0] = fg_ring_create(FG_INBOUND_CAPACITY);
    o.answers[0] = fg_ring_create(FG_INBOUND_CAPACITY);
    inbound = fg_inbound_start(&o, &err);
    FG_FUZZ_CHECK(inbound);
    pthread_join(thread, NULL);
    close(p->listener);
    fg_inbound_stop(inbound, 0);
    fg_ring_destroy(o.commands[0]);
    fg_ring_destroy(o.answers[0]);
}

static void run_events(void)
{
    static struct payment list[EVENTS_MAX];
    static struct events e;
    struct options o = {
        .redis = redis_address, .prefix = "p", .group = "g", .items_last = UINT64_MAX};
    struct fg_error err = {""};
    struct result results[8];

    if (events_open(&e, &o, &err) && events_take(&e, list, &err) >= 0 && events_done(&e, &err) &&
        events_take(&e, list, &err) >= 0 && events_results(&e, results, 8, &err) >= 0)
        events_results(&e, results, 8, &err);
    events_close(&e);
}

static void due(void *arg, struct payment *p)
{
    p->due_ms = 1;
}

static void run_books(void)
{
    struct payment one = {
        .user = 1, .item = 1, .quantity = 1, .order = "00000000000000000000000000000000"};
    static struct payments all; /* its table is made once, and never freed */
    struct books_totals totals;
    struct fg_error err = {""};
    struct books b = {0};
    static bool ready;
    bool fresh[1];

    if (!ready)
        payments_init(&all);
    ready = true;
    if (books_open(&b, conninfo, &err) && books_load(&b, &all, due, NULL, &err) &&
        books_take(&b, &one, 1, fresh, &err))
        books_totals(&b, &totals, &err);
    books_close(&b);
    payments_clear(&all);
}

static void run_audit(void)
{
    struct fg_problems problems = {.silent = true};
    struct fg_redis_audit redis = {.address = redis_address, .prefix = "p", .problems = &problems};
    struct fg_postgres_audit postgres = {
        .conninfo = conninfo, .schema = "s", .problems = &problems};
    struct fg_story story;
    struct fg_error err = {""};
    struct fg_log log;

    fg_story_init(&story, &problems, 0);
    FG_FUZZ_CHECK(fg_log_open(&log, log_dir, &problems, &err));
    if (is_postgres) {
        if (fg_postgres_audit_open(&postgres))
            fg_postgres_audit_compare(&postgres, &story, &log);
        fg_postgres_audit_close(&postgres);
    } else {
        if (fg_redis_audit_open(&redis))
            fg_redis_audit_compare(&redis, &story, &log);
        fg_redis_audit_close(&redis);
    }
    fg_log_close(&log);
    fg_story_free(&story);
}

/* Its other probes ask other servers and programs. */
bool fg_doctor_probe_dpdk(struct fg_doctor_dpdk *dpdk, struct fg_error *err)
{
    return false;
}

bool fg_doctor_probe_refuses(const char *config, bool *refuses, struct fg_error *why)
{
    return false;
}

bool fg_doctor_probe_certificates(const char *ca, const char *cert, const char *key,
                                  const char *host, struct fg_doctor_certificates *found,
                                  struct fg_error *err)
{
    return false;
}

bool fg_doctor_probe_arbiter(const struct fg_arbiter_options *options, bool *has_register,
                             struct fg_error *err)
{
    return false;
}

bool fg_doctor_probe_skew(const char *socket_path, long long *ms, struct fg_error *err)
{
    return false;
}

static void run_doctor(void)
{
    struct fg_redis_options o = redis_options();
    struct fg_doctor_redis found = {0};
    struct fg_error err = {""};

    if (fg_doctor_probes_real.redis(&o, &found, &err))
        FG_FUZZ_CHECK(found.major);
    FG_FUZZ_CHECK(memchr(found.policy, 0, sizeof(found.policy)));
}

/* ---- life ------------------------------------------------------------------------------------ */

static void remove_folder(void)
{
    char line[160];

    snprintf(line, sizeof(line), "rm -rf '%s'", folder);
    if (system(line))
        fprintf(stderr, "%s stays\n", folder);
}

static void write_log(void)
{
    struct fg_error err = {""};
    struct fg_journal_record r[RECORDS] = {{.type = FG_JOURNAL_RECORD_ITEM_SET, .item = 1},
                                           {.type = FG_JOURNAL_RECORD_STOCK, .item = 1, .arg = 10}};
    struct fg_journal_options options = {.dir = log_dir, .segment_bytes = 1 << 16, .begin = true};
    struct fg_journal *journal;

    for (int i = 2; i < RECORDS; i++)
        r[i] = (struct fg_journal_record){.type = FG_JOURNAL_RECORD_RESERVED,
                                          .item = 1,
                                          .user = (uint64_t)i,
                                          .quantity = 1,
                                          .order_id = {1}};
    options.begin = !fg_journal_found(options.dir);
    journal = fg_journal_open(&options, &err);
    FG_FUZZ_CHECK(journal && fg_journal_commit(journal, r, RECORDS, 1000));
    fg_journal_close(journal);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *base = getenv("TMPDIR");

    signal(SIGPIPE, SIG_IGN); /* as the daemon does: a server hangs up at any moment */
    snprintf(folder, sizeof(folder), "%.40s/fg-servers-XXXXXX", base ? base : "/tmp");
    FG_FUZZ_CHECK(mkdtemp(folder));
    atexit(remove_folder);
    snprintf(log_dir, sizeof(log_dir), "%s/log", folder);
    snprintf(redis_path, sizeof(redis_path), "%s/redis", folder);
    snprintf(redis_address, sizeof(redis_address), "unix:%s", redis_path);
    snprintf(postgres_path, sizeof(postgres_path), "%s/.s.PGSQL.5432", folder);
    snprintf(conninfo, sizeof(conninfo), "host=%s dbname=x user=x password=x sslmode=disable",
             folder);
    write_log();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct program p;
    pthread_t thread;
    unsigned client;

    if (size < 2)
        return 0;
    p = (struct program){.data = data, .size = size};
    client = next(&p);
    members = client & 8 ? 2 : 0;
    client %= 8;
    is_postgres = client >= 4 && client < 7;
    p.listener = listen_at(is_postgres ? postgres_path : redis_path);
    FG_FUZZ_CHECK(!pthread_create(&thread, NULL, serve, &p));
    if (client == 0 || client == 4) {
        run_sink(&p, thread);
    } else if (client == 1) {
        run_inbound(&p, thread);
    } else {
        client == 2   ? run_events()
        : client == 5 ? run_books()
        : client == 7 ? run_doctor()
                      : run_audit();
        end_server(&p, thread);
    }
    FG_FUZZ_CHECK(results == 0);
    return 0;
}
