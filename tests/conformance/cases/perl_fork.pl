# SPDX-License-Identifier: GPL-2.0 OR MIT
# fork, pipes, signals, alarm, sockets, exec.
use strict;
use warnings;
use IO::Socket::INET;
use POSIX qw(:sys_wait_h);

$| = 1;
my @pids;
for my $n (1 .. 5) {
	my $pid = fork // die;
	exit $n if !$pid;
	push @pids, $pid;
}
for my $pid (@pids) {
	waitpid $pid, 0;
	print 'ended with ', $? >> 8, "\n";
}
pipe my $r, my $w;
if (!fork) {
	print {$w} "line $_\n" for 1 .. 1000;
	exit;
}
close $w;
my @lines = <$r>;
wait;
print scalar(@lines), " $lines[-1]";
eval {
	local $SIG{ALRM} = sub { die "alarm\n" };
	alarm 1;
	1 while 1;
};
print "it was $@";
my $count = 0;
$SIG{USR1} = sub { $count++ };
kill USR1 => $$ for 1 .. 20;
print "signals $count\n";
my $server = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die;
if (!fork) {
	my $c = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $server->sockport) or die;
	print {$c} "hello\n";
	print 'the client got ', scalar <$c>;
	exit;
}
my $c = $server->accept;
print 'the server got ', scalar <$c>;
print {$c} "bye\n";
wait;
print `echo from a shell; exit 4`, $? >> 8, "\n";
open my $p, '-|', 'seq', 3 or die;
print <$p>;
my $sum = 0;
my %h = map { $_ => $_ ** 2 } 1 .. 3000;
$sum += $_ for values %h;
print "$sum\n";
exec 'sh', '-c', 'echo the end; exit 9';
