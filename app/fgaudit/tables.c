/* SPDX-License-Identifier: BSD-3-Clause */
#include "tables.h"

#include <string.h>

#define SIZE_FIRST 1024 /* slots; powers of two */

const char *fg_state_name(unsigned state)
{
    static const char *const names[] = {"absent",
#define X(name, text) text,
                                        FG_STATE_LIST(X)
#undef X
    };

    return state < FG_STATE_COUNT ? names[state] : "?";
}

void fg_out_of_memory(void)
{
    fprintf(stderr, "fgaudit: out of memory\n");
    exit(2);
}

static void *zeroed(uint64_t n, size_t size)
{
    void *p = calloc(n, size);

    if (!p)
        fg_out_of_memory();
    return p;
}

/* Room for one more element. */
static void *grown(void *array, uint32_t count, uint32_t *room, size_t size)
{
    uint64_t more = *room ? (uint64_t)*room + *room / 2 : SIZE_FIRST;

    if (count < *room)
        return array;
    if (more > UINT32_MAX - 1)
        more = UINT32_MAX - 1;
    array = count < more ? realloc(array, more * size) : NULL;
    if (!array)
        fg_out_of_memory();
    *room = (uint32_t)more;
    return array;
}

void fg_tables_init(struct fg_tables *t)
{
    memset(t, 0, sizeof(*t));
    t->item_size = t->order_size = t->held_size = SIZE_FIRST;
    t->item_slots = zeroed(t->item_size, sizeof(*t->item_slots));
    t->order_slots = zeroed(t->order_size, sizeof(*t->order_slots));
    t->held = zeroed(t->held_size, sizeof(*t->held));
}

void fg_item_keep_added(struct fg_item *i)
{
    i->stocks = realloc(i->stocks, (i->stock_count + 1) * sizeof(*i->stocks));
    if (!i->stocks)
        fg_out_of_memory();
    i->stocks[i->stock_count++] = fg_item_added(i);
}

void fg_tables_free(struct fg_tables *t)
{
    for (uint32_t i = 0; i < t->item_count; i++)
        free(t->items[i].stocks);
    free(t->items);
    free(t->item_slots);
    free(t->orders);
    free(t->order_slots);
    free(t->held);
    memset(t, 0, sizeof(*t));
}

/* ---- items ----------------------------------------------------------------------------------- */

static uint32_t *item_slot(const struct fg_tables *t, uint64_t item)
{
    uint64_t slot = fg_mix64(item, 2) & (t->item_size - 1);

    while (t->item_slots[slot] && t->items[t->item_slots[slot] - 1].item != item)
        slot = (slot + 1) & (t->item_size - 1);
    return &t->item_slots[slot];
}

struct fg_item *fg_tables_item(const struct fg_tables *t, uint64_t item)
{
    uint32_t at = *item_slot(t, item);

    return at ? &t->items[at - 1] : NULL;
}

struct fg_item *fg_tables_item_add(struct fg_tables *t, uint64_t item)
{
    t->items = grown(t->items, t->item_count, &t->item_room, sizeof(*t->items));
    t->items[t->item_count] = (struct fg_item){.item = item, .commit = UINT64_MAX};
    *item_slot(t, item) = ++t->item_count;
    if (t->item_count > t->item_size / 2) {
        free(t->item_slots);
        t->item_size *= 2;
        t->item_slots = zeroed(t->item_size, sizeof(*t->item_slots));
        for (uint32_t i = 0; i < t->item_count; i++)
            *item_slot(t, t->items[i].item) = i + 1;
    }
    return &t->items[t->item_count - 1];
}

/* ---- orders ---------------------------------------------------------------------------------- */

static uint64_t order_hash(uint64_t user, const uint8_t id[16])
{
    uint64_t word[2];

    memcpy(word, id, sizeof(word));
    return fg_mix64(fg_mix64(word[0], word[1]), user);
}

static uint32_t *order_slot(const struct fg_tables *t, uint64_t user, const uint8_t id[16])
{
    uint64_t slot = order_hash(user, id) & (t->order_size - 1);

    for (uint32_t at; (at = t->order_slots[slot]); slot = (slot + 1) & (t->order_size - 1)) {
        const struct fg_order *o = &t->orders[at - 1];

        if (o->user == user && memcmp(o->id, id, sizeof(o->id)) == 0)
            break;
    }
    return &t->order_slots[slot];
}

struct fg_order *fg_tables_order(const struct fg_tables *t, uint64_t user, const uint8_t id[16])
{
    uint32_t at = *order_slot(t, user, id);

    return at ? &t->orders[at - 1] : NULL;
}

struct fg_order *fg_tables_order_add(struct fg_tables *t, uint64_t user, const uint8_t id[16])
{
    struct fg_order *o;

    t->orders = grown(t->orders, t->order_count, &t->order_room, sizeof(*t->orders));
    o = &t->orders[t->order_count];
    *o = (struct fg_order){.user = user};
    memcpy(o->id, id, sizeof(o->id));
    *order_slot(t, user, id) = ++t->order_count;
    if (t->order_count > t->order_size / 4 * 3) {
        free(t->order_slots);
        t->order_size *= 2;
        t->order_slots = zeroed(t->order_size, sizeof(*t->order_slots));
        for (uint32_t i = 0; i < t->order_count; i++)
            *order_slot(t, t->orders[i].user, t->orders[i].id) = i + 1;
    }
    return o;
}

/* ---- units of users -------------------------------------------------------------------------- */

static struct fg_held *held_slot(struct fg_held *held, uint64_t size, uint64_t user, uint32_t key)
{
    uint64_t slot = fg_mix64(user, key) & (size - 1);

    while (held[slot].item && (held[slot].item != key || held[slot].user != user))
        slot = (slot + 1) & (size - 1);
    return &held[slot];
}

static void held_grow(struct fg_tables *t)
{
    struct fg_held *wider = zeroed(2 * t->held_size, sizeof(*wider));

    for (uint64_t i = 0; i < t->held_size; i++) {
        const struct fg_held *h = &t->held[i];

        if (h->item)
            *held_slot(wider, 2 * t->held_size, h->user, h->item) = *h;
    }
    free(t->held);
    t->held = wider;
    t->held_size *= 2;
}

uint32_t *fg_tables_held(struct fg_tables *t, uint64_t user, uint32_t item)
{
    struct fg_held *h = held_slot(t->held, t->held_size, user, item + 1);

    if (!h->item) {
        if (t->held_count + 1 > t->held_size / 4 * 3) {
            held_grow(t);
            h = held_slot(t->held, t->held_size, user, item + 1);
        }
        *h = (struct fg_held){.user = user, .item = item + 1};
        t->held_count++;
    }
    return &h->units;
}

/* ---- hex ------------------------------------------------------------------------------------- */

void fg_hex(char text[33], const uint8_t id[16])
{
    for (int i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", id[i]);
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool fg_unhex(const char *text, uint8_t id[16])
{
    for (int i = 0; i < 16; i++) {
        int high = digit(text[2 * i]), low = high < 0 ? -1 : digit(text[2 * i + 1]);

        if (low < 0)
            return false;
        id[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
