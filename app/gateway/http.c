/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests and responses: what all routes need of nginx. */
#include "module.h"

#define EXPOSED "Retry-After, ETag, Date"
#define METHODS "GET, POST, DELETE"
#define HEADERS "Content-Type, Idempotency-Key"

ngx_int_t gateway_http_header(ngx_http_request_t *r, const char *name, ngx_str_t *value)
{
    ngx_list_part_t *part = &r->headers_in.headers.part;
    size_t size = ngx_strlen(name);
    ngx_int_t found = NGX_DECLINED;

    for (; part; part = part->next) {
        ngx_table_elt_t *lines = part->elts;

        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (lines[i].key.len != size ||
                ngx_strncasecmp(lines[i].key.data, (u_char *)name, size))
                continue;
            if (found == NGX_OK)
                return NGX_ERROR;
            *value = lines[i].value;
            found = NGX_OK;
        }
    }
    return found;
}

ngx_int_t gateway_http_add(ngx_http_request_t *r, const char *name, const char *value, size_t size)
{
    ngx_table_elt_t *line = ngx_list_push(&r->headers_out.headers);
    u_char *copy = ngx_pnalloc(r->pool, size);

    if (!line || !copy)
        return NGX_ERROR;
    ngx_memzero(line, sizeof(*line));
    ngx_memcpy(copy, value, size);
    line->hash = 1;
    ngx_str_set(&line->key, "");
    line->key.data = (u_char *)name;
    line->key.len = ngx_strlen(name);
    line->value.data = copy;
    line->value.len = size;
    return NGX_OK;
}

ngx_int_t gateway_http_send(ngx_http_request_t *r, ngx_uint_t status, const char *type,
                            const char *text, size_t size, const char *cache)
{
    ngx_buf_t *b = ngx_create_temp_buf(r->pool, size ? size : 1);
    ngx_chain_t out = {.buf = b, .next = NULL};
    ngx_int_t rc = ngx_http_discard_request_body(r); /* or its rest would be the next request */

    if (rc != NGX_OK)
        return rc;
    if (!b || gateway_http_add(r, "Cache-Control", cache, ngx_strlen(cache)) != NGX_OK)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    b->last = ngx_cpymem(b->last, text, size);
    b->last_buf = r == r->main;
    b->last_in_chain = 1;
    r->headers_out.status = status;
    r->headers_out.content_length_n = (off_t)size;
    r->headers_out.content_type.data = (u_char *)type;
    r->headers_out.content_type.len = ngx_strlen(type);
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    if (size == 0)
        r->header_only = 1;
    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only)
        return rc;
    return ngx_http_output_filter(r, &out);
}

ngx_int_t gateway_http_answer(ngx_http_request_t *r, const struct gateway_answer *a)
{
    char seconds[GATEWAY_NUMBER];

    if (a->retry_after_s && gateway_http_add(r, "Retry-After", seconds,
                                             gateway_number_write(seconds, a->retry_after_s)))
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    return gateway_http_send(r, a->http,
                             a->problem ? "application/problem+json" : "application/json", a->text,
                             a->size, "no-store");
}

ngx_int_t gateway_http_problem(ngx_http_request_t *r, enum gateway_problem problem,
                               const char *detail)
{
    struct gateway_answer a;

    gateway_count(&gateway_counters()->problems[problem], 1);
    gateway_answer_problem(&a, problem, detail);
    return gateway_http_answer(r, &a);
}

ngx_str_t gateway_http_tail(ngx_http_request_t *r)
{
    const struct gateway_location *l = ngx_http_get_module_loc_conf(r, ngx_http_floodgate_module);
    ngx_str_t tail = {0, NULL};

    if (r->uri.len > l->prefix.len) {
        tail.data = r->uri.data + l->prefix.len;
        tail.len = r->uri.len - l->prefix.len;
    }
    return tail;
}

/* ---- early data ------------------------------------------------------------------------------ */

/* A replay of TLS early data would be decided again: RFC 8470. */
bool gateway_http_early(ngx_http_request_t *r)
{
    ngx_str_t value, name = ngx_string("ssl_early_data");
    ngx_http_variable_value_t *v;

    if (gateway_http_header(r, "early-data", &value) != NGX_DECLINED)
        return true;
#if (NGX_HTTP_SSL)
    if (!r->connection->ssl)
        return false;
    v = ngx_http_get_variable(r, &name, ngx_hash_key(name.data, name.len));
    return v && !v->not_found && v->len == 1 && v->data[0] == '1';
#else
    return false;
#endif
}

/* ---- pages of another origin ----------------------------------------------------------------- */

static bool allowed_origin(const struct gateway_location *l, const ngx_str_t *origin)
{
    const ngx_str_t *one = l->origins->elts;

    for (ngx_uint_t i = 0; i < l->origins->nelts; i++)
        if (one[i].len == origin->len && !ngx_memcmp(one[i].data, origin->data, origin->len))
            return true;
    return false;
}

ngx_int_t gateway_http_cors(ngx_http_request_t *r, bool *preflight)
{
    const struct gateway_location *l = ngx_http_get_module_loc_conf(r, ngx_http_floodgate_module);
    ngx_str_t origin;

    *preflight = false;
    if (!l->origins)
        return NGX_OK;
    if (gateway_http_add(r, "Vary", "Origin", 6) != NGX_OK)
        return NGX_ERROR;
    if (gateway_http_header(r, "origin", &origin) != NGX_OK || !allowed_origin(l, &origin))
        return NGX_OK;
    *preflight = r->method == NGX_HTTP_OPTIONS;
    if (gateway_http_add(r, "Access-Control-Allow-Origin", (char *)origin.data, origin.len) ||
        gateway_http_add(r, "Access-Control-Allow-Credentials", "true", 4))
        return NGX_ERROR;
    if (!*preflight)
        return gateway_http_add(r, "Access-Control-Expose-Headers", EXPOSED, sizeof(EXPOSED) - 1);
    if (gateway_http_add(r, "Access-Control-Allow-Methods", METHODS, sizeof(METHODS) - 1) ||
        gateway_http_add(r, "Access-Control-Allow-Headers", HEADERS, sizeof(HEADERS) - 1) ||
        gateway_http_add(r, "Access-Control-Max-Age", "600", 3))
        return NGX_ERROR;
    return NGX_OK;
}

/* ---- bodies ---------------------------------------------------------------------------------- */

bool gateway_http_json(ngx_http_request_t *r)
{
    static const char json[] = "application/json";
    const ngx_table_elt_t *type = r->headers_in.content_type;
    size_t size = sizeof(json) - 1;

    if (!type || type->value.len < size || ngx_strncasecmp(type->value.data, (u_char *)json, size))
        return false;
    return type->value.len == size || type->value.data[size] == ';' ||
           type->value.data[size] == ' ';
}

bool gateway_http_body_came(const ngx_http_request_t *r, ngx_str_t *body)
{
    off_t size = r->headers_in.content_length_n;

    if (r != r->main || r->http_version >= NGX_HTTP_VERSION_20 || r->headers_in.chunked ||
        size <= 0 || r->header_in->last - r->header_in->pos < size)
        return false;
    body->data = r->header_in->pos;
    body->len = (size_t)size;
    return true;
}

bool gateway_http_body(ngx_http_request_t *r, ngx_str_t *body)
{
    size_t size = 0;
    u_char *to;

    ngx_str_null(body);
    if (!r->request_body || !r->request_body->bufs)
        return true;
    for (ngx_chain_t *c = r->request_body->bufs; c; c = c->next) {
        if (c->buf->in_file)
            return false;
        size += (size_t)ngx_buf_size(c->buf);
    }
    if (size > GATEWAY_BODY_MAX)
        return false;
    to = ngx_pnalloc(r->pool, size + 1);
    if (!to)
        return false;
    body->data = to;
    body->len = size;
    for (ngx_chain_t *c = r->request_body->bufs; c; c = c->next)
        to = ngx_cpymem(to, c->buf->pos, c->buf->last - c->buf->pos);
    return true;
}
