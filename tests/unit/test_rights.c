/* SPDX-License-Identifier: BSD-3-Clause */
/* What lib/rights takes away, from every thread. Each test is a process of its own: rights do not
 * come back. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <liburing.h>

#include "base/clock.h"
#include "base/thread.h"
#include "rights/rights.h"

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: %s, errno %d\n", __FILE__, __LINE__, #what, errno);            \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)
#define SKIPPED       77
#define REFUSED(call) ((call) == -1 && errno == EPERM)

static _Atomic int stage; /* 0: wait; 1: try; 2: tried */
static _Atomic unsigned long long seen_caps;
static _Atomic bool try_filter, seen_filter;

/* Capabilities that this thread may use. */
static unsigned long long caps_of_this_thread(void)
{
    unsigned long long caps = ~0ull;
    char line[256];
    FILE *f = fopen("/proc/thread-self/status", "re");

    CHECK(f);
    while (fgets(line, sizeof(line), f) && sscanf(line, "CapEff: %llx", &caps) != 1)
        ;
    fclose(f);
    return caps;
}

static bool is_filtered(void)
{
    union bpf_attr attr = {0};
    char *const argv[] = {(char *)"true", NULL};

    return REFUSED(execve("/bin/true", argv, NULL)) && REFUSED(ptrace(PTRACE_TRACEME, 0, 0, 0)) &&
           REFUSED(fork()) && REFUSED(socket(AF_PACKET, SOCK_RAW, 0)) &&
           REFUSED(syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr))) &&
           REFUSED(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr))) &&
           REFUSED(syscall(SYS_mount, "a", "/", "tmpfs", 0, NULL)) && REFUSED(setuid(0)) &&
           REFUSED(syscall(SYS_unshare, 0)) && REFUSED(syscall(SYS_init_module, NULL, 0, ""));
}

static void *bystander(void *unused)
{
    while (stage == 0)
        fg_clock_sleep_us(1000);
    seen_caps = caps_of_this_thread();
    if (try_filter) /* unfiltered, it would become another program */
        seen_filter = is_filtered();
    stage = 2;
    return unused;
}

/* Runs in a process of its own; its exit code. */
static int in_child(void (*body)(void))
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        body();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void drop(void)
{
    struct fg_error err = {""};
    pthread_t before, after;

    CHECK(fg_thread_start(&before, "before", bystander, NULL));
    CHECK(caps_of_this_thread() != 0);
    CHECK(fg_rights_drop(&err));
    CHECK(caps_of_this_thread() == 0);
    stage = 1;
    pthread_join(before, NULL);
    CHECK(seen_caps == 0);
    stage = 1;
    seen_caps = ~0ull;
    CHECK(fg_thread_start(&after, "after", bystander, NULL));
    pthread_join(after, NULL);
    CHECK(seen_caps == 0);
}

static void every_thread_loses_its_capabilities(void **state)
{
    if (geteuid() != 0)
        skip();
    assert_int_equal(in_child(drop), 0);
}

static void *deaf(void *unused)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    stage = 1;
    for (;;)
        pause();
    return unused;
}

static void drop_with_a_deaf_thread(void)
{
    struct fg_error err = {""};
    pthread_t thread;

    CHECK(fg_thread_start(&thread, "deaf", deaf, NULL));
    while (stage == 0)
        fg_clock_sleep_us(1000);
    CHECK(!fg_rights_drop(&err) && strstr(err.text, "deaf keeps"));
}

static void a_thread_that_keeps_them_is_named(void **state)
{
    if (geteuid() != 0)
        skip();
    assert_int_equal(in_child(drop_with_a_deaf_thread), 0);
}

/* Threads of the kernel that serve a ring: they stay for seconds, and take no signal. */
static void drop_beside_a_ring(void)
{
    struct fg_error err = {""};
    struct io_uring_cqe *cqe;
    struct io_uring_sqe *sqe;
    struct io_uring ring;

    if (io_uring_queue_init(4, &ring, 0) < 0)
        _exit(SKIPPED);
    sqe = io_uring_get_sqe(&ring);
    io_uring_prep_nop(sqe);
    sqe->flags |= IOSQE_ASYNC;
    CHECK(io_uring_submit(&ring) == 1 && io_uring_wait_cqe(&ring, &cqe) == 0);
    CHECK(fg_rights_drop(&err));
}

static void threads_of_a_ring_are_the_kernels(void **state)
{
    int code;

    if (geteuid() != 0)
        skip();
    code = in_child(drop_beside_a_ring);
    if (WEXITSTATUS(code) == SKIPPED)
        skip();
    assert_int_equal(code, 0);
}

static void work_under_the_filter(void)
{
    struct fg_error err = {""};
    pthread_t before;
    int fd;

    CHECK(fg_thread_start(&before, "before", bystander, NULL));
    CHECK(fg_rights_filter(&err));
    try_filter = true;
    CHECK(is_filtered());
    stage = 1;
    pthread_join(before, NULL); /* it began before, and is filtered */
    CHECK(seen_filter);
    stage = 1;
    CHECK(fg_thread_start(&before, "after", bystander, NULL)); /* threads still begin */
    pthread_join(before, NULL);
    CHECK(seen_filter);
    CHECK((fd = socket(AF_INET, SOCK_STREAM, 0)) >= 0 && close(fd) == 0);
    CHECK((fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)) >= 0);
    CHECK(write(fd, "x", 1) == 1 && fdatasync(fd) == 0 && close(fd) == 0);
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
}

static void the_filter_holds_for_every_thread_and_lets_an_appliance_work(void **state)
{
    assert_int_equal(in_child(work_under_the_filter), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_thread_loses_its_capabilities),
        cmocka_unit_test(a_thread_that_keeps_them_is_named),
        cmocka_unit_test(threads_of_a_ring_are_the_kernels),
        cmocka_unit_test(the_filter_holds_for_every_thread_and_lets_an_appliance_work),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
