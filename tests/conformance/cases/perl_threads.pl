# SPDX-License-Identifier: GPL-2.0 OR MIT
# Interpreter threads, shared variables, queues, a signal to a thread.
use strict;
use warnings;
use threads;
use threads::shared;
use Thread::Queue;

my $sum : shared = 0;
my @t = map {
	my $n = $_;
	threads->create(sub {
		for my $i (1 .. 200) {
			lock $sum;
			$sum += $n;
		}
		return $n * $n;
	})
} 1 .. 4;
print 'results ', join(' ', map { $_->join } @t), " sum $sum\n";
my $q = Thread::Queue->new;
my $worker = threads->create(sub {
	my $n = 0;
	while (defined(my $x = $q->dequeue)) { $n += $x }
	return $n;
});
$q->enqueue(1 .. 300);
$q->end;
print 'queue ', $worker->join, "\n";
my $ready : shared = 0;
my $k = threads->create(sub {
	local $SIG{KILL} = sub { threads->exit };
	{ lock $ready; $ready = 1; cond_signal($ready) }
	select undef, undef, undef, 0.01 while 1;
});
{ lock $ready; cond_wait($ready) until $ready }
$k->kill('KILL')->join;
print "killed\n";
