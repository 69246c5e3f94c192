// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Alternate signal stacks. */
#include "abi.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM	(1u << 31)
#endif

static char alternate[64 << 10];
static volatile int count;
static volatile uint64_t at;
static stack_t inside;

static bool is_on_alternate(uint64_t address)
{
	return address >= (uint64_t)alternate && address < (uint64_t)alternate + sizeof(alternate);
}

static void look(int sig, siginfo_t *info, void *context)
{
	at = (uint64_t)__builtin_frame_address(0);
	sigaltstack(NULL, &inside);
	count++;
	if (sig == SIGUSR2)
		raise(SIGUSR1);
}

static void use(int flags)
{
	const stack_t ss = { .ss_sp = alternate, .ss_size = sizeof(alternate), .ss_flags = flags };

	REQUIRE(!sigaltstack(&ss, NULL));
}

static void on_stack(void)
{
	stack_t ss;

	CHECK_EQ(sigaltstack(NULL, &ss), 0);
	CHECK_EQ(ss.ss_flags, SS_DISABLE);
	use(0);
	handle(SIGUSR1, look, SA_ONSTACK);
	raise(SIGUSR1);
	CHECK_EQ(count, 1);
	CHECK(is_on_alternate(at));
	CHECK_EQ(inside.ss_flags, SS_ONSTACK);
	CHECK_EQ(sigaltstack(NULL, &ss), 0);
	CHECK_EQ(ss.ss_flags, 0);
	CHECK(ss.ss_sp == alternate);

	handle(SIGUSR1, look, 0);
	raise(SIGUSR1);
	CHECK(!is_on_alternate(at));
	CHECK_EQ(inside.ss_flags, 0);

	/* Nested: both on it. */
	handle(SIGUSR1, look, SA_ONSTACK);
	handle(SIGUSR2, look, SA_ONSTACK);
	count = 0;
	raise(SIGUSR2);
	CHECK_EQ(count, 2);
	CHECK(is_on_alternate(at));
}

static void refuse(int sig, siginfo_t *info, void *context)
{
	const stack_t ss = { .ss_flags = SS_DISABLE };

	at = sigaltstack(&ss, NULL) == -1 && errno == EPERM;
}

static void changes(void)
{
	const stack_t small = { .ss_sp = alternate, .ss_size = 100 };
	const stack_t wrong = { .ss_sp = alternate, .ss_size = sizeof(alternate), .ss_flags = 77 };
	stack_t ss;

	CHECK_ERRNO(sigaltstack(&small, NULL), ENOMEM);
	CHECK_ERRNO(sigaltstack(&wrong, NULL), EINVAL);
	use(0);
	handle(SIGUSR1, refuse, SA_ONSTACK);
	raise(SIGUSR1);
	CHECK_EQ(at, 1);

	use(SS_AUTODISARM);
	handle(SIGUSR1, look, SA_ONSTACK);
	raise(SIGUSR1);
	CHECK(is_on_alternate(at));
	CHECK_EQ(inside.ss_flags, SS_DISABLE);
	CHECK_EQ(sigaltstack(NULL, &ss), 0);
	CHECK_EQ(ss.ss_flags, (int)SS_AUTODISARM);
	CHECK_EQ(ss.ss_size, sizeof(alternate));
}

/* --- the main stack overflows --- */

static sigjmp_buf back;
static volatile uint64_t fault_at, fault_sp;

static void overflowed(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	count++;
	at = (uint64_t)__builtin_frame_address(0);
	fault_at = (uint64_t)info->si_addr;
	fault_sp = uc->uc_mcontext.gregs[REG_RSP];
	siglongjmp(back, 1);
}

static int __attribute__((noinline)) deeper(int n)
{
	volatile char page[4096];

	page[0] = n;
	return n == 0 ? 0 : deeper(n - 1) + page[0];
}

static volatile int depth = 1 << 20;

static void overflow(void)
{
	const struct rlimit limit = { 1 << 20, 1 << 20 };

	use(0);
	handle(SIGSEGV, overflowed, SA_ONSTACK);
	REQUIRE(!setrlimit(RLIMIT_STACK, &limit));
	for (int i = 0; i < 3; i++) {
		if (!sigsetjmp(back, 1))
			depth = deeper(depth);
		CHECK_EQ(count, i + 1);
		CHECK(is_on_alternate(at));
		CHECK_IN(fault_at, fault_sp - 8192, fault_sp + 8192);
	}
}

static void without(void *arg)
{
	const struct rlimit limit = { 1 << 20, 1 << 20 };

	handle(SIGSEGV, overflowed, 0);
	REQUIRE(!setrlimit(RLIMIT_STACK, &limit));
	depth = deeper(depth);
}

/* No place for a frame: Linux kills it. */
static void no_frame(void)
{
	CHECK_EQ(status_of(without, NULL) & 0x7f, SIGSEGV);
}

static void *thread_overflows(void *arg)
{
	static char stack[64 << 10];
	const stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
	stack_t old;

	CHECK_EQ(sigaltstack(NULL, &old), 0);
	CHECK_EQ(old.ss_flags, SS_DISABLE);
	CHECK_EQ(sigaltstack(&ss, NULL), 0);
	if (!sigsetjmp(back, 1))
		depth = deeper(depth);
	CHECK(at >= (uint64_t)stack && at < (uint64_t)stack + sizeof(stack));
	return NULL;
}

/* Of a thread's stack: its guard page. A thread has an alternate stack of its own. */
static void thread_overflow(void)
{
	pthread_t thread;

	use(0);
	handle(SIGSEGV, overflowed, SA_ONSTACK);
	REQUIRE(!pthread_create(&thread, NULL, thread_overflows, NULL));
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(count, 1);
}

const struct part stack_signal_parts[] = {
	{ "on_stack", "SA_ONSTACK, also nested", on_stack },
	{ "altstack", "what sigaltstack() refuses; SS_AUTODISARM", changes },
	{ "overflow", "the main stack overflows, and goes on", overflow },
	{ "no_frame", "it overflows without an alternate stack", no_frame },
	{ "thread_overflow", "a thread's stack overflows", thread_overflow },
	{ NULL, NULL, NULL },
};
