/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * client: asks an appliance by order packets (docs/protocol.md). It builds and signs requests,
 * matches replies to what is outstanding, repeats what was not answered, sends each request to the
 * order port of its user, and asks the other server of a pair when one is silent or does not lead.
 * Of a fleet it asks the member that the user belongs to: it begins with shards that are dealt out
 * in turn, and learns the map from WRONG_SHARD. STOCK goes to any member.
 *
 * The core does no input or output: the caller owns sockets and time. It allocates at creation
 * only, and every table in it is bounded. One thread at a time uses a client. At the end of this
 * page stands a small wrapper that owns sockets and waits.
 *
 *     fg_client_start(...)                 for each request
 *     while (fg_client_send(...))          hand each packet to its server
 *     fg_client_receive(...)               for each datagram that came
 *     while (fg_client_next(...))          take the requests that ended
 *     ... and call fg_client_send again when fg_client_due_ms has come
 *
 * Times are milliseconds of any clock that never moves backwards.
 */
#ifndef FG_CLIENT_H
#define FG_CLIENT_H

#include "packet/packet.h"

#define FG_CLIENT_SERVERS_MAX     32
#define FG_CLIENT_MEMBERS_MAX     16
#define FG_CLIENT_SHARDS_MAX      1024
#define FG_CLIENT_SHARDS_DEFAULT  256 /**< taken until WRONG_SHARD tells another number */
#define FG_CLIENT_PORTS_MAX       64
#define FG_CLIENT_KEYS_MAX        4
#define FG_CLIENT_OUTSTANDING_MAX (1u << 20)
#define FG_CLIENT_WAIT_FIRST_MS   200  /**< for the first reply, before jitter */
#define FG_CLIENT_WAIT_MAX_MS     2000 /**< the doubling wait ends here */
#define FG_CLIENT_PATIENCE_MS     10000
#define FG_CLIENT_LEARN_MS        60000 /**< between two questions for the number of order ports */

/** Set of statuses; statuses are below 64. */
#define FG_CLIENT_STATUS(name) (1ull << FG_PACKET_STATUS_##name)
/** Statuses that decided nothing: asking again makes sense. */
#define FG_CLIENT_UNDECIDED                                                                        \
    (FG_CLIENT_STATUS(BUSY) | FG_CLIENT_STATUS(NOT_OPEN) | FG_CLIENT_STATUS(PAUSED) |              \
     FG_CLIENT_STATUS(UNAVAILABLE) | FG_CLIENT_STATUS(USER_RATE) | FG_CLIENT_STATUS(NOT_LEADER))

struct fg_client;

struct fg_client_options {
    unsigned outstanding_max; /**< requests at a time, 1..FG_CLIENT_OUTSTANDING_MAX */
    unsigned servers; /**< 1..FG_CLIENT_SERVERS_MAX; the first one of a member is asked first */
    unsigned members; /**< of a fleet, up to FG_CLIENT_MEMBERS_MAX; 0 or 1: no fleet */
    uint8_t member[FG_CLIENT_SERVERS_MAX]; /**< of a fleet: whose server it is; each has one */
    unsigned ports_max; /**< order ports of a server that the caller can send to; 0 or 1: the
                           first one takes all */
    unsigned keys;      /**< 1..FG_CLIENT_KEYS_MAX */
    struct fg_packet_key key[FG_CLIENT_KEYS_MAX];
    uint64_t seed; /**< random: two clients with one seed repeat together */
};

/** One question. Fields that the operation leaves zero must be zero. */
struct fg_client_ask {
    uint8_t op;
    uint8_t key;       /**< index into the options' keys */
    uint8_t flags;     /**< REFUND: request byte 48 */
    uint16_t quantity; /**< RESERVE, WAIT: units; ORDERS: index */
    uint8_t order_id[16];
    uint64_t user, item, until_ms;
    uint32_t patience_ms; /**< the question ends after so long; 0 = FG_CLIENT_PATIENCE_MS */
    uint64_t ask_again;   /**< set of statuses after which to wait and ask again, within the
                             patience: FG_CLIENT_UNDECIDED, a part of it, or 0. With WAITING a
                             WAIT is repeated in time, until the turn or the end of the patience */
    void *context;        /**< comes back in fg_client_done */
};

/** Names one outstanding question; 0 is none. */
typedef uint64_t fg_client_handle;

struct fg_client_packet {
    unsigned server; /**< index */
    unsigned port;   /**< order port: 0 = the server's first */
    bool again;      /**< not the first packet of its question */
    uint8_t bytes[FG_PACKET_SIZE];
};

struct fg_client_done {
    void *context;
    fg_client_handle handle;
    uint8_t op;
    bool answered; /**< false: silence after the last transmission; whether the request was carried
                      out is unknown. Repeat it */
    struct fg_packet_reply reply; /**< when answered; an unknown status is BUSY without a hint */
    unsigned server;              /**< that answered */
    unsigned sent;                /**< transmissions */
    uint64_t took_ms;
};

/* Why a datagram was not taken. name, text */
#define FG_CLIENT_IGNORED_LIST(X)                                                                  \
    X(SHAPE, "size, magic or version of a packet that is no reply")                                \
    X(UNKNOWN, "cookie of nothing that is outstanding")                                            \
    X(OTHER, "operation, key, order or source is not that of the request")                         \
    X(TAG, "wrong tag")                                                                            \
    X(AGAIN, "a repeat of `ask again`, or of a server that was left")

enum fg_client_verdict {
    FG_CLIENT_TAKEN,
#define X(name, text) FG_CLIENT_IGNORED_##name,
    FG_CLIENT_IGNORED_LIST(X)
#undef X
        FG_CLIENT_VERDICTS
};
const char *fg_client_verdict_text(unsigned verdict);

struct fg_client_counters {
    uint64_t sent;     /**< packets */
    uint64_t repeated; /**< of them, not the first of their request */
    uint64_t silent;   /**< requests that ended without an answer */
    uint64_t moved;    /**< times that a request changed to another server */
    uint64_t received[FG_CLIENT_VERDICTS];
};

/** NULL and err when an option is out of range or memory is short. Owned by the caller. */
struct fg_client *fg_client_create(const struct fg_client_options *options, struct fg_error *err);
void fg_client_destroy(struct fg_client *client); /**< NULL is nothing */

/** Begins a question; 0 when outstanding_max are under way, or of a fleet's member that has been
 * silent for a second, its share of them. */
fg_client_handle fg_client_start(struct fg_client *client, const struct fg_client_ask *ask,
                                 uint64_t now_ms);

/** Forgets a question: it will not come out of fg_client_next. An unknown handle is nothing. A
 * RESERVE that was sent may have been accepted all the same. */
void fg_client_forget(struct fg_client *client, fg_client_handle handle);

/** The next packet that is to be sent now; false: none. A packet that the caller cannot send counts
 * as lost. Also runs the timers. */
bool fg_client_send(struct fg_client *client, uint64_t now_ms, struct fg_client_packet *packet);

/** A datagram that came from this server's order port. */
enum fg_client_verdict fg_client_receive(struct fg_client *client, unsigned server, unsigned port,
                                         const void *bytes, size_t size, uint64_t now_ms);

/** The next question that ended; false: none. */
bool fg_client_next(struct fg_client *client, struct fg_client_done *done);

/** When fg_client_send shall be called again at the latest; UINT64_MAX: not for a timer's sake. */
uint64_t fg_client_due_ms(const struct fg_client *client);

unsigned fg_client_outstanding(const struct fg_client *client); /**< started, not yet taken */
unsigned fg_client_server(const struct fg_client *client); /**< new questions of STOCK go there, and
                                                               without a fleet all others */
unsigned fg_client_ports(const struct fg_client *client, unsigned server); /**< as learnt */
const struct fg_client_counters *fg_client_counters(const struct fg_client *client);

/** The wait before asking again that a reply asks for, with jitter so that shoppers do not come
 * back together: `retry_ms` and a random part of up to a second more (NOT_OPEN), or of up to the
 * same length or a second, whichever is less; WAITING, which must be repeated before `retry_ms` has
 * passed: half to three quarters of it. 0 when it has no hint. random: any 64 random bits. */
uint64_t fg_client_retry_ms(const struct fg_packet_reply *reply, uint64_t random);

/* ---- with sockets ---------------------------------------------------------------------------- */

/** A client that owns its sockets and waits. One thread at a time. */
struct fg_client_link;

/**
 * servers: text like "198.18.0.1", "198.18.0.1:4600", "[2001:db8::1]:4600", n of them; the options'
 * servers, ports_max and seed are set by the call; members and member[] are the caller's. NULL and
 * err: an address or key is wrong.
 */
struct fg_client_link *fg_client_link_open(const struct fg_client_options *options,
                                           const char *const *servers, unsigned n,
                                           struct fg_error *err);
void fg_client_link_close(struct fg_client_link *link); /**< NULL is nothing */

/** Asks, and waits for the end of the question; `done` as from fg_client_next. False: silence. No
 * other question may be under way. */
bool fg_client_link_ask(struct fg_client_link *link, const struct fg_client_ask *ask,
                        struct fg_client_done *done);

/** Many questions at a time: as fg_client_start, fg_client_forget and fg_client_next. The packets
 * leave and answers are taken in fg_client_link_next, which never waits, and in
 * fg_client_link_wait, which ends when packets came or must be repeated, or after wait_ms. */
fg_client_handle fg_client_link_start(struct fg_client_link *link, const struct fg_client_ask *ask);
void fg_client_link_forget(struct fg_client_link *link, fg_client_handle handle);
bool fg_client_link_next(struct fg_client_link *link, struct fg_client_done *done);
void fg_client_link_wait(struct fg_client_link *link, unsigned wait_ms);
const struct fg_client_counters *fg_client_link_counters(const struct fg_client_link *link);

/** "IP", "IP:PORT", "[v6]:PORT" to host and port (FG_PACKET_PORT_DEFAULT when it has none); no
 * names. */
bool fg_client_address(const char *text, char host[64], uint16_t *port, struct fg_error *err);

#endif
