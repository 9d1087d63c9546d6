/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that shoppers or other programs write, or that a crash may have damaged. The first byte of
 * an input chooses the reader, the rest is the file: nginx's log of offences, what etcd says of a
 * fleet, what a load generator was told, what a member and a node of a pair remember, lists of
 * prefixes for fgctl, and properties of Kafka.
 */
#include <fcntl.h>
#include <stdarg.h>

#include <librdkafka/rdkafka.h>

#include "app/fgaudit/client.h"
#include "app/fgaudit/pools.h"
#include "app/fgaudit/progress.h"
#include "app/fgctl/fgctl.h"
#include "fuzz.h"
#include "member/memory.h"
#include "replication/memory.h"
#include "sink/kafka/client.h"

#define NOW_MS 1764400000000 /* of the lines of nginx that are of now */

static char folder[64];
static uint64_t reported; /* offences */
static unsigned away;     /* so many reports until the daemon does not answer once */

/* ---- around the readers ---------------------------------------------------------------------- */

uint64_t fg_now_ms(void)
{
    return NOW_MS;
}

void fg_progress(const char *what, uint64_t done)
{
}

void fg_complain(const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
}

int fg_report_offence(struct fg_cli *cli, const char *address, uint64_t count, struct fg_error *err)
{
    FG_FUZZ_CHECK(*address && strlen(address) < 48 && count > 0);
    if (away && --away == 0)
        return FG_EXIT_CONNECT;
    reported += count;
    return FG_EXIT_OK;
}

int fg_usage_error(const char *fmt, ...)
{
    return FG_EXIT_USAGE;
}

/* What fgctl prints of an answer. */
void fg_print_json(const json_t *json)
{
}

void fg_print_json_error(const json_t *json)
{
}

/* Not called: they list and save. */
void fg_table_add(struct fg_table *table, const char *const *cells)
{
    abort();
}

int fg_request_table(struct fg_cli *cli, const char *path, const char *key,
                     const char *const *columns, unsigned count,
                     void (*row)(void *table, json_t *entry))
{
    abort();
}

int fg_request_raw(struct fg_cli *cli, const char *path, struct fg_reply *reply,
                   struct fg_error *err)
{
    abort();
}

bool fg_duration_parse(const char *text, uint64_t *ms, struct fg_error *err)
{
    abort();
}

bool fg_time_parse(const char *text, uint64_t *ms)
{
    abort();
}

static const char *sent;  /* the text that a list has to be sent as */
static uint64_t prefixes; /* of requests */

/* The daemon takes words of one line each. */
int fg_request(struct fg_cli *cli, const char *method, const char *path, json_t *body,
               json_t **reply)
{
    json_t *list = json_object_get(body, "prefixes"), *entry;
    size_t i;

    FG_FUZZ_CHECK(json_array_size(list) > 0);
    json_array_foreach (list, i, entry) {
        const char *word = json_string_value(entry);

        FG_FUZZ_CHECK(word && *word && !word[strcspn(word, " \t\r\n#")]);
    }
    prefixes += json_array_size(list);
    json_decref(body);
    *reply = json_pack("{s:i}", "added", 1);
    return FG_EXIT_OK;
}

int fg_request_text(struct fg_cli *cli, const char *path, const char *text, json_t **reply,
                    struct fg_error *err)
{
    FG_FUZZ_CHECK(!strcmp(text, sent));
    *reply = json_pack("{s:i}", "loaded", 1);
    if (strlen(text) % 3)
        return FG_EXIT_OK;
    fg_fail(err, "body:1: not a prefix");
    return FG_EXIT_REFUSED;
}

rd_kafka_conf_res_t __wrap_rd_kafka_conf_set(rd_kafka_conf_t *conf, const char *name,
                                             const char *value, char *why, size_t size);

/* No line gets past what the appliance sets itself; librdkafka's own reading is not tested. */
rd_kafka_conf_res_t __wrap_rd_kafka_conf_set(rd_kafka_conf_t *conf, const char *name,
                                             const char *value, char *why, size_t size)
{
    FG_FUZZ_CHECK(strcmp(name, "transactional.id") != 0 && strcmp(name, "acks") != 0);
    FG_FUZZ_CHECK(!name[strcspn(name, "\n=")] && !value[strcspn(value, "\n")]);
    snprintf(why, size, "no such property");
    return *name == 'x' ? RD_KAFKA_CONF_UNKNOWN : RD_KAFKA_CONF_OK;
}

static void write_file(const char *name, const uint8_t *data, size_t size)
{
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FG_FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
}

/* ---- readers --------------------------------------------------------------------------------- */

/* No line makes two offences. */
static void follow(const char *path, const uint8_t *data, size_t size)
{
    struct fg_args args = {.positions = {path}, .count = 1, .options = {""}};
    struct fg_cli cli = {.json = size & 1};
    uint64_t lines = 0;
    int code;

    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    args.options[1] = size & 2 ? "" : NULL;
    away = size & 4 ? 2 : 0;
    reported = 0;
    code = fg_cmd_penalty_follow(&cli, &args);
    FG_FUZZ_CHECK(code == FG_EXIT_OK || code == FG_EXIT_CONNECT);
    FG_FUZZ_CHECK(reported <= lines);
}

static void read_pools(const char *path)
{
    struct fg_problems problems = {.limit = 4};
    struct fg_pools pools;
    struct fg_error err = {""};
    bool ok = fg_pools_read(&pools, path, &problems, &err);

    FG_FUZZ_CHECK(ok || err.text[0]);
    if (ok && pools.shards)
        for (uint64_t user = 0; user < 64; user++)
            FG_FUZZ_CHECK(fg_pools_owner(&pools, user) < pools.members);
    for (size_t i = 0; ok && i < pools.count; i++)
        FG_FUZZ_CHECK(fg_pools_find(&pools, pools.list[i].item));
    fg_pools_free(&pools);
    fg_problems_free(&problems);
}

/* A text names an order by its id, however the file wrote it. */
static void check_problems(const struct fg_problems *problems)
{
    for (unsigned kind = FG_PROBLEM_CLIENT_MISSING; kind <= FG_PROBLEM_CLIENT_UNNAMED; kind++)
        for (size_t i = 0; i < problems->kinds[kind].kept; i++) {
            const char *id = strstr(problems->kinds[kind].texts[i], "order ");

            FG_FUZZ_CHECK(id && strspn(id + 6, "0123456789abcdef") == 32);
            FG_FUZZ_CHECK(!strncmp(id + 38, " of user ", 9));
        }
}

/* The log has two orders of user 1. */
static void read_client(const char *path)
{
    struct fg_problems problems = {.limit = 4};
    struct fg_story story = {.problems = &problems};
    struct fg_client client = {0};
    struct fg_error err = {""};
    bool ok;

    fg_tables_init(&story.tables);
    fg_tables_item_add(&story.tables, 1);
    for (uint8_t id = 1; id <= 2; id++) {
        struct fg_order *o = fg_tables_order_add(&story.tables, 1, (const uint8_t[16]){id});

        o->state = id == 1 ? FG_STATE_SOLD : FG_STATE_EXPIRED;
        o->quantity = 1;
    }
    ok = fg_client_read(&client, path, &story, &err);
    FG_FUZZ_CHECK(ok || err.text[0]);
    FG_FUZZ_CHECK(client.acknowledged + client.rejected + client.unanswered == client.orders);
    fg_client_unnamed(&client, &story, ok);
    FG_FUZZ_CHECK(client.unnamed <= 2);
    check_problems(&problems);
    fg_tables_free(&story.tables);
    fg_problems_free(&problems);
}

/* What was understood is what would be written. */
static void read_member(const uint8_t *data, size_t size)
{
    int64_t revision, again;
    struct fg_error err = {""};

    write_file(FG_MEMBER_MEMORY_NAME, data, size);
    if (!fg_member_memory_read(folder, &revision, &err)) {
        FG_FUZZ_CHECK(err.text[0]);
        return;
    }
    FG_FUZZ_CHECK(fg_member_memory_write(folder, revision, &err) &&
                  fg_member_memory_read(folder, &again, &err) && again == revision);
}

static void read_node(const uint8_t *data, size_t size)
{
    struct fg_pair_memory memory, again;
    struct fg_error err = {""};

    write_file(FG_REPLICATION_MEMORY_NAME, data, size);
    if (!fg_replication_memory_read(folder, &memory, &err)) {
        FG_FUZZ_CHECK(err.text[0]);
        return;
    }
    FG_FUZZ_CHECK(fg_replication_memory_write(folder, &memory, &err) &&
                  fg_replication_memory_read(folder, &again, &err) &&
                  again.revision == memory.revision && again.epoch == memory.epoch);
}

/* Each word of the file is sent once, or none. */
static void add_prefixes(const char *path, const uint8_t *data, size_t size)
{
    static const struct fg_command command = {.noun = "block", .verb = "add"};
    struct fg_args args = {.command = &command, .options = {path}};
    struct fg_cli cli = {.json = size & 1};
    uint64_t lines = 1;
    int code;

    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    args.options[5] = size & 2 ? "" : NULL;
    prefixes = 0;
    code = fg_cmd_filter_change(&cli, &args);
    FG_FUZZ_CHECK(code == FG_EXIT_OK || code == FG_EXIT_INPUT || code == FG_EXIT_USAGE);
    FG_FUZZ_CHECK(code == FG_EXIT_OK ? prefixes <= lines : prefixes == 0);
}

/* The whole file is sent as it is, or refused. */
static void load_prefixes(const char *path, const uint8_t *data, size_t size)
{
    static const struct fg_command command = {.noun = "block", .verb = "load"};
    struct fg_args args = {.command = &command, .positions = {path}, .count = 1};
    struct fg_cli cli = {.json = size & 1};
    char *text = malloc(size + 1);
    int code;

    FG_FUZZ_CHECK(text);
    memcpy(text, data, size);
    text[size] = '\0';
    sent = text;
    args.options[0] = size & 2 ? "" : NULL;
    code = fg_cmd_filter_file(&cli, &args);
    FG_FUZZ_CHECK(code == FG_EXIT_OK || code == FG_EXIT_INPUT || code == FG_EXIT_USAGE ||
                  code == FG_EXIT_REFUSED);
    FG_FUZZ_CHECK(!memchr(data, 0, size) || code == FG_EXIT_INPUT);
    free(text);
}

static void read_properties(const char *path)
{
    struct fg_sink_kafka_options options = {.brokers = "198.18.0.1",
                                            .topic = "t",
                                            .batch_max = 1,
                                            .timeout_ms = 1000,
                                            .retry_ms_max = 1};
    struct fg_sink_kafka_setup setup;
    struct fg_error err = {""};

    snprintf(options.properties_file, sizeof(options.properties_file), "%s", path);
    FG_FUZZ_CHECK(fg_sink_kafka_setup_init(&setup, &options, &err) || err.text[0]);
    fg_sink_kafka_setup_free(&setup);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void remove_folder(void)
{
    char line[160];

    snprintf(line, sizeof(line), "rm -rf '%s'", folder);
    if (system(line))
        fprintf(stderr, "%s stays\n", folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *base = getenv("TMPDIR");

    snprintf(folder, sizeof(folder), "%.40s/fg-files-XXXXXX", base ? base : "/tmp");
    FG_FUZZ_CHECK(mkdtemp(folder));
    atexit(remove_folder);
    FG_FUZZ_CHECK(freopen("/dev/null", "w", stdout)); /* the commands print what they reported */
    FG_FUZZ_CHECK(freopen("/dev/null", "r", stdin));  /* and ask at a terminal */
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int fd;

    if (size == 0)
        return 0;
    fd = fuzz_file(data + 1, size - 1, path);
    switch ((data[0] - 'd') & 7) {
    case 0:
        follow(path, data + 1, size - 1);
        break;
    case 1:
        read_pools(path);
        break;
    case 2:
        read_client(path);
        break;
    case 3:
        read_member(data + 1, size - 1);
        break;
    case 4:
        read_node(data + 1, size - 1);
        break;
    case 5:
        add_prefixes(path, data + 1, size - 1);
        break;
    case 6:
        load_prefixes(path, data + 1, size - 1);
        break;
    case 7:
        read_properties(path);
    }
    close(fd);
    return 0;
}
