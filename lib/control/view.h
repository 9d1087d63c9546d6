/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * view: everything that the page of the read-only listener shows, as one JSON document, and the
 * streams that carry a new one to each open page every second.
 *
 * A stream blocks the thread of its connection. All streams share the view of the moment.
 */
#ifndef FG_CONTROL_VIEW_H
#define FG_CONTROL_VIEW_H

#include "control/call.h"

#define FG_CONTROL_STREAMS_MAX    8    /**< open pages */
#define FG_CONTROL_STREAM_EACH_MS 1000 /**< between two views */

struct fg_control_streams {
    struct fg_control *server; /**< its lock guards what stands here */
    pthread_cond_t stop;
    unsigned open;
    bool stopping;
    char
        *text; /**< the view as an event of a stream, for the streams that ask at about that time */
    uint64_t made_ms;
};

/** Views of this server, whose lock is made already. */
void fg_control_streams_init(struct fg_control_streams *streams, struct fg_control *server);
/** Ends all streams: the server can stop then. */
void fg_control_streams_stop(struct fg_control_streams *streams);
void fg_control_streams_free(struct fg_control_streams *streams); /**< after the server stopped */

/** Answers with a stream; 503 when the most pages are open already. */
void fg_control_streams_open(struct fg_control_streams *streams, struct fg_control_call *call);

/** One view; NULL: no memory. New reference. */
json_t *fg_control_view(struct fg_control *control);

#endif
