# SPDX-License-Identifier: GPL-2.0 OR MIT
# Closes every descriptor that it finds, in its first process and in forked ones, as
# daemons and launchers do, and executes another program then; with room for more
# descriptors above its limit, and without.
close_and_run()
{
	local f
	for f in "/proc/$BASHPID/fd/"*; do
		f=${f##*/}
		[ "$f" -gt 2 ] && eval "exec $f>&-"
	done
	exec /bin/echo "$@"
}
(close_and_run forked)
bash -c "$(declare -f close_and_run); close_and_run executed"
ulimit -n "$(ulimit -Hn)"
(close_and_run forked at the hard limit)
bash -c "$(declare -f close_and_run); close_and_run executed at the hard limit"
bash -c "$(declare -f close_and_run); (close_and_run forked of that); echo then"
ulimit -n 20
bash -c "$(declare -f close_and_run); (close_and_run forked at 20); close_and_run then"
