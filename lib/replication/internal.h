/* SPDX-License-Identifier: BSD-3-Clause */
/* The replication thread's state. Private to lib/replication. */
#ifndef FG_REPLICATION_INTERNAL_H
#define FG_REPLICATION_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/leading.h"
#include "journal/pairing.h"
#include "replication/calls.h"
#include "replication/keeper.h"
#include "replication/link.h"
#include "replication/memory.h"
#include "replication/notice.h"
#include "replication/replication.h"

#define FG_REPLICATION_SLOTS  4  /* connections at a time: the link, and those that want to be it */
#define FG_REPLICATION_PROBES 64 /* on their way */

struct fg_replication_slot {
    struct fg_replication_link link;
    uint32_t events; /* that epoll waits for */
    bool greeted;    /* our terms are on their way */
};

/* What the operator wants, and what the others want to know; under the mutex. */
struct fg_replication_mail {
    bool do_switch, set_alone, alone, force, set_terms;
    struct fg_replication_terms terms;
    bool offered[FG_REPLICATION_FILES];
    struct {
        uint8_t *bytes;
        size_t size;
        uint64_t version;
    } offer[FG_REPLICATION_FILES];
};

/* A file that this node has for the other one. */
struct fg_replication_give {
    uint64_t version, size; /* size 0: none */
    uint8_t *bytes;         /* of a list */
    int fd;                 /* of a snapshot; -1 = none */
    bool told;              /* by this link */
    uint64_t sent, until;   /* by this link; the peer wants bytes up to there */
};

/* The file that comes. */
struct fg_replication_take {
    bool active, asked; /* asked: which snapshot there is */
    enum fg_replication_file file;
    uint64_t version, size, from, came, until, moved_ms; /* from: by this link */
};

/* Of a snapshot, when the link broke: the keeper has it, and the next fill resumes it. */
struct fg_replication_part {
    uint64_t version, size, came; /* version 0: none */
};

/* Of one record at a time: how long it is missing at the other side. */
struct fg_replication_lag {
    uint64_t seq, since_ms; /* 0 = none is watched */
    uint64_t records, ms;
};

struct fg_replication {
    struct fg_replication_settings settings;
    struct fg_replication_hooks hooks;
    char log_dir[512];
    struct fg_journal_pairing *pairing;
    struct fg_leading *leading;
    const struct fg_clock *clock;

    pthread_t thread;
    _Atomic bool raised, quit;
    _Atomic bool leaving;             /* main thread: the register is left as it is */
    int epoll_fd, wake_fd, listen_fd; /* wake_fd: mail, answers of the arbiter, the stop */
    pthread_mutex_t mutex;
    struct fg_replication_mail mail;      /* under the mutex */
    struct fg_replication_view view;      /* the same; this thread writes */
    struct fg_replication_view view_next; /* this thread's */

    /* Everything below: this thread alone. */
    struct fg_pair *pair;
    struct fg_pair_view now; /* after the last step */
    uint64_t now_ms, tsc;    /* tsc was read before now_ms */
    struct fg_replication_caller *callers[FG_PAIR_CALLS];

    /* In the file. The thread of the register's calls writes it before it hands an answer over. */
    struct fg_pair_memory kept;

    /* links */
    struct fg_replication_slot slots[FG_REPLICATION_SLOTS];
    struct fg_replication_slot *current; /* that lib/pair knows; NULL = none */
    uint32_t links;                      /* number of the newest */
    struct fg_address peer_address;
    uint64_t dial_ms, accept_ms; /* not before */
    unsigned dial_wait_ms;
    uint64_t linked_ms; /* since then there is a link; 0 = it ended */
    uint64_t said_ms;   /* the diagnostic line `said` */
    char said[FG_REPLICATION_TEXT_MAX];
    char broken[FG_REPLICATION_TEXT_MAX]; /* an output could not be carried out: why */
    char lost[FG_REPLICATION_TEXT_MAX];   /* why the last link ended */

    /* terms */
    struct fg_replication_terms terms, peer_terms;
    bool peer_told; /* peer_terms are those of the link */
    bool too_small; /* limits here are smaller than the peer's */
    uint64_t passed_told, passed_ms, peer_passed;

    /* log */
    uint64_t cuts;  /* done, as far as lib/pair knows */
    uint64_t seals; /* ordered */
    bool cutting;
    bool sealing;
    uint64_t leading_epoch; /* an order to lead is under way; 0 = none */
    uint64_t began_seq;     /* of the newest epoch led; 0 = none */
    bool disk_told, remember_failed;
    struct fg_journal_reader *reader; /* of records that the tail has no more */
    uint64_t reader_next;
    uint64_t retired_ms;               /* next time to see where the log begins */
    struct fg_journal_record *records; /* [FG_PAIR_RECORDS_MAX] */

    /* files */
    bool peer_takes_files, peer_resumes;
    uint32_t files_link; /* the rest is of this link */
    struct fg_replication_keeper *keeper;
    struct fg_replication_give gives[FG_REPLICATION_FILES];
    struct fg_replication_take take;
    struct fg_replication_part part;
    uint64_t offered[FG_REPLICATION_FILES]; /* version of the leader's, by this link; 0 = none */
    uint64_t offered_size[FG_REPLICATION_FILES];
    uint64_t has[FG_REPLICATION_FILES]; /* version that was received */
    bool filling;
    uint64_t fill_ms, fill_wait_ms; /* not before; how long that was after the last one failed */
    char fill_error[FG_REPLICATION_TEXT_MAX]; /* why the last fill came to nothing */
    uint64_t gave_whole;                      /* version of the snapshot that was sent to its end */
    uint64_t give_ms;
    unsigned gave; /* pieces in this ms */
    uint64_t peer_has, fill_seq, fill_end_ms;

    /* told to others */
    uint64_t committed; /* told to the journal thread */
    bool solo;
    bool led;          /* hook lead was called */
    bool ended;        /* hook end was called */
    uint64_t probe_ms; /* newest probe */
    unsigned probes_len;
    struct {
        uint64_t number, ticket;
    } probes[FG_REPLICATION_PROBES];
    struct fg_replication_lag lag;
    uint64_t leader_committed; /* as the leader says */
    uint64_t shown_ms;
    bool mail_waits; /* its mutex was taken */
};

/* ---- outputs.c: carries out what lib/pair wants ---------------------------------------------- */

/** APPEND, CUT, LEAD, SEAL. */
void fg_replication_order(struct fg_replication *r, const struct fg_pair_output *o);
/** SEND. What cannot be sent is told by r->broken. */
void fg_replication_send(struct fg_replication *r, const struct fg_pair_output *o);
/** CLOSE, or the like: the link is over, and lib/pair knows. */
void fg_replication_hang_up(struct fg_replication *r, const char *why);
/** False: the peer takes too little. */
bool fg_replication_put(struct fg_replication_link *l, const void *bytes, size_t size);
/** Tells epoll what the connection waits for. */
void fg_replication_slot_watch(struct fg_replication *r, struct fg_replication_slot *s);
void fg_replication_back_off(struct fg_replication *r);
void fg_replication_count_bytes(struct fg_replication *r, struct fg_replication_link *l);
/** A diagnostic line, unless the same one was written just now. */
void fg_replication_say(struct fg_replication *r, const char *why);

/* ---- view.c ---------------------------------------------------------------------------------- */

/** Compares our terms with the peer's. */
void fg_replication_compare(struct fg_replication *r);
/** A step is done: a role that changed goes into the history, the lag is measured. */
void fg_replication_note(struct fg_replication *r, const struct fg_pair_view *before);
/** The rest of the view, and all of it to others. False: one of them reads it now; later. */
bool fg_replication_show(struct fg_replication *r);

/* ---- settle.c -------------------------------------------------------------------------------- */

/** The thread of an arbiter's call: keeps what lib/pair will want to be remembered, so that the
 * disk does not delay heartbeats. r: struct fg_replication. */
void fg_replication_keep(void *r, int64_t revision, const char *text);
/** After each call of lib/pair: tells the others, and carries out the outputs. */
void fg_replication_settle(struct fg_replication *r);
bool fg_replication_leads(const struct fg_replication *r);

/* ---- log.c: what the journal thread tells ---------------------------------------------------- */

void fg_replication_log_moved(struct fg_replication *r);
/** Where the log begins, now and then. */
void fg_replication_log_pass(struct fg_replication *r);

/* ---- files.c: snapshots and lists ------------------------------------------------------------ */

/** FILL of lib/pair. */
void fg_replication_fill_begin(struct fg_replication *r);
/** OFFER, GET, PIECE of the current link. Why it has to be closed; NULL = it need not. */
const char *fg_replication_files_notice(struct fg_replication *r,
                                        const struct fg_replication_notice *n);
/** What is due; settle afterwards. */
void fg_replication_files_pass(struct fg_replication *r);
uint64_t fg_replication_files_due_ms(const struct fg_replication *r);
void fg_replication_files_show(struct fg_replication *r);
/** A list of this leader; the bytes are its own then. */
void fg_replication_files_offer(struct fg_replication *r, enum fg_replication_file file,
                                uint64_t version, uint8_t *bytes, size_t size);
void fg_replication_files_free(struct fg_replication *r);

/* ---- peers.c: connections -------------------------------------------------------------------- */

bool fg_replication_peers_open(struct fg_replication *r, struct fg_error *err);
void fg_replication_peers_close(struct fg_replication *r);
void fg_replication_accept(struct fg_replication *r);
/** A slot has an event. */
void fg_replication_slot_step(struct fg_replication *r, struct fg_replication_slot *slot,
                              uint32_t events);
/** What is due: dials, times out, tells terms and cursors, flushes. */
void fg_replication_peers_pass(struct fg_replication *r);
uint64_t fg_replication_peers_due_ms(const struct fg_replication *r);
/** Our terms changed. */
void fg_replication_greet_again(struct fg_replication *r);

#endif
