/* SPDX-License-Identifier: BSD-3-Clause */
#include "model.h"

#include <arpa/inet.h>
#include <string.h>

#define ENTRIES_MAX 64

static struct {
    struct fg_tunables tune;
    uint64_t ticks;
    struct fg_lengths lengths[FG_LENGTHS_COUNT];
    struct {
        struct fg_net net;
        struct fg_list_value entry;
    } lists[FG_LISTS][ENTRIES_MAX];
    unsigned lists_count[FG_LISTS];
    struct {
        struct fg_net net;
        struct fg_source source;
    } sources[ENTRIES_MAX];
    unsigned sources_count;
} model;

#define FG_ENV_TUNE model.tune

static const struct fg_lengths *fg_env_lengths(uint32_t index)
{
    return &model.lengths[index];
}

static struct fg_list_value *fg_env_list(enum fg_list list, const struct fg_net *net)
{
    for (unsigned i = 0; i < model.lists_count[list]; i++)
        if (memcmp(&model.lists[list][i].net, net, sizeof(*net)) == 0)
            return &model.lists[list][i].entry;
    return NULL;
}

static struct fg_source *fg_env_source(const struct fg_net *net)
{
    for (unsigned i = 0; i < model.sources_count; i++)
        if (memcmp(&model.sources[i].net, net, sizeof(*net)) == 0)
            return &model.sources[i].source;
    return NULL;
}

static void fg_env_source_add(const struct fg_net *net, const struct fg_source *source)
{
    if (model.sources_count == ENTRIES_MAX)
        return;
    model.sources[model.sources_count].net = *net;
    model.sources[model.sources_count++].source = *source;
}

#include "xdp/verdict.h"

void model_reset(const struct fg_tunables *tune)
{
    memset(&model, 0, sizeof(model));
    model.tune = *tune;
}

void model_clock(uint64_t ns)
{
    model.ticks = ns << FG_TICK_SHIFT;
}

static struct fg_net net_of(const struct fg_prefix *prefix)
{
    struct fg_net net = {.family = prefix->family, .length = prefix->length};

    memcpy(net.addr, prefix->addr, sizeof(net.addr));
    return net;
}

/* Inserts the length where it belongs, unless it is there. */
static void add_length(struct fg_length_table *table, const struct fg_net *net)
{
    uint32_t at = 0;

    while (at < table->count && table->slot[at].length > net->length)
        at++;
    if (at < table->count && table->slot[at].length == net->length)
        return;
    memmove(&table->slot[at + 1], &table->slot[at], (table->count - at) * sizeof(table->slot[0]));
    table->count++;
    table->slot[at] = (struct fg_length){.family = net->family, .length = net->length};
    for (unsigned bit = 0; bit < net->length; bit++)
        table->slot[at].mask[bit / 32] |= htonl(1u << (31 - bit % 32));
}

void model_add(enum fg_list list, const struct fg_prefix *prefix)
{
    struct fg_net net = net_of(prefix);

    FG_ASSERT(model.lists_count[list] < ENTRIES_MAX);
    model.lists[list][model.lists_count[list]++].net = net;
    add_length(&model.lengths[FG_LENGTHS_INDEX(list, net.family)].table[0], &net);
}

enum fg_verdict model_judge(const uint8_t *data, uint32_t len)
{
    bool order;

    return fg_judge(data, data + len, model.ticks, &order);
}

uint64_t model_hits(enum fg_list list, const struct fg_prefix *prefix)
{
    struct fg_net net = net_of(prefix);
    const struct fg_list_value *entry = fg_env_list(list, &net);

    return entry ? entry->hits : 0;
}

unsigned model_sources(void)
{
    return model.sources_count;
}
