/* SPDX-License-Identifier: BSD-3-Clause */
/* Users who may reserve nothing, and users who were refused for asking too often. */
#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "control/users.h"

#define USERS_MAX     1000 /* of one request: each takes a write to the disk */
#define WORST_DEFAULT 20

static bool parse_user(struct fg_control_call *call, const json_t *value, size_t nth,
                       uint64_t *user)
{
    if (fg_json_id_read(value, user))
        return true;
    return fg_control_call_fail(call, 400, "user",
                                "user %zu: not a whole number from 0 to %" PRIu64, nth, UINT64_MAX);
}

/* {"user": N} or {"users": [N, ...]}; returns how many, 0 after an error. */
static size_t read_users(struct fg_control_call *call, uint64_t users[USERS_MAX])
{
    const json_t *one = json_object_get(call->body, "user"),
                 *many = json_object_get(call->body, "users");
    size_t count = one ? 1 : json_array_size(many);

    if (json_object_size(call->body) != 1 || (!one && !json_is_array(many)) || count == 0 ||
        count > USERS_MAX) {
        fg_control_call_fail(call, 400, NULL,
                             "body: must be {\"user\": N} or {\"users\": [N, ...]}, at most %d",
                             USERS_MAX);
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        if (!parse_user(call, one ? one : json_array_get(many, i), i + 1, &users[i]))
            return 0;
    return count;
}

static void change(struct fg_control_call *call, bool deny)
{
    struct fg_control_daemon *daemon = &call->control->daemon;
    const char *verb = deny ? "denied" : "allowed";
    enum fg_control_result result = FG_CONTROL_DONE;
    struct fg_error err = {""};
    uint64_t users[USERS_MAX];
    size_t count = read_users(call, users), done = 0;

    if (count == 0)
        return;
    while (done < count && (result = daemon->user_set(daemon->ctx, users[done], deny, &err)) == 0)
        done++;
    if (fg_control_call_result(call, result, &err))
        fg_control_call_reply(call, 200, json_pack("{s:I}", verb, (json_int_t)done));
    else if (count > 1)
        fg_control_call_fail(call, call->code, "user",
                             "user %" PRIu64 ": %s; %zu of %zu were %s before", users[done],
                             err.text, done, count, verb);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* All of them, sorted, so that pages fit together; NULL when memory is short. Caller frees. */
static uint64_t *copy_denied(struct fg_control *control, uint32_t *count)
{
    const struct fg_ledger *ledger = control->daemon.ledger_lock(control->daemon.ctx);
    uint64_t *users;

    *count = fg_ledger_denied_users(ledger);
    users = malloc((*count + 1ull) * sizeof(*users));
    for (uint32_t i = 0; users && i < *count; i++)
        users[i] = fg_ledger_denied_user(ledger, i);
    control->daemon.ledger_unlock(control->daemon.ctx);
    if (users)
        qsort(users, *count, sizeof(*users), compare);
    return users;
}

void fg_control_handle_denied_list(struct fg_control_call *call)
{
    uint32_t count;
    uint64_t *users = copy_denied(call->control, &count);
    json_t *list = json_array();

    for (uint64_t i = call->offset; users && i < count && i - call->offset < call->limit; i++)
        json_array_append_new(list, fg_json_id(users[i]));
    if (users)
        fg_control_call_reply(call, 200,
                              json_pack("{s:o, s:I, s:I, s:I}", "users", list, "count",
                                        (json_int_t)count, "offset", (json_int_t)call->offset,
                                        "limit", (json_int_t)call->limit));
    else
        json_decref(list);
    free(users);
}

void fg_control_handle_denied_add(struct fg_control_call *call)
{
    change(call, true);
}

void fg_control_handle_denied_del(struct fg_control_call *call)
{
    change(call, false);
}

void fg_control_handle_worst(struct fg_control_call *call)
{
    struct fg_control_daemon *daemon = &call->control->daemon;
    struct fg_stock_user users[FG_CONTROL_WORST_MAX];
    unsigned limit = call->limit ? (unsigned)call->limit : WORST_DEFAULT, count;
    json_t *list = json_array();

    count = daemon->user_worst(daemon->ctx, users, limit);
    for (unsigned i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:o, s:I}", "user", fg_json_id(users[i].user),
                                              "refused", (json_int_t)users[i].refused));
    fg_control_call_reply(call, 200, json_pack("{s:o}", "users", list));
}
