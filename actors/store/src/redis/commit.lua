-- One commit in one shard: all checks first, then all writes, so that a refusal changes nothing.
--
-- KEYS  meta, ops, order of ops, then for each table its rows (hash) and their keys (sorted set).
-- ARGV  epoch, incarnation, op id, ops to remember, then five lists, each with its length before it:
--       expects (table, key, version or '') · puts (table, key, body) · deletes (table, key) ·
--       counts (table, key, by) · ledger changes (table, key, 'c' | 's' | 'r' | 'n', fourteen arguments; see redis/script.rs)
-- A row is its version, 8 bytes big-endian, then its body. Tables are counted from 0.
--
-- Answers {'ok', version} · {'fenced'} · {'stale', n} · {'limit', name, at or ''} · {'damaged', key}; n from 0.

local next_argument = 0
local function argument()
  next_argument = next_argument + 1
  return ARGV[next_argument]
end
local function number() return tonumber(argument()) end
local function maybe_number() return tonumber(argument()) end

local META, OPS, ORDER = KEYS[1], KEYS[2], KEYS[3]
local function rows_of(place) return KEYS[4 + 2 * place] end
local function keys_of(place) return KEYS[5 + 2 * place] end

local epoch, incarnation, op, remembered = number(), argument(), argument(), number()

-- A repeated call gets the answer of the first.
local before = redis.call('HGET', OPS, op)
if before then return { 'ok', tonumber(before) } end

-- The highest epoch owns the shard, and of one epoch the incarnation that came first.
local owner = redis.call('HMGET', META, 'epoch', 'incarnation')
local owner_epoch = tonumber(owner[1] or '-1')
if epoch < owner_epoch or (epoch == owner_epoch and incarnation ~= owner[2]) then return { 'fenced' } end

for n = 0, number() - 1 do
  local place, key, version = number(), argument(), argument()
  local row = redis.call('HGET', rows_of(place), key)
  if (row and string.sub(row, 1, 8) or '') ~= version then return { 'stale', n } end
end

local puts, deletes = {}, {}
for n = 1, number() do puts[n] = { place = number(), key = argument(), body = argument() } end
for n = 1, number() do deletes[n] = { place = number(), key = argument() } end

-- The body of a row; '' where there is none.
local function body(place, key) return string.sub(redis.call('HGET', rows_of(place), key) or '', 9) end

local values, counted = {}, {}
for _ = 1, number() do
  local place, key, by = number(), argument(), number()
  local value = values[key]
  if not value then
    local found = body(place, key)
    if #found ~= 0 and #found ~= 8 then return { 'damaged', key } end
    value = #found == 8 and struct.unpack('<i8', found) or 0
    counted[#counted + 1] = { place = place, key = key }
  end
  values[key] = value + by
  -- Beyond this a double is no whole number.
  if math.abs(values[key]) >= EXACT then return { 'damaged', key } end
end

local ledgers, changed = {}, {}
for _ = 1, number() do
  local place, key, change = number(), argument(), argument()
  local ledger = ledgers[key]
  if not ledger then
    local found = body(place, key)
    if change == 'n' then
      ledger = found == '' and new_recipients() or decode_recipients(found)
    else
      ledger = found == '' and new_ledger() or decode_ledger(found)
    end
    if not ledger then return { 'damaged', key } end
    ledgers[key] = ledger
    changed[#changed + 1] = { place = place, key = key }
  end
  if change == 'c' then
    local now, day, next_day_at = number(), number(), number()
    local rate = { count = maybe_number(), per = maybe_number(), burst = maybe_number() }
    local limits = { gap = maybe_number(), per_minute = maybe_number() }
    limits.per_hour, limits.per_day = maybe_number(), maybe_number()
    limits.rate = rate.count and rate
    local rest = { after = maybe_number(), span = maybe_number() }
    local warm_up = { days = maybe_number(), from = maybe_number() }
    limits.rest, limits.warm_up = rest.after and rest, warm_up.days and warm_up
    local limit, at = charge_ledger(ledger, limits, now, day, next_day_at)
    if limit then return { 'limit', limit, at or '' } end
  elseif change == 'n' then
    local cap, now, before, counted_at = number(), number(), maybe_number(), number()
    for _ = 1, 10 do argument() end
    local at = count_recipient(ledger, cap, now, before, counted_at)
    if at then return { 'limit', NEW_RECIPIENTS, at } end
  else
    local charge = { at = number(), day = number(), next_day_at = number(), open = argument() == '1' }
    local started_at = maybe_number()
    for _ = 1, 9 do argument() end
    if change == 's' then settle_ledger(ledger, charge, started_at) else refund_ledger(ledger, charge) end
  end
end

-- Nothing below fails.
local version = redis.call('HINCRBY', META, 'commits', 1)
local head = struct.pack('>I8', version)
local function write(place, key, bytes)
  redis.call('HSET', rows_of(place), key, head .. bytes)
  redis.call('ZADD', keys_of(place), 0, key)
end
local function erase(place, key)
  redis.call('HDEL', rows_of(place), key)
  redis.call('ZREM', keys_of(place), key)
end
if epoch > owner_epoch then redis.call('HSET', META, 'epoch', epoch, 'incarnation', incarnation) end
for _, put in ipairs(puts) do write(put.place, put.key, put.body) end
for _, delete in ipairs(deletes) do erase(delete.place, delete.key) end
for _, row in ipairs(counted) do
  if values[row.key] == 0 then erase(row.place, row.key) else write(row.place, row.key, struct.pack('<i8', values[row.key])) end
end
for _, row in ipairs(changed) do write(row.place, row.key, encode(ledgers[row.key])) end
redis.call('HSET', OPS, op, version)
if redis.call('RPUSH', ORDER, op) > remembered then redis.call('HDEL', OPS, redis.call('LPOP', ORDER)) end
return { 'ok', version }
