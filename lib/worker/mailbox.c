/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/mailbox.h"

#define TIMEOUT_MS 5000
#define POLL_US    20

static void post(struct fg_worker_mailbox *m, unsigned worker, struct fg_stock_command *command)
{
    uint8_t message[FG_RING_SLOT] = {0};

    command->ticket = m->ticket;
    memcpy(message, command, sizeof(*command));
    FG_ASSERT(fg_ring_push(m->group->list[worker]->commands, message)); /* it was empty */
    m->under_way[worker]++;
}

/* True when the answer to the last command came; answers that come after their time are passed
 * over. */
static bool collect(struct fg_worker_mailbox *m, unsigned worker, struct fg_stock_answer *answer)
{
    uint8_t message[FG_RING_SLOT];

    while (fg_ring_pop(m->group->list[worker]->results, message)) {
        struct fg_stock_answer got;

        memcpy(&got, message, sizeof(got));
        FG_ASSERT(m->under_way[worker] > 0);
        m->under_way[worker]--;
        if (got.token == m->ticket) {
            *answer = got;
            return true;
        }
    }
    return false;
}

uint32_t fg_worker_mailbox_under_way(struct fg_worker_mailbox *m)
{
    struct fg_stock_answer late;
    uint32_t n = 0;

    for (unsigned i = 0; i < m->group->options.workers.count; i++) {
        while (collect(m, i, &late))
            ;
        n += m->under_way[i];
    }
    return n;
}

static bool wait_for(struct fg_worker_mailbox *m, unsigned worker, uint64_t end_ms,
                     struct fg_stock_answer *answer)
{
    while (!collect(m, worker, answer)) {
        if (fg_clock_mono_ms() >= end_ms || atomic_load(&m->group->quit))
            return false;
        fg_clock_sleep_us(POLL_US);
    }
    return true;
}

/* A worker that owes an answer would get the next command too late to tell what it did. */
static bool may_send(struct fg_worker_mailbox *m)
{
    return fg_worker_mailbox_under_way(m) == 0 && !atomic_load(m->stopping);
}

enum fg_worker_mail fg_worker_mailbox_ask(struct fg_worker_mailbox *m, unsigned worker,
                                          struct fg_stock_command *command,
                                          struct fg_stock_answer *answer)
{
    if (!may_send(m))
        return FG_WORKER_MAIL_NOT_SENT;
    m->ticket++;
    post(m, worker, command);
    return wait_for(m, worker, fg_clock_mono_ms() + TIMEOUT_MS, answer) ? FG_WORKER_MAIL_ANSWERED
                                                                        : FG_WORKER_MAIL_TIMEOUT;
}

enum fg_worker_mail fg_worker_mailbox_ask_all(struct fg_worker_mailbox *m,
                                              struct fg_stock_command *command,
                                              struct fg_stock_answer *answer)
{
    uint64_t end_ms = fg_clock_mono_ms() + TIMEOUT_MS;
    enum fg_worker_mail mail = FG_WORKER_MAIL_ANSWERED;
    bool done = true;

    if (!may_send(m))
        return FG_WORKER_MAIL_NOT_SENT;
    m->ticket++;
    for (unsigned i = 0; i < m->group->options.workers.count; i++)
        post(m, i, command);
    for (unsigned i = 0; i < m->group->options.workers.count; i++) {
        struct fg_stock_answer got = {0};

        if (!wait_for(m, i, end_ms, &got))
            mail = FG_WORKER_MAIL_TIMEOUT;
        else if (done)
            *answer = got;
        done = done && got.outcome == FG_STOCK_OUTCOME_DONE;
    }
    return mail;
}
