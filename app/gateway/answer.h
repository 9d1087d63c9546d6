/* SPDX-License-Identifier: BSD-3-Clause */
/** answer: replies of the appliance as HTTP: status, JSON, problem details (RFC 9457). Pure. */
#ifndef GATEWAY_ANSWER_H
#define GATEWAY_ANSWER_H

#include "packet/packet.h"

#define GATEWAY_ANSWER_MAX 1024 /* bytes of the JSON text of one answer */

/* Problems that the gateway itself has with a request. name, type, HTTP status, title, counter */
#define GATEWAY_PROBLEM_LIST(X)                                                                    \
    X(BAD_REQUEST, "bad-request", 400, "The request is not understood")                            \
    X(BAD_KEY, "bad-key", 400, "The idempotency key is missing or not usable")                     \
    X(NO_USER, "no-user", 401, "The shopper is not known")                                         \
    X(NOT_FOUND, "not-found", 404, "There is nothing here")                                        \
    X(METHOD, "method", 405, "The method does not fit")                                            \
    X(TOO_LARGE, "too-large", 413, "The body is too large")                                        \
    X(MEDIA_TYPE, "media-type", 415, "The body is not declared as application/json")               \
    X(BAD_QUANTITY, "bad-quantity", 422, "This quantity cannot be ordered")                        \
    X(TOO_EARLY, "too-early", 425, "Orders are not taken as early data")                           \
    X(WRONG_ROLE, "wrong-role", 500, "The gateway's key may not do this")                          \
    X(OVERLOADED, "overloaded", 503, "The gateway has too many requests under way")                \
    X(UNKNOWN_OUTCOME, "unknown-outcome", 504, "The outcome is not known")

enum gateway_problem {
#define X(name, type, http, title) GATEWAY_PROBLEM_##name,
    GATEWAY_PROBLEM_LIST(X)
#undef X
        GATEWAY_PROBLEMS
};

struct gateway_answer {
    unsigned http;
    bool problem;           /* application/problem+json */
    unsigned retry_after_s; /* 0: no such header */
    size_t size;
    char text[GATEWAY_ANSWER_MAX];
};

const char *gateway_problem_type(unsigned problem);

/** A problem of the gateway's own. detail: text of ours, without characters that JSON escapes. */
void gateway_answer_problem(struct gateway_answer *a, enum gateway_problem problem,
                            const char *detail);

/** The reply to `op`, about this order id. random: 64 random bits, for the jitter of retries. */
void gateway_answer_reply(struct gateway_answer *a, uint8_t op, const uint8_t order_id[16],
                          const struct fg_packet_reply *reply, uint64_t random);

/** The members of an order without braces, as in a list of orders; bytes written. */
size_t gateway_answer_order(char *text, size_t room, const uint8_t order_id[16],
                            const struct fg_packet_reply *reply);

/** How a status of the appliance is told as a problem: type ("sold-out"), HTTP status, title. */
bool gateway_answer_status(unsigned status, unsigned *http, const char **title, char type[32]);

#endif
