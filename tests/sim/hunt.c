/* SPDX-License-Identifier: BSD-3-Clause */
#include "hunt.h"

#include <malloc.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Of the processor for one run, so that a loaded machine does not look like a hang; and of the
 * clock.
 */
enum { HANG_SECONDS = 20, SLEEP_SECONDS = 200 };

static struct sim sim;
static struct world_setup setup;
static struct sim_step steps[SIM_STEPS];
static char folder[64]; /* for the journal's real files */
static int failure_fd;  /* what a child wrote to stderr */

/* Of the processor: what runs beside it must not hide a bug. */
static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void play(const struct sim_step *list, unsigned n)
{
    sim_start(&sim, &setup, folder);
    for (unsigned i = 0; i < n; i++)
        sim_apply(&sim, &list[i]);
    sim_liveness(&sim);
    sim_stop(&sim);
}

static void count(struct hunt *h)
{
    h->runs++;
    h->steps += SIM_STEPS;
    h->balances += sim.o.balances;
    h->restarts += sim.o.restarts;
    h->files_read += sim.w.files_read;
    h->fed += sim.w.fed;
    h->took_over += sim.w.took_over;
    h->cut_records += sim.w.cut_records;
    for (unsigned i = 0; i < FG_PACKET_STATUS_COUNT; i++)
        h->statuses[i] += sim.o.statuses[i];
}

/* Ends this process when the run takes longer; 0 = no limit. */
static void limit_run(unsigned seconds)
{
    struct itimerval limit = {.it_value.tv_sec = seconds};

    FG_ASSERT(setitimer(ITIMER_PROF, &limit, NULL) == 0);
    alarm(seconds ? SLEEP_SECONDS : 0);
}

static void run_seeds(struct hunt *h)
{
    static const unsigned cycle[] = {1, 2, 3, 8};
    double start = now();

    while (h->runs < h->runs_max && (h->seconds = now() - start) < h->seconds_max) {
        h->failed_seed = h->first_seed + h->runs;
        h->failed_workers = h->workers ? h->workers : cycle[h->failed_seed % 4];
        sim_draw(h->failed_seed, h->failed_workers, &setup, steps);
        limit_run(HANG_SECONDS);
        play(steps, SIM_STEPS);
        limit_run(0);
        count(h);
    }
}

/* ---- children */

static void read_failure(char *text, size_t size)
{
    ssize_t n = pread(failure_fd, text, size - 1, 0);

    text[n > 0 ? n : 0] = 0;
    text[strcspn(text, "\n")] = 0;
    if (!*text)
        snprintf(text, size, "no message: killed, or no end within %d s", HANG_SECONDS);
}

/* Forks; 0 in the child, which writes its complaints to failure_fd. Else waits: true when it ended
 * well. */
static bool in_child(pid_t *pid)
{
    int status;

    fflush(stdout);
    *pid = fork();
    FG_ASSERT(*pid >= 0);
    if (*pid == 0) {
        FG_ASSERT(ftruncate(failure_fd, 0) == 0 && lseek(failure_fd, 0, SEEK_SET) == 0);
        dup2(failure_fd, STDERR_FILENO);
        return true;
    }
    FG_ASSERT(waitpid(*pid, &status, 0) == *pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool fails_alike(const struct sim_step *list, unsigned n, const char *failure)
{
    char text[sizeof(((struct hunt *)0)->failure)];
    pid_t pid;
    bool ok = in_child(&pid);

    if (pid == 0) {
        limit_run(HANG_SECONDS);
        play(list, n);
        _exit(0);
    }
    if (ok)
        return false;
    read_failure(text, sizeof(text));
    return strcmp(text, failure) == 0;
}

/* Leaves out ever smaller pieces as long as the rest fails in the same way. */
static unsigned shrink(struct sim_step *list, unsigned n, const char *failure, double until)
{
    static struct sim_step rest[SIM_STEPS];

    for (unsigned piece = (n + 1) / 2; piece > 0; piece = piece > 1 ? (piece + 1) / 2 : 0) {
        bool smaller = true;

        while (smaller) {
            smaller = false;
            for (unsigned at = n; at > 0 && now() < until;) {
                unsigned from = at > piece ? at - piece : 0;

                memcpy(rest, list, from * sizeof(*list));
                memcpy(rest + from, list + at, (n - at) * sizeof(*list));
                if (fails_alike(rest, n - (at - from), failure)) {
                    n -= at - from;
                    memcpy(list, rest, n * sizeof(*list));
                    smaller = piece == 1;
                }
                at = from;
            }
        }
    }
    return n;
}

static void print_trace(const struct hunt *h, const struct sim_step *list, unsigned n)
{
    const struct fg_stock_limits *l = &setup.limits;

    printf("# seed %llu workers %u: %s\n", (unsigned long long)h->failed_seed, h->failed_workers,
           h->failure);
    printf("# rings of %u slots, parked_max %u, deferred_max %u, orders_max %u, users_max %u, "
           "unsold_max %u, "
           "user_rate %u\n",
           setup.ring_capacity, l->parked_max, l->deferred_max, l->orders_max, l->users_max,
           l->unsold_max, l->user_rate);
    for (unsigned i = 0; i < n; i++) {
        char text[160];

        sim_describe(&list[i], text, sizeof(text));
        printf("# %4u  %s\n", i + 1, text);
    }
    printf("# then: everything is delivered, written and answered, and what is free is bought\n");
}

static void explain(struct hunt *h)
{
    read_failure(h->failure, sizeof(h->failure));
    h->steps_left = SIM_STEPS;
    if (h->shrink_seconds <= 0)
        return;
    sim_draw(h->failed_seed, h->failed_workers, &setup, steps);
    h->steps_left = shrink(steps, SIM_STEPS, h->failure, now() + h->shrink_seconds);
    print_trace(h, steps, h->steps_left);
}

static void make_folder(void)
{
    bool shm = access("/dev/shm", W_OK) == 0;

    snprintf(folder, sizeof(folder), "%s/fg-sim-XXXXXX", shm ? "/dev/shm" : "/tmp");
    FG_ASSERT(mkdtemp(folder));
    failure_fd = memfd_create("failure", MFD_CLOEXEC);
    FG_ASSERT(failure_fd >= 0);
}

bool hunt(struct hunt *h)
{
    struct hunt *shared =
        mmap(NULL, sizeof(*h), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid;
    bool ok;

    FG_ASSERT(shared != MAP_FAILED);
    mallopt(M_MMAP_THRESHOLD, 1 << 30); /* engines come and go: keep their pages */
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    make_folder();
    *shared = *h;
    ok = in_child(&pid);
    if (pid == 0) {
        run_seeds(shared);
        _exit(0);
    }
    *h = *shared;
    munmap(shared, sizeof(*h));
    h->failed = !ok;
    if (!ok)
        explain(h);
    disk_folder_remove(folder);
    close(failure_fd);
    return ok;
}
