/* SPDX-License-Identifier: BSD-3-Clause */
/* One request to one endpoint of etcd's JSON gateway, by libcurl. Private to lib/arbiter. */
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

#endif
