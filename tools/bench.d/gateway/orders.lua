-- SPDX-License-Identifier: BSD-3-Clause
-- The API of the gateway for RESERVE, as one writes it with ngx.socket.udp: a socket for each request, the packet by
-- LuaJIT's FFI, SipHash in Lua. content_by_lua_file; the shared dictionary is not needed. $floodgate_server,
-- $floodgate_key_id and $floodgate_secret (hexadecimal) are variables of nginx.
local ffi = require 'ffi'
local bit = require 'bit'
local cjson = require 'cjson.safe'

local M = package.loaded.floodgate_orders
if not M then
    ffi.cdef [[
    typedef struct __attribute__((packed)) {
        uint16_t magic; uint8_t version, op; uint16_t key_id, quantity; uint8_t order_id[16];
        uint64_t user, item, until_ms; uint8_t flags, reserved[3]; uint32_t cookie; uint64_t tag;
    } bench_request;
    typedef struct __attribute__((packed)) {
        uint16_t magic; uint8_t version, op; uint16_t key_id, quantity; uint8_t order_id[16];
        uint64_t deadline_ms, item; uint32_t left, retry_ms; uint8_t status, flags; uint16_t shard_map;
        uint32_t cookie; uint64_t tag;
    } bench_reply;
    ]]
    M = {}
    package.loaded.floodgate_orders = M
    local rol, xor = bit.rol, bit.bxor
    local words = ffi.typeof('const uint64_t *')

    local function bytes(hex)
        return (hex:gsub('%x%x', function(two) return string.char(tonumber(two, 16)) end))
    end
    M.bytes = bytes

    function M.tag(k0, k1, packet)
        local p = ffi.cast(words, packet)
        local v0, v1 = xor(k0, 0x736f6d6570736575ULL), xor(k1, 0x646f72616e646f6dULL)
        local v2, v3 = xor(k0, 0x6c7967656e657261ULL), xor(k1, 0x7465646279746573ULL)
        for i = 0, 9 do
            local m = i < 7 and p[i] or (i == 7 and 0x3800000000000000ULL or 0ULL)
            if i == 8 then v2 = xor(v2, 0xffULL) end
            if i < 8 then v3 = xor(v3, m) end
            for _ = 1, 2 do
                v0 = v0 + v1; v1 = xor(rol(v1, 13), v0); v0 = rol(v0, 32)
                v2 = v2 + v3; v3 = xor(rol(v3, 16), v2)
                v0 = v0 + v3; v3 = xor(rol(v3, 21), v0)
                v2 = v2 + v1; v1 = xor(rol(v1, 17), v2); v2 = rol(v2, 32)
            end
            if i < 8 then v0 = xor(v0, m) end
        end
        return xor(xor(v0, v1), xor(v2, v3))
    end

    local secret = bytes(ngx.var.floodgate_secret)
    local k = ffi.cast(words, secret)
    M.k0, M.k1, M.secret = k[0], k[1], secret
    M.key_id = tonumber(ngx.var.floodgate_key_id)
    M.server = ngx.var.floodgate_server
    M.request, M.cookie = ffi.new('bench_request'), 0
end

local function say(status, kind, text)
    ngx.status = status
    ngx.header['Content-Type'] = kind
    ngx.header['Cache-Control'] = 'no-store'
    ngx.header['Content-Length'] = #text
    ngx.print(text)
    return ngx.exit(ngx.OK)
end

local function problem(status, name)
    return say(status, 'application/problem+json', cjson.encode({type = 'urn:floodgate:problem:' .. name, status = status}))
end

local key = ngx.req.get_headers()['idempotency-key']
if type(key) ~= 'string' or not key:find('^%x+$') or #key ~= 32 then return problem(400, 'bad-key') end
ngx.req.read_body()
local order = cjson.decode(ngx.req.get_body_data() or '')
if type(order) ~= 'table' or not tonumber(order.item) or not tonumber(order.quantity) then return problem(400, 'bad-request') end

local q = M.request
ffi.fill(q, 64)
M.cookie = (M.cookie + 1) % 4294967296
q.magic, q.version, q.op, q.key_id, q.quantity = 0x4746, 2, 1, M.key_id, order.quantity
ffi.copy(q.order_id, M.bytes(key), 16)
q.user, q.item, q.cookie = tonumber(ngx.var.http_x_user), tonumber(order.item), M.cookie
q.tag = M.tag(M.k0, M.k1, q)
local packet, mine, hold = ffi.string(q, 64), M.cookie, nil

for try = 1, 5 do
    local socket = ngx.socket.udp()
    socket:settimeout(200 * try)
    socket:setpeername(M.server, 4600)
    socket:send(packet)
    local data = socket:receive(64)
    socket:close()
    if data and #data == 64 then
        hold = ffi.cast('const bench_reply *', data)
        if hold.cookie == mine and hold.tag == M.tag(M.k0, M.k1, hold) then
            if hold.status == 5 then
                return say(409, 'application/problem+json', cjson.encode({
                    type = 'urn:floodgate:problem:sold-out', title = 'Sold out', status = 409, code = 'SOLD_OUT',
                    item = order.item, retry_ms = hold.retry_ms}))
            end
            return say(200, 'application/json', cjson.encode({order = key, state = hold.status, item = order.item}))
        end
    end
end
return problem(504, 'unknown-outcome')
