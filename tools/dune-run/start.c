// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * From this program to the one that it loads: the same process, in which Linux'
 * view of what runs there becomes the other one's, too (PR_SET_MM).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "load.h"
#include "lock.h"
#include "run.h"

#define PAGE_DOWN(x)	((x) & ~(PAGE_SIZE - 1))
#define PAGE_UP(x)	PAGE_DOWN((x) + PAGE_SIZE - 1)

/* The file is root's to change. */
static bool file_left;

static uint64_t brk_start(const struct object *o)
{
	uint64_t pages = 0;

	if (personality(0xffffffff) & ADDR_NO_RANDOMIZE ||
	    getrandom(&pages, sizeof(pages), 0) != sizeof(pages))
		pages = 0;
	return PAGE_UP(o->end) + (pages & 0x1fff) * PAGE_SIZE;
}

/* What /proc shows, and where brk() begins. Not being allowed to is no error. */
static void tell_linux(const struct program *p, const struct object *o, const struct image *image)
{
	uint64_t brk = brk_start(o);
	const char *slash = strrchr(p->execfn, '/');
	struct prctl_mm_map map = {
		.start_code = o->start_code, .end_code = o->end_code,
		.start_data = o->start_data, .end_data = o->end_data,
		.start_brk = brk, .brk = brk,
		.start_stack = image->at,
		.arg_start = image->arg_start, .arg_end = image->arg_end,
		.env_start = image->env_start, .env_end = image->env_end,
		.auxv = (__u64 *)(image->bytes + (image->auxv - image->at)),
		.auxv_size = image->auxv_size,
		.exe_fd = file_left ? p->fd : -1,
	};

	if (prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0)) {
		map.exe_fd = -1;
		prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0);
	}
	prctl(PR_SET_NAME, slash ? slash + 1 : p->execfn);
}

static int map_interpreter(const char *name, struct object *interp)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = object_map(fd, OBJECT_INTERPRETER, interp);
	close(fd);
	return err;
}

struct start {
	struct dune_thread *t;
	const struct image *image;
	uint64_t entry, mask;
};

/* On the thread's own stack: the other one becomes the program's. */
static void start_here(void *arg)
{
	const struct start *s = arg;
	struct run_thread *run = run_of(s->t);
	struct dune_vcpu_page *page = s->t->page;

	memcpy((void *)s->image->at, s->image->bytes, s->image->size);
	run->is_first = 1;
	run->mask = s->mask;
	run->pending = 1;
	page->regs = (struct dune_regs){
		.rip = s->entry, .rsp = s->image->at, .rflags = FLAG_IF | FLAGS_FIXED,
	};
	page->sregs.fs_base = 0;
	page->sregs.gs_base = 0;
	page->sync |= DUNE_SYNC_REGS | DUNE_SYNC_SREGS;
	run_thread(s->t, NULL, 0);
}

/* For execve(): this program, whatever file the process executes by then. */
static int self_open(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct rlimit limit;

	if (fd < 0)
		return -errno;
	run_fds_begin(&limit);
	run_self_fd = run_fd_hide(fd);
	run_fds_end(&limit);
	return run_self_fd < 0 ? run_self_fd : 0;
}

static void executable_stack(const struct image *image)
{
	mprotect((void *)PAGE_DOWN(image->at), PAGE_SIZE,
		 PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN);
}

static int prepare(struct dune_thread **t)
{
	int err = run_vm_init();

	if (!err)
		err = run_thread_ready(t);
	if (err)
		fprintf(stderr, "dune-run: %s\n", dune_why());
	return err;
}

int program_start(struct program *p)
{
	static char *no_environment[] = { NULL };
	struct object program = { 0 }, interp = { 0 };
	static struct image image;
	struct start s = { .image = &image, .mask = p->mask };
	uint64_t random[2];
	int err;

	/* brk() is the program's; the stack, too: nothing of ours points there. */
	mallopt(M_MMAP_THRESHOLD, 0);
	/* An arena of its own for each thread would be 64 MiB of address space. */
	mallopt(M_ARENA_MAX, 1);
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	err = object_map(p->fd, OBJECT_PROGRAM, &program);
	if (!err && program.interp)
		err = map_interpreter(program.interp, &interp);
	run_fds_end(&p->limit);
	if (!err)
		err = image_make(p, &program, program.interp ? &interp : NULL, random, &image);
	if (err)
		return err;
	environ = no_environment;
	run_block_all();
	err = self_open();
	if (err)
		return err;
	file_left = geteuid() == 0 && self_leave_file(run_self_fd);
	if (prepare(&s.t))
		return -ENXIO;
	tell_linux(p, &program, &image);
	close(p->fd);
	if (program.exec_stack)
		executable_stack(&image);
	run_filter_init();
	run_sigs_init();
	dune_mask_hook = run_native_mask;
	syscall(SYS_set_tid_address, 0);
	syscall(SYS_set_robust_list, NULL, 24);
	s.entry = program.interp ? interp.entry : program.entry;
	dune_call_on_stack(start_here, &s, s.t->host_sp);
	return -EIO;
}
