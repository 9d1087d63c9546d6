/* SPDX-License-Identifier: BSD-3-Clause */
#include "denied.h"

#include "tables.h"

#define SIZE_FIRST 256 /* slots; powers of two, at most half of them taken */

static struct fg_denied *slot_of(const struct fg_denied_users *u, uint64_t user)
{
    uint64_t at = fg_mix64(user, 0x2545f4914f6cdd1dull) & (u->size - 1);

    while (u->slots[at].known && u->slots[at].user != user)
        at = (at + 1) & (u->size - 1);
    return &u->slots[at];
}

struct fg_denied *fg_denied_find(const struct fg_denied_users *u, uint64_t user)
{
    struct fg_denied *d = u->size ? slot_of(u, user) : NULL;

    return d && d->known ? d : NULL;
}

static void grow(struct fg_denied_users *u)
{
    struct fg_denied_users more = {.count = u->count, .size = u->size ? 2 * u->size : SIZE_FIRST};

    more.slots = calloc(more.size, sizeof(*more.slots));
    if (!more.slots)
        fg_out_of_memory();
    for (uint64_t k = 0; k < u->size; k++)
        if (u->slots[k].known)
            *slot_of(&more, u->slots[k].user) = u->slots[k];
    free(u->slots);
    *u = more;
}

struct fg_denied *fg_denied_add(struct fg_denied_users *u, uint64_t user)
{
    struct fg_denied *d = fg_denied_find(u, user);

    if (d)
        return d;
    if (2 * (u->count + 1) > u->size)
        grow(u);
    u->count++;
    d = slot_of(u, user);
    *d = (struct fg_denied){.user = user, .known = true};
    return d;
}
