# SPDX-License-Identifier: GPL-2.0 OR MIT
# strace_attach.sh [DUNE-RUN OPTIONS...]: strace attaches to a program that runs, sees
# the calls of each of its threads from then on, and lets go; it runs on to its end.
"$@" sh -c 'while [ ! -e stop ]; do echo line; done >/dev/null; (exit 5); echo ends $?' >log 2>&1 &
pid=$!
sleep 1
strace -f -o trace -p $pid 2>err &
tracer=$!
while ! [ -s trace ] || [ "$(grep -c 'write(1, "line\\n", 5) *= 5' trace)" -lt 20 ]; do
	kill -0 $pid && kill -0 $tracer || break
	sleep 0.1
done
kill -INT $tracer
wait $tracer
echo tracer $?
grep -q 'write(1, "line\\n", 5) *= 5' trace && echo seen
grep -e attached -e detached err | sed 's/[0-9][0-9]*/PID/'
touch stop
wait $pid
echo $?
cat log
