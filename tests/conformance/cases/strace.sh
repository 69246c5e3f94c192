# SPDX-License-Identifier: GPL-2.0 OR MIT
# strace.sh [DUNE-RUN OPTIONS...]: strace of programs that it runs; it sees no system call that the program would not make.
strace -f -o log "$@" sh -c 'echo one; (echo two); cat /dev/null; exit 3'; echo $?
grep -c 'write(1, "' log
strace -f -c -o count "$@" ls / >/dev/null; echo $?
strace -f -e trace=none -e signal=all -o sigs "$@" sh -c 'kill -USR1 $$'; echo $?
grep -c SIGUSR1 sigs >/dev/null && echo seen
