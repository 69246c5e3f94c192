// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Calls that wait, interrupted by signals of each kind: what they return, how
 * often handlers ran, what was written and the signal mask are as natively.
 * Another process sees the caller asleep, sends the signals, and then brings
 * what the call waits for.
 */
#include "sysdiff.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum kind {
	BY_HANDLER,
	BY_RESTARTING,		/* a handler with SA_RESTART */
	BY_STOP,		/* SIGSTOP and SIGCONT */
	BY_CONTINUE,		/* the same, and SIGCONT has a handler */
	BY_IGNORED,
	BY_BLOCKED,		/* by the thread; p*() open the mask */
	NR_KINDS
};
static const char *const kind_name[] = {
	"handler", "SA_RESTART", "stop", "handled SIGCONT", "ignored", "blocked",
};

#define SIGNALS		2
/* So often is a call repeated that some preemption kept from being fast. */
#define TRIES		5

static struct sd_shared *const shared = SD_SHARED;

static void on_signal(int sig)
{
	__atomic_add_fetch(&shared->handled, 1, __ATOMIC_RELEASE);
}

/* ---- the other process ---- */

static char state_of(pid_t pid)
{
	char name[64], text[128], *p;
	ssize_t n;
	int fd;

	snprintf(name, sizeof(name), "/proc/%d/stat", pid);
	fd = open(name, O_RDONLY);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	p = strrchr(text, ')');
	return p ? p[2] : '?';
}

/* Wait until it is in this state, twice in a row; false: the call is over. */
static bool seen_in(pid_t pid, char state)
{
	int seen = 0;

	while (seen < 2) {
		if (shared->done)
			return false;
		seen = state_of(pid) == state ? seen + 1 : 0;
		sched_yield();
	}
	return true;
}

static void interrupt(pid_t pid, enum kind kind)
{
	if (kind == BY_STOP || kind == BY_CONTINUE) {
		kill(pid, SIGSTOP);
		seen_in(pid, 'T');
		kill(pid, SIGCONT);
	} else {
		kill(pid, SIGUSR1);
	}
}

static void other_process(const struct sd_scene *s, enum kind kind, pid_t pid)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	s->hold();
	shared->held = 1;
	while (!shared->armed)
		sched_yield();
	for (int i = 0; i < SIGNALS && seen_in(pid, 'S'); i++)
		interrupt(pid, kind);
	if (seen_in(pid, 'S'))
		s->wake();
	/* What it holds goes with it. Asleep, so that time can pass at once. */
	syscall(SYS_futex, &shared->done, FUTEX_WAIT, 0, NULL, NULL, 0);
	_exit(0);
}

/* ---- the caller ---- */

static void expect(enum kind kind)
{
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t set;

	if (kind == BY_RESTARTING || kind == BY_CONTINUE)
		sa.sa_flags = SA_RESTART;
	if (kind == BY_IGNORED)
		sa.sa_handler = SIG_IGN;
	sigaction(SIGUSR1, &sa, NULL);
	if (kind != BY_CONTINUE)
		sa.sa_handler = SIG_DFL;
	sigaction(SIGCONT, &sa, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(kind == BY_BLOCKED ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

struct outcome {
	long result;
	int handled, handled_late;
	uint64_t mask, memory, state;
	unsigned int fast;
};

/* The first word of it. */
static uint64_t signal_mask(void)
{
	uint64_t mask = 0;

	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof(mask));
	return mask;
}

static void play(const struct sd_scene *s, enum kind kind, enum sd_mode mode,
		 struct outcome *o)
{
	uint64_t args[6];
	struct sd_made made;
	pid_t caller = getpid(), pid;
	int status;

	memset(shared, 0, sizeof(*shared));
	s->prepare();
	sd_args_fill(&s->base);
	for (int i = 0; i < 6; i++)
		args[i] = sd_arg_value(&s->base.arg[i], i);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0)
		other_process(s, kind, caller);
	wait_for(&shared->held, 1, 20);
	expect(kind);
	sd_begin(mode);
	shared->armed = 1;
	made = sd_call(s->nr, args);
	shared->done = 1;
	o->handled = shared->handled;
	sd_end(mode);
	syscall(SYS_futex, &shared->done, FUTEX_WAKE, 9, NULL, NULL, 0);
	o->result = made.result;
	o->fast = made.fast;
	o->mask = signal_mask();
	o->memory = sd_args_digest(&s->base);
	o->state = sd_fixtures_digest(s->base.fixtures);
	expect(BY_HANDLER);
	o->handled_late = shared->handled;
	REQUIRE(waitpid(pid, &status, 0) == pid);
	if (!opt.native && mode != SD_NATIVE)
		CHECK_EQ(made.calls, 1);
}

static const char *difference(const struct outcome *a, const struct outcome *b)
{
	return a->result != b->result ? "result" :
	       a->handled != b->handled ? "number of handlers run" :
	       a->handled_late != b->handled_late ? "number of late handlers" :
	       a->mask != b->mask ? "signal mask" :
	       a->memory != b->memory ? "memory" :
	       a->state != b->state ? "side effect" : NULL;
}

/* The test itself: it did wait, signals did interrupt, restarts were restarts. */
static void check_scene(const struct sd_scene *s, enum kind kind, const struct outcome *o)
{
	/* EFAULT: the remaining time could not be told. */
	bool interrupted = o->result == -EINTR || o->result == -EFAULT;
	int want = kind == BY_IGNORED || kind == BY_STOP ? 0 :
		   kind == BY_BLOCKED ? o->handled :
		   interrupted ? 1 : SIGNALS;

	if (o->handled != want || (o->result < 0 && !interrupted &&
				   o->result != -ETIMEDOUT))
		FAIL("%s (scene %d), %s: %ld after %d signals, not %d", s->name,
		     (int)(s - sd_scenes), kind_name[kind], o->result, o->handled, want);
}

static void compare(const struct sd_scene *s, enum kind kind)
{
	struct outcome o[SD_NR_MODES];

	for (int mode = 0; mode < SD_NR_MODES; mode++) {
		int tries = 0;

		do {
			play(s, kind, mode, &o[mode]);
		} while (!opt.native && mode == SD_FAST && !o[mode].fast && ++tries < TRIES);
		if (!opt.native)
			CHECK_EQ(o[mode].fast, mode == SD_FAST);
	}
	for (int mode = 1; mode < SD_NR_MODES; mode++) {
		const char *what = difference(&o[mode], &o[0]);

		check_count++;
		if (what)
			FAIL("%s %s (scene %d), %s: another %s; %ld and %d+%d handled, natively %ld and %d+%d",
			     sd_mode_name[mode], s->name, (int)(s - sd_scenes),
			     kind_name[kind], what, o[mode].result, o[mode].handled,
			     o[mode].handled_late, o[0].result, o[0].handled,
			     o[0].handled_late);
	}
	check_scene(s, kind, &o[0]);
}

void sd_run_restarts(void)
{
	REQUIRE(mmap(SD_SHARED, SD_PAGE, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == SD_SHARED);
	for (unsigned int i = 0; i < sd_nr_scenes; i++)
		for (enum kind kind = 0; kind < NR_KINDS; kind++)
			compare(&sd_scenes[i], kind);
	signal(SIGUSR1, SIG_DFL);
	signal(SIGCONT, SIG_DFL);
	printf("    %u calls that wait, %d kinds of signals\n", sd_nr_scenes, NR_KINDS);
}
