-- Ends an attempt whose order was refused, unless another call of it may still succeed: a new attempt beside one that
-- succeeds would be a second order. A script, because that call may begin between the look and the end.
-- KEYS: attempt. ARGV: order, call that was refused.
if redis.call('HGET', KEYS[1], 'order') ~= ARGV[1] then
  return 0
end
redis.call('HDEL', KEYS[1], 'call:' .. ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local attempt = redis.call('HGETALL', KEYS[1])
for i = 1, #attempt, 2 do
  if string.sub(attempt[i], 1, 5) == 'call:' and tonumber(attempt[i + 1]) > now then
    return 0
  end
end
redis.call('DEL', KEYS[1])
return 1
