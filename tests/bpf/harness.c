/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <linux/if_xdp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

static unsigned tests_run, tests_failed;

bool ok(bool cond, const char *fmt, ...)
{
    va_list args;

    tests_run++;
    tests_failed += !cond;
    printf("%sok %u - ", cond ? "" : "not ", tests_run);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
    return cond;
}

void note(const char *fmt, ...)
{
    va_list args;

    printf("# ");
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
}

/* ---- sandbox --------------------------------------------------------------------------------- */

static const char *why_not(void)
{
    int map;

    if (geteuid() != 0)
        return "not root";
    map = bpf_map_create(BPF_MAP_TYPE_ARRAY, NULL, 4, 4, 1, NULL);
    if (map < 0)
        return errno == ENOSYS ? "this kernel has no BPF" : "BPF is not permitted here";
    close(map);
    return NULL;
}

static void remove_folder(const char *path)
{
    DIR *dir = opendir(path);
    char name[512];

    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        snprintf(name, sizeof(name), "%s/%.200s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            unlink(name) != 0)
            rmdir(name);
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

/* A guest without KVM takes more time: FG_SECONDS. */
static unsigned seconds_max(void)
{
    const char *text = getenv("FG_SECONDS");

    return text ? (unsigned)atoi(text) : 100;
}

int sandbox(const char *name, void (*body)(const char *pins))
{
    const char *reason = why_not();
    char pins[128];
    int status = 0;
    pid_t child;

    if (reason) {
        printf("1..0 # SKIP %s\n", reason);
        return SKIP_STATUS;
    }
    snprintf(pins, sizeof(pins), "/sys/fs/bpf/fgtest-%s-%d", name, (int)getpid());
    fflush(stdout);
    child = fork();
    if (child == 0) {
        alarm(seconds_max());
        body(pins);
        printf("1..%u\n", tests_run);
        fflush(stdout);
        _exit(tests_failed ? 1 : 0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 1;
    remove_folder(pins);
    if (!WIFEXITED(status))
        printf("Bail out! ended by signal %d\n", WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* ---- filter ---------------------------------------------------------------------------------- */

struct fg_filter_options plain_options(const char *pins)
{
    return (struct fg_filter_options){.pins = pins,
                                      .object = pins ? getenv("FG_OBJECT") : NULL,
                                      .order_port = TEST_ORDER_PORT,
                                      .sources_max = 1024,
                                      .prefixes_max = 64,
                                      .v6_prefix = 56};
}

struct fg_filter *must_open(const struct fg_filter_options *options)
{
    struct fg_error err = {""};
    struct fg_filter *filter = fg_filter_open(options, &err);

    if (!filter) {
        ok(false, "open the filter: %s", err.text);
        _exit(1);
    }
    return filter;
}

struct fg_filter_prefix must_parse(const char *text)
{
    struct fg_filter_prefix prefix;
    struct fg_error err;

    if (!fg_filter_prefix_parse(text, &prefix, &err)) {
        ok(false, "%s", err.text);
        _exit(1);
    }
    return prefix;
}

struct hits_wanted {
    const struct fg_filter_prefix *prefix;
    uint64_t hits;
};

static bool take_hits(void *ctx, const struct fg_filter_prefix *prefix,
                      const struct fg_filter_list_entry *entry)
{
    struct hits_wanted *wanted = ctx;

    if (memcmp(prefix, wanted->prefix, sizeof(*prefix)) == 0)
        wanted->hits = entry->hits;
    return true;
}

uint64_t hits_of(struct fg_filter *filter, enum fg_filter_list list,
                 const struct fg_filter_prefix *prefix)
{
    struct hits_wanted wanted = {.prefix = prefix};

    fg_filter_each(filter, list, take_hits, &wanted);
    return wanted.hits;
}

/* ---- program --------------------------------------------------------------------------------- */

int run_program(int program, const struct frame *frame, int repeat)
{
    LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame->data, .data_size_in = frame->len,
                .repeat = repeat);

    return bpf_prog_test_run_opts(program, &run) == 0 ? (int)run.retval : -1;
}

int verdict_of(struct fg_filter *filter, const char *src)
{
    struct frame frame;

    frame_build(&(struct frame_spec){.kind = strchr(src, ':') ? FRAME_UDP6 : FRAME_UDP4,
                                     .src = src,
                                     .proto = 6},
                &frame);
    return run_program(fg_filter_program(filter, NULL), &frame, 1);
}

int action_of(enum fg_filter_verdict verdict)
{
    if (verdict == FG_FILTER_VERDICT_PASS || verdict == FG_FILTER_VERDICT_FOREIGN)
        return XDP_PASS;
    return verdict == FG_FILTER_VERDICT_ORDER ? XDP_REDIRECT : XDP_DROP;
}

int counter_moved(const uint64_t before[], const uint64_t after[])
{
    int which = -1;
    uint64_t sum = 0;

    for (int i = 0; i < FG_FILTER_VERDICT_COUNT; i++) {
        sum += after[i] - before[i];
        if (after[i] != before[i])
            which = i;
    }
    return sum == 1 ? which : -1;
}

int map_of_program(int program, const char *name)
{
    uint32_t ids[16], size = sizeof(struct bpf_prog_info);
    struct bpf_prog_info info = {.nr_map_ids = 16, .map_ids = (uintptr_t)ids};

    if (bpf_obj_get_info_by_fd(program, &info, &size) != 0)
        return -1;
    for (uint32_t i = 0; i < info.nr_map_ids && i < 16; i++) {
        struct bpf_map_info map = {0};
        int fd = bpf_map_get_fd_by_id(ids[i]);

        size = sizeof(map);
        if (bpf_obj_get_info_by_fd(fd, &map, &size) == 0 && strcmp(map.name, name) == 0)
            return fd;
        close(fd);
    }
    return -1;
}

int place_socket(int program, uint32_t queue)
{
    int map = map_of_program(program, "xsks_map"), fd = socket(AF_XDP, SOCK_RAW, 0), entries = 8;
    bool placed = fd >= 0 && setsockopt(fd, SOL_XDP, XDP_RX_RING, &entries, sizeof(entries)) == 0 &&
                  bpf_map_update_elem(map, &queue, &fd, 0) == 0;

    close(map);
    if (!placed && fd >= 0)
        close(fd);
    return placed ? fd : -1;
}
