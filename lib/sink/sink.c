/* SPDX-License-Identifier: BSD-3-Clause */
/* A sink: its life, and what its thread does: one function a situation, each bounded in time. */
#include "sink/driver.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/thread.h"

#define IDLE_MS        5 /* between polls of the watermark: the delay of the events */
#define CHECK_MS       500 /* between checks of the cursor while idle: finds a dead or emptied server */
#define REFUSED_MS     1000
#define GRACE_MS       1000 /* for the end of a step, after the time to drain */
#define RETRY_MS_FIRST 50
#define AGAIN_MAX      3 /* tries in a row that leave the cursor where it was */

struct fg_sink {
    const struct fg_sink_driver *driver;
    void *self;
    char *journal_dir, *address;
    size_t batch_max;
    unsigned retry_ms_max;
    const _Atomic uint64_t *durable_seq;

    pthread_t thread;
    pthread_mutex_t lock; /* of `status` */
    struct fg_sink_status status;
    uint64_t even_ms; /* monotonic, under the lock: when it last had everything that was durable */
    uint64_t newest_ms; /* Unix, the same: of the newest record that it has */
    struct fg_histogram delays;
    struct fg_wait wait;
    _Atomic uint64_t stop_from_ms; /* monotonic: when the stop was asked for */
    _Atomic uint64_t stop_at_ms;   /* when draining must end; 0 = runs */
    _Atomic bool adopt;            /* a person decided: begin anew for this log */

    /* of the thread alone */
    struct fg_journal_record *records;
    struct fg_journal_reader *reader;
    uint64_t reader_next; /* sequence that it gives next */
    uint64_t log_id;
    uint64_t cursor; /* last seen in the sink */
    uint32_t crc;    /* of that record, when `compared` */
    bool compared;
    size_t batch_now;  /* records of the next transaction: fewer after a timeout */
    unsigned retry_ms; /* pause after the next failure */
    uint64_t check_ms; /* when the cursor was last read */
    uint64_t random;   /* of the jitter */
    bool connected, was_connected, refused;
    uint64_t highest; /* cursor that was seen, since a transaction went well */
    unsigned again;   /* tries since the cursor last moved */
    bool stuck;       /* a transaction did not go well, and none has since: not live */
};

const char *fg_sink_state_name(unsigned state)
{
    switch (state) {
#define X(name, text)                                                                              \
    case FG_SINK_##name:                                                                           \
        return text;
        FG_SINK_STATE_LIST(X)
#undef X
    }
    return "?";
}

static uint64_t durable(const struct fg_sink *s)
{
    return atomic_load_explicit(s->durable_seq, memory_order_acquire);
}

static struct fg_sink_log log_of(const struct fg_sink *s)
{
    return (struct fg_sink_log){.dir = s->journal_dir,
                                .id = s->log_id,
                                .durable = durable(s),
                                .seq = s->compared ? s->cursor : 0,
                                .crc = s->crc};
}

static void set_state(struct fg_sink *s, enum fg_sink_state state, const char *error)
{
    pthread_mutex_lock(&s->lock);
    s->status.state = state;
    s->status.newer = false;
    s->status.cursor = s->cursor;
    snprintf(s->status.error, sizeof(s->status.error), "%.255s", error);
    pthread_mutex_unlock(&s->lock);
    s->refused = state == FG_SINK_REFUSED;
}

/* It works: the pauses begin anew, and the state may be live. */
static void progressed(struct fg_sink *s)
{
    s->again = 0;
    s->stuck = false;
    s->retry_ms = RETRY_MS_FIRST;
}

/* The cursor is there, as far as the server says: a step forth and back is not progress. */
static void seen_at(struct fg_sink *s, uint64_t cursor)
{
    if (cursor > s->highest || cursor >= durable(s))
        progressed(s);
    s->highest = cursor > s->highest ? cursor : s->highest;
    s->cursor = cursor;
}

static void set_following(struct fg_sink *s)
{
    bool near = durable(s) - s->cursor < s->batch_max;

    if (s->stuck &&
        !s->refused) /* a server that only answers is not followed yet: the state stays as it is */
        return;
    set_state(s, near ? FG_SINK_LIVE : FG_SINK_CATCHING_UP, "");
}

static void disconnect(struct fg_sink *s)
{
    s->driver->close(s->self);
    s->connected = false;
}

static void away(struct fg_sink *s, const struct fg_error *err)
{
    unsigned ms = s->retry_ms < s->retry_ms_max ? s->retry_ms : s->retry_ms_max;

    disconnect(s);
    set_state(s, FG_SINK_AWAY, err->text);
    s->retry_ms = 2 * ms;
    /* Jitter, so that several appliances do not come back to a server in step. */
    s->random = fg_mix64(s->random, 0x2545f4914f6cdd1dull);
    fg_wait_ms(&s->wait, ms / 2 + s->random % (ms / 2 + 1));
}

/* An operator must act. Looked at again now and then, so that no restart is needed afterwards. */
static void refuse_as(struct fg_sink *s, bool newer, const struct fg_error *err)
{
    set_state(s, FG_SINK_REFUSED, err->text);
    pthread_mutex_lock(&s->lock);
    s->status.newer = newer;
    pthread_mutex_unlock(&s->lock);
    fg_wait_ms(&s->wait, REFUSED_MS);
}

static void refuse(struct fg_sink *s, const struct fg_error *err)
{
    refuse_as(s, false, err);
}

/* It stays refused after a restart too, when the log has lost the record of its cursor. */
static void refuse_newer(struct fg_sink *s, const struct fg_error *err)
{
    struct fg_sink_log log = log_of(s);

    fg_sink_refusal_set(&log, s->driver->name);
    refuse_as(s, true, err);
}

/* The log itself cannot be followed: begin at the beginning, later. */
static void refuse_log(struct fg_sink *s, const struct fg_error *err)
{
    disconnect(s);
    if (s->reader)
        fg_journal_reader_close(s->reader);
    s->reader = NULL;
    refuse(s, err);
}

/* True when the sink can continue. */
static bool went_well(struct fg_sink *s, enum fg_sink_result result, const struct fg_error *err)
{
    struct fg_error idle;

    if (result == FG_SINK_SLOW && s->batch_now > 1)
        s->batch_now /= 2;
    if (result == FG_SINK_AGAIN && ++s->again > AGAIN_MAX) {
        s->again = 0;
        s->stuck = true;
        fg_fail(&idle, "%s: takes each transaction, and leaves the cursor at %llu (%d tries)",
                s->address, (unsigned long long)s->cursor, AGAIN_MAX + 1);
        away(s, &idle);
        return false;
    }
    if (result == FG_SINK_GONE || result == FG_SINK_SLOW)
        away(s, err);
    else if (result == FG_SINK_NEWER)
        refuse_newer(s, err);
    else if (result == FG_SINK_REFUSE || result == FG_SINK_FOREIGN)
        refuse(s, err);
    return result == FG_SINK_OK || result == FG_SINK_AGAIN;
}

static bool open_log(struct fg_sink *s, uint64_t next, struct fg_error *err)
{
    if (s->reader)
        fg_journal_reader_close(s->reader);
    s->reader = fg_journal_reader_open(s->journal_dir, next, err);
    s->reader_next = next;
    if (s->reader)
        s->log_id = fg_journal_reader_appliance(s->reader);
    return s->reader;
}

static enum fg_sink_result fill_from(struct fg_sink *s, struct fg_snapshot_reader *snapshot,
                                     const struct fg_ledger_snapshot_info *info, uint64_t first,
                                     struct fg_error *err)
{
    struct fg_sink_log log = log_of(s);

    if (!fg_ledger_snapshot_fits(info, s->journal_dir, s->log_id, first, log.durable, err) ||
        !fg_sink_log_crc(&log, info->seq, &log.crc, err))
        return FG_SINK_REFUSE;
    log.seq = info->seq;
    if (!s->driver->fill) {
        fg_fail(err, "the log begins at record %llu, the cursor is at %llu: %s cannot be filled",
                (unsigned long long)first, (unsigned long long)s->cursor, s->driver->name);
        return FG_SINK_REFUSE;
    }
    set_state(s, FG_SINK_FILLING, "");
    return s->driver->fill(s->self, &log, snapshot, info, err);
}

/* The log begins at `first`, behind what the sink lacks. */
static enum fg_sink_result fill(struct fg_sink *s, uint64_t first, struct fg_error *err)
{
    struct fg_ledger_snapshot_info info = {0};
    struct fg_snapshot_reader *snapshot = fg_ledger_snapshot_open(s->journal_dir, &info, err);
    enum fg_sink_result result;

    if (!snapshot) {
        if (!err->text[0])
            fg_fail(
                err,
                "the log begins at record %llu, the cursor is at %llu, and there is no snapshot",
                (unsigned long long)first, (unsigned long long)s->cursor);
        return FG_SINK_REFUSE;
    }
    result = fill_from(s, snapshot, &info, first, err);
    fg_ledger_snapshot_close(snapshot);
    return result;
}

/* Puts the reader behind the cursor. AGAIN: the sink was filled. */
static enum fg_sink_result go_to_cursor(struct fg_sink *s, struct fg_error *err)
{
    uint64_t next = s->cursor + 1, first;

    if (s->reader && s->reader_next == next)
        return FG_SINK_OK;
    first = fg_journal_first_seq(s->journal_dir, err);
    if (first && next < first) {
        enum fg_sink_result result = fill(s, first, err);

        return result == FG_SINK_OK ? FG_SINK_AGAIN : result;
    }
    return first && open_log(s, next, err) ? FG_SINK_OK : FG_SINK_REFUSE;
}

/* It is of this log, and at one of its records: whatever was refused before is settled. */
static void take_cursor(struct fg_sink *s, const struct fg_sink_log *log,
                        const struct fg_sink_cursor *cursor)
{
    if (!s->was_connected || s->refused)
        fg_sink_refusal_clear(log, s->driver->name);
    atomic_store(&s->adopt, false);
    s->check_ms = fg_clock_mono_ms();
    seen_at(s, cursor->seq);
    s->crc = cursor->crc;
    s->compared = cursor->seq > 0;
}

/* Takes the cursor that the sink has as the truth, wherever it is. */
static bool check_cursor(struct fg_sink *s)
{
    struct fg_error err = {""};
    enum fg_sink_result result;

    do {
        struct fg_sink_log log = log_of(s);
        struct fg_sink_cursor cursor = {.found = false};

        if (!went_well(s, s->driver->cursor(s->self, &log, &cursor, &err), &err))
            return false;
        take_cursor(s, &log, &cursor);
        result = go_to_cursor(s, &err);
        if (!went_well(s, result, &err))
            return false;
    } while (result == FG_SINK_AGAIN && !atomic_load(&s->stop_at_ms));
    return result == FG_SINK_OK;
}

/* Whose log it is, before anything is written to the sink. */
static bool know_log(struct fg_sink *s, struct fg_error *err)
{
    uint64_t first = fg_journal_first_seq(s->journal_dir, err);

    return first && open_log(s, first, err);
}

static void connect_step(struct fg_sink *s)
{
    struct fg_error err = {""};

    s->check_ms = 0;
    if (!s->log_id && !know_log(s, &err)) {
        refuse(s, &err);
        return;
    }
    if (!went_well(s, s->driver->open(s->self, &err), &err))
        return;
    s->connected = true;
    if (!check_cursor(s))
        return;
    pthread_mutex_lock(&s->lock);
    s->status.reconnects += s->was_connected;
    pthread_mutex_unlock(&s->lock);
    s->was_connected = true;
    set_following(s);
}

/* Of the newest record of a transaction, for all of them. */
static void note_delay(struct fg_sink *s, size_t n)
{
    uint64_t now_ms = fg_clock_unix_ms(), at_ms = s->records[n - 1].time_ms;

    fg_histogram_add(&s->delays, FG_HISTOGRAM_MS_SHIFT, now_ms > at_ms ? now_ms - at_ms : 0, n);
}

static void applied(struct fg_sink *s, size_t n)
{
    s->cursor = s->highest = s->records[n - 1].seq;
    s->crc = s->records[n - 1].crc;
    s->compared = true;
    progressed(s);
    s->check_ms = fg_clock_mono_ms();
    s->batch_now = 2 * s->batch_now < s->batch_max ? 2 * s->batch_now : s->batch_max;
    note_delay(s, n);
    pthread_mutex_lock(&s->lock);
    s->status.records += n;
    s->status.transactions++;
    s->newest_ms = s->records[n - 1].time_ms;
    pthread_mutex_unlock(&s->lock);
}

static void apply(struct fg_sink *s, size_t n)
{
    struct fg_sink_log log = log_of(s);
    struct fg_error err = {""};
    enum fg_sink_result result = s->driver->apply(s->self, &log, s->records, n, &err);

    s->stuck |= result != FG_SINK_OK;
    if (!went_well(s, result, &err))
        return;
    if (result == FG_SINK_OK)
        applied(s, n);
    if (result == FG_SINK_OK || check_cursor(s))
        set_following(s);
}

/* The log ends its reading: its old segments may have gone because this sink was too far behind. */
static void lost_log(struct fg_sink *s, const struct fg_error *err)
{
    struct fg_error ignored;

    if (fg_journal_first_seq(s->journal_dir, &ignored) <= s->reader_next) {
        refuse_log(s, err);
        return;
    }
    fg_journal_reader_close(s->reader);
    s->reader = NULL;
    if (check_cursor(s)) /* fills it */
        set_following(s);
}

static void follow_step(struct fg_sink *s)
{
    uint64_t limit = durable(s);
    struct fg_error err;
    ssize_t n = 0;

    if (!s->reader || s->reader_next != s->cursor + 1) {
        check_cursor(s);
        return;
    }
    if (s->reader_next <= limit)
        n = fg_journal_read(s->reader, s->records, s->batch_now, limit, &err);
    if (n < 0) {
        lost_log(s, &err);
    } else if (n > 0) {
        s->reader_next = s->records[n - 1].seq + 1;
        for (ssize_t i = 0; i < n; i++) /* any of them may become the cursor */
            s->records[i].crc = fg_journal_record_shared_crc(&s->records[i]);
        apply(s, (size_t)n);
    } else {
        set_following(s);
        fg_wait_ms(&s->wait, IDLE_MS);
        if (fg_clock_mono_ms() - s->check_ms >= CHECK_MS || atomic_load(&s->stop_at_ms))
            check_cursor(s);
    }
}

static void adopt(struct fg_sink *s)
{
    struct fg_sink_log log = log_of(s);
    struct fg_error err = {""};
    enum fg_sink_result result = s->driver->adopt(s->self, &log, &err);

    if (result != FG_SINK_GONE && result != FG_SINK_SLOW)
        atomic_store(&s->adopt, false); /* otherwise tried again with the next connection */
    if (!went_well(s, result, &err))
        return;
    fg_sink_refusal_clear(&log, s->driver->name);
    s->compared = false;
    s->highest = 0; /* it begins anew */
    progressed(s);
    if (check_cursor(s))
        set_following(s);
}

static void step(struct fg_sink *s)
{
    if (!s->connected)
        connect_step(s);
    else if (s->refused && atomic_load(&s->adopt))
        adopt(s);
    else if (!s->refused)
        follow_step(s);
    else if (check_cursor(s))
        set_following(s);
}

/* ---- life ------------------------------------------------------------------------------------ */

/* The sink holds everything that is durable now, as seen after the stop was asked for. */
static bool caught_up(const struct fg_sink *s)
{
    return s->connected && !s->refused && s->check_ms >= atomic_load(&s->stop_from_ms) &&
           s->cursor >= durable(s);
}

static bool finished(const struct fg_sink *s)
{
    uint64_t stop_at = atomic_load(&s->stop_at_ms);

    return stop_at && (s->refused || fg_clock_mono_ms() >= stop_at || caught_up(s));
}

static void *run(void *arg)
{
    struct fg_sink *s = arg;

    while (!finished(s))
        step(s);
    s->driver->close(s->self);
    return NULL;
}

static void sink_free(struct fg_sink *s)
{
    if (s->reader)
        fg_journal_reader_close(s->reader);
    s->driver->free(s->self);
    free(s->records);
    free(s->journal_dir);
    free(s->address);
    if (s->wait.wake_fd >= 0)
        close(s->wait.wake_fd);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

struct fg_sink *fg_sink_start(const struct fg_sink_driver *driver, void *self, struct fg_wait *wait,
                              const struct fg_sink_common *common, const char *journal_dir,
                              const _Atomic uint64_t *durable_seq, struct fg_error *err)
{
    struct fg_sink *s = calloc(1, sizeof(*s));
    char name[16];

    FG_ASSERT(s);
    pthread_mutex_init(&s->lock, NULL);
    s->driver = driver;
    s->self = self;
    s->journal_dir = strdup(journal_dir);
    s->address = strdup(common->address);
    s->batch_max = s->batch_now = common->batch_max;
    s->retry_ms_max = common->retry_ms_max;
    s->durable_seq = durable_seq;
    s->records = calloc(common->batch_max, sizeof(*s->records));
    s->wait = (struct fg_wait){.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
                               .give_up_ms = &s->stop_at_ms};
    s->retry_ms = RETRY_MS_FIRST;
    s->random = fg_mix64(fg_clock_mono_ms(), (uint64_t)getpid());
    *wait = s->wait;
    snprintf(name, sizeof(name), "fg-%.12s", driver->name);
    if (!s->journal_dir || !s->address || !s->records || s->wait.wake_fd < 0 ||
        !fg_thread_start(&s->thread, name, run, s)) {
        fg_fail(err, "%s sink: out of memory, threads or file descriptors", driver->name);
        sink_free(s);
        return NULL;
    }
    return s;
}

const char *fg_sink_name(const struct fg_sink *s)
{
    return s->driver->name;
}

const char *fg_sink_address(const struct fg_sink *s)
{
    return s->address;
}

void fg_sink_status(struct fg_sink *s, struct fg_sink_status *status)
{
    uint64_t last = durable(s), now_ms = fg_clock_mono_ms(), unix_ms = fg_clock_unix_ms(), even,
             age;

    pthread_mutex_lock(&s->lock);
    *status = s->status;
    status->lag = last > status->cursor ? last - status->cursor : 0;
    if (!status->lag)
        s->even_ms = now_ms;
    even = now_ms - s->even_ms;
    age = unix_ms > s->newest_ms ? unix_ms - s->newest_ms : 0;
    pthread_mutex_unlock(&s->lock);
    status->lag_ms = !status->lag ? 0 : even < age ? even : age;
}

const struct fg_histogram *fg_sink_delays(const struct fg_sink *s)
{
    return &s->delays;
}

bool fg_sink_adopt(struct fg_sink *s, struct fg_error *err)
{
    bool refused;

    pthread_mutex_lock(&s->lock);
    refused = s->status.state == FG_SINK_REFUSED;
    pthread_mutex_unlock(&s->lock);
    if (!refused)
        return fg_fail(err, "sink %s does not refuse: there is nothing to decide", s->driver->name);
    atomic_store(&s->adopt, true);
    return true;
}

void fg_sink_ask_stop(struct fg_sink *s, unsigned drain_ms)
{
    uint64_t one = 1;

    atomic_store(&s->stop_from_ms, fg_clock_mono_ms());
    atomic_store(&s->stop_at_ms, fg_clock_mono_ms() + drain_ms);
    if (write(s->wait.wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        FG_ASSERT(!"an eventfd takes a count");
}

void fg_sink_stop(struct fg_sink *s, unsigned drain_ms)
{
    uint64_t now = fg_clock_mono_ms(), end;

    if (!s)
        return;
    if (!atomic_load(&s->stop_at_ms))
        fg_sink_ask_stop(s, drain_ms);
    end = atomic_load(&s->stop_at_ms) + GRACE_MS;
    if (fg_thread_join_within(s->thread, end > now ? (unsigned)(end - now) : 0))
        sink_free(s);
    else /* its libraries look up names without end, and cannot be told to stop */
        fg_diag(FG_DIAG_WARNING, "sink %s: %s holds it, it is left behind", s->driver->name,
                s->address);
}
