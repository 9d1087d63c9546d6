/* SPDX-License-Identifier: BSD-3-Clause */
/* The lcore loop: a list of stages. */
#include "worker.h"

#include <sched.h>
#include <time.h>

#include <rte_ethdev.h>
#include <rte_prefetch.h>

#define PREFETCH_AHEAD 4
#define IDLE_LOOPS     64    /* that find nothing before the idle policy applies */
#define IDLE_SLEEP_NS  20000 /* FG_IDLE_SLEEP */
#define COMMANDS_MAX   32    /* taken from the mailbox per loop */

static void drop(struct fg_worker *w, struct rte_mbuf *m, enum fg_drop why)
{
    fg_count(&w->counters.dropped[why], 1);
    rte_pktmbuf_free(m);
}

void fg_worker_decide(struct fg_worker *w, struct fg_job *job)
{
    struct fg_stock_request request = {.op = job->request.op,
                                       .quantity = job->request.quantity,
                                       .user = job->request.user,
                                       .item = job->request.item,
                                       .until_ms = job->request.until_ms};
    uint32_t token = w->slot_free; /* taken only if the engine keeps it */
    struct fg_stock_answer answer;

    if (fg_unlikely(token == FG_NO_TOKEN)) {
        fg_count(&w->counters.no_slot, 1);
        fg_reply_refuse(w, job, FG_STATUS_BUSY, FG_BUSY_MS);
        return;
    }
    memcpy(request.order_id, job->request.order_id, sizeof(request.order_id));
    switch (fg_stock_request(w->stock, w->now_ms, &request, token, &answer)) {
    case FG_STOCK_ANSWERED:
        fg_reply_now(w, job, &answer);
        break;
    case FG_STOCK_HELD:
        fg_reply_hold(w, token, job);
        rte_pktmbuf_free(job->mbuf);
        break;
    case FG_STOCK_IGNORED:
        rte_pktmbuf_free(job->mbuf);
        break;
    }
}

/* One frame of our own queue: checked, then decided here or given to the owner. */
static void receive_frame(struct fg_worker *w, uint16_t queue, struct rte_mbuf *m)
{
    struct fg_job job = {.mbuf = m, .mark = {.queue = queue}};
    const uint8_t *data = rte_pktmbuf_mtod(m, const uint8_t *);
    enum fg_drop why = FG_DROP_NONE;
    enum fg_frame_kind kind;
    unsigned owner;

    kind = fg_frame_parse(data, m->data_len, w->order_port, &job.mark.frame, &why);
    if (fg_unlikely(kind == FG_FRAME_OTHER)) {
        fg_count(&w->counters.other, 1);
        rte_pktmbuf_free(m);
        return;
    }
    if (fg_unlikely(kind == FG_FRAME_BAD || m->nb_segs != 1)) {
        drop(w, m, kind == FG_FRAME_BAD ? why : FG_DROP_TRUNCATED);
        return;
    }
    memcpy(&job.request, data + job.mark.frame.payload, sizeof(job.request));
    why = fg_request_check(&job.request, w->keys, &job.key);
    if (fg_unlikely(why != FG_DROP_NONE)) {
        drop(w, m, why);
        return;
    }
    fg_count(&w->counters.orders, 1);
    job.mark.key_id = job.key->id;
    if (fg_unlikely(!(job.key->roles & fg_op_roles(job.request.op)))) {
        fg_count(&w->counters.denied, 1);
        fg_reply_refuse(w, &job, FG_STATUS_DENIED, 0);
        return;
    }
    owner = fg_stock_owner(&job.request, w->workers);
    if (owner == w->index)
        fg_worker_decide(w, &job);
    else
        fg_handoff_request(w, owner, &job);
}

static unsigned stage_receive(struct fg_worker *w)
{
    struct rte_mbuf *mbufs[FG_BURST_MAX];
    unsigned work = 0;

    for (unsigned i = 0; i < w->own_count; i++) {
        struct fg_queue *q = &w->queues[w->own[i]];
        unsigned n = rte_eth_rx_burst(q->port, q->index, mbufs, (uint16_t)w->burst);

        for (unsigned k = 0; k < n && k < PREFETCH_AHEAD; k++)
            rte_prefetch0(rte_pktmbuf_mtod(mbufs[k], void *));
        for (unsigned k = 0; k < n; k++) {
            if (k + PREFETCH_AHEAD < n)
                rte_prefetch0(rte_pktmbuf_mtod(mbufs[k + PREFETCH_AHEAD], void *));
            receive_frame(w, q->number, mbufs[k]);
        }
        if (n)
            fg_count(&w->counters.rx, n);
        work += n;
    }
    return work;
}

static void stage_settings(struct fg_worker *w)
{
    uint64_t now_ms = fg_clock_ms(w->clock);
    int mode = atomic_load_explicit(w->mode_in_force, memory_order_acquire);

    if (now_ms > w->now_ms) /* a correction of the clock never takes time back */
        w->now_ms = now_ms;
    w->keys = atomic_load_explicit(w->keys_in_force, memory_order_acquire);
    if (fg_unlikely(mode != (int)w->mode)) {
        w->mode = (enum fg_stock_mode)mode;
        fg_stock_set_mode(w->stock, w->mode);
    }
}

static unsigned stage_commands(struct fg_worker *w)
{
    unsigned n = 0;

    for (const void *slot; n < COMMANDS_MAX && (slot = fg_ring_peek(w->commands, 0)); n++) {
        struct fg_stock_command command;

        memcpy(&command, slot, sizeof(command));
        if (!fg_stock_command(w->stock, w->now_ms, &command))
            break; /* a queue of the engine is full: again in the next loop */
        fg_ring_release(w->commands, 1);
    }
    return n;
}

static void give_result(struct fg_worker *w, const struct fg_stock_answer *answer)
{
    uint8_t message[FG_RING_SLOT] = {0};

    memcpy(message, answer, sizeof(*answer));
    FG_ASSERT(
        fg_ring_push(w->results, message)); /* the mailbox never has more under way than it has places */
}

static unsigned stage_answers(struct fg_worker *w)
{
    struct fg_stock_answer answers[FG_BURST_MAX];
    unsigned n = fg_stock_poll(w->stock, w->now_ms, answers, w->burst);

    for (unsigned i = 0; i < n; i++) {
        if (answers[i].command)
            give_result(w, &answers[i]);
        else
            fg_reply_held(w, &answers[i]);
    }
    return n;
}

static void stage_transmit(struct fg_worker *w)
{
    for (unsigned i = 0; i < w->own_count; i++)
        if (w->queues[w->own[i]].out.count)
            fg_transmit(w, &w->queues[w->own[i]]);
}

/* Only a worker with nothing under way may sleep; one that waits for the disk gives its CPU to who writes. */
static void stage_idle(struct fg_worker *w, unsigned work)
{
    bool quiet = fg_stock_idle(w->stock);

    atomic_store_explicit(&w->quiet, quiet, memory_order_release);
    fg_count(&w->counters.loops, 1);
    if (work) {
        w->idle_loops = 0;
        return;
    }
    fg_count(&w->counters.idle_loops, 1);
    if (++w->idle_loops < IDLE_LOOPS || w->idle_policy == FG_IDLE_SPIN)
        rte_pause();
    else if (w->idle_policy == FG_IDLE_SLEEP && quiet)
        nanosleep(&(struct timespec){.tv_nsec = IDLE_SLEEP_NS}, NULL);
    else
        sched_yield();
}

static void loop_once(struct fg_worker *w)
{
    unsigned work;

    stage_settings(w);
    work = stage_commands(w);
    work += stage_receive(w);
    work += fg_handoff_receive(w);
    work += stage_answers(w);
    work += fg_handoff_replies(w);
    fg_handoff_flush(w);
    stage_transmit(w);
    stage_idle(w, work);
}

int fg_worker_main(void *worker)
{
    struct fg_worker *w = worker;

    atomic_store(&w->running, true);
    while (!atomic_load_explicit(w->quit, memory_order_relaxed))
        loop_once(w);
    atomic_store(&w->running, false);
    return 0;
}
