/* SPDX-License-Identifier: BSD-3-Clause */
/* Evidence becomes a block. Offenders lie in a small open hash table; the rest is hitters.c. */
#include "penalty/penalty.h"

#include <pthread.h>
#include <stdarg.h>
#include <string.h>

#define SLOTS (2 * FG_PENALTY_MAX) /* of the table; a power of two */
#define LIFTED_MS                                                                                  \
    2000 /* a packet that comes through this long after its block: the block was lifted            \
          */

static const char *const names[FG_OFFENCES] = {
#define X(name, text, proof, help) text,
    FG_PENALTY_OFFENCE_LIST(X)
#undef X
};
static const char *const texts[FG_OFFENCES] = {
#define X(name, text, proof, help) help,
    FG_PENALTY_OFFENCE_LIST(X)
#undef X
};
static const unsigned factors[FG_PENALTY_LEVELS + 1] = {0, 1, 10, 60};

struct class
{
    struct fg_hitters *shown;    /* everything, fades: for people */
    struct fg_hitters *evidence; /* what counts, of this window */
};

struct slot {
    bool used;
    bool blocked; /* else: considered and spared, until until_ms */
    struct fg_penalty_offender offender;
};

struct fg_penalty {
    pthread_mutex_t lock;
    struct fg_penalty_options options, begun;
    struct fg_penalty_lists lists;
    struct fg_penalty_counters counters;
    struct class classes[FG_OFFENCES];
    uint64_t window_ms, halved_ms; /* when the current ones began */
    unsigned notes;                /* in this window */
    unsigned used;
    struct slot slots[SLOTS];
};

const char *fg_penalty_offence_name(unsigned offence)
{
    return offence < FG_OFFENCES ? names[offence] : "?";
}

const char *fg_penalty_offence_text(unsigned offence)
{
    return offence < FG_OFFENCES ? texts[offence] : "?";
}

unsigned fg_penalty_offence_find(const char *name)
{
    unsigned i = 0;

    while (i < FG_OFFENCES && strcmp(names[i], name))
        i++;
    return i;
}

const char *fg_penalty_mode_name(enum fg_penalty_mode mode)
{
    static const char *const modes[] = {"off", "proven", "suspected"};

    return modes[mode];
}

void fg_penalty_settings(struct fg_penalty *p, struct fg_penalty_options *now,
                         struct fg_penalty_options *begun)
{
    pthread_mutex_lock(&p->lock);
    *now = p->options;
    *begun = p->begun;
    pthread_mutex_unlock(&p->lock);
}

void fg_penalty_settings_set(struct fg_penalty *p, const struct fg_penalty_options *wanted)
{
    pthread_mutex_lock(&p->lock);
    p->options.mode = wanted->mode;
    p->options.first_ms = wanted->first_ms;
    memcpy(p->options.threshold, wanted->threshold, sizeof(p->options.threshold));
    pthread_mutex_unlock(&p->lock);
}

enum fg_penalty_mode fg_penalty_mode(struct fg_penalty *p)
{
    struct fg_penalty_options now, begun;

    fg_penalty_settings(p, &now, &begun);
    return now.mode;
}

/* ---- sources and their slots ----------------------------------------------------------------- */

/* The network that stands for an address: itself, or the first bits of an IPv6 address. */
static struct fg_filter_prefix source_of(const struct fg_penalty *p,
                                         const struct fg_filter_prefix *address)
{
    struct fg_filter_prefix source = *address;

    if (source.family == 6 && source.length > p->options.v6_prefix) {
        source.length = (uint8_t)p->options.v6_prefix;
        for (unsigned i = 0; i < 16; i++) {
            unsigned keep = source.length > i * 8 ? source.length - i * 8 : 0;

            if (keep < 8)
                source.addr[i] &= (uint8_t)(0xff00u >> keep);
        }
    }
    return source;
}

static bool same(const struct fg_filter_prefix *a, const struct fg_filter_prefix *b)
{
    return a->family == b->family && a->length == b->length &&
           memcmp(a->addr, b->addr, sizeof(a->addr)) == 0;
}

static unsigned home_of(const struct fg_penalty *p, const struct fg_filter_prefix *source)
{
    uint64_t words[2];

    memcpy(words, source->addr, sizeof(words));
    return (unsigned)fg_mix64(fg_mix64(words[0] ^ p->options.seed, words[1]), source->length) &
           (SLOTS - 1);
}

static struct slot *find(struct fg_penalty *p, const struct fg_filter_prefix *source)
{
    unsigned at = home_of(p, source);

    while (p->slots[at].used && !same(&p->slots[at].offender.source, source))
        at = (at + 1) & (SLOTS - 1);
    return p->slots[at].used ? &p->slots[at] : NULL;
}

/* Closes the gap, so that no search ends early (Knuth, 6.4, algorithm R). */
static void forget(struct fg_penalty *p, struct slot *slot)
{
    unsigned hole = (unsigned)(slot - p->slots), at = hole;

    p->used--;
    for (;;) {
        unsigned home;

        p->slots[hole].used = false;
        do {
            at = (at + 1) & (SLOTS - 1);
            if (!p->slots[at].used)
                return;
            home = home_of(p, &p->slots[at].offender.source);
        } while (hole <= at ? hole < home && home <= at : hole < home || home <= at);
        p->slots[hole] = p->slots[at];
        hole = at;
    }
}

/* The one quiet longest goes; who is blocked stays. */
static bool make_room(struct fg_penalty *p, uint64_t now_ms)
{
    struct slot *oldest = NULL;

    for (unsigned i = 0; i < SLOTS; i++) {
        struct slot *s = &p->slots[i];

        if (s->used && s->offender.until_ms <= now_ms &&
            (!oldest || s->offender.until_ms < oldest->offender.until_ms))
            oldest = s;
    }
    if (oldest)
        forget(p, oldest);
    return oldest != NULL;
}

static struct slot *slot_for(struct fg_penalty *p, const struct fg_filter_prefix *source,
                             uint64_t now_ms)
{
    struct slot *slot = find(p, source);
    unsigned at = home_of(p, source);

    if (slot)
        return slot;
    if (p->used == FG_PENALTY_MAX && !make_room(p, now_ms))
        return NULL;
    while (p->slots[at].used)
        at = (at + 1) & (SLOTS - 1);
    slot = &p->slots[at];
    *slot = (struct slot){.used = true, .offender = {.source = *source}};
    p->used++;
    return slot;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void note(struct fg_penalty *p, const char *fmt, ...)
{
    char text[256];
    va_list args;

    if (p->notes++ >= FG_PENALTY_NOTES_MAX || !p->lists.note) {
        p->counters.unsaid++;
        return;
    }
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    p->lists.note(p->lists.ctx, text);
}

/* Not blocked after all, and not considered again for a window. */
static void leave(struct slot *slot, uint64_t now_ms)
{
    slot->blocked = false;
    slot->offender.until_ms = now_ms + FG_PENALTY_WINDOW_MS;
}

static void block(struct fg_penalty *p, struct slot *slot, enum fg_penalty_offence offence,
                  double events, uint64_t now_ms)
{
    struct fg_penalty_offender *o = &slot->offender;
    unsigned level = o->level < FG_PENALTY_LEVELS ? o->level + 1u : FG_PENALTY_LEVELS;
    uint64_t ms = (uint64_t)p->options.first_ms * factors[level];
    char reason[FG_FILTER_REASON_MAX], text[64];
    struct fg_error err = {""};

    snprintf(reason, sizeof(reason), FG_PENALTY_REASON "%u: %s", level, names[offence]);
    fg_filter_prefix_format(&o->source, text);
    if (!p->lists.block(p->lists.ctx, &o->source, ms, reason, &err)) {
        p->counters.refused++;
        note(p, "penalty: %s not blocked: %.120s", text, err.text);
        leave(slot, now_ms);
        return;
    }
    p->counters.blocks++;
    slot->blocked = true;
    o->level = (uint8_t)level;
    o->offence = (uint8_t)offence;
    o->since_ms = now_ms;
    o->until_ms = now_ms + ms;
    note(p, "penalty: %s blocked for %llu s (level %u): %.0f times %s within %d s", text,
         (unsigned long long)(ms / 1000), level, events, names[offence],
         FG_PENALTY_WINDOW_MS / 1000);
}

/* The threshold is reached. */
static void consider(struct fg_penalty *p, const struct fg_filter_prefix *address,
                     const struct fg_filter_prefix *source, enum fg_penalty_offence offence,
                     double events, uint64_t now_ms)
{
    struct slot *slot;

    if (!p->lists.block)
        return;
    slot = slot_for(p, source, now_ms);
    if (!slot) {
        p->counters.refused++;
        return;
    }
    if (slot->offender.until_ms > now_ms &&
        (!slot->blocked || now_ms - slot->offender.since_ms < LIFTED_MS))
        return;
    if (p->lists.allowed(p->lists.ctx, address)) {
        p->counters.spared++;
        leave(slot, now_ms);
    } else {
        block(p, slot, offence, events, now_ms);
    }
}

/* ---- reports --------------------------------------------------------------------------------- */

/* A packet without a handshake proves no source, whatever its report says. */
static bool is_proven(const struct fg_penalty_report *r)
{
    static const bool may_be[FG_OFFENCES] = {
#define X(name, text, proof, help) proof,
        FG_PENALTY_OFFENCE_LIST(X)
#undef X
    };

    return r->proven && may_be[r->offence];
}

static bool is_evidence(struct fg_penalty *p, const struct fg_penalty_report *r)
{
    bool proven = is_proven(r);

    if (!proven)
        p->counters.unproven++;
    return p->options.mode == FG_PENALTY_SUSPECTED ||
           (p->options.mode == FG_PENALTY_PROVEN && proven);
}

static void take_report(struct fg_penalty *p, const struct fg_penalty_report *r, uint64_t now_ms)
{
    struct fg_filter_prefix address = {.family = r->family, .length = r->family == 6 ? 128 : 32},
                            source;
    struct class *c = &p->classes[r->offence];
    const struct fg_penalty_hitter *hitter;

    p->counters.reports += r->events;
    if (r->family != 4 && r->family != 6) {
        p->counters.sourceless += r->events;
        return;
    }
    memcpy(address.addr, r->addr, r->family == 6 ? 16 : 4);
    source = source_of(p, &address);
    fg_penalty_hitters_add(c->shown, &source, r->events, is_proven(r), now_ms);
    if (!is_evidence(p, r) || !p->options.threshold[r->offence])
        return;
    hitter = fg_penalty_hitters_add(c->evidence, &source, r->events, is_proven(r), now_ms);
    /* The guaranteed count, not the estimate: no source pays for the offences of another. */
    if (hitter->count - hitter->error >= p->options.threshold[r->offence])
        consider(p, &address, &source, r->offence, hitter->count - hitter->error, now_ms);
}

void fg_penalty_report(struct fg_penalty *p, const struct fg_penalty_report *report,
                       uint64_t now_ms)
{
    if (report->offence >= FG_OFFENCES || report->events == 0)
        return;
    pthread_mutex_lock(&p->lock);
    take_report(p, report, now_ms);
    pthread_mutex_unlock(&p->lock);
}

static void forget_the_quiet(struct fg_penalty *p, uint64_t now_ms)
{
    for (unsigned i = 0; i < SLOTS; i++)
        while (p->slots[i].used && now_ms >= p->slots[i].offender.until_ms &&
               now_ms - p->slots[i].offender.until_ms >= FG_PENALTY_QUIET_MS)
            forget(p, &p->slots[i]); /* another one may have moved here */
}

void fg_penalty_tick(struct fg_penalty *p, uint64_t now_ms)
{
    pthread_mutex_lock(&p->lock);
    if (now_ms - p->window_ms >= FG_PENALTY_WINDOW_MS) {
        p->window_ms = now_ms;
        p->notes = 0;
        for (unsigned i = 0; i < FG_OFFENCES; i++)
            fg_penalty_hitters_clear(p->classes[i].evidence);
        forget_the_quiet(p, now_ms);
    }
    if (now_ms - p->halved_ms >= FG_PENALTY_HALF_MS) {
        p->halved_ms = now_ms;
        for (unsigned i = 0; i < FG_OFFENCES; i++)
            fg_penalty_hitters_halve(p->classes[i].shown);
    }
    pthread_mutex_unlock(&p->lock);
}

/* ---- what is there --------------------------------------------------------------------------- */

bool fg_penalty_restore(struct fg_penalty *p, const struct fg_filter_prefix *source,
                        const char *reason, int64_t left_ms, uint64_t now_ms)
{
    uint64_t until_ms = left_ms < 0 && (uint64_t)-left_ms > now_ms ? 0 : now_ms + (uint64_t)left_ms;
    size_t head = strlen(FG_PENALTY_REASON);
    struct slot *slot;
    unsigned offence;

    if (strncmp(reason, FG_PENALTY_REASON, head) || reason[head] < '1' ||
        reason[head] > '0' + FG_PENALTY_LEVELS || strncmp(reason + head + 1, ": ", 2))
        return false;
    offence = fg_penalty_offence_find(reason + head + 3);
    if (offence == FG_OFFENCES)
        return false;
    pthread_mutex_lock(&p->lock);
    slot = slot_for(p, source, now_ms);
    if (slot) {
        slot->blocked = left_ms > 0;
        slot->offender = (struct fg_penalty_offender){.source = *source,
                                                      .level = (uint8_t)(reason[head] - '0'),
                                                      .offence = (uint8_t)offence,
                                                      .since_ms = now_ms,
                                                      .until_ms = until_ms};
    }
    pthread_mutex_unlock(&p->lock);
    return slot != NULL;
}

void fg_penalty_forget(struct fg_penalty *p)
{
    pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; i < SLOTS; i++)
        p->slots[i].used = false;
    p->used = 0;
    pthread_mutex_unlock(&p->lock);
}

bool fg_penalty_release(struct fg_penalty *p, const struct fg_filter_prefix *address,
                        uint64_t now_ms, struct fg_error *err)
{
    struct fg_filter_prefix source = source_of(p, address);
    struct slot *slot;
    char text[64];
    bool ok;

    fg_filter_prefix_format(&source, text);
    pthread_mutex_lock(&p->lock);
    slot = find(p, &source);
    if (!slot || !slot->blocked || slot->offender.until_ms <= now_ms)
        ok = fg_fail(err, "%s: is not in the penalty box", text);
    else if ((ok = p->lists.unblock(p->lists.ctx, &source, err)))
        forget(p, slot);
    pthread_mutex_unlock(&p->lock);
    return ok;
}

unsigned fg_penalty_list(struct fg_penalty *p, struct fg_penalty_offender *list, unsigned max,
                         uint64_t now_ms)
{
    unsigned n = 0;

    pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; i < SLOTS; i++) {
        const struct slot *s = &p->slots[i];

        if (!s->used || !s->blocked || s->offender.until_ms <= now_ms)
            continue;
        if (n < max)
            list[n] = s->offender;
        n++;
    }
    pthread_mutex_unlock(&p->lock);
    return n;
}

bool fg_penalty_find(struct fg_penalty *p, const struct fg_filter_prefix *address,
                     struct fg_penalty_offender *found)
{
    struct fg_filter_prefix source = source_of(p, address);
    struct slot *slot;
    bool known;

    pthread_mutex_lock(&p->lock);
    slot = find(p, &source);
    known = slot && slot->offender.level;
    if (known)
        *found = slot->offender;
    pthread_mutex_unlock(&p->lock);
    return known;
}

unsigned fg_penalty_top(struct fg_penalty *p, enum fg_penalty_offence offence,
                        struct fg_penalty_hitter *top, unsigned max, double *total)
{
    unsigned n;

    FG_ASSERT(offence < FG_OFFENCES);
    pthread_mutex_lock(&p->lock);
    n = fg_penalty_hitters_top(p->classes[offence].shown, top, max);
    *total = fg_penalty_hitters_total(p->classes[offence].shown);
    pthread_mutex_unlock(&p->lock);
    return n;
}

struct fg_penalty_counters fg_penalty_counters(struct fg_penalty *p)
{
    struct fg_penalty_counters copy;

    pthread_mutex_lock(&p->lock);
    copy = p->counters;
    pthread_mutex_unlock(&p->lock);
    return copy;
}

/* ---- life ------------------------------------------------------------------------------------ */

struct fg_penalty *fg_penalty_create(const struct fg_penalty_options *options,
                                     const struct fg_penalty_lists *lists, uint64_t now_ms)
{
    struct fg_penalty *p = calloc(1, sizeof(*p));
    bool ok = p != NULL;

    if (!p)
        return NULL;
    pthread_mutex_init(&p->lock, NULL);
    p->options = p->begun = *options;
    if (lists)
        p->lists = *lists;
    p->window_ms = p->halved_ms = now_ms;
    for (unsigned i = 0; i < FG_OFFENCES; i++) {
        p->classes[i].shown = fg_penalty_hitters_create(FG_PENALTY_COUNTERS, options->seed + 2 * i);
        p->classes[i].evidence =
            fg_penalty_hitters_create(FG_PENALTY_COUNTERS, options->seed + 2 * i + 1);
        ok = ok && p->classes[i].shown && p->classes[i].evidence;
    }
    if (ok)
        return p;
    fg_penalty_destroy(p);
    return NULL;
}

void fg_penalty_destroy(struct fg_penalty *p)
{
    if (!p)
        return;
    for (unsigned i = 0; i < FG_OFFENCES; i++) {
        fg_penalty_hitters_destroy(p->classes[i].shown);
        fg_penalty_hitters_destroy(p->classes[i].evidence);
    }
    pthread_mutex_destroy(&p->lock);
    free(p);
}
