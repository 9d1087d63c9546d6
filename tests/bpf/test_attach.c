/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attaching, on a veth in a network namespace of this process: native mode, replacement at a
 * restart, foreign programs, detaching; and that libxdp (and so DPDK) puts its sockets into our
 * xsks_map, also after kill -9.
 */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <xdp/xsk.h>

#include "harness.h"

#define OURS   "fgt0.7" /* a dot: bpffs takes none */
#define PEER   "fgt1"
#define FRAMES 64

/* ---- a user of AF_XDP, in a process of its own ----------------------------------------------- */

struct receiver {
    pid_t pid;
    int from, to; /* pipes: it says 'r' when ready, then 'g' for each frame */
};

static void give_frames(struct xsk_ring_prod *fill)
{
    uint32_t at;

    if (xsk_ring_prod__reserve(fill, FRAMES, &at) != FRAMES)
        _exit(3);
    for (uint32_t i = 0; i < FRAMES; i++)
        *xsk_ring_prod__fill_addr(fill, at + i) = (uint64_t)i * XSK_UMEM__DEFAULT_FRAME_SIZE;
    xsk_ring_prod__submit(fill, FRAMES);
}

/*
 * As the PMD does it: no flag that inhibits loading a program, so libxdp has to find and adopt
 * ours. The kernel frees the queue of a killed process a little after it was reaped: busy until
 * then.
 */
static int make_socket(struct xsk_socket **xsk, struct xsk_umem *umem, struct xsk_ring_cons *rx,
                       struct xsk_ring_prod *tx)
{
    const struct xsk_socket_config config = {
        .rx_size = 512, .tx_size = 512, .xdp_flags = XDP_FLAGS_DRV_MODE, .bind_flags = XDP_COPY};
    int failed = -EBUSY;

    for (int tries = 0; failed == -EBUSY && tries < 100; tries++) {
        failed = xsk_socket__create(xsk, OURS, 0, umem, rx, tx, &config);
        if (failed)
            usleep(20000);
    }
    return failed;
}

static void receive(int out, int in)
{
    size_t bytes = (size_t)FRAMES * XSK_UMEM__DEFAULT_FRAME_SIZE;
    void *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct xsk_ring_prod fill, tx;
    struct xsk_ring_cons comp, rx;
    struct xsk_umem *umem;
    struct xsk_socket *xsk;
    struct pollfd fds[2];
    uint32_t at;
    int failed;

    failed = xsk_umem__create(&umem, area, bytes, &fill, &comp, NULL);
    if (!failed)
        failed = make_socket(&xsk, umem, &rx, &tx);
    if (failed) {
        fprintf(stderr, "# libxdp: %s\n", strerror(-failed));
        _exit(2);
    }
    give_frames(&fill);
    fds[0] = (struct pollfd){.fd = xsk_socket__fd(xsk), .events = POLLIN};
    fds[1] = (struct pollfd){.fd = in, .events = POLLIN};
    if (write(out, "r", 1) != 1)
        _exit(3);
    for (;;) {
        poll(fds, 2, -1);
        if (fds[1].revents) { /* told to end in good order: libxdp must not take our program away */
            xsk_socket__delete(xsk);
            _exit(0);
        }
        for (uint32_t n = xsk_ring_cons__peek(&rx, FRAMES, &at); n; n--) {
            xsk_ring_cons__release(&rx, 1);
            if (write(out, "g", 1) != 1)
                _exit(3);
        }
    }
}

static bool receiver_says(const struct receiver *r, char what, int timeout_ms)
{
    struct pollfd fd = {.fd = r->from, .events = POLLIN};
    char got = 0;

    return poll(&fd, 1, timeout_ms) == 1 && read(r->from, &got, 1) == 1 && got == what;
}

static struct receiver receiver_start(void)
{
    struct receiver r = {0};
    int out[2], in[2];

    if (pipe(out) != 0 || pipe(in) != 0)
        _exit(1);
    fflush(stdout);
    r.pid = fork();
    if (r.pid == 0) {
        alarm(60);
        close(out[0]);
        close(in[1]);
        receive(out[1], in[0]);
    }
    close(out[1]);
    close(in[0]);
    r.from = out[0];
    r.to = in[1];
    return r;
}

static void receiver_end(struct receiver *r, bool violently)
{
    if (violently)
        kill(r->pid, SIGKILL);
    close(r->to);
    waitpid(r->pid, NULL, 0);
    close(r->from);
}

/* ---- helpers --------------------------------------------------------------------------------- */

static bool sends_from_peer(const struct frame_spec *spec)
{
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(PEER)};
    struct frame frame;
    bool sent;

    frame_build(spec, &frame);
    sent = sendto(fd, frame.data, frame.len, 0, (struct sockaddr *)&to, sizeof(to)) ==
           (ssize_t)frame.len;
    close(fd);
    return sent;
}

static uint64_t counter(struct fg_filter *filter, enum fg_filter_verdict verdict)
{
    uint64_t counters[FG_FILTER_VERDICT_COUNT];

    fg_filter_counters(filter, counters);
    return counters[verdict];
}

static bool becomes(struct fg_filter *filter, enum fg_filter_verdict verdict, uint64_t value)
{
    for (int i = 0; i < 200 && counter(filter, verdict) < value; i++)
        usleep(10000);
    return counter(filter, verdict) == value;
}

static uint32_t attached_program(uint32_t *mode)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, query);

    if (bpf_xdp_query((int)if_nametoindex(OURS), 0, &query) != 0)
        return 0;
    *mode = query.attach_mode;
    return query.prog_id;
}

static uint32_t link_id(const char *pins)
{
    struct bpf_link_info info = {0};
    uint32_t size = sizeof(info);
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/link-fgt0:7", pins);
    fd = bpf_obj_get(path);
    if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) != 0)
        info.id = 0;
    close(fd);
    return info.id;
}

static void make_veth(void)
{
    if (unshare(CLONE_NEWNET) != 0 ||
        system("ip link add " OURS " type veth peer name " PEER) != 0 ||
        system("ip link set " OURS " up") != 0 || system("ip link set " PEER " up") != 0) {
        ok(false, "a veth in a network namespace: %s", strerror(errno));
        _exit(1);
    }
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void attach_and_replace(struct fg_filter_options *options)
{
    struct fg_filter *filter = must_open(options);
    uint32_t program, mode = 0, link;
    struct fg_error err = {""};

    ok(!fg_filter_attach(filter, "fgtnone", false, NULL, &err), "no such interface: %s", err.text);
    ok(fg_filter_program(filter, OURS) == -1, "no program before");
    ok(fg_filter_attach(filter, OURS, false, NULL, &err), "attach %s", err.text);
    program = attached_program(&mode);
    ok(program && mode == XDP_ATTACHED_DRV, "a program is attached, in native mode");
    link = link_id(options->pins);
    ok(link != 0, "its link is pinned");
    ok(fg_filter_attach(filter, OURS, false, NULL, &err) && attached_program(&mode) != program &&
           link_id(options->pins) == link,
       "attaching again replaces the program of the same link");
    ok(!fg_filter_attach(filter, OURS, true, NULL, &err) && strstr(err.text, "native"),
       "not the mode, though: %s", err.text);
    ok(!fg_filter_check_socket(filter, OURS, 0, &err) && strstr(err.text, "no AF_XDP socket"),
       "no socket yet: %s", err.text);
    ok(!fg_filter_check_socket(filter, OURS, 64, &err), "queue 64: %s", err.text);
    ok(!fg_filter_check_socket(filter, "lo", 0, &err), "interface without a filter: %s", err.text);
    program = attached_program(&mode);
    fg_filter_close(filter);
    ok(attached_program(&mode) == program, "the program stays when the filter is closed");
    filter = must_open(options);
    ok(fg_filter_attach(filter, OURS, false, NULL, &err) && attached_program(&mode) != program &&
           link_id(options->pins) == link,
       "after a restart the program of the same link is replaced %s", err.text);
    fg_filter_close(filter);
}

static void sockets_of_libxdp(const struct fg_filter_options *options)
{
    struct fg_filter *filter = must_open(options);
    struct fg_error err = {""};
    struct receiver r;
    uint64_t orders, orphans;
    uint32_t program, mode = 0;

    ok(fg_filter_attach(filter, OURS, false, NULL, &err), "attach %s", err.text);
    program = attached_program(&mode);
    for (int round = 0; round < 3; round++) { /* killed twice, then ended in good order */
        r = receiver_start();
        ok(receiver_says(&r, 'r', 10000), "round %d: libxdp made a socket", round);
        ok(fg_filter_check_socket(filter, OURS, 0, &err), "round %d: it is in our xsks_map", round);
        ok(attached_program(&mode) == program, "round %d: our program is still the attached one",
           round);
        orders = counter(filter, FG_FILTER_VERDICT_ORDER);
        ok(sends_from_peer(&(struct frame_spec){.kind = FRAME_UDP4}) &&
               receiver_says(&r, 'g', 5000),
           "round %d: an order packet arrives at it", round);
        ok(becomes(filter, FG_FILTER_VERDICT_ORDER, orders + 1), "round %d: and is counted", round);
        receiver_end(&r, round < 2);
        ok(!fg_filter_check_socket(filter, OURS, 0, &err), "round %d: gone with its process",
           round);
        orphans = counter(filter, FG_FILTER_VERDICT_NO_SOCKET);
        ok(sends_from_peer(&(struct frame_spec){.kind = FRAME_UDP6}) &&
               becomes(filter, FG_FILTER_VERDICT_NO_SOCKET, orphans + 1),
           "round %d: orders are dropped and counted meanwhile", round);
    }
    ok(attached_program(&mode) == program, "our program outlives its users");
    fg_filter_close(filter);
}

/* The daemon restarts while another holds the socket: the new program serves the same map. */
static void socket_survives_replacement(const struct fg_filter_options *options)
{
    struct fg_filter *filter = must_open(options);
    struct receiver r = receiver_start();
    struct fg_error err = {""};

    ok(receiver_says(&r, 'r', 10000), "a socket while only the pins are there");
    ok(fg_filter_attach(filter, OURS, false, NULL, &err) &&
           fg_filter_check_socket(filter, OURS, 0, &err),
       "the replaced program has it too %s", err.text);
    ok(sends_from_peer(&(struct frame_spec){.kind = FRAME_UDP4}) && receiver_says(&r, 'g', 5000),
       "and gives it packets");
    receiver_end(&r, true);
    fg_filter_close(filter);
}

static void detach(const struct fg_filter_options *options)
{
    struct fg_filter *filter = must_open(options);
    struct fg_error err = {""};
    uint32_t mode;

    ok(fg_filter_attach(filter, OURS, false, NULL, &err), "attach %s", err.text);
    ok(fg_filter_detach(options->pins, OURS, &err), "detach while a filter holds the link %s",
       err.text);
    ok(attached_program(&mode) == 0 && link_id(options->pins) == 0,
       "nothing is attached, no pin is left");
    ok(!fg_filter_check_socket(filter, OURS, 0, &err) && strstr(err.text, "no longer"),
       "the filter knows: %s", err.text);
    ok(!fg_filter_detach(options->pins, OURS, &err), "detaching twice: %s", err.text);
    ok(fg_filter_attach(filter, OURS, true, NULL, &err) && attached_program(&mode) &&
           mode == XDP_ATTACHED_SKB,
       "attach in generic mode %s", err.text);
    ok(fg_filter_detach(options->pins, OURS, &err), "detach %s", err.text);
    fg_filter_close(filter);
}

/* What is pinned is of another version than the program that is pinned for the interface. */
static void by_hand(const struct fg_filter_options *options)
{
    struct fg_filter *filter = must_open(options);
    struct fg_error err = {""};
    uint32_t mode, zero = 0, value[16] = {4711};
    char path[256], aside[256];
    int other;

    ok(fg_filter_attach(filter, OURS, false, NULL, &err) &&
           fg_filter_detach(options->pins, OURS, &err),
       "attach and detach %s", err.text);
    fg_filter_close(filter);
    snprintf(path, sizeof(path), "%s/fg_state", options->pins);
    snprintf(aside, sizeof(aside), "%s/fg_state_aside", options->pins);
    other = bpf_map_create(BPF_MAP_TYPE_ARRAY, "fg_state", 4, sizeof(value), 1, NULL);
    ok(rename(path, aside) == 0 && bpf_map_update_elem(other, &zero, value, BPF_ANY) == 0 &&
           bpf_obj_pin(other, path) == 0,
       "a state of version 4711 is pinned");
    ok(!fg_filter_attach_again(options->pins, OURS, false, &err) &&
           strstr(err.text, "has other lists than") && !attached_program(&mode),
       "attaching by hand is refused: %s", err.text);
    ok(!fg_filter_open(options, &err) && strstr(err.text, "fg_state: layout of version 4711"),
       "so is a daemon: %s", err.text);
    ok(unlink(path) == 0 && !fg_filter_attach_again(options->pins, OURS, false, &err) &&
           strstr(err.text, "has other lists than"),
       "without a state it is refused, too: %s", err.text);
    ok(rename(aside, path) == 0 && fg_filter_attach_again(options->pins, OURS, false, &err) &&
           attached_program(&mode) && fg_filter_detach(options->pins, OURS, &err),
       "with its own state the program is attached again %s", err.text);
    close(other);
}

static void foreign_program(const struct fg_filter_options *options)
{
    struct fg_filter *filter = must_open(options);
    int ifindex = (int)if_nametoindex(OURS);
    struct fg_error err = {""};
    uint32_t mode;

    ok(bpf_xdp_attach(ifindex, fg_filter_program(filter, NULL), XDP_FLAGS_DRV_MODE, NULL) == 0,
       "another's program");
    ok(!fg_filter_attach(filter, OURS, false, NULL, &err) &&
           strstr(err.text, "another XDP program"),
       "is respected: %s", err.text);
    ok(attached_program(&mode) != 0, "and stays");
    bpf_xdp_detach(ifindex, XDP_FLAGS_DRV_MODE, NULL);
    ok(fg_filter_attach(filter, OURS, false, NULL, &err), "when it is gone, ours attaches %s",
       err.text);
    fg_filter_close(filter);
}

/* The interface is deleted and one of the same name comes: the old pin must not be taken for it. */
static void new_interface(const struct fg_filter_options *options)
{
    struct fg_filter *filter = must_open(options);
    uint32_t before = link_id(options->pins), mode;
    struct fg_error err = {""};

    ok(system("ip link del " OURS) == 0 &&
           system("ip link add " OURS " type veth peer name " PEER) == 0,
       "another interface of the same name");
    ok(fg_filter_attach(filter, OURS, false, NULL, &err) && attached_program(&mode) &&
           link_id(options->pins) != before,
       "gets a link of its own %s", err.text);
    ok(system("ip link del " OURS) == 0 && fg_filter_detach(options->pins, OURS, &err),
       "detaching cleans up after an interface that is gone %s", err.text);
    fg_filter_close(filter);
}

/* The loopback device has no native XDP. */
static void no_native(const struct fg_filter_options *options)
{
    struct fg_filter *filter = must_open(options);
    struct fg_error err = {""};

    ok(!fg_filter_attach(filter, "lo", false, NULL, &err) && strstr(err.text, "native mode"),
       "refused: %s", err.text);
    ok(fg_filter_attach(filter, "lo", true, NULL, &err), "generic mode works %s", err.text);
    ok(fg_filter_detach(options->pins, "lo", &err), "detach %s", err.text);
    fg_filter_close(filter);
}

static void body(const char *pins)
{
    struct fg_filter_options options = plain_options(pins);

    make_veth();
    attach_and_replace(&options);
    sockets_of_libxdp(&options);
    socket_survives_replacement(&options);
    detach(&options);
    by_hand(&options);
    foreign_program(&options);
    new_interface(&options);
    no_native(&options);
}

/* For a guest that takes a second to verify a program: attached, replaced, and frames by AF_XDP. */
static void brief_body(const char *pins)
{
    struct fg_filter_options options = plain_options(pins);

    make_veth();
    attach_and_replace(&options);
    sockets_of_libxdp(&options);
}

/* usage: bpf_attach [brief] */
int main(int argc, char **argv)
{
    return sandbox("attach", argc == 2 && strcmp(argv[1], "brief") == 0 ? brief_body : body);
}
