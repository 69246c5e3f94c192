# SPDX-License-Identifier: GPL-2.0 OR MIT
# The event loop, sockets, pipes, timers.
proc accept {ch host port} { puts $ch [string reverse [gets $ch]]; close $ch }
set server [socket -server accept -myaddr 127.0.0.1 0]
set port [lindex [fconfigure $server -sockname] 2]
set ch [socket 127.0.0.1 $port]
fconfigure $ch -blocking 0 -buffering line
puts $ch "hello sockets"
fileevent $ch readable { set reply [gets $ch]; if {[eof $ch] || $reply ne ""} { set done 1 } }
vwait done
puts $reply
set n 0
proc tick {} { if {[incr ::n] == 5} { set ::end 1 } else { after 10 tick } }
tick
vwait end
puts "ticks $n"
puts [exec seq 100 | sort -rn | head -n 2]
catch { exec sh -c {echo to stderr >&2; exit 4} } text opts
puts "$text [lindex [dict get $opts -errorcode] 2]"
puts [expr {2 ** 100}]
proc fib n { expr {$n < 2 ? $n : [fib [expr {$n - 1}]] + [fib [expr {$n - 2}]]} }
puts [fib 15]
set pipe [open "|cat" r+]
puts $pipe "through cat"
close $pipe write
puts [read $pipe]
close $pipe
