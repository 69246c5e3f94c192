# SPDX-License-Identifier: GPL-2.0 OR MIT
# perf.sh [DUNE-RUN OPTIONS...]: perf of programs that it runs: samples of a clock, and counters; their exit status.
busy='i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done; exit 3'
perf record -q -e cpu-clock -F 1000 -o data "$@" sh -c "$busy" 2>record; echo "record $?"
n=$(perf script -i data 2>/dev/null | grep -c cpu-clock)
if [ "$n" -ge 10 ]; then echo samples; else echo "$n samples"; cat record; fi
perf stat -x, -e task-clock,page-faults,context-switches -o counts "$@" sh -c "$busy"; echo "stat $?"
cut -d, -f3 counts | grep -e clock -e faults -e switches
# Attached to one that runs.
"$@" sh -c "while :; do :; done" &
sleep 0.5
perf stat -x, -e task-clock -o attached -p $! -- sleep 0.2; echo "attached $?"
[ "$(grep task-clock attached | cut -d, -f1 | cut -d. -f1)" -gt 0 ] && echo counts
kill $!; wait $!; echo "ended $?"
