/* SPDX-License-Identifier: BSD-3-Clause */
/* A capture is one answer, which takes as long as the capture: it ends with its time, when the
 * client leaves, and when the server stops. */
#include "control/capture.h"

#include <string.h>
#include <sys/socket.h>

#include "base/json.h"

#define BLOCK   65536
#define POLL_US 10000

struct stream {
    struct fg_control *control;
    int fd; /* of the client */
    uint64_t end_ms;
};

static bool has_left(int fd)
{
    char byte;

    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static ssize_t read_stream(void *cls, uint64_t position, char *buffer, size_t max)
{
    struct stream *stream = cls;
    struct fg_control_daemon *daemon = &stream->control->daemon;
    bool last = false;
    size_t n = 0;

    while (!n && !last) {
        last = fg_clock_mono_ms() >= stream->end_ms || has_left(stream->fd) ||
               atomic_load(&stream->control->stopping);
        n = daemon->capture_read(daemon->ctx, (uint8_t *)buffer, max);
        if (!n && !last)
            fg_clock_sleep_us(POLL_US);
    }
    return n ? (ssize_t)n : MHD_CONTENT_READER_END_OF_STREAM;
}

static void close_stream(void *cls)
{
    struct stream *stream = cls;
    struct fg_control *control = stream->control;

    pthread_mutex_lock(&control->lock);
    control->captured = control->daemon.capture_count(control->daemon.ctx);
    control->daemon.capture_end(control->daemon.ctx);
    control->capturing = false;
    pthread_mutex_unlock(&control->lock);
    free(stream);
}

static bool read_wanted(struct fg_control_call *call, uint64_t *seconds, const uint64_t **user,
                        uint64_t *id)
{
    const json_t *time = json_object_get(call->body, "seconds"),
                 *of = json_object_get(call->body, "user");

    *seconds = FG_CONTROL_CAPTURE_SECONDS;
    *user = NULL;
    if (time &&
        !fg_control_body_number(call, "seconds", time, 1, FG_CONTROL_CAPTURE_SECONDS_MAX, seconds))
        return false;
    if (of && !fg_json_id_read(of, id))
        return fg_control_call_fail(call, 400, "user", "user: not the number of a user");
    if (of)
        *user = id;
    return json_object_size(call->body) == (size_t)(!!time + !!of) ||
           fg_control_call_fail(call, 400, NULL, "body: accepted: \"seconds\", \"user\"");
}

/* With the server's lock. */
static void open_stream(struct fg_control_call *call, uint64_t seconds)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(call->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct fg_control *control = call->control;
    struct stream *stream = calloc(1, sizeof(*stream));

    if (stream) {
        *stream = (struct stream){control, info->connect_fd, fg_clock_mono_ms() + seconds * 1000};
        call->stream = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_stream,
                                                         stream, close_stream);
    }
    if (!call->stream) {
        free(stream);
        control->daemon.capture_end(control->daemon.ctx);
        fg_control_call_fail(call, 500, NULL, "out of memory");
        return;
    }
    /* a quiet minute is no silent client */
    MHD_set_connection_option(call->connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    control->capturing = true;
    call->code = 200;
    call->text_type = "application/vnd.tcpdump.pcap";
}

void fg_control_handle_capture(struct fg_control_call *call)
{
    struct fg_control *control = call->control;
    struct fg_error err = {""};
    enum fg_control_result result;
    const uint64_t *user;
    uint64_t seconds, id;

    if (!read_wanted(call, &seconds, &user, &id))
        return;
    if (control->capturing) {
        fg_control_call_fail(call, 409, NULL, "another capture runs; try again when it has ended");
        return;
    }
    result = control->daemon.capture_begin(control->daemon.ctx, user, &err);
    if (fg_control_call_result(call, result, &err))
        open_stream(call, seconds);
}

void fg_control_handle_capture_count(struct fg_control_call *call)
{
    struct fg_control *control = call->control;

    if (control->capturing)
        control->captured = control->daemon.capture_count(control->daemon.ctx);
    fg_control_call_reply(call, 200,
                          json_pack("{s:b, s:I, s:I, s:I}", "running", control->capturing, "frames",
                                    (json_int_t)control->captured.frames, "skipped",
                                    (json_int_t)control->captured.skipped, "lost",
                                    (json_int_t)control->captured.lost));
}
