/* SPDX-License-Identifier: BSD-3-Clause */
/** call: one request and its reply: errors, and checked values out of paths and bodies. Control
 * thread only. */
#ifndef FG_CONTROL_CALL_H
#define FG_CONTROL_CALL_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "control/control.h"
#include "control/fields.h"

#define FG_CONTROL_BODY_MAX    (1u << 20)   /**< bytes of a request body */
#define FG_CONTROL_TEXT_MAX    (256u << 20) /**< bytes of a list of the filter; one at a time */
#define FG_CONTROL_CONNECTIONS 64           /**< at a time; each may hold one body */
#define FG_CONTROL_TIMEOUT_S   30           /**< of a silent connection */
#define FG_CONTROL_LIMIT       1000         /**< entries of a list when ?limit= is not given */
#define FG_CONTROL_LIMIT_MAX   10000
#define FG_CONTROL_WORST_MAX   1000
#define FG_CONTROL_SETTLE_MS   2000 /**< how long a change may take to show up in the ledger */
#define FG_CONTROL_ARGS        2
#define FG_CONTROL_ARG_SIZE    64

struct fg_control_route;

/** A listener with its routes: the control socket, or the viewer. */
struct fg_control {
    struct MHD_Daemon *server;
    struct fg_control_daemon daemon;
    const struct fg_control_route *routes; /**< routes_count of them */
    unsigned routes_count;
    uint64_t body_max;    /**< bytes of a request body; 0: no route takes one */
    pthread_mutex_t lock; /**< one handler at a time, /healthz aside; and what stands below */
    _Atomic(const void *) text_upload;  /**< the one upload that may be large; NULL = none */
    struct fg_control_peers *peers;     /**< connections of the control socket; NULL: not kept */
    bool capturing;                     /**< a capture runs; with the lock */
    struct fg_control_capture captured; /**< of the last one; with the lock */
    _Atomic bool stopping;              /**< a capture shall end */
    char path[108];                     /**< of the control socket; "" = this is not it */
    uint64_t device, inode; /**< of the socket file: only that one is removed at the end */
};

static inline uint64_t fg_control_now_ms(const struct fg_control *control)
{
    return control->daemon.now_ms(control->daemon.ctx);
}

/** One request and its reply. */
struct fg_control_call {
    struct fg_control *control;
    struct MHD_Connection *connection;
    const char *path; /**< of the request */
    char args[FG_CONTROL_ARGS]
             [FG_CONTROL_ARG_SIZE]; /**< the parts of the path that the pattern leaves open */
    const char *lines;              /**< body of a route that takes text, with its size */
    size_t lines_size;
    json_t *body;                /**< object, or NULL when the route takes none */
    const char *class_name;      /**< ?class=; NULL: not given */
    uint64_t port;               /**< ?port=; 0: not given */
    bool retired;                /**< ?retired=true */
    uint64_t version;            /**< of the item's settings, before they were read */
    uint32_t behind;             /**< members of a fleet that have not applied what was changed */
    uint64_t offset, limit;      /**< ?offset= and ?limit=; limit 0: not given */
    unsigned code;               /**< of the reply */
    json_t *json;                /**< reply, owned; or */
    char *text;                  /**< reply as plain text, malloc'ed */
    const char *text_type;       /**< its Content-Type; NULL = that of Prometheus */
    struct MHD_Response *stream; /**< reply that comes in parts, of text_type */
    const char *policy;          /**< Content-Security-Policy; NULL = none */
    char allow[64];              /**< methods, for 405 */
};

/** Puts an error into the call, which replaces any reply. Returns false. */
__attribute__((format(printf, 4, 5))) bool fg_control_call_fail(struct fg_control_call *call,
                                                                unsigned code, const char *field,
                                                                const char *fmt, ...);
/** The same from what the daemon said; true when that is DONE. */
bool fg_control_call_result(struct fg_control_call *call, enum fg_control_result result,
                            const struct fg_error *err);
/** Takes json. */
void fg_control_call_reply(struct fg_control_call *call, unsigned code, json_t *json);

/** The item of the path; false after an error. */
bool fg_control_call_item(struct fg_control_call *call, uint64_t *item);

/** An item's settings out of a body; name points into it. */
struct fg_control_item_values {
    bool given[FG_CONTROL_ITEM_FIELDS];
    uint64_t number[FG_CONTROL_ITEM_FIELDS];
    const char *name;
};
/** All return false after an error in the call. */
bool fg_control_body_item(struct fg_control_call *call, struct fg_control_item_values *values);
/** The same of an object in the body. */
bool fg_control_object_item(struct fg_control_call *call, const json_t *object,
                            struct fg_control_item_values *values);
bool fg_control_body_number(struct fg_control_call *call, const char *field, const json_t *value,
                            uint64_t min, uint64_t max, uint64_t *number);

#endif
