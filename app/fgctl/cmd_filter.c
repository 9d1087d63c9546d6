/* SPDX-License-Identifier: BSD-3-Clause */
/* The filter by hand: on its pins, so that it needs no daemon. */
#include "fgctl.h"

#include <string.h>

#include "filter/filter.h"

#define PINS_DEFAULT "/sys/fs/bpf/floodgate"
#define LINKS_MAX    64

static const char *pins_of(const struct fg_args *args)
{
    return args->options[0] ? args->options[0] : PINS_DEFAULT;
}

static int complain(const struct fg_error *err)
{
    fg_complain("%s", err->text);
    return FG_EXIT_REFUSED;
}

static int done(const struct fg_cli *cli, const char *what, const char *ifname)
{
    printf(cli->json ? "{\"%s\": \"%s\"}\n" : "%s %s\n", what, ifname);
    return FG_EXIT_OK;
}

int fg_cmd_filter_attach(struct fg_cli *cli, const struct fg_args *args)
{
    struct fg_error err = {""};

    if (!fg_filter_attach_again(pins_of(args), args->positions[0], args->options[1] != NULL, &err))
        return complain(&err);
    return done(cli, "attached", args->positions[0]);
}

int fg_cmd_filter_detach(struct fg_cli *cli, const struct fg_args *args)
{
    struct fg_error err = {""};

    if (!fg_filter_detach(pins_of(args), args->positions[0], &err))
        return complain(&err);
    return done(cli, "detached", args->positions[0]);
}

static const char *mode_of(const struct fg_filter_link *link)
{
    if (!link->program || !link->ifindex)
        return "detached";
    return link->generic ? "generic" : "native";
}

static void print_json(const struct fg_filter_link *links, int n, const uint64_t *counters)
{
    json_t *list = json_array(), *verdicts = json_object(), *all;

    for (int i = 0; i < n; i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:i}", "interface", links[i].ifname, "mode",
                                        mode_of(&links[i]), "program", (int)links[i].program));
    for (unsigned i = 0; i < FG_FILTER_VERDICT_COUNT; i++)
        json_object_set_new(verdicts, fg_filter_verdict_name(i),
                            json_integer((json_int_t)counters[i]));
    all = json_pack("{s:o, s:o}", "interfaces", list, "verdicts", verdicts);
    fg_print_json(all);
    json_decref(all);
}

static void print_text(const struct fg_filter_link *links, int n, const uint64_t *counters)
{
    static const char *const columns[] = {"INTERFACE", "MODE", "PROGRAM>"}, *const verdicts[] = {
                                                                                "VERDICT",
                                                                                "PACKETS>"};
    struct fg_table *table = fg_table_create(columns, 3);
    char number[24];

    for (int i = 0; i < n; i++) {
        snprintf(number, sizeof(number), "%u", links[i].program);
        fg_table_add(table, (const char *const[]){links[i].ifname, mode_of(&links[i]), number});
    }
    fg_table_print(table, stdout);
    fg_table_free(table);
    printf("\n");
    table = fg_table_create(verdicts, 2);
    for (unsigned i = 0; i < FG_FILTER_VERDICT_COUNT; i++) {
        snprintf(number, sizeof(number), "%llu", (unsigned long long)counters[i]);
        fg_table_add(table, (const char *const[]){fg_filter_verdict_name(i), number});
    }
    fg_table_print(table, stdout);
    fg_table_free(table);
}

int fg_cmd_filter_status(struct fg_cli *cli, const struct fg_args *args)
{
    struct fg_filter_link links[LINKS_MAX];
    uint64_t counters[FG_FILTER_VERDICT_COUNT];
    struct fg_error err = {""};
    int n = fg_filter_status(pins_of(args), links, LINKS_MAX, counters, &err);

    if (n < 0)
        return complain(&err);
    if (cli->json)
        print_json(links, n, counters);
    else
        print_text(links, n, counters);
    return FG_EXIT_OK;
}
