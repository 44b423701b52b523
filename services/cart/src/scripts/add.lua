-- Adds to the quantity of a product. A script, because the limits must hold when two tabs add at once: HINCRBY alone would
-- go over them, and reading first would lose one of the two.
-- A request with an idempotency key adds once: the cart it left is kept in the same step, and answered again. A buyer has only
-- so many keys, for they are memory that others' carts need too.
-- KEYS: items, attempt, done, with an idempotency key its list and the buyer's keys by their end. ARGV: life in seconds,
-- product, quantity, most of one product, most products, fingerprint of the request, seconds a key is kept, most keys.
if KEYS[4] then
  local kept = redis.call('LRANGE', KEYS[4], 0, -1)
  if #kept > 0 then
    if kept[1] ~= ARGV[6] then
      return { 'key_reused' }
    end
    kept[1] = 'ok'
    return kept
  end
end
local now = KEYS[4] and tonumber(redis.call('TIME')[1])
if KEYS[4] and redis.call('ZCOUNT', KEYS[5], '(' .. now, '+inf') >= tonumber(ARGV[8]) then
  local first = redis.call('ZRANGEBYSCORE', KEYS[5], '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  return { 'too_many_keys', tostring(first[2] - now) }
end
local had = tonumber(redis.call('HGET', KEYS[1], ARGV[2]) or '0')
local wanted = had + tonumber(ARGV[3])
if wanted > tonumber(ARGV[4]) then
  return { 'too_many', tostring(had) }
end
if had == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[5]) then
  return { 'full' }
end
redis.call('HSET', KEYS[1], ARGV[2], wanted)
redis.call('DEL', KEYS[3])
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[1])
local items = redis.call('HGETALL', KEYS[1])
if KEYS[4] then
  redis.call('RPUSH', KEYS[4], ARGV[6], unpack(items))
  redis.call('EXPIRE', KEYS[4], ARGV[7])
  redis.call('ZADD', KEYS[5], now + ARGV[7], KEYS[4])
  redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now)
  redis.call('EXPIRE', KEYS[5], ARGV[7])
end
table.insert(items, 1, 'ok')
return items
