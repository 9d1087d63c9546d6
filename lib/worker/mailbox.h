/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * mailbox: commands of the operator to the workers, and their answers, one at a time. Only the
 * control thread calls these. A call waits up to 5 s; it ends early when the workers are told to
 * quit.
 */
#ifndef FG_WORKER_MAILBOX_H
#define FG_WORKER_MAILBOX_H

#include "worker/group.h"

/** Begins as {.group, .stopping}. */
struct fg_worker_mailbox {
    const struct fg_worker_group *group;
    const _Atomic bool *stopping;       /**< true: no new command is sent */
    uint32_t ticket;                    /**< of the last command sent */
    uint32_t under_way[FG_WORKERS_MAX]; /**< commands without an answer, by worker */
};

enum fg_worker_mail {
    FG_WORKER_MAIL_ANSWERED,
    FG_WORKER_MAIL_NOT_SENT, /**< a worker owes an answer to an earlier command, or all stop */
    FG_WORKER_MAIL_TIMEOUT   /**< the worker may carry it out later */
};

/** Sets the command's ticket. */
enum fg_worker_mail fg_worker_mailbox_ask(struct fg_worker_mailbox *mailbox, unsigned worker,
                                          struct fg_stock_command *command,
                                          struct fg_stock_answer *answer);
/** The same command to every worker; *answer is the first that is not done, or the last. */
enum fg_worker_mail fg_worker_mailbox_ask_all(struct fg_worker_mailbox *mailbox,
                                              struct fg_stock_command *command,
                                              struct fg_stock_answer *answer);
/** Commands that no worker has answered yet. */
uint32_t fg_worker_mailbox_under_way(struct fg_worker_mailbox *mailbox);

#endif
