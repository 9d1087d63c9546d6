/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The real log: lib/journal on a disk of pair_disk.h, with the orders of replication (pairing.h)
 * carried out by the committer, in the place of the journal's thread and of lib/replication's
 * log.c. node.disk is the oracle's copy, from what was shipped, staged or read back.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "journal/orders.h"
#include "journal/recover.h"
#include "journal/retire.h"
#include "journal/standby.h"
#include "ledger/fill.h"
#include "ledger/recover.h"
#include "pair_disk.h"
#include "pair_engine.h"
#include "pair_world.h"

enum { RING = 1024, READ_BACK = 2048, PART = 1024 };

struct sim_log {
    struct disk disk;
    struct fg_ring *ring; /* of the worker */
    struct fg_journal_watermark mark;
    struct fg_journal_record *records; /* [PART] */

    /* of a process */
    struct fg_journal_committer committer;
    struct fg_journal_pairing *pairing;
    struct sim_engine *engine;
    struct fg_pair_epoch epochs[FG_PAIR_EPOCHS_MAX];
    struct fg_journal_reader *reader;
    uint64_t reader_next;
    uint64_t busy_ms; /* the thread waits for a sync */
    bool cutting, sealing, solo;
    uint64_t filled; /* of the disk: the snapshot that lies in `fill`; 0: none */
    uint64_t cut_to, cuts, seals, leading_epoch, committed;
};

/* lib/journal opens a log again after a cut: on our disk. */
struct fg_journal *__wrap_fg_journal_open(const struct fg_journal_options *o, struct fg_error *err);
bool __wrap_fg_journal_cut(const struct fg_journal_options *o, uint64_t keep_seq,
                           struct fg_journal_cut *cut, struct fg_error *err);
void __wrap_fg_diag(enum fg_diag_level level, const char *format, ...);
static char folder[64];
static struct disk *active; /* of the node whose log is opened */

struct fg_journal *__wrap_fg_journal_open(const struct fg_journal_options *o, struct fg_error *err)
{
    return fg_journal_open_on(&active->ops, o, err);
}

bool __wrap_fg_journal_cut(const struct fg_journal_options *o, uint64_t keep_seq,
                           struct fg_journal_cut *cut, struct fg_error *err)
{
    return fg_journal_cut_on(&active->ops, o, keep_seq, cut, err);
}

void __wrap_fg_diag(enum fg_diag_level level, const char *format, ...)
{
}

/* ---- the oracle's copy ----------------------------------------------------------------------- */

static struct sim_record copy_of(const struct sim_disk *d, const struct fg_journal_record *r)
{
    uint64_t epoch = d->written ? d->log[d->written].epoch : 0;
    struct sim_record copy = {.type = TYPE_RECORD,
                              .id = (uint64_t)fg_journal_record_shared_crc(r) << 32 |
                                    (r->user & UINT32_MAX)};

    if (r->type == FG_JOURNAL_RECORD_BATCH) {
        copy.type = TYPE_BATCH;
        epoch = r->user > epoch ? r->user : epoch;
    } else if (r->type == FG_JOURNAL_RECORD_EPOCH) {
        copy.type = TYPE_EPOCH;
        epoch = r->item;
    }
    copy.epoch = epoch;
    return copy;
}

static void note(struct sim_world *w, struct sim_disk *d, const struct fg_journal_record *records,
                 size_t n)
{
    for (size_t i = 0; i < n && records[i].seq == d->written + 1; i++) {
        struct sim_record copy = copy_of(d, &records[i]);

        if (d->written == RECORDS_MAX) {
            sim_fail(w, "the log is full");
            return;
        }
        d->log[++d->written] = copy;
    }
}

static void shorten(struct sim_disk *d, uint64_t keep)
{
    d->written = d->written < keep ? d->written : keep;
    d->durable = d->durable < keep ? d->durable : keep;
    d->matched = d->matched < d->durable ? d->matched : d->durable;
}

/* What a new process finds must hold all that was durable. */
static void read_back(struct sim_world *w, struct sim_node *n, uint64_t from)
{
    struct sim_disk *d = &n->disk;
    struct sim_log *l = d->real;
    uint64_t durable = d->durable;
    struct fg_error err = {""};
    struct fg_journal_reader *reader;
    ssize_t got = 0;

    d->written = from;
    reader = fg_journal_reader_open(l->disk.path, from + 1, &err);
    while (reader && (got = fg_journal_read(reader, l->records, PART, UINT64_MAX, &err)) > 0)
        for (ssize_t i = 0; i < got; i++) {
            struct sim_record was = d->log[d->written + 1];

            note(w, d, &l->records[i], 1);
            if (d->written <= durable && memcmp(&was, &d->log[d->written], sizeof(was)) != 0)
                sim_fail(w, "node %u: durable record %llu is another one", n->index,
                         (unsigned long long)d->written);
        }
    fg_journal_reader_close(reader);
    if (!reader || got < 0)
        sim_fail(w, "node %u: %s", n->index, err.text);
    if (d->written < durable)
        sim_fail(w, "node %u: its log ends with %llu, and %llu was durable", n->index,
                 (unsigned long long)d->written, (unsigned long long)durable);
    d->durable = d->written;
}

/* ---- processes ------------------------------------------------------------------------------- */

static struct fg_journal_options options_of(const struct sim_world *w, const struct sim_log *l)
{
    return (struct fg_journal_options){.dir = l->disk.path,
                                       .segment_bytes = FG_JOURNAL_SEGMENT_BYTES_MIN,
                                       .retired = w->options.retires,
                                       .way = w->seed % 2 ? FG_JOURNAL_WAY_PLAIN
                                                          : FG_JOURNAL_WAY_URING,
                                       .now_ms = w->now_ms};
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

void sim_log_folder(bool make)
{
    if (!make) {
        nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        return;
    }
    snprintf(folder, sizeof(folder), "%s/fg-sim-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    FG_ASSERT(mkdtemp(folder));
    mallopt(M_MMAP_THRESHOLD, 32 << 20); /* each process has a tail of 8 MiB: keep the memory */
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
}

void sim_log_begin(struct sim_world *w, struct sim_node *n)
{
    struct sim_log *l = aligned_alloc(FG_CACHE_LINE, sizeof(*l));
    struct fg_journal_options o;
    struct fg_journal *journal;
    struct fg_error err = {""};
    char path[96];

    FG_ASSERT(l);
    memset(l, 0, sizeof(*l));
    n->disk.real = l;
    snprintf(path, sizeof(path), "%s/%d.%u", folder, (int)getpid(), n->index);
    disk_begin(&l->disk, path, &w->now_ms, &w->random);
    l->records = aligned_alloc(FG_CACHE_LINE, PART * sizeof(*l->records));
    FG_ASSERT(l->records);
    if (n->index != 0)
        return;
    o = options_of(w, l);
    o.begin = true;
    o.appliance_id = LOG_ID;
    journal = fg_journal_open_on(&l->disk.ops, &o, &err);
    FG_ASSERT(journal);
    fg_journal_close(journal);
    n->disk.exists = true;
}

void sim_log_end(struct sim_world *w, struct sim_node *n)
{
    struct sim_log *l = n->disk.real;

    if (l->pairing)
        sim_log_stop(w, n, false);
    disk_end(&l->disk);
    free(l->records);
    free(l);
}

/* From the newest snapshot and the log, up to what is committed. */
static struct fg_ledger *recover(struct sim_world *w, const struct sim_log *l,
                                 struct fg_journal *journal)
{
    uint64_t committed = 0;
    struct fg_ledger_recovery r = {
        .dir = l->disk.path, .orders_max = SIM_ORDERS_MAX, .committed_seq = &committed};
    struct fg_ledger_snapshot_info from;
    struct fg_error err = {""};
    struct fg_ledger *ledger = NULL;

    if (!journal)
        return fg_ledger_create();
    r.appliance_id = fg_journal_appliance(journal);
    r.first_seq = fg_journal_begin_seq(journal);
    r.last_seq = fg_journal_last_seq(journal);
    if (!fg_journal_committed(journal, &committed, &err) ||
        !(ledger = fg_ledger_recover(&r, &from, &err)))
        sim_fail(w, "the ledger cannot be recovered: %s", err.text);
    return ledger ? ledger : fg_ledger_create();
}

static void open_pairing(struct sim_world *w, struct sim_log *l, struct fg_journal *journal)
{
    struct fg_ledger *ledger = recover(w, l, journal);
    const struct fg_journal_pairing_options o = {.journal = journal,
                                                 .workers = 1,
                                                 .log = options_of(w, l),
                                                 .epochs = fg_ledger_epochs(ledger),
                                                 .committed_seq = fg_ledger_seq(ledger)};
    struct fg_error err = {""};

    l->pairing = fg_journal_pairing_create(&o, &err);
    l->ring = fg_ring_create(RING);
    atomic_store(&l->mark.durable, 0);
    if (!l->pairing || !l->ring ||
        !fg_journal_committer_init(&l->committer, journal, &l->ring, &l->mark, 1, 64, &err))
        sim_fail(w, "%s", err.text);
    else
        l->engine = sim_engine_begin(l->ring, &l->mark, l->pairing, l->disk.path, ledger);
    if (!l->engine)
        fg_ledger_destroy(ledger);
}

static void open_failed(struct sim_world *w, struct sim_node *n, const char *why)
{
    struct sim_log *l = n->disk.real;

    if (!l->disk.off)
        sim_fail(w, "node %u cannot open its log: %s", n->index, why);
    disk_power_off(&l->disk);
    disk_power_back(&l->disk);
}

/* The newest snapshot in a folder; 0 = none. */
static uint64_t newest_snapshot(const struct disk *d)
{
    struct fg_error err = {""};
    uint64_t *seqs, seq;
    size_t count;

    FG_ASSERT(
        fg_journal_file_list(d->fd, d->path, FG_JOURNAL_SNAPSHOT_SUFFIX, &seqs, &count, &err));
    seq = count ? seqs[count - 1] : 0;
    free(seqs);
    return seq;
}

/* A snapshot that came takes the place of the log. False: the power went, or it failed. */
static bool install(struct sim_world *w, struct sim_node *n, const struct fg_journal_options *o)
{
    struct sim_disk *d = &n->disk;
    struct sim_log *l = d->real;
    struct fg_error err = {""};
    uint64_t seq = 0, had = l->filled;

    if (!had)
        return true;
    if (!w->calm && sim_chance(w, 300000))
        l->disk.fuse = 1 + (unsigned)sim_random(w, 16);
    active = &l->disk;
    if (!fg_ledger_fill_install_on(&l->disk.ops, o, &seq, &err)) {
        open_failed(w, n, err.text);
        return false;
    }
    l->filled = 0;
    if (!seq && newest_snapshot(&l->disk) == had) /* a power cut came right after the last step */
        seq = had;
    if (seq != had || fg_journal_first_seq(l->disk.path, &err) != had + 1) {
        sim_fail(w, "node %u does not take the snapshot that it was filled with", n->index);
        return false;
    }
    memcpy(d->log + 1, w->history + 1, had * sizeof(d->log[0]));
    d->written = d->durable = d->snapshot = had;
    w->fills++;
    return true;
}

bool sim_log_open(struct sim_world *w, struct sim_node *n, struct fg_pair_log *log)
{
    struct sim_disk *d = &n->disk;
    struct sim_log *l = d->real;
    struct fg_journal_options o = options_of(w, l);
    const struct fg_journal_pairing_start *s;
    struct fg_journal *journal = NULL;
    uint32_t skip;
    struct fg_error err = {""};
    uint64_t first;

    if (!install(w, n, &o))
        return false;
    l->disk.fuse = 0;
    if (!w->calm && sim_chance(w, 50000))
        l->disk.fuse = 1 + (unsigned)sim_random(w, 8);
    d->exists = fg_journal_found(l->disk.path);
    if (d->exists && !(journal = fg_journal_open_on(&l->disk.ops, &o, &err))) {
        open_failed(w, n, err.text);
        return false;
    }
    l->disk.fuse = 0;
    first = d->exists ? fg_journal_begin_seq(journal) : 0;
    if (d->exists)
        read_back(w, n, d->durable > READ_BACK + first ? d->durable - READ_BACK : first - 1);
    open_pairing(w, l, journal);
    if (w->failure[0])
        return false;
    s = &l->pairing->start;
    skip = s->epochs.count > FG_PAIR_EPOCHS_MAX ? s->epochs.count - FG_PAIR_EPOCHS_MAX : 0;
    for (uint32_t i = skip; i < s->epochs.count; i++)
        l->epochs[i - skip] =
            (struct fg_pair_epoch){s->epochs.list[i].epoch, s->epochs.list[i].first_seq};
    *log = (struct fg_pair_log){.id = s->id,
                                .first = s->first,
                                .last = s->last,
                                .committed = s->committed,
                                .epochs = l->epochs,
                                .epochs_len = s->epochs.count - skip};
    l->committed = s->committed;
    l->solo = l->cutting = l->sealing = false;
    l->cuts = l->seals = l->leading_epoch = l->busy_ms = 0;
    fg_journal_pairing_commit(l->pairing, l->committed, false);
    return true;
}

/* A cut that was under way may have been carried out, and takes nothing that was acknowledged. */
void sim_log_stop(struct sim_world *w, struct sim_node *n, bool power)
{
    struct sim_disk *d = &n->disk;
    struct sim_log *l = d->real;

    if (power)
        disk_power_off(&l->disk);
    sim_engine_end(l->engine);
    l->engine = NULL;
    fg_journal_close(l->committer.journal);
    fg_journal_committer_free(&l->committer);
    l->committer.journal = NULL;
    fg_journal_pairing_destroy(l->pairing);
    l->pairing = NULL;
    fg_ring_destroy(l->ring);
    l->ring = NULL;
    fg_journal_reader_close(l->reader);
    l->reader = NULL;
    if (l->disk.off)
        disk_power_back(&l->disk);
    n->fill_ms = 0;
    shorten(d, l->cutting ? l->cut_to : d->durable);
    d->written = d->durable;
}

/* ---- what lib/pair is told, as by lib/replication -------------------------------------------- */

static bool tell_cut(struct sim_world *w, struct sim_node *n)
{
    struct sim_log *l = n->disk.real;
    uint64_t last = atomic_load(&l->pairing->durable_seq);

    l->cuts++;
    l->cutting = false;
    sim_engine_reopen(l->engine);
    w->cuts += last < n->disk.written;
    shorten(&n->disk, last);
    n->disk.durable = last;
    n->disk.exists = true;
    sim_check_register(w);
    fg_pair_cut(n->pair, last);
    sim_drain(w, n);
    return n->pair != NULL;
}

/* The records that a leader's commits brought. */
static void note_written(struct sim_world *w, struct sim_node *n, uint64_t last)
{
    struct sim_log *l = n->disk.real;

    while (n->disk.written < last && !w->failure[0]) {
        uint64_t left = last - n->disk.written, count = left < PART ? left : PART;

        sim_log_read(w, n, n->disk.written + 1, (uint32_t)count, (uint8_t *)l->records);
        note(w, &n->disk, l->records, count);
    }
}

/* False: the process has ended. */
static bool tell_orders(struct sim_world *w, struct sim_node *n)
{
    struct sim_log *l = n->disk.real;
    struct fg_journal_pairing *p = l->pairing;

    if (l->cutting && atomic_load(&p->cut_done) > l->cuts && !tell_cut(w, n))
        return false;
    if (l->leading_epoch && atomic_load(&p->began_epoch) >= l->leading_epoch) {
        l->leading_epoch = 0;
        note_written(w, n, atomic_load(&p->written_seq));
        fg_pair_began(n->pair, atomic_load(&p->began_seq));
        sim_drain(w, n);
        if (!n->pair)
            return false;
    }
    if (l->sealing && atomic_load(&p->seal_done) == l->seals) {
        l->sealing = false;
        fg_pair_sealed(n->pair, atomic_load(&p->sealed_seq));
        sim_drain(w, n);
    }
    return n->pair != NULL;
}

static void tell(struct sim_world *w, struct sim_node *n)
{
    struct sim_log *l = n->disk.real;
    struct fg_journal_pairing *p = l->pairing;
    uint64_t written, durable;
    char why[160];

    if (atomic_load(&p->failed)) {
        fg_journal_pairing_error(p, why, sizeof(why));
        sim_fail(w, "node %u: its log failed: %s", n->index, why);
    }
    if (w->failure[0] || !tell_orders(w, n))
        return;
    fg_journal_pairing_commit(p, l->committed, l->solo);
    if (l->cutting || l->leading_epoch)
        return;
    durable = atomic_load(&p->durable_seq);
    written = atomic_load(&p->written_seq);
    written = written < durable ? durable : written;
    if (written > n->view.last) {
        note_written(w, n, written);
        fg_pair_appended(n->pair, written);
        sim_drain(w, n);
    }
    if (n->pair && durable > n->view.durable && durable <= n->view.last && !l->cutting &&
        !l->leading_epoch) {
        n->disk.durable = durable;
        fg_pair_durable(n->pair, durable);
        sim_drain(w, n);
    }
}

void sim_log_told(struct sim_world *w, struct sim_node *n)
{
    struct sim_log *l = n->disk.real;
    struct fg_pair_view view;

    fg_pair_view(n->pair, &view);
    if (view.state == FG_PAIR_STATE_ENDED ||
        (view.committed == l->committed && view.solo == l->solo))
        return;
    l->committed = view.committed;
    l->solo = view.solo;
    fg_journal_pairing_commit(l->pairing, l->committed, l->solo);
}

/* ---- the journal's thread -------------------------------------------------------------------- */

static void end_commit(struct sim_log *l)
{
    if (fg_journal_committer_under_way(&l->committer) && fg_journal_committer_end(&l->committer, 0))
        fg_journal_orders_tell(l->pairing, &l->committer);
}

/* In a million: that the power goes while an order is carried out. A cut has the most steps. */
static unsigned risk(const struct sim_log *l)
{
    if (!fg_journal_orders_still(l->pairing))
        return 2000;
    return l->cutting ? 250000 : 50000;
}

/* An order, or a part of it. */
static bool carry_out(struct sim_world *w, struct sim_log *l)
{
    struct fg_journal_committer *c = &l->committer;

    fg_journal_orders_word(l->pairing, c);
    if (c->count || !fg_journal_orders_wait(l->pairing))
        return false;
    if (!w->calm && sim_chance(w, risk(l)))
        l->disk.fuse = 1 + (unsigned)sim_random(w, l->cutting ? 32 : 12);
    active = &l->disk;
    return fg_journal_orders_step(l->pairing, c, w->now_ms);
}

static bool begin_commit(struct sim_world *w, struct sim_log *l)
{
    struct fg_journal_committer *c = &l->committer;

    if (!atomic_load(&l->pairing->leads) || (!c->count && fg_journal_orders_still(l->pairing)))
        return false;
    if (!w->calm && sim_chance(w, 500))
        l->disk.fuse = 1 + (unsigned)sim_random(w, 8);
    return fg_journal_committer_begin(c, w->now_ms) > 0 && c->depth == 1;
}

/* As lib/replication's keeper leaves it: whole and durable, below the folder of the log. */
static void copy_snapshot(const struct disk *from, const struct disk *to, uint64_t seq)
{
    char name[FG_JOURNAL_NAME_SIZE], path[40 + FG_JOURNAL_NAME_SIZE];
    uint8_t bytes[65536];
    int in, out;

    fg_journal_file_name(name, seq, FG_JOURNAL_SNAPSHOT_SUFFIX);
    snprintf(path, sizeof(path), FG_JOURNAL_FILL_DIR "/%s", name);
    FG_ASSERT(mkdirat(to->fd, FG_JOURNAL_FILL_DIR, 0700) == 0 || errno == EEXIST);
    in = openat(from->fd, name, O_RDONLY | O_CLOEXEC);
    out = openat(to->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FG_ASSERT(in >= 0 && out >= 0);
    for (ssize_t got; (got = read(in, bytes, sizeof(bytes))) > 0;)
        FG_ASSERT(write(out, bytes, (size_t)got) == got);
    close(in);
    close(out);
}

static void finish_fill(struct sim_world *w, struct sim_node *n)
{
    const struct sim_node *other = &w->node[1 - n->index];
    struct sim_log *l = n->disk.real;
    uint64_t seq = newest_snapshot(&other->disk.real->disk);

    n->fill_ms = 0;
    if (n->view.state != FG_PAIR_STATE_FILLING || !other->pair || !n->link)
        return; /* the link will break, or broke */
    if (!seq || seq < n->disk.written) {
        sim_fail(w, "node %u is to be filled from a snapshot of record %llu, and has %llu",
                 n->index, (unsigned long long)seq, (unsigned long long)n->disk.written);
        return;
    }
    copy_snapshot(&other->disk.real->disk, &l->disk, seq);
    l->filled = seq;
    fg_pair_filled(n->pair, true);
    sim_drain(w, n);
}

void sim_log_step(struct sim_world *w, struct sim_node *n)
{
    struct sim_log *l = n->disk.real;
    bool synced;

    if (n->fill_ms && n->fill_ms <= w->now_ms)
        finish_fill(w, n);
    if (!n->pair || l->busy_ms > w->now_ms)
        return;
    tell(w, n);
    if (!n->pair || w->failure[0])
        return;
    sim_engine_step(w, n, l->engine);
    if (w->failure[0])
        return;
    l->disk.slow_ms = !w->calm && sim_chance(w, 1500) ? 5000 : 3;
    end_commit(l);
    synced = carry_out(w, l);
    synced |= begin_commit(w, l);
    if (l->disk.off) {
        sim_crash(w, n);
        return;
    }
    l->disk.fuse = 0;
    if (synced)
        l->busy_ms = w->now_ms + 1 + sim_random(w, l->disk.slow_ms);
}

/* ---- what is asked of it --------------------------------------------------------------------- */

void sim_log_order(struct sim_world *w, struct sim_node *n, const struct fg_pair_output *o)
{
    struct sim_log *l = n->disk.real;

    switch (o->kind) {
    case FG_PAIR_APPEND:
        FG_ASSERT(o->first == n->disk.written + 1 && o->count <= PART);
        memcpy(l->records, o->bytes, (size_t)o->count * FG_PAIR_RECORD_SIZE);
        note(w, &n->disk, l->records, o->count);
        FG_ASSERT(fg_journal_pairing_append(l->pairing, l->records, o->count));
        break;
    case FG_PAIR_CUT:
        l->cutting = true;
        l->cut_to = o->first;
        sim_check_cut(w, n, o->first);
        fg_journal_pairing_cut(l->pairing, o->first, o->log);
        break;
    case FG_PAIR_LEAD:
        l->leading_epoch = o->epoch;
        fg_journal_pairing_lead(l->pairing, o->epoch, n->index, o->nonce);
        break;
    case FG_PAIR_SEAL:
        l->sealing = true;
        l->seals++;
        fg_journal_pairing_seal(l->pairing);
        break;
    case FG_PAIR_FILL:
        n->fill_ms = w->now_ms + 1 + sim_random(w, 500);
        if (!w->options.retires)
            sim_fail(w, "node %u is to be filled, and no log was retired", n->index);
        break;
    default:
        FG_ASSERT(!"an order to the log");
    }
}

void sim_log_record(struct sim_world *w, struct sim_node *n)
{
    w->accepted += sim_engine_request(w, n, n->disk.real->engine);
}

/* Records that are durable, and not in the tail. */
static size_t read_old(struct sim_log *l, uint64_t first, struct fg_journal_record *to, size_t n)
{
    struct fg_error err = {""};
    ssize_t got = -1;

    if (l->reader && l->reader_next != first) {
        fg_journal_reader_close(l->reader);
        l->reader = NULL;
    }
    if (!l->reader)
        l->reader = fg_journal_reader_open(l->disk.path, first, &err);
    if (l->reader)
        got = fg_journal_read(l->reader, to, n, atomic_load(&l->pairing->durable_seq), &err);
    l->reader_next = got > 0 ? first + (uint64_t)got : 0;
    return got > 0 ? (size_t)got : 0;
}

void sim_log_read(struct sim_world *w, struct sim_node *n, uint64_t first, uint32_t count,
                  uint8_t *bytes)
{
    struct sim_log *l = n->disk.real;
    struct fg_journal_record *to = l->records;

    FG_ASSERT(count <= PART);
    for (size_t at = 0, got; at < count; at += got) {
        got = fg_journal_tail_read(l->pairing->tail, first + at, to + at, count - at);
        if (got == 0)
            got = read_old(l, first + at, to + at, count - at);
        if (got == 0) {
            sim_fail(w, "node %u cannot read record %llu", n->index,
                     (unsigned long long)(first + at));
            return;
        }
    }
    if (bytes != (uint8_t *)to)
        memcpy(bytes, to, (size_t)count * FG_PAIR_RECORD_SIZE);
}

/* Old segments go: what a snapshot holds, and the peer does not ask for any more. */
void sim_log_retire(struct sim_world *w, struct sim_node *n)
{
    struct sim_log *l = n->disk.real;
    struct fg_error err = {""};
    uint64_t seq;

    if (!n->pair || !n->disk.exists || l->cutting ||
        (n->view.state != FG_PAIR_STATE_SYNC && n->link))
        return;
    seq = sim_engine_snapshot(w, n, l->engine);
    if (!seq)
        return;
    n->disk.snapshot = seq;
    if (fg_journal_retire_on(&l->disk.ops, l->disk.path, seq, 0, &err) < 0)
        sim_fail(w, "node %u: %s", n->index, err.text);
    fg_pair_retired(n->pair, fg_journal_first_seq(l->disk.path, &err));
}

/* Segments behind it are gone, and in its own there are zeros. */
void sim_log_lose(struct sim_world *w, struct sim_node *n, uint64_t keep)
{
    struct sim_disk *d = &n->disk;
    const struct sim_log *l = d->real;
    struct fg_error err = {""};
    uint64_t *seqs;
    size_t count;

    keep = keep ? keep : 1;
    FG_ASSERT(fg_journal_file_list(l->disk.fd, l->disk.path, ".fgj", &seqs, &count, &err));
    for (size_t i = 0; i < count; i++) {
        char name[FG_JOURNAL_NAME_SIZE];
        struct stat st;
        uint64_t from;
        int fd;

        fg_journal_file_name(name, seqs[i], ".fgj");
        if (seqs[i] > keep) {
            FG_ASSERT(unlinkat(l->disk.fd, name, 0) == 0);
            continue;
        }
        from = (keep - seqs[i] + 2) * FG_JOURNAL_RECORD_SIZE;
        fd = openat(l->disk.fd, name, O_RDWR | O_CLOEXEC);
        FG_ASSERT(fd >= 0 && fstat(fd, &st) == 0);
        if (from < (uint64_t)st.st_size) {
            FG_ASSERT(ftruncate(fd, (off_t)from) == 0 && ftruncate(fd, st.st_size) == 0);
        }
        close(fd);
    }
    free(seqs);
    shorten(d, keep);
    d->snapshot = 0;
}
