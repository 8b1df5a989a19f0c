-- Replays the request messages of one benchmark case, in turn.
--
-- The only argument is a file of messages, each preceded by a line with its length in bytes.
-- It is written by benchmarks/wrk.py. All of it is read once, before the load begins:
-- a single message is then sent by wrk without calling into Lua, several ones cost one table
-- access for each message.

local messages = {}
local turn = 0

local function read_messages(path)
   local file = assert(io.open(path, "rb"))
   local length = file:read("*n")
   while length do
      file:read(1)
      messages[#messages + 1] = file:read(length)
      length = file:read("*n")
   end
   file:close()
end

local function next_message()
   turn = turn % #messages + 1
   return messages[turn]
end

function init(args)
   read_messages(args[1])
   if #messages == 1 then
      wrk.format = function() return messages[1] end
   else
      request = next_message
   end
end
