/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One of a pair, without an appliance: a real log, its journal thread, and lib/replication. A
 * thread plays the worker: it makes records when told to, and counts those that it may acknowledge.
 *
 *   replication_driver register NODE LOG   prints the first register of a pair
 *   replication_driver NAME=VALUE...       dir, begin (1: makes the log), node, listen, peer, ca,
 *                                          cert, key, arbiter, origin (of its records), acked
 *                                          (file: how many it acknowledged), keys, orders_max
 *
 * Then commands, one a line; each answer is a line of JSON:
 *   view                        what replication, log and worker say
 *   push N | burst N            N records; N a millisecond, until `burst 0`
 *   probe                       asks for a sign of leading; ms until it came
 *   terms KEYS                  the keys were reloaded
 *   switch | alone | together | force
 *   log                         the records of each origin up to the commit watermark
 *   quit
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/json.h"
#include "base/leading.h"
#include "base/thread.h"
#include "journal/thread.h"
#include "replication/replication.h"

#define RING       65536
#define ORIGINS    16
#define ORIGIN_BIT 40
#define SEGMENT    (1u << 20)

static struct {
    char dir[512], acked_file[512];
    bool begin;
    unsigned origin;
    uint64_t keys, orders_max;
    struct fg_replication_settings settings;
} o;

static struct fg_clock time_source;
static struct fg_leading leading;
static struct fg_journal_watermark durable_marks[1];
static struct fg_ring *ring;
static struct fg_journal *journal;
static struct fg_journal_thread thread;
static struct fg_journal_pairing *pairing;
static struct fg_replication *replication;
static _Atomic uint64_t wanted, rate, made, lead_seq, lead_epoch;
static _Atomic uint64_t *acked; /* in a file: it survives a kill */
static _Atomic bool led, quit;

static void die(const char *what, const struct fg_error *err)
{
    fprintf(stderr, "%s: %s\n", what, err ? err->text : "");
    exit(1);
}

/* ---- the worker ------------------------------------------------------------------------------ */

static void make_record(void)
{
    struct fg_journal_record *r = fg_ring_next(ring);

    if (!r)
        return;
    *r = (struct fg_journal_record){.type = FG_JOURNAL_RECORD_USER,
                                    .time_ms = fg_clock_now_ms(&time_source),
                                    .user = (uint64_t)o.origin << ORIGIN_BIT |
                                            (atomic_fetch_add(&made, 1) + 1)};
    fg_ring_give(ring);
}

/* As a real worker: what is committed is acknowledged, unless the time to speak is over. */
static void acknowledge(void)
{
    uint64_t committed = atomic_load_explicit(&pairing->committed[0].durable, memory_order_acquire);

    if (fg_clock_tsc() < atomic_load(&leading.valid_until_tsc) &&
        atomic_load(&thread.mode) == FG_JOURNAL_OK)
        atomic_store(acked, committed);
}

static void *work(void *arg)
{
    uint64_t last_ms = 0;

    while (!atomic_load(&quit)) {
        uint64_t now = fg_clock_mono_ms();

        if (now != last_ms)
            atomic_fetch_add(&wanted, atomic_load(&rate));
        last_ms = now;
        if (atomic_load(&thread.mode) == FG_JOURNAL_OK && atomic_load(&leading.accepting))
            while (atomic_load(&wanted) && fg_ring_room(ring, 1)) {
                atomic_fetch_sub(&wanted, 1);
                make_record();
            }
        acknowledge();
        fg_clock_sleep_us(200);
    }
    return arg;
}

/* ---- hooks ----------------------------------------------------------------------------------- */

static void on_lead(void *ctx, uint64_t seq, uint64_t epoch)
{
    atomic_store(&lead_seq, seq);
    atomic_store(&lead_epoch, epoch);
    fg_journal_pairing_serve(pairing);
    atomic_store(&led, true);
}

static void on_end(void *ctx, const char *reason)
{
    fg_journal_pairing_end(pairing);
    fprintf(stderr, "ends: %s\n", reason);
    _exit(FG_REPLICATION_EXIT);
}

static uint64_t on_passed(void *ctx)
{
    return 4711;
}

static int mode_for(enum fg_journal_state state, bool stopping)
{
    return state;
}

/* ---- start ----------------------------------------------------------------------------------- */

static void measure_clock(void)
{
    uint64_t ns = fg_clock_mono_ns(), tsc = fg_clock_tsc();

    fg_clock_sleep_us(50000);
    fg_clock_start(&time_source, (uint64_t)((__uint128_t)(fg_clock_tsc() - tsc) * 1000000000 /
                                            (fg_clock_mono_ns() - ns)));
}

static void open_log(void)
{
    struct fg_journal_pairing_options p = {.workers = 1};
    struct fg_journal_thread_options t = {.records = &ring,
                                          .watermarks = durable_marks,
                                          .workers = 1,
                                          .clock = &time_source,
                                          .mode = mode_for,
                                          .follower_mode = 99};
    struct fg_error err = {""};

    p.log = (struct fg_journal_options){.dir = o.dir,
                                        .segment_bytes = SEGMENT,
                                        .begin = o.begin,
                                        .retired = true,
                                        .now_ms = fg_clock_unix_ms()};
    if (o.begin || fg_journal_found(o.dir)) {
        journal = fg_journal_open(&p.log, &err);
        if (!journal)
            die("log", &err);
    }
    p.log.begin = false;
    p.journal = t.journal = journal;
    pairing = t.pairing = fg_journal_pairing_create(&p, &err);
    if (!pairing)
        die("pairing", &err);
    ring = fg_ring_create(RING);
    if (!fg_journal_thread_start(&thread, &t, &err))
        die("journal thread", &err);
}

static struct fg_replication_terms terms_now(void)
{
    return (struct fg_replication_terms){
        .keys = o.keys, .limits_len = 1, .limits = {{"orders_max", o.orders_max}}};
}

static void open_acked(void)
{
    int fd = open(o.acked_file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0 || ftruncate(fd, sizeof(*acked)))
        die(o.acked_file, NULL);
    acked = mmap(NULL, sizeof(*acked), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (acked == MAP_FAILED)
        die(o.acked_file, NULL);
    close(fd);
}

static void start(void)
{
    struct fg_replication_terms terms = terms_now();
    struct fg_replication_options options = {
        .settings = &o.settings,
        .log_dir = o.dir,
        .leading = &leading,
        .clock = &time_source,
        .terms = &terms,
        .hooks = {.lead = on_lead, .end = on_end, .passed = on_passed}};
    struct fg_error err = {""};
    pthread_t worker;

    measure_clock();
    open_acked();
    open_log();
    options.pairing = pairing;
    replication = fg_replication_start(&options, &err);
    if (!replication)
        die("replication", &err);
    if (!fg_thread_start(&worker, "worker", work, NULL))
        die("worker", NULL);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void say(json_t *answer)
{
    FG_ASSERT(answer);
    json_dumpf(answer, stdout, JSON_COMPACT);
    json_decref(answer);
    puts("");
    fflush(stdout);
}

static json_t *history_of(const struct fg_replication_view *v)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < v->history_len; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:I, s:s}", "role", fg_pair_role_name(v->history[i].role),
                            "epoch", (json_int_t)v->history[i].epoch, "why", v->history[i].why));
    return list;
}

static json_t *number(uint64_t n)
{
    return json_integer((json_int_t)n);
}

static void do_view(void)
{
    struct fg_replication_view v;
    char log[24];
    json_t *j;

    fg_replication_view(replication, &v);
    snprintf(log, sizeof(log), "%016" PRIx64, atomic_load(&pairing->log_id));
    j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "role",
                  fg_pair_role_name(v.pair.role), "state", fg_pair_state_name(v.pair.state),
                  "reason", fg_pair_reason_text(v.pair.reason), "peer_name", v.peer_name,
                  "link_error", v.link_error, "refusal", v.refusal, "mismatch", v.mismatch,
                  "arbiter_error", v.arbiter_error, "log", log, "history", history_of(&v));
    json_object_set_new(j, "epoch", number(v.pair.epoch));
    json_object_set_new(j, "committed", number(v.pair.committed));
    json_object_set_new(j, "last", number(v.pair.last));
    json_object_set_new(j, "durable", number(v.pair.durable));
    json_object_set_new(j, "peer_durable", number(v.pair.peer_durable));
    json_object_set_new(j, "skew_ms", json_integer((json_int_t)v.pair.skew_ms));
    json_object_set_new(j, "peer_passed", json_integer((json_int_t)v.peer_passed));
    json_object_set_new(j, "lag_records", number(v.lag_records));
    json_object_set_new(j, "lag_ms", number(v.lag_ms));
    json_object_set_new(j, "links", number(v.links));
    json_object_set_new(j, "fill_seq", number(v.fill.seq));
    json_object_set_new(j, "fill_bytes", number(v.fill.bytes));
    json_object_set_new(j, "held", number(v.fill_seq));
    json_object_set_new(j, "arbiter_ok", json_boolean(v.arbiter_ok));
    json_object_set_new(j, "linked", json_boolean(v.pair.linked));
    json_object_set_new(j, "solo", json_boolean(v.pair.solo));
    json_object_set_new(j, "led", json_boolean(atomic_load(&led)));
    json_object_set_new(j, "lead_seq", number(atomic_load(&lead_seq)));
    json_object_set_new(j, "made", number(atomic_load(&made)));
    json_object_set_new(j, "acked", number(atomic_load(acked)));
    json_object_set_new(j, "valid",
                        json_boolean(fg_clock_tsc() < atomic_load(&leading.valid_until_tsc)));
    say(j);
}

struct origin {
    uint64_t count, last;
    bool gap;
};

static void count_record(struct origin *origins, const struct fg_journal_record *r)
{
    struct origin *origin = &origins[(r->user >> ORIGIN_BIT) % ORIGINS];
    uint64_t n = r->user & ((1ull << ORIGIN_BIT) - 1);

    if (r->type != FG_JOURNAL_RECORD_USER)
        return;
    origin->gap |= n != origin->last + 1;
    origin->last = n;
    origin->count++;
}

static void do_log(void)
{
    struct fg_journal_record records[256];
    struct origin origins[ORIGINS] = {{0}};
    struct fg_error err = {""};
    struct fg_journal_reader *reader;
    json_t *j = json_object();
    ssize_t n = 0;

    pthread_mutex_lock(&pairing->files);
    reader = fg_journal_reader_open(o.dir, 1, &err);
    while (reader && (n = fg_journal_read(reader, records, 256,
                                          atomic_load(&pairing->committed_seq), &err)) > 0)
        for (ssize_t i = 0; i < n; i++)
            count_record(origins, &records[i]);
    if (reader)
        fg_journal_reader_close(reader);
    pthread_mutex_unlock(&pairing->files);
    for (unsigned i = 0; i < ORIGINS; i++)
        if (origins[i].count) {
            char name[8];

            snprintf(name, sizeof(name), "%u", i);
            json_object_set_new(j, name, number(origins[i].gap ? 0 : origins[i].count));
        }
    json_object_set_new(j, "error", json_string(n < 0 || !reader ? err.text : ""));
    say(j);
}

static void do_probe(void)
{
    uint64_t began = fg_clock_mono_ms(), probe = fg_leading_probe(&leading);

    while (!fg_leading_proven(&leading, probe) && fg_clock_mono_ms() < began + 5000)
        fg_clock_sleep_us(100);
    say(json_pack("{s:b, s:I}", "proven", fg_leading_proven(&leading, probe), "ms",
                  (json_int_t)(fg_clock_mono_ms() - began)));
}

static void do_stop(void)
{
    fg_journal_thread_stop(&thread);
    say(json_pack("{s:b}", "stopped", fg_replication_stop(replication)));
}

/* True: no more commands. */
static bool obey(const char *word, const char *argument)
{
    uint64_t n = argument ? strtoull(argument, NULL, 10) : 0;
    struct fg_replication_terms terms;

    if (strcmp(word, "view") == 0)
        do_view();
    else if (strcmp(word, "log") == 0)
        do_log();
    else if (strcmp(word, "probe") == 0)
        do_probe();
    else if (strcmp(word, "quit") == 0)
        do_stop();
    else if (strcmp(word, "push") == 0)
        atomic_fetch_add(&wanted, n);
    else if (strcmp(word, "burst") == 0)
        atomic_store(&rate, n);
    else if (strcmp(word, "switch") == 0)
        fg_replication_switch(replication);
    else if (strcmp(word, "alone") == 0)
        fg_replication_alone(replication, true);
    else if (strcmp(word, "together") == 0)
        fg_replication_alone(replication, false);
    else if (strcmp(word, "force") == 0)
        fg_replication_force(replication);
    else if (strcmp(word, "terms") == 0)
        o.keys = n, terms = terms_now(), fg_replication_set_terms(replication, &terms);
    else
        die(word, NULL);
    return strcmp(word, "quit") == 0;
}

static void serve(void)
{
    char line[256], *rest;

    while (fgets(line, sizeof(line), stdin)) {
        char *word, *argument;

        line[strcspn(line, "\n")] = 0;
        word = strtok_r(line, " ", &rest);
        argument = word ? strtok_r(NULL, " ", &rest) : NULL;
        if (word && obey(word, argument))
            return;
        if (word && !strstr("view log probe quit", word))
            say(json_object());
    }
    _exit(0);
}

/* ---- command line ---------------------------------------------------------------------------- */

static void set_word(const char *name, const char *value)
{
    struct fg_replication_settings *s = &o.settings;
    const struct {
        const char *name;
        char *to;
        size_t size;
    } words[] = {{"dir", o.dir, sizeof(o.dir)},
                 {"acked", o.acked_file, sizeof(o.acked_file)},
                 {"listen", s->listen, sizeof(s->listen)},
                 {"peer", s->peer, sizeof(s->peer)},
                 {"ca", s->tls_ca, sizeof(s->tls_ca)},
                 {"cert", s->tls_cert, sizeof(s->tls_cert)},
                 {"key", s->tls_key, sizeof(s->tls_key)},
                 {"arbiter", s->arbiter.endpoints, sizeof(s->arbiter.endpoints)}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(name, words[i].name) == 0) {
            snprintf(words[i].to, words[i].size, "%s", value);
            return;
        }
    if (strcmp(name, "begin") == 0)
        o.begin = true;
    else if (strcmp(name, "node") == 0)
        s->node = (unsigned)atoi(value);
    else if (strcmp(name, "origin") == 0)
        o.origin = (unsigned)atoi(value);
    else if (strcmp(name, "keys") == 0)
        o.keys = strtoull(value, NULL, 10);
    else if (strcmp(name, "orders_max") == 0)
        o.orders_max = strtoull(value, NULL, 10);
    else
        die(name, NULL);
}

static int print_register(const char *node, const char *log)
{
    char text[FG_PAIR_TEXT_MAX];

    fg_pair_register_first(text, (unsigned)atoi(node), strtoull(log, NULL, 16), 0);
    fputs(text, stdout);
    return 0;
}

int main(int argc, char **argv)
{
    struct fg_replication_settings *s = &o.settings;

    if (argc == 4 && strcmp(argv[1], "register") == 0)
        return print_register(argv[2], argv[3]);
    s->enabled = true;
    s->heartbeat_ms = fg_pair_timing_usual.heartbeat_ms;
    s->suspect_ms = fg_pair_timing_usual.suspect_ms;
    s->drop_ms = fg_pair_timing_usual.drop_ms;
    s->stale_ms = fg_pair_timing_usual.stale_ms;
    snprintf(s->arbiter.prefix, sizeof(s->arbiter.prefix), "floodgate/pair/");
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');

        if (!value)
            die(argv[i], NULL);
        *value++ = 0;
        set_word(argv[i], value);
    }
    start();
    serve();
    return 0;
}
