-- The first rows of a key range, keys and values in turn, as of one moment.
--
-- KEYS  rows (hash) and keys (sorted set) of one table.  ARGV  first key, first key beyond, at most so many.

local keys = redis.call('ZRANGEBYLEX', KEYS[2], '[' .. ARGV[1], '(' .. ARGV[2], 'LIMIT', 0, ARGV[3])
local found = {}
for _, key in ipairs(keys) do
  found[#found + 1] = key
  found[#found + 1] = redis.call('HGET', KEYS[1], key)
end
return found
