# SPDX-License-Identifier: GPL-2.0 OR MIT
# A server with its background threads, a load of clients, a snapshot by fork.
redis-server --port 7000 --save '' --io-threads 2 --logfile redis.log --dir . &
server=$!
for n in 1 2 3 4 5 6 7 8 9 10 11 12; do redis-cli -p 7000 ping 2>/dev/null | grep PONG && break; sleep 0.2; done
redis-benchmark -p 7000 -n 400 -c 10 -P 4 -t set,get,incr,lpush -q --csv | cut -d, -f1
redis-cli -p 7000 set key value
redis-cli -p 7000 get key
redis-cli -p 7000 eval 'local s = 0 for i = 1, 1000 do s = s + i end return s' 0
redis-cli -p 7000 bgsave
for n in 1 2 3 4 5 6 7 8 9; do sleep 0.2; redis-cli -p 7000 info persistence | grep -q 'bgsave_in_progress:0' && break; done
redis-cli -p 7000 info persistence | tr -d '\r' | grep last_bgsave_status
redis-cli -p 7000 shutdown nosave
wait $server; echo "server $?"
