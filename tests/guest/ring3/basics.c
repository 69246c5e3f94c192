// SPDX-License-Identifier: GPL-2.0 OR MIT
/* In and out of ring 3: system calls, traps, what it cannot do. */
#include "ring3.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct world w;

void part_arguments(void)
{
	world_init(&w, code_syscall, opt.seed);
	CHECK_EQ(dune_user_run(&w.u), -EINVAL);		/* in plain mode */
	mode_enter();
	own_set();
	w.u.regs.rip = NOT_CANONICAL;
	CHECK_EQ(dune_user_run(&w.u), -EINVAL);
	world_init(&w, code_syscall, opt.seed);
	w.u.fs_base = NOT_CANONICAL;
	CHECK_EQ(dune_user_run(&w.u), -EINVAL);
	world_init(&w, code_syscall, opt.seed);
	w.u.gs_base = NOT_CANONICAL;
	CHECK_EQ(dune_user_run(&w.u), -EINVAL);
	world_init(&w, code_syscall, opt.seed);
	w.u.xsave = (void *)0x1008;
	CHECK_EQ(dune_user_run(&w.u), -EINVAL);
	world_init(&w, code_syscall, opt.seed);
	w.u.reserved = 1;
	CHECK_EQ(dune_user_run(&w.u), -EINVAL);
	world_init(&w, code_syscall, opt.seed);
	w.u.pkru = 1;
	CHECK_EQ(dune_user_run(&w.u), -EINVAL);
	world_init(&w, code_syscall, opt.seed);
	expect(&w, DUNE_USER_SYSCALL, "the same, right");
	own_check("arguments");
	mode_exit();
}

/* Registers in and out, rsp with everything below and above it. */
void part_syscalls(void)
{
	uint64_t seed = opt.seed;
	struct dune_regs in;
	struct world copy;

	mode_enter();
	own_set();
	for (int i = 0; i < 50; i++) {
		world_init(&w, code_syscall, rnd(&seed));
		w.u.regs.rflags = (rnd(&seed) & 0x8d5) | 2 | (i & 1 ? 0x40400 : 0);
		in = w.u.regs;
		memcpy(copy.stack, w.stack, sizeof(copy.stack));
		expect(&w, DUNE_USER_SYSCALL, "syscall");
		regs_equal(&w.u.regs, &in, "syscall");
		CHECK_EQ(w.u.regs.rsp, in.rsp);
		CHECK_EQ(w.u.regs.rip, (uintptr_t)code_syscall + 2);
		CHECK_EQ(w.u.regs.rcx, w.u.regs.rip);
		CHECK_EQ(w.u.regs.rflags, in.rflags | 0x200);
		CHECK_EQ(memcmp(copy.stack, w.stack, sizeof(copy.stack)), 0);
		CHECK_EQ(w.u.fs_base, 0x123456789000);
		CHECK_EQ(w.u.gs_base, 0xffff987654321000);
		own_check("syscall");
		/* And on from there. */
		w.u.regs.rax = 1234;
		expect(&w, DUNE_USER_SYSCALL, "syscall again");
		CHECK_EQ(w.u.regs.rax, 1234);
	}
	mode_exit();
}

static enum dune_user_action count_calls(struct dune_user *u, void *arg)
{
	int *left = arg;

	CHECK(dune_inside());
	CHECK_EQ(syscall(SYS_getpid), getpid());
	own_check("handler");
	u->regs.rax++;
	return --*left ? DUNE_USER_CONTINUE : DUNE_USER_RETURN;
}

static enum dune_user_action spoils_rip(struct dune_user *u, void *arg)
{
	u->regs.rip = NOT_CANONICAL;
	return DUNE_USER_CONTINUE;
}

void part_handler(void)
{
	int left = 100;

	mode_enter();
	own_set();
	world_init(&w, code_syscall, opt.seed);
	w.u.regs.rax = 0;
	w.u.syscall = count_calls;
	w.u.arg = &left;
	expect(&w, DUNE_USER_SYSCALL, "the last call");
	CHECK_EQ(left, 0);
	CHECK_EQ(w.u.regs.rax, 100);
	w.u.syscall = spoils_rip;
	CHECK_EQ(dune_user_run(&w.u), -EINVAL);
	own_check("handler");
	mode_exit();
}

void part_traps(void)
{
	struct dune_regs in;

	mode_enter();
	own_set();
	for (int i = 0; i < 20; i++) {
		world_init(&w, code_ud2, opt.seed + i);
		in = w.u.regs;
		expect_trap(&w, DUNE_VECTOR_UD, 0, code_ud2, "ud2");
		regs_equal(&w.u.regs, &in, "ud2");
		CHECK_EQ(w.u.regs.rcx, in.rcx);
		CHECK_EQ(w.u.regs.r11, in.r11);
		CHECK_EQ(w.u.regs.rsp, in.rsp);
		own_check("ud2");
	}
	mode_exit();
}

static const void *insn_of(const struct hostile *h)
{
	extern const char hostile_iret0_insn[], hostile_lret0_insn[];

	if (!strcmp(h->name, "iret0"))
		return hostile_iret0_insn;
	if (!strcmp(h->name, "lret0"))
		return hostile_lret0_insn;
	return h->insn + h->length;
}

/* What is not ring 3's to execute. */
void part_hostile(void)
{
	mode_enter();
	own_set();
	for (unsigned int i = 0; i < nr_hostile; i++) {
		world_init(&w, hostile[i].insn, opt.seed);
		w.u.regs.rcx = 0;
		w.u.regs.rdx = 0;
		w.u.regs.rax = 3;
		expect_trap(&w, hostile[i].vector, hostile[i].error_code,
			    insn_of(&hostile[i]), hostile[i].name);
		own_check(hostile[i].name);
	}
	mode_exit();
}

/* The module's door is shut: no hypercall, no system call. */
void part_vmcall(void)
{
	static const uint64_t numbers[] = {
		SYS_getppid, SYS_exit_group, DUNE_HC_LEAVE, DUNE_HC_SLOT, DUNE_HC_EXIT,
		DUNE_HC_NOP, 0x1234567,
	};

	mode_enter();
	own_set();
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		world_init(&w, code_vmcall, opt.seed);
		w.u.regs.rax = numbers[i];
		/* An exit is to be seen. */
		w.u.regs.rdi = numbers[i] == SYS_exit_group;
		expect_trap(&w, DUNE_VECTOR_UD, 0, code_vmcall, "vmcall");
		CHECK_EQ(w.u.regs.rax, numbers[i]);
		own_check("vmcall");
	}
	mode_exit();
	/* Nor after a while outside, when the flags were set anew. */
	mode_enter();
	world_init(&w, code_vmcall, opt.seed);
	w.u.regs.rax = SYS_exit_group;
	w.u.regs.rdi = 1;
	expect_trap(&w, DUNE_VECTOR_UD, 0, code_vmcall, "vmcall after dune_exit()");
	mode_exit();
}

/* Whatever rsp is: nothing is written there by a call or a trap. */
void part_bad_stacks(void)
{
	uint64_t canary[512];
	uint64_t stacks[] = {
		0, 8, 0x7fffffffffff, NOWHERE, NOT_CANONICAL, ~0ul, 1,
		(uintptr_t)(canary + 256), (uintptr_t)(canary + 256) + 4,
		(uintptr_t)__builtin_frame_address(0),
	};

	mode_enter();
	own_set();
	for (int i = 0; i < 512; i++)
		canary[i] = i * 0x9e3779b97f4a7c15;
	for (size_t i = 0; i < ARRAY_SIZE(stacks); i++) {
		world_init(&w, code_syscall, opt.seed);
		w.u.regs.rsp = stacks[i];
		expect(&w, DUNE_USER_SYSCALL, "syscall on a bad stack");
		CHECK_EQ(w.u.regs.rsp, stacks[i]);
		own_check("syscall on a bad stack");
		w.u.regs.rip = (uintptr_t)code_ud2;
		expect_trap(&w, DUNE_VECTOR_UD, 0, code_ud2, "ud2 on a bad stack");
		CHECK_EQ(w.u.regs.rsp, stacks[i]);
		own_check("ud2 on a bad stack");
	}
	for (int i = 0; i < 512; i++)
		CHECK(canary[i] == i * 0x9e3779b97f4a7c15);
	mode_exit();
}

void part_bases(void)
{
	static const uint64_t bases[] = { 0, 0x1000, 0x7fffffffffff, NOWHERE, ~0ul };

	mode_enter();
	own_set();
	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		world_init(&w, code_fsgs, opt.seed);
		w.u.regs.rdi = bases[i];
		w.u.regs.rsi = bases[ARRAY_SIZE(bases) - 1 - i];
		expect(&w, DUNE_USER_SYSCALL, "bases");
		CHECK_EQ(w.u.fs_base, bases[i]);
		CHECK_EQ(w.u.gs_base, bases[ARRAY_SIZE(bases) - 1 - i]);
		own_check("bases");
		/* It finds them again. */
		w.u.regs.rip = (uintptr_t)code_syscall;
		expect(&w, DUNE_USER_SYSCALL, "bases kept");
		CHECK_EQ(w.u.fs_base, bases[i]);
		/* Linux' own calls see ring 0's. */
		CHECK_EQ(syscall(SYS_getpid), getpid());
		own_check("bases and a call");
	}
	mode_exit();
}

static enum dune_user_action with_iopl(struct dune_user *u, void *arg)
{
	uint64_t old = __builtin_ia32_readeflags_u64();

	__builtin_ia32_writeeflags_u64(old | 0x3000);
	CHECK_EQ(syscall(SYS_getppid), getppid());
	CHECK(__builtin_ia32_readeflags_u64() & 0x3000);
	__builtin_ia32_writeeflags_u64(old);
	++*(int *)arg;
	return DUNE_USER_RETURN;
}

/* SYSCALL is told apart by IOPL, which ring 3 cannot change and ring 0 may. */
void part_iopl(void)
{
	int calls = 0;

	mode_enter();
	own_set();
	world_init(&w, code_iopl, opt.seed);
	w.u.regs.rdi = SYS_exit_group;
	expect(&w, DUNE_USER_SYSCALL, "iopl");
	CHECK_EQ(w.u.regs.rip, (uintptr_t)code_iopl_end);
	CHECK(w.u.regs.rbx & 0x200);
	own_check("iopl");
	/* Nor does ring 0's IOPL make its calls ring 3's. */
	with_iopl(&w.u, &calls);
	world_init(&w, code_syscall, opt.seed);
	w.u.syscall = with_iopl;
	w.u.arg = &calls;
	w.u.regs.rflags |= 0x3000;
	expect(&w, DUNE_USER_SYSCALL, "iopl in the handler");
	CHECK_EQ(w.u.regs.rflags & 0x3000, 0);
	CHECK_EQ(calls, 2);
	mode_exit();
}

void part_segments(void)
{
	uint8_t *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	REQUIRE(low != MAP_FAILED);
	memcpy(low, "\x0f\x0b\x0f\x05\xcd\x80", 6);	/* ud2, syscall, int $0x80 */
	mode_enter();
	own_set();
	world_init(&w, code_segments, opt.seed);
	expect(&w, DUNE_USER_SYSCALL, "segments");
	own_check("segments");
	/* 32-bit code. */
	world_init(&w, code_compat, opt.seed);
	w.u.regs.rdi = (uintptr_t)low;
	expect_trap(&w, DUNE_VECTOR_UD, 0, low, "32-bit code");
	own_check("32-bit code");
	world_init(&w, code_compat, opt.seed);
	w.u.regs.rdi = (uintptr_t)low + 2;
	expect_trap(&w, DUNE_VECTOR_UD, 0, low + 2, "32-bit SYSCALL");
	world_init(&w, code_compat, opt.seed);
	w.u.regs.rdi = (uintptr_t)low + 4;
	expect_trap(&w, DUNE_VECTOR_GP, 0x80 * 8 + 2, low + 4, "32-bit int $0x80");
	own_check("32-bit calls");
	CHECK_EQ(syscall(SYS_getpid), getpid());
	mode_exit();
	CHECK_EQ(syscall(SYS_getpid), getpid());
	munmap(low, 4096);
}

void part_step_align(void)
{
	mode_enter();
	own_set();
	world_init(&w, code_step, opt.seed);
	for (int i = 1; i <= 3; i++) {
		w.u.regs.rflags |= 0x100;
		expect_trap(&w, DUNE_VECTOR_DB, 0, code_step + i, "single step");
		CHECK(w.u.regs.rflags & 0x100);
		own_check("single step");
	}
	/* A step over SYSCALL ends in ring 0, which is not stepped. */
	world_init(&w, code_syscall, opt.seed);
	w.u.regs.rflags |= 0x100;
	expect(&w, DUNE_USER_SYSCALL, "step over syscall");
	own_check("step over syscall");
	world_init(&w, code_align, opt.seed);
	w.u.regs.rflags |= 0x40000;
	expect_trap(&w, DUNE_VECTOR_AC, 0, code_align, "alignment check");
	own_check("alignment check");
	mode_exit();
}

static int child_of_handler;

static enum dune_user_action forks(struct dune_user *u, void *arg)
{
	pid_t pid = fork();
	int status = 0;

	if (!pid) {
		child_of_handler = 1;
		return DUNE_USER_CONTINUE;
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	return DUNE_USER_RETURN;
}

/* A child is in plain mode: it must not run ring 3's code there. */
void part_fork(void)
{
	int reason;

	mode_enter();
	own_set();
	world_init(&w, code_syscall, opt.seed);
	w.u.syscall = forks;
	reason = dune_user_run(&w.u);
	if (child_of_handler)
		_exit(reason == -ECANCELED && !dune_inside() ? 42 : 43);
	CHECK_EQ(reason, DUNE_USER_SYSCALL);
	own_check("fork");
	mode_exit();
}
