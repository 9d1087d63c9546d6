/* SPDX-License-Identifier: BSD-3-Clause */
/* What others see of it: the view, the terms of both sides, the history. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/diag.h"
#include "replication/internal.h"

/* ---- terms ----------------------------------------------------------------------------------- */

static const struct fg_replication_limit *find(const struct fg_replication_terms *t,
                                               const char *name)
{
    for (unsigned i = 0; i < t->limits_len; i++)
        if (strcmp(t->limits[i].name, name) == 0)
            return &t->limits[i];
    return NULL;
}

static void compare_limits(struct fg_replication *r, char *refusal, size_t size)
{
    for (unsigned i = 0; i < r->terms.limits_len; i++) {
        const struct fg_replication_limit *ours = &r->terms.limits[i],
                                          *theirs = find(&r->peer_terms, ours->name);

        if (!theirs || theirs->value == ours->value)
            continue;
        if (theirs->value > ours->value)
            r->too_small = true;
        if (!refusal[0] || theirs->value > ours->value)
            snprintf(refusal, size,
                     "%s is %llu here and %llu at the peer: the one with less cannot follow",
                     ours->name, (unsigned long long)ours->value,
                     (unsigned long long)theirs->value);
    }
}

void fg_replication_compare(struct fg_replication *r)
{
    struct fg_replication_view *v = &r->view_next;
    char refusal[sizeof(v->refusal)] = "", mismatch[sizeof(v->mismatch)] = "";
    bool keys, config;

    if (!r->peer_told)
        return;
    keys = r->terms.keys != r->peer_terms.keys;
    config = r->terms.config != r->peer_terms.config;
    r->too_small = false;
    compare_limits(r, refusal, sizeof(refusal));
    if (keys || config)
        snprintf(mismatch, sizeof(mismatch), "the peer has other %s%s%s", keys ? "keys" : "",
                 keys && config ? " and another " : "", config ? "configuration" : "");
    if (!keys && config)
        snprintf(mismatch, sizeof(mismatch), "the peer has another configuration");
    if (refusal[0] && strcmp(refusal, v->refusal) != 0)
        fg_diag(FG_DIAG_ERROR, "pair: %s", refusal);
    if (mismatch[0] && strcmp(mismatch, v->mismatch) != 0)
        fg_diag(FG_DIAG_WARNING, "pair: %s", mismatch);
    memcpy(v->refusal, refusal, sizeof(refusal));
    memcpy(v->mismatch, mismatch, sizeof(mismatch));
}

/* ---- history --------------------------------------------------------------------------------- */

/* Why the role is what it is now: a sentence's end. */
static void explain(const struct fg_replication *r, const struct fg_pair_view *before, char *why,
                    size_t size)
{
    const struct fg_pair_view *now = &r->now;
    bool led = before->role == FG_PAIR_ROLE_LEADER || before->role == FG_PAIR_ROLE_SOLO;

    switch (now->role) {
    case FG_PAIR_ROLE_JOINING:
        snprintf(why, size, "%.120s", r->lost[0] ? r->lost : "started");
        break;
    case FG_PAIR_ROLE_STANDBY:
        snprintf(why, size, "the leader says that the register names this appliance");
        break;
    case FG_PAIR_ROLE_LEADER:
        snprintf(why, size, "the register names the peer as standby");
        break;
    case FG_PAIR_ROLE_SOLO:
        snprintf(why, size, "%s%s%.90s", led ? "without a standby" : "won the register",
                 r->lost[0] ? ": " : "", r->lost);
        break;
    default:
        snprintf(why, size, "%s", fg_pair_reason_text(now->reason));
        break;
    }
}

static void add_change(struct fg_replication *r, const struct fg_pair_view *before)
{
    struct fg_replication_view *v = &r->view_next;
    struct fg_replication_change *c;

    if (v->history_len == FG_REPLICATION_HISTORY_MAX)
        memmove(v->history, v->history + 1, --v->history_len * sizeof(v->history[0]));
    c = &v->history[v->history_len++];
    *c = (struct fg_replication_change){fg_clock_unix_ms(), r->now.epoch, r->now.role, ""};
    explain(r, before, c->why, sizeof(c->why));
    fg_diag(FG_DIAG_NOTICE, "pair: %s, epoch %llu: %s", fg_pair_role_name(r->now.role),
            (unsigned long long)r->now.epoch, c->why);
}

static void measure_lag(struct fg_replication *r)
{
    struct fg_replication_lag *l = &r->lag;
    bool leads = r->now.role == FG_PAIR_ROLE_LEADER || r->now.role == FG_PAIR_ROLE_SOLO, had_all;
    uint64_t to = leads ? r->now.last : r->leader_committed;
    uint64_t at = leads ? r->now.peer_durable : r->now.durable;

    if (!r->current) { /* it is not known how far the peer is */
        l->records = l->seq = 0;
        return;
    }
    had_all = l->records == 0;
    l->records = to > at ? to - at : 0;
    if (l->seq && at >= l->seq) {
        l->ms = r->now_ms - l->since_ms;
        l->seq = 0;
    }
    if (!l->seq && l->records) {
        l->seq = to;
        l->since_ms = r->now_ms;
        if (had_all) /* how long the last one was missing says nothing of this one */
            l->ms = 0;
    }
    if (l->seq && r->now_ms - l->since_ms > l->ms)
        l->ms = r->now_ms - l->since_ms;
}

void fg_replication_note(struct fg_replication *r, const struct fg_pair_view *before)
{
    if (r->now.role != before->role || (r->view_next.history_len == 0))
        add_change(r, before);
    measure_lag(r);
}

/* ---- to others ------------------------------------------------------------------------------- */

/* Of the kernel's TCP, smoothed. */
static uint64_t trip_us(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) ? 0 : info.tcpi_rtt;
}

bool fg_replication_show(struct fg_replication *r)
{
    struct fg_replication_view *v = &r->view_next;

    v->pair = r->now;
    v->lag_records = r->lag.records;
    v->lag_ms = r->lag.ms;
    v->peer_passed = r->peer_passed;
    v->ended = r->ended;
    fg_replication_files_show(r);
    if (r->current)
        v->trip_us = trip_us(r->current->link.fd);
    else if (!v->link_error[0])
        snprintf(v->link_error, sizeof(v->link_error), "the peer has not connected yet");
    /* whoever reads it may have lost its CPU to a worker that polls: this thread does not wait */
    if (pthread_mutex_trylock(&r->mutex))
        return false;
    r->view = *v;
    pthread_mutex_unlock(&r->mutex);
    return true;
}

void fg_replication_view(struct fg_replication *r, struct fg_replication_view *view)
{
    pthread_mutex_lock(&r->mutex);
    *view = r->view;
    pthread_mutex_unlock(&r->mutex);
}
