-- The script of bench/wrk.py: send the requests of a folder in turn, with random pauses, and report in a line of JSON.

local requests = {}
for number = 1, tonumber(os.getenv("COUNT")) do
    local file = io.open(os.getenv("REQUESTS") .. "/" .. number, "rb")
    requests[number] = file:read("*a")
    file:close()
end
local pause = tonumber(os.getenv("PAUSE_MS"))
local first_second = tonumber(os.getenv("FIRST_SECOND"))
local sent = 0

-- One thread for each server, all with the same number of connections. Each thread has its own range of instants.
local servers = {}
for host, port in (os.getenv("SERVERS")):gmatch("(%S+):(%d+)") do
    servers[#servers + 1] = wrk.lookup(host, port)[1]
end
local threads = 0
offset = 0

function setup(thread)
    thread.addr = servers[threads % #servers + 1]
    thread:set("offset", threads * 1000000)
    threads = threads + 1
end

if pause > 0 then
    -- Exponentially distributed, so that requests arrive like those of many independent callers, and not in waves.
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
    -- A unique instant for each request: one second later than that of the previous one.
    return (text:gsub("$STAMP", os.date("!%Y-%m-%dT%H:%M:%S", first_second + offset + sent)))
end

function done(summary, latency, _)
    local errors = summary.errors
    -- Refusals are the fastest responses, so p99 of the others is a higher percentile of all.
    local served = 1 - errors.status / math.max(1, summary.requests)
    io.write(
        string.format(
            '{"requests": %d, "refused": %d, "broken": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d}\n',
            summary.requests,
            errors.status,
            errors.connect + errors.read + errors.write + errors.timeout,
            summary.duration,
            latency:percentile(100 - 50 * served),
            latency:percentile(100 - served)
        )
    )
end
