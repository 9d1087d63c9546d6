/* SPDX-License-Identifier: BSD-3-Clause */
/* The crowd of the load generator against a shop that the test plays, over whole frames: an honest
 * one, one whose packets get lost, and one that lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tools/fgblast/crowd.h"
#include "tools/fgblast/pick.h"

#define MS    1000000ull
#define START (1700000000000ull * MS)
#define HOLD  (200 * MS)
#define ITEMS 4u
#define DEALS 8192u
#define ROOM  4096u /* replies under way */

struct deal {
    uint8_t id[16];
    uint64_t user, item, deadline_ns;
    uint8_t status; /* 0: free slot */
};

enum lie { HONEST, OVERSELLS, FORGETS, WRONG_ITEM, WRONG_TAG, WRONG_PORT, SELLS_UNASKED };

struct shop {
    struct fg_blast_options options;
    struct fg_packet_keyring *ring;
    struct fg_frames frames;
    struct fg_crowd *crowd;
    struct deal deals[DEALS];
    unsigned deals_count;
    uint32_t free[ITEMS + 1], sold, cancelled, expired;
    uint64_t now_ns, seed;
    uint8_t replies[ROOM][FG_BLAST_FRAME_MAX];
    uint16_t bytes[ROOM];
    unsigned head, tail;
    double lose; /* share of requests, and of replies */
    unsigned busy;
    enum lie lie;
};

static void make_shop(struct shop *s, uint32_t units, char **more)
{
    char *argv[64] = {"fgblast",
                      "--crowd",
                      "--device",
                      "x",
                      "--keys",
                      "k",
                      "--server",
                      "198.18.0.1",
                      "--source-base",
                      "198.18.1.0",
                      "--items",
                      "1-4",
                      "--timeout-ms",
                      "5",
                      "--nonce",
                      "77",
                      "--confirm-delay-ms",
                      "20",
                      "--window",
                      "256"};
    int argc = 0;
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
    if (fg_options_parse(&s->options, argc, argv, &err) != FG_OPTIONS_RUN)
        fail_msg("%s", err.text);
    s->frames.options = &s->options;
    s->now_ns = START;
    for (unsigned i = 1; i <= ITEMS; i++)
        s->free[i] = units;
    s->crowd = fg_crowd_create(&s->options, s->ring, &s->frames, s->now_ns, &err);
    if (!s->crowd)
        fail_msg("%s", err.text);
}

static void drop_shop(struct shop *s)
{
    fg_crowd_destroy(s->crowd);
    fg_options_free(&s->options);
    free(s->ring);
}

static struct deal *find_deal(struct shop *s, const struct fg_packet_request *q)
{
    uint32_t at = (uint32_t)fg_mix64(q->user, q->order_id[8] + q->order_id[9] * 256u);

    for (;; at++) {
        struct deal *d = &s->deals[at % DEALS];

        if (!d->status || (d->user == q->user && !memcmp(d->id, q->order_id, 16)))
            return d;
    }
}

static void expire(struct shop *s)
{
    for (unsigned i = 0; i < DEALS; i++)
        if (s->deals[i].status == FG_PACKET_STATUS_RESERVED &&
            s->deals[i].deadline_ns <= s->now_ns) {
            s->deals[i].status = FG_PACKET_STATUS_EXPIRED;
            s->free[s->deals[i].item]++;
            s->expired++;
        }
}

static void decide(struct shop *s, const struct fg_packet_request *q, struct fg_packet_reply *r)
{
    struct deal *d = find_deal(s, q);

    if (!d->status && q->op == FG_PACKET_OP_RESERVE && (s->free[q->item] || s->lie == OVERSELLS)) {
        *d = (struct deal){.user = q->user, .item = q->item, .status = FG_PACKET_STATUS_RESERVED};
        memcpy(d->id, q->order_id, 16);
        d->deadline_ns = s->now_ns + HOLD;
        s->free[q->item]--;
        s->deals_count++;
    } else if (d->status == FG_PACKET_STATUS_RESERVED && q->op == FG_PACKET_OP_CONFIRM) {
        d->status = FG_PACKET_STATUS_SOLD;
        s->sold++;
    } else if (d->status == FG_PACKET_STATUS_RESERVED && q->op == FG_PACKET_OP_CANCEL) {
        d->status = FG_PACKET_STATUS_CANCELLED;
        s->free[d->item]++;
        s->cancelled++;
    }
    r->item = d->status ? d->item : q->item;
    r->status = d->status                       ? d->status
                : q->op == FG_PACKET_OP_RESERVE ? FG_PACKET_STATUS_SOLD_OUT
                                                : FG_PACKET_STATUS_UNKNOWN_ORDER;
    r->quantity = d->status ? 1 : 0;
    r->deadline_ms = d->status == FG_PACKET_STATUS_RESERVED ? d->deadline_ns / MS : 0;
    if (s->lie == FORGETS && q->op == FG_PACKET_OP_CONFIRM)
        r->status = FG_PACKET_STATUS_UNKNOWN_ORDER;
    if (s->lie == WRONG_ITEM)
        r->item++;
    if (s->lie == SELLS_UNASKED && q->op == FG_PACKET_OP_RESERVE &&
        r->status == FG_PACKET_STATUS_RESERVED) {
        r->status = FG_PACKET_STATUS_SOLD;
        r->deadline_ms = 0;
    }
}

static bool lost(struct shop *s)
{
    return fg_happens(&s->seed, fg_share_bar(s->lose));
}

/* Answers a frame in place, and queues it. */
static void serve(struct shop *s, uint8_t *data, uint32_t bytes)
{
    struct fg_frame frame;
    enum fg_packet_drop drop;
    const struct fg_packet_key *key;
    struct fg_packet_request q;
    struct fg_packet_reply r = {0};

    assert_int_equal(fg_frame_parse(data, bytes, FG_PACKET_PORT_DEFAULT, &frame, &drop),
                     FG_FRAME_ORDER);
    assert_int_equal(fg_packet_request_check(data + frame.payload, s->ring, &key),
                     FG_PACKET_DROP_NONE);
    memcpy(&q, data + frame.payload, sizeof(q));
    assert_true(key->roles & fg_packet_op_roles(q.op));
    if (lost(s))
        return;
    r.op = q.op | FG_PACKET_REPLY;
    r.key_id = q.key_id;
    r.cookie = q.cookie;
    memcpy(r.order_id, q.order_id, 16);
    if (s->busy && fg_random_below(&s->seed, 100) < s->busy) {
        r.status = FG_PACKET_STATUS_BUSY;
        r.retry_ms = 3;
        r.item = q.item;
    } else {
        decide(s, &q, &r);
    }
    fg_packet_reply_seal(&r, key);
    r.tag ^= s->lie == WRONG_TAG;
    memcpy(data + frame.payload, &r, sizeof(r));
    fg_frame_turn(data, &frame);
    data[frame.l4 + 3] ^= s->lie == WRONG_PORT;
    fg_frame_finish(data, &frame);
    if (lost(s))
        return;
    memcpy(s->replies[s->tail % ROOM], data, fg_frame_size(&frame));
    s->bytes[s->tail++ % ROOM] = (uint16_t)fg_frame_size(&frame);
    assert_true(s->tail - s->head < ROOM);
}

static void hand_back(struct shop *s)
{
    const uint8_t *frames[FG_CROWD_BURST];
    uint16_t bytes[FG_CROWD_BURST];
    unsigned n = 0;

    while (n < FG_CROWD_BURST && s->head != s->tail) {
        frames[n] = s->replies[s->head % ROOM];
        bytes[n++] = s->bytes[s->head++ % ROOM];
    }
    fg_crowd_read(s->crowd, s->now_ns, frames, bytes, n);
}

static struct fg_view run(struct shop *s)
{
    static uint8_t memory[FG_CROWD_BURST][FG_BLAST_FRAME_MAX];
    uint8_t *out[FG_CROWD_BURST];
    struct fg_view view;

    for (unsigned i = 0; i < FG_CROWD_BURST; i++)
        out[i] = memory[i];
    while (!fg_crowd_done(s->crowd, s->now_ns)) {
        unsigned n = fg_crowd_pick(s->crowd, s->now_ns, FG_CROWD_BURST);

        fg_crowd_write(s->crowd, out);
        for (unsigned i = 0; i < n; i++)
            serve(s, memory[i], fg_crowd_bytes(s->crowd)[i]);
        hand_back(s);
        s->now_ns += 100000;
        expire(s);
    }
    fg_crowd_stop(s->crowd);
    fg_crowd_view(s->crowd, &view);
    return view;
}

static uint64_t wanting(const struct fg_view *v)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < v->items_count; i++)
        sum += v->items[i].wanting;
    return sum;
}

/* The client file against the shop's books: each deal is named, with a status that can be. */
static unsigned check_file(struct shop *s)
{
    char path[] = "/tmp/fg_crowd_XXXXXX", line[256], id[40], told[32];
    unsigned long long user, item;
    unsigned quantity, lines = 0, none = 0;
    struct fg_error err;
    FILE *in;

    close(mkstemp(path));
    assert_true(fg_crowd_audit(s->crowd, path, &err));
    in = fopen(path, "r");
    assert_string_equal(fgets(line, sizeof(line), in), "# fgblast 1\n");
    while (fgets(line, sizeof(line), in)) {
        struct fg_packet_request q = {0};
        struct deal *d;

        assert_int_equal(sscanf(line, "%39s %llu %llu %u %31s", id, &user, &item, &quantity, told),
                         5);
        for (unsigned i = 0; i < 16; i++)
            assert_int_equal(sscanf(id + 2 * i, "%2hhx", &q.order_id[i]), 1);
        q.user = user;
        d = find_deal(s, &q);
        lines++;
        if (!strcmp(told, "NONE")) {
            none++;
            continue;
        }
        assert_int_equal(d->item, item);
        if (!strchr(told, '+') && strcmp(told, "RESERVED"))
            assert_string_equal(told, fg_packet_status_name(d->status));
    }
    fclose(in);
    unlink(path);
    assert_true(lines >= s->deals_count);
    return none;
}

/* All is sold in the end, and the last who asked was told that nothing is left. */
static void test_sale(void **state)
{
    static struct shop s;
    struct fg_view v;

    make_shop(&s, 300,
              (char *[]){"--packets", "30000", "--confirm", "0.6", "--cancel", "0.2", "--late",
                         "0.5", "--duplicates", "0.1", "--zipf", "1", "--shoppers", "1000", NULL});
    v = run(&s);
    assert_true(fg_crowd_finished(s.crowd));
    assert_int_equal(v.stats->contradictions, 0);
    assert_int_equal(s.sold, ITEMS * 300);
    assert_int_equal(v.stats->sold, s.sold);
    assert_int_equal(v.stats->reserved, s.deals_count);
    assert_int_equal(v.stats->answers, v.stats->packets);
    assert_true(s.cancelled > 50 && s.expired > 50);
    assert_true(v.stats->status[FG_PACKET_STATUS_EXPIRED] > 20); /* who paid too late */
    assert_true(v.stats->sent[FG_KIND_DUPLICATE] > 2000);
    assert_true(v.stats->packets >= 30000 && v.stats->packets < 35000);
    assert_int_equal(wanting(&v), ITEMS);
    assert_true(v.items[0].orders > v.items[3].orders * 3);
    assert_true(v.stats->accepted.count > 0 && v.stats->rejected.count > 0);
    assert_int_equal(check_file(&s), 0);
    drop_shop(&s);
}

/* Lost packets and BUSY change nothing but the time that it takes. */
static void test_lossy(void **state)
{
    static struct shop s;
    struct fg_view v;

    make_shop(&s, 300,
              (char *[]){"--packets", "20000", "--confirm", "0.7", "--cancel", "0.1",
                         "--duplicates", "0.1", NULL});
    s.lose = 0.1;
    s.busy = 10;
    v = run(&s);
    assert_true(fg_crowd_finished(s.crowd));
    assert_int_equal(v.stats->contradictions, 0);
    assert_int_equal(s.sold, ITEMS * 300);
    assert_true(v.stats->sent[FG_KIND_RETRY] > 1000 &&
                v.stats->status[FG_PACKET_STATUS_BUSY] > 1000);
    assert_int_equal(v.stats->gave_up, 0);
    check_file(&s);
    drop_shop(&s);
}

/* Nobody answers: all that was asked may have happened. */
static void test_silence(void **state)
{
    static struct shop s;
    struct fg_view v;

    make_shop(&s, 300,
              (char *[]){"--packets", "5000", "--retries", "2", "--drain-seconds", "1", NULL});
    s.lose = 1;
    v = run(&s);
    assert_int_equal(v.stats->answers, 0);
    assert_int_equal(v.stats->gave_up, v.stats->orders);
    assert_int_equal(check_file(&s), v.stats->orders);
    drop_shop(&s);
}

static void test_lies(void **state)
{
    static const struct {
        enum lie lie;
        enum fg_wrong wrong;
    } cases[] = {{FORGETS, FG_WRONG_STATUS},
                 {WRONG_ITEM, FG_WRONG_FIELDS},
                 {WRONG_TAG, FG_WRONG_TAG},
                 {SELLS_UNASKED, FG_WRONG_UNASKED}};
    static struct shop s;

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fg_view v;

        make_shop(&s, 50,
                  (char *[]){"--packets", "2000", "--retries", "1", "--drain-seconds", "1", NULL});
        s.lie = cases[i].lie;
        v = run(&s);
        if (!v.stats->wrong[cases[i].wrong])
            fail_msg("lie %d was not seen", s.lie);
        assert_int_equal(v.stats->wrong[cases[i].wrong], v.stats->contradictions);
        assert_true(v.examples_count > 0);
        drop_shop(&s);
    }
    make_shop(&s, 50,
              (char *[]){"--packets", "2000", "--retries", "1", "--drain-seconds", "1", NULL});
    s.lie = WRONG_PORT; /* not ours: as if it had not come */
    assert_int_equal(run(&s).stats->answers, 0);
    drop_shop(&s);
}

/* Both families, and more source addresses than are kept: every frame is still right. */
static void test_families(void **state)
{
    static struct shop s;
    struct fg_view v;

    make_shop(&s, 100,
              (char *[]){"--packets", "3000", "--server", "2001:db8::1", "--source-base",
                         "2001:db8:0:1::", "--sources", "1000", NULL});
    v = run(&s);
    assert_int_equal(v.stats->contradictions, 0);
    assert_int_equal(s.sold, ITEMS * 100);
    drop_shop(&s);
}

static void test_options(void **state)
{
    static const char *const more[] = {"--flat", "--served", "--replays", "--forged", "--rate"};
    static const char *const values[] = {"100", NULL, "0.1", "0.1", "5"};

    for (unsigned i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
        char *argv[] = {"fgblast",
                        "--crowd",
                        "--device",
                        "x",
                        "--keys",
                        "k",
                        "--server",
                        "198.18.0.1",
                        "--source-base",
                        "198.18.1.0",
                        "--packets",
                        "1",
                        "--confirm",
                        "0",
                        (char *)more[i],
                        (char *)values[i],
                        NULL};
        struct fg_blast_options o;
        struct fg_error err;

        assert_int_equal(fg_options_parse(&o, values[i] ? 16 : 15, argv, &err), FG_OPTIONS_WRONG);
        assert_non_null(strstr(err.text, "--crowd"));
        fg_options_free(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sale),     cmocka_unit_test(test_lossy),
        cmocka_unit_test(test_silence),  cmocka_unit_test(test_lies),
        cmocka_unit_test(test_families), cmocka_unit_test(test_options),
    };

    return cmocka_run_group_tests_name("crowd", tests, NULL, NULL);
}
