/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/*
 * The filter: the XDP program in front of everything that enters a port, and a second program that
 * tells user space which socket a queue has (user space cannot read an XSKMAP itself).
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "xdp/shared.h"

const volatile struct fg_filter_tunables fg_tune = {.order_port = 0};
volatile struct fg_filter_live fg_live; /* a map of the program: lib/filter writes it */

/* Sizes of lists, sources and networks are set by lib/filter. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, uint32_t);
    __type(value, struct fg_filter_state);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} fg_state SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 64);
    __type(key, uint32_t);
    __type(value, union fg_filter_row);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} fg_lists SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 16);
    __type(key, uint32_t);
    __type(value, struct fg_filter_source_set);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} fg_sources SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 16);
    __type(key, uint32_t);
    __type(value, struct fg_filter_net_row);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} fg_nets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, FG_FILTER_COUNTS);
    __type(key, uint32_t);
    __type(value, struct fg_filter_count);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} fg_counters SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, FG_FILTER_SAMPLES_BYTES);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} fg_samples SEC(".maps");

/* One for each interface; the program keeps it. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, uint32_t);
    __type(value, struct fg_filter_own);
} fg_own SEC(".maps");

/* One for each interface; lib/filter pins it under the interface's name. libxdp knows it by this
 * name. */
struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, FG_FILTER_SOCKETS_MAX);
    __type(key, uint32_t);
    __type(value, uint32_t);
} xsks_map SEC(".maps");

/* A variable by this name tells libxdp to put its sockets into xsks_map and to load no program
 * itself. */
__uint(xsk_prog_version, 1) SEC("xdp_metadata");

/* tests/bpf/clocked.bpf.c has a clock that a test moves. */
#ifndef FG_NOW
#define FG_NOW (bpf_jiffies64() * fg_tune.jiffy_ticks)
#endif

#define FG_FILTER_ENV_TUNE fg_tune
#define FG_FILTER_ENV_LIVE fg_live
#define FG_UNUSED          __attribute__((unused))

struct fg_filter_env {
    char nothing; /* all is reached by the names of the maps */
};

static __always_inline struct fg_filter_state *
fg_filter_env_state(FG_UNUSED struct fg_filter_env *env)
{
    uint32_t index = 0;

    return bpf_map_lookup_elem(&fg_state, &index);
}

static __always_inline struct fg_filter_own *fg_filter_env_own(FG_UNUSED struct fg_filter_env *env)
{
    uint32_t index = 0;

    return bpf_map_lookup_elem(&fg_own, &index);
}

static __always_inline union fg_filter_row *fg_filter_env_row(FG_UNUSED struct fg_filter_env *env,
                                                              uint32_t index)
{
    return bpf_map_lookup_elem(&fg_lists, &index);
}

static __always_inline struct fg_filter_source_set *
fg_filter_env_set(FG_UNUSED struct fg_filter_env *env, uint32_t index)
{
    return bpf_map_lookup_elem(&fg_sources, &index);
}

static __always_inline struct fg_filter_net_row *
fg_filter_env_net(FG_UNUSED struct fg_filter_env *env, uint32_t index)
{
    return bpf_map_lookup_elem(&fg_nets, &index);
}

static __always_inline void fg_filter_env_event(FG_UNUSED struct fg_filter_env *env,
                                                enum fg_filter_event event)
{
    uint32_t index = FG_FILTER_VERDICT_COUNT + event;
    struct fg_filter_count *counter = bpf_map_lookup_elem(&fg_counters, &index);

    if (counter)
        counter->packets++;
}

/* Global functions: the verifier goes through them once, not once for each way that leads to them.
 */
uint32_t fg_is_own(uint64_t mac, uint64_t hi, uint64_t lo);
uint32_t fg_hit(uint64_t hi, uint64_t lo, uint64_t salt, uint32_t kind, uint64_t now);
uint32_t fg_lists_again(uint64_t hi, uint64_t lo, uint32_t family, uint64_t lengths, uint64_t now);
uint32_t fg_rest(struct xdp_md *ctx, uint64_t hi, uint64_t lo, uint32_t family);
#define FG_FILTER_ENV_REST(env, data, end, hi, lo, family)                                         \
    fg_rest((struct xdp_md *)(env), hi, lo, family)
uint32_t fg_limit(uint64_t hi, uint64_t lo, uint32_t family, uint32_t class, uint64_t now);
#define FG_FILTER_ENV_LIMIT(env, view, seed, now)                                                  \
    ((void)(env), (void)(seed),                                                                    \
     fg_limit((view)->hi, (view)->lo, (view)->family, (view)->class, now))
#define FG_FILTER_ENV_OWN(env, mac, hi, lo)             ((void)(env), fg_is_own(mac, hi, lo))
#define FG_FILTER_ENV_HIT(env, hi, lo, salt, kind, now) fg_hit(hi, lo, salt, kind, now)
#define FG_FILTER_ENV_LISTS(env, hi, lo, family, lengths, now)                                     \
    fg_lists_again(hi, lo, family, lengths, now)

#include "xdp/verdict.h"

__attribute__((noinline)) uint32_t fg_is_own(uint64_t mac, uint64_t hi, uint64_t lo)
{
    return fg_filter_own_has(fg_filter_env_own(NULL), mac, hi, lo);
}

__attribute__((noinline)) uint32_t fg_hit(uint64_t hi, uint64_t lo, uint64_t salt, uint32_t kind,
                                          uint64_t now)
{
    return fg_filter_entry_hit(NULL, hi, lo, salt, kind, now);
}

__attribute__((noinline)) uint32_t fg_lists_again(uint64_t hi, uint64_t lo, uint32_t family,
                                                  uint64_t lengths, uint64_t now)
{
    return fg_filter_lists_slowly(NULL, hi, lo, family, lengths, now);
}

__attribute__((noinline)) uint32_t fg_rest(struct xdp_md *ctx, uint64_t hi, uint64_t lo,
                                           uint32_t family)
{
    const uint8_t *data = (const void *)(long)ctx->data, *end = (const void *)(long)ctx->data_end;

    return fg_filter_rest(NULL, data, end, hi, lo, family);
}

__attribute__((noinline)) uint32_t fg_limit(uint64_t hi, uint64_t lo, uint32_t family,
                                            uint32_t class, uint64_t now)
{
    const struct fg_filter_state *state = fg_filter_env_state(NULL);
    struct fg_filter_view view = {.hi = hi, .lo = lo, .family = family};
    uint64_t checked = class;

    FG_FILTER_OPAQUE(checked);
    if (!state || checked >= FG_FILTER_CLASSES)
        return FG_FILTER_VERDICT_PASS;
    view.class = checked;
    return fg_filter_limit(NULL, &view, state->seed, now);
}

/* Rare, so what it costs does not matter: out of the line of the others. */
static __noinline int sample(struct xdp_md *ctx, uint32_t verdict)
{
    const uint8_t *data = (const void *)(long)ctx->data, *end = (const void *)(long)ctx->data_end;
    struct fg_filter_sample *sample = bpf_ringbuf_reserve(&fg_samples, sizeof(*sample), 0);

    if (!sample) { /* no reader: the oldest are kept */
        fg_filter_env_event(NULL, FG_FILTER_EVENT_SAMPLE_LOST);
        return 0;
    }
    sample->time_ns = bpf_ktime_get_ns();
    sample->verdict = verdict;
    sample->ifindex = ctx->ingress_ifindex;
    sample->length = (uint32_t)(end - data);
    sample->kept = 0;
    for (int i = 0; i < FG_FILTER_SAMPLE_BYTES; i++) {
        if (data + i + 1 > end)
            break;
        sample->bytes[i] = data[i];
        sample->kept = i + 1;
    }
    bpf_ringbuf_submit(sample, 0);
    return 1;
}

static __always_inline void count(struct xdp_md *ctx, enum fg_filter_verdict verdict, uint64_t now)
{
    uint32_t index = verdict;
    struct fg_filter_count *counter = bpf_map_lookup_elem(&fg_counters, &index);

    if (!counter)
        return;
    counter->packets++;
    if (!fg_tune.sample_interval || !FG_FILTER_VERDICT_DROPS(verdict))
        return;
    if (counter->sample_next > now)
        return;
    counter->sample_next = now + fg_tune.sample_interval;
    sample(ctx, verdict);
}

SEC("xdp")
int xsk_def_prog(struct xdp_md *ctx)
{
    const uint8_t *data = (const void *)(long)ctx->data, *end = (const void *)(long)ctx->data_end;
    uint64_t now = FG_NOW;
    bool order;
    /* the context is all that the environment is here */
    enum fg_filter_verdict verdict =
        fg_filter_decide((struct fg_filter_env *)ctx, data, end, now, &order);
    int action = XDP_DROP;

    if (verdict == FG_FILTER_VERDICT_PASS || verdict == FG_FILTER_VERDICT_FOREIGN ||
        (fg_live.monitor && !order)) {
        action = XDP_PASS;
    } else if (order && (verdict == FG_FILTER_VERDICT_ORDER || fg_live.monitor)) {
        action = bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_DROP);
        if (action != XDP_REDIRECT) {
            action = XDP_DROP; /* also when the queue lies beyond the map: XDP_ABORTED */
            if (verdict == FG_FILTER_VERDICT_ORDER)
                verdict = FG_FILTER_VERDICT_NO_SOCKET;
        }
    }
    count(ctx, verdict, now);
    return action;
}

/* Run by fg_filter_check_socket with a queue number as the first word of the "packet"; never
 * attached. */
SEC("xdp")
int fg_probe_socket(struct xdp_md *ctx)
{
    const uint32_t *word = (const void *)(long)ctx->data;
    struct bpf_xdp_sock *sock;
    uint32_t queue;

    if ((const void *)(word + 1) > (const void *)(long)ctx->data_end)
        return FG_FILTER_PROBE_BAD_INPUT;
    queue = *word;
    sock = bpf_map_lookup_elem(&xsks_map, &queue);
    if (!sock)
        return FG_FILTER_PROBE_NONE;
    return sock->queue_id == queue ? FG_FILTER_PROBE_FOUND : FG_FILTER_PROBE_OTHER_QUEUE;
}

/* Run by lib/filter with a "packet" of two words: what both clocks say; never attached. */
SEC("xdp")
int fg_probe_clock(struct xdp_md *ctx)
{
    uint64_t *word = (void *)(long)ctx->data;

    if ((const void *)(word + 2) > (const void *)(long)ctx->data_end)
        return FG_FILTER_PROBE_BAD_INPUT;
    word[0] = FG_NOW;
    word[1] = bpf_ktime_get_ns();
    return FG_FILTER_PROBE_FOUND;
}

char _license[] SEC("license") = "Dual BSD/GPL";
