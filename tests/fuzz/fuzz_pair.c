/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A node of a pair whose peer and arbiter say anything. Input: a list of steps, each a kind, a
 * length and bytes. Messages get the magic, size and CRC that a mutator cannot guess; everything in
 * them is the input's. So do the notices beside them, which come by the stream of both, cut where
 * the input says. No input may stop the node, and what it tells of itself holds together.
 */
#include "fuzz.h"
#include "pair/pair.h"
#include "replication/notice.h"

enum { STEPS_MAX = 200, LOG = 7 };

enum {
    MESSAGE,
    RAW,
    ANSWER,
    TEXT,
    TIME,
    CONNECT,
    CLOSE,
    DURABLE,
    CUT,
    APPEND,
    OPERATOR,
    NOTICE,
    STREAM,
    KINDS
};

static struct {
    struct fg_pair *p;
    uint64_t now_ms, last, durable, committed, tickets[FG_PAIR_CALLS];
    uint64_t cut;
    uint32_t link, next_link;
    bool cutting, begin, leads, ended, seal, fill;
} node;

static _Alignas(8) uint8_t inbox_bytes[FG_REPLICATION_INBOX_SIZE];
static struct fg_replication_inbox inbox = {.bytes = inbox_bytes};

static const uint8_t types[] = {FG_PAIR_TYPE_HELLO, FG_PAIR_TYPE_FOLLOW,    FG_PAIR_TYPE_RECORDS,
                                FG_PAIR_TYPE_ACK,   FG_PAIR_TYPE_HEARTBEAT, FG_PAIR_TYPE_ECHO,
                                FG_PAIR_TYPE_TAKE};

/* What the outputs ask of the log is possible. */
static void output(const struct fg_pair_output *o)
{
    FG_FUZZ_CHECK(!node.ended);
    switch (o->kind) {
    case FG_PAIR_SEND:
        FG_FUZZ_CHECK(o->link == node.link && o->size >= FG_PAIR_HEADER_SIZE);
        FG_FUZZ_CHECK(o->count == 0 || (o->first > 0 && o->first + o->count - 1 <= node.last));
        break;
    case FG_PAIR_CLOSE:
        node.link = 0;
        break;
    case FG_PAIR_READ:
    case FG_PAIR_SWAP:
        FG_FUZZ_CHECK(o->lane < FG_PAIR_CALLS && node.tickets[o->lane] == 0);
        node.tickets[o->lane] = o->ticket;
        break;
    case FG_PAIR_REMEMBER:
        break;
    case FG_PAIR_APPEND:
        FG_FUZZ_CHECK(o->first == node.last + 1 && o->count > 0 && !node.leads);
        node.last += o->count;
        break;
    case FG_PAIR_CUT:
        FG_FUZZ_CHECK(o->first <= node.last && o->first >= node.committed && o->log);
        node.cutting = true;
        node.cut = o->first;
        break;
    case FG_PAIR_LEAD:
        node.leads = node.begin = true;
        break;
    case FG_PAIR_SEAL:
        node.seal = true;
        break;
    case FG_PAIR_FILL:
        node.fill = true;
        break;
    case FG_PAIR_END:
        node.ended = true;
        break;
    }
}

static void drain(void)
{
    struct fg_pair_output o;
    struct fg_pair_view view;

    while (fg_pair_next(node.p, &o))
        output(&o);
    fg_pair_view(node.p, &view);
    FG_FUZZ_CHECK(view.state < FG_PAIR_STATES && view.reason < FG_PAIR_REASONS);
    FG_FUZZ_CHECK(view.committed >= node.committed && view.committed <= view.durable);
    FG_FUZZ_CHECK(view.last == node.last || node.begin);
    FG_FUZZ_CHECK(!view.accepting || (node.leads && !node.ended));
    node.committed = view.committed;
    (void)fg_pair_due_ms(node.p);
}

/* The link before is closed by the node, and its outputs come first. */
static void connected(void)
{
    struct fg_pair_output o;
    bool closed = node.link == 0;

    while (fg_pair_next(node.p, &o)) {
        if (o.kind == FG_PAIR_SEND && o.link == node.next_link && closed)
            node.link = node.next_link;
        output(&o);
        closed |= o.kind == FG_PAIR_CLOSE;
    }
    drain();
}

static void put32(uint8_t *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++, value >>= 8)
        at[i] = (uint8_t)value;
}

/* Header and words of a message whose fields are `data`, small numbers first. */
static void message(const uint8_t *data, size_t size)
{
    struct fg_pair_message m = {.type = types[size ? data[0] % sizeof(types) : 0]};
    static uint8_t bytes[FG_PAIR_MESSAGE_MAX];
    size_t at = 1, head, entry = m.type == FG_PAIR_TYPE_HELLO ? 16 : 64;
    struct fg_pair_message got;
    uint8_t *copy;

    m.epoch = size > at ? data[at++] : 0;
    for (unsigned i = 0; i < FG_PAIR_WORDS_MAX && at < size; i++) {
        m.word[i] = data[at++];
        if (m.word[i] > 250 && at < size) /* a large one */
            m.word[i] = UINT64_MAX - data[at++];
    }
    at = at < size ? at : size;
    if (m.type == FG_PAIR_TYPE_HELLO || m.type == FG_PAIR_TYPE_RECORDS)
        m.count = (uint32_t)((size - at) / entry);
    if (m.type == FG_PAIR_TYPE_RECORDS && m.count == 0 && size > at)
        m.count = data[at] % 5;
    memset(bytes, 0, sizeof(bytes));
    head = fg_pair_message_write(&m, bytes);
    for (size_t i = 0; i < m.count * entry && at + i < size; i++)
        bytes[head + i] = data[at + i];
    if (m.type == FG_PAIR_TYPE_HELLO) /* the high bytes of numbers are zero */
        for (size_t i = 0; i < m.count * entry; i++)
            if (i % 8 > 1)
                bytes[head + i] = 0;
    copy = fuzz_copy(bytes, head + m.count * entry);
    FG_FUZZ_CHECK(fg_pair_message_read(&got, copy, head + m.count * entry, NULL));
    FG_FUZZ_CHECK(got.type == m.type && got.count == m.count);
    fg_pair_receive(node.p, node.link, copy, head + m.count * entry);
    drain();
    free(copy);
}

static void raw(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size);
    struct fg_pair_message m;

    if (size >= FG_PAIR_HEADER_SIZE && fg_pair_message_size(copy) == size) {
        put32(copy + 12, 0);
        put32(copy + 12, fg_crc32c(copy, size < FG_PAIR_HEAD_MAX ? size : FG_PAIR_HEAD_MAX));
    }
    if (fg_pair_message_read(&m, copy, size, NULL))
        FG_FUZZ_CHECK(m.tail <= copy + size && fg_pair_message_size(copy) == size);
    fg_pair_receive(node.p, node.link, copy, size);
    drain();
    free(copy);
}

/* ---- the stream of messages and notices ------------------------------------------------------ */

/* What was read is what is written again; of names, up to their end. */
static void check_notice(const struct fg_replication_notice *n, const uint8_t *bytes, size_t size)
{
    uint8_t again[FG_REPLICATION_NOTICE_MAX];
    size_t written = fg_replication_notice_write(n, again);
    struct fg_replication_notice got;

    if (n->type == FG_REPLICATION_NOTICE_PIECE) {
        FG_FUZZ_CHECK(written == FG_REPLICATION_PIECE_HEAD && n->tail + n->bytes <= bytes + size);
        FG_FUZZ_CHECK(memcmp(again, bytes, written) == 0);
        return;
    }
    FG_FUZZ_CHECK(written == size && fg_replication_notice_read(&got, again, written));
    if (n->type == FG_REPLICATION_NOTICE_TERMS)
        FG_FUZZ_CHECK(got.terms.limits_len == n->terms.limits_len);
    else
        FG_FUZZ_CHECK(memcmp(again, bytes, size) == 0);
}

static void take_notice(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = fuzz_copy(bytes, size);
    struct fg_replication_notice n;

    if (fg_replication_notice_read(&n, copy, size))
        check_notice(&n, copy, size);
    free(copy);
}

static void take_stream(void)
{
    enum fg_replication_found found;
    const uint8_t *bytes;
    size_t size;

    while ((found = fg_replication_inbox_first(&inbox, &bytes, &size)) != FG_REPLICATION_NOTHING) {
        if (found == FG_REPLICATION_GARBAGE) { /* the link would end */
            inbox.from = inbox.to = 0;
            return;
        }
        if (found == FG_REPLICATION_NOTICE)
            take_notice(bytes, size);
        else
            raw(bytes, size);
        fg_replication_inbox_drop(&inbox, size);
    }
}

static void stream(const uint8_t *data, size_t size)
{
    while (size) {
        size_t room, n;
        uint8_t *to = fg_replication_inbox_room(&inbox, &room);

        n = room < size ? room : size;
        FG_FUZZ_CHECK(n);
        memcpy(to, data, n);
        fg_replication_inbox_came(&inbox, n);
        data += n;
        size -= n;
        take_stream();
    }
}

/* A type and words: a whole notice, in two parts. */
static void notice(const uint8_t *data, size_t size)
{
    uint8_t bytes[FG_REPLICATION_NOTICE_HEADER + UINT8_MAX] = {'F', 'G', 'P', 'L', 1};
    size_t all = FG_REPLICATION_NOTICE_HEADER + size - 1, covered = all;

    if (size < 2)
        return;
    bytes[5] = data[0] % 6;
    put32(bytes + 8, (uint32_t)all);
    memcpy(bytes + FG_REPLICATION_NOTICE_HEADER, data + 1, size - 1);
    if (bytes[5] == FG_REPLICATION_NOTICE_PIECE && all > FG_REPLICATION_PIECE_HEAD)
        covered = FG_REPLICATION_PIECE_HEAD;
    put32(bytes + 12, fg_crc32c(bytes, covered));
    take_notice(bytes, all);
    stream(bytes, data[1] % all);
    stream(bytes + data[1] % all, all - data[1] % all);
}

/* ---- the arbiter, the disk and the operator -------------------------------------------------- */

static void answer(unsigned lane, unsigned outcome, int64_t revision, const char *text)
{
    uint64_t ticket = node.tickets[lane];

    if (!ticket)
        return;
    node.tickets[lane] = 0;
    fg_pair_answered(node.p, ticket, (enum fg_pair_outcome)(outcome % 4), revision, text);
    drain();
}

/* A register with sound shape. */
static void answer_value(const uint8_t *data, size_t size)
{
    struct fg_pair_register r = {.log = LOG};
    char text[FG_PAIR_TEXT_MAX];

    if (size < 7)
        return;
    r.leader = data[2] & 1;
    r.sync = data[2] & 2;
    r.epoch = data[3];
    r.floor = (struct fg_pair_floor){data[4], data[5]};
    r.log += data[6] == 255;
    if (data[2] & 4)
        fg_pair_floor_write(&r.floor, r.log, text);
    else
        fg_pair_register_write(&r, text);
    answer(data[0] & 1, data[0] >> 1, data[1], text);
}

static void answer_text(const uint8_t *data, size_t size)
{
    char text[FG_PAIR_TEXT_MAX];
    struct fg_pair_register r;
    struct fg_pair_floor f;
    uint64_t log;

    size = size < sizeof(text) - 1 ? size : sizeof(text) - 1;
    memcpy(text, data, size);
    text[size] = 0;
    if (fg_pair_register_read(&r, text))
        FG_FUZZ_CHECK(r.leader <= 1 && r.log);
    (void)fg_pair_floor_read(&f, &log, text);
    answer(0, FG_PAIR_DONE, 200, text);
}

static void journal(unsigned kind, unsigned n)
{
    if (kind == CUT && node.fill) {
        node.fill = false;
        fg_pair_filled(node.p, n & 1);
    } else if (kind == CUT && node.cutting) {
        node.cutting = false;
        node.last = node.durable = node.cut;
        fg_pair_cut(node.p, node.last);
    } else if (kind == DURABLE && node.durable < node.last) {
        node.durable += 1 + n % (node.last - node.durable);
        fg_pair_durable(node.p, node.durable);
    } else if (kind == APPEND && node.begin) {
        node.begin = false;
        fg_pair_began(node.p, node.last + 1);
        if (!node.ended) {
            node.last += 2;
            fg_pair_appended(node.p, node.last);
        }
    } else if (kind == APPEND && node.leads && !node.ended) {
        node.last += 1 + n % 3000;
        fg_pair_appended(node.p, node.last);
        if (node.seal)
            fg_pair_sealed(node.p, node.last);
        node.seal = false;
    }
    drain();
}

static void operate(unsigned n)
{
    if (n % 5 == 0)
        fg_pair_switch(node.p);
    else if (n % 5 == 1)
        fg_pair_alone(node.p, n & 1);
    else if (n % 5 == 2)
        fg_pair_force(node.p);
    else if (n % 5 == 3)
        (void)fg_pair_probe(node.p);
    else if (n == 254)
        fg_pair_disk_failed(node.p);
    drain();
}

static void step(unsigned kind, const uint8_t *data, size_t size)
{
    unsigned n = size ? data[0] : 0;

    switch (kind % KINDS) {
    case MESSAGE:
        message(data, size);
        break;
    case RAW:
        raw(data, size);
        break;
    case ANSWER:
        answer_value(data, size);
        break;
    case TEXT:
        answer_text(data, size);
        break;
    case TIME:
        node.now_ms += n;
        fg_pair_time(node.p, node.now_ms, node.now_ms);
        drain();
        break;
    case CONNECT:
        if (node.ended)
            break;
        node.next_link++;
        fg_pair_connected(node.p, node.next_link);
        connected();
        break;
    case CLOSE:
        fg_pair_closed(node.p, node.link);
        node.link = 0;
        drain();
        break;
    case OPERATOR:
        operate(n);
        break;
    case NOTICE:
        notice(data, size);
        break;
    case STREAM:
        stream(data, size);
        break;
    default:
        journal(kind % KINDS, n);
    }
}

static void begin(unsigned n)
{
    static const struct fg_pair_epoch epochs[] = {{1, 1}, {3, 8}};
    struct fg_pair_options o = {.node = n & 1, .timing = fg_pair_timing_usual, .seed = {n, 1}};

    if (n & 2)
        o.log = (struct fg_pair_log){LOG, 1, 12, n & 4 ? 12 : 9, epochs, 2};
    else
        o.log.first = 1;
    memset(&node, 0, sizeof(node));
    inbox.from = inbox.to = 0;
    node.p = fg_pair_create(&o, NULL);
    FG_FUZZ_CHECK(node.p);
    node.last = node.durable = o.log.last;
    node.committed = o.log.committed;
    node.now_ms = 1000;
    fg_pair_time(node.p, node.now_ms, node.now_ms);
    drain();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t at = 1;

    if (size < 1 || size > 8192)
        return 0;
    begin(data[0]);
    for (unsigned i = 0; i < STEPS_MAX && at + 2 <= size; i++) {
        unsigned kind = data[at];
        size_t len = data[at + 1];

        at += 2;
        len = len < size - at ? len : size - at;
        step(kind, data + at, len);
        at += len;
    }
    fg_pair_destroy(node.p);
    return 0;
}
