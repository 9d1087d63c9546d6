/* SPDX-License-Identifier: BSD-3-Clause */
/* The core: a slot for each question, a heap of what waits for a time, queues of what is to be sent
 * and of what ended. */
#include "client/client.h"

#define NONE   UINT32_MAX
#define NOBODY UINT8_MAX

#define SILENT_MS 1000 /* so long without a word, a member may not take the place of others */

/* The cookie names the question in its upper bits, the transmission in its lower ones. Questions
 * are numbered in a row, so that a number returns only after all others: a reply would have to be
 * late by 2^29 questions to meet another one. */
#define TURN_BITS 3
#define TURNS     (1u << TURN_BITS)
#define SERIALS   (UINT32_MAX >> TURN_BITS)

enum state {
    FREE,
    QUEUED,  /* to be sent */
    WAITING, /* sent; the heap has the time of the next transmission */
    RESTING, /* told to ask again; the heap has the time */
    DONE,
};

struct slot {
    struct fg_packet_request request; /* as signed last; a new cookie and tag each time */
    struct fg_packet_reply reply;     /* the last that was taken */
    uint64_t began_ms, end_ms, sent_ms, ended_ms;
    uint64_t ask_again;
    void *context;
    uint32_t next, prev; /* in its queue; next also of the free slots */
    uint32_t heap_at;    /* NONE: not in the heap */
    uint32_t serial;
    uint32_t generation;
    uint32_t wait_ms;
    uint32_t sent;
    uint8_t state, key, server;
    uint8_t member;  /* counted there; NOBODY: of no member */
    uint8_t refused; /* by servers of one member that do not lead */
    uint8_t sent_on; /* by members whose user it is not */
    bool answered, own;
    struct {
        uint8_t server, port;
    } to[TURNS]; /* where the last transmissions went */
};

struct due {
    uint64_t ms;
    uint32_t slot;
};

struct queue {
    uint32_t head, tail;
};

struct server {
    uint64_t heard_ms; /* last valid reply, once it was heard */
    uint64_t learn_ms; /* when to ask for the number of ports again */
    unsigned ports;
    bool heard;
};

struct member {
    uint64_t asked_ms; /* first question since it was heard last; 0 = none */
    unsigned held;     /* questions */
};

struct fg_client {
    struct fg_client_options options;
    struct fg_client_counters counters;
    struct slot *slots;
    struct due *heap;
    uint32_t *by_serial; /* slot of a question, NONE; indexed by the lower bits of the serial */
    uint32_t serial_mask, serial;
    uint32_t heap_size, free;
    unsigned outstanding;
    struct queue to_send, ended;
    uint8_t server;                       /* of STOCK in a fleet: any member's */
    uint8_t asked[FG_CLIENT_MEMBERS_MAX]; /* the server of this member that is asked first */
    uint8_t next[FG_CLIENT_SERVERS_MAX];  /* the next one of its member, in a ring */
    uint8_t addresses[FG_CLIENT_MEMBERS_MAX];
    struct member members[FG_CLIENT_MEMBERS_MAX];
    unsigned shards;
    uint8_t owner[FG_CLIENT_SHARDS_MAX]; /* member of a shard, as learnt */
    struct server servers[FG_CLIENT_SERVERS_MAX];
    fg_client_handle learning;
    uint64_t random;
};

static uint64_t draw(struct fg_client *c)
{
    c->random += 0x9e3779b97f4a7c15ull;
    return fg_mix64(c->random, c->random >> 29);
}

/* ---- queues ---------------------------------------------------------------------------------- */

static void push(struct fg_client *c, struct queue *q, uint32_t i)
{
    c->slots[i].next = NONE;
    c->slots[i].prev = q->tail;
    if (q->tail == NONE)
        q->head = i;
    else
        c->slots[q->tail].next = i;
    q->tail = i;
}

static void unlink_from(struct fg_client *c, struct queue *q, uint32_t i)
{
    const struct slot *s = &c->slots[i];

    if (s->prev == NONE)
        q->head = s->next;
    else
        c->slots[s->prev].next = s->next;
    if (s->next == NONE)
        q->tail = s->prev;
    else
        c->slots[s->next].prev = s->prev;
}

static uint32_t pop(struct fg_client *c, struct queue *q)
{
    uint32_t i = q->head;

    if (i != NONE)
        unlink_from(c, q, i);
    return i;
}

/* ---- heap: the earliest due time first ------------------------------------------------------- */

static void heap_put(struct fg_client *c, uint32_t at, struct due due)
{
    c->heap[at] = due;
    c->slots[due.slot].heap_at = at;
}

static void heap_up(struct fg_client *c, uint32_t at, struct due due)
{
    while (at > 0 && c->heap[(at - 1) / 2].ms > due.ms) {
        heap_put(c, at, c->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(c, at, due);
}

static void heap_down(struct fg_client *c, uint32_t at, struct due due)
{
    for (uint32_t child; (child = 2 * at + 1) < c->heap_size; at = child) {
        if (child + 1 < c->heap_size && c->heap[child + 1].ms < c->heap[child].ms)
            child++;
        if (c->heap[child].ms >= due.ms)
            break;
        heap_put(c, at, c->heap[child]);
    }
    heap_put(c, at, due);
}

static void heap_add(struct fg_client *c, uint32_t slot, uint64_t ms)
{
    FG_ASSERT(c->slots[slot].heap_at == NONE && c->heap_size <= c->options.outstanding_max);
    heap_up(c, c->heap_size++, (struct due){ms, slot});
}

static void heap_remove(struct fg_client *c, uint32_t slot)
{
    uint32_t at = c->slots[slot].heap_at;
    struct due last;

    if (at == NONE)
        return;
    FG_ASSERT(at < c->heap_size && c->heap[at].slot == slot);
    c->slots[slot].heap_at = NONE;
    last = c->heap[--c->heap_size];
    if (at == c->heap_size)
        return;
    if (at > 0 && c->heap[(at - 1) / 2].ms > last.ms)
        heap_up(c, at, last);
    else
        heap_down(c, at, last);
}

/* ---- slots ----------------------------------------------------------------------------------- */

/* The question counts at this member from now on. */
static void give_to(struct fg_client *c, struct slot *s, uint8_t member)
{
    if (s->member != NOBODY)
        c->members[s->member].held--;
    s->member = member;
    if (member != NOBODY)
        c->members[member].held++;
}

static void release(struct fg_client *c, uint32_t i)
{
    struct slot *s = &c->slots[i];

    if (s->own)
        c->learning = 0;
    else
        c->outstanding--;
    give_to(c, s, NOBODY);
    s->state = FREE;
    s->generation++;
    s->next = c->free;
    c->free = i;
}

/* The question is in no queue and takes no more replies. */
static void settle(struct fg_client *c, uint32_t i)
{
    struct slot *s = &c->slots[i];

    if (s->state == DONE) {
        unlink_from(c, &c->ended, i);
        return;
    }
    if (s->state == QUEUED)
        unlink_from(c, &c->to_send, i);
    else
        heap_remove(c, i);
    c->by_serial[s->serial & c->serial_mask] = NONE;
}

static void end(struct fg_client *c, uint32_t i, bool answered, uint64_t now_ms)
{
    struct slot *s = &c->slots[i];

    settle(c, i);
    s->answered = answered;
    s->ended_ms = now_ms;
    if (!answered)
        c->counters.silent++;
    if (s->own) {
        release(c, i);
        return;
    }
    s->state = DONE;
    push(c, &c->ended, i);
}

static uint32_t new_serial(struct fg_client *c, uint32_t slot)
{
    do {
        c->serial = (c->serial + 1) & SERIALS;
    } while (c->by_serial[c->serial & c->serial_mask] != NONE);
    c->by_serial[c->serial & c->serial_mask] = slot;
    return c->serial;
}

static fg_client_handle handle_of(const struct fg_client *c, uint32_t i)
{
    return (uint64_t)c->slots[i].generation << 32 | (i + 1);
}

static struct slot *slot_of(struct fg_client *c, fg_client_handle handle)
{
    uint32_t i = (uint32_t)handle - 1;

    if (!(uint32_t)handle || i > c->options.outstanding_max ||
        c->slots[i].generation != handle >> 32 || c->slots[i].state == FREE)
        return NULL;
    return &c->slots[i];
}

/* ---- a fleet --------------------------------------------------------------------------------- */

/* As fg_fleet_map_first does. */
static void deal_shards(struct fg_client *c, unsigned shards)
{
    c->shards = shards;
    for (unsigned i = 0; i < shards; i++)
        c->owner[i] = (uint8_t)(i % c->options.members);
}

/* A member that has this user told whose it is. */
static void learn_owner(struct fg_client *c, uint64_t user, const struct fg_packet_reply *r)
{
    if (r->left >= 1 && r->left <= FG_CLIENT_SHARDS_MAX && r->left != c->shards)
        deal_shards(c, r->left);
    c->owner[fg_user_shard(user, c->shards)] = (uint8_t)r->quantity;
}

static bool is_for_all(const struct fg_client *c, uint8_t op)
{
    return op == FG_PACKET_OP_STOCK && c->options.members > 1;
}

static uint8_t server_for(const struct fg_client *c, uint8_t op, uint64_t user)
{
    return is_for_all(c, op) ? c->server : c->asked[c->owner[fg_user_shard(user, c->shards)]];
}

/* New questions go to this server, and not to another one of its member. */
static void prefer(struct fg_client *c, uint8_t server, uint8_t op)
{
    c->asked[c->options.member[server]] = server;
    if (c->options.members == 1 || is_for_all(c, op))
        c->server = server;
}

static uint8_t next_server(const struct fg_client *c, const struct slot *s)
{
    return is_for_all(c, s->request.op) ? (uint8_t)((s->server + 1u) % c->options.servers)
                                        : c->next[s->server];
}

static uint32_t begin(struct fg_client *c, const struct fg_client_ask *ask, bool own,
                      uint64_t now_ms)
{
    uint32_t i = c->free;
    struct slot *s = &c->slots[i];

    FG_ASSERT(i != NONE && ask->key < c->options.keys);
    c->free = s->next;
    s->request = (struct fg_packet_request){.op = ask->op,
                                            .key_id = c->options.key[ask->key].id,
                                            .quantity = ask->quantity,
                                            .user = ask->user,
                                            .item = ask->item,
                                            .until_ms = ask->until_ms,
                                            .flags = ask->flags};
    memcpy(s->request.order_id, ask->order_id, sizeof(s->request.order_id));
    s->began_ms = now_ms;
    s->end_ms = now_ms + (ask->patience_ms ? ask->patience_ms : FG_CLIENT_PATIENCE_MS);
    s->ask_again = ask->ask_again;
    s->context = ask->context;
    s->wait_ms = FG_CLIENT_WAIT_FIRST_MS;
    s->sent = 0;
    s->key = ask->key;
    s->server = server_for(c, ask->op, ask->user);
    give_to(c, s, own || is_for_all(c, ask->op) ? NOBODY : c->options.member[s->server]);
    s->refused = s->sent_on = 0;
    s->own = own;
    s->reply.status = FG_PACKET_STATUS_NONE;
    s->serial = new_serial(c, i);
    s->state = QUEUED;
    push(c, &c->to_send, i);
    return i;
}

/* Asks a server for the number of its order ports now and then. Of the slots one is kept for it. */
static void learn_ports(struct fg_client *c, uint8_t server, uint64_t now_ms)
{
    struct fg_client_ask ask = {.op = FG_PACKET_OP_STOCK, .patience_ms = FG_CLIENT_WAIT_MAX_MS};
    uint32_t i;

    if (c->options.ports_max < 2 || c->learning || now_ms < c->servers[server].learn_ms)
        return;
    c->servers[server].learn_ms = now_ms + FG_CLIENT_LEARN_MS;
    i = begin(c, &ask, true, now_ms);
    c->slots[i].server = server;
    c->learning = handle_of(c, i);
}

/* A member that is away must not hold all the slots while its questions wait for their end. */
static bool may_ask(struct fg_client *c, const struct fg_client_ask *ask, uint64_t now_ms)
{
    struct member *m;

    if (c->outstanding == c->options.outstanding_max)
        return false;
    if (c->options.members < 2 || is_for_all(c, ask->op))
        return true;
    m = &c->members[c->options.member[server_for(c, ask->op, ask->user)]];
    if (!m->asked_ms)
        m->asked_ms = now_ms + !now_ms;
    return now_ms < m->asked_ms + SILENT_MS ||
           m->held < c->options.outstanding_max / c->options.members;
}

fg_client_handle fg_client_start(struct fg_client *c, const struct fg_client_ask *ask,
                                 uint64_t now_ms)
{
    if (!may_ask(c, ask, now_ms))
        return 0;
    learn_ports(c, server_for(c, ask->op, ask->user), now_ms);
    c->outstanding++;
    return handle_of(c, begin(c, ask, false, now_ms));
}

void fg_client_forget(struct fg_client *c, fg_client_handle handle)
{
    struct slot *s = slot_of(c, handle);
    uint32_t i;

    if (!s || s->own)
        return;
    i = (uint32_t)(s - c->slots);
    settle(c, i);
    release(c, i);
}

/* ---- sending --------------------------------------------------------------------------------- */

static unsigned port_of(const struct fg_client *c, const struct slot *s)
{
    unsigned ports = c->servers[s->server].ports, port;

    if (ports < 2)
        return 0;
    port = fg_user_owner(s->request.op == FG_PACKET_OP_STOCK ? s->request.item : s->request.user,
                         ports);
    return port < c->options.ports_max ? port : 0;
}

static void move(struct fg_client *c, struct slot *s)
{
    uint8_t next = next_server(c, s);

    c->counters.moved += next != s->server;
    s->server = next;
}

static void requeue(struct fg_client *c, uint32_t i)
{
    heap_remove(c, i);
    c->slots[i].state = QUEUED;
    push(c, &c->to_send, i);
}

/* Nothing came in time. A server that answered others meanwhile lost a packet; one that answered
 * no one since may be gone. */
static void late(struct fg_client *c, uint32_t i, uint64_t now_ms)
{
    struct slot *s = &c->slots[i];
    struct server *asked = &c->servers[s->server];

    if (now_ms >= s->end_ms) {
        end(c, i, s->reply.status != FG_PACKET_STATUS_NONE, now_ms);
        return;
    }
    if (s->state == WAITING) {
        s->wait_ms =
            s->wait_ms * 2 < FG_CLIENT_WAIT_MAX_MS ? s->wait_ms * 2 : FG_CLIENT_WAIT_MAX_MS;
        if (!asked->heard || asked->heard_ms < s->sent_ms) {
            asked->ports = 1; /* it may come back with another number of workers */
            asked->learn_ms = 0;
            move(c, s);
        }
    }
    requeue(c, i);
}

static void run_timers(struct fg_client *c, uint64_t now_ms)
{
    while (c->heap_size && c->heap[0].ms <= now_ms)
        late(c, c->heap[0].slot, now_ms);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void transmit(struct fg_client *c, uint32_t i, uint64_t now_ms,
                     struct fg_client_packet *packet)
{
    struct slot *s = &c->slots[i];
    unsigned turn = s->sent % TURNS;
    uint64_t wait = s->wait_ms * (768 + draw(c) % 513) / 1024; /* times 0.75 to 1.25 */

    if (s->reply.status != FG_PACKET_STATUS_WAITING) /* this one may be carried out */
        s->reply.status = FG_PACKET_STATUS_NONE;
    s->request.cookie = s->serial << TURN_BITS | turn;
    fg_packet_request_seal(&s->request, &c->options.key[s->key]);
    packet->server = s->server;
    packet->port = port_of(c, s);
    packet->again = s->sent > 0;
    memcpy(packet->bytes, &s->request, sizeof(packet->bytes));
    s->to[turn].server = s->server;
    s->to[turn].port = (uint8_t)packet->port;
    s->sent_ms = now_ms;
    c->counters.sent++;
    c->counters.repeated += s->sent++ > 0;
    s->state = WAITING;
    heap_add(c, i, sooner(now_ms + wait, s->end_ms));
}

bool fg_client_send(struct fg_client *c, uint64_t now_ms, struct fg_client_packet *packet)
{
    uint32_t i;

    run_timers(c, now_ms);
    i = pop(c, &c->to_send);
    if (i == NONE)
        return false;
    transmit(c, i, now_ms, packet);
    return true;
}

/* ---- receiving ------------------------------------------------------------------------------- */

static bool belongs(const struct fg_client *c, const struct slot *s,
                    const struct fg_packet_reply *r, unsigned server, unsigned port)
{
    unsigned turn = r->cookie % TURNS;

    return turn < s->sent && s->to[turn].server == server && s->to[turn].port == port &&
           r->op == (s->request.op | FG_PACKET_REPLY) && r->key_id == s->request.key_id &&
           (r->op ==
                (FG_PACKET_OP_ORDERS | FG_PACKET_REPLY) || /* carries the order that it found */
            !memcmp(r->order_id, s->request.order_id, sizeof(r->order_id)));
}

static enum fg_client_verdict find(struct fg_client *c, unsigned server, unsigned port,
                                   const struct fg_packet_reply *r, uint32_t *found)
{
    uint32_t serial = r->cookie >> TURN_BITS, i;

    if (r->magic != FG_PACKET_MAGIC || r->version != FG_PACKET_VERSION)
        return FG_CLIENT_IGNORED_SHAPE;
    i = c->by_serial[serial & c->serial_mask];
    if (i == NONE || c->slots[i].serial != serial)
        return FG_CLIENT_IGNORED_UNKNOWN;
    if (!belongs(c, &c->slots[i], r, server, port))
        return FG_CLIENT_IGNORED_OTHER;
    if (fg_packet_siphash24_56(c->options.key[c->slots[i].key].secret, r) != r->tag)
        return FG_CLIENT_IGNORED_TAG;
    *found = i;
    return FG_CLIENT_TAKEN;
}

/* A number of order ports above what the caller can send to is taken as it is: users of the ports
 * above are sent to the first one. */
static void learn(struct fg_client *c, unsigned server, const struct fg_packet_reply *r)
{
    if (r->op != (FG_PACKET_OP_STOCK | FG_PACKET_REPLY) || c->options.ports_max < 2)
        return;
    c->servers[server].ports = r->quantity && r->quantity <= FG_CLIENT_PORTS_MAX ? r->quantity : 1;
}

uint64_t fg_client_retry_ms(const struct fg_packet_reply *reply, uint64_t random)
{
    uint64_t hint = reply->retry_ms;
    uint64_t part = hint < 1000 && reply->status != FG_PACKET_STATUS_NOT_OPEN ? hint : 1000;

    if (reply->status == FG_PACKET_STATUS_WAITING)
        return hint ? hint / 2 + random % (hint / 4 + 1) + (hint == 1) : 0;
    return hint ? hint + random % (part + 1) : 0;
}

static void rest(struct fg_client *c, uint32_t i, uint64_t now_ms)
{
    struct slot *s = &c->slots[i];
    uint64_t wait = fg_client_retry_ms(&s->reply, draw(c));

    if (!wait) {
        wait = s->wait_ms + draw(c) % (sooner(s->wait_ms, 1000) + 1);
        s->wait_ms =
            s->wait_ms * 2 < FG_CLIENT_WAIT_MAX_MS ? s->wait_ms * 2 : FG_CLIENT_WAIT_MAX_MS;
    }
    if (now_ms + wait >= s->end_ms) { /* patience would end before: this is the answer */
        end(c, i, true, now_ms);
        return;
    }
    if (s->reply.status == FG_PACKET_STATUS_WAITING) /* lost repeats are repeated soon */
        s->wait_ms = FG_CLIENT_WAIT_FIRST_MS;
    if (s->state == QUEUED) /* its time had come, and it was not sent again yet */
        unlink_from(c, &c->to_send, i);
    else
        heap_remove(c, i);
    s->state = RESTING;
    heap_add(c, i, now_ms + wait);
}

/* Asks elsewhere at once; after a wait when `times` have refused: they may not agree yet. */
static void ask_elsewhere(struct fg_client *c, uint32_t i, uint8_t *count, unsigned times,
                          uint64_t now_ms)
{
    if (++*count % times == 0)
        rest(c, i, now_ms);
    else if (c->slots[i].state != QUEUED)
        requeue(c, i);
}

/* A server that does not lead. The next one of its member is asked at once, until each has refused.
 */
static void refused(struct fg_client *c, uint32_t i, uint64_t now_ms)
{
    struct slot *s = &c->slots[i];
    unsigned addresses = is_for_all(c, s->request.op) ? c->options.servers
                                                      : c->addresses[c->options.member[s->server]];

    if (server_for(c, s->request.op, s->request.user) == s->server)
        prefer(c, next_server(c, s), s->request.op);
    move(c, s);
    ask_elsewhere(c, i, &s->refused, addresses, now_ms);
}

/* The user belongs to another member of a fleet, which is asked at once. */
static void belongs_to(struct fg_client *c, uint32_t i, const struct fg_packet_reply *r,
                       uint64_t now_ms)
{
    struct slot *s = &c->slots[i];

    learn_owner(c, s->request.user, r);
    s->server = c->asked[r->quantity];
    give_to(c, s, (uint8_t)r->quantity);
    s->refused = 0;
    c->counters.moved++;
    ask_elsewhere(c, i, &s->sent_on, c->options.members, now_ms);
}

static bool names_another(const struct fg_client *c, const struct fg_packet_reply *r,
                          unsigned server)
{
    return r->status == FG_PACKET_STATUS_WRONG_SHARD && r->quantity < c->options.members &&
           r->quantity != c->options.member[server];
}

static bool leads_not(const struct fg_client *c, const struct slot *s,
                      const struct fg_packet_reply *r)
{
    return r->status == FG_PACKET_STATUS_NOT_LEADER && next_server(c, s) != s->server;
}

static enum fg_client_verdict take(struct fg_client *c, uint32_t i, unsigned server,
                                   const struct fg_packet_reply *r, uint64_t now_ms)
{
    struct slot *s = &c->slots[i];
    bool current = s->server == server;

    c->servers[server].heard = true;
    c->servers[server].heard_ms = now_ms;
    c->members[c->options.member[server]].asked_ms = 0;
    if (leads_not(c, s, r) || names_another(c, r, server)) {
        if (!current || s->state == RESTING)
            return FG_CLIENT_IGNORED_AGAIN;
        s->reply = *r;
        if (r->status == FG_PACKET_STATUS_NOT_LEADER)
            refused(c, i, now_ms);
        else
            belongs_to(c, i, r, now_ms);
        return FG_CLIENT_TAKEN;
    }
    learn(c, server, r);
    if (current && !(s->own && c->options.members > 1)) /* it asked one on purpose */
        prefer(c, (uint8_t)server, s->request.op);
    if (s->state == RESTING &&
        (r->status >= FG_PACKET_STATUS_COUNT || s->ask_again >> r->status & 1))
        return FG_CLIENT_IGNORED_AGAIN;
    s->reply = *r;
    if (r->status == FG_PACKET_STATUS_NONE || r->status >= FG_PACKET_STATUS_COUNT) {
        s->reply.status = FG_PACKET_STATUS_BUSY;
        s->reply.retry_ms = 0;
    }
    if (s->ask_again >> s->reply.status & 1)
        rest(c, i, now_ms);
    else
        end(c, i, true, now_ms);
    return FG_CLIENT_TAKEN;
}

enum fg_client_verdict fg_client_receive(struct fg_client *c, unsigned server, unsigned port,
                                         const void *bytes, size_t size, uint64_t now_ms)
{
    enum fg_client_verdict verdict = FG_CLIENT_IGNORED_SHAPE;
    struct fg_packet_reply r;
    uint32_t i;

    if (size == FG_PACKET_SIZE && server < c->options.servers) {
        memcpy(&r, bytes, sizeof(r));
        verdict = find(c, server, port, &r, &i);
    }
    if (verdict == FG_CLIENT_TAKEN)
        verdict = take(c, i, server, &r, now_ms);
    c->counters.received[verdict]++;
    return verdict;
}

bool fg_client_next(struct fg_client *c, struct fg_client_done *done)
{
    uint32_t i;

    const struct slot *s;

    i = pop(c, &c->ended);
    if (i == NONE)
        return false;
    s = &c->slots[i];
    FG_ASSERT(s->state == DONE && c->outstanding > 0);
    *done = (struct fg_client_done){.context = s->context,
                                    .handle = handle_of(c, i),
                                    .op = s->request.op,
                                    .answered = s->answered,
                                    .reply = s->reply,
                                    .server = s->server,
                                    .sent = s->sent,
                                    .took_ms = s->ended_ms - s->began_ms};
    release(c, i);
    return true;
}

uint64_t fg_client_due_ms(const struct fg_client *c)
{
    if (c->to_send.head != NONE)
        return 0; /* now */
    return c->heap_size ? c->heap[0].ms : UINT64_MAX;
}

unsigned fg_client_outstanding(const struct fg_client *c)
{
    return c->outstanding;
}

unsigned fg_client_server(const struct fg_client *c)
{
    return c->server;
}

unsigned fg_client_ports(const struct fg_client *c, unsigned server)
{
    return server < c->options.servers ? c->servers[server].ports : 0;
}

const struct fg_client_counters *fg_client_counters(const struct fg_client *c)
{
    return &c->counters;
}

const char *fg_client_verdict_text(unsigned verdict)
{
    static const char *const texts[FG_CLIENT_VERDICTS] = {[FG_CLIENT_TAKEN] = "taken",
#define X(name, text) [FG_CLIENT_IGNORED_##name] = text,
                                                          FG_CLIENT_IGNORED_LIST(X)
#undef X
    };

    return verdict < FG_CLIENT_VERDICTS ? texts[verdict] : "?";
}

/* ---- creation -------------------------------------------------------------------------------- */

/* Each member has a server, and each server a member. */
static bool check_members(const struct fg_client_options *o)
{
    uint32_t seen = 0;

    if (o->members < 2)
        return true;
    for (unsigned i = 0; i < o->servers; i++) {
        if (o->member[i] >= o->members)
            return false;
        seen |= 1u << o->member[i];
    }
    return seen == (1u << o->members) - 1;
}

static bool check(const struct fg_client_options *o, struct fg_error *err)
{
    if (o->outstanding_max < 1 || o->outstanding_max > FG_CLIENT_OUTSTANDING_MAX)
        return fg_fail(err, "outstanding_max %u; accepted: 1 to %u", o->outstanding_max,
                       FG_CLIENT_OUTSTANDING_MAX);
    if (o->servers < 1 || o->servers > FG_CLIENT_SERVERS_MAX)
        return fg_fail(err, "%u servers; accepted: 1 to %u", o->servers, FG_CLIENT_SERVERS_MAX);
    if (o->members > FG_CLIENT_MEMBERS_MAX)
        return fg_fail(err, "%u members; accepted: 0 to %u", o->members, FG_CLIENT_MEMBERS_MAX);
    if (!check_members(o))
        return fg_fail(err, "%u members, of which some have no server", o->members);
    if (o->keys < 1 || o->keys > FG_CLIENT_KEYS_MAX)
        return fg_fail(err, "%u keys; accepted: 1 to %u", o->keys, FG_CLIENT_KEYS_MAX);
    if (o->ports_max > FG_CLIENT_PORTS_MAX)
        return fg_fail(err, "ports_max %u; accepted: 0 to %u", o->ports_max, FG_CLIENT_PORTS_MAX);
    return true;
}

/* One slot more than the caller may use: the client's own question takes it. */
static bool allocate(struct fg_client *c)
{
    uint32_t slots = c->options.outstanding_max + 1, serials = 4;

    while (serials < 4 * slots)
        serials *= 2;
    c->slots = calloc(slots, sizeof(*c->slots));
    c->heap = calloc(slots, sizeof(*c->heap));
    c->by_serial = malloc(serials * sizeof(*c->by_serial));
    if (!c->slots || !c->heap || !c->by_serial)
        return false;
    memset(c->by_serial, 0xff, serials * sizeof(*c->by_serial));
    c->serial_mask = serials - 1;
    c->free = NONE;
    for (uint32_t i = slots; i-- > 0;) {
        c->slots[i].heap_at = NONE;
        c->slots[i].member = NOBODY;
        c->slots[i].next = c->free;
        c->free = i;
    }
    return true;
}

static void make_members(struct fg_client *c)
{
    struct fg_client_options *o = &c->options;

    if (o->members < 2) {
        o->members = 1;
        memset(o->member, 0, sizeof(o->member));
    }
    for (unsigned i = o->servers; i-- > 0;) {
        unsigned next = i;

        c->servers[i].ports = 1;
        c->asked[o->member[i]] = (uint8_t)i;
        c->addresses[o->member[i]]++;
        do
            next = (next + 1) % o->servers;
        while (o->member[next] != o->member[i]);
        c->next[i] = (uint8_t)next;
    }
    deal_shards(c, FG_CLIENT_SHARDS_DEFAULT);
}

struct fg_client *fg_client_create(const struct fg_client_options *options, struct fg_error *err)
{
    struct fg_client *c;

    if (!check(options, err))
        return NULL;
    c = calloc(1, sizeof(*c));
    if (!c) {
        fg_fail(err, "out of memory");
        return NULL;
    }
    c->options = *options;
    c->random = options->seed;
    c->serial = (uint32_t)(draw(c) & SERIALS);
    c->to_send = c->ended = (struct queue){NONE, NONE};
    make_members(c);
    if (!allocate(c)) {
        fg_fail(err, "out of memory for %u questions", options->outstanding_max);
        fg_client_destroy(c);
        return NULL;
    }
    return c;
}

void fg_client_destroy(struct fg_client *c)
{
    if (!c)
        return;
    free(c->slots);
    free(c->heap);
    free(c->by_serial);
    explicit_bzero(c, sizeof(*c));
    free(c);
}
