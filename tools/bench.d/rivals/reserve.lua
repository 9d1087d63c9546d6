-- SPDX-License-Identifier: BSD-3-Clause
-- What a shop reserves with in Redis: known order? units left? limit of the user? then take, remember, count.
-- KEYS: units left of the item, hash of orders, hash of the users' units
-- ARGV: order id, user, quantity, limit per user
-- 2 known order, 1 reserved, 0 sold out, -1 over the limit. Holds that end by themselves are not asked of it.
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then
    return 2
end
local quantity = tonumber(ARGV[3])
if tonumber(redis.call('GET', KEYS[1])) < quantity then
    return 0
end
local has = redis.call('HGET', KEYS[3], ARGV[2])
if (has and tonumber(has) or 0) + quantity > tonumber(ARGV[4]) then
    return -1
end
redis.call('DECRBY', KEYS[1], quantity)
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HINCRBY', KEYS[3], ARGV[2], quantity)
return 1
