/* SPDX-License-Identifier: BSD-3-Clause */
/* Variable $floodgate_session_user: the shopper of a signed cookie. Route `login`: a stub that
 * issues it to anyone, for demonstrations. */
#include "directives.h"

#define COOKIE  "floodgate_session"
#define HOURS   12
#define COOKIES 16 /* lines of them that are searched */

/* The cookie's value in one header line; false: not there. */
static bool in_line(const ngx_str_t *line, ngx_str_t *value)
{
    const u_char *at = line->data, *end = line->data + line->len;
    size_t size = sizeof(COOKIE) - 1;

    while (at < end) {
        const u_char *next = memchr(at, ';', (size_t)(end - at));

        next = next ? next : end;
        while (at < next && *at == ' ')
            at++;
        if ((size_t)(next - at) > size && at[size] == '=' && !ngx_memcmp(at, COOKIE, size)) {
            value->data = (u_char *)at + size + 1;
            value->len = (size_t)(next - at) - size - 1;
            return true;
        }
        at = next + 1;
    }
    return false;
}

static bool find_cookie(ngx_http_request_t *r, ngx_str_t *value)
{
    for (ngx_list_part_t *part = &r->headers_in.headers.part; part; part = part->next) {
        ngx_table_elt_t *lines = part->elts;

        for (ngx_uint_t i = 0; i < part->nelts; i++)
            if (lines[i].key.len == 6 &&
                !ngx_strncasecmp(lines[i].key.data, (u_char *)"cookie", 6) &&
                in_line(&lines[i].value, value))
                return true;
    }
    return false;
}

static ngx_int_t session_user(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    const struct gateway_location *l = ngx_http_get_module_loc_conf(r, ngx_http_floodgate_module);
    ngx_str_t cookie;
    size_t size;

    v->not_found = 1;
    v->valid = 1;
    v->no_cacheable = 0;
    if (!l->session_secret || !find_cookie(r, &cookie))
        return NGX_OK;
    v->data = ngx_pnalloc(r->pool, GATEWAY_USER_MAX);
    if (!v->data)
        return NGX_ERROR;
    if (!gateway_session_read(l->session_secret, (char *)cookie.data, cookie.len,
                              (uint64_t)ngx_time(), (char *)v->data, &size))
        return NGX_OK;
    v->len = (unsigned)size;
    v->not_found = 0;
    return NGX_OK;
}

ngx_int_t gateway_add_variables(ngx_conf_t *cf)
{
    ngx_str_t name = ngx_string("floodgate_session_user");
    ngx_http_variable_t *v = ngx_http_add_variable(cf, &name, 0);

    if (!v)
        return NGX_ERROR;
    v->get_handler = session_user;
    return NGX_OK;
}

static ngx_int_t issue(ngx_http_request_t *r, const char *user, size_t size)
{
    const struct gateway_location *l = ngx_http_get_module_loc_conf(r, ngx_http_floodgate_module);
    char value[GATEWAY_SESSION_MAX], cookie[GATEWAY_SESSION_MAX + 96];
    size_t n = gateway_session_write(value, l->session_secret, user, size,
                                     (uint64_t)ngx_time() + HOURS * 3600);
    const char *secure = "";
    int length;

#if (NGX_HTTP_SSL)
    secure = r->connection->ssl ? "; Secure" : "";
#endif
    length = snprintf(cookie, sizeof(cookie),
                      COOKIE "=%.*s; Path=/; HttpOnly; SameSite=Lax; Max-Age=%d%s", (int)n, value,
                      HOURS * 3600, secure);
    if (gateway_http_add(r, "Set-Cookie", cookie, (size_t)length) != NGX_OK)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    return gateway_http_send(r, NGX_HTTP_OK, "application/json", "{}\n", 3, "no-store");
}

static void login_body(ngx_http_request_t *r)
{
    struct gateway_body body;
    const char *why = NULL;
    ngx_int_t rc;
    ngx_str_t text;

    if (!gateway_http_body(r, &text))
        rc = gateway_http_problem(r, GATEWAY_PROBLEM_TOO_LARGE, "accepted: up to 4096 bytes");
    else if ((why = gateway_body_read((char *)text.data, text.len, GATEWAY_HAS(USER), 0, &body)))
        rc = gateway_http_problem(r, GATEWAY_PROBLEM_BAD_REQUEST, why);
    else
        rc = issue(r, body.user, body.user_size);
    ngx_http_finalize_request(r, rc);
}

ngx_int_t gateway_login_handler(ngx_http_request_t *r)
{
    ngx_int_t rc;

    if (r->method != NGX_HTTP_POST)
        return gateway_http_problem(r, GATEWAY_PROBLEM_METHOD, "accepted: POST");
    if (!gateway_http_json(r))
        return gateway_http_problem(r, GATEWAY_PROBLEM_MEDIA_TYPE,
                                    "send Content-Type: application/json");
    rc = ngx_http_read_client_request_body(r, login_body);
    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}
