-- A lane's limits: followupd_domain::ledger in Lua, on the same bytes and with the same results. A property test
-- holds the two together; change neither alone. Numbers are doubles, exact to 2^53, which the ledger stays below.

local PARTS, CELLS, AHEAD = 64, 68, 3
local MINUTE, HOUR, DAY = 60000, 3600000, 86400000
local LAST_MOMENT, EXACT, U32 = 8000000000000, 9007199254740992, 4294967295
local LONGEST_MS, START_WITHIN = 366 * 86400000, 2000
local NO_DAY, LAST_DAY = -2147483648, 2147483647
local HEAD, LEDGER_LEN = '<Bi8i8i8i8i8i4I4I4I4I4i4', 609
local HEAD_1, LEDGER_LEN_1 = '<Bi8i8i8i8i8i4I4I4I4', 601
local RING = '<' .. string.rep('I4', CELLS)
-- The limits in the order of LimitName.
local RATE, GAP, PER_MINUTE, PER_HOUR, PER_DAY, REST, NEW_RECIPIENTS = 0, 1, 2, 3, 4, 5, 6

local function clamp(n, least, most) return math.max(least, math.min(n, most)) end
local function bounded(at) return clamp(at, 0, LAST_MOMENT) end
local function up(n) return math.min(n + 1, U32) end
local function down(n) return math.max(n - 1, 0) end

-- Rings -----------------------------------------------------------------------------------------------------------

local function new_ring(span)
  local ring = { span = span }
  for cell = 0, CELLS - 1 do ring[cell] = 0 end
  return ring
end

local function sub_window(at, span) return math.floor(at * PARTS / span) end
local function sub_window_begin(k, span) return math.floor((k * span + PARTS - 1) / PARTS) end

-- When a cap allows one more besides `open` ones; nil while open ones use it up.
local function ring_free(ring, mark, cap, open)
  local room = cap - up(open)
  if room < 0 then return nil end
  local newest, newer = sub_window(mark, ring.span) + AHEAD, 0
  for k = newest, newest - CELLS + 1, -1 do
    newer = newer + ring[k % CELLS]
    if newer > room then return sub_window_begin(k + PARTS + 1, ring.span) end
  end
  return 0
end

local function ring_advance(ring, mark, to)
  local newest = sub_window(to, ring.span) + AHEAD
  local first = math.max(sub_window(mark, ring.span) + AHEAD + 1, newest - CELLS + 1)
  for k = first, newest do ring[k % CELLS] = 0 end
end

-- Counts a start; one from before the span counts where it is first to leave.
local function ring_add(ring, mark, at)
  local k = math.max(sub_window(at, ring.span), sub_window(mark, ring.span) - PARTS)
  if k <= sub_window(mark, ring.span) + AHEAD then ring[k % CELLS] = up(ring[k % CELLS]) end
end

-- Takes back a start if it is still in the ring.
local function ring_remove(ring, mark, at)
  local k, now = sub_window(at, ring.span), sub_window(mark, ring.span)
  if k >= now - PARTS and k <= now + AHEAD then ring[k % CELLS] = down(ring[k % CELLS]) end
end

-- Bytes -----------------------------------------------------------------------------------------------------------

local function new_ledger()
  return {
    mark = 0, last = nil, arrival = 0, interval = 0, next_day_at = 0, day = NO_DAY, count = 0, after = 0, open = 0,
    run = 0, first_day = nil, minute = new_ring(MINUTE), hour = new_ring(HOUR),
  }
end

local function within(n, least, most) return n >= least and n <= most end

-- The ledger of these bytes; nil when no ledger wrote them.
local function decode_ledger(bytes)
  local format = string.byte(bytes)
  local is_old = format == 1
  if not (is_old and #bytes == LEDGER_LEN_1 or format == 2 and #bytes == LEDGER_LEN) then return nil end
  local ledger, _, last, first_day, position = {}, nil, nil, nil, nil
  if is_old then
    _, ledger.mark, last, ledger.arrival, ledger.interval, ledger.next_day_at, ledger.day, ledger.count, ledger.after,
      ledger.open, position = struct.unpack(HEAD_1, bytes)
    ledger.run, first_day = 0, last >= 0 and ledger.day or NO_DAY
  else
    _, ledger.mark, last, ledger.arrival, ledger.interval, ledger.next_day_at, ledger.day, ledger.count, ledger.after,
      ledger.open, ledger.run, first_day, position = struct.unpack(HEAD, bytes)
  end
  if not (within(ledger.mark, 0, LAST_MOMENT) and within(last, -1, LAST_MOMENT) and within(ledger.arrival, 0, EXACT)
      and within(ledger.interval, 0, LONGEST_MS * 1000) and within(ledger.next_day_at, 0, LAST_MOMENT)) then
    return nil
  end
  if last >= 0 then ledger.last = last end
  if first_day ~= NO_DAY then ledger.first_day = first_day end
  for name, span in pairs({ minute = MINUTE, hour = HOUR }) do
    local cells = { struct.unpack(RING, bytes, name == 'minute' and position or position + 4 * CELLS) }
    local ring = { span = span }
    for cell = 0, CELLS - 1 do ring[cell] = cells[cell + 1] end
    ledger[name] = ring
  end
  return ledger
end

local function encode_ledger(ledger)
  return struct.pack(HEAD, 2, ledger.mark, ledger.last or -1, ledger.arrival, ledger.interval, ledger.next_day_at,
      ledger.day, ledger.count, ledger.after, ledger.open, ledger.run, ledger.first_day or NO_DAY)
    .. struct.pack(RING, unpack(ledger.minute, 0, CELLS - 1))
    .. struct.pack(RING, unpack(ledger.hour, 0, CELLS - 1))
end

-- Days ------------------------------------------------------------------------------------------------------------

-- The day of a moment that lies in a day or the next.
local function day_at(day, next_day_at, moment)
  return moment >= next_day_at and math.min(day + 1, LAST_DAY) or day
end

-- The name of the field that counts a day; nil for one that is over or further on.
local function day_field(ledger, day)
  local ahead = day - ledger.day
  return ahead == 0 and 'count' or ahead == 1 and 'after' or nil
end

local function count_on(ledger, day)
  local field = day_field(ledger, day)
  return field and ledger[field] or 0
end

local function day_change(ledger, day, change)
  local field = day_field(ledger, day)
  if field then ledger[field] = change(ledger[field]) end
end

-- Limits ----------------------------------------------------------------------------------------------------------

local function rate_interval(rate)
  local per, count = clamp(rate.per, 1, LONGEST_MS) * 1000, math.max(rate.count, 1)
  local rest = per % count
  return (per - rest) / count + (rest ~= 0 and 1 or 0)
end

-- The arrival time as far as the rate can stand behind it.
local function arrival_under(ledger, rate)
  if not ledger.last then return 0 end
  local last, interval = ledger.last * 1000, rate_interval(rate)
  return math.min(clamp(ledger.arrival, last + interval, last + interval * math.max(rate.burst, 1)), EXACT)
end

local function rate_free(ledger, rate)
  local spare = rate.burst - up(ledger.open)
  if spare < 0 then return nil end
  local at = arrival_under(ledger, rate) - rate_interval(rate) * spare
  if at <= 0 then return 0 end
  local rest = at % 1000
  return (at - rest) / 1000 + (rest ~= 0 and 1 or 0)
end

local function gap_free(ledger, gap)
  if ledger.open > 0 then return nil end
  return ledger.last and ledger.last + gap or 0
end

-- The cap of a day.
local function day_cap(ledger, cap, warm_up, day)
  if not warm_up then return cap end
  local since = math.max(ledger.first_day and day - ledger.first_day or 0, 0)
  if since >= warm_up.days then return cap end
  local from = math.min(warm_up.from, cap)
  return math.min(from + math.floor((cap - from) * since / warm_up.days), U32)
end

local function day_free(ledger, limits, now, day, next_day_at)
  local today = day_at(day, next_day_at, now)
  if ledger.open >= limits.per_day then return nil end
  local cap = day_cap(ledger, limits.per_day, limits.warm_up, today)
  if math.min(count_on(ledger, today) + ledger.open, U32) < cap then return now end
  return math.max(next_day_at, now + 1)
end

local function rest_free(ledger, rest)
  if ledger.run + ledger.open < rest.after then return 0 end
  if ledger.open > 0 then return nil end
  return ledger.last and ledger.last + rest.span or 0
end

-- Whether a pause of this rest lies between the last start and the mark.
local function has_rested(ledger, rest)
  return ledger.open == 0 and (not ledger.last or ledger.mark >= ledger.last + rest.span)
end

local function clamped(ledger, now) return math.max(math.min(now, LAST_MOMENT), ledger.mark) end

local function raise_mark(ledger, now)
  now = clamped(ledger, now)
  ring_advance(ledger.minute, ledger.mark, now)
  ring_advance(ledger.hour, ledger.mark, now)
  ledger.mark = now
end

local function reached(ledger, day, next_day_at)
  if day < ledger.day then day, next_day_at = ledger.day, ledger.next_day_at end
  return day, bounded(next_day_at)
end

-- The limit that allows one more send last and when; the moment is nil while open sends use it up. Nothing: now.
local function refusal(ledger, limits, now, day, next_day_at)
  now = clamped(ledger, now)
  day, next_day_at = reached(ledger, day, next_day_at)
  local latest, latest_at = nil, now
  local function open_or_later(name, free)
    if free and free > latest_at then latest, latest_at = name, free end
    return not free
  end
  if limits.rate and open_or_later(RATE, rate_free(ledger, limits.rate)) then return RATE end
  if limits.gap and open_or_later(GAP, gap_free(ledger, limits.gap)) then return GAP end
  if limits.per_minute
    and open_or_later(PER_MINUTE, ring_free(ledger.minute, ledger.mark, limits.per_minute, ledger.open)) then
    return PER_MINUTE
  end
  if limits.per_hour
    and open_or_later(PER_HOUR, ring_free(ledger.hour, ledger.mark, limits.per_hour, ledger.open)) then
    return PER_HOUR
  end
  if limits.per_day
    and open_or_later(PER_DAY, day_free(ledger, limits, now, day, next_day_at)) then
    return PER_DAY
  end
  if limits.rest and open_or_later(REST, rest_free(ledger, limits.rest)) then return REST end
  if latest then return latest, latest_at end
end

-- Changes ---------------------------------------------------------------------------------------------------------

-- Charges one send; answers the limit and moment of a refusal, and then has changed nothing.
local function charge_ledger(ledger, limits, now, day, next_day_at)
  local limit, at = refusal(ledger, limits, now, day, next_day_at)
  if limit then return limit, at end
  raise_mark(ledger, now)
  day, next_day_at = reached(ledger, day, next_day_at)
  if day > ledger.day then ledger.count, ledger.after = count_on(ledger, day), 0 end
  ledger.day, ledger.next_day_at = day, next_day_at
  if limits.rest and has_rested(ledger, limits.rest) then ledger.run = 0 end
  ledger.interval = 0
  if limits.rate then
    ledger.interval = rate_interval(limits.rate)
    ledger.arrival = arrival_under(ledger, limits.rate)
  end
  ledger.open = up(ledger.open)
end

-- Moves an open charge to the start of its call; nil for a start that nobody saw.
local function settle_ledger(ledger, charge, started_at)
  if not charge.open then return end
  ledger.open = down(ledger.open)
  local at
  if started_at then
    at = bounded(math.max(started_at, charge.at))
    raise_mark(ledger, at)
  else
    at = bounded(math.max(charge.at, ledger.mark) + START_WITHIN)
  end
  ring_add(ledger.minute, ledger.mark, at)
  ring_add(ledger.hour, ledger.mark, at)
  ledger.arrival = math.min(math.max(ledger.arrival, at * 1000) + ledger.interval, EXACT)
  ledger.last = math.max(ledger.last or at, at)
  ledger.run = up(ledger.run)
  local charged, next_day_at = reached(ledger, charge.day, charge.next_day_at)
  local day = day_at(charged, next_day_at, at)
  if not ledger.first_day and day ~= NO_DAY then ledger.first_day = day end
  day_change(ledger, day, up)
  if not started_at and day ~= charged then day_change(ledger, charged, up) end
end

-- Gives a charge back.
local function refund_ledger(ledger, charge)
  if charge.open then
    ledger.open = down(ledger.open)
    return
  end
  ring_remove(ledger.minute, ledger.mark, charge.at)
  ring_remove(ledger.hour, ledger.mark, charge.at)
  day_change(ledger, day_at(charge.day, charge.next_day_at, charge.at), down)
end

-- New recipients --------------------------------------------------------------------------------------------------

local RECIPIENTS_LEN = 281

local function new_recipients() return { mark = 0, people = new_ring(DAY) } end

-- The record of these bytes; nil when they count no recipients.
local function decode_recipients(bytes)
  if #bytes ~= RECIPIENTS_LEN or string.byte(bytes) ~= 1 then return nil end
  local _, mark, position = struct.unpack('<Bi8', bytes)
  if not within(mark, 0, LAST_MOMENT) then return nil end
  local cells, people = { struct.unpack(RING, bytes, position) }, { span = DAY }
  for cell = 0, CELLS - 1 do people[cell] = cells[cell + 1] end
  return { mark = mark, people = people }
end

-- A ledger or a record of recipients.
local function encode(record)
  if not record.people then return encode_ledger(record) end
  return struct.pack('<Bi8', 1, record.mark) .. struct.pack(RING, unpack(record.people, 0, CELLS - 1))
end

-- Counts somebody who was counted before, or nil; answers when there is room, and then has changed nothing.
local function count_recipient(record, cap, now, before, counted_at)
  now = math.max(bounded(now), record.mark)
  local newest = sub_window(now, DAY)
  local k = before and sub_window(before, DAY)
  if not (k and k >= newest - PARTS and k <= newest + AHEAD) then
    local at = ring_free(record.people, record.mark, math.max(cap, 1), 0)
    if at > now then return at end
  end
  ring_advance(record.people, record.mark, now)
  record.mark = now
  if before then ring_remove(record.people, now, before) end
  ring_add(record.people, now, math.max(bounded(counted_at), now))
end

