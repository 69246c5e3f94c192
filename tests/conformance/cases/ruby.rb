# SPDX-License-Identifier: GPL-2.0 OR MIT
# Threads, fork, signals, a server, pipes, the timer thread's preemption.
require 'open3'
require 'socket'

$stdout.sync = true
sum = 0
lock = Mutex.new
4.times.map { |n| Thread.new { 500.times { lock.synchronize { sum += n } } } }.each(&:join)
puts sum
q = Queue.new
c = Thread.new { n = 0; while (x = q.pop) != :end; n += x; end; n }
100.times { |i| q << i }
q << :end
puts c.value
flag = false
busy = Thread.new { n = 0; n += 1 until flag; n > 0 }
sleep 0.05
flag = true
puts busy.value
pid = fork { exit 6 }
Process.wait pid
puts $?.exitstatus
r, w = IO.pipe
fork { r.close; w.puts 'from the child' }
w.close
puts r.read
Process.waitall
trap('USR1') { puts 'USR1' }
Process.kill 'USR1', Process.pid
sleep 0.05
puts Open3.capture2('tr a-z A-Z', stdin_data: 'open3').first
server = TCPServer.new '127.0.0.1', 0
t = Thread.new { s = server.accept; s.puts s.gets.reverse; s.close }
s = TCPSocket.new '127.0.0.1', server.addr[1]
s.puts 'socket'
puts s.read.strip
t.join
f = Fiber.new { 3.times { |i| Fiber.yield i }; :done }
puts 4.times.map { f.resume }.inspect
begin
  Thread.new { raise 'in a thread' }.tap { |x| x.report_on_exception = false }.join
rescue => e
  puts e.message
end
def deep(n) = deep(n + 1)
begin
  deep 0
rescue SystemStackError
  puts 'stack level too deep'
end
GC.stress = false
x = (1..20000).map(&:to_s); GC.start; puts x.size
puts `echo backquote; exit 2`, $?.exitstatus
Process.kill 'TERM', Process.pid
sleep 5
