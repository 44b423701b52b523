-- Joins the checkout attempt there is, or starts one with a snapshot of the cart. A script, because of any number of
-- requests at once exactly one may start the attempt, and the snapshot must be the cart of one moment.
-- The attempt is a hash: `order` is its order id, `call:<id>` the time until which a call of it may still make the order,
-- every other field a product of the snapshot with its quantity.
-- Times are of Redis's clock, which is the same for every process of the cart.
-- KEYS: items, attempt, done. ARGV: life in seconds, order id of a new attempt, call, milliseconds the call may take.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function answer(word, order, lines)
  table.insert(lines, 1, order)
  table.insert(lines, 1, word)
  return lines
end

local function register_call()
  redis.call('HSET', KEYS[2], 'call:' .. ARGV[3], string.format('%.0f', now + ARGV[4]))
  redis.call('EXPIRE', KEYS[1], ARGV[1])
  redis.call('EXPIRE', KEYS[2], ARGV[1])
end

local attempt = redis.call('HGETALL', KEYS[2])
if #attempt > 0 then
  local order, lines, shrunk, over = '', {}, false, {}
  for i = 1, #attempt, 2 do
    local field, value = attempt[i], attempt[i + 1]
    if field == 'order' then
      order = value
    elseif string.sub(field, 1, 5) == 'call:' then
      if tonumber(value) <= now then
        table.insert(over, field)
      end
    else
      table.insert(lines, field)
      table.insert(lines, value)
      local left = tonumber(redis.call('HGET', KEYS[1], field) or '0')
      shrunk = shrunk or left < tonumber(value)
    end
  end
  if shrunk then
    return answer('outgrown', order, lines)
  end
  register_call()
  -- After it: a Redis without memory lets a script write on that has begun to.
  for _, call in ipairs(over) do
    redis.call('HDEL', KEYS[2], call)
  end
  return answer('open', order, lines)
end

local done = redis.call('HMGET', KEYS[3], 'order', 'status', 'created_at')
if done[1] then
  return { 'done', done[1], done[2], done[3] }
end
local items = redis.call('HGETALL', KEYS[1])
if #items == 0 then
  return { 'empty' }
end
redis.call('HSET', KEYS[2], 'order', ARGV[2], unpack(items))
register_call()
return answer('open', ARGV[2], items)
