// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What the program has asked for each signal, and what Linux knows of that: run_signal
 * for each that the program handles, and for those whose default makes a core file.
 *
 * Bare code, see run.h.
 */
#include <errno.h>

#include "action.h"
#include "rawsys.h"

/* What Linux keeps of sa_flags (UAPI_SA_FLAGS), and not of a mask. */
#define KERNEL_SA_RESTORER	0x04000000ul
#define SA_EXPOSE_TAGBITS	0x800ul
#define KEPT_FLAGS	(SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | \
			 SA_NODEFER | (uint32_t)SA_RESETHAND | SA_EXPOSE_TAGBITS | \
			 KERNEL_SA_RESTORER)
#define NEVER_BLOCKED	(RUN_BIT(SIGKILL) | RUN_BIT(SIGSTOP))

struct run_sigs run_sigs;

/* By default they make a core file, which is to show the program's registers. */
#define CORES	(RUN_BIT(SIGQUIT) | RUN_BIT(SIGILL) | RUN_BIT(SIGABRT) | RUN_BIT(SIGFPE) | \
		 RUN_BIT(SIGSEGV) | RUN_BIT(SIGBUS) | RUN_BIT(SIGSYS) | RUN_BIT(SIGTRAP) | \
		 RUN_BIT(SIGXCPU) | RUN_BIT(SIGXFSZ))

void run_sigs_lock(struct run_sigs *s)
{
	while (__atomic_exchange_n(&s->lock, 1, __ATOMIC_ACQUIRE))
		raw_syscall3(SYS_sched_yield, 0, 0, 0);
}

void run_sigs_unlock(struct run_sigs *s)
{
	__atomic_store_n(&s->lock, 0, __ATOMIC_RELEASE);
}

long action_of_linux(int sig, const struct run_action *new, struct run_action *old)
{
	return raw_syscall4(SYS_rt_sigaction, sig, (long)new, (long)old, sizeof(new->mask));
}

bool action_is_handler(const struct run_action *a)
{
	return a->handler != (uint64_t)SIG_DFL && a->handler != (uint64_t)SIG_IGN;
}

bool action_makes_core(int sig)
{
	return RUN_BIT(sig) & CORES;
}

/* Must Linux call us for it? */
static bool wanted(int sig, const struct run_action *a)
{
	if (action_is_handler(a) || RUN_BIT(sig) & RUN_OURS)
		return true;
	return a->handler == (uint64_t)SIG_DFL && action_makes_core(sig);
}

static long ask_linux(int sig, const struct run_action *a, struct run_action *old)
{
	struct run_action ours = {
		.handler = (uint64_t)run_signal,
		/* Reset by action_take(): Linux would at the first of two deliveries. */
		.flags = (a->flags & ~(uint64_t)SA_RESETHAND) | SA_SIGINFO,
		.restorer = a->restorer,
		.mask = RUN_ALL,
	};

	if (!wanted(sig, a))
		return action_of_linux(sig, a, old);
	if (!action_is_handler(a)) {
		ours.flags = SA_SIGINFO | SA_RESTART | KERNEL_SA_RESTORER;
		ours.restorer = (uint64_t)run_restorer;
	}
	return action_of_linux(sig, &ours, old);
}

/* As Linux has it after execve(): ignored, or default. */
void run_sigs_init(void)
{
	for (unsigned int sig = 1; sig <= RUN_NSIG; sig++) {
		struct run_action *a = &run_sigs.action[sig];

		if (!action_of_linux(sig, NULL, a) && wanted(sig, a))
			ask_linux(sig, a, NULL);
	}
}

void run_sigs_before_exec(struct run_sigs *s)
{
	run_sigs_lock(s);
	for (unsigned int sig = 1; sig <= RUN_NSIG; sig++)
		if (RUN_BIT(sig) & RUN_OURS && s->action[sig].handler == (uint64_t)SIG_IGN)
			action_of_linux(sig, &s->action[sig], NULL);
	run_sigs_unlock(s);
}

void run_sigs_after_exec(struct run_sigs *s)
{
	run_sigs_lock(s);
	for (unsigned int sig = 1; sig <= RUN_NSIG; sig++)
		if (RUN_BIT(sig) & RUN_OURS)
			ask_linux(sig, &s->action[sig], NULL);
	run_sigs_unlock(s);
}

/* What the program is told: its own. */
static void tell_old(int sig, const struct run_sigs *s, struct run_action *old)
{
	if (old->handler == (uint64_t)run_signal)
		*old = s->action[sig];
}

static long change(int sig, struct run_sigs *s, const struct run_action *new,
		   struct run_action *old)
{
	long err;

	run_sigs_lock(s);
	err = new ? ask_linux(sig, new, old) : action_of_linux(sig, NULL, old);
	if (!err) {
		tell_old(sig, s, old);
		if (new)
			s->action[sig] = *new;
	}
	run_sigs_unlock(s);
	return err;
}

long run_sigaction(struct dune_thread *t, const struct dune_regs *r)
{
	struct run_action new, old;
	uint64_t sig = r->rdi;
	long err;

	if (r->r10 != sizeof(new.mask) || sig < 1 || sig > RUN_NSIG)
		return -EINVAL;
	if (r->rsi && run_copy(&new, (void *)r->rsi, sizeof(new)))
		return -EFAULT;
	if (r->rsi && (sig == SIGKILL || sig == SIGSTOP))
		return -EINVAL;
	if (r->rsi) {
		new.flags &= KEPT_FLAGS;
		new.mask &= ~NEVER_BLOCKED;
	}
	err = change(sig, run_of(t)->sigs, r->rsi ? &new : NULL, &old);
	if (!err && r->rdx && run_copy((void *)r->rdx, &old, sizeof(old)))
		return -EFAULT;
	return err;
}

struct run_action action_take(struct run_sigs *s, int sig)
{
	struct run_action a;

	run_sigs_lock(s);
	a = s->action[sig];
	if (action_is_handler(&a) && a.flags & SA_RESETHAND) {
		s->action[sig].handler = (uint64_t)SIG_DFL;
		ask_linux(sig, &s->action[sig], NULL);
	}
	run_sigs_unlock(s);
	return a;
}
