/* SPDX-License-Identifier: BSD-3-Clause */
/** directives: the module's settings: reading, checks, and the shared memory that they imply. */
#ifndef GATEWAY_DIRECTIVES_H
#define GATEWAY_DIRECTIVES_H

#include "module.h"

char *gateway_set_servers(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *gateway_set_members(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *gateway_set_keys(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *gateway_set_patience(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *gateway_set_items(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *gateway_set_route(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *gateway_set_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *gateway_set_origins(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/** A location with a route has all that the route needs. */
char *gateway_location_check(ngx_conf_t *cf, struct gateway_location *l);
/** The http block as a whole does. */
ngx_int_t gateway_configured(ngx_conf_t *cf);
ngx_int_t gateway_add_variables(ngx_conf_t *cf); /**< session.c */

#endif
