/* SPDX-License-Identifier: BSD-3-Clause */
/* Is this machine fit for the configuration? Runs the checks of lib/doctor; the daemon need not
 * run. */
#include "fgctl.h"

#include <string.h>
#include <sys/wait.h>

#include "config/config.h"
#include "doctor/doctor.h"

#define CONFIG_PATH "/etc/floodgate/floodgate.conf"

enum { OPT_CONFIG, OPT_FIX, OPT_ONLY, OPT_ALL }; /* as in commands.c */

struct run {
    struct fg_doctor doctor;
    bool fix, all, json;
    unsigned counts[FG_DOCTOR_FAULT + 1];
    json_t *list;
};

/* The command is one of ours; it names files and interfaces of the configuration. */
static bool mend(const struct fg_doctor_check *check, const struct fg_doctor_finding *found)
{
    int status;

    fg_complain("%s: running: %s", check->name, found->command);
    status = system(found->command);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    fg_complain("%s: the command failed", check->name);
    return false;
}

static void print(const struct run *run, const struct fg_doctor_check *check,
                  const struct fg_doctor_finding *found)
{
    bool bad = found->verdict >= FG_DOCTOR_WARNING;

    if (!bad && !run->all)
        return;
    printf("%-8s %s%s%s\n", fg_doctor_verdict_name(found->verdict), check->name,
           found->cause[0] ? ": " : "", found->cause);
    if (bad && found->command[0])
        printf("         run: %s\n", found->command);
    else if (bad)
        printf("         remedy: %s\n", check->remedy);
}

static void add(const struct run *run, const struct fg_doctor_check *check,
                const struct fg_doctor_finding *found, bool fixed)
{
    json_array_append_new(run->list,
                          json_pack("{s:s, s:s, s:o, s:s, s:s, s:b, s:b}", "check", check->name,
                                    "verdict", fg_doctor_verdict_name(found->verdict), "cause",
                                    fg_json_text(found->cause), "command", found->command, "remedy",
                                    check->remedy, "fixable", check->fixable, "fixed", fixed));
}

static void examine(struct run *run, const struct fg_doctor_check *check)
{
    struct fg_doctor_finding found;
    bool fixed = false;

    fg_doctor_run(&run->doctor, check, &found);
    if (run->fix && check->fixable && found.verdict >= FG_DOCTOR_WARNING && found.command[0] &&
        mend(check, &found)) {
        fg_doctor_run(&run->doctor, check, &found);
        fixed = found.verdict < FG_DOCTOR_WARNING;
    }
    run->counts[found.verdict]++;
    if (run->json)
        add(run, check, &found, fixed);
    else
        print(run, check, &found);
}

static int finish(struct run *run)
{
    unsigned faults = run->counts[FG_DOCTOR_FAULT], warnings = run->counts[FG_DOCTOR_WARNING],
             good = run->counts[FG_DOCTOR_GOOD], skipped = run->counts[FG_DOCTOR_SKIPPED];

    if (run->json) {
        json_t *out =
            json_pack("{s:O, s:i, s:i, s:i, s:i}", "checks", run->list, "faults", (int)faults,
                      "warnings", (int)warnings, "good", (int)good, "skipped", (int)skipped);

        fg_print_json_error(out); /* when there are faults */
        json_decref(out);
    } else {
        printf("faults: %u, warnings: %u, good: %u, skipped: %u\n", faults, warnings, good,
               skipped);
    }
    return faults ? FG_EXIT_UNHEALTHY : FG_EXIT_OK;
}

static int examine_all(struct run *run, const char *only)
{
    unsigned done = 0;

    for (unsigned i = 0; i < fg_doctor_checks_count; i++) {
        if (only && strcmp(only, fg_doctor_checks[i].name))
            continue;
        examine(run, &fg_doctor_checks[i]);
        done++;
    }
    if (!done)
        return fg_usage_error("--only %s: no such check; docs/doctor.md lists them", only);
    return finish(run);
}

int fg_cmd_doctor(struct fg_cli *cli, const struct fg_args *args)
{
    const char *path = args->options[OPT_CONFIG] ? args->options[OPT_CONFIG] : CONFIG_PATH;
    struct fg_config *config = calloc(1, sizeof(*config));
    struct run run = {.doctor = {"", config, &fg_doctor_probes_real},
                      .fix = args->options[OPT_FIX],
                      .all = args->options[OPT_ALL],
                      .json = cli->json,
                      .list = json_array()};
    struct fg_error err = {""};
    int code = FG_EXIT_INPUT;

    if (!config)
        fg_complain("out of memory");
    else if (!fg_config_load(config, path, &err))
        fg_complain("%s", err.text);
    else
        code = examine_all(&run, args->options[OPT_ONLY]);
    json_decref(run.list);
    if (config)
        explicit_bzero(config, sizeof(*config));
    free(config);
    return code;
}
