/* SPDX-License-Identifier: BSD-3-Clause */
/* A list from a file: a million lines in time and at once, wrong lines, save; other sizes; monitor
 * mode. */
#include <linux/bpf.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"

#define MILLION 1000000

static char path[] = "/tmp/fgtest-bulk-XXXXXX";

static bool load_text(struct fg_filter *filter, const char *text,
                      struct fg_filter_list_loaded *loaded, struct fg_error *err)
{
    FILE *file = fopen(path, "w");

    fputs(text, file);
    fclose(file);
    err->text[0] = 0;
    return fg_filter_load(filter, FG_FILTER_LIST_BLOCK, path, loaded, err);
}

static void formats(struct fg_filter *filter)
{
    uint32_t saved;
    struct fg_filter_prefix timed = must_parse("198.18.5.5"), named = must_parse("2001:db8::/40");
    struct fg_filter_list_entry entry = {.reason = "box", .expires_ms = 4000000000000};
    struct fg_filter_list_loaded loaded;
    struct fg_error err;
    FILE *file;
    bool good;

    ok(fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &timed, &entry, &err),
       "an entry of limited time");
    ok(load_text(filter,
                 "# a list\n198.18.1.0/24\n\n 198.18.2.1 ; one\n2001:db8::/40 2030-01-01T00:00:00Z "
                 "bad neighbours\n"
                 "198.18.3.0/24 1 over\n198.18.4.0/24 - for ever\n",
                 &loaded, &err),
       "a file with comments, expiries and reasons %s", err.text);
    ok(loaded.entries == 4 && loaded.expired == 1 && loaded.kept == 1,
       "4 entries, 1 expired, 1 kept: %u, %u, %u", loaded.entries, loaded.expired, loaded.kept);
    ok(verdict_of(filter, "198.18.1.9") == XDP_DROP &&
           verdict_of(filter, "198.18.2.1") == XDP_DROP &&
           verdict_of(filter, "198.18.3.1") == XDP_PASS &&
           verdict_of(filter, "198.18.5.5") == XDP_DROP,
       "is in force");
    good = fg_filter_find(filter, FG_FILTER_LIST_BLOCK, &named, &entry);
    ok(good && strcmp(entry.reason, "bad neighbours") == 0 && entry.expires_ms / 1000 == 1893456000,
       "with reason and expiry: %s, %lu", entry.reason, entry.expires_ms);
    file = fopen(path, "w");
    good = fg_filter_save(filter, FG_FILTER_LIST_BLOCK, file, &saved) && fclose(file) == 0 &&
           fg_filter_load(filter, FG_FILTER_LIST_BLOCK, path, &loaded, &err);
    ok(good && loaded.entries == 5 && saved == 5 && loaded.kept == 0,
       "what is saved can be loaded: %u entries %s", loaded.entries, err.text);
    ok(verdict_of(filter, "198.18.1.9") == XDP_DROP, "and is in force");
    named = must_parse("198.18.1.0/24");
    ok(hits_of(filter, FG_FILTER_LIST_BLOCK, &named) == 2, "hits of what stays go on");
}

static void errors(struct fg_filter *filter)
{
    static const struct {
        const char *text, *hint;
    } wrong[] = {
        {"198.18.7.0/24\n198.18.7.1/24\n", ":2: \"198.18.7.1/24\": bits behind"},
        {"\n\nexample.org\n300.1.1.1\n", ":3: \"example.org\" is not a prefix"},
        {"300.1.1.1\n300.1.1.1\n300.1.1.1\n", "(and 2 more lines are wrong)"},
        {"198.18.7.0/24\n198.18.8.0/24\n198.18.7.0/24\n", ":3: the prefix is in line 1 already"},
        {"198.18.7.0/24 tomorrow\n", ":1: second column"},
        {"198.18.7.0/24 - a reason of more than twenty-three characters\n", ":1: third column"},
    };
    struct fg_filter_list_loaded loaded;
    struct fg_error err;

    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        ok(!load_text(filter, wrong[i].text, &loaded, &err) && strstr(err.text, wrong[i].hint) &&
               verdict_of(filter, "198.18.7.1") == XDP_PASS &&
               verdict_of(filter, "198.18.1.9") == XDP_DROP,
           "refused, and nothing is changed: %s", err.text);
    ok(!fg_filter_load(filter, FG_FILTER_LIST_BLOCK, "/nonexistent", &loaded, &err), "no file: %s",
       err.text);
}

/* What an operator gives by mistake must neither hang the control thread nor lose its place in
 * /dev. */
static void no_ordinary_files(struct fg_filter *filter)
{
    char fifo[64], link[64];
    struct fg_filter_list_loaded loaded;
    struct fg_error err;

    snprintf(fifo, sizeof(fifo), "%s.fifo", path);
    snprintf(link, sizeof(link), "%s.link", path);
    ok(mkfifo(fifo, 0600) == 0 && symlink("/dev/null", link) == 0,
       "a FIFO, and a link to a device");
    ok(!fg_filter_load(filter, FG_FILTER_LIST_BLOCK, fifo, &loaded, &err) &&
           strstr(err.text, "not an ordinary file"),
       "a FIFO is not loaded: %s", err.text);
    ok(!fg_filter_load(filter, FG_FILTER_LIST_BLOCK, "/dev/zero", &loaded, &err) &&
           strstr(err.text, "not an ordinary file"),
       "nor a device: %s", err.text);
    unlink(fifo);
    unlink(link);
}

/* While a million are loaded, a source that both lists block is probed all the time. */
struct prober {
    struct fg_filter *filter;
    atomic_bool stop;
    unsigned long probed, passed;
};

static void *probe(void *arg)
{
    struct prober *prober = arg;

    while (!prober->stop) {
        prober->passed += verdict_of(prober->filter, "198.18.1.9") != XDP_DROP;
        prober->probed++;
    }
    return NULL;
}

static void million(struct fg_filter *filter)
{
    struct prober prober = {.filter = filter};
    struct fg_filter_list_loaded loaded;
    struct fg_error err = {""};
    pthread_t thread;
    FILE *file = fopen(path, "w");
    bool loads = true;
    double slowest = 0;

    fprintf(file, "198.18.1.0/24\n");
    for (unsigned i = 0; i < MILLION - 1; i++)
        fprintf(file, "%u.%u.%u.%u/%u\n", 10 + (i >> 18), i >> 10 & 255, i >> 2 & 255, i << 6 & 255,
                26 + i % 7);
    fclose(file);
    pthread_create(&thread, NULL, probe, &prober);
    for (int i = 0; i < 3 && loads; i++) {
        loads = fg_filter_load(filter, FG_FILTER_LIST_BLOCK, path, &loaded, &err);
        slowest = loaded.seconds > slowest ? loaded.seconds : slowest;
    }
    prober.stop = true;
    pthread_join(thread, NULL);
    ok(loads && loaded.entries == MILLION, "a million lines %s", err.text);
    ok(slowest < 15, "each time within the time allowed (5 s on a machine at rest): %.2f s",
       slowest);
    ok(prober.probed > 100 && prober.passed == 0, "no packet of %lu meanwhile found no list",
       prober.probed);
    ok(verdict_of(filter, "10.0.0.1") == XDP_DROP &&
           verdict_of(filter, "13.208.143.128") == XDP_DROP,
       "first and last drop");
    ok(!load_text(filter, "0.0.0.0/33\n", &loaded, &err) &&
           verdict_of(filter, "10.0.0.1") == XDP_DROP,
       "a wrong file changes nothing of a million");
}

static void resize(struct fg_filter_options options)
{
    struct fg_filter *filter;
    struct fg_error err = {""};
    uint32_t count;

    options.prefixes_max = MILLION + 500;
    options.sources_max *= 4;
    filter = must_open(&options);
    count = fg_filter_count(filter, FG_FILTER_LIST_BLOCK);
    ok(fg_filter_count(filter, FG_FILTER_LIST_BLOCK) >= MILLION &&
           verdict_of(filter, "13.208.143.128") == XDP_DROP,
       "with other sizes the lists are taken over: %u",
       fg_filter_count(filter, FG_FILTER_LIST_BLOCK));
    fg_filter_close(filter);
    for (uint32_t small = 10; small <= 40; small += 15) {
        options.prefixes_max = small;
        for (int again = 0; again < 2; again++) {
            filter = fg_filter_open(&options, &err);
            ok(!filter && strstr(err.text, "more prefixes than prefixes_max = "),
               "too small is refused: %s", err.text);
            fg_filter_close(filter);
        }
    }
    options.prefixes_max = MILLION + 500;
    filter = must_open(&options);
    ok(verdict_of(filter, "10.0.0.1") == XDP_DROP &&
           verdict_of(filter, "13.208.143.128") == XDP_DROP &&
           fg_filter_count(filter, FG_FILTER_LIST_BLOCK) == count,
       "and loses nothing: %u of %u", fg_filter_count(filter, FG_FILTER_LIST_BLOCK), count);
    fg_filter_close(filter);
}

static void monitor(struct fg_filter_options options)
{
    uint64_t before[FG_FILTER_VERDICT_COUNT], after[FG_FILTER_VERDICT_COUNT];
    struct fg_filter *filter;

    options.prefixes_max = MILLION + 500;
    options.sources_max *= 4;
    options.monitor = true;
    filter = must_open(&options);
    fg_filter_counters(filter, before);
    ok(verdict_of(filter, "10.0.0.1") == XDP_PASS, "monitor mode drops nothing");
    fg_filter_counters(filter, after);
    ok(after[FG_FILTER_VERDICT_BLOCKED] == before[FG_FILTER_VERDICT_BLOCKED] + 1, "but counts");
    fg_filter_close(filter);
}

static void body(const char *pins)
{
    struct fg_filter_options options = plain_options(pins);
    struct fg_filter *filter;
    int fd = mkstemp(path);

    close(fd);
    options.prefixes_max = MILLION + 100;
    filter = must_open(&options);
    formats(filter);
    errors(filter);
    no_ordinary_files(filter);
    million(filter);
    fg_filter_close(filter);
    resize(options);
    monitor(options);
    unlink(path);
}

int main(void)
{
    return sandbox("bulk", body);
}
