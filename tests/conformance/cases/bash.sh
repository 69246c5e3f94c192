# SPDX-License-Identifier: GPL-2.0 OR MIT
# What only bash has: process substitution, coprocesses, arrays, job control.
declare -A count
while read -r word; do count[$word]=$((${count[$word]:-0} + 1)); done < <(printf '%s\n' a b a c a b)
for k in $(printf '%s\n' "${!count[@]}" | sort); do echo "$k ${count[$k]}"; done
diff <(seq 1 5) <(seq 2 6)
coproc tr a-z A-Z
coproc=$COPROC_PID
echo through the coprocess >&"${COPROC[1]}"
eval "exec ${COPROC[1]}>&-"
cat <&"${COPROC[0]}"
# Or it may be the job %1 still, whose end bash has not told of.
wait "$coproc"; jobs >jobs
set -m
sleep 20 &
kill -STOP %1
until jobs -s | sed 's/[0-9][0-9]*$//' | grep Stopped; do sleep 0.05; done
kill -CONT %1; kill %1; wait %1; echo status $?
set +m
trap 'echo child ended' CHLD
(exit 3); true & wait
trap - CHLD
echo {1..5} "${BASH_SOURCE##*/}" $((2 ** 40))
seq 100 | (mapfile -t lines; echo "${#lines[@]} ${lines[99]}")
set -o pipefail; seq 100000 | head -1; echo "${PIPESTATUS[@]}"
read -r -t 0.2 x < <(sleep 5); echo "read $?"
timeout 0.3 sleep 10; echo "timeout $?"
