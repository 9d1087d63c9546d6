/* SPDX-License-Identifier: BSD-3-Clause */
/* docs/protocol.md against the code: layouts, operations, statuses, drop reasons, and every test
 * vector. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "packet/packet.h"

#define CELLS_MAX 6
#define OPS_MAX   16

static char page[1 << 17];
static struct fg_packet_keyring keyring;

static int page_read(void **state)
{
    const char *root = getenv("FG_SOURCE");
    char path[1024];
    FILE *file;
    size_t n;

    if (!root) {
        print_error("FG_SOURCE is not set to the root of the source\n");
        return -1;
    }
    snprintf(path, sizeof(path), "%s/docs/protocol.md", root);
    file = fopen(path, "r");
    if (!file)
        return -1;
    n = fread(page, 1, sizeof(page) - 1, file);
    fclose(file);
    return n > 0 && n < sizeof(page) - 1 ? 0 : -1;
}

/* Copies the line at *at without its newline and moves on; false at the end of the page. */
static bool next_line(const char **at, char *line, size_t size)
{
    size_t len = strcspn(*at, "\n");

    if (!**at)
        return false;
    assert_true(len < size);
    memcpy(line, *at, len);
    line[len] = '\0';
    *at += len + ((*at)[len] == '\n');
    return true;
}

/* ---- tables ---------------------------------------------------------------------------------- */

struct rows {
    char text[64][1024];
    char *cell[64][CELLS_MAX];
    unsigned count;
};

static char *trim(char *s)
{
    size_t len;

    while (*s == ' ')
        s++;
    for (len = strlen(s); len && s[len - 1] == ' ';)
        s[--len] = '\0';
    return s;
}

/* The body of the first table behind `heading`. */
static void read_table(const char *heading, struct rows *rows)
{
    const char *at = strstr(page, heading);
    char line[1024];
    unsigned seen = 0;

    assert_non_null(at);
    rows->count = 0;
    while (next_line(&at, line, sizeof(line))) {
        if (line[0] != '|') {
            if (seen)
                break;
            continue;
        }
        if (seen++ < 2)
            continue; /* titles and rule */
        assert_true(rows->count < 64);
        char *text = strcpy(rows->text[rows->count], line + 1), *next;
        for (unsigned c = 0; c < CELLS_MAX; c++) {
            next = strchr(text, '|');
            rows->cell[rows->count][c] = "";
            if (!next)
                continue;
            *next = '\0';
            rows->cell[rows->count][c] = trim(text);
            text = next + 1;
        }
        rows->count++;
    }
}

static struct rows rows;

static void append_roles(char *to, unsigned bits)
{
#define X(name, bit, text)                                                                         \
    if (bits & (bit))                                                                              \
        strcat(strcat(to, *to ? ", " : ""), text);
    FG_PACKET_ROLE_LIST(X)
#undef X
}

static void operations_are_those_of_the_code(void **state)
{
    unsigned at = 0;

    read_table("\n## Operations\n", &rows);
#define X(name, number, roles_, text)                                                              \
    {                                                                                              \
        char roles[64] = "";                                                                       \
        append_roles(roles, roles_);                                                               \
        assert_int_equal(atoi(rows.cell[at][0]), number);                                          \
        assert_string_equal(rows.cell[at][1], #name);                                              \
        assert_string_equal(rows.cell[at][2], roles);                                              \
        assert_string_equal(rows.cell[at][3], text);                                               \
        at++;                                                                                      \
    }
    FG_PACKET_OP_LIST(X)
#undef X
    assert_int_equal(rows.count, at);
}

static void statuses_are_those_of_the_code(void **state)
{
    unsigned at = 0;

    read_table("\n## Statuses\n", &rows);
#define X(name, number, text)                                                                      \
    assert_int_equal(atoi(rows.cell[at][0]), number);                                              \
    assert_string_equal(rows.cell[at][1], #name);                                                  \
    assert_string_equal(rows.cell[at][2], text);                                                   \
    assert_true(strlen(rows.cell[at][3]) > 4); /* what to do next */                               \
    at++;
    FG_PACKET_STATUS_LIST(X)
#undef X
    assert_int_equal(rows.count, at);
}

static void drop_reasons_are_those_of_the_code(void **state)
{
    read_table("\n## Packets without an answer\n", &rows);
    assert_int_equal(rows.count, FG_PACKET_DROP_COUNT - 1);
    for (unsigned drop = 1; drop < FG_PACKET_DROP_COUNT; drop++) {
        assert_string_equal(rows.cell[drop - 1][0], fg_packet_drop_name(drop));
        assert_string_equal(rows.cell[drop - 1][1], fg_packet_drop_text(drop));
    }
}

struct field {
    const char *name;
    size_t at, size;
};

#define FIELD(type, name)                                                                          \
    {                                                                                              \
#name, offsetof(struct type, name), sizeof(((struct type *)0)->name)                       \
    }

static const struct field request_fields[] = {
    FIELD(fg_packet_request, magic),    FIELD(fg_packet_request, version),
    FIELD(fg_packet_request, op),       FIELD(fg_packet_request, key_id),
    FIELD(fg_packet_request, quantity), FIELD(fg_packet_request, order_id),
    FIELD(fg_packet_request, user),     FIELD(fg_packet_request, item),
    FIELD(fg_packet_request, until_ms), FIELD(fg_packet_request, flags),
    FIELD(fg_packet_request, reserved), FIELD(fg_packet_request, cookie),
    FIELD(fg_packet_request, tag),
};

static const struct field reply_fields[] = {
    FIELD(fg_packet_reply, magic),       FIELD(fg_packet_reply, version),
    FIELD(fg_packet_reply, op),          FIELD(fg_packet_reply, key_id),
    FIELD(fg_packet_reply, quantity),    FIELD(fg_packet_reply, order_id),
    FIELD(fg_packet_reply, deadline_ms), FIELD(fg_packet_reply, item),
    FIELD(fg_packet_reply, left),        FIELD(fg_packet_reply, retry_ms),
    FIELD(fg_packet_reply, status),      FIELD(fg_packet_reply, flags),
    FIELD(fg_packet_reply, shard_map),   FIELD(fg_packet_reply, cookie),
    FIELD(fg_packet_reply, tag),
};
#define REQUEST_FIELDS (sizeof(request_fields) / sizeof(request_fields[0]))
#define REPLY_FIELDS   (sizeof(reply_fields) / sizeof(reply_fields[0]))

static void check_layout(const char *heading, const struct field *fields, size_t count)
{
    size_t end = 0;

    read_table(heading, &rows);
    assert_int_equal(rows.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(atoi(rows.cell[i][0]), fields[i].at);
        assert_int_equal(atoi(rows.cell[i][1]), fields[i].size);
        assert_string_equal(rows.cell[i][2], fields[i].name);
        assert_int_equal(fields[i].at, end); /* no gap that the page does not tell of */
        end = fields[i].at + fields[i].size;
    }
    assert_int_equal(end, FG_PACKET_SIZE);
}

static void layouts_are_those_of_the_code(void **state)
{
    check_layout("\n### Request\n", request_fields, REQUEST_FIELDS);
    check_layout("\n### Reply\n", reply_fields, REPLY_FIELDS);
}

/* ---- vectors --------------------------------------------------------------------------------- */

static void read_hex(const char *hex, uint8_t *bytes, size_t size)
{
    assert_int_equal(strlen(hex), size * 2);
    for (size_t i = 0; i < size; i++) {
        unsigned value;

        assert_true(isxdigit((unsigned char)hex[2 * i]) && isxdigit((unsigned char)hex[2 * i + 1]));
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &value), 1);
        bytes[i] = (uint8_t)value;
    }
}

static uint8_t op_number(const char *name)
{
    for (unsigned op = 0; op < 256; op++)
        if (!strcmp(fg_packet_op_name(op), name))
            return (uint8_t)op;
    fail_msg("the page names an unknown operation %s", name);
    return 0;
}

static uint8_t status_number(const char *name)
{
    for (unsigned status = 0; status < FG_PACKET_STATUS_COUNT; status++)
        if (!strcmp(fg_packet_status_name(status), name))
            return (uint8_t)status;
    fail_msg("the page names an unknown status %s", name);
    return 0;
}

/* Puts one `name=value` into the packet at `bytes`. */
static void set_field(uint8_t *bytes, const struct field *fields, size_t count, char *word)
{
    char *value = strchr(word, '=');
    uint64_t number;

    assert_non_null(value);
    *value++ = '\0';
    for (size_t i = 0; i < count; i++) {
        if (strcmp(fields[i].name, word))
            continue;
        if (!strcmp(word, "order_id")) {
            read_hex(value, bytes + fields[i].at, 16);
            return;
        }
        number = !strcmp(word, "op")       ? op_number(value)
                 : !strcmp(word, "status") ? status_number(value)
                                           : strtoull(value, NULL, 10);
        memcpy(bytes + fields[i].at, &number, fields[i].size);
        return;
    }
    fail_msg("the page names an unknown field %s", word);
}

static void read_key(char *words)
{
    struct fg_packet_key key = {0};
    char roles[64], secret[64];
    unsigned id;

    assert_int_equal(sscanf(words, " id=%u roles=%63s secret=%63s", &id, roles, secret), 3);
    key.id = (uint16_t)id;
#define X(name, bit, text) key.roles |= strstr(roles, text) ? bit : 0;
    FG_PACKET_ROLE_LIST(X)
#undef X
    read_hex(secret, (uint8_t *)key.secret, 16);
    keyring.keys[keyring.count++] = key;
    keyring.slot[key.id] = (uint8_t)keyring.count;
}

struct tally {
    unsigned requests[OPS_MAX], replies[OPS_MAX], statuses[FG_PACKET_STATUS_COUNT];
};

static struct fg_packet_request check_request(char *words, const char *hex, struct tally *tally)
{
    struct fg_packet_request r = {0}, wire;
    const struct fg_packet_key *key = NULL;
    char *save;

    for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
        set_field((uint8_t *)&r, request_fields, REQUEST_FIELDS, w);
    read_hex(hex, (uint8_t *)&wire, sizeof(wire));
    assert_int_equal(fg_packet_request_check(&wire, &keyring, &key), FG_PACKET_DROP_NONE);
    assert_int_equal(key->id, r.key_id);
    fg_packet_request_seal(&r, key);
    assert_memory_equal(&r, &wire, sizeof(r));
    tally->requests[r.op]++;
    return r;
}

static void check_reply(char *words, const char *hex, const struct fg_packet_request *request,
                        struct tally *tally)
{
    struct fg_packet_reply r = {0}, wire;
    const struct fg_packet_key *key;
    bool allowed;
    char *save;

    for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
        set_field((uint8_t *)&r, reply_fields, REPLY_FIELDS, w);
    tally->replies[r.op]++;
    tally->statuses[r.status]++;
    r.op |= FG_PACKET_REPLY;
    read_hex(hex, (uint8_t *)&wire, sizeof(wire));
    key = fg_packet_keyring_find(&keyring, r.key_id);
    assert_non_null(key);
    assert_true(fg_packet_reply_check(&wire, key));
    fg_packet_reply_seal(&r, key);
    assert_memory_equal(&r, &wire, sizeof(r));
    /* it answers the request above it */
    assert_int_equal(r.op, request->op | FG_PACKET_REPLY);
    assert_int_equal(r.key_id, request->key_id);
    assert_int_equal(r.cookie, request->cookie);
    if (request->op != FG_PACKET_OP_ORDERS) /* tells the id of the order that it found */
        assert_memory_equal(r.order_id, request->order_id, 16);
    allowed = (fg_packet_op_roles(request->op) & key->roles) != 0;
    assert_int_equal(r.status == FG_PACKET_STATUS_DENIED, !allowed);
}

static void vectors_are_what_the_code_makes(void **state)
{
    const char *at = strstr(page, "\n```vectors\n");
    char line[512], hex[512];
    struct fg_packet_request request = {0};
    struct tally tally = {0};

    assert_non_null(at);
    at += strlen("\n```vectors\n");
    while (next_line(&at, line, sizeof(line)) && strcmp(line, "```")) {
        if (!strncmp(line, "key ", 4)) {
            read_key(line + 4);
        } else if (!strncmp(line, "request ", 8)) {
            assert_true(next_line(&at, hex, sizeof(hex)));
            request = check_request(line + 8, hex, &tally);
        } else if (!strncmp(line, "reply ", 6)) {
            assert_true(next_line(&at, hex, sizeof(hex)));
            check_reply(line + 6, hex, &request, &tally);
        } else {
            assert_string_equal(line, "");
        }
    }
    unsigned statuses = 0;
    for (unsigned op = 1; fg_packet_op_roles(op); op++)
        assert_true(tally.requests[op] > 0 && tally.replies[op] == tally.requests[op]);
    for (unsigned status = 1; status < FG_PACKET_STATUS_COUNT; status++)
        statuses += tally.statuses[status] > 0;
    print_message("# %u keys, %u statuses in the vectors\n", keyring.count, statuses);
    assert_true(statuses >= 10);
}

static void the_example_of_the_tag_is_right(void **state)
{
    uint8_t bytes[56], key[16];
    uint64_t secret[2];
    char text[64];

    for (uint8_t i = 0; i < 56; i++)
        bytes[i] = i;
    memcpy(key, bytes, 16);
    memcpy(secret, key, 16);
    snprintf(text, sizeof(text),
             "have the tag 0x%016llx:", (unsigned long long)fg_packet_siphash24_56(secret, bytes));
    assert_non_null(strstr(page, text));
}

static void the_examples_of_shards_are_right(void **state)
{
    const char *at = strstr(page, "\n```shards\n");
    char line[128];
    unsigned count = 0;

    assert_non_null(at);
    at += strlen("\n```shards\n");
    for (; next_line(&at, line, sizeof(line)) && strcmp(line, "```"); count++) {
        unsigned long long user;
        unsigned shards, shard;

        assert_int_equal(sscanf(line, "user=%llu shards=%u shard=%u", &user, &shards, &shard), 3);
        assert_int_equal(fg_user_shard(user, shards), shard);
    }
    assert_true(count > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_are_those_of_the_code),
        cmocka_unit_test(operations_are_those_of_the_code),
        cmocka_unit_test(statuses_are_those_of_the_code),
        cmocka_unit_test(drop_reasons_are_those_of_the_code),
        cmocka_unit_test(vectors_are_what_the_code_makes),
        cmocka_unit_test(the_example_of_the_tag_is_right),
        cmocka_unit_test(the_examples_of_shards_are_right),
    };
    return cmocka_run_group_tests_name("packet-page", tests, page_read, NULL);
}
