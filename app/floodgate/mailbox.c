/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands to the workers and their answers, one at a time, by the control thread. */
#include "daemon.h"

#define TIMEOUT_MS 5000
#define POLL_US    20

static void post(struct fg_daemon *d, unsigned worker, struct fg_stock_command *command)
{
    uint8_t message[FG_RING_SLOT] = {0};

    command->ticket = d->mailbox.ticket;
    memcpy(message, command, sizeof(*command));
    FG_ASSERT(fg_ring_push(d->workers.list[worker]->commands, message)); /* it was empty */
    d->mailbox.under_way[worker]++;
}

/* True when the answer to the last command came; answers that come after their time are passed
 * over. */
static bool collect(struct fg_daemon *d, unsigned worker, struct fg_stock_answer *answer)
{
    uint8_t message[FG_RING_SLOT];

    while (fg_ring_pop(d->workers.list[worker]->results, message)) {
        struct fg_stock_answer got;

        memcpy(&got, message, sizeof(got));
        FG_ASSERT(d->mailbox.under_way[worker] > 0);
        d->mailbox.under_way[worker]--;
        if (got.token == d->mailbox.ticket) {
            *answer = got;
            return true;
        }
    }
    return false;
}

uint32_t fg_mailbox_under_way(struct fg_daemon *d)
{
    struct fg_stock_answer late;
    uint32_t n = 0;

    for (unsigned i = 0; i < d->config.workers.count; i++) {
        while (collect(d, i, &late))
            ;
        n += d->mailbox.under_way[i];
    }
    return n;
}

static bool wait_for(struct fg_daemon *d, unsigned worker, uint64_t end_ms,
                     struct fg_stock_answer *answer)
{
    while (!collect(d, worker, answer)) {
        if (fg_clock_mono_ms() >= end_ms || atomic_load(&d->workers.quit))
            return false;
        fg_clock_sleep_us(POLL_US);
    }
    return true;
}

/* A worker that owes an answer would get the next command too late to tell what it did. */
static bool may_send(struct fg_daemon *d)
{
    return fg_mailbox_under_way(d) == 0 && !atomic_load(&d->stopping);
}

enum fg_mail fg_mailbox_ask(struct fg_daemon *d, unsigned worker, struct fg_stock_command *command,
                            struct fg_stock_answer *answer)
{
    if (!may_send(d))
        return FG_MAIL_NOT_SENT;
    d->mailbox.ticket++;
    post(d, worker, command);
    return wait_for(d, worker, fg_clock_mono_ms() + TIMEOUT_MS, answer) ? FG_MAIL_ANSWERED
                                                                        : FG_MAIL_TIMEOUT;
}

enum fg_mail fg_mailbox_ask_all(struct fg_daemon *d, struct fg_stock_command *command,
                                struct fg_stock_answer *answer)
{
    uint64_t end_ms = fg_clock_mono_ms() + TIMEOUT_MS;
    enum fg_mail mail = FG_MAIL_ANSWERED;
    bool done = true;

    if (!may_send(d))
        return FG_MAIL_NOT_SENT;
    d->mailbox.ticket++;
    for (unsigned i = 0; i < d->config.workers.count; i++)
        post(d, i, command);
    for (unsigned i = 0; i < d->config.workers.count; i++) {
        struct fg_stock_answer got = {0};

        if (!wait_for(d, i, end_ms, &got))
            mail = FG_MAIL_TIMEOUT;
        else if (done)
            *answer = got;
        done = done && got.status == FG_STATUS_RESERVED;
    }
    return mail;
}
