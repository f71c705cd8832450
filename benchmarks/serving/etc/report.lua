-- What wrk found, as one line of JSON on its standard error; run in this folder.
local threads = {}

function setup(thread)
   table.insert(threads, thread)
end

function done(summary, latency, _)
   local e, exhausted = summary.errors, false
   for _, thread in ipairs(threads) do
      exhausted = exhausted or thread:get("exhausted") or false
   end
   io.stderr:write(string.format(
      '{"requests":%d,"seconds":%f,"p50":%f,"p99":%f,"refused":%d,"broken":%d,"exhausted":%s}\n',
      summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
      e.status, e.connect + e.read + e.write + e.timeout, tostring(exhausted)))
end
