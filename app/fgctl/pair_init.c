/* SPDX-License-Identifier: BSD-3-Clause */
/* Before a pair begins: its register in etcd, and its certificates. Neither needs a daemon. */
#include "fgctl.h"

#include <string.h>

#include "arbiter/arbiter.h"
#include "config/config.h"
#include "journal/journal.h"
#include "pair/pair.h"
#include "pair/wire.h"
#include "pair_keys.h"

#define CONFIG_PATH "/etc/floodgate/floodgate.conf"
#define ARBITER_MS  5000

enum { OPT_CONFIG, OPT_KEYS, OPT_HOSTS }; /* as in commands.c */

/* The log in this folder, also beside a daemon that writes it. epoch: later than any that the log
 * has of an earlier pair. */
static bool read_log(const char *dir, uint64_t *id, uint64_t *epoch, struct fg_error *err)
{
    static struct fg_journal_epochs epochs;
    struct fg_journal_reader *reader;
    uint64_t first;

    if (!fg_journal_found(dir))
        return fg_fail(err, "there is no log in %s: `fgctl log init` begins one", dir);
    first = fg_journal_first_seq(dir, err);
    reader = first ? fg_journal_reader_open(dir, first, err) : NULL;
    if (!reader)
        return false;
    *id = fg_journal_reader_appliance(reader);
    fg_journal_reader_close(reader);
    if (!fg_journal_epochs_read(&epochs, dir, err))
        return false;
    *epoch = fg_journal_epochs_last(&epochs).epoch;
    *epoch += *epoch != 0;
    return true;
}

/* DONE: *text is what stands there now, made by us or found. */
static int make_register(struct fg_arbiter *arbiter, unsigned node, uint64_t log, uint64_t epoch,
                         struct fg_arbiter_value *value, struct fg_error *err)
{
    char text[FG_PAIR_TEXT_MAX];
    const struct fg_arbiter_swap swap = {.guard = FG_PAIR_REGISTER_KEY,
                                         .key = FG_PAIR_REGISTER_KEY,
                                         .bytes = text,
                                         .size = fg_pair_register_first(text, node, log, epoch)};
    int64_t revision;

    switch (fg_arbiter_swap(arbiter, &swap, &revision, err)) {
    case FG_ARBITER_DONE:
        memcpy(value->bytes, text, swap.size + 1);
        return FG_EXIT_OK;
    case FG_ARBITER_LOST:
        if (fg_arbiter_read(arbiter, FG_PAIR_REGISTER_KEY, value, err) != FG_ARBITER_DONE)
            return FG_EXIT_UNAVAILABLE;
        fg_fail(err, "there is a register of this pair already; nothing was changed: %.200s",
                value->bytes);
        return FG_EXIT_REFUSED;
    case FG_ARBITER_REFUSED:
        return FG_EXIT_REFUSED;
    default:
        return FG_EXIT_UNAVAILABLE;
    }
}

static int begin_pair(struct fg_cli *cli, const struct fg_config *config)
{
    struct fg_arbiter_options options = config->pair.arbiter;
    struct fg_arbiter_value *value = calloc(1, sizeof(*value));
    struct fg_error err = {""};
    struct fg_arbiter *arbiter;
    uint64_t log = 0, epoch = 0;
    int code = FG_EXIT_INPUT;

    options.timeout_ms = ARBITER_MS;
    if (!value || !read_log(config->log.dir, &log, &epoch, &err)) {
        fg_complain("%s", value ? err.text : "out of memory");
        free(value);
        return code;
    }
    arbiter = fg_arbiter_open(&options, &err);
    if (arbiter)
        code = make_register(arbiter, config->pair.node, log, epoch, value, &err);
    fg_arbiter_close(arbiter);
    if (code != FG_EXIT_OK)
        fg_complain("%s", err.text);
    else if (cli->json)
        printf("{\"log_id\": \"%016llx\", \"node\": %u}\n", (unsigned long long)log,
               config->pair.node);
    else
        printf("the pair begins with log %016llx; node %u leads alone first\n",
               (unsigned long long)log, config->pair.node);
    free(value);
    return code;
}

static int init_register(struct fg_cli *cli, const char *path)
{
    struct fg_config *config = calloc(1, sizeof(*config));
    struct fg_error err = {""};
    int code = FG_EXIT_INPUT;

    if (!config)
        fg_complain("out of memory");
    else if (!fg_config_load(config, path, &err))
        fg_complain("%s", err.text);
    else if (!config->pair.enabled)
        fg_complain("%s: [pair] enabled = no", path);
    else
        code = begin_pair(cli, config);
    if (config)
        explicit_bzero(config, sizeof(*config)); /* passwords */
    free(config);
    return code;
}

static int make_keys(struct fg_cli *cli, const char *folder, const char *hosts)
{
    struct fg_error err = {""};
    char one[2][64];
    char junk;
    bool ca_made;

    if (!hosts || sscanf(hosts, "%63[^, ], %63[^, ]%c", one[0], one[1], &junk) != 2)
        return fg_usage_error("--hosts: the addresses of node 0 and node 1, as in [pair] peer, "
                              "with a comma between");
    if (!fg_pair_keys_make(folder, one, &ca_made, &err)) {
        fg_complain("%s", err.text);
        return FG_EXIT_INPUT;
    }
    if (cli->json)
        printf("{\"ca_made\": %s}\n", ca_made ? "true" : "false");
    else
        printf("%s%s: node0.pem and node0.key go to node 0, node1.pem and node1.key to node 1,\n"
               "ca.pem to both; keep ca.key elsewhere: the next certificates need it\n",
               ca_made ? "a new authority in " : "by the authority in ", folder);
    return FG_EXIT_OK;
}

int fg_cmd_pair_init(struct fg_cli *cli, const struct fg_args *args)
{
    const char *config = args->options[OPT_CONFIG], *keys = args->options[OPT_KEYS];

    if (keys && config)
        return fg_usage_error("--keys and --config are both given; accepted: one of them");
    if (keys)
        return make_keys(cli, keys, args->options[OPT_HOSTS]);
    return init_register(cli, config ? config : CONFIG_PATH);
}
