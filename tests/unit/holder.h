/* SPDX-License-Identifier: BSD-3-Clause */
/* A process that holds a lock until it is killed, and a call that must wait for its end. */
#ifndef FG_TEST_HOLDER_H
#define FG_TEST_HOLDER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"

#define HOLDER_MS 10000

/* `take` locks the path in a process of its own, which keeps it. */
static inline pid_t holder_start(bool (*take)(const char *path), const char *path)
{
    char answer = 0;
    int tube[2];
    pid_t child;

    assert_int_equal(pipe(tube), 0);
    child = fork();
    if (child == 0) {
        bool taken = take(path) && write(tube[1], "y", 1) == 1;

        while (taken)
            pause();
        _exit(1);
    }
    close(tube[1]);
    assert_int_equal(read(tube[0], &answer, 1), 1);
    close(tube[0]);
    return child;
}

static inline void holder_kill(pid_t holder)
{
    kill(holder, SIGKILL);
    assert_int_equal(waitpid(holder, NULL, 0), holder);
}

struct holder_call {
    bool (*call)(const char *path, struct fg_error *err);
    const char *path;
    struct fg_error *err;
    _Atomic pid_t thread;
    _Atomic bool over;
    bool result;
};

static inline void *holder_run(void *arg)
{
    struct holder_call *c = arg;

    atomic_store(&c->thread, (pid_t)syscall(SYS_gettid));
    c->result = c->call(c->path, c->err);
    atomic_store(&c->over, true);
    return NULL;
}

static inline bool holder_sleeps(pid_t thread)
{
    char path[64], state = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)thread);
    f = fopen(path, "re");
    if (f && fscanf(f, "%*d %*[^)]) %c", &state) != 1)
        state = 0;
    if (f)
        fclose(f);
    return state == 'S';
}

/* The result of a call during which the holder is killed, once the call sleeps or is over. */
static inline bool holder_outlived(pid_t holder,
                                   bool (*call)(const char *path, struct fg_error *err),
                                   const char *path, struct fg_error *err)
{
    struct holder_call c = {.call = call, .path = path, .err = err};
    uint64_t end_ms = fg_clock_mono_ms() + HOLDER_MS;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, holder_run, &c), 0);
    while (!atomic_load(&c.over) &&
           !(atomic_load(&c.thread) && holder_sleeps(atomic_load(&c.thread))) &&
           fg_clock_mono_ms() < end_ms)
        ;
    holder_kill(holder);
    pthread_join(thread, NULL);
    return c.result;
}

#endif
