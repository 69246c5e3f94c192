<?php
// SPDX-License-Identifier: GPL-2.0 OR MIT
// fork, signals, sockets, processes, regular expressions.
$pids = [];
for ($n = 1; $n <= 3; $n++) {
	$pid = pcntl_fork();
	if (!$pid)
		exit($n);
	$pids[] = $pid;
}
foreach ($pids as $pid) {
	pcntl_waitpid($pid, $status);
	echo pcntl_wexitstatus($status), "\n";
}
pcntl_async_signals(true);
pcntl_signal(SIGUSR1, function () { echo "USR1\n"; });
posix_kill(posix_getpid(), SIGUSR1);
$p = proc_open('tr a-z A-Z', [['pipe', 'r'], ['pipe', 'w']], $pipes);
fwrite($pipes[0], 'through tr');
fclose($pipes[0]);
echo stream_get_contents($pipes[1]), ' ', proc_close($p), "\n";
$sum = 0;
for ($i = 0; $i < 100000; $i++)
	$sum = ($sum * 31 + $i) % 1000003;
echo $sum, ' ', preg_replace('/(\w+) (\w+)/', '$2 $1', 'hello world'), ' ', md5(str_repeat('x', 100000)), "\n";
exit(5);
