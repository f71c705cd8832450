-- Every request with a path of its own: varied.lua METHOD PATH BODY_BYTES SEED [FIELD BOUNDARY].
-- In the path `{uuid}`, `{hex}` and `{name}` stand for something new each time. With a FIELD the body is multipart.
dofile("report.lua")

local method, path, body

function init(args)
   method, path = args[1], args[2]
   math.randomseed(tonumber(args[4]))
   local bytes = tonumber(args[3])
   if bytes > 0 then
      body = string.rep("0123456789abcde\n", bytes / 16)
   end
   if args[5] then
      body = "--" .. args[6] .. '\r\nContent-Disposition: form-data; name="' .. args[5] .. '"; filename="file.txt"\r\n'
         .. "Content-Type: text/plain\r\n\r\n" .. body .. "\r\n--" .. args[6] .. "--\r\n"
   end
end

local function digits(count)
   return string.format("%0" .. count .. "x", math.random(0, 16 ^ count - 1))
end

local new = {
   hex = function() return digits(8) .. digits(8) .. digits(8) .. digits(8) end,
   uuid = function()
      return digits(8) .. "-" .. digits(4) .. "-4" .. digits(3) .. "-a" .. digits(3) .. "-" .. digits(4) .. digits(8)
   end,
   name = function() return digits(8) .. digits(8) .. ".txt" end,
}

function request()
   return wrk.format(method, (path:gsub("{(%a+)}", function(what) return new[what]() end)), nil, body)
end
