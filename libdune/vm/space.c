// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Address space for tables, views and roots; see space.h. */
#include <sys/mman.h>

#include "hw.h"
#include "pool.h"
#include "space.h"
#include "view.h"

#define SPACE_SIZE	(1ull << REGION_SHIFT)
#define SPACE_BLOCKS	(SPACE_SIZE / BLOCK_SIZE)

/* At the begin of each space, and kept by a fork. */
struct space {
	struct space *next;
	unsigned int used;	/* blocks, from the begin on */
};

/* Blocks that were given back: a list by the first word, one for each nr. */
struct run {
	struct run *next;
	unsigned int nr;
};

/* Under vm_state.space_lock; survives in a forked child. */
static struct space *spaces;
static struct run *runs;

static char *map_aligned(void)
{
	const long flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	u64 p, start;

	if (hw_out_of_memory())
		return NULL;
	p = hw_syscall(SYS_mmap, 0, 2 * SPACE_SIZE, PROT_NONE, flags, -1, 0);
	if (p >= -4095ull)
		return NULL;
	start = (p + SPACE_SIZE - 1) & ~(SPACE_SIZE - 1);
	if (start > p)
		hw_syscall(SYS_munmap, p, start - p, 0, 0, 0, 0);
	if (start < p + SPACE_SIZE)
		hw_syscall(SYS_munmap, start + SPACE_SIZE, p + SPACE_SIZE - start, 0, 0, 0, 0);
	return (char *)start;
}

static long advise(void *p, u64 len, int advice)
{
	return hw_syscall(SYS_madvise, (long)p, len, advice, 0, 0, 0);
}

static bool make_writable(void *p, u64 len)
{
	return !hw_out_of_memory() &&
	       !hw_syscall(SYS_mprotect, (long)p, len, PROT_READ | PROT_WRITE, 0, 0, 0);
}

static bool prepare(char *base, u64 *gpa)
{
	/* The head is kept by a fork: it leads to the others. */
	return !advise(base, SPACE_SIZE, MADV_WIPEONFORK) &&
	       !advise(base, BLOCK_SIZE, MADV_KEEPONFORK) &&
	       make_writable(base, BLOCK_SIZE) &&
	       !view_slot(region_index((u64)base), gpa);
}

/*
 * Every view has the space before its first block is used: the #PF handler
 * cannot fault. -EADDRINUSE: not there.
 */
static int space_prepare(struct vm_local *local, char *base)
{
	u64 gpa;

	/* Only saves memory. */
	advise(base, SPACE_SIZE, MADV_NOHUGEPAGE);
	return prepare(base, &gpa) ? view_pin(local, region_index((u64)base), PIN_OWN) :
				     -ENOMEM;
}

static struct space *space_add(struct vm_local *local)
{
	struct space *space;
	char *base;
	int err;

	/*
	 * Where a root has something else it stays reserved, so that the next one
	 * is elsewhere. An address space full of that has no room for more.
	 */
	do {
		base = map_aligned();
		err = base ? space_prepare(local, base) : -ENOMEM;
		if (err == -EADDRINUSE)
			hw_syscall(SYS_mprotect, (long)base, SPACE_SIZE, PROT_NONE, 0, 0, 0);
	} while (err == -EADDRINUSE);
	if (err && base)
		hw_syscall(SYS_munmap, (long)base, SPACE_SIZE, 0, 0, 0, 0);
	if (err)
		return NULL;
	space = (struct space *)base;
	space->used = 1;
	space->next = spaces;
	spaces = space;
	return space;
}

static void *take_run(unsigned int nr)
{
	for (struct run **p = &runs, *run; (run = *p); p = &run->next) {
		if (run->nr != nr)
			continue;
		*p = run->next;
		run->next = NULL;
		run->nr = 0;
		return run;
	}
	return NULL;
}

static void *get_locked(struct vm_local *local, unsigned int nr)
{
	struct space *space;
	char *blocks = take_run(nr);

	if (blocks)
		return blocks;
	for (space = spaces; space; space = space->next)
		if (space->used + nr <= SPACE_BLOCKS)
			break;
	if (!space)
		space = space_add(local);
	if (!space)
		return NULL;
	blocks = (char *)space + space->used * BLOCK_SIZE;
	if (!make_writable(blocks, nr * BLOCK_SIZE))
		return NULL;
	space->used += nr;
	return blocks;
}

void *space_get(struct vm_local *local, unsigned int nr)
{
	void *blocks;

	vm_lock(&vm_state.space_lock);
	blocks = get_locked(local, nr);
	vm_unlock(&vm_state.space_lock);
	return blocks;
}

void space_put(void *blocks, unsigned int nr)
{
	struct run *run = blocks;

	advise(blocks, nr * BLOCK_SIZE, MADV_DONTNEED);
	vm_lock(&vm_state.space_lock);
	run->nr = nr;
	run->next = runs;
	runs = run;
	vm_unlock(&vm_state.space_lock);
}

/* In a forked child, before anything else of guest paging. */
void space_forget(void)
{
	while (spaces) {
		struct space *space = spaces;

		spaces = space->next;
		hw_syscall(SYS_munmap, (long)space, SPACE_SIZE, 0, 0, 0, 0);
	}
	runs = NULL;
}
