/* SPDX-License-Identifier: BSD-3-Clause */
/* The log and its two threads, as the configuration wants them. */
#include "daemon.h"

#include "base/diag.h"
#include "journal/standby.h"
#include "ledger/fill.h"
#include "ledger/recover.h"

#define PREPARE_MS    100 /* a segment that lasts longer leaves the disk time for the next one */
#define FREE_SEGMENTS 2   /* a snapshot leaves the log room for this many */

static bool in_memory(const struct fg_daemon *d)
{
    return d->config.log.durability == FG_JOURNAL_DURABILITY_MEMORY;
}

static bool open_log(struct fg_daemon *d, struct fg_journal_options *options, struct fg_error *err)
{
    uint64_t filled;

    *options = (struct fg_journal_options){.dir = d->config.log.dir,
                                           .begin = d->new_log,
                                           .segment_bytes = d->config.log.segment_bytes,
                                           .memory = in_memory(d),
                                           .retired = true,
                                           .prepare_ms = PREPARE_MS,
                                           .way = d->config.log.commit,
                                           .now_ms = fg_clock_unix_ms()};
    if (d->config.pair.enabled && !d->new_log && !fg_ledger_fill_install(options, &filled, err))
        return false;
    if (!d->new_log && fg_paired_begins(&d->config)) {
        d->new_log = options->begin = true;
        if (!fg_paired_log(&d->config, &options->appliance_id, err))
            return false;
    }
    d->journal = fg_journal_open(options, err);
    d->log_way = d->journal ? fg_journal_way_name(fg_journal_way(d->journal)) : NULL;
    d->log_id = d->journal ? fg_journal_appliance(d->journal) : 0;
    if (d->journal && d->new_log)
        fg_diag(FG_DIAG_NOTICE, "log %s: a new log begins, id %016llx", d->config.log.dir,
                (unsigned long long)fg_journal_appliance(d->journal));
    if (d->journal && fg_journal_way_text(d->journal)[0])
        fg_diag(FG_DIAG_INFO, "log %s: commits by %s; %s", d->config.log.dir,
                fg_journal_way_name(fg_journal_way(d->journal)), fg_journal_way_text(d->journal));
    if (d->journal && fg_journal_cut_records(d->journal))
        fg_diag(FG_DIAG_NOTICE, "log %s: cut %llu unfinished records that were never acknowledged",
                d->config.log.dir, (unsigned long long)fg_journal_cut_records(d->journal));
    return d->journal != NULL;
}

static uint64_t sinks_passed(void *daemon)
{
    struct fg_daemon *d = daemon;
    struct fg_replication_view view;

    if (d->pair.pairing && !d->pair.replication)
        return 0; /* not known yet, or no longer */
    if (!d->pair.replication || atomic_load(&d->pair.leads))
        return fg_sink_group_passed(&d->sinks);
    fg_replication_view(d->pair.replication, &view);
    return view.peer_passed;
}

static uint64_t archived(void *daemon)
{
    struct fg_daemon *d = daemon;

    return fg_journal_archive_seq(d->archive);
}

/* What the standby is being filled from, it follows. */
static uint64_t held(void *daemon)
{
    struct fg_daemon *d = daemon;
    struct fg_replication_view view;

    if (!d->pair.replication)
        return UINT64_MAX;
    fg_replication_view(d->pair.replication, &view);
    return view.fill_seq ? view.fill_seq : UINT64_MAX;
}

static bool start_archive(struct fg_daemon *d, struct fg_error *err)
{
    if (!d->config.log.archive[0])
        return true;
    d->archive =
        fg_journal_archive_start(d->config.log.dir, d->config.log.archive, d->log_id,
                                 d->pair.pairing ? &d->pair.pairing->committed_seq : NULL, err);
    return d->archive != NULL;
}

static struct fg_ledger_snapshots_options snapshots_of(struct fg_daemon *d)
{
    return (struct fg_ledger_snapshots_options){
        .dir = d->config.log.dir,
        .memory = in_memory(d),
        .every = d->config.log.snapshot_records,
        .keep_bytes = d->config.log.keep_bytes,
        .sink_keep_bytes = d->config.log.sink_keep_bytes,
        .free_bytes = FREE_SEGMENTS * d->config.log.segment_bytes,
        .appliance_id = d->log_id,
        .log_state = &d->journal_thread.committer.state,
        .clock = &d->clock,
        .passed = sinks_passed,
        .archived = d->archive ? archived : NULL,
        .held = d->config.pair.enabled ? held : NULL,
        .ctx = d,
    };
}

bool fg_log_open(struct fg_daemon *d, struct fg_error *err)
{
    struct fg_ledger_recovery recovery = {.dir = d->config.log.dir,
                                          .orders_max = d->config.limits.orders_max};
    struct fg_ledger_snapshots_options snapshots;
    struct fg_ledger_snapshot_info from;
    struct fg_journal_options options;
    struct fg_ledger *ledger;
    uint64_t committed_seq;

    if (!open_log(d, &options, err))
        return false;
    recovery.appliance_id = d->log_id;
    recovery.first_seq = fg_journal_begin_seq(d->journal);
    recovery.last_seq = fg_journal_last_seq(d->journal);
    if (d->config.pair.enabled) {
        recovery.committed_seq = &committed_seq;
        if (!fg_journal_committed(d->journal, &committed_seq, err))
            return false;
    }
    ledger = fg_ledger_recover(&recovery, &from, err);
    if (!ledger)
        return false;
    if (in_memory(d))
        fg_diag(FG_DIAG_WARNING,
                "log %s: durability is memory, a power cut loses acknowledged orders: "
                "for benchmarks only",
                d->config.log.dir);
    if ((d->config.pair.enabled && !fg_paired_prepare(d, &options, ledger, err)) ||
        !start_archive(d, err)) {
        fg_ledger_destroy(ledger);
        return false;
    }
    snapshots = snapshots_of(d);
    fg_ledger_follower_init(&d->follower, ledger, &snapshots, &from);
    return true;
}

static int worker_mode(enum fg_journal_state state, bool stopping)
{
    if (state == FG_JOURNAL_FAILED)
        return FG_STOCK_FAILED;
    if (stopping || state == FG_JOURNAL_GONE)
        return FG_STOCK_STOPPING;
    return state == FG_JOURNAL_FULL ? FG_STOCK_NO_SPACE : FG_STOCK_RUNNING;
}

bool fg_log_start_writing(struct fg_daemon *d, struct fg_error *err)
{
    struct fg_journal_thread_options options = {.journal = d->journal,
                                                .records = d->workers.records,
                                                .watermarks = d->workers.watermarks,
                                                .workers = d->config.workers.count,
                                                .batch_max = d->config.log.batch_max,
                                                .woken =
                                                    d->config.workers.idle != FG_WORKER_IDLE_SPIN,
                                                .clock = &d->clock,
                                                .followed_seq = &d->follower.seq,
                                                .lag_max = d->config.log.ledger_lag_max,
                                                .mode = worker_mode,
                                                .pairing = d->pair.pairing,
                                                .follower_mode = FG_STOCK_NOT_LEADER};

    return fg_journal_thread_start(&d->journal_thread, &options, err);
}

/* A cut of a pair opens the log anew. */
static void close_journal(struct fg_daemon *d)
{
    if (d->journal_thread.options.journal)
        d->journal = d->journal_thread.committer.journal;
    if (d->journal)
        fg_journal_close(d->journal);
    d->journal = NULL;
}

void fg_log_close(struct fg_daemon *d)
{
    fg_journal_archive_stop(d->archive);
    d->archive = NULL;
    fg_paired_free(d);
    fg_ledger_follower_free(&d->follower);
    close_journal(d);
}
