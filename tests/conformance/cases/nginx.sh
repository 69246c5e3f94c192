# SPDX-License-Identifier: GPL-2.0 OR MIT
# A master, two workers, a load generator.
seq 2000 >page.html
cat >conf <<END
daemon off; master_process on; worker_processes 2; user root; error_log err.log; pid pid;
events { worker_connections 64; }
http { access_log off; server { listen 127.0.0.1:7002; root $PWD; } }
END
mkdir -p /var/lib/nginx /var/log/nginx
nginx -p "$PWD" -c "$PWD/conf" -g '' -e err.log &
server=$!
for n in 1 2 3 4 5 6 7 8 9; do sleep 0.2; [ -s pid ] && break; done
sleep 0.3
ab -q -n 100 -c 5 http://127.0.0.1:7002/page.html | grep -E 'Complete|Failed|Document Length|transferred'
wrk -t2 -c4 -d1s http://127.0.0.1:7002/page.html | grep -E 'threads and|Socket errors|Non-2xx'
kill -HUP $server; sleep 0.5
ab -q -n 20 -c 5 http://127.0.0.1:7002/none.html | grep -E 'Complete|Non-2xx'
kill -QUIT $server; wait $server; echo "server $?"
