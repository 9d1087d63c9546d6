/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every fixture through the program in the kernel (BPF_PROG_TEST_RUN) and through the user-space
 * build of the same header: verdict, action, the one counter that moves, hits of list entries.
 */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "fixtures.h"
#include "harness.h"
#include "model.h"

static enum fg_filter_list list_of(const struct scenario *scenario, const char *prefix)
{
    for (unsigned i = 0; i < scenario->lists_count; i++)
        if (strcmp(scenario->lists[i].prefix, prefix) == 0)
            return scenario->lists[i].list;
    FG_ASSERT(!"the fixture names a prefix of its scenario");
    return FG_FILTER_LIST_BLOCK;
}

static void run_in_kernel(struct fg_filter *filter, const struct scenario *scenario,
                          const struct fixture *fixture, const struct frame *frame)
{
    uint64_t before[FG_FILTER_VERDICT_COUNT], after[FG_FILTER_VERDICT_COUNT], hits = 0;
    struct fg_filter_prefix prefix = {0};
    int action, counted;

    if (frame->len < 14) { /* BPF_PROG_TEST_RUN refuses it; a driver never delivers it */
        ok(true, "kernel: %s: %s # SKIP shorter than what can be run", scenario->name,
           fixture->name);
        return;
    }
    if (fixture->hit) {
        prefix = must_parse(fixture->hit);
        hits = hits_of(filter, list_of(scenario, fixture->hit), &prefix);
    }
    fg_filter_counters(filter, before);
    action = run_program(fg_filter_program(filter, NULL), frame, 1);
    fg_filter_counters(filter, after);
    counted = counter_moved(before, after);
    if (!ok(action == action_of(fixture->verdict) && counted == (int)fixture->verdict,
            "kernel: %s: %s: %s", scenario->name, fixture->name,
            fg_filter_verdict_name(fixture->verdict)))
        note("got action %d, wanted %d; counter %s", action, action_of(fixture->verdict),
             fg_filter_verdict_name((unsigned)counted));
    if (fixture->hit)
        ok(hits_of(filter, list_of(scenario, fixture->hit), &prefix) == hits + 1,
           "kernel: %s: %s: hit counted at %s", scenario->name, fixture->name, fixture->hit);
}

static void run_in_model(const struct scenario *scenario, const struct fixture *fixture,
                         const struct frame *frame)
{
    struct fg_filter_prefix prefix =
        fixture->hit ? must_parse(fixture->hit) : (struct fg_filter_prefix){0};
    uint64_t hits = fixture->hit ? model_hits(list_of(scenario, fixture->hit), &prefix) : 0;
    uint64_t before[FG_FILTER_VERDICT_COUNT], after[FG_FILTER_VERDICT_COUNT];
    enum fg_filter_verdict verdict;
    bool hit;

    model_counters(before);
    verdict = model_verdict(frame->data, frame->len);
    model_counters(after);
    hit = !fixture->hit || model_hits(list_of(scenario, fixture->hit), &prefix) == hits + 1;

    if (!ok(verdict == fixture->verdict && hit && counter_moved(before, after) == (int)verdict,
            "user space: %s: %s: %s", scenario->name, fixture->name,
            fg_filter_verdict_name(fixture->verdict)))
        note("got %s", fg_filter_verdict_name(verdict));
}

static void run_scenario(struct fg_filter *filter, const struct fg_filter_options *options,
                         const struct scenario *scenario)
{
    struct fg_error err;

    model_reset(options);
    model_own(scenario->own);
    if (!fg_filter_set_own(filter, NULL, scenario->own, &err))
        ok(false, "own addresses: %s", err.text);
    for (unsigned i = 0; i < scenario->lists_count; i++) {
        struct fg_filter_prefix prefix = must_parse(scenario->lists[i].prefix);

        if (!fg_filter_add(filter, scenario->lists[i].list, &prefix, NULL, &err))
            ok(false, "add: %s", err.text);
        model_add(scenario->lists[i].list, &prefix);
    }
    for (unsigned i = 0; i < scenario->fixtures_count; i++) {
        struct frame frame;

        frame_build(&scenario->fixtures[i].frame, &frame);
        run_in_kernel(filter, scenario, &scenario->fixtures[i], &frame);
        run_in_model(scenario, &scenario->fixtures[i], &frame);
    }
    for (unsigned i = 0; i < scenario->lists_count; i++) {
        struct fg_filter_prefix prefix = must_parse(scenario->lists[i].prefix);

        if (!fg_filter_del(filter, scenario->lists[i].list, &prefix, &err))
            ok(false, "del: %s", err.text);
    }
    if (!fg_filter_set_own(filter, NULL, NULL, &err))
        ok(false, "own addresses: %s", err.text);
}

static int counter_of(struct fg_filter *filter, const char *destination)
{
    uint64_t before[FG_FILTER_VERDICT_COUNT], after[FG_FILTER_VERDICT_COUNT];
    struct frame frame;

    frame_build(&(struct frame_spec){.kind = strchr(destination, ':') ? FRAME_UDP6 : FRAME_UDP4,
                                     .dst = destination},
                &frame);
    fg_filter_counters(filter, before);
    run_program(fg_filter_program(filter, NULL), &frame, 1);
    fg_filter_counters(filter, after);
    return counter_moved(before, after);
}

/* A table that is full, and each change of it, while the same program stays loaded. */
static void changing_addresses(struct fg_filter *filter)
{
    struct fg_filter_own_addresses own = {.macs = 1, .mac = {{2, 0, 0, 0, 0, 2}}};
    unsigned wrong = 0;
    struct fg_error err;

    ok(fg_filter_set_own(filter, NULL, &own, &err) &&
           counter_of(filter, "198.18.0.2") == FG_FILTER_VERDICT_FOREIGN,
       "no address yet: nothing is ours");
    for (unsigned n = 0; n < FG_FILTER_OWN_ADDRESSES; n++) {
        own.address[n].family = n % 2 ? 6 : 4;
        inet_pton(n % 2 ? AF_INET6 : AF_INET, n % 2 ? "2001:db8::" : "198.18.7.0",
                  own.address[n].bytes);
        own.address[n].bytes[n % 2 ? 15 : 3] = (uint8_t)n;
        own.addresses = n + 1;
        wrong += !fg_filter_set_own(filter, NULL, &own, &err);
        for (unsigned i = 0; i <= n + 2 && i < FG_FILTER_OWN_ADDRESSES; i++) {
            char text[64];

            snprintf(text, sizeof(text), i % 2 ? "2001:db8::%x" : "198.18.7.%u", i);
            wrong += counter_of(filter, text) !=
                     (i <= n ? (int)FG_FILTER_VERDICT_NO_SOCKET : (int)FG_FILTER_VERDICT_FOREIGN);
        }
    }
    ok(wrong == 0, "own addresses one by one, up to %d: %u wrong", FG_FILTER_OWN_ADDRESSES, wrong);
    own.addresses = 1;
    ok(fg_filter_set_own(filter, NULL, &own, &err) &&
           counter_of(filter, "198.18.7.2") == FG_FILTER_VERDICT_FOREIGN &&
           counter_of(filter, "198.18.7.0") == FG_FILTER_VERDICT_NO_SOCKET,
       "an address that went away is no longer ours");
    own.addresses = FG_FILTER_OWN_ADDRESSES + 1;
    ok(!fg_filter_set_own(filter, NULL, &own, &err), "too many: %s", err.text);
    ok(fg_filter_set_own(filter, NULL, NULL, &err) &&
           counter_of(filter, "198.18.7.2") == FG_FILTER_VERDICT_NO_SOCKET,
       "unchecked: any address is ours");
}

/* Every cut of a good frame, and every single byte of its headers set to 0 and to 255: both builds
 * agree. */
static void compare_damaged(struct fg_filter *filter, const struct frame_spec *spec,
                            const char *name)
{
    uint64_t before[FG_FILTER_VERDICT_COUNT], after[FG_FILTER_VERDICT_COUNT];
    unsigned differ = 0, tried = 0;
    struct frame whole;

    frame_build(spec, &whole);
    for (unsigned at = 14; at < whole.len; at++) {
        for (int how = 0; how < 3; how++) {
            struct frame frame = whole;
            enum fg_filter_verdict verdict;

            if (how == 0)
                frame.len = at;
            else
                frame.data[at] = how == 1 ? 0 : 255;
            verdict = model_verdict(frame.data, frame.len);
            tried++;
            fg_filter_counters(filter, before);
            run_program(fg_filter_program(filter, NULL), &frame, 1);
            fg_filter_counters(filter, after);
            differ += counter_moved(before, after) != (int)verdict;
        }
    }
    ok(differ == 0, "%s: %u damaged frames, kernel and user space agree", name, tried);
}

static void without_socket(struct fg_filter *filter)
{
    uint64_t before[FG_FILTER_VERDICT_COUNT], after[FG_FILTER_VERDICT_COUNT];
    struct frame frame;
    int action;

    frame_build(&(struct frame_spec){.kind = FRAME_UDP4}, &frame);
    fg_filter_counters(filter, before);
    action = run_program(fg_filter_program(filter, NULL), &frame, 1);
    fg_filter_counters(filter, after);
    ok(action == XDP_DROP && counter_moved(before, after) == FG_FILTER_VERDICT_NO_SOCKET,
       "order without a socket: no-socket");
}

static void report_size(int program)
{
    struct bpf_prog_info info = {0};
    uint32_t size = sizeof(info);
    struct frame frame;
    LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame.data, .repeat = 20000);

    if (ok(bpf_obj_get_info_by_fd(program, &info, &size) == 0 && info.verified_insns > 0,
           "verifier's count is known"))
        note("verifier: %u instructions processed (limit 1000000); program: %u bytes jited",
             info.verified_insns, info.jited_prog_len);
    frame_build(&(struct frame_spec){.kind = FRAME_UDP4}, &frame);
    run.data_size_in = frame.len;
    if (bpf_prog_test_run_opts(program, &run) == 0)
        note("%u ns per order packet without lists and rates", run.duration);
}

/* The same maps, and a program for which three ports are order ports, up to the last one there is.
 */
static void several_ports(const char *pins)
{
    struct fg_filter_options options = plain_options(pins);
    struct fg_filter *filter;
    int socket;

    options.order_port = UINT16_MAX - 2;
    options.order_ports = 3;
    filter = must_open(&options);
    socket = place_socket(fg_filter_program(filter, NULL), 0);
    ok(socket >= 0, "an AF_XDP socket for several order ports");
    run_scenario(filter, &options, &scenario_ports);
    model_reset(&options);
    compare_damaged(filter, &(struct frame_spec){.kind = FRAME_UDP4, .port = UINT16_MAX},
                    "IPv4 order, last port");
    close(socket);
    fg_filter_close(filter);
}

static void body(const char *pins)
{
    struct fg_filter_options options = plain_options(pins);
    struct fg_filter *filter = must_open(&options);
    int socket;

    without_socket(filter);
    changing_addresses(filter);
    socket = place_socket(fg_filter_program(filter, NULL), 0);
    if (!ok(socket >= 0, "an AF_XDP socket in xsks_map"))
        return;
    for (unsigned i = 0; i < scenarios_count; i++)
        run_scenario(filter, &options, &scenarios[i]);
    model_reset(&options);
    model_own(scenarios[scenarios_count - 1].own);
    fg_filter_set_own(filter, NULL, scenarios[scenarios_count - 1].own, NULL);
    compare_damaged(filter, &(struct frame_spec){.kind = FRAME_UDP4}, "IPv4 order to ours");
    compare_damaged(filter, &(struct frame_spec){.kind = FRAME_UDP6}, "IPv6 order to ours");
    model_own(NULL);
    fg_filter_set_own(filter, NULL, NULL, NULL);
    compare_damaged(filter, &(struct frame_spec){.kind = FRAME_UDP4, .tags = {0x8100}},
                    "IPv4 order in a VLAN");
    compare_damaged(filter, &(struct frame_spec){.kind = FRAME_UDP4, .options = 3},
                    "IPv4 order with options");
    compare_damaged(filter, &(struct frame_spec){.kind = FRAME_UDP6}, "IPv6 order");
    compare_damaged(filter,
                    &(struct frame_spec){.kind = FRAME_UDP6, .ext = {0, 43, 44}, .ext_count = 3},
                    "IPv6 order behind extension headers");
    report_size(fg_filter_program(filter, NULL));
    close(socket);
    fg_filter_close(filter);
    several_ports(pins);
}

int main(void)
{
    return sandbox("verdict", body);
}
