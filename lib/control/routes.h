/* SPDX-License-Identifier: BSD-3-Clause */
/** routes: the only list of what the API can do. docs/api.md is checked against it by a test. */
#ifndef FG_CONTROL_ROUTES_H
#define FG_CONTROL_ROUTES_H

#include "control/call.h"

enum fg_control_route_flags {
    FG_CONTROL_ROUTE_BODY =
        1, /**< needs a JSON object as body; without this flag a body is refused */
    FG_CONTROL_ROUTE_PAGE = 2,     /**< takes ?offset= and ?limit= */
    FG_CONTROL_ROUTE_LIMIT = 4,    /**< takes ?limit= only */
    FG_CONTROL_ROUTE_PACKET = 8,   /**< takes ?class= and ?port= */
    FG_CONTROL_ROUTE_REPORT = 64,  /**< not in the audit trail when the body has "follow": true */
    FG_CONTROL_ROUTE_FREE = 32,    /**< waits for no other request */
    FG_CONTROL_ROUTE_ALL = 128,    /**< takes ?retired= */
    FG_CONTROL_ROUTE_LEADER = 256, /**< changes the sale: only at the one of a pair that leads */
    FG_CONTROL_ROUTE_TEXT = 16     /**< takes text as body, up to FG_CONTROL_TEXT_MAX */
};

struct fg_control_route {
    const char *method, *pattern; /**< "/v1/items/ITEM": a part in capitals is an argument */
    void (*handler)(struct fg_control_call *call);
    unsigned flags;
    const char *help;
};

extern const struct fg_control_route fg_control_routes[];
extern const unsigned fg_control_routes_count;

/** The route, with call->args filled; or NULL and an error in call. */
const struct fg_control_route *fg_control_route_find(struct fg_control_call *call,
                                                     const char *method, const char *path);

void fg_control_handle_index(struct fg_control_call *call);

#endif
