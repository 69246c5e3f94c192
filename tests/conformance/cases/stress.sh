# SPDX-License-Identifier: GPL-2.0 OR MIT
# stress.sh OPS STRESSOR... : each verifies itself; what is printed of it is its status.
ops=$1; shift
for s; do
	case $s in *:*) n=${s#*:}; s=${s%:*} ;; *) n=$ops ;; esac
	stress-ng --no-rand-seed --seed 1 --timeout 60 --verify --"$s" 2 --"$s-ops" "$n" >log 2>&1
	echo "$s $?"
	grep -E 'fail|error' log | sed 's/.*\] *//'
done
