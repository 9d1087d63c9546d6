/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/fgblast/wheel.h"

#define SLOTS      65536u /* about 69 s; a timer further away goes round again */
#define SLOT_SHIFT 20     /* 1.05 ms */

struct link {
    uint32_t before, after;
};

/* Circular lists: places 0..members-1 are the members, then a head for each slot, then one for
 * those due. */
struct fg_wheel {
    uint32_t members;
    uint64_t tick; /* slots before this one are empty */
    uint64_t *due_ns;
    struct link *links;
};

static uint32_t ready_head(const struct fg_wheel *w)
{
    return w->members + SLOTS;
}

static void append(struct fg_wheel *w, uint32_t head, uint32_t slot)
{
    uint32_t last = w->links[head].before;

    w->links[slot] = (struct link){last, head};
    w->links[last].after = slot;
    w->links[head].before = slot;
}

static void detach(struct fg_wheel *w, uint32_t slot)
{
    struct link link = w->links[slot];

    w->links[link.before].after = link.after;
    w->links[link.after].before = link.before;
    w->links[slot] = (struct link){slot, slot};
}

struct fg_wheel *fg_wheel_create(uint32_t members, uint64_t now_ns)
{
    struct fg_wheel *w = calloc(1, sizeof(*w));
    uint32_t count = members + SLOTS + 1;

    if (!w)
        return NULL;
    w->members = members;
    w->tick = now_ns >> SLOT_SHIFT;
    w->due_ns = calloc(members, sizeof(*w->due_ns));
    w->links = calloc(count, sizeof(*w->links));
    if (!w->due_ns || !w->links) {
        fg_wheel_destroy(w);
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++)
        w->links[i] = (struct link){i, i};
    return w;
}

void fg_wheel_destroy(struct fg_wheel *w)
{
    if (!w)
        return;
    free(w->due_ns);
    free(w->links);
    free(w);
}

static void slot(struct fg_wheel *w, uint32_t member)
{
    uint64_t tick = (w->due_ns[member] >> SLOT_SHIFT) + 1; /* a slot is due when it is over */

    if (tick <= w->tick)
        append(w, ready_head(w), member);
    else if (tick - w->tick >= SLOTS)
        append(w, w->members + (uint32_t)((w->tick + SLOTS - 1) % SLOTS), member);
    else
        append(w, w->members + (uint32_t)(tick % SLOTS), member);
}

void fg_wheel_set(struct fg_wheel *w, uint32_t member, uint64_t due_ns)
{
    FG_ASSERT(member < w->members);
    detach(w, member);
    w->due_ns[member] = due_ns;
    slot(w, member);
}

void fg_wheel_cancel(struct fg_wheel *w, uint32_t member)
{
    FG_ASSERT(member < w->members);
    detach(w, member);
}

/* Empties the slot that has become due: into the ready list, or round once more. */
static void turn(struct fg_wheel *w)
{
    uint32_t head = w->members + (uint32_t)(++w->tick % SLOTS);

    for (uint32_t m; (m = w->links[head].after) != head;) {
        detach(w, m);
        slot(w, m);
    }
}

uint32_t fg_wheel_take(struct fg_wheel *w, uint64_t now_ns)
{
    uint32_t head = ready_head(w), member;

    while (w->tick < now_ns >> SLOT_SHIFT)
        turn(w);
    member = w->links[head].after;
    if (member == head)
        return FG_WHEEL_NONE;
    detach(w, member);
    return member;
}
