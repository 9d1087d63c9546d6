-- SPDX-License-Identifier: BSD-3-Clause
-- wrk: each request is an order of its own, of a user of its own.
local n = 0
local head = {['Content-Type'] = 'application/json'}

function setup(thread)
    threads = (threads or 0) + 1
    thread:set('id', threads)
end

function request()
    n = n + 1
    head['X-User'] = string.format('%d', id * 1000000000 + n)
    head['Idempotency-Key'] = string.format('%032x', id * 1000000000 + n)
    return wrk.format('POST', '/v1/orders', head, '{"item":7,"quantity":1}')
end
