// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The program's signals: handlers run in Dune mode, on the frame that Linux made,
 * and see the guest's registers there.
 *
 * Linux knows run_signal for each signal that the program handles. It comes in
 * plain mode, with all signals blocked, while the thread's context stands
 *   - in the stub: the guest's registers are known. They go into the frame, and the
 *     guest goes on in the handler, with the signal mask that Linux would have set;
 *   - in our C code, or the guest is in libdune's code: the signal is queued again
 *     and all are blocked until that is over (pending), see run_defer();
 *   - in the program's code, natively: an exception that is to become a signal, or
 *     a thread that Dune could not follow.
 *
 * rt_sigreturn takes the registers out of the frame, lets a copy of it lead to the
 * stub, and is Linux' own for the rest: mask, alternate stack, vector registers.
 *
 * Bare code, see run.h.
 */
#include <errno.h>

#include "action.h"
#include "rawsys.h"
#include "run.h"

/* What sigreturn lets a process set. */
#define USER_FLAGS	0x50dd5ull
#define FLAG_DF		0x400ull
#define FLAG_RF		0x10000ull

/* For the stub. */
const uint64_t run_most = ~RUN_OURS;

/* --- frames --- */

static const uint8_t gregs[][2] = {
	{ REG_R8, 8 }, { REG_R9, 9 }, { REG_R10, 10 }, { REG_R11, 11 }, { REG_R12, 12 },
	{ REG_R13, 13 }, { REG_R14, 14 }, { REG_R15, 15 }, { REG_RDI, 7 }, { REG_RSI, 6 },
	{ REG_RBP, 5 }, { REG_RBX, 3 }, { REG_RDX, 2 }, { REG_RAX, 0 }, { REG_RCX, 1 },
	{ REG_RSP, 4 }, { REG_RIP, 16 },
};

#define NR_GREGS	(sizeof(gregs) / sizeof(*gregs))

static void to_frame(greg_t *g, const struct dune_regs *r)
{
	for (unsigned int i = 0; i < NR_GREGS; i++)
		g[gregs[i][0]] = ((const uint64_t *)r)[gregs[i][1]];
	g[REG_EFL] = r->rflags;
}

static void from_frame(struct dune_regs *r, const greg_t *g)
{
	for (unsigned int i = 0; i < NR_GREGS; i++)
		((uint64_t *)r)[gregs[i][1]] = g[gregs[i][0]];
	r->rflags = (g[REG_EFL] & USER_FLAGS) | FLAG_IF | FLAGS_FIXED;
}

static bool within(uint64_t ip, const void *from, const void *to)
{
	return ip >= (uint64_t)from && ip < (uint64_t)to;
}

static bool is_ours(uint64_t rip)
{
	return within(rip, __ehdr_start, _end);
}

/* libdune's code in the guest, and the page where SYSCALL lands. */
static bool guest_is_ours(uint64_t rip)
{
	return rip >= USER_END || is_ours(rip);
}

static void behind_call(struct dune_regs *r)
{
	r->rip = r->rcx;
	r->rflags = r->r11;
}

static void at_call(struct dune_regs *r, uint64_t nr)
{
	r->rip = r->rcx - SYSCALL_SIZE;
	r->rflags = r->r11;
	r->rax = nr;
}

/*
 * The program's registers, while the thread stands in the stub with *g. False: the
 * guest is in code of ours.
 */
static bool program_regs(const struct dune_thread *t, const greg_t *g, struct dune_regs *r)
{
	uint64_t ip = g[REG_RIP];

	*r = t->page->regs;
	if (within(ip, run_called, run_not_call)) {
		r->rax = g[REG_RAX];
		behind_call(r);
	} else if (ip == (uint64_t)run_call) {
		at_call(r, g[REG_RAX]);
	} else if (within(ip, run_ioctl_end, run_call)) {
		if (!g[REG_RAX])
			at_call(r, (uint32_t)r->rax);
	} else if (within(ip, run_stub, run_ioctl_end)) {
		r->rax = g[REG_R14];
		if (!g[REG_R13])
			behind_call(r);
	}
	return !guest_is_ours(r->rip);
}

/* --- delivery --- */

/*
 * It has just been taken from the queue, so there is room for it; but others may
 * have taken that. Then it comes without its siginfo, as Linux does with one that
 * kill() has sent.
 */
static void queue_again(int sig, const siginfo_t *info)
{
	const long pid = raw_syscall3(SYS_getpid, 0, 0, 0), tid = raw_syscall3(SYS_gettid, 0, 0, 0);
	const siginfo_t bare = { .si_code = SI_USER };

	if (raw_syscall4(SYS_rt_tgsigqueueinfo, pid, tid, sig, (long)info) == -EAGAIN)
		raw_syscall4(SYS_rt_tgsigqueueinfo, pid, tid, sig, (long)&bare);
}

static void mask_set(ucontext_t *uc, uint64_t mask)
{
	__builtin_memcpy(&uc->uc_sigmask, &mask, sizeof(mask));
}

static uint64_t mask_get(const ucontext_t *uc)
{
	uint64_t mask;

	__builtin_memcpy(&mask, &uc->uc_sigmask, sizeof(mask));
	return mask;
}

/* Its mask has been kept when it was blocked: run_thread() sets that. */
static void defer_to_start(int sig, siginfo_t *info, ucontext_t *uc)
{
	queue_again(sig, info);
	mask_set(uc, mask_get(uc) | RUN_BIT(sig));
}

/*
 * On the interrupted code's stack. Or that was run_copy(), with an address of the
 * program's that is none. t NULL: a thread that is not ready yet.
 */
void run_defer(struct dune_thread *t, int sig, siginfo_t *info, ucontext_t *uc)
{
	struct run_thread *run;

	if (uc->uc_mcontext.gregs[REG_RIP] == (greg_t)(uint64_t)run_copy_insn &&
	    RUN_BIT(sig) & RUN_OURS && info->si_code > 0) {
		uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uint64_t)run_copy_fault;
		return;
	}
	if (!t) {
		defer_to_start(sig, info, uc);
		return;
	}
	run = run_of(t);
	if (!run->pending)
		run->mask = mask_get(uc);
	run->pending = 1;
	queue_again(sig, info);
	mask_set(uc, RUN_ALL);
}

/* The guest leaves libdune's code when its interrupts come on: run_guest_deferred(). */
static void defer_to_guest(struct dune_thread *t, int sig, siginfo_t *info, ucontext_t *uc)
{
	run_defer(t, sig, info, uc);
	__atomic_fetch_or(&t->page->requests, DUNE_REQ_IRQ, __ATOMIC_SEQ_CST);
}

/* Where SYSCALL lands interrupts come on before the call is made. */
static void undo_call(struct dune_regs *r)
{
	uint64_t rip = r->rip;

	if (!within(rip, dune_syscall_entry, dune_syscall_raised + 1))
		return;
	if (within(rip, dune_syscall_made, dune_syscall_raised + 1)) {
		if (rip != (uint64_t)dune_syscall_made && rip != (uint64_t)dune_syscall_raised)
			r->rsp += rip == (uint64_t)dune_syscall_pushed ? REDZONE + 8 : REDZONE;
		behind_call(r);
		return;
	}
	if (rip == (uint64_t)dune_syscall_shifted)
		r->r11 >>= 32;
	else if (within(rip, dune_syscall_packed, dune_syscall_unpacked))
		r->r11 = r->rax >> 32;
	at_call(r, (uint32_t)r->rax);
}

/* The handler of our vector, in the guest. */
enum dune_trap_action run_guest_deferred(struct dune_trap *f, void *arg)
{
	struct dune_thread *t = dune_thread_at(f);
	struct run_thread *run = run_of(t);
	struct dune_regs *r = &run->regs;

	(void)arg;
	if (!run->pending)
		return DUNE_TRAP_RESUME;
	*r = (struct dune_regs){
		.rax = f->rax, .rcx = f->rcx, .rdx = f->rdx, .rbx = f->rbx, .rsp = f->rsp,
		.rbp = f->rbp, .rsi = f->rsi, .rdi = f->rdi, .r8 = f->r8, .r9 = f->r9,
		.r10 = f->r10, .r11 = f->r11, .r12 = f->r12, .r13 = f->r13, .r14 = f->r14,
		.r15 = f->r15, .rip = f->rip, .rflags = f->rflags,
	};
	undo_call(r);
	/* This handler does not go on: its level of the stack is free. */
	dune_tss_build(t);
	trap_grace_reset(&t->grace);
	run->left = 1;
	dune_vmcall(DUNE_HC_EXIT, 0);
	__builtin_trap();
}

/* It happens, once more, to the program's registers, and Linux does what it does. */
static void by_default(int sig, siginfo_t *info, ucontext_t *uc)
{
	const struct run_action dfl = { .handler = (uint64_t)SIG_DFL };

	action_of_linux(sig, &dfl, NULL);
	queue_again(sig, info);
	mask_set(uc, mask_get(uc) & ~RUN_BIT(sig));
}

static uint64_t mask_of_handler(int sig, const struct run_action *a, uint64_t mask)
{
	return mask | a->mask | (a->flags & SA_NODEFER ? 0 : RUN_BIT(sig));
}

/* io_uring_enter()'s flags. */
#define IORING_ENTER_GETEVENTS		(1u << 0)
#define IORING_ENTER_EXT_ARG		(1u << 3)	/* the mask is in a structure */
#define IORING_ENTER_REGISTERED_ARG	(1u << 6)	/* and that is no address */

/* Where a call's argument says what signal mask it waits with; 0: it is no such call. */
static uint64_t waits_with(const struct dune_regs *r)
{
	uint64_t set[2];

	switch ((uint32_t)r->rax) {
	case SYS_rt_sigsuspend:
		return r->rdi;
	case SYS_ppoll:
		return r->r10;
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
		return r->r8;
	case SYS_io_pgetevents:
	case SYS_pselect6:
		return r->r9 && !run_copy(set, (void *)r->r9, sizeof(set)) ? set[0] : 0;
	case SYS_io_uring_enter:
		if (!(r->r10 & IORING_ENTER_GETEVENTS) || r->r10 & IORING_ENTER_REGISTERED_ARG)
			return 0;
		if (!(r->r10 & IORING_ENTER_EXT_ARG))
			return r->r8;
		return r->r8 && !run_copy(set, (void *)r->r8, sizeof(set)) ? set[0] : 0;
	default:
		return 0;
	}
}

/*
 * The mask that the signal came through. A call that waits with another one is
 * still about to give back the thread's: that is what the frame has. It ends with
 * EINTR, or, io_uring_enter() that has submitted something, with how much; then a
 * signal that the thread blocks has come through the call's mask.
 */
static uint64_t mask_now(const struct dune_thread *t, const ucontext_t *uc, int sig)
{
	const greg_t *g = uc->uc_mcontext.gregs;
	uint64_t mask = mask_get(uc), there = 0;

	if (within(g[REG_RIP], run_called, run_not_call) &&
	    (g[REG_RAX] == -EINTR || mask & RUN_BIT(sig)))
		there = waits_with(&t->page->regs);
	if (there)
		run_copy(&mask, (void *)there, sizeof(mask));
	return mask;
}

static void into_handler(struct dune_thread *t, int sig, siginfo_t *info, ucontext_t *uc,
			 uint64_t frame)
{
	struct run_thread *run = run_of(t);
	struct dune_regs *r = &t->page->regs;

	r->rdi = sig;
	r->rsi = (uint64_t)info;
	r->rdx = (uint64_t)uc;
	r->rax = 0;
	r->rsp = frame;
	r->rflags = (r->rflags & USER_FLAGS & ~(FLAG_DF | FLAG_RF | FLAG_TF)) |
		    FLAG_IF | FLAGS_FIXED;
	t->page->sync |= DUNE_SYNC_REGS;
	run->pending = 1;
}

/* On the host stack. 0: the guest goes on in the handler; else natively, by *uc. */
int run_deliver(struct dune_thread *t, int sig, siginfo_t *info, ucontext_t *uc, uint64_t frame)
{
	struct run_thread *run = run_of(t);
	struct run_action a;
	greg_t *g = uc->uc_mcontext.gregs;
	struct dune_regs r;

	if (is_ours(g[REG_RIP])) {
		if (!program_regs(t, g, &r)) {
			defer_to_guest(t, sig, info, uc);
			return 1;
		}
	} else {
		from_frame(&r, g);
	}
	a = action_take(run->sigs, sig);
	if (is_ours(g[REG_RIP])) {
		if (a.handler == (uint64_t)SIG_IGN && info->si_code <= 0)
			return 1;
	}
	/* It has a handler no more: Linux knows. */
	if (!action_is_handler(&a) && !action_makes_core(sig)) {
		queue_again(sig, info);
		return 1;
	}
	run->mask = mask_of_handler(sig, &a, mask_now(t, uc, sig));
	/* Of a call: where it was made. Of a step that libdune has made a signal: which. */
	if (sig == SIGSYS && info->si_code > 0)
		info->si_call_addr = (void *)r.rip;
	if (sig == SIGTRAP && info->si_code == TRAP_TRACE)
		g[REG_TRAPNO] = DUNE_VECTOR_DB;
	to_frame(g, &r);
	if (!action_is_handler(&a)) {
		by_default(sig, info, uc);
		return 1;
	}
	t->page->regs = r;
	into_handler(t, sig, info, uc, frame);
	t->page->regs.rip = a.handler;
	return 0;
}

/* A thread that is in plain mode for good: the handler, or 0. */
uint64_t run_native_handler(int sig, siginfo_t *info, ucontext_t *uc)
{
	struct run_action a = action_take(&run_sigs, sig);
	uint64_t mask;

	if (a.handler == (uint64_t)SIG_IGN && info->si_code <= 0)
		return 0;

	if (!action_is_handler(&a)) {
		by_default(sig, info, uc);
		return 0;
	}
	mask = mask_of_handler(sig, &a, mask_get(uc));
	raw_syscall4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, sizeof(mask));
	return a.handler;
}

struct dune_thread *run_find(void)
{
	return run_thread_by_tid(raw_syscall3(SYS_gettid, 0, 0, 0));
}

/*
 * The program goes on natively: its fault is to become a signal. A signal that
 * came meanwhile waits up to there, as does one that comes now.
 */
uint64_t run_native_mask(struct dune_thread *t, uint64_t mask)
{
	struct run_thread *run = run_of(t);

	if (run->pending)
		mask = run->mask;
	run->pending = 0;
	return mask;
}

/*
 * Linux takes a copy of the frame, in which the registers are the stub's. The vector
 * registers are where the frame says.
 */
int run_sigreturn(struct dune_thread *t)
{
	struct run_thread *run = run_of(t);
	ucontext_t *uc = (ucontext_t *)run->frame;
	greg_t *g = uc->uc_mcontext.gregs;

	run->sp = t->page->regs.rsp;
	/* No frame, or no address to go on at: Linux sends SIGSEGV for that. */
	if (run_copy(uc, (void *)run->sp, RUN_FRAME) || (uint64_t)g[REG_RIP] >= USER_END) {
		run_at_call(t);
		return RUN_SIGRETURN;
	}
	dune_block_signals();
	run->pending = 0;
	from_frame(&t->page->regs, g);
	g[REG_RIP] = (greg_t)(uint64_t)run_reload;
	g[REG_R12] = (greg_t)(uint64_t)t;
	g[REG_EFL] = FLAG_IF | FLAGS_FIXED;
	run->sp = (uint64_t)uc;
	t->page->sync |= DUNE_SYNC_REGS;
	return RUN_SIGRETURN;
}

#define MIN_ALT		2048u
#define SS_MODES	(SS_DISABLE | SS_ONSTACK)

/* The call itself is made by the stub, with the program's rsp. When will it do what? */
void run_sigaltstack(struct dune_thread *t, const struct dune_regs *r)
{
	struct run_thread *run = run_of(t);
	stack_t ss;

	if (!r->rdi || run_copy(&ss, (void *)r->rdi, sizeof(ss)) ||
	    (r->rsp >= run->alt_low && r->rsp <= run->alt_high))
		return;
	if ((ss.ss_flags & SS_MODES) == SS_DISABLE) {
		run->alt_low = ~0ull;
		run->alt_high = 0;
	} else if (ss.ss_size >= MIN_ALT) {
		run->alt_low = (uint64_t)ss.ss_sp;
		run->alt_high = run->alt_low + ss.ss_size;
	}
}
