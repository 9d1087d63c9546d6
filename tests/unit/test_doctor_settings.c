/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands of the doctor that change the configuration: run by sh on a file with all sections,
 * each changes exactly the setting that it names, and then the check is content. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "doctor/doctor.h"

#define NET "/sys/class/net"

static char root[64];
static struct fg_config config;
static const struct fg_doctor doctor = {root, &config, &fg_doctor_probes_real};

static const struct {
    const char *check, *section, *key, *faulty, *mended;
    bool by_default; /* the fault is there without a line, too */
} rows[] = {
    {"xdp-native", "port a.b", "generic", "no", "yes", true},
    {"log-durability", "log", "durability", "memory", "disk", false},
    {"api-mode", "api", "mode", "0666", "0660", false},
    {"metrics-public", "metrics", "listen", "198.51.100.7:9461", "127.0.0.1:9461", false},
    {"gateways", "limits", "user_rate", "0", "5", false},
    {"monitor", "filter", "monitor", "yes", "no", false},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* Lines that no command may touch: settings of the same names, comments, neighbours. */
static const struct {
    const char *section, *lines;
} sections[] = {
    {"port aXb", "generic = no\ninterface = eth1\n"},
    {"port a.b", "# generic: slow\n#generic = no\ninterface = eth0\n"},
    {"port a", "interface = eth2\ngeneric = no\n"},
    {"workers", "count = 1\n"},
    {"eal", "mbufs = 4096\n"},
    {"orders", "keys = ROOT/file\n"},
    {"filter", "#monitor = yes\nallow_file = ROOT/file\n"},
    {"penalty", "mode = proven\nuser_rate = 10000\n"},
    {"log", "#durability = memory\nbatch_max = 1000\n"},
    {"redis", "address = 192.0.2.3:6379\n"},
    {"postgres", "conninfo = host=192.0.2.3\n"},
    {"kafka", "brokers = 192.0.2.3:9092\n"},
    {"pair", "listen = 192.0.2.1:4610\npeer = 192.0.2.2:4610\n"},
    {"fleet", "shards = 64\n"},
    {"api", "#mode = 0660\nsocket = ROOT/socket\n"},
    {"metrics", "#listen = 0.0.0.0:9460\n"},
    {"limits", "#user_rate = 0\nitems_max = 100\n"},
};
#define SECTIONS (sizeof(sections) / sizeof(sections[0]))

static void shell(const char *command)
{
    if (system(command) != 0)
        fail_msg("fails: %s", command);
}

static int set_up(void **state)
{
    static const char *const drivers[] = {"8139too", "ice", "ice"};
    char command[400];

    strcpy(root, "/tmp/fg-doctor-XXXXXX");
    assert_non_null(mkdtemp(root));
    for (unsigned i = 0; i < 3; i++) {
        snprintf(command, sizeof(command),
                 "d=%s" NET "/eth%u/device; mkdir -p $d && ln -s ../../drivers/%s $d/driver", root,
                 i, drivers[i]);
        shell(command);
    }
    snprintf(command, sizeof(command), ": >%s/file", root);
    shell(command);
    return 0;
}

static int tear_down(void **state)
{
    char command[100];

    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    shell(command);
    return 0;
}

/* ---- the file -------------------------------------------------------------------------------- */

enum position { NOWHERE, BEHIND_HEADING, AT_END };

static void put_lines(FILE *file, const char *lines)
{
    for (const char *at; (at = strstr(lines, "ROOT")); lines = at + strlen("ROOT"))
        fprintf(file, "%.*s%s", (int)(at - lines), lines, root);
    fputs(lines, file);
}

/* With the setting of a row, as an operator may have written it, or as the command does. */
static char *text_of(unsigned row, enum position position, const char *value)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    assert_non_null(file);
    for (unsigned i = 0; i < SECTIONS; i++) {
        bool here = strcmp(sections[i].section, rows[row].section) == 0;

        fprintf(file, here ? "\n [ %s ]  # mine\n" : "\n[%s]\n", sections[i].section);
        if (here && position == BEHIND_HEADING)
            fprintf(file, "%s = %s\n", rows[row].key, value);
        put_lines(file, sections[i].lines);
        if (here && position == AT_END)
            fprintf(file, "  %s=%s # why\n", rows[row].key, value);
    }
    assert_int_equal(fclose(file), 0);
    return text;
}

static void put_config(const char *text)
{
    char path[100];
    FILE *file;

    snprintf(path, sizeof(path), "%s/floodgate.conf", root);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void config_is(const char *text, const char *command)
{
    char path[100], found[8192];
    FILE *file;

    snprintf(path, sizeof(path), "%s/floodgate.conf", root);
    file = fopen(path, "r");
    assert_non_null(file);
    found[fread(found, 1, sizeof(found) - 1, file)] = 0;
    fclose(file);
    if (strcmp(found, text) != 0)
        fail_msg("%s\nmakes%s\n\nnot%s", command, found, text);
}

static void load(void)
{
    char path[100];
    struct fg_error err = {""};

    snprintf(path, sizeof(path), "%s/floodgate.conf", root);
    if (!fg_config_load(&config, path, &err))
        fail_msg("%s", err.text);
}

/* Loads the file, and runs the check of the row. */
static struct fg_doctor_finding finding_of(unsigned row)
{
    struct fg_doctor_finding found = {0};

    load();
    for (unsigned k = 0; k < fg_doctor_checks_count; k++)
        if (!strcmp(fg_doctor_checks[k].name, rows[row].check))
            fg_doctor_run(&doctor, &fg_doctor_checks[k], &found);
    return found;
}

/* ---- the commands ---------------------------------------------------------------------------- */

static void mends(unsigned row, enum position position)
{
    char *before = text_of(row, position, rows[row].faulty);
    char *after = text_of(row, BEHIND_HEADING, rows[row].mended);
    struct fg_doctor_finding found, then;

    put_config(before);
    found = finding_of(row);
    if (found.verdict < FG_DOCTOR_WARNING || !found.command[0])
        fail_msg("%s does not see its fault", rows[row].check);
    shell(found.command);
    config_is(after, found.command);
    then = finding_of(row);
    if (then.verdict != FG_DOCTOR_GOOD)
        fail_msg("%s after its command: %s", rows[row].check, then.cause);
    shell(found.command); /* twice is as once */
    config_is(after, found.command);
    free(before);
    free(after);
}

static void a_setting_is_replaced(void **state)
{
    for (unsigned i = 0; i < ROWS; i++) {
        mends(i, AT_END);
        mends(i, BEHIND_HEADING);
    }
}

static void a_setting_is_added(void **state)
{
    for (unsigned i = 0; i < ROWS; i++)
        if (rows[i].by_default)
            mends(i, NOWHERE);
}

/* The command that was told for a file works on one whose line was removed since. */
static void a_setting_that_went_is_added(void **state)
{
    for (unsigned i = 0; i < ROWS; i++) {
        char *before = text_of(i, AT_END, rows[i].faulty), *without = text_of(i, NOWHERE, NULL);
        char *after = text_of(i, BEHIND_HEADING, rows[i].mended);
        struct fg_doctor_finding found;

        put_config(before);
        found = finding_of(i);
        put_config(without);
        shell(found.command);
        config_is(after, found.command);
        free(before);
        free(without);
        free(after);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_setting_is_replaced),
        T(a_setting_is_added),
        T(a_setting_that_went_is_added),
    };

    return cmocka_run_group_tests_name("doctor_settings", tests, NULL, NULL);
}
