-- Every path of a file once, in its order: listed.lua FILE. After the last one the thread stops, with a /ping.
dofile("report.lua")

exhausted = false
local following

function init(args)
   following = io.lines(args[1])
end

function request()
   local path = following()
   if path == nil then
      exhausted = true
      wrk.thread:stop()
      return wrk.format("GET", "/ping")
   end
   return wrk.format("GET", path)
end
