/* SPDX-License-Identifier: BSD-3-Clause */
/** calls: a thread that makes the calls to etcd, which block, one at a time. Private to lib/member.
 */
#ifndef FG_MEMBER_CALLS_H
#define FG_MEMBER_CALLS_H

#include "fleet/fleet.h"
#include "member/options.h"
#include "member/values.h"

struct fg_member_caller;

enum fg_member_call_kind {
    FG_MEMBER_CLAIM,   /**< moves the register: `text` */
    FG_MEMBER_READ,    /**< of `output` */
    FG_MEMBER_SWAP,    /**< likewise */
    FG_MEMBER_SAY,     /**< `text` is written to `key`, if the register is that of `output` */
    FG_MEMBER_REMEMBER /**< the revision of `output`, in a file */
};

struct fg_member_call {
    enum fg_member_call_kind kind;
    struct fg_fleet_output output; /**< puts are copied */
    char text[160];   /**< CLAIM: with a `log` as its first part that must not change */
    size_t text_keep; /**< bytes of that part */
    char key[FG_FLEET_KEY_MAX];
};

struct fg_member_answer {
    enum fg_member_call_kind kind;
    uint64_t ticket;
    int64_t since; /**< READ */
    enum fg_fleet_outcome outcome;
    int64_t store;  /**< CLAIM: revision of the register */
    bool other_log; /**< CLAIM: it stays that of another log; `error` tells */
    const struct fg_member_values *values; /**< until the next call is made */
    uint64_t took_ms;
    char error[256]; /**< "" = it ended with an answer */
};

struct fg_member_caller_options {
    const struct fg_arbiter_options *etcd;
    const char *log_dir, *register_key;
    int wake_fd;         /**< 1 is added when a call has ended */
    void (*begin)(void); /**< the thread's first act */
};

/** NULL and err. */
struct fg_member_caller *fg_member_caller_start(const struct fg_member_caller_options *options,
                                                struct fg_error *err);
/** False: the call under way does not end: thread and memory are left behind. NULL is nothing. */
bool fg_member_caller_stop(struct fg_member_caller *c);

bool fg_member_caller_idle(struct fg_member_caller *c); /**< a call may be made */
void fg_member_caller_make(struct fg_member_caller *c, const struct fg_member_call *call);
/** The end of the call, once. */
bool fg_member_caller_ended(struct fg_member_caller *c, struct fg_member_answer *answer);

#endif
