/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of fgctl share: a run of the built program, what it printed, its exit code. */
#ifndef FG_TEST_FGCTL_RUN_H
#define FG_TEST_FGCTL_RUN_H

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control_double.h"

static struct fg_fixture fx;
static char out[1 << 20], err[1 << 16]; /* what the last run printed */

static inline int start(void **state)
{
    fg_fixture_start(&fx, false);
    return 0;
}

static inline int start_filter(void **state)
{
    fg_fixture_start(&fx, true);
    return 0;
}

static inline int stop(void **state)
{
    fg_fixture_stop(&fx);
    return 0;
}

static inline void file_path(char path[128], const char *name)
{
    snprintf(path, 128, "%s/%s", fx.folder, name);
}

static inline void read_back(const char *name, char *text, size_t size)
{
    char path[128];
    FILE *file;
    size_t n;

    file_path(path, name);
    file = fopen(path, "r");
    assert_non_null(file);
    n = fread(text, 1, size - 1, file);
    text[n] = 0;
    fclose(file);
}

static inline const char *program(void)
{
    const char *path = getenv("FG_FGCTL");

    if (!path)
        fail_msg("FG_FGCTL must name the built fgctl; `meson test` sets it");
    return path;
}

/* Starts `words` (split at blanks; '~' stands for a blank inside a word) with output into files. */
static inline pid_t spawn(const char *words)
{
    char copy[1024], path[2][128], *argv[64] = {(char *)program()}, *rest;
    int argc = 1, fd[2];
    pid_t pid;

    snprintf(copy, sizeof(copy), "%s", words);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        for (char *p = word; *p; p++)
            *p = *p == '~' ? ' ' : *p;
        argv[argc++] = word;
    }
    file_path(path[0], "out");
    file_path(path[1], "err");
    for (int i = 0; i < 2; i++) {
        fd[i] = open(path[i], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd[i] >= 0);
    }
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setenv("FLOODGATE_SOCKET", fx.socket, 1);
        for (int i = 0; i < 2; i++)
            dup2(fd[i], i + 1);
        execv(argv[0], argv);
        _exit(127);
    }
    close(fd[0]);
    close(fd[1]);
    return pid;
}

static inline int finish(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    read_back("out", out, sizeof(out));
    read_back("err", err, sizeof(err));
    if (!WIFEXITED(status))
        fail_msg("fgctl died of signal %d: %s", WTERMSIG(status), err);
    return WEXITSTATUS(status);
}

static inline void run(int expected, const char *words)
{
    int code = finish(spawn(words));

    if (code != expected)
        fail_msg("fgctl %s: exit code %d, not %d\n%s%s", words, code, expected, out, err);
}

static inline void says(const char *where, const char *what)
{
    if (!strstr(where, what))
        fail_msg("\"%s\" is not in: %s%s", what, out, err);
}

static inline void fails(int code, const char *words, const char *message)
{
    run(code, words);
    says(err, message);
}

static inline json_t *run_json(const char *words)
{
    json_t *json;

    run(0, words);
    json = json_loads(out, 0, NULL);
    if (!json)
        fail_msg("fgctl %s: no JSON: %s", words, out);
    return json;
}

static inline long long number(const json_t *json, const char *key)
{
    return json_integer_value(json_object_get(json, key));
}

static inline void write_file(const char *name, const char *text)
{
    char path[128];
    FILE *file;

    file_path(path, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    fclose(file);
}

/* `%s` in the words is the path of the file. */
static inline void words_with_file(char words[512], const char *format, const char *name)
{
    char path[128];

    file_path(path, name);
    snprintf(words, 512, format, path);
}

#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)

#endif
