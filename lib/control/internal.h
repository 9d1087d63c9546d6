/* SPDX-License-Identifier: BSD-3-Clause */
/** internal: shared by the files of lib/control only. Everything here runs on the control thread.
 */
#ifndef FG_CONTROL_INTERNAL_H
#define FG_CONTROL_INTERNAL_H

#include <microhttpd.h>

#include "base/clock.h"
#include "control/control.h"
#include "control/fields.h"

#define FG_API_BODY_MAX    (1u << 20) /**< bytes of a request body */
#define FG_API_CONNECTIONS 64         /**< at a time; each may hold one body */
#define FG_API_TIMEOUT_S   30         /**< of a silent connection */
#define FG_API_LIMIT       1000       /**< entries of a list when ?limit= is not given */
#define FG_API_LIMIT_MAX   10000
#define FG_API_WORST_MAX   1000
#define FG_API_SETTLE_MS   2000 /**< how long a change may take to show up in the ledger */
#define FG_API_ARGS        2
#define FG_API_ARG_SIZE    64

struct fg_control {
    struct MHD_Daemon *server;
    struct fg_control_daemon daemon;
    char path[108];
    uint64_t device, inode; /**< of the socket file: only that one is removed at the end */
};

/** One request and its reply. */
struct fg_control_call {
    struct fg_control *control;
    struct MHD_Connection *connection;
    char args[FG_API_ARGS]
             [FG_API_ARG_SIZE]; /**< the parts of the path that the pattern leaves open */
    json_t *body;               /**< object, or NULL when the route takes none */
    const char *class_name;     /**< ?class=; NULL: not given */
    uint64_t port;              /**< ?port=; 0: not given */
    uint64_t offset, limit;     /**< ?offset= and ?limit=; limit 0: not given */
    unsigned code;              /**< of the reply */
    json_t *json;               /**< reply, owned; or */
    char *text;                 /**< reply as plain text, malloc'ed */
    char allow[64];             /**< methods, for 405 */
};

enum fg_control_route_flags {
    FG_ROUTE_BODY = 1,  /**< needs a JSON object as body; without this flag a body is refused */
    FG_ROUTE_PAGE = 2,  /**< takes ?offset= and ?limit= */
    FG_ROUTE_LIMIT = 4, /**< takes ?limit= only */
    FG_ROUTE_PACKET = 8 /**< takes ?class= and ?port= */
};

struct fg_control_route {
    const char *method, *pattern; /**< "/v1/items/ITEM": a part in capitals is an argument */
    void (*handler)(struct fg_control_call *call);
    unsigned flags;
    const char *help;
};

extern const struct fg_control_route fg_control_routes[];
extern const unsigned fg_control_routes_count;

/** routes.c: the route, with call->args filled; or NULL and an error in call. */
const struct fg_control_route *fg_control_route_find(struct fg_control_call *call,
                                                     const char *method, const char *path);

/** socket.c: a listening socket, or -1. */
int fg_control_listen(const char *path, unsigned mode, const char *group, struct fg_error *err);

/** http.c: the access handler of libmicrohttpd and what ends a request. */
enum MHD_Result fg_control_http_access(void *cls, struct MHD_Connection *connection,
                                       const char *url, const char *method, const char *version,
                                       const char *data, size_t *size, void **state);
void fg_control_http_completed(void *cls, struct MHD_Connection *connection, void **state,
                               enum MHD_RequestTerminationCode why);

/* body.c: errors and checked input. All return false after putting the error into the call. */
__attribute__((format(printf, 4, 5))) bool fg_control_call_fail(struct fg_control_call *call,
                                                                unsigned code, const char *field,
                                                                const char *fmt, ...);
bool fg_control_call_result(struct fg_control_call *call, enum fg_control_result result,
                            const struct fg_error *err);
void fg_control_call_reply(
    struct fg_control_call *call, unsigned code,
    json_t *json); /** penalties.c: an address, or an error in the call. text may be NULL. */
bool fg_control_text_source(struct fg_control_call *call, const char *text,
                            struct fg_filter_prefix *address);
json_t *fg_control_offender_json(struct fg_control_call *call,
                                 const struct fg_filter_prefix *address); /**< or null */
bool fg_control_arg_item(struct fg_control_call *call, uint64_t *item);

/** An item's settings out of a body; name points into it. */
struct fg_control_item_values {
    bool given[FG_ITEM_FIELDS];
    uint64_t number[FG_ITEM_FIELDS];
    const char *name;
};
bool fg_control_body_item(struct fg_control_call *call, struct fg_control_item_values *values);
bool fg_control_body_number(struct fg_control_call *call, const char *field, const json_t *value,
                            uint64_t min, uint64_t max, uint64_t *number);

/* item_json.c */
json_t *fg_control_item_json(const struct fg_ledger_item *item, uint64_t now_ms);
const char *fg_control_item_state(const struct fg_ledger_item *item, uint64_t now_ms);
json_t *fg_control_time_json(uint64_t ms); /** Copies out of the locked ledger. */
bool fg_control_item_copy(struct fg_control *control, uint64_t item, struct fg_ledger_item *copy);
/** Up to max items from `offset` on, in order of definition; NULL when memory is short. Caller
 * frees. */
struct fg_ledger_item *fg_control_items_copy(struct fg_control *control, uint64_t offset,
                                             uint64_t max, uint64_t *count, uint64_t *all);

/* Handlers */
void fg_control_handle_index(struct fg_control_call *call);
void fg_control_handle_status(struct fg_control_call *call);
void fg_control_handle_stats(struct fg_control_call *call);
void fg_control_handle_health(struct fg_control_call *call);
void fg_control_handle_metrics(struct fg_control_call *call);
void fg_control_handle_keys_reload(struct fg_control_call *call);
void fg_control_handle_log_snapshot(struct fg_control_call *call);
void fg_control_handle_items(struct fg_control_call *call);
void fg_control_handle_item(struct fg_control_call *call);
void fg_control_handle_item_create(struct fg_control_call *call);
void fg_control_handle_item_patch(struct fg_control_call *call);
void fg_control_handle_item_stock(struct fg_control_call *call);
void fg_control_handle_item_open(struct fg_control_call *call);
void fg_control_handle_item_close(struct fg_control_call *call);
void fg_control_handle_item_pause(struct fg_control_call *call);
void fg_control_handle_item_resume(struct fg_control_call *call);
void fg_control_handle_order(struct fg_control_call *call);
void fg_control_handle_block_list(struct fg_control_call *call);
void fg_control_handle_block_add(struct fg_control_call *call);
void fg_control_handle_block_del(struct fg_control_call *call);
void fg_control_handle_block_load(struct fg_control_call *call);
void fg_control_handle_block_save(struct fg_control_call *call);
void fg_control_handle_allow_list(struct fg_control_call *call);
void fg_control_handle_allow_add(struct fg_control_call *call);
void fg_control_handle_allow_del(struct fg_control_call *call);
void fg_control_handle_allow_load(struct fg_control_call *call);
void fg_control_handle_allow_save(struct fg_control_call *call);
void fg_control_handle_filter_top(struct fg_control_call *call);
void fg_control_handle_explain(struct fg_control_call *call);
void fg_control_handle_samples(struct fg_control_call *call);
void fg_control_handle_penalties(struct fg_control_call *call);
void fg_control_handle_penalty_report(struct fg_control_call *call);
void fg_control_handle_penalty_release(struct fg_control_call *call);
void fg_control_handle_denied_list(struct fg_control_call *call);
void fg_control_handle_denied_add(struct fg_control_call *call);
void fg_control_handle_denied_del(struct fg_control_call *call);
void fg_control_handle_worst(struct fg_control_call *call);

#endif
