/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/fgblast/model_impl.h"

#include <stdarg.h>
#include <sys/random.h>

#define UNDECIDED                                                                                  \
    (BIT(BUSY) | BIT(UNAVAILABLE) | BIT(DENIED) | BIT(PAUSED) | BIT(NOT_OPEN) |                    \
     BIT(NOT_LEADER)) /* of the order */
#define TIMEOUT_MAX (5000 * MS)

_Static_assert(FG_PACKET_STATUS_COUNT <= 32, "a set of statuses is a word");

/* A client repeats a request with the same fields, and asks only about orders that were accepted.
 */
static const uint32_t legal[] = {
    [FG_PACKET_OP_RESERVE] =
        ~(1u << FG_PACKET_STATUS_NONE | BIT(UNKNOWN_ORDER) | BIT(ON_SALE) | BIT(CONFLICT) |
          BIT(REFUNDED) | BIT(WAITING) | BIT(NOT_LEADER) | BIT(WRONG_SHARD)),
    [FG_PACKET_OP_CONFIRM] = ANY_OVER | BIT(BUSY) | BIT(UNAVAILABLE) | BIT(DENIED),
    [FG_PACKET_OP_CANCEL] = ANY_OVER | BIT(BUSY) | BIT(UNAVAILABLE) | BIT(DENIED),
};

const char *fg_kind_name(unsigned kind)
{
    static const char *const names[] = {
#define X(name, text, help) text,
        FG_KIND_LIST(X)
#undef X
    };
    return kind < FG_KIND_COUNT ? names[kind] : "?";
}

static const char *const wrong_names[][2] = {
#define X(name, text) {#name, text},
    FG_WRONG_LIST(X)
#undef X
};

const char *fg_wrong_name(unsigned wrong)
{
    return wrong < FG_WRONG_COUNT ? wrong_names[wrong][0] : "?";
}

/* ---- making ---------------------------------------------------------------------------------- */

static bool find_key(const struct fg_packet_keyring *ring, uint64_t id, unsigned role,
                     const char *option, const struct fg_packet_key **key, struct fg_error *err)
{
    *key = fg_packet_keyring_find(ring, (uint16_t)id);
    if (!*key)
        return fg_fail(err, "--%s %u: no such key in the key file", option, (unsigned)id);
    if (!((*key)->roles & role))
        return fg_fail(err, "--%s %u: the key lacks the role for it", option, (unsigned)id);
    return true;
}

static bool make_items(struct fg_model *m)
{
    const struct fg_blast_options *o = m->options;
    double *weights = fg_zipf_weights(o->items_count, o->zipf);

    m->items = calloc(o->items_count + 1, sizeof(*m->items));
    m->popularity = weights ? fg_alias_create(weights, o->items_count) : NULL;
    m->quantity = fg_alias_create(o->weights, o->quantities_count);
    free(weights);
    if (!m->items || !m->popularity || !m->quantity)
        return false;
    m->items_count = o->items_count;
    m->hot_index = NONE;
    for (uint32_t i = 0; i < o->items_count; i++) {
        m->items[i].item = o->items[i];
        if (o->items[i] == o->hot_item)
            m->hot_index = i;
    }
    if (o->hot_item && m->hot_index == NONE) { /* wanted by --hot only */
        m->hot_index = m->items_count++;
        m->items[m->hot_index].item = o->hot_item;
    }
    return true;
}

bool fg_model_start(struct fg_model *m, const struct fg_blast_options *o,
                    const struct fg_packet_keyring *ring, uint64_t now_ns, struct fg_error *err)
{
    *m = (struct fg_model){
        .options = o, .nonce = o->nonce, .random = o->seed, .begun_ns = now_ns, .now_ns = now_ns};
    if (!o->nonce_set && getrandom(&m->nonce, sizeof(m->nonce), 0) != sizeof(m->nonce))
        return fg_fail(err, "no random numbers from the kernel");
    m->seed = fg_mix64(o->seed, m->nonce);
    m->bar_duplicates = fg_share_bar(o->duplicates);
    m->bar_confirm = fg_share_bar(o->confirm);
    m->bar_cancel = fg_share_bar(o->cancel);
    m->bar_late = fg_share_bar(o->late);
    m->bar_hot = o->hot_item ? fg_share_bar(o->hot_share) : 0;
    if (!find_key(ring, o->shop_key, FG_PACKET_ROLE_SHOP, "shop-key", &m->shop, err) ||
        !find_key(ring, o->backend_key, FG_PACKET_ROLE_BACKEND, "backend-key", &m->backend, err))
        return false;
    return make_items(m) || fg_fail(err, "out of memory for %u items", o->items_count);
}

void fg_model_stop(struct fg_model *m)
{
    free(m->popularity);
    free(m->quantity);
    free(m->items);
}

/* ---- what is asked --------------------------------------------------------------------------- */

struct fg_wish fg_model_wish(const struct fg_model *m, uint32_t order)
{
    const struct fg_blast_options *o = m->options;
    uint64_t state = m->seed ^ (uint64_t)order << 32, r = fg_random(&state);
    struct fg_wish wish = {.shopper = (uint32_t)(((r >> 32) * o->shoppers) >> 32),
                           .chance = (uint32_t)r};

    wish.item =
        fg_happens(&state, m->bar_hot) ? m->hot_index : fg_alias_pick(m->popularity, &state);
    wish.quantity = o->quantities[o->quantities_count > 1 ? fg_alias_pick(m->quantity, &state) : 0];
    return wish;
}

enum fg_plan fg_model_plan(const struct fg_model *m, uint32_t chance)
{
    if (chance < m->bar_confirm)
        return FG_PLAN_PAY;
    if (chance < m->bar_confirm + m->bar_cancel)
        return FG_PLAN_CANCEL;
    return (uint32_t)(chance * 2654435761u) < m->bar_late ? FG_PLAN_PAY_LATE : FG_PLAN_LEAVE;
}

void fg_model_request(const struct fg_model *m, const struct fg_asked *a,
                      struct fg_packet_request *r)
{
    *r = (struct fg_packet_request){.magic = FG_PACKET_MAGIC,
                                    .version = FG_PACKET_VERSION,
                                    .op = a->op,
                                    .key_id = fg_model_key(m, a->op)->id,
                                    .user = fg_blast_user(m->options, a->shopper),
                                    .cookie = a->cookie};
    fg_model_order_id(m, a->order, a->shopper, r->order_id);
    if (a->op == FG_PACKET_OP_RESERVE) {
        r->quantity = a->quantity;
        r->item = m->items[a->item].item;
    }
}

uint64_t fg_model_timeout(const struct fg_model *m, unsigned tries)
{
    uint64_t first = m->options->timeout_ms * MS, wait = first << (tries < 16 ? tries : 16);

    return wait <= TIMEOUT_MAX ? wait : first > TIMEOUT_MAX ? first : TIMEOUT_MAX;
}

bool fg_model_limit_reached(const struct fg_model *m)
{
    const struct fg_blast_options *o = m->options;

    return m->enough || (o->packets && m->stats.packets >= o->packets) ||
           (o->orders && m->stats.orders >= o->orders) ||
           (o->seconds && m->now_ns - m->begun_ns >= o->seconds * 1000 * MS);
}

/* ---- what is told ---------------------------------------------------------------------------- */

void fg_model_wrong(struct fg_model *m, enum fg_wrong what, const struct fg_packet_reply *r,
                    const char *fmt, ...)
{
    size_t size = sizeof(m->examples[0]);
    char *text;
    va_list args;
    int used;

    m->stats.wrong[what]++;
    m->stats.contradictions++;
    if (m->examples_count == FG_WRONG_EXAMPLES)
        return;
    text = m->examples[m->examples_count++];
    used = snprintf(text, size, "%s (op %s, status %s, cookie %08x, order ", wrong_names[what][1],
                    fg_packet_op_name(r->op & ~FG_PACKET_REPLY), fg_packet_status_name(r->status),
                    r->cookie);
    for (unsigned i = 0; i < sizeof(r->order_id); i++)
        used += snprintf(text + used, size - (size_t)used, "%02x", r->order_id[i]);
    used += snprintf(text + used, size - (size_t)used, "): ");
    va_start(args, fmt);
    vsnprintf(text + used, size - (size_t)used, fmt, args);
    va_end(args);
}

static bool check_fields(struct fg_model *m, const struct fg_asked *a,
                         const struct fg_packet_reply *r)
{
    uint64_t item = m->items[a->item].item;
    bool held = is_held(r->status);
    bool good = r->key_id == fg_model_key(m, a->op)->id;

    good &= r->quantity == (held ? a->quantity : 0);
    good &= r->item == item || (a->op != FG_PACKET_OP_RESERVE && !held && r->item == 0);
    good &= (r->deadline_ms != 0) == (r->status == FG_PACKET_STATUS_RESERVED);
    if (r->status == FG_PACKET_STATUS_SOLD_OUT)
        good &= r->left == 0;
    if (r->status == FG_PACKET_STATUS_INSUFFICIENT)
        good &= r->left > 0 && r->left < a->quantity;
    if (!good)
        fg_model_wrong(m, FG_WRONG_FIELDS, r,
                       "item %llu quantity %u deadline %llu left %u; asked: item %llu quantity %u",
                       (unsigned long long)r->item, r->quantity, (unsigned long long)r->deadline_ms,
                       r->left, (unsigned long long)item, a->quantity);
    return good;
}

/*
 * Against what was told before. A request that left before that became known may have been decided
 * earlier (UDP keeps no order); one that left later must agree. Ends never differ, whenever they
 * were asked for; but an expired order can be paid late, or closed.
 */
static bool check_story(struct fg_model *m, const struct fg_known *k,
                        const struct fg_packet_reply *r)
{
    uint32_t now = 1u << r->status, told = k->told ? 1u << k->told : 0;
    bool bad;

    if (now & UNDECIDED)
        return true;
    bad = (told & ANY_OVER) && (now & ANY_OVER) && now != told && !((told | now) & BIT(EXPIRED));
    bad |=
        k->later && (told & ANY_OVER) && now != told && !(told == BIT(EXPIRED) && (now & ANY_OVER));
    bad |= k->later && (told & ANY_HELD) && !(now & ANY_HELD);
    if (bad) {
        fg_model_wrong(m, FG_WRONG_STORY, r, "was told %s",
                       k->told ? fg_packet_status_name(k->told) : "nothing");
        return false;
    }
    if (!m->options->served && ((r->status == FG_PACKET_STATUS_SOLD && !k->paid) ||
                                (r->status == FG_PACKET_STATUS_CANCELLED && !k->cancelled))) {
        fg_model_wrong(m, FG_WRONG_UNASKED, r, "no shopper sent that");
        return false;
    }
    return true;
}

bool fg_model_check(struct fg_model *m, const struct fg_asked *a, const struct fg_known *known,
                    const struct fg_packet_reply *r)
{
    uint32_t can = legal[a->op] | (m->options->standby.family ? BIT(NOT_LEADER) : 0);

    if (r->status >= FG_PACKET_STATUS_COUNT || !(can >> r->status & 1)) {
        fg_model_wrong(m, FG_WRONG_STATUS, r, "status %u", r->status);
        return false;
    }
    return check_fields(m, a, r) && check_story(m, known, r);
}

void fg_model_accepted(struct fg_model *m, uint32_t item, uint16_t quantity)
{
    m->stats.reserved++;
    m->stats.units_reserved += quantity;
    m->items[item].reserved += quantity;
}

void fg_model_ended(struct fg_model *m, uint32_t item, uint16_t quantity, unsigned status)
{
    if (status == FG_PACKET_STATUS_SOLD) {
        m->stats.sold++;
        m->stats.units_sold += quantity;
        m->items[item].sold += quantity;
    } else if (status == FG_PACKET_STATUS_CANCELLED) {
        m->items[item].cancelled += quantity;
    }
}

/* ---- the client file ------------------------------------------------------------------------- */

/* By hand: printf would take longer than the sale. Returns what is behind it. */
static char *put_hex(char *out, const uint8_t *bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        *out++ = "0123456789abcdef"[bytes[i] >> 4];
        *out++ = "0123456789abcdef"[bytes[i] & 15];
    }
    return out;
}

static char *put_number(char *out, uint64_t number)
{
    char digits[20];
    unsigned n = 0;

    do
        digits[n++] = (char)('0' + number % 10);
    while (number /= 10);
    *out++ = ' ';
    while (n)
        *out++ = digits[--n];
    return out;
}

bool fg_model_write_order(const struct fg_model *m, const struct fg_asked *a, unsigned told,
                          bool open, FILE *out)
{
    uint8_t id[16];
    char line[160], *at = line;

    fg_model_order_id(m, a->order, a->shopper, id);
    at = put_hex(at, id, sizeof(id));
    at = put_number(at, fg_blast_user(m->options, a->shopper));
    at = put_number(at, m->items[a->item].item);
    at = put_number(at, a->quantity);
    *at++ = ' ';
    at = stpcpy(at, told ? fg_packet_status_name(told) : "NONE");
    if (open)
        *at++ = '+';
    *at++ = '\n';
    return fwrite(line, (size_t)(at - line), 1, out) == 1;
}
