/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/telemetry.h"

#include <ctype.h>
#include <pthread.h>
#include <string.h>

#include "base/diag.h"

#include <rte_telemetry.h>
#include <rte_version.h>

#define PREFIX "/floodgate/"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static fg_control_telemetry_measure *measure_all; /* NULL: there is nothing to show */
static void *measure_ctx;

struct reply {
    struct rte_tel_data *data;
    bool list;
    char element[64]; /* that `dict` is of */
    struct rte_tel_data *dict;
};

static int add_number(struct rte_tel_data *dict, const char *name, uint64_t value)
{
#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
    return rte_tel_data_add_dict_uint(dict, name, value);
#else /* Debian 12 has 22.11, which does not know that name */
    return rte_tel_data_add_dict_u64(dict, name, value);
#endif
}

/* DPDK takes names of letters, digits and '_' only. */
static void clean(char *name)
{
    for (; *name; name++)
        *name = isalnum((unsigned char)*name) ? *name : '_';
}

static void close_element(struct reply *reply)
{
    if (reply->dict &&
        rte_tel_data_add_dict_container(reply->data, reply->element, reply->dict, 0) < 0)
        rte_tel_data_free(reply->dict);
    reply->dict = NULL;
}

/* The dictionary that a value of this element goes to; NULL when memory is short. */
static struct rte_tel_data *dict_of(struct reply *reply, const char *label, const char *element)
{
    char name[sizeof(reply->element)];

    if (!reply->list)
        return reply->data;
    /* Worker 0 is "worker0". */
    snprintf(name, sizeof(name), "%s%s", isdigit((unsigned char)*element) ? label : "", element);
    clean(name);
    if (reply->dict && strcmp(name, reply->element) == 0)
        return reply->dict;
    close_element(reply);
    strcpy(reply->element, name);
    reply->dict = rte_tel_data_alloc();
    if (reply->dict)
        rte_tel_data_start_dict(reply->dict);
    return reply->dict;
}

static void add(void *ctx, const struct fg_control_value *value)
{
    const struct fg_control_metric_row *row = &fg_control_metrics[value->metric];
    struct reply *reply = ctx;
    struct rte_tel_data *dict =
        dict_of(reply, fg_control_sections[row->section].label, value->element);
    char name[64];

    if (!dict)
        return;
    snprintf(name, sizeof(name), "%s", value->element && !reply->list ? value->element : row->key);
    clean(name);
    if (row->unit == FG_CONTROL_TEXT)
        rte_tel_data_add_dict_string(dict, name, value->text);
    else
        add_number(dict, name, value->number);
}

/* "a.b" of a section is "/floodgate/a/b" as a command. */
static void command_of(unsigned section, char command[64])
{
    snprintf(command, 64, PREFIX "%s", fg_control_sections[section].path);
    for (char *p = command; *p; p++)
        *p = *p == '.' ? '/' : *p;
}

static int answer(const char *command, const char *params, struct rte_tel_data *data)
{
    struct fg_control_sheet *sheet = fg_control_sheet_create();
    struct reply reply = {.data = data};
    char name[64];

    rte_tel_data_start_dict(data);
    pthread_mutex_lock(&lock);
    if (measure_all && sheet)
        measure_all(measure_ctx, sheet);
    pthread_mutex_unlock(&lock);
    for (unsigned i = 0; sheet && i < FG_CONTROL_SECTIONS; i++) {
        command_of(i, name);
        reply.list = fg_control_sections[i].shape == FG_CONTROL_LIST;
        if (strcmp(name, command) == 0)
            fg_control_sheet_each(sheet, i, add, &reply);
        close_element(&reply);
    }
    fg_control_sheet_destroy(sheet);
    return 0;
}

void fg_control_telemetry_start(fg_control_telemetry_measure *measure, void *ctx)
{
    char command[64], help[96];
    bool taken = true;

    pthread_mutex_lock(&lock);
    measure_all = measure;
    measure_ctx = ctx;
    pthread_mutex_unlock(&lock);
    for (unsigned i = 0; i < FG_CONTROL_SECTIONS; i++) {
        if (fg_control_sections[i].shape == FG_CONTROL_HIDDEN)
            continue;
        command_of(i, command);
        snprintf(help, sizeof(help), "%s. No parameters", fg_control_sections[i].title);
        taken &= rte_telemetry_register_cmd(command, answer, help) >= 0;
    }
    if (!taken)
        fg_diag(FG_DIAG_WARNING, "DPDK's telemetry does not take our commands");
}

void fg_control_telemetry_stop(void)
{
    pthread_mutex_lock(&lock);
    measure_all = NULL;
    pthread_mutex_unlock(&lock);
}
