-- SPDX-License-Identifier: BSD-3-Clause
-- The same API on Redis: the script of tools/bench.d/rivals by EVALSHA, connections kept in a pool.
-- $reserve_sha and $redis_socket are variables of nginx.
local redis = require 'nginx.redis'
local cjson = require 'cjson.safe'

local function say(status, kind, text)
    ngx.status = status
    ngx.header['Content-Type'] = kind
    ngx.header['Cache-Control'] = 'no-store'
    ngx.header['Content-Length'] = #text
    ngx.print(text)
    return ngx.exit(ngx.OK)
end

local key = ngx.req.get_headers()['idempotency-key']
if type(key) ~= 'string' then return say(400, 'text/plain', 'bad-key') end
ngx.req.read_body()
local order = cjson.decode(ngx.req.get_body_data() or '')
if type(order) ~= 'table' or not tonumber(order.item) or not tonumber(order.quantity) then
    return say(400, 'text/plain', 'bad-request')
end
local server = redis:new()
server:set_timeout(1000)
if not server:connect('unix:' .. ngx.var.redis_socket) then return say(503, 'text/plain', 'unavailable') end
local told, err = server:evalsha(ngx.var.reserve_sha, 3, 'left', 'orders', 'users', key, ngx.var.http_x_user, order.quantity, 10)
if not told then return say(503, 'text/plain', err or 'unavailable') end
server:set_keepalive(10000, 128)
if told == 0 then
    return say(409, 'application/problem+json', cjson.encode({
        type = 'urn:floodgate:problem:sold-out', title = 'Sold out', status = 409, code = 'SOLD_OUT', item = order.item}))
end
return say(200, 'application/json', cjson.encode({order = key, state = told, item = order.item}))
