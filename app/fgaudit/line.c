/* SPDX-License-Identifier: BSD-3-Clause */
#include "line.h"

#include <string.h>

#include "tables.h"

enum { TICKET_UNKNOWN, TICKET_WAITS, TICKET_GONE };

#define AHEAD_MAX (1u << 24) /* so far may a ticket be ahead of the others: of a few moments */

void fg_line_free(struct fg_line *line)
{
    if (line)
        free(line->entries);
    free(line);
}

static void grow(struct fg_line *l, uint64_t ticket)
{
    uint64_t room = l->room ? l->room : 64;

    while (room <= ticket)
        room *= 2;
    if (room == l->room)
        return;
    l->entries = realloc(l->entries, room);
    if (!l->entries)
        fg_out_of_memory();
    memset(l->entries + l->room, TICKET_UNKNOWN, room - l->room);
    l->room = room;
}

static struct fg_line *made(struct fg_line **line)
{
    if (!*line)
        *line = calloc(1, sizeof(**line));
    if (!*line)
        fg_out_of_memory();
    return *line;
}

struct fg_line *fg_line_made(struct fg_line **line)
{
    return made(line);
}

void fg_line_begin(struct fg_line **line, uint64_t tickets)
{
    made(line)->first = made(line)->tickets = tickets;
}

bool fg_line_join(struct fg_line **line, uint64_t ticket, uint64_t time_ms)
{
    struct fg_line *l = made(line);

    if (ticket == 0 || ticket > UINT32_MAX || ticket > l->tickets + AHEAD_MAX)
        return false;
    grow(l, ticket);
    if (l->entries[ticket] != TICKET_UNKNOWN)
        return false;
    l->entries[ticket] = TICKET_WAITS;
    if (ticket > l->tickets) {
        l->gaps += ticket - l->tickets - 1;
        l->tickets = ticket;
    } else if (ticket > l->first) {
        l->gaps--;
    }
    if (!l->waiting)
        l->since_ms = time_ms;
    if (!l->waiting++ || ticket < l->head)
        l->head = ticket;
    return true;
}

static void take_out(struct fg_line *l, uint64_t ticket)
{
    l->entries[ticket] = TICKET_GONE;
    l->waiting--;
    while (l->waiting && l->entries[l->head] != TICKET_WAITS)
        l->head++;
    if (l->passed != l->head)
        l->passed = 0;
}

void fg_line_give_back(struct fg_line *l, uint64_t ticket)
{
    take_out(l, ticket);
}

void fg_line_leave(struct fg_line *l, uint64_t ticket)
{
    l->left++;
    take_out(l, ticket);
}

bool fg_line_offer(struct fg_line *l, uint64_t ticket, uint64_t time_ms, uint64_t settle_ms,
                   uint64_t *before)
{
    bool turn = true;

    *before = l->head;
    if (ticket > l->head && l->passed != l->head) {
        l->passed = l->head;
        l->passed_ms = time_ms;
    } else if (ticket > l->head) {
        turn = time_ms <= l->passed_ms + settle_ms;
    }
    l->offered++;
    take_out(l, ticket);
    return turn;
}
