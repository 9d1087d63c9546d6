/* SPDX-License-Identifier: BSD-3-Clause */
/* How the daemon is: its state, and health for whoever restarts or replaces it. */
#include "daemon.h"

static const char *const journal_states[] = {[FG_JOURNAL_OK] = "ok",
                                             [FG_JOURNAL_FULL] = "full",
                                             [FG_JOURNAL_FAILED] = "failed",
                                             [FG_JOURNAL_GONE] = "gone"};

const char *fg_log_state_name(int state)
{
    return journal_states[state];
}

unsigned fg_stalled_workers(const struct fg_daemon *d)
{
    unsigned n = 0;

    for (unsigned i = 0; i < d->config.workers.count; i++)
        n += atomic_load(&d->watch[i].stalled);
    return n;
}

static bool a_sink_is_ill(struct fg_daemon *d)
{
    bool ill = fg_inbound_ill(d);

    for (unsigned i = 0; i < d->sinks_count; i++) {
        struct fg_sink_status s;

        fg_sink_status(d->sinks[i], &s);
        ill |= s.state == FG_SINK_AWAY || s.state == FG_SINK_REFUSED;
    }
    return ill;
}

/* What is wrong and needs somebody; 0 = healthy, and `reason` may still say what one should know.
 */
int fg_health_check(void *daemon, char *reason)
{
    struct fg_daemon *d = daemon;
    int journal = atomic_load(&d->journal_thread.committer.state);
    unsigned stalled = fg_stalled_workers(d);

    reason[0] = '\0';
    if (journal != FG_JOURNAL_OK)
        snprintf(reason, FG_HEALTH_REASON, "log %s: %s", journal_states[journal],
                 fg_journal_error(d->journal));
    else if (atomic_load(&d->log_gone))
        snprintf(reason, FG_HEALTH_REASON, FG_LOG_GONE_TEXT, d->config.log.dir);
    else if (stalled)
        snprintf(reason, FG_HEALTH_REASON, "%u of %u workers stand still", stalled,
                 d->config.workers.count);
    else if (atomic_load(&d->follower.broken))
        snprintf(reason, FG_HEALTH_REASON, "ledger: %.200s", d->follower.error.text);
    else if (atomic_load(&d->journal_thread.stopping))
        snprintf(reason, FG_HEALTH_REASON, "stopping");
    else if (fg_port_links_broken(&d->ports))
        fg_port_links_wrong(&d->ports, reason, FG_HEALTH_REASON);
    if (reason[0])
        return 1;
    if (d->config.log.durability == FG_DURABILITY_MEMORY)
        snprintf(reason, FG_HEALTH_REASON,
                 "durability is memory: a power cut loses acknowledged orders");
    else
        fg_port_links_wrong(&d->ports, reason, FG_HEALTH_REASON);
    return 0;
}

static bool snapshot_failed(struct fg_daemon *d)
{
    char error[256];

    fg_ledger_snapshots_error(&d->follower.snapshots, error, sizeof(error));
    return error[0];
}

const char *fg_state_name(struct fg_daemon *d)
{
    char reason[FG_HEALTH_REASON];

    if (atomic_load(&d->journal_thread.stopping))
        return "stopping";
    if (fg_health_check(d, reason))
        return "unhealthy";
    return a_sink_is_ill(d) || snapshot_failed(d) ||
                   fg_port_links_wrong(&d->ports, reason, sizeof(reason))
               ? "degraded"
               : "running";
}
