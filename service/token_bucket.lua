-- Takes tokens from a bucket that refills continuously, or says how it stands. One key, one call, the server's clock.
--
-- KEYS[1]  the bucket, kept as "level at": see service/token_bucket.py for the units. No key: a full bucket.
-- ARGV     capacity, refill a microsecond, cost
-- Returns  1 when the cost was taken, else 0; the level then; the server's clock in microseconds

local capacity, refill, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- What another program left under this key counts as no key, and is replaced.
local kept = redis.pcall('GET', KEYS[1])
local level, at
if type(kept) == 'string' then
    level, at = string.match(kept, '^(%d+) (%d+)$')
end
level, at = tonumber(level) or capacity, tonumber(at) or now

-- A clock that was set back refills nothing; one that was set forward no more than the bucket holds.
level = math.min(capacity, level + math.max(0, now - at) * refill)
local is_taken = level >= cost
if is_taken then
    level = level - cost
end

-- The key goes when the bucket is full again. %.0f because tostring keeps 14 digits.
local full_in = math.ceil((capacity - level) / refill / 1000) + 1
redis.call('SET', KEYS[1], string.format('%.0f %.0f', level, now), 'PX', full_in)
return { is_taken and 1 or 0, level, now }
