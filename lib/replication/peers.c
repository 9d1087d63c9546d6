/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The connections. Node 1 dials, node 0 accepts; whichever has shown a certificate and told its
 * terms becomes the link that lib/pair knows, in the place of an earlier one.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/diag.h"
#include "replication/internal.h"

#define DIALER                 1
#define GREET_MS               2000 /* from the connection to the peer's terms */
#define CLOSE_MS               200  /* for the peer to close too */
#define DIAL_MIN_MS            50
#define ACCEPT_MS              20 /* between two connections that are taken */
#define PASSED_MS              200
#define FG_REPLICATION_TYPE_AT 5 /* of a message of lib/pair */

/* ---- open, close ----------------------------------------------------------------------------- */

bool fg_replication_peers_open(struct fg_replication *r, struct fg_error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &r->listen_fd};
    struct fg_address at;

    for (unsigned i = 0; i < FG_REPLICATION_SLOTS; i++)
        fg_replication_link_init(&r->slots[i].link);
    r->dial_wait_ms = DIAL_MIN_MS;
    r->listen_fd = -1;
    if (!fg_address_read(r->settings.peer, &r->peer_address))
        return fg_fail(err, "pair: peer %s is not ADDRESS:PORT", r->settings.peer);
    if (r->settings.node == DIALER)
        return true;
    if (!fg_address_read(r->settings.listen, &at))
        return fg_fail(err, "pair: listen %s is not ADDRESS:PORT", r->settings.listen);
    r->listen_fd = fg_replication_link_listen(&at, err);
    if (r->listen_fd < 0)
        return false;
    return epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, r->listen_fd, &event) == 0 ||
           fg_fail(err, "pair: epoll: %s", strerror(errno));
}

void fg_replication_peers_close(struct fg_replication *r)
{
    for (unsigned i = 0; i < FG_REPLICATION_SLOTS; i++)
        fg_replication_link_free(&r->slots[i].link);
    if (r->listen_fd >= 0)
        close(r->listen_fd);
}

/* ---- slots ----------------------------------------------------------------------------------- */

static void open_slot(struct fg_replication *r, struct fg_replication_slot *s, int fd, bool server)
{
    s->events = UINT32_MAX;
    s->greeted = false;
    if (fg_replication_link_open(&s->link, fd, server, &r->settings, r->now_ms + GREET_MS))
        fg_replication_slot_watch(r, s);
}

static struct fg_replication_slot *free_slot(struct fg_replication *r)
{
    for (unsigned i = 0; i < FG_REPLICATION_SLOTS; i++)
        if (r->slots[i].link.state == FG_REPLICATION_CLOSED)
            return &r->slots[i];
    return NULL;
}

/* The oldest connection that has not shown a certificate goes: strangers who say nothing must not
 * keep the peer out. */
static struct fg_replication_slot *make_room(struct fg_replication *r)
{
    struct fg_replication_slot *oldest = NULL;

    for (unsigned i = 0; i < FG_REPLICATION_SLOTS; i++) {
        struct fg_replication_slot *s = &r->slots[i];

        if (s != r->current && s->link.state != FG_REPLICATION_OPEN &&
            (!oldest || s->link.until_ms < oldest->link.until_ms))
            oldest = s;
    }
    if (oldest)
        fg_replication_link_drop(&oldest->link, "");
    return oldest;
}

/* A connection has ended, or never came to be. Once for each. */
static void slot_ended(struct fg_replication *r, struct fg_replication_slot *s)
{
    struct fg_replication_link *l = &s->link;
    uint32_t number = l->number;
    char *shown = r->view_next.link_error;

    fg_replication_count_bytes(r, l);
    l->number = 0;
    if (l->error[0] && r->current != s && r->current)
        return; /* a stranger, while there is a link */
    if (l->error[0]) {
        snprintf(shown, FG_REPLICATION_TEXT_MAX, "%s", l->error);
        fg_replication_say(r, l->error);
    }
    if (r->current != s)
        return;
    r->current = NULL;
    r->peer_told = false;
    snprintf(r->lost, sizeof(r->lost), "%.250s", l->error[0] ? l->error : "the link was closed");
    fg_pair_closed(r->pair, number);
    fg_replication_settle(r);
}

/* ---- what comes ------------------------------------------------------------------------------ */

static void become_current(struct fg_replication *r, struct fg_replication_slot *s)
{
    struct fg_replication_slot *old = r->current;

    if (old) {
        old->link.number = 0;
        fg_replication_link_drop(&old->link, "");
        snprintf(r->lost, sizeof(r->lost), "the peer connected anew");
    }
    r->current = s;
    r->links += r->links == UINT32_MAX ? 2 : 1;
    s->link.number = r->links;
    s->link.until_ms = UINT64_MAX;
    r->linked_ms = r->now_ms;
    r->passed_ms = 0;
    r->leader_committed = 0;
    r->view_next.links++;
    r->view_next.linked_ms = fg_clock_unix_ms();
    r->view_next.link_error[0] = 0;
    memcpy(r->view_next.peer_name, s->link.name, sizeof(r->view_next.peer_name));
    fg_pair_connected(r->pair, s->link.number);
    fg_replication_settle(r);
}

/* A peer of an earlier release closes a link with notices that it does not know. */
static uint64_t knows_files(const struct fg_replication_terms *t)
{
    for (unsigned i = 0; i < t->limits_len; i++)
        if (strcmp(t->limits[i].name, FG_REPLICATION_KNOWS_FILES) == 0)
            return t->limits[i].value;
    return 0;
}

static const char *take_notice(struct fg_replication *r, struct fg_replication_slot *s,
                               const uint8_t *bytes, size_t size)
{
    struct fg_replication_notice n;

    if (!fg_replication_notice_read(&n, bytes, size))
        return "the peer sent what no peer sends";
    if (n.type == FG_REPLICATION_NOTICE_PASSED) {
        if (s == r->current)
            r->peer_passed = n.passed;
        return NULL;
    }
    if (n.type != FG_REPLICATION_NOTICE_TERMS)
        return s == r->current ? fg_replication_files_notice(r, &n) : "a file before any terms";
    if (n.node == r->settings.node)
        return "the peer says that it is the same node as this appliance: correct [pair] node";
    r->peer_terms = n.terms;
    r->peer_takes_files = knows_files(&r->peer_terms) > 0;
    r->peer_resumes = knows_files(&r->peer_terms) >= FG_REPLICATION_RESUMES;
    r->peer_told = true;
    fg_replication_compare(r);
    if (s != r->current)
        become_current(r, s);
    return NULL;
}

/* What lib/pair does not look at. NULL = it may have the message. */
static const char *peek(struct fg_replication *r, const uint8_t *bytes, size_t size)
{
    struct fg_pair_message m;

    if (!fg_pair_message_read(&m, bytes, size, NULL))
        return NULL; /* lib/pair says so */
    if (m.type == FG_PAIR_TYPE_HELLO && m.epoch && r->too_small)
        return r->view_next.refusal;
    if (m.type == FG_PAIR_TYPE_HEARTBEAT && m.heartbeat.committed > r->leader_committed)
        r->leader_committed = m.heartbeat.committed;
    return NULL;
}

/* Whether the journal thread can be given the records of one more message. */
static bool has_room(const struct fg_replication *r)
{
    uint64_t durable = atomic_load(&r->pairing->durable_seq);

    return r->now.last <= durable ||
           r->now.last - durable + FG_PAIR_RECORDS_MAX <= FG_JOURNAL_PAIRING_RECORDS;
}

static bool is_records(const uint8_t *bytes)
{
    return bytes[FG_REPLICATION_TYPE_AT] == FG_PAIR_TYPE_RECORDS;
}

/* Why the link has to be closed; NULL = it need not. */
static const char *take_message(struct fg_replication *r, struct fg_replication_slot *s,
                                const uint8_t *bytes, size_t size)
{
    const char *why;

    if (s != r->current)
        return "the peer did not tell its terms first";
    why = peek(r, bytes, size);
    if (why)
        return why;
    fg_pair_receive(r->pair, s->link.number, bytes, size);
    fg_replication_settle(r);
    return NULL;
}

static void take_messages(struct fg_replication *r, struct fg_replication_slot *s)
{
    struct fg_replication_link *l = &s->link;
    const uint8_t *bytes;
    const char *why = NULL;
    size_t size;

    l->more |= l->paused; /* epoll does not tell of what OpenSSL has read already */
    l->paused = false;
    while (!why && l->state == FG_REPLICATION_OPEN) {
        enum fg_replication_found found = fg_replication_inbox_first(&l->in, &bytes, &size);

        if (found == FG_REPLICATION_NOTHING)
            return;
        if (found == FG_REPLICATION_GARBAGE) {
            why = "the peer sent what no peer sends";
            break;
        }
        if (found == FG_REPLICATION_PAIR && s == r->current && is_records(bytes) && !has_room(r)) {
            l->paused = true; /* until the journal thread has appended some */
            return;
        }
        why = found == FG_REPLICATION_NOTICE ? take_notice(r, s, bytes, size)
                                             : take_message(r, s, bytes, size);
        fg_replication_inbox_drop(&l->in, size);
    }
    if (why && l->state == FG_REPLICATION_OPEN)
        fg_replication_link_close(l, why, r->now_ms + CLOSE_MS);
}

static void greet(struct fg_replication *r, struct fg_replication_slot *s)
{
    struct fg_replication_notice n = {
        .type = FG_REPLICATION_NOTICE_TERMS, .node = r->settings.node, .terms = r->terms};
    uint8_t bytes[FG_REPLICATION_NOTICE_MAX];

    FG_ASSERT(n.terms.limits_len < FG_REPLICATION_LIMITS_MAX);
    n.terms.limits[n.terms.limits_len++] =
        (struct fg_replication_limit){FG_REPLICATION_KNOWS_FILES, FG_REPLICATION_RESUMES};
    s->greeted = true;
    fg_replication_put(&s->link, bytes, fg_replication_notice_write(&n, bytes));
}

void fg_replication_greet_again(struct fg_replication *r)
{
    if (r->current)
        greet(r, r->current);
    fg_replication_compare(r);
}

static bool is_over(const struct fg_replication_slot *s)
{
    return s->link.state == FG_REPLICATION_CLOSED || s->link.state == FG_REPLICATION_CLOSING;
}

void fg_replication_slot_step(struct fg_replication *r, struct fg_replication_slot *s,
                              uint32_t events)
{
    struct fg_replication_link *l = &s->link;
    bool over = is_over(s);

    if (l->state == FG_REPLICATION_CLOSED)
        return; /* by an earlier event of the same round */
    if (l->paused && (events & (EPOLLERR | EPOLLHUP)))
        fg_replication_link_drop(l, "the connection broke");
    fg_replication_link_step(l);
    if (l->state == FG_REPLICATION_OPEN && !s->greeted)
        greet(r, s);
    /* what came before the end counts, but a connection that has ended takes no other's place */
    if (!over && l->in.to > l->in.from && (!l->over || s == r->current))
        take_messages(r, s);
    if (l->state == FG_REPLICATION_OPEN)
        fg_replication_link_flush(l);
    if (l->over)
        fg_replication_link_drop(l, "");
    if (!over && is_over(s)) {
        slot_ended(r, s);
        if (!r->current)
            fg_replication_back_off(r);
    }
    fg_replication_slot_watch(r, s);
}

/* ---- connections ----------------------------------------------------------------------------- */

void fg_replication_accept(struct fg_replication *r)
{
    struct fg_replication_slot *s;
    int fd = accept4(r->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct epoll_event event = {.events = 0, .data.ptr = &r->listen_fd};

    /* also after a failure: without a free descriptor the listener would stay ready */
    r->accept_ms = r->now_ms + ACCEPT_MS;
    epoll_ctl(r->epoll_fd, EPOLL_CTL_MOD, r->listen_fd, &event);
    if (fd < 0)
        return;
    s = free_slot(r);
    s = s ? s : make_room(r);
    if (!s || r->ended) {
        close(fd);
        return;
    }
    open_slot(r, s, fd, true);
    if (s->link.state == FG_REPLICATION_CLOSED)
        slot_ended(r, s);
}

static void accept_again(struct fg_replication *r)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &r->listen_fd};

    if (!r->accept_ms || r->now_ms < r->accept_ms)
        return;
    r->accept_ms = 0;
    epoll_ctl(r->epoll_fd, EPOLL_CTL_MOD, r->listen_fd, &event);
}

static bool is_dialing(const struct fg_replication *r)
{
    for (unsigned i = 0; i < FG_REPLICATION_SLOTS; i++)
        if (!is_over(&r->slots[i]))
            return true;
    return false;
}

static void dial(struct fg_replication *r)
{
    struct fg_replication_slot *s = free_slot(r);
    struct fg_error err = {""};
    int fd;

    if (r->settings.node != DIALER || r->ended || is_dialing(r) || !s || r->now_ms < r->dial_ms)
        return;
    fg_replication_back_off(r);
    fd = fg_replication_link_dial(&r->peer_address, &err);
    if (fd < 0) {
        snprintf(r->view_next.link_error, sizeof(r->view_next.link_error), "%.250s", err.text);
        return;
    }
    open_slot(r, s, fd, false);
    if (s->link.state == FG_REPLICATION_CLOSED)
        slot_ended(r, s);
}

/* ---- what is due ----------------------------------------------------------------------------- */

static void tell_passed(struct fg_replication *r)
{
    struct fg_replication_notice n = {.type = FG_REPLICATION_NOTICE_PASSED, .passed = UINT64_MAX};
    uint8_t bytes[FG_REPLICATION_NOTICE_MAX];
    bool leads = r->led && !r->ended;

    if (!r->current || r->now_ms < r->passed_ms)
        return;
    if (r->hooks.passed && leads)
        n.passed = r->hooks.passed(r->hooks.ctx);
    if (r->passed_ms && n.passed == r->passed_told) {
        r->passed_ms = r->now_ms + PASSED_MS;
        return;
    }
    r->passed_ms = r->now_ms + PASSED_MS;
    r->passed_told = n.passed;
    fg_replication_put(&r->current->link, bytes, fg_replication_notice_write(&n, bytes));
}

static void time_out(struct fg_replication *r, struct fg_replication_slot *s)
{
    struct fg_replication_link *l = &s->link;
    bool over = is_over(s);

    if (l->state == FG_REPLICATION_CLOSED || r->now_ms < l->until_ms)
        return;
    fg_replication_link_drop(l, over                                    ? ""
                                : l->state == FG_REPLICATION_CONNECTING ? "no answer"
                                                                        : "the peer is silent");
    if (!over)
        slot_ended(r, s);
}

void fg_replication_peers_pass(struct fg_replication *r)
{
    for (unsigned i = 0; i < FG_REPLICATION_SLOTS; i++) {
        fg_replication_count_bytes(r, &r->slots[i].link);
        time_out(r, &r->slots[i]);
    }
    accept_again(r);
    dial(r);
    tell_passed(r);
    fg_replication_files_pass(r);
    fg_replication_settle(r); /* it is filled, or the link broke */
    for (unsigned i = 0; i < FG_REPLICATION_SLOTS; i++) {
        struct fg_replication_slot *s = &r->slots[i];

        if (s->link.state == FG_REPLICATION_OPEN && s->link.out_to > s->link.out_from)
            fg_replication_slot_step(r, s, 0);
    }
}

uint64_t fg_replication_peers_due_ms(const struct fg_replication *r)
{
    uint64_t due = UINT64_MAX;

    for (unsigned i = 0; i < FG_REPLICATION_SLOTS; i++) {
        const struct fg_replication_link *l = &r->slots[i].link;

        if (l->state == FG_REPLICATION_CLOSED)
            continue;
        if (l->more)
            return r->now_ms;
        if (l->until_ms < due)
            due = l->until_ms;
    }
    if (r->settings.node == DIALER && !is_dialing(r) && r->dial_ms < due)
        due = r->dial_ms;
    if (r->accept_ms && r->accept_ms < due)
        due = r->accept_ms;
    if (r->current && r->passed_ms < due)
        due = r->passed_ms;
    return due;
}
