-- Every path of a file once, in its order: listed.lua FILE [METHOD]. After the last one the thread stops, with a /ping.
dofile("report.lua")

exhausted = false
local following, method

function init(args)
   following = io.lines(args[1])
   method = args[2] or "GET"
end

function request()
   local path = not exhausted and following() or nil -- the other connections go on for a moment
   if path == nil then
      exhausted = true
      wrk.thread:stop()
      return wrk.format("GET", "/ping")
   end
   return wrk.format(method, path)
end
