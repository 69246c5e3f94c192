# SPDX-License-Identifier: GPL-2.0 OR MIT
# Its worker threads and four clients at once.
memcached -u root -p 7001 -t 4 -U 0 &
server=$!
talk() {
	exec 3<>/dev/tcp/127.0.0.1/7001
	for i in {1..20}; do
		printf 'set key%d.%d 0 0 5\r\nvalue\r\nget key%d.%d\r\n' "$1" "$i" "$1" "$i" >&3
		read -r -u 3 a; read -r -u 3 b; read -r -u 3 c; read -r -u 3 d
		echo "$a $b $c $d" | tr -d '\r'
	done
	exec 3>&-
}
for n in {1..20}; do (exec 3<>/dev/tcp/127.0.0.1/7001) 2>/dev/null && break; sleep 0.1; done
for c in 1 2 3 4; do talk $c >"talk.$c" & pids+=($!); done
wait "${pids[@]}"
cat talk.* | sort | sha256sum; wc -l talk.* | tail -n 1
kill $server; wait $server; echo "server $?"
