/* SPDX-License-Identifier: BSD-3-Clause */
/* The packet path's counters for dpdk-telemetry.py. Handlers run on a thread of DPDK's. */
#include "daemon.h"

#include "log.h"

#include <rte_telemetry.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct fg_daemon *shown; /* NULL when there is nothing to show any more */

static struct rte_tel_data *worker_dict(const struct fg_worker *w)
{
    struct rte_tel_data *dict = rte_tel_data_alloc();

    if (!dict)
        return NULL;
    rte_tel_data_start_dict(dict);
#define X(name, text) rte_tel_data_add_dict_u64(dict, #name, fg_counter(&w->counters.name));
    FG_WORKER_COUNTER_LIST(X)
#undef X
    return dict;
}

static void fill_workers(const struct fg_daemon *d, struct rte_tel_data *data)
{
    for (unsigned i = 0; i < d->config.workers.count; i++) {
        struct rte_tel_data *dict = worker_dict(d->workers[i]);
        char name[16];

        snprintf(name, sizeof(name), "worker%u", i);
        if (dict && rte_tel_data_add_dict_container(data, name, dict, 0) < 0)
            rte_tel_data_free(dict);
    }
}

static void fill_stock(const struct fg_daemon *d, struct rte_tel_data *data)
{
    uint64_t sum;

#define X(name, text)                                                                                        \
    sum = 0;                                                                                                 \
    for (unsigned i = 0; i < d->config.workers.count; i++)                                                   \
        sum += fg_counter(&fg_stock_counters(d->workers[i]->stock)->name);                                   \
    rte_tel_data_add_dict_u64(data, #name, sum);
    FG_STOCK_COUNTER_LIST(X)
#undef X
}

static void fill_drops(const struct fg_daemon *d, struct rte_tel_data *data)
{
    for (unsigned why = FG_DROP_NONE + 1; why < FG_DROP_COUNT; why++) {
        uint64_t sum = 0;

        for (unsigned i = 0; i < d->config.workers.count; i++)
            sum += fg_counter(&d->workers[i]->counters.dropped[why]);
        rte_tel_data_add_dict_u64(data, fg_drop_name(why), sum);
    }
}

static int answer(struct rte_tel_data *data, void (*fill)(const struct fg_daemon *, struct rte_tel_data *))
{
    rte_tel_data_start_dict(data);
    pthread_mutex_lock(&lock);
    if (shown)
        fill(shown, data);
    pthread_mutex_unlock(&lock);
    return 0;
}

static int workers(const char *command, const char *params, struct rte_tel_data *data)
{
    return answer(data, fill_workers);
}

static int stock(const char *command, const char *params, struct rte_tel_data *data)
{
    return answer(data, fill_stock);
}

static int drops(const char *command, const char *params, struct rte_tel_data *data)
{
    return answer(data, fill_drops);
}

void fg_telemetry_start(struct fg_daemon *d)
{
    shown = d;
    if (rte_telemetry_register_cmd("/floodgate/workers", workers, "Counters of each worker. No parameters") <
            0 ||
        rte_telemetry_register_cmd("/floodgate/stock", stock, "Counters of the engines. No parameters") < 0 ||
        rte_telemetry_register_cmd("/floodgate/drops", drops, "Frames dropped by reason. No parameters") < 0)
        fg_log(FG_LOG_WARNING, "DPDK's telemetry does not take our commands");
}

void fg_telemetry_stop(void)
{
    pthread_mutex_lock(&lock);
    shown = NULL;
    pthread_mutex_unlock(&lock);
}
