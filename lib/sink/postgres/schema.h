/* SPDX-License-Identifier: BSD-3-Clause */
/** postgres_schema: which version of the tables this program knows, and the check of a schema's
 * name. */
#ifndef FG_SINK_POSTGRES_SCHEMA_H
#define FG_SINK_POSTGRES_SCHEMA_H

#include "sink/sink.h"

#define FG_SINK_POSTGRES_VERSION 3 /**< of the tables; stands in the cursor as `format` */

/** Lower case letters, digits and _, so that it needs no quoting anywhere. */
bool fg_sink_postgres_schema_check(const char *schema, struct fg_error *err);

#define FG_SINK_POSTGRES_FLEET_SCHEMA_MAX 50 /**< of the views; "_member_15" follows for tables */

/** The same of options->schema, which is shorter in a fleet. */
bool fg_sink_postgres_options_schema_check(const struct fg_sink_postgres_options *options,
                                           struct fg_error *err);

/** "host:port/database" for status and messages; never the password. False and err: not a
 * connection string.
 */
bool fg_sink_postgres_address(const char *conninfo, char *address, size_t size,
                              struct fg_error *err);

#endif
