/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/traced.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "worker/trace.h"

enum { AT_ONCE, DURABLE, PARTS };

struct part {
    uint64_t count; /* ever */
    struct fg_worker_steps list[FG_WORKER_TRACED_KEPT];
};

struct fg_worker_traced {
    pthread_mutex_t lock;
    struct fg_worker_group *group;
    struct part parts[PARTS];
};

struct fg_worker_traced *fg_worker_traced_create(struct fg_worker_group *group)
{
    struct fg_worker_traced *book = calloc(1, sizeof(*book));

    if (!book)
        return NULL;
    pthread_mutex_init(&book->lock, NULL);
    book->group = group;
    return book;
}

void fg_worker_traced_destroy(struct fg_worker_traced *book)
{
    if (book)
        pthread_mutex_destroy(&book->lock);
    free(book);
}

/* With the lock. */
static void take(struct fg_worker_traced *book)
{
    const struct fg_clock *clock = book->group->options.clock;
    uint64_t start_ns = fg_clock_now_ns(clock) - fg_clock_passed_ns(clock);

    for (unsigned i = 0; i < book->group->options.workers.count; i++) {
        struct fg_worker *w = book->group->list[i];
        struct fg_worker_steps s;

        /* a bound, as the worker goes on writing */
        for (unsigned n = w->trace ? FG_WORKER_TRACE_RING : 0; n && fg_worker_trace_take(w, &s);
             n--) {
            struct part *part;

            s.received_ns += start_ns;
            part = &book->parts[s.durable_ns ? DURABLE : AT_ONCE];
            part->list[part->count++ % FG_WORKER_TRACED_KEPT] = s;
        }
    }
}

void fg_worker_traced_poll(struct fg_worker_traced *book)
{
    pthread_mutex_lock(&book->lock);
    take(book);
    pthread_mutex_unlock(&book->lock);
}

static int compare(const void *a, const void *b)
{
    const struct fg_worker_steps *x = a, *y = b;

    return (x->received_ns > y->received_ns) - (x->received_ns < y->received_ns);
}

unsigned fg_worker_traced_find(struct fg_worker_traced *book, uint64_t user,
                               const uint8_t order_id[16], struct fg_worker_steps *list,
                               unsigned max)
{
    unsigned n = 0;

    pthread_mutex_lock(&book->lock);
    take(book);
    for (unsigned p = 0; p < PARTS; p++) {
        const struct part *part = &book->parts[p];

        for (uint64_t i = 0; i < part->count && i < FG_WORKER_TRACED_KEPT && n < max; i++)
            if (part->list[i].user == user &&
                memcmp(part->list[i].order_id, order_id, sizeof(part->list[i].order_id)) == 0)
                list[n++] = part->list[i];
    }
    pthread_mutex_unlock(&book->lock);
    qsort(list, n, sizeof(*list), compare);
    return n;
}
