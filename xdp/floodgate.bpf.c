/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/*
 * The shield: the XDP program in front of everything that enters a port, and a second program that tells
 * user space which socket a queue has (user space cannot read an XSKMAP itself).
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "xdp/shared.h"

const volatile struct fg_tunables fg_tune = {.order_port = 0};

/* The lists grow in user space only, so an entry costs memory only once it is used. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1024); /* set by lib/filter */
    __type(key, struct fg_net);
    __type(value, struct fg_list_value);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} fg_block SEC(".maps"), fg_allow SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, FG_LENGTHS_COUNT);
    __type(key, uint32_t);
    __type(value, struct fg_lengths);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} fg_lengths SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024); /* set by lib/filter */
    __type(key, struct fg_net);
    __type(value, struct fg_source);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} fg_sources SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, FG_VERDICT_COUNT);
    __type(key, uint32_t);
    __type(value, struct fg_count);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} fg_counters SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, FG_SAMPLES_BYTES);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} fg_samples SEC(".maps");

/* One for each interface; lib/filter pins it under the interface's name. libxdp knows it by this name. */
struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, FG_SOCKETS_MAX);
    __type(key, uint32_t);
    __type(value, uint32_t);
} xsks_map SEC(".maps");

/* A variable by this name tells libxdp to put its sockets into xsks_map and to load no program itself. */
__uint(xsk_prog_version, 1) SEC("xdp_metadata");

#define FG_ENV_TUNE fg_tune

static __always_inline const struct fg_lengths *fg_env_lengths(uint32_t index)
{
    return bpf_map_lookup_elem(&fg_lengths, &index);
}

static __always_inline struct fg_list_value *fg_env_list(enum fg_list list, const struct fg_net *net)
{
    if (list == FG_LIST_ALLOW)
        return bpf_map_lookup_elem(&fg_allow, net);
    return bpf_map_lookup_elem(&fg_block, net);
}

static __always_inline struct fg_source *fg_env_source(const struct fg_net *net)
{
    return bpf_map_lookup_elem(&fg_sources, net);
}

static __always_inline void fg_env_source_add(const struct fg_net *net, const struct fg_source *source)
{
    bpf_map_update_elem(&fg_sources, net, source, BPF_NOEXIST);
}

#include "xdp/verdict.h"

/* Rare, so what it costs does not matter: out of the line of the others. */
static __noinline int sample(struct xdp_md *ctx, uint32_t verdict)
{
    const uint8_t *data = (const void *)(long)ctx->data, *end = (const void *)(long)ctx->data_end;
    struct fg_drop_sample *sample = bpf_ringbuf_reserve(&fg_samples, sizeof(*sample), 0);

    if (!sample)
        return 0; /* nobody reads: the oldest are kept */
    sample->time_ns = bpf_ktime_get_ns();
    sample->verdict = verdict;
    sample->ifindex = ctx->ingress_ifindex;
    sample->length = (uint32_t)(end - data);
    sample->kept = 0;
    for (int i = 0; i < FG_SAMPLE_BYTES; i++) {
        if (data + i + 1 > end)
            break;
        sample->bytes[i] = data[i];
        sample->kept = i + 1;
    }
    bpf_ringbuf_submit(sample, 0);
    return 1;
}

static __always_inline void count(struct xdp_md *ctx, enum fg_verdict verdict, uint64_t now)
{
    uint32_t index = verdict;
    struct fg_count *counter = bpf_map_lookup_elem(&fg_counters, &index);

    if (!counter)
        return;
    counter->packets++;
    if (!fg_tune.sample_interval || verdict == FG_VERDICT_ORDER || verdict == FG_VERDICT_PASS)
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
    uint64_t now = bpf_ktime_get_ns() << FG_TICK_SHIFT;
    bool order;
    enum fg_verdict verdict = fg_judge(data, end, now, &order);
    int action = XDP_DROP;

    if (verdict == FG_VERDICT_PASS || (fg_tune.monitor && !order)) {
        action = XDP_PASS;
    } else if (order && (verdict == FG_VERDICT_ORDER || fg_tune.monitor)) {
        action = bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_DROP);
        if (action != XDP_REDIRECT) {
            action = XDP_DROP; /* also when the queue lies beyond the map: XDP_ABORTED */
            if (verdict == FG_VERDICT_ORDER)
                verdict = FG_VERDICT_NO_SOCKET;
        }
    }
    count(ctx, verdict, now);
    return action;
}

/* Run by fg_filter_check_socket with a queue number as the first word of the "packet"; never attached. */
SEC("xdp")
int fg_probe_socket(struct xdp_md *ctx)
{
    const uint32_t *word = (const void *)(long)ctx->data;
    struct bpf_xdp_sock *sock;
    uint32_t queue;

    if ((const void *)(word + 1) > (const void *)(long)ctx->data_end)
        return FG_PROBE_BAD_INPUT;
    queue = *word;
    sock = bpf_map_lookup_elem(&xsks_map, &queue);
    if (!sock)
        return FG_PROBE_NONE;
    return sock->queue_id == queue ? FG_PROBE_FOUND : FG_PROBE_OTHER_QUEUE;
}

char _license[] SEC("license") = "Dual BSD/GPL";
