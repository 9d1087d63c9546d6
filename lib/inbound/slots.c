/* SPDX-License-Identifier: BSD-3-Clause */
/* Entries under way: from the stream to the worker that owns the user, and its answer into what is
 * written.
 */
#include <string.h>

#include "inbound/internal.h"

#define AGAIN_MS_FIRST 5
#define AGAIN_MS_MAX   200

void fg_inbound_slots_reset(struct fg_inbound *s)
{
    s->free_count = FG_INBOUND_CAPACITY;
    for (unsigned i = 0; i < FG_INBOUND_CAPACITY; i++)
        s->free[i] = (uint16_t)i;
}

static void release(struct fg_inbound *s, struct slot *p)
{
    p->state = SLOT_FREE;
    s->free[s->free_count++] = (uint16_t)(p - s->slots);
}

static void give(struct fg_inbound *s, struct slot *p)
{
    unsigned owner = fg_user_owner(p->command.user, s->options.workers);

    p->state = SLOT_GIVEN;
    s->given++;
    FG_ASSERT(
        fg_ring_push(s->options.commands[owner], &p->command)); /* it has room for all slots */
}

/* The entry's result, or its slot among the dead, is the next command of the transaction. */
static struct fg_redis_resp *write_begin(struct fg_inbound *s, const char *id, unsigned status)
{
    struct written *w = &s->written[s->written_count++];

    snprintf(w->id, sizeof(w->id), "%s", id);
    w->status = (uint8_t)status;
    s->adds++;
    if (s->written_count == 1)
        fg_redis_resp_command(&s->out, 1, (const char *[]){"MULTI"});
    return &s->out;
}

static void set_aside(struct fg_inbound *s, const char *id, const struct fg_inbound_ref *ref,
                      const char *reason, const redisReply *fields)
{
    struct fg_redis_resp *out = write_begin(s, id, FG_PACKET_STATUS_NONE);
    uint64_t stream_max = s->options.redis.stream_max;

    fg_inbound_entry_dead(out, s->dead, stream_max, id, reason, fields);
    fg_inbound_entry_refused(out, s->results, stream_max, id, ref, reason);
    s->adds++;
    snprintf(s->dead_reason, sizeof(s->dead_reason), "%s", reason);
}

void fg_inbound_slot_take(struct fg_inbound *s, const char *id, const redisReply *fields)
{
    struct slot *p;
    char reason[FG_INBOUND_ENTRY_REASON];

    FG_ASSERT(s->free_count && s->written_count < FG_INBOUND_WRITTEN);
    p = &s->slots[s->free[s->free_count - 1]];
    if (!fg_inbound_entry_parse(fields, &p->command, &p->ref, reason)) {
        set_aside(s, id, &p->ref, reason, fields);
        return;
    }
    s->free_count--;
    snprintf(p->id, sizeof(p->id), "%s", id);
    p->command.token = (uint32_t)(p - s->slots);
    p->wait_ms = AGAIN_MS_FIRST;
    give(s, p);
}

static void answered(struct fg_inbound *s, struct slot *p, const struct fg_stock_answer *answer)
{
    if (answer->status == FG_PACKET_STATUS_BUSY || answer->status == FG_PACKET_STATUS_UNAVAILABLE) {
        p->state = SLOT_WAITS;
        p->due_ms = fg_clock_mono_ms() + p->wait_ms;
        p->wait_ms = 2 * p->wait_ms < AGAIN_MS_MAX ? 2 * p->wait_ms : AGAIN_MS_MAX;
        s->waits[s->waits_count++] = (uint16_t)(p - s->slots);
        s->retries++;
        return;
    }
    fg_inbound_entry_result(write_begin(s, p->id, answer->status), s->results,
                            s->options.redis.stream_max, p->id, &p->ref, &p->command, answer);
    release(s, p);
}

void fg_inbound_slots_collect(struct fg_inbound *s)
{
    uint8_t message[FG_RING_SLOT];

    for (unsigned w = 0; w < s->options.workers; w++)
        while (fg_ring_pop(s->options.answers[w], message)) {
            struct fg_stock_answer answer;
            struct slot *p;

            memcpy(&answer, message, sizeof(answer));
            FG_ASSERT(answer.kind == FG_STOCK_INBOUND && answer.token < FG_INBOUND_CAPACITY);
            p = &s->slots[answer.token];
            FG_ASSERT(p->state == SLOT_GIVEN || p->state == SLOT_LOST);
            s->given -= p->state == SLOT_GIVEN;
            if (p->state == SLOT_GIVEN)
                answered(s, p, &answer);
            else
                release(s, p);
        }
}

void fg_inbound_slots_retry(struct fg_inbound *s)
{
    uint64_t now_ms = fg_clock_mono_ms();
    unsigned left = 0;

    for (unsigned i = 0; i < s->waits_count; i++) {
        struct slot *p = &s->slots[s->waits[i]];

        if (p->due_ms <= now_ms)
            give(s, p);
        else
            s->waits[left++] = s->waits[i];
    }
    s->waits_count = left;
}

void fg_inbound_slots_forget(struct fg_inbound *s)
{
    for (unsigned i = 0; i < FG_INBOUND_CAPACITY; i++) {
        struct slot *p = &s->slots[i];

        if (p->state == SLOT_GIVEN)
            p->state = SLOT_LOST;
        else if (p->state == SLOT_WAITS)
            release(s, p);
    }
    s->given = s->waits_count = s->written_count = s->adds = 0;
    fg_redis_resp_clear(&s->out);
}
