/* SPDX-License-Identifier: BSD-3-Clause */
/* The thread: time, what is new of the banks, the outputs of lib/fleet, and the answers of etcd. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/thread.h"
#include "member/calls.h"
#include "member/catalogue.h"
#include "member/member.h"
#include "member/memory.h"
#include "member/watcher.h"

#define PRIORITY      1   /* SCHED_RR, as the journal thread: workers may poll without an end */
#define NICE          -10 /* where that is refused */
#define RAISE_POLL_US 50
#define ROUND_MS      1 /* between two checks of the banks */
#define CLAIM_MS      250
#define SEEN_MS       1000 /* until the memory file is tried again */
#define LATE_MS       1000 /* a watch that does not keep up for so long is begun again */
#define SAY_MS        100  /* until etcd is told again what was applied */

struct fg_member {
    struct fg_member_settings settings;
    struct fg_member_hooks hooks;
    char register_key[FG_FLEET_KEY_MAX];
    char claim[128]; /* first part of the register */
    uint64_t nonce[2];
    struct fg_member_caller *caller;
    struct fg_member_watcher *watcher;
    struct fg_member_catalogue *catalogue; /* has a mutex of its own, for the inside of this one */
    int wake_fd;
    pthread_t thread;
    _Atomic bool quit, may_sell;
    pthread_mutex_t mutex; /* of all below: others read it */
    struct fg_fleet *fleet;
    struct fg_member_view view; /* `fleet` of it: as of the last round */
    int64_t claimed;            /* revision of the register; 0 = not yet */
    uint64_t now_ms, claim_ms, memory_ms, say_ms;
    uint64_t late_ms; /* since then the watch does not keep up; 0 = it does, or there is none */
    int64_t told;     /* the watch told all up to there; 0 = there is none */
    bool asks;        /* etcd is asked, so what a watch tells waits for the answer */
    int64_t saying;   /* revision up to which settings are applied, on its way to etcd */
    struct fg_fleet_output call, gift, memory; /* that wait for room */
    bool call_waits, gift_waits, memory_waits;
    char ended[FG_MEMBER_TEXT]; /* the reason for `stop`; "" = none */
};

static _Atomic unsigned raised; /* threads that have their priority */

/* ---- outputs --------------------------------------------------------------------------------- */

static void end(struct fg_member *m, const char *reason)
{
    if (m->ended[0])
        return;
    snprintf(m->ended, sizeof(m->ended), "%.250s", reason);
    atomic_store(&m->may_sell, false);
    m->view.stopped = true;
    m->hooks.stop(m->hooks.ctx, m->ended);
}

static void take_output(struct fg_member *m, const struct fg_fleet_output *o)
{
    switch (o->kind) {
    case FG_FLEET_READ:
    case FG_FLEET_SWAP:
        m->call = *o;
        m->call_waits = m->asks = true;
        break;
    case FG_FLEET_REMEMBER:
        m->memory = *o;
        m->memory_waits = true;
        break;
    case FG_FLEET_STOP:
        end(m, fg_fleet_reason_text(o->reason));
        break;
    default:
        m->gift = *o;
        m->gift_waits = true;
    }
}

/* Until a bank has no room. */
static void drain(struct fg_member *m)
{
    struct fg_fleet_output o;

    while (!m->ended[0]) {
        if (m->gift_waits && !m->hooks.give(m->hooks.ctx, &m->gift))
            return;
        m->gift_waits = false;
        if (!fg_fleet_next(m->fleet, &o))
            return;
        take_output(m, &o);
    }
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void make_claim(struct fg_member *m)
{
    struct fg_member_call call = {.kind = FG_MEMBER_CLAIM, .text_keep = strlen(m->claim)};

    snprintf(call.text, sizeof(call.text), "%s%016llx%016llx", m->claim,
             (unsigned long long)m->nonce[0], (unsigned long long)m->nonce[1]);
    m->claim_ms = m->now_ms + CLAIM_MS;
    fg_member_caller_make(m->caller, &call);
}

/* Rare, and an operator waits for it: before what else is due. */
static bool make_say(struct fg_member *m)
{
    struct fg_member_call call = {.kind = FG_MEMBER_SAY};
    char text[FG_FLEET_TEXT_MAX];

    if (!m->claimed || m->now_ms < m->say_ms ||
        !fg_member_catalogue_must_say(m->catalogue, &m->saying))
        return false;
    fg_fleet_applied_write(m->settings.member, m->saying, text);
    snprintf(call.text, sizeof(call.text), "%.150s", text);
    snprintf(call.key, sizeof(call.key), FG_FLEET_APPLIED_PREFIX "%u", m->settings.member);
    call.output.register_revision = m->claimed;
    m->say_ms = m->now_ms + SAY_MS;
    fg_member_caller_make(m->caller, &call);
    return true;
}

static void make_call(struct fg_member *m)
{
    struct fg_member_call call = {.kind = FG_MEMBER_REMEMBER, .output = m->memory};

    if (m->ended[0] || !fg_member_caller_idle(m->caller))
        return;
    if (!m->claimed && fg_fleet_may_lead(m->fleet)) {
        if (m->now_ms >= m->claim_ms)
            make_claim(m);
        return;
    }
    if (make_say(m))
        return;
    if (m->call_waits) {
        call.kind = m->call.kind == FG_FLEET_READ ? FG_MEMBER_READ : FG_MEMBER_SWAP;
        call.output = m->call;
        m->call_waits = false;
    } else if (m->memory_waits && m->now_ms >= m->memory_ms) {
        m->memory_waits = false;
    } else {
        return;
    }
    fg_member_caller_make(m->caller, &call);
}

static void claimed(struct fg_member *m, const struct fg_member_answer *a)
{
    if (a->other_log)
        end(m, a->error);
    if (a->outcome != FG_FLEET_DONE)
        return;
    m->claimed = a->store;
    m->view.claimed = true;
    fg_fleet_leads(m->fleet, m->claimed);
    drain(m);
}

static void check_register(struct fg_member *m, const struct fg_member_value *v)
{
    char text[FG_MEMBER_TEXT];

    if (m->claimed && v->revision > m->claimed)
        end(m, "another process is this member of the fleet");
    if (m->claimed || strncmp(v->text, m->claim, strlen(m->claim)) == 0)
        return;
    snprintf(text, sizeof(text), "etcd knows this member by another log: %.120s", v->text);
    end(m, text);
}

static void take_values(struct fg_member *m, const struct fg_member_values *values)
{
    for (size_t i = 0; i < values->len; i++) {
        const struct fg_member_value *v = &values->of[i];

        if (strcmp(v->key, m->register_key) == 0)
            check_register(m, v);
        fg_fleet_value(m->fleet, v->key, v->revision, v->text);
    }
}

static void take_settings(struct fg_member *m, const struct fg_member_values *values)
{
    for (size_t i = 0; i < values->len; i++)
        fg_member_catalogue_value(m->catalogue, values->of[i].key, values->of[i].revision,
                                  values->of[i].text);
}

/* ---- the watch ------------------------------------------------------------------------------- */

static void renew_watch(struct fg_member *m)
{
    if (!m->told || m->view.fleet.watched) {
        m->late_ms = 0;
    } else if (!m->late_ms) {
        m->late_ms = m->now_ms;
    } else if (m->now_ms - m->late_ms >= LATE_MS) {
        m->late_ms = 0;
        fg_member_watcher_renew(m->watcher);
    }
}

static void take_watched(struct fg_member *m)
{
    const struct fg_member_values *values;

    if (!fg_member_watcher_take(m->watcher, &values, &m->told))
        return;
    take_values(m, values);
    fg_fleet_watched(m->fleet, m->told);
    if (fg_fleet_may_lead(m->fleet))
        take_settings(m, values);
    drain(m);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void remembered(struct fg_member *m, const struct fg_member_answer *a)
{
    if (a->error[0] && !m->view.seen_error[0])
        fg_diag(FG_DIAG_WARNING, "fleet: %s", a->error);
    snprintf(m->view.seen_error, sizeof(m->view.seen_error), "%s", a->error);
    if (a->error[0]) { /* again, with this revision or a newer one */
        m->memory_waits = true;
        m->memory_ms = m->now_ms + SEEN_MS;
    }
}

static void said(struct fg_member *m, const struct fg_member_answer *a)
{
    if (a->outcome != FG_FLEET_DONE)
        return; /* another one moved the register, or again in a moment */
    m->say_ms = 0;
    fg_member_catalogue_said(m->catalogue, m->saying);
}

/* Not of an etcd that was restored from a copy. */
static void take_catalogue(struct fg_member *m, const struct fg_member_answer *a)
{
    if (a->kind != FG_MEMBER_READ || a->outcome != FG_FLEET_DONE ||
        a->store < m->view.fleet.revision || !fg_fleet_may_lead(m->fleet))
        return;
    take_settings(m, a->values);
    fg_member_catalogue_read(m->catalogue, m->claimed && a->since == 0);
}

static void take_answer(struct fg_member *m)
{
    struct fg_member_answer a;

    if (!fg_member_caller_ended(m->caller, &a))
        return;
    if (a.kind == FG_MEMBER_REMEMBER) {
        remembered(m, &a);
        return;
    }
    if (a.error[0])
        snprintf(m->view.etcd_error, sizeof(m->view.etcd_error), "%s", a.error);
    m->view.etcd_ok = !a.error[0];
    m->view.etcd_ms = a.took_ms;
    if (a.kind == FG_MEMBER_CLAIM) {
        claimed(m, &a);
        return;
    }
    if (a.kind == FG_MEMBER_SAY) {
        said(m, &a);
        return;
    }
    take_values(m, a.values);
    take_watched(m);
    m->asks = m->call_waits;
    if (a.kind == FG_MEMBER_READ && a.outcome == FG_FLEET_DONE && m->claimed)
        fg_member_watcher_since(m->watcher, a.store);
    fg_fleet_answered(m->fleet, a.ticket, a.outcome, a.store);
    take_catalogue(m, &a);
    drain(m);
}

/* ---- what the operator reads ----------------------------------------------------------------- */

static void tell(const struct fg_member *m, const struct fg_fleet_view *now)
{
    const struct fg_fleet_view *was = &m->view.fleet;

    if (now->reason != was->reason)
        fg_diag(now->reason ? FG_DIAG_WARNING : FG_DIAG_NOTICE, "fleet: member %u %s%s",
                m->settings.member, now->reason ? "leases and returns nothing: " : "takes part",
                fg_fleet_reason_text(now->reason));
    if (now->away != was->away)
        fg_diag(now->away ? FG_DIAG_WARNING : FG_DIAG_NOTICE, "fleet: etcd %s%s",
                now->away ? "is away: " : "answers", now->away ? m->view.etcd_error : "");
    for (unsigned other = 0; other < FG_FLEET_MEMBERS_MAX; other++)
        if ((now->silent ^ was->silent) & 1u << other)
            fg_diag(FG_DIAG_WARNING, "fleet: member %u %s", other,
                    now->silent & 1u << other ? "is silent: its units are left out" : "answers");
}

static void show(struct fg_member *m)
{
    struct fg_fleet_view now;

    fg_fleet_view(m->fleet, &now);
    if (!m->claimed && now.reason == FG_FLEET_REASON_FOLLOWS)
        now.reason = FG_FLEET_REASON_UNREAD;
    tell(m, &now);
    m->view.fleet = now;
    fg_member_catalogue_state(m->catalogue, m->ended[0] ? 0 : m->claimed, &now);
    atomic_store(&m->may_sell, now.may_sell && !m->ended[0]);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void rounds(struct fg_member *m)
{
    struct pollfd wake = {.fd = m->wake_fd, .events = POLLIN};
    uint64_t count;

    if (poll(&wake, 1, ROUND_MS) > 0 && read(m->wake_fd, &count, sizeof(count)) < 0)
        count = 0; /* another round has read it */
    pthread_mutex_lock(&m->mutex);
    m->now_ms = fg_clock_mono_ms();
    if (!m->ended[0]) {
        fg_fleet_time(m->fleet, m->now_ms);
        drain(m);
        m->hooks.take(m->hooks.ctx, m);
        take_answer(m);
        if (!m->asks)
            take_watched(m);
        renew_watch(m);
        make_call(m);
        show(m);
    }
    pthread_mutex_unlock(&m->mutex);
}

static void raise_priority(void)
{
    struct sched_param param = {.sched_priority = PRIORITY};

    prctl(PR_SET_TIMERSLACK, 1000ul);
    if (sched_setscheduler(0, SCHED_RR, &param) && getpriority(PRIO_PROCESS, 0) > NICE)
        setpriority(PRIO_PROCESS, 0, NICE); /* a refusal does no harm */
    atomic_fetch_add(&raised, 1);
}

static void *run(void *arg)
{
    struct fg_member *m = arg;

    raise_priority();
    while (!atomic_load_explicit(&m->quit, memory_order_acquire))
        rounds(m);
    return NULL;
}

/* ---- start, stop ----------------------------------------------------------------------------- */

void fg_member_map(const struct fg_member_settings *settings, struct fg_fleet_map *map)
{
    fg_fleet_map_first(map, settings->members, settings->shards);
    map->version = settings->version;
}

static bool random_bytes(void *bytes, size_t size, struct fg_error *err)
{
    return getrandom(bytes, size, 0) == (ssize_t)size ||
           fg_fail(err, "getrandom: %s", strerror(errno));
}

static bool create(struct fg_member *m, const struct fg_member_options *options,
                   struct fg_error *err)
{
    struct fg_fleet_options o = {.member = m->settings.member,
                                 .items_max = options->items_max,
                                 .timing = fg_fleet_timing_usual,
                                 .register_key = m->register_key};

    fg_member_map(&m->settings, &o.map);
    if (!random_bytes(o.seed, sizeof(o.seed), err) ||
        !random_bytes(m->nonce, sizeof(m->nonce), err) ||
        !fg_member_memory_read(options->log_dir, &o.revision, err))
        return false;
    m->fleet = fg_fleet_create(&o, err);
    if (!m->fleet)
        return false;
    m->catalogue = fg_member_catalogue_create(&m->settings, m->register_key, o.items_max, err);
    if (!m->catalogue)
        return false;
    m->now_ms = fg_clock_mono_ms();
    fg_fleet_time(m->fleet, m->now_ms);
    return true;
}

static bool start(struct fg_member *m, const struct fg_member_options *options,
                  struct fg_error *err)
{
    const struct fg_member_caller_options calls = {.etcd = &m->settings.etcd,
                                                   .log_dir = options->log_dir,
                                                   .register_key = m->register_key,
                                                   .wake_fd = m->wake_fd,
                                                   .begin = raise_priority};
    const struct fg_member_watcher_options watch = {
        .etcd = &m->settings.etcd, .wake_fd = m->wake_fd, .begin = raise_priority};

    if (!create(m, options, err))
        return false;
    m->hooks.begin(m->hooks.ctx, m);
    show(m);
    m->caller = fg_member_caller_start(&calls, err);
    if (!m->caller)
        return false;
    m->watcher = fg_member_watcher_start(&watch, err);
    if (!m->watcher)
        return false;
    return fg_thread_start(&m->thread, "fg-fleet", run, m) ||
           fg_fail(err, "cannot start the fleet's thread");
}

/* False: a caller still uses it. */
static bool release(struct fg_member *m)
{
    bool ended = fg_member_caller_stop(m->caller);

    ended &= fg_member_watcher_stop(m->watcher);
    fg_fleet_destroy(m->fleet);
    m->fleet = NULL;
    if (!ended)
        return false;
    fg_member_catalogue_destroy(m->catalogue);
    close(m->wake_fd);
    pthread_mutex_destroy(&m->mutex);
    free(m);
    return true;
}

struct fg_member *fg_member_start(const struct fg_member_options *options, struct fg_error *err)
{
    struct fg_member *m = calloc(1, sizeof(*m));
    unsigned before = atomic_load(&raised);

    FG_ASSERT(m && options->hooks.begin && options->hooks.take && options->hooks.give &&
              options->hooks.stop);
    m->settings = *options->settings;
    m->hooks = options->hooks;
    m->view.member = m->settings.member;
    m->view.fleet.reason = FG_FLEET_REASON_UNREAD;
    m->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pthread_mutex_init(&m->mutex, NULL);
    snprintf(m->register_key, sizeof(m->register_key), FG_FLEET_PREFIX "member/%u",
             m->settings.member);
    snprintf(m->claim, sizeof(m->claim), "floodgate-member 1 member %u log %016llx process ",
             m->settings.member, (unsigned long long)options->log_id);
    if (m->wake_fd < 0 || !start(m, options, err)) {
        if (m->wake_fd < 0)
            fg_fail(err, "eventfd: %s", strerror(errno));
        release(m);
        return NULL;
    }
    while (atomic_load(&raised) < before + 3)
        fg_clock_sleep_us(RAISE_POLL_US);
    return m;
}

bool fg_member_stop(struct fg_member *m)
{
    if (!m)
        return true;
    atomic_store_explicit(&m->quit, true, memory_order_release);
    pthread_join(m->thread, NULL);
    return release(m);
}

/* ---- for others ------------------------------------------------------------------------------ */

bool fg_member_may_sell(struct fg_member *m)
{
    return atomic_load(&m->may_sell);
}

void fg_member_view(struct fg_member *m, struct fg_member_view *view)
{
    pthread_mutex_lock(&m->mutex);
    *view = m->view;
    pthread_mutex_unlock(&m->mutex);
}

bool fg_member_item_view(struct fg_member *m, uint32_t item, struct fg_fleet_item_view *view)
{
    bool known;

    pthread_mutex_lock(&m->mutex);
    known = fg_fleet_item_view(m->fleet, item, view);
    pthread_mutex_unlock(&m->mutex);
    return known;
}

struct fg_member_catalogue *fg_member_catalogue(struct fg_member *m)
{
    return m->catalogue;
}

/* ---- for the hook ---------------------------------------------------------------------------- */

bool fg_member_item(struct fg_member *m, uint32_t item, uint64_t id,
                    const struct fg_fleet_counters *log)
{
    bool added = fg_fleet_item(m->fleet, item, id, log);

    drain(m);
    return added;
}

void fg_member_bank(struct fg_member *m, uint32_t item, uint32_t least, uint64_t wanted,
                    uint64_t free)
{
    fg_fleet_bank(m->fleet, item, least, wanted, free);
    drain(m);
}

void fg_member_logged(struct fg_member *m, uint64_t seq)
{
    fg_fleet_logged(m->fleet, seq);
}

void fg_member_stocked(struct fg_member *m, uint32_t item, int64_t stock)
{
    fg_fleet_stocked(m->fleet, item, stock);
    drain(m);
}

void fg_member_leased(struct fg_member *m, uint32_t item)
{
    fg_fleet_leased(m->fleet, item);
    drain(m);
}

void fg_member_returned(struct fg_member *m, uint32_t item, uint64_t units)
{
    fg_fleet_returned(m->fleet, item, units);
    drain(m);
}
