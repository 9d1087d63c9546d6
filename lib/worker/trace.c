/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/trace.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define FETCH_AHEAD 4 /* else the worker waits for a line that the reader had */

int fg_worker_arrival_offset = -1;

_Static_assert(FG_WORKER_DECIDE_BURST == 64, "a bit for each, and a multiple of 16");

/* ---- which requests of a burst --------------------------------------------------------------- */

/* Both without a branch that depends on an order. */
#ifdef __SSE2__
_Static_assert(sizeof(struct fg_stock_request) % 16 == 0 &&
                   offsetof(struct fg_stock_request, hash) % 16 == 0,
               "aligned");

/* All ones for each of four that are not traced. */
static __m128i not_traced(const struct fg_stock_request *r, __m128i most)
{
    const __m128i *h0 = (const __m128i *)&r[0].hash, *h1 = (const __m128i *)&r[1].hash,
                  *h2 = (const __m128i *)&r[2].hash, *h3 = (const __m128i *)&r[3].hash;
    __m128i a = _mm_unpacklo_epi32(_mm_load_si128(h0), _mm_load_si128(h1));
    __m128i b = _mm_unpacklo_epi32(_mm_load_si128(h2), _mm_load_si128(h3));

    return _mm_cmpgt_epi32(_mm_unpackhi_epi64(a, b), most);
}

/* A bit for each of 16 that are not traced. */
static unsigned not_traced_of_16(const struct fg_stock_request *r, __m128i most)
{
    __m128i a = _mm_packs_epi32(not_traced(r, most), not_traced(r + 4, most));
    __m128i b = _mm_packs_epi32(not_traced(r + 8, most), not_traced(r + 12, most));

    return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(a, b));
}

static uint64_t traced(const struct fg_stock_request *requests, unsigned n, int32_t most)
{
    const struct fg_stock_request *end = requests + n;
    uint64_t others = 0;

    for (unsigned i = 0; requests < end; i += 16, requests += 16)
        others |= (uint64_t)not_traced_of_16(requests, _mm_set1_epi32(most)) << i;
    return ~others & UINT64_MAX >> (64 - n);
}
#else
static uint64_t traced(const struct fg_stock_request *requests, unsigned n, int32_t most)
{
    uint64_t found = 0;

    for (unsigned i = n; i--;)
        found += found + ((int32_t)(requests[i].hash >> 32) <= most);
    return found;
}
#endif

/* ---- messages -------------------------------------------------------------------------------- */

/* NULL: the messages that wait for the book fill the ring. */
static struct fg_worker_steps *next(struct fg_worker_trace *t)
{
    if (fg_unlikely(t->tail - t->head_seen == FG_WORKER_TRACE_RING)) {
        t->head_seen = atomic_load_explicit(&t->head, memory_order_acquire);
        if (t->tail - t->head_seen == FG_WORKER_TRACE_RING)
            return NULL;
    }
    return &t->ring[t->tail % FG_WORKER_TRACE_RING];
}

/* n: 1; or 0, and it is not kept. */
static void keep(struct fg_worker_trace *t, struct fg_worker_steps *s, unsigned n)
{
    s->loop = (uint16_t)t->loop;
    t->loop_noted |= n;
    t->tail += n;
    __builtin_prefetch(&t->ring[(t->tail + FETCH_AHEAD) % FG_WORKER_TRACE_RING], 1);
}

static void fill(const struct fg_worker *w, struct fg_worker_steps *s,
                 const struct fg_stock_request *request, unsigned queue, uint64_t arrived_ns)
{
    s->user = request->user;
    memcpy(s->order_id, request->order_id, sizeof(s->order_id));
    s->received_ns = arrived_ns;
    s->durable_ns = 0;
    s->handed_ns = (uint32_t)(w->received_ns - arrived_ns);
    s->decided_ns = (uint32_t)(w->decided_ns - arrived_ns);
    s->op = request->op;
    s->worker = (uint8_t)w->index;
    s->queue = (uint16_t)queue;
}

/* Answered now. n: as keep. */
static inline __attribute__((always_inline)) void
note(struct fg_worker *w, const struct fg_stock_request *request, const struct fg_worker_job *job,
     const struct fg_stock_answer *answer, bool handed, unsigned n)
{
    struct fg_worker_steps *s = next(w->trace);

    if (fg_unlikely(!s)) {
        fg_counter_add(&w->counters.traces_lost, n);
        return;
    }
    fill(w, s, request, job->route.queue, handed ? *fg_worker_arrival(job->mbuf) : w->received_ns);
    s->status = answer->status;
    keep(w->trace, s, n);
}

/* It waits, in a place of the slot's, until its record is on disk. */
static void defer(struct fg_worker *w, const struct fg_stock_request *request,
                  const struct fg_worker_trace_late *late)
{
    struct fg_worker_trace *t = w->trace;
    uint32_t at = t->waiting_free;

    if (!at) {
        fg_counter_add(&w->counters.traces_lost, 1);
        return;
    }
    t->waiting_free = t->waiting[at - 1].loop;
    fill(w, &t->waiting[at - 1], request, late->queue, late->arrived_ns);
    w->slots[late->token].trace = at;
}

static void note_late(struct fg_worker *w, const struct fg_stock_request *request,
                      const struct fg_worker_trace_late *late)
{
    struct fg_worker_steps *s;

    if (late->status == FG_WORKER_TRACE_DEFERRED) {
        defer(w, request, late);
        return;
    }
    s = next(w->trace);
    if (!s) {
        fg_counter_add(&w->counters.traces_lost, 1);
        return;
    }
    fill(w, s, request, late->queue, late->arrived_ns);
    s->status = late->status;
    keep(w->trace, s, 1);
}

/* Those of `found`, of a burst of which some may have no answer now. */
static __attribute__((noinline)) void note_each(struct fg_worker *w,
                                                const struct fg_stock_request *requests,
                                                const struct fg_worker_job *jobs,
                                                const struct fg_stock_answer *answers, bool handed,
                                                uint64_t found)
{
    const struct fg_worker_trace_late *late = w->trace->late, *end = late + w->trace->late_count;

    for (; found; found &= found - 1) {
        unsigned at = (unsigned)__builtin_ctzll(found), answered;

        while (late < end && late->at < at)
            late++;
        answered = at - (unsigned)(late - w->trace->late);
        if (late < end && late->at == at)
            note_late(w, &requests[at], late);
        else
            note(w, &requests[at], &jobs[answered], &answers[answered], handed, 1);
    }
}

void fg_worker_trace_burst(struct fg_worker *w, const struct fg_stock_request *requests, unsigned n,
                           const struct fg_worker_job *jobs, const struct fg_stock_answer *answers,
                           bool handed)
{
    uint64_t found = traced(requests, n, w->trace->most);
    unsigned at = (unsigned)__builtin_ctzll(found | !found);

    if (fg_unlikely(w->trace->late_count)) {
        note_each(w, requests, jobs, answers, handed, found);
        return;
    }
    /* In any case: a branch on whether there is one would often be mispredicted. */
    note(w, &requests[at], &jobs[at], &answers[at], handed, found != 0);
    found &= found - 1;
    if (fg_unlikely(found))
        note_each(w, requests, jobs, answers, handed, found);
}

void fg_worker_trace_durable(struct fg_worker *w, const struct fg_worker_slot *slot,
                             const struct fg_stock_answer *answer)
{
    struct fg_worker_trace *t = w->trace;
    struct fg_worker_steps *waiting = &t->waiting[slot->trace - 1], *s = next(t);

    if (s) {
        *s = *waiting;
        s->status = answer->status;
        s->durable_ns = w->durable_ns - s->received_ns;
        keep(t, s, 1);
    } else {
        fg_counter_add(&w->counters.traces_lost, 1);
    }
    waiting->loop = (uint16_t)t->waiting_free;
    t->waiting_free = slot->trace;
}

/* ---- the book's side ------------------------------------------------------------------------- */

bool fg_worker_trace_take(struct fg_worker *w, struct fg_worker_steps *s)
{
    struct fg_worker_trace *t = w->trace;
    uint32_t head = atomic_load_explicit(&t->head, memory_order_relaxed);

    if (head == atomic_load_explicit(&t->given, memory_order_acquire))
        return false;
    *s = t->ring[head % FG_WORKER_TRACE_RING];
    s->sent_ns = s->status ? t->sent_ns[s->loop % FG_WORKER_TRACE_LOOPS] - s->received_ns : 0;
    s->received = (uint8_t)w->queues[s->queue].port.worker;
    atomic_store_explicit(&t->head, head + 1, memory_order_release);
    return true;
}
