/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * order-service: the reference for what stands behind the appliance. One thread, one loop: takes
 * reservations, asks a pretended payment provider, and tells the appliance what became of them.
 * Every step is in PostgreSQL before the next one is made; whatever fails, everything in memory is
 * thrown away and read from there again, as after kill -9.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "books.h"
#include "events.h"
#include "options.h"
#include "way.h"

#define BATCH   500 /* steps of one kind at a time */
#define LOOP_MS 5   /* between looks when there is nothing to do */
#define GRACE_MS                                                                                   \
    2000 /* a provider that says nothing is given up so long after the end of the hold */
#define AGAIN_MS   200   /* after an answer that decided nothing */
#define COMMAND_MS 10000 /* an unanswered command is given again */
#define PAUSE_MS   500   /* before the next attempt at a server that is away */

struct list {
    struct payment *payment[BATCH];
    size_t n;
};

struct service {
    struct options o;
    struct books books;
    struct events events;
    struct payments open;
    struct way *way;                                          /* NULL: by the stream */
    uint64_t taken, repeats, sent, again, reconnects, unpaid; /* of this run */
    uint64_t began_ms, busy_ms, progress_ms;
};

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    stopping = number;
}

static uint64_t clock_ms(clockid_t which)
{
    struct timespec ts;

    clock_gettime(which, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint64_t now_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

static void pause_ms(uint64_t ms)
{
    poll(NULL, 0, (int)ms);
}

/* ---- the pretended provider ------------------------------------------------------------------ */

enum outcome { SUCCESS, FAILURE, SILENCE };

static uint64_t draw(const struct service *s, const struct payment *p, uint64_t what)
{
    uint64_t words[4];

    memcpy(words, p->order, 32);
    return fg_mix64(fg_mix64(words[0], words[1]) ^ fg_mix64(words[2], words[3]),
                    fg_mix64(p->user, fg_mix64(s->o.seed, what)));
}

/* The order is the idempotency key: asked again, after a crash, it answers the same. */
static enum outcome outcome_of(const struct service *s, const struct payment *p)
{
    double dice;

    if (p->late)
        return FAILURE;
    dice = (double)(draw(s, p, 1) >> 11) / (double)(1ull << 53);

    if (dice < s->o.success)
        return SUCCESS;
    return dice < s->o.success + s->o.failure ? FAILURE : SILENCE;
}

/* The time of its answer; if it never answers, the time when the wait ends. */
static void ask_provider(const struct service *s, struct payment *p)
{
    uint64_t now = now_ms(), unix_ms = clock_ms(CLOCK_REALTIME);
    uint64_t left = p->deadline_ms > unix_ms ? p->deadline_ms - unix_ms : 0;
    uint64_t span = s->o.delay_max_ms - s->o.delay_min_ms + 1;

    p->late = !left;
    if (p->late)
        p->due_ms = now;
    else if (outcome_of(s, p) == SILENCE)
        p->due_ms = now + left + GRACE_MS;
    else
        p->due_ms = now + s->o.delay_min_ms + draw(s, p, 2) % span;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static bool take_events(struct service *s, struct fg_error *err)
{
    static struct payment list[EVENTS_MAX];
    bool fresh[EVENTS_MAX];
    int n;

    if (s->open.count >= s->o.open_max)
        return true;
    n = events_take(&s->events, list, err);
    if (n < 0 || (n > 0 && !books_take(&s->books, list, (size_t)n, fresh, err)))
        return false;
    for (int i = 0; i < n; i++) {
        if (!fresh[i]) {
            s->repeats++;
            continue;
        }
        ask_provider(s, &list[i]);
        payments_add(&s->open, &list[i]);
        s->taken++;
    }
    if (s->events.count)
        s->busy_ms = now_ms();
    return events_done(&s->events, err);
}

/* Moves all of the list, in the books first. */
static bool move(struct service *s, struct list *list, enum state from, enum state to,
                 const char *booking, struct fg_error *err)
{
    if (list->n && !books_move(&s->books, list->payment, list->n, from, to, booking, err))
        return false;
    for (size_t i = 0; i < list->n; i++)
        list->payment[i]->state = to;
    return true;
}

/* A payment whose question is under way is not due: the question ends in any case. */
static void tell_by_packet(struct service *s, struct payment *p)
{
    bool asked = way_ask(s->way, p);

    payments_due(&s->open, p, asked ? UINT64_MAX : now_ms() + AGAIN_MS);
}

static bool tell(struct service *s, struct list *list, struct fg_error *err)
{
    for (size_t i = 0; i < list->n; i++) {
        struct payment *p = list->payment[i];

        s->again += p->tries > 0;
        p->tries++;
        s->sent++;
        if (s->way)
            tell_by_packet(s, p);
        else
            payments_due(&s->open, p, now_ms() + COMMAND_MS);
    }
    return s->way || !list->n || events_command(&s->events, list->payment, list->n, err);
}

/* Due work: answers of the provider, then messages to the appliance. */
static bool act(struct service *s, struct fg_error *err)
{
    struct list charge = {.n = 0}, decline = {.n = 0}, ask = {.n = 0};
    uint64_t now = now_ms();
    struct payment *p;

    while ((p = payments_first(&s->open)) && p->due_ms <= now && charge.n < BATCH &&
           decline.n < BATCH && ask.n < BATCH) {
        struct list *list = p->state != STATE_TAKEN       ? &ask
                            : outcome_of(s, p) == SUCCESS ? &charge
                                                          : &decline;

        list->payment[list->n++] = p;
        payments_due(&s->open, p, now + COMMAND_MS);
    }
    if (charge.n + decline.n + ask.n)
        s->busy_ms = now;
    return move(s, &charge, STATE_TAKEN, STATE_CHARGED, "charge", err) &&
           move(s, &decline, STATE_TAKEN, STATE_DECLINED, NULL, err) && tell(s, &charge, err) &&
           tell(s, &decline, err) && tell(s, &ask, err);
}

/* ---- answers --------------------------------------------------------------------------------- */

struct answers {
    struct list list[STATES]; /* by the state that they end in */
    size_t n;
};

/* The state in which the answer leaves the payment; its own when nothing was decided, or when there
 * is one more thing to ask. */
static enum state ends_in(struct service *s, struct payment *p, unsigned status)
{
    bool gone = status == FG_PACKET_STATUS_EXPIRED || status == FG_PACKET_STATUS_UNKNOWN_ORDER;

    if (p->state == STATE_CHARGED && status == FG_PACKET_STATUS_SOLD)
        return STATE_CONFIRMED;
    if (payment_confirms(p) && status == FG_PACKET_STATUS_EXPIRED) {
        p->closing = true; /* a copy of the confirmation could still buy: no money goes back yet */
        return p->state;
    }
    if (p->state == STATE_CHARGED && (gone || status == FG_PACKET_STATUS_CANCELLED))
        return STATE_REFUNDED;
    if (p->state == STATE_DECLINED && status == FG_PACKET_STATUS_CANCELLED)
        return clock_ms(CLOCK_REALTIME) < p->deadline_ms ? STATE_CANCELLED : STATE_LAPSED;
    if (p->state == STATE_DECLINED && (gone || status == FG_PACKET_STATUS_SOLD)) {
        s->unpaid +=
            status ==
            FG_PACKET_STATUS_SOLD; /* another service confirmed an order that is not paid here */
        return STATE_LAPSED;
    }
    return p->state;
}

static void note(struct service *s, struct answers *a, struct payment *p, unsigned status,
                 uint32_t retry_ms)
{
    enum state to = ends_in(s, p, status);

    if (to == p->state) {
        payments_due(&s->open, p, now_ms() + (retry_ms ? retry_ms : AGAIN_MS));
        return;
    }
    for (size_t i = 0; i < a->list[to].n; i++)
        if (a->list[to].payment[i] == p) /* answered twice */
            return;
    a->list[to].payment[a->list[to].n++] = p;
    a->n++;
}

static void packets(struct service *s, struct answers *a)
{
    struct fg_client_done done;
    struct payment *p;

    while (a->n < BATCH && way_next(s->way, &p, &done)) {
        if (done.answered)
            note(s, a, p, done.reply.status, done.reply.retry_ms);
        else /* silence: asked again */
            payments_due(&s->open, p, now_ms());
    }
}

static unsigned status_of(const char *name)
{
    unsigned status = FG_PACKET_STATUS_COUNT - 1;

    while (status && strcmp(fg_packet_status_name(status), name) != 0)
        status--;
    return status;
}

static bool results(struct service *s, struct answers *a, struct fg_error *err)
{
    static struct result list[BATCH];
    int n = events_results(&s->events, list, BATCH, err);

    for (int i = 0; i < n; i++) {
        struct payment *p = payments_find(&s->open, list[i].user, list[i].order);

        if (p && p->state != STATE_TAKEN &&
            !strcmp(list[i].op, payment_confirms(p) ? "confirm" : "cancel"))
            note(s, a, p, status_of(list[i].status), 0);
    }
    return n >= 0;
}

static bool end(struct service *s, struct list *list, enum state to, struct fg_error *err)
{
    enum state from =
        to == STATE_CONFIRMED || to == STATE_REFUNDED ? STATE_CHARGED : STATE_DECLINED;

    if (!move(s, list, from, to, to == STATE_REFUNDED ? "refund" : NULL, err))
        return false;
    for (size_t i = 0; i < list->n; i++)
        payments_remove(&s->open, list->payment[i]);
    return true;
}

static bool hear(struct service *s, struct fg_error *err)
{
    static struct answers a;

    memset(&a, 0, sizeof(a));
    if (s->way)
        packets(s, &a);
    else if (!results(s, &a, err))
        return false;
    if (a.n)
        s->busy_ms = now_ms();
    return end(s, &a.list[STATE_CONFIRMED], STATE_CONFIRMED, err) &&
           end(s, &a.list[STATE_REFUNDED], STATE_REFUNDED, err) &&
           end(s, &a.list[STATE_CANCELLED], STATE_CANCELLED, err) &&
           end(s, &a.list[STATE_LAPSED], STATE_LAPSED, err);
}

/* ---- life ------------------------------------------------------------------------------------ */

/* Payments under way before the start: the provider is asked again, the appliance told again. */
static void go_on(void *arg, struct payment *p)
{
    p->due_ms = now_ms();
    if (p->state == STATE_TAKEN)
        ask_provider(arg, p);
}

static void forget_payments(struct service *s)
{
    for (size_t i = 0; s->way && i < s->open.count; i++)
        way_forget(s->way, s->open.heap[i]);
    payments_clear(&s->open);
}

/* Nothing in memory is trusted. */
static bool begin(struct service *s, struct fg_error *err)
{
    forget_payments(s);
    events_close(&s->events);
    s->busy_ms = now_ms();
    return books_open(&s->books, s->o.postgres, err) &&
           books_load(&s->books, &s->open, go_on, s, err) && events_open(&s->events, &s->o, err);
}

static uint64_t told(const struct service *s)
{
    return s->sent + (s->way ? way_repeated(s->way) : 0);
}

static uint64_t told_again(const struct service *s)
{
    return s->again + (s->way ? way_repeated(s->way) : 0);
}

static void progress(struct service *s)
{
    uint64_t now = now_ms();

    if (!s->o.progress_s || now < s->progress_ms)
        return;
    s->progress_ms = now + s->o.progress_s * 1000;
    fprintf(stderr,
            "order-service: %" PRIu64 " taken, %zu under way, %" PRIu64 " told, %" PRIu64
            " of them again\n",
            s->taken, s->open.count, told(s), told_again(s));
}

static bool step(struct service *s, struct fg_error *err)
{
    return take_events(s, err) && hear(s, err) && act(s, err);
}

static bool idle(const struct service *s)
{
    return s->o.until_idle_s && !s->open.count && now_ms() - s->busy_ms >= s->o.until_idle_s * 1000;
}

static void serve(struct service *s)
{
    bool up = true; /* main has begun it */

    while (!stopping && !idle(s)) {
        struct fg_error err = {""};
        uint64_t before = s->busy_ms;

        up = up ? step(s, &err) : begin(s, &err);
        if (!up) {
            fprintf(stderr, "order-service: %s; begins again\n", err.text);
            s->reconnects++;
            pause_ms(PAUSE_MS);
        } else if (before == s->busy_ms && s->way) {
            way_wait(s->way, LOOP_MS);
        } else if (before == s->busy_ms) {
            pause_ms(LOOP_MS);
        }
        progress(s);
    }
}

static void write_json(FILE *out, const struct service *s, const struct books_totals *t)
{
    fprintf(out, "{\"payments\": {");
    for (unsigned i = 0; i < STATES; i++)
        fprintf(out, "%s\"%s\": %" PRIu64, i ? ", " : "", state_names[i], t->payments[i]);
    fprintf(out, "},\n \"units\": {");
    for (unsigned i = 0; i < STATES; i++)
        fprintf(out, "%s\"%s\": %" PRIu64, i ? ", " : "", state_names[i], t->units[i]);
    fprintf(out,
            "},\n \"charges\": %" PRIu64 ", \"refunds\": %" PRIu64 ", \"charged_units\": %" PRIu64
            ", \"refunded_units\": %" PRIu64 ", \"charged_twice\": %" PRIu64 ",\n",
            t->charges, t->refunds, t->charged_units, t->refunded_units, t->charged_twice);
    fprintf(out,
            " \"this_run\": {\"taken\": %" PRIu64 ", \"delivered_again\": %" PRIu64
            ", \"told\": %" PRIu64 ", \"told_again\": %" PRIu64 ", \"sold_unpaid\": %" PRIu64
            ", \"reconnects\": %" PRIu64 ", \"seconds\": %.1f}}\n",
            s->taken, s->repeats, told(s), told_again(s), s->unpaid, s->reconnects,
            (double)(now_ms() - s->began_ms) / 1e3);
}

static int summary(struct service *s)
{
    struct fg_error err = {""};
    struct books_totals t;
    FILE *out = NULL;

    if (!books_totals(&s->books, &t, &err)) {
        fprintf(stderr, "order-service: %s\n", err.text);
        return 1;
    }
    fprintf(stderr,
            "order-service: %" PRIu64 " charges, %" PRIu64 " refunds, %zu under way, %" PRIu64
            " charged twice\n",
            t.charges, t.refunds, s->open.count, t.charged_twice);
    if (s->o.json)
        out = strcmp(s->o.json, "-") ? fopen(s->o.json, "we") : stdout;
    if (s->o.json && !out) {
        fprintf(stderr, "order-service: %s: %s\n", s->o.json, strerror(errno));
        return 1;
    }
    if (out)
        write_json(out, s, &t);
    return (out && fclose(out)) || t.charged_twice ? 1 : 0;
}

static bool open_way(struct service *s, struct fg_error *err)
{
    if (s->o.by_stream)
        return true;
    s->way = calloc(1, sizeof(*s->way));
    FG_ASSERT(s->way);
    return way_open(s->way, &s->o, err);
}

int main(int argc, char **argv)
{
    static struct service s;
    struct sigaction action = {.sa_handler = on_signal};
    struct fg_error err = {""};
    int code = options_parse(&s.o, argc, argv);

    if (code >= 0)
        return code;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    payments_init(&s.open);
    s.began_ms = now_ms();
    if (!open_way(&s, &err) || !begin(&s, &err)) {
        fprintf(stderr, "order-service: %s\n", err.text);
        return 1;
    }
    serve(&s);
    code = summary(&s);
    forget_payments(&s);
    events_close(&s.events);
    books_close(&s.books);
    if (s.way)
        way_close(s.way);
    return code;
}
