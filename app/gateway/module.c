/* SPDX-License-Identifier: BSD-3-Clause */
/* ngx_http_floodgate_module: directives, their checks, start and end of a worker. */
#include "module.h"

#include "directives.h"

static void *create_main(ngx_conf_t *cf)
{
    struct gateway_main *m = ngx_pcalloc(cf->pool, sizeof(*m));

    if (!m)
        return NULL;
    m->outstanding = NGX_CONF_UNSET_UINT;
    m->patience = NGX_CONF_UNSET_MSEC;
    return m;
}

static char *init_main(ngx_conf_t *cf, void *conf)
{
    struct gateway_main *m = conf;

    ngx_conf_init_uint_value(m->outstanding, 16384);
    ngx_conf_init_msec_value(m->patience, FG_CLIENT_PATIENCE_MS);
    return NGX_CONF_OK;
}

static void *create_location(ngx_conf_t *cf)
{
    struct gateway_location *l = ngx_pcalloc(cf->pool, sizeof(*l));

    if (!l)
        return NULL;
    l->route = GATEWAY_ROUTES;
    l->user_number = NGX_CONF_UNSET_UINT;
    return l;
}

static char *merge_location(ngx_conf_t *cf, void *parent, void *child)
{
    const struct gateway_location *outer = parent;
    struct gateway_location *l = child;

    if (!l->user)
        l->user = outer->user;
    ngx_conf_merge_uint_value(l->user_number, outer->user_number, 0);
    if (!l->user_secret)
        l->user_secret = outer->user_secret;
    if (!l->session_secret)
        l->session_secret = outer->session_secret;
    if (!l->origins)
        l->origins = outer->origins;
    return gateway_location_check(cf, l);
}

/* ---- directives ------------------------------------------------------------------------------ */

#define EVERYWHERE (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF)

static ngx_conf_enum_t user_kinds[] = {
    {ngx_string("hash"), 0}, {ngx_string("number"), 1}, {{0, NULL}, 0}};

static ngx_conf_num_bounds_t outstanding_bounds = {ngx_conf_check_num_bounds, 1, 1000000};

static ngx_command_t commands[] = {
    {ngx_string("floodgate_servers"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE, gateway_set_servers,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("floodgate_members"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE, gateway_set_members,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("floodgate_keys"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, gateway_set_keys,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("floodgate_outstanding"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
     ngx_conf_set_num_slot, NGX_HTTP_MAIN_CONF_OFFSET, offsetof(struct gateway_main, outstanding),
     &outstanding_bounds},
    {ngx_string("floodgate_patience"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, gateway_set_patience,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(struct gateway_main, patience), NULL},
    {ngx_string("floodgate_items"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE, gateway_set_items,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("floodgate"), NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1, gateway_set_route,
     NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    {ngx_string("floodgate_user"), EVERYWHERE | NGX_CONF_TAKE1, ngx_http_set_complex_value_slot,
     NGX_HTTP_LOC_CONF_OFFSET, offsetof(struct gateway_location, user), NULL},
    {ngx_string("floodgate_user_kind"), EVERYWHERE | NGX_CONF_TAKE1, ngx_conf_set_enum_slot,
     NGX_HTTP_LOC_CONF_OFFSET, offsetof(struct gateway_location, user_number), user_kinds},
    {ngx_string("floodgate_user_secret"), EVERYWHERE | NGX_CONF_TAKE1, gateway_set_secret,
     NGX_HTTP_LOC_CONF_OFFSET, offsetof(struct gateway_location, user_secret), NULL},
    {ngx_string("floodgate_session_secret"), EVERYWHERE | NGX_CONF_TAKE1, gateway_set_secret,
     NGX_HTTP_LOC_CONF_OFFSET, offsetof(struct gateway_location, session_secret), NULL},
    {ngx_string("floodgate_origins"), EVERYWHERE | NGX_CONF_1MORE, gateway_set_origins,
     NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    ngx_null_command};

/* ---- workers --------------------------------------------------------------------------------- */

static ngx_int_t init_worker(ngx_cycle_t *cycle)
{
    const struct gateway_main *m =
        ngx_http_cycle_get_module_main_conf(cycle, ngx_http_floodgate_module);

    if (!m || !m->used || (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE))
        return NGX_OK;
    return gateway_wire_open(cycle, m);
}

static void exit_worker(ngx_cycle_t *cycle)
{
    gateway_wire_close();
}

static ngx_http_module_t context = {.preconfiguration = gateway_add_variables,
                                    .postconfiguration = gateway_configured,
                                    .create_main_conf = create_main,
                                    .init_main_conf = init_main,
                                    .create_loc_conf = create_location,
                                    .merge_loc_conf = merge_location};

ngx_module_t ngx_http_floodgate_module = {NGX_MODULE_V1,
                                          &context,
                                          commands,
                                          NGX_HTTP_MODULE,
                                          NULL, /* master */
                                          NULL, /* module */
                                          init_worker,
                                          NULL, /* thread */
                                          NULL, /* thread */
                                          exit_worker,
                                          NULL, /* master */
                                          NGX_MODULE_V1_PADDING};

/* For the doctor, which compares it with that of the nginx that is installed. */
__attribute__((used)) static const char built_for[] = NGINX_VER;

/* The table of a dynamic module, which nginx's own build would write. */
extern ngx_module_t *ngx_modules[];
extern char *ngx_module_names[], *ngx_module_order[];
ngx_module_t *ngx_modules[] = {&ngx_http_floodgate_module, NULL};
char *ngx_module_names[] = {"ngx_http_floodgate_module", NULL};
char *ngx_module_order[] = {NULL};
