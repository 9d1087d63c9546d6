/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Token buckets: bursts, classes, sources, refill, allow list, several CPUs. A run of N repeats
 * takes microseconds, so a bucket that refills once a second gives exact counts; the clock is moved
 * by moving the bucket (in the kernel) or the clock (in user space), and once by waiting.
 */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "harness.h"
#include "model.h"

#define SECOND UINT64_C(1000000000)

struct sums {
    uint64_t order, pass, rate_order, rate_other;
};

static struct sums run(struct fg_filter *filter, const struct frame_spec *spec, int repeat)
{
    uint64_t before[FG_FILTER_VERDICT_COUNT], after[FG_FILTER_VERDICT_COUNT];
    struct frame frame;

    frame_build(spec, &frame);
    fg_filter_counters(filter, before);
    run_program(fg_filter_program(filter, NULL), &frame, repeat);
    fg_filter_counters(filter, after);
    for (int i = 0; i < FG_FILTER_VERDICT_COUNT; i++)
        after[i] -= before[i];
    return (struct sums){after[FG_FILTER_VERDICT_ORDER], after[FG_FILTER_VERDICT_PASS],
                         after[FG_FILTER_VERDICT_RATE_ORDER], after[FG_FILTER_VERDICT_RATE_OTHER]};
}

static bool is(struct sums s, uint64_t order, uint64_t pass, uint64_t rate_order,
               uint64_t rate_other)
{
    if (s.order == order && s.pass == pass && s.rate_order == rate_order &&
        s.rate_other == rate_other)
        return true;
    note("order %lu, pass %lu, rate-order %lu, rate-other %lu", s.order, s.pass, s.rate_order,
         s.rate_other);
    return false;
}

/* Moves the bucket of the only source with an order bucket that is not full into the past. */
static void age_order_bucket(struct fg_filter *filter, const char *host, uint64_t ns)
{
    int map = map_of_program(fg_filter_program(filter, NULL), "fg_sources");
    struct fg_filter_prefix prefix = must_parse(host);
    uint64_t key = 0xff04ull << 48 | ntohl(*(const uint32_t *)prefix.addr);
    struct fg_filter_source_set set;
    bool found = false;

    for (uint32_t i = 0; !found && bpf_map_lookup_elem(map, &i, &set) == 0; i++) {
        for (unsigned way = 0; way < FG_FILTER_WAYS; way++) {
            if (set.key[way] != key)
                continue;
            found = true;
            set.way[way].full[FG_FILTER_CLASS_ORDER] -= ns << FG_FILTER_TICK_SHIFT;
            bpf_map_update_elem(map, &i, &set, BPF_EXIST);
        }
    }
    close(map);
    ok(found, "%s has a bucket", host);
}

static void bursts_and_classes(struct fg_filter *filter)
{
    const struct frame_spec order = {.kind = FRAME_UDP4, .src = "198.18.0.1"};
    const struct frame_spec tcp = {.kind = FRAME_UDP4, .src = "198.18.0.1", .proto = 6};

    ok(is(run(filter, &order, 100), 5, 0, 95, 0),
       "a burst of 5 order packets passes, 95 are over the rate");
    ok(is(run(filter, &tcp, 100), 0, 3, 0, 97),
       "the same source has its own bucket for other packets: 3");
    ok(is(run(filter, &(struct frame_spec){.kind = FRAME_UDP4, .src = "198.18.0.2"}, 4), 4, 0, 0,
          0),
       "another source is not affected");
    ok(is(run(filter,
              &(struct frame_spec){
                  .kind = FRAME_UDP4, .port = 53, .src = "198.18.0.3", .fragment = 9},
              9),
          0, 3, 0, 6),
       "later fragments count as other packets");
    ok(is(run(filter,
              &(struct frame_spec){.kind = FRAME_UDP4, .magic_xor = {1}, .src = "198.18.0.4"}, 50),
          0, 0, 0, 0),
       "malformed packets take no token");
    ok(is(run(filter, &(struct frame_spec){.kind = FRAME_ARP}, 500), 0, 500, 0, 0),
       "ARP has no rate");
    ok(is(run(filter, &(struct frame_spec){.kind = FRAME_ICMP6, .icmp_type = 136, .hops = 255},
              500),
          0, 500, 0, 0),
       "neighbour discovery has no rate");
    ok(is(run(filter, &(struct frame_spec){.kind = FRAME_ICMP6, .icmp_type = 136, .hops = 64}, 500),
          0, 3, 0, 497),
       "neighbour discovery that crossed a router has");
}

/* What a server of ours answers is no flood; all else that its address sends is. */
static void servers(struct fg_filter *filter)
{
    const struct frame_spec tcp = {.kind = FRAME_UDP4, .src = "198.18.30.1", .proto = 6};
    const struct frame_spec order = {.kind = FRAME_UDP4, .src = "198.18.30.1"};
    const struct frame_spec near = {.kind = FRAME_UDP4, .src = "198.18.30.2", .proto = 6};
    const struct frame_spec six = {.kind = FRAME_UDP6, .src = "2001:db8:0:300::1", .proto = 6};
    const struct frame_spec near_six = {.kind = FRAME_UDP6, .src = "2001:db8:0:300::2", .proto = 6};
    struct fg_filter_servers list = {.count = 2};
    struct fg_error err;

    list.address[0].family = 4;
    list.address[1].family = 6;
    inet_pton(AF_INET, "198.18.30.1", list.address[0].bytes);
    inet_pton(AF_INET6, "2001:db8:0:300::1", list.address[1].bytes);
    ok(fg_filter_set_servers(filter, &list, &err), "servers are told");
    ok(is(run(filter, &tcp, 100), 0, 100, 0, 0), "other packets of a server have no rate");
    ok(is(run(filter, &six, 100), 0, 100, 0, 0), "nor have those of one with IPv6");
    ok(is(run(filter, &order, 100), 5, 0, 95, 0), "its orders have");
    ok(is(run(filter, &near, 100), 0, 3, 0, 97), "and its neighbour has");
    ok(is(run(filter, &near_six, 100), 0, 3, 0, 97), "with IPv6 as well");
    list.count = 0;
    ok(fg_filter_set_servers(filter, &list, &err), "it is a server no more");
    ok(is(run(filter, &tcp, 100), 0, 3, 0, 97), "and has a rate again");
}

static void refill(struct fg_filter *filter)
{
    const struct frame_spec order = {.kind = FRAME_UDP4, .src = "198.18.1.1"};

    ok(is(run(filter, &order, 10), 5, 0, 5, 0), "bucket emptied");
    age_order_bucket(filter, "198.18.1.1", 3 * SECOND);
    ok(is(run(filter, &order, 10), 3, 0, 7, 0), "after three intervals: three tokens");
    age_order_bucket(filter, "198.18.1.1", 100 * SECOND);
    ok(is(run(filter, &order, 10), 5, 0, 5, 0), "after a hundred: the burst, no more");
    age_order_bucket(filter, "198.18.1.1", -UINT64_C(500) * SECOND);
    ok(is(run(filter, &order, 10), 0, 0, 10, 0), "a bucket from a longer window is empty");
    age_order_bucket(filter, "198.18.1.1", 2 * SECOND);
    ok(is(run(filter, &order, 10), 2, 0, 8, 0), "but fills within the new one");
}

static void sources_of_ipv6(struct fg_filter *filter)
{
    const struct frame_spec first = {.kind = FRAME_UDP6, .src = "2001:db8:0:100::1"};
    const struct frame_spec second = {.kind = FRAME_UDP6, .src = "2001:db8:0:1ff:9:9:9:9"};
    const struct frame_spec third = {.kind = FRAME_UDP6, .src = "2001:db8:0:200::1"};
    const struct frame_spec v4_in_v6 = {.kind = FRAME_UDP6,
                                        .src = "c612:1::"}; /* 198.18.0.1 and 96 zeroes */

    ok(is(run(filter, &first, 4), 4, 0, 0, 0), "IPv6: four packets of a /56");
    ok(is(run(filter, &second, 4), 1, 0, 3, 0),
       "another address of the same /56 shares the bucket");
    ok(is(run(filter, &third, 4), 4, 0, 0, 0), "the next /56 has its own");
    ok(is(run(filter, &v4_in_v6, 4), 4, 0, 0, 0),
       "an IPv6 source does not drain the bucket of an IPv4 source");
}

static void lists_and_rates(struct fg_filter *filter)
{
    const struct frame_spec order = {.kind = FRAME_UDP4, .src = "198.18.2.1"};
    struct fg_filter_prefix prefix = must_parse("198.18.2.0/24");
    struct fg_error err;

    ok(fg_filter_add(filter, FG_FILTER_LIST_ALLOW, &prefix, NULL, &err), "198.18.2.0/24 allowed");
    ok(is(run(filter, &order, 100), 100, 0, 0, 0), "an allowed source has no rate");
    ok(fg_filter_del(filter, FG_FILTER_LIST_ALLOW, &prefix, &err),
       "198.18.2.0/24 no longer allowed");
    ok(is(run(filter, &order, 100), 5, 0, 95, 0), "its rate is back, with a full bucket");
}

/* ---- several CPUs ---------------------------------------------------------------------------- */

struct flood {
    int program;
    pthread_barrier_t *start;
};

static void *flood_run(void *arg)
{
    const struct flood *flood = arg;
    struct frame frame;

    frame_build(&(struct frame_spec){.kind = FRAME_UDP4, .src = "198.18.3.1"}, &frame);
    pthread_barrier_wait(flood->start);
    run_program(flood->program, &frame, 100000);
    return NULL;
}

static void concurrent(const char *pins)
{
    struct fg_filter_options options = plain_options(pins);
    uint64_t before[FG_FILTER_VERDICT_COUNT], after[FG_FILTER_VERDICT_COUNT];
    pthread_barrier_t start;
    pthread_t threads[4];
    struct fg_filter *filter;
    struct flood flood;
    int socket;

    options.order_rate = 1;
    options.order_burst =
        50000; /* far more than 100 s of refill, fewer than the flood: exact to a few */
    filter = must_open(&options);
    socket = place_socket(fg_filter_program(filter, NULL), 0);
    pthread_barrier_init(&start, NULL, 4);
    flood = (struct flood){fg_filter_program(filter, NULL), &start};
    fg_filter_counters(filter, before);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, flood_run, &flood);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    fg_filter_counters(filter, after);
    after[FG_FILTER_VERDICT_ORDER] -= before[FG_FILTER_VERDICT_ORDER];
    after[FG_FILTER_VERDICT_RATE_ORDER] -= before[FG_FILTER_VERDICT_RATE_ORDER];
    note("4 threads, 400000 packets of one source: %lu passed, %lu dropped",
         after[FG_FILTER_VERDICT_ORDER], after[FG_FILTER_VERDICT_RATE_ORDER]);
    ok(after[FG_FILTER_VERDICT_ORDER] >= 50000 && after[FG_FILTER_VERDICT_ORDER] <= 50100,
       "several CPUs never pass more than the bucket");
    ok(after[FG_FILTER_VERDICT_ORDER] + after[FG_FILTER_VERDICT_RATE_ORDER] == 400000,
       "each packet is counted once");
    close(socket);
    fg_filter_close(filter);
}

/* ---- one real wait --------------------------------------------------------------------------- */

static void wait_for_refill(const char *pins)
{
    struct fg_filter_options options = plain_options(pins);
    const struct frame_spec order = {.kind = FRAME_UDP4, .src = "198.18.4.1"};
    struct timespec nap = {.tv_nsec = 300000000};
    struct fg_filter *filter;
    struct sums sums;
    int socket;

    options.order_rate = 10;
    options.order_burst = 100;
    filter = must_open(&options);
    socket = place_socket(fg_filter_program(filter, NULL), 0);
    sums = run(filter, &order, 1000);
    ok(sums.order >= 100 && sums.order <= 120, "rate 10/s, burst 100: %lu pass at once",
       sums.order);
    nanosleep(&nap, NULL);
    sums = run(filter, &order, 1000);
    ok(sums.order >= 3 && sums.order <= 60, "0.3 s later: %lu pass", sums.order);
    close(socket);
    fg_filter_close(filter);
}

/* ---- user space, exact ----------------------------------------------------------------------- */

static unsigned send_many(const struct frame *frame, int n)
{
    unsigned passed = 0;

    for (int i = 0; i < n; i++)
        passed += model_verdict(frame->data, frame->len) == FG_FILTER_VERDICT_ORDER;
    return passed;
}

static void user_space(void)
{
    struct fg_filter_options options = plain_options(NULL);
    uint64_t now = 1000 * SECOND, passed = 0;
    struct frame frame;

    options.order_rate = 1000;
    options.order_burst = 20;
    model_reset(&options);
    model_clock(now);
    frame_build(&(struct frame_spec){.kind = FRAME_UDP4}, &frame);
    ok(send_many(&frame, 100) == 20, "user space: burst of 20");
    ok(model_event(FG_FILTER_EVENT_SOURCE_NEW) == 1, "user space: one source known");
    model_clock(now + SECOND / 1000 - 1);
    ok(send_many(&frame, 1) == 0, "user space: one nanosecond before the interval is over: none");
    model_clock(now + SECOND / 1000);
    ok(send_many(&frame, 2) == 1, "user space: at the interval: one");
    for (uint64_t us = 1000; us < 10001000; us += 100) { /* ten times the rate for ten seconds */
        model_clock(now + us * 1000);
        passed += send_many(&frame, 1);
    }
    ok(passed >= 9999 && passed <= 10000, "user space: 1000/s over ten seconds pass %lu", passed);
}

static void source_frame(struct frame *frame, uint32_t address)
{
    uint32_t word = htonl(address);

    frame_build(&(struct frame_spec){.kind = FRAME_UDP4}, frame);
    memcpy(frame->data + 26, &word, sizeof(word));
}

/* A shopper that is known gets through a flood of forged sources that fills the table. */
static void spoofed_flood(void)
{
    struct fg_filter_options options = plain_options(NULL);
    uint64_t now = 1000 * SECOND, flood_passed = 0;
    unsigned shopper_lost = 0, new_before;
    struct frame shopper, frame;

    options.order_rate = 10;
    options.order_burst = 5;
    model_reset(&options);
    source_frame(&shopper, 0xc6120001);
    for (unsigned i = 0; i < 4; i++) {
        model_clock(now += SECOND / 5);
        shopper_lost += model_verdict(shopper.data, shopper.len) != FG_FILTER_VERDICT_ORDER;
    }
    for (uint32_t i = 0; i < 200000; i++) { /* 100,000 a second */
        model_clock(now += 10000);
        source_frame(&frame, 0x0a000000 + i * 7);
        flood_passed += model_verdict(frame.data, frame.len) == FG_FILTER_VERDICT_ORDER;
        if (i % 20000 == 0)
            shopper_lost += model_verdict(shopper.data, shopper.len) != FG_FILTER_VERDICT_ORDER;
    }
    ok(shopper_lost == 0,
       "user space: a known source loses nothing in a flood of 200,000 forged ones");
    ok(model_event(FG_FILTER_EVENT_SOURCE_REFUSED) > 100000,
       "user space: the pressure is counted: %lu packets",
       model_event(FG_FILTER_EVENT_SOURCE_REFUSED));
    new_before = (unsigned)model_event(FG_FILTER_EVENT_SOURCE_NEW);
    shopper_lost = 0;
    for (unsigned i = 0; i < 100; i++)
        shopper_lost += model_verdict(shopper.data, shopper.len) != FG_FILTER_VERDICT_ORDER;
    ok(shopper_lost >= 95 && model_event(FG_FILTER_EVENT_SOURCE_NEW) == new_before,
       "user space: and its bucket was its own all the time: %u of 100 at once are over its rate",
       shopper_lost);
    note("%lu of the flood passed: no limit for networks was set", flood_passed);
}

static uint64_t events_of(struct fg_filter *filter, enum fg_filter_event event)
{
    uint64_t events[FG_EVENT_COUNT];

    fg_filter_events(filter, events);
    return events[event];
}

/* The same in the kernel, on its clock. */
static void spoofed_flood_in_kernel(const char *pins)
{
    struct fg_filter_options options = plain_options(pins);
    const struct frame_spec shopper = {.kind = FRAME_UDP4, .src = "198.18.7.1"};
    struct timespec nap = {.tv_nsec = 200000000};
    uint64_t lost = 0, refused, fresh;
    struct fg_filter *filter;
    struct frame frame;
    struct sums sums;
    int socket;

    options.order_rate = 10;
    options.order_burst = 50;
    filter = must_open(&options);
    socket = place_socket(fg_filter_program(filter, NULL), 0);
    for (int i = 0; i < 4; i++, nanosleep(&nap, NULL))
        lost += run(filter, &shopper, 1).rate_order;
    refused = events_of(filter, FG_FILTER_EVENT_SOURCE_REFUSED);
    for (uint32_t i = 0; i < 10000; i++) {
        source_frame(&frame, 0x0a000000 + i * 7);
        run_program(fg_filter_program(filter, NULL), &frame, 1);
        if (i % 1000 == 0)
            lost += run(filter, &shopper, 1).rate_order;
    }
    refused = events_of(filter, FG_FILTER_EVENT_SOURCE_REFUSED) - refused;
    ok(lost == 0 && refused > 1000,
       "a known source loses nothing in a flood of 10,000 forged ones, %lu refused", refused);
    fresh = events_of(filter, FG_FILTER_EVENT_SOURCE_NEW);
    sums = run(filter, &shopper, 1000);
    ok(sums.rate_order >= 900 && events_of(filter, FG_FILTER_EVENT_SOURCE_NEW) == fresh,
       "and its bucket was its own all the time: %lu of 1,000 at once are over its rate",
       sums.rate_order);
    close(socket);
    fg_filter_close(filter);
}

/* A network as a whole; half of its burst is for those that are known. */
static void networks(void)
{
    struct fg_filter_options options = plain_options(NULL);
    uint64_t now = 1000 * SECOND;
    unsigned fresh = 0, known = 0;
    struct frame frame, shopper;

    options.order_rate = 100;
    options.order_burst = 10;
    options.net_factor = 4;
    model_reset(&options);
    source_frame(&shopper, 0xc61205fe);
    for (unsigned i = 0; i < 2; i++) {
        model_clock(now += SECOND);
        model_verdict(shopper.data, shopper.len);
    }
    model_clock(now += SECOND);
    for (uint32_t i = 0; i < 200; i++) {
        source_frame(&frame, 0xc6120500 + i);
        fresh += model_verdict(frame.data, frame.len) == FG_FILTER_VERDICT_ORDER;
    }
    ok(fresh == 20, "user space: new sources of a /24 share half of its burst of 40: %u", fresh);
    for (unsigned i = 0; i < 10; i++)
        known += model_verdict(shopper.data, shopper.len) == FG_FILTER_VERDICT_ORDER;
    ok(known == 10, "user space: one that is known has its own burst still: %u of 10", known);
    source_frame(&frame, 0xc6120600);
    ok(send_many(&frame, 20) == 10, "user space: the next /24 is another network");
}

/* Connection attempts have a bucket of their own. */
static void attempts(struct fg_filter *filter)
{
    const struct frame_spec syn = {
        .kind = FRAME_UDP4, .src = "198.18.6.1", .proto = 6, .tcp_flags = 2};
    const struct frame_spec data = {
        .kind = FRAME_UDP4, .src = "198.18.6.1", .proto = 6, .tcp_flags = 16};
    uint64_t before[FG_FILTER_VERDICT_COUNT], after[FG_FILTER_VERDICT_COUNT];

    fg_filter_counters(filter, before);
    ok(is(run(filter, &syn, 50), 0, 2, 0, 0), "a burst of 2 attempts passes");
    fg_filter_counters(filter, after);
    ok(after[FG_FILTER_VERDICT_RATE_SYN] - before[FG_FILTER_VERDICT_RATE_SYN] == 48,
       "48 are over the rate of attempts");
    ok(is(run(filter, &data, 10), 0, 3, 0, 7), "what belongs to connections has another bucket");
}

/* Rates and monitor mode change while the program stays; a wrong value changes nothing. */
static void changed_while_it_runs(const char *pins)
{
    const struct frame_spec order = {.kind = FRAME_UDP4, .src = "198.18.8.1"};
    struct fg_filter_options options = plain_options(pins);
    struct fg_filter_rates rates, begun;
    struct fg_filter *filter;
    struct fg_error err = {""};
    int socket;

    options.order_rate = 1;
    options.order_burst = 5;
    filter = must_open(&options);
    socket = place_socket(fg_filter_program(filter, NULL), 0);
    ok(is(run(filter, &order, 50), 5, 0, 45, 0), "opened with a burst of 5");
    fg_filter_rates(filter, &rates, NULL);
    rates.order_burst = 1005;
    ok(fg_filter_rates_set(filter, &rates, &err), "burst 1005");
    ok(is(run(filter, &order, 2000), 1000, 0, 1000, 0), "1000 more pass at once");
    rates.order_rate = 0;
    ok(fg_filter_rates_set(filter, &rates, &err), "rate 0");
    ok(is(run(filter, &order, 2000), 2000, 0, 0, 0), "no rate: all pass");
    rates.order_rate = 1;
    rates.order_burst = 0;
    ok(!fg_filter_rates_set(filter, &rates, &err) && strstr(err.text, "order_burst = 0"),
       "a burst of 0 is refused: %s", err.text);
    ok(is(run(filter, &order, 10), 10, 0, 0, 0), "and nothing has changed");
    rates.order_burst = 3;
    ok(fg_filter_rates_set(filter, &rates, &err), "burst 3");
    ok(is(run(filter, &order, 10), 0, 0, 10, 0), "what was taken before counts");
    fg_filter_rates(filter, &rates, &begun);
    ok(rates.order_burst == 3 && begun.order_burst == 5, "both are told");
    rates.monitor = true;
    ok(fg_filter_rates_set(filter, &rates, &err) && verdict_of(filter, "198.18.8.2") == XDP_PASS,
       "monitor mode");
    close(socket);
    fg_filter_close(filter);
}

static void body(const char *pins)
{
    struct fg_filter_options options = plain_options(pins);
    struct fg_filter *filter;
    int socket;

    user_space();
    spoofed_flood();
    networks();
    concurrent(pins);
    wait_for_refill(pins);
    changed_while_it_runs(pins);
    options.order_rate = options.other_rate = 1;
    options.syn_rate = 1;
    options.order_burst = 5;
    options.syn_burst = 2;
    options.other_burst = 3;
    filter = must_open(&options);
    socket = place_socket(fg_filter_program(filter, NULL), 0);
    bursts_and_classes(filter);
    servers(filter);
    refill(filter);
    sources_of_ipv6(filter);
    lists_and_rates(filter);
    attempts(filter);
    close(socket);
    fg_filter_close(filter);
    spoofed_flood_in_kernel(pins); /* the last: it leaves a full table */
}

int main(void)
{
    return sandbox("rates", body);
}
