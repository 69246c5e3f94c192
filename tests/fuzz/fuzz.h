/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * dune-fuzz: hostile arguments and hostile guests against the raw ABI.
 *
 * A case is plain data, made from a seed (gen.c, ioctl_gen.c) or read from a
 * line of text (text.c). The parent (batches.c) forks a child for each batch of
 * cases and judges the machine between batches (health.c); the child (child.c)
 * makes the cases, judges each result, and may die of any of them.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stdint.h>

#include "rawvm.h"
#include "uapi/dune.h"

/* ---- random numbers: one state, no division by the caller ---- */

struct rng {
	uint64_t state;
};

uint64_t rng_next(struct rng *r);
/* 0 .. n - 1 */
uint32_t rng_below(struct rng *r, uint32_t n);
/* True once in n. */
bool rng_one_in(struct rng *r, uint32_t n);
/* Numbers that programs get wrong: powers of two, borders, pointers. */
uint64_t rng_weird(struct rng *r);
/* The seed of case i of a run. */
uint64_t case_seed(uint64_t seed, uint64_t i);

/* ---- cases ---- */

enum engine { ENGINE_IOCTL, ENGINE_GUEST, NR_ENGINES };

/* What another thread does meanwhile. */
enum racer_kind {
	RACER_NONE,
	RACER_SCRIBBLE,	/* writes the vCPU page */
	RACER_TABLES,	/* writes the guest's page tables */
	RACER_UNMAP,	/* munmap, mmap, mprotect, madvise below the guest */
	RACER_PAGE,	/* mmap, mremap, munmap of the vCPU page */
	RACER_FD,	/* DUNE_RUN of another's vCPU, dup, close */
	RACER_VM,	/* the vm's calls */
	RACER_ARGS,	/* unmaps and maps the ioctl's argument */
	NR_RACERS,
};

enum idt_mode {
	IDT_STOP,	/* each vector ends the case and says so */
	IDT_IRET,	/* returns to what faulted: storms */
	IDT_NONE,	/* limit 0: triple faults */
	IDT_JUNK,	/* random gates */
	IDT_FAULTS,	/* handlers that fault themselves */
	NR_IDTS,
};

enum guest_class {
	CLASS_PROGRAM,	/* random instructions, privileged ones among them */
	CLASS_RANDOM,	/* random bytes */
	CLASS_FORBIDDEN,/* one instruction whose exception is known */
	CLASS_VMCALL,	/* junk numbers and arguments */
	CLASS_STATE,	/* junk in the vCPU page */
	CLASS_TABLES,	/* junk in page tables, GDT, IDT, TSS */
	CLASS_HUGE,	/* guest physical addresses that no slot has */
	CLASS_STORM,	/* #DB, #AC, single steps, interrupts without end */
	CLASS_CPL3,	/* VMCALL from ring 3 */
	CLASS_LEAVE,	/* DUNE_HC_LEAVE with junk registers */
	CLASS_UNMAP,	/* the guest's own code and stack go while it runs */
	NR_CLASSES,
};

#define MAX_CODE	208
#define MAX_POKES	4

struct poke {
	uint64_t offset;	/* in the arena's tables, a multiple of 8 */
	uint64_t value;
};

struct guest_case {
	uint64_t class;		/* enum guest_class */
	uint64_t racer;		/* enum racer_kind */
	uint64_t racer_seed;
	uint64_t idt;		/* enum idt_mode */
	uint64_t idt_seed;	/* of IDT_JUNK */
	uint64_t runs;		/* DUNE_RUN calls at most */
	uint64_t page_seed;	/* not 0: noise over the rest of the vCPU page */
	uint64_t no_page;	/* the vCPU page is unmapped while it runs */
	uint64_t spoils;	/* segments, control registers: a new vCPU after it */
	uint64_t want;		/* a value of rdi at the end that proves success */
	uint64_t want2;		/* another one, or 0 */
	uint64_t sync, run_flags, quantum_us, syscall_ip;
	uint64_t reg[18];	/* struct dune_regs */
	uint64_t sreg[10];	/* cr3 ... reserved, struct dune_sregs */
	uint32_t nr_pokes;
	struct poke poke[MAX_POKES];
	uint32_t code_len;
	uint8_t code[MAX_CODE];
};

enum ioctl_what {
	DO_IOCTL, DO_MMAP, DO_MREMAP, DO_MPROTECT, DO_MADVISE, DO_TOUCH,
	DO_DUP, DO_CLOSE, DO_OPEN, DO_READ, DO_OTHER, DO_FORK, DO_NOFILE,
	DO_RUN, NR_WHATS,
};

enum fd_kind {
	FD_VM,		/* with the process's vm */
	FD_EMPTY,	/* /dev/dune without a vm */
	FD_VCPU,	/* the main thread's */
	FD_THREAD,	/* another thread's vCPU */
	FD_STAT,	/* of the user */
	FD_FOREIGN_VM,	/* of the parent process */
	FD_FOREIGN_VCPU,
	FD_NULL,	/* /dev/null */
	FD_CLOSED,
	FD_PLACES,	/* stat fd of this process, which tells places too */
	NR_FDS,
};

enum arg_kind {
	ARG_GOOD,	/* zeroes, then the values */
	ARG_NUMBER,	/* v[0] itself */
	ARG_NULL,
	ARG_KERNEL,
	ARG_NONCANONICAL,
	ARG_UNMAPPED,
	ARG_READONLY,	/* zeroes that cannot be written */
	ARG_CROSSING,	/* its last bytes are not mapped */
	ARG_RACING,	/* another thread unmaps it meanwhile */
	NR_ARGS,
};

#define MAX_OPS	6

struct ioctl_op {
	uint64_t what;		/* enum ioctl_what */
	uint64_t fd;		/* enum fd_kind */
	uint64_t cmd;		/* ioctl number, or prot, advice, ... */
	uint64_t arg;		/* enum arg_kind */
	uint64_t word;		/* index of the word of the argument */
	uint64_t value;		/* and its value; or size */
	uint64_t offset;	/* mmap */
};

struct ioctl_case {
	uint64_t racer;
	uint64_t racer_seed;
	uint32_t nr;
	struct ioctl_op op[MAX_OPS];
};

struct fuzz_case {
	enum engine engine;
	union {
		struct guest_case guest;
		struct ioctl_case ioctl;
	};
};

/* Engines a run may use, as bits. */
void case_make(struct fuzz_case *c, uint64_t seed, unsigned int engines);
void guest_make(struct guest_case *c, struct rng *r);
/* A guest that may run: long mode, all tables, a stack; over zeroes. */
void guest_defaults(struct guest_case *c);
void ioctl_make(struct ioctl_case *c, struct rng *r);
/* One line of text and back. parse: NULL, or what is wrong. */
void case_print(const struct fuzz_case *c);
const char *case_parse(struct fuzz_case *c, const char *line);

extern const char *const class_names[NR_CLASSES];

/* ---- what child and parent share ---- */

#define NR_ERRNOS 134

struct shared {
	volatile uint64_t next;		/* the case that runs, or is next */
	volatile uint32_t failed;
	volatile uint32_t stop;		/* parent to child: end early */
	char why[512];
	uint64_t kinds[8];		/* returns of DUNE_RUN */
	uint64_t errnos[NR_ERRNOS];	/* of all calls with a known meaning */
	uint64_t signals[65];
	uint64_t classes[NR_CLASSES];
	uint64_t ops[NR_WHATS];
	uint64_t racer_actions[NR_RACERS];
	uint64_t vcpus, judged, proved;
};
extern struct shared *shared;

enum child_end {
	CHILD_DONE = 0,
	CHILD_FAILED = 3,	/* shared->why */
	CHILD_RESTART = 4,	/* its address space is no good any more */
};

/* Ends the child: a result that the ABI does not allow. Any thread. */
void fuzz_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Where cases come from. */
struct source {
	uint64_t seed;
	unsigned int engines;
	const struct fuzz_case *list;	/* or NULL: made from the seed */
};
void source_get(const struct source *s, uint64_t i, struct fuzz_case *c);

/* Cases [first, last); never returns. The foreign fds are the parent's. */
void child_main(const struct source *s, uint64_t first, uint64_t last,
		int threads, int foreign_vm, int foreign_vcpu)
	__attribute__((noreturn));

/* ---- inside the child ---- */

struct child {
	struct rawvcpu vcpu;
	int fds[NR_FDS];
	uint64_t kernel_words;
	int threads;
	bool dead;		/* the vCPU: -EIO */
	bool spoilt;		/* it needs another vCPU */
	bool interrupted;	/* the case asks for an interrupt: ends anyhow */
	bool dirty;		/* the arena's mappings may have changed */
	unsigned int vcpu_cases;
};
extern struct child child;

/* Main thread only: make what a case may have used up. */
void child_open_vm(void);
void child_fresh_vcpu(void);
/* raw_run() of the main thread's vCPU; thread state is right again after it. */
long child_run(uint64_t arg);

void guest_run(const struct guest_case *c);
void ioctl_setup(int foreign_vm, int foreign_vcpu);
void ioctl_run(const struct ioctl_case *c);
/* fd numbers, argument memory of the ioctl engine, for the racer. */
void *ioctl_racing_page(void);

void racer_setup(int n);
void racer_start(enum racer_kind kind, uint64_t seed);
/* Returns when no racer acts any more. */
void racer_stop(void);

/* ---- guest memory, at a fixed address: slot 0, so gpa = offset ---- */

#define ARENA		0x300000000000ull
#define ARENA_SIZE	0x200000ull
#define ARENA_PML4	0x1000ull
#define ARENA_PDPT	0x2000ull
#define ARENA_PD	0x3000ull
#define ARENA_PT	0x4000ull
#define ARENA_GDT	0x5000ull
#define ARENA_IDT	0x6000ull
#define ARENA_TSS	0x7000ull
#define ARENA_STUBS	0x8000ull	/* 256 of 16 bytes */
#define ARENA_COMMON	0x9000ull
#define ARENA_TABLES	0xa000ull	/* end of what is restored */
#define ARENA_CODE	0x10000ull
#define ARENA_STACK	0x20000ull	/* its top */
#define ARENA_IST	0x28000ull
#define ARENA_DATA	0x30000ull
#define ARENA_SCRATCH	0x40000ull	/* racers unmap from here */
#define STOP_VECTOR	0x1000u		/* rdi of a stop: this plus the vector */
#define STOP_END	0x2000u		/* the program's end was reached */

void arena_setup(void);
/* Maps it anew where that may be needed, and restores the tables. */
void arena_restore(void);
void arena_idt(enum idt_mode mode, uint64_t seed);

/* ---- the parent ---- */

struct plan {
	struct source source;
	uint64_t first, last;	/* cases */
	uint64_t batch;		/* cases a child, at most */
	int threads;		/* racers a child */
	const char *name;	/* for messages */
};
/* False and messages when a case or the machine failed. */
bool batches_run(const struct plan *p);
void batches_setup(void);
extern uint64_t batches_children, batches_killed;

/* What happened since the start; false: it was too blind for a run of all engines. */
void summary_start(void);
void summary_print(uint64_t cases);
bool summary_saw_all(void);

/* ---- judging the machine; false and a message: it is not well ---- */

void health_start(void);
/* After a batch: kernel log, taint, live vms and vCPUs, both vms run. */
bool health_check(void);
/* And libdune runs. */
bool health_check_all(void);
extern int health_vm_fd, health_vcpu_fd;

#endif /* TESTS_FUZZ_H */
