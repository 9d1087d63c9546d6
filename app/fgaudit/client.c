/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "progress.h"

#define HEADER    "# fgblast 1"
#define FIELDS    5
#define BIT(name) (1u << FG_STATE_##name)
#define ANY                                                                                        \
    (BIT(ABSENT) | BIT(RESERVED) | BIT(SOLD) | BIT(CANCELLED) | BIT(EXPIRED) | BIT(REFUNDED) |     \
     BIT(WAITING))

struct line {
    uint8_t id[16];
    char id_text[33];
    uint64_t user, item;
    unsigned quantity;
    unsigned status; /* enum fg_packet_status; FG_PACKET_STATUS_NONE = never answered */
    bool open;       /* an unanswered request was sent after that answer */
};

/* ---- what the log may say -------------------------------------------------------------------- */

static bool is_state(unsigned status)
{
    return status == FG_PACKET_STATUS_RESERVED || status == FG_PACKET_STATUS_SOLD ||
           status == FG_PACKET_STATUS_CANCELLED || status == FG_PACKET_STATUS_EXPIRED ||
           status == FG_PACKET_STATUS_REFUNDED || status == FG_PACKET_STATUS_WAITING;
}

/* Bits of enum fg_state. A hold may end by its deadline without the client being told, and the
 * operator may refund a sale. */
static unsigned allowed(const struct line *l)
{
    switch (l->status) {
    case FG_PACKET_STATUS_NONE:
        return ANY;
    case FG_PACKET_STATUS_RESERVED:
        return BIT(RESERVED) | BIT(EXPIRED) | (l->open ? BIT(SOLD) | BIT(CANCELLED) : 0);
    case FG_PACKET_STATUS_SOLD:
        return BIT(SOLD) | BIT(REFUNDED);
    case FG_PACKET_STATUS_CANCELLED:
        return BIT(CANCELLED);
    case FG_PACKET_STATUS_EXPIRED:
        return BIT(EXPIRED) | (l->open ? BIT(SOLD) | BIT(CANCELLED) | BIT(REFUNDED) : 0);
    case FG_PACKET_STATUS_WAITING: /* its turn may come without the client being told */
        return BIT(WAITING) | BIT(RESERVED) | BIT(EXPIRED) | BIT(CANCELLED) |
               (l->open ? BIT(SOLD) | BIT(REFUNDED) : 0);
    case FG_PACKET_STATUS_REFUNDED:
        return BIT(REFUNDED);
    }
    return l->open ? ANY : BIT(ABSENT);
}

static const char *status_name(unsigned status)
{
    static const char *const names[] = {[FG_PACKET_STATUS_NONE] = "NONE",
#define X(name, number, text) [number] = #name,
                                        FG_PACKET_STATUS_LIST(X)
#undef X
    };

    return names[status];
}

static void compare_fields(const struct line *l, const struct fg_order *o, struct fg_story *s,
                           const char *at)
{
    uint64_t item = s->tables.items[o->item].item;

    if (item != l->item || o->quantity != l->quantity)
        fg_problem(s->problems, FG_PROBLEM_CLIENT_FIELDS,
                   "%s: order %s of user %" PRIu64 ": sent item %" PRIu64
                   ", quantity %u; the log has item "
                   "%" PRIu64 ", quantity %u",
                   at, l->id_text, l->user, l->item, l->quantity, item, o->quantity);
}

static void compare(const struct line *l, struct fg_story *s, const char *at)
{
    struct fg_order *o = fg_tables_order(&s->tables, l->user, l->id);
    unsigned state = o ? o->state : FG_STATE_ABSENT;
    enum fg_problem kind = FG_PROBLEM_CLIENT_STATE;

    if (o)
        o->named = 1;
    if (l->status == FG_PACKET_STATUS_CONFLICT && o &&
        (s->tables.items[o->item].item != l->item || o->quantity != l->quantity))
        return; /* rightly told so: another order has this id */
    if (o)
        compare_fields(l, o, s, at);
    if (allowed(l) & (1u << state))
        return;
    if (!o)
        kind = FG_PROBLEM_CLIENT_MISSING;
    else if (!is_state(l->status))
        kind = FG_PROBLEM_CLIENT_REJECTED;
    fg_problem(s->problems, kind,
               "%s: order %s of user %" PRIu64 ", item %" PRIu64
               ": last told %s%s, in the log it is %s",
               at, l->id_text, l->user, l->item, status_name(l->status), l->open ? "+" : "",
               fg_state_name(state));
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool number(const char *text, uint64_t max, uint64_t *value)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return !*end && !errno && *value <= max;
}

static bool parse_status(char *text, struct line *l)
{
    size_t len = strlen(text);

    l->open = len && text[len - 1] == '+';
    if (l->open)
        text[len - 1] = '\0';
    for (l->status = FG_PACKET_STATUS_NONE; l->status < FG_PACKET_STATUS_COUNT; l->status++) {
        if (l->status != FG_PACKET_STATUS_ON_SALE && !strcmp(text, status_name(l->status)))
            return true;
    }
    if (l->open)
        text[len - 1] = '+';
    return false;
}

static bool parse_line(char *text, struct line *l, struct fg_error *err)
{
    char *field[FIELDS + 1] = {NULL}, *rest = text;
    uint64_t quantity;

    for (unsigned n = 0; n <= FIELDS; n++)
        field[n] = strsep(&rest, " ");
    if (!field[FIELDS - 1] || field[FIELDS])
        return fg_fail(err, "not five fields: ORDERHEX USER ITEM QUANTITY STATUS");
    if (!fg_text_order_read(field[0], l->id))
        return fg_fail(err, "order '%.40s': accepted are " FG_TEXT_ORDER, field[0]);
    if (!number(field[1], UINT64_MAX, &l->user))
        return fg_fail(err, "user '%.40s': accepted is 0..%" PRIu64, field[1], UINT64_MAX);
    if (!number(field[2], UINT64_MAX, &l->item))
        return fg_fail(err, "item '%.40s': accepted is 0..%" PRIu64, field[2], UINT64_MAX);
    if (!number(field[3], UINT16_MAX, &quantity))
        return fg_fail(err, "quantity '%.40s': accepted is 0..%d", field[3], UINT16_MAX);
    if (!parse_status(field[4], l))
        return fg_fail(
            err,
            "status '%.40s': accepted are NONE and an order's statuses (docs/protocol.md), each "
            "with or without '+'",
            field[4]);
    fg_hex(l->id_text, l->id);
    l->quantity = (unsigned)quantity;
    return true;
}

static void count(struct fg_client *c, const struct line *l)
{
    c->orders++;
    c->told[l->status]++;
    c->open += l->open;
    if (is_state(l->status))
        c->acknowledged++;
    else if (l->status == FG_PACKET_STATUS_NONE)
        c->unanswered++;
    else
        c->rejected++;
}

static bool bad_line(struct fg_error *err, const char *path, uint64_t number_of_line,
                     const char *why)
{
    return fg_fail(err, "%s:%" PRIu64 ": %.300s", path, number_of_line, why);
}

/* One line without its newline. */
static bool take_line(struct fg_client *c, char *text, uint64_t at, const char *path,
                      struct fg_story *s, struct fg_error *err)
{
    struct fg_error why;
    char where[320];
    struct line l;

    if (at == 1)
        return !strcmp(text, HEADER) ||
               bad_line(err, path, at, "the first line is not '" HEADER "'");
    if (text[0] == '#')
        return true;
    if (!parse_line(text, &l, &why))
        return bad_line(err, path, at, why.text);
    snprintf(where, sizeof(where), "%.280s:%" PRIu64, path, at);
    count(c, &l);
    compare(&l, s, where);
    fg_progress("client orders", c->orders);
    return true;
}

bool fg_client_read(struct fg_client *c, const char *path, struct fg_story *s, struct fg_error *err)
{
    FILE *file = fopen(path, "re");
    size_t size = 0;
    char *text = NULL;
    ssize_t len;
    uint64_t at = 0;
    bool ok = true;

    if (!file)
        return fg_fail(err, "%s: %s", path, strerror(errno));
    while (ok && (len = getline(&text, &size, file)) >= 0) {
        at++;
        if (text[len - 1] != '\n')
            ok = bad_line(err, path, at, "the file ends in the middle of a line");
        else if (strlen(text) != (size_t)len)
            ok = bad_line(err, path, at, "a zero byte");
        else
            text[len - 1] = '\0';
        ok = ok && take_line(c, text, at, path, s, err);
    }
    if (ok && ferror(file))
        ok = fg_fail(err, "%s: %s", path, strerror(errno));
    if (ok && !at)
        ok = bad_line(err, path, 1, "the file is empty");
    free(text);
    fclose(file);
    c->files++;
    return ok;
}

void fg_client_unnamed(struct fg_client *c, const struct fg_story *s, bool complete)
{
    char id[33];

    for (uint32_t k = 0; k < s->tables.order_count; k++) {
        const struct fg_order *o = &s->tables.orders[k];

        if (o->named)
            continue;
        c->unnamed++;
        if (!complete)
            continue;
        fg_hex(id, o->id);
        fg_problem(s->problems, FG_PROBLEM_CLIENT_UNNAMED,
                   "order %s of user %" PRIu64 ", item %" PRIu64 ": %s in the log", id, o->user,
                   s->tables.items[o->item].item, fg_state_name(o->state));
    }
}
