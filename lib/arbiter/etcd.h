/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests to one endpoint of etcd's JSON gateway, by libcurl. Private to lib/arbiter. */
#ifndef FG_ARBITER_ETCD_H
#define FG_ARBITER_ETCD_H

#include <curl/curl.h>
#include <jansson.h>

#include "arbiter/arbiter.h"

/* Codes of gRPC that the gateway puts into its errors. */
#define ETCD_CODE_UNAUTHENTICATED 16

struct etcd_answer {
    enum {
        ETCD_ANSWERED, /* by `json` */
        ETCD_NOT_SENT, /* nothing of the request has left, or nothing that could take effect */
        ETCD_LOST      /* it left, and no answer came that can be understood */
    } kind;
    json_t *json; /* NULL, or an object; the caller releases it */
    int code;     /* of gRPC; 0 = no error */
};

/* Posts `body`. token: "" or that of a login. On anything but code 0 err says what went wrong. */
void etcd_post(CURL *curl, const struct fg_arbiter_options *options, const char *endpoint,
               const char *path, const json_t *body, const char *token, long timeout_ms,
               struct etcd_answer *answer, struct fg_error *err);

/* A line of a stream, without its end. False and err: the stream is to end. */
typedef bool etcd_line(void *ctx, const char *text, size_t size, struct fg_error *err);

struct etcd_stream;

struct etcd_stream *etcd_stream_open(void);
void etcd_stream_close(struct etcd_stream *s);

/* Posts `body`, and takes the lines of the answer until it ends; err says why it did. */
void etcd_stream_run(struct etcd_stream *s, const struct fg_arbiter_options *options,
                     const char *endpoint, const char *path, const json_t *body, const char *token,
                     etcd_line *line, void *ctx, struct fg_error *err);

/* Ends the run that is under way, or the next one. Any thread. */
void etcd_stream_cut(struct etcd_stream *s);

#endif
