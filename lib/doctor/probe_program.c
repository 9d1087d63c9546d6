/* SPDX-License-Identifier: BSD-3-Clause */
/* Facts of programs and libraries: DPDK's version, and what `floodgate --check` says. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doctor/probe.h"

#define DAEMON      "floodgate"
#define DAEMON_PATH "/usr/sbin/floodgate" /* which a user's PATH may lack */

/* DPDK's ABI has the number of its year until November, when the next one begins. */
static unsigned abi_of(const char *version)
{
    unsigned year = 0, month = 0;

    sscanf(version, "%u.%u", &year, &month);
    return year + (month >= 11);
}

bool fg_doctor_probe_dpdk(struct fg_doctor_dpdk *dpdk, struct fg_error *err)
{
    const char *(*version)(void);
    char name[64];
    void *eal;

    *dpdk = (struct fg_doctor_dpdk){.built = FG_DPDK_VERSION, .abi = abi_of(FG_DPDK_VERSION)};
    snprintf(name, sizeof(name), "librte_eal.so.%u", dpdk->abi);
    eal = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
    if (!eal)
        return fg_fail(err, "%s", dlerror());
    *(void **)&version = dlsym(eal, "rte_version");
    if (version)
        sscanf(version(), "DPDK %31s", dpdk->found);
    dlclose(eal);
    return dpdk->found[0] || fg_fail(err, "%s does not say its version", name);
}

/* ---- floodgate --check ----------------------------------------------------------------------- */

static bool spawn(const char *config, int errors, pid_t *pid, struct fg_error *err)
{
    char *argv[] = {DAEMON, "--check", (char *)(uintptr_t)config, NULL};
    posix_spawn_file_actions_t actions;
    int error;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
    error = posix_spawnp(pid, DAEMON, &actions, NULL, argv, environ);
    if (error == ENOENT)
        error = posix_spawn(pid, DAEMON_PATH, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return !error || fg_fail(err, "%s: %s", DAEMON_PATH, strerror(error));
}

/* The first line that is no warning; all are read, so that the program does not wait for us. */
static void read_reason(int fd, struct fg_error *why)
{
    FILE *file = fdopen(fd, "r");
    char line[sizeof(why->text)];

    while (file && fgets(line, sizeof(line), file))
        if (!why->text[0] && !strstr(line, ": warning: "))
            fg_fail(why, "%.*s", (int)strcspn(line, "\n"), line);
    if (file)
        fclose(file);
    else
        close(fd);
}

bool fg_doctor_probe_refuses(const char *config, bool *refuses, struct fg_error *why)
{
    int ends[2], status = 0;
    pid_t pid;
    bool runs;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return fg_fail(why, "pipe: %s", strerror(errno));
    runs = spawn(config, ends[1], &pid, why);
    close(ends[1]);
    if (!runs) {
        close(ends[0]);
        return false;
    }
    read_reason(ends[0], why);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    *refuses = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    if (*refuses && !why->text[0])
        fg_fail(why, "floodgate --check ended with status %d", status);
    return true;
}
