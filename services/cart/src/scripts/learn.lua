-- Writes what is newer than what is known of products. A script, because events arrive in any order and beside answers of
-- the catalog: each group of facts keeps its time, and an older one changes nothing.
-- KEYS: one a product. ARGV: time (microseconds), life in seconds, 1 to leave products alone that nobody asked for,
-- then three a product: details, active, available; an empty one is not told.
local groups = { 'details', 'active', 'available' }
for i, key in ipairs(KEYS) do
  if ARGV[3] == '0' or redis.call('EXISTS', key) == 1 then
    for g, group in ipairs(groups) do
      local value = ARGV[3 + (i - 1) * 3 + g]
      local known_at = tonumber(redis.call('HGET', key, group .. '_at') or '0')
      if value ~= '' and tonumber(ARGV[1]) >= known_at then
        redis.call('HSET', key, group, value, group .. '_at', ARGV[1])
      end
    end
    redis.call('EXPIRE', key, ARGV[2])
  end
end
return #KEYS
