/* SPDX-License-Identifier: BSD-3-Clause */
/* floodgate: the daemon. Options, signals, and the main thread's watch. */
#include "daemon.h"

#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/notify.h"
#include "base/thread.h"
#include "doctor/start.h"

#define CONFIG_PATH "/etc/floodgate/floodgate.conf"
#define WATCH_MS    100

static volatile sig_atomic_t stop_asked, reload_asked;

/* The second request to stop is obeyed at once: the log is consistent at every moment. */
static void on_signal(int number)
{
    if (number == SIGHUP)
        reload_asked = 1;
    else if (stop_asked)
        _exit(1);
    else
        stop_asked = 1;
}

static void our_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

/* Only the main thread takes them: the others are born while they are blocked. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t set;

    our_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a write beyond the limit fails with EFBIG: the log is full */
}

static void let_signals_in(void)
{
    sigset_t set;

    our_signals(&set);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void reload(struct fg_daemon *d)
{
    struct fg_error err;

    reload_asked = 0;
    if (!fg_worker_keys_load(&d->keys, d->config.orders.keys, &d->workers, &err))
        fg_diag(FG_DIAG_ERROR, "keys not reloaded, the old ones stay in force: %s", err.text);
    fg_paired_keys_changed(d);
}

static void watch(struct fg_daemon *d)
{
    struct pollfd pair = {.fd = d->pair.event_fd, .events = POLLIN}; /* -1: only time passes */

    while (!stop_asked) {
        poll(&pair, 1, WATCH_MS);
        fg_paired_poll(d);
        if (reload_asked)
            reload(d);
        fg_supervise(d);
    }
}

static void log_finding(void *ctx, bool warning, const char *text)
{
    fg_diag(warning ? FG_DIAG_WARNING : FG_DIAG_ERROR, "%s", text);
}

static int serve(const char *path, const char *program, bool new_log)
{
    struct fg_daemon *d = calloc(1, sizeof(*d));
    struct fg_error err = {0};
    bool ok;

    FG_ASSERT(d);
    if (!fg_config_load(&d->config, path, &err)) {
        fg_diag(FG_DIAG_ERROR, "%s", err.text);
        return 1;
    }
    d->new_log = new_log;
    if (fg_doctor_start_check(&d->config, true, new_log || fg_paired_begins(&d->config),
                              log_finding, NULL))
        return 1;
    catch_signals();
    fg_diag(FG_DIAG_INFO, "floodgate %s starts with %s", FG_VERSION, path);
    ok = fg_daemon_start(d, program, &err);
    let_signals_in();
    if (ok) {
        fg_notify("READY=1\nSTATUS=running");
        fg_diag(FG_DIAG_INFO, "ready: %u worker%s, %u queue%s, orders at UDP port %u",
                d->config.workers.count, d->config.workers.count == 1 ? "" : "s",
                d->ports.queues_count, d->ports.queues_count == 1 ? "" : "s",
                d->config.orders.port);
        watch(d);
        fg_notify("STOPPING=1\nSTATUS=stopping");
        fg_diag(FG_DIAG_INFO, "stopping");
        fg_paired_hand_over(d);
    } else {
        fg_diag(FG_DIAG_ERROR, "%s", err.text);
    }
    fg_daemon_stop(d);
    fg_diag(FG_DIAG_INFO, "stopped");
    if (fg_thread_left_behind()) /* it still uses what is ours, and its libraries */
        _exit(ok ? 0 : 1);
    free(d);
    return ok ? 0 : 1;
}

static void print_size(const char *what, uint64_t bytes)
{
    printf("  %-24s %8.1f MiB\n", what, (double)bytes / (1 << 20));
}

static void print_finding(void *ctx, bool warning, const char *text)
{
    fprintf(stderr, "%s\n", text);
}

/* What the engines would not need without them. */
static void print_lists(const struct fg_config *config, uint64_t engines)
{
    static struct fg_config without;

    without = *config;
    without.limits.waiting_max = 0;
    print_size("  of that, waiting lists", engines - fg_memory_needed(&without).workers.engines);
}

/* Finished orders stay in memory, so this is what users can do to it. */
static void print_orders(const struct fg_config *config)
{
    uint32_t unsold = config->limits.unsold_max, orders = config->limits.orders_max;

    if (unsold)
        printf("orders_max = %u: room for the orders of %u users who each let unsold_max = %u "
               "orders of one item end unsold\n",
               orders, orders / unsold, unsold);
    else
        printf("orders_max = %u: one user can fill it, for unsold_max is 0\n", orders);
}

static int check(const char *path, bool new_log)
{
    static struct fg_config config;
    struct fg_memory need;

    if (fg_config_check(&config, path, stderr) != 0 ||
        fg_doctor_start_check(&config, false, new_log || fg_paired_begins(&config), print_finding,
                              NULL))
        return 1;
    need = fg_memory_needed(&config);
    printf("%s: ok\nmemory at start-up:\n", path);
    print_size("engines (limits)", need.workers.engines);
    print_lists(&config, need.workers.engines);
    print_size("ledger (limits)", need.ledger);
    print_size("rings", need.workers.rings);
    print_size("reply slots", need.workers.slots);
    print_size("packet buffers (DPDK)", need.mbufs);
    print_size("together", need.workers.engines + need.ledger + need.workers.rings +
                               need.workers.slots + need.mbufs);
    print_orders(&config);
    return 0;
}

static const char usage[] =
    "usage: floodgate [--config FILE] [--new-log]\n"
    "Sells stock out of order packets. Stops on SIGTERM; SIGHUP reloads the keys.\n\n"
    "  --config FILE      settings; default " CONFIG_PATH "\n"
    "  --new-log          begin a new log in [log] dir, which must hold none; without it, a start\n"
    "                     needs the log that is there\n"
    "  --check FILE       say what is wrong in FILE, or how much memory it needs\n"
    "  --describe-config  write a sample file with all settings, defaults and ranges\n"
    "  --version\n"
    "  --help\n";

int main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"new-log", no_argument, NULL, 'n'},
                                            {"check", required_argument, NULL, 'k'},
                                            {"describe-config", no_argument, NULL, 'd'},
                                            {"version", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *config = CONFIG_PATH, *checked = NULL;
    bool new_log = false;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            config = optarg;
            break;
        case 'n':
            new_log = true;
            break;
        case 'k':
            checked = optarg;
            break;
        case 'd':
            fg_config_describe(stdout);
            return 0;
        case 'v':
            printf("floodgate %s\n", FG_VERSION);
            return 0;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "floodgate: unexpected argument %s\n%s", argv[optind], usage);
        return 2;
    }
    if (checked)
        return check(checked, new_log);
    fg_diag_open();
    return serve(config, argv[0], new_log);
}
