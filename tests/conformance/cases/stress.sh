# SPDX-License-Identifier: GPL-2.0 OR MIT
# stress.sh OPS STRESSOR[:OPS[:OPTION]]... : each verifies itself; what is printed of it is its status.
ops=$1; shift
for s; do
	n=$ops option=
	case $s in *:*:*) option=${s#*:*:}; s=${s%:"$option"} ;; esac
	case $s in *:*) n=${s#*:}; s=${s%:*} ;; esac
	stress-ng --seed 1 --timeout 60 --verify --"$s" 2 --"$s-ops" "$n" $option >log 2>&1
	status=$?
	echo "$s $status"
	# Its options, not what it found.
	[ $status = 1 ] && { cat log >&2; exit 125; }
	grep -E 'fail|error' log | sed 's/.*\] *//'
done
