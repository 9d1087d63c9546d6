/* SPDX-License-Identifier: BSD-3-Clause */
/* The log: a snapshot by the daemon, and a new log without it. */
#include "fgctl.h"

#include <string.h>

#include "config/config.h"
#include "journal/journal.h"

#define CONFIG_PATH "/etc/floodgate/floodgate.conf"

enum { OPT_CONFIG, OPT_DIR }; /* as in commands.c */

int fg_cmd_log_snapshot(struct fg_cli *cli, const struct fg_args *args)
{
    json_t *reply;
    int code = fg_request(cli, "POST", "/v1/log/snapshot", NULL, &reply);

    if (code != FG_EXIT_OK)
        return code;
    if (cli->json)
        fg_print_json(reply);
    else
        printf("snapshot of record %" JSON_INTEGER_FORMAT "\n",
               json_integer_value(json_object_get(reply, "seq")));
    json_decref(reply);
    return code;
}

/* The folder and the size of its segments: by the configuration, or by the command line alone. */
static bool take_options(const struct fg_args *args, struct fg_config *config,
                         struct fg_journal_options *options, struct fg_error *err)
{
    const char *file = args->options[OPT_CONFIG], *dir = args->options[OPT_DIR];

    if (!dir || file) {
        if (!fg_config_load(config, file ? file : CONFIG_PATH, err))
            return false;
        options->dir = config->log.dir;
        options->segment_bytes = config->log.segment_bytes;
    }
    if (dir)
        options->dir = dir;
    return true;
}

static int begin_log(struct fg_cli *cli, const struct fg_journal_options *options)
{
    struct fg_error err = {""};
    struct fg_journal *journal = fg_journal_open(options, &err);

    if (!journal) {
        fg_complain("%s", err.text);
        return FG_EXIT_REFUSED;
    }
    if (cli->json)
        printf("{\"log_id\": \"%016llx\"}\n", (unsigned long long)fg_journal_appliance(journal));
    else
        printf("%s: a new log, id %016llx\n", options->dir,
               (unsigned long long)fg_journal_appliance(journal));
    fg_journal_close(journal);
    return FG_EXIT_OK;
}

int fg_cmd_log_init(struct fg_cli *cli, const struct fg_args *args)
{
    struct fg_journal_options options = {.begin = true, .prepare_ms = 1, .now_ms = fg_now_ms()};
    struct fg_config *config = calloc(1, sizeof(*config));
    struct fg_error err = {""};
    int code = FG_EXIT_INPUT;

    if (!config)
        fg_complain("out of memory");
    else if (!take_options(args, config, &options, &err))
        fg_complain("%s", err.text);
    else
        code = begin_log(cli, &options);
    if (config)
        explicit_bzero(config, sizeof(*config)); /* passwords */
    free(config);
    return code;
}

int fg_cmd_log_accept(struct fg_cli *cli, const struct fg_args *args)
{
    json_t *reply;
    int code = fg_request(cli, "POST", "/v1/log/accept", NULL, &reply);

    if (code != FG_EXIT_OK)
        return code;
    if (cli->json)
        fg_print_json(reply);
    else
        printf("accepted until the next restart: it sells from this log\n");
    json_decref(reply);
    return code;
}

int fg_cmd_sink_adopt(struct fg_cli *cli, const struct fg_args *args)
{
    char path[96];
    json_t *reply;
    int code;

    if (strlen(args->positions[0]) > 32 || strpbrk(args->positions[0], "/?%"))
        return fg_usage_error("sink '%.40s'; accepted: redis, postgres, kafka", args->positions[0]);
    snprintf(path, sizeof(path), "/v1/sinks/%s/adopt", args->positions[0]);
    code = fg_request(cli, "POST", path, NULL, &reply);
    if (code != FG_EXIT_OK)
        return code;
    if (cli->json)
        fg_print_json(reply);
    else
        printf("sink %s begins anew with this log; `fgctl status` shows how far it is\n",
               args->positions[0]);
    json_decref(reply);
    return code;
}
