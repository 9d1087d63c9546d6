/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of a start (lib/doctor/start.c) below the doctor's row `start`: whatever of it would
 * stop the daemon is a fault of the doctor, and what is only a warning there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "doctor/doctor.h"
#include "doctor/start.h"

static char root[64];
static struct fg_config config;

/* As `floodgate --check` has it, of which the real probe reads the first line that is no warning.
 */
static void note(void *ctx, bool warning, const char *text)
{
    struct fg_error *why = ctx;

    if (!warning && !why->text[0])
        fg_fail(why, "%s", text);
}

static bool refuses(const char *path, bool *is, struct fg_error *why)
{
    *is = fg_doctor_start_check(&config, false, true, note, why) > 0;
    return true;
}

static const struct fg_doctor_probes probes = {.refuses = refuses};

static const char *below(const char *path)
{
    static char text[96];

    snprintf(text, sizeof(text), "%s/%s", root, path);
    return text;
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(below(path), "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    chmod(below(path), 0600);
}

#define SET(setting, path) snprintf(setting, sizeof(setting), "%s", below(path))

static int set_up(void **state)
{
    strcpy(root, "/tmp/fg-doctor-start-XXXXXX");
    assert_non_null(mkdtemp(root));
    put("keys", "7 shop 000102030405060708090a0b0c0d0e0f\n");
    put("file", "no list\n");
    config = (struct fg_config){
        .ports = {{.name = "m", .device = "net_null0", .queues = 1}},
        .ports_count = 1,
        .workers = {.count = 1},
        .orders = {.port = 4600},
        .filter = {.enabled = true, .prefixes_max = 1000},
        .log = {.segment_bytes = 1 << 20},
        .api = {.mode = 0660},
        .limits = {.orders_max = 1000},
    };
    SET(config.path, "floodgate.conf");
    SET(config.orders.keys, "keys");
    SET(config.log.dir, "log");
    SET(config.api.socket, "control.sock");
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    return system(command);
}

static void finds(struct fg_doctor_finding *found)
{
    const struct fg_doctor doctor = {root, &config, &probes};

    for (unsigned i = 0; i < fg_doctor_checks_count; i++)
        if (!strcmp(fg_doctor_checks[i].name, "start"))
            fg_doctor_run(&doctor, &fg_doctor_checks[i], found);
}

/* ---- what stops a start ---------------------------------------------------------------------- */

static void cpus(void)
{
    strcpy(config.workers.cpus, "1023");
}
static void keys(void)
{
    unlink(below("keys"));
}
static void redis(void)
{
    config.redis.enabled = true;
    SET(config.redis.password_file, "none");
    strcpy(config.redis.address, "127.0.0.1:6379");
}
static void postgres(void)
{
    config.postgres.enabled = true;
    strcpy(config.postgres.conninfo, "nonsense");
}
static void kafka(void)
{
    config.kafka.enabled = true;
    strcpy(config.kafka.brokers, "127.0.0.1:9092");
    SET(config.kafka.properties_file, "none");
}
static void api_socket(void)
{
    SET(config.api.socket, "file");
}
static void group(void)
{
    strcpy(config.api.group, "fg-no-such-group");
}
static void viewer(void)
{
    SET(config.api.viewer, "file");
}
static void viewer_group(void)
{
    strcpy(config.api.viewer_group, "fg-no-such-group");
}
static void metrics(void)
{
    strcpy(config.metrics.listen, "192.0.2.1:9460"); /* no address of this machine */
}
static void log_dir(void)
{
    SET(config.log.dir, "file");
}
static void interface(void)
{
    strcpy(config.ports[0].device, "fg-none");
    config.ports[0].af_xdp = true;
}

static void every_reason_is_a_fault(void **state)
{
    static const struct {
        void (*change)(void);
        const char *cause;
    } breaks[] = {
        {cpus, "[workers] cpus: "},
        {keys, "[orders] keys: "},
        {redis, "[redis] address: "},
        {postgres, "[postgres] conninfo: "},
        {kafka, "[kafka] properties_file: "},
        {api_socket, "[api] socket: "},
        {group, "[api] group: "},
        {viewer, "[api] viewer: "},
        {viewer_group, "[api] viewer_group: "},
        {metrics, "[metrics] listen: "},
        {log_dir, "[log] dir: "},
        {interface, "[port m]: no interface fg-none"},
    };
    struct fg_doctor_finding found;

    finds(&found);
    if (found.verdict != FG_DOCTOR_GOOD)
        fail_msg("nothing is broken: %s", found.cause);
    for (size_t i = 0; i < sizeof(breaks) / sizeof(breaks[0]); i++) {
        tear_down(NULL);
        set_up(NULL);
        breaks[i].change();
        finds(&found);
        if (found.verdict != FG_DOCTOR_FAULT || !strstr(found.cause, breaks[i].cause))
            fail_msg("%s is %s: %s", breaks[i].cause, fg_doctor_verdict_name(found.verdict),
                     found.cause);
        assert_non_null(strstr(found.command, "floodgate --check "));
    }
}

static void block_file(void)
{
    SET(config.filter.block_file, "file");
}
static void allow_file(void)
{
    SET(config.filter.allow_file, "file");
}
static void archive(void)
{
    SET(config.log.archive, "none");
}
static void room(void)
{
    config.log.keep_bytes = 1ull << 60;
}

static void a_warning_of_a_start_is_no_fault(void **state)
{
    static void (*const changes[])(void) = {block_file, allow_file, archive, room};
    struct fg_doctor_finding found;

    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        tear_down(NULL);
        set_up(NULL);
        changes[i]();
        finds(&found);
        if (found.verdict != FG_DOCTOR_GOOD)
            fail_msg("change %zu: %s", i, found.cause);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_reason_is_a_fault, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_warning_of_a_start_is_no_fault, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("doctor_start", tests, NULL, NULL);
}
