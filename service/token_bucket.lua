-- Take units from a bucket that refills continuously; a cost of 0 takes none. One key, on the server's clock.
--
-- KEYS[1]  the bucket, stored as "level at": the units (service/token_bucket.py) that it held at a time in microseconds.
--          No key: a full bucket.
-- ARGV     capacity, refill per microsecond, cost
-- Returns  1 if the cost was taken, else 0; the level afterwards; the server's time in microseconds

local capacity, refill, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- A value that is not a bucket counts as no key, and is replaced.
local stored = redis.pcall('GET', KEYS[1])
local level, at
if type(stored) == 'string' then
    level, at = string.match(stored, '^(%d+) (%d+)$')
end
level, at = tonumber(level) or capacity, tonumber(at) or now

-- A clock that is set back refills nothing; one that is set forward at most fills the bucket.
level = math.min(capacity, level + math.max(0, now - at) * refill)
local is_taken = level >= cost
if is_taken then
    level = level - cost
end

-- The key expires once the bucket is full. %.0f, because tostring keeps only 14 digits.
local full_in = math.ceil((capacity - level) / refill / 1000) + 1
redis.call('SET', KEYS[1], string.format('%.0f %.0f', level, now), 'PX', full_in)
return { is_taken and 1 or 0, level, now }
