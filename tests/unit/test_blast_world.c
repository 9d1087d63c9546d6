/* SPDX-License-Identifier: BSD-3-Clause */
/* The load generator's shoppers against a shop that the test plays: an honest one, and one that
 * lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tools/fgblast/pick.h"
#include "tools/fgblast/world.h"

#define MS    1000000ull
#define START (1700000000000ull * MS)
#define HOLD  (50 * MS)
#define MANY  4096u

#define BASE                                                                                       \
    "fgblast", "--pcap", "x", "--keys", "k", "--server", "198.18.0.1", "--source-base", "198.18.1.0"

static enum fg_options_result parse(struct fg_blast_options *o, struct fg_error *err, char **argv)
{
    int argc = 0;

    while (argv[argc])
        argc++;
    return fg_options_parse(o, argc, argv, err);
}

/* ---- a shop ---------------------------------------------------------------------------------- */

struct deal { /* one order as the shop knows it */
    uint8_t id[16];
    uint64_t user, deadline_ns;
    uint16_t quantity;
    uint8_t status; /* 0: free slot */
};

struct shop {
    struct fg_blast_options options;
    struct fg_packet_keyring *ring;
    struct fg_world *world;
    struct deal deals[MANY];
    uint32_t free, sold, answered;
    uint64_t now_ns, seed;
    double lose, lose_reply; /* share of packets */
    unsigned seen[FG_KIND_COUNT];
};

static void make_shop(struct shop *s, uint32_t units, char **more)
{
    char *argv[64] = {BASE, "--items", "7", "--timeout-ms", "5", "--nonce", "77"};
    unsigned argc = 0;
    struct fg_error err;

    memset(s, 0, sizeof(*s));
    while (argv[argc])
        argc++;
    while (*more)
        argv[argc++] = *more++;
    s->ring = calloc(1, sizeof(*s->ring));
    s->ring->count = 2;
    s->ring->keys[0] =
        (struct fg_packet_key){.id = 1, .roles = FG_PACKET_ROLE_SHOP, .secret = {1, 2}};
    s->ring->keys[1] =
        (struct fg_packet_key){.id = 2, .roles = FG_PACKET_ROLE_BACKEND, .secret = {3, 4}};
    s->ring->slot[1] = 1;
    s->ring->slot[2] = 2;
    if (parse(&s->options, &err, argv) != FG_OPTIONS_RUN)
        fail_msg("%s", err.text);
    s->now_ns = START;
    s->seed = 5;
    s->free = units;
    s->world = fg_world_create(&s->options, s->ring, s->now_ns, &err);
    if (!s->world)
        fail_msg("%s", err.text);
}

static void drop_shop(struct shop *s)
{
    fg_world_destroy(s->world);
    fg_options_free(&s->options);
    free(s->ring);
}

static struct deal *find_deal(struct shop *s, const struct fg_packet_request *q)
{
    uint32_t at = (uint32_t)fg_mix64(q->user, q->order_id[8] + q->order_id[9] * 256u);

    for (;; at++) {
        struct deal *d = &s->deals[at % MANY];

        if (!d->status || (d->user == q->user && !memcmp(d->id, q->order_id, 16)))
            return d;
    }
}

static void expire(struct shop *s)
{
    for (unsigned i = 0; i < MANY; i++)
        if (s->deals[i].status == FG_PACKET_STATUS_RESERVED &&
            s->deals[i].deadline_ns <= s->now_ns) {
            s->deals[i].status = FG_PACKET_STATUS_EXPIRED;
            s->free += s->deals[i].quantity;
        }
}

static void decide(struct shop *s, const struct fg_packet_request *q, struct deal *d,
                   struct fg_packet_reply *r)
{
    if (!d->status && q->op == FG_PACKET_OP_RESERVE && q->quantity <= s->free) {
        *d = (struct deal){
            .user = q->user, .quantity = q->quantity, .status = FG_PACKET_STATUS_RESERVED};
        memcpy(d->id, q->order_id, 16);
        d->deadline_ns = s->now_ns + HOLD;
        s->free -= q->quantity;
    } else if (d->status == FG_PACKET_STATUS_RESERVED && q->op == FG_PACKET_OP_CONFIRM) {
        d->status = FG_PACKET_STATUS_SOLD;
        s->sold += d->quantity;
    } else if (d->status == FG_PACKET_STATUS_RESERVED && q->op == FG_PACKET_OP_CANCEL) {
        d->status = FG_PACKET_STATUS_CANCELLED;
        s->free += d->quantity;
    }
    r->item = 7;
    if (d->status) {
        r->status = d->status;
        r->quantity = d->quantity;
        r->deadline_ms = d->status == FG_PACKET_STATUS_RESERVED ? d->deadline_ns / MS : 0;
        r->left = s->free;
    } else {
        r->status = q->op != FG_PACKET_OP_RESERVE ? FG_PACKET_STATUS_UNKNOWN_ORDER
                    : s->free                     ? FG_PACKET_STATUS_INSUFFICIENT
                                                  : FG_PACKET_STATUS_SOLD_OUT;
        r->left = s->free;
    }
}

/* The shop's answer to a packet, sealed; false when it gives none. */
static bool answer(struct shop *s, const struct fg_send *send, struct fg_packet_reply *r)
{
    const struct fg_packet_key *key;
    struct fg_packet_request q;

    s->seen[send->kind]++;
    if (send->kind == FG_KIND_BLOCKED || send->shape >= FG_SHAPE_SHORT ||
        fg_packet_request_check(send->payload, s->ring, &key) != FG_PACKET_DROP_NONE)
        return false;
    memcpy(&q, send->payload, sizeof(q));
    *r = (struct fg_packet_reply){
        .op = q.op | FG_PACKET_REPLY, .key_id = q.key_id, .cookie = q.cookie};
    memcpy(r->order_id, q.order_id, 16);
    if (q.op == FG_PACKET_OP_STOCK)
        r->status = FG_PACKET_STATUS_ON_SALE;
    else
        decide(s, &q, find_deal(s, &q), r);
    fg_packet_reply_seal(r, key);
    return true;
}

static bool lost(struct shop *s, double share)
{
    return fg_happens(&s->seed, fg_share_bar(share));
}

/* Runs to the end of the world, or for a number of rounds of 0.1 ms. */
static void run(struct shop *s, unsigned rounds)
{
    struct fg_send sends[32];

    for (; rounds && !fg_world_done(s->world, s->now_ns); rounds--) {
        unsigned n = fg_world_next(s->world, s->now_ns, sends, 32);

        for (unsigned i = 0; i < n; i++) {
            struct fg_packet_reply r;

            if (lost(s, s->lose) || !answer(s, &sends[i], &r) || lost(s, s->lose_reply))
                continue;
            s->answered++;
            fg_world_reply(s->world, s->now_ns + 20000, &r, &sends[i].source, sends[i].port);
        }
        s->now_ns += MS / 10;
        expire(s);
    }
}

static void expect_honest(const struct shop *s)
{
    if (fg_world_stats(s->world)->contradictions)
        fail_msg("%s", fg_world_example(s->world, 0));
}

/* ---- the world against an honest shop -------------------------------------------------------- */

static void test_sells_everything(void **state)
{
    static struct shop s;
    const struct fg_world_stats *stats;

    make_shop(&s, 100,
              (char *[]){"--shoppers", "500", "--orders", "1000", "--confirm", "0.6", "--cancel",
                         "0.2", "--again-ms", "20", "--duplicates", "0.1", "--replays", "0.1",
                         NULL});
    run(&s, 1000000);
    stats = fg_world_stats(s.world);
    expect_honest(&s);
    assert_true(fg_world_done(s.world, s.now_ns));
    assert_int_equal(fg_world_active(s.world), 0);
    assert_int_equal(fg_world_waiting(s.world), 0);
    assert_int_equal(s.sold, 100); /* what was cancelled or expired was sold to others */
    assert_int_equal(s.free, 0);
    assert_int_equal(stats->sold, 100);
    assert_int_equal(stats->orders, 1000);
    assert_int_equal(fg_world_item(s.world, 0)->sold, 100);
    assert_true(fg_world_item(s.world, 0)->wanting > 0);
    assert_true(stats->sent[FG_KIND_DUPLICATE] > 0 && stats->sent[FG_KIND_REPLAY] > 0);
    assert_true(stats->accepted.count > 100 && stats->rejected.count > 0);
    assert_int_equal(fg_hist_quantile(&stats->accepted, 0.5), 20000);
    drop_shop(&s);
}

static void test_losses(void **state)
{
    static struct shop s;

    make_shop(&s, 200,
              (char *[]){"--shoppers", "300", "--orders", "2000", "--confirm", "0.8", "--again-ms",
                         "10", "--quantity", "1-3", "--again", "0.5", "--late", "1", NULL});
    s.lose = 0.1;
    s.lose_reply = 0.1;
    run(&s, 1000000);
    expect_honest(&s);
    assert_true(fg_world_done(s.world, s.now_ns));
    assert_true(fg_world_stats(s.world)->sent[FG_KIND_RETRY] > 0);
    assert_int_equal(fg_world_stats(s.world)->gave_up, 0); /* 8 retries against 19 % loss */
    assert_true(fg_world_stats(s.world)->status[FG_PACKET_STATUS_EXPIRED] > 0);
    assert_int_equal(fg_world_stats(s.world)->sold + 0u,
                     fg_world_stats(s.world)->status[FG_PACKET_STATUS_SOLD]);
    drop_shop(&s);
}

static void test_noise(void **state)
{
    static struct shop s;
    const struct fg_world_stats *stats;

    make_shop(&s, 10,
              (char *[]){"--shoppers", "50", "--packets", "20000", "--forged", "0.2", "--malformed",
                         "0.2", "--blocked-sources", "198.18.9.0/28", "--blocked-rate", "50000",
                         "--overrate-sources", "198.18.10.0-198.18.10.9", "--overrate-rate",
                         "50000", NULL});
    run(&s, 1000000);
    expect_honest(&s);
    stats = fg_world_stats(s.world);
    for (int kind = FG_KIND_FORGED; kind < FG_KIND_COUNT; kind++) {
        assert_true(s.seen[kind] > 100);
        assert_int_equal(s.seen[kind], stats->sent[kind]);
    }
    assert_int_equal(stats->overrate_answers, stats->sent[FG_KIND_OVERRATE]);
    assert_in_range(stats->packets, 20000, 20200);
    drop_shop(&s);
}

static void test_rate_and_window(void **state)
{
    static struct shop s;
    struct fg_send sends[32];
    unsigned n = 0;

    make_shop(&s, 10, (char *[]){"--shoppers", "5000", "--seconds", "1", "--rate", "3000", NULL});
    run(&s, 5000); /* half a second */
    assert_in_range(fg_world_stats(s.world)->packets, 1490, 1510);
    drop_shop(&s);

    make_shop(&s, 10, (char *[]){"--shoppers", "5000", "--seconds", "1", "--window", "100", NULL});
    for (int i = 0; i < 100; i++)
        n += fg_world_next(s.world, s.now_ns, sends, 32);
    assert_int_equal(n, 100);
    assert_int_equal(fg_world_waiting(s.world), 100);
    drop_shop(&s);
}

static void test_enough(void **state)
{
    static struct shop s;
    uint64_t orders;

    make_shop(&s, 1000,
              (char *[]){"--shoppers", "500", "--seconds", "60", "--rate", "4000", "--confirm", "1",
                         "--confirm-delay-ms", "30", NULL});
    run(&s, 500); /* 50 ms */
    orders = fg_world_stats(s.world)->orders;
    assert_true(orders > 100 && fg_world_active(s.world) > 0);
    fg_world_enough(s.world);
    run(&s, 10000); /* a second */
    assert_true(fg_world_done(s.world, s.now_ns));
    assert_int_equal(fg_world_stats(s.world)->orders, orders);
    assert_int_equal(fg_world_active(s.world), 0);
    drop_shop(&s);
}

/* The shop is gone: every shopper gives up after the retries, with doubled waits. */
static void test_silence(void **state)
{
    static struct shop s;

    make_shop(&s, 10, (char *[]){"--shoppers", "20", "--orders", "20", "--retries", "3", NULL});
    s.lose = 1;
    run(&s, 1000000);
    assert_int_equal(fg_world_stats(s.world)->gave_up, 20);
    assert_int_equal(fg_world_stats(s.world)->sent[FG_KIND_RETRY], 60);
    assert_true(s.now_ns - START >= (5 + 10 + 20 + 40) * MS);
    assert_true(s.now_ns - START <= (5 + 10 + 20 + 40) * MS * 5 / 4 + 10 * MS);
    drop_shop(&s);
}

/* A pair: the first box dies in mid-sale, the other one says for a while that it does not lead. */
static void test_pair(void **state)
{
    static struct shop s;
    struct fg_send sends[32];
    unsigned refused = 0, dead = 0;

    make_shop(&s, 400,
              (char *[]){"--standby", "198.18.0.2", "--standby-mac", "02:00:00:00:00:02",
                         "--shoppers", "50", "--orders", "1000", "--retries", "200", NULL});
    run(&s, 20);
    for (; !fg_world_done(s.world, s.now_ns); s.now_ns += MS / 10) {
        unsigned n = fg_world_next(s.world, s.now_ns, sends, 32);

        for (unsigned i = 0; i < n; i++) {
            bool leads = s.now_ns > START + 700 * MS;
            struct fg_packet_reply r;

            dead += !sends[i].standby;
            if (!sends[i].standby || !answer(&s, &sends[i], &r))
                continue;
            if (!leads) { /* what `answer` decided is told later: by then it was decided before */
                r.status = FG_PACKET_STATUS_NOT_LEADER;
                r.quantity = 0;
                r.deadline_ms = 0;
                fg_packet_reply_seal(&r, &s.ring->keys[r.key_id - 1]);
                refused++;
            }
            fg_world_reply(s.world, s.now_ns + 20000, &r, &sends[i].source, sends[i].port);
        }
        expire(&s);
    }
    expect_honest(&s);
    assert_int_equal(s.sold, 400);
    assert_true(dead > 50 && refused > 10); /* both boxes were asked while none answered */
    assert_int_equal(fg_world_stats(s.world)->gave_up, 0);
    drop_shop(&s);
}

/* ---- and against one that lies --------------------------------------------------------------- */

/* One order of one shopper, told RESERVED; *send is the request, *r the reply. */
static void one_order(struct shop *s, struct fg_send *send, struct fg_packet_reply *r)
{
    make_shop(s, 5,
              (char *[]){"--shoppers", "1", "--orders", "9", "--confirm", "0", "--again-ms", "10",
                         "--quantity", "2", NULL});
    assert_int_equal(fg_world_next(s->world, s->now_ns, send, 1), 1);
    assert_true(answer(s, send, r));
    assert_int_equal(r->status, FG_PACKET_STATUS_RESERVED);
}

static void reply(struct shop *s, const struct fg_send *send, struct fg_packet_reply *r)
{
    fg_packet_reply_seal(r, &s->ring->keys[r->key_id - 1]);
    fg_world_reply(s->world, s->now_ns, r, &send->source, send->port);
}

static void expect_wrong(struct shop *s, enum fg_wrong what)
{
    for (int i = 0; i < FG_WRONG_COUNT; i++)
        if (fg_world_stats(s->world)->wrong[i] != (i == (int)what))
            fail_msg("expected %s, found %llu of %s", fg_wrong_name(what),
                     (unsigned long long)fg_world_stats(s->world)->wrong[i],
                     fg_wrong_name((unsigned)i));
    assert_int_equal(fg_world_stats(s->world)->contradictions, 1);
    assert_non_null(fg_world_example(s->world, 0));
    assert_null(fg_world_example(s->world, 1));
    drop_shop(s);
}

static void lie_tag(struct shop *s, struct fg_send *send, struct fg_packet_reply *r)
{
    r->left ^= 1; /* after sealing */
    fg_world_reply(s->world, s->now_ns, r, &send->source, send->port);
}

static void lie_key(struct shop *s, struct fg_send *send, struct fg_packet_reply *r)
{
    r->key_id = 2;
    reply(s, send, r);
}

static void lie_order(struct shop *s, struct fg_send *send, struct fg_packet_reply *r)
{
    r->order_id[8]++;
    reply(s, send, r);
}

static void lie_address(struct shop *s, struct fg_send *send, struct fg_packet_reply *r)
{
    send->source.bytes[3]++;
    reply(s, send, r);
}

static void lie_port(struct shop *s, struct fg_send *send, struct fg_packet_reply *r)
{
    send->port++;
    reply(s, send, r);
}

static void lie_cookie(struct shop *s, struct fg_send *send, struct fg_packet_reply *r)
{
    r->cookie++;
    reply(s, send, r);
}

static void lie_status(struct shop *s, struct fg_send *send, struct fg_packet_reply *r)
{
    r->status = FG_PACKET_STATUS_UNKNOWN_ORDER; /* RESERVE cannot have it */
    r->quantity = 0;
    r->deadline_ms = 0;
    reply(s, send, r);
}

static void lie_operation(struct shop *s, struct fg_send *send, struct fg_packet_reply *r)
{
    r->op = FG_PACKET_OP_STOCK | FG_PACKET_REPLY;
    reply(s, send, r);
}

static void lie_item(struct shop *s, struct fg_send *send, struct fg_packet_reply *r)
{
    r->item = 8;
    reply(s, send, r);
}

static void lie_quantity(struct shop *s, struct fg_send *send, struct fg_packet_reply *r)
{
    r->quantity = 1;
    reply(s, send, r);
}

static void lie_deadline(struct shop *s, struct fg_send *send, struct fg_packet_reply *r)
{
    r->deadline_ms = 0;
    reply(s, send, r);
}

static void lie_left(struct shop *s, struct fg_send *send, struct fg_packet_reply *r)
{
    *r = (struct fg_packet_reply){.op = r->op,
                                  .key_id = 1,
                                  .item = 7,
                                  .cookie = r->cookie,
                                  .left = 2,
                                  .status = FG_PACKET_STATUS_INSUFFICIENT}; /* two were asked for */
    memcpy(r->order_id, ((struct fg_packet_request *)(void *)send->payload)->order_id, 16);
    reply(s, send, r);
}

static void lie_sold(struct shop *s, struct fg_send *send, struct fg_packet_reply *r)
{
    r->status = FG_PACKET_STATUS_SOLD;
    r->deadline_ms = 0;
    reply(s, send, r);
}

static void lie_conflict(struct shop *s, struct fg_send *send, struct fg_packet_reply *r)
{
    r->status = FG_PACKET_STATUS_CONFLICT;
    r->quantity = 0;
    r->deadline_ms = 0;
    reply(s, send, r);
}

static void test_lies(void **state)
{
    static const struct {
        void (*lie)(struct shop *s, struct fg_send *send, struct fg_packet_reply *r);
        enum fg_wrong found;
    } lies[] = {
        {lie_tag, FG_WRONG_TAG},         {lie_key, FG_WRONG_FIELDS},
        {lie_order, FG_WRONG_ORDER},     {lie_address, FG_WRONG_ADDRESS},
        {lie_port, FG_WRONG_ADDRESS},    {lie_cookie, FG_WRONG_COOKIE},
        {lie_status, FG_WRONG_STATUS},   {lie_operation, FG_WRONG_STATUS},
        {lie_item, FG_WRONG_FIELDS},     {lie_quantity, FG_WRONG_FIELDS},
        {lie_deadline, FG_WRONG_FIELDS}, {lie_left, FG_WRONG_FIELDS},
        {lie_sold, FG_WRONG_UNASKED},    {lie_conflict, FG_WRONG_STATUS},
    };
    static struct shop s;

    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct fg_send send;
        struct fg_packet_reply r;

        one_order(&s, &send, &r);
        lies[i].lie(&s, &send, &r);
        expect_wrong(&s, lies[i].found);
    }
}

/* Answers to packets that get none. */
static void test_lies_to_noise(void **state)
{
    static struct shop s;
    struct fg_send sends[256];
    bool seen[FG_KIND_COUNT] = {0};
    unsigned n = 0, lied = 0;

    make_shop(&s, 5,
              (char *[]){"--shoppers", "64", "--orders", "64", "--forged", "1", "--malformed", "1",
                         "--blocked-sources", "198.18.9.9", NULL});
    s.now_ns += 10 * MS;
    for (unsigned more; (more = fg_world_next(s.world, s.now_ns, sends + n, 256 - n));)
        n += more;
    for (unsigned i = 0; i < n; i++) {
        struct fg_packet_request q;
        struct fg_packet_reply r;

        if (sends[i].kind < FG_KIND_FORGED || seen[sends[i].kind])
            continue;
        seen[sends[i].kind] = true;
        memcpy(&q, sends[i].payload, sizeof(q));
        r = (struct fg_packet_reply){
            .op = q.op | FG_PACKET_REPLY, .key_id = 1, .status = FG_PACKET_STATUS_BUSY};
        memcpy(r.order_id, q.order_id, 16);
        reply(&s, &sends[i], &r);
        lied++;
    }
    assert_int_equal(lied, 3);
    assert_int_equal(fg_world_stats(s.world)->wrong[FG_WRONG_FORGED], 1);
    assert_int_equal(fg_world_stats(s.world)->wrong[FG_WRONG_MALFORMED], 1);
    assert_int_equal(fg_world_stats(s.world)->wrong[FG_WRONG_BLOCKED], 1);
    drop_shop(&s);
}

/* Sold out, told to a retry that was sent after RESERVED was told: a lie. To one sent before: a
 * late answer.
 */
static void test_story(void **state)
{
    static struct shop s;
    struct fg_packet_reply r, again;
    struct fg_send sends[2];

    for (int late = 0; late < 2; late++) {
        make_shop(&s, 5, (char *[]){"--shoppers", "1", "--orders", "1", "--confirm", "1", NULL});
        assert_int_equal(fg_world_next(s.world, s.now_ns, sends, 1), 1);
        assert_true(answer(&s, &sends[0], &r));
        s.now_ns += 10 * MS; /* no answer yet: the same order is asked for again */
        assert_int_equal(fg_world_next(s.world, s.now_ns, sends + 1, 1), 1);
        assert_int_equal(sends[1].kind, FG_KIND_RETRY);
        again = r;
        memcpy(&again.cookie, sends[1].payload + 52, 4);
        reply(&s, &sends[0], &r);
        if (!late) { /* the payment is sent after RESERVED was told, and there is no other end than
                        SOLD */
            s.now_ns += 5 * MS;
            assert_int_equal(fg_world_next(s.world, s.now_ns, sends + 1, 1), 1);
            assert_int_equal(sends[1].kind, FG_KIND_CONFIRM);
            memcpy(&again.cookie, sends[1].payload + 52, 4);
        }
        again.status = FG_PACKET_STATUS_SOLD_OUT;
        again.quantity = 0;
        again.deadline_ms = again.left = 0;
        reply(&s, &sends[1], &again);
        assert_int_equal(fg_world_stats(s.world)->wrong[FG_WRONG_STORY], !late);
        assert_int_equal(fg_world_stats(s.world)->contradictions, !late);
        drop_shop(&s);
    }
}

/* ---- client file ----------------------------------------------------------------------------- */

static void expect_line(const char *path, const char *text)
{
    char line[256];
    FILE *in = fopen(path, "r");

    assert_non_null(in);
    assert_non_null(fgets(line, sizeof(line), in));
    assert_string_equal(line, "# fgblast 1\n");
    assert_non_null(fgets(line, sizeof(line), in));
    assert_string_equal(line, text);
    assert_null(fgets(line, sizeof(line), in));
    fclose(in);
}

#define LINE                                                                                       \
    "4d00000000000000"                                                                             \
    "00000000"                                                                                     \
    "00000000"                                                                                     \
    " 1 7 2 "

static void test_audit(void **state)
{
    static struct shop s;
    char dir[] = "/tmp/test_blast.XXXXXX", path[64];
    struct fg_send send;
    struct fg_packet_reply r;
    struct fg_error err;

    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/client", dir);
    make_shop(&s, 5, (char *[]){"--shoppers", "1", "--orders", "1", "--quantity", "2", NULL});
    assert_int_equal(fg_world_next(s.world, s.now_ns, &send, 1), 1);
    assert_true(fg_world_audit(s.world, path, &err));
    expect_line(path, LINE "NONE\n");
    assert_true(answer(&s, &send, &r));
    reply(&s, &send, &r);
    assert_true(fg_world_audit(s.world, path, &err));
    expect_line(path, LINE "RESERVED\n");
    s.now_ns += 5 * MS;
    assert_int_equal(fg_world_next(s.world, s.now_ns, &send, 1), 1); /* CONFIRM */
    assert_true(fg_world_audit(s.world, path, &err));
    expect_line(path, LINE "RESERVED+\n");
    assert_true(answer(&s, &send, &r));
    reply(&s, &send, &r);
    assert_true(fg_world_audit(s.world, path, &err));
    expect_line(path, LINE "SOLD\n");
    expect_honest(&s);
    drop_shop(&s);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
    assert_false(fg_world_audit(s.world, "/nonexistent/x", &err));
}

/* A copy of a rejected request is still on its way: it may be accepted, so the last word is open.
 */
static void test_audit_copy(void **state)
{
    static struct shop s;
    char path[] = "/tmp/test_blast.XXXXXX";
    struct fg_send sends[2];
    struct fg_packet_reply r;
    struct fg_error err;

    close(mkstemp(path));
    make_shop(&s, 0,
              (char *[]){"--shoppers", "1", "--orders", "1", "--quantity", "2", "--duplicates", "1",
                         NULL});
    assert_int_equal(fg_world_next(s.world, s.now_ns, sends, 2), 2);
    assert_int_equal(sends[1].kind, FG_KIND_DUPLICATE);
    assert_memory_equal(sends[0].payload, sends[1].payload, FG_PACKET_SIZE);
    assert_true(answer(&s, &sends[0], &r));
    reply(&s, &sends[0], &r);
    assert_true(fg_world_audit(s.world, path, &err));
    expect_line(path, LINE "SOLD_OUT+\n");
    reply(&s, &sends[0], &r);
    assert_true(fg_world_audit(s.world, path, &err));
    expect_line(path, LINE "SOLD_OUT\n");
    drop_shop(&s);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sells_everything),
        cmocka_unit_test(test_losses),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_rate_and_window),
        cmocka_unit_test(test_enough),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_pair),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_lies_to_noise),
        cmocka_unit_test(test_story),
        cmocka_unit_test(test_audit),
        cmocka_unit_test(test_audit_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
