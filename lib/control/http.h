/* SPDX-License-Identifier: BSD-3-Clause */
/** http: between libmicrohttpd's callbacks and the handlers of routes. */
#ifndef FG_CONTROL_HTTP_H
#define FG_CONTROL_HTTP_H

#include <microhttpd.h>

/** The access handler of libmicrohttpd and what ends a request. */
enum MHD_Result fg_control_http_access(void *cls, struct MHD_Connection *connection,
                                       const char *url, const char *method, const char *version,
                                       const char *data, size_t *size, void **state);
void fg_control_http_completed(void *cls, struct MHD_Connection *connection, void **state,
                               enum MHD_RequestTerminationCode why);

#endif
