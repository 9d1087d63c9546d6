/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel keeps capabilities for each thread, and offers no call for all of them. So each thread
 * is sent a signal, in whose handler it gives them up itself.
 */
#include "rights/rights.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"

#define WAIT_MS 2000
#define POLL_US 1000

static void drop_of_this_thread(int number)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
    int before = errno;

    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    syscall(SYS_capset, &header, none);
    errno = before;
}

/*
 * Of a thread that ended: none. Nor of the kernel's own, which serve an io_uring (iou-wrk-PID):
 * they never run code of ours, take no signal, and do only what the ring may, which is to write.
 */
static bool has_any(const char *thread, char name[17])
{
    unsigned long long permitted = 0;
    char path[64], line[256], found[17] = "";
    FILE *f;

    snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", thread);
    f = fopen(path, "re");
    if (!f)
        return false;
    while (fgets(line, sizeof(line), f)) {
        if (sscanf(line, "CapPrm: %llx", &permitted) == 1)
            break;
        sscanf(line, "Name: %16s", found);
    }
    fclose(f);
    if (!permitted || strncmp(found, "iou-wrk-", 8) == 0)
        return false;
    memcpy(name, found, sizeof(found));
    return true;
}

/* How many threads have some; asks each of them to give them up. */
static unsigned ask_all(char name[17])
{
    DIR *threads = opendir("/proc/self/task");
    unsigned found = 0;

    if (!threads)
        return 1;
    for (struct dirent *e; (e = readdir(threads));)
        if (e->d_name[0] != '.' && has_any(e->d_name, name)) {
            found++;
            syscall(SYS_tgkill, getpid(), atoi(e->d_name), FG_THREAD_SIGNAL);
        }
    closedir(threads);
    return found;
}

bool fg_rights_drop(struct fg_error *err)
{
    struct sigaction ours = {.sa_handler = drop_of_this_thread, .sa_flags = SA_RESTART}, before;
    uint64_t end_ms = fg_clock_mono_ms() + WAIT_MS;
    char name[17] = "";
    unsigned left;

    drop_of_this_thread(0);
    sigaction(FG_THREAD_SIGNAL, &ours, &before);
    while ((left = ask_all(name)) && fg_clock_mono_ms() < end_ms)
        fg_clock_sleep_us(POLL_US);
    sigaction(FG_THREAD_SIGNAL, &before, NULL);
    return !left || fg_fail(err, "thread %s keeps its capabilities", name);
}
