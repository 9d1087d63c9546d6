/* SPDX-License-Identifier: BSD-3-Clause */
#include "directives.h"

#include <sys/stat.h>

#define ZONE_SIZE (256 * 1024)

static char *refuse(ngx_conf_t *cf, const char *text)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s", text);
    return NGX_CONF_ERROR;
}

/* ---- servers --------------------------------------------------------------------------------- */

static char *add_server(ngx_conf_t *cf, struct gateway_main *m, const char *text, uint8_t member)
{
    struct gateway_peer *peer;
    struct fg_error err = {""};
    uint16_t port;
    char host[64];
    ngx_addr_t address;

    if (m->servers->nelts == FG_CLIENT_SERVERS_MAX)
        return "has too many addresses; accepted: 1 to 32";
    if (!fg_client_address(text, host, &port, &err))
        return refuse(cf, err.text);
    if (ngx_parse_addr(cf->pool, &address, (u_char *)host, ngx_strlen(host)) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%s\" is not an address; accepted: IP, IP:PORT, [v6]:PORT", text);
        return NGX_CONF_ERROR;
    }
    peer = ngx_array_push(m->servers);
    if (!peer)
        return NGX_CONF_ERROR;
    ngx_memzero(peer, sizeof(*peer));
    ngx_memcpy(&peer->address, address.sockaddr, address.socklen);
    ngx_inet_set_port(&peer->address.sockaddr, port);
    peer->size = address.socklen;
    peer->member = member;
    return NGX_CONF_OK;
}

static char *begin_servers(ngx_conf_t *cf, struct gateway_main *m)
{
    if (m->servers)
        return m->members ? "cannot be used: \"floodgate_members\" has the addresses"
                          : "cannot be used: \"floodgate_servers\" has the addresses";
    m->servers = ngx_array_create(cf->pool, cf->args->nelts, sizeof(struct gateway_peer));
    return m->servers ? NGX_CONF_OK : NGX_CONF_ERROR;
}

char *gateway_set_servers(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    struct gateway_main *m = conf;
    ngx_str_t *words = cf->args->elts;
    char *result = begin_servers(cf, m);

    for (ngx_uint_t i = 1; i < cf->args->nelts && result == NGX_CONF_OK; i++)
        result = add_server(cf, m, (char *)words[i].data, 0);
    return result;
}

/* A word for each member, with the addresses of its one or two appliances. */
char *gateway_set_members(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    struct gateway_main *m = conf;
    ngx_str_t *words = cf->args->elts;
    char *result = begin_servers(cf, m);

    if (result == NGX_CONF_OK && cf->args->nelts - 1 > FG_CLIENT_MEMBERS_MAX)
        return "has too many members; accepted: 1 to 16";
    for (ngx_uint_t i = 1; i < cf->args->nelts && result == NGX_CONF_OK; i++) {
        for (char *text = (char *)words[i].data, *comma; text && result == NGX_CONF_OK;
             text = comma) {
            comma = strchr(text, ',');
            if (comma)
                *comma++ = '\0';
            result = add_server(cf, m, text, (uint8_t)m->members);
        }
        m->members++;
    }
    return result;
}

/* ---- keys and secrets ------------------------------------------------------------------------ */

/* Files with secrets: only their owner, and a group that was given them, may read them. */
static char *check_private(ngx_conf_t *cf, const ngx_str_t *path)
{
    struct stat st;

    if (stat((char *)path->data, &st) < 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno, "cannot open \"%V\"", path);
        return NGX_CONF_ERROR;
    }
    if (st.st_mode & S_IRWXO) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" can be read or written by others; accepted: mode 0600 or 0640",
                           path);
        return NGX_CONF_ERROR;
    }
    return NGX_CONF_OK;
}

/* The first key of a role, and of that role alone, so that the world's key confirms nothing. */
static const struct fg_packet_key *key_of(const struct fg_packet_keyring *ring, unsigned role)
{
    for (unsigned i = 0; i < ring->count; i++)
        if (ring->keys[i].roles == role)
            return &ring->keys[i];
    return NULL;
}

static char *take_keys(ngx_conf_t *cf, struct gateway_main *m, const struct fg_packet_keyring *ring)
{
    const struct fg_packet_key *shop = key_of(ring, FG_PACKET_ROLE_SHOP),
                               *backend = key_of(ring, FG_PACKET_ROLE_BACKEND);

    if (!shop) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" has no key with the role shop and no other role", &m->keys_path);
        return NGX_CONF_ERROR;
    }
    m->key[0] = *shop;
    m->keys = 1;
    if (backend) {
        m->key[1] = *backend;
        m->keys = 2;
    }
    return NGX_CONF_OK;
}

char *gateway_set_keys(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    struct gateway_main *m = conf;
    ngx_str_t *words = cf->args->elts;
    struct fg_packet_keyring *ring;
    struct fg_error err = {""};
    char *result;

    if (m->keys_path.len)
        return "is duplicate";
    m->keys_path = words[1];
    if (ngx_conf_full_name(cf->cycle, &m->keys_path, 1) != NGX_OK)
        return NGX_CONF_ERROR;
    if (check_private(cf, &m->keys_path) != NGX_CONF_OK)
        return NGX_CONF_ERROR;
    ring = fg_packet_keyring_load((char *)m->keys_path.data, &err);
    if (!ring)
        return refuse(cf, err.text);
    result = take_keys(cf, m, ring);
    fg_packet_keyring_free(ring);
    return result;
}

static ssize_t read_secret(const ngx_str_t *path, struct gateway_secret *secret)
{
    int fd = open((char *)path->data, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, secret->bytes, sizeof(secret->bytes));

    if (fd >= 0)
        close(fd);
    while (n > 0 && (secret->bytes[n - 1] == '\n' || secret->bytes[n - 1] == '\r'))
        n--; /* an editor ends the last line */
    secret->size = n > 0 ? (size_t)n : 0;
    return n;
}

char *gateway_set_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    struct gateway_secret **slot = (struct gateway_secret **)((char *)conf + cmd->offset);
    ngx_str_t path = ((ngx_str_t *)cf->args->elts)[1];

    if (*slot)
        return "is duplicate";
    if (ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK ||
        check_private(cf, &path) != NGX_CONF_OK)
        return NGX_CONF_ERROR;
    *slot = ngx_pcalloc(cf->pool, sizeof(**slot));
    if (!*slot)
        return NGX_CONF_ERROR;
    if (read_secret(&path, *slot) < 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno, "cannot read \"%V\"", &path);
        return NGX_CONF_ERROR;
    }
    if ((*slot)->size < GATEWAY_SECRET_MIN || (*slot)->size >= GATEWAY_SECRET_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" holds %uz bytes; accepted: 16 to 255 (openssl rand -hex 32)",
                           &path, (*slot)->size);
        return NGX_CONF_ERROR;
    }
    return NGX_CONF_OK;
}

/* ---- other values ---------------------------------------------------------------------------- */

char *gateway_set_patience(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    struct gateway_main *m = conf;
    char *result = ngx_conf_set_msec_slot(cf, cmd, conf);

    if (result == NGX_CONF_OK && (m->patience < 1000 || m->patience > 60000))
        return "is out of range; accepted: 1s to 60s";
    return result;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

char *gateway_set_items(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    struct gateway_main *m = conf;
    ngx_str_t *words = cf->args->elts;
    uint64_t *item;

    if (m->items)
        return "is duplicate";
    if (cf->args->nelts - 1 > GATEWAY_ITEMS / 2)
        return "has too many items; accepted: 1 to 512";
    m->items = ngx_array_create(cf->pool, cf->args->nelts, sizeof(uint64_t));
    if (!m->items)
        return NGX_CONF_ERROR;
    for (ngx_uint_t i = 1; i < cf->args->nelts; i++) {
        item = ngx_array_push(m->items);
        if (!item)
            return NGX_CONF_ERROR;
        if (!gateway_number_read((char *)words[i].data, words[i].len, item) || !*item) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "item \"%V\" is not a number from 1 to 2^64 - 1", &words[i]);
            return NGX_CONF_ERROR;
        }
    }
    item = m->items->elts;
    ngx_qsort(item, m->items->nelts, sizeof(uint64_t), by_number);
    for (ngx_uint_t i = 1; i < m->items->nelts; i++)
        if (item[i] == item[i - 1])
            return "names an item twice";
    return NGX_CONF_OK;
}

char *gateway_set_origins(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    struct gateway_location *l = conf;
    ngx_str_t *words = cf->args->elts;

    if (l->origins)
        return "is duplicate";
    l->origins = ngx_array_create(cf->pool, cf->args->nelts, sizeof(ngx_str_t));
    if (!l->origins)
        return NGX_CONF_ERROR;
    for (ngx_uint_t i = 1; i < cf->args->nelts; i++) {
        ngx_str_t *origin = ngx_array_push(l->origins);

        if (!origin)
            return NGX_CONF_ERROR;
        *origin = words[i];
        if (ngx_strncmp(origin->data, "https://", 8) && ngx_strncmp(origin->data, "http://", 7)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "origin \"%V\"; accepted: https://HOST or http://HOST, with its "
                               "port where it is not the usual one",
                               origin);
            return NGX_CONF_ERROR;
        }
    }
    return NGX_CONF_OK;
}

/* ---- routes ---------------------------------------------------------------------------------- */

static const struct {
    const char *word;
    ngx_int_t (*handler)(ngx_http_request_t *r);
} routes[GATEWAY_ROUTES] = {
    [GATEWAY_ROUTE_ORDERS] = {"orders", gateway_orders_handler},
    [GATEWAY_ROUTE_BACKEND] = {"backend", gateway_orders_handler},
    [GATEWAY_ROUTE_ITEMS] = {"items", gateway_items_handler},
    [GATEWAY_ROUTE_EVENTS] = {"events", gateway_events_handler},
    [GATEWAY_ROUTE_METRICS] = {"metrics", gateway_metrics_handler},
    [GATEWAY_ROUTE_LOGIN] = {"login", gateway_login_handler},
};

char *gateway_set_route(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    struct gateway_location *l = conf;
    struct gateway_main *m = ngx_http_conf_get_module_main_conf(cf, ngx_http_floodgate_module);
    ngx_http_core_loc_conf_t *core = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    ngx_str_t *words = cf->args->elts;

    if (l->route != GATEWAY_ROUTES)
        return "is duplicate";
    for (l->route = 0; l->route < GATEWAY_ROUTES; l->route++)
        if (routes[l->route].word && !ngx_strcmp(words[1].data, routes[l->route].word))
            break;
    if (l->route == GATEWAY_ROUTES)
        return "has an unknown route; accepted: orders, backend, items, events, metrics, login";
    if (core->named || core->noname
#if (NGX_PCRE)
        || core->regex
#endif
    )
        return "stands in a location that is not a prefix; accepted: location /PATH { }";
    l->prefix = core->name;
    while (l->prefix.len > 1 && l->prefix.data[l->prefix.len - 1] == '/')
        l->prefix.len--;
    core->handler = routes[l->route].handler;
    m->used = 1;
    m->backend |= l->route == GATEWAY_ROUTE_BACKEND;
    return NGX_CONF_OK;
}

static ngx_int_t init_zone(ngx_shm_zone_t *zone, void *old)
{
    ngx_slab_pool_t *pool = (ngx_slab_pool_t *)zone->shm.addr;

    if (old || zone->shm.exists) { /* a reload keeps counters and stock */
        zone->data = old ? old : pool->data;
        return NGX_OK;
    }
    zone->data = ngx_slab_calloc(pool, sizeof(struct gateway_shared));
    pool->data = zone->data;
    return zone->data ? NGX_OK : NGX_ERROR;
}

ngx_int_t gateway_configured(ngx_conf_t *cf)
{
    struct gateway_main *m = ngx_http_conf_get_module_main_conf(cf, ngx_http_floodgate_module);
    ngx_str_t name = ngx_string("floodgate");

    if (!m->used)
        return NGX_OK;
    if (!m->servers || !m->keys) {
        refuse(cf, "\"floodgate\" needs \"floodgate_servers\" or \"floodgate_members\", and "
                   "\"floodgate_keys\", in the http block");
        return NGX_ERROR;
    }
    if (m->backend && m->keys < 2) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"floodgate backend\" needs a key with the role backend in \"%V\"",
                           &m->keys_path);
        return NGX_ERROR;
    }
    _Static_assert(sizeof(struct gateway_shared) < ZONE_SIZE * 3 / 4, "the zone holds it");
    m->zone = ngx_shared_memory_add(cf, &name, ZONE_SIZE, &ngx_http_floodgate_module);
    if (!m->zone)
        return NGX_ERROR;
    m->zone->init = init_zone;
    return NGX_OK;
}

char *gateway_location_check(ngx_conf_t *cf, struct gateway_location *l)
{
    bool orders = l->route == GATEWAY_ROUTE_ORDERS, backend = l->route == GATEWAY_ROUTE_BACKEND;

    if (orders && !l->user)
        return refuse(cf, "\"floodgate orders\" needs \"floodgate_user\": a variable that says who "
                          "the shopper is");
    if ((orders || backend) && !l->user_number && !l->user_secret)
        return refuse(cf, "\"floodgate_user_kind hash\" needs \"floodgate_user_secret FILE\"; or "
                          "set \"floodgate_user_kind number\"");
    if (l->route == GATEWAY_ROUTE_LOGIN && !l->session_secret)
        return refuse(cf, "\"floodgate login\" needs \"floodgate_session_secret FILE\"");
    return NGX_CONF_OK;
}
