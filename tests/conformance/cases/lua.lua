-- SPDX-License-Identifier: GPL-2.0 OR MIT
-- Coroutines, closures, string matching, pipes, garbage.
local function numbers(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i) end end) end
local sum = 0
for i in numbers(2000) do sum = sum + i end
print(sum)
local t = {}
for w in ("the quick brown fox"):gmatch("%a+") do t[#t + 1] = w:upper() end
print(table.concat(t, "-"))
for i = 1, 20000 do t[i] = { i, tostring(i) } end
t = nil
collectgarbage()
print(collectgarbage("count") < 5000)
local p = io.popen("echo from a pipe; exit 3")
print(p:read("a"), p:close())
print(select(2, pcall(error, { code = 2 })).code)
print(string.format("%.10f %x %q", math.pi, 255, "a\nb"), 7 // 2, 2 ^ 0.5, 1 << 40)
print(os.execute("kill -TERM $$"))
local function deep(n) return n == 0 and 0 or 1 + deep(n - 1) end
print(deep(10000), pcall(deep, 10000000) == false)
