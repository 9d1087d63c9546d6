/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * line: those who wait for an item, by ticket, as far as the log can tell.
 *
 * Tickets are given, and turns come, strictly in order. Their records do not quite: each worker
 * writes those of its users, so those of a moment may change entries, and a crash may take one of
 * them with it. Who has been passed over by a crash is the next one after it. So it is wrong
 * when the same order is passed over at two moments that are further apart.
 */
#ifndef FG_AUDIT_LINE_H
#define FG_AUDIT_LINE_H

#include "base/base.h"

struct fg_line {
    uint8_t *entries; /* [ticket] */
    uint64_t room;
    uint64_t tickets; /* the largest so far */
    uint64_t head;    /* smallest ticket that waits */
    uint64_t first;   /* tickets up to this one are older than the log */
    uint64_t waiting, offered, left;
    uint64_t gaps;     /* later tickets up to the largest that no record has */
    uint64_t since_ms; /* somebody waits since then */
    uint64_t passed;   /* this head was passed over, 0 = was not */
    uint64_t passed_ms;
    uint8_t commitment[32];      /* of the draw that is to come */
    uint64_t commit_seq;         /* its record, 0 = the log has none */
    uint64_t renewed, strangers; /* how often, since the last draw; orders that waited before it */
    uint64_t renewed_late;       /* of them, after the opening */
    uint64_t set_tickets;        /* the largest ticket when the draw was set */
};

void fg_line_free(struct fg_line *line);

/** Of a snapshot: the largest ticket until then. */
void fg_line_begin(struct fg_line **line, uint64_t tickets);

/** Takes a ticket in. False: it is 0, or another order has it, or it is far beyond the others. */
bool fg_line_join(struct fg_line **line, uint64_t ticket, uint64_t time_ms);

/** The one with this ticket was offered units. False: it was not its turn; *before is whose. */
bool fg_line_offer(struct fg_line *line, uint64_t ticket, uint64_t time_ms, uint64_t settle_ms,
                   uint64_t *before);

/** Makes a line without entries, if there is none. */
struct fg_line *fg_line_made(struct fg_line **line);

/** A draw: the ticket is given back, and another one taken. */
void fg_line_give_back(struct fg_line *line, uint64_t ticket);

void fg_line_leave(struct fg_line *line, uint64_t ticket);

#endif
