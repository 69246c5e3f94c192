# SPDX-License-Identifier: GPL-2.0 OR MIT
# A shell's own work: forks, pipes, traps, redirections, status of what it runs.
fib() { if [ "$1" -lt 2 ]; then echo "$1"; else echo $(($(fib $(($1 - 1))) + $(fib $(($1 - 2))))); fi; }
fib 6
i=0
while [ $i -lt 5 ]; do echo line $i; i=$((i + 1)); done | while read -r a b; do echo "$b $a"; done
(exit 7); echo status $?
sh -c 'kill -TERM $$'; echo status $?
trap 'echo got USR1' USR1
kill -USR1 $$
trap 'echo at the end' EXIT
sleep 30 &
kill $!; wait $!; echo status $?
cat <<END | tr a-z A-Z
here document of $(basename "$0")
END
exec 5>file; echo to five >&5; exec 5>&-; cat file
nosuchcommand 2>&1 | sed 's/.*: //'
ulimit -c 0; sh -c 'kill -SEGV $$' 2>/dev/null; echo status $?
for n in 1 2 3; do (echo "child $n"; exit $n) & wait $!; echo status $?; done
