# SPDX-License-Identifier: GPL-2.0 OR MIT
# util-linux and procps: what they do to processes.
(flock -x 9; echo locked; flock -n 8 || echo busy) 9>lock 8>lock
taskset -c 0 nproc
taskset -c 0 taskset -p $$ | sed 's/^pid [0-9]*/pid/'
chrt -f 10 sh -c 'chrt -p $$' | sed 's/^pid [0-9]*/pid/'
nice -n 5 nice
prlimit --nofile=50:60 sh -c 'ulimit -n'
prlimit --nproc=100 true; echo $?
ionice -c 3 ionice
setsid -w sh -c 'exit 6'; echo $?
unshare --pid --fork sh -c 'echo pid $$'
unshare --uts sh -c 'hostname other; hostname'; hostname
unshare --mount --user --map-root-user id -u
setpriv --reuid 65534 --clear-groups id -u
setpriv --no-new-privs grep NoNewPrivs /proc/self/status
nohup sh -c 'echo nohup' 2>/dev/null
script -qec 'tty | sed "s/[0-9]*$//"; stty size; exit 4' /dev/null </dev/null; echo $?
timeout -s INT 0.3 sleep 50; echo $?
sleep 70 & sleep 0.1; ps -o comm= -p $!; pgrep -f 'sleep 70' | wc -l; pkill -f 'sleep 70'; wait $!; echo $?
getopt -o ab: -- -a -b x y; rev <lock; hexdump -C /etc/hostname; lscpu | grep -c . >/dev/null
uname -s; cat /proc/sys/kernel/ostype; readlink /proc/self/cwd; tr '\0' ' ' </proc/self/cmdline; echo
awk '/^Name|^Threads/' /proc/self/status
