/* SPDX-License-Identifier: BSD-3-Clause */
#include "shopper.h"

#include <inttypes.h>
#include <openssl/hmac.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/text.h"
#include "said.h"

#define TRIES_MAX  60  /* of one step; then the shopper leaves the order */
#define AGAIN_MS   500 /* between two requests without a hint, with jitter */
#define SILENCE_US 70000000ull
#define COOKIE     "floodgate_session="

static uint64_t draw(struct world *w)
{
    return fg_mix64(w->o->seed, w->random++);
}

static bool happens(struct world *w, double share)
{
    return (double)(draw(w) >> 11) < share * (double)(1ull << 53);
}

/* The number of a user as docs/gateway.md says it: 8 bytes of the HMAC of the name. */
static uint64_t number_of(const struct options *o, const char *name)
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned size;
    uint64_t number = 0;

    FG_ASSERT(HMAC(EVP_sha256(), o->secret, (int)o->secret_size, (const uint8_t *)name,
                   strlen(name), mac, &size));
    for (unsigned i = 0; i < 8; i++)
        number = number << 8 | mac[i];
    return number;
}

static void name_of(const struct shopper *s, char name[32])
{
    snprintf(name, 32, "web-%u", s->number);
}

void shopper_init(struct world *w, uint32_t number)
{
    struct shopper *s = &w->shoppers[number];
    char name[32];

    s->number = number;
    s->conn.fd = -1;
    name_of(s, name);
    s->user = number_of(w->o, name);
    s->step = STEP_LOGIN; /* all of them within the first second */
    s->due_ms = w->began_ms + 1000ull * number / w->o->shoppers;
}

/* ---- requests -------------------------------------------------------------------------------- */

static void key_of(const struct order *o, char key[37])
{
    char hex[33];

    fg_text_hex(hex, o->id, sizeof(o->id));
    snprintf(key, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

static int body_of(const struct shopper *s, char *body, size_t room)
{
    char name[32];

    name_of(s, name);
    if (s->step == STEP_LOGIN)
        return snprintf(body, room, "{\"user\":\"%s\"}", name);
    if (s->step == STEP_RESERVE)
        return snprintf(body, room, "{\"item\":\"%" PRIu64 "\",\"quantity\":%u}", s->order->item,
                        s->order->quantity);
    return 0;
}

/* The header lines of a shopper who has logged in. */
static void fields_of(const struct shopper *s, const char *key, char *fields, size_t room)
{
    bool keyed = s->step == STEP_RESERVE;

    fields[0] = '\0';
    if (s->step != STEP_LOGIN)
        snprintf(fields, room, "Cookie: " COOKIE "%s\r\n%s%s%s", s->session,
                 keyed ? "Idempotency-Key: " : "", keyed ? key : "", keyed ? "\r\n" : "");
}

static size_t request_of(const struct shopper *s, char text[CONN_OUT_MAX])
{
    static const struct {
        const char *line, *tail; /* before and behind the key */
        bool key;
    } lines[] = {[STEP_LOGIN] = {"POST /v1/login", "", false},
                 [STEP_RESERVE] = {"POST /v1/orders", "", false},
                 [STEP_FOLLOW] = {"GET /v1/orders/", "?wait=25", true},
                 [STEP_CANCEL] = {"DELETE /v1/orders/", "", true}};
    char key[37] = "", body[128] = "", fields[700];
    int length = body_of(s, body, sizeof(body)), n;

    if (s->order)
        key_of(s->order, key);
    fields_of(s, key, fields, sizeof(fields));
    n = snprintf(text, CONN_OUT_MAX,
                 "%s%s%s HTTP/1.1\r\nHost: shop\r\n%s%sContent-Length: %d\r\n\r\n%s",
                 lines[s->step].line, lines[s->step].key ? key : "", lines[s->step].tail,
                 length ? "Content-Type: application/json\r\n" : "", fields, length, body);
    FG_ASSERT(n > 0 && n < CONN_OUT_MAX);
    return (size_t)n;
}

static bool connected(struct world *w, struct shopper *s)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = s};

    if (s->conn.ssl)
        return true;
    if (!conn_open(&s->conn, w->tls, w->o, w->o->source ? w->o->source + s->number : 0))
        return false;
    w->connections++;
    FG_ASSERT(!epoll_ctl(w->epoll, EPOLL_CTL_ADD, s->conn.fd, &event));
    return true;
}

/* ---- from step to step ----------------------------------------------------------------------- */

static void go(struct shopper *s, enum step step, uint64_t due_ms)
{
    s->step = step;
    s->tries = 0;
    s->due_ms = due_ms;
}

static void next_order(struct world *w, struct shopper *s)
{
    uint64_t span = w->o->seconds * 1000 / w->o->orders, now = fg_clock_mono_ms();
    uint64_t due = w->began_ms + span * s->begun + draw(w) % span;
    struct order *o = &w->orders[s->number * w->o->orders + s->begun];

    if (s->begun == w->o->orders) {
        conn_close(&s->conn);
        s->step = STEP_ENDED;
        w->ended++;
        return;
    }
    s->begun++;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t word = draw(w);

        memcpy(o->id + 8 * i, &word, 8);
    }
    o->user = s->user;
    o->item = w->o->hot_share && happens(w, w->o->hot_share)
                  ? w->o->hot
                  : w->o->items_first + draw(w) % (w->o->items_last - w->o->items_first + 1);
    o->quantity = 1;
    s->order = o;
    go(s, STEP_RESERVE, due > now ? due : now);
}

static void again(struct world *w, struct shopper *s, const struct said *said)
{
    uint64_t wait = said->retry_ms ? said->retry_ms : AGAIN_MS / 2 + draw(w) % AGAIN_MS;

    w->repeats++;
    s->due_ms = fg_clock_mono_ms() + wait;
    if (++s->tries < TRIES_MAX)
        return;
    w->given_up++;
    if (s->step == STEP_LOGIN) {
        s->step = STEP_ENDED;
        w->ended++;
    } else {
        next_order(w, s);
    }
}

static void logged_in(struct world *w, struct shopper *s, const struct conn_answer *a)
{
    const char *value = a->http == 200 ? strstr(a->head, COOKIE) : NULL;

    if (!value) {
        again(w, s, &(struct said){.retry_ms = 0});
        return;
    }
    value += strlen(COOKIE);
    snprintf(s->session, sizeof(s->session), "%.*s", (int)strcspn(value, ";\r"), value);
    next_order(w, s);
}

/* An accepted order never becomes unknown or refused. */
static void take(struct world *w, struct order *o, unsigned status)
{
    if (o->told && said_state(o->told) && o->told != FG_PACKET_STATUS_WAITING &&
        !said_state(status)) {
        w->contradictions++;
        return;
    }
    o->told = (uint8_t)status;
}

static void heard(struct world *w, struct shopper *s, const struct said *said)
{
    bool was_reserve = s->step == STEP_RESERVE;

    s->order->open |= said->unknown;
    if (said->status == FG_PACKET_STATUS_NONE) {
        again(w, s, said);
        return;
    }
    take(w, s->order, said->status);
    if (said->status == FG_PACKET_STATUS_RESERVED && was_reserve && happens(w, w->o->cancel))
        go(s, STEP_CANCEL, fg_clock_mono_ms() + 100 + draw(w) % 1000);
    else if (said->status == FG_PACKET_STATUS_RESERVED || said->status == FG_PACKET_STATUS_WAITING)
        go(s, STEP_FOLLOW, fg_clock_mono_ms());
    else
        next_order(w, s);
}

static void measure(struct world *w, const struct shopper *s)
{
    if (s->step == STEP_RESERVE || s->step == STEP_CANCEL)
        fg_hist_add(&w->latency, fg_clock_mono_ns() - s->sent_us * 1000);
}

/* http 0: no answer. */
static void ended(struct world *w, struct shopper *s, const struct conn_answer *a)
{
    struct said said;

    w->http[a->http < 600 ? a->http : 0]++;
    w->unanswered += !a->http;
    if (a->http)
        measure(w, s);
    if (s->step == STEP_LOGIN) {
        logged_in(w, s, a);
        return;
    }
    said = said_by(a->http, a->body);
    heard(w, s, &said);
}

void shopper_due(struct world *w, struct shopper *s)
{
    char text[CONN_OUT_MAX];
    struct conn_answer none = {.http = 0, .head = "", .body = ""};

    if (s->conn.asked) { /* longer than any long poll */
        if (fg_clock_mono_ns() / 1000 - s->sent_us > SILENCE_US) {
            s->conn.asked = false;
            conn_close(&s->conn);
            ended(w, s, &none);
        }
        return;
    }
    if (!connected(w, s)) {
        again(w, s, &(struct said){.retry_ms = 0});
        return;
    }
    conn_ask(&s->conn, text, request_of(s, text));
    w->requests++;
    s->sent_us = fg_clock_mono_ns() / 1000;
    shopper_drive(w, s);
}

void shopper_drive(struct world *w, struct shopper *s)
{
    struct conn_answer a = {.http = 0, .head = "", .body = ""};

    if (conn_drive(&s->conn, &a) != CONN_WAITS)
        ended(w, s, &a);
}

void shopper_give_up(struct world *w, struct shopper *s)
{
    if (s->step == STEP_ENDED)
        return;
    if (s->order && s->conn.asked)
        s->order->open = true;
    w->given_up++;
    conn_close(&s->conn);
    s->step = STEP_ENDED;
}
