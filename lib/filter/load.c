/* SPDX-License-Identifier: BSD-3-Clause */
#include "filter/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "filter/pins.h"
#include "filter/skeleton.h"

/* ---- what libbpf and the verifier say, as one line ------------------------------------------- */

static struct {
    char cause[160];  /* first warning */
    char detail[200]; /* last line of the verifier's log */
} said;

static bool is_noise(const char *line)
{
    return !*line || strstr(line, "-- END") || strstr(line, "-- BEGIN") ||
           strncmp(line, "processed ", 10) == 0 || strncmp(line, "verification time", 17) == 0 ||
           strncmp(line, "stack depth", 11) == 0;
}

static void keep_last_line(char *log)
{
    for (char *save = NULL, *line = strtok_r(log, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save))
        if (!is_noise(line))
            snprintf(said.detail, sizeof(said.detail), "%s", line);
}

static int listen_to_libbpf(enum libbpf_print_level level, const char *fmt, va_list args)
{
    char *text;

    if (level != LIBBPF_WARN || vasprintf(&text, fmt, args) < 0)
        return 0;
    if (strstr(text, "-- BEGIN PROG LOAD LOG --"))
        keep_last_line(text);
    else if (!said.cause[0])
        snprintf(said.cause, sizeof(said.cause), "%.*s", (int)strcspn(text, "\n"),
                 strncmp(text, "libbpf: ", 8) == 0 ? text + 8 : text);
    free(text);
    return 0;
}

static libbpf_print_fn_t listen_start(void)
{
    memset(&said, 0, sizeof(said));
    return libbpf_set_print(listen_to_libbpf);
}

static bool load_failed(const struct fg_filter *filter, const char *what, int code,
                        struct fg_error *err)
{
    const char *hint = "";

    if (code == EPERM || code == EACCES)
        hint = filter->memlock_failed ? " (needs root; RLIMIT_MEMLOCK could not be raised either)"
                                      : " (needs root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON)";
    return fg_fail(err, "cannot %s the XDP program: %s%s%s%s%s%s", what, strerror(code), hint,
                   said.cause[0] ? "; libbpf: " : "", said.cause,
                   said.detail[0] ? "; verifier: " : "", said.detail);
}

/* ---- the parameters of the program ----------------------------------------------------------- */

/* An even number of ticks to each packet, so a window is a whole number of packets. */
static struct fg_filter_rate make_rate(uint32_t rate, uint32_t burst, uint32_t factor)
{
    struct fg_filter_rate made = {0};

    if (rate && factor) {
        made.interval = FG_FILTER_TICKS_SECOND / ((uint64_t)rate * factor);
        made.window = made.interval * burst * factor;
    }
    return made;
}

/* A source that is forgotten must have full buckets: the longest of them says how long it has to be
 * quiet. */
static uint32_t idle_units(const struct fg_filter_live *live, uint64_t least_s, uint64_t most_s)
{
    uint64_t ticks = least_s * FG_FILTER_TICKS_SECOND;

    for (unsigned i = 0; i < FG_FILTER_CLASSES; i++)
        if (live->source[i].window > ticks)
            ticks = live->source[i].window;
    if (ticks > most_s * FG_FILTER_TICKS_SECOND)
        ticks = most_s * FG_FILTER_TICKS_SECOND;
    return (uint32_t)(ticks >> FG_FILTER_SEEN_SHIFT) + 1;
}

void fg_filter_live_of(const struct fg_filter_options *o, struct fg_filter_live *live)
{
    const uint32_t rates[FG_FILTER_CLASSES][2] = {
        [FG_FILTER_CLASS_ORDER] = {o->order_rate, o->order_burst},
        [FG_FILTER_CLASS_SYN] = {o->syn_rate, o->syn_burst},
        [FG_FILTER_CLASS_OTHER] = {o->other_rate, o->other_burst}};

    memset(live, 0, sizeof(*live));
    for (unsigned i = 0; i < FG_FILTER_CLASSES; i++) {
        live->source[i] = make_rate(rates[i][0], rates[i][1], 1);
        live->net[i] = make_rate(rates[i][0], rates[i][1], o->net_factor);
    }
    live->idle_new = idle_units(live, 1, 60);
    live->idle_known = idle_units(live, 60, 60);
    live->monitor = o->monitor;
}

void fg_filter_tunables_of(const struct fg_filter_options *o, const struct fg_filter_sizes *sizes,
                           struct fg_filter_tunables *tune)
{
    struct timespec tick = {0, 4000000};

    memset(tune, 0, sizeof(*tune));
    clock_getres(CLOCK_MONOTONIC_COARSE, &tick); /* one jiffy */
    tune->jiffy_ticks = (uint64_t)tick.tv_nsec << FG_FILTER_TICK_SHIFT;
    tune->v6_mask = UINT64_MAX << (64 - o->v6_prefix);
    tune->sample_interval = o->sample_rate ? FG_FILTER_TICKS_SECOND / o->sample_rate : 0;
    tune->sets_mask = sizes->sets - 1;
    tune->nets_mask = sizes->nets - 1;
    tune->order_port = htons(o->order_port);
    tune->order_more = o->order_ports > 1 ? (uint16_t)(o->order_ports - 1) : 0;
    tune->ignore_lists = o->ignore_lists;
}

static bool set_parameters(struct fg_filter *filter, struct fg_bpf *bpf, const char *ifname,
                           struct fg_error *err)
{
    char path[FG_FILTER_PATH_MAX];

    bpf->rodata->fg_tune = filter->tune;
    bpf->bss->fg_live = filter->live;
    if (bpf_map__set_max_entries(bpf->maps.fg_lists, filter->sizes.rows) != 0 ||
        bpf_map__set_max_entries(bpf->maps.fg_sources, filter->sizes.sets) != 0 ||
        bpf_map__set_max_entries(bpf->maps.fg_nets, filter->sizes.nets) != 0)
        return fg_fail(err, "cannot set the sizes of the maps: %s", strerror(errno));
    if (ifname) {
        fg_filter_pins_name(path, sizeof(path), filter->pins, "xsks", ifname);
        if (bpf_map__set_pin_path(bpf->maps.xsks_map, path) != 0)
            return fg_fail(err, "cannot pin %s: %s", path, strerror(errno));
    }
    return fg_filter_pins_match(bpf->obj, err);
}

/* ---- load ------------------------------------------------------------------------------------ */

/* The bytes of another build of the program; NULL and errno. */
static void *map_file(const char *path, size_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *bytes = MAP_FAILED;
    struct stat st;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0) {
        *size = (size_t)st.st_size;
        bytes = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    close(fd);
    return bytes == MAP_FAILED ? NULL : bytes;
}

/* 0, or a negative error. libbpf copies what it needs of the bytes. */
static int open_object(struct fg_filter *filter, struct fg_bpf *bpf)
{
    LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = filter->pins);
    const char *path = filter->options.object;
    size_t size = 0;
    void *bytes = path ? map_file(path, &size) : NULL;
    int failed = path && !bytes ? -errno : fg_bpf__create_skeleton(bpf);

    if (!failed && bytes) {
        bpf->skeleton->data = bytes;
        bpf->skeleton->data_sz = size;
    }
    if (!failed)
        failed = bpf_object__open_skeleton(bpf->skeleton, &opts);
    if (bytes)
        munmap(bytes, size);
    return failed;
}

static bool open_and_load(struct fg_filter *filter, struct fg_bpf *bpf, const char *ifname,
                          struct fg_error *err)
{
    int failed = open_object(filter, bpf);

    if (failed == -ESRCH) /* a map or a program of the skeleton is missing */
        return fg_fail(err, "%s: not an XDP program of this version of Floodgate: %s",
                       filter->options.object ? filter->options.object : "the XDP program built in",
                       said.cause);
    if (failed)
        return load_failed(filter, "read", -failed, err);
    if (!set_parameters(filter, bpf, ifname, err))
        return false;
    failed = fg_bpf__load(bpf);
    return !failed || load_failed(filter, "load", -failed, err);
}

struct fg_bpf *fg_filter_load_object(struct fg_filter *filter, const char *ifname,
                                     struct fg_error *err)
{
    libbpf_print_fn_t before = listen_start();
    struct fg_bpf *bpf = calloc(1, sizeof(*bpf));
    bool ready =
        bpf ? open_and_load(filter, bpf, ifname, err) : fg_fail(err, "filter: out of memory");

    libbpf_set_print(before);
    if (ready)
        return bpf;
    fg_bpf__destroy(bpf);
    return NULL;
}

void fg_filter_unload_object(struct fg_bpf *bpf)
{
    fg_bpf__destroy(bpf);
}
