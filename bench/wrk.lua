-- What bench/wrk.py has wrk do: the requests of a folder in turn, pauses of a random length, a line of JSON at the end.

local requests = {}
for number = 1, tonumber(os.getenv("COUNT")) do
    local file = io.open(os.getenv("REQUESTS") .. "/" .. number, "rb")
    requests[number] = file:read("*a")
    file:close()
end
local pause = tonumber(os.getenv("PAUSE_MS"))
local began = tonumber(os.getenv("SINCE"))
local sent = 0

-- A thread for each place that requests go to, with as many connections as the others. Instants are told apart by thread.
local places = {}
for host, port in (os.getenv("PLACES")):gmatch("(%S+):(%d+)") do
    places[#places + 1] = wrk.lookup(host, port)[1]
end
local threads = 0
offset = 0

function setup(thread)
    thread.addr = places[threads % #places + 1]
    thread:set("offset", threads * 1000000)
    threads = threads + 1
end

if pause > 0 then
    -- Exponentially distributed, so that they arrive as requests of many callers do and not in waves.
    function delay()
        return math.floor(-pause * math.log(1 - math.random()))
    end
end

function request()
    sent = sent + 1
    local text = requests[sent % #requests + 1]
    if not text:find("$STAMP", 1, true) then
        return text
    end
    -- An instant of its own for every request: a second more for each one sent.
    return (text:gsub("$STAMP", os.date("!%Y-%m-%dT%H:%M:%S", began + offset + sent)))
end

function done(summary, latency, _)
    local errors = summary.errors
    io.write(
        string.format(
            '{"requests": %d, "refused": %d, "broken": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d}\n',
            summary.requests,
            errors.status,
            errors.connect + errors.read + errors.write + errors.timeout,
            summary.duration,
            latency:percentile(50),
            latency:percentile(99)
        )
    )
end
