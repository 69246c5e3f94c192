# SPDX-License-Identifier: GPL-2.0 OR MIT
# compress.sh COMPRESS... : compresses and restores; the program's name decides what.
seq 1 40000 | sed 's/$/ the quick brown fox/' >data
"$@" -c data >packed || echo "failed: $?"
wc -c <packed
"$1" -dc <packed | cmp - data && echo restored
head -c 1000 packed | "$1" -dc >/dev/null 2>&1 || echo refused
