-- Takes what was ordered out of the cart, once. A script, because every call of an attempt learns of the order, and only the
-- first may take: the attempt goes in the same step, and what was added meanwhile stays.
-- KEYS: items, attempt, done. ARGV: order, status, created_at, milliseconds the answer is kept.
if redis.call('HGET', KEYS[2], 'order') ~= ARGV[1] then
  return 0
end
local attempt = redis.call('HGETALL', KEYS[2])
for i = 1, #attempt, 2 do
  local field = attempt[i]
  if field ~= 'order' and string.sub(field, 1, 5) ~= 'call:' then
    local left = tonumber(redis.call('HGET', KEYS[1], field) or '0') - tonumber(attempt[i + 1])
    if left > 0 then
      redis.call('HSET', KEYS[1], field, left)
    else
      redis.call('HDEL', KEYS[1], field)
    end
  end
end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[3], 'order', ARGV[1], 'status', ARGV[2], 'created_at', ARGV[3])
redis.call('PEXPIRE', KEYS[3], ARGV[4])
return 1
