/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench_sync: what one write and fdatasync takes, asked for as often as somebody says, by a thread
 * of the kind that writes the log: real-time priority (the least), fine timers, a file whose room
 * was written before.
 *
 *   bench_sync FILE BYTES A_SECOND SECONDS [usual]
 *
 * usual: without the priority. JSON on standard output; times in us, each from when it was due.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define ROOM        (16u << 20)
#define SAMPLES_MAX (1u << 20)
#define SECOND      1000000000ull

static double samples[SAMPLES_MAX];
static char zeros[1u << 20];

static __attribute__((noreturn)) void die(const char *what)
{
    fprintf(stderr, "bench_sync: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
    const struct timespec until = {.tv_sec = (time_t)(ns / SECOND), .tv_nsec = (long)(ns % SECOND)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

static int open_room(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        die(path);
    for (uint32_t at = 0; at < ROOM; at += sizeof(zeros))
        if (pwrite(fd, zeros, sizeof(zeros), at) != (ssize_t)sizeof(zeros))
            die(path);
    if (fsync(fd))
        die(path);
    return fd;
}

static void hurry(void)
{
    const struct sched_param param = {.sched_priority = 1};

    if (sched_setscheduler(0, SCHED_RR, &param))
        setpriority(PRIO_PROCESS, 0, -10);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    bool usual = argc == 6 && !strcmp(argv[5], "usual"), given = argc == 5 || usual;
    uint64_t bytes = given ? strtoull(argv[2], NULL, 10) : 0,
             rate = given ? strtoull(argv[3], NULL, 10) : 0;
    uint64_t seconds = given ? strtoull(argv[4], NULL, 10) : 0, due, end;
    uint32_t n = 0;
    int fd;

    if (bytes < 1 || bytes > sizeof(zeros) || rate < 1 || rate > 1000000 || seconds < 1 ||
        seconds > 600) {
        fprintf(
            stderr,
            "usage: bench_sync FILE BYTES(1-1048576) A_SECOND(1-1000000) SECONDS(1-600) [usual]\n");
        return 2;
    }
    fd = open_room(argv[1]);
    prctl(PR_SET_TIMERSLACK, 1000ul);
    if (!usual)
        hurry();
    due = now_ns();
    for (end = due + seconds * SECOND; due < end && now_ns() < end && n < SAMPLES_MAX;
         due += SECOND / rate) {
        sleep_until(due);
        if (pwrite(fd, zeros, bytes, (off_t)((n * bytes) % (ROOM - bytes))) != (ssize_t)bytes ||
            fdatasync(fd))
            die(argv[1]);
        samples[n++] = (double)(now_ns() - due) / 1000;
    }
    qsort(samples, n, sizeof(*samples), compare);
    printf("{\"count\": %u, \"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}\n", n, samples[n / 2],
           samples[n - 1 - n / 100], samples[n - 1]);
    return 0;
}
