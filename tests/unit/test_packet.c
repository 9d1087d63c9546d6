/* SPDX-License-Identifier: BSD-3-Clause */
/* Tag, key file, request and reply. The frame around them: test_packet_frame.c; docs/protocol.md:
 * test_packet_page.c. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "packet/packet.h"

static uint64_t random_state = 0x466c6f6f64676174ull; /* fixed: the same bytes in every run */

static uint64_t random64(void)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return fg_mix64(random_state, random_state >> 32);
}

/* ---- tag: against a slow SipHash of any length, which is checked against published vectors --- */

static uint64_t rotl(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1], v[1] = rotl(v[1], 13), v[1] ^= v[0], v[0] = rotl(v[0], 32);
    v[2] += v[3], v[3] = rotl(v[3], 16), v[3] ^= v[2];
    v[0] += v[3], v[3] = rotl(v[3], 21), v[3] ^= v[0];
    v[2] += v[1], v[1] = rotl(v[1], 17), v[1] ^= v[2], v[2] = rotl(v[2], 32);
}

static uint64_t slow_siphash24(const uint8_t secret[16], const uint8_t *bytes, size_t len)
{
    uint64_t k[2] = {0}, v[4], m = 0;

    for (unsigned i = 0; i < 16; i++)
        k[i / 8] |= (uint64_t)secret[i] << (i % 8 * 8);
    v[0] = k[0] ^ 0x736f6d6570736575ull, v[1] = k[1] ^ 0x646f72616e646f6dull;
    v[2] = k[0] ^ 0x6c7967656e657261ull, v[3] = k[1] ^ 0x7465646279746573ull;
    for (size_t i = 0; i <= len / 8 * 8 + 7; i++) {
        uint8_t byte = i < len ? bytes[i] : i % 8 == 7 ? (uint8_t)len : 0;

        m |= (uint64_t)byte << (i % 8 * 8);
        if (i % 8 == 7) {
            v[3] ^= m;
            sip_round(v), sip_round(v);
            v[0] ^= m;
            m = 0;
        }
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void tag_is_siphash24(void **state)
{
    uint8_t secret[16], bytes[64];
    uint64_t key[2];

    for (uint8_t i = 0; i < 64; i++)
        bytes[i] = i;
    memcpy(secret, bytes, 16);
    memcpy(key, bytes, 16);
    assert_int_equal(slow_siphash24(secret, bytes, 15),
                     0xa129ca6149be45e5ull); /* the paper, appendix A */
    /* from the table of 64 vectors of the authors' reference code (vectors_sip64): 0, 56 and 63
     * bytes */
    assert_int_equal(slow_siphash24(secret, bytes, 0), 0x726fdb47dd0e0e31ull);
    assert_int_equal(slow_siphash24(secret, bytes, 63), 0x958a324ceb064572ull);
    assert_int_equal(slow_siphash24(secret, bytes, 56), 0xb78dbfaf3a8d83bdull);
    assert_int_equal(fg_packet_siphash24_56(key, bytes), 0xb78dbfaf3a8d83bdull);
}

static void tag_equals_the_slow_one_on_random_bytes(void **state)
{
    uint64_t words[9], key[2];
    uint8_t secret[16], *bytes = (uint8_t *)words + 3; /* not aligned */

    for (int round = 0; round < 20000; round++) {
        for (int i = 0; i < 9; i++)
            words[i] = random64();
        key[0] = random64(), key[1] = random64();
        memcpy(secret, key, 16);
        assert_int_equal(fg_packet_siphash24_56(key, bytes), slow_siphash24(secret, bytes, 56));
    }
}

/* Every kind of vector that this CPU has, every number of packets; each under a key of its own, or
 * all under one. */
static void many_tags_equal_single_ones(void **state)
{
    enum { MANY = 70 };
    static uint64_t words[MANY][9], keys[MANY][2];
    const uint64_t *key[MANY];
    const void *bytes[MANY];
    uint64_t tags[MANY + 1];
    unsigned last = 0;

    for (unsigned kind = 0; fg_packet_siphash_kind(kind); kind++) {
        if (!fg_packet_siphash_choose(kind)) {
            print_message("# this CPU has no %s\n", fg_packet_siphash_kind(kind));
            continue;
        }
        last = kind;
        for (unsigned n = 0; n <= MANY; n++) { /* one key for every third number */
            for (unsigned i = 0; i < n; i++) {
                for (int k = 0; k < 9; k++)
                    words[i][k] = random64();
                keys[i][0] = random64(), keys[i][1] = random64();
                key[i] = keys[n % 3 ? i : 0];
                bytes[i] = (uint8_t *)words[i] + i % 9; /* any alignment */
            }
            tags[n] = 0x5a5a;
            fg_packet_siphash24_56_many(key, bytes, tags, n);
            for (unsigned i = 0; i < n; i++)
                assert_int_equal(tags[i], fg_packet_siphash24_56(key[i], bytes[i]));
            assert_int_equal(tags[n], 0x5a5a);
        }
    }
    assert_false(fg_packet_siphash_choose(99));
    assert_true(fg_packet_siphash_choose(last));
}

/* ---- key file -------------------------------------------------------------------------------- */

static char dir[64], path[128];

static int folder_make(void **state)
{
    strcpy(dir, "/tmp/fg-packet-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/keys", dir);
    return 0;
}

static int folder_remove(void **state)
{
    unlink(path);
    return rmdir(dir);
}

static struct fg_packet_keyring *load_bytes(const char *text, size_t len, mode_t mode,
                                            struct fg_error *err)
{
    int fd;

    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    err->text[0] = '\0';
    return fg_packet_keyring_load(path, err);
}

#define GOOD  "000102030405060708090a0b0c0d0e0f"
#define OTHER "101112131415161718191A1B1C1D1E1F"

static void key_file_is_read(void **state)
{
    static const char text[] = "# keys of the shop\n\n 7\tshop " GOOD " # front end\r\n"
                               "65535 backend,monitor,shop " OTHER; /* no newline at the end */
    static const uint8_t first[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    static const mode_t modes[] = {0400, 0600, 0640, 0644};
    struct fg_error err;

    for (size_t i = 0; i < 4; i++) {
        struct fg_packet_keyring *ring = load_bytes(text, strlen(text), modes[i], &err);
        const struct fg_packet_key *key;

        assert_non_null(ring);
        assert_int_equal(ring->count, 2);
        key = fg_packet_keyring_find(ring, 7);
        assert_non_null(key);
        assert_int_equal(key->id, 7);
        assert_int_equal(key->roles, FG_PACKET_ROLE_SHOP);
        assert_memory_equal(key->secret, first, 16);
        key = fg_packet_keyring_find(ring, 65535);
        assert_int_equal(key->roles,
                         FG_PACKET_ROLE_SHOP | FG_PACKET_ROLE_BACKEND | FG_PACKET_ROLE_MONITOR);
        assert_int_equal(key->secret[0], 0x1716151413121110ull);
        assert_null(fg_packet_keyring_find(ring, 0));
        assert_null(fg_packet_keyring_find(ring, 8));
        fg_packet_keyring_free(ring);
    }
    fg_packet_keyring_free(NULL);
}

static void key_file_mistakes_are_named(void **state)
{
    static const struct {
        const char *text, *where, *what;
    } cases[] = {
        {"", "keys: ", "no key in it"},
        {"# nothing\n\n", "keys: ", "no key in it"},
        {"7 shop\n", "keys:1: ", "fewer than three"},
        {"7 shop " GOOD " more\n", "keys:1: ", "more than three"},
        {"\n0 shop " GOOD "\n", "keys:2: ", "key id `0` is not a number from 1 to 65535"},
        {"65536 shop " GOOD "\n", "keys:1: ", "`65536`"},
        {"999999999999999 shop " GOOD "\n", "keys:1: ", "`999999999999999`"},
        {GOOD " shop 7\n", "keys:1: ", "key id `(too long)`"},
        {"7 " GOOD " shop\n", "keys:1: ", "unknown role `(too long)`"},
        {"-1 shop " GOOD "\n", "keys:1: ", "`-1`"},
        {"7x shop " GOOD "\n", "keys:1: ", "`7x`"},
        {"7 shopper " GOOD "\n",
         "keys:1: ", "unknown role `shopper`; accepted, separated by commas: shop backend"},
        {"7 shop, " GOOD "\n", "keys:1: ", "unknown role ``"},
        {"7 shop,shop " GOOD "\n", "keys:1: ", "named twice"},
        {"7 shop 00010203\n", "keys:1: ", "8 characters; accepted: 32"},
        {"7 shop " GOOD "0\n", "keys:1: ", "33 characters"},
        {"7 shop 000102030405060708090a0b0c0d0e0g\n", "keys:1: ", "character 32"},
        {"7 shop 00000000000000000000000000000000\n", "keys:1: ", "all zero"},
        {"7 shop " GOOD "\n7 backend " OTHER "\n", "keys:2: ", "key id 7 is there already"},
        {"7 shop " GOOD "\n8 backend " GOOD "\n",
         "keys:2: ", "key id 8 has the secret of key id 7"},
    };
    struct fg_error err;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_null(load_bytes(cases[i].text, strlen(cases[i].text), 0600, &err));
        assert_non_null(strstr(err.text, cases[i].where));
        assert_non_null(strstr(err.text, cases[i].what));
        assert_null(strstr(err.text, "0405060708090a0b")); /* no part of a secret in a log */
    }
}

static void key_file_bytes_that_are_no_text_are_refused(void **state)
{
    char text[2000];
    struct fg_error err;

    assert_null(load_bytes("7 shop\0" GOOD "\n", 40, 0600, &err));
    assert_non_null(strstr(err.text, "keys:1: NUL byte"));
    memset(text, ' ', sizeof(text));
    assert_null(load_bytes(text, sizeof(text), 0600, &err));
    assert_non_null(strstr(err.text, "keys:1: line is too long; accepted: up to 1023 bytes"));
    text[0] = '#', text[1022] = '\n';
    memcpy(text + 1900, "\n7 shop " GOOD, 40);
    struct fg_packet_keyring *ring = load_bytes(text, 1940, 0600, &err);
    assert_non_null(ring);
    fg_packet_keyring_free(ring);
}

static void key_file_that_others_may_write_is_refused(void **state)
{
    struct fg_error err;

    assert_null(load_bytes("7 shop " GOOD "\n", 40, 0620, &err));
    assert_non_null(strstr(err.text, "mode 0620 lets others write keys"));
    assert_null(load_bytes("7 shop " GOOD "\n", 40, 0602, &err));
    assert_non_null(strstr(err.text, "mode 0602 lets others write keys"));
    if (geteuid() == 0) {
        fg_packet_keyring_free(load_bytes("7 shop " GOOD "\n", 40, 0600, &err));
        assert_int_equal(chown(path, 65534, 65534), 0);
        assert_null(fg_packet_keyring_load(path, &err));
        assert_non_null(strstr(err.text, "belongs to user id 65534; accepted: root"));
    }
}

static void key_file_that_is_no_file_is_refused(void **state)
{
    struct fg_error err;

    unlink(path);
    assert_null(fg_packet_keyring_load(path, &err));
    assert_non_null(strstr(err.text, "keys: cannot open: No such file"));
    assert_null(fg_packet_keyring_load(dir, &err));
    assert_non_null(strstr(err.text, "not a regular file"));
    assert_int_equal(mkfifo(path, 0600), 0); /* must neither hang nor be read */
    assert_null(fg_packet_keyring_load(path, &err));
    assert_non_null(strstr(err.text, "not a regular file"));
}

static void key_file_holds_255_keys_and_no_more(void **state)
{
    struct fg_error err;
    char text[256 * 64] = "";
    size_t at = 0, full = 0;
    struct fg_packet_keyring *ring;

    for (unsigned i = 1; i <= FG_PACKET_KEYS_MAX + 1; i++) {
        full = i == FG_PACKET_KEYS_MAX + 1 ? at : full;
        at += (size_t)sprintf(text + at, "%u shop %032x\n", i * 257 % 65536, i);
    }
    ring = load_bytes(text, full, 0600, &err);
    assert_non_null(ring);
    assert_int_equal(ring->count, FG_PACKET_KEYS_MAX);
    for (unsigned i = 1; i <= FG_PACKET_KEYS_MAX; i++)
        assert_int_equal(fg_packet_keyring_find(ring, (uint16_t)(i * 257 % 65536))->secret[1] >> 56,
                         i);
    fg_packet_keyring_free(ring);
    assert_null(load_bytes(text, at, 0600, &err));
    assert_non_null(strstr(err.text, "keys:256: "));
    assert_non_null(strstr(err.text, "one too many; accepted: 1 to 255 keys"));
}

/* ---- request and reply ----------------------------------------------------------------------- */

static struct fg_packet_keyring keyring;
static const struct fg_packet_key shop = {.id = 7, .roles = FG_PACKET_ROLE_SHOP, .secret = {1, 2}};

static int keyring_make(void **state)
{
    keyring.count = 1;
    keyring.keys[0] = shop;
    keyring.slot[7] = 1;
    return 0;
}

static struct fg_packet_request make_request(unsigned op)
{
    struct fg_packet_request r = {
        .op = (uint8_t)op, .key_id = 7, .order_id = {1, 2, 3}, .cookie = 99};

    if (op == FG_PACKET_OP_RESERVE || op == FG_PACKET_OP_WAIT)
        r.quantity = 3;
    if (op == FG_PACKET_OP_RESERVE || op == FG_PACKET_OP_STOCK || op == FG_PACKET_OP_WAIT)
        r.item = 42;
    if (op != FG_PACKET_OP_STOCK)
        r.user = 1001;
    if (op == FG_PACKET_OP_EXTEND)
        r.until_ms = 1767225780000;
    if (op == FG_PACKET_OP_ORDERS)
        r.quantity = 2;
    if (op == FG_PACKET_OP_REFUND)
        r.flags = FG_PACKET_RESTOCK;
    fg_packet_request_seal(&r, &shop);
    return r;
}

/* In a burst, among others that are right and wrong: the same verdict on each. */
static void check_in_a_burst(const void *bytes, enum fg_packet_drop drop,
                             const struct fg_packet_key *key)
{
    enum { N = 81 };
    const uint8_t zeros[FG_PACKET_SIZE] = {0};
    struct fg_packet_request good = make_request(FG_PACKET_OP_QUERY), forged = good;
    const void *all[N];
    const struct fg_packet_key *keys[N];
    enum fg_packet_drop drops[N];
    unsigned at = (unsigned)(random64() % N);

    forged.tag ^= 1ull << random64() % 64;
    for (unsigned i = 0; i < N; i++)
        all[i] = i == at      ? bytes
                 : i % 3 == 0 ? zeros
                 : i % 3 == 1 ? (void *)&good
                              : (void *)&forged;
    fg_packet_requests_check(all, N, &keyring, keys, drops);
    for (unsigned i = 0; i < N; i++) {
        enum fg_packet_drop want = i % 3 == 0   ? FG_PACKET_DROP_MAGIC
                                   : i % 3 == 1 ? FG_PACKET_DROP_NONE
                                                : FG_PACKET_DROP_TAG;

        assert_int_equal(drops[i], i == at ? drop : want);
        if (drops[i] == FG_PACKET_DROP_NONE)
            assert_ptr_equal(keys[i], i == at ? key : &keyring.keys[0]);
    }
}

static enum fg_packet_drop check(const void *bytes)
{
    uint8_t shifted[FG_PACKET_SIZE + 1];
    const struct fg_packet_key *key = NULL, *same = NULL;
    enum fg_packet_drop drop = fg_packet_request_check(bytes, &keyring, &key);

    memcpy(shifted + 1, bytes, FG_PACKET_SIZE);
    assert_int_equal(fg_packet_request_check(shifted + 1, &keyring, &same),
                     drop); /* any alignment */
    assert_ptr_equal(key, drop == FG_PACKET_DROP_NONE ? &keyring.keys[0] : NULL);
    assert_ptr_equal(same, key);
    check_in_a_burst(bytes, drop, key);
    return drop;
}

/* Seals again after a change, so that the tag is not what stops it. */
static enum fg_packet_drop check_sealed(struct fg_packet_request r)
{
    r.tag = fg_packet_siphash24_56(shop.secret, &r);
    return check(&r);
}

static void requests_of_every_operation_are_accepted(void **state)
{
#define X(name, number, roles, text)                                                               \
    {                                                                                              \
        struct fg_packet_request r = make_request(FG_PACKET_OP_##name);                            \
        assert_int_equal(r.magic, FG_PACKET_MAGIC);                                                \
        assert_int_equal(check(&r), FG_PACKET_DROP_NONE);                                          \
    }
    FG_PACKET_OP_LIST(X)
#undef X
}

static void any_changed_bit_of_a_request_is_dropped(void **state)
{
    for (unsigned op = FG_PACKET_OP_RESERVE; op <= FG_PACKET_OP_WAIT; op++) {
        for (unsigned bit = 0; bit < FG_PACKET_SIZE * 8; bit++) {
            struct fg_packet_request r = make_request(op);
            enum fg_packet_drop drop;

            ((uint8_t *)&r)[bit / 8] ^= (uint8_t)(1 << bit % 8);
            drop = check(&r);
            if (bit < 3 * 8)
                assert_int_equal(drop, FG_PACKET_DROP_MAGIC);
            else if (bit / 8 == 4 || bit / 8 == 5)
                assert_int_equal(drop, FG_PACKET_DROP_KEY);
            else if (bit >= FG_PACKET_TAG_AT * 8)
                assert_int_equal(drop, FG_PACKET_DROP_TAG);
            else
                assert_true(drop == FG_PACKET_DROP_SHAPE || drop == FG_PACKET_DROP_TAG);
        }
    }
}

static void unknown_operations_are_dropped(void **state)
{
    for (unsigned op = 0; op < 256; op++) {
        struct fg_packet_request r = make_request(FG_PACKET_OP_QUERY);
        bool known = op == FG_PACKET_OP_CONFIRM || op == FG_PACKET_OP_CANCEL ||
                     op == FG_PACKET_OP_QUERY || op == FG_PACKET_OP_RESERVE ||
                     op == FG_PACKET_OP_EXTEND || op == FG_PACKET_OP_REFUND ||
                     op == FG_PACKET_OP_ORDERS || op == FG_PACKET_OP_WAIT;

        r.op = (uint8_t)op;
        assert_int_equal(check_sealed(r), known
                                              ? FG_PACKET_DROP_NONE
                                              : FG_PACKET_DROP_SHAPE); /* STOCK: the user is set */
    }
}

/* Sets each field that may have to be zero, one bit at a time. */
static void fields_that_an_operation_leaves_zero_are_checked(void **state)
{
    for (unsigned op = FG_PACKET_OP_RESERVE; op <= FG_PACKET_OP_WAIT; op++) {
        struct fg_packet_request base = make_request(op), r;
        bool stock = op == FG_PACKET_OP_STOCK, extend = op == FG_PACKET_OP_EXTEND;
        bool counts =
            op == FG_PACKET_OP_RESERVE || op == FG_PACKET_OP_ORDERS || op == FG_PACKET_OP_WAIT;

        for (unsigned bit = 0; bit < 64; bit++) {
            r = base, r.user ^= 1ull << bit;
            assert_int_equal(check_sealed(r), stock ? FG_PACKET_DROP_SHAPE : FG_PACKET_DROP_NONE);
            r = base, r.item ^= 1ull << bit;
            assert_int_equal(check_sealed(r),
                             counts || stock ? FG_PACKET_DROP_NONE : FG_PACKET_DROP_SHAPE);
            r = base, r.until_ms ^= 1ull << bit;
            assert_int_equal(check_sealed(r), extend ? FG_PACKET_DROP_NONE : FG_PACKET_DROP_SHAPE);
            r = base, r.order_id[bit / 4] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(check_sealed(r), FG_PACKET_DROP_NONE);
        }
        for (unsigned bit = 0; bit < 16; bit++) {
            r = base, r.quantity ^= (uint16_t)(1 << bit);
            assert_int_equal(check_sealed(r), counts ? FG_PACKET_DROP_NONE : FG_PACKET_DROP_SHAPE);
        }
        for (unsigned bit = 0; bit < 8; bit++) {
            bool restock = op == FG_PACKET_OP_REFUND && bit == 0;

            r = base, r.flags ^= (uint8_t)(1 << bit);
            assert_int_equal(check_sealed(r), restock ? FG_PACKET_DROP_NONE : FG_PACKET_DROP_SHAPE);
        }
        for (unsigned bit = 0; bit < 24; bit++) {
            r = base, r.reserved[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(check_sealed(r), FG_PACKET_DROP_SHAPE);
        }
        r = base, r.cookie = ~r.cookie;
        assert_int_equal(check_sealed(r), FG_PACKET_DROP_NONE);
    }
}

/* The order of the checks is part of the contract: counters are named by what is found first. */
static void drops_are_found_in_the_order_of_the_contract(void **state)
{
    struct fg_packet_request r = make_request(FG_PACKET_OP_RESERVE);

    r.tag++;
    assert_int_equal(check(&r), FG_PACKET_DROP_TAG);
    r.key_id = 8;
    assert_int_equal(check(&r), FG_PACKET_DROP_KEY);
    r.op = 0;
    assert_int_equal(check(&r), FG_PACKET_DROP_SHAPE);
    r.version = 1;
    assert_int_equal(check(&r), FG_PACKET_DROP_MAGIC);
}

static void a_tag_of_another_key_is_wrong(void **state)
{
    struct fg_packet_request r = make_request(FG_PACKET_OP_RESERVE);
    struct fg_packet_key other = {.id = 7, .secret = {1, 3}};

    fg_packet_request_seal(&r, &other);
    assert_int_equal(check(&r), FG_PACKET_DROP_TAG);
}

static struct fg_packet_reply make_reply(unsigned op, unsigned status)
{
    struct fg_packet_reply r = {
        .op = (uint8_t)(op | FG_PACKET_REPLY), .key_id = 7, .status = (uint8_t)status};

    r.deadline_ms = 123456789, r.item = 42, r.left = 5, r.retry_ms = 10, r.cookie = 99,
    r.quantity = 1;
    fg_packet_reply_seal(&r, &shop);
    return r;
}

static void replies_of_every_operation_and_status_pass_and_no_changed_bit_does(void **state)
{
    for (unsigned op = 0; op < FG_PACKET_REPLY; op++)
        for (unsigned status = 0; status < 256; status++) {
            struct fg_packet_reply r = make_reply(op, status);
            bool good = op >= FG_PACKET_OP_RESERVE && op <= FG_PACKET_OP_WAIT && status >= 1 &&
                        status < FG_PACKET_STATUS_COUNT;

            assert_int_equal(fg_packet_reply_check(&r, &shop), good);
        }
    for (unsigned bit = 0; bit < FG_PACKET_SIZE * 8; bit++) {
        struct fg_packet_reply r = make_reply(FG_PACKET_OP_RESERVE, FG_PACKET_STATUS_RESERVED);

        ((uint8_t *)&r)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(fg_packet_reply_check(&r, &shop));
    }
}

static void replies_with_fields_out_of_place_fail_with_a_right_tag(void **state)
{
    static const struct {
        unsigned at;
        uint8_t value;
    } changes[] = {{0, 0},    {1, 0}, {2, 0},  {2, 1},  {3, 1},
                   {3, 0x80}, {4, 8}, {48, 0}, {49, 2}, {49, 0x81}};

    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct fg_packet_reply r = make_reply(FG_PACKET_OP_RESERVE, FG_PACKET_STATUS_RESERVED);

        ((uint8_t *)&r)[changes[i].at] = changes[i].value;
        r.tag = fg_packet_siphash24_56(shop.secret, &r);
        assert_false(fg_packet_reply_check(&r, &shop));
    }
}

static void names_come_from_the_lists(void **state)
{
    assert_string_equal(fg_packet_op_name(FG_PACKET_OP_RESERVE), "RESERVE");
    assert_string_equal(fg_packet_op_name(FG_PACKET_OP_STOCK), "STOCK");
    assert_string_equal(fg_packet_op_name(0), "?");
    assert_string_equal(fg_packet_op_name(FG_PACKET_OP_WAIT + 1), "?");
    assert_int_equal(fg_packet_op_roles(FG_PACKET_OP_CONFIRM), FG_PACKET_ROLE_BACKEND);
    assert_int_equal(fg_packet_op_roles(0), 0);
    assert_int_equal(fg_packet_op_roles(FG_PACKET_OP_WAIT + 1), 0);
    assert_string_equal(fg_packet_status_name(FG_PACKET_STATUS_SOLD_OUT), "SOLD_OUT");
    assert_string_equal(fg_packet_status_text(FG_PACKET_STATUS_UNKNOWN_ITEM), "no such item");
    assert_string_equal(fg_packet_status_name(FG_PACKET_STATUS_NONE), "?");
    assert_string_equal(fg_packet_status_text(FG_PACKET_STATUS_COUNT), "?");
    assert_string_equal(fg_packet_status_name(~0u), "?");
    assert_string_equal(fg_packet_drop_name(FG_PACKET_DROP_TAG), "tag");
    assert_string_equal(fg_packet_drop_name(FG_PACKET_DROP_IP_HEADER), "ip-header");
    assert_string_equal(fg_packet_drop_text(FG_PACKET_DROP_KEY), "unknown key id");
    assert_string_equal(fg_packet_drop_name(FG_PACKET_DROP_NONE), "?");
    assert_string_equal(fg_packet_drop_name(FG_PACKET_DROP_COUNT), "?");
    assert_string_equal(fg_packet_drop_text(FG_PACKET_DROP_COUNT), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tag_is_siphash24),
        cmocka_unit_test(many_tags_equal_single_ones),
        cmocka_unit_test(tag_equals_the_slow_one_on_random_bytes),
        cmocka_unit_test_setup_teardown(key_file_is_read, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(key_file_mistakes_are_named, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(key_file_bytes_that_are_no_text_are_refused, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(key_file_that_others_may_write_is_refused, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(key_file_that_is_no_file_is_refused, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(key_file_holds_255_keys_and_no_more, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup(requests_of_every_operation_are_accepted, keyring_make),
        cmocka_unit_test_setup(any_changed_bit_of_a_request_is_dropped, keyring_make),
        cmocka_unit_test_setup(unknown_operations_are_dropped, keyring_make),
        cmocka_unit_test_setup(fields_that_an_operation_leaves_zero_are_checked, keyring_make),
        cmocka_unit_test_setup(drops_are_found_in_the_order_of_the_contract, keyring_make),
        cmocka_unit_test_setup(a_tag_of_another_key_is_wrong, keyring_make),
        cmocka_unit_test(replies_of_every_operation_and_status_pass_and_no_changed_bit_does),
        cmocka_unit_test(replies_with_fields_out_of_place_fail_with_a_right_tag),
        cmocka_unit_test(names_come_from_the_lists),
    };
    return cmocka_run_group_tests_name("packet", tests, NULL, NULL);
}
