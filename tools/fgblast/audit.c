/* SPDX-License-Identifier: BSD-3-Clause */
/* audit: names, and the file of what the shoppers were told. */
#include "tools/fgblast/client_file.h"
#include "tools/fgblast/world_impl.h"

const char *fg_kind_name(unsigned kind)
{
    static const char *const names[] = {
#define X(name, text, help) text,
        FG_KIND_LIST(X)
#undef X
    };
    return kind < FG_KIND_COUNT ? names[kind] : "?";
}

static const char *const wrong_names[][2] = {
#define X(name, text) {#name, text},
    FG_WRONG_LIST(X)
#undef X
};

const char *fg_wrong_name(unsigned wrong)
{
    return wrong < FG_WRONG_COUNT ? wrong_names[wrong][0] : "?";
}

const char *fg_wrong_text(unsigned wrong)
{
    return wrong < FG_WRONG_COUNT ? wrong_names[wrong][1] : "?";
}

const struct fg_item_story *fg_world_item(const struct fg_world *w, uint32_t index)
{
    return index < w->items_count ? &w->items[index].story : NULL;
}

/* Something of this order may have been carried out after what was told: by a request that is not
 * answered, or by an order service. */
static bool goes_on(const struct fg_world *w, const struct order *o)
{
    return (o->told && o->open) ||
           (w->options->served && (o->told == FG_PACKET_STATUS_RESERVED ||
                                   o->told == FG_PACKET_STATUS_EXPIRED)); /* or paid late */
}

static void write_order(const struct fg_world *w, uint32_t number, FILE *out)
{
    const struct order *o = &w->orders[number];
    uint8_t id[16];

    fg_world_order_id(w, number, o->shopper, id);
    for (unsigned i = 0; i < sizeof(id); i++)
        fprintf(out, "%02x", id[i]);
    fprintf(out, " %llu %llu %u %s%s\n", (unsigned long long)(w->options->user_base + o->shopper),
            (unsigned long long)w->items[o->item].story.item, o->quantity,
            o->told ? fg_packet_status_name(o->told) : "NONE", goes_on(w, o) ? "+" : "");
}

static bool write_orders(const void *world, FILE *out)
{
    const struct fg_world *w = world;

    for (uint32_t i = 0; i < w->orders_count; i++)
        write_order(w, i, out);
    return true; /* an error of the file stays with it */
}

bool fg_world_audit(const struct fg_world *w, const char *path, struct fg_error *err)
{
    return fg_client_file(path, write_orders, w, err);
}
