-- Sets the quantity of a product that is in the cart. A script, because HSET after a separate look could put back what
-- another tab, or a completed checkout, has just taken out.
-- KEYS: items, attempt, done. ARGV: life in seconds, product, quantity.
if redis.call('HEXISTS', KEYS[1], ARGV[2]) == 0 then
  return { 'absent' }
end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
redis.call('DEL', KEYS[3])
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[1])
local items = redis.call('HGETALL', KEYS[1])
table.insert(items, 1, 'ok')
return items
