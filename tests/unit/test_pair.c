/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/pair by its contract: each row of its table, and what the rows do not say. What a pair does
 * as a whole is the business of tests/sim/sim_pair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "pair/internal.h"

enum { LOG = 0x10c, LINK = 5 };

/* ---- a node and its outputs as text ---------------------------------------------------------- */

struct rig {
    struct fg_pair *p;
    struct fg_pair_view view;
    uint64_t now_ms;
    uint64_t tickets[FG_PAIR_CALLS];
    int64_t revision; /* of the register, as the arbiter has it */
    uint32_t link;
    uint64_t peer_first; /* of its log; 0 = 1 */
    char out[2048];      /* since the last `told` */
};

static struct rig rig;

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
    size_t len = strlen(rig.out);
    va_list args;

    va_start(args, format);
    vsnprintf(rig.out + len, sizeof(rig.out) - len, format, args);
    va_end(args);
}

static void note_message(const struct fg_pair_output *o)
{
    struct fg_pair_message m;
    uint8_t bytes[FG_PAIR_MESSAGE_MAX] = {0};
    struct fg_error err;

    memcpy(bytes, o->bytes, o->size);
    if (!fg_pair_message_read(&m, bytes, o->size + (size_t)o->count * FG_PAIR_RECORD_SIZE, &err))
        fail_msg("%s", err.text);
    switch ((enum fg_pair_type)m.type) {
    case FG_PAIR_TYPE_HELLO:
        note("hello %llu; ", (unsigned long long)m.epoch);
        break;
    case FG_PAIR_TYPE_FOLLOW:
        note("follow %llu; ", (unsigned long long)m.follow.first);
        break;
    case FG_PAIR_TYPE_RECORDS:
        note("records %llu+%u of %llu; ", (unsigned long long)m.records.first, m.count,
             (unsigned long long)m.records.of_epoch);
        break;
    case FG_PAIR_TYPE_ACK:
        note("ack %llu; ", (unsigned long long)m.ack.durable);
        break;
    case FG_PAIR_TYPE_TAKE:
        note("take %llu; ", (unsigned long long)m.take.last);
        break;
    case FG_PAIR_TYPE_HEARTBEAT:
    case FG_PAIR_TYPE_ECHO:
        break; /* too many to be told */
    }
}

static void drain(void)
{
    struct fg_pair_output o;

    while (fg_pair_next(rig.p, &o)) {
        struct fg_pair_register r;

        switch (o.kind) {
        case FG_PAIR_SEND:
            note_message(&o);
            break;
        case FG_PAIR_CLOSE:
            note("close; ");
            break;
        case FG_PAIR_READ:
            rig.tickets[o.lane] = o.ticket;
            note("read %s; ", o.key);
            break;
        case FG_PAIR_SWAP:
            rig.tickets[o.lane] = o.ticket;
            if (strcmp(o.key, FG_PAIR_REGISTER_KEY) != 0)
                break;
            assert_true(fg_pair_register_read(&r, (const char *)o.bytes));
            note("swap %llu %s; ", (unsigned long long)r.epoch, r.sync ? "sync" : "solo");
            break;
        case FG_PAIR_REMEMBER:
            break;
        case FG_PAIR_APPEND:
            note("append %llu+%u; ", (unsigned long long)o.first, o.count);
            break;
        case FG_PAIR_CUT:
            note("cut %llu; ", (unsigned long long)o.first);
            break;
        case FG_PAIR_LEAD:
            note("lead %llu; ", (unsigned long long)o.epoch);
            break;
        case FG_PAIR_SEAL:
            note("seal; ");
            break;
        case FG_PAIR_FILL:
            note("fill; ");
            break;
        case FG_PAIR_END:
            note("end; ");
            break;
        }
    }
    fg_pair_view(rig.p, &rig.view);
}

static void told(const char *expected)
{
    assert_string_equal(rig.out, expected);
    rig.out[0] = 0;
}

/* ---- inputs ---------------------------------------------------------------------------------- */

static void pass(unsigned ms)
{
    rig.now_ms += ms;
    fg_pair_time(rig.p, rig.now_ms, rig.now_ms);
    drain();
}

static void receive(const struct fg_pair_message *m)
{
    uint8_t bytes[FG_PAIR_MESSAGE_MAX] = {0};
    size_t size = fg_pair_message_write(m, bytes);

    if (m->type == FG_PAIR_TYPE_RECORDS)
        size += (size_t)m->count * FG_PAIR_RECORD_SIZE;
    for (uint32_t i = 0; m->type == FG_PAIR_TYPE_HELLO && i < m->count; i++, size += 16)
        memcpy(bytes + size, m->tail + (size_t)i * 16, 16);
    fg_pair_receive(rig.p, rig.link, bytes, size);
    drain();
}

/* The peer says HELLO; its log has `last` records, all of epoch 1. */
static void peer_says(uint64_t epoch, uint64_t last, enum fg_pair_reason reason)
{
    uint8_t tail[16];
    struct fg_pair_epoch first = {1, 1};
    struct fg_pair_message m = {.type = FG_PAIR_TYPE_HELLO,
                                .epoch = epoch,
                                .hello = {.log = LOG,
                                          .node = 1,
                                          .reason = reason,
                                          .first = rig.peer_first ? rig.peer_first : 1,
                                          .last = last,
                                          .durable = last},
                                .count = last > 0,
                                .tail = tail};

    fg_pair_epoch_write(&first, tail);
    receive(&m);
}

static void connect(void)
{
    fg_pair_connected(rig.p, ++rig.link);
    drain();
}

static void answer(unsigned lane, enum fg_pair_outcome outcome, int64_t revision, const char *text)
{
    fg_pair_answered(rig.p, rig.tickets[lane], outcome, revision, text);
    drain();
}

/* Register and floor are read. */
static void reads(unsigned leader, bool sync, uint64_t epoch, uint64_t floor)
{
    struct fg_pair_register r = {
        .epoch = epoch, .leader = leader, .sync = sync, .log = LOG, .floor = {floor > 0, floor}};
    char text[FG_PAIR_TEXT_MAX];

    fg_pair_register_write(&r, text);
    answer(0, FG_PAIR_DONE, ++rig.revision, text);
    if (rig.view.state == FG_PAIR_STATE_SEEKING) /* a leader reads the register only */
        answer(0, FG_PAIR_DONE, 0, NULL);
}

static void swapped(enum fg_pair_outcome outcome)
{
    answer(0, outcome, outcome == FG_PAIR_DONE ? ++rig.revision : 0, NULL);
}

static void floor_swapped(enum fg_pair_outcome outcome)
{
    answer(1, outcome, outcome == FG_PAIR_DONE ? ++rig.revision : 0, NULL);
}

static void peer_acks(uint64_t durable)
{
    struct fg_pair_message m = {
        .type = FG_PAIR_TYPE_ACK, .epoch = rig.view.epoch, .ack.durable = durable};

    receive(&m);
}

static void peer_follows(uint64_t first)
{
    struct fg_pair_message m = {
        .type = FG_PAIR_TYPE_FOLLOW, .epoch = rig.view.epoch, .follow.first = first};

    receive(&m);
}

static void closed(void)
{
    fg_pair_closed(rig.p, rig.link);
    drain();
}

static void heartbeat(bool published)
{
    struct fg_pair_message m = {.type = FG_PAIR_TYPE_HEARTBEAT,
                                .epoch = rig.view.epoch,
                                .heartbeat = {.number = 1, .published = published}};

    receive(&m);
}

static void durable(uint64_t last)
{
    fg_pair_appended(rig.p, last);
    fg_pair_durable(rig.p, last);
    drain();
}

/* ---- ways to a state ------------------------------------------------------------------------- */

/* A node with 10 records of epoch 1, of which 8 are known to be committed. */
static void to_seeking(void)
{
    static const struct fg_pair_epoch epochs[] = {{1, 1}};
    struct fg_pair_options o = {
        .timing = fg_pair_timing_usual, .seed = {1, 2}, .log = {LOG, 1, 10, 8, epochs, 1}};
    struct fg_error err;

    rig = (struct rig){.now_ms = 1000, .revision = 7, .link = LINK};
    rig.p = fg_pair_create(&o, &err);
    assert_non_null(rig.p);
    pass(0);
}

static void to_claiming(void)
{
    to_seeking();
    reads(0, false, 1, 10);
}

static void to_solo(void)
{
    to_claiming();
    swapped(FG_PAIR_DONE);
    fg_pair_began(rig.p, 11);
    fg_pair_appended(rig.p, 12);
    fg_pair_durable(rig.p, 12);
    drain();
    floor_swapped(FG_PAIR_DONE);
}

static void to_shipping(void)
{
    to_solo();
    connect();
    peer_says(0, 10, 0);
    peer_follows(11);
    peer_acks(12);
}

static void keep_in_touch(unsigned ms)
{
    for (unsigned i = 0; i < ms; i += 10) {
        pass(10);
        heartbeat(false);
    }
}

static void to_adding(void)
{
    to_shipping();
    keep_in_touch(fg_pair_timing_usual.add_ms + 10);
}

static void to_publishing(void)
{
    to_adding();
    fg_pair_sealed(rig.p, 13);
    durable(13);
    peer_acks(13);
}

static void to_sync(void)
{
    to_publishing();
    swapped(FG_PAIR_DONE);
}

static void to_dropping(void)
{
    to_sync();
    closed();
}

static void to_handing(void)
{
    to_sync();
    fg_pair_switch(rig.p);
    drain();
}

static void to_cutting(void)
{
    to_seeking();
    connect();
    peer_says(3, 9, 0);
    reads(1, true, 3, 8);
}

static void to_catching(void)
{
    to_cutting();
    fg_pair_cut(rig.p, 9);
    drain();
}

/* The leader's log begins with record 15. */
static void to_filling(void)
{
    to_seeking();
    rig.peer_first = 15;
    connect();
    peer_says(3, 20, 0);
    reads(1, true, 3, 8);
    fg_pair_cut(rig.p, 10);
    drain();
}

static void to_following(void)
{
    to_catching();
    heartbeat(true);
}

static void to_refused(void)
{
    to_seeking();
    reads(0, false, 1, 11);
}

static void (*const ways[FG_PAIR_STATES])(void) = {
    [FG_PAIR_STATE_SEEKING] = to_seeking,     [FG_PAIR_STATE_CLAIMING] = to_claiming,
    [FG_PAIR_STATE_CUTTING] = to_cutting,     [FG_PAIR_STATE_CATCHING] = to_catching,
    [FG_PAIR_STATE_FOLLOWING] = to_following, [FG_PAIR_STATE_SOLO] = to_solo,
    [FG_PAIR_STATE_ADDING] = to_adding,       [FG_PAIR_STATE_PUBLISHING] = to_publishing,
    [FG_PAIR_STATE_SYNC] = to_sync,           [FG_PAIR_STATE_DROPPING] = to_dropping,
    [FG_PAIR_STATE_HANDING] = to_handing,     [FG_PAIR_STATE_REFUSED] = to_refused,
    [FG_PAIR_STATE_FILLING] = to_filling,
};

/* ---- each row -------------------------------------------------------------------------------- */

static void leader_found(void)
{
    connect();
    peer_says(3, 9, 0);
    reads(1, true, 3, 8);
}

static void may_lead(void)
{
    reads(0, false, 1, 10);
}

static void below_floor(void)
{
    reads(0, false, 1, 11);
}

static void force(void)
{
    fg_pair_force(rig.p);
    drain();
}

static void disk(void)
{
    fg_pair_disk_failed(rig.p);
    drain();
}

static void won(void)
{
    swapped(FG_PAIR_DONE);
}

static void not_won(void)
{
    swapped(FG_PAIR_UNKNOWN);
}

static void unchanged(void)
{
    swapped(FG_PAIR_AWAY);
}

static void cut(void)
{
    fg_pair_cut(rig.p, 9);
    drain();
}

static void filled(void)
{
    fg_pair_filled(rig.p, true);
    drain();
}

static void published(void)
{
    heartbeat(true);
}

static void take(void)
{
    struct fg_pair_message m = {.type = FG_PAIR_TYPE_TAKE, .epoch = 3, .take.last = 9};

    receive(&m);
}

static void fit(void)
{
    connect();
    peer_says(0, 10, 0);
    peer_follows(11);
    peer_acks(12);
    keep_in_touch(210);
}

static void deposed(void)
{
    if (!rig.view.linked) {
        connect();
    }
    peer_says(9, 20, 0);
}

static void at_mark(void)
{
    fg_pair_sealed(rig.p, 13);
    durable(13);
    peer_acks(13);
}

static void stalled(void)
{
    durable(15);
    keep_in_touch(210);
}

static void alone(void)
{
    fg_pair_alone(rig.p, true);
    drain();
}

static void switch_over(void)
{
    fg_pair_switch(rig.p);
    drain();
}

/* The standby is there again before any swap left. */
static void rejoined(void)
{
    swapped(FG_PAIR_AWAY);
    connect();
    peer_says(0, 13, 0);
    peer_follows(14);
    peer_acks(13);
}

static void hand_timeout(void)
{
    keep_in_touch(510);
}

#define ROW(state, event, next) FG_PAIR_STATE_##state, FG_PAIR_EVENT_##event, FG_PAIR_STATE_##next

/* state, event, next, how it comes, what is put out */
static const struct {
    enum fg_pair_state state;
    enum fg_pair_event event;
    enum fg_pair_state next;
    void (*how)(void);
    const char *out;
} rows[] = {
    {ROW(SEEKING, LEADER_FOUND, CUTTING), leader_found, "hello 0; read floor; cut 9; "},
    {ROW(SEEKING, MAY_LEAD, CLAIMING), may_lead, "read floor; swap 2 solo; "},
    {ROW(SEEKING, REFUSE, REFUSED), below_floor, "read floor; "},
    {ROW(SEEKING, FORCE, SEEKING), force, ""},
    {ROW(SEEKING, DISK, ENDED), disk, "end; "},
    {ROW(CLAIMING, WON, SOLO), won, "lead 2; "},
    {ROW(CLAIMING, NOT_WON, SEEKING), not_won, ""},
    {ROW(CLAIMING, UNCHANGED, SEEKING), unchanged, ""},
    {ROW(CLAIMING, DISK, ENDED), disk, "end; "},
    {ROW(CUTTING, CUT, CATCHING), cut, "follow 10; ack 9; "},
    {ROW(CUTTING, LOST, SEEKING), NULL, NULL}, /* below */
    {ROW(CUTTING, REFUSE, REFUSED), NULL, NULL},
    {ROW(CUTTING, DISK, ENDED), disk, "close; end; "},
    {ROW(CATCHING, PUBLISHED, FOLLOWING), published, ""},
    {ROW(CATCHING, LOST, SEEKING), closed, "read register; "},
    {ROW(CATCHING, DISK, ENDED), disk, "close; end; "},
    {ROW(CATCHING, FILL, FILLING), NULL, NULL}, /* below */
    {ROW(FILLING, FILLED, ENDED), filled, "close; end; "},
    {ROW(FILLING, LOST, SEEKING), closed, "read register; "},
    {ROW(FILLING, REFUSE, REFUSED), NULL, NULL}, /* below */
    {ROW(FILLING, DISK, ENDED), disk, "close; end; "},
    {ROW(FOLLOWING, LOST, SEEKING), closed, "read register; "},
    {ROW(FOLLOWING, TAKE, SEEKING), take, "close; read register; "},
    {ROW(FOLLOWING, DISK, ENDED), disk, "close; end; "},
    {ROW(SOLO, LOST, SOLO), closed, ""},
    {ROW(SOLO, FIT, ADDING), fit, "hello 2; records 11+2 of 2; seal; "},
    {ROW(SOLO, DEPOSED, ENDED), deposed, "hello 2; close; end; "},
    {ROW(SOLO, DISK, ENDED), disk, "end; "},
    {ROW(ADDING, AT_MARK, PUBLISHING), at_mark, "records 13+1 of 2; swap 2 sync; "},
    {ROW(ADDING, LOST, SOLO), closed, ""},
    {ROW(ADDING, STALLED, SOLO), stalled, "records 13+3 of 2; close; "},
    {ROW(ADDING, ALONE, SOLO), alone, "close; "},
    {ROW(ADDING, DEPOSED, ENDED), deposed, "close; end; "},
    {ROW(ADDING, DISK, ENDED), disk, "take 12; close; end; "},
    {ROW(PUBLISHING, WON, SYNC), won, ""},
    {ROW(PUBLISHING, UNCHANGED, ADDING), unchanged, ""},
    {ROW(PUBLISHING, LOST, DROPPING), closed, ""},
    {ROW(PUBLISHING, STALLED, DROPPING), stalled, "records 14+2 of 2; close; "},
    {ROW(PUBLISHING, ALONE, DROPPING), alone, ""},
    {ROW(PUBLISHING, DEPOSED, ENDED), deposed, "close; end; "},
    {ROW(PUBLISHING, DISK, ENDED), disk, "take 13; close; end; "},
    {ROW(SYNC, LOST, DROPPING), closed, "swap 3 solo; "},
    {ROW(SYNC, STALLED, DROPPING), stalled, "records 14+2 of 2; close; swap 3 solo; "},
    {ROW(SYNC, ALONE, DROPPING), alone, "swap 3 solo; "},
    {ROW(SYNC, SWITCH, HANDING), switch_over, "take 13; "},
    {ROW(SYNC, DEPOSED, ENDED), deposed, "close; end; "},
    {ROW(SYNC, DISK, ENDED), disk, "take 13; close; end; "},
    {ROW(DROPPING, WON, SOLO), won, "lead 3; "},
    {ROW(DROPPING, AT_MARK, SYNC), rejoined, "hello 2; "},
    {ROW(DROPPING, LOST, DROPPING), closed, ""},
    {ROW(DROPPING, DEPOSED, ENDED), deposed, "hello 2; close; end; "},
    {ROW(DROPPING, DISK, ENDED), disk, "end; "},
    {ROW(HANDING, LOST, DROPPING), closed, ""},
    {ROW(HANDING, STALLED, DROPPING), hand_timeout, "close; swap 3 solo; "},
    {ROW(HANDING, DEPOSED, ENDED), deposed, "close; end; "},
    {ROW(HANDING, DISK, ENDED), disk, "take 13; close; end; "},
    {ROW(REFUSED, FORCE, SEEKING), force, "read register; "},
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static void every_row(void **state)
{
    for (unsigned i = 0; i < ROWS; i++) {
        if (!rows[i].how)
            continue;
        ways[rows[i].state]();
        if (rig.view.state != rows[i].state)
            fail_msg("the way to %s ended in %s", fg_pair_state_name(rows[i].state),
                     fg_pair_state_name(rig.view.state));
        rig.out[0] = 0;
        rows[i].how();
        if (rig.view.state != rows[i].next || strcmp(rig.out, rows[i].out) != 0)
            fail_msg("%s, %s: %s, \"%s\"; expected %s, \"%s\"", fg_pair_state_name(rows[i].state),
                     fg_pair_event_name(rows[i].event), fg_pair_state_name(rig.view.state), rig.out,
                     fg_pair_state_name(rows[i].next), rows[i].out);
        fg_pair_destroy(rig.p);
    }
}

/* All other pairs of state and event are nothing; the page has the same rows. */
static void no_other_rows(void **state)
{
    char path[4096], line[512], want[128];
    unsigned found = 0;
    FILE *f;

    for (unsigned s = 0; s < FG_PAIR_STATES; s++)
        for (unsigned e = 0; e < FG_PAIR_EVENTS; e++) {
            bool known, listed = false;
            enum fg_pair_state next = fg_pair_next_state(s, e, &known), expected = s;

            for (unsigned i = 0; i < ROWS; i++)
                if (rows[i].state == s && rows[i].event == e) {
                    listed = true;
                    expected = rows[i].next;
                }
            if (known != listed || next != expected)
                fail_msg("%s, %s", fg_pair_state_name(s), fg_pair_event_name(e));
        }
    snprintf(path, sizeof(path), "%s/docs/pair.md",
             getenv("FG_SOURCE") ? getenv("FG_SOURCE") : ".");
    f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f))
        for (unsigned i = 0; i < ROWS; i++) {
            snprintf(want, sizeof(want), "| %s | %s | %s |", fg_pair_state_name(rows[i].state),
                     fg_pair_event_name(rows[i].event), fg_pair_state_name(rows[i].next));
            found += strncmp(line, want, strlen(want)) == 0;
        }
    fclose(f);
    assert_int_equal(found, ROWS);
}

/* ---- what the rows do not say ---------------------------------------------------------------- */

static void a_lost_link_waits_for_the_cut(void **state)
{
    to_cutting();
    rig.out[0] = 0;
    closed();
    assert_int_equal(rig.view.state, FG_PAIR_STATE_CUTTING);
    fg_pair_cut(rig.p, 9);
    drain();
    assert_int_equal(rig.view.state, FG_PAIR_STATE_SEEKING);
    assert_int_equal(rig.view.last, 9);
    told("read register; ");
    fg_pair_destroy(rig.p);
}

static void nothing_committed_is_cut(void **state)
{
    to_seeking();
    connect();
    peer_says(3, 7, 0); /* 8 records are committed here */
    reads(1, true, 3, 7);
    assert_int_equal(rig.view.state, FG_PAIR_STATE_REFUSED);
    assert_int_equal(rig.view.reason, FG_PAIR_REASON_DIVERGED);
    fg_pair_destroy(rig.p);
}

/* The cut comes first; nothing that was committed here is ever replaced. */
static void a_leader_whose_log_begins_too_late_fills_its_follower(void **state)
{
    to_filling();
    rig.out[0] = 0;
    heartbeat(true); /* nothing is followed yet: see rows */
    fg_pair_filled(rig.p, false);
    drain();
    assert_int_equal(rig.view.reason, FG_PAIR_REASON_RETIRED);
    fg_pair_destroy(rig.p);
    for (uint64_t first = 11; first <= 12; first++) {
        to_seeking();
        rig.peer_first = first;
        connect();
        peer_says(3, 20, 0);
        reads(1, true, 3, 8);
        rig.out[0] = 0;
        fg_pair_cut(rig.p, 10);
        drain();
        told(first == 11 ? "follow 11; ack 10; " : "fill; ");
        fg_pair_destroy(rig.p);
    }
}

static void an_old_leader_is_not_followed(void **state)
{
    static const struct fg_pair_epoch epochs[] = {{1, 1}, {4, 9}};
    struct fg_pair_options o = {.timing = fg_pair_timing_usual, .log = {LOG, 1, 10, 8, epochs, 2}};

    rig = (struct rig){.now_ms = 1000, .revision = 7, .link = LINK};
    rig.p = fg_pair_create(&o, NULL);
    pass(0);
    connect();
    peer_says(3, 9, 0);
    answer(0, FG_PAIR_AWAY, 0, NULL); /* the register would tell */
    assert_int_equal(rig.view.state, FG_PAIR_STATE_SEEKING);
    assert_false(rig.view.linked);
    fg_pair_destroy(rig.p);
}

static void watermarks(void **state)
{
    to_solo();
    assert_int_equal(rig.view.committed, 12);
    assert_true(rig.view.solo && rig.view.accepting);
    durable(13);
    assert_int_equal(rig.view.committed, 13);
    fg_pair_destroy(rig.p);

    to_sync();
    assert_int_equal(rig.view.committed, 13);
    assert_false(rig.view.solo);
    durable(20);
    assert_int_equal(rig.view.committed, 13); /* the peer has less */
    peer_acks(17);
    assert_int_equal(rig.view.committed, 17);
    closed(); /* DROPPING: nothing before the swap is known to have succeeded */
    assert_false(rig.view.accepting);
    durable(21);
    assert_int_equal(rig.view.committed, 17);
    swapped(FG_PAIR_DONE);
    assert_int_equal(rig.view.committed, 17); /* nor before the new epoch is on disk */
    fg_pair_began(rig.p, 22);
    durable(22);
    assert_int_equal(rig.view.committed, 17);
    durable(23);
    assert_int_equal(rig.view.committed, 23);
    fg_pair_destroy(rig.p);
}

/* A peer that comes back may have lost what it had. */
static void an_acknowledgement_is_of_one_link(void **state)
{
    to_shipping();
    assert_int_equal(rig.view.peer_durable, 12);
    closed();
    connect();
    peer_says(0, 4, 0);
    assert_int_equal(rig.view.peer_durable, 0);
    assert_int_equal(rig.view.peer_last, 4);
    peer_follows(1);
    peer_acks(5);
    assert_int_equal(rig.view.peer_durable, 5);
    fg_pair_destroy(rig.p);
}

/* Pieces of a file come, and heartbeats wait behind them. */
static void what_else_comes_is_a_sign_of_life(void **state)
{
    to_following();
    for (unsigned ms = 0; ms < 3 * fg_pair_timing_usual.suspect_ms; ms += 10) {
        fg_pair_heard(rig.p, rig.link);
        pass(10);
    }
    assert_int_equal(rig.view.state, FG_PAIR_STATE_FOLLOWING);
    for (unsigned ms = 0; ms < fg_pair_timing_usual.suspect_ms; ms += 10) {
        fg_pair_heard(rig.p, rig.link - 1); /* of an earlier one */
        pass(10);
    }
    assert_int_equal(rig.view.state, FG_PAIR_STATE_SEEKING);
    fg_pair_destroy(rig.p);
}

static void a_follower_knows_what_is_committed(void **state)
{
    struct fg_pair_message m = {
        .type = FG_PAIR_TYPE_RECORDS,
        .epoch = 3,
        .count = 2,
        .records = {.first = 10, .committed = 30, .of_epoch = 3, .epoch_first = 10}};

    to_following();
    rig.out[0] = 0;
    receive(&m);
    told("append 10+2; ");
    assert_int_equal(rig.view.committed, 9); /* not on disk here */
    fg_pair_durable(rig.p, 11);
    drain();
    told("ack 11; ");
    assert_int_equal(rig.view.committed, 11);
    receive(&m); /* the same again: a gap, or a repeat, breaks the link */
    assert_int_equal(rig.view.state, FG_PAIR_STATE_SEEKING);
    assert_int_equal(rig.view.refused, 1);
    fg_pair_destroy(rig.p);
}

static void unknown_outcomes_are_swapped_anew(void **state)
{
    to_dropping();
    swapped(FG_PAIR_UNKNOWN);
    rig.out[0] = 0;
    pass(30);
    told("read register; ");
    reads(0, true, 2, 12); /* as before: but the swap may yet come */
    told("swap 3 solo; ");
    connect();
    peer_says(0, 13, 0);
    peer_follows(14);
    peer_acks(13);
    assert_int_equal(rig.view.state, FG_PAIR_STATE_DROPPING);
    swapped(FG_PAIR_LOST); /* it has come */
    rig.out[0] = 0;
    reads(0, false, 3, 12);
    told("swap 4 solo; ");
    won();
    assert_int_equal(rig.view.epoch, 4);
    fg_pair_destroy(rig.p);
}

static void a_leader_learns_that_it_is_deposed(void **state)
{
    to_sync();
    pass(1);
    closed();
    swapped(FG_PAIR_LOST);
    rig.out[0] = 0;
    reads(1, false, 3, 12);
    told("end; ");
    assert_int_equal(rig.view.reason, FG_PAIR_REASON_DEPOSED);
    assert_false(rig.view.accepting);
    fg_pair_destroy(rig.p);
}

static void validity(void **state)
{
    struct fg_pair_message m = {.type = FG_PAIR_TYPE_ECHO, .epoch = 2, .echo = {.number = 1}};
    uint64_t sent, probe;

    to_sync();
    sent = rig.now_ms;
    pass(3);
    probe = fg_pair_probe(rig.p);
    drain();
    m.echo.sent_ms = sent;
    receive(&m);
    assert_int_equal(rig.view.valid_until_ms, sent + fg_pair_timing_usual.stale_ms);
    assert_true(rig.view.probe < probe);
    m.echo.number = probe;
    m.echo.unix_ms = rig.now_ms + 70;
    receive(&m);
    assert_true(rig.view.probe >= probe);
    m.epoch = 0; /* of a peer that follows no more */
    m.echo.sent_ms = rig.now_ms;
    receive(&m);
    assert_int_equal(rig.view.valid_until_ms, sent + fg_pair_timing_usual.stale_ms);
    m.echo.number = 1000000; /* never sent */
    receive(&m);
    assert_int_equal(rig.view.state, FG_PAIR_STATE_DROPPING);
    fg_pair_destroy(rig.p);
}

static void a_register_from_a_copy_freezes(void **state)
{
    to_sync();
    rig.revision = 2; /* lower than what was seen */
    closed();
    swapped(FG_PAIR_LOST);
    reads(0, true, 2, 12);
    assert_int_equal(rig.view.state, FG_PAIR_STATE_ENDED);
    assert_int_equal(rig.view.reason, FG_PAIR_REASON_RESTORED);
    fg_pair_destroy(rig.p);
}

static void a_standby_that_was_dropped_waits_longer(void **state)
{
    to_dropping();
    won();
    fg_pair_began(rig.p, 14);
    durable(15);
    connect();
    peer_says(0, 13, 0);
    peer_follows(14);
    peer_acks(15);
    keep_in_touch(fg_pair_timing_usual.add_ms + 50);
    assert_int_equal(rig.view.state, FG_PAIR_STATE_SOLO);
    keep_in_touch(fg_pair_timing_usual.add_ms);
    assert_int_equal(rig.view.state, FG_PAIR_STATE_ADDING);
    fg_pair_destroy(rig.p);
}

/* ---- who claims ------------------------------------------------------------------------------ */

static void a_restarted_leader_lets_its_standby_go_first(void **state)
{
    to_seeking();
    connect();
    peer_says(0, 10, 0);
    rig.out[0] = 0;
    reads(0, true, 1, 10);
    told("read floor; ");
    keep_in_touch(200);
    assert_int_equal(rig.view.state, FG_PAIR_STATE_SEEKING);
    reads(0, true, 1, 10);
    peer_says(0, 10, FG_PAIR_REASON_BELOW_FLOOR); /* it may not lead */
    pass(200);
    reads(0, true, 1, 10);
    assert_int_equal(rig.view.state, FG_PAIR_STATE_CLAIMING);
    fg_pair_destroy(rig.p);
}

static void nobody_takes_over_from_solo(void **state)
{
    to_seeking();
    pass(10000); /* the peer is gone for good */
    reads(1, false, 1, 10);
    assert_int_equal(rig.view.state, FG_PAIR_STATE_SEEKING);
    fg_pair_force(rig.p); /* but a person may */
    pass(200);
    reads(1, false, 1, 99);
    assert_int_equal(rig.view.state, FG_PAIR_STATE_CLAIMING);
    fg_pair_destroy(rig.p);
}

/* ---- options --------------------------------------------------------------------------------- */

static void options_are_checked(void **state)
{
    static const struct fg_pair_epoch falling[] = {{2, 1}, {1, 5}}, beyond[] = {{1, 11}};
    struct fg_pair_options good = {.timing = fg_pair_timing_usual, .log = {LOG, 1, 10, 8, NULL, 0}};
    struct fg_pair_options o;
    struct fg_error err;

#define BAD(change)                                                                                \
    o = good;                                                                                      \
    change;                                                                                        \
    assert_null(fg_pair_create(&o, &err))
    BAD(o.node = 2);
    BAD(o.log.first = 12);
    BAD(o.log.committed = 11);
    BAD(o.log.id = 0);
    BAD(o.timing.suspect_ms = 50);
    BAD(o.timing.retry_ms = 0);
    BAD(o.log.epochs = falling; o.log.epochs_len = 2);
    BAD(o.log.epochs = beyond; o.log.epochs_len = 1);
#undef BAD
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row),
        cmocka_unit_test(no_other_rows),
        cmocka_unit_test(a_lost_link_waits_for_the_cut),
        cmocka_unit_test(nothing_committed_is_cut),
        cmocka_unit_test(a_leader_whose_log_begins_too_late_fills_its_follower),
        cmocka_unit_test(an_old_leader_is_not_followed),
        cmocka_unit_test(watermarks),
        cmocka_unit_test(an_acknowledgement_is_of_one_link),
        cmocka_unit_test(what_else_comes_is_a_sign_of_life),
        cmocka_unit_test(a_follower_knows_what_is_committed),
        cmocka_unit_test(unknown_outcomes_are_swapped_anew),
        cmocka_unit_test(a_leader_learns_that_it_is_deposed),
        cmocka_unit_test(validity),
        cmocka_unit_test(a_register_from_a_copy_freezes),
        cmocka_unit_test(a_standby_that_was_dropped_waits_longer),
        cmocka_unit_test(a_restarted_leader_lets_its_standby_go_first),
        cmocka_unit_test(nobody_takes_over_from_solo),
        cmocka_unit_test(options_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
