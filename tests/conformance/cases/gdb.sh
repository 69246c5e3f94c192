# SPDX-License-Identifier: GPL-2.0 OR MIT
# A debugger and the program that it runs, both inside. How a frame is shown depends on
# debug information of libc, and where the program's heap is.
cat >cmds <<'END'
set confirm off
set debuginfod enabled off
set startup-with-shell off
set breakpoint pending on
break write
run
printf "arguments %d %d\n", (int)$rdi, (int)$rdx
info threads
delete
stepi
continue
END
gdb -nx -batch -x cmds --args /bin/echo hello 2>&1 | grep -E '^arguments|hello|exited|Breakpoint 1,' | sed -e 's/process [0-9]*/process/' \
	-e 's/^Breakpoint 1, .*write.*/Breakpoint 1, write/'
