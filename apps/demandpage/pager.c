// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "pager.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli.h"

int page_try_lock(struct pager *pager, unsigned long page)
{
	return !__atomic_exchange_n(&pager->page[page].lock, 1, __ATOMIC_ACQUIRE);
}

/* Whoever has it may be in the middle of reading the file. */
static void page_lock(struct pager *pager, unsigned long page)
{
	while (!page_try_lock(pager, page))
		sched_yield();
}

void page_unlock(struct pager *pager, unsigned long page)
{
	__atomic_store_n(&pager->page[page].lock, 0, __ATOMIC_RELEASE);
}

static void need(int err, const char *what, unsigned long page)
{
	if (err)
		cli_die("%s page %lu: %s\n  next: fewer --pages or --frames", what, page,
			strerror(-err));
}

/* --- in and out --- */

static void file_read(struct pager *pager, unsigned long page, char *memory)
{
	if (pread(pager->fd, memory, PAGE, page * PAGE) != PAGE)
		cli_die("read page %lu: %m\n  next: is the file's disk well?", page);
	pager_count(&pager->stats.reads);
}

static void file_write(struct pager *pager, unsigned long page, const char *memory)
{
	if (pwrite(pager->fd, memory, PAGE, page * PAGE) != PAGE)
		cli_die("write page %lu: %m\n  next: is the file's disk full?", page);
	pager_count(&pager->stats.writes);
}

/*
 * First nobody may use the page any more, then whether it is dirty is known for
 * good, then it may be written, and only then its frame gets another page. A
 * thread that touches it meanwhile faults, and waits for the lock.
 */
void page_out(struct pager *pager, unsigned long page)
{
	char *addr = page_addr(pager, page);
	struct dune_vm_entry entry;

	need(dune_vm_protect(pager->root, addr, PAGE, 0), "protect", page);
	need(dune_vm_lookup(pager->root, addr, &entry), "look up", page);
	if (entry.flags & DUNE_VM_DIRTY)
		file_write(pager, page, entry.mem);
	need(dune_vm_unmap(pager->root, addr, PAGE), "unmap", page);
	pager->page[page].frame = 0;
	pager_count(&pager->stats.evictions);
}

/* The page is locked, and not in memory. The new leaf is neither accessed nor dirty. */
static void page_in(struct pager *pager, unsigned long page)
{
	unsigned long frame = frame_get(pager);
	char *memory = frame_addr(pager, frame);

	file_read(pager, page, memory);
	need(dune_vm_map(pager->root, page_addr(pager, page), PAGE, memory, DUNE_R | DUNE_W,
			 DUNE_VM_4K),
	     "map", page);
	pager->page[page].frame = frame + 1;
	__atomic_store_n(&pager->page_of[frame], page + 1, __ATOMIC_RELEASE);
}

/*
 * On the thread that touched the page, in Dune mode; the calls for the file are
 * Linux' as everywhere. Another thread may have been faster: then just go on.
 */
static enum dune_trap_action on_page_fault(struct dune_trap *trap, void *arg)
{
	struct pager *pager = arg;
	uint64_t offset = trap->fault_addr - (uint64_t)pager->window;
	unsigned long page = offset / PAGE;

	if (page >= pager->nr_pages || dune_root_current() != pager->root)
		return DUNE_TRAP_DELIVER;
	pager_count(&pager->stats.faults);
	page_lock(pager, page);
	if (!pager->page[page].frame)
		page_in(pager, page);
	page_unlock(pager, page);
	return DUNE_TRAP_RESUME;
}

/* --- beginning and end --- */

/* Addresses that nothing else gets; Linux maps no memory there. */
static char *reserve(size_t len)
{
	return mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

void pager_create(struct pager *pager, int fd, unsigned long nr_pages, unsigned long nr_frames)
{
	int err;

	memset(pager, 0, sizeof(*pager));
	pager->fd = fd;
	pager->nr_pages = nr_pages;
	pager->nr_frames = nr_frames;
	pager->window = reserve(nr_pages * PAGE);
	pager->frames = mmap(NULL, nr_frames * PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pager->page = calloc(nr_pages, sizeof(*pager->page));
	pager->page_of = calloc(nr_frames, sizeof(*pager->page_of));
	if (pager->window == MAP_FAILED || pager->frames == MAP_FAILED || !pager->page ||
	    !pager->page_of)
		cli_die("no memory for the pager\n  next: fewer --pages or --frames");
	err = dune_root_create(&pager->root);
	if (!err)
		err = dune_vm_unmap(pager->root, pager->window, nr_pages * PAGE);
	if (!err)
		err = dune_trap_register(DUNE_VECTOR_PF, on_page_fault, pager, 0);
	if (err)
		cli_die("a root for the window: %s\n  next: fewer --pages", strerror(-err));
}

void pager_sync(struct pager *pager)
{
	for (unsigned long page = 0; page < pager->nr_pages; page++) {
		unsigned int frame = pager->page[page].frame;

		if (!frame)
			continue;
		page_out(pager, page);
		pager->page_of[frame - 1] = FRAME_FREE;
	}
}

void pager_destroy(struct pager *pager)
{
	dune_trap_unregister(DUNE_VECTOR_PF);
	dune_trap_sync();
	dune_root_free(pager->root);
	munmap(pager->window, pager->nr_pages * PAGE);
	munmap(pager->frames, pager->nr_frames * PAGE);
	free(pager->page);
	free(pager->page_of);
}

void pager_enter(struct pager *pager)
{
	int err = dune_root_switch(pager->root);

	if (err)
		cli_die("switch to the window's root: %s\n  next: fewer --threads",
			strerror(-err));
}

void pager_leave(void)
{
	dune_root_switch(NULL);
}
