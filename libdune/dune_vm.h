/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Guest page tables: what threads in Dune mode see at which address.
 *
 * A *root* is one guest address space: 4-level tables below 2^47, shared by all
 * threads that have it active, changed by any number of threads at once. There
 * is no lock of a root; what two threads do in different 2 MiB shares nothing
 * that is written. Every address of a root is at first mapped to itself: the
 * host's memory at that address, with all rights, ring 3 included. What the
 * process may do there is still Linux' decision; a root can only take away.
 *
 * Context: any thread of a process that called dune_init(), in either mode, also
 * in trap and interrupt handlers of Dune mode; not in Linux signal handlers.
 * Nothing here wakes or interrupts a thread of another root or of another
 * 1 GiB of the address space.
 *
 * Result: 0 or a negative errno. An error means that nothing was changed.
 *   -EINVAL   unaligned, empty, unknown bits, or no dune_init() here
 *   -ERANGE   not all of it lies below 2^47
 *   -EPERM    page tables and other pages that this library has mapped for itself,
 *             which no root may change
 *   -EBUSY    all of a 1 GiB that this library needs some of
 *   -ENOMEM   no memory for tables
 *   -ENOSPC   no guest physical slot left (DUNE_SLOT_SHIFT in uapi/dune.h)
 *
 * When a call that removes or restricts returns, no thread can use the old
 * translation any more. Gaining a right never interrupts anybody: a thread that
 * remembers the old right takes one page fault, which the library resolves
 * unless the program has a handler of its own, which then simply retries.
 *
 * System calls, and threads in plain mode, know the host's addresses only: they
 * see neither rights nor mappings of a root. dune_vm_lookup() translates.
 *
 * Not refused, and the end of a thread that takes a trap: to take away this
 * library's own code and data, or a thread's stack and thread-local storage.
 *
 * root NULL stands for the default root everywhere. Addresses and lengths are
 * in bytes and multiples of 4096.
 */
#ifndef DUNE_VM_H
#define DUNE_VM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct dune_root;

/* Rights. Hardware knows no page that can be written and not be read. */
#define DUNE_R		(1u << 0)
#define DUNE_W		(1u << 1)	/* with DUNE_R */
#define DUNE_X		(1u << 2)	/* with DUNE_R */
#define DUNE_U		(1u << 3)	/* ring 3 too; ring 0 has them anyway */

#define DUNE_PAGE_4K	0x1000ul
#define DUNE_PAGE_2M	0x200000ul
#define DUNE_PAGE_1G	0x40000000ul

/* --- roots --- */

/*
 * The root every thread starts in. It exists from dune_init() on and is never
 * freed.
 *
 * Result: the root, NULL before dune_init().
 */
struct dune_root *dune_root_default(void);

/*
 * The root that is active on the calling thread.
 *
 * Result: the root, NULL when the thread has no vCPU.
 */
struct dune_root *dune_root_current(void);

/*
 * A new root, in which every address is mapped to itself; what other roots
 * changed does not show in it. The caller frees it.
 */
int dune_root_create(struct dune_root **root);

/*
 * A snapshot of a root: a new root with the same mappings and rights, and the
 * memory as it is now; later writes by threads in one of the two are not seen
 * in the other. Pages are copied when first written to. The memory at its own
 * address stays the original's.
 *
 * Threads may write meanwhile: what a thread wrote before the call began is in
 * the snapshot, what it writes after the call returned is not.
 *
 * Not part of the snapshot, shared with the original: this library's memory,
 * stacks and thread-local storage of threads that have been in Dune mode, and
 * what dune_vm_share() named. What the kernel writes (system calls) goes to the
 * original page and shows in snapshots that have not copied it yet: before a
 * system call that writes to snapshotted memory, write to it.
 */
int dune_root_clone(struct dune_root *root, struct dune_root **clone);

/*
 * Clones made from now on share this memory with their original. In every
 * root. Until the process ends.
 *
 * -ENOSPC: 64 ranges are shared already.
 */
int dune_vm_share(const void *addr, size_t len);

/*
 * Make a root the calling thread's. It stays so over dune_exit() and dune_enter().
 * The code and the stack of the caller must be mapped there.
 *
 * Context: Dune mode only.
 *
 * -EINVAL: not in Dune mode.
 */
int dune_root_switch(struct dune_root *root);

/*
 * Free a root and the copies that belong to it. No other call may use it at the
 * time.
 *
 * -EBUSY: a thread has it active; -EINVAL: the default root.
 */
int dune_root_free(struct dune_root *root);

/* --- mappings --- */

/* dune_vm_map(): no larger pages than that. By default as large as they fit. */
#define DUNE_VM_4K	(1u << 0)
#define DUNE_VM_2M	(1u << 1)
#define DUNE_VM_FLAGS	(DUNE_VM_4K | DUNE_VM_2M)

/*
 * Map [addr, addr + len) to the host's memory at [mem, mem + len), with rights
 * prot: DUNE_R and so on. Where something is mapped that fails; in a root where
 * every address is mapped to itself that is so everywhere: unmap first. Of two
 * calls that overlap at most one succeeds. No flush: nobody is interrupted.
 *
 * -EEXIST: something is mapped in the range.
 */
int dune_vm_map(struct dune_root *root, void *addr, size_t len, const void *mem,
		unsigned int prot, unsigned int flags);

/* Remove what is mapped in the range; holes are passed. */
int dune_vm_unmap(struct dune_root *root, void *addr, size_t len);

/*
 * Give what is mapped in the range these rights; holes are passed. prot 0: no
 * access, but the mapping is kept. Larger pages are split where the range ends
 * inside of them.
 */
int dune_vm_protect(struct dune_root *root, void *addr, size_t len,
		    unsigned int prot);

/*
 * Split pages in the range until none is larger than size (DUNE_PAGE_4K or
 * DUNE_PAGE_2M); replace whole runs of pages by pages of this size
 * (DUNE_PAGE_2M or DUNE_PAGE_1G), where they are contiguous in guest physical
 * space and have the same rights. Neither changes what is mapped.
 *
 * Merging to DUNE_PAGE_1G waits for a grace period of liburcu.
 *
 * -EBUSY: from dune_vm_merge(), the caller is in a read section of liburcu-bp; what
 * was merged up to there stays so.
 */
int dune_vm_split(struct dune_root *root, void *addr, size_t len, size_t size);
int dune_vm_merge(struct dune_root *root, void *addr, size_t len, size_t size);

/* dune_vm_entry.flags */
#define DUNE_VM_ACCESSED	(1u << 0)
#define DUNE_VM_DIRTY		(1u << 1)
#define DUNE_VM_COW		(1u << 2)	/* copied when written to */

/* A mapping as one entry of the tables has it. */
struct dune_vm_entry {
	void *addr;		/* where the page begins in the root */
	void *mem;		/* where it begins in the host's memory */
	size_t size;		/* DUNE_PAGE_... */
	unsigned int prot;	/* DUNE_R | ... */
	unsigned int flags;	/* DUNE_VM_ACCESSED | ... */
};

/*
 * The page that maps addr, the address of any byte in it.
 *
 * -ENOENT: none does.
 */
int dune_vm_lookup(struct dune_root *root, const void *addr,
		   struct dune_vm_entry *entry);

/*
 * fn(entry, arg) for each page that overlaps the range, in order of address. fn
 * may call anything here; what others change meanwhile may or may not be seen.
 * Stops when fn returns other than 0. Addresses that are mapped to themselves and
 * were never used show as pages of 1 GiB.
 *
 * Result: 0, what fn returned, or a negative errno.
 */
typedef int (*dune_vm_walk_fn)(const struct dune_vm_entry *entry, void *arg);
int dune_vm_walk(struct dune_root *root, void *addr, size_t len,
		 dune_vm_walk_fn fn, void *arg);

/* What dune_vm_scan() looks for, and whether it clears what it found. */
#define DUNE_SCAN_ACCESSED	(1u << 0)
#define DUNE_SCAN_DIRTY		(1u << 1)
#define DUNE_SCAN_CLEAR		(1u << 2)
#define DUNE_SCAN_FLAGS		(DUNE_SCAN_ACCESSED | DUNE_SCAN_DIRTY | DUNE_SCAN_CLEAR)

/*
 * Find pages that were used since their bits were last cleared: accessed, or
 * written to, by threads in Dune mode, not by system calls. Bit i of bitmap, if not
 * NULL, is set when page i of the range is one of them; others are left as they
 * are. bitmap must be writable without a page fault handler of the program.
 *
 * A page that is larger than 4 KiB counts as a whole, a page of 1 GiB always.
 * CLEAR splits pages that stick out of the range, and pages of 1 GiB to 2 MiB;
 * dune_vm_split() before gives 4 KiB. CLEAR flushes: an access after the call
 * sets the bit again. A bit is never lost.
 *
 * Result: the number of these pages in the range, of 4 KiB, or a negative errno.
 */
long dune_vm_scan(struct dune_root *root, void *addr, size_t len,
		  unsigned int what, uint64_t *bitmap);

/* --- when to flush --- */

/*
 * Between begin and end, dune_vm_ calls of this thread do not flush; end does,
 * once for all. Until then other threads may still use what was removed or
 * restricted, and this one too. Nests.
 *
 * -EINVAL: an end without a begin.
 */
int dune_vm_batch_begin(void);
int dune_vm_batch_end(void);

/*
 * For loops that never leave the guest, such as a user-level scheduler's:
 * between begin and end other threads do not interrupt this one, they wait for
 * its next dune_vm_poll(), which costs a few instructions when there is nothing
 * to do. A thread that forgets to poll is interrupted after a while. Interrupts
 * of other threads (dune_ipi.h) are taken in dune_vm_poll() too, unless the caller
 * has them off.
 *
 * Context: Dune mode only.
 *
 * Result: 0 or a negative errno; dune_vm_poll() 1 when it flushed or took
 * interrupts.
 *
 * -EINVAL: not in Dune mode.
 */
int dune_vm_poll_begin(void);
int dune_vm_poll(void);
int dune_vm_poll_end(void);

#ifdef __cplusplus
}
#endif

#endif /* DUNE_VM_H */
