/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The strangers' side of the gateway: bodies, keys, session cookies, and datagrams that claim to be
 * replies. Input: one byte that chooses, then the bytes.
 */
#include "answer.h"
#include "client/client.h"
#include "fuzz.h"
#include "identity.h"
#include "parse.h"

enum { BODY, KEY, SESSION, REPLY, FIX_COOKIE = 4, SEAL = 8 };

static const struct fg_packet_key key = {.id = 7, .roles = FG_PACKET_ROLE_SHOP, .secret = {1, 99}};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    return 0;
}

static void check_body(const char *text, size_t size)
{
    const unsigned wanted = GATEWAY_HAS(ITEM) | GATEWAY_HAS(QUANTITY);
    struct gateway_body body;

    if (gateway_body_read(text, size, wanted, GATEWAY_HAS(USER) | GATEWAY_HAS(RESTOCK), &body))
        return;
    FG_FUZZ_CHECK((body.has & wanted) == wanted && body.number[GATEWAY_RESTOCK] <= 1);
    FG_FUZZ_CHECK(!(body.has & (GATEWAY_HAS(UNTIL_MS) | GATEWAY_HAS(SECONDS))));
    FG_FUZZ_CHECK(body.user_size <= GATEWAY_USER_MAX && !memchr(body.user, 0, body.user_size));
    FG_FUZZ_CHECK(!(body.has & GATEWAY_HAS(USER)) == !body.user_size);
    FG_FUZZ_CHECK(!memchr(text, 0, size));
}

static void check_key(const char *text, size_t size)
{
    uint8_t id[16], again[16];
    char uuid[GATEWAY_UUID];

    if (!gateway_key_read(text, size, id))
        return;
    gateway_uuid_write(uuid, id);
    FG_FUZZ_CHECK(gateway_key_read(uuid, sizeof(uuid), again) && !memcmp(id, again, sizeof(id)));
}

static void check_session(const char *value, size_t size)
{
    static struct gateway_secret secret = {"0123456789abcdef", 16, NULL};
    char user[GATEWAY_USER_MAX];
    size_t length;

    FG_FUZZ_CHECK(!gateway_session_read(&secret, value, size, 0, user, &length)); /* no forgery */
}

/* A reply with the right tag may say anything about its own order, and nothing about another. */
static void check_reply(const uint8_t *bytes, size_t size, unsigned switches)
{
    struct fg_client_options options = {
        .outstanding_max = 2, .servers = 1, .keys = 1, .key = {key}, .ports_max = 4};
    struct fg_client_ask ask = {
        .op = FG_PACKET_OP_RESERVE, .order_id = {1}, .user = 5, .item = 42, .quantity = 1};
    struct fg_client *c = fg_client_create(&options, NULL);
    struct fg_client_packet p[2];
    struct fg_packet_request q;
    struct fg_packet_reply r;
    struct fg_client_done done;
    struct gateway_answer a;

    FG_FUZZ_CHECK(c && fg_client_start(c, &ask, 1));
    FG_FUZZ_CHECK(fg_client_send(c, 1, &p[0]) && fg_client_send(c, 1, &p[1]));
    memcpy(&q, p[1].bytes, sizeof(q));
    memcpy(&r, bytes, sizeof(r));
    if (switches & FIX_COOKIE)
        r.cookie = q.cookie;
    if (switches & SEAL)
        fg_packet_reply_seal(&r, &key);
    fg_client_receive(c, 0, 0, &r, size < sizeof(r) ? size : sizeof(r), 2);
    if (fg_client_next(c, &done)) {
        struct fg_packet_reply sealed = r;

        fg_packet_reply_seal(&sealed, &key); /* a fuzzer sees what a tag is compared with */
        FG_FUZZ_CHECK(r.tag == sealed.tag && r.cookie == q.cookie && r.key_id == 7);
        FG_FUZZ_CHECK(r.op == (FG_PACKET_OP_RESERVE | FG_PACKET_REPLY));
        FG_FUZZ_CHECK(!memcmp(r.order_id, ask.order_id, sizeof(r.order_id)));
        gateway_answer_reply(&a, FG_PACKET_OP_RESERVE, ask.order_id, &done.reply, r.tag);
        FG_FUZZ_CHECK(a.size == strlen(a.text) && a.size < sizeof(a.text));
    }
    fg_client_destroy(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *exact;
    size_t len;

    if (size < 1 || size > 5000)
        return 0;
    len = size - 1;
    exact = fuzz_copy(data + 1, len);
    switch (data[0] & 3) {
    case BODY:
        check_body(exact, len);
        break;
    case KEY:
        check_key(exact, len);
        break;
    case SESSION:
        check_session(exact, len);
        break;
    case REPLY:
        if (len >= FG_PACKET_SIZE)
            check_reply((const uint8_t *)exact, len, data[0]);
        break;
    default:
        break;
    }
    free(exact);
    return 0;
}
