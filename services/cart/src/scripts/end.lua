-- Ends an attempt of which there is no order. One whose call was refused goes on while another call of it may still succeed: a
-- new attempt beside one that succeeds would be a second order. One that order has closed ends whatever calls it has. A
-- script, because a call may begin between the look and the end.
-- KEYS: attempt. ARGV: order, call that was refused or nothing if order has closed it.
if redis.call('HGET', KEYS[1], 'order') ~= ARGV[1] then
  return 0
end
if ARGV[2] ~= '' then
  redis.call('HDEL', KEYS[1], 'call:' .. ARGV[2])
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local attempt = redis.call('HGETALL', KEYS[1])
  for i = 1, #attempt, 2 do
    if string.sub(attempt[i], 1, 5) == 'call:' and tonumber(attempt[i + 1]) > now then
      return 0
    end
  end
end
redis.call('DEL', KEYS[1])
return 1
