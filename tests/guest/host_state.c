// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What a VM exit breaks of the host is right again when the thread is back in
 * plain mode: limit of the GDT, I/O bitmap, LDT. None of the parts switches
 * threads in between, which would repair some of it.
 */
#include "test.h"

#include <asm/ldt.h>
#include <pthread.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define LDT_SELECTOR ((5 << 3) | 4 | 3)		/* entry 5, LDT, RPL 3 */
#define GDT_SELECTORS 8192
#define PORT 0x80	/* takes a byte and does nothing */

/*
 * Memory behind the GDT holds registers that exceptions of user mode have
 * left there: make them look like a descriptor of a writable data segment.
 */
#define DESCRIPTOR 0x00cff3000000ffffull

static void leave_descriptors(volatile char *page)
{
	for (int i = 0; i < 20; i++) {
		madvise((void *)page, 4096, MADV_DONTNEED);
		asm volatile("mov %0, %%r12; mov %0, %%r13; mov %0, %%r14; mov %0, %%r15\n"
			     "mov %0, %%r8; mov %0, %%r9; mov %0, %%r10; mov %0, %%r11\n"
			     "movb $1, (%1)"
			     : : "b"(DESCRIPTOR), "r"(page)
			     : "r8", "r9", "r10", "r11", "r12", "r13", "r14",
			       "r15", "memory");
	}
}

/* Selectors of the GDT that user mode may look at. */
static int visible_selectors(int *last)
{
	int nr = 0;

	for (int i = 1; i < GDT_SELECTORS; i++) {
		unsigned long ar;
		bool ok;

		asm volatile("lar %2, %0" : "=r"(ar), "=@ccz"(ok)
			     : "r"((unsigned long)(i << 3 | 3)));
		if (ok) {
			nr++;
			*last = i;
		}
	}
	return nr;
}

static void gdt_limit(void)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int before, after, last = 0;

	REQUIRE(page != MAP_FAILED);
	pin_to(0);
	leave_descriptors(page);
	before = visible_selectors(&last);
	CHECK(last < 16);
	for (int i = 0; i < 10; i++) {
		mode_enter();
		mode_exit();
		leave_descriptors(page);
		after = visible_selectors(&last);
		CHECK_EQ(after, before);
		CHECK(last < 16);
	}
	munmap(page, 4096);
}

/* A re-issued call is in user mode too, with the guest's registers. */
static void gdt_limit_elsewhere(void)
{
	int before, last = 0;

	pin_to(0);
	before = visible_selectors(&last);
	mode_enter();
	syscall(SYS_umask, 022);
	sched_yield();
	mode_exit();
	CHECK_EQ(visible_selectors(&last), before);
}

static void io_bitmap(void)
{
	if (ioperm(PORT, 1, 1)) {
		printf("    no ioperm() here\n");
		return;
	}
	for (int i = 0; i < 10; i++) {
		outb(i, PORT);
		mode_enter();
		mode_exit();
		outb(i, PORT);
	}
	CHECK_EQ(ioperm(PORT, 1, 0), 0);
}

static bool selector_is_good(void)
{
	bool ok;
	unsigned long ar;

	asm volatile("lar %2, %0" : "=r"(ar), "=@ccz"(ok)
		     : "r"((unsigned long)LDT_SELECTOR));
	return ok;
}

static void write_ldt(unsigned int limit)
{
	struct user_desc desc = {
		.entry_number = LDT_SELECTOR >> 3,
		.base_addr = 0x10000,
		.limit = limit,
		.seg_32bit = 1,
		.useable = 1,
	};

	CHECK_EQ(syscall(SYS_modify_ldt, 1, &desc, sizeof(desc)), 0);
}

static volatile int phase;

/* The mm gets its first LDT while the other thread is in the guest. */
static void *ldt_writer(void *unused)
{
	pin_to(1);
	wait_for(&phase, 1, 30);
	write_ldt(0xfff);
	__atomic_store_n(&phase, 2, __ATOMIC_RELEASE);
	return NULL;
}

static void ldt_child(void *unused)
{
	pthread_t thread;

	pin_to(0);
	CHECK(!selector_is_good());
	REQUIRE(pthread_create(&thread, NULL, ldt_writer, NULL) == 0);
	mode_enter();
	__atomic_store_n(&phase, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&phase, __ATOMIC_ACQUIRE) != 2)
		;
	mode_exit();
	CHECK(selector_is_good());
	pthread_join(thread, NULL);

	/* And again, with one from the beginning. */
	mode_enter();
	mode_exit();
	CHECK(selector_is_good());
	if (check_failures)
		exit(1);
}

static void ldt(void)
{
	if (nr_cpus() < 2)
		return;
	CHECK_EQ(run_child(60, ldt_child, NULL), 0);
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ 0 });
	test_part("gdt_limit", gdt_limit);
	test_part("gdt_limit_elsewhere", gdt_limit_elsewhere);
	test_part("io_bitmap", io_bitmap);
	test_part("ldt", ldt);
	return test_end();
}
